"""Validate a ledger or a frame: its suites compiled to scans, or the same suites through Great Expectations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import schema
from attribution.errors import QuestionError
from attribution.expectations import shipped
from attribution.expectations.failures import Examined, describe_failures, take_failures
from attribution.expectations.frames import as_arrow
from attribution.expectations.planning import Target, forget, plan, target_of_frame
from attribution.expectations.quality import Quality
from attribution.expectations.scanning import NO_ROWS, Outcome, judge
from attribution.expectations.suites import Suite
from attribution.ledger import Ledger, open_ledger

ENGINES = ("duckdb", "great_expectations")


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
        `json.loads` made of it; or a list of them. A ledger is checked against all shipped suites when none is given;
        a suite that names no data set (`meta.dataset`) is about its calls, `cost_events`.
    engine
        `duckdb` compiles the suite to scans, one for all rules about a table's rows; `great_expectations` hands the
        same JSON to Great Expectations on pandas, for samples (pip install 'attribution[quality]').

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
    if not suites:
        raise QuestionError.bad_argument("suite", suite, "a suite; nothing is checked without one")
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


def _validate_ledger(ledger: Ledger, suites: Sequence[Suite], engine: str, *, is_asked: bool) -> Quality:
    suites = [each if each.dataset else replace(each, meta={**each.meta, "dataset": "cost_events"}) for each in suites]
    outcomes: list[Outcome] = []
    targets, skipped = plan(ledger, suites, is_asked=is_asked)
    with ledger.transaction():
        _begin(ledger, suites)
        for name in dict.fromkeys(name for name, _ in targets):
            outcomes += _run(ledger, [target for dataset, target in targets if dataset == name], name, engine)
        forget(ledger)
    return Quality(_in_order(suites, outcomes), lambda: _failures(ledger, suites), engine, tuple(skipped))


def count_broken(ledger: Ledger) -> dict[str, int]:
    """Return how many critical and warning rules of the shipped suites a ledger breaks; nothing is written."""
    targets, _ = plan(ledger, shipped.choose(None), is_asked=False)
    outcomes = [each for name, target in targets for each in judge(ledger, target.scan, target.rules, name)]
    forget(ledger)
    found = [each.rule.severity for each in outcomes if each.verdict == "broken"]
    return {severity: found.count(severity) for severity in ("critical", "warning") if severity in found}


def _validate_frame(table: pa.Table, suites: Sequence[Suite], engine: str) -> Quality:
    outcomes: list[Outcome] = []
    with open_ledger() as scratch, scratch.reading(frame=table):
        for suite in suites:
            target = target_of_frame(scratch, suite)
            outcomes += _run(scratch, [target], suite.dataset or "frame", engine)
        failures = _failures(scratch, suites)
    return Quality(_in_order(suites, outcomes), lambda: failures, engine)


def _begin(ledger: Ledger, suites: Sequence[Suite]) -> None:
    """Forget what these suites found before; a ledger that may not be written keeps keys for as long as it is open."""
    if ledger.value("select readonly from duckdb_databases() where database_name = current_database()"):
        columns = ", ".join(f'"{c.name}" {c.type}' for c in schema.table("quality_failure").columns)
        ledger.run(f"create temp table if not exists quality_failure ({columns})")
    ledger.run("delete from quality_failure where list_contains($suites, suite)", {"suites": [s.name for s in suites]})


def _failures(ledger: Ledger, suites: Sequence[Suite]) -> pd.DataFrame:
    """Return the keys that the latest run of these suites left."""
    query = "from quality_failure where list_contains($suites, suite) order by suite, rule, row_key, event_id"
    return ledger.frame(query, {"suites": [suite.name for suite in suites]})


def _run(ledger: Ledger, targets: Sequence[Target], dataset: str, engine: str) -> list[Outcome]:
    """Judge the rules over the relations of a data set, and describe the failing rows of those that are broken."""
    outcomes: list[Outcome] = []
    examined: list[Examined] = []
    first = 0
    for target in targets:
        judged, broken = _judge(ledger, target, dataset, engine, first)
        outcomes += judged
        examined.append(Examined(target.scan.relation, target.key, dict(enumerate(broken, first))))
        first += len(broken)
    described = describe_failures(ledger, examined, targets[0].calls, own_money=targets[0].money is not None)
    named = {(each.suite, each.rule.id): each for each in described}
    return [named.get((each.suite, each.rule.id), each) for each in outcomes]


def _judge(
    ledger: Ledger, target: Target, dataset: str, engine: str, first: int
) -> tuple[list[Outcome], list[Outcome]]:
    """Return the outcomes of a target and, of these, the broken ones whose rows are in `failed` now."""
    if engine == "great_expectations":
        from attribution.expectations.great import judge_with_great_expectations, take_keys

        outcomes, keys = judge_with_great_expectations(ledger, target.scan, target.rules, dataset, target.key)
        return outcomes, take_keys(ledger, target.scan, outcomes, keys, target.key, target.money, first)
    outcomes = judge(ledger, target.scan, target.rules, dataset)
    return outcomes, take_failures(ledger, target.scan, outcomes, target.key, target.money, first)


def _in_order(suites: Sequence[Suite], outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Put outcomes in the order of the suites and their rules; a suite that saw no row at all is broken."""
    places = {(s.name, r.id): place for place, (s, r) in enumerate((s, r) for s in suites for r in s.rules)}
    judged = {each.suite for each in outcomes if each.verdict == "broken" or each.note != NO_ROWS}
    told = [each if each.suite in judged else replace(each, verdict="broken") for each in outcomes]
    return tuple(sorted(told, key=lambda each: places[each.suite, each.rule.id]))
