"""OpenAI organization Costs API pages: billed dollars per UTC day, project, key and line item."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills, _openai, _runs

NAME = "openai_costs"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("object", "data", "has_more", "next_page")
GRAIN = "UTC day × project × key × line item, as far as the pull was grouped by them"
GIVES = "billed money; quantities only when grouped by line item; no request id"
NESTING = "lines are disjoint: input is uncached input, cached input has its own line"
MONEY = "whole currency units (dollars), as JSON number or text; exact decimals"
ZONE = "unix seconds, UTC days"
MISTAKE = (
    "grouped by project only there are neither models nor quantities; hosted tools and storage meet no usage endpoint"
)
REWRITES = "replace: recent days are revised; a later pull replaces a day, told by the time in the pulled file's name"
#: Hours and their day tell the same; of two widths of bucket the wide one counts.
BUCKETS = True

run_of = _runs.pulled_run

_OBJECT = "organization.costs.result"
_DIMENSIONS = ("project_id", "api_key_id", "line_item")
#: Text after the last comma of a line item → meter.
_CLASSES = {
    "input": "input",
    "output": "output",
    "cached input": "cache_read",
    "cache write": "cache_write_5m",
    "cache write input": "cache_write_5m",
    "audio input": "input_audio",
    "cached audio input": "cache_read_audio",
    "audio cached input": "cache_read_audio",
    "audio output": "output_audio",
    "image input": "input_image",
    "cached image input": "cache_read_image",
    "image cached input": "cache_read_image",
    "image output": "output_image",
    "text input": "input",
    "text output": "output",
    "cached text input": "cache_read",
    "text cached input": "cache_read",
}
#: Words in a line without a token class → meter and unit.
_TOOLS = (("web search", "web_search"), ("file search", "file_search"), ("code interpreter", "session"))
#: Stated unit → our unit and how many of ours it is; the list is open, so others stay as they are.
_UNITS = {
    "tokens": ("tokens", 1),
    "1000_tokens": ("tokens", 1000),
    "duration_seconds": ("seconds", 1),
    "duration_minutes": ("seconds", 60),
    "duration_hours": ("seconds", 3600),
    "gibibyte_hours": ("gibibyte-hours", 1),
    "images": ("images", 1),
    "characters": ("characters", 1),
}


def recognise(sample: Sample) -> int:
    """Look for the page envelope and the discriminator of cost results."""
    return _openai.prefix_score(sample, _OBJECT, empty=45 if _runs.is_pulled("openai-costs", sample.path) else 0)


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every result of a page; a result that cannot be read costs itself only."""
    grouping = _openai.grouping(document, _DIMENSIONS, intake)
    for start, end, results in _openai.buckets(document):
        intake.cover(_bills.period("costs", start, end))
        for ordinal, result in enumerate(results):
            try:
                intake.accept(line, bill_line=_line(result, start, end, grouping, intake))
            except Unreadable as fault:
                intake.set_aside(line, fault, ordinal)


def _line(result: Any, start: int, end: int, grouping: str, intake: Intake) -> Row:
    if not isinstance(result, dict) or not isinstance(result.get("amount"), dict):
        raise Unreadable("missing", "a cost result with an amount", type(result).__name__, "amount")
    cost = _bills.required(normalization.money(result["amount"].get("value"), "amount.value"), "amount.value")
    item = normalization.text(result.get("line_item"), "line_item")
    project = normalization.text(result.get("project_id"), "project_id")
    if project is None and "project_id" in grouping.split(","):
        project = _bills.NO_PROJECT
    api_key = normalization.text(result.get("api_key_id"), "api_key_id")
    currency = normalization.text(result["amount"].get("currency"), "amount.currency")
    period = _bills.period("costs", start, end)
    row: Row = {
        "role": "both" if result.get("quantity") is not None else "cost",
        "provider": "openai",
        "period_start": start,
        "period_end": end,
        "billing_period": _bills.month(start),
        "account_id": normalization.text(result.get("organization_id"), "organization_id"),
        "project_id": project,
        "api_key_id": api_key,
        "sku": item,
        "description": item,
        "billed_cost": cost,
        "effective_cost": cost,
        "currency": None if currency is None else currency.upper(),
        "grouping": grouping,
        "key": _bills.key(period, project, api_key, item, currency),
    }
    row |= _item(item, cost, project) | _measure(result)
    return _bills.stamp(intake, row, period)


def _item(item: str | None, cost: Decimal, project: str | None) -> Row:
    """Split a line item into model and token class; the text before the last comma is the model."""
    if item is None:
        return {"category": "usage"}
    model, comma, kind = item.rpartition(", ")
    if comma and kind.strip().lower() in _CLASSES:
        tier, model = _tier(model)
        return {"category": "usage", "model": model, "meter": _CLASSES[kind.strip().lower()], "service_tier": tier}
    lowered = item.lower()
    meter = next((meter for words, meter in _TOOLS if words in lowered), None)
    if meter is None and ("credit" in lowered or "adjustment" in lowered or "refund" in lowered):
        return {"category": "credit" if "credit" in lowered else "adjustment"}
    if meter is None and cost < 0:
        return {"category": "credit"}
    return {"category": "usage", "meter": meter}


def _tier(model: str) -> tuple[str | None, str]:
    """Some model names carry a tier in brackets or after a bar; without one the line does not say."""
    for tier in ("batch", "flex", "priority"):
        for ending in (f" ({tier})", f" | {tier}"):
            if model.lower().endswith(ending):
                return tier, model[: -len(ending)]
    return None, model


def _measure(result: Document) -> Row:
    quantity = _bills.quantity(result.get("quantity"), "quantity")
    stated = normalization.text(result.get("quantity_unit"), "quantity_unit")
    if quantity is None:
        return {}
    unit, scale = _UNITS.get(stated or "", (stated, 1))
    return {
        "quantity": _bills.scaled(quantity, Decimal(scale), "quantity"),
        "unit": unit,
        "unit_scale": Decimal(scale),
    }
