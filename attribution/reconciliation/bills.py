"""The bill's side: the lines that count, in dollars, each with one cause; what is usage waits to meet the calls."""

from __future__ import annotations

from attribution.ledger import Ledger
from attribution.reconciliation.documents import EXPORT, IN_PERIOD, INVOICE, MONTH, Asked
from attribution.reconciliation.exact import micro, pico, share

#: Meters that no call causes by itself, and those that calls cause where the ledger counts them.
STANDING_METERS = ("provisioned", "hosting", "cache_storage", "vector_storage", "storage", "session", "seat")
_STANDING_WORDS = r"\b(storage|sessions?|seats?|subscription|provisioned|hosting|support plan)\b"
_TOKEN_METER = "regexp_matches(meter, '^(input|output|cache_read|cache_write|reasoning)')"


def tell_lines(ledger: Ledger) -> None:
    """Write the view `told_line`: bill lines, and the requests that OpenRouter bills one by one."""
    ledger.run(_TOLD)


def take_lines(ledger: Ledger, asked: Asked) -> None:
    """Write `cell_line`: the lines of the documents that count, in pico-dollars, and the cause of each."""
    values = {"provider": asked.provider, "months": list(asked.months), **asked.period.values()}
    ledger.run(f"create or replace temp table line_of_period as {_OF_PERIOD}", values)
    ledger.run(_TAKEN)
    ledger.run(_ITEMIZED)
    ledger.run(_CALL_METERS)
    ledger.run(_CAUSES)


def drop_late_lines(ledger: Ledger) -> None:
    """Usage that the bill charges for another time than the period's own is an adjustment of that time."""
    ledger.run(
        """
        update cell_line set cause = 'adjustment', note = 'usage of another time, billed now'
        from side
        where side.provider = cell_line.provider and cell_line.cause = 'usage' and not cell_line.is_wide
            and (cell_line.period_start < side.window_start or cell_line.period_start >= side.window_end)
        """
    )


def take_usage(ledger: Ledger) -> None:
    """Write `usage_line`: quantities that the provider reports without money, of the period by its own calendar."""
    ledger.run(
        f"""
        create or replace temp table usage_line as
        select line.provider, line.source, line.file_id, line.record_no, line.period_start, line.project_id,
            line.caller, line.region, line.model, line.service_tier, line.context_window, line.meter, line.requests,
            {micro("line.quantity")} as quantity, 'usage' as cause, false as is_wide,
            cast(null as varchar) as request_id
        from told_line as line join side using (provider)
        where line.billed_cost is null and line.role <> 'estimate' and line.quantity is not null
            and line.meter is not null and (line.model is not null or not {_TOKEN_METER})
            and line.period_start >= side.window_start and line.period_start < side.window_end
        """
    )


def take_residuals(ledger: Ledger) -> None:
    """Write `cell_residual`: what an invoice says beyond the lines behind it, which may be a rounding to cents."""
    ledger.run(
        f"""
        create or replace temp table cell_residual as
        with invoice as (
            select provider, month, sum(billed) as billed from line_of_period
            where is_total and source = '{INVOICE}' and has_detail and billed is not null group by all
        ),
        counted as (
            select provider, month, sum(billed) as billed, sum(effective) as effective from cell_line group by all
        )
        select provider, month, 'invoice_difference' as cause,
            invoice.billed - coalesce(counted.billed, 0) as billed,
            invoice.billed - coalesce(counted.billed, 0) as effective
        from invoice left join counted using (provider, month)
        where invoice.billed <> coalesce(counted.billed, 0)
        order by provider, month
        """
    )


_TOLD = """
    create or replace temp view told_line as
    select bill_line_id, source, role, file_id, record_no, period_start, period_end, billing_period, provider,
        account_id, project_id, coalesce(api_key_id, principal) as caller, model, service_tier, region, context_window,
        resource_id, sku, meter, category, charge_class, quantity, requests, list_cost, contracted_cost, billed_cost,
        effective_cost, currency, request_id, replaces_key, exported_at, description
    from bill_line
    union all by name
    select observation_id as bill_line_id, source, 'both' as role, file_id, line as record_no,
        started_at as period_start, started_at as period_end, provider, model, service_tier, 'usage' as category,
        1 as requests, source_cost as billed_cost, source_cost as effective_cost, 'USD' as currency,
        response_id as request_id
    from observation
    where source = 'openrouter_generations' and source_cost is not null and started_at is not null
        and not array_to_string(coalesce(usage_flags, []), ',') like '%source_cost:own_key%'
"""

