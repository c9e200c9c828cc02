"""What is missing: days without a bill, bills without usage or calls, unmapped keys; in dollars, each with a guess."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from attribution.ledger import Ledger
from attribution.reconciliation.documents import Asked
from attribution.reconciliation.exact import dollars, pico
from attribution.reconciliation.pots import TOKEN_METER

#: State → what is likely the reason; every one is a guess and marked as such.
GUESSES = {
    "no_bill": "the provider's bill is not loaded",
    "day_without_bill": "a page of the report is missing, or the day was not pulled yet",
    "bill_without_calls": "calls that no telemetry saw: another application or key, or an export that is not loaded",
    "calls_without_usage": "streams without usage, and timed-out or cancelled calls that the provider finished",
    "bill_without_quantity": "the usage report is not loaded, or not grouped by model",
    "usage_without_bill": "priority or committed capacity is billed otherwise; refused calls are not billed",
    "unmapped_key": "a key or project that the registry does not name and no call carries",
    "billed_elsewhere": "a key of your own: the provider behind the router bills it, not the router",
    "no_currency_rate": "the configuration has no rate of this currency for the day",
    "calls_without_time": "the source gives no time",
    "calls_without_provider": "the source does not say who bills the call; an alias can",
    "told_twice": "two documents tell the same money; one counts",
}


def find_missing(ledger: Ledger, asked: Asked) -> pd.DataFrame:
    """Return what the data lack: provider, state, what, first and last day, dollars, calls, and a guess at why.

    Dollars are the bill's where there is a bill, else ours at contract price; null where nobody knows them.
    """
    values = {"provider": asked.provider, **asked.period.values()}
    guesses = pa.table({"state": list(GUESSES), "guess": list(GUESSES.values())})
    with ledger.reading(guess_rows=guesses):
        return ledger.frame(
            f"""
            with pair as (
                select cell.* replace (coalesce(label.label, cell.model) as model), cell.model as model_key
                from pair as cell
                left join model_label as label on label.provider = cell.provider and label.key = cell.model
            ),
            found as ({_STATES})
            select provider, state, what, day_from, day_to, {dollars("found.amount")} as amount, calls, guess,
                true as is_guess
            from found join guess_rows using (state)
            where coalesce(found.amount, 1) <> 0 or coalesce(calls, 0) <> 0
            order by abs(found.amount) desc nulls last, provider, state, what, day_from
            """,
            values,
        )


def daily_gaps(ledger: Ledger) -> pd.DataFrame:
    """Return ours, billed and their gap [USD] per provider and UTC day, where the bill has days."""
    return ledger.frame(
        f"""
        with part as (
            select provider, cast(bucket as date) as day, cost as ours, 0::hugeint as billed from pair
            where bucket is not null
            union all
            select provider, cast(bucket as date), 0, billed from pot where bucket is not null
            union all
            select provider, cast(period_start as date), 0, billed from cell_line
            where cause = 'non_token_usage' and not is_wide
        )
        select provider, day, {dollars("sum(ours)")} as ours, {dollars("sum(billed)")} as billed,
            {dollars("sum(billed) - sum(ours)")} as gap
        from part join side using (provider) where side.unit <> 'month'
        group by provider, day order by provider, day
        """
    )


_NO_BILL = """
    select provider, 'no_bill' as state, 'no document of this provider covers the period' as what,
        min(cast(bucket as date)) as day_from, max(cast(bucket as date)) as day_to,
        (sum(cost)) as amount, cast(null as bigint) as calls
    from pair anti join (select distinct provider from cell_document) as told using (provider)
    group by provider
"""
_DAYS = """
    select provider, 'day_without_bill', 'no line of usage on these days', min(day), max(day), sum(cost),
        cast(null as bigint)
    from (
        select pair.provider, cast(bucket as date) as day, sum(cost) as cost,
            cast(bucket as date) - cast(row_number() over (
                partition by pair.provider order by cast(bucket as date)) as integer) as run
        from pair join side using (provider)
        where bucket is not null and side.unit in ('hour', 'day')
            and pair.provider in (select provider from pot where bucket is not null)
            and (pair.provider, cast(bucket as date)) not in (
                select (provider, cast(bucket as date)) from pot where bucket is not null
            )
            and (pair.provider, cast(bucket as date)) not in (
                select (provider, cast(bucket as date)) from usage_place where bucket is not null
            )
        group by pair.provider, cast(bucket as date) having sum(cost) <> 0
    )
    group by provider, run
