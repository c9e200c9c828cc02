"""Anthropic cost reports: `cost_report` and analytics cost pages, billed cents per UTC day and description."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _anthropic, _bills, _runs

NAME = "anthropic_cost"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("data", "has_more", "next_page")
GRAIN = "UTC day × workspace × description (model, token class, tier), as far as the pull was grouped by them"
GIVES = "billed money; no tokens, no key (analytics pages have it), no request id"
NESTING = "lines are disjoint, one per token class"
MONEY = "cents with fractions, as decimal text: 123.45 is 1.2345 dollars"
ZONE = "RFC 3339; UTC days"
MISTAKE = (
    "taking cents for dollars is wrong by exactly 100; without grouping by description there is no model; "
    "Priority Tier spend is not in this report"
)
REWRITES = "replace: recent days are revised; a later pull replaces a day, told by the time in the pulled file's name"
#: Hours and their day tell the same; of two widths of bucket the wide one counts.
BUCKETS = True

run_of = _runs.pulled_run

_DIMENSIONS = ("workspace_id", "description")
_TOKENS = {
    "uncached_input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
}
_OTHERS = {"web_search": "web_search", "code_execution": "code_execution", "session_usage": "session"}


def recognise(sample: Sample) -> int:
    """Look for results with an amount."""
    return _anthropic.score(sample, "amount", "cost", empty=45 if _runs.is_pulled("anthropic-cost", sample.path) else 0)


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every result of a page; a result that cannot be read costs itself only."""
    grouping = _anthropic.grouping(document, _DIMENSIONS, intake, "cost")
    for start, end, results, _ in _anthropic.results(document, "cost"):
        intake.cover(_bills.period("cost", start, end))
        for ordinal, result in enumerate(results):
            try:
                intake.accept(line, bill_line=_line(result, start, end, grouping, intake))
            except Unreadable as fault:
                intake.set_aside(line, fault, ordinal)


def dollars(value: Any, field: str) -> Decimal | None:
    """Return dollars of an amount in cents, exactly."""
    cents = _bills.quantity(value, field)
    return None if cents is None else _bills.scaled(cents, Decimal("0.01"), field)


def _line(result: Any, start: int, end: int, grouping: str, intake: Intake) -> Row:
    if not isinstance(result, dict):
        raise Unreadable("not_an_object", "a cost result", type(result).__name__, "results")
    cost = _bills.required(dollars(result.get("amount"), "amount"), "amount")
    description = normalization.text(result.get("description"), "description")
    kind = normalization.text(result.get("cost_type"), "cost_type")
    token = normalization.text(result.get("token_type"), "token_type")
    currency = normalization.text(result.get("currency"), "currency")
    row = _anthropic.base(result, start, end, grouping)
    row |= {
        "role": "estimate" if _anthropic.overlaps(grouping) else "cost",
        "meter": _TOKENS.get(token or "", token) if token else _OTHERS.get(kind or ""),
        "sku": kind,
        "description": description,
        "list_cost": dollars(result.get("list_amount"), "list_amount"),
        "billed_cost": cost,
        "effective_cost": cost,
        "currency": None if currency is None else currency.upper(),
        "requests": normalization.count(result.get("requests"), "requests"),
        "key": _anthropic.identity(row, result, "cost_type", "token_type", "description", "currency"),
    }
    return _bills.stamp(intake, row, _bills.period("cost", start, end))
