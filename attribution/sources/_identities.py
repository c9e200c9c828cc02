"""What must hold between the counts of one record; what does not is told with both numbers, never clamped."""

from __future__ import annotations

from attribution.sources import Row
from attribution.usage import INPUT_PARTS, OUTPUT_PARTS

#: Parts that are counted once within their total; cached audio and images are parts of the cache reads.
_CACHE_PARTS = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def violations(row: Row) -> list[str] | None:
    """Return the identities of inclusive totals that a record violates, or null when all hold."""
    found: list[str] = []
    _parts_within(row, INPUT_PARTS, "input_tokens", found)
    _parts_within(row, OUTPUT_PARTS, "output_tokens", found)
    total, whole = row.get("total_tokens"), row.get("input_tokens")
    cached = [row[name] for name in _CACHE_PARTS if row.get(name)]
    if whole is not None and len(cached) > 1 and sum(cached) > whole and max(cached) <= whole:
        found.append(f"cache_tokens {sum(cached)} > input_tokens {whole}")
    if total is not None and whole is not None:
        expected = whole + (row.get("output_tokens") or 0)
        if total != expected:
            found.append(f"total_tokens {total} <> input_tokens + output_tokens {expected}")
    return found or None


def _parts_within(row: Row, parts: tuple[str, ...], total: str, found: list[str]) -> None:
    whole = row.get(total)
    if whole is None:
        return
    for name in parts:
        part = row.get(name)
        if part is not None and part > whole:
            found.append(f"{name} {part} > {total} {whole}")
