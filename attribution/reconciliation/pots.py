"""Cells: calls, quantities and money of one bucket, model and meter meet; money that knows less takes what is left."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from attribution.ledger import Ledger
from attribution.reconciliation.calls import FOLDS
from attribution.reconciliation.names import Named

#: How near bill and calls meet, nearest first: level → the parts of a cell that its money knows.
LEVELS = {
    "request": ("request_id",),
    "meter": ("bucket", "project_id", "caller", "region", "service_tier", "context_window", "model", "meter"),
    "model": ("bucket", "project_id", "caller", "region", "service_tier", "context_window", "model"),
    "bucket": ("bucket", "project_id", "caller", "region"),
    "period_meter": ("service_tier", "context_window", "model", "meter"),
    "period_model": ("service_tier", "context_window", "model"),
    "provider": (),
}
#: SQL that tells a token meter from a tool.
TOKEN_METER = "regexp_matches({0}, '^(input|output|cache_read|cache_write|reasoning)')"
PLACE = (
    "request_id", "bucket", "project_id", "caller", "region", "service_tier", "context_window", "model", "meter",
)  # fmt: skip


def write_names(ledger: Ledger, names: Iterable[Named]) -> None:
    """Write `model_name`: what each provider's model names stand for."""
    rows = [{"provider": n.provider, "name": n.name, "key": n.key, "book_model": n.book_model} for n in names]
    schema = pa.schema([(name, pa.string()) for name in ("provider", "name", "key", "book_model")])
    with ledger.reading(name_rows=pa.Table.from_pylist(rows, schema=schema)):
        ledger.run("create or replace temp table model_name as select * from name_rows order by all")
    ledger.run(
        """
        create or replace temp table model_label as
        select provider, key, coalesce(min(book_model), min(name)) as label from model_name group by all
        """
    )


def place_lines(ledger: Ledger) -> None:
    """Write `bill_place` and `usage_place`: where each line of money, and each reported quantity, belongs."""
    ledger.run(f"create or replace temp table bill_place as {_placed('cell_line', _LEVEL)}")
    ledger.run(f"create or replace temp table usage_place as {_placed('usage_line', _NO_LEVEL)}")


def place_calls(ledger: Ledger) -> None:
    """Write `call_place` and `call_count`: the groups of calls under the names and buckets of the bill."""
    ledger.run(_TOLD_METER)
    ledger.run(
        f"""
        create or replace temp table call_place as
        select {call_place(FOLDED)}, sum(quantity)::hugeint as quantity, sum(known)::hugeint as known,
            sum(list)::hugeint as list, sum(cost)::hugeint as cost
        from call_meter_part as part join side using (provider)
        left join model_name as model on model.provider = part.provider and model.name = part.model
        where {IS_BILLED}
        group by all
        """
    )
    ledger.run(
        f"""
        create or replace temp table call_count as
        select {call_place("null")}, sum(calls - failed)::hugeint as calls,
            sum(unmetered - failed)::hugeint as unmetered
        from call_part as part join side using (provider)
        left join model_name as model on model.provider = part.provider and model.name = part.model
        where {IS_BILLED}
        group by all
        """
    )


_TOLD_METER = """
    create or replace temp table told_meter as
    select distinct provider, meter from bill_place where meter is not null
    union select distinct provider, meter from usage_place where meter is not null
    order by all
"""
_FOLDS = " ".join(
    f"when part.meter = '{meter}' and side.is_itemized and (part.provider, '{meter}') not in (from told_meter) "
    f"then '{other}'"
    for meter, other in FOLDS
)
#: The meter a call's usage is billed as: audio is input where the bill has no meter of audio.
FOLDED = f"case {_FOLDS} else part.meter end"

#: Calls that the provider puts into the period, each once, by its own calendar.
IS_BILLED = """
    not is_repeated and case when side.clock = 'ended_at' then in_window_ended else in_window_started end
"""


def call_place(meter: str) -> str:
    """Return the columns of a cell for a group of calls; what the bill does not carry is null."""
    return f"""
        part.provider, case when side.clock = 'ended_at' then ended_in else started_in end as bucket,
        case when side.has_project_id then part.project_id end as project_id,
        case when side.has_caller then part.caller end as caller,
        case when side.has_region then part.region end as region,
        case when side.has_service_tier and {_knows_model(meter)} then part.service_tier end as service_tier,
        case when side.has_context_window and part.is_long and {_knows_model(meter)} then 'long' end
            as context_window,
        case when side.has_model and {_knows_model(meter)} then coalesce(model.key, '') end as model,
        case when side.has_meter then {meter} end as meter,
        part.request_id
    """


def _knows_model(meter: str) -> str:
    """Tools are billed whichever model calls them."""
    return f"coalesce({TOKEN_METER.format(meter)}, true)"


