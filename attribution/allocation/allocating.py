"""Allocate: split pools over teams, exact to the pico-dollar, with before and after side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import rounding
from attribution.allocation.methods import Pool, weigh
from attribution.allocation.networks import Ratios, solve
from attribution.errors import AllocationError
from attribution.ledger import as_frame

MONEY = pa.decimal128(38, 12)
PICO = Decimal(10) ** 12
_SHARE = Decimal(1).scaleb(-18)
_EXACT = Context(prec=80)


@dataclass(frozen=True, repr=False)
class Allocation:
    """What each team bears of each pool.

    `shares` has one row per pool and team: `pool`, `owner_team`, `method`, `driver`, `weight` (null where pools serve
    each other), `share` [0–1, shown with 18 places, exact in `ratios`] and `amount` [USD]. `before_after` has one row
    per team: `owner_team`, `before` (direct), `allocated`, `after` [USD].
    """

    shares: pd.DataFrame
    before_after: pd.DataFrame
    ratios: Ratios

    def __repr__(self) -> str:
        teams, pools = len(self.before_after), len(self.ratios)
        return f"<Allocation of {pools} pools over {teams} teams>"

    def _repr_html_(self) -> str:
        from attribution import showing

        return showing.show(self.before_after)._repr_html_()


def allocate(
    costs: Mapping[str, Any],
    pools: Sequence[Pool],
    direct: Mapping[str, Any],
    drivers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Allocation:
    """Split each pool's cost over teams by its method; the parts of a pool add up to it to the last digit.

    Shares are exact fractions, amounts whole pico-dollars closed by largest remainder. A negative pool, such as a
    credit, is split like a positive one with its sign restored. A team that weighs nothing gets nothing.

    Parameters
    ----------
    costs
        Pool → its own cost [USD], exact decimals of any sign with at most twelve places.
    pools
        How each is split; step-down closes them in this order.
    direct
        Team → direct cost [USD]; its keys are the teams there are, and the weights of `proportional`.
    drivers
        Driver → team → units, for pools that are split by what is measured.

    Returns
    -------
    Allocation
        The shares, and each team before and after.

    Raises
    ------
    AllocationError
        If a pool cannot be split as written; the message says why.

    Examples
    --------
    >>> import attribution as at
    >>> from decimal import Decimal
    >>> direct = {"search": Decimal(20), "support": Decimal(60)}
    >>> found = at.allocate({"gateway": Decimal(10)}, [at.Pool("gateway", "proportional")], direct)
    >>> found.shares["amount"].to_list()
    [Decimal('2.500000000000'), Decimal('7.500000000000')]
    """
    measured = drivers or {}
    if unknown := sorted(set(costs) - {pool.name for pool in pools}):
        raise AllocationError.no_method(unknown[0], [pool.name for pool in pools])
    ratios = solve(pools, direct, measured, {name for name, cost in costs.items() if cost})
    rows: list[dict[str, Any]] = []
    for pool in pools:
        if pool.name in ratios:
            total = to_pico(costs.get(pool.name, 0), pool.name)
            rows += share_rows(pool, ratios[pool.name], direct, measured, total)
    kept = ("pool", "owner_team", "method", "driver", "weight", "share", "amount")
    return Allocation(frame_of(rows, kept), _before_after(rows, direct), ratios)


def share_rows(
    pool: Pool,
    ratios: Mapping[str, Fraction],
    direct: Mapping[str, Any],
    drivers: Mapping[str, Mapping[str, Any]],
    total: int,
) -> list[dict[str, Any]]:
    """Return a row per team of a pool: its weight, its share and its amount of the pool's own cost."""
    teams = sorted(ratios)
    is_plain = pool.method not in ("step_down", "reciprocal")
    weights = weigh(pool, direct, drivers) if is_plain else {}
    amounts = rounding.apportion(total, [ratios[team] for team in teams], teams)
    return [
        {
            "pool": pool.name,
            "owner_team": team,
            "method": pool.method,
            "driver": pool.driver or ("units" if pool.units else None),
            "weight": shown(weights[team], 12) if is_plain else None,
            "share": shown(ratios[team]),
            "amount": from_pico(amount),
        }
        for team, amount in zip(teams, amounts, strict=True)
    ]


def to_pico(amount: Any, name: str = "amount") -> int:
    """Return an exact amount in whole pico-dollars; a float or a thirteenth place is refused, never rounded."""
    if isinstance(amount, float):
        raise AllocationError.refused(name, f"its cost is the float {amount!r}", "a Decimal or a whole number")
    pico = Fraction(amount) * 10**12
    if pico.denominator != 1:
        raise AllocationError.refused(name, f"its cost {amount} has more than twelve places", "whole pico-dollars")
    return int(pico)


def from_pico(pico: int) -> Decimal:
    """Return whole pico-dollars as dollars with twelve places."""
    return Decimal(pico).scaleb(-12, _EXACT)


def shown(value: Fraction, places: int = 18) -> Decimal:
    """Return a fraction as a decimal for the eye, half even."""
    unit = Decimal(1).scaleb(-places)
    quotient = _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return quotient.quantize(unit, ROUND_HALF_EVEN, _EXACT)


TYPES: dict[str, pa.DataType] = {
    "weight": MONEY,
    "share": pa.decimal128(38, 18),
    "amount": MONEY,
    "before": MONEY,
    "allocated": MONEY,
    "after": MONEY,
    "difference": MONEY,
}


def frame_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """Return rows as an Arrow-backed frame of these columns; money stays exact."""
    columns = {name: pa.array([row.get(name) for row in rows], TYPES.get(name, pa.string())) for name in names}
    return as_frame(pa.table(columns))


def _before_after(rows: Sequence[Mapping[str, Any]], direct: Mapping[str, Any]) -> pd.DataFrame:
    allocated = dict.fromkeys(direct, Decimal(0))
    for row in rows:
        allocated[row["owner_team"]] += row["amount"]
    teams = [
        {
            "owner_team": team,
            "before": from_pico(to_pico(direct[team], team)),
            "allocated": allocated[team],
            "after": from_pico(to_pico(direct[team], team)) + allocated[team],
        }
        for team in sorted(direct)
    ]
    return frame_of(teams, ("owner_team", "before", "allocated", "after"))
