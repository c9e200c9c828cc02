"""Charges: what each team bears of each price on each day, exact in every cost, and what the invoice holds beside it.

A call's costs lie on its meters, and a call that teams share on its teams as well. Each cost is cut along both at
once: a cell is the difference of four whole-number cuts, so that meters add up to the call, teams to their parts,
and all cells to the cost itself, to the pico-dollar.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger
from attribution.periods import Period

#: Evidence that stands on the call itself; the other rungs recover an owner.
ON_THE_CALL = ("declared", "matched", "exclusive_key")
#: What a row of `charge` is told apart by.
KEY = (
    "day",
    "billing_month",
    "owner_team",
    "provider",
    "model",
    "tier",
    "meter",
    "unit",
    "price_entry",
    "unit_price",
    "paid_price",
    "price_per",
    "basis",
)


def months_of(period: Period) -> list[str]:
    """Return the calendar months of a period, or refuse one that cuts a month: invoices are monthly."""
    months, start = [], period.start
    while start < period.end:
        months.append(f"{start:%Y-%m}")
        start = month_after(start)
    if start != period.end or period.start != datetime(period.start.year, period.start.month, 1):
        raise QuestionError.bad_argument("period", str(period), "whole months, such as 2026-10, 2026-Q4 or 2026")
    return months


def month_after(start: datetime) -> datetime:
    """Return the first moment of the next month."""
    return datetime(start.year + start.month // 12, start.month % 12 + 1, 1)


def first_day(month: str) -> date:
    """Return the first day of a month such as `2026-10`."""
    return date.fromisoformat(f"{month}-01")


def gather(ledger: Ledger, months: Sequence[str] | None, *, is_pooled: bool = False) -> None:
    """Leave the temporary tables `charged_call`, `charge` and `left_out` for these invoice months, or for all time.

    A call that an invoice names stands in the month of the invoice, at the invoice's own dollars. Where a provider has
    sent no invoice for the month, the call stands at negotiated price (accrual). Where there is one and it does not
    name the call, the call was not billed. Of a partly priced call the meters that have a price stand. A call without
    any price and without an invoice has no dollars at all: it is left out and counted, never zero.

    `is_pooled` tells calls apart by the pool of the rules that they fall into, and takes owners from the rules too:
    then the temporary tables `event_charge` and `ruled` of the statements must be there.
    """
    if "rate_card" not in ledger.tables():
        raise LedgerError.empty("prices", "Price the calls first: price_events(ledger), or build_ledger.")
    values = {"months": list(months or ()), "is_all": months is None}
    ledger.run(f"create or replace temp table charged_call as {_CALLS}", values)
    count_left_out(ledger, months)
    ledger.run(f"create or replace temp table charge as {_charges(is_pooled)}")


def count_left_out(ledger: Ledger, months: Sequence[str] | None) -> None:
    """Leave the temporary table `left_out`: calls without dollars, and those that no month can hold."""
    values = {"months": list(months or ()), "is_all": months is None}
    ledger.run(f"create or replace temp table left_out as {_LEFT_OUT}", values)


def months_there(ledger: Ledger) -> list[str]:
    """Return the months of calls and bills, in order."""
    return [month for (month,) in ledger.rows(_MONTHS)]


_MONTHS = """
    select strftime(started_at, '%Y-%m') from cost_event where started_at is not null
    union select billed_period from event_bill where billed_period is not null
    union select billing_period from bill_line where billing_period is not null
    union select period from residual_line
    order by 1