def _placed(table: str, level: str) -> str:
    """Return lines with the columns of a cell and their level; the line's own time gives its bucket."""
    return f"""
        select line.* exclude (model, meter, region, project_id, caller, service_tier, context_window, request_id),
            case side.unit when 'month' then side.period_start
                when 'day' then date_trunc('day', line.period_start)
                when 'hour' then date_trunc('hour', line.period_start)
                else date_trunc('minute', line.period_start) end as bucket,
            case when side.has_project_id then line.project_id end as project_id,
            case when side.has_caller then line.caller end as caller,
            case when side.has_region then line.region end as region,
            case when side.has_service_tier and {_knows_model("line.meter")}
                then coalesce(line.service_tier, 'standard') end as service_tier,
            case when side.has_context_window and {_knows_model("line.meter")}
                and line.context_window in ('long', '200k-1M') then 'long' end as context_window,
            case when side.has_model and {_knows_model("line.meter")} then model.key end as model,
            case when side.has_meter then line.meter end as meter,
            {level} as level,
            case when {level} = 'request' then line.request_id end as request_id
        from {table} as line join side using (provider)
        left join model_name as model on model.provider = line.provider and model.name = line.model
        where line.cause = 'usage'
    """


#: A line that names a tool without a model is as near as one that names both.
_LEVEL = f"""
    case
        when line.request_id in (select request_id from billed_request) then 'request'
        when line.meter is not null and (model.key is not null or not {_knows_model("line.meter")}) and side.has_meter
            then case when line.is_wide and side.unit <> 'month' then 'period_meter' else 'meter' end
        when model.key is not null and side.has_model
            then case when line.is_wide and side.unit <> 'month' then 'period_model' else 'model' end
        when line.is_wide and side.unit <> 'month' then 'provider'
        else 'bucket'
    end
"""
_NO_LEVEL = "cast(null as varchar)"


def write_cells(ledger: Ledger) -> None:
    """Write `pot`, one row per piece of money, and `cell`, where calls and quantities meet the pot they belong to."""
    for statement in (_KEYS, _POTS, _NUMBER_LINES):
        ledger.run(statement)
    joins = "\n".join(_level_join(level, parts) for level, parts in LEVELS.items())
    nearest = ", ".join(f"{level}_pot.pot_id" for level in LEVELS if level != "request")
    ledger.run(
        f"""
        create or replace temp table cell as
        with place as (
            select provider, {", ".join(PLACE)} from call_place
            union select provider, {", ".join(PLACE)} from usage_place
                where not {_knows_model("meter")}
                    or provider in (select provider from side where quantity_from = 'usage report')
            union select provider, {", ".join(PLACE)} from bill_place
                where level in ('meter', 'request')
        )
        select place.*,
            case when place.request_id is null then coalesce({nearest}) else request_pot.pot_id end as pot_id,
            row_number() over (order by place.provider, {", ".join("place." + p for p in PLACE)}) as cell_no
        from place {joins}
        """
    )


def _level_join(level: str, parts: tuple[str, ...]) -> str:
    """Return the join with the pots of one level; they are picked out first, so that few rows meet."""
    same = "".join(f" and {level}_pot.{part} is not distinct from place.{part}" for part in parts)
    return (
        f"left join (select * from pot where level = '{level}') as {level}_pot "
        f"on {level}_pot.provider = place.provider{same}"
    )


#: What a line's money knows of its place; what it does not know is null, so that equal pieces come together.
_KEYS = """
    create or replace temp table line_key as
    select bill_line_id, provider, level, request_id,
        case when level in ('meter', 'model', 'bucket') then bucket end as bucket,
        case when level in ('meter', 'model', 'bucket') then project_id end as project_id,
        case when level in ('meter', 'model', 'bucket') then caller end as caller,
        case when level in ('meter', 'model', 'bucket') then region end as region,
        case when level not in ('bucket', 'provider', 'request') then service_tier end as service_tier,
        case when level not in ('bucket', 'provider', 'request') then context_window end as context_window,
        case when level not in ('bucket', 'provider', 'request') then model end as model,
        case when level in ('meter', 'period_meter') then meter end as meter,
        billed, effective, list, contracted, quantity
    from bill_place
"""
_POTS = f"""
    create or replace temp table pot as
    select row_number() over (order by provider, level, {", ".join(PLACE)}) as pot_id, *
    from (
        select provider, level, {", ".join(PLACE)},
            sum(billed)::hugeint as billed, sum(effective)::hugeint as effective, count(*) as lines,
            case when count(list) = count(*) then sum(list)::hugeint end as list,
            case when count(contracted) = count(*) then sum(contracted)::hugeint end as contracted,
            case when count(quantity) = count(*) then sum(quantity)::hugeint end as quantity
        from line_key group by all
    )
"""
_NUMBER_LINES = f"""
    update cell_line set cell_id = numbered.pot_id
    from (
        select line_key.bill_line_id, pot.pot_id from line_key join pot
            on pot.provider = line_key.provider and pot.level = line_key.level
            and {" and ".join(f"pot.{part} is not distinct from line_key.{part}" for part in PLACE)}
    ) as numbered
    where numbered.bill_line_id = cell_line.bill_line_id
"""
