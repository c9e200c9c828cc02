"""The ledger: one door to the engine, which reads no file, runs one SELECT, and keeps what it was given."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from attribution import schema
from attribution.errors import LedgerError
from attribution.ledger import Ledger, open_ledger
from tests.examples import call, insert, ledger_of

# ---- sql


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "0 statements"),
        ("select 1; select 2", "2 statements"),
        ("select 1; drop table event", "2 statements"),
        ("drop table event", "a DROP statement"),
        ("delete from event", "a DELETE statement"),
        ("update event set model = 'x'", "an? UPDATE statement"),
        ("insert into event select * from event", "an? INSERT statement"),
        ("create table t as select 1", "a CREATE statement"),
        ("copy event to 'x.csv'", "a COPY statement"),
        ("attach 'x.duckdb'", "an? ATTACH statement"),
        ("install httpfs", "a LOAD statement"),
        ("set memory_limit = '1GB'", "a SET statement"),
        ("call pragma_version()", "a CALL statement"),
        ("begin transaction", "a TRANSACTION statement"),
        ("explain analyze select 1", "an? EXPLAIN statement"),
        ("checkpoint", "a CALL statement"),
        ("vacuum", "a VACUUM statement"),
    ],
)
def test_sql_takes_one_select_and_nothing_else(given: str, why: str) -> None:
    with open_ledger() as ledger, pytest.raises(LedgerError, match=why):
        ledger.sql(given)


def test_sql_keeps_decimals_exact() -> None:
    ledger = ledger_of(*[call(f"c{n}", list_cost="0.1") for n in range(10)])
    assert ledger.sql("select sum(list_cost) as cost from cost_event")["cost"].item() == Decimal(1)


def test_sql_keeps_text_that_looks_like_nothing() -> None:
    ledger = ledger_of(*[call(name, owner_team=name) for name in ("NA", "null", "nan", "0012", "1e5", "true")])
    answer = ledger.sql("select owner_team from cost_event order by 1")
    assert answer["owner_team"].tolist() == ["0012", "1e5", "NA", "nan", "null", "true"]


# ---- lock-down


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from read_blob('{file}')",
        "select * from '{file}'",
        "select * from glob('{folder}/*')",
        "select * from read_parquet('https://example.invalid/x.parquet')",
        "select * from sniff_csv('{file}')",
    ],
)
def test_no_query_can_read_a_file_or_the_network(query: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with open_ledger() as ledger, pytest.raises(duckdb.Error, match=r"disabled|[Pp]ermission|does not exist"):
        ledger.sql(query.format(file=tmp_path / "x.csv", folder=tmp_path))


def test_the_tables_of_python_are_not_tables_of_the_ledger() -> None:
    secrets = pd.DataFrame({"a": [1]})
    assert len(secrets) == 1
    with open_ledger() as ledger, pytest.raises(duckdb.CatalogException, match="secrets"):
        ledger.sql("select * from secrets")


@pytest.mark.parametrize("statement", ["set enable_external_access = true", "reset lock_configuration", "load httpfs"])
def test_the_lock_cannot_be_opened_again(statement: str) -> None:
    with open_ledger() as ledger, pytest.raises(duckdb.Error):
        ledger.run(statement)


# ---- files


def test_what_was_written_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    with open_ledger(path) as ledger:
        insert(ledger, "team", [{"team": "support", "budget": Decimal("9.10")}])
    with open_ledger(path) as ledger:
        assert ledger.rows("select team, budget from team") == [("support", Decimal("9.10"))]
    with open_ledger(path, read_only=True) as ledger:
        assert ledger.rows("select team from team") == [("support",)]
        with pytest.raises(duckdb.Error, match="read-only"):
            ledger.run("delete from team")


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    with open_ledger(path) as ledger:
        first = ledger.tables()
    with open_ledger(path) as ledger:
        assert ledger.tables() == first


def test_a_ledger_of_another_version_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table ledger_version as select '0' as schema_version")
    with pytest.raises(
        LedgerError, match=f"was written by ledger schema 0; this code reads schema {schema.SCHEMA_VERSION}"
    ):
        open_ledger(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select table_name from duckdb_tables()").fetchall() == [("ledger_version",)]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table theirs (a integer)")
    with pytest.raises(LedgerError, match="ledger schema unknown"):
        open_ledger(path)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select table_name from duckdb_tables()").fetchall() == [("theirs",)]


def test_a_file_that_is_no_database_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    path.write_text("trace_id,owner_team\n" * 1000)
    with pytest.raises(LedgerError, match="not a valid DuckDB database file"):
        open_ledger(path)


@pytest.mark.parametrize("given", ["nowhere/acme.duckdb", "."])
def test_a_place_where_no_file_can_be_is_not_called_in_use(given: str, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened as a ledger"):
        open_ledger(tmp_path / given)


def test_a_missing_ledger_is_not_made_by_reading_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="does not exist"):
        open_ledger(tmp_path / "acme.duckdb", read_only=True)


def test_a_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    code = (
        "import attribution as at, sys\n"
        "try: at.open_ledger(sys.argv[1])\n"
        "except at.LedgerError as error: print(error)\n"
    )
    with open_ledger(path):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "is open elsewhere" in done.stdout
    assert "PID" in done.stdout


def test_a_killed_writer_leaves_whole_transactions_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    code = (
        "import attribution as at, os, sys\n"
        "ledger = at.open_ledger(sys.argv[1])\n"
        "with ledger.transaction(): ledger.run(\"insert into team (team) values ('kept')\")\n"
        "with ledger.transaction():\n"
        "    ledger.run(\"insert into team (team) values ('lost')\")\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    with open_ledger(path) as ledger:
        assert ledger.rows("select team from team") == [("kept",)]


# ---- transactions and frames


def divide_in_the_middle(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.run("insert into team (team) values ('a')")
        with ledger.transaction():
            ledger.run("insert into team (team) values ('b')")
        raise ZeroDivisionError


def test_a_fault_inside_a_transaction_undoes_all_of_it() -> None:
    with open_ledger() as ledger:
        with pytest.raises(ZeroDivisionError):
            divide_in_the_middle(ledger)
        assert ledger.value("select count(*) from team") == 0
        with ledger.transaction():
            ledger.run("insert into team (team) values ('c')")
        assert ledger.value("select count(*) from team") == 1


def test_a_frame_is_readable_inside_its_block_only() -> None:
    with open_ledger() as ledger:
        with ledger.reading(new_rows=pa.table({"a": [1, 2]})):
            assert ledger.value("select sum(a) from new_rows") == 3
        with pytest.raises(duckdb.CatalogException):
            ledger.value("select sum(a) from new_rows")


def test_every_declared_table_of_a_ledger_exists_with_its_declared_columns() -> None:
    with open_ledger() as ledger:
        assert {"cost_event", "event", "observation", "span", "bill_line", "quarantine"} <= set(ledger.tables())
        columns = ledger.sql("select * from cost_event limit 0").columns.tolist()
    assert columns == schema.table("cost_event").names


def test_an_event_without_later_steps_is_unowned_and_unpriced_not_missing() -> None:
    ledger = ledger_of(call("a"))
    ledger.run("delete from event_owner")
    ledger.run("delete from event_cost")
    assert ledger.rows("select owner_team, owner_evidence, price_status, list_cost from cost_event") == [
        (None, "none", "unpriced", None)
    ]


def test_the_handle_says_what_is_in_it() -> None:
    ledger: Ledger = ledger_of(call("a"), call("b"))
    assert repr(ledger) == "<Ledger :memory:: 2 cost events from 0 files>"
