"""Validate a ledger or a frame: its suites in one scan per table, or the same suites through Great Expectations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from attribution import schema
from attribution.coverages import measure_coverage
from attribution.errors import LedgerError, QuestionError
from attribution.expectations import shipped
from attribution.expectations.datasets import DATASETS, Dataset, Derived
from attribution.expectations.failures import describe_failures, quote, take_failures
from attribution.expectations.frames import ROW_NUMBER, as_arrow
from attribution.expectations.quality import Quality
from attribution.expectations.scanning import NO_ROWS, Outcome, Scan, judge
from attribution.expectations.suites import Rule, Suite
from attribution.expectations.terms import Terms
from attribution.ledger import Ledger, open_ledger

ENGINES = ("duckdb", "great_expectations")
#: Amounts of a frame, the one that says most first.
_MONEY = ("list_cost", "contracted_cost", "billed_cost", "effective_cost", "source_cost", "amount")
_MONTH = ("owned_share_of_month", "declared_share_of_month")


def validate(
    ledger_or_frame: Any,
    suite: shipped.Given | Sequence[shipped.Given] | None = None,
    *,
    engine: str = "duckdb",
) -> Quality:
    """Check data against suites of expectations, and name every broken rule with its rows and dollars.

    Parameters
    ----------
    ledger_or_frame
        A built ledger; or a pandas or polars frame, an Arrow table or a DuckDB relation; or, for
        `engine="great_expectations"`, a batch or batch definition of your own data source (Postgres, Spark, …).
    suite
        A suite that comes with the package, by name; a Great Expectations suite of yours, as a file or as what
        `json.loads` made of it; or a list of them. A ledger is checked against all shipped suites when none is given.
    engine
        `duckdb` compiles the suite to one scan per table; `great_expectations` hands the same JSON to Great
        Expectations on pandas, for samples (pip install 'attribution[quality]').

    Returns
    -------
    Quality
        `.frame` has one row a rule, `.broken` the broken ones, `.failures` the key of each row that breaks one;
        a table in notebooks. A ledger keeps the keys in its table `quality_failure`, anew with every run.

    Raises
    ------
    ConfigurationError
        If a suite is misspelt anywhere, or has a rule type that is not supported: the message lists those that are.
    QuestionError
        If the data or the engine is of no known kind.

    Examples
    --------
    >>> import attribution as at, pandas as pd
    >>> calls = pd.DataFrame({"call": ["c1", "c2", "c2"], "owner_team": ["support", None, None]})
    >>> rules = [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "call"}},
    ...          {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "owner_team"}}]
    >>> at.validate(calls, {"name": "mine", "expectations": rules}).frame[["rule", "outcome", "failing"]]
      rule outcome  failing
    0   01  broken        2
    1   02  broken        2
    """
    if engine not in ENGINES:
        raise QuestionError.bad_argument("engine", engine, " or ".join(ENGINES))
    suites = shipped.choose(suite)
    names = [each.name for each in suites]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise QuestionError.bad_argument("suite", twice, "suites with names of their own")
    if isinstance(ledger_or_frame, Ledger):
        return _validate_ledger(ledger_or_frame, suites, engine, is_asked=suite is not None)
    if suite is None:
        raise QuestionError.bad_argument(
            "suite", suite, f"a suite for the frame: {', '.join(shipped.names())}, or yours"
        )
    if type(ledger_or_frame).__module__.startswith("great_expectations"):
        from attribution.expectations.great import validate_batch

        return validate_batch(ledger_or_frame, suites)
    return _validate_frame(as_arrow(ledger_or_frame), suites, engine)


@dataclass(frozen=True)
class Target:
    """One relation with the rules that need no more than its columns."""

    scan: Scan
    key: str
    money: str | None
    calls: str
    rules: tuple[tuple[Suite, Rule], ...]


def _validate_ledger(ledger: Ledger, suites: Sequence[Suite], engine: str, *, is_asked: bool) -> Quality:
    outcomes: list[Outcome] = []
    targets, skipped = _plan(ledger, suites, is_asked=is_asked)
    with ledger.transaction():
        _begin(ledger)
        for name, target in targets:
            outcomes += _run(ledger, target, name, engine)
        failures = _end(ledger)
    return Quality(_in_order(suites, outcomes), failures, engine, tuple(skipped))


def count_broken(ledger: Ledger) -> dict[str, int]:
    """Return how many critical and warning rules of the shipped suites a ledger breaks; nothing is written."""
    targets, _ = _plan(ledger, shipped.choose(None), is_asked=False)
    outcomes = [each for name, target in targets for each in judge(ledger, target.scan, target.rules, name)]
    ledger.run("drop table if exists quality_month")
    found = [each.rule.severity for each in outcomes if each.verdict == "broken"]
    return {severity: found.count(severity) for severity in ("critical", "warning") if severity in found}


def _plan(ledger: Ledger, suites: Sequence[Suite], *, is_asked: bool) -> tuple[list[tuple[str, Target]], list[str]]:
    """Return what is scanned for which data set, and the data sets without a row that nobody asked for."""
    targets: list[tuple[str, Target]] = []
    skipped: list[str] = []
    tables = ledger.tables()
    for name in dict.fromkeys(_dataset_of(suite).name for suite in suites):
        mine, dataset = [suite for suite in suites if suite.dataset == name], DATASETS[name]
        has_rows = dataset.table in tables and ledger.value(f'select count(*) from (from "{dataset.table}" limit 1)')
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


def _validate_frame(table: pa.Table, suites: Sequence[Suite], engine: str) -> Quality:
    outcomes: list[Outcome] = []
    with open_ledger() as scratch, scratch.reading(frame=table):
        _begin(scratch)
        for suite in suites:
            target = _target_of_frame(scratch, suite)
            outcomes += _run(scratch, target, suite.dataset or "frame", engine)
        return Quality(_in_order(suites, outcomes), _end(scratch), engine)


def _begin(ledger: Ledger) -> None:
    columns = ", ".join(f'"{c.name}" {c.type}' for c in schema.table("quality_failure").columns)
    ledger.run(f"create or replace temp table failing ({columns})")


def _end(ledger: Ledger) -> Any:
    """Keep the keys in the ledger, where it may be written, and return them."""
    if not ledger.value("select readonly from duckdb_databases() where database_name = current_database()"):
        ledger.run("delete from quality_failure")
        ledger.run("insert into quality_failure from failing order by suite, rule, row_key, event_id")
    failures = ledger.frame("from failing order by suite, rule, row_key, event_id")
    ledger.run("drop table failing")
    for name in ("failed", "failed_call", "quality_month"):
        ledger.run(f"drop table if exists {name}")
    return failures


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
    """Give each rule to the narrowest stored table that has all its columns, so that no scan joins for nothing."""
    parts = dataset.parts()
    if len(parts) > 1 and len({ledger.value(f'select count(*) from "{name}"') for name, _ in parts[:-1]}) > 1:
        parts = parts[-1:]
    derived = {each.name: each for each in dataset.derived}
    by_part: dict[int, list[tuple[Suite, Rule]]] = {}
    for suite in suites:
        for rule in suite.rules:
            needs = {need for name in rule.reads for need in _needs(derived.get(name), name)}
            fits = (place for place, (_, columns) in enumerate(parts) if needs <= set(columns))
            place = len(parts) - 1 if rule.kind == "table" else next(fits, len(parts) - 1)
            by_part.setdefault(place, []).append((suite, rule))
    return [_target(ledger, dataset, parts[place][0], rules) for place, rules in sorted(by_part.items())]


def _needs(derived: Derived | None, name: str) -> tuple[str, ...]:
    return derived.needs if derived else (name,)


def _target(ledger: Ledger, dataset: Dataset, base: str, rules: list[tuple[Suite, Rule]]) -> Target:
    types = _types(ledger, base)
    named = {name for _, rule in rules for name in rule.reads}
    wanted = [each for each in dataset.derived if each.name in named and set(each.needs) <= types.keys()]
    if named & set(_MONTH):
        _measure_months(ledger)
    terms = Terms(types | {each.name: each.type for each in wanted}, added=frozenset(each.name for each in wanted))
    calls = dataset.calls or "select distinct row_key, row_key as event_id from failed"
    scan = Scan(dataset.relation(base, wanted), terms)
    return Target(scan, dataset.key_of(types) or "null", dataset.money, calls, tuple(rules))


def _target_of_frame(scratch: Ledger, suite: Suite) -> Target:
    types = _types(scratch, "frame")
    dataset = DATASETS.get(suite.dataset or "")
    derived = dataset.derived if dataset else ()
    named = {name for rule in suite.rules for name in rule.reads}
    wanted = [
        each
        for each in derived
        if each.name in named and each.name not in types and not each.needs_ledger and set(each.needs) <= types.keys()
    ]
    added = frozenset({ROW_NUMBER, *(each.name for each in wanted)})
    untold = frozenset(each.name for each in derived if each.needs_ledger and each.name not in types)
    terms = Terms(types | {each.name: each.type for each in wanted}, added=added, untold=untold)
    relation = dataset.relation("frame", wanted) if dataset else '"frame"'
    key = _key_of_frame(scratch, suite, dataset, types)
    money = next((name for name in _MONEY if name in types and terms.kind(name) == "number"), None)
    event = 'try_cast("event_id" as uuid)' if "event_id" in types else "cast(null as uuid)"
    rows = f"(select {key} as row_key, {event} as event_id from frame)"
    calls = f"select distinct row_key, keyed.event_id from failed join {rows} as keyed using (row_key)"
    amount = f"try_cast({quote(money)} as decimal(38, 12))" if money else None
    return Target(Scan(relation, terms), key, amount, calls, tuple((suite, rule) for rule in suite.rules))


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


def _run(ledger: Ledger, target: Target, dataset: str, engine: str) -> list[Outcome]:
    """Judge the rules of a target, and describe the failing rows of those that are broken."""
    if engine == "great_expectations":
        from attribution.expectations.great import judge_with_great_expectations, take_keys

        outcomes, keys = judge_with_great_expectations(ledger, target.scan, target.rules, dataset, target.key)
        broken = take_keys(ledger, target.scan, outcomes, keys, target.key, target.money)
    else:
        outcomes = judge(ledger, target.scan, target.rules, dataset)
        broken = take_failures(ledger, target.scan, outcomes, target.key, target.money)
    if not broken:
        return outcomes
    described = describe_failures(
        ledger, target.scan.relation, target.key, broken, target.calls, own_money=target.money is not None
    )
    named = {(each.suite, each.rule.id): each for each in described}
    return [named.get((each.suite, each.rule.id), each) for each in outcomes]


def _in_order(suites: Sequence[Suite], outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Put outcomes in the order of the suites and their rules; a suite that saw no row at all is broken."""
    places = {(s.name, r.id): place for place, (s, r) in enumerate((s, r) for s in suites for r in s.rules)}
    judged = {each.suite for each in outcomes if each.verdict == "broken" or each.note != NO_ROWS}
    told = [each if each.suite in judged else replace(each, verdict="broken") for each in outcomes]
    return tuple(sorted(told, key=lambda each: places[each.suite, each.rule.id]))
