"""The ledger: a DuckDB database, a thin handle on it, and the one door to the engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from attribution import schema
from attribution.errors import LedgerError

#: Stored tables; `cost_event` is a view over the four step tables.
STORED = (
    "source_file",
    "quarantine",
    "observation",
    "span",
    "bill_line",
    "covered_period",
    "event_observation",
    "conflict",
    "lost_hop",
    "owner_share",
    "event_alias",
    "team",
    "family",
    "key",
    "ownership_rule",
    "alias",
    "contract",
    "currency_rate",
    "prepayment",
    "pool",
    "price",
    "setting",
    "residual_line",
    "trued_up",
    "period",
    "statement_line",
    "journal",
    "charged_event",
    "quality_failure",
    "dispute",
)


class Ledger:
    """A handle on one ledger and nothing more: open, close, sql, and what is loaded.

    Questions are plain functions whose first argument is a ledger. Made by `open_ledger` and `build_ledger`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: str) -> None:
        self.path = path
        self._connection = connection
        self._depth = 0

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        events, files = self.rows("select (select count(*) from cost_event), (select count(*) from source_file)")[0]
        return f"<Ledger {self.path}: {events:,} cost events from {files:,} files>"

    def close(self) -> None:
        """Close the database; the handle is of no use afterwards."""
        self._connection.close()

    def sql(self, query: str) -> pd.DataFrame:
        """Answer one SELECT, with decimals kept exact (Arrow-backed columns).

        Parameters
        ----------
        query
            One SELECT over the tables of the ledger. Anything else is refused, and no file can be read.

        Returns
        -------
        pandas.DataFrame
            Arrow-backed; money columns are decimals.

        Raises
        ------
        LedgerError
            If the text is not exactly one SELECT.
        """
        statements = self._connection.extract_statements(query)
        if len(statements) != 1:
            raise LedgerError.not_a_select(f"{len(statements)} statements")
        if statements[0].type != duckdb.StatementType.SELECT:
            raise LedgerError.not_a_select(f"a {statements[0].type.name} statement")
        return as_frame(self.arrow(query))

    def tables(self) -> list[str]:
        """Names of the tables and views of this ledger, sorted."""
        rows = self.rows("select table_name from information_schema.tables where table_type <> 'LOCAL TEMPORARY'")
        return sorted(row[0] for row in rows)

    # What rooms use; each takes bound values only.

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> None:
        """Run one statement for its effect."""
        self._connection.execute(statement, dict(values) if values else None)

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a small result; decimals stay exact."""
        return self._connection.execute(query, dict(values) if values else None).fetchall()

    def value(self, query: str, values: Mapping[str, Any] | None = None) -> Any:
        """Return the single value of a one-row, one-column query."""
        return self.rows(query, values)[0][0]

    def arrow(self, query: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """Return a result as an Arrow table; decimals stay exact."""
        return self._connection.execute(query, dict(values) if values else None).to_arrow_table()

    def batches(self, query: str, size: int = 50_000) -> Iterator[pa.RecordBatch]:
        """Stream a large result as Arrow batches."""
        yield from self._connection.execute(query).to_arrow_reader(size)

    def frame(self, query: str, values: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a result as an Arrow-backed pandas frame; decimals stay exact."""
        return as_frame(self.arrow(query, values))

    @contextmanager
    def reading(self, **frames: pa.Table) -> Iterator[None]:
        """Let statements inside the block read Arrow tables by these names."""
        for name, frame in frames.items():
            self._connection.register(name, frame)
        try:
            yield
        finally:
            for name in frames:
                self._connection.unregister(name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of the block or nothing; a transaction inside another joins it."""
        if self._depth == 0:
            self._connection.execute("begin transaction")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("rollback")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._connection.execute("commit")


def open_ledger(
    path: str | os.PathLike[str] = ":memory:", *, read_only: bool = False, memory_limit: str | None = None
) -> Ledger:
    """Open a ledger, in memory or in a file, and create its tables when they are not there.

    Parameters
    ----------
    path
        A DuckDB file, made when missing; `:memory:` keeps nothing.
    read_only
        Open without the right to change it; several readers may do so at once.
    memory_limit
        Memory that the engine may take, such as `4GB`; what needs more goes to disk. Most of the machine's when not
        given.

    Returns
    -------
    Ledger
        A handle; close it, or use it in a `with` statement.

    Raises
    ------
    LedgerError
        If another process writes the file, or another version of this package wrote it.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     ledger.sql("select count(*) as events from cost_event")["events"].item()
    0
    """
    name = os.fspath(path)
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
    }
    if memory_limit is not None:
        settings["memory_limit"] = memory_limit
    try:
        connection = duckdb.connect(name, read_only=read_only, config=settings)
    except duckdb.Error as error:
        why = str(error).splitlines()[0]
        is_held = "lock" in why or isinstance(error, duckdb.ConnectionException)
        raise (LedgerError.in_use if is_held else LedgerError.cannot_open)(name, why) from error
    try:
        _lock_down(connection, name)
        ledger = Ledger(connection, name)
        _check_version(ledger, is_new=not read_only and not ledger.tables())
        if not read_only:
            _create(ledger)
    except BaseException:
        connection.close()
        raise
    return ledger


def _lock_down(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    spill = Path(tempfile.gettempdir() if name == ":memory:" else Path(name).resolve().parent)
    folder = str(spill / f".attribution-spill-{os.getpid()}").replace("'", "''")
    for setting in (
        f"set temp_directory='{folder}'",
        "set preserve_insertion_order=false",
        "set enable_progress_bar=false",
        "set TimeZone='UTC'" if _has_time_zones(connection) else "select 1",
        "set enable_external_access=false",
        "set lock_configuration=true",
    ):
        connection.execute(setting)


def _has_time_zones(connection: duckdb.DuckDBPyConnection) -> bool:
    query = "select count(*) from duckdb_extensions() where extension_name = 'icu' and loaded"
    return bool(connection.execute(query).fetchall()[0][0])


def _create(ledger: Ledger) -> None:
    """Create what is missing; safe to run on every open."""
    with ledger.transaction():
        ledger.run("create table if not exists ledger_version (schema_version varchar not null)")
        ledger.run(
            "insert into ledger_version select $version where not exists (from ledger_version)",
            {"version": schema.SCHEMA_VERSION},
        )
        for name in STORED:
            ledger.run(schema.table(name).ddl())
        for step in schema.STEP_TABLES:
            ledger.run(schema.table("cost_event").of_step(step).ddl())
        ledger.run(_cost_event_view())
        ledger.run(_EVENT_RECORD_VIEW)
        ledger.run(_team_cost_view())


#: What each team bears of each call: the whole, or its part of a shared call, exact to the pico-dollar. The part of
#: a team is the difference of two whole-number cuts of the cost, so the parts always add up to the whole.
_BORNE = ("list_cost", "priced_part", "contracted_cost", "billed_cost", "effective_cost")


def _team_cost_view() -> str:
    names = column_list(_BORNE)
    pico = ", ".join(f'cast(cast("{c}" as decimal(25, 12)) * 1000000000000 as hugeint) as "{c}"' for c in _BORNE)
    cuts = ", ".join(
        f"""cast(cast(pico."{c}" * upto // parts - pico."{c}" * (upto - part) // parts as decimal(38, 0))
            * 0.000000000001 as decimal(38, 12)) as "{c}\""""
        for c in _BORNE
    )
    return f"""
        create or replace view team_cost as
        with cut as (
            select event_id, owner_team, parts, part,
                sum(part) over (partition by event_id order by owner_team nulls last rows unbounded preceding) as upto
            from owner_share
        ),
        cost as (select event_id, {names} from event_cost left join event_bill using (event_id)),
        pico as (select event_id, {pico} from cost semi join owner_share using (event_id))
        select event_id, owner_team, {names}, false as is_shared
        from cost_event anti join owner_share using (event_id)
        union all
        select cut.event_id, cut.owner_team, {cuts}, true
        from cut join pico using (event_id)
    """


#: Every record beside the event it describes; rank 1 speaks for the call.
_EVENT_RECORD_VIEW = """
    create or replace view event_record as
    select event_observation.event_id, event_observation.rank, event_observation.joined_by, observation.*
    from event_observation join observation using (observation_id)
"""


def _cost_event_view() -> str:
    """Return the view that puts the four steps' columns beside each other, in declared order."""
    return f"create or replace view cost_event as {select_events(schema.table('cost_event').names)}"


def select_events(names: Collection[str]) -> str:
    """Select columns of every cost event, joining only the steps that fill one of them."""
    declared = [c for c in schema.table("cost_event").columns if c.name in names]
    columns = ", ".join(
        f'coalesce(event_owner."{c.name}", \'none\') as "{c.name}"'
        if c.name.endswith("_evidence")
        else f'coalesce(event_cost."{c.name}", \'unpriced\') as "{c.name}"'
        if c.name == "price_status"
        else f'{schema.STEP_TABLES[c.step]}."{c.name}"'
        for c in declared
    )
    filled = {c.step for c in declared} - {"match"}
    joins = " ".join(
        f"left join {name} using (event_id)" for step, name in schema.STEP_TABLES.items() if step in filled
    )
    return f"select {columns} from event {joins}"


def _check_version(ledger: Ledger, *, is_new: bool) -> None:
    """Refuse a file of another version, or of another program, before anything in it is touched."""
    if is_new:
        return
    found = "unknown"
    if "ledger_version" in ledger.tables():
        found = str(ledger.value("select max(schema_version) from ledger_version"))
    if found != schema.SCHEMA_VERSION:
        raise LedgerError.other_version(ledger.path, found, schema.SCHEMA_VERSION)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as an Arrow-backed pandas frame; decimals stay exact."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def column_list(names: Sequence[str], prefix: str = "") -> str:
    """Quote checked column names for a statement."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def as_relation(table: pa.Table, beside: duckdb.DuckDBPyRelation | None = None) -> duckdb.DuckDBPyRelation:
    """Return an Arrow table as a relation of the connection that another relation belongs to, or of the default one.

    A connection that may not read what lies outside of it cannot take the table, so that it comes in the default one.
    """
    name, priced_rows = "attribution_given", table
    if beside is None:
        return duckdb.from_arrow(table)
    try:
        relation = beside.query(name, "select * from priced_rows")
    except duckdb.CatalogException:
        relation = duckdb.from_arrow(priced_rows)
    beside.query(name, f"drop view {name}")  # `query` leaves its view in the caller's connection
    return relation