"""
_GROUPED = "min(cast(pair.bucket as date)), max(cast(pair.bucket as date))"
_CAUSED = f"""
    select pair.provider, 'bill_without_calls', concat_ws(' ', coalesce(pair.model, 'no model'), pair.service_tier,
        pair.caller), {_GROUPED}, sum(cell_cause.amount), cast(null as bigint)
    from cell_cause join pair using (pair_id) where cause = 'extra_or_missing_events' and pair.calls = 0
    group by all
    union all
    select pair.provider, 'calls_without_usage', concat_ws(' ', coalesce(pair.model, 'no model'), pair.service_tier),
        {_GROUPED}, sum(cell_cause.amount), max(unmetered.calls)::bigint
    from cell_cause join pair using (pair_id)
    join (
        select provider, model, service_tier, sum(unmetered) as calls from call_count group by all
        having sum(unmetered) > 0
    ) as unmetered on unmetered.provider = pair.provider and unmetered.model is not distinct from pair.model_key
        and unmetered.service_tier is not distinct from pair.service_tier
    where cause = 'token_count' and pair.unmetered > 0
    group by all
    union all
    select pair.provider, 'bill_without_quantity', coalesce(pair.model, 'amounts without model or quantity'),
        {_GROUPED}, sum(pot.billed), sum(pair.calls)::bigint
    from cell_cause join pair using (pair_id) join pot on pot.pot_id = pair.pot_id where cause = 'unexplained'
    group by all
    union all
    select pair.provider, 'usage_without_bill', concat_ws(' ', coalesce(pair.model, 'no model'), pair.service_tier),
        {_GROUPED}, nullif(sum(pair.cost), 0), sum(pair.calls)::bigint
    from pair where pot_id is null and billed_quantity <> 0 group by all
"""
_KEYS = f"""
    select line.provider, 'unmapped_key', line.caller, min(cast(period_start as date)), max(cast(period_start as date)),
        sum(billed), cast(null as bigint)
    from cell_line as line
    where cause = 'usage' and caller is not null and caller <> 'console'
        and caller not in (select key_id from key)
        and coalesce(project_id, '') not in (select key_id from key)
        and not exists (select 1 from call_part where call_part.caller = line.caller)
    group by line.provider, line.caller
    union all
    select line.provider, 'unmapped_key', line.caller || ' (usage report: the money has no key)',
        min(cast(period_start as date)), max(cast(period_start as date)), null, cast(null as bigint)
    from usage_line as line
    where caller is not null and caller <> 'console' and {TOKEN_METER.format("meter")}
        and line.caller not in (select caller from cell_line where caller is not null)
        and caller not in (select key_id from key)
        and coalesce(project_id, '') not in (select key_id from key)
        and not exists (select 1 from call_part where call_part.caller = line.caller)
    group by line.provider, line.caller
"""
_REST = f"""
    select provider, 'no_currency_rate', cast(count(*) as varchar) || ' lines in ' || currency || ': '
            || cast(sum(told_cost) as varchar), min(cast(period_start as date)), max(cast(period_start as date)), null,
        cast(null as bigint)
    from line_of_period where billed is null and is_detail group by provider, currency
    union all
    select coalesce(provider, 'unknown'), 'calls_without_time', 'calls that no period holds', null, null,
        {pico("coalesce(sum(contracted_cost), 0)")}, count(*)
    from cost_event where started_at is null and provider is not null and ($provider is null or provider = $provider)
    group by provider
    union all
    select 'unknown', 'calls_without_provider', coalesce(model, 'no model'), min(cast(started_at as date)),
        max(cast(started_at as date)), {pico("coalesce(sum(contracted_cost), 0)")}, count(*)
    from cost_event where provider is null and $provider is null and started_at >= $start and started_at < $end
    group by model
    union all
    select provider, 'billed_elsewhere', concat_ws(' ', coalesce(model, 'no model'), 'by your own key'),
        min(cast(period_start as date)), max(cast(period_start as date)), {pico("sum(estimated_cost)")},
        sum(requests)::bigint
    from bill_line
    where provider = 'openrouter' and estimated_cost <> 0 and ($provider is null or provider = $provider)
        and period_start >= $start and period_start < $end
    group by provider, model
    union all
    select document.provider, 'told_twice', document.source || ' ' || document.export || ': ' || document.why,
        null, null, sum(line.billed), cast(null as bigint)
    from cell_document as document join line_of_period as line using (provider, month, source, export)
    where not document.is_total and not document.is_detail group by all
"""
_STATES = " union all ".join((_NO_BILL, _DAYS, _CAUSED, _KEYS, _REST))
