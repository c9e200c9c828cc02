"""The calls' side: events added up once, by everything that a bill may tell them apart by."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.ledger import Ledger
from attribution.pricing.meters import IMPLIED_METERS, TOKEN_METERS
from attribution.reconciliation.documents import Asked

#: What tells groups of calls apart before names and dimensions are brought together.
RAW = (
    "provider", "model", "service_tier", "region", "project_id", "caller", "request_id", "is_long", "started_in",
    "ended_in",
)  # fmt: skip
#: Meter → the meter it is billed as where the bill knows no such meter.
FOLDS = (
    ("reasoning", "output"),
    ("output_audio", "output"),
    ("output_image", "output"),
    ("cache_read_audio", "cache_read"),
    ("cache_read_image", "cache_read"),
    ("cache_write_1h", "cache_write_5m"),
    ("input_audio", "input"),
    ("input_image", "input"),
    ("input_video", "input"),
)


def tell_calls(ledger: Ledger, asked: Asked) -> None:
    """Write the view `period_call`: calls near the period with their two buckets, and which stand there twice."""
    lo = "least($start, (select min(window_start) from side))"
    hi = "greatest($end, (select max(window_end) from side))"
    bounds = ledger.rows(f"select {lo} - interval 1 day, {hi} + interval 1 day", asked.period.values())[0]
    ledger.run(_REPEATED)
    ledger.run(_BILLED_REQUEST)
    ledger.run(
        _PERIOD_CALL.format(
            first=_literal(bounds[0]), last=_literal(bounds[1]),
            start=_literal(asked.period.start), end=_literal(asked.period.end),
        )
    )  # fmt: skip


def used_meters(ledger: Ledger) -> tuple[str, ...]:
    """Return the meters that any call used; the others need not be added up."""
    counts = ", ".join(f"coalesce(max({meter}_tokens), 0) > 0" for meter in TOKEN_METERS)
    found = ledger.rows(f"select {counts} from event")[0]
    return (*(meter for meter, is_used in zip(TOKEN_METERS, found, strict=True) if is_used), *IMPLIED_METERS)


def add_up_calls(ledger: Ledger, meters: Sequence[str]) -> None:
    """Write `call_part`: one row per group of calls, with the quantity and cost of every meter beside each other."""
    sums = ", ".join(
        f"sum({meter}_quantity)::hugeint as {meter}_quantity, "
        f"(sum({meter}_quantity) filter (where is_costed))::hugeint as {meter}_known, "
        f"(sum({meter}_list) filter (where is_costed))::hugeint as {meter}_list, "
        f"(sum({meter}_cost) filter (where is_costed))::hugeint as {meter}_cost"
        for meter in meters
    )
    ledger.run(
        f"""
        create or replace temp table call_part as
        select {", ".join(RAW)}, in_period, in_window_started, in_window_ended, is_repeated,
            count(*) as calls, count(*) filter (where not is_metered) as unmetered,
            count(*) filter (where is_failed) as failed, {sums}
        from period_call join event_meter using (event_id)
        group by all
        """
    )
    ledger.run(
        f"""
        create or replace temp table other_part as
        select {", ".join(RAW)}, in_period, in_window_started, in_window_ended, is_repeated, meter,
            sum(cast(quantity * 1000000 as hugeint))::hugeint as quantity,
            (sum(cast(quantity * 1000000 as hugeint)) filter (where is_costed))::hugeint as known,
            (sum(list) filter (where is_costed))::hugeint as list, (sum(cost) filter (where is_costed))::hugeint as cost
        from period_call join event_other_meter using (event_id)
        join (select event_id, is_long from event_meter) as band using (event_id)
        group by all
        """
    )


def unfold_calls(ledger: Ledger, meters: Sequence[str]) -> None:
    """Write `call_meter_part`: the groups again, one row a meter, quantities in millionths of a unit."""
    keys = f"{', '.join(RAW)}, in_period, in_window_started, in_window_ended, is_repeated"
    parts = " union all ".join(
        f"select {keys}, '{meter}' as meter, {meter}_quantity * 1000000 as quantity, "
        f"coalesce({meter}_known, 0) * 1000000 as known, coalesce({meter}_list, 0) as list, "
        f"coalesce({meter}_cost, 0) as cost from call_part "
        f"where {meter}_quantity <> 0 or coalesce({meter}_cost, 0) <> 0"
        for meter in meters
    )
    ledger.run(
        f"""
        create or replace temp table call_meter_part as
        {parts}
        union all
        select {keys}, meter, quantity, coalesce(known, 0), coalesce(list, 0), coalesce(cost, 0) from other_part
        """
    )


def _literal(value: object) -> str:
    return f"timestamp '{value}'"


#: The same answer or provider request again: one counts, the others are duplicates. Two different answers never are.
_REPEATED = """
    create or replace temp table repeated_call as
    with answered as (
        select provider, response_id from event where response_id is not null group by all having count(*) > 1
    ),
    requested as (
        select provider, provider_request_id from event where provider_request_id is not null
        group by all having count(*) > 1 and count(*) filter (where response_id is null) > 0
    )
    select event_id from (
        select event_id, row_number() over (partition by provider, response_id order by event_id) as place
        from event semi join answered using (provider, response_id)
    ) where place > 1
    union
    select event_id from (
        select event_id, response_id, row_number() over (
            partition by provider, provider_request_id order by response_id is null, event_id
        ) as place
        from event semi join requested using (provider, provider_request_id)
    ) where place > 1 and response_id is null
