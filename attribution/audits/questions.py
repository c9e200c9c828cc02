"""The six questions that each trace answers: every event gets pass, not provable or fail, and why."""

from __future__ import annotations

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger

PASS, OPEN, FAIL = 0, 1, 2
STATES = {PASS: "pass", OPEN: "not provable", FAIL: "fail"}

QUESTIONS = {
    1: "Can each request be traced from user action to every provider call?",
    2: "Does each hop preserve the same trace_id?",
    3: "Do owner_team, workflow_id and feature exist on every provider event?",
    4: "Can tenant or customer be identified without exposing personal data?",
    5: "Can total request cost be rebuilt from tokens and prices?",
    6: "Can retries, fallbacks and cache effects be explained?",
    7: "What share of spend is unattributed?",
}
#: The export that would decide a question that stays open.
NEEDS = {
    1: "spans",
    2: "spans",
    3: "a gateway log or spans",
    4: "a gateway log or spans",
    5: "a provider or gateway log with usage",
    6: "a gateway log",
    7: "prices",
}


def examine(ledger: Ledger) -> None:
    """Write the temporary tables `examined` (per event) and `request` (per request, its worst answer)."""
    for statement in (_SEEN, _SEEN_SPANS, _TOPS_WANTED):
        ledger.run(statement)
    ledger.run("create or replace temp table start_span as select distinct trace_id, span_id from seen_span")
    find_nearest_above(ledger, "start_span", "top_wanted", "above")
    ledger.run(_PATH)
    ledger.run(_EXAMINED)
    ledger.run(_REQUESTS)
    for name in ("seen", "seen_span", "top_wanted", "start_span", "above", "path"):
        ledger.run(f"drop table if exists {name}")


_SEEN = """
    create or replace temp table seen as
    with record as (
        select event_observation.event_id, observation.*,
            coalesce(list_contains(list_transform(coalesce(ownership_flags, []),
                lambda flag: contains(flag, 'personal_data')), true), false) as is_personal,
            coalesce(list_contains(list_transform(coalesce(ownership_flags, []),
                lambda flag: flag in ('tenant_id_hash:unhashed', 'user_id_hash:unhashed')), true), false) as is_raw
        from event_observation join observation using (observation_id)
    )
    select event_id, bool_or(role = 'gateway_log') as at_gateway, bool_or(source = 'seed') as is_told,
        count(distinct replace(lower(trace_id), '-', '')) as trace_ids, max(span_id) as span_id,
        arg_max(trace_id, span_id) as span_trace, bool_or(is_personal) as is_personal, bool_or(is_raw) as is_raw
    from record group by event_id
"""

_SEEN_SPANS = """
    create or replace temp table seen_span as
    select event_id, span_trace as trace_id, span_id from seen where span_id is not null
"""

_TOPS_WANTED = """
    create or replace temp table top_wanted as
    select span.trace_id, span.span_id,
        span.parent_span_id is not null and span.parent_span_id <> span.span_id as is_orphan, span.parent_is_remote
    from span
    left join span as parent on parent.trace_id = span.trace_id and parent.span_id = span.parent_span_id
    where parent.span_id is null or span.parent_span_id = span.span_id
"""

#: Where the way up from a call ends: at the call itself, at a root above it, or at a parent that is not there.
_PATH = """
    create or replace temp table path as
    with broken as (
        select event_id, min(signature) as signature from lost_hop
        where signature in ('H1', 'H2', 'H4', 'H5', 'H9') group by event_id
    ),
    ended as (
        select seen_span.event_id, above.above_span_id is null as is_root_call,
            bool_or(coalesce(top.is_orphan, false)) as is_orphan,
            bool_or(coalesce(top.parent_is_remote, true) and coalesce(top.is_orphan, false)) as is_remote_orphan,
            bool_or(span.span_id is not null) as is_known
        from seen_span
        left join span using (trace_id, span_id)
        left join above using (trace_id, span_id)
        left join top_wanted as top on top.trace_id = seen_span.trace_id
            and top.span_id = coalesce(above.above_span_id, seen_span.span_id)
        group by seen_span.event_id, above.above_span_id
    )
    select ended.*, broken.signature from ended left join broken using (event_id)
"""

