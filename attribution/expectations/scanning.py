"""Run compiled rules: one scan of a table counts all of them, a second one takes the keys of the broken ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from attribution.expectations.figures import Figure, compile_figure, compile_table
from attribution.expectations.row_rules import Check, compile_group, compile_row
from attribution.expectations.rule_types import JUDGE_NULLS
from attribution.expectations.suites import Rule, Suite
from attribution.expectations.terms import NotJudged, Terms
from attribution.ledger import Ledger

#: Why a rule about rows was not checked where there is none.
NO_ROWS = "there are no rows"


@dataclass(frozen=True)
class Outcome:
    """What became of one rule: its verdict, how many rows fail of how many judged, what it costs, and examples."""

    suite: str
    dataset: str
    rule: Rule
    verdict: str
    failing: int | None = None
    judged: int | None = None
    dollars: Decimal | None = None
    without_price: int = 0
    note: str = ""
    examples: tuple[str, ...] = ()


@dataclass
class Scan:
    """The rules over one relation, compiled together, so that the relation is read once."""

    relation: str
    terms: Terms
    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    figures: dict[tuple[str, str], Figure] = field(default_factory=dict)
    groups: dict[tuple[str, str], Check] = field(default_factory=dict)
    _columns: dict[str, int] = field(default_factory=dict)

    def compile(self, suite: Suite, rule: Rule) -> None:
        """Add a rule to the scan; `NotJudged` says why it cannot be."""
        key = (suite.name, rule.id)
        if rule.kind == "row":
            self.checks[key] = check = compile_row(rule, self.terms)
            for condition in (check.meant, check.judged, check.failing):
                self._place(_count(condition))
        elif rule.kind == "group":
            self.groups[key] = check = compile_group(rule, self.terms, self.relation)
            for condition in (check.meant, check.judged):
                self._place(_count(condition))
        else:
            self.figures[key] = figure = compile_figure(rule, self.terms)
            for expression in figure.expressions:
                self._place(expression)

    def _place(self, expression: str) -> int:
        return self._columns.setdefault(expression, len(self._columns))

    def run(self, ledger: Ledger) -> tuple[Any, ...]:
        """Read the relation once and return every count and figure."""
        if not self._columns:
            return ()
        return _rows(ledger, f"select {', '.join(self._columns)} from {self.relation}", self.terms)[0]

    def counts(self, row: Sequence[Any], check: Check, conditions: Iterable[str]) -> list[int]:
        """Return how many rows meet each of some conditions of a check."""
        return [row[self._columns[_count(getattr(check, name))]] for name in conditions]

    def values(self, row: Sequence[Any], figure: Figure) -> list[Any]:
        """Return what a figure's expressions came to."""
        return [row[self._columns[expression]] for expression in figure.expressions]


def judge(ledger: Ledger, scan: Scan, suites: Sequence[tuple[Suite, Rule]], dataset: str) -> list[Outcome]:
    """Return the outcome of each rule over a relation, without the keys of failing rows."""
    outcomes: list[Outcome] = []
    ready: list[tuple[Suite, Rule]] = []
    for suite, rule in suites:
        try:
            if rule.kind == "table":
                outcomes.append(_of_table(suite, rule, scan, dataset))
                continue
            scan.compile(suite, rule)
            ready.append((suite, rule))
        except NotJudged as why:
            verdict = "broken" if why.is_fault else "not checked"
            outcomes.append(Outcome(suite.name, dataset, rule, verdict, note=str(why)))
    row = scan.run(ledger)
    for suite, rule in ready:
        key, blank = (suite.name, rule.id), Outcome(suite.name, dataset, rule, "pass")
        if rule.kind == "aggregate":
            values = scan.values(row, scan.figures[key])
            outcomes.append(_of_figure(blank, scan.figures[key], values))
            continue
        check = scan.checks.get(key) or scan.groups[key]
        meant, judged = scan.counts(row, check, ("meant", "judged"))
        if rule.kind == "group":
            failing = _doubles(ledger, scan, rule, check) if judged else 0
        else:
            (failing,) = scan.counts(row, check, ("failing",))
        outcomes.append(_of_rows(blank, meant, judged, failing))
    return outcomes


def _of_table(suite: Suite, rule: Rule, scan: Scan, dataset: str) -> Outcome:
    fault = compile_table(rule, [name for name in scan.terms.types if name not in scan.terms.added])
    return Outcome(suite.name, dataset, rule, "broken" if fault else "pass", note=fault or "")


def _of_figure(blank: Outcome, figure: Figure, values: list[Any]) -> Outcome:
    rule = blank.rule
    if not values[0] and rule.type not in JUDGE_NULLS:
        return _nothing(blank, "there is no value to measure")
    return blank if figure.holds(values) else replace(blank, verdict="broken", note=f"it is {figure.shown(values)}")


def _of_rows(blank: Outcome, meant: int, judged: int, failing: int) -> Outcome:
    if not meant:
        why = NO_ROWS if blank.rule.condition is None else "no row meets its condition"
        return replace(blank, verdict="not checked", failing=0, judged=0, note=why)
    if not judged:
        return replace(_nothing(blank, "every value is missing"), failing=0, judged=0)
    # Whole numbers on both sides: a share as a float could pass or fail by its last digit.
    is_broken = Decimal(judged - failing) < blank.rule.mostly * judged
    return replace(blank, verdict="broken" if is_broken else "pass", failing=failing, judged=judged)


def _nothing(blank: Outcome, why: str) -> Outcome:
    """A rule without anything to look at has not passed: it is broken, unless the suite says that this may be."""
    return replace(blank, verdict="not checked" if blank.rule.is_optional else "broken", note=why)


def _doubles(ledger: Ledger, scan: Scan, rule: Rule, check: Check) -> int:
    names = ", ".join(scan.terms.held(name) for name in rule.columns)
    query = f"""
        select coalesce(sum(doubles), 0)
        from (select count(*) as doubles from {scan.relation} where {check.judged} group by {names} having count(*) > 1)
    """
    return int(_rows(ledger, query, scan.terms)[0][0])


def _count(condition: str) -> str:
    if condition == "true":
        return "count(*)"
    column = condition.removesuffix(" is not null")
    is_column = column != condition and column.count('"') == 2 and column[0] == column[-1] == '"'
    return f"count({column})" if is_column else f"count(*) filter (where {condition})"


def _rows(ledger: Ledger, query: str, terms: Terms) -> list[tuple[Any, ...]]:
    """Run a statement with those of the values that it names."""
    return ledger.rows(query, terms.used(query))
