"""Planted changes: a week that is another week again, but for what was changed, and what that cost, driver by driver.

The later week replays the earlier one, request by request, seven or fourteen days on; then one thing, or two, are
changed. What each of them cost is told by pricing the worlds in which only some of them happened, so the truth knows
nothing of the identity by which `explain_change` finds it.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from attribution.errors import QuestionError
from attribution.samples import replays
from attribution.samples.company import Company
from attribution.samples.rhythm import Part
from attribution.samples.traffic import OK, RETRY, TIMED_OUT, TOKEN_COLUMNS, Calls, set_costs

#: One thing that changed: from the calls of a day, and how many of the week's operations were seen before.
Turn = Callable[[Calls, Company, int], Calls]

#: Longest prompt of a workflow whose prompts are to double [tokens].
LONGEST = 60_000
#: Which answers are asked for again: the last of four before, two of five after, which is 1.6 times as many.
RETRIED, RETRIED_MORE = (4, (3,)), (5, (2, 4))
#: What asking again sends and gets back [tokens]: the case with its answer to be mended, always of one size.
AGAIN = {"input": 24_000, "output": 2_000}


@dataclass(frozen=True)
class Change:
    """A planted change: in which workflow, between which weeks, and what turns by driver."""

    words: str
    workflow: str
    before: date
    after: date
    turns: dict[str, Turn]
    prepare: Turn | None = None
    faults: tuple[str, ...] = ()

    def week_of(self, day: date) -> str | None:
        """Say which of the two weeks a day is in."""
        for name, monday in (("before", self.before), ("after", self.after)):
            if 0 <= (day - monday).days < 7:
                return name
        return None


def _twice(calls: Calls, _: Company, __: int) -> Calls:
    """Make every request twice, a second apart."""
    return replays.joined(calls, replays.moved(calls, milliseconds=1_000))


def _large_model(calls: Calls, company: Company, _: int) -> Calls:
    """Send every call to the large model of the same provider."""
    return {**calls, "deployment": np.full_like(calls["deployment"], company.deployment("gpt-5"))}


def _double_prompts(calls: Calls, _: Company, __: int) -> Calls:
    """Double the input and each part of it."""
    parts = [name for name in TOKEN_COLUMNS if name not in ("output", "reasoning")]
    return {**calls, **{name: calls[name] * 2 for name in parts}}


def _no_cache_reads(calls: Calls, company: Company, _: int) -> Calls:
    """Read nothing from the cache: all of it is sent as fresh input."""
    is_guard = calls["step"] == replays.step_of(company, "refund-agent", "verify")
    return {**calls, "cache_read": np.where(is_guard, calls["cache_read"], 0)}


def _as_it_is(calls: Calls, _: Company, __: int) -> Calls:
    """Change nothing: the price list does."""
    return calls


def _short_prompts(calls: Calls, _: Company, __: int) -> Calls:
    """Leave out requests whose prompts could not double within what the model takes."""
    longest = np.zeros(len(calls["r_workflow"]), dtype=np.int64)
    np.maximum.at(longest, calls["request"], calls["input"])
    return replays.chosen(calls, longest <= LONGEST)


def _retried(of: int, places: tuple[int, ...]) -> Turn:
    """Return the turn that asks for some of every few answers again."""

    def turn(calls: Calls, company: Company, seen: int) -> Calls:
        first = {name: column for name, column in calls.items() if name.startswith("r_")}
        first |= {n: c[calls["attempt"] == 1] for n, c in calls.items() if not n.startswith("r_")}
        answers = np.flatnonzero(first["step"] == replays.step_of(company, "draft-reply", "answer"))
        again = answers[np.isin((seen + np.arange(len(answers))) % of, places)]
        first["status"][answers] = OK
        first["status"][again], first["ended"][again] = TIMED_OUT, first["started"][again] + 60_000
        more = {n: c if n.startswith("r_") else c[again].copy() for n, c in first.items()}
        more |= {name: np.full(len(again), AGAIN.get(name, 0)) for name in (*TOKEN_COLUMNS, "web_search")}
        more |= {"attempt": np.full(len(again), 2), "role": np.full(len(again), RETRY)}
        more |= {"status": np.full(len(again), OK), "started": more["ended"] + 100, "ended": more["ended"] + 3_000}
        return replays.with_attempts(first, more)

    return turn


_WEEKS = (date(2026, 9, 14), date(2026, 9, 21))
CHANGES = {
    "retries": Change(
        "answers of draft-reply time out more often and are asked for again, 1.6 times as often",
        "draft-reply",
        *_WEEKS,
        {"retries": _retried(*RETRIED_MORE)},
        prepare=_retried(*RETRIED),
        faults=("billed_timeouts",),
    ),
    "model_swap": Change(
        "seo-pages moves from gpt-5-mini to gpt-5 while its traffic doubles",
        "seo-pages",
        *_WEEKS,
        {"traffic": _twice, "model mix": _large_model},
    ),
    "longer_prompts": Change(
        "the prompts of label-batch double",
        "label-batch",
        *_WEEKS,
        {"prompt size": _double_prompts},
        prepare=_short_prompts,
    ),
    "broken_cache": Change(
        "refund-agent no longer reads from the prompt cache", "refund-agent", *_WEEKS, {"cache": _no_cache_reads}
    ),
    "price_cut": Change(
        "the list price of gpt-5.6-sol falls on 21 August, and doc-drafting does the same as before",
        "doc-drafting",
        date(2026, 8, 10),
        date(2026, 8, 24),
        {"unit price": _as_it_is},
        faults=("price_change",),
    ),
}


def choose_changes(given: str | Iterable[str], first_day: date) -> tuple[str, ...]:
    """Return the changes that are planted: `all`, `none`, or names; refuse one whose weeks are not all there."""
    names = [given] if isinstance(given, str) else list(given)
    names = list(CHANGES) if names == ["all"] else [] if names == ["none"] else names
    for name in names:
        if name not in CHANGES:
            raise QuestionError.bad_argument("changes", name, f"all, none, or some of {', '.join(CHANGES)}")
        if CHANGES[name].before <= first_day:
            what = f"more months: {name} needs days before {CHANGES[name].before}, the first is {first_day}"
            raise QuestionError.bad_argument("changes", name, what)
    return tuple(name for name in CHANGES if name in names)


def faults_of(names: Iterable[str]) -> frozenset[str]:
    """Return the faults that these changes come with: a price that changes, a timeout that is billed."""
    return frozenset(fault for name in names for fault in CHANGES[name].faults)


@dataclass
class Plan:
    """The planted changes of one company: what is remembered of the earlier weeks, and what each world cost."""

    company: Company
    names: tuple[str, ...]
    kept: dict[tuple[str, date], Calls] = field(default_factory=dict)
    seen: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    worlds: dict[tuple[str, frozenset[str]], int] = field(default_factory=lambda: defaultdict(int))

    def plant(self, calls: Calls, part: Part) -> Calls:
        """Return the calls of a part with the planted weeks in them."""
        for name in self.names:
            change = CHANGES[name]
            week = change.week_of(part.day)
            if week == "before":
                calls = self._remember(name, change, calls, part)
            elif week == "after":
                calls = self._replay(name, change, calls, part)
            elif change.week_of(part.day + timedelta(days=1)) is not None:
                # What runs over midnight would be a call of the week that begins.
                own = calls["r_workflow"] == self.company.workflow(change.workflow)
                calls = replays.chosen(calls, ~own | replays.within_day(calls))
        return calls

    def _remember(self, name: str, change: Change, calls: Calls, part: Part) -> Calls:
        own = calls["r_workflow"] == self.company.workflow(change.workflow)
        plain = replays.chosen(calls, own & replays.within_day(calls) & replays.went_well(calls))
        if change.prepare:
            plain = self._turned(name, "before", change.prepare, plain)
        set_costs(plain)
        sofar = self.kept.get((name, part.day))
        self.kept[name, part.day] = plain if sofar is None else replays.joined(sofar, plain)
        return replays.joined(replays.chosen(calls, ~own), plain)

    def _turned(self, name: str, week: str, turn: Turn, calls: Calls) -> Calls:
        """Apply a turn that may look at how many operations of the week there were before."""
        turned = turn(calls, self.company, self.seen[name, week])
        answer = replays.step_of(self.company, "draft-reply", "answer")
        self.seen[name, week] += int(((calls["step"] == answer) & (calls["attempt"] == 1)).sum())
        return turned

    def _replay(self, name: str, change: Change, calls: Calls, part: Part) -> Calls:
        """Put the earlier week's day in place of this one, each world priced, the real one returned."""
        rest = replays.chosen(calls, calls["r_workflow"] != self.company.workflow(change.workflow))
        plain = self.kept.pop((name, part.day - (change.after - change.before)), None)
        if plain is None:
            return rest
        seen = self.seen[name, "after"]
        for count in range(len(change.turns) + 1):
            for happened in itertools.combinations(change.turns, count):
                self.seen[name, "after"] = seen
                world = plain
                for driver in happened:
                    world = self._turned(name, "after", change.turns[driver], world)
                is_later = "unit price" in happened or "unit price" not in change.turns
                later = replays.moved(world, days=(change.after - change.before).days)
                real = later if is_later else world
                set_costs(real)
                self.worlds[name, frozenset(happened)] += int(real["cost"].sum())
        return replays.joined(rest, later)

    def truth(self) -> list[dict[str, Any]]:
        """Return what each planted change cost by driver, as the average over all orders of its turns."""
        rows = []
        for name in self.names:
            change, workflow = CHANGES[name], self.company.workflows[self.company.workflow(CHANGES[name].workflow)]
            for driver in change.turns:
                rows.append(
                    {
                        "change": name,
                        "description": change.words,
                        "owner_team": workflow.team,
                        "workflow_id": change.workflow,
                        "before": "{}-W{:02}".format(*change.before.isocalendar()[:2]),
                        "after": "{}-W{:02}".format(*change.after.isocalendar()[:2]),
                        "driver": driver,
                        "effect": self._effect(name, list(change.turns), driver),
                    }
                )
        return rows

    def _effect(self, name: str, turns: list[str], driver: str) -> int:
        total = Fraction(0)
        for order in itertools.permutations(turns):
            ahead = frozenset(order[: order.index(driver)])
            total += self.worlds[name, ahead | {driver}] - self.worlds[name, ahead]
        return round(total / math.factorial(len(turns)))
