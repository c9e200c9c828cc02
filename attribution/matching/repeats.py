"""Spans above spans: a span that says again what a span below it says is the same call (formats: OpenTelemetry, 3)."""

from __future__ import annotations

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger
from attribution.matching import grouping


def join_spans_above(ledger: Ledger) -> None:
    """A span of a call above another span of the same call is the same call (formats: OpenTelemetry, section 3).

    It is the same when both say the same usage, or when the upper says the sum of all directly below it. Each round
    joins the lowest pairs and takes their upper spans out of the way, so that a chain of three ends in one call.
    """
    ledger.run(_NESTED)
    if not ledger.value("select count(*) from nested"):
        return
    grouping.place_answered(ledger, "nested")
    ledger.run(_CANDIDATES)
    while True:
        find_nearest_above(ledger, "candidate", "candidate", "candidate_above")
        ledger.run(_REPEATS)
        ledger.run(_LOWEST_REPEATS)
        if not ledger.value("select count(*) from repeated"):
            return
        ledger.run(_JOIN_REPEATS)
        ledger.run(_CANDIDATES)


#: Traces in which a span of a call has a span below it; in all others nothing can be said twice.
_NESTED = """
    create or replace temp table nested as
    with caller as (
        select trace_id, span_id from observation
        where role = 'client_span' and trace_id is not null and span_id is not null
    ),
    parent as (
        select trace_id, parent_span_id as span_id from span
        where parent_span_id is not null and parent_span_id <> span_id
    )
    select distinct trace_id from parent semi join caller using (trace_id, span_id)
"""

#: Spans that say they are a call; one that already joined a call below it is out of the way.
_CANDIDATES = """
    create or replace temp table candidate as
    select placed.group_key, placed.is_answered, placed.trace_id, placed.span_id, observation.input_tokens,
        observation.output_tokens, coalesce(observation.model, observation.requested_model) as model,
        observation.requested_model, observation.started_at
    from placed semi join nested using (trace_id) join observation using (observation_id)
    where placed.span_id is not null and placed.role = 'client_span' and placed.joined_by <> 'parent_span'
"""

#: For every upper span's group the one below that it repeats; two groups with response ids are two calls.
_REPEATS = """
    create or replace temp table repeated as
    with pair as (
        select upper.group_key as upper_key, lower.group_key as lower_key, min(lower.started_at) as started_at,
            upper.is_answered as is_upper_answered, lower.is_answered as is_lower_answered,
            max(upper.input_tokens) as upper_input, max(upper.output_tokens) as upper_output,
            max(lower.input_tokens) as lower_input, max(lower.output_tokens) as lower_output,
            bool_or(upper.input_tokens = lower.input_tokens
                and upper.output_tokens is not distinct from lower.output_tokens
                and (upper.model is null or lower.model is null or upper.model = lower.model
                    or upper.requested_model = lower.requested_model)) as is_equal
        from candidate_above
        join candidate as lower using (trace_id, span_id)
        join candidate as upper
            on upper.trace_id = candidate_above.trace_id and upper.span_id = candidate_above.above_span_id
        where upper.group_key <> lower.group_key and upper.input_tokens is not null
        group by upper.group_key, lower.group_key, upper.is_answered, lower.is_answered
    ),
    compared as (
        select *, not is_upper_answered and count(*) over below > 1 and upper_input = sum(lower_input) over below
                and upper_output is not distinct from sum(lower_output) over below as is_sum
        from pair window below as (partition by upper_key)
    )
    select upper_key, is_upper_answered,
        arg_min(lower_key, (not coalesce(is_equal, false), started_at, lower_key)) as lower_key
    from compared where (is_equal or is_sum) and not (is_upper_answered and is_lower_answered)
    group by upper_key, is_upper_answered
"""

#: Pairs with nothing joined below them come first; where spans form a circle, those above its smallest keys. Then
#: pairs that move their upper, and only when there are none those that move their lower: one move per group.
_LOWEST_REPEATS = """
    create or replace temp table repeated as
    with placed as (
        select pair.*, next.upper_key is null as is_lowest,
            pair.lower_key < pair.upper_key and pair.lower_key < next.lower_key as is_turn
        from repeated as pair left join repeated as next on next.upper_key = pair.lower_key
    ),
    ready as (
        select * from placed
        where is_lowest or (is_turn and not exists (from placed as other where other.is_lowest))
    )
    select upper_key,
        case when is_upper_answered then lower_key else upper_key end as moved_key,
        case when is_upper_answered then upper_key else lower_key end as target_key
    from ready where is_upper_answered = (select bool_and(is_upper_answered) from ready)
    qualify row_number() over (partition by moved_key order by target_key) = 1
"""

_JOIN_REPEATS = """
    create or replace temp table placed as
    with moved as (
        select placed.* replace (
            coalesce(repeated.target_key, placed.group_key) as group_key,
            case when placed.role = 'client_span' and upper.upper_key is not null then 'parent_span'
                 when repeated.target_key is not null and placed.joined_by = 'itself' then 'child_span'
                 else placed.joined_by end as joined_by
        )
        from placed
        left join repeated on placed.group_key = repeated.moved_key
        left join repeated as upper on placed.group_key = upper.upper_key
    )
    select * replace (bool_or(is_answered) over (partition by group_key) as is_answered) from moved
"""
