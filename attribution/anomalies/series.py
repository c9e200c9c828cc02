"""Slices of one level laid out by day; those too small to be scored are pooled beside their siblings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from attribution.anomalies.scoring import BURN_IN, SPARSE, Days
from attribution.errors import LedgerError

#: The member that stands for all siblings too small to be scored alone.
POOLED = "(smaller ones)"


@dataclass(frozen=True)
class Series:
    """Slices of one level: who they are, their exact daily costs, and the same as numbers."""

    members: list[tuple[Any, ...]]
    pooled: dict[tuple[Any, ...], list[Any]]
    days: list[date]
    amounts: list[list[Decimal]]
    numbers: Days


def level_series(costs: pa.Table, by: Sequence[str], calendar: Sequence[tuple[date, bool]], floor: Decimal) -> Series:
    """Lay one level's slices out by day; those whose median day is below the floor are pooled beside their siblings."""
    days = [day for day, _ in calendar]
    place_of = {day: place for place, day in enumerate(days)}
    summed = costs.group_by([*by, "day"]).aggregate([("cost", "sum")])
    rows: dict[tuple[Any, ...], list[Decimal]] = {}
    for *names, day, amount in zip(*(summed[name].to_pylist() for name in (*by, "day", "cost_sum")), strict=True):
        if day in place_of:
            rows.setdefault(tuple(names), [Decimal(0)] * len(days))[place_of[day]] += amount
    missing = [not is_fed for _, is_fed in calendar]
    large: dict[tuple[Any, ...], list[Decimal]] = {}
    pooled: dict[tuple[Any, ...], list[Any]] = {}
    for member in sorted(rows, key=_order):
        amounts = rows[member]
        if _is_large(amounts, missing, floor):
            large[member] = amounts
        else:
            pool: tuple[Any, ...] = (*member[:-1], POOLED)
            pooled.setdefault(pool, []).append(member[-1])
            sofar = large.get(pool, [Decimal(0)] * len(days))
            large[pool] = [a + b for a, b in zip(sofar, amounts, strict=True)]
    if len(by) > 1:
        # Their parent is scored, so a pool that is small itself says nothing more.
        for pool in pooled:
            if not _is_large(large[pool], missing, floor):
                del large[pool]
    numbers = np.array([[float(a) for a in amounts] for amounts in large.values()]).reshape(len(large), len(days))
    numbers[:, np.array(missing)] = np.nan
    return Series(list(large), pooled, days, list(large.values()), numbers)


def _is_large(amounts: list[Decimal], missing: list[bool], floor: Decimal) -> bool:
    """Tell whether a slice's median day is above the floor: over the last four weeks, or over any week of dense ones.

    What was small all along and then ran away for a week is not hidden among its siblings.
    """
    known = [amount for amount, gone in zip(amounts, missing, strict=True) if not gone]
    lately = [a for a, gone in zip(amounts[-28:], missing[-28:], strict=True) if not gone]
    if _median(lately) > floor:
        return True
    # Four of seven days above the floor make their median so.
    above = np.cumsum([0, *(amount > floor for amount in known)])
    spent = np.cumsum([0, *(amount != 0 for amount in known)])
    is_dense = spent[28:] - spent[:-28] >= 28 * (1 - SPARSE)
    return bool(((above[28:] - above[21:-7] >= 4) & is_dense).any())


def check_history(calendar: Sequence[tuple[date, bool]]) -> None:
    """Refuse to score a ledger that is too young."""
    if len(calendar) <= BURN_IN:
        what = f"{BURN_IN + 1} complete days, which scoring needs: it has {len(calendar)}"
        raise LedgerError.empty(what, "Load earlier exports.")


def whole_median(costs: pa.Table, calendar: Sequence[tuple[date, bool]]) -> Decimal:
    """Return the median day of the whole ledger."""
    summed = costs.group_by("day").aggregate([("cost", "sum")])
    known = {day for day, is_fed in calendar if is_fed}
    pairs = zip(summed["day"].to_pylist(), summed["cost_sum"].to_pylist(), strict=True)
    return _median([amount for day, amount in pairs if day in known])


def _median(amounts: list[Decimal]) -> Decimal:
    if not amounts:
        return Decimal(0)
    ordered = sorted(amounts)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _order(member: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, str(value)) for value in member)
