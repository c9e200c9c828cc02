"""When the company works: growth, weekdays, holidays, hours; and how many calls fall on each day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from attribution.samples.company import Array

LAST_MONTH = date(2026, 10, 1)
#: Labor Day, and the company's own day off.
HOLIDAYS = (date(2026, 9, 7), date(2026, 10, 30))
CHUNK = 20_000
GROWTH_PER_DAY = 0.0045

_OFFICE = [1, 1, 1, 1, 1, 2, 4, 8, 16, 26, 30, 30, 27, 29, 31, 30, 26, 20, 12, 7, 4, 3, 2, 1]
_ALWAYS = [9, 7, 6, 6, 6, 7, 9, 12, 15, 17, 18, 18, 18, 18, 19, 19, 19, 18, 18, 19, 19, 17, 14, 11]
_NIGHT = [22, 26, 24, 14, 6, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 6, 14, 28]
HOURS = {name: np.array(w) / sum(w) for name, w in (("office", _OFFICE), ("always", _ALWAYS), ("night", _NIGHT))}


@dataclass(frozen=True)
class Part:
    """A part of one day that is generated in one go."""

    number: int
    day: date
    calls: int
    day_calls: int

    @property
    def month(self) -> str:
        """The month, as `2026-10`."""
        return f"{self.day:%Y-%m}"


def days_of(months: int) -> list[date]:
    """Return the days of the last `months` months up to October 2026."""
    year, month = divmod(LAST_MONTH.year * 12 + LAST_MONTH.month - months, 12)
    first = date(year, month + 1, 1)
    last = date(LAST_MONTH.year, LAST_MONTH.month + 1, 1)
    return [first + timedelta(days=n) for n in range((last - first).days)]


def day_weight(day: date) -> float:
    """Say how busy a day is, beside an average working day at the start of the year."""
    weekday = (1.0, 1.06, 1.08, 1.04, 0.94, 0.38, 0.34)[day.weekday()]
    holiday = 0.45 if day in HOLIDAYS else 1.0
    return weekday * holiday * float((1 + GROWTH_PER_DAY) ** (day - date(2026, 1, 1)).days)


def plan(calls: int, months: int) -> list[Part]:
    """Share the calls over the days by largest remainder, and cut busy days into parts."""
    days = days_of(months)
    counts = share_out(calls, np.array([day_weight(day) for day in days]))
    parts: list[Part] = []
    for day, count in zip(days, counts.tolist(), strict=True):
        cuts = max(1, -(-count // CHUNK))
        for piece in range(cuts):
            size = count * (piece + 1) // cuts - count * piece // cuts
            if size:
                parts.append(Part(len(parts), day, size, count))
    return parts


def share_out(total: int, weights: Array) -> Array:
    """Split a whole number by weights: largest remainder, ties to the first."""
    exact = weights / weights.sum() * total
    shares: Array = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return shares
