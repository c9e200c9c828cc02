"""Ownership coverage: how many dollars have an owner, by what evidence, and how wide the unknown makes the answer."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import periods, schema
from attribution.ledger import Ledger, as_frame, column_list, select_events

TARGET = Decimal("0.02")
_SHARE = Decimal("0.000001")


def measure_coverage(ledger: Ledger, *by: str, period: str | periods.Period | None = None) -> pd.DataFrame:
    """Show how much spend has an owner, and by what evidence, one row per group.

    `not_declared` is what the call itself did not carry (no `declared`, `matched` or `exclusive_key` evidence);
    `unowned` is what no evidence up to the request's other calls could recover, `recovered_by_rule` the part of it
    that a written rule then gave to a team. Calls without a price have no dollars: they are counted apart, and widen
    both shares to a band. The low end counts them as nothing; the high end counts each one *without* an owner at
    what its source claimed, else at the 99th percentile of the priced calls.

    Parameters
    ----------
    ledger
        A built ledger.
    *by
        Columns of `cost_event`; `hop`, the hop that lost the team (null where none did); or `day`, `week`, `month`
        (UTC, ISO weeks).
    period
        Limit to one day, ISO week, month, year or range, such as `2026-10`.

    Returns
    -------
    pandas.DataFrame
        The `by` columns, `calls`, `list_cost`, `not_declared`, `unowned`, `recovered_by_rule` [USD], one column of
        dollars per rung, `unpriced_calls`, and `not_declared_low`, `not_declared_high`, `unowned_low`,
        `unowned_high` [0–1], null where there are no dollars to share; in the order of `by`.

    Raises
    ------
    SchemaError
        If a group is not a column.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.measure_coverage(ledger)["unowned"].item()
    Decimal('0E-12')
    """
    names = schema.require(by, also=[*periods.CALENDAR, "hop"])
    sums = ledger.arrow(_statement(names), _values(period))
    rows = [_with_shares(row) for row in sums.to_pylist()]
    shares = ("not_declared_low", "not_declared_high", "unowned_low", "unowned_high")
    kept = [*names, "calls", "list_cost", "not_declared", "unowned", "recovered_by_rule", *schema.EVIDENCE]
    columns = {name: pa.array([row[name] for row in rows], sums.schema.field(name).type) for name in kept}
    columns["unpriced_calls"] = pa.array([row["unpriced_calls"] for row in rows], pa.int64())
    columns |= {name: pa.array([row[name] for row in rows], pa.decimal128(7, 6)) for name in shares}
    return as_frame(pa.table(columns))


#: The short name of the front door.
coverage = measure_coverage


def _values(period: str | periods.Period | None) -> dict[str, Any]:
    return periods.parse(period).values() if period is not None else {"start": None, "end": None}


#: Columns of an event that coverage reads, whatever it is grouped by.
_READ = ("event_id", "owner_evidence", "source_cost", "status", "started_at")
_HOP_OF_EVENT = """
    left join (
        select event_id, coalesce(producer, '?') || ' → ' || coalesce(consumer, '?') as hop
        from lost_hop where field = 'owner_team'
    ) as lost using (event_id)
"""


def _statement(names: list[str]) -> str:
    """Sum the events by group, evidence and whether their cost is known first, so that each is looked at once."""
    groups = ", ".join(f'{periods.CALENDAR[n]} as "{n}"' if n in periods.CALENDAR else f'"{n}"' for n in names)
    named = column_list(names) + "," if names else ""
    rungs = ", ".join(
        f"cast(coalesce(sum(cost) filter (where evidence = '{rung}'), 0) as decimal(38, 12)) as \"{rung}\""
        for rung in schema.EVIDENCE
    )
    is_on_event = "evidence in ('declared', 'matched', 'exclusive_key')"
    is_owned = "evidence not in ('rule', 'none')"
    return f"""
        with event_in_scope as (
            select {groups + "," if names else ""} owner_evidence as evidence, cost, source_cost,
                coalesce(is_unpriced, true) or (is_unmetered and status <> 'error') as is_unknown
            from ({select_events({*_READ, *names})}) left join (
                select event_id, coalesce(list_cost, priced_part) as cost,
                    price_status in ('unpriced', 'partial') as is_unpriced, price_status = 'unmetered' as is_unmetered
                from event_cost
            ) as cost using (event_id) {_HOP_OF_EVENT if "hop" in names else ""}
            where $start is null or (started_at >= $start and started_at < $end)
        ),
        dear as (select quantile_disc(list_cost, 0.99) as cost from event_cost where price_status = 'priced'),
        part as (
            select {named} evidence, is_unknown, is_unknown or coalesce(cost > 0, false) as is_charged,
                count(*) as calls, sum(cost) as cost,
                sum(case when is_unknown
                    then greatest(coalesce(source_cost, (from dear), 0) - coalesce(cost, 0), 0) end) as guess
            from event_in_scope group by all
        )
        select {named} cast(coalesce(sum(calls), 0) as bigint) as calls,
            cast(coalesce(sum(cost), 0) as decimal(38, 12)) as list_cost,
            cast(coalesce(sum(cost) filter (where not {is_on_event}), 0) as decimal(38, 12)) as not_declared,
            cast(coalesce(sum(cost) filter (where not {is_owned}), 0) as decimal(38, 12)) as unowned,
            cast(coalesce(sum(cost) filter (where evidence = 'rule'), 0) as decimal(38, 12)) as recovered_by_rule,
            {rungs},
            {_calls("is_unknown")} as unpriced_calls,
            {_calls(f"is_charged and not {is_on_event}")} as not_declared_calls,
            {_calls(f"is_charged and not {is_owned}")} as unowned_calls,
            {_calls("is_charged")} as charged_calls,
            cast(coalesce(sum(guess) filter (where not {is_on_event}), 0) as decimal(38, 12)) as not_declared_guess,
            cast(coalesce(sum(guess) filter (where not {is_owned}), 0) as decimal(38, 12)) as unowned_guess
        from part
        group by {column_list(names) if names else "()"}
        order by {column_list(names) if names else "calls"}
    """


def _calls(condition: str) -> str:
    return f"cast(coalesce(sum(calls) filter (where {condition}), 0) as bigint)"


def _with_shares(row: dict[str, Any]) -> dict[str, Any]:
    for kind in ("not_declared", "unowned"):
        row[f"{kind}_low"], row[f"{kind}_high"] = _band(row, kind)
    return row


def _band(row: dict[str, Any], kind: str) -> tuple[Decimal | None, Decimal | None]:
    """Low and high share; where all calls or none are meant, no price is needed to know it."""
    if row["charged_calls"] == 0:
        return None, None
    if row[f"{kind}_calls"] == 0:
        return Decimal(0), Decimal(0)
    if row[f"{kind}_calls"] == row["charged_calls"]:
        return Decimal(1), Decimal(1)
    known, guess, total = row[kind], row[f"{kind}_guess"], row["list_cost"]
    low = known / total if total else Decimal(0)
    high = (known + guess) / (total + guess) if total + guess else Decimal(1)
    return low.quantize(_SHARE, ROUND_HALF_EVEN), high.quantize(_SHARE, ROUND_HALF_EVEN)
