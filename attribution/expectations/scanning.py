"""Run compiled rules: one scan of a table counts all of them, a second one takes the keys of the broken ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from attribution.expectations.condensing import ALIKE, condense
from attribution.expectations.derivations import Derived, with_derived
from attribution.expectations.figures import Figure, compile_figure, compile_table
from attribution.expectations.row_rules import Check, compile_group, compile_row
from attribution.expectations.rule_types import JUDGE_NULLS
from attribution.expectations.suites import Rule, Suite
from attribution.expectations.terms import NotJudged, Terms, quote
from attribution.ledger import Ledger

_NULL_TEST = re.compile(r'("[^"]+") is (not )?null')
#: So many conditions over joined tables are counted one by one, each with a join of the few rows that may meet it.
_FEW = 3
#: What the tables of values that several rows have are called, before their number.
DOUBLED = "doubled_"
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
    """The rules over one relation, compiled together, so that each of its columns is read once."""

    #: Stored rows, quoted: a table, a join of tables or a frame.
    rows: str
    derived: Sequence[Derived]
    terms: Terms
    #: Whether the rows lie somewhere as they are; rows that are joined first are not read more often than once.
    is_stored: bool = True
    #: The tables that are joined, with their columns.
    parts: Mapping[str, set[str]] = field(default_factory=dict)
    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    figures: dict[tuple[str, str], Figure] = field(default_factory=dict)
    groups: dict[tuple[str, str], Check] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """The rows with the derived columns that rules name."""
        return with_derived(self.rows, self.derived)

    def compile(self, suite: Suite, rule: Rule) -> None:
        """Add a rule to the scan; `NotJudged` says why it cannot be."""
        key = (suite.name, rule.id)
        if rule.kind == "row":
            self.checks[key] = compile_row(rule, self.terms)
        elif rule.kind == "group":
            self.groups[key] = compile_group(rule, self.terms, self.relation, f"{DOUBLED}{len(self.groups)}")
        else:
            self.figures[key] = compile_figure(rule, self.terms)

    def run(self, ledger: Ledger, rules: Sequence[tuple[Suite, Rule]]) -> dict[str, Any]:
        """Return what every condition counts and every figure's expressions come to."""
        checks = {id(rule): self.checks[suite.name, rule.id] for suite, rule in rules if rule.kind == "row"}
        found = self._read_packs(ledger, checks, [rule for _, rule in rules]) if self.is_stored else {}
        left = [*checks.values(), *self.groups.values()]
        if self.parts:
            found |= self._read_parts(ledger, left)
        wanted = {each: _count(each) for check in left for each in _conditions(check) if each not in found}
        wanted |= {each: each for figure in self.figures.values() for each in figure.expressions}
        return found | self._read(ledger, self.relation, wanted)

    def _read_packs(self, ledger: Ledger, checks: dict[int, Check], rules: Sequence[Rule]) -> dict[str, Any]:
        """Count what packs of rows alike can tell, and take their rules out of `checks`."""
        found: dict[str, Any] = {}
        ready = [rule for rule in rules if id(rule) in checks]
        for pack in condense(ledger, self.rows, self.derived, self.terms, ready):
            wanted = {each: _weigh(each) for rule in pack.rules for each in _conditions(checks.pop(id(rule)))}
            found |= self._read(ledger, pack.relation, wanted)
        return found

    def _read_parts(self, ledger: Ledger, checks: Sequence[Check]) -> dict[str, Any]:
        """Count what one of the joined tables can tell alone, and of few rules the rest by joining the rows meant."""
        found: dict[str, Any] = {}
        conditions = {each: _count(each) for check in checks for each in _conditions(check)}
        for part, columns in self.parts.items():
            alone = {each: count for each, count in conditions.items() if _names(each) <= columns}
            found |= self._read(ledger, quote(part), alone)
        left = [check for check in checks if not found.keys() >= set(_conditions(check))]
        for check in left if len(left) <= _FEW else ():
            inner = _conditions(check)[-1]
            outer = inner if check.judged in found else check.judged
            wanted = {inner: f"count(*) filter (where {inner})", outer: "count(*)"}
            found |= self._read(ledger, f"{self.relation} where {outer}", wanted)
        return found

    def _read(self, ledger: Ledger, relation: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Read a relation once for all that is wanted of it."""
        if not wanted:
            return {}
        values = _rows(ledger, f"select {', '.join(wanted.values())} from {relation}", self.terms)[0]
        return dict(zip(wanted, values, strict=True))


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
    found = scan.run(ledger, ready)
    for suite, rule in ready:
        key, blank = (suite.name, rule.id), Outcome(suite.name, dataset, rule, "pass")
        if rule.kind == "aggregate":
            values = [found[expression] for expression in scan.figures[key].expressions]
            outcomes.append(_of_figure(blank, scan.figures[key], values))
            continue
        check = scan.checks.get(key) or scan.groups[key]
        meant, judged = found[check.meant], found[check.judged]
        outcomes.append(_of_rows(blank, meant, judged, _failing(ledger, scan, key, found)))
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


def _failing(ledger: Ledger, scan: Scan, key: tuple[str, str], found: Mapping[str, Any]) -> int:
    """Return how many rows fail; of a rule about doubles, their values stay in a table of the rule's own."""
    if key in scan.checks:
        return int(found[scan.checks[key].failing])
    check = scan.groups[key]
    if not found[check.judged]:
        return 0
    ledger.run(check.doubles, scan.terms.used(check.doubles))
    table = f"{DOUBLED}{list(scan.groups).index(key)}"
    return int(ledger.value(f"select coalesce(sum(rows_alike), 0) from {table}"))


def _conditions(check: Check) -> tuple[str, ...]:
    """What a check has counted in a scan; doubles are counted apart."""
    return (check.meant, check.judged) if check.doubles else (check.meant, check.judged, check.failing)


def _count(condition: str) -> str:
    if condition == "true":
        return "count(*)"
    tested = _NULL_TEST.fullmatch(condition)
    if tested is None:
        return f"count(*) filter (where {condition})"
    # The engine knows without a look which columns have no nulls.
    return f"count({tested[1]})" if tested[2] else f"count(*) - count({tested[1]})"


def _names(condition: str) -> set[str]:
    """Return the columns that a condition names."""
    return {name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")*)"', condition)}


def _weigh(condition: str) -> str:
    """Count the rows that rows of a pack stand for."""
    kept = "" if condition == "true" else f"filter (where {condition})"
    return f"cast(coalesce(sum({ALIKE}) {kept}, 0) as bigint)"


def _rows(ledger: Ledger, query: str, terms: Terms) -> list[tuple[Any, ...]]:
    """Run a statement with those of the values that it names."""
    return ledger.rows(query, terms.used(query))
