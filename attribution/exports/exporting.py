"""The one way out: a format, a period, a file; what was written, what it adds up to, and what it could not hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution import periods, showing
from attribution.errors import QuestionError
from attribution.exports import charges, files, focus
from attribution.ledger import Ledger, as_frame

#: Format → what it holds.
FORMATS = {
    "focus-1.2": "FOCUS 1.2: one row per team, price and day, and the invoice's other lines",
}
_FOCUS_SUMS = ("ListCost", "ContractedCost", "BilledCost", "EffectiveCost")


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    path
        The file.
    format
        One of the formats.
    rows
        How many.
    sums
        Exact sums of the money columns [USD]; they equal the ledger's.
    left_out
        Calls that have no dollars to write: `provider`, `model`, `price_status`, `price_reason`, `calls`, tokens and
        `priced_part` [USD].
    """

    path: str
    format: str
    rows: int
    sums: dict[str, Decimal]
    left_out: pd.DataFrame = field(repr=False)

    @property
    def headline(self) -> str:
        """Say it in a sentence or two."""
        sums = ", ".join(f"{name} {showing.dollars(amount)}" for name, amount in self.sums.items())
        said = f"{showing.count(self.rows, 'row')} of {self.format} in {self.path}: {sums}."
        if self.left_out.empty:
            return said
        calls = sum(row["calls"] for row in showing.rows(self.left_out))
        return f"{said} Left out: {showing.count(calls, 'call')} without a price, usage or invoice: unknown, never $0."

    def __str__(self) -> str:
        return self.headline


def focus_rows(ledger: Ledger, period: str | None = None, *, version: str = "1.2") -> pd.DataFrame:
    """Return the ledger's charges in the columns of FOCUS, one row per team, price and day.

    A row's BilledCost and EffectiveCost are the invoice's own dollars once a bill is loaded and trued up; before, they
    are at negotiated price (accrual, see `x_CostBasis`). What an invoice holds beyond its calls (tax, credits,
    purchases, storage) stands as rows of its own without a team, so that BilledCost adds up to the invoice. Calls
    without a price and without an invoice have no dollars and no row; `export` counts them.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        Whole months, such as `2026-10`, `2026-Q4` or `2026`; all time when not given.
    version
        `1.2`.

    Returns
    -------
    pandas.DataFrame
        The columns of the version by name, then our own `x_` columns; costs are decimals [USD].

    Raises
    ------
    QuestionError
        If the period cuts a month, or the version is another.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.focus_rows(ledger)[["SkuMeter", "ListCost"]].to_dict("records")[0]
    {'SkuMeter': 'Input Tokens', 'ListCost': Decimal('0.001280000000')}
    """
    return as_frame(_focus_table(ledger, period, version))


def export(
    ledger: Ledger, path: str | os.PathLike[str], kind: str = "focus-1.2", *, period: str | None = None
) -> Exported:
    """Write the ledger's charges to a file, whole or not at all.

    Parameters
    ----------
    ledger
        A built ledger.
    path
        The file, `.parquet` or `.csv`; its folder must exist. FOCUS keeps text as it is in both.
    kind
        `focus-1.2`.
    period
        Whole months, such as `2026-10`; all time when not given.

    Returns
    -------
    Exported
        What was written, its exact sums, and what has no dollars to write.

    Raises
    ------
    QuestionError
        If the format, the file's ending, its folder or the period is not one of these.
    """
    if kind not in FORMATS:
        raise QuestionError.bad_argument("format", kind, f"one of {', '.join(FORMATS)}")
    files.require_suffix(path)
    table = _focus_table(ledger, period, kind.removeprefix("focus-"))
    files.write_table(table, path, is_guarded=False)
    sums = {name: focus.total(table, name) for name in _FOCUS_SUMS}
    return Exported(os.fspath(path), kind, table.num_rows, sums, ledger.frame("from left_out"))


def _focus_table(ledger: Ledger, period: str | None, version: str) -> pa.Table:
    if f"focus-{version}" not in FORMATS:
        known = ", ".join(name.removeprefix("focus-") for name in FORMATS if name.startswith("focus-"))
        raise QuestionError.bad_argument("version", version, f"one of {known}")
    months = charges.months_of(periods.parse(period)) if period is not None else None
    return focus.rows_of(ledger, months, version)