_FACTOR = "case when coalesce(line.currency, 'USD') = 'USD' then 1 else rate.usd_pico end"
_PER = "case when coalesce(line.currency, 'USD') = 'USD' then 1 else rate.per end"


def _usd(column: str) -> str:
    return share(_FACTOR, pico(f"line.{column}"), _PER)


_OF_PERIOD = f"""
    with rate as (
        select currency, {pico("usd")} as usd_pico, coalesce(units, 1)::hugeint * 1000000000000 as per,
            coalesce(valid_from, timestamp '0001-01-01') as valid_from,
            coalesce(valid_to, timestamp '2999-12-31') as valid_to
        from currency_rate
    ),
    line as (
        select *, {MONTH} as month, {EXPORT} as export from told_line
        where provider is not null and role <> 'estimate' and billed_cost is not null
            and ($provider is null or provider = $provider) and {IN_PERIOD}
    )
    select line.bill_line_id, line.source, line.export, line.month, line.file_id, line.record_no, line.provider,
        line.period_start, line.period_end,
        coalesce(line.period_end, line.period_start) - line.period_start > interval 25 hours as is_wide,
        line.account_id, line.project_id, line.caller, line.model, line.service_tier, line.region,
        line.context_window, line.resource_id, line.sku, line.description, line.meter, line.category,
        line.charge_class, line.request_id, line.requests, line.exported_at, line.role, line.currency,
        {micro("line.quantity")} as quantity,
        {_usd("billed_cost")} as billed, {_usd("effective_cost")} as effective,
        {_usd("list_cost")} as list, {_usd("contracted_cost")} as contracted,
        line.billed_cost as told_cost, document.is_total, document.is_detail,
        coalesce(bool_or(document.is_detail and line.source <> '{INVOICE}') over of_month, false) as has_detail
    from line
    join cell_document as document using (provider, month, source, export)
    asof left join rate on line.currency = rate.currency and line.period_start >= rate.valid_from
    window of_month as (partition by line.provider, line.month)
"""

#: Lines of the details; of an invoice beside them only what the details do not tell: top-ups, credits, tax.
_TAKEN = f"""
    create or replace temp table cell_line as
    with told as (
        select provider, month, category, round(cast(sum(told_cost) as decimal(38, 12)), 2) as cents
        from line_of_period where is_detail and has_detail and category <> 'usage' group by all
        union
        select provider, month, category, round(told_cost, 2) from line_of_period
        where is_detail and has_detail and category <> 'usage'
    ),
    extra as (
        select line.* from line_of_period as line
        anti join told on told.provider = line.provider and told.month = line.month
            and told.category = line.category and told.cents = round(line.told_cost, 2)
        where line.source = '{INVOICE}' and line.has_detail and line.category <> 'usage'
    )
    select *, cast(null as varchar) as cause, cast(null as varchar) as note, cast(null as bigint) as cell_id
    from (
        select * from line_of_period where is_detail union all by name select * from extra
    )
    where billed is not null
    order by provider, month, bill_line_id
"""

#: Where lines name models, and on the bill of a cloud, a line without one is a charge of another kind. A bare total of
#: a provider of models is all of it.
_ITEMIZED = f"""
    create or replace temp table bill_shape as
    select provider,
        bool_or(model is not null or coalesce({_TOKEN_METER}, false)) filter (where category = 'usage')
            or bool_or(source in ('cur', 'azure_cost', 'google_billing'))
            or bool_or(source = 'focus' and provider in ('aws', 'azure', 'google', 'oracle')) as is_itemized
    from cell_line group by provider
"""
_CALL_METERS = """
    create or replace temp table call_meter as
    select distinct provider, unnest(map_keys(other_usage)) as meter from event where other_usage is not null
"""
_CAUSES = f"""
    update cell_line set cause = case
        when bill_line_id in (select bill_line_id from line_out_of_scope) then 'out_of_scope'
        when category <> 'usage' then category
        when charge_class = 'correction' then 'adjustment'
        when list_contains({list(STANDING_METERS)!r}, meter) then 'non_token_usage'
        when meter is not null and not {_TOKEN_METER}
            and not exists (
                select 1 from call_meter where call_meter.provider = cell_line.provider
                    and call_meter.meter = cell_line.meter
            ) then 'non_token_usage'
        when model is null and meter is null and request_id is null
            and (select coalesce(is_itemized, false) from bill_shape where bill_shape.provider = cell_line.provider)
            then 'non_token_usage'
        when model is null and meter is null and regexp_matches(lower(coalesce(description, '')), '{_STANDING_WORDS}')
            then 'non_token_usage'
        else 'usage'
    end
"""
