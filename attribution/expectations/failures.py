"""The rows that break rules: their keys, the dollars behind them, and three masked examples of each rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attribution.expectations.scanning import Outcome, Scan
from attribution.ledger import Ledger
from attribution.reading import mask

EXAMPLES = 3
_DIGEST = re.compile(r"^(?=[\d-]*[a-f])(?:[0-9a-f]{16,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")


def take_failures(
    ledger: Ledger, scan: Scan, outcomes: Sequence[Outcome], key: str, money: str | None
) -> list[Outcome]:
    """Leave the rows of broken rules in `failed`, by one scan, and return those rules in the order of their numbers."""
    checks = scan.checks | scan.groups
    broken = [each for each in outcomes if each.verdict == "broken" and each.failing]
    conditions = [checks[each.suite, each.rule.id].failing for each in broken]
    if not broken:
        return []
    numbers = ", ".join(f"case when {condition} then {place} end" for place, condition in enumerate(conditions))
    query = f"""
        create or replace temp table failed as
        with numbered as (
            select unnest([{numbers}]) as number, {key} as row_key, {money or "cast(null as decimal(38, 12))"} as money
            from {scan.relation} where {" or ".join(conditions)}
        )
        from numbered where number is not null
    """
    ledger.run(query, scan.terms.used(query))
    return broken


def describe_failures(
    ledger: Ledger, relation: str, key: str, broken: Sequence[Outcome], calls: str, *, own_money: bool
) -> list[Outcome]:
    """Return the rules of `failed` with dollars and examples, and add its keys to `failing`.

    `calls` selects `row_key, event_id` of the rows in `failed`.
    """
    ledger.run(f"create or replace temp table failed_call as {calls}")
    costs = _own_costs(ledger) if own_money else _costs_of_calls(ledger)
    examples = _examples(ledger, relation, broken, key)
    _keep(ledger, broken)
    return [
        replace(each, dollars=dollars, without_price=without_price, examples=tuple(examples.get(place, ())))
        for place, each in enumerate(broken)
        for dollars, without_price in [costs.get(place, (None, 0))]
    ]


def _own_costs(ledger: Ledger) -> dict[int, tuple[Any, int]]:
    rows = ledger.rows("select number, cast(sum(money) as decimal(38, 12)) from failed group by number")
    return {number: (dollars, 0) for number, dollars in rows}


def _costs_of_calls(ledger: Ledger) -> dict[int, tuple[Any, int]]:
    """Return per rule the dollars of the calls behind its rows, each call once, and how many have no price."""
    rows = ledger.rows(
        """
        with touched as (select distinct number, event_id from failed join failed_call using (row_key))
        select number, cast(sum(coalesce(list_cost, priced_part)) as decimal(38, 12)),
            count(*) filter (where coalesce(price_status, 'unpriced') in ('unpriced', 'partial')
                or (price_status = 'unmetered' and status <> 'error'))
        from touched join event using (event_id) left join event_cost using (event_id) group by number
        """
    )
    return {number: (dollars, without_price) for number, dollars, without_price in rows}


def _examples(ledger: Ledger, relation: str, broken: Sequence[Outcome], key: str) -> dict[int, list[str]]:
    """Return three masked examples of each rule, those with the lowest keys, so that they are always the same."""
    columns = list(dict.fromkeys(name for each in broken for name in each.rule.columns))
    place_of = {name: f"c{place}" for place, name in enumerate(columns)}
    held = "".join(f", {quote(name)} as {place}" for name, place in place_of.items())
    shown = "".join(f", shown.{place}" for place in place_of.values())
    table = ledger.arrow(
        f"""
        with first as (select number, unnest(min(row_key, {EXAMPLES})) as row_key from failed group by number),
        shown as (
            select distinct {key} as row_key{held} from {relation} where {key} in (select row_key from first)
        )
        select first.number, cast(first.row_key as varchar) as row_key{shown}
        from first join shown on shown.row_key = first.row_key
        order by first.number, first.row_key
        """
    )
    examples: dict[int, list[str]] = {}
    for row in table.to_pylist():
        values = [f"{name}={_masked(row[place_of[name]])}" for name in broken[row["number"]].rule.columns]
        example = f"{_masked(row['row_key'])}: {', '.join(values)}"
        told = examples.setdefault(row["number"], [])
        if len(told) < EXAMPLES and example not in told:
            told.append(example)
    return examples


def quote(name: str) -> str:
    """Quote the name of a column, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _masked(value: Any) -> str:
    """Mask what may name a person or be a secret; digests and ids of ours may look like numbers and are neither."""
    parts = ("null" if value is None else str(value)).split("/")
    return "/".join(part if _DIGEST.match(part) else mask(part, 60) for part in parts)


def _keep(ledger: Ledger, broken: Sequence[Outcome]) -> None:
    """Add the keys to `failing`, with the rule's name in place of its number."""
    for place, each in enumerate(broken):
        values = {"suite": each.suite, "rule": each.rule.id, "severity": each.rule.severity, "dataset": each.dataset}
        ledger.run(
            """
            insert into failing
            select $suite, $rule, $severity, $dataset, event_id, cast(row_key as varchar)
            from (select distinct row_key from failed where number = $number) left join failed_call using (row_key)
            """,
            {**values, "number": place},
        )
