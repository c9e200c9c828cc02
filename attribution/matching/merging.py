"""What a call is: its records merged field by field, the best record that knows a field giving it."""

from __future__ import annotations

from collections.abc import Sequence

from attribution import schema
from attribution.ledger import Ledger, column_list
from attribution.matching import attempts

#: Made here, not taken from a record.
_DERIVED = ("event_id", "request_id", "call_id", "attempt_no", "attempt_role", "observations", "sources")


def write_events(ledger: Ledger) -> None:
    """Write `event` anew from the records that `event_observation` puts together.

    A column that no record fills stays out of the joins; most sources fill only a third of them.
    """
    attempts.number_attempts(ledger)
    ledger.run(_LINKED)
    columns = schema.table("cost_event").of_step("match").columns
    taken = [c for c in columns if c.name not in _DERIVED]
    filled = _filled(ledger, [c.name for c in taken])
    empty = [c for c in taken if c.name not in filled]
    ledger.run(
        f"""
        create or replace table event as
        with {merged([*(c.name for c in taken if c.name in filled), "operation_key"])},
        called as (
            select merged.*, {"".join(f'cast(null as {c.type}) as "{c.name}", ' for c in empty)}
                coalesce(attempt.call_id, 'operation:' || operation_key, cast(merged.event_id as varchar)) as call_id,
                coalesce(attempt.attempt_no, 1) as attempt_no, coalesce(attempt.attempt_role, 'primary')
                    as attempt_role
            from merged left join attempt using (event_id)
        )
        select {column_list([c.name for c in columns])} from (
            select called.*, coalesce(linked.request_id, called.trace_id, call_id) as request_id
            from called left join linked on linked.trace_id = called.trace_id
        )
        """
    )
    ledger.run("drop table attempt")
    ledger.run("drop table linked")


def _filled(ledger: Ledger, names: Sequence[str]) -> set[str]:
    """Return the columns that at least one record fills, with those that no statement can do without."""
    counted = ", ".join(f"count({'nullif(usage_flags, [])' if name == 'usage_flags' else name})" for name in names)
    counts = ledger.rows(f"select {counted} from observation")[0]
    return {name for name, count in zip(names, counts, strict=True) if count} | {"is_metered", "status", "trace_id"}


def merged(names: Sequence[str], of: str = "event_record") -> str:
    """Return the common table expressions that end in `merged`: these fields of every event of a view of records.

    Usage comes whole from the record that speaks for the call, every other field from the best record that has it.
    The first three records are put beside each other; those of a call with more are rolled up.
    """
    whole = [name for name in names if _is_usage(name)]
    known = [name for name in names if name not in {*whole, "status", "usage_flags"}]
    flags = "usage_flags" in names
    beside = column_list([*known, "source", "status", *(["usage_flags"] if flags else [])])
    return f"""
        one as (select event_id, {"".join(f'"{n}", ' for n in whole)} {beside} from {of} where rank = 1),
        two as (select event_id, {beside} from {of} where rank = 2),
        three as (select event_id, {beside} from {of} where rank = 3),
        more as (
            select event_id, {", ".join(f'arg_min("{n}", rank) as "{n}"' for n in known)},
                bool_or(status = 'ok') as is_ok, arg_min(status, rank) as status,
                {"arg_min(usage_flags, rank) filter (where len(usage_flags) > 0) as usage_flags," if flags else ""}
                count(*) as records, list(distinct source) as sources
            from {of} where rank > 3 group by event_id
        ),
        merged as (
            select one.event_id, {"".join(f'one."{n}", ' for n in whole)}
                {", ".join(f'coalesce(one."{n}", two."{n}", three."{n}", more."{n}") as "{n}"' for n in known)},
                {_FLAGS if flags else ""} {_STATUS}, {_COUNTS}
            from one
            left join two using (event_id) left join three using (event_id) left join more using (event_id)
        )
    """


def _is_usage(name: str) -> bool:
    return name.endswith("_tokens") or name in ("other_usage", "is_metered")


#: One failed record of a call that another saw succeed is a lost answer, not a failed call.
_STATUS = """
    case when one.status = 'ok' or two.status = 'ok' or three.status = 'ok' or more.is_ok then 'ok'
         else coalesce(one.status, two.status, three.status, more.status) end as status
"""
_FLAGS = """
    coalesce(nullif(one.usage_flags, []), nullif(two.usage_flags, []), nullif(three.usage_flags, []),
        more.usage_flags) as usage_flags,
"""
_COUNTS = """
    1 + (two.event_id is not null)::integer + (three.event_id is not null)::integer + coalesce(more.records, 0)
        as observations,
    1 + coalesce(two.source <> one.source, false)::integer
        + coalesce(three.source <> one.source and three.source <> two.source, false)::integer
        + coalesce(len(list_filter(more.sources, lambda s: s not in (one.source, two.source, three.source))), 0)
        as sources
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
