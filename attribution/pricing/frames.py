"""Frames in, the same kind of frame out, priced by the same statement as a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import schema
from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_relation, open_ledger
from attribution.pricing.book import PriceBook
from attribution.pricing.columns import CALL_COLUMNS, OTHER_USAGE, of_pandas, require_columns, typed
from attribution.pricing.rating import price_events
from attribution.usage import TOKEN_COLUMNS

_ADDED = ("list_cost", "price_status", "price_reason", "price_entry", "priced_part", "estimated_cost")


def price(frame: Any, book: PriceBook | None = None) -> Any:
    """Price the calls of a frame; the same kind of frame comes back, with cost and status beside each row.

    Parameters
    ----------
    frame
        pandas or polars frame, Arrow table or DuckDB relation, one row a call, with the columns `provider` and
        `model` and any of `service_tier`, `region`, `started_at` [UTC], `cache_hit`, `is_metered`, the token
        columns of `cost_event` and `other_usage`. Totals include their parts. Other columns pass through.
    book
        The prices to use; the shipped book when not given.

    Returns
    -------
    frame
        The rows in their order, with `list_cost`, `priced_part`, `estimated_cost` [USD, exact decimals; null where
        not known], `price_status`, `price_reason` and `price_entry` added, or replaced where they were there.

    Raises
    ------
    SchemaError
        If the frame has no `provider` or no `model`.
    QuestionError
        If it is no kind of frame that is known.

    Examples
    --------
    >>> import attribution as at, pandas as pd
    >>> calls = pd.DataFrame({"provider": ["openai"], "model": ["gpt-4.1-mini"], "service_tier": ["standard"],
    ...                       "input_tokens": [3200], "output_tokens": [480]})
    >>> at.price(calls)["list_cost"].item()
    Decimal('0.002048000000')
    """
    if isinstance(frame, pd.DataFrame):
        priced = price_table(of_pandas(frame), book).select(_ADDED).to_pandas(types_mapper=pd.ArrowDtype)
        return frame.assign(**{name: priced[name].array for name in _ADDED})
    kind = f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}"
    if kind == "polars.LazyFrame":
        return price(frame.collect(), book).lazy()
    if kind == "polars.DataFrame":
        given = frame.select([name for name in CALL_COLUMNS if name in frame.columns]).to_arrow()
        added = price_table(given, book).select(_ADDED)
        return frame.with_columns(**{name: type(frame)({name: added[name]})[name] for name in _ADDED})
    if kind == "pyarrow.Table":
        return price_table(frame, book)
    if kind.endswith(".DuckDBPyRelation"):
        return as_relation(price_table(frame.to_arrow_table(), book), frame)
    raise QuestionError.bad_argument("frame", kind, "a pandas or polars frame, an Arrow table or a DuckDB relation")


def price_table(table: pa.Table, book: PriceBook | None = None) -> pa.Table:
    """Return an Arrow table with the pricing columns added."""
    require_columns(table.column_names)
    with _priced(table, book) as ledger:
        order = ", ".join(f'event_cost."{name}"' for name in _ADDED)
        costs = ledger.arrow(f"select {order} from event_cost order by event_id")
    rest = table.select([number for number, name in enumerate(table.column_names) if name not in _ADDED])
    for name in _ADDED:
        rest = rest.append_column(name, costs[name])
    return rest


def price_rows(rows: Sequence[dict[str, Any]], book: PriceBook) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Price rows of events; return their costs in order and all line items."""
    fields = [(name, _event_type(name)) for name in CALL_COLUMNS]
    with _priced(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), book) as ledger:
        costs = ledger.arrow("select * from event_cost order by event_id").to_pylist()
        items = ledger.frame("select * exclude (event_id) from line_item order by event_id, meter")
    return costs, items


@cache
def _scratch() -> tuple[Ledger, Lock]:
    """Return a ledger in memory that holds the frame at hand and nothing after it."""
    return open_ledger(), Lock()


@contextmanager
def _priced(table: pa.Table, book: PriceBook | None) -> Iterator[Ledger]:
    """Lend a ledger whose events are the priced rows of a table, numbered in their order."""
    given = [name for name in CALL_COLUMNS if name in table.column_names]
    numbers = pa.array(range(table.num_rows), pa.int64())
    calls = pa.table({name: typed(name, table[name]) for name in given}).append_column("row_number", numbers)
    types = {c.name: c.type for c in schema.table("cost_event").columns}
    values = {name: f'cast("{name}" as {types[name]})' for name in given}
    values["is_metered"] = f"coalesce({values.get('is_metered', 'null')}, {_is_metered(given)})"
    number = "cast(printf('%032x', row_number) as uuid)"
    fixed = {"event_id": number, "request_id": "row_number", "call_id": "row_number", "attempt_no": "1"}
    fixed |= {"attempt_role": "'primary'", "observations": "1", "sources": "1"}
    columns = {**fixed, **values}
    ledger, lock = _scratch()
    with lock:
        with ledger.reading(calls=calls):
            names = ", ".join(f'"{name}"' for name in columns)
            ledger.run(f"insert into event ({names}) select {', '.join(columns.values())} from calls")
        try:
            price_events(ledger, book)
            yield ledger
        finally:
            ledger.run("truncate event")


def _is_metered(given: list[str]) -> str:
    counts = [f'"{name}" is not null' for name in given if name in (*TOKEN_COLUMNS, "other_usage")]
    return f"({' or '.join(counts)})" if counts else "false"


def _event_type(name: str) -> pa.DataType:
    if name == "other_usage":
        return OTHER_USAGE
    types = {"started_at": pa.timestamp("us"), "cache_hit": pa.bool_(), "is_metered": pa.bool_()}
    return types.get(name, pa.int64() if name in TOKEN_COLUMNS else pa.string())
