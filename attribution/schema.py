"""What the columns are: reads tables/*.csv, from which DDL, casts, checks and documentation derive."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from attribution.errors import SchemaError

SCHEMA_VERSION = "1"

#: The fields that every provider call must carry; the first four are required for chargeback.
OWNERSHIP_CONTRACT = (
    "trace_id",
    "owner_team",
    "workflow_id",
    "feature",
    "tenant_id_hash",
    "user_id_hash",
    "provider",
    "model",
    "service_tier",
    "cache_hit",
)

#: Rungs of the ownership ladder, best first.
EVIDENCE = ("declared", "matched", "exclusive_key", "inherited", "linked", "trace", "rule", "none")

#: What an ownership rule may look at.
RULE_FIELDS = (
    "api_key_id",
    "project_id",
    "service",
    "endpoint",
    "provider",
    "model",
    "region",
    "claimed_team",
    "workflow_id",
    "feature",
)

#: `cost_event` is a view over these stored tables, one per step.
STEP_TABLES = {"match": "event", "own": "event_owner", "price": "event_cost", "bill": "event_bill"}


@dataclass(frozen=True)
class Column:
    """One column: its name, engine type, unit, and what it means."""

    name: str
    type: str
    unit: str
    is_required: bool
    step: str
    focus: str
    otel: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """One table of the ledger, as declared in its CSV."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """Return one column, or raise `SchemaError` naming those there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError.no_column(name, self.name, self.names)

    def of_step(self, step: str) -> Table:
        """Return the part of `cost_event` that one step fills, keyed by `event_id`."""
        key = self.columns[:1] if self.columns[0].step != step else ()
        return Table(STEP_TABLES[step], key + tuple(c for c in self.columns if c.step == step))

    def ddl(self, name: str | None = None) -> str:
        """Return the statement that creates the table when it is not there."""
        columns = ", ".join(f'"{c.name}" {c.type}{" not null" if c.is_required else ""}' for c in self.columns)
        return f'create table if not exists "{name or self.name}" ({columns})'


@cache
def table(name: str) -> Table:
    """Read the declaration of one table."""
    declaration = resources.files("attribution") / "tables" / f"{name}.csv"
    if not declaration.is_file():
        raise SchemaError.no_table(name, table_names())
    with io.StringIO(declaration.read_text(encoding="utf-8"), newline="") as lines:
        rows = csv.DictReader(lines)
        columns = tuple(
            Column(
                row["name"],
                row["type"],
                row["unit"],
                row["required"] == "yes",
                row["step"],
                row["focus"],
                row["otel"],
                row["meaning"],
            )
            for row in rows
        )
    return Table(name, columns)


@cache
def table_names() -> tuple[str, ...]:
    """Names of all declared tables, sorted."""
    folder = resources.files("attribution") / "tables"
    return tuple(sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".csv")))


def require(names: Iterable[str], of: str = "cost_event", also: Iterable[str] = ()) -> list[str]:
    """Check that all names are columns of a table (or among `also`) and return them as a list."""
    known = table(of).names
    extra = list(also)
    wanted = list(names)
    for name in wanted:
        if name not in known and name not in extra:
            raise SchemaError.no_column(name, of, known + extra)
    return wanted
