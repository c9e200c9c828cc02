"""Match report: how many sources saw each call, what counting twice would have cost, and what joined nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from attribution.ledger import Ledger


@dataclass(frozen=True)
class MatchReport:
    """What matching did.

    Attributes
    ----------
    by_sources
        Per set of sources that saw a call: `sources`, `calls`, `records`, `list_cost` [USD].
    unmatched
        Per source and reason: records that joined no record of another source, `records`, `list_cost` [USD].
    conflicts
        Every disagreement of two records: `kind`, `key`, `field`, `kept` and `kept_at` (file:line), `other` and
        `other_at`, and the `list_cost` [USD] of the call at stake.
    double_counted
        Dollars that adding up all sources as if they were different calls would have counted too much [USD].
    """

    by_sources: pd.DataFrame
    unmatched: pd.DataFrame
    conflicts: pd.DataFrame
    double_counted: Decimal


def match_report(ledger: Ledger) -> MatchReport:
    """Report how observations became calls.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    MatchReport
        Small frames in stable order; every observation is in exactly one call.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/captured/litellm", quiet=True)
    >>> int(at.match_report(ledger).by_sources["records"].sum()) == ledger.sql("from observation").shape[0]
    True
    """
    double = ledger.value(
        "select cast(coalesce(sum(list_cost * (records - 1)), 0) as decimal(38, 12)) from ("
        " select event_id, count(*) filter (where is_metered) as records from event_record group by event_id"
        ") join event_cost using (event_id) where records > 1"
    )
    return MatchReport(
        by_sources=ledger.frame(_BY_SOURCES),
        unmatched=ledger.frame(_UNMATCHED),
        conflicts=ledger.frame(_CONFLICTS),
        double_counted=double,
    )


_BY_SOURCES = """
    with seen as (
        select event_id, string_agg(distinct source, ' + ' order by source) as sources, count(*) as records
        from event_record group by event_id
    )
    select seen.sources, count(*) as calls, cast(sum(seen.records) as bigint) as records,
        cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
    from seen join cost_event using (event_id)
    group by seen.sources order by calls desc, seen.sources
"""

#: Why a record stands alone; an id that could join is not the same as one that did.
_UNMATCHED = """
    with alone as (
        select event_id, any_value(source) as source,
            bool_or(response_id is not null) as has_answer,
            bool_or(record_id is not null or provider_request_id is not null) as has_request,
            bool_or(span_id is not null) as has_span, bool_or(status = 'error') as is_failed
        from event_record group by event_id having count(distinct source) = 1
    ),
    loaded as (select count(distinct source) as sources from observation)
    select alone.source, case
            when loaded.sources = 1 then 'only one source is loaded'
            when has_answer then 'no other source has its response id'
            when is_failed then 'failed before an answer had an id'
            when has_request then 'its request id is in no other source'
            when has_span then 'the span carries no response id'
            else 'carries no id that another source has' end as reason,
        cast(sum(cost_event.observations) as bigint) as records,
        cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
    from alone join cost_event using (event_id), loaded
    group by all order by list_cost desc, alone.source, reason
"""

_CONFLICTS = """
    with placed as (
        select conflict.*, kept_file.path || ':' || ltrim(split_part(kept_at, ':', 2), '0') as kept_place,
            other_file.path || ':' || ltrim(split_part(other_at, ':', 2), '0') as other_place
        from conflict
        left join source_file as kept_file on kept_file.file_id = split_part(kept_at, ':', 1)
        left join source_file as other_file on other_file.file_id = split_part(other_at, ':', 1)
    )
    select kind, key, field, kept, coalesce(kept_place, kept_at) as kept_at, other,
        coalesce(other_place, other_at) as other_at, list_cost
    from placed left join cost_event using (event_id)
    order by list_cost desc nulls last, kind, key, field, kept_at, other_at
"""
