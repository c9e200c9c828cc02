"""Exclusive counts become inclusive totals, here and nowhere else; how we know is kept beside them."""

from __future__ import annotations

from attribution.sources import Row

_CACHED = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def make_inclusive(row: Row, includes_cache: bool | None, includes_reasoning: bool | None) -> None:
    """Make `input_tokens` and `output_tokens` totals, as declared or as the record itself proves."""
    cached = sum(row.get(name) or 0 for name in _CACHED)
    hidden = row.get("reasoning_tokens") or 0
    readings = []
    if row.get("input_tokens") is not None and (cached or includes_cache is not None):
        is_inside, why = _reading(row, includes_cache, cached, "input_tokens")
        if not is_inside:
            row["input_tokens"] += cached
        readings.append(f"{'inclusive' if is_inside else 'exclusive'} input: {why}")
    if row.get("output_tokens") is not None and (hidden or includes_reasoning is not None):
        is_inside, why = _reading(row, includes_reasoning, hidden, "output_tokens")
        if not is_inside:
            row["output_tokens"] += hidden
        readings.append(f"{'inclusive' if is_inside else 'exclusive'} output: {why}")
    row["usage_reading"] = "; ".join(readings) or "no parts given"


def _reading(row: Row, declared: bool | None, parts: int, total: str) -> tuple[bool, str]:
    """Tell whether parts lie within a count: declared, else larger than it, else by the record's own total."""
    if declared is not None:
        return declared, "declared"
    if parts > row[total]:
        return False, f"the parts {parts} exceed {total} {row[total]}"
    whole = row.get("total_tokens")
    if whole is not None and total == "input_tokens":
        output = row.get("output_tokens") or 0
        if whole == row["input_tokens"] + output:
            return True, "the record's total says so"
        if whole == row["input_tokens"] + parts + output:
            return False, "the record's total says so"
    return True, "assumed, the record does not tell"
