"""Columns, values and row conditions as the engine reads them, with the same idea of equal and missing as pandas."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FLOATS = ("FLOAT", "DOUBLE")
_COMPARED = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class NotJudged(Exception):
    """The rule cannot be judged on this data, with the reason in words; a fault of the data, or no fault."""

    def __init__(self, why: str, *, is_fault: bool = True) -> None:
        super().__init__(why)
        self.is_fault = is_fault


@dataclass
class Terms:
    """The columns of one relation and the values that statements over it bind."""

    types: Mapping[str, str]
    #: Derived columns that only a ledger can tell, where the rows are a frame.
    untold: frozenset[str] = frozenset()
    #: Columns that are derived here and stand in no table.
    added: frozenset[str] = frozenset()
    #: Columns that the engine keeps free of nulls.
    required: frozenset[str] = frozenset()
    values: dict[str, Any] = field(default_factory=dict)

    def used(self, statement: str) -> dict[str, Any]:
        """Return the values that a statement names."""
        return {name: self.values[name] for name in set(re.findall(r"\$(v\d+)\b", statement))}

    def bind(self, value: Any) -> str:
        """Bind a value and return its name in the statement; equal values share one."""
        for name, known in self.values.items():
            if type(known) is type(value) and known == value:
                return f"${name}"
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f"${name}"

    def kind(self, column: str) -> str:
        """Return `text`, `number`, `truth`, `time` or `other`; raise `NotJudged` where there is no such column."""
        if column not in self.types:
            if column in self.untold:
                raise NotJudged(f"only a ledger can tell `{column}`, a frame cannot", is_fault=False)
            near = difflib.get_close_matches(column, list(self.types), n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise NotJudged(f"there is no column `{column}`{hint}")
        given = self.types[column]
        if given.startswith("DECIMAL") or given in _NUMBERS or given in _FLOATS:
            return "number"
        if given in ("VARCHAR", "UUID") or given.startswith("ENUM"):
            return "text"
        if given.startswith(("TIMESTAMP", "DATE")):
            return "time"
        return "truth" if given == "BOOLEAN" else "other"

    def column(self, name: str) -> str:
        """Return a column as rules compare it: ids as text, and a float that is no number is missing."""
        self.kind(name)
        quoted = quote(name)
        if self.types[name] in _FLOATS:
            return f"(case when isnan({quoted}) then null else {quoted} end)"
        if self.types[name] == "UUID" or self.types[name].startswith("ENUM"):
            return f"cast({quoted} as varchar)"
        return quoted

    def held(self, name: str) -> str:
        """Return a column as it is stored, for rules that only ask whether a value is there or is the same."""
        return self.column(name) if self.types.get(name) not in ("UUID",) else quote(name)

    def present(self, name: str) -> str:
        """Say that a column has a value; `true` where it always has one."""
        return "true" if name in self.required else f"{self.column(name)} is not null"

    def text(self, name: str) -> str:
        """Return a column as text, for patterns and lengths."""
        kind = self.kind(name)
        if kind == "text":
            return self.column(name)
        if kind == "number" and self.types[name] in _NUMBERS:
            return f"cast({self.column(name)} as varchar)"
        raise NotJudged(f"`{name}` is {self.types[name]}; patterns and lengths need text or whole numbers")

    def bound(self, column: str, value: Any) -> str:
        """Return a bound of a column; text and numbers are never compared."""
        kind = self.kind(column)
        if kind == "time" and isinstance(value, str):
            return f"cast({self.bind(value)} as timestamp)"
        if kind in ("number", "truth") and isinstance(value, int | float | Decimal):
            return self.bind(value)
        raise NotJudged(f"`{column}` is {self.types[column]} and cannot be compared with {value!r}")

    def is_in(self, column: str, members: Any) -> str:
        """Say that a present value is one of these; what cannot equal it is no member, as in pandas."""
        kind = self.kind(column)
        if kind == "other":
            raise NotJudged(f"`{column}` is {self.types[column]}; its values are no single text, number or time")
        expression = self.column(column)
        if kind == "truth":
            expression = f"cast({expression} as integer)"
        names = [self.bind(member) for member in map(_plain, members) if _can_equal(kind, member)]
        if kind == "time":
            names = [f"try_cast({name} as timestamp)" for name in names]
        return f"({expression} in ({', '.join(names)}))" if names else "false"

    def condition(self, tree: Mapping[str, Any] | None) -> str:
        """Return a row condition; a missing value differs from every given one, as pandas has it."""
        if tree is None:
            return "true"
        if tree["type"] in ("and", "or"):
            return "(" + f" {tree['type']} ".join(self.condition(part) for part in tree["conditions"]) + ")"
        column = tree["column"]["name"]
        if tree["type"] == "nullity":
            self.kind(column)
            return f"({self.column(column)} is {'' if tree['is_null'] else 'not '}null)"
        operator, parameter = tree["operator"], tree["parameter"]
        if operator == "IN":
            return f"coalesce({self.is_in(column, parameter)}, false)"
        if operator == "NOT_IN":
            return f"not coalesce({self.is_in(column, parameter)}, false)"
        if operator in ("==", "!="):
            equal = f"coalesce({self.is_in(column, [parameter])}, false)"
            return equal if operator == "==" else f"(not {equal})"
        compared = f"{self.column(column)} {_COMPARED[operator]} {self.bound(column, parameter)}"
        return f"coalesce({compared}, false)"


def quote(name: str) -> str:
    """Quote the name of a column, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _plain(member: Any) -> Any:
    """True is one and false is zero, to Python and so to pandas."""
    return int(member) if isinstance(member, bool) else member


def _can_equal(kind: str, member: Any) -> bool:
    return isinstance(member, str) if kind in ("text", "time") else isinstance(member, int | float | Decimal)
