"""Gather: the largest charges of a team's statement, and for each the records, owners, prices and shares behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from attribution import showing
from attribution.closing import charge_back
from attribution.closing.charging import RulesLike
from attribution.closing.registers import rules_of
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.packs import evidence
from attribution.packs.pack import CALLS, CHARGES, NODES, POOL_CALLS, POOLS, EvidencePack, frame
from attribution.packs.trees import tree
from attribution.periods import Period
from attribution.statements import Chargeback, charge_events

#: Kinds of lines that are a team's share of a pool, and those that stand alone.
_SHARES = ("shared", "unowned_share")
_DIRECT = "direct"
_EXACT = Context(prec=60)


def evidence_pack(
    ledger: Ledger,
    team: str,
    period: str | date | Period,
    rules: RulesLike = None,
    *,
    top: int = 20,
    basis: str | None = None,
) -> EvidencePack:
    """Put together what a team needs to accept or dispute its largest charges.

    A charge is a request with the calls that the team bears, the team's share of a pool (shared or unowned spend), an
    adjusting entry, a markup or a minimum. Each has its evidence: the request's tree, each call's file and line, who
    says that the team owns it and where, the price entry and the arithmetic; for a share the pool, method, driver,
    weight and division. The charges and the rest add up to the statement. Nothing of another team is shown: no
    tenant, no user, no cost.

    Parameters
    ----------
    ledger
        A built ledger.
    team
        A team with a statement in the period.
    period
        As for `charge_back`.
    rules
        As for `charge_back`.
    top
        How many charges, largest first.
    basis
        As for `charge_back`.

    Returns
    -------
    EvidencePack
        Frames; `reports` and the command line make one HTML file and a CSV of them.

    Raises
    ------
    QuestionError
        If the team has no statement in the period, or `top` is not a number above zero.
    """
    if top < 1:
        raise QuestionError.bad_argument("top", top, "a number above zero")
    stated = charge_back(ledger, period, rules, basis=basis)
    lines = showing.rows(stated.statement(team))
    if not lines:
        raise QuestionError.bad_argument("team", team, f"a team that is charged something in {stated.period}")
    own = _own_calls(ledger, stated, team, rules)
    charges, rest = _ranked(own, lines, top)
    about = evidence.about_requests(ledger, [row["charge"] for row in charges if row["kind"] == "request"], team)
    for row in charges:
        row["about"] = about.get(row["charge"], row["charge"])
    requests = {row["rank"]: row["charge"] for row in charges if row["kind"] == "request"}
    borne = [row | {"rank": rank} for rank, request in requests.items() for row in own if row["request_id"] == request]
    pools = [_share(stated, team, row) for row in charges if row["kind"] in _SHARES]
    total = sum((row["amount"] for row in [*charges, *rest]), Decimal(0))
    return EvidencePack(
        team=team,
        period=stated.period,
        basis=stated.basis,
        state=stated.state,
        rules=stated.rules,
        headline=_headline(stated, team, charges, total),
        charges=frame([_with_share(row, total) for row in [*charges, *rest]], CHARGES),
        calls=frame(evidence.calls(ledger, borne, team), CALLS),
        nodes=frame(_trees(ledger, requests, own, team), NODES),
        pools=frame(pools, POOLS),
        pool_calls=frame(evidence.pool_calls(ledger, pools), POOL_CALLS),
    )


def _own_calls(ledger: Ledger, stated: Chargeback, team: str, rules: RulesLike) -> list[dict[str, Any]]:
    """Return the calls that the team bears by itself, with what each charges; of a closed period as it was closed."""
    period = Period(stated.period_start, stated.period_end, stated.period)
    charge_events(ledger, period, rules_of(rules), stated.basis)
    source = _CLOSED if stated.is_closed else _OPEN
    values = {"team": team} | ({"period": stated.period} if stated.is_closed else {})
    return [dict(row) for row in ledger.arrow(source, values).to_pylist()]


_OPEN = """
    select cast(event_id as varchar) as event_id, request_id, amount
    from event_charge where pool is null and owner_team = $team and amount is not null
    order by request_id, event_id
