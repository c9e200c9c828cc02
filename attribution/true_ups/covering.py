"""What each bill line really is, once prepaid balances are drawn: billed at nothing, costing what was used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from attribution.ledger import Ledger
from attribution.prepayments import History
from attribution.prepayments.months import BY_CALLS, BY_CREDIT, BY_INVOICE, Cover

_PICO = pa.decimal128(38, 0)
_GROUP = pa.schema(
    [
        ("provider", pa.string()),
        ("day", pa.timestamp("us")),
        ("account_id", pa.string()),
        ("project_id", pa.string()),
        ("covered", _PICO),
    ]
)
_LINE = pa.schema([("line_id", pa.string())])
_NETTED = pa.schema([("line_id", pa.string()), ("netted", _PICO)])
_EXTRA = pa.schema(
    [
        ("provider", pa.string()),
        ("cause", pa.string()),
        ("description", pa.string()),
        ("billed", _PICO),
        ("effective", _PICO),
    ]
)


def cover_lines(ledger: Ledger, history: History, month: str) -> None:
    """Write `trued_line` and `trued_extra`: lines and line-less amounts of a month, after balances are drawn.

    Covered usage is billed at nothing and keeps its effective cost; the credit or invoice difference that stands for
    it nets to nothing; a purchase of a balance is billed and costs nothing until it is used.
    """
    covers = [cover for (_, name), cover in sorted(history.covers.items()) if name == month]
    tables = {
        "cover_group": _table(_groups(covers, is_calls=False), _GROUP),
        "call_group": _table(_groups(covers, is_calls=True), _GROUP),
        "covering_credit": _table(_credits(covers), _NETTED),
        "prepaid_purchase": _table([{"line_id": line} for line in sorted(history.purchases)], _LINE),
        "extra": _table(_extras(ledger, covers), _EXTRA),
    }
    with ledger.reading(**tables):
        ledger.run(_LINES)
        ledger.run("create or replace temp table trued_extra as select * from extra order by all")
        ledger.run("create or replace temp table trued_call_group as select * from call_group order by all")


def _table(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)


def _groups(covers: Iterable[Cover], *, is_calls: bool) -> Iterable[dict[str, Any]]:
    for cover in covers:
        if (cover.evidence == BY_CALLS) == is_calls:
            for group, amount in cover.usage.items():
                yield {"provider": cover.provider, "covered": amount, **vars(group)}


def _credits(covers: Iterable[Cover]) -> Iterable[dict[str, Any]]:
    """Credits stand for what is covered, up to all of it; the first of several is used up first."""
    for cover in covers:
        if cover.evidence == BY_CREDIT:
            yield from ({"line_id": line, "netted": cover.total} for line in cover.credit_lines)


def _extras(ledger: Ledger, covers: Iterable[Cover]) -> Iterable[dict[str, Any]]:
    """Yield amounts without a bill line: what invoices hold beyond their reports, and purchases that no bill shows."""
    told = {cover.provider: cover for cover in covers}
    for provider, cause, billed, effective in ledger.rows(_RESIDUALS):
        cover = told.get(provider)
        netted = sum(cover.usage.values()) if cover and cover.evidence == BY_INVOICE else 0
        yield {
            "provider": provider,
            "cause": cause,
            "description": "Invoice total minus the lines behind it",
            "billed": int(billed) + netted - (cover.difference if cover else 0),
            "effective": int(effective) + netted,
        }
    for cover in told.values():
        for lot in cover.unbilled:
            yield {
                "provider": cover.provider,
                "cause": "purchase",
                "description": f"Prepaid purchase declared at {lot.evidence}, on no loaded bill",
                "billed": lot.amount,
                "effective": 0,
            }


_RESIDUALS = """
    select provider, cause, cast(sum(billed) as decimal(38, 0)), cast(sum(effective) as decimal(38, 0))
    from cell_residual group by all order by all
"""
#: A running sum cut at what is covered says how much of each line is: the differences add up to it exactly.
_LINES = """
    create or replace temp table trued_line as
    with usage as (
        select bill_line_id, provider, billed,
            date_trunc('day', greatest(period_start, coalesce(period_end, period_start) - interval 1 day)) as day,
            coalesce(account_id, '') as account_id, coalesce(project_id, '') as project_id
        from cell_line
        where cause in ('usage', 'non_token_usage') and not (billed = 0 and coalesce(effective, billed) <> 0)
    ),
    running as (
        select bill_line_id, billed, covered, cast(sum(billed) over (
            partition by provider, day, account_id, project_id order by bill_line_id rows unbounded preceding
        ) as hugeint) as upto
        from usage
        join cover_group using (provider, day, account_id, project_id)
    ),
    covered as (
        select bill_line_id, least(covered, upto) - least(covered, upto - billed) as part
        from (select * replace (cast(covered as hugeint) as covered) from running)
    ),
    credit as (
        select bill_line_id, -billed as billed, cast(netted as hugeint) as netted, cast(sum(-billed) over (
            partition by provider order by bill_line_id rows unbounded preceding
        ) as hugeint) as upto
        from cell_line join covering_credit on line_id = cast(bill_line_id as varchar)
    ),
    netting as (select bill_line_id, least(netted, upto) - least(netted, upto - billed) as part from credit)
    select cell_line.* exclude (billed, effective),
        cell_line.billed - coalesce(covered.part, 0) + coalesce(netting.part, 0) as billed,
        case when prepaid_purchase.line_id is not null then 0::hugeint
            else coalesce(cell_line.effective, cell_line.billed) + coalesce(netting.part, 0) end as effective
    from cell_line
    left join covered using (bill_line_id)
    left join netting using (bill_line_id)
    left join prepaid_purchase on prepaid_purchase.line_id = cast(cell_line.bill_line_id as varchar)
    order by provider, bill_line_id
"""
