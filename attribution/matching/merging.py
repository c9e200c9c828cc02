"""What a call is: its records merged field by field, and its place among the attempts of one operation."""

from __future__ import annotations

from attribution import schema
from attribution.ledger import Ledger, column_list

#: Made here, not taken from a record.
_DERIVED = {"event_id", "request_id", "call_id", "attempt_no", "attempt_role", "observations", "sources"}
#: Needed to tell attempts from calls, and on no event.
_OPERATION = ("operation_key", "parent_span_id")


def write_events(ledger: Ledger) -> None:
    """Write `event` anew from the records that `event_observation` puts together."""
    _merge_records(ledger)
    ledger.run(_RETRIED)
    ledger.run(_LINKED)
    _write_attempts(ledger)
    for name in ("merged", "retried", "linked"):
        ledger.run(f"drop table {name}")


def _merge_records(ledger: Ledger) -> None:
    """Merge field by field: the best record that knows a field gives it; usage comes whole from the first.

    A column that no record fills stays out of the joins, and most sources fill only a third of them.
    """
    taken = [c for c in schema.table("cost_event").of_step("match").columns if c.name not in _DERIVED]
    filled = _filled(ledger, [c.name for c in taken] + list(_OPERATION))
    whole = [c.name for c in taken if c.name in filled and _is_usage(c.name)]
    known = [c.name for c in taken if c.name in filled and c.name not in {*whole, "status", "usage_flags"}]
    known += _OPERATION
    empty = [c for c in taken if c.name not in {*filled, "status", "usage_flags"}]
    ledger.run(
        f"""
        create or replace temp table merged as
        with record as (
            select event_id, rank, source, status, usage_flags, {column_list(whole + known)} from event_record
        ),
        one as (select * from record where rank = 1),
        two as (select * exclude (rank) from record where rank = 2),
        more as (
            select event_id, {", ".join(f'arg_min("{n}", rank) as "{n}"' for n in known)},
                bool_or(status = 'ok') as is_ok, arg_min(status, rank) as status,
                arg_min(usage_flags, rank) filter (where len(usage_flags) > 0) as usage_flags,
                count(*) as records, list(distinct source) as sources
            from record where rank > 2 group by event_id
        )
        select one.event_id, {", ".join(f'one."{n}"' for n in whole)},
            {", ".join(f'coalesce(one."{n}", two."{n}", more."{n}") as "{n}"' for n in known)},
            {"".join(f'cast(null as {c.type}) as "{c.name}", ' for c in empty)}
            {_STATUS} as status,
            coalesce(nullif(one.usage_flags, []), nullif(two.usage_flags, []), more.usage_flags) as usage_flags,
            1 + (two.event_id is not null)::integer + coalesce(more.records, 0) as observations,
            1 + coalesce(two.source <> one.source, false)::integer + coalesce(len(list_filter(
                more.sources, lambda s: s <> one.source and s is distinct from two.source)), 0) as sources
        from one left join two using (event_id) left join more using (event_id)
        """
    )


def _is_usage(name: str) -> bool:
    return name.endswith("_tokens") or name in ("other_usage", "is_metered")


def _filled(ledger: Ledger, names: list[str]) -> set[str]:
    """Return the columns that at least one record fills."""
    counts = ledger.rows(f"select {', '.join(f'count({name})' for name in names)} from observation")[0]
    return {name for name, count in zip(names, counts, strict=True) if count} | {"is_metered"}


#: One failed record of a call that another saw succeed is a lost answer, not a failed call.
_STATUS = """
    case when one.status = 'ok' or two.status = 'ok' or more.is_ok then 'ok'
         else coalesce(one.status, two.status, more.status) end
"""


def _write_attempts(ledger: Ledger) -> None:
    """Write the events with the call and the request they belong to, and their place among its attempts.

    Only calls of several events are numbered; an event alone is the primary attempt of its call.
    """
    ledger.run(
        f"""
        create or replace table event as
        with called as (
            select event_id, coalesce('operation:' || operation_key, retried.call_id) as call_id,
                coalesce(requested_model, model) as model, started_at, status
            from merged left join retried using (event_id)
            where operation_key is not null or retried.call_id is not null
        ),
        several as (select call_id from called group by call_id having count(*) > 1),
        numbered as (
            select event_id, row_number() over attempts as attempt_no,
                model is not distinct from first_value(model) over attempts as is_primary_model
            from called semi join several using (call_id)
            window attempts as (
                partition by call_id order by started_at nulls last, status <> 'error', event_id
            )
        )
        select {column_list(schema.table("cost_event").of_step("match").names)} from (
            select placed.*, coalesce(linked.request_id, placed.trace_id, placed.call_id) as request_id,
                coalesce(numbered.attempt_no, 1) as attempt_no,
                case when coalesce(numbered.attempt_no, 1) = 1 then 'primary'
                     when is_primary_model then 'retry' else 'fallback' end as attempt_role
            from (
                select merged.*, coalesce(
                    'operation:' || operation_key, retried.call_id, cast(event_id as varchar)) as call_id
                from merged left join retried using (event_id)
            ) as placed
            left join numbered using (event_id) left join linked on linked.trace_id = placed.trace_id
        )
        """
    )


#: What a source says belongs together is one call. Without that, a failed span followed by a sibling that asks the
#: same model again is a retry; nothing else is assumed.
_RETRIED = """
    create or replace temp table retried as
    with sibling as (
        select event_id, trace_id, parent_span_id, coalesce(requested_model, model) as model, operation, status,
            started_at, ended_at
        from merged
        where operation_key is null and trace_id is not null and parent_span_id is not null
    ),
    troubled as (select distinct trace_id, parent_span_id from sibling where status = 'error'),
    ordered as (
        select sibling.*, coalesce(lag(status) over same = 'error' and lag(ended_at) over same <= started_at, false)
            as follows_failure
        from sibling semi join troubled using (trace_id, parent_span_id)
        window same as (partition by trace_id, parent_span_id, model, operation order by started_at, event_id)
    ),
    counted as (
        select *, sum(case when follows_failure then 0 else 1 end) over (
            partition by trace_id, parent_span_id, model, operation
            order by started_at, event_id rows unbounded preceding
        ) as nth
        from ordered
    )
    select event_id, cast(first_value(event_id) over (
            partition by trace_id, parent_span_id, model, operation, nth order by started_at, event_id
        ) as varchar) as call_id
    from counted
"""

#: A trace that links to exactly one other trace continues that request; links are followed to their beginning.
_LINKED = """
    create or replace temp table linked as
    with recursive link as (
        select span.trace_id, min(pointer.link.trace_id) as to_trace
        from span, unnest(span.links) as pointer(link)
        where pointer.link.trace_id <> span.trace_id
        group by span.trace_id having count(distinct pointer.link.trace_id) = 1
    ),
    walk as (
        select trace_id, to_trace, 1 as depth from link
        union all
        select walk.trace_id, link.to_trace, depth + 1
        from walk join link on link.trace_id = walk.to_trace
        where depth < 32 and link.to_trace <> walk.trace_id
    )
    select trace_id, arg_max(to_trace, depth) as request_id from walk group by trace_id
"""
