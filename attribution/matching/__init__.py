"""Match: observations of one provider call become one cost event, joined by shared ids and never by guess.

The provider's response id is strongest. Observations without one join on the id their exports share (a gateway's
record, the provider's request id, a span); a span above another span of the same call joins it. Two observations
with different response ids never merge, and everything without a shared id is a call of its own.
"""

from __future__ import annotations

from attribution import schema
from attribution.ledger import Ledger, column_list
from attribution.matching import repeats

#: Weaker keys, strongest first; each is an id that names one attempt, never a whole operation.
_WEAK_KEYS = {
    "provider_request": "provider_request_id",
    "record": "record_id",
    "span": "trace_id || '/' || span_id",
}
#: Usage is believed in this order.
_AUTHORITY = "case role when 'provider_log' then 0 when 'gateway_log' then 1 when 'client_span' then 2 else 3 end"


def match(ledger: Ledger) -> None:
    """Write `event` and `event_observation` anew from all observations and spans.

    Every observation ends in exactly one event. The result does not depend on the order in which files came.

    Parameters
    ----------
    ledger
        A ledger with loaded observations and spans.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.open_ledger()
    >>> at.match(ledger)
    >>> ledger.sql("select count(*) as events from event")["events"].item()
    0
    """
    with ledger.transaction():
        _key_by_response(ledger)
        _adopt_by_weak_keys(ledger)
        repeats.join_spans_above(ledger)
        ledger.run("create or replace temp table former as select event_id, observation_id from event_observation")
        _write_event_observations(ledger)
        _keep_former_ids(ledger)
        _merge_records(ledger)
        _write_events(ledger)
        _note_usage_conflicts(ledger)
        _note_retold_traces(ledger)
        for name in ("keyed", "former", "merged", "retried", "linked", "candidate", "candidate_above", "repeated"):
            ledger.run(f"drop table if exists {name}")


def _key_by_response(ledger: Ledger) -> None:
    """Give every observation its group: the response id, or for now its own id."""
    ledger.run(
        """
        create or replace temp table keyed as
        select observation_id, role, trace_id, span_id, record_id, provider_request_id,
            case when response_id is not null then 'response:' || response_id
                 else 'observation:' || cast(observation_id as varchar) end as group_key,
            case when response_id is not null then 'response_id' else 'itself' end as joined_by,
            response_id is not null as is_answered
        from observation
        """
    )


def _adopt_by_weak_keys(ledger: Ledger) -> None:
    """Go round the weaker keys until nothing moves: a chain of shared ids ends in the one call it leads to."""
    before = None
    while (
        state := ledger.value("select sum(hash(cast(observation_id as varchar) || group_key)) from keyed")
    ) != before:
        before = state
        for joined_by, key in _WEAK_KEYS.items():
            _adopt_by_weak_key(ledger, joined_by, key)


def _adopt_by_weak_key(ledger: Ledger, joined_by: str, key: str) -> None:
    """Let observations without a response id join the one group that shares this key.

    A key that leads to two different response ids names no single call, so nothing joins by it; and what already
    joined a response by a stronger key stays there.
    """
    if not ledger.value(f"select count(*) from keyed where not is_answered and ({key}) is not null"):
        return
    ledger.run(
        f"""
        create or replace temp table keyed as
        with named as (select *, {key} as weak_key from keyed),
        needing as (select distinct weak_key from named where not is_answered and weak_key is not null),
        leader as (
            select weak_key, bool_or(is_answered) as is_answer, coalesce(
                    min(group_key) filter (where is_answered),
                    min(group_key) filter (where joined_by <> 'itself'),
                    $joined_by || ':' || weak_key
                ) as leader_key
            from named semi join needing using (weak_key)
            group by weak_key having count(distinct group_key) filter (where is_answered) <= 1
        )
        select named.* exclude (weak_key) replace (
            coalesce(leader_key, group_key) as group_key,
            case when leader_key is not null and joined_by = 'itself' then $joined_by else joined_by end as joined_by,
            is_answered or coalesce(is_answer, false) as is_answered
        )
        from named left join leader on not named.is_answered and leader.weak_key = named.weak_key
        """,
        {"joined_by": joined_by},
    )


def _write_event_observations(ledger: Ledger) -> None:
    """Order the records of each event by authority on usage; the first speaks for the call."""
    ledger.run("delete from event_observation")
    ledger.run(
        f"""
        insert into event_observation (event_id, observation_id, joined_by, rank)
        select cast(md5(group_key) as uuid), observation_id, joined_by, row_number() over (
            partition by group_key
            order by not is_metered, joined_by = 'parent_span', {_AUTHORITY}, observation_id
        )
        from keyed join (select observation_id, is_metered from observation) using (observation_id)
        """
    )


def _keep_former_ids(ledger: Ledger) -> None:
    """Note what events are called now whose records a later file merged or split, so that notes still find them."""
    ledger.run(
        """
        create or replace temp table renamed as
        with present as (select distinct event_id from event_observation),
        gone as (
            select former.event_id as old_event_id, min(event_observation.event_id) as event_id
            from former anti join present using (event_id)
            join event_observation using (observation_id)
            group by former.event_id
        )
        select old_event_id, event_id from gone
        union all
        select event_alias.old_event_id, gone.event_id
        from event_alias join gone on gone.old_event_id = event_alias.event_id
        """
    )
    ledger.run("delete from event_alias using renamed where event_alias.old_event_id = renamed.old_event_id")
    ledger.run("insert into event_alias select old_event_id, event_id from renamed order by all")
    ledger.run("delete from event_alias where old_event_id in (select event_id from event_observation)")
    ledger.run("drop table renamed")


