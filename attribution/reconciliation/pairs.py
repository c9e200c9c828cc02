"""Pairs: what the calls used beside what the bill counts, in every cell, and the calendar that fits both best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attribution.ledger import Ledger
from attribution.reconciliation.exact import share
from attribution.reconciliation.pots import PLACE, TOKEN_METER
from attribution.reconciliation.sides import Side

_KEY = ", ".join(PLACE)


def choose_clocks(ledger: Ledger, sides: Sequence[Side], declared: dict[str, str]) -> list[Side]:
    """Return the sides with the clock that the bill follows: a call counts when it begins, or when it ends.

    What the configuration declares goes first. Else both are tried on all tokens that all bills of the provider
    count, whatever the period, so that a call which one month gives away is taken by the next. Where they fit
    equally well, or no call crosses a boundary, a call counts when it begins.
    """
    misfits = {provider: misfit for provider, *misfit in ledger.rows(_MISFITS)}
    chosen = []
    for side in sides:
        started, ended = misfits.get(side.provider, (0, 0))
        clock = declared.get(side.provider) or ("ended_at" if ended < started else "started_at")
        chosen.append(replace(side, clock=clock))
    return chosen


_MISFITS = f"""
    with told as (
        select line.provider, coalesce(name.key, line.model) as model, billed_cost is null as is_usage,
            date_trunc(side.unit, line.period_start) as bucket, sum(quantity) as tokens
        from told_line as line join side using (provider)
        left join model_name as name on name.provider = line.provider and name.name = line.model
        where role <> 'estimate' and quantity is not null and {TOKEN_METER.format("meter")} and side.unit <> 'month'
            and coalesce(line.period_end, line.period_start) - line.period_start <= interval 25 hours
            and charge_class is null
        group by all
    ),
    billed as (
        select provider, model, bucket, tokens from told semi join (
            select provider, is_usage from told group by provider, is_usage
            qualify row_number() over (partition by provider order by sum(tokens) desc, is_usage) = 1
        ) as fuller using (provider, is_usage)
    ),
    call as (
        select event.provider, coalesce(name.key, event.model) as model,
            date_trunc(side.unit, started_at) as started_in,
            date_trunc(side.unit, greatest(coalesce(ended_at, started_at), started_at)) as ended_in,
            sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) as tokens
        from event join side using (provider)
        left join model_name as name on name.provider = event.provider and name.name = event.model
        where started_at is not null and not coalesce(cache_hit, false) and side.unit <> 'month'
            and event.provider in (select provider from billed) and event_id not in (from repeated_call)
        group by all
    ),
    started as (select provider, model, started_in as bucket, sum(tokens) as tokens from call group by all),
    ended as (select provider, model, ended_in as bucket, sum(tokens) as tokens from call group by all),
    misfit as (
        select provider, abs(coalesce(started.tokens, 0) - coalesce(billed.tokens, 0)) as started, 0 as ended
        from started full outer join billed using (provider, model, bucket)
        union all
        select provider, 0, abs(coalesce(ended.tokens, 0) - coalesce(billed.tokens, 0))
        from ended full outer join billed using (provider, model, bucket)
    )
    select provider, sum(started), sum(ended) from misfit group by provider
"""


def write_pairs(ledger: Ledger) -> None:
    """Write `pair`: one row per cell and pot, with calls, quantities and costs of both sides."""
    ledger.run(_REQUESTS)
    ledger.run(_PAIRS)


def shift_buckets(ledger: Ledger) -> None:
    """Move what the bill has one bucket earlier or later, where exactly the same quantity is short and over there."""
    ledger.run(_SHIFTS)
    ledger.run(
        """
        update pair set
            quantity = pair.quantity - shift.quantity, known = known - shift.quantity, cost = pair.cost - shift.cost,
            list = pair.list - shift.list, shifted = -shift.cost
        from bucket_shift as shift where shift.from_id = pair.pair_id
        """
    )
    ledger.run(
        """
        update pair set
            quantity = pair.quantity + shift.quantity, known = known + shift.quantity, cost = pair.cost + shift.cost,
            list = pair.list + shift.list, shifted = shift.cost
        from bucket_shift as shift where shift.to_id = pair.pair_id
        """
    )


#: A report repeats the calls of a record on each of its lines; they count once.
_REQUESTS = f"""
    create or replace temp table request_count as
    with record as (
        select provider, source, file_id, record_no, any_value(bucket) as bucket, any_value(project_id) as project_id,
            any_value(caller) as caller, any_value(region) as region, any_value(service_tier) as service_tier,
            any_value(context_window) as context_window, any_value(model) as model, any_value(requests) as requests
        from usage_place where requests is not null and model is not null and {TOKEN_METER.format("meter")}
        group by provider, source, file_id, record_no
    )
    select provider, bucket, project_id, caller, region, service_tier, context_window, model,
        sum(requests)::hugeint as requests
    from record group by all
