"""What bills say about a month, read for balances: usage by day, purchases, credits, and what was drawn already."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attribution import periods, reconciliation
from attribution.ledger import Ledger
from attribution.prepayments.lots import balance_of
from attribution.prepayments.months import Bill, Group

#: Reports of what usage costs; they know nothing of balances, and no one pays them.
COST_REPORTS = frozenset(("openai_costs", "anthropic_cost", "openrouter_activity", "openrouter_generations"))


def prepaid_providers(ledger: Ledger, provider: str | None) -> list[str]:
    """Return the providers whom something was paid ahead, by the configuration or by their bills."""
    rows = ledger.rows(
        """
        with named as (
            select provider from prepayment
            union
            select provider from bill_line
            where commitment_id is not null or category = 'purchase'
                or category = 'usage' and billed_cost = 0 and effective_cost <> 0
        )
        select distinct provider from named
        where provider is not null and ($provider is null or provider = $provider) order by provider
        """,
        {"provider": provider},
    )
    return [name for (name,) in rows]


def months(ledger: Ledger, provider: str, end: datetime | None) -> list[str]:
    """Return the months from the first purchase or bill of a provider to its last bill or call, or to an end."""
    first, last = ledger.rows(
        """
        with moment as (
            select purchased_on as at from prepayment where provider = $provider
            union all
            select coalesce(try_strptime(billing_period, '%Y-%m'), period_start) from bill_line
            where provider = $provider and billed_cost is not null
        ),
        call as (select max(started_at) as at from event where provider = $provider)
        select min(moment.at), greatest(max(moment.at), max(call.at)) from moment, call
        """,
        {"provider": provider},
    )[0]
    if first is None:
        return []
    last = last if end is None else end - end.resolution
    found, month = [], periods.parse(f"{first:%Y-%m}")
    while month.start <= last:
        found.append(month.label)
        month = periods.parse(f"{month.end:%Y-%m}")
    return found


def read_month(ledger: Ledger, provider: str, month: str) -> Bill:
    """Read what counts as the bill of a provider and month."""
    reconciliation.read_bills(ledger, month, provider)
    span = periods.parse(month)
    bill = Bill(provider, month, span.start, span.end)
    documents = {source for (source,) in ledger.rows("select source from cell_document where is_total or is_detail")}
    bill.has_bill = bool(documents)
    bill.has_invoice = bool(documents - COST_REPORTS)
    bill.difference = int(ledger.value("select coalesce(sum(billed), 0) from cell_residual"))
    for row in ledger.arrow(_CHARGES).to_pylist():
        _add(bill, row)
    lines = ledger.arrow(_LINES).to_pylist()
    bill.purchases = [_plain(line) for line in lines if line["cause"] == "purchase"]
    bill.credits = [_plain(line) for line in lines if line["cause"] == "credit"]
    if not bill.usage:
        for day, project_id, cost in ledger.rows(_CALLS, {"provider": provider, **span.values()}):
            bill.calls[Group(day, "", project_id)] = int(cost)
    return bill


def _add(bill: Bill, row: dict[str, Any]) -> None:
    """Add a sum of usage: drawn by the bill itself, unused, or billed."""
    if row["is_drawn"]:
        drawn = bill.unused if row["is_unused"] else bill.drawn
        contract_id = row["commitment_id"] or balance_of(bill.provider)
        drawn[contract_id] = drawn.get(contract_id, 0) + int(row["effective"])
    else:
        group = Group(row["day"], row["account_id"], row["project_id"])
        bill.usage[group] = bill.usage.get(group, 0) + int(row["billed"])


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    return line | {name: int(line[name]) for name in ("billed", "effective")}


#: A line longer than a day counts on its last one, when a balance bought within it is there.
_CHARGES = """
    with line as (
        select date_trunc('day', greatest(line.period_start, coalesce(line.period_end, line.period_start)
                - interval 1 day)) as day,
            coalesce(line.account_id, '') as account_id, coalesce(line.project_id, '') as project_id,
            coalesce(told.commitment_status = 'unused', false) as is_unused, told.commitment_id,
            line.billed = 0 and line.effective <> 0 as is_drawn, line.billed, line.effective
        from cell_line as line left join bill_line as told using (bill_line_id)
        where line.cause in ('usage', 'non_token_usage')
    )
    select * exclude (commitment_id, billed, effective), case when is_drawn then commitment_id end as commitment_id,
        cast(sum(billed) as decimal(38, 0)) as billed, cast(sum(effective) as decimal(38, 0)) as effective
    from line group by all order by all
"""
_LINES = """
    select cast(line.bill_line_id as varchar) as bill_line_id, line.cause, told.commitment_id, told.invoice_id,
        line.description, line.period_start, line.period_end, cast(line.billed as decimal(38, 0)) as billed,
        cast(coalesce(line.effective, line.billed) as decimal(38, 0)) as effective
    from cell_line as line left join bill_line as told using (bill_line_id)
    where line.cause in ('purchase', 'credit')
    order by line.bill_line_id
"""
_CALLS = """
    select date_trunc('day', started_at) as day, coalesce(project_id, '') as project_id,
        cast(sum(coalesce(contracted_cost, list_cost)) * 1000000000000 as hugeint) as cost
    from cost_event
    where provider = $provider and started_at >= $start and started_at < $end
        and coalesce(contracted_cost, list_cost) is not null
    group by all order by all
"""
