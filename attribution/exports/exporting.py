"""The one way out: a format, a period, a file; what was written, what it adds up to, and what it could not hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution import periods, showing
from attribution.closing import charge_back
from attribution.closing.adjusting import true_up_months
from attribution.closing.charging import RulesLike
from attribution.errors import QuestionError
from attribution.exports import allocated, booking, charges, files, focus
from attribution.ledger import Ledger, as_frame
from attribution.statements import Chargeback

#: Format → what it holds.
FORMATS = {
    "focus-1.2": "FOCUS 1.2: one row per team, price and day, and the invoice's other lines",
    "focus-1.3": "FOCUS 1.3: the same, with shared and unowned charges split over teams as the rules say",
    "csv": "the lines of every team's statement, as CSV",
    "parquet": "the lines of every team's statement, as Parquet",
    "journal": "double-entry journal as CSV: debit teams, credit providers",
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
        left = f"{showing.count(calls, 'call')} without a price, usage or invoice, in whole or in part"
        return f"{said} Left out: {left}: unknown, never $0."

    def __str__(self) -> str:
        return self.headline


def focus_rows(
    ledger: Ledger, period: str | None = None, *, version: str = "1.2", rules: RulesLike = None
) -> pd.DataFrame:
    """Return the ledger's charges in the columns of FOCUS, one row per team, price and day.

    A row's BilledCost and EffectiveCost are the invoice's own dollars once a bill is loaded and trued up; before, they
    are at negotiated price (accrual, see `x_CostBasis`). What an invoice holds beyond its calls (tax, credits,
    purchases, storage) stands as rows of its own without a team, so that BilledCost adds up to the invoice. Calls
    without a price and without an invoice have no dollars and no row; `export` counts them.

    In version 1.3 a charge that the rules share out stands as one row per team that bears a part, with origin, target,
    method and ratio; in every metric the parts add up to the origin.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        Whole months, such as `2026-10`, `2026-Q4` or `2026`; all time when not given.
    version
        `1.2`, or `1.3` with the columns of split allocation.
    rules
        How shared and unowned charges are split, from `read_rules`; for `1.3`.

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
    return as_frame(_focus_table(ledger, period, version, rules))


def export(
    ledger: Ledger,
    path: str | os.PathLike[str],
    kind: str = "focus-1.2",
    *,
    period: str | None = None,
    rules: RulesLike = None,
) -> Exported:
    """Write charges or statements to a file, whole or not at all.

    Parameters
    ----------
    ledger
        A built ledger.
    path
        The file; its folder must exist. FOCUS is written as `.parquet` or `.csv` and keeps text as it is; in other CSV
        a cell that a spreadsheet would run has a quote before it.
    kind
        `focus-1.2`, `focus-1.3`, `csv` or `parquet` (statements), or `journal`.
    period
        Whole months, such as `2026-10`; for FOCUS all time when not given, for the others needed.
    rules
        How shared and unowned charges are split, from `read_rules`.

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
    suffix = files.require_suffix(path)
    names: tuple[str, ...]
    if kind.startswith("focus-"):
        table = _focus_table(ledger, period, kind.removeprefix("focus-"), rules)
        files.write_table(table, path, is_guarded=False)
        left_out, names = ledger.frame("from left_out"), _FOCUS_SUMS
    else:
        _require_ending(kind, suffix, path)
        stated = charge_back(ledger, _required(period), rules)
        table = booking.journal(stated) if kind == "journal" else _lines(stated)
        files.write_table(table, path)
        left_out, names = _NONE, ("debit", "credit") if kind == "journal" else ("amount", "cents")
    sums = {name: focus.total(table, name) for name in names}
    return Exported(os.fspath(path), kind, table.num_rows, sums, left_out)


_NONE = pd.DataFrame({"calls": []})


def _require_ending(kind: str, suffix: str, path: str | os.PathLike[str]) -> None:
    wanted = ".parquet" if kind == "parquet" else ".csv"
    if suffix != wanted:
        raise QuestionError.bad_argument("out", os.fspath(path), f"a name that ends in {wanted}, for {kind}")


def _required(period: str | None) -> str:
    if period is None:
        raise QuestionError.bad_argument("period", period, "the period of the statements, such as 2026-10")
    return period


def _lines(stated: Chargeback) -> pa.Table:
    """Return the statements' lines with what each statement says of itself: basis, state, cost centre, account."""
    lines = pa.Table.from_pandas(stated.lines, preserve_index=False)
    teams = {row["owner_team"]: row for row in showing.rows(stated.statements)}
    states = {row["provider"]: row["state"] for row in showing.rows(stated.providers)}
    more = {
        "basis": [stated.basis] * lines.num_rows,
        "state": [states.get(provider) for provider in lines["provider"].to_pylist()],
        **{
            name: [_plain(teams.get(team, {}).get(name)) for team in lines["owner_team"].to_pylist()]
            for name in ("cost_center", "account")
        },
    }
    for name, values in more.items():
        lines = lines.append_column(name, pa.array(values, pa.string()))
    return lines


def _plain(value: object) -> object:
    return None if showing.is_missing(value) else value


def _focus_table(ledger: Ledger, period: str | None, version: str, rules: RulesLike) -> pa.Table:
    if f"focus-{version}" not in FORMATS:
        known = ", ".join(name.removeprefix("focus-") for name in FORMATS if name.startswith("focus-"))
        raise QuestionError.bad_argument("version", version, f"one of {known}")
    months = charges.months_of(periods.parse(period)) if period is not None else None
    trued = {month for (month,) in ledger.rows("select distinct period from trued_up")}
    for month in months or charges.months_there(ledger):
        if month not in trued:
            true_up_months(ledger, periods.parse(month))
    if version == "1.2":
        return focus.rows_of(ledger, months)
    return allocated.rows_of(ledger, months, rules)
