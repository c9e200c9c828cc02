"""Steering: the month's bill, the day on which Support owns 62 % of GPT spend, the week that jumps 37 %."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np

from attribution.samples.bills import discounted, in_contract
from attribution.samples.company import METERS, PICO, Array, Company, load_rates
from attribution.samples.faults import Tally
from attribution.samples.rhythm import LAST_MONTH, Part, day_weight, days_of
from attribution.samples.traffic import (
    GPT_DAY,
    LONGEST_ANSWER,
    OK,
    Calls,
    generate,
    scale,
    set_costs,
)
from attribution.samples.weeks import AFTER, BEFORE, Weeks, is_in_week

#: The article's month [USD]; a smaller company has a tenth, a hundredth … of it, with dearer calls.
MONTH_USD = 22_000
DEAREST_CALL_USD = 0.06
JUMP = (137, 100)
GPT_SHARE = (62, 100)
OUTPUT = METERS.index("output")


@dataclass
class Steering:
    """What the generator remembers from part to part."""

    month_usd: float
    month_calls: float
    dearness: float
    weeks: Weeks
    tallies: dict[str, Tally] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)
    after: int = 0
    week_done: dict[int, float] = field(default_factory=dict)
    gpt: list[int] = field(default_factory=lambda: [0, 0])

    def tally(self, month: str) -> Tally:
        """Return the running totals of one month."""
        return self.tallies.setdefault(month, Tally())


def begin(calls: int, months: int, company: Company, seed: int, faults: Set[str]) -> Steering:
    """Choose the month's bill and how dear a call must be for it, from a trial part."""
    days = days_of(months)
    october = sum(day_weight(d) for d in days if d.month == 10) / sum(day_weight(d) for d in days)
    month_calls = calls * october
    usd = float(MONTH_USD)
    while usd / month_calls > DEAREST_CALL_USD:
        usd /= 10
    trial = Part(2**31, LAST_MONTH.replace(day=7), 8_000, 8_000)
    dearness = 1.0
    for _ in range(4):
        sample = generate(trial, company, seed, dearness, faults)
        dearness *= usd / month_calls / (float(sample["cost"].sum()) / PICO / trial.calls)
    return Steering(
        usd, month_calls, dearness, Weeks(company.team_of_workflow() == company.team_names.index("support"))
    )


def next_dearness(steering: Steering, part: Part) -> float:
    """Correct the size of calls so that the month ends near its bill; other months follow their calls."""
    spent = steering.spent.get(part.month, 0.0)
    done = steering.calls.get(part.month, 0)
    usual = steering.month_usd / steering.month_calls
    ahead = max(steering.month_calls * 0.12, 60.0)
    wanted = (usual * (done + ahead) - spent) / ahead
    return steering.dearness * min(max(wanted / usual, 0.6), 1.6)


def tell_stories(calls: Calls, part: Part, company: Company, steering: Steering, faults: Set[str]) -> None:
    """Scale the calls of the story days so that the article's ratios hold, then remember what was spent."""
    support = company.team_of_workflow()[calls["workflow"]] == company.team_names.index("support")
    if part.day == GPT_DAY:
        _own_gpt(calls, support, company, steering)
    if is_in_week(part.day, BEFORE):
        weekday = part.day.weekday()
        paid = discounted(calls, company, in_contract(faults))
        steering.before[weekday] = steering.before.get(weekday, 0) + int(paid[support].sum())
    if is_in_week(part.day, AFTER) and steering.before:
        _jump(calls, support, part, company, steering, in_contract(faults))
    month = part.month
    steering.spent[month] = steering.spent.get(month, 0.0) + float(calls["cost"].sum()) / PICO
    steering.calls[month] = steering.calls.get(month, 0) + len(calls["cost"])


def is_gpt(calls: Calls, company: Company) -> Array:
    """Say which calls are GPT spend: OpenAI's own, on the key that Platform holds."""
    gpt = np.array([d.provider == "openai" and d.model.startswith("gpt") for d in company.deployments])
    direct = np.array([w.dialect == "direct" for w in company.workflows])
    chosen: Array = gpt[calls["deployment"]] & ~direct[calls["workflow"]]
    return chosen


def _own_gpt(calls: Calls, support: Array, company: Company, steering: Steering) -> None:
    """Scale the day's GPT calls until Support owns its share: whichever side is too small grows."""
    gpt = is_gpt(calls, company)
    mine, theirs = gpt & support, gpt & ~support
    part, rest = GPT_SHARE[0], GPT_SHARE[1] - GPT_SHARE[0]
    wanted = max(int(calls["cost"][mine].sum()), int(calls["cost"][theirs].sum()) * part // rest)
    own = _reach(calls, mine, wanted, company)
    others = _reach(calls, theirs, own * rest // part, company)
    # Where the others' calls are as long as calls get, Support's give way.
    own = _reach(calls, mine, others * part // rest, company)
    steering.gpt[0] += own
    steering.gpt[1] += others


def _reach(calls: Calls, which: Array, wanted: int, company: Company) -> int:
    """Scale some calls until they cost what is wanted, as far as calls can be scaled; return what they cost."""
    for _ in range(8):
        now = int(calls["cost"][which].sum())
        if now == 0 or abs(now - wanted) < wanted * 1e-5:
            break
        scale(calls, which, max(wanted / now, 0.05), company)
    _close(calls, which, wanted - int(calls["cost"][which].sum()))
    return int(calls["cost"][which].sum())


def _jump(calls: Calls, support: Array, part: Part, company: Company, steering: Steering, providers: list[str]) -> None:
    """Scale Support's calls so that the week so far is 37 % above the week before, as the contract prices it."""
    weekday = part.day.weekday()
    whole = sum(steering.before.get(n, 0) for n in range(weekday))
    done = steering.week_done[weekday] = steering.week_done.get(weekday, 0.0) + part.calls / part.day_calls
    wanted = int((whole + steering.before.get(weekday, 0) * min(done, 1.0)) * JUMP[0] / JUMP[1])
    movable = support & (calls["status"] == OK)
    # Prompts grow first; only where they are as long as they get do answers grow too.
    for attempt in range(10):
        paid = discounted(calls, company, providers)
        own, fixed = int(paid[movable].sum()), steering.after + int(paid[support & ~movable].sum())
        if own == 0 or abs(fixed + own - wanted) < wanted * 1e-5:
            break
        factor = min(max((wanted - fixed) / own, 0.15), 6.0)
        scale(calls, movable, factor, company, answers=attempt > 4)
    _close(calls, movable, wanted - steering.after - int(discounted(calls, company, providers)[support].sum()))
    steering.after += int(discounted(calls, company, providers)[support].sum())


def _close(calls: Calls, which: Array, gap: int) -> None:
    """Lengthen or shorten the longest answers until what scaling left open is closed."""
    rows = np.flatnonzero(which & (calls["output"] > 0))
    rows = rows[np.argsort(-calls["output"][rows], kind="stable")][:3]
    for row in rows:
        of = np.arange(len(calls["cost"])) == row
        before = int(calls["cost"][row])
        rate = int(load_rates().of(*(calls[n][of] for n in ("deployment", "tier", "day", "input")))[0, OUTPUT])
        least = int(calls["reasoning"][row]) + 4
        calls["output"][row] = min(max(int(calls["output"][row]) + round(gap / rate), least), LONGEST_ANSWER)
        set_costs(calls, of)
        gap -= int(calls["cost"][row]) - before
