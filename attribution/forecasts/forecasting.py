"""Where the month will end: point, interval, and the chance to exceed the budget."""

from __future__ import annotations

import calendar
import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attribution import periods, schema
from attribution.days import complete_days, daily_costs
from attribution.errors import LedgerError, QuestionError
from attribution.forecasts.expecting import (
    ENOUGH,
    HISTORY,
    Floats,
    Panel,
    Rule,
    expected_days,
    is_dense,
    panel_of,
    pools_of,
    sigma_of,
)
from attribution.forecasts.smoothing import smoothed_days
from attribution.forecasts.spread import Spread
from attribution.ledger import Ledger, as_frame

#: Ways to say what coming days cost.
RULES: dict[str, Rule] = {"weekday": expected_days, "ets": smoothed_days}

#: Complete days without which there is no forecast.
LEAST = 14

COST = "coalesce(contracted_cost, list_cost)"
_FINER = ("owner_team", "workflow_id", "feature", "model")
_MONEY = pa.decimal128(38, 12)
_SHOWN = Decimal("0.0001")


def forecast_month(
    ledger: Ledger,
    *by: str,
    budget: Decimal | str | int | Mapping[str, Any] | None = None,
    as_of: str | date | None = None,
    known: Mapping[str, Decimal] | None = None,
    method: str = "weekday",
) -> pd.DataFrame:
    """Forecast what the month will cost in the end, from the days before its last complete one.

    A remaining day is expected to cost the mean of the same weekday over the last 28 days, with the growth of the
    last weeks fading out. The interval is what such forecasts missed by at the same day of earlier months, over
    all slices as dense; with fewer than 20 such misses it is a normal interval from how much weeks vary. Unpriced
    calls cost nothing here, so all figures are lower bounds where there are any.

    Parameters
    ----------
    ledger
        A built ledger with at least 14 complete days.
    *by
        Columns of `cost_event`; none forecasts the whole.
    budget
        For the month [USD]: one amount, or one by member of the (single) `by` column; by `owner_team` the
        registry's budgets when not given.
    as_of
        The last day to use; the last complete day of the data when not given.
    known
        Named lines [USD] that history cannot know, such as a price change; added to the whole's point and interval.
    method
        `weekday`, or `ets`: exponential smoothing with a damped trend (needs the extra `statistics`).

    Returns
    -------
    pandas.DataFrame
        The `by` columns, `month`, `as_of`, `days_left`, `month_to_date`, `known`, `forecast`, `low_80`, `high_80`,
        `low_95`, `high_95`, `budget` [USD], `chance_over` [0–1], `exhausted_on` (median path), `interval`
        (`conformal` or `normal`) and `errors` (how many past misses it rests on), dearest first.

    Raises
    ------
    LedgerError
        If there is too little history, or nothing has a price.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.forecast_month(ledger)
    Traceback (most recent call last):
    attribution.errors.LedgerError: this ledger has no dated calls. Load exports first.
    """
    names, rule = schema.require(by), RULES.get(method)
    if rule is None:
        raise QuestionError.bad_argument("method", method, f"one of {', '.join(RULES)}")
    if known and names:
        raise QuestionError.bad_argument("known", dict(known), "named lines for the whole only, without `by`")
    days = complete_days(ledger)
    last = _last_day(days, as_of)
    days = [item for item in days if item[0] <= last]
    if len(days) < LEAST:
        raise LedgerError.empty(f"{LEAST} complete days, which a forecast needs: it has {len(days)}", "Load more.")
    finest = [*names, *(name for name in _FINER if name not in names)]
    costs = daily_costs(ledger, finest, COST)
    panel = panel_of(costs, names, days)
    pools = pools_of(costs, names, finest, days, panel, rule)
    budgets = _budgets(ledger, names, budget)
    added = sum((Decimal(amount) for amount in (known or {}).values()), Decimal(0))
    rows = [_row(names, panel, place, [day for day, _ in days], pools, budgets, added, rule) for place in _order(panel)]
    return _frame(names, rows)


def _last_day(days: Sequence[tuple[date, bool]], as_of: str | date | None) -> date:
    if as_of is None:
        return days[-1][0]
    last = (periods.parse(as_of, "as_of").end - timedelta(days=1)).date()
    if not days[0][0] <= last <= days[-1][0]:
        raise QuestionError.bad_argument("as_of", str(as_of), f"a complete day from {days[0][0]} to {days[-1][0]}")
    return last


