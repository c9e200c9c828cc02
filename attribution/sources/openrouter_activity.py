"""OpenRouter activity pages: requests, tokens and dollars per UTC day, model and endpoint."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills

NAME = "openrouter_activity"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("date", "model", "usage", "byok_usage_inference", "requests")
GRAIN = "completed UTC day × model × endpoint; one pull per key hash splits by key"
GIVES = "billed money, requests and tokens; no user, no application, no request id (generations have it)"
NESTING = "prompt tokens include cached ones; reasoning is in the completion and made disjoint here"
MONEY = "US dollars of credits; what your own provider keys were charged stands beside it, billed elsewhere"
ZONE = "UTC days"
MISTAKE = "own-key (BYOK) usage costs 0 here and is on the provider's bill: 0 is not free, and adding both doubles"
REWRITES = "add: only completed days are told; the same day with other numbers is a conflict"

_DAY = 86_400_000_000


def recognise(sample: Sample) -> int:
    """Look for rows with own-key usage beside the charge."""
    rows = [row for page in sample.documents for row in _rows(page) if isinstance(row, dict)]
    return 96 if any({"byok_usage_inference", "usage", "model"} <= set(row) for row in rows) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every row of a page; a row that cannot be read costs itself only."""
    for ordinal, row in enumerate(_rows(document)):
        try:
            intake.accept(line, bill_lines=_lines(row, intake))
        except Unreadable as fault:
            intake.set_aside(line, fault, ordinal)


def _rows(page: Document) -> list[Any]:
    rows = [page] if "byok_usage_inference" in page else page.get("data")
    return rows if isinstance(rows, list) else []


def _lines(row: Any, intake: Intake) -> list[Row]:
    if not isinstance(row, dict):
        raise Unreadable("not_an_object", "a row of the activity", type(row).__name__, "data")
    # A time part has been reported after the date; the row is a day all the same.
    told = normalization.text(row.get("date"), "date")
    start = _bills.required(_bills.moment(None if told is None else told[:10], "date"), "date")
    key_hash = normalization.text(intake.options.get("api_key_hash"), "api_key_hash")
    slug = normalization.text(row.get("model_permaslug"), "model_permaslug")
    model = normalization.text(row.get("model"), "model")
    endpoint = normalization.text(row.get("endpoint_id"), "endpoint_id")
    provider = normalization.text(row.get("provider_name"), "provider_name")
    base: Row = {
        "role": "both",
        "category": "usage",
        "provider": "openrouter",
        "period_start": start,
        "period_end": start + _DAY,
        "billing_period": _bills.month(start),
        "api_key_id": key_hash,
        "model": slug or model,
        "sku": model,
        "resource_id": endpoint,
        "requests": normalization.count(row.get("requests"), "requests"),
        "tags": None if provider is None else {"provider_name": provider},
        "currency": "USD",
    }
    identity = _bills.key(start, key_hash, slug, model, endpoint, provider)
    return [*_bills.lines_of(base, _meters(row), identity), _charge(row, base, identity)]


def _meters(row: Document) -> dict[str, tuple[Any, str]]:
    counts = {
        name: normalization.count(row.get(f"{name}_tokens"), f"{name}_tokens")
        for name in ("prompt", "completion", "reasoning")
    }
    completion = _bills.required(counts["completion"], "completion_tokens")
    return {
        "input": (_bills.required(counts["prompt"], "prompt_tokens"), "tokens"),
        "output": (_bills.disjoint(completion, {"reasoning": counts["reasoning"]}, "completion_tokens"), "tokens"),
        "reasoning": (counts["reasoning"], "tokens"),
    }


def _charge(row: Document, base: Row, identity: str) -> Row:
    """The charge is for the row as a whole; what an own key was charged is an amount of another bill."""
    charged = _bills.required(normalization.money(row.get("usage"), "usage"), "usage")
    elsewhere = normalization.money(row.get("byok_usage_inference"), "byok_usage_inference")
    return base | {
        "billed_cost": charged,
        "effective_cost": charged,
        "estimated_cost": elsewhere or None,
        "flags": [f"billed_by_the_provider: {elsewhere.normalize():f}"] if elsewhere else None,
        "key": _bills.key(identity, "charge"),
    }
