"""Rules: what a reviewed file says about shared pools, unattributed spend, minimums, markups and the calendar."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from attribution import periods
from attribution.allocation.methods import Pool
from attribution.errors import QuestionError
from attribution.periods import Period

#: What statements can stand on.
BASES = ("effective", "billed", "contracted", "list")
#: What a pool can be split by without being written down; each is counted per team from the period's own calls.
DRIVERS = ("requests", "calls", "tokens", "input_tokens", "output_tokens", "tenants", "users", "direct_cost")
#: Every team, in minimums and markups.
EVERY_TEAM = "*"
UNOWNED = "unowned"


@dataclass(frozen=True)
class SharedPool:
    """A pool and what belongs to it: calls with these values, bill lines with these values."""

    pool: Pool
    calls: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    bill: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    place: str | None = None


@dataclass(frozen=True)
class Rules:
    """What a rules file says; without one, spend without an owner stays visible and nothing is shared.

    `text` is the file itself: a closed period keeps it, so that it can be computed again. `digest` names it.
    """

    path: str = "(no rules)"
    text: str = ""
    version: str | None = None
    valid_from: date | None = None
    basis: str = "effective"
    ownership_rules: tuple[Mapping[str, Any], ...] = ()
    pools: tuple[SharedPool, ...] = ()
    unattributed: Pool | None = None
    minimums: Mapping[str, Decimal] = field(default_factory=dict)
    markups: Mapping[str, Decimal] = field(default_factory=dict)
    cost_centers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    budgets: Mapping[str, Decimal] = field(default_factory=dict)
    calendar: Mapping[str, tuple[date, date]] = field(default_factory=dict)
    can_wait: tuple[str, ...] | None = None

    @property
    def digest(self) -> str:
        """The sha256 of the rules file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """How statements name the rules: their version, else the beginning of their digest."""
        return self.version or (self.digest[:12] if self.text else "no rules")

    def period(self, text: str | date | Period) -> Period:
        """Read a period: one of the calendar's own, else a month, quarter, week, day or range.

        Examples
        --------
        >>> Rules().period("2026-10").label
        '2026-10'
        """
        if isinstance(text, str) and text in self.calendar:
            first, end = self.calendar[text]
            midnight = datetime.min.time()
            return Period(datetime.combine(first, midnight), datetime.combine(end, midnight), text)
        return periods.parse(text)

    def following(self, period: Period) -> Period:
        """Return the period just after: the calendar's own, else the next month after a month, and so on."""
        if period.label in self.calendar:
            later = [name for name, (first, _) in self.calendar.items() if first == period.end.date()]
            if later:
                return self.period(later[0])
            raise QuestionError.bad_argument("period", period.label, "a period that the calendar has a successor for")
        return periods.following(period)

    def holds_from(self, start: datetime) -> bool:
        """Whether the rules speak of a period that begins then."""
        return self.valid_from is None or self.valid_from <= start.date()

    def of_team(self, amounts: Mapping[str, Decimal], team: str) -> Decimal | None:
        """Return what a minimum or markup says for a team: its own, else every team's."""
        return amounts.get(team, amounts.get(EVERY_TEAM))
