"""From scored days to events: alert days at most one quiet day apart are one, and a level that rose is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution.anomalies.scoring import SUSTAINED_THRESHOLD, Scores
from attribution.anomalies.series import Series

#: Scores beyond this say no more than this.
CAP = 999.0
#: A week whose excess is to this share that of single days is no risen level.
SINGLE = 0.8
#: What a steady week may differ by: four times the least scale of the sustained score, on the log scale.
WIDE = math.exp(SUSTAINED_THRESHOLD * 0.07)


@dataclass(frozen=True)
class Event:
    """An unusual stretch of days of one slice; first and last are places in the calendar."""

    member: tuple[Any, ...]
    row: int
    first: int
    last: int
    kind: str
    direction: int
    expected: float
    low: float
    high: float
    excess: float
    score: float

    def overlaps(self, other: Event) -> bool:
        """Tell whether both moved the same way on a common day."""
        return self.direction == other.direction and self.first <= other.last and other.first <= self.last


def find_events(series: Series, scores: Scores) -> list[Event]:
    """Return the events of one level; a risen level takes in its first days, a single dear day is no risen level."""
    found: list[Event] = []
    for row in range(len(series.members)):
        single = _single(series, scores, row)
        risen = [rise for rise in _sustained(series, scores, row) if _outlasts(rise, single)]
        found += risen + [event for event in single if not any(event.overlaps(rise) for rise in risen)]
    return sorted(found, key=lambda event: (event.row, event.first))


def _outlasts(rise: Event, single: list[Event]) -> bool:
    """Tell whether a week stands out by more than the days that stand out by themselves."""
    inside = sum(event.excess for event in single if event.overlaps(rise))
    return rise.excess > 0 and inside < SINGLE * rise.excess


def _single(series: Series, scores: Scores, row: int) -> list[Event]:
    gap = series.numbers[row] - scores.expected[row]
    events = []
    for direction in (1, -1):
        flagged = np.flatnonzero(scores.is_alert[row] & (np.sign(gap) == direction))
        for first, last in _runs(flagged):
            days = slice(first, last + 1)
            events.append(
                Event(
                    series.members[row],
                    row,
                    first,
                    last,
                    "day",
                    direction,
                    float(np.nansum(scores.expected[row, days])),
                    float(np.nansum(scores.low[row, days])),
                    float(np.nansum(scores.high[row, days])),
                    float(np.nansum(gap[days])),
                    min(CAP, float(np.nanmax(scores.score[row, days]))),
                )
            )
    return events


def _sustained(series: Series, scores: Scores, row: int) -> list[Event]:
    """A risen level counts from the first alert of the week that stood out, else from that week's start."""
    events = []
    for start, last in _runs(np.flatnonzero(scores.is_sustained[row])):
        alerts = [day for day in range(start - 6, last + 1) if scores.is_alert[row, day]]
        first = alerts[0] if alerts else start - 6
        usual = scores.factor[row, first : last + 1] * scores.usual_week[row, start] / 7
        expected, actual = float(np.nansum(usual)), float(np.nansum(series.numbers[row, first : last + 1]))
        score = min(CAP, float(np.nanmax(scores.sustained[row, start : last + 1])))
        low, high = expected / WIDE, expected * WIDE
        events.append(
            Event(series.members[row], row, first, last, "sustained", 1, expected, low, high, actual - expected, score)
        )
    return events


def _runs(places: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for place in places.tolist():
        if runs and place - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs
