"""Anthropic usage reports: `usage_report/messages` and analytics usage pages, tokens per bucket and grouping."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _anthropic, _bills, _runs

NAME = "anthropic_usage"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("data", "has_more", "next_page")
GRAIN = "time bucket (minute, hour, UTC day, or all of an analytics pull) × the dimensions grouped by × meter"
GIVES = "usage per workspace, key, account, model, tier, context band, geography; no money, no request id"
NESTING = "disjoint: uncached input, cache writes (5m, 1h), cache reads, output; thinking is in the output"
MONEY = "none"
ZONE = "RFC 3339; buckets in UTC"
MISTAKE = (
    "a null workspace is the default one and a null key the console, when grouped by them: dropping nulls loses spend; "
    "Priority Tier usage is here and its money is not in the cost report"
)
REWRITES = "replace: recent buckets are revised; a later pull, told by the pulled file's name, replaces a bucket"
#: Hours and their day tell the same; of two widths of bucket the wide one counts.
BUCKETS = True

run_of = _runs.pulled_run

_DIMENSIONS = (
    "api_key_id",
    "workspace_id",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
    "account_id",
    "service_account_id",
    "speed",
)


def recognise(sample: Sample) -> int:
    """Look for results that count uncached input."""
    return _anthropic.score(sample, "uncached_input_tokens", "usage", empty=40)


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every result of a page; a result that cannot be read costs itself only."""
    grouping = _anthropic.grouping(document, _DIMENSIONS, intake, "usage")
    for start, end, results, _ in _anthropic.results(document, "usage"):
        intake.cover(_bills.period("messages", start, end))
        for ordinal, result in enumerate(results):
            try:
                intake.accept(line, bill_lines=_lines(result, start, end, grouping, intake))
            except Unreadable as fault:
                intake.set_aside(line, fault, ordinal)


def _lines(result: Any, start: int, end: int, grouping: str, intake: Intake) -> list[Row]:
    if not isinstance(result, dict):
        raise Unreadable("not_an_object", "a usage result", type(result).__name__, "results")
    flags: list[str] = []
    row = _anthropic.base(result, start, end, grouping)
    row["role"] = "estimate" if _anthropic.overlaps(grouping) else "usage"
    row["requests"] = normalization.count(result.get("requests"), "requests")
    counts = _counts(result)
    tokens = [count for meter, count in counts.items() if meter != "web_search"]
    _bills.check(flags, "total_tokens", normalization.count(result.get("total_tokens"), "total_tokens"), tokens)
    row["flags"] = flags or None
    row = _bills.stamp(intake, row, _bills.period("messages", start, end))
    meters = {meter: (count, "searches" if meter == "web_search" else "tokens") for meter, count in counts.items()}
    return _bills.lines_of(row, meters, _anthropic.identity(row, result))


def _counts(result: Document) -> dict[str, int | None]:
    creation = _part(result, "cache_creation")
    tools = _part(result, "server_tool_use")
    counts = {
        "input": result.get("uncached_input_tokens"),
        "cache_write_5m": creation.get("ephemeral_5m_input_tokens"),
        "cache_write_1h": creation.get("ephemeral_1h_input_tokens"),
        "cache_read": result.get("cache_read_input_tokens"),
        "output": result.get("output_tokens"),
        "web_search": tools.get("web_search_requests"),
    }
    _bills.required(counts["input"], "uncached_input_tokens")
    _bills.required(counts["output"], "output_tokens")
    return {meter: normalization.count(count, meter) for meter, count in counts.items()}


def _part(result: Document, name: str) -> Document:
    found = result.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unreadable("not_an_object", "an object", type(found).__name__, name)
    return found
