"""Exchange rates by day: given as a frame, or from the ledger's reviewed table; a day without one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.periods import Period

_RATE = pa.schema([("day", pa.date32()), ("rate", pa.decimal128(18, 9))])
_NANO = Decimal("0.000000001")


def rate_table(
    ledger: Ledger, currency: str, rates: pa.Table | pd.DataFrame | None, windows: Sequence[Period]
) -> dict[str, pa.Table]:
    """Return table `currency` with a rate for every day of the windows."""
    days = sorted({day for window in windows for day in _days(window)})
    table = _own(ledger, currency, days) if rates is None else _given(rates)
    known = set(table["day"].to_pylist())
    missing = [day for day in days if day not in known]
    if missing:
        what = "rates" if rates is not None else "currency"
        raise QuestionError.bad_argument(what, currency, f"a rate for every day asked about; none for {missing[0]}")
    return {"currency": table}


def _given(rates: pa.Table | pd.DataFrame) -> pa.Table:
    frame = rates if isinstance(rates, pa.Table) else pa.Table.from_pandas(rates, preserve_index=False)
    if not {"day", "rate"} <= set(frame.column_names):
        raise QuestionError.bad_argument("rates", frame.column_names, "columns day and rate")
    table = frame.select(["day", "rate"]).cast(_RATE)
    if len(set(table["day"].to_pylist())) < table.num_rows:
        raise QuestionError.bad_argument("rates", f"{table.num_rows} rows", "one rate a day")
    return table


def _own(ledger: Ledger, currency: str, days: Sequence[date]) -> pa.Table:
    """Turn what one unit is worth in dollars into units per dollar, at each day's start."""
    rows = ledger.rows(
        """
        with day_asked as (select unnest($days) as day)
        select day, usd, coalesce(units, 1) as units
        from currency_rate cross join day_asked
        where currency = $currency and coalesce(valid_from, timestamp '0001-01-01') <= day
            and coalesce(valid_to, timestamp '2999-12-31') > day
        order by day, valid_from
        """,
        {"days": list(days), "currency": currency},
    )
    rate_of = {day: (Decimal(units) / usd).quantize(_NANO) for day, usd, units in rows}
    return pa.table({"day": list(rate_of), "rate": list(rate_of.values())}, schema=_RATE)


def _days(window: Period) -> list[date]:
    count = (window.end - timedelta(microseconds=1)).date() - window.start.date()
    return [window.start.date() + timedelta(days=step) for step in range(count.days + 1)]
