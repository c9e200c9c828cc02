"""What Anthropic's usage and cost pages share: buckets, flat analytics rows, and what a null dimension means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills

#: Groups of the analytics API that overlap or leave people out: their rows do not add up to the total.
_OVERLAPPING = ("rbac_group_id", "claude_tag_category", "claude_tag_user_id")


def score(sample: Sample, field: str, part: str, *, empty: int) -> int:
    """Tell how sure it is that pages hold results with a field, or analytics rows with a part of that name."""
    found = 0
    for page in sample.documents:
        entries = page.get("data")
        if not isinstance(entries, list) or "has_more" not in page or page.get("object") is not None:
            continue
        dated = [entry for entry in entries if isinstance(entry, dict) and "starting_at" in entry]
        results = [result for entry in dated for result in _dicts(entry.get("results"))]
        if any(field in result for result in results) or any(isinstance(entry.get(part), dict) for entry in dated):
            return 97
        if dated and not results and all("results" in entry for entry in dated):
            found = empty
    return found


def _dicts(found: Any) -> list[Document]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def results(page: Document, part: str) -> Iterator[tuple[int, int, list[Any], bool]]:
    """Yield start, end [microseconds], results and whether they are analytics rows, which are flat."""
    entries = page.get("data")
    if not isinstance(entries, list):
        raise Unreadable("not_a_list", "a list of buckets or rows", type(entries).__name__, "data")
    for entry in entries:
        if not isinstance(entry, dict):
            raise Unreadable("not_an_object", "a bucket or row", type(entry).__name__, "data")
        start = _bills.required(normalization.instant(entry.get("starting_at"), "starting_at"), "starting_at")
        end = _bills.required(normalization.instant(entry.get("ending_at"), "ending_at"), "ending_at")
        if isinstance(entry.get(part), dict):
            group = entry.get("group")
            row = {**(group if isinstance(group, dict) else {}), **entry[part], "group": group}
            yield start, end, [row], True
        elif isinstance(entry.get("results"), list):
            yield start, end, entry["results"], False
        else:
            raise Unreadable("missing", f"`results` or `{part}`", ", ".join(sorted(entry))[:80], "data")


def grouping(page: Document, dimensions: tuple[str, ...], intake: Intake, part: str) -> str:
    """Return the dimensions of a page: declared, named by an analytics row, or filled by any result."""
    declared = _bills.declared_grouping(intake)
    if declared is not None:
        return declared
    entries = _dicts(page.get("data"))
    groups = [entry["group"] for entry in entries if isinstance(entry.get("group"), dict) and part in entry]
    if groups:
        return ",".join(sorted(set().union(*groups)))
    found = [result for entry in entries for result in _dicts(entry.get("results"))]
    return ",".join(sorted(d for d in dimensions if any(result.get(d) is not None for result in found)))


def base(result: Document, start: int, end: int, grouping: str) -> Row:
    """Return the dimensions of a result; a null key or workspace is a group of its own where it was grouped by."""
    grouped = grouping.split(",")
    account = normalization.text(result.get("account_id"), "account_id")
    principal = account or normalization.text(result.get("service_account_id"), "service_account_id")
    workspace = normalization.text(result.get("workspace_id"), "workspace_id")
    api_key = normalization.text(result.get("api_key_id"), "api_key_id")
    tier = normalization.service_tier(result.get("service_tier"))
    if workspace is None and "workspace_id" in grouped:
        workspace = _bills.DEFAULT_WORKSPACE
    if api_key is None and principal is None and "api_key_id" in grouped:
        api_key = _bills.CONSOLE
    return {
        "category": "usage",
        "provider": "anthropic",
        "period_start": start,
        "period_end": end,
        "billing_period": _bills.month(start),
        "project_id": workspace,
        "api_key_id": api_key,
        "principal": principal,
        "model": normalization.text(result.get("model"), "model"),
        "service_tier": "fast" if result.get("speed") == "fast" else tier,
        "region": normalization.text(result.get("inference_geo"), "inference_geo"),
        "context_window": normalization.text(result.get("context_window"), "context_window"),
        "grouping": grouping,
        "tags": _group_tags(result),
    }


def _group_tags(result: Document) -> dict[str, str] | None:
    """Keep the analytics dimensions that no column holds."""
    group = result.get("group")
    if not isinstance(group, dict):
        return None
    held = {"workspace_id", "api_key_id", "model", "service_tier", "speed", "inference_geo", "context_window"}
    return _bills.flat({k: v for k, v in group.items() if k not in held and isinstance(v, str)}, "group", [])


def identity(row: Row, result: Document, *more: str) -> str:
    """Return the native key of a result: its dimensions as given and the period."""
    group = result.get("group")
    dimensions = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo")
    given = [result.get(name) for name in (*dimensions, "account_id", "service_account_id", "speed", *more)]
    extra = sorted((str(k), str(v)) for k, v in group.items() if k not in dimensions) if isinstance(group, dict) else ""
    return _bills.key(row["period_start"], row["period_end"], *given, extra)


def overlaps(grouping: str) -> bool:
    """Tell whether rows of such a grouping may not be added up."""
    return any(name in _OVERLAPPING for name in grouping.split(","))
