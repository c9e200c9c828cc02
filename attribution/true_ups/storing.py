"""Write a true-up into the ledger: what calls bear, the lines of no call, and what was trued up."""

from __future__ import annotations

from attribution import periods
from attribution.ledger import Ledger
from attribution.prepayments.bills import COST_REPORTS

#: Bills change for three days after their period; until then they are provisional.
SETTLING_HOURS = 72


def replace(ledger: Ledger, month: str, provider: str | None) -> None:
    """Replace what an earlier true-up of the month said by what stands in the working tables."""
    bound = {"period": month, "provider": provider}
    with ledger.transaction():
        ledger.run(_CLEAR_EVENTS, bound)
        for table in ("residual_line", "trued_up"):
            ledger.run(
                f"delete from {table} where period = $period and ($provider is null or provider = $provider)", bound
            )
        ledger.run(_STORE_EVENTS, {"period": month})
        ledger.run(_STORE_RESIDUALS, {"period": month})
        ledger.run(_STORE_SUMS, {**bound, **periods.parse(month).values(), "reports": sorted(COST_REPORTS)})


def keep_only(ledger: Ledger, month: str, providers: list[str]) -> None:
    """Take back what was trued up of a month beyond these providers."""
    bound = {"period": month, "providers": providers}
    with ledger.transaction():
        ledger.run(_KEEP_EVENTS, bound)
        for table in ("residual_line", "trued_up"):
            ledger.run(f"delete from {table} where period = $period and not list_contains($providers, provider)", bound)


def _dollars(column: str) -> str:
    return f"cast(cast({column} as decimal(38, 0)) * 0.000000000001 as decimal(38, 12))"


#: Calls that a step has since merged or dropped bear nothing either; a row without a month says nothing.
_CLEAR_EVENTS = """
    delete from event_bill
    where billed_period is null or billed_period = $period and (
        $provider is null or event_id not in (select event_id from event where provider is distinct from $provider)
    )
"""
_KEEP_EVENTS = """
    delete from event_bill
    where billed_period = $period and event_id not in (
        select event_id from event where list_contains($providers, provider)
    )
"""
_STORE_EVENTS = f"""
    insert into event_bill (event_id, billed_cost, effective_cost, billed_period)
    select event_id, {_dollars("billed")}, {_dollars("effective")}, $period from trued_event order by event_id
"""
#: Lines of usage become residual where their cell has no call, or none that could bear a part.
_STORE_RESIDUALS = f"""
    insert into residual_line
    with spread as (select distinct cell_id from trued_share),
    told as (
        select line.provider, line.category, line.model, line.meter, line.project_id, line.resource_id,
            case when line.cause = 'out_of_scope' then 'Outside the declared scope' else line.description end
                as description,
            bill_line.api_key_id,
            case
                when line.cause = 'usage' then 'no_call'
                when line.cause = 'non_token_usage' and (
                    line.meter in ('provisioned', 'hosting', 'seat')
                    or exists (
                        select 1 from pool
                        where pool.provider = line.provider and pool.sku in (line.sku, line.description)
                    )
                ) then 'capacity'
                else line.cause
            end as cause,
            line.billed, line.effective, line.bill_line_id
        from trued_line as line
        left join bill_line using (bill_line_id)
        where line.cause <> 'usage' or line.cell_id is null or line.cell_id not in (select cell_id from spread)
    ),
    named as (
        select provider, cause, category, description,
            case when cause <> 'out_of_scope' then model end as model,
            case when cause <> 'out_of_scope' then meter end as meter,
            case when cause <> 'out_of_scope' then project_id end as project_id,
            case when cause <> 'out_of_scope' then api_key_id end as api_key_id,
            case when cause <> 'out_of_scope' then resource_id end as resource_id,
            billed, effective, bill_line_id
        from told
        union all by name
        select provider, cause, case cause when 'purchase' then 'purchase' else 'adjustment' end as category,
            description, billed, effective
        from trued_extra
    ),
    added as (
        select provider, cause, category, description, model, meter, project_id, api_key_id, resource_id,
            cast(sum(billed) as hugeint) as billed, cast(sum(effective) as hugeint) as effective,
            coalesce(list(bill_line_id order by bill_line_id) filter (where bill_line_id is not null), [])
                as bill_lines
        from named group by all
    )
    select cast(md5(cast(row($period, provider, cause, category, description, model, meter, project_id, api_key_id,
            resource_id) as varchar)) as uuid) as residual_id,
        $period, provider, cause, category, description, model, meter, project_id, api_key_id, resource_id,
        {_dollars("billed")}, {_dollars("effective")}, bill_lines
    from added order by residual_id
"""

