"""What is billed: one document per provider, so that an invoice and the report behind it are not added up."""

from __future__ import annotations

from decimal import Decimal

from attribution.ledger import Ledger
from attribution.showing import count, dollars


def say_billed(ledger: Ledger) -> str:
    """Say what the providers bill, from the bills that are loaded; nothing here is compared with calls."""
    rows = ledger.rows(_BILLED)
    if not rows:
        return "No bill is loaded, so nothing here is compared with one."
    amounts: dict[str, Decimal] = {}
    for _, currency, billed, _, _ in rows:
        amounts[currency] = amounts.get(currency, Decimal(0)) + billed
    shown = ", ".join(
        dollars(amount) if currency == "USD" else f"{amount:,.2f} {currency}"
        for currency, amount in sorted(amounts.items(), key=lambda item: (item[0] != "USD", item[0]))
    )
    first, last = min(row[3] for row in rows), max(row[4] for row in rows)
    months = first if first == last else f"{first} to {last}"
    providers = count(len({row[0] for row in rows}), "provider")
    return (
        f"Billed: {shown} by {providers} for {months}, with prepaid amounts, tax and credits as the bills have them. "
        f"To tie a month to the calls, every dollar with a name: attribution reconcile PATH --period {last}."
    )


#: Of several documents of one provider its invoice counts, else the report with most lines of money.
_BILLED = """
    with document as (
        select provider, source, coalesce(currency, 'USD') as currency, sum(billed_cost) as billed, count(*) as lines,
            strftime(min(period_start), '%Y-%m') as first_month, strftime(max(period_start), '%Y-%m') as last_month
        from bill_line where billed_cost is not null and role <> 'estimate'
        group by provider, source, coalesce(currency, 'USD')
    ),
    ranked as (
        select provider, source, row_number() over (
            partition by provider order by source = 'invoice' desc, sum(lines) desc, source
        ) as place
        from document group by provider, source
    )
    select provider, currency, cast(billed as decimal(38, 12)), first_month, last_month
    from document join ranked using (provider, source)
    where place = 1 order by provider, currency
"""
