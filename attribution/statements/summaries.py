"""What the lines add up to: per team, per provider beside its invoice, and per request, tenant and feature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from attribution import periods, rounding
from attribution.allocation import Rules, from_pico
from attribution.ledger import Ledger
from attribution.periods import Period
from attribution.statements.charges import COSTS
from attribution.statements.lines import Line

#: Which part of direct cost a rung of the ladder is; those not named are recovered.
_OWNED = {"declared": "declared", "matched": "declared", "exclusive_key": "declared", "rule": "by_rule"}
_PARTS = ("declared", "recovered", "by_rule", "direct", "shared", "of_unowned", "markup", "minimum", "adjustment")
_PLACES = Decimal(1).scaleb(-12)
_EXACT = Context(prec=60)
#: States from the weakest: a statement is as good as the weakest of its providers.
STATES = ("accrual", "provisional", "final")


def weakest(states: Iterable[str]) -> str:
    """Return the weakest of some states; accrual where nothing is billed."""
    found = set(states)
    return next((state for state in STATES if state in found), "accrual")


def statements(
    lines: Sequence[Line],
    registry: Mapping[str, Mapping[str, Any]],
    rules: Rules,
    months: int,
    states: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return one row per team: its parts, the four costs, where it is booked, and its budget."""
    rows: dict[str, dict[str, Any]] = {}
    for team in sorted({*registry, *(line["owner_team"] for line in lines if line["owner_team"] is not None)}):
        said = {**registry.get(team, {}), **rules.cost_centers.get(team, {})}
        budget = rules.budgets.get(team, said.get("budget"))
        rows[team] = {
            **{name: said.get(name) for name in ("cost_center", "account", "contact")},
            **dict.fromkeys((*_PARTS, "amount"), 0),
            **dict.fromkeys(COSTS),
            "owner_team": team,
            "cents": Decimal("0.00"),
            "budget": None if budget is None else budget * months,
            "unpriced_calls": 0,
            "providers": set(),
        }
    for line in lines:
        if line["owner_team"] is None:
            continue
        row = rows[line["owner_team"]]
        row["of_unowned" if line["kind"] == "unowned_share" else line["kind"]] += line["amount"] or 0
        if line["kind"] == "direct":
            row[_OWNED.get(line["evidence"], "recovered")] += line["amount"] or 0
        row["amount"] += line["amount"] or 0
        row["cents"] += line.get("cents") or 0
        row["unpriced_calls"] += line["unpriced_calls"] or 0
        row["providers"] |= {line["provider"]} if line["provider"] and line["kind"] != "adjustment" else set()
        for name in COSTS:
            if line[name] is not None:
                row[name] = (row[name] or 0) + line[name]
    return [_dollars(row, states) for row in rows.values()]


def _dollars(row: dict[str, Any], states: Mapping[str, str]) -> dict[str, Any]:
    money = {n: None if row[n] is None else from_pico(row[n]) for n in (*_PARTS, *COSTS, "amount")}
    variance = None if row["budget"] is None else row["budget"] - money["amount"]
    state = weakest(states.get(provider, "accrual") for provider in row["providers"]) if row["providers"] else None
    return {**row, **money, "variance": variance, "state": state}


def invoices(ledger: Ledger, period: Period) -> dict[str, dict[str, Any]]:
    """Return per provider what its bills of the period say: state, invoice and effective total in pico-dollars."""
    months = periods.months(period) or []
    rows = ledger.arrow(
        """
        select provider, count(*) as months, list(status order by status) as states,
            nullif(string_agg(distinct invoice_id, ', ' order by invoice_id), '') as invoice_id,
            cast(sum(billed_cost) as decimal(38, 12)) as billed,
            cast(sum(effective_cost) as decimal(38, 12)) as effective
        from trued_up where list_contains($months, period) and status <> 'accrual'
        group by provider order by provider
        """,
        {"months": months},
    )
    found = {}
    for row in rows.to_pylist():
        state = weakest(row["states"]) if row["months"] == len(months) else "accrual"
        money = {name: int(row[name].scaleb(12)) for name in ("billed", "effective")}
        found[row["provider"]] = {"state": state, "invoice_id": row["invoice_id"], **money}
    return found