#: What was trued up, from the documents and apart from what was spread, so that the two can be compared.
_STORE_SUMS = f"""
    insert into trued_up
    with known as (
        select max(moment) as as_of from (
            select max(exported_at) as moment from bill_line
            union all select max(coalesce(ended_at, started_at)) from event
        )
    ),
    bill as (
        select provider, cast(sum(billed) as hugeint) as billed, cast(sum(effective) as hugeint) as effective
        from (
            select provider, billed, effective from trued_line
            union all select provider, cast(billed as hugeint), cast(effective as hugeint) from trued_extra
            union all select provider, 0, effective from covered_call
        ) group by provider
    ),
    paper as (
        select provider, min(source order by source) filter (where is_total) as document,
            string_agg(distinct source, ', ' order by source) filter (where is_detail) as detail,
            bool_or(is_total and not list_contains($reports, source)) as is_invoice
        from cell_document group by provider
    ),
    invoice as (
        select bill_line.provider, string_agg(distinct invoice_id, ', ' order by invoice_id) as invoice_id
        from bill_line join paper on paper.provider = bill_line.provider and paper.document = bill_line.source
        where billing_period = $period group by bill_line.provider
    ),
    call as (
        select distinct provider from event
        where provider is not null and started_at >= $start and started_at < $end
            and ($provider is null or provider = $provider)
    ),
    borne as (
        select event.provider, count(*) as events, sum(billed_cost) as billed_cost,
            sum(effective_cost) as effective_cost,
            bit_xor(md5_number(event_id || ' ' || billed_cost || ' ' || effective_cost)) as digest
        from event_bill join event using (event_id) where billed_period = $period group by event.provider
    ),
    kept as (
        select provider, sum(billed_cost) as billed_cost, sum(effective_cost) as effective_cost,
            bit_xor(md5_number(
                residual_id || ' ' || billed_cost || ' ' || effective_cost || ' ' || cast(bill_lines as varchar)
            )) as digest
        from residual_line where period = $period group by provider
    ),
    named as (select provider from bill union select provider from call)
    select $period as period, named.provider,
        case
            when bill.provider is null then 'accrual'
            when paper.is_invoice and known.as_of >= $end + interval {SETTLING_HOURS} hours then 'final'
            else 'provisional'
        end as status,
        case when bill.provider is not null then coalesce(paper.document, 'configuration') end as document,
        paper.detail, invoice.invoice_id,
        {_dollars("bill.billed")} as billed_cost, {_dollars("bill.effective")} as effective_cost,
        case when bill.provider is not null then cast(coalesce(borne.billed_cost, 0) as decimal(38, 12)) end,
        case when bill.provider is not null then cast(coalesce(borne.effective_cost, 0) as decimal(38, 12)) end,
        case when bill.provider is not null then cast(coalesce(kept.billed_cost, 0) as decimal(38, 12)) end,
        case when bill.provider is not null then cast(coalesce(kept.effective_cost, 0) as decimal(38, 12)) end,
        coalesce(borne.events, 0) as events,
        md5(coalesce(borne.digest, 0) || ' ' || coalesce(kept.digest, 0) || ' ' || coalesce(borne.events, 0))
            as fingerprint,
        known.as_of
    from named
    cross join known
    left join bill using (provider) left join paper using (provider) left join invoice using (provider)
    left join borne using (provider) left join kept using (provider)
    order by named.provider
"""
