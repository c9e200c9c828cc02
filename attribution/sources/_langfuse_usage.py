"""Langfuse's disjoint usage buckets become inclusive totals; its own total says whether they were disjoint."""

from __future__ import annotations

from decimal import Decimal

from attribution import normalization
from attribution.reading import Document
from attribution.sources import Row
from attribution.sources._cells import as_object, filled
from attribution.sources._identities import violations
from attribution.usage import nest_buckets

#: A name that Langfuse does not know: it stays as it was sent, and its tokens stay in the input as well.
_ALSO_IN_INPUT = "cache_write.input_tokens"


def take_usage(row: Row, record: Document) -> None:
    """Fill usage and cost of one observation; without buckets it is unmetered."""
    named = as_object(record.get("usage_details") or record.get("provided_usage_details"), "usage_details")
    counts = {name: normalization.count_text(value, f"usage_details.{name}") for name, value in named.items()}
    if not counts:
        flat = {"input": "input_usage", "output": "output_usage", "total": "total_usage"}
        counts = {ours: normalization.count_text(filled(record, name), name) for ours, name in flat.items()}
    known = {name: count for name, count in counts.items() if count is not None}
    total = known.pop("total", None)
    row["is_metered"] = bool(known)
    if known:
        _add_up(row, known, total)
    _take_cost(row, record)


def _add_up(row: Row, counts: dict[str, int], total: int | None) -> None:
    both = counts.pop(_ALSO_IN_INPUT, None)
    found = nest_buckets(counts, total)
    row.update(found.columns)
    if both is not None:
        row["cache_write_5m_tokens"] = (row.get("cache_write_5m_tokens") or 0) + both
    for side in ("input_tokens", "output_tokens"):
        row[side] = found.columns.get(side, 0)
    row["total_tokens"] = total
    row["other_usage"] = [(name, Decimal(count)) for name, count in sorted(found.others.items())] or None
    row["usage_reading"] = (
        "exclusive: Langfuse's buckets are disjoint"
        if found.is_apart
        else "inclusive: the record's total is its input and output alone"
    )
    row["usage_flags"] = violations(row)


def _take_cost(row: Row, record: Document) -> None:
    """No cost means that Langfuse found no price; 0 means free."""
    costs = as_object(record.get("cost_details"), "cost_details")
    cost = filled(record, "total_cost")
    row["source_cost"] = normalization.money(cost if cost is not None else costs.get("total"), "total_cost")
    if row["source_cost"] is None and row["is_metered"]:
        row["usage_flags"] = [*(row.get("usage_flags") or []), "source_cost:unpriced_at_source"]
