"""Times as the exports spell them, from milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache


@lru_cache(maxsize=200_000)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_micros(ms: int) -> str:
    """Return `2026-10-01T09:00:00.123000+00:00`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}000+00:00"


def iso_seconds(ms: int) -> str:
    """Return `2026-10-01T09:00:00Z`."""
    return f"{_second(ms // 1000)}Z"


def spaced(ms: int) -> str:
    """Return `2026-10-01 09:00:00.123`: UTC, without saying so."""
    return f"{_second(ms // 1000).replace('T', ' ')}.{ms % 1000:03d}"


def epoch(day: date) -> int:
    """Return the second at which a UTC day begins."""
    return (day - date(1970, 1, 1)).days * 86_400
