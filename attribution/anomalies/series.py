"""Daily cost of every slice, over the days whose feed is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from attribution.anomalies.scoring import BURN_IN, Days
from attribution.errors import LedgerError
from attribution.ledger import Ledger

#: The member that stands for all siblings too small to be scored alone.
POOLED = "(smaller ones)"

_FAMILIES = {"workflow_id": "workflow", "feature": "feature"}


@dataclass(frozen=True)
class Series:
    """Slices of one level: who they are, their exact daily costs, and the same as numbers."""

    members: list[tuple[Any, ...]]
    pooled: dict[tuple[Any, ...], list[Any]]
    days: list[date]
    amounts: list[list[Decimal]]
    numbers: Days


def daily_costs(ledger: Ledger, by: Sequence[str], cost: str) -> pa.Table:
    """Return exact cost by day and slice; workflows and features go by their family's name."""
    names = ", ".join(
        f'coalesce({name}_family.family, "{name}") as "{name}"' if name in _FAMILIES else f'"{name}"' for name in by
    )
    joins = " ".join(
        f"left join (select name, min(family) as family from family where kind = '{kind}' group by name) {name}_family "
        f"on {name}_family.name = cost_event.{name}"
        for name, kind in _FAMILIES.items()
        if name in by
    )
    costs = ledger.arrow(
        f"""
        select {names}, started_at::date as day, sum({cost}) as cost
        from cost_event {joins}
        where {cost} is not null and started_at is not null
        group by all order by all
        """
    )
    if not costs.num_rows:
        raise LedgerError.empty("priced calls", "Nothing here has a price, so no spend can be unusual.")
    return costs


def complete_days(ledger: Ledger) -> list[tuple[date, bool]]:
    """Return every day of the ledger up to the last complete one, and whether it has any call.

    The last day counts when calls reach as late into it as they reached into the earliest-ending of the
    fourteen days before; a day without a single call is one whose feed did not arrive.
    """
    ends = dict(
        ledger.rows(
            """
            select started_at::date as day, max(started_at) - date_trunc('day', max(started_at)) as until
            from cost_event where started_at is not null
            group by day order by day
            """
        )
    )
    if not ends:
        raise LedgerError.empty("dated calls", "Load exports first.")
    last = max(ends)
    earlier = [ends[day] for day in sorted(ends) if last - timedelta(days=14) <= day < last]
    if earlier and ends[last] < min(earlier):
        last -= timedelta(days=1)
    first = min(ends)
    days = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    return [(day, day in ends) for day in days]


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
        if _median([a for a, gone in zip(amounts[-28:], missing[-28:], strict=True) if not gone]) > floor:
            large[member] = amounts
        else:
            pool: tuple[Any, ...] = (*member[:-1], POOLED)
            pooled.setdefault(pool, []).append(member[-1])
            sofar = large.get(pool, [Decimal(0)] * len(days))
            large[pool] = [a + b for a, b in zip(sofar, amounts, strict=True)]
    numbers = np.array([[float(a) for a in amounts] for amounts in large.values()]).reshape(len(large), len(days))
    numbers[:, np.array(missing)] = np.nan
    return Series(list(large), pooled, days, list(large.values()), numbers)


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
