"""Times as the exports spell them, from milliseconds since 1970."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache


@lru_cache(maxsize=400)
def _day(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def _second(second: int, between: str = "T") -> str:
    days, rest = divmod(second, 86_400)
    return f"{_day(days)}{between}{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def iso_micros(ms: int) -> str:
    """Return `2026-10-01T09:00:00.123000+00:00`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}000+00:00"


def iso_seconds(ms: int) -> str:
    """Return `2026-10-01T09:00:00Z`."""
    return f"{_second(ms // 1000)}Z"


def spaced(ms: int) -> str:
    """Return `2026-10-01 09:00:00.123`: UTC, without saying so."""
    return f"{_second(ms // 1000, ' ')}.{ms % 1000:03d}"


def epoch(day: date) -> int:
    """Return the second at which a UTC day begins."""
    return (day - date(1970, 1, 1)).days * 86_400
