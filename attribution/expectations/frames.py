"""Frames of any kind as one Arrow table that the engine can check: mixed columns as text, times in UTC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError

#: Number of the row in the frame, from 0; the key where the frame has none of its own.
ROW_NUMBER = "row_number_in_frame"


def as_arrow(frame: Any) -> pa.Table:
    """Return a pandas or polars frame, an Arrow table or a DuckDB relation as an Arrow table with numbered rows."""
    kind = f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}"
    if kind == "pandas.DataFrame":
        table = _of_pandas(frame)
    elif kind == "polars.DataFrame":
        table = frame.to_arrow()
    elif kind == "pyarrow.Table":
        table = frame
    elif kind.endswith(".DuckDBPyRelation"):
        table = frame.to_arrow_table()
    else:
        raise QuestionError.bad_argument(
            "ledger_or_frame", kind, "a ledger, a pandas or polars frame, an Arrow table or a DuckDB relation"
        )
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise QuestionError.bad_argument("frame", f"columns {twice} twice", "columns with names of their own")
    named = {name: _plain(table[name]) for name in table.column_names}
    return pa.table(named | {ROW_NUMBER: pa.array(np.arange(table.num_rows, dtype=np.int64))})


def _of_pandas(frame: pd.DataFrame) -> pa.Table:
    columns = [_of_series(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def _of_series(values: pd.Series[Any]) -> pa.Array:
    """Read a column; one that holds several kinds of values becomes text, so that every value can be judged."""
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if _is_missing(value) else str(value) for value in values], pa.string())


def _is_missing(value: Any) -> bool:
    missing = pd.isna(value)
    return missing if isinstance(missing, bool) else False


def _plain(values: Any) -> Any:
    """Drop what rules cannot see: dictionaries of words, and the zone of times once they are UTC."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pa.nulls(len(values), pa.string()) if pa.types.is_null(values.type) else values
