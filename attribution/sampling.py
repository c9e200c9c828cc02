"""Sampling is a state: where spans are a sample, the gateway or bill is the population and spans prove no dollars."""

from __future__ import annotations

import pandas as pd

from attribution.ledger import Ledger

#: Whole traces missing beyond this share, while those that are there are whole, mean sampling and not lost spans.
TOLERATED_PERCENT = 2
#: Calls of one key and model from which on their share of spans says something.
FEWEST_CALLS = 20


def recognise_sampling(ledger: Ledger) -> pd.DataFrame:
    """Tell whether the spans of a ledger are all there, a sample, or cannot be judged.

    The population are calls that a gateway or provider logged with a trace id. Where more than 2 % of their traces
    are missing as a whole and the traces that are there lack less than 2 % of their calls, spans were sampled by
    trace. Where traces lack calls too, it is a sample if the calls without a span are spread evenly: each key and
    model (two at least, of 20 calls and more) is within three standard errors of the share of all. A hop that loses
    spans takes those of some keys or models and leaves the others. Where no gateway or provider log shares a trace
    with the spans, the population are the requests that a bill or usage report counts, by provider and UTC day: it is
    a sample if more than 2 % have no span and each day is within three standard errors of the share of all. The policy
    `spans` of the configuration (`sampled` or `complete`) decides where nobody else can tell.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        One row: `state` (complete, sampled, incomplete, unknown, no spans), `population` (gateway, bill or none),
        `traces`, `traces_with_spans`, `calls`, `calls_with_span` of the population, and `reason` in words.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.recognise_sampling(ledger)["state"].item()
    'no spans'
    """
    limits = {"tolerated": TOLERATED_PERCENT, "fewest": FEWEST_CALLS}
    by_calls = ledger.frame(_SAMPLING, limits)
    if by_calls["state"].item() != "unknown":
        return by_calls
    by_bill = ledger.frame(_AGAINST_BILL, limits)
    return by_calls if by_bill.empty else by_bill


def spans_are_sampled(ledger: Ledger) -> bool:
    """Tell whether spans are known to be a sample."""
    return bool(recognise_sampling(ledger)["state"].item() == "sampled")


_SAMPLING = """
    with stated as (select min(value) as state from setting where name = 'spans'),
    span_count as (select count(*) as spans from span where source <> 'seed'),
    traced as (
        select event_id, min(trace_id) as trace_id, bool_or(role = 'client_span') as has_span,
            min(api_key_id) filter (where role <> 'client_span') as api_key_id,
            min(model) filter (where role <> 'client_span') as model
        from event_record
        group by event_id
        having bool_or(role in ('gateway_log', 'provider_log')) and min(trace_id) is not null
    ),
    known as (select distinct trace_id from span),
    trace as (
        select trace_id, known.trace_id is not null as is_known, count(*) as calls,
            count(*) filter (where has_span) as calls_with_span
        from traced left join known using (trace_id)
        group by all
    ),
    population as (
        select count(*) as traces, count(*) filter (where is_known) as traces_with_spans,
            cast(coalesce(sum(calls), 0) as bigint) as calls,
            cast(coalesce(sum(calls_with_span), 0) as bigint) as calls_with_span,
            cast(coalesce(sum(calls) filter (where is_known), 0) as bigint) as calls_of_known
        from trace
    ),
    kind as (
        select count(*) as calls, count(*) filter (where has_span) as calls_with_span
        from traced group by api_key_id, model having count(*) >= $fewest
    ),
    spread as (
        select coalesce(count(*) >= 2 and bool_and(
            (kind.calls_with_span * population.calls::hugeint - kind.calls * population.calls_with_span::hugeint)
            * (kind.calls_with_span * population.calls::hugeint - kind.calls * population.calls_with_span::hugeint)
            <= 9::hugeint * kind.calls * population.calls_with_span * (population.calls - population.calls_with_span)
        ), false) as is_even
        from kind, population
    ),
    judged as (
        select *, (traces - traces_with_spans) * 100 > traces * $tolerated as is_missing_traces,
            (calls_of_known - calls_with_span) * 100 <= calls_of_known * $tolerated as is_whole
        from population, spread
    )
    select case
            when stated.state in ('sampled', 'complete') then stated.state
            when spans = 0 then 'no spans'
            when traces_with_spans = 0 then 'unknown'
            when is_whole then case when is_missing_traces then 'sampled' else 'complete' end
            when is_even then 'sampled'
            when is_missing_traces then 'incomplete' else 'complete' end as state,
        case when traces = 0 then 'none' else 'gateway' end as population,
        traces, traces_with_spans, calls, calls_with_span,
        case
            when stated.state in ('sampled', 'complete') then 'stated in the configuration'
            when spans = 0 then 'no spans are loaded'
            when traces_with_spans = 0 then 'no gateway or provider log shares a trace with the spans'
            when is_whole and is_missing_traces then 'whole traces are missing, and those that are there are whole'
            when is_even and not is_whole then 'calls without a span are spread evenly over keys and models'
            when not is_missing_traces then 'the traces that the gateway saw have spans'
            else 'traces are missing, and those that are there lack calls too' end as reason
    from judged, stated, span_count
"""

#: The same judgement where only a bill knows how many calls there were; a bill knows no traces.
_AGAINST_BILL = """
    with told as (
        select distinct provider, period_start::date as day, file_id, coalesce(record_no, line) as record, requests
        from bill_line
        where requests > 0 and role in ('usage', 'both') and period_end <= period_start + interval 1 day
    ),
    requested as (select provider, day, cast(sum(requests) as bigint) as calls from told group by all),
    spanned as (
        select event.provider, event.started_at::date as day, count(*) as calls
        from event semi join (select event_id from event_record where role = 'client_span') as seen using (event_id)
        where event.started_at is not null
        group by all
    ),
    kind as (
        select requested.calls, least(coalesce(spanned.calls, 0), requested.calls) as calls_with_span
        from requested left join spanned using (provider, day)
        where requested.provider in (select provider from spanned)
    ),
    population as (
        select cast(sum(calls) as bigint) as calls, cast(sum(calls_with_span) as bigint) as calls_with_span from kind
    ),
    spread as (
        select coalesce(count(*) >= 2 and bool_and(
            (kind.calls_with_span * population.calls::hugeint - kind.calls * population.calls_with_span::hugeint)
            * (kind.calls_with_span * population.calls::hugeint - kind.calls * population.calls_with_span::hugeint)
            <= 9::hugeint * kind.calls * population.calls_with_span * (population.calls - population.calls_with_span)
        ), false) as is_even
        from kind, population where kind.calls >= $fewest
    )
    select case
            when (calls - calls_with_span) * 100 <= calls * $tolerated then 'complete'
            when is_even then 'sampled' else 'incomplete' end as state,
        'bill' as population, 0::bigint as traces, 0::bigint as traces_with_spans, calls, calls_with_span,
        case
            when (calls - calls_with_span) * 100 <= calls * $tolerated then 'the calls that the bill counts have spans'
            when is_even then 'billed calls without a span are spread evenly over days'
            else 'billed calls lack spans, on some days more than on others' end as reason
    from population, spread
    where calls > 0
"""
