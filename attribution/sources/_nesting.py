"""Exclusive counts become inclusive totals, here and nowhere else; how we know is kept beside them."""

from __future__ import annotations

from collections.abc import Iterable

from attribution.sources import Row

_CACHED = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def make_inclusive(
    row: Row, includes_cache: bool | None, includes_reasoning: bool | None, file_proof: bool | None = None
) -> None:
    """Make `input_tokens` and `output_tokens` totals: as declared, as the record proves, or as its file does."""
    cached = sum(row.get(name) or 0 for name in _CACHED)
    hidden = row.get("reasoning_tokens") or 0
    readings = []
    if row.get("input_tokens") is not None and (cached or includes_cache is not None):
        is_inside, why = _reading(row, includes_cache, cached, "input_tokens", file_proof)
        if not is_inside:
            row["input_tokens"] += cached
        readings.append(f"{'inclusive' if is_inside else 'exclusive'} input: {why}")
    if row.get("output_tokens") is not None and (hidden or includes_reasoning is not None):
        is_inside, why = _reading(row, includes_reasoning, hidden, "output_tokens")
        if not is_inside:
            row["output_tokens"] += hidden
        readings.append(f"{'inclusive' if is_inside else 'exclusive'} output: {why}")
    row["usage_reading"] = "; ".join(readings) or "no parts given"


def _reading(
    row: Row, declared: bool | None, parts: int, total: str, file_proof: bool | None = None
) -> tuple[bool, str]:
    """Tell whether parts lie within a count: declared, else proved by the record or its file, else taken to be so."""
    if declared is not None:
        return declared, "declared"
    proof = _proof(row, parts, total)
    if proof is None and file_proof is not None:
        return file_proof, "other records of the file prove it"
    return proof or (True, "assumed, the record does not tell")


def prove_nesting(rows: Iterable[Row]) -> bool | None:
    """Tell whether records count their cache within the input, where those that prove it all prove the same."""
    proofs = set()
    for row in rows:
        cached = sum(row.get(name) or 0 for name in _CACHED)
        proof = _proof(row, cached, "input_tokens") if cached and row.get("input_tokens") is not None else None
        if proof is not None:
            proofs.add(proof[0])
    return proofs.pop() if len(proofs) == 1 else None


def _proof(row: Row, parts: int, total: str) -> tuple[bool, str] | None:
    """Parts that exceed a count are beside it; else the record's own total may tell."""
    if parts > row[total]:
        return False, f"the parts {parts} exceed {total} {row[total]}"
    whole = row.get("total_tokens")
    if whole is not None and total == "input_tokens":
        output = row.get("output_tokens") or 0
        if whole == row["input_tokens"] + output:
            return True, "the record's total says so"
        if whole == row["input_tokens"] + parts + output:
            return False, "the record's total says so"
    return None
