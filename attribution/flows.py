"""Flows: how many dollars cross each hop between services, and whether they still carry their team there."""

from __future__ import annotations

import pandas as pd

from attribution.ledger import Ledger


def hop_flows(ledger: Ledger) -> pd.DataFrame:
    """Show every hop between services with the dollars below it, and where they lose their team.

    A call crosses the hops on its way up to the request's first service, the hop that lost its team, and last the one
    to its provider. Where several hops follow each other the same dollars cross each of them; to the providers they
    add up to all list cost, and over all hops `lost_here` adds up to what is not declared.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `producer`, `consumer`, `is_provider` (the last hop), `calls`, `list_cost` [USD] and its parts `carried` (the
        team is there, or the call names it itself), `lost_here`, `lost_before` [USD], dearest hop first.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/captured", quiet=True)
    >>> flows = at.hop_flows(ledger)
    >>> flows[flows["producer"] == "ticket-api"][["consumer", "lost_here"]].to_dict("records")[0]
    {'consumer': 'triage-worker', 'lost_here': Decimal('0.002203000000')}
    """
    return ledger.frame(_FLOWS, {"deepest": _DEEPEST})


#: A call deeper than this below its request is shown from here down; a circle of spans ends here, too.
_DEEPEST = 64

_FLOWS = """
    with recursive one_span as (
        select trace_id, span_id, min(parent_span_id) as parent_span_id, min(service) as service,
            bool_or(owner_team is not null) as carries
        from span group by trace_id, span_id
    ),
    seen as (
        select event_id, min(source) as source from event_observation join observation using (observation_id)
        group by event_id
    ),
    call as (
        select event_id, trace_id, span_id, coalesce(service, seen.source, 'unnamed service') as service,
            coalesce(provider, 'unknown provider') as provider,
            coalesce(list_cost, priced_part, 0) as cost,
            owner_evidence in ('declared', 'matched', 'exclusive_key') as is_on_event
        from cost_event left join seen using (event_id)
    ),
    path as (
        select event_id, trace_id, span_id, 0 as depth from call where span_id is not null
        union all
        select path.event_id, path.trace_id, lower.parent_span_id, path.depth + 1
        from path join one_span as lower using (trace_id, span_id)
        where lower.parent_span_id is not null and path.depth < $deepest
    ),
    lost as (
        select event_id, coalesce(producer, 'where the request began') as producer,
            coalesce(consumer, 'unnamed service') as consumer
        from lost_hop where field = 'owner_team'
    ),
    crossing as (
        select path.event_id, upper.service as producer, lower.service as consumer, false as is_provider,
            bool_or(lower.carries) as carries
        from path
        join one_span as lower using (trace_id, span_id)
        join one_span as upper on upper.trace_id = path.trace_id and upper.span_id = lower.parent_span_id
        where upper.service <> lower.service
        group by all
        union all
        select lost.event_id, lost.producer, lost.consumer, false, false
        from lost anti join (
            select path.event_id, upper.service as producer, lower.service as consumer
            from path
            join one_span as lower using (trace_id, span_id)
            join one_span as upper on upper.trace_id = path.trace_id and upper.span_id = lower.parent_span_id
            where upper.service <> lower.service
        ) as walked using (event_id, producer, consumer)
        union all
        select event_id, service, provider, true, is_on_event from call
    ),
    judged as (
        select crossing.*, call.cost,
            case
                when call.is_on_event then 'carried'
                when lost.producer = crossing.producer and lost.consumer = crossing.consumer and not is_provider
                    then 'lost_here'
                when crossing.carries then 'carried'
                when lost.event_id is null and is_provider then 'lost_here'
                else 'lost_before'
            end as state
        from crossing join call using (event_id) left join lost using (event_id)
    )
    select producer, consumer, is_provider, count(distinct event_id) as calls,
        cast(sum(cost) as decimal(38, 12)) as list_cost,
        cast(coalesce(sum(cost) filter (where state = 'carried'), 0) as decimal(38, 12)) as carried,
        cast(coalesce(sum(cost) filter (where state = 'lost_here'), 0) as decimal(38, 12)) as lost_here,
        cast(coalesce(sum(cost) filter (where state = 'lost_before'), 0) as decimal(38, 12)) as lost_before
    from judged
    group by producer, consumer, is_provider
    order by list_cost desc, producer, consumer, is_provider
"""