"""

#: Calls with their costs in whole pico-dollars, by the basis each stands on.
_CALLS = """
    with call as (
        select event_id, provider, model, service_tier, region, project_id, price_status,
            coalesce(started_at, case when $is_all then (select undated_at from rate_book) end) as called_at,
            {pico_of_money}, billed_period
        from cost_event
        where coalesce(list_cost, priced_part, billed_cost) is not null
    ),
    placed as (
        select call.*, coalesce(call.billed_period, strftime(call.called_at, '%Y-%m')) as billing_month,
            case
                when call.billed is not null then 'billed'
                when trued_up.status <> 'accrual' then 'billed'
                else 'accrual'
            end as basis
        from call
        left join trued_up on trued_up.provider = call.provider and trued_up.period = strftime(call.called_at, '%Y-%m')
    )
    select event_id, coalesce(cast(called_at as date), cast(billing_month || '-01' as date)) as day, billing_month,
        provider, model, service_tier, region, project_id, basis,
        case when list is not null then 'priced' when priced_part is not null then 'partial' else 'unpriced' end
            as price_status,
        basis = 'billed' and billed is null as is_unbilled,
        coalesce(list, priced_part, billed) as list, coalesce(contracted, list, priced_part, billed) as contracted,
        case basis when 'billed' then coalesce(billed, 0) else coalesce(contracted, list, priced_part) end as billed,
        case basis when 'billed' then coalesce(effective, billed, 0) else coalesce(contracted, list, priced_part) end
            as effective
    from placed
    where $is_all or list_contains($months, billing_month)
""".replace(
    "{pico_of_money}",
    ", ".join(
        f"cast(cast({column} as decimal(26, 12)) * 1000000000000 as hugeint) as {column.removesuffix('_cost')}"
        for column in ("list_cost", "contracted_cost", "billed_cost", "effective_cost", "priced_part")
    ),
)

#: Calls without dollars, of no price and of no invoice; those of which only the priced meters stand; and where months
#: are asked for, those without a time.
_LEFT_OUT = """
    select provider, model, price_status,
        case when started_at is null and coalesce(list_cost, priced_part) is not null then 'it has no time, so no month'
            else price_reason end as price_reason,
        count(*) as calls,
        cast(coalesce(sum(input_tokens), 0) as bigint) as input_tokens,
        cast(coalesce(sum(output_tokens), 0) as bigint) as output_tokens,
        cast(sum(priced_part) as decimal(38, 12)) as priced_part
    from cost_event
    where billed_cost is null
        and (price_status <> 'unmetered' or status <> 'error')
        and case
            when $is_all then list_cost is null
            when started_at is null then true
            else list_cost is null and list_contains($months, strftime(started_at, '%Y-%m'))
        end
    group by all order by all
