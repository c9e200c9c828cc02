"""Statuses: does it tie, by a tolerance that is stated and never changes an amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_frame
from attribution.reconciliation.documents import INVOICE
from attribution.reconciliation.sides import Side

TIES, OPEN, DIFFERS, PROVISIONAL = "ties", "open", "does not tie", "provisional"
#: Best first; the whole is as good as its worst provider.
_ORDER = (TIES, OPEN, PROVISIONAL, DIFFERS)
#: Missing evidence with which a bill that leaves no rest is open all the same.
_INCOMPLETE = ("day_without_bill", "no_currency_rate")


@dataclass(frozen=True)
class Tolerance:
    """What counts as a tie; it decides a status and never an amount.

    Attributes
    ----------
    line
        Share of a cell's billed dollars that its gap may have; one rounding unit a line is always allowed.
    ties, open
        Shares of the bill: up to the first unexplained, it ties; up to the second, it is open.
    provisional
        How long after the period the provider may still change its bill.
    """

    line: Decimal = Decimal("0.001")
    ties: Decimal = Decimal("0.005")
    open: Decimal = Decimal("0.02")
    provisional: timedelta = timedelta(hours=72)


def read_as_of(ledger: Ledger, as_of: str | datetime | None) -> datetime | None:
    """Return the moment of asking in UTC; the latest time in the data when not given, for nothing reads the clock."""
    if as_of is None:
        found: datetime | None = ledger.value(_LATEST)
        return found
    try:
        moment = datetime.fromisoformat(as_of.replace("Z", "+00:00")) if isinstance(as_of, str) else as_of
    except ValueError:
        raise QuestionError.bad_argument("as_of", as_of, "an ISO time such as 2026-11-05T06:00Z") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def judge(
    ledger: Ledger, bridges: pd.DataFrame, missing: pd.DataFrame, sides: Sequence[Side], as_of: datetime | None,
    tolerance: Tolerance,
) -> pd.DataFrame:  # fmt: skip
    """Return a status per provider, with the share of the bill that is unexplained and the reason in words."""
    told = {row[0]: row[1:] for row in ledger.rows(_TOLD, {"invoice": INVOICE})}
    rows = [_row(side, bridges, missing, told.get(side.provider), as_of, tolerance) for side in sides]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("provider", "status")),
            *((name, pa.decimal128(38, 12)) for name in ("billed", "unexplained")),
            ("share", pa.decimal128(18, 6)),
            ("as_of", pa.timestamp("us")),
            *((name, pa.string()) for name in ("document", "why")),
        ]
    )
    return as_frame(pa.Table.from_pylist(rows, schema=schema))


def worst(statuses: Sequence[str]) -> str:
    """Return the status of all together: that of the worst; where no provider is known, nothing ties."""
    return max(statuses, key=_ORDER.index, default=DIFFERS)


def _row(
    side: Side, bridges: pd.DataFrame, missing: pd.DataFrame, told: Any, as_of: datetime | None, tolerance: Tolerance
) -> dict[str, Any]:
    mine = bridges[bridges["provider"] == side.provider].set_index("cause")["amount"]
    billed, rest = mine["billed"], mine["unexplained"]
    share = Decimal(0) if rest == 0 else Decimal(1) if billed == 0 else abs(rest / billed)
    share = min(share, Decimal(10**6)).quantize(Decimal("0.000001"))
    document, told_at, last, is_invoice, usage = told or (None, None, None, False, 0)
    calls = bridges[(bridges["provider"] == side.provider) & (bridges["cause"] == "ledger")]["calls"].item()
    age = _age(as_of, told_at, last, side)
    if told is None:
        status, why = DIFFERS, "no bill of this provider covers the period"
    elif calls == 0 and usage:
        status, why = DIFFERS, "the bill has usage, and no call of this provider is loaded"
    elif age is not None and age < tolerance.provisional and not is_invoice:
        hours = int(tolerance.provisional / timedelta(hours=1))
        status, why = PROVISIONAL, f"the bill is younger than {hours} hours and may still change"
    elif share > max(tolerance.open, tolerance.ties):
        status, why = DIFFERS, f"more than {tolerance.open * 100:f} % of the bill is unexplained"
    elif share > tolerance.ties:
        status, why = OPEN, f"more than {tolerance.ties * 100:f} % of the bill is unexplained"
    else:
        status, why = TIES, "every dollar has a named cause" if rest == 0 else "what is unexplained is within tolerance"
        gaps = missing[(missing["provider"] == side.provider) & missing["state"].isin(_INCOMPLETE)]
        if len(gaps):
            status, why = OPEN, f"a part of the bill is missing: {gaps['what'].iloc[0]}"
    return {
        "provider": side.provider, "status": status, "billed": billed, "unexplained": rest, "share": share,
        "as_of": as_of, "document": document, "why": why,
    }  # fmt: skip


def _age(as_of: datetime | None, told_at: datetime | None, last: datetime | None, side: Side) -> timedelta | None:
    """Return how long after its last usage the bill was told; null where nothing in the data is later than it."""
    end = min(side.window_end, last) if last is not None else side.window_end
    known = [moment for moment in (as_of, told_at) if moment is not None]
    seen = min(known) if known else None
    return seen - end if seen is not None and seen > end else None


_LATEST = """
    select max(moment) from (
        select max(exported_at) as moment from bill_line union all select max(started_at) from event
    )
"""
#: Rows that come in batches carry the time of their batch, not that of the bill.
_TOLD = """
    select provider, string_agg(distinct source, ' and ' order by source),
        max(exported_at) filter (where source <> 'google_billing'),
        max(period_end) filter (where cause = 'usage'), bool_and(source = $invoice),
        count(*) filter (where cause = 'usage')
    from cell_line group by provider order by provider
"""
