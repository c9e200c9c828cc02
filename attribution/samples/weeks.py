"""The two weeks of the jump: the same team, even draws, so that a small week tells the same story as a large one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from zlib import crc32

import numpy as np

from attribution.samples.company import Array
from attribution.samples.rhythm import Part

BEFORE = date(2026, 10, 5)
AFTER = date(2026, 10, 12)
#: Requests of the second week for each of the first.
TRAFFIC = 1.12
_GOLDEN = 0.6180339887498949
#: What the second week has more of comes with the first call that can have it, however few there are.
_EVENTS = ("attempts", "finished", "larger model")
_EARLY = 0.08


def is_in_week(day: date, monday: date) -> bool:
    """Say whether a day is in the week that begins on that Monday."""
    return 0 <= (day - monday).days < 7


@dataclass
class Weeks:
    """What is remembered of the first week, and how far each even sequence has run."""

    team: Array
    before: dict[int, Array] = field(default_factory=dict)
    assigned: Array | None = None
    done: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    drawn: dict[tuple[date, str, int], int] = field(default_factory=lambda: defaultdict(int))

    def monday_of(self, day: date) -> date | None:
        """Return the Monday of the story's week that holds a day, if any does."""
        return next((monday for monday in (BEFORE, AFTER) if is_in_week(day, monday)), None)

    def note(self, part: Part, workflow: Array) -> None:
        """Remember the team's requests of the first week, by weekday and workflow."""
        if is_in_week(part.day, BEFORE):
            counts = np.bincount(workflow[self.team[workflow]], minlength=len(self.team))
            weekday = part.day.weekday()
            self.before[weekday] = self.before.get(weekday, np.zeros(len(self.team), dtype=np.int64)) + counts

    def wanted(self, part: Part) -> Array | None:
        """Return how many requests of each workflow the team makes in a part of the second week."""
        if not is_in_week(part.day, AFTER) or not self.before:
            return None
        nothing = np.zeros(len(self.team), dtype=np.int64)
        weekday = part.day.weekday()
        self.done[weekday] += part.calls
        share = self.done[weekday] / part.day_calls
        whole = sum((self.before.get(n, nothing) for n in range(weekday)), nothing)
        until = np.floor(TRAFFIC * (whole + self.before.get(weekday, nothing) * share) + 0.5).astype(np.int64)
        assigned = nothing if self.assigned is None else self.assigned
        self.assigned = np.maximum(until, assigned)
        counts: Array = self.assigned - assigned
        return counts

    def spread(self, monday: date, name: str, group: int, count: int) -> Array:
        """Return draws between 0 and 1 that fill the range evenly; both weeks begin at the same place."""
        first = self.drawn[monday, name, group]
        self.drawn[monday, name, group] = first + count
        begin = _EARLY if name in _EVENTS else crc32(f"{name}{group}".encode()) / 2**32
        spread: Array = (begin + np.arange(first, first + count) * _GOLDEN) % 1.0
        return spread


class Luck:
    """Random draws; those of the story's team in the story's weeks are even."""

    def __init__(self, rng: np.random.Generator, weeks: Weeks | None, day: date) -> None:
        self.rng = rng
        self._weeks = weeks
        self._monday = weeks.monday_of(day) if weeks else None

    def draw(self, name: str, step: Array, workflow: Array) -> Array:
        """Return one draw per row; rows of one step share an even sequence."""
        drawn: Array = self.rng.random(len(step))
        if self._weeks is None or self._monday is None:
            return drawn
        even = self._weeks.team[workflow]
        for value in np.unique(step[even]).tolist():
            rows = np.flatnonzero(even & (step == value))
            drawn[rows] = self._weeks.spread(self._monday, name, value, len(rows))
        return drawn
