"""Prepaid balances and commitments: opening + purchased − used − expired = closing, tied to the bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import periods
from attribution.ledger import Ledger, as_frame
from attribution.periods import Period
from attribution.prepayments import bills
from attribution.prepayments.lots import declared, money
from attribution.prepayments.months import Account, Balances, Bill, Cover

_MONEY = pa.decimal128(38, 12)
_WORDS = ("contract_id", "kind", "provider", "month")
_FLOWS = ("opening", "purchased", "used", "expired", "closing", "billed_purchase", "billed_use")
_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in _WORDS),
        *((name, _MONEY) for name in _FLOWS),
        ("status", pa.string()),
        ("evidence", pa.string()),
    ]
)


@dataclass
class History:
    """What became of every balance, month by month, and which usage each paid for."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    covers: dict[tuple[str, str], Cover] = field(default_factory=dict)
    #: Bill lines that bought a balance: they cost nothing until it is used.
    purchases: set[str] = field(default_factory=set)


def roll_forward(ledger: Ledger, period: str | None = None, provider: str | None = None) -> pd.DataFrame:
    """Roll prepaid balances and commitments forward: opening + purchased − used − expired = closing.

    What was bought is told by the configuration (`prepaid`) and by purchase lines of bills, each counted once. What
    was used is told by the bill wherever it can: by usage billed at nothing that costs something (FOCUS), by the
    covering credit of an invoice, or by usage that the invoice leaves out. Where a cost report is all there is, its
    usage draws on the balance in the order of its days; where no bill shows usage, the cost of the calls does.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        Show only the months in it, such as `2026-10`; what came before counts all the same.
    provider
        Only this provider.

    Returns
    -------
    pandas.DataFrame
        `contract_id`, `kind` (credit or commitment), `provider`, `month`, `opening`, `purchased`, `used`, `expired`,
        `closing` [USD], `billed_purchase` and `billed_use` [USD; what the bill itself says, null where it is silent],
        `status` (ties, does not tie, overdrawn, no invoice, no bill) and `evidence` (how the use is known), by
        provider, contract and month.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     len(at.roll_forward(ledger))
    0
    """
    within = None if period is None else periods.parse(period)
    rows = [row for row in follow(ledger, within, provider).rows if within is None or _is_in(row["month"], within)]
    return as_frame(pa.Table.from_pylist(rows, schema=_COLUMNS))


def follow(ledger: Ledger, until: Period | None = None, provider: str | None = None) -> History:
    """Follow every balance from its first month to the last month of bills, or the end of a period."""
    history = History()
    for name in bills.prepaid_providers(ledger, provider):
        balances = Balances(name, declared(ledger, name))
        for month in bills.months(ledger, name, until.end if until else None):
            bill = bills.read_month(ledger, name, month)
            accounts, cover = balances.follow(bill)
            history.covers[name, month] = cover
            history.rows += _rows(bill, accounts)
        history.purchases |= {line for lot in balances.lots for line in lot.lines}
    history.rows.sort(key=lambda row: tuple(row[name] for name in ("provider", "contract_id", "kind", "month")))
    return history


def _rows(bill: Bill, accounts: dict[tuple[str, str], Account]) -> Iterator[dict[str, Any]]:
    for (contract_id, kind), account in accounts.items():
        yield {
            "contract_id": contract_id,
            "kind": kind,
            "provider": bill.provider,
            "month": bill.month,
            **{name: money(getattr(account, name)) for name in _FLOWS},
            "status": _status(bill, account),
            "evidence": account.evidence,
        }


def _status(bill: Bill, account: Account) -> str:
    if account.closing < 0:
        return "overdrawn"
    if not account.does_tie:
        return "does not tie"
    if not bill.has_bill:
        return "no bill"
    return "ties" if bill.has_invoice else "no invoice"


def _is_in(month: str, within: Period) -> bool:
    start = datetime.strptime(month, "%Y-%m")
    return within.start <= start < within.end