_EXAMINED = """
    create or replace temp table examined as
    with known_trace as (select distinct trace_id from span),
    has_spans as (select count(*) > 0 as any_span from span),
    disputed as (select distinct event_id from conflict where kind = 'usage'),
    event_in_scope as (
        select cost_event.*, coalesce(list_cost, priced_part) as cost,
            list_filter(coalesce(usage_flags, []), lambda flag: not starts_with(flag, 'source_cost')) as contradictions,
            seen.* exclude (event_id, span_id),
            seen.span_id as seen_span_id, path.* exclude (event_id), has_spans.any_span,
            known_trace.trace_id is not null as is_known_trace, disputed.event_id is not null as is_disputed
        from cost_event
        join seen using (event_id)
        left join path using (event_id)
        left join known_trace on known_trace.trace_id = cost_event.trace_id
        left join disputed on disputed.event_id = cost_event.event_id
        cross join has_spans
    ),
    why as (
        select event_id, request_id, workflow_id, provider, cost, price_status, owner_evidence,
            case when is_told then null
                 when is_known and is_remote_orphan then '?the parent span is in another export'
                 when is_known and is_orphan then 'the parent span is not in the data'
                 when is_known and signature is not null and request_id = trace_id
                    then 'the call starts a trace of its own behind a hop (' || signature || ')'
                 when is_known and is_root_call and request_id = trace_id and owner_evidence = 'none'
                    then 'nothing stands above the call'
                 when is_known or is_known_trace then null
                 when any_span then '?no span covers the call'
                 else '?no spans' end as q1,
            case when is_told then '?the hops carry no ids of their own'
                 when trace_ids > 1 then 'two records of the call carry different trace ids'
                 when is_known and is_remote_orphan then '?the parent span is in another export'
                 when is_known and signature is not null
                    then 'the trace id changes at a hop (' || signature || ')'
                 when is_known then null
                 when is_known_trace then null
                 else '?no spans' end as q2,
            case when cache_hit then null else nullif(concat_ws(', ',
                case when owner_evidence not in ('declared', 'matched', 'exclusive_key') then 'owner_team' end,
                case when workflow_evidence not in ('declared', 'matched') then 'workflow_id' end,
                case when feature_evidence not in ('declared', 'matched') then 'feature' end
            ), '') || ' missing on the call' end as q3,
            case when is_personal then 'an ownership field holds personal data'
                 when tenant_id_hash is not null then null
                 when is_raw then 'a tenant or user id is there, but not hashed (set ATTRIBUTION_HASH_KEY)'
                 else 'no tenant handle' end as q4,
            case when len(contradictions) > 0 then 'token counts contradict each other: ' || contradictions[1]
                 when price_status in ('priced', 'free') or (price_status = 'unmetered' and status = 'error') then null
                 when price_status = 'unmetered' then '?no usage was recorded'
                 else coalesce(price_reason, 'no price') end as q5,
            case when is_disputed then 'two sources disagree on the usage of the call'
                 when at_gateway or attempt_no > 1 then null
                 else '?attempts and cache hits are seen by a gateway only' end as q6
        from event_in_scope
    )
    select * exclude (q1, q2, q3, q4, q5, q6),
        ltrim(q1, '?') as why_1, ltrim(q2, '?') as why_2, q3 as why_3, q4 as why_4, ltrim(q5, '?') as why_5,
        ltrim(q6, '?') as why_6,
        case when q1 is null then 0 when q1 like '?%' then 1 else 2 end as state_1,
        case when q2 is null then 0 when q2 like '?%' then 1 else 2 end as state_2,
        case when q3 is null then 0 else 2 end as state_3,
        case when q4 is null then 0 else 2 end as state_4,
        case when q5 is null then 0 when q5 like '?%' then 1 else 2 end as state_5,
        case when q6 is null then 0 when q6 like '?%' then 1 else 2 end as state_6
    from why
"""

_REQUESTS = """
    create or replace temp table request as
    with crossed as (
        select event_id, min(coalesce(destination, system, signature)) as hop from lost_hop group by event_id
    )
    select request_id, cast(coalesce(sum(cost), 0) as decimal(38, 12)) as cost, count(*) as calls,
        max(state_1) as q1, max(state_2) as q2, max(state_3) as q3, max(state_4) as q4, max(state_5) as q5,
        max(state_6) as q6,
        cast(coalesce(sum(cost) filter (where state_3 = 2), 0) as decimal(38, 12)) as failing_cost,
        bool_or(price_status in ('unpriced', 'partial', 'unmetered')) as has_unpriced,
        min(workflow_id) as workflow_id, min(provider) as provider, min(hop) as hop
    from examined left join crossed using (event_id)
    group by request_id
"""
