"""What coming days are expected to cost, and by how much such forecasts missed before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
#: What says what days ahead cost: from slices by day, the last day and the days ahead.
Rule = Callable[[Floats, date, Sequence[date]], Floats]

#: Days that a forecast looks back on.
HISTORY = 28
#: Growth fades by this factor a week, and is never taken for more than this a week.
DAMPING, LIMIT = 0.9, 0.15
#: With fewer past errors than this the interval is a normal one, from how much weeks vary.
ENOUGH = 20
#: A slice with more than this share of zero days in 28 is sparse; errors are pooled among slices alike.
SPARSE = 0.15


@dataclass(frozen=True)
class Panel:
    """Slices of one level by day; a missing day is NaN in the numbers."""

    members: list[tuple[Any, ...]]
    amounts: list[list[Decimal]]
    numbers: Floats


def panel_of(costs: pa.Table, names: Sequence[str], days: Sequence[tuple[date, bool]]) -> Panel:
    """Lay one level's slices out by day, in the order of their names."""
    place_of = {day: place for place, (day, _) in enumerate(days)}
    summed = costs.group_by([*names, "day"]).aggregate([("cost", "sum")])
    rows: dict[tuple[Any, ...], list[Decimal]] = {}
    for *member, day, amount in zip(*(summed[name].to_pylist() for name in (*names, "day", "cost_sum")), strict=True):
        if day in place_of:
            rows.setdefault(tuple(member), [Decimal(0)] * len(days))[place_of[day]] += amount
    members = sorted(rows, key=lambda member: tuple((value is None, str(value)) for value in member))
    numbers = np.array([[float(amount) for amount in rows[member]] for member in members]).reshape(-1, len(days))
    numbers[:, [not is_fed for _, is_fed in days]] = np.nan
    return Panel(members, [rows[member] for member in members], numbers)


def expected_days(numbers: Floats, last: date, ahead: Sequence[date]) -> Floats:
    """Return what each slice (row) is expected to cost on days ahead: weekday means with damped growth."""
    recent = numbers[:, -HISTORY:]
    weekday = np.array([(last - timedelta(days=back)).weekday() for back in range(recent.shape[1] - 1, -1, -1)])
    known = ~np.isnan(recent)
    mean = np.nansum(recent, axis=1) / np.maximum(known.sum(axis=1), 1)
    by_weekday = np.empty((len(recent), 7))
    for one in range(7):
        count = known[:, weekday == one].sum(axis=1)
        sums = np.nansum(recent[:, weekday == one], axis=1)
        by_weekday[:, one] = np.where(count > 0, sums / np.maximum(count, 1), mean)
    growth = _growth(numbers)
    weeks = np.array([2.5 + max((day - last).days - 1, 0) // 7 for day in ahead])
    drift = np.exp(0.5 * growth[:, None] * DAMPING * (1 - DAMPING ** weeks[None, :]) / (1 - DAMPING))
    columns = np.array([day.weekday() for day in ahead], dtype=np.int64)
    result: Floats = by_weekday[:, columns] * drift
    return result


def _growth(numbers: Floats) -> Floats:
    changes = _weekly_changes(numbers, 4)
    if not changes.shape[1]:
        return np.zeros(len(numbers))
    result: Floats = np.clip(np.median(changes, axis=1), -LIMIT, LIMIT)
    return result


def _weekly_changes(numbers: Floats, most: int) -> Floats:
    """Return the log growth from week to week, latest last; a week's missing days count as its others."""
    weeks = min(most + 1, numbers.shape[1] // 7)
    recent = numbers[:, numbers.shape[1] - 7 * weeks :].reshape(len(numbers), weeks, 7)
    known = np.maximum((~np.isnan(recent)).sum(axis=2), 1)
    sums = np.nansum(recent, axis=2) / known * 7
    small = np.maximum(0.1 * sums.mean(axis=1, keepdims=True), 1e-12)
    result: Floats = np.diff(np.log(sums + small), axis=1)
    return result


def is_dense(numbers: Floats) -> npt.NDArray[np.bool_]:
    """Tell which slices had spend on most of the last 28 days."""
    result: npt.NDArray[np.bool_] = np.mean(np.nan_to_num(numbers[:, -HISTORY:]) == 0, axis=1) <= SPARSE
    return result


def pools_of(
    costs: pa.Table,
    names: Sequence[str],
    finest: Sequence[str],
    days: Sequence[tuple[date, bool]],
    panel: Panel,
    rule: Rule,
) -> dict[bool, Floats]:
    """Return past misses of dense and of sparse slices, sorted: of this level, and of finer ones where they are few."""
    pools: dict[bool, list[float]] = {True: [], False: []}
    for depth in range(len(names), len(finest) + 1):
        level = panel if depth == len(names) else panel_of(costs, finest[:depth], days)
        for kind, errors in pools.items():
            if len(errors) < ENOUGH:
                errors += _misses(level, [day for day, _ in days], kind, rule)
    return {kind: np.sort(np.array(errors)) for kind, errors in pools.items()}


def _misses(panel: Panel, days: Sequence[date], wanted: bool, rule: Rule) -> list[float]:
    """Return ln(actual rest / forecast rest) at the same day of each earlier month that the data hold whole."""
    last = days[-1]
    errors: list[float] = []
    month = last.replace(day=1)
    while True:
        end = month - timedelta(days=1)
        month = end.replace(day=1)
        origin = end.replace(day=min(last.day, end.day))
        if (origin - days[0]).days < HISTORY - 1:
            return errors
        if origin == end:
            continue
        cut = (origin - days[0]).days + 1
        ahead = [origin + timedelta(days=step) for step in range(1, (end - origin).days + 1)]
        past, rest = panel.numbers[:, :cut], panel.numbers[:, cut : cut + len(ahead)]
        forecast = rule(past, origin, ahead)
        forecast, actual = np.where(np.isnan(rest), 0, forecast).sum(axis=1), np.nansum(rest, axis=1)
        chosen = (is_dense(past) == wanted) & (forecast > 0) & (actual > 0)
        errors += np.log(actual[chosen] / forecast[chosen]).tolist()


def sigma_of(numbers: Floats, ahead: int) -> float | None:
    """Return how far one slice's rest of `ahead` days may miss, from how much its weeks vary."""
    changes = _weekly_changes(numbers, 8)
    if changes.shape[1] < 2:
        return None
    return float(np.std(changes[0], ddof=1)) * math.sqrt(0.25 + max(ahead / 7, 1) / 3)