"""
_CLOSED = """
    select cast(charged_event.event_id as varchar) as event_id, coalesce(event.request_id, 'no longer in the ledger')
        as request_id, charged_event.amount
    from charged_event left join event using (event_id)
    where for_period = $period and charged_event.owner_team = $team and entry_id is null and pool is null
        and charged_event.amount is not null
    order by request_id, event_id
"""


def _ranked(
    own: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], top: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the largest charges, and the rest as one row where there is one."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}

    def add(kind: str, charge: str, amount: Decimal, calls: int, said: str | None = None) -> None:
        new = {"kind": kind, "charge": charge, "amount": Decimal(0), "calls": 0, "arithmetic": said}
        row = sums.setdefault((kind, charge), new)
        row["amount"] += amount
        row["calls"] += calls

    for call in own:
        add("request", call["request_id"], call["amount"], 1)
    for line in lines:
        if line["kind"] == _DIRECT or showing.is_missing(line["amount"]):
            continue
        is_share = line["kind"] in _SHARES
        add(line["kind"], line["pool"] if is_share else line["description"], line["amount"], 0)
    found = sorted(sums.values(), key=lambda row: (-abs(row["amount"]), row["kind"], row["charge"]))
    for rank, row in enumerate(found, 1):
        row["rank"] = rank
    rest = found[top:]
    if not rest:
        return found, []
    words = f"{showing.count(len(rest), 'smaller charge')}"
    amount = sum((row["amount"] for row in rest), Decimal(0))
    calls = sum(row["calls"] for row in rest)
    return found[:top], [
        {"rank": top + 1, "kind": "rest", "charge": words, "about": words, "amount": amount, "calls": calls}
    ]


def _with_share(row: dict[str, Any], total: Decimal) -> dict[str, Any]:
    if not total:
        return row
    share = _EXACT.divide(row["amount"], total).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return row | {"share": share if abs(share) < 10 else None}


def _share(stated: Chargeback, team: str, charge: dict[str, Any]) -> dict[str, Any]:
    """Return how the team's share of a pool comes about; of the other teams only how many they are and their sum."""
    rows = [row for row in showing.rows(stated.shares) if row["pool"] == charge["charge"]]
    mine = next(row for row in rows if row["owner_team"] == team)
    weights = [row["weight"] for row in rows]
    is_weighed = not any(showing.is_missing(weight) for weight in weights)
    found = {
        "rank": charge["rank"],
        "pool": charge["charge"],
        "method": mine["method"],
        "driver": None if showing.is_missing(mine["driver"]) else mine["driver"],
        "weight": mine["weight"] if is_weighed else None,
        "weight_of_all": sum(weights, Decimal(0)) if is_weighed else None,
        "teams": sum(1 for row in rows if row["share"]),
        "share": mine["share"],
        "pool_amount": sum((row["amount"] for row in rows), Decimal(0)),
        "amount": charge["amount"],
    }
    charge["arithmetic"] = evidence.share_arithmetic(found)
    return found


def _trees(ledger: Ledger, requests: dict[int, str], own: Sequence[dict[str, Any]], team: str) -> list[dict[str, Any]]:
    amounts = {row["event_id"]: row["amount"] for row in own}
    known = {name for (name,) in ledger.rows("select distinct request_id from event")}
    return [
        node | {"rank": rank}
        for rank, request in requests.items()
        if request in known
        for node in tree(ledger, request, team, amounts)
    ]


def _headline(stated: Chargeback, team: str, charges: Sequence[dict[str, Any]], total: Decimal) -> str:
    shown = sum((row["amount"] for row in charges), Decimal(0))
    rules = "" if stated.rules == "no rules" else f", rules {stated.rules}"
    return (
        f"{team}, {stated.period}: {showing.dollars(total)} of {stated.basis} cost ({stated.state}{rules}). "
        f"{showing.count(len(charges), 'charge')} of {showing.dollars(shown)} with evidence"
        + (f"; the rest is {showing.dollars(total - shown)}." if shown != total else "; there are no others.")
    )
