"""The reference engine: the very same suites through Great Expectations, on pandas or a data source of the user's.

It takes seconds to import, reckons in floats and holds the rows several times over, so it is for samples.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.expectations.failures import into_failed
from attribution.expectations.figures import compile_figure, compile_table
from attribution.expectations.quality import Quality
from attribution.expectations.row_rules import compile_group, compile_row
from attribution.expectations.rule_types import JUDGE_NULLS
from attribution.expectations.scanning import DOUBLED, NO_ROWS, Outcome, Scan
from attribution.expectations.suites import Rule, Suite
from attribution.expectations.terms import NotJudged
from attribution.ledger import Ledger

#: Beyond this the reference needs more memory than a laptop has; the compiled suite gives the same counts.
MOST_ROWS = 1_000_000
#: Beside the columns of the rows, so no name that one of them could have.
_KEY = "__key_of_row"
#: What Great Expectations stores about a rule of ours, to find it again among its results.
_NAME = "rule_of_suite"

#: What Great Expectations lists where a rule about a set is broken.
_LISTED = {"partial_unexpected_list": "other values", "partial_missing_list": "values not found"}

Keys = dict[tuple[str, str], list[Any]]


def judge_with_great_expectations(
    ledger: Ledger, scan: Scan, rules: Sequence[tuple[Suite, Rule]], dataset: str, key: str
) -> tuple[list[Outcome], Keys]:
    """Return the outcome of each rule as Great Expectations has it, and the keys of the failing rows."""
    table = ledger.arrow(f'select *, {key} as "{_KEY}" from {scan.relation}')
    if table.num_rows > MOST_ROWS:
        raise QuestionError.bad_argument(
            "engine", "great_expectations", f"duckdb for {table.num_rows:,} rows; this one is for up to {MOST_ROWS:,}"
        )
    outcomes: dict[tuple[str, str], Outcome] = {}
    ready: list[tuple[Suite, Rule]] = []
    for suite, rule in rules:
        blank = Outcome(suite.name, dataset, rule, "pass")
        fault = _cannot_judge(ledger, scan, rule, table)
        if fault is None:
            ready.append((suite, rule))
        else:
            verdict, note = fault
            outcomes[suite.name, rule.id] = replace(blank, verdict=verdict, note=note)
    keys: Keys = {}
    if ready and table.num_rows:
        with _quiet() as gx:
            batch = _batch(gx, as_objects(table.select(_simple(table))))
            for place, result in _results(gx, batch, [rule for _, rule in ready], table):
                suite, rule = ready[place]
                outcome, failing = _read(Outcome(suite.name, dataset, rule, "pass"), result)
                outcomes[suite.name, rule.id] = outcome
                keys[suite.name, rule.id] = failing
    for suite, rule in ready:
        outcomes.setdefault(
            (suite.name, rule.id), _of_nothing(Outcome(suite.name, dataset, rule, "not checked"), table.num_rows)
        )
    return [outcomes[suite.name, rule.id] for suite, rule in rules], keys


def take_keys(
    ledger: Ledger, scan: Scan, outcomes: Sequence[Outcome], keys: Keys, key: str, money: str | None, first: int
) -> list[Outcome]:
    """Add the rows that Great Expectations found to `failed`, as the compiled suite would."""
    broken = [each for each in outcomes if each.verdict == "broken" and keys.get((each.suite, each.rule.id))]
    pairs = [(place, found) for place, each in enumerate(broken, first) for found in keys[each.suite, each.rule.id]]
    found = pa.table(
        {
            "number": pa.array([place for place, _ in pairs], pa.int32()),
            "found_key": pa.array([str(one) for _, one in pairs], pa.string()),
        }
    )
    with ledger.reading(found_failing=found):
        ledger.run(
            f"""
            {into_failed(first)}
            select number, keyed.row_key, keyed.money from found_failing join (
                select {key} as row_key, {money or "cast(null as decimal(38, 12))"} as money from {scan.relation}
            ) as keyed on cast(keyed.row_key as varchar) = found_key
            """
        )
    return broken


def validate_batch(given: Any, suites: Sequence[Suite]) -> Quality:
    """Run suites on a batch or batch definition of the user's own data source; its rows stay where they are."""
    outcomes: list[Outcome] = []
    with _quiet() as gx:
        batch = given.get_batch() if hasattr(given, "get_batch") else given
        if not hasattr(batch, "validate"):
            raise QuestionError.bad_argument("ledger_or_frame", type(given).__name__, "a batch or a batch definition")
        for suite in suites:
            rules = list(suite.rules)
            for place, result in _results(gx, batch, rules, None):
                blank = Outcome(suite.name, suite.dataset or "batch", rules[place], "pass")
                outcomes.append(_read(blank, result)[0])
    places = {(suite.name, rule.id): place for suite in suites for place, rule in enumerate(suite.rules)}
    outcomes.sort(
        key=lambda each: ([suite.name for suite in suites].index(each.suite), places[each.suite, each.rule.id])
    )
    columns = ("suite", "rule", "severity", "dataset", "event_id", "row_key")
    return Quality(tuple(outcomes), lambda: pd.DataFrame(columns=list(columns)), "great_expectations")


