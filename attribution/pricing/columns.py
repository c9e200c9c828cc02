"""What a frame says about calls, in the ledger's types; a value that cannot be meant is refused with its row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attribution.errors import QuestionError, SchemaError
from attribution.usage import LARGEST_COUNT, TOKEN_COLUMNS

#: What a frame may say about a call; provider and model it must.
CALL_COLUMNS = (
    "provider",
    "model",
    "service_tier",
    "region",
    "started_at",
    "cache_hit",
    "is_metered",
    *TOKEN_COLUMNS,
    "other_usage",
)
#: The type of what is counted in other units than tokens.
OTHER_USAGE = pa.map_(pa.string(), pa.decimal128(18, 6))
_MOST = 10**12
_TIMES = pa.timestamp("us")


def require_columns(names: Sequence[Any]) -> None:
    """Refuse a frame that lacks what a price needs, or says it twice."""
    for name in ("provider", "model"):
        if name not in names:
            raise SchemaError.no_column(name, "frame", map(str, names))
    for name in CALL_COLUMNS:
        if list(names).count(name) > 1:
            raise SchemaError.twice(name, "frame")


def of_pandas(frame: pd.DataFrame) -> pa.Table:
    """Read the columns that matter; floats that pandas made of whole numbers for want of a null are whole again."""
    require_columns(list(frame.columns))
    return pa.table({name: _of_series(name, frame[name]) for name in CALL_COLUMNS if name in frame.columns})


def typed(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return a column as the ledger's step takes it: counts as whole numbers, times in UTC without a zone."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if name in TOKEN_COLUMNS:
        return _counts(name, values)
    if name == "other_usage":
        return _quantities(values)
    return _moments(values) if name == "started_at" else values


def moment_of(given: Any, name: str) -> datetime | None:
    """Return a moment in UTC without a zone, as the ledger stores it; text is ISO, UTC unless it has an offset."""
    try:
        if isinstance(given, str):
            given = datetime.fromisoformat(given.strip().replace("Z", "+00:00"))
        if given is None or given is pd.NaT:
            return None
        if isinstance(given, datetime):
            return given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given
        if isinstance(given, date):
            return datetime.combine(given, time())
    except (ValueError, OverflowError):
        pass
    raise QuestionError.bad_argument(name, given, "an ISO date or time")


def _of_series(name: str, values: pd.Series[Any]) -> pa.Array | pa.ChunkedArray:
    if name in TOKEN_COLUMNS and values.dtype == object:
        return _whole_numbers(name, values)
    try:
        return pa.Array.from_pandas(values)
    except (pa.ArrowException, OverflowError) as error:
        raise QuestionError.bad_argument(name, values.head(5).tolist(), "values of one type") from error


def _counts(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    try:
        counts = values.cast(pa.int64()) if not pa.types.is_boolean(values.type) else None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        counts = None
    if counts is None or any(abs(bound or 0) > LARGEST_COUNT for bound in pc.min_max(counts).as_py().values()):
        return _whole_numbers(name, values.to_pylist())
    return counts


def _whole_numbers(name: str, values: Iterable[Any]) -> pa.Array:
    """Read counts one by one, and name the first that is none."""
    counts: list[int | None] = []
    for row, value in enumerate(values):
        if value is None or value is pd.NA or value != value:
            counts.append(None)
            continue
        if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
            value = int(value[:30])  # text of digits is cast where a whole column is; no count has more of them
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if not is_number or not -LARGEST_COUNT <= value <= LARGEST_COUNT or value != int(value):
            expected = f"a whole number of tokens, at most {LARGEST_COUNT:,}"
            raise QuestionError.bad_argument(f"{name} of row {row}", value, expected)
        counts.append(int(value))
    return pa.array(counts, pa.int64())


def _quantities(values: pa.ChunkedArray) -> pa.Array:
    """Read what is counted in other units than tokens, exact to the millionth; more places are refused, not rounded."""
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), OTHER_USAGE)
    rows: list[list[tuple[str, Decimal]] | None] = []
    for row, said in enumerate(values.to_pylist()):
        pairs = said.items() if isinstance(said, dict) else said
        rows.append(None if pairs is None else [(n, _quantity(row, n, v)) for n, v in pairs if v is not None])
    return pa.array(rows, OTHER_USAGE)


def _quantity(row: int, name: str, value: Any) -> Decimal:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    quantity = Decimal(str(value)) if is_number else Decimal("nan")
    if not quantity.is_finite() or not 0 <= quantity < _MOST or quantity != round(quantity, 6):
        expected = "a quantity that is not negative, with at most six places"
        raise QuestionError.bad_argument(f"other_usage of row {row}, {name}", value, expected)
    return quantity


def _moments(values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Text with an offset is converted, which no cast of it to a time without a zone does."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us", kind.tz), safe=False).cast(_TIMES)
    if pa.types.is_date(kind) or pa.types.is_null(kind):
        return values.cast(_TIMES)
    return pa.array((moment_of(v, f"started_at of row {n}") for n, v in enumerate(values.to_pylist())), _TIMES)
