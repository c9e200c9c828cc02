"""Files that are whole or not there: CSV that no spreadsheet runs, Parquet whose money stays decimal, plain text."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from attribution.errors import QuestionError

#: A spreadsheet takes a cell that begins so for a formula; a quote before it makes it text.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUFFIXES = (".csv", ".parquet")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write beside the target and put it in its place at the end: the file is whole, or as it was.

    Raises
    ------
    QuestionError
        If the folder is not there.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise QuestionError.bad_argument("out", str(target), "a file in a folder that exists")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write text in UTF-8, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_table(table: pa.Table, path: str | os.PathLike[str], *, is_guarded: bool = True) -> None:
    """Write a table as CSV or Parquet, by the file's ending.

    Parameters
    ----------
    table
        What to write; money must be decimal.
    path
        A name that ends in `.csv` or `.parquet`.
    is_guarded
        Put a quote before text that a spreadsheet would run; CSV only. FOCUS files keep text as it is.

    Raises
    ------
    QuestionError
        If the ending is neither.
    """
    suffix = require_suffix(path)
    inexact = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    assert not inexact, f"money and quantities leave as decimals, not floats: {inexact}"
    if suffix == ".csv":
        write_text(as_csv(table, guarded if is_guarded else str), path)
        return
    import pyarrow.parquet as pq

    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd", store_schema=False)


def require_suffix(path: str | os.PathLike[str]) -> str:
    """Return the ending of a table's file, or refuse it."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise QuestionError.bad_argument("out", os.fspath(path), "a name that ends in .csv or .parquet")
    return suffix


def as_csv(table: pa.Table, text: Callable[[str], str]) -> str:
    """Return a table as CSV: decimals in full, times in UTC, nothing for null."""
    import io

    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(text(name) for name in table.column_names)
    columns = [[_cell(value, text) for value in column.to_pylist()] for column in table.columns]
    writer.writerows(zip(*columns, strict=True))
    return lines.getvalue()


def guarded(text: str) -> str:
    """Return text that a spreadsheet shows and does not run.

    Examples
    --------
    >>> guarded("=HYPERLINK(1)"), guarded("support")
    ("'=HYPERLINK(1)", 'support')
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_SIGNS) else text


def number(value: Decimal) -> str:
    """Return a decimal without its idle zeros, and with a point, which FOCUS asks of every quantity.

    Examples
    --------
    >>> number(Decimal("18400.000000")), number(Decimal("0.250"))
    ('18400.0', '0.25')
    """
    text = f"{value:f}"
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"


def _cell(value: Any, text: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    return text(value) if isinstance(value, str) else str(value)