"""
_GROUP = ("bucket", "project_id", "caller", "region", "service_tier", "context_window", "model")
_SAME_GROUP = " and ".join(f"{{0}}.{part} is not distinct from cell.{part}" for part in _GROUP)
_PAIRS = f"""
    create or replace temp table pair as
    with called as (
        select provider, {_KEY}, sum(quantity) as quantity, sum(known) as known, sum(list) as list, sum(cost) as cost
        from call_place group by all
    ),
    reported as (
        select provider, {_KEY}, sum(quantity) as quantity from usage_place group by all
    ),
    requested as (
        select provider, {_KEY}, sum(quantity) as quantity from bill_place where level = 'request' group by all
    ),
    counted as (
        select provider, {", ".join(p for p in PLACE if p != "meter")}, sum(calls) as calls,
            sum(unmetered) as unmetered
        from call_count group by all
        union all
        select provider, request_id, bucket, project_id, caller, region, null, null, null, sum(calls), sum(unmetered)
        from call_count group by all
    ),
    met as (
        select cell.*, pot.level, coalesce(called.quantity, 0) as quantity, coalesce(called.known, 0) as known,
            coalesce(called.list, 0) as list, coalesce(called.cost, 0) as cost,
            case when pot.level = 'request' then requested.quantity when side.quantity_from = 'usage report'
                or not coalesce({TOKEN_METER.format("cell.meter")}, true) then reported.quantity end as reported,
            coalesce(counted.calls, 0) as calls, coalesce(counted.unmetered, 0) as unmetered,
            requests.requests,
            case when pot.level in ('meter', 'period_meter') then pot.pot_id else -cell.cell_no end as pair_key
        from cell
        join side using (provider)
        left join pot using (pot_id)
        left join called on called.provider = cell.provider
            and {" and ".join(f"called.{p} is not distinct from cell.{p}" for p in PLACE)}
        left join reported on reported.provider = cell.provider
            and {" and ".join(f"reported.{p} is not distinct from cell.{p}" for p in PLACE)}
        left join requested on requested.provider = cell.provider
            and {" and ".join(f"requested.{p} is not distinct from cell.{p}" for p in PLACE)}
        left join counted on counted.provider = cell.provider
            and counted.request_id is not distinct from cell.request_id and {_SAME_GROUP.format("counted")}
        left join request_count as requests on requests.provider = cell.provider and cell.request_id is null
            and {_SAME_GROUP.format("requests")}
    ),
    joined as (
        select provider, pair_key, any_value(pot_id) as pot_id, any_value(level) as level,
            {", ".join(f"case when count(distinct {p}) = 1 then min({p}) end as {p}" for p in PLACE)},
            sum(quantity)::hugeint as quantity, sum(known)::hugeint as known, sum(list)::hugeint as list,
            sum(cost)::hugeint as cost, sum(reported)::hugeint as reported, sum(calls)::hugeint as calls,
            sum(unmetered)::hugeint as unmetered,
            case when count(requests) = count(*) then sum(requests)::hugeint end as requests
        from met group by provider, pair_key
        union all
        select provider, pot_id, pot_id, level, {_KEY}, 0, 0, 0, 0, null, 0, 0, null
        from pot anti join cell using (pot_id)
    )
    select row_number() over (order by joined.provider, {", ".join(f"joined.{p}" for p in PLACE)}, pair_key) as pair_id,
        joined.*, pot.billed, pot.lines, 0::hugeint as shifted,
        case when joined.level in ('meter', 'period_meter') then coalesce(pot.quantity, joined.reported)
            else joined.reported end as billed_quantity
    from joined left join pot using (pot_id)
"""

#: Both sides of a move must fit exactly, and a cell takes part in one move only: nothing is guessed.
_SHIFTS = f"""
    create or replace temp table bucket_shift as
    with gap as (
        select pair.pair_id, pair.provider, {", ".join(f"pair.{p}" for p in PLACE)}, pair.quantity, pair.known,
            pair.cost, pair.list, pair.quantity - coalesce(pair.billed_quantity, 0) as over,
            case side.unit when 'day' then interval 1 day when 'hour' then interval 1 hour end as step
        from pair join side using (provider)
        where side.unit in ('day', 'hour') and pair.quantity = pair.known and pair.request_id is null
            and pair.bucket is not null and pair.quantity <> coalesce(pair.billed_quantity, 0)
            and (pair.billed_quantity is not null or pair.pot_id is null)
    ),
    near as (
        select giver.pair_id as from_id, taker.pair_id as to_id, giver.over as quantity,
            {share("giver.cost", "giver.over", "giver.known")} as cost,
            {share("giver.list", "giver.over", "giver.known")} as list,
            taker.bucket < giver.bucket as is_back
        from gap as giver join gap as taker
            on giver.provider = taker.provider and giver.over > 0 and taker.over = -giver.over
            and (taker.bucket = giver.bucket + giver.step or taker.bucket = giver.bucket - giver.step)
            and {" and ".join(f"taker.{p} is not distinct from giver.{p}" for p in PLACE if p not in ("bucket",))}
        where giver.known > 0
    ),
    given as (select * from near qualify row_number() over (partition by from_id order by is_back) = 1)
    select * from given qualify row_number() over (partition by to_id order by is_back, from_id) = 1
    order by from_id
"""
