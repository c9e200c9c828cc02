"""An oracle for changes of cost that knows nothing of SQL or integrals: fractions, and every order of the factors."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

#: Meter → the line that its size belongs to.
SIZE = defaultdict(lambda: "other usage", output="response size", reasoning="reasoning")
SIZE |= dict.fromkeys(("input", "cache_read", "cache_write_5m", "cache_write_1h"), "prompt size")

Counts = defaultdict[Any, Fraction]


@dataclass(frozen=True)
class Attempt:
    """One priced attempt: which call it belongs to, and its units and cost by meter."""

    segment: Any
    request: Any
    call: Any
    step: str
    model: str
    tier: str
    role: str
    lines: tuple[tuple[str, Fraction, Fraction], ...]


def driver_effects(before: Iterable[Attempt], after: Iterable[Attempt]) -> dict[str, Fraction]:
    """Return the effect of each driver; what requests did is one line, `requests`."""
    counts = [_counts(list(before)), _counts(list(after))]
    both = {key[1] for key in counts[0] if key[0] == "N"} & {key[1] for key in counts[1] if key[0] == "N"}
    lines: dict[str, Fraction] = defaultdict(Fraction)
    for leaf in {key[1] for c in counts for key in c if key[0] == "cost"}:
        role, group, meter = leaf[4], leaf[6], leaf[7]
        value = [c[("cost", leaf)] for c in counts]
        if leaf[0] not in both:
            lines["new workflows" if value[0] == 0 else "retired workflows"] += value[1] - value[0]
            continue
        chain = [("N", leaf[0]), ("step", leaf[:2]), ("model", leaf[:3]), ("calls", leaf[:4]), ("attempts", leaf[:6])]
        chain += [("group", leaf[:7]), ("units", leaf), ("cost", leaf)]
        factors = [(counts[0][chain[0]], counts[1][chain[0]])]
        factors += [_ratio(counts, above, below) for below, above in itertools.pairwise(chain)]
        names = ["requests", "fan-out", "model mix", "service tier"]
        names += ["retries" if role == "retry" else "fallbacks", SIZE[meter]]
        names += ["cache" if group == "input" else "other usage", "unit price"]
        for name, effect in zip(names, _every_order(factors), strict=True):
            lines[name] += effect
    return {name: effect for name, effect in lines.items() if effect}


def _counts(attempts: list[Attempt]) -> Counts:
    counts: Counts = defaultdict(Fraction)
    requests: dict[Any, set[Any]] = defaultdict(set)
    first: dict[Any, Attempt] = {}
    for one in attempts:
        requests[one.segment].add(one.request)
        first.setdefault((one.segment, one.step, one.call), one)
    counts |= {("N", segment): Fraction(len(seen)) for segment, seen in requests.items()}
    for one in attempts:
        primary = first[one.segment, one.step, one.call]
        key = (one.segment, one.step, primary.model, primary.tier)
        if one is primary:
            for name, length in (("step", 2), ("model", 3), ("calls", 4)):
                counts[(name, key[:length])] += 1
        branch = (*key, "primary" if one is primary else one.role, f"{one.model} {one.tier}")
        counts[("attempts", branch)] += 1
        for meter, units, cost in one.lines:
            group = (*branch, "input" if meter.startswith(("input", "cache")) else meter)
            if units:
                counts[("group", group)] += units
                counts[("units", (*group, meter))] += units
                counts[("cost", (*group, meter))] += cost
    return counts


def _ratio(counts: list[Counts], above: Any, below: Any) -> tuple[Fraction, Fraction]:
    found = [c[above] / c[below] if c[below] else None for c in counts]
    first, second = (value if value is not None else found[1 - i] for i, value in enumerate(found))
    return (Fraction(1) if first is None else first, Fraction(1) if second is None else second)


def _every_order(factors: list[tuple[Fraction, Fraction]]) -> list[Fraction]:
    moving = [place for place, (first, second) in enumerate(factors) if first != second]
    fixed = math.prod((first for place, (first, _) in enumerate(factors) if place not in moving), start=Fraction(1))
    result = [Fraction(0)] * len(factors)
    for order in itertools.permutations(moving):
        now = {place: factors[place][0] for place in moving}
        for place in order:
            old = math.prod(now.values(), start=fixed)
            now[place] = factors[place][1]
            result[place] += math.prod(now.values(), start=fixed) - old
    return [effect / math.factorial(len(moving)) for effect in result]
