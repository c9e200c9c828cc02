"""Schema: what the columns are stands in tables/*.csv, once, and everything else follows from it."""

from __future__ import annotations

import re

import pytest

from attribution import schema
from attribution.errors import SchemaError
from attribution.ledger import STORED, open_ledger


@pytest.mark.parametrize("name", schema.table_names())
def test_every_column_has_a_type_that_the_engine_knows_and_says_what_it_means(name: str) -> None:
    table = schema.table(name)
    with open_ledger() as ledger:
        ledger.run(f"create or replace temp table declared as select {_typed(table)} limit 0")
    for column in table.columns:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name), column.name
        assert column.meaning, f"{name}.{column.name} does not say what it means"
    assert len(set(table.names)) == len(table.names)


def _typed(table: schema.Table) -> str:
    return ", ".join(f'cast(null as {column.type}) as "{column.name}"' for column in table.columns)


@pytest.mark.parametrize("name", schema.table_names())
def test_money_is_an_exact_decimal_with_its_currency(name: str) -> None:
    for column in schema.table(name).columns:
        assert column.type not in ("DOUBLE", "FLOAT", "REAL"), f"{name}.{column.name} is a binary float"
        if column.name.endswith("_cost") or column.unit == "USD":
            assert (column.type, column.unit) == ("DECIMAL(38, 12)", "USD"), f"{name}.{column.name}"


@pytest.mark.parametrize("name", schema.table_names())
def test_times_say_their_zone(name: str) -> None:
    for column in schema.table(name).columns:
        assert "TIME ZONE" not in column.type
        if column.type == "TIMESTAMP":
            assert column.unit == "UTC", f"{name}.{column.name}"


def test_every_stored_table_is_declared() -> None:
    assert set(STORED) <= set(schema.table_names())


def test_the_ownership_contract_is_made_of_columns_of_the_event() -> None:
    assert set(schema.OWNERSHIP_CONTRACT) <= set(schema.table("cost_event").names)


def test_every_column_of_the_event_is_filled_by_one_step() -> None:
    event = schema.table("cost_event")
    parts = [schema.table("cost_event").of_step(step) for step in schema.STEP_TABLES]
    filled = [name for part in parts for name in part.names if name != "event_id"]
    assert sorted(filled) == sorted(name for name in event.names if name != "event_id")
    assert all(part.names[0] == "event_id" for part in parts)


def test_an_unknown_column_is_refused_with_the_likely_one_and_all_there_are() -> None:
    with pytest.raises(SchemaError) as caught:
        schema.require(["team"], also=["owner_teams"])
    assert "`team` is not a column of `cost_event`" in str(caught.value)
    assert "It has: event_id, request_id" in str(caught.value)
    with pytest.raises(SchemaError, match="Did you mean `feature`"):
        schema.table("cost_event").column("featur")


def test_an_unknown_table_is_refused_with_those_there_are() -> None:
    with pytest.raises(SchemaError, match="Did you mean `cost_event`"):
        schema.table("cost_events")


def test_required_names_come_back_in_the_order_they_were_asked_for() -> None:
    assert schema.require(["model", "day", "provider"], also=["day"]) == ["model", "day", "provider"]
