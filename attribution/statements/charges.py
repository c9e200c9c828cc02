"""What each call charges, whom, and into which pool: one row per call and bearer, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from attribution import periods
from attribution.allocation import Rules, to_pico
from attribution.errors import AllocationError
from attribution.ledger import Ledger, column_list
from attribution.periods import Period

#: Columns of the origin that every line keeps.
ORIGIN = ("provider", "model", "workflow_id", "feature")
COSTS = ("list_cost", "contracted_cost", "billed_cost", "effective_cost")

#: What a call charges on each basis, for a provider and month that are trued up and for one without a bill.
_ACCRUED = "coalesce(team_cost.contracted_cost, team_cost.priced_part)"
_AMOUNTS = {
    "effective": ("coalesce(team_cost.effective_cost, 0)", _ACCRUED),
    "billed": ("coalesce(team_cost.billed_cost, 0)", _ACCRUED),
    "contracted": (_ACCRUED, _ACCRUED),
    "list": ("coalesce(team_cost.list_cost, team_cost.priced_part)",) * 2,
}


def charge_events(ledger: Ledger, period: Period, rules: Rules, basis: str) -> None:
    """Write the temp table `event_charge`: each call of a period by who bears it, and the pool it falls into.

    A call belongs to the month whose invoice bears it; where no invoice does, to the period in which it began. Its
    amount is the invoice's where the provider's month is trued up, else its contracted price: an accrual.

    Parameters
    ----------
    ledger
        A ledger that is trued up as far as its bills go.
    period
        Whole months, or any stretch of time: then bills, which are monthly, are left aside.
    rules
        Which calls fall into pools, and ownership rules of the file's own.
    basis
        What is charged: effective, billed, contracted or list.
    """
    billed, accrued = _AMOUNTS[basis]
    pooled, values = _pool_case(rules)
    months = periods.months(period)
    _name_owners(ledger, rules)
    ledger.run(
        f"""
        create or replace temp table event_charge as
        with trued_month as (
            select distinct period, provider from trued_up
            where status <> 'accrual' and list_contains($months, period)
        ),
        in_period as (
            select cost_event.*,
                trued_month.period is not null or (len($months) > 0 and cost_event.billed_period is not null)
                    as is_billed,
                {pooled} as pool
            from cost_event
            left join trued_month on trued_month.provider = cost_event.provider
                and trued_month.period = coalesce(cost_event.billed_period, strftime(cost_event.started_at, '%Y-%m'))
            where case when len($months) > 0 and billed_period is not null then list_contains($months, billed_period)
                else started_at >= $start and started_at < $end end
        )
        select in_period.event_id, in_period.pool, in_period.is_billed, in_period.request_id, in_period.call_id,
            coalesce(team_cost.owner_team, ruled.owner_team) as owner_team,
            case when team_cost.owner_team is null and ruled.owner_team is not null then 'rule'
                 when team_cost.owner_team is null then 'none' else in_period.owner_evidence end as evidence,
            {column_list(ORIGIN, "in_period.")}, in_period.tenant_id_hash, in_period.user_id_hash,
            in_period.input_tokens, in_period.output_tokens, in_period.price_status,
            coalesce(team_cost.list_cost, team_cost.priced_part) as list_cost,
            coalesce(team_cost.contracted_cost, team_cost.priced_part) as contracted_cost,
            team_cost.billed_cost, team_cost.effective_cost,
            case when in_period.is_billed then {billed} else {accrued} end as amount
        from in_period join team_cost using (event_id) left join ruled using (event_id)
        """,
        {"months": months or [], **period.values(), **values},
    )


def _pool_case(rules: Rules) -> tuple[str, dict[str, Any]]:
    """Return the expression that names a call's pool, the first that takes it, and its bound values."""
    branches, values = [], dict[str, Any]()
    for place, shared in enumerate(rules.pools):
        if not shared.calls:
            continue
        tests = []
        for number, (column, wanted) in enumerate(sorted(shared.calls.items())):
            values[f"pool_{place}_{number}"] = [value for value in wanted if value is not None]
            tests.append(f'list_contains($pool_{place}_{number}, cost_event."{column}")')
        values[f"pool_{place}"] = shared.pool.name
        branches.append(f"when {' and '.join(tests)} then $pool_{place}")
    return (f"case {' '.join(branches)} end" if branches else "cast(null as varchar)"), values


#: What a rule of the file may look at, one row per call and column.
_SEEN = """
    select event_id, started_at, unnest([
        struct_pack(name := 'api_key_id', value := api_key_id),
        struct_pack(name := 'project_id', value := project_id),
        struct_pack(name := 'service', value := service),
        struct_pack(name := 'endpoint', value := endpoint),
        struct_pack(name := 'provider', value := provider),
        struct_pack(name := 'model', value := model),
        struct_pack(name := 'region', value := region),
        struct_pack(name := 'claimed_team', value := claimed_team),
        struct_pack(name := 'workflow_id', value := workflow_id),
        struct_pack(name := 'feature', value := feature)
    ], recursive := true)
    from cost_event where owner_team is null and owner_evidence = 'none'
"""