def as_objects(table: pa.Table) -> pd.DataFrame:
    """Return a table as Great Expectations reads it best: text as objects, times as nanoseconds, amounts as floats."""
    columns = {}
    for name in table.column_names:
        values = table[name]
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
            values = _times_of(values)
        elif pa.types.is_integer(values.type) and values.null_count:
            values = values.cast(pa.float64(), safe=False)
        is_plain = not pa.types.is_string(values.type) and values.type != pa.timestamp("us")
        columns[name] = values.to_pandas() if is_plain else pd.Series(values.to_pylist(), dtype=object)
    return pd.DataFrame(columns)


def _times_of(values: Any) -> Any:
    """Return times in nanoseconds, the only ones it compares fast; those too far away for them stay as they are."""
    try:
        return values.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return values.cast(pa.timestamp("us"))


def _simple(table: pa.Table) -> list[str]:
    """Columns that a rule can compare: lists, maps and structures are left out, as the compiled suite refuses them."""
    return [field.name for field in table.schema if not pa.types.is_nested(field.type)]


def _cannot_judge(ledger: Ledger, scan: Scan, rule: Rule, table: pa.Table) -> tuple[str, str] | None:
    """Say loudly what Great Expectations would pass over or trip on: no such column, no rows, no comparable types."""
    try:
        if rule.kind == "table":
            names = [name for name in scan.terms.types if name not in scan.terms.added]
            fault = compile_table(rule, names)
            return ("broken" if fault else "pass", fault or "")
        if rule.kind == "row":
            compile_row(rule, scan.terms)
        elif rule.kind == "group":
            compile_group(rule, scan.terms, scan.relation, DOUBLED)
        elif not _has_values(ledger, scan, rule):
            return ("not checked" if rule.is_optional else "broken", "there is no value to measure")
    except NotJudged as why:
        return ("broken" if why.is_fault else "not checked", str(why))
    if not table.num_rows and rule.type.startswith("expect_table_row_count"):
        low = rule.kwargs.get("value", rule.kwargs.get("min_value", 0))
        return ("broken", "it is 0") if low else ("pass", "")
    return None


def _has_values(ledger: Ledger, scan: Scan, rule: Rule) -> bool:
    """Whether there is a value to measure: Great Expectations passes a set or bound of none without a word."""
    query = f"select {compile_figure(rule, scan.terms).expressions[0]} from {scan.relation}"
    return rule.type in JUDGE_NULLS or bool(ledger.rows(query, scan.terms.used(query))[0][0])


