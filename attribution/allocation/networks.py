"""Where each pool's own cost ends: pools that serve each other are solved exactly, in fractions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from attribution.allocation.methods import SERVING, Pool, weigh
from attribution.errors import AllocationError

#: Pool → team → share of the pool's own cost that ends there; the shares of a pool make one.
Ratios = dict[str, dict[str, Fraction]]


def solve(
    pools: Sequence[Pool],
    direct: Mapping[str, Any],
    drivers: Mapping[str, Mapping[str, Any]],
    needed: Collection[str] | None = None,
) -> Ratios:
    """Return for each pool the share of its own cost that each team bears in the end.

    Step-down closes pools in the order of the list: a closed pool takes nothing back, and what is left is scaled up
    to the whole. Reciprocal pools are solved at once, `g = o + Sᵀ g`, for each pool's own cost by itself, so that
    every dollar keeps its origin.

    Parameters
    ----------
    pools
        In the order in which step-down closes them; no name twice, none the name of a team.
    direct
        Team → direct cost; its keys are the teams there are.
    drivers
        Driver → team → units.
    needed
        Names of the pools that hold a cost; plain pools outside it are not weighed. All when not given.

    Raises
    ------
    AllocationError
        If a split is impossible: unknown targets, nothing to weigh, percentages that miss 100, pools that serve
        only each other.
    """
    _check_names(pools, direct)
    ratios: Ratios = {}
    for pool in pools:
        if pool.method not in SERVING and (needed is None or pool.name in needed):
            ratios[pool.name] = _ratios(weigh(pool, direct, drivers))
    ratios |= _step_down([p for p in pools if p.method == "step_down"], direct, drivers)
    ratios |= _reciprocal([p for p in pools if p.method == "reciprocal"], direct, drivers)
    return ratios


def _check_names(pools: Sequence[Pool], direct: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for pool in pools:
        if pool.name in seen:
            raise AllocationError.refused(pool.name, "the pool is there twice", "each pool once")
        if pool.name in direct:
            raise AllocationError.refused(pool.name, "a team has the same name", "a name that no team has")
        seen.add(pool.name)


def _ratios(weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    whole = sum(weights.values(), Fraction(0))
    return {team: weight / whole for team, weight in sorted(weights.items())}


def _step_down(pools: Sequence[Pool], direct: Mapping[str, Any], drivers: Mapping[str, Mapping[str, Any]]) -> Ratios:
    names = [pool.name for pool in pools]
    ratios: Ratios = {}
    for place in range(len(pools) - 1, -1, -1):
        pool, open_pools = pools[place], names[place + 1 :]
        weights = weigh(pool, direct, drivers, names)
        left = {name: weight for name, weight in weights.items() if name in direct or name in open_pools}
        if not sum(left.values()):
            raise AllocationError.leaks([pool.name], "it serves only pools that are closed before it, or itself")
        share = _ratios(left)
        ends = {team: share.get(team, Fraction(0)) for team in sorted(direct)}
        for other in open_pools:
            for team, part in ratios[other].items():
                ends[team] += share.get(other, Fraction(0)) * part
        ratios[pool.name] = {team: part for team, part in ends.items() if part or team in share}
    return ratios


def _reciprocal(pools: Sequence[Pool], direct: Mapping[str, Any], drivers: Mapping[str, Mapping[str, Any]]) -> Ratios:
    names = [pool.name for pool in pools]
    share = {pool.name: _ratios(weigh(pool, direct, drivers, names)) for pool in pools}
    _check_reached(share, names)
    teams = [team for team in sorted(direct) if any(team in row for row in share.values())]
    matrix = [[Fraction(int(j == k)) - share[j].get(k, Fraction(0)) for k in names] for j in names]
    ends = eliminate(matrix, [[share[j].get(team, Fraction(0)) for team in teams] for j in names])
    return {name: dict(zip(teams, row, strict=True)) for name, row in zip(names, ends, strict=True)}


def _check_reached(share: Ratios, names: Sequence[str]) -> None:
    """Refuse pools from which no team is reached: their cost would go round for ever."""
    reaching = {name for name in names if any(part and other not in share for other, part in share[name].items())}
    while True:
        more = {n for n in names if n not in reaching and any(share[n].get(other) for other in reaching)}
        if not more:
            break
        reaching |= more
    if stuck := [name for name in names if name not in reaching]:
        raise AllocationError.leaks(stuck, "they serve only each other, so no team is ever reached")


def eliminate(matrix: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    """Solve a square system for several right sides by Gauss–Jordan elimination, exactly.

    Raises
    ------
    AllocationError
        If the system is singular.
    """
    rows = [[*left, *values] for left, values in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = next((row for row in range(column, size) if rows[row][column]), None)
        if pivot is None:
            raise AllocationError.singular()
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for other in range(size):
            factor = rows[other][column]
            if other != column and factor:
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return [row[size:] for row in rows]