def _budgets(ledger: Ledger, names: Sequence[str], budget: Any) -> dict[Any, Decimal]:
    """Return the budget by member; the registry's where none is given and the members are teams."""
    if isinstance(budget, Mapping):
        if len(names) != 1:
            raise QuestionError.bad_argument("budget", dict(budget), "one amount, or one grouping column")
        return {(name,): _dollars(amount) for name, amount in budget.items()}
    if budget is not None:
        if names:
            raise QuestionError.bad_argument("budget", budget, "a mapping from member to amount, as there are groups")
        return {(): _dollars(budget)}
    if list(names) != ["owner_team"]:
        return {}
    teams = ledger.rows("select team, max(budget) from team where budget is not null group by team order by team")
    return {(team,): amount for team, amount in teams}


def _dollars(given: Any) -> Decimal:
    try:
        amount = Decimal(str(given))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise QuestionError.bad_argument("budget", given, "a positive amount in USD, such as 12000")
    return amount


def _order(panel: Panel) -> list[int]:
    return sorted(range(len(panel.members)), key=lambda place: (-sum(panel.amounts[place][-HISTORY:]), place))


def _row(
    names: Sequence[str],
    panel: Panel,
    place: int,
    days: Sequence[date],
    pools: Mapping[bool, Floats],
    budgets: Mapping[Any, Decimal],
    added: Decimal,
    rule: Rule,
) -> dict[str, Any]:
    last, member, numbers = days[-1], panel.members[place], panel.numbers[place : place + 1]
    end = last.replace(day=calendar.monthrange(last.year, last.month)[1])
    ahead = [last + timedelta(days=step) for step in range(1, (end - last).days + 1)]
    gone = [day for day, number in zip(days, numbers[0], strict=True) if _same_month(day, last) and math.isnan(number)]
    expected = rule(numbers, last, [*gone, *ahead])[0]
    so_far = [amount for day, amount in zip(days, panel.amounts[place], strict=True) if _same_month(day, last)]
    spent, rest = sum(so_far, added), float(expected.sum())
    errors = pools[bool(is_dense(numbers)[0])]
    spread = Spread(errors) if len(errors) >= ENOUGH else Spread(None, sigma_of(numbers, len(ahead)))
    budget = budgets.get(member)
    row = dict(zip(names, member, strict=True)) | {"month": f"{last:%Y-%m}", "as_of": last, "days_left": len(ahead)}
    row |= {"month_to_date": sum(so_far, Decimal(0)), "known": added, "forecast": spent + _amount(rest)}
    for level in (80, 95):
        low, high = spread.interval(level / 100)
        row[f"low_{level}"], row[f"high_{level}"] = (_after(spent, rest, error) for error in (low, high))
    row |= {"budget": budget, "interval": spread.name, "errors": 0 if spread.errors is None else len(errors)}
    row["chance_over"] = None if budget is None else spread.chance(float(budget - spent), rest)
    row["exhausted_on"] = (
        None if budget is None else _exhausted(budget, so_far, spent, expected, [*gone, *ahead], spread, last)
    )
    return row


def _exhausted(
    budget: Decimal,
    so_far: Sequence[Decimal],
    spent: Decimal,
    expected: Floats,
    ahead: Sequence[date],
    spread: Spread,
    last: date,
) -> date | None:
    """Return the day on which the median path passes the budget."""
    running = spent - sum(so_far, Decimal(0))
    for day, amount in enumerate(so_far, last.day - len(so_far) + 1):
        running += amount
        if running > budget:
            return last.replace(day=day)
    path = float(spent) + np.cumsum(expected) * math.exp(spread.middle)
    over = np.flatnonzero(path > float(budget))
    return max(ahead[int(over[0])], last) if len(over) else None


def _after(spent: Decimal, rest: float, error: float | None) -> Decimal | None:
    return None if error is None else spent + _amount(rest * math.exp(error))


def _amount(number: float) -> Decimal:
    return Decimal(number).quantize(_SHOWN)


def _same_month(one: date, other: date) -> bool:
    return (one.year, one.month) == (other.year, other.month)


def _frame(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    money = ("month_to_date", "known", "forecast", "low_80", "high_80", "low_95", "high_95", "budget")
    kinds: dict[str, Any] = dict.fromkeys(names, pa.string())
    kinds |= {"month": pa.string(), "as_of": pa.date32(), "days_left": pa.int64()} | dict.fromkeys(money, _MONEY)
    kinds |= {"chance_over": pa.float64(), "exhausted_on": pa.date32(), "interval": pa.string(), "errors": pa.int64()}
    columns = {name: pa.array([_as_text(row[name], kind) for row in rows], kind) for name, kind in kinds.items()}
    return as_frame(pa.table(columns))


def _as_text(value: Any, kind: Any) -> Any:
    return str(value) if kind == pa.string() and value is not None else value
