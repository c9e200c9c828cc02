"""What is scanned for which rules: each rule goes to the fewest stored tables that have its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import pyarrow as pa

from attribution.coverages import measure_coverage
from attribution.errors import LedgerError, QuestionError
from attribution.expectations.datasets import DATASETS
from attribution.expectations.derivations import Dataset, Derived, Facts
from attribution.expectations.frames import ROW_NUMBER
from attribution.expectations.scanning import DOUBLED, Scan
from attribution.expectations.suites import Rule, Suite
from attribution.expectations.terms import Terms, quote
from attribution.ledger import Ledger, column_list

#: Amounts of a frame, the one that says most first.
_MONEY = ("list_cost", "contracted_cost", "billed_cost", "effective_cost", "source_cost", "amount")


@dataclass(frozen=True)
class Target:
    """One relation with the rules that need no more than its columns."""

    scan: Scan
    key: str
    money: str | None
    calls: str | None
    rules: tuple[tuple[Suite, Rule], ...]


def plan(ledger: Ledger, suites: Sequence[Suite], *, is_asked: bool) -> tuple[list[tuple[str, Target]], list[str]]:
    """Return what is scanned for which data set, and the data sets without a row that nobody asked for."""
    targets: list[tuple[str, Target]] = []
    skipped: list[str] = []
    tables = ledger.tables()
    for name in dict.fromkeys(_dataset_of(suite).name for suite in suites):
        mine, dataset = [suite for suite in suites if suite.dataset == name], DATASETS[name]
        has_rows = dataset.table in tables and ledger.value(
            f'select count(*) from (from "{dataset.parts[0][0]}" limit 1)'
        )
        if is_asked and dataset.table not in tables:
            raise LedgerError.empty(
                f"table `{dataset.table}`", "Build it with `build_ledger`, or run the step that fills it."
            )
        if not is_asked and not has_rows:
            skipped.append(name)
        else:
            present = _present(ledger, dataset, mine, is_asked=is_asked)
            targets += [(name, target) for target in _targets(ledger, dataset, present)]
    return targets, skipped


def forget(ledger: Ledger) -> None:
    """Drop what a run leaves beside its answer."""
    facts = {facts.name for dataset in DATASETS.values() for facts in dataset.facts}
    own = ledger.rows(
        "select table_name from duckdb_tables() where temporary and starts_with(table_name, $doubled)",
        {"doubled": DOUBLED},
    )
    for name in ("failed", "failed_call", "failed_first", "quality_month", *sorted(facts), *sorted(n for (n,) in own)):
        ledger.run(f"drop table if exists {name}")


def _dataset_of(suite: Suite) -> Dataset:
    if suite.dataset not in DATASETS:
        raise QuestionError.bad_argument(
            f"meta.dataset of suite {suite.name}", suite.dataset, f"one of {', '.join(DATASETS)}, to check a ledger"
        )
    return DATASETS[suite.dataset]


def _present(ledger: Ledger, dataset: Dataset, suites: Sequence[Suite], *, is_asked: bool) -> list[Suite]:
    """Leave out suites of sources that the ledger has nothing of, unless they were asked for."""
    if is_asked or not any(suite.source for suite in suites):
        return list(suites)
    sources = {row[0] for row in ledger.rows(f'select distinct source from "{dataset.table}"')}
    return [suite for suite in suites if suite.source is None or suite.source in sources]


def _targets(ledger: Ledger, dataset: Dataset, suites: Sequence[Suite]) -> list[Target]:
    """Give each rule to the fewest stored tables that have all its columns, so that no scan joins for nothing."""
    derived = {each.name: each for each in dataset.derived}
    parts = _parts(ledger, dataset)
    targets: dict[tuple[str, bool], list[tuple[Suite, Rule]]] = {}
    for suite in suites:
        for rule in suite.rules:
            needs = {need for name in rule.reads for need in _needs(derived.get(name), name)}
            base = dataset.table if rule.kind == "table" else _base(ledger, dataset, parts, needs)
            is_joined = any(derived[name].join for name in rule.reads if name in derived)
            targets.setdefault((base, is_joined), []).append((suite, rule))
    read = {name for suite in suites for rule in suite.rules for name in rule.reads}
    for facts in dict.fromkeys(each.facts for each in dataset.derived if each.facts and each.name in read):
        _work_out(ledger, facts, _base(ledger, dataset, parts, set(facts.needs)))
    return [_target(ledger, dataset, key[0], parts, rules) for key, rules in sorted(targets.items(), key=itemgetter(0))]


def _work_out(ledger: Ledger, facts: Facts, base: str) -> None:
    """Leave in a table what rows say together; what rests on the coverage of months has it measured first."""
    if "quality_month" in facts.statement:
        _measure_months(ledger)
    ledger.run(f"create or replace temp table {facts.name} as {facts.statement.replace('{base}', quote(base))}")


def _parts(ledger: Ledger, dataset: Dataset) -> dict[str, set[str]]:
    """Return the stored tables that hold one row for every row of the data set, with their columns.

    Tables whose keys are not the same are judged together only, so that a row that one of them lacks is seen.
    """
    parts = {name: set(columns) for name, columns in dataset.parts}
    if len(parts) == 1:
        return parts
    key = column_list(dataset.key)
    prints = {ledger.rows(f'select count(*), sum(hash({key})) from "{name}"')[0] for name in parts}
    return parts if len(prints) == 1 else {}


def _base(ledger: Ledger, dataset: Dataset, parts: dict[str, set[str]], needs: set[str]) -> str:
    """Return the table or the join of tables that has the columns a rule needs, or all of the data set."""
    keyed = set(dataset.key)
    used = [name for name, columns in parts.items() if needs & (columns - keyed)] or list(parts)[:1]
    if not used or not needs <= set().union(*(parts[name] for name in used)):
        return dataset.table
    if len(used) == 1:
        return used[0]
    name, key = "_and_".join(used), column_list(dataset.key)
    joined = " join ".join(f'"{part}"' if place == 0 else f'"{part}" using ({key})' for place, part in enumerate(used))
    ledger.run(f'create or replace temp view "{name}" as from {joined}')
    return name


def _needs(derived: Derived | None, name: str) -> tuple[str, ...]:
    return derived.needs if derived else (name,)


def _target(
    ledger: Ledger, dataset: Dataset, base: str, parts: Mapping[str, set[str]], rules: list[tuple[Suite, Rule]]
) -> Target:
    types = _types(ledger, base)
    named = {name for _, rule in rules for name in rule.reads}
    wanted = [each for each in dataset.derived if each.name in named and set(each.needs) <= types.keys()]
    joined = {name: columns for name, columns in parts.items() if base != name and name in base.split("_and_")}
    terms = Terms(
        types | {each.name: each.type for each in wanted},
        added=frozenset(each.name for each in wanted),
        required=frozenset().union(*(_required(ledger, table) for table in joined or [base])),
    )
    scan = Scan(quote(base), wanted, terms, is_stored=_is_stored(ledger, base), parts=joined)
    return Target(scan, dataset.key_of(types) or "null", dataset.money, dataset.calls, tuple(rules))


def _required(ledger: Ledger, table: str) -> set[str]:
    """Return the columns that are declared never to be null; of a view the engine says it of none."""
    return {str(row[0]) for row in ledger.rows(f'describe "{table}"') if row[2] == "NO"}


def target_of_frame(scratch: Ledger, suite: Suite) -> Target:
    """Return what is scanned of the table `frame` for a suite, with what its own rows can tell of each other."""
    types = _types(scratch, "frame")
    dataset = DATASETS.get(suite.dataset or "")
    derived = dataset.derived if dataset else ()
    named = {name for rule in suite.rules for name in rule.reads}
    wanted = [
        each
        for each in derived
        if each.name in named
        and each.name not in types
        and not each.needs_ledger
        and {*each.needs, *(each.facts.needs if each.facts else ())} <= types.keys()
    ]
    for facts in dict.fromkeys(each.facts for each in wanted if each.facts):
        _work_out(scratch, facts, "frame")
    added = frozenset({ROW_NUMBER, *(each.name for each in wanted)})
    untold = frozenset(each.name for each in derived if each.needs_ledger and each.name not in types)
    terms = Terms(types | {each.name: each.type for each in wanted}, added=added, untold=untold)
    key = _key_of_frame(scratch, suite, dataset, types)
    money = next((name for name in _MONEY if name in types and terms.kind(name) == "number"), None)
    calls = "select distinct row_key, cast(null as uuid) as event_id from failed"
    if "event_id" in types:
        rows = f'(select {key} as row_key, try_cast("event_id" as uuid) as event_id from frame)'
        calls = f"select distinct row_key, keyed.event_id from failed join {rows} as keyed using (row_key)"
    amount = f"try_cast({quote(money)} as decimal(38, 12))" if money else None
    return Target(Scan('"frame"', wanted, terms), key, amount, calls, tuple((suite, rule) for rule in suite.rules))


def _key_of_frame(scratch: Ledger, suite: Suite, dataset: Dataset | None, types: dict[str, str]) -> str:
    """Return the frame's own key where it names every row once, else the number of the row."""
    given = suite.meta.get("key")
    columns = [given] if isinstance(given, str) else list(given or (dataset.key if dataset else ()))
    if not columns or not set(columns) <= types.keys():
        return ROW_NUMBER
    names = ", ".join(map(quote, columns))
    is_whole = " and ".join(f"count({name}) = count(*)" for name in map(quote, columns))
    (is_key,) = scratch.rows(f"select {is_whole} and count(distinct ({names})) = count(*) from frame")[0]
    if not is_key:
        return ROW_NUMBER
    return f"concat_ws('/', {names})" if len(columns) > 1 else f"cast({names} as varchar)"


def _is_stored(ledger: Ledger, base: str) -> bool:
    return bool(ledger.value("select count(*) from duckdb_tables() where table_name = $name", {"name": base}))


def _types(ledger: Ledger, table: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in ledger.rows(f'describe "{table}"')}


def _measure_months(ledger: Ledger) -> None:
    """Leave the ownership coverage of each month in `quality_month`, by the unfavourable end of its band."""
    months = measure_coverage(ledger, "month")
    shares = pa.table({name: pa.array(months[name]) for name in ("month", "unowned_high", "not_declared_high")})
    with ledger.reading(coverage_of_month=shares):
        ledger.run(
            """
            create or replace temp table quality_month as
            select month, cast(1 - unowned_high as decimal(7, 6)) as owned,
                cast(1 - not_declared_high as decimal(7, 6)) as declared
            from coverage_of_month
            """
        )
