"""Split cost allocation as FOCUS 1.3 has it: a shared charge becomes one row per team that bears a part of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from attribution import periods, rounding, showing
from attribution.allocation import Rules
from attribution.closing import charge_back
from attribution.closing.charging import RulesLike
from attribution.closing.registers import rules_of
from attribution.exports import charges, focus
from attribution.ledger import Ledger
from attribution.statements import Chargeback, charge_events
from attribution.statements.charges import pool_of_line

#: What is split; the parts of each add up to the origin, to the last digit.
SPLIT = (
    "BilledCost",
    "ConsumedQuantity",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingCurrencyEffectiveCost",
    "PricingQuantity",
    "x_DeclaredCost",
)
#: Drivers that count something, and what one of them is called.
_UNITS = {
    "requests": "Requests",
    "calls": "Calls",
    "tokens": "Tokens",
    "input_tokens": "Tokens",
    "output_tokens": "Tokens",
    "tenants": "Tenants",
    "users": "Users",
    "direct_cost": "USD",
}
_RATIO_PLACES = 18


def rows_of(ledger: Ledger, months: list[str] | None, rules: RulesLike) -> pa.Table:
    """Return the FOCUS 1.3 rows of these invoice months, or of all, month by month as their statements split them."""
    given = rules_of(rules)
    wanted = months if months is not None else charges.months_there(ledger)
    tables = []
    for month in wanted:
        period = periods.parse(month)
        stated = charge_back(ledger, period, None if rules is None else given)
        charge_events(ledger, period, given, stated.basis)
        tables.append(split(focus.rows_of(ledger, [month], _residual_pools(ledger, month, given)), stated))
    charges.count_left_out(ledger, wanted)
    return _ordered(pa.concat_tables(tables))


def _residual_pools(ledger: Ledger, month: str, rules: Rules) -> dict[str, str]:
    """Return which residual lines of the month fall into which pool."""
    query = "select * exclude (bill_lines) from residual_line where period = $month order by residual_id"
    found = {}
    for row in ledger.arrow(query, {"month": month}).to_pylist():
        pool = pool_of_line(row, rules)
        if pool is not None:
            found[str(row["residual_id"])] = pool
    return found


def _ordered(table: pa.Table) -> pa.Table:
    """Put the months together: one order, and an invoice on every row or on none."""
    if table["x_InvoiceId"].null_count:
        place = table.column_names.index("InvoiceId")
        table = table.set_column(place, table.schema.field("InvoiceId"), pa.nulls(table.num_rows, pa.string()))
    by = ("BillingPeriodStart", "ChargePeriodStart", "ProviderName", "x_OwnerTeam", "SkuPriceId", "x_ChargeId")
    return table.sort_by([(name, "ascending") for name in (*by, "x_Pool", "AllocatedResourceId")])


def split(table: pa.Table, stated: Chargeback) -> pa.Table:
    """Replace every charge of a pool by the parts that the statements give to each team.

    The origin is kept on each part (ResourceId, x_ChargeId, Tags and prices); the target stands in the Allocated
    columns, with the ratio and what it rests on. A charge of no pool stays as it is.
    """
    ratios = stated.ratios
    is_split = pc.is_in(table["x_Pool"], value_set=pa.array(sorted(ratios), pa.string()))
    whole = table.filter(pc.invert(is_split))
    whole = whole.set_column(
        whole.column_names.index("x_Pool"), table.schema.field("x_Pool"), pa.nulls(whole.num_rows, pa.string())
    )
    shares = {(row["pool"], row["owner_team"]): row for row in showing.rows(stated.shares)}
    tags = {row["owner_team"]: _tags(row) for row in showing.rows(stated.statements)}
    parts = [
        part
        for row in table.filter(is_split).to_pylist()
        for part in _parts(row, ratios[row["x_Pool"]], shares, tags, stated.rules)
    ]
    return pa.concat_tables([whole, pa.Table.from_pylist(parts, schema=table.schema)])


def _parts(
    row: Mapping[str, Any],
    ratios: Mapping[str, Fraction],
    shares: Mapping[tuple[str, str], Mapping[str, Any]],
    tags: Mapping[str, str],
    rules: str,
) -> list[dict[str, Any]]:
    pool = row["x_Pool"]
    teams = [team for team in sorted(ratios) if ratios[team]]
    weights = [ratios[team] for team in teams]
    split = {name: _apportioned(row[name], weights, teams) for name in SPLIT if row[name] is not None}
    shown = rounding.apportion(10**_RATIO_PLACES, weights, teams)
    return [
        {
            **row,
            **{name: parts[place] for name, parts in split.items()},
            "ResourceId": f"pool/{pool}",
            "ResourceName": pool,
            "ResourceType": "Shared pool",
            "AllocatedMethodId": f"{pool}/{shares[pool, team]['method']}",
            "AllocatedMethodDetails": _details(shown[place], shares[pool, team], rules),
            "AllocatedResourceId": team,
            "AllocatedResourceName": team,
            "AllocatedTags": tags.get(team) or _tags({"owner_team": team}),
        }
        for place, team in enumerate(teams)
    ]


def _apportioned(amount: Decimal, weights: list[Fraction], teams: list[str]) -> list[Decimal]:
    return [Decimal(part).scaleb(-12) for part in rounding.apportion(int(amount.scaleb(12)), weights, teams)]


def _details(ratio: int, share: Mapping[str, Any], rules: str) -> str:
    """Return the share and what it rests on; numbers are written out, because a float could not hold them."""
    driver = None if showing.is_missing(share["driver"]) else str(share["driver"])
    weight = None if showing.is_missing(share["weight"]) else share["weight"]
    parts = [f'"AllocatedRatio":{_number(Decimal(ratio).scaleb(-_RATIO_PLACES))}']
    if driver is not None and weight is not None:
        unit = _UNITS.get(driver, driver)
        parts += [f'"UsageUnit":{json.dumps(unit, ensure_ascii=False)}', f'"UsageQuantity":{_number(weight)}']
    elif weight is not None:
        parts.append(f'"x_Weight":{_number(weight)}')
    words = {"x_Pool": share["pool"], "x_Method": share["method"], "x_Driver": driver, "x_Rules": rules}
    parts += [f'"{name}":{json.dumps(word, ensure_ascii=False)}' for name, word in words.items() if word is not None]
    return f'{{"Elements":[{{{",".join(parts)}}}]}}'


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tags(team: Mapping[str, Any]) -> str:
    named = {name: team.get(name) for name in ("owner_team", "cost_center", "account")}
    said = {name: value for name, value in named.items() if not showing.is_missing(value)}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))
