"""What was paid ahead: purchases that people declared, and purchase lines of bills, each told once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from attribution.errors import ConfigurationError
from attribution.ledger import Ledger

PICO = 10**12
#: Words by which invoices name a balance: for its purchase, and for the credit that stands for its use.
_BALANCE = re.compile(r"pre-?pa|top.?up|balance|draw-?\s?down|drawn|commitment|credit (?:pack|purchase)", re.IGNORECASE)
#: Words that speak of a balance only where there is one; promotions are applied, too.
_APPLIED = re.compile(r"appl(?:y|ied)|used", re.IGNORECASE)
#: A charge that runs longer than a month is a term; what is left of it then expires.
_TERM = timedelta(days=31)


@dataclass
class Lot:
    """One purchase of a balance or commitment, in whole pico-dollars, and what is left of it."""

    contract_id: str
    kind: str
    provider: str
    amount: int
    bought: datetime
    expires: datetime | None
    evidence: str
    account_id: str | None = None
    project_id: str | None = None
    invoice_id: str | None = None
    is_declared: bool = True
    billed: int | None = None
    lines: list[str] = field(default_factory=list)
    left: int = 0

    def covers(self, day: datetime, account_id: str | None, project_id: str | None) -> bool:
        """Say whether usage of a day, account and project may draw on it."""
        return (
            self.bought <= day
            and (self.expires is None or day < self.expires)
            and self.account_id in (None, account_id)
            and self.project_id in (None, project_id)
        )


def declared(ledger: Ledger, provider: str | None = None) -> list[Lot]:
    """Return what the configuration says was paid ahead, first to expire first."""
    rows = ledger.arrow(
        "select * from prepayment where $provider is null or provider = $provider order by all", {"provider": provider}
    ).to_pylist()
    lots = [
        Lot(
            contract_id=row["contract_id"] or balance_of(row["provider"]),
            kind=row["kind"] or "credit",
            provider=row["provider"],
            amount=_dollars(ledger, row),
            bought=row["purchased_on"],
            expires=row["expires_on"],
            evidence=row["place"] or "configuration",
            account_id=row["account_id"],
            project_id=row["project_id"],
            invoice_id=row["invoice_id"],
        )
        for row in rows
    ]
    return sorted(lots, key=order)


def order(lot: Lot) -> tuple[Any, ...]:
    """Return what lots are drawn by: what expires first, then what was bought first."""
    return (lot.expires or datetime.max, lot.bought, lot.contract_id, lot.evidence, lot.amount)


def balance_of(provider: str) -> str:
    """Name the balance of a provider where nobody named it."""
    return f"{provider} prepaid"


def is_of_balance(description: str | None, *, is_held: bool = False) -> bool:
    """Say whether the words of an invoice line speak of a balance or commitment, or of one that is known to be held."""
    return bool(description and (_BALANCE.search(description) or (is_held and _APPLIED.search(description))))


def billed(purchase: dict[str, Any], provider: str) -> Lot:
    """Return the lot that a purchase line of a bill stands for."""
    is_term = purchase["period_end"] is not None and purchase["period_end"] - purchase["period_start"] > _TERM
    return Lot(
        contract_id=purchase["commitment_id"] or balance_of(provider),
        kind="credit",
        provider=provider,
        amount=purchase["billed"],
        bought=purchase["period_start"],
        expires=purchase["period_end"] if is_term else None,
        evidence="bill",
        invoice_id=purchase["invoice_id"],
        is_declared=False,
        billed=purchase["billed"],
        lines=[str(purchase["bill_line_id"])],
    )


def _dollars(ledger: Ledger, row: dict[str, Any]) -> int:
    """Return a declared amount in whole pico-dollars, at the declared rate of the day where it is no dollars."""
    amount = Fraction(row["amount"])
    if (row["currency"] or "USD") != "USD":
        found = ledger.rows(
            "select usd, coalesce(units, 1) from currency_rate where currency = $currency "
            "and (valid_from is null or valid_from <= $day) and (valid_to is null or $day < valid_to) order by all",
            {"currency": row["currency"], "day": row["purchased_on"]},
        )
        if not found:
            file, _, line = (row["place"] or "configuration:0").rpartition(":")
            expected = "an entry of currency_rates for that day, or an amount in USD"
            raise ConfigurationError.at(file, int(line), f"{row['amount'].normalize():f} {row['currency']}", expected)
        amount *= Fraction(found[0][0]) / found[0][1]
    return round(amount * PICO)


def money(pico: int | None) -> Decimal | None:
    """Return whole pico-dollars as dollars."""
    return None if pico is None else Decimal(pico).scaleb(-12)