"""


def _charges(is_pooled: bool) -> str:
    """Return the query of the charges: one row per team, price and day."""
    costs = ", ".join(f"cast(sum({_cell(name)}) as decimal(38, 0)) as {name}" for name in _WEIGHTS)
    groups = ", ".join((*KEY, "pool"))
    declared = ", ".join(f"'{rung}'" for rung in ON_THE_CALL)
    on_call = f"cast(coalesce(sum({_cell('list')}) filter (where evidence in ({declared})), 0) as decimal(38, 0))"
    return f"""
        with {_ITEMS}, {_OWNERS}, {_RULED if is_pooled else _UNRULED}
        select {groups}, count(distinct event_id) as calls,
            count(distinct event_id) filter (where is_unbilled) as unbilled_calls,
            case when count(distinct price_status) = 1 then min(price_status) else 'partial' end as price_status,
            cast(sum(micro * upto // parts - micro * (upto - part) // parts) as decimal(38, 0)) as micro,
            {costs}, {on_call} as declared,
            list_sort(list(distinct evidence)) as evidence,
            case when count(distinct region) = 1 and count(region) = count(*) then min(region) end as region,
            case when count(distinct project_id) = 1 and count(project_id) = count(*) then min(project_id) end
                as project_id
        from charged_call join item using (event_id) join owner using (event_id)
        group by {groups}
        order by {", ".join(f"{name} nulls last" for name in (*KEY, "pool"))}
    """


#: Cost → the weight that lays it on the meters of a call.
_WEIGHTS = {"list": "list", "contracted": "paid", "billed": "list", "effective": "list"}


def _cell(cost: str) -> str:
    """Return the part of a cost that one team bears of one meter: the difference of four whole-number cuts."""
    along = f"{_WEIGHTS[cost]}_upto"
    before = f"({along} - {_WEIGHTS[cost]}_weight)"
    whole = f"(parts * {_WEIGHTS[cost]}_total)"
    cost = f"charged_call.{cost}"
    return (
        f"({cost} * upto * {along} // {whole} - {cost} * (upto - part) * {along} // {whole}"
        f" - {cost} * upto * {before} // {whole} + {cost} * (upto - part) * {before} // {whole})"
    )


#: Meters of each call with their weights and the sums of weights up to each. A call whose parts have no price lies
#: on one line of its own, counted as a request.
_ITEMS = """
    entry as (select entry as price_entry, min(service_tier) as tier from price group by entry),
    metered as (
        select line_item.event_id, line_item.meter, line_item.unit, line_item.price_entry, line_item.price_per,
            line_item.unit_price, entry.tier,
            cast(cast(coalesce(rate_line.paid_pico, rate_line.price_pico) as hugeint) * line_item.price_per
                // coalesce(cast(rate_line.paid_per as hugeint), line_item.price_per) as decimal(38, 0))
                * 0.000000000001 as paid_price,
            cast(line_item.quantity * 1000000 as hugeint) as micro,
            cast(cast(line_item.list_cost as decimal(26, 12)) * 1000000000000 as hugeint) as list_pico,
            cast(line_item.quantity * 1000000 as hugeint) * cast(rate_line.paid_pico as hugeint)
                // (cast(rate_line.paid_per as hugeint) * 1000000) as paid_pico
        from line_item
        join charged_call on charged_call.event_id = line_item.event_id and charged_call.price_status <> 'unpriced'
        join event_rate on event_rate.event_id = line_item.event_id
        left join rate_line on rate_line.card_id = event_rate.card_id and rate_line.meter = line_item.meter
        left join entry on entry.price_entry = line_item.price_entry
        where line_item.list_cost is not null
        union all
        select event_id, null, 'requests', null, null, null, service_tier, null, 1000000, 1, null
        from charged_call anti join line_item using (event_id)
        where greatest(abs(list), abs(billed), abs(effective), abs(contracted)) > 0
    ),
    weighted as (
        select *,
            case when sum(list_pico) over call > 0 then list_pico else micro end as list_weight,
            case when sum(coalesce(paid_pico, list_pico)) over call > 0 then coalesce(paid_pico, list_pico) else micro
            end as paid_weight
        from metered
        window call as (partition by event_id)
    ),
    item as (
        select * exclude (list_pico, paid_pico),
            cast(sum(list_weight) over upto as hugeint) as list_upto,
            cast(sum(list_weight) over call as hugeint) as list_total,
            cast(sum(paid_weight) over upto as hugeint) as paid_upto,
            cast(sum(paid_weight) over call as hugeint) as paid_total
        from weighted
        window call as (partition by event_id),
            upto as (partition by event_id order by meter rows unbounded preceding)
    )
"""

_OWNERS = """
    bearer as (
        select owner_share.event_id, owner_share.owner_team, coalesce(event_owner.owner_evidence, 'none') as evidence,
            part, parts,
            cast(sum(part) over (
                partition by owner_share.event_id order by owner_share.owner_team nulls last rows unbounded preceding
            ) as bigint) as upto
        from owner_share left join event_owner using (event_id)
        union all
        select event.event_id, event_owner.owner_team, coalesce(event_owner.owner_evidence, 'none'), 1, 1, 1
        from event left join event_owner using (event_id)
        anti join owner_share using (event_id)
    )
"""

_UNRULED = "owner as (select *, cast(null as varchar) as pool from bearer)"
_RULED = """
    placed as (select distinct event_id, pool from event_charge),
    owner as (
        select bearer.event_id, coalesce(bearer.owner_team, ruled.owner_team) as owner_team,
            case when bearer.owner_team is null and ruled.owner_team is not null then 'rule' else bearer.evidence end
                as evidence,
            part, parts, upto, placed.pool
        from bearer left join placed using (event_id) left join ruled using (event_id)
    )
"""
