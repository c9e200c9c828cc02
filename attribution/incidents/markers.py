"""Markers: what people did, from an events.csv, to be seen beside the series."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import ConfigurationError, QuestionError, SourceError
from attribution.ledger import as_frame
from attribution.periods import Period

COLUMNS = ("at", "kind", "text")
_MOST = 1_000_000


def read_markers(given: str | os.PathLike[str] | pd.DataFrame | None) -> pd.DataFrame:
    """Read columns at, kind and text from a CSV file or a frame; times without an offset are UTC."""
    if given is None:
        return _frame([])
    if isinstance(given, pd.DataFrame):
        if not set(COLUMNS) <= set(given.columns):
            raise QuestionError.bad_argument("events", list(given.columns), f"columns {', '.join(COLUMNS)}")
        rows = given[list(COLUMNS)].to_dict("records")
        return _frame([_marker(row, "events", place) for place, row in enumerate(rows, 1)])
    path = Path(given)
    if not path.is_file():
        raise SourceError.not_found(str(given))
    if path.stat().st_size > _MOST:
        raise SourceError.refused(
            str(given), "it is larger than a megabyte", "An events file holds releases and edits."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ConfigurationError.at(str(given), 1, f"columns {reader.fieldnames}", ", ".join(COLUMNS))
            return _frame([_marker(row, str(given), reader.line_num) for row in reader])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError.refused(
            str(given), f"it is not a readable CSV file ({error})", "Save it as UTF-8."
        ) from error


def beside(markers: pd.DataFrame, window: Period, before: Period) -> pd.DataFrame:
    """Return the markers from the end of the earlier window to the end of the later one, in order."""
    at = markers["at"]
    return markers[(at >= before.end) & (at < window.end)].reset_index(drop=True)


def with_markers(series: pd.DataFrame, markers: pd.DataFrame) -> pd.DataFrame:
    """Put the markers of each hour beside its cost; null where there is none."""
    told: dict[datetime, list[str]] = {}
    for row in markers.to_dict("records"):
        hour = row["at"].replace(minute=0, second=0, microsecond=0)
        told.setdefault(hour, []).append(f"{row['kind']}: {row['text']}")
    texts = ["; ".join(told[hour]) if hour in told else None for hour in series["hour"]]
    return series.assign(marker=pd.Series(pa.array(texts, pa.string()), dtype=pd.ArrowDtype(pa.string())))


def _marker(row: Mapping[Any, Any], path: str, line: int) -> tuple[datetime, str, str]:
    given = row["at"]
    try:
        at = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).strip())
    except ValueError:
        raise ConfigurationError.at(path, line, f"`{given}` in column at", "a time such as 2026-10-05T14:30Z") from None
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    return at, str(row["kind"] or "").strip(), str(row["text"] or "").strip()


def _frame(rows: list[tuple[datetime, str, str]]) -> pd.DataFrame:
    columns = list(zip(*sorted(rows), strict=True)) or [(), (), ()]
    kinds = (pa.timestamp("us"), pa.string(), pa.string())
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)]
    return as_frame(pa.table(arrays, names=list(COLUMNS)))