def _merge_records(ledger: Ledger) -> None:
    """Merge field by field: the best record that knows a field gives it; usage comes whole from the first."""
    declared = schema.table("cost_event").of_step("match").names
    derived = {"event_id", "request_id", "call_id", "attempt_no", "attempt_role", "observations", "sources"}
    of_first = [n for n in declared if n.endswith("_tokens") or n in ("other_usage", "is_metered")]
    known = [n for n in declared if n not in {*derived, *of_first, "status", "usage_flags"}]
    known += ["operation_key", "parent_span_id"]
    ledger.run(
        f"""
        create or replace temp table merged as
        with one as (select * from event_record where rank = 1),
        two as (select * from event_record where rank = 2),
        more as (
            select event_id, {", ".join(f'arg_min("{n}", rank) as "{n}"' for n in known)},
                bool_or(status = 'ok') as is_ok, arg_min(status, rank) as status,
                arg_min(usage_flags, rank) filter (where len(usage_flags) > 0) as usage_flags,
                count(*) as records, list(distinct source) as sources
            from event_record where rank > 2 group by event_id
        )
        select one.event_id, {", ".join(f'one."{n}"' for n in of_first)},
            {", ".join(f'coalesce(one."{n}", two."{n}", more."{n}") as "{n}"' for n in known)},
            {_STATUS} as status,
            coalesce(nullif(one.usage_flags, []), nullif(two.usage_flags, []), more.usage_flags) as usage_flags,
            1 + (two.event_id is not null)::integer + coalesce(more.records, 0) as observations,
            1 + coalesce(two.source <> one.source, false)::integer + coalesce(len(list_filter(
                more.sources, lambda s: s <> one.source and s is distinct from two.source)), 0) as sources
        from one left join two using (event_id) left join more using (event_id)
        """
    )


#: One failed record of a call that another saw succeed is a lost answer, not a failed call.
_STATUS = """
    case when one.status = 'ok' or two.status = 'ok' or more.is_ok then 'ok'
         else coalesce(one.status, two.status, more.status) end
"""


def _write_events(ledger: Ledger) -> None:
    """Write the events with the call and the request they belong to, and their place among its attempts."""
    ledger.run(_RETRIED)
    ledger.run(_LINKED)
    ledger.run(
        f"""
        create or replace table event as
        with called as (
            select merged.*, coalesce('operation:' || operation_key, retried.call_id, cast(event_id as varchar))
                as call_id
            from merged left join retried using (event_id)
        ),
        several as (select call_id from called group by call_id having count(*) > 1),
        numbered as (
            select event_id, row_number() over attempts as attempt_no,
                coalesce(requested_model, model) is not distinct from
                    first_value(coalesce(requested_model, model)) over attempts as is_primary_model
            from called semi join several using (call_id)
            window attempts as (
                partition by call_id order by started_at nulls last, status <> 'error', event_id
            )
        )
        select {column_list(schema.table("cost_event").of_step("match").names)} from (
            select called.*, coalesce(numbered.attempt_no, 1) as attempt_no,
                coalesce(linked.request_id, called.trace_id, called.call_id) as request_id,
                case when coalesce(numbered.attempt_no, 1) = 1 then 'primary'
                     when is_primary_model then 'retry' else 'fallback' end as attempt_role
            from called left join numbered using (event_id) left join linked on linked.trace_id = called.trace_id
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


def _note_usage_conflicts(ledger: Ledger) -> None:
    """List the calls on whose usage two sources disagree; the more authoritative one is kept."""
    ledger.run("delete from conflict where kind = 'usage'")
    ledger.run(
        """
        insert into conflict (kind, key, field, kept, kept_at, other, other_at, event_id)
        with kept as (select * from event_record where rank = 1),
        other as (select * from event_record where rank > 1 and is_metered)
        select 'usage', cast(kept.event_id as varchar), field,
            cast(case field when 'input_tokens' then kept.input_tokens else kept.output_tokens end as varchar),
            kept.file_id || ':' || kept.line,
            cast(case field when 'input_tokens' then other.input_tokens else other.output_tokens end as varchar),
            other.file_id || ':' || other.line, kept.event_id
        from kept join other using (event_id), (values ('input_tokens'), ('output_tokens')) as fields(field)
        where case field when 'input_tokens' then kept.input_tokens <> other.input_tokens
                         else kept.output_tokens <> other.output_tokens end
        order by all
        """
    )


def _note_retold_traces(ledger: Ledger) -> None:
    """List traces that two documents tell in different ways; they belong into two ledgers."""
    ledger.run("delete from conflict where kind = 'trace'")
    ledger.run(
        """
        insert into conflict (kind, key, kept_at, other_at)
        with telling as (
            select distinct trace_id, file_id, line from observation where source = 'seed' and trace_id is not null
        )
        select 'trace', trace_id, min(file_id || ':' || line), max(file_id || ':' || line)
        from telling group by trace_id having count(*) > 1 order by all
        """
    )
