"""What a data set is to its suites: the tables that hold its rows, their key, and columns derived from other rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from attribution import schema


@dataclass(frozen=True)
class Facts:
    """What the rows say together, worked out once a run and kept in a table of this name: exceptions only, so few."""

    name: str
    needs: tuple[str, ...]
    #: `{base}` stands for the rows, as in a join.
    statement: str


@dataclass(frozen=True)
class Derived:
    """A column that a suite may name beside the declared ones: a fact about the row that other rows know.

    `{base}` in its join stands for the rows at hand, `row` for one of them; `needs` are the columns of `row` it reads.
    """

    name: str
    type: str
    needs: tuple[str, ...]
    expression: str
    join: str = ""
    facts: Facts | None = None
    #: Only a ledger can tell it; a frame has no other tables.
    needs_ledger: bool = False

    @property
    def is_of_one_row(self) -> bool:
        """Whether equal values in `needs` give an equal value, so that rows alike can be judged as one."""
        return self.facts is None and "{base}" not in self.join


@dataclass(frozen=True)
class Dataset:
    """One data set: its rows, their key, the calls that a row stands for, and its derived columns."""

    name: str
    #: The first letters of its rules' ids.
    initials: str
    table: str
    key: tuple[str, ...]
    derived: tuple[Derived, ...] = ()
    #: Statement of `row_key, event_id` for the failing rows in `failed`; None where the key is the call itself.
    calls: str | None = None
    #: The row's own money, where it is no call's.
    money: str | None = None

    @property
    def parts(self) -> list[tuple[str, list[str]]]:
        """The stored tables that hold the columns: one, or those that the steps fill."""
        declared = schema.table(self.table)
        if self.table != "cost_event":
            return [(self.table, declared.names)]
        return [(step.name, step.names) for step in map(declared.of_step, ("match", "own", "price"))]

    def key_of(self, columns: Iterable[str]) -> str | None:
        """Return the expression of a row's key, where its columns are there."""
        if not set(self.key) <= set(columns):
            return None
        if len(self.key) == 1:
            return f'"{self.key[0]}"'
        return "concat_ws('/', " + ", ".join(f'"{name}"' for name in self.key) + ")"

    @property
    def facts(self) -> list[Facts]:
        """What its derived columns rest on."""
        return list(dict.fromkeys(each.facts for each in self.derived if each.facts))


def with_derived(rows: str, wanted: Sequence[Derived]) -> str:
    """Return the rows of a relation with the derived columns that are wanted, as a relation."""
    if not wanted:
        return rows
    joins = dict.fromkeys(each.join.replace("{base}", rows) for each in wanted if each.join)
    columns = ", ".join(f'{each.expression} as "{each.name}"' for each in wanted).replace("{base}", rows)
    return f"(select row.*, {columns} from {rows} as row {' '.join(joins)})"