def _name_owners(ledger: Ledger, rules: Rules) -> None:
    """Write `ruled`: the owner that the file's own rules give to a call that has none; rules at odds give none."""
    names = ("field", "match", "pattern", "owner_team", "valid_from", "valid_to")
    kinds = {"valid_from": pa.timestamp("us"), "valid_to": pa.timestamp("us")}
    rows = pa.table(
        {name: pa.array([r.get(name) for r in rules.ownership_rules], kinds.get(name, pa.string())) for name in names}
    )
    with ledger.reading(own_rule=rows):
        ledger.run(
            f"""
            create or replace temp table ruled as
            with seen as ({_SEEN})
            select event_id, min(owner_team) as owner_team
            from seen join own_rule on own_rule.field = seen.name
                and case match when 'equals' then value = pattern when 'prefix' then starts_with(value, pattern)
                               when 'glob' then value glob pattern else false end
                and (valid_from is null or started_at >= valid_from) and (valid_to is null or started_at < valid_to)
            group by event_id having count(distinct owner_team) = 1
            """
        )


def cells(ledger: Ledger) -> list[dict[str, Any]]:
    """Return `event_charge` added up: pool × owner × evidence × origin, in stable order; amounts in pico-dollars."""
    sums = ", ".join(f"cast(sum({name}) as decimal(38, 12)) as {name}" for name in (*COSTS, "amount"))
    groups = column_list(("pool", "owner_team", "evidence", *ORIGIN))
    rows = ledger.arrow(
        f"""
        select {groups}, count(distinct event_id) as calls,
            count(distinct event_id) filter (where amount is null or (price_status = 'partial' and not is_billed))
                as unpriced_calls,
            {sums}
        from event_charge group by {groups} order by {groups}
        """
    )
    return [_whole(row) for row in rows.to_pylist()]


def residuals(ledger: Ledger, period: Period, rules: Rules, basis: str) -> list[dict[str, Any]]:
    """Return what the period's invoices hold beyond calls, added up by what it says, with the pool it falls into."""
    if basis not in ("effective", "billed"):
        return []
    sums = ", ".join(f"cast(sum({name}) as decimal(38, 12)) as {name}" for name in ("billed_cost", "effective_cost"))
    groups = column_list(("provider", "cause", "category", "description", "model", "meter", "project_id"))
    rows = ledger.arrow(
        f"""
        select {groups}, {sums}, null as list_cost, null as contracted_cost
        from residual_line where list_contains($months, period) group by {groups} order by {groups}
        """,
        {"months": periods.months(period) or []},
    )
    return [
        _whole(row | {"amount": row[f"{basis}_cost"]}) | {"pool": pool_of_line(row, rules)} for row in rows.to_pylist()
    ]


def pool_of_line(row: Mapping[str, Any], rules: Rules) -> str | None:
    """Return the pool that takes a bill's line: the first whose words it has."""
    for shared in rules.pools:
        if shared.bill and all(row[name] in wanted for name, wanted in shared.bill.items()):
            return shared.pool.name
    return None


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: None if row[name] is None else to_pico(row[name]) for name in (*COSTS, "amount")}


def measure_drivers(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Count per team what pools may be split by, over the calls that are the team's own."""
    rows = ledger.arrow(
        """
        select owner_team, count(distinct request_id) as requests, count(distinct call_id) as calls,
            count(distinct tenant_id_hash) as tenants, count(distinct user_id_hash) as users,
            cast(coalesce(sum(input_tokens), 0) as bigint) as input_tokens,
            cast(coalesce(sum(output_tokens), 0) as bigint) as output_tokens
        from event_charge where pool is null and owner_team is not null
        group by owner_team order by owner_team
        """
    ).to_pylist()
    names = ("requests", "calls", "tenants", "users", "input_tokens", "output_tokens")
    drivers = {name: {row["owner_team"]: row[name] for row in rows} for name in names}
    drivers["tokens"] = {row["owner_team"]: row["input_tokens"] + row["output_tokens"] for row in rows}
    return drivers


def registered(ledger: Ledger, period: Period) -> dict[str, dict[str, Any]]:
    """Return the teams of the registry that exist in the period, as it says last."""
    rows = ledger.arrow(
        """
        select team, cost_center, account, contact, budget from team
        where (valid_from is null or valid_from < $end) and (valid_to is null or valid_to > $start)
        order by team, valid_from nulls first
        """,
        period.values(),
    )
    return {row["team"]: row for row in rows.to_pylist()}


def check_teams(ledger: Ledger, rules: Rules) -> None:
    """Refuse rules about a team that neither the registry nor any call knows, at any time: it is a misspelt one."""
    teams = {
        row[0]
        for row in ledger.rows(
            """
            select team from team union select owner_team from event_owner union select owner_team from owner_share
            """
        )
        if row[0] is not None
    }
    teams |= {rule["owner_team"] for rule in rules.ownership_rules}
    pools = {shared.pool.name for shared in rules.pools}
    named = {
        "minimums": [team for team in rules.minimums if team != "*"],
        "markups": [team for team in rules.markups if team != "*"],
        "budgets": list(rules.budgets),
        "cost_centers": list(rules.cost_centers),
    }
    for shared in rules.pools:
        split = shared.pool
        named[split.name] = [n for n in (*split.percent, *split.units, *split.targets) if n not in pools]
    if rules.unattributed:
        split = rules.unattributed
        named["unattributed"] = [*split.percent, *split.units, *split.targets]
    for where, given in named.items():
        for team in given:
            if team not in teams:
                raise AllocationError.unknown_target(where, team, sorted(teams))
