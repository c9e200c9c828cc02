"""The lines of a period's statements: direct, shared, unowned, residual, and what rules add; parts sum to wholes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from attribution import rounding
from attribution.allocation import UNOWNED, Pool, Ratios, Rules, from_pico, share_rows, solve
from attribution.statements.charges import COSTS, ORIGIN

MONEY = (*COSTS, "amount")
#: What makes a line the same line whenever it is computed.
_NAMED = ("period", "owner_team", "kind", "evidence", "pool", *ORIGIN, "category", "description", "link")
#: The order in which a statement is read.
KINDS = (
    "direct",
    "shared",
    "unowned_share",
    "markup",
    "minimum",
    "adjustment",
    "unowned",
    "residual",
    "prepaid",
    "offset",
)

Line = dict[str, Any]


def split_pools(
    rules: Rules,
    cells: Sequence[Mapping[str, Any]],
    residuals: Sequence[Mapping[str, Any]],
    teams: Iterable[str],
    drivers: dict[str, dict[str, int]],
) -> tuple[list[Line], list[dict[str, Any]]]:
    """Return the allocated lines, one per origin and team, and the shares they follow.

    Each origin (provider, model, workflow, feature) of a pool is split by the pool's exact shares in every money
    column by itself, so that no column loses a pico-dollar and each allocated line says where it comes from.
    """
    origins = [_origin(row) for row in (*cells, *residuals) if row.get("pool") is not None]
    if rules.unattributed is not None:
        origins += [_origin({**row, "pool": UNOWNED}) for row in cells if _is_unowned(row)]
    pools, direct = _pools(rules, teams)
    for row in cells:
        if row["pool"] is None and row["owner_team"] is not None:
            direct[row["owner_team"]] += row["amount"] or 0
    measured = {**drivers, "direct_cost": direct}
    needed = {row["pool"] for row in origins if any(row[name] for name in MONEY)}
    ratios = solve(pools, direct, measured, needed)
    lines = [line for pool in pools if pool.name in needed for line in _split(pool, ratios, origins)]
    return lines, _shares(pools, ratios, needed, direct, measured, lines)


def _pools(rules: Rules, teams: Iterable[str]) -> tuple[list[Pool], dict[str, int]]:
    """Return the pools, and every team that may bear a part: those of the period, and those that a pool names.

    A pool that names no targets is split over the teams of the period.
    """
    present = tuple(sorted(teams))
    pools = [shared.pool for shared in rules.pools]
    pools += [rules.unattributed] if rules.unattributed is not None else []
    names = {pool.name for pool in pools}
    named = {name for pool in pools for name in (*pool.percent, *pool.units, *pool.targets)} - names
    everyone = ("even", "proportional", "driver")
    split = [replace(p, targets=p.targets or present) if p.method in everyone else p for p in pools]
    return split, dict.fromkeys(sorted({*present, *named}), 0)


def _is_unowned(row: Mapping[str, Any]) -> bool:
    return row["pool"] is None and row["owner_team"] is None


def _origin(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("pool", *ORIGIN, "category", "description", *MONEY)
    return {name: row.get(name) for name in names}


def _split(pool: Pool, ratios: Ratios, origins: Sequence[Mapping[str, Any]]) -> list[Line]:
    kind = "unowned_share" if pool.name == UNOWNED else "shared"
    teams = [team for team, part in sorted(ratios[pool.name].items()) if part]
    weights = [ratios[pool.name][team] for team in teams]
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for origin in origins:
        if origin["pool"] == pool.name:
            key = tuple(origin[name] for name in (*ORIGIN, "category", "description"))
            kept = merged.setdefault(key, dict(origin) | dict.fromkeys(MONEY))
            for name in MONEY:
                kept[name] = _plus(kept[name], origin[name])
    lines = []
    for origin in merged.values():
        parts = {n: rounding.apportion(origin[n], weights, teams) for n in MONEY if origin[n] is not None}
        for place, team in enumerate(teams):
            money = {name: parts[name][place] if name in parts else None for name in MONEY}
            lines.append({**origin, **money, "owner_team": team, "kind": kind})
    return lines


def _shares(
    pools: Sequence[Pool],
    ratios: Ratios,
    needed: set[str],
    direct: Mapping[str, Any],
    drivers: Mapping[str, Mapping[str, Any]],
    lines: Sequence[Line],
) -> list[dict[str, Any]]:
    """Return weight and share of each team in each pool, with the amount that its lines add up to."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        sums[line["pool"], line["owner_team"]] += line["amount"] or 0
    dollars = {team: from_pico(pico) for team, pico in direct.items()}
    rows = []
    for pool in pools:
        if pool.name in needed:
            for row in share_rows(pool, ratios[pool.name], dollars, {**drivers, "direct_cost": dollars}, 0):
                ratio = ratios[pool.name][row["owner_team"]]
                more = {"ratio": f"{ratio.numerator}/{ratio.denominator}"}
                rows.append(row | more | {"amount": from_pico(sums[pool.name, row["owner_team"]])})
    return rows


