"""Frames of calls: every kind that people have comes back priced, and what cannot be meant is refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import attribution as at
from attribution.errors import AttributionError, QuestionError, SchemaError
from attribution.pricing.book import PriceBook, Rate
from tests.examples import call, ledger_of

NOON = datetime(2026, 10, 5, 12)
MILLION = 1_000_000
BOOK = PriceBook(
    [
        Rate("openai", "m", "input", Decimal(1), MILLION, valid_to=NOON),
        Rate("openai", "m", "input", Decimal(2), MILLION, valid_from=NOON),
        Rate("openai", "m", "output", Decimal(1), MILLION),
        Rate("openai", "m", "web_search", Decimal(10), 1000),
    ],
    [],
    {},
    NOON,
    "test",
)


def calls(**columns: Any) -> pd.DataFrame:
    size = max((len(values) for values in columns.values()), default=1)
    rows = {"provider": ["openai"] * size, "model": ["m"] * size, "input_tokens": [MILLION] * size}
    return pd.DataFrame({**rows, "service_tier": "standard", "output_tokens": 0, "started_at": NOON, **columns})


def costs(frame: Any) -> list[Decimal | None]:
    return [None if cost is pd.NA else cost for cost in at.price(frame, BOOK)["list_cost"]]


@pytest.mark.parametrize(
    ("moment", "cost"),
    [
        ("2026-10-05T14:00:00+02:00", 2),
        ("2026-10-05T13:59:59.999999+02:00", 1),
        ("2026-10-05 07:59:59-04:00", 1),
        ("2026-10-05T12:00:00Z", 2),
        (pd.Timestamp("2026-10-05 13:59:59.999999", tz="Europe/Paris"), 1),
        (pd.Timestamp("2026-10-05 14:00", tz="Europe/Paris"), 2),
        (pd.Timestamp("2026-10-05 11:59:59.999999999"), 1),
        (datetime(2026, 10, 5, 12, tzinfo=UTC) - timedelta(microseconds=1), 1),
        (date(2026, 10, 5), 1),
    ],
)
def test_a_time_is_a_moment_in_utc_in_whatever_form_it_comes(moment: Any, cost: int) -> None:
    assert costs(calls(started_at=[moment])) == [Decimal(cost)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("input_tokens", [1, 3200.5]),
        ("input_tokens", [1, float("inf")]),
        ("input_tokens", [2, True]),
        ("input_tokens", [1, 2**70]),
        ("input_tokens", ["1", "3,200"]),
        ("started_at", ["2026-10-05", "yesterday"]),
        ("started_at", [NOON.timestamp(), NOON.timestamp()]),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_its_row(column: str, values: list[Any]) -> None:
    row = values.index(values[-1])
    with pytest.raises(QuestionError, match=f"`{column} of row {row}` was"):
        costs(calls(**{column: pd.Series(values, dtype=object)}))


@pytest.mark.parametrize(("values", "kind"), [([0.5], pa.float64()), ([True], pa.bool_()), ([2**64 - 1], pa.uint64())])
def test_arrow_counts_are_never_rounded_or_read_from_flags(values: list[Any], kind: pa.DataType) -> None:
    table = pa.table({"provider": ["openai"], "model": ["m"], "input_tokens": pa.array(values, kind)})

    with pytest.raises(QuestionError, match="`input_tokens of row 0` was"):
        at.price(table, BOOK)


@pytest.mark.parametrize("quantity", [-1, 0.1234567, float("inf"), "1", True, 10**13])
def test_a_quantity_that_cannot_be_meant_is_refused_with_its_row(quantity: Any) -> None:
    with pytest.raises(QuestionError, match="`other_usage of row 1, web_search` was"):
        costs(calls(other_usage=[None, {"web_search": quantity}]))


@pytest.mark.parametrize("quantity", [2, 2.0, Decimal("2.000000")])
def test_other_units_are_read_from_whole_and_decimal_quantities(quantity: Any) -> None:
    assert costs(calls(other_usage=[{"web_search": quantity}, None])) == [Decimal("2.02"), Decimal(2)]


def test_a_negative_count_leaves_its_row_unpriced_and_in_its_place() -> None:
    frame = calls(input_tokens=[MILLION, -5, 0, MILLION])

    found = at.price(frame, BOOK)

    assert costs(frame) == [Decimal(2), None, Decimal(0), Decimal(2)]
    assert "negative" in found["price_reason"][1]


def test_the_ledger_keeps_the_row_of_a_negative_count_and_of_a_far_future() -> None:
    odd = {"model": "m", "list_cost": None, "output_tokens": 0}
    ledger = ledger_of(call("a", **odd, input_tokens=-5), call("b", **odd, started_at=datetime(3000, 1, 1)))

    at.price_events(ledger, BOOK)

    found = ledger.rows("select call_id, price_status from cost_event order by call_id")
    assert found == [("a", "unpriced"), ("b", "priced")]


@pytest.mark.parametrize("largest", [{"input_tokens": [10**18]}, {"cache_read_tokens": [10**18]}])
def test_counts_that_no_call_has_overflow_nothing(largest: dict[str, list[int]]) -> None:
    (found,) = costs(calls(**largest))

    assert found == (Decimal(2 * 10**12) if "input_tokens" in largest else None)


@pytest.mark.parametrize("name", ["model", "input_tokens"])
def test_a_column_that_is_there_twice_is_refused_by_name(name: str) -> None:
    frame = calls(input_tokens=[MILLION])

    for twice in (pd.concat([frame, frame[[name]]], axis=1), arrow_twice(frame, name)):
        with pytest.raises(SchemaError, match=f"`{name}` is a column of `frame` twice"):
            at.price(twice, BOOK)


def arrow_twice(frame: pd.DataFrame, *names: str) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return pa.Table.from_arrays([*table.columns, *(table[n] for n in names)], [*table.column_names, *names])


def test_other_columns_of_one_name_pass_through() -> None:
    table = arrow_twice(calls(note=["x"]), "note")

    assert at.price(table, BOOK).column_names.count("note") == 2


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": "Int64"},
        {"input_tokens": "int64[pyarrow]"},
        {"input_tokens": "uint32"},
        {"input_tokens": "float64"},
        {"input_tokens": object},
        {"provider": "category", "model": "category", "service_tier": "category"},
        {"provider": object, "model": object},
    ],
)
def test_every_kind_of_pandas_column_is_read(change: dict[str, Any]) -> None:
    frame = calls(input_tokens=[MILLION, 0]).astype(change)
    frame.index = pd.Index([7, 7])

    found = at.price(frame, BOOK)

    assert list(found.index) == [7, 7]
    assert str(found["list_cost"].dtype) == "decimal128(38, 12)[pyarrow]"
    assert costs(frame) == [Decimal(2), Decimal(0)]


@pytest.mark.parametrize("kind", ["chunked", "dictionary", "large_string", "uint64", "decimal"])
def test_every_kind_of_arrow_column_is_read_and_comes_back_as_it_was(kind: str) -> None:
    table = pa.Table.from_pandas(calls(input_tokens=[MILLION, 0]), preserve_index=False)
    names = table.column_names
    changed = {
        "dictionary": lambda: table.set_column(names.index("model"), "model", table["model"].dictionary_encode()),
        "large_string": lambda: table.set_column(1, "model", table["model"].cast(pa.large_string())),
        "uint64": lambda: table.set_column(2, "input_tokens", table["input_tokens"].cast(pa.uint64())),
        "decimal": lambda: table.set_column(2, "input_tokens", table["input_tokens"].cast(pa.decimal128(38, 0))),
        "chunked": lambda: pa.concat_tables([table.slice(0, 1), table.slice(1)]),
    }[kind]()

    found = at.price(changed, BOOK)

    assert found.select(names).equals(changed)
    assert found["list_cost"].to_pylist() == [Decimal(2), Decimal(0)]


def test_a_lazy_frame_comes_back_lazy() -> None:
    given = pl.from_arrow(pa.Table.from_pandas(calls(input_tokens=[MILLION]), preserve_index=False))
    assert isinstance(given, pl.DataFrame)

    found = at.price(given.lazy(), BOOK)

    assert isinstance(found, pl.LazyFrame)
    assert found.collect()["list_cost"].to_list() == [Decimal(2)]


def test_a_relation_comes_back_in_the_callers_own_connection_and_leaves_nothing_there() -> None:
    connection = duckdb.connect()
    given = connection.sql("select 'openai' as provider, 'm' as model, 1000000 as input_tokens, 0 as output_tokens")

    priced = at.price(given, BOOK)

    assert connection.sql("select sum(list_cost) from priced").fetchall() == [(Decimal(2),)]
    assert connection.sql("show tables").fetchall() == []
    assert str(priced.types[priced.columns.index("list_cost")]) == "DECIMAL(38,12)"


def test_a_relation_of_a_connection_that_reads_nothing_from_outside_is_priced_all_the_same() -> None:
    connection = duckdb.connect()
    given = connection.sql("select 'openai' as provider, 'm' as model, 1000000 as input_tokens, 0 as output_tokens")
    connection.execute("set enable_external_access = false")

    assert at.price(given, BOOK).project("list_cost").fetchall() == [(Decimal(2),)]


@pytest.mark.parametrize("given", [pd.Series(["m"]), {"provider": ["openai"]}, None])
def test_what_is_no_frame_is_refused(given: Any) -> None:
    with pytest.raises(AttributionError, match="expected a pandas or polars frame"):
        at.price(given)
