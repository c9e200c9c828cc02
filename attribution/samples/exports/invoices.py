"""Invoices as finance receives them: one CSV for all providers, amounts in whole cents."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from attribution.samples.bills import Bills
from attribution.samples.files import Folder

HEADER = "invoice_id,provider,billing_period,issued_on,line,category,description,amount,currency"
PROVIDERS = ("openai", "anthropic", "aws", "azure", "google")


def write_invoices(bills: Bills, folder: Folder) -> None:
    """Write one file per month."""
    for month in bills.months():
        lines = [HEADER]
        for provider in PROVIDERS:
            for number, (category, words, cents) in enumerate(invoice_lines(bills, provider, month), start=1):
                year, next_month = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
                issued = f"{year}-{next_month + 1:02d}-05"
                lines.append(
                    f'INV-{provider}-{month},{provider},{month},{issued},{number},{category},"{words}",{cents},USD'
                )
        folder.lines(f"data/invoices/invoices_{month}.csv", lines)


def invoice_lines(bills: Bills, provider: str, month: str) -> list[tuple[str, str, Decimal]]:
    """Return the lines of one invoice; usage that a prepaid balance covers is charged at nothing."""
    usage = bills.total(provider, month)
    extras = sum(e.pico for e in bills.extras(provider) if f"{e.day:%Y-%m}" == month)
    lines = [("usage", "Usage of the month", _cents(usage))]
    if extras:
        lines.append(("usage", "Storage and sessions", _cents(extras)))
    for extra in [*bills.charges(provider, month), *bills.credits(provider), *bills.corrections(provider)]:
        if bills.invoiced_in(extra) == month:
            lines.append((extra.category, extra.words, _cents(extra.pico)))
    if bills.is_prepaid(provider):
        covered = sum((amount for category, _, amount in lines if category == "usage"), Decimal(0))
        lines.append(("credit", "Covered by prepaid balance", -covered))
        if purchase := bills.purchase(month):
            lines.append(("purchase", "Prepaid balance top-up", _cents(purchase)))
    return lines


def _cents(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
