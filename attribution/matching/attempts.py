"""Which events are attempts of one call: what a source says belongs together, else a failed span asked again."""

from __future__ import annotations

from attribution.ledger import Ledger
from attribution.matching import merging

_FIELDS = (
    "trace_id",
    "parent_span_id",
    "operation_key",
    "model",
    "requested_model",
    "operation",
    "started_at",
    "ended_at",
)


def number_attempts(ledger: Ledger) -> None:
    """Write `attempt(event_id, call_id, attempt_no, attempt_role)` for events that may share a call with another.

    Most events are the only attempt of their call; only those are merged here whose operation is seen twice, or in
    whose trace something failed.
    """
    ledger.run(_COMPANIONS)
    ledger.run("create or replace temp view companion_record as from event_record semi join companion using (event_id)")
    ledger.run(
        f"create or replace temp table sibling as with {merging.merged(_FIELDS, of='companion_record')} from merged"
    )
    ledger.run(_RETRIED)
    ledger.run(_ATTEMPTS)
    ledger.run("drop view companion_record")
    for name in ("companion", "sibling", "retried"):
        ledger.run(f"drop table {name}")


_COMPANIONS = """
    create or replace temp table companion as
    with repeated as (
        select operation_key from observation where operation_key is not null
        group by operation_key having count(*) > 1
    ),
    seen as (
        select event_id, operation_key from event_observation
        join (select observation_id, operation_key from observation semi join repeated using (operation_key))
            using (observation_id)
    ),
    shared as (select operation_key from seen group by operation_key having min(event_id) <> max(event_id)),
    failed as (
        select event_id from event_observation
        semi join (select observation_id from observation where status = 'error') using (observation_id)
    ),
    troubled as (
        select distinct trace_id from observation
        semi join (select observation_id from event_observation semi join failed using (event_id))
            using (observation_id)
        where trace_id is not null
    )
    select event_id from seen semi join shared using (operation_key)
    union
    select event_id from event_observation
    semi join (select observation_id from observation semi join troubled using (trace_id)) using (observation_id)
"""

#: What a source says belongs together is one call. Without that, a failed span followed by a sibling that asks the
#: same model again is a retry; nothing else is assumed.
_RETRIED = """
    create or replace temp table retried as
    with child as (
        select * replace (coalesce(requested_model, model) as model) from sibling
        where operation_key is null and trace_id is not null and parent_span_id is not null
    ),
    troubled as (select distinct trace_id, parent_span_id from child where status = 'error'),
    ordered as (
        select child.*, coalesce(lag(status) over same = 'error' and lag(ended_at) over same <= started_at, false)
            as follows_failure
        from child semi join troubled using (trace_id, parent_span_id)
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

#: Where only the trace joins attempts it may be the session of a caller, which asks more than once: an answer ends a
#: call, and what fails after it begins the next.
_ATTEMPTS = """
    create or replace temp table attempt as
    with followed as (
        select *, case when operation_key = trace_id then count(*) filter (where status <> 'error') over earlier else 0
            end as answers
        from sibling
        window earlier as (
            partition by operation_key order by started_at nulls last, status <> 'error', event_id
            rows between unbounded preceding and 1 preceding
        )
    ),
    called as (
        select event_id, coalesce(
                'operation:' || operation_key || case when answers > 0 then '#' || (answers + 1) else '' end,
                retried.call_id
            ) as call_id,
            coalesce(requested_model, model) as model, started_at, status
        from followed left join retried using (event_id)
        where operation_key is not null or retried.call_id is not null
    ),
    numbered as (
        select event_id, call_id, row_number() over attempts as attempt_no,
            model is not distinct from first_value(model) over attempts as is_primary_model
        from called
        window attempts as (partition by call_id order by started_at nulls last, status <> 'error', event_id)
    )
    select event_id, call_id, attempt_no,
        case when attempt_no = 1 then 'primary' when is_primary_model then 'retry' else 'fallback' end as attempt_role
    from numbered
"""
