"""The rows that break rules: their keys, the dollars behind them, and three masked examples of each rule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from attribution.expectations.scanning import Outcome, Scan
from attribution.expectations.terms import quote
from attribution.ledger import Ledger
from attribution.reading import mask

EXAMPLES = 3
_DIGEST = re.compile(r"^(?=[\d-]*[a-f])(?:[0-9a-f]{16,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")


def take_failures(
    ledger: Ledger, scan: Scan, outcomes: Sequence[Outcome], key: str, money: str | None, first: int
) -> list[Outcome]:
    """Add the rows of broken rules to `failed`, by one scan, and return those rules; they are numbered from `first`."""
    checks = scan.checks | scan.groups
    broken = [each for each in outcomes if each.verdict == "broken" and each.failing]
    conditions = [checks[each.suite, each.rule.id].failing for each in broken]
    if not broken:
        return []
    numbers = ", ".join(f"case when {condition} then {place} end" for place, condition in enumerate(conditions, first))
    query = f"""
        {into_failed(first)}
        with numbered as (
            select unnest([{numbers}]) as number, {key} as row_key, {money or "cast(null as decimal(38, 12))"} as money
            from {scan.relation} where {" or ".join(conditions)}
        )
        from numbered where number is not null
    """
    ledger.run(query, scan.terms.used(query))
    return broken


def into_failed(first: int) -> str:
    """Return the head of a statement that fills `failed`; the first one makes the table."""
    return "insert into failed" if first else "create or replace temp table failed as"


@dataclass(frozen=True)
class Examined:
    """A relation whose rows were judged, how its rows are named, and its broken rules, by their numbers in `failed`."""

    relation: str
    key: str
    broken: Mapping[int, Outcome]


def describe_failures(
    ledger: Ledger, examined: Sequence[Examined], calls: str | None, *, own_money: bool
) -> list[Outcome]:
    """Return the rules of `failed` with dollars and examples, and add its keys to `quality_failure`.

    `calls` selects `row_key, event_id` of the rows in `failed`; without it a row is a call, and its key the call's.
    """
    broken = {number: each for one in examined for number, each in one.broken.items()}
    if not broken:
        return []
    if calls is not None:
        ledger.run(f"create or replace temp table failed_call as {calls}")
    costs = _own_costs(ledger) if own_money else _costs_of_calls(ledger, are_calls=calls is None)
    lowest = f"select number, unnest(min(row_key, {EXAMPLES})) as row_key from failed group by number"
    ledger.run(f"create or replace temp table failed_first as {lowest}")
    examples = {number: told for one in examined if one.broken for number, told in _examples(ledger, one).items()}
    _keep(ledger, list(broken.values()), "failed" if calls is None else "failed left join failed_call using (row_key)")
    return [
        replace(each, dollars=dollars, without_price=without_price, examples=tuple(examples.get(number, ())))
        for number, each in broken.items()
        for dollars, without_price in [costs.get(number, (None, 0))]
    ]


def _own_costs(ledger: Ledger) -> dict[int, tuple[Any, int]]:
    rows = ledger.rows("select number, cast(sum(money) as decimal(38, 12)) from failed group by number")
    return {number: (dollars, 0) for number, dollars in rows}


def _costs_of_calls(ledger: Ledger, *, are_calls: bool) -> dict[int, tuple[Any, int]]:
    """Return per rule the dollars of the calls behind its rows, each call once, and how many have no price."""
    touched = "select distinct number, event_id from failed join failed_call using (row_key)"
    if are_calls:
        touched = "select number, row_key as event_id from failed"
    rows = ledger.rows(
        f"""
        with touched as ({touched})
        select number, cast(sum(coalesce(list_cost, priced_part)) as decimal(38, 12)),
            count(*) filter (where coalesce(price_status, 'unpriced') in ('unpriced', 'partial')
                or (price_status = 'unmetered' and status <> 'error'))
        from touched join event using (event_id) left join event_cost using (event_id) group by number
        """
    )
    return {number: (dollars, without_price) for number, dollars, without_price in rows}


def _examples(ledger: Ledger, examined: Examined) -> dict[int, list[str]]:
    """Return three masked examples of each rule, those with the lowest keys, so that they are always the same."""
    columns = list(dict.fromkeys(name for each in examined.broken.values() for name in each.rule.columns))
    place_of = {name: f"c{place}" for place, name in enumerate(columns)}
    held = "".join(f", {quote(name)} as {place}" for name, place in place_of.items())
    shown = "".join(f", shown.{place}" for place in place_of.values())
    numbers = {"numbers": list(examined.broken)}
    first = "(from failed_first where list_contains($numbers, number))"
    # Keys as values, not as a table of keys: so joined tables are looked up before they are joined.
    keys = ledger.rows(f"select distinct row_key from {first} where row_key is not null", numbers)
    bound = {f"key_{place}": key for place, (key,) in enumerate(keys)}
    named = ", ".join(f"${name}" for name in bound) or "null"
    table = ledger.arrow(
        f"""
        with shown as (
            select distinct {examined.key} as row_key{held} from {examined.relation} where {examined.key} in ({named})
        )
        select first.number, cast(first.row_key as varchar) as row_key{shown}
        from {first} as first join shown on shown.row_key = first.row_key
        order by first.number, first.row_key
        """,
        numbers | bound,
    )
    examples: dict[int, list[str]] = {}
    for row in table.to_pylist():
        columns = examined.broken[row["number"]].rule.columns
        values = [f"{name}={_masked(row[place_of[name]])}" for name in columns]
        example = f"{_masked(row['row_key'])}: {', '.join(values)}"
        told = examples.setdefault(row["number"], [])
        if len(told) < EXAMPLES and example not in told:
            told.append(example)
    return examples


def _masked(value: Any) -> str:
    """Mask what may name a person or be a secret; digests and ids of ours may look like numbers and are neither."""
    parts = ("null" if value is None else str(value)).split("/")
    return "/".join(part if _DIGEST.match(part) else mask(part, 60) for part in parts)


def _keep(ledger: Ledger, broken: Sequence[Outcome], rows: str) -> None:
    """Add the keys to `quality_failure`, with the rule's name in place of its number."""
    names = pa.table(
        {
            "number": pa.array(range(len(broken)), pa.int32()),
            "suite": pa.array([each.suite for each in broken], pa.string()),
            "rule": pa.array([each.rule.id for each in broken], pa.string()),
            "severity": pa.array([each.rule.severity for each in broken], pa.string()),
            "dataset": pa.array([each.dataset for each in broken], pa.string()),
        }
    )
    key = "event_id, cast(row_key as varchar)" if "failed_call" in rows else "row_key, null"
    with ledger.reading(broken_rule=names):
        ledger.run(
            f"""
            insert into quality_failure
            select suite, rule, severity, dataset, {key}
            from {rows} join broken_rule using (number)
            """
        )
