"""Rows alike are judged as one: rules about columns with few values look at each value once, and count its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attribution.expectations.derivations import Derived, with_derived
from attribution.expectations.suites import Rule
from attribution.expectations.terms import Terms, quote
from attribution.ledger import Ledger

#: Fewer rows are judged as fast one by one.
WORTH_IT = 200_000
#: Rows that are looked at to tell how many values a column has. They decide how it is counted, never what is counted.
_SAMPLED = 100_000
#: Columns of so few values are taken together, as long as there are no more combinations of them than this.
_FEW, _COMBINATIONS = 16, 1_000
#: A column is grouped by itself where so many rows share a value.
_ROWS_TO_A_VALUE = 3
_NULL_TESTS = ("expect_column_values_to_not_be_null", "expect_column_values_to_be_null")
#: How many rows a row of a pack stands for.
ALIKE = "rows_alike"


@dataclass(frozen=True)
class Pack:
    """Some columns' combinations of values, with how many rows have each, and the rules that need no more."""

    relation: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class _Reading:
    """What a rule reads: columns by value, and columns of which it only asks whether there is one."""

    values: frozenset[str]
    nulls: frozenset[str]


def condense(ledger: Ledger, rows: str, derived: Sequence[Derived], terms: Terms, rules: Sequence[Rule]) -> list[Pack]:
    """Return packs for the rules that are cheaper so; the rest is judged row by row."""
    known = {each.name: each for each in derived}
    readings = {place: reading for place, rule in enumerate(rules) if (reading := _reading(rule, known, terms))}
    if not readings or ledger.value(f"select count(*) from {rows}") < WORTH_IT:
        return []
    sampled, distinct = _sample(ledger, rows, sorted(frozenset().union(*(each.values for each in readings.values()))))
    few = {name for name, count in distinct.items() if count <= _FEW}
    together = {place: each for place, each in readings.items() if each.values <= few}
    if together and not _are_few_combinations(ledger, rows, together.values()):
        together = {}
    packs = [_pack(rows, derived, together.values(), [rules[place] for place in together])] if together else []
    alone: dict[str, list[int]] = {}
    for place, each in readings.items():
        if place not in together and len(each.values) == 1 and not each.nulls:
            alone.setdefault(min(each.values), []).append(place)
    for name, places in alone.items():
        if distinct[name] * _ROWS_TO_A_VALUE <= sampled:
            packs.append(_pack(rows, derived, [readings[places[0]]], [rules[place] for place in places]))
    return packs


def _reading(rule: Rule, derived: Mapping[str, Derived], terms: Terms) -> _Reading | None:
    """Return what a rule reads, where reading it row by row is dear: text by value, lists, what is joined."""
    nulls = set(rule.columns) if rule.type in _NULL_TESTS else set()
    values = rule.reads - nulls | rule.reads_of_condition
    nulls -= values
    is_dear = False
    for name in (values | nulls) & derived.keys():
        each = derived[name]
        if not each.is_of_one_row:
            return None
        values, nulls = values - {name} | set(each.needs), nulls - {name}
        is_dear = is_dear or bool(each.join) or any(terms.types[need].endswith("[]") for need in each.needs)
    nulls -= values
    if any(terms.types[name] in ("FLOAT", "DOUBLE") for name in values | nulls):
        return None
    is_dear = is_dear or any(terms.kind(name) == "text" for name in values)
    return _Reading(frozenset(values), frozenset(nulls)) if is_dear else None


def _some(ledger: Ledger, rows: str) -> str:
    """Return a fixed sample of the rows, chunks of them from all over."""
    percent = min(100.0, 100.0 * _SAMPLED / ledger.value(f"select count(*) from {rows}"))
    return f"{rows} tablesample system ({percent:.4f} percent) repeatable (1)"


def _sample(ledger: Ledger, rows: str, names: Sequence[str]) -> tuple[int, dict[str, int]]:
    counts = ", ".join(f"count(distinct {quote(name)})" for name in names)
    sampled, *distinct = ledger.rows(f"select count(*), {counts} from {_some(ledger, rows)}")[0]
    return sampled, dict(zip(names, distinct, strict=True))


def _are_few_combinations(ledger: Ledger, rows: str, readings: Any) -> bool:
    query = f"select count(*) from (select distinct {_columns(readings)} from {_some(ledger, rows)})"
    return int(ledger.value(query)) <= _COMBINATIONS


def _pack(rows: str, derived: Sequence[Derived], readings: Any, rules: Sequence[Rule]) -> Pack:
    values = frozenset().union(*(each.values for each in readings))
    told = [each for each in derived if each.is_of_one_row and set(each.needs) <= values]
    alike = f"(select {_columns(readings)}, count(*) as {ALIKE} from {rows} group by all)"
    return Pack(with_derived(alike, told), tuple(rules))


def _columns(readings: Any) -> str:
    """Select what the readings need: values as they are, and of the others only whether there is one."""
    values = sorted(frozenset().union(*(each.values for each in readings)))
    nulls = sorted(frozenset().union(*(each.nulls for each in readings)) - set(values))
    return ", ".join([*map(quote, values), *(f"nullif({quote(n)} is null, true) as {quote(n)}" for n in nulls)])
