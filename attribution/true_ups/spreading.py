"""Spread the dollars of every billed cell over its calls by cost, in whole pico-dollars that add up again."""

from __future__ import annotations

from attribution.ledger import Ledger
from attribution.reconciliation import pots

#: Weights are cut to this size, so that dollars × weight stays within the engine's integers: exact up to 1,000,000
#: dollars in one cell, and beyond it as fine as a millionth of a millionth of a cell.
_LARGEST_WEIGHT = 10**18


def spread_cells(ledger: Ledger, month: str) -> None:
    """Write `trued_share`: what each call bears of each cell it is in, and `trued_event`: of all.

    Weights are the calls' own costs; where no call of a cell has a cost, their quantities; where none recorded its
    usage, each call counts the same. A meter that no call recorded is borne by the calls of its day and model: by
    those without usage (time-outs, streams) where there are any, else by all by their cost. A cell without calls
    stays a line. A call that another month's invoice bills is not billed twice.
    """
    ledger.run(_CELLS)
    ledger.run(_USES, {"period": month})
    for calls, cost, quantity in (("not period_call.is_metered and not is_failed", "0", "0"), _BY_COST):
        if ledger.value("select count(*) from trued_cell anti join trued_use using (cell_id)"):
            ledger.run(_at_the_place(calls, cost, quantity), {"period": month})
    ledger.run(_WEIGHTS, {"largest": _LARGEST_WEIGHT})
    ledger.run(f"create or replace temp table trued_share as {_shares()}")
    ledger.run(_CALLS_COVERED)
    ledger.run(_EVENTS)


_BY_COST = (
    "period_call.is_metered",
    "coalesce(event_cost.contracted_cost, event_cost.list_cost, 0) * 1000000000000",
    "(coalesce(event.input_tokens, 0) + coalesce(event.output_tokens, 0)) * 1000000",
)
_CELLS = """
    create or replace temp table trued_cell as
    select cell_id, any_value(provider) as provider,
        cast(sum(billed) as hugeint) as billed, cast(sum(effective) as hugeint) as effective
    from trued_line where cause = 'usage' and cell_id is not null
    group by cell_id
"""
_USES = """
    create or replace temp table trued_use as
    select cell_id, event_id, cast(sum(weight) as hugeint) as cost, cast(sum(quantity) as hugeint) as quantity
    from cell_event semi join trued_cell using (cell_id)
    anti join (select event_id from event_bill where billed_period <> $period) as billed using (event_id)
    group by cell_id, event_id
"""


def _at_the_place(calls: str, cost: str, quantity: str) -> str:
    """Return the statement that lets calls at the place of a cell bear it, where none recorded its meter."""
    met = " union all ".join(
        "select empty.pot_id as cell_id, placed.event_id, placed.cost, placed.quantity from empty join placed "
        "on placed.provider = empty.provider "
        + "".join(f"and placed.{part} is not distinct from empty.{part} " for part in parts if part != "meter")
        + f"where empty.level = '{level}'"
        for level, parts in pots.LEVELS.items()
    )
    return f"""
        insert into trued_use
        with placed as (
            select part.event_id, part.cost, part.quantity, {pots.call_place("null")}
            from (
                select period_call.*, event_meter.is_long, {cost} as cost, {quantity} as quantity
                from period_call join event_meter using (event_id) join event using (event_id)
                left join event_cost using (event_id)
                where {calls}
            ) as part
            join side using (provider)
            left join model_name as model on model.provider = part.provider and model.name = part.model
            where {pots.IS_BILLED}
        ),
        empty as (
            from pot semi join trued_cell on trued_cell.cell_id = pot.pot_id
            anti join (select distinct cell_id from trued_use) as met on met.cell_id = pot.pot_id
        ),
        met as ({met})
        select distinct cell_id, event_id, cast(cost as hugeint), cast(quantity as hugeint)
        from met anti join (select event_id from event_bill where billed_period <> $period) as billed using (event_id)
    """


_WEIGHTS = """
    create or replace temp table trued_weight as
    with whole as (
        select cell_id, sum(cost) > 0 as has_cost, sum(quantity) > 0 as has_quantity,
            cast(case when sum(cost) > 0 then sum(cost) when sum(quantity) > 0 then sum(quantity) else count(*) end
                as hugeint) as weight
        from trued_use group by cell_id
    ),
    cut as (
        select cell_id, event_id,
            cast(case when has_cost then cost when has_quantity then quantity else 1 end as hugeint)
                // greatest(1, whole.weight // $largest) as weight
        from trued_use join whole using (cell_id)
    )
    select * from cut where weight > 0
"""


def _shares() -> str:
    """Largest remainder: everyone gets the whole part, and what is missing goes to the largest rests."""
    return f"""
        with sized as (
            select cell_id, event_id, weight, cast(sum(weight) over (partition by cell_id) as hugeint) as whole,
                billed, effective
            from trued_weight join trued_cell using (cell_id)
        ),
        cut as (
            select *, {_floor("billed")} as billed_part, {_rest("billed")} as billed_rest,
                {_floor("effective")} as effective_part, {_rest("effective")} as effective_rest
            from sized
        ),
        placed as (
            select *, {_missing("billed")} as billed_missing, {_missing("effective")} as effective_missing,
                {_place("billed")} as billed_place, {_place("effective")} as effective_place
            from cut
        )
        select cell_id, event_id, {_part("billed")} as billed, {_part("effective")} as effective from placed
    """


def _floor(cost: str) -> str:
    return f"(abs({cost}) // whole) * weight + ((abs({cost}) % whole) * weight) // whole"


def _rest(cost: str) -> str:
    return f"((abs({cost}) % whole) * weight) % whole"


def _missing(cost: str) -> str:
    return f"abs({cost}) - sum({cost}_part) over (partition by cell_id)"


def _place(cost: str) -> str:
    return f"row_number() over (partition by cell_id order by {cost}_rest desc, event_id)"


def _part(cost: str) -> str:
    return f"sign({cost}) * cast({cost}_part + ({cost}_place <= {cost}_missing)::integer as hugeint)"


#: Where no bill shows the usage that a balance pays for, the calls' own cost says what was used.
_CALLS_COVERED = """
    create or replace temp table covered_call as
    with billed as (select provider from trued_line union select provider from trued_extra),
    cost as (
        select event_id, provider, date_trunc('day', started_at) as day, coalesce(project_id, '') as project_id,
            cast(coalesce(contracted_cost, list_cost) * 1000000000000 as hugeint) as cost
        from cost_event semi join trued_call_group using (provider) semi join billed using (provider)
        where coalesce(contracted_cost, list_cost) > 0 and started_at is not null
    ),
    running as (
        select event_id, provider, cost, cast(covered as hugeint) as covered, cast(sum(cost) over (
            partition by provider, day, project_id order by event_id rows unbounded preceding
        ) as hugeint) as upto
        from cost join trued_call_group using (provider, day, project_id)
    )
    select event_id, provider, least(covered, upto) - least(covered, upto - cost) as effective from running
"""
_EVENTS = """
    create or replace temp table trued_event as
    with part as (
        select event_id, billed, effective from trued_share
        union all
        select event_id, 0::hugeint, effective from covered_call where effective > 0
    )
    select part.event_id, event.provider,
        cast(sum(part.billed) as hugeint) as billed, cast(sum(part.effective) as hugeint) as effective
    from part join event using (event_id)
    group by all order by part.event_id
"""
