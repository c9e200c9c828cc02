"""How one pool is split: what each team weighs under each method, and why a split is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from attribution.errors import AllocationError

#: Methods by which a pool reaches teams by itself, then those in which pools serve each other.
PLAIN = ("direct", "proportional", "driver", "even", "fixed")
SERVING = ("step_down", "reciprocal")
METHODS = PLAIN + SERVING
#: What a rules file may say instead of the method's name.
SPELLINGS = {"driver-based": "driver", "driver_based": "driver", "step-down": "step_down", "stepdown": "step_down"}
WHOLE = 100

Weights = Mapping[str, Fraction]


@dataclass(frozen=True)
class Pool:
    """A cost that no one team caused, and how it is split.

    Parameters
    ----------
    name
        What statements call it.
    method
        `direct` (to its only target), `proportional` (to direct cost), `driver` (to measured or written units),
        `even`, `fixed` (percentages), `step_down` or `reciprocal` (pools that serve each other).
    driver
        What is measured, for `driver`: requests, calls, tokens, …
    percent
        Agreed percentages, which make 100, for `fixed`, `step_down` and `reciprocal`.
    units
        Written units, such as seats, for `driver`, `step_down` and `reciprocal`.
    targets
        The teams that bear it; empty for all.
    fallback
        `even` where the weights may come to nothing; else that is refused.
    """

    name: str
    method: str
    driver: str | None = None
    percent: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    fallback: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise AllocationError.unknown_method(self.name, self.method, METHODS)
        if self.fallback not in (None, "even"):
            raise AllocationError.refused(self.name, f"its fallback is `{self.fallback}`", "`even`, or none")
        check_percent(self.name, self.percent)


def check_percent(name: str, percent: Mapping[str, Any]) -> None:
    """Refuse percentages that do not make 100: what is missing would leak, what is over would be charged twice."""
    total = sum((Fraction(value) for value in percent.values()), Fraction(0))
    if percent and total != WHOLE:
        raise AllocationError.misses_hundred(name, total)


def weigh(
    pool: Pool, direct: Mapping[str, Any], drivers: Mapping[str, Mapping[str, Any]], others: Collection[str] = ()
) -> dict[str, Fraction]:
    """Return what each target of a pool weighs; `others` are the pools that it may serve.

    Raises
    ------
    AllocationError
        If a target is unknown, a weight negative, a driver not measured, or all weights are zero.
    """
    targets = _targets(pool, direct)
    weights = {team: Fraction(value) for team, value in _raw(pool, targets, direct, drivers).items()}
    for name, weight in weights.items():
        if name not in direct and name not in others:
            raise AllocationError.unknown_target(pool.name, name, [*direct, *others])
        if weight < 0:
            raise AllocationError.refused(pool.name, f"`{name}` weighs {_plain(weight)}", "weights of zero and above")
    if sum(weights.values()) == 0:
        if pool.fallback != "even" or not targets:
            raise AllocationError.weighs_nothing(pool.name, pool.driver or pool.method)
        return {team: Fraction(1) for team in targets}
    return weights


def _targets(pool: Pool, direct: Mapping[str, Any]) -> list[str]:
    for team in pool.targets:
        if team not in direct:
            raise AllocationError.unknown_target(pool.name, team, list(direct))
    return sorted(pool.targets or direct)


def _raw(
    pool: Pool, targets: list[str], direct: Mapping[str, Any], drivers: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    if pool.method == "even":
        return dict.fromkeys(targets, 1)
    if pool.method == "proportional":
        return {team: direct[team] for team in targets}
    if pool.method == "direct":
        if len(targets) != 1:
            raise AllocationError.refused(pool.name, f"`direct` has {len(targets)} targets", "one team")
        return {targets[0]: 1}
    if pool.method == "fixed" and not pool.percent:
        raise AllocationError.refused(pool.name, "`fixed` has no percentages", "`percent`, a share for each team")
    if pool.percent or pool.units:
        return pool.percent or pool.units
    if pool.method in SERVING:
        raise AllocationError.refused(pool.name, f"`{pool.method}` does not say whom it serves", "`percent` or `units`")
    if pool.driver is None:
        raise AllocationError.refused(pool.name, "`driver` does not say what is measured", "`driver` or `units`")
    if pool.driver not in drivers:
        raise AllocationError.unknown_driver(pool.name, pool.driver, list(drivers))
    return {team: drivers[pool.driver].get(team, 0) for team in targets}


def _plain(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):g}"