def providers(
    lines: Sequence[Line], billed: Mapping[str, Mapping[str, Any]], accrued: Mapping[str, int], basis: str
) -> list[dict[str, Any]]:
    """Return how the lines of each provider make its invoice; lines of no provider stand last."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    cents: dict[str, Decimal] = defaultdict(lambda: Decimal("0.00"))
    for line in lines:
        name = line["provider"] or ""
        kind = line["kind"] if line["owner_team"] is None or line["kind"] == "adjustment" else "statements"
        sums[name][{"adjustment": "adjustments", "offset": "residual"}.get(kind, kind)] += line["amount"] or 0
        if line["kind"] != "adjustment":
            cents[name] += line.get("cents") or 0
    rows = []
    for name in sorted({*sums, *billed}, key=lambda name: (name == "", name)):
        parts = {kind: sums[name][kind] for kind in ("statements", "unowned", "residual", "prepaid")}
        total, said = sum(parts.values()), billed.get(name)
        invoice = said["billed"] if said and basis in ("effective", "billed") else None
        difference = None if invoice is None else total - accrued.get(name, 0) - invoice
        money = {**parts, "total": total, "accrued": accrued.get(name, 0), "invoice": invoice, "difference": difference}
        money["adjustments"] = sums[name]["adjustments"]
        row: dict[str, Any] = {key: None if pico is None else from_pico(pico) for key, pico in money.items()}
        row |= {"provider": name or None, "invoice_id": said["invoice_id"] if said else None}
        row |= {"state": (said["state"] if said else "accrual") if name else None, "total_cents": cents[name]}
        if not name and not any(money.values()):
            continue
        row["invoice_cents"] = None if invoice is None else rounding.rounded(from_pico(invoice))
        rows.append(row)
    return rows


def accruals(ledger: Ledger) -> dict[str, int]:
    """Return per provider what is charged without a bill, in pico-dollars."""
    rows = ledger.rows(
        """
        select coalesce(provider, ''), cast(sum(amount) as decimal(38, 12))
        from event_charge where not is_billed and amount is not null group by 1 order by 1
        """
    )
    return {provider: int(amount.scaleb(12)) for provider, amount in rows}


def unit_costs(ledger: Ledger, totals: Mapping[str, Decimal]) -> list[dict[str, Any]]:
    """Return what a request, a thousand requests and a tenant cost each team, and each of its workflows and features.

    `direct` over the counts of the team's own calls; `loaded_per_request` is over all that the team bears. Quotients
    are rounded half even at twelve places; nothing is divided by nothing.
    """
    rows: list[dict[str, Any]] = ledger.arrow(
        """
        select owner_team, workflow_id, feature, count(distinct request_id) as requests,
            count(distinct call_id) as calls, count(distinct tenant_id_hash) as tenants,
            cast(sum(amount) as decimal(38, 12)) as direct, grouping(workflow_id, feature) as level
        from event_charge where pool is null and owner_team is not null
        group by grouping sets ((owner_team), (owner_team, workflow_id), (owner_team, workflow_id, feature))
        order by owner_team, level desc, workflow_id nulls last, feature nulls last
        """
    ).to_pylist()
    for row in rows:
        direct, is_team = row["direct"], row["level"] == 3
        row["per_request"] = _each(direct, row["requests"])
        row["per_thousand_requests"] = _each(None if direct is None else direct * 1000, row["requests"])
        row["per_tenant"] = _each(direct, row["tenants"])
        row["amount"] = totals.get(row["owner_team"]) if is_team else None
        row["loaded_per_request"] = _each(row["amount"], row["requests"])
    return rows


def _each(amount: Decimal | None, count: int) -> Decimal | None:
    if amount is None or not count:
        return None
    return _EXACT.divide(amount, Decimal(count)).quantize(_PLACES, ROUND_HALF_EVEN, _EXACT)