"""
#: Calls that the bill names one by one, by whichever id both know.
_BILLED_REQUEST = """
    create or replace temp table billed_request as
    with named as (
        select distinct provider, request_id from cell_line where request_id is not null and cause = 'usage'
    ),
    met as (
        select named.request_id, event.event_id, 1 as place from named
        join event on event.provider = named.provider and event.response_id = named.request_id
        union all
        select named.request_id, event.event_id, 2 from named
        join event on event.provider = named.provider and event.provider_request_id = named.request_id
        union all
        select named.request_id, event.event_id, 3 from named
        join event on event.provider = named.provider and event.gateway_call_id = named.request_id
    )
    select event_id, request_id from met
    qualify row_number() over (partition by event_id order by place, request_id) = 1
"""
_PERIOD_CALL = """
    create or replace temp view period_call as
    select event.event_id, event.provider, coalesce(event.model, '') as model,
        coalesce(event.service_tier, 'standard') as service_tier, event.region, event.project_id,
        event.api_key_id as caller, billed_request.request_id, event.is_metered,
        coalesce(event.status = 'error', false) and not event.is_metered as is_failed,
        case side.unit when 'month' then {start} when 'day' then date_trunc('day', event.started_at)
            when 'hour' then date_trunc('hour', event.started_at) else date_trunc('minute', event.started_at) end
            as started_in,
        case side.unit when 'month' then {start} when 'day' then date_trunc('day', ended.at)
            when 'hour' then date_trunc('hour', ended.at) else date_trunc('minute', ended.at) end as ended_in,
        event.started_at >= {start} and event.started_at < {end} as in_period,
        event.started_at >= side.window_start and event.started_at < side.window_end as in_window_started,
        ended.at >= side.window_start and ended.at < side.window_end as in_window_ended,
        event.event_id in (from repeated_call) as is_repeated,
        event_cost.contracted_cost is not null as is_costed
    from event
    join side on side.provider = event.provider
    cross join lateral (select greatest(coalesce(event.ended_at, event.started_at), event.started_at) as at) as ended
    left join event_cost on event_cost.event_id = event.event_id
    left join billed_request on billed_request.event_id = event.event_id
    where event.started_at >= {first} and event.started_at < {last} and not coalesce(event.cache_hit, false)
"""