def _of_nothing(blank: Outcome, rows: int) -> Outcome:
    if rows:
        return replace(blank, verdict="broken", note="Great Expectations gave no result")
    return replace(blank, failing=0, judged=0, note=NO_ROWS)


@contextmanager
def _quiet() -> Iterator[Any]:
    """Lend Great Expectations without its progress bars, warnings and log lines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import great_expectations as gx
    except ImportError:
        raise QuestionError.bad_argument(
            "engine", "great_expectations", "duckdb, or an installation of it: pip install 'attribution[quality]'"
        ) from None
    log = logging.getLogger("great_expectations")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield gx
    finally:
        log.setLevel(level)


def _batch(gx: Any, frame: pd.DataFrame) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})


def _results(gx: Any, batch: Any, rules: Sequence[Rule], table: pa.Table | None) -> Iterator[tuple[int, Any]]:
    """Run rules and yield each result with the place of its rule; a rule that got lost on the way is an error."""
    configured = [
        {
            "type": rule.type,
            "kwargs": {name: _plain(value) for name, value in rule.kwargs.items()} | _times(rule),
            "severity": rule.severity,
            "meta": {_NAME: place},
        }
        for place, rule in enumerate(rules)
    ]
    suite = gx.ExpectationSuite(name="compiled", expectations=configured)
    if len(suite.expectations) != len(rules):
        kept = {each.meta[_NAME] for each in suite.expectations}
        lost = [rule.id for place, rule in enumerate(rules) if place not in kept]
        raise QuestionError.bad_argument("suite", lost, "rules that this version of Great Expectations reads")
    columns = {"unexpected_index_column_names": [_KEY]} if table is not None else {}
    answer = batch.validate(suite, result_format={"result_format": "COMPLETE", **columns})
    for result in answer.results:
        yield result.expectation_config.meta[_NAME], result


def _times(rule: Rule) -> dict[str, datetime]:
    """Bounds in time as times: Great Expectations would read a day as a date, which compares with no time."""
    bounds = {name: rule.kwargs.get(name) for name in ("min_value", "max_value")}
    return {name: datetime.fromisoformat(value) for name, value in bounds.items() if isinstance(value, str)}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _read(blank: Outcome, result: Any) -> tuple[Outcome, list[Any]]:
    """Read one result: counts, keys, and what it could not do."""
    rule, found = blank.rule, result.result or {}
    raised = _raised(result.exception_info)
    if raised:
        return replace(blank, verdict="broken", note=f"Great Expectations could not judge it: {raised}"), []
    if rule.kind == "aggregate":
        return _read_figure(blank, result.success, found), []
    failing = int(found.get("unexpected_count") or 0)
    elements, missing = int(found.get("element_count") or 0), int(found.get("missing_count") or 0)
    judged = elements - missing
    if not elements:
        why = NO_ROWS if rule.condition is None else "no row meets its condition"
        return replace(blank, verdict="not checked", failing=0, judged=0, note=why), []
    if not judged:
        verdict = "not checked" if rule.is_optional else "broken"
        return replace(blank, verdict=verdict, failing=0, judged=0, note="every value is missing"), []
    keys = [index[_KEY] for index in found.get("unexpected_index_list") or [] if isinstance(index, dict)]
    return replace(blank, verdict="pass" if result.success else "broken", failing=failing, judged=judged), keys


def _read_figure(blank: Outcome, success: bool, found: dict[str, Any]) -> Outcome:
    listed = [f"{len(found[name])} {word}" for name, word in _LISTED.items() if found.get(name)]
    value = found.get("observed_value")
    note = f"it is {value}" if value is not None else " and ".join(listed)
    return replace(blank, verdict="pass" if success else "broken", note="" if success else note)


def _raised(information: Any) -> str:
    """Return the first message of an exception; it stands flat, or keyed by an id of the metric."""
    if not isinstance(information, dict):
        return ""
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return str(entry.get("exception_message") or "an exception").splitlines()[0]
    return ""