def own_lines(cells: Sequence[Mapping[str, Any]], rules: Rules) -> list[Line]:
    """Return direct lines, and a visible line for spend without an owner where the rules do not share it out."""
    lines = []
    for row in cells:
        if row["pool"] is None and row["owner_team"] is not None:
            lines.append(dict(row) | {"kind": "direct"})
        elif _is_unowned(row) and rules.unattributed is None:
            lines.append(dict(row) | {"kind": "unowned"})
    return lines


def residual_lines(residuals: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return what invoices hold beyond calls and no pool takes."""
    lines = []
    for row in residuals:
        if row["pool"] is None:
            words = ": ".join(text for text in (row["cause"], row["description"]) if text)
            lines.append(dict(row) | {"kind": "residual", "owner_team": None, "description": _with_detail(words, row)})
    return lines


def _with_detail(words: str, row: Mapping[str, Any]) -> str:
    detail = ", ".join(str(row[name]) for name in ("meter", "project_id") if row[name])
    return f"{words} ({detail})" if detail else words


def ruled_lines(lines: Sequence[Line], rules: Rules, teams: Iterable[str]) -> list[Line]:
    """Return markups and minimums, each with the line that takes it back, so that the total stays the invoice."""
    totals: dict[str, int] = dict.fromkeys(teams, 0)
    charged = set(rules.minimums) & set(totals)
    for line in lines:
        if line["owner_team"] is not None and line["kind"] != "adjustment":
            totals[line["owner_team"]] = totals.get(line["owner_team"], 0) + (line["amount"] or 0)
            charged.add(line["owner_team"])
    more = []
    for team in sorted(totals):
        percent = rules.of_team(rules.markups, team)
        if percent and totals[team]:
            added = round(Fraction(percent) * totals[team] / 100)
            more += _balanced("markup", team, added, f"{percent:f} % on what the team bears")
            totals[team] += added
        least = rules.of_team(rules.minimums, team)
        if least and team in charged and totals[team] < int(least.scaleb(12)):
            missing = int(least.scaleb(12)) - totals[team]
            more += _balanced("minimum", team, missing, f"up to the minimum of {least:f} USD")
    return more


def _balanced(kind: str, team: str, amount: int, words: str) -> list[Line]:
    line = {"kind": kind, "owner_team": team, "amount": amount, "description": words}
    return [line, {"kind": "offset", "owner_team": None, "amount": -amount, "description": f"{kind} of {team}"}]


def finish(lines: Iterable[Line], period: str, shares: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Name the lines, merge those that are one, add the pool's weight and share, round to cents, and put in order."""
    named: dict[str, Line] = {}
    of_pool = {(row["pool"], row["owner_team"]): row for row in shares}
    for line in lines:
        key = {name: line.get(name) for name in _NAMED} | {"period": period}
        digest = hashlib.sha256("\x1f".join(f"{n}={v}" for n, v in key.items() if v is not None).encode()).hexdigest()
        kept = named.setdefault(digest[:16], key | {"line_id": digest[:16]})
        for name in (*MONEY, "calls", "unpriced_calls"):
            kept[name] = _plus(kept.get(name), line.get(name))
        share = of_pool.get((line.get("pool"), line.get("owner_team")), {})
        kept |= {name: share.get(name) for name in ("method", "driver", "weight", "share")}
    ordered = sorted(named.values(), key=_reading_order)
    _round(ordered)
    return ordered


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _reading_order(line: Line) -> tuple[Any, ...]:
    team = line["owner_team"]
    texts = (line[name] or "" for name in ("pool", "evidence", *ORIGIN, "category", "description"))
    return (team is None, team or "", KINDS.index(line["kind"]), *texts, line["line_id"])


def _round(lines: Sequence[Line]) -> None:
    """Round to cents in two steps: each provider's total is spread over teams, each team's part over its lines.

    So every provider adds up to its invoice, and every team is within a cent a provider of its exact amount, however
    many small lines it has. Adjusting entries are rounded apart: they belong to earlier invoices.
    """
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line["amount"] is not None:
            provider = (line["kind"] == "adjustment", line["provider"] or "")
            bearer = (line["owner_team"] is None, line["owner_team"] or "")
            groups[provider][bearer].append(line)
    for bearers in groups.values():
        keys = sorted(bearers)
        exact = [Fraction(sum(line["amount"] for line in bearers[key]), 10**12) for key in keys]
        for key, cents in zip(keys, rounding.largest_remainder(exact, keys=keys), strict=True):
            parts = [Fraction(line["amount"], 10**12) for line in bearers[key]]
            names = [line["line_id"] for line in bearers[key]]
            for line, part in zip(bearers[key], _closed(parts, cents, names), strict=True):
                line["cents"] = part


def _closed(parts: Sequence[Fraction], total: Decimal, names: Sequence[str]) -> list[Decimal]:
    return rounding.largest_remainder(parts, total=total, keys=names)
