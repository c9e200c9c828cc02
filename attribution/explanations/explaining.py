"""explain_change(): the question, the refusals, and the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import periods, schema
from attribution.errors import LedgerError, QuestionError
from attribution.explanations import rules
from attribution.explanations.answers import Explanation, explanation_of, with_history
from attribution.explanations.counts import FAMILIES, SEGMENT, Question, in_window
from attribution.explanations.identity import statement
from attribution.explanations.rates import rate_table
from attribution.ledger import Ledger
from attribution.periods import Period

#: Written in place of the earlier period: the nearest earlier stretch of the same weekdays.
SAME_WEEKDAYS = "same weekdays before"

_MONEY, _TEXT, _TIME = pa.decimal128(38, 12), pa.string(), pa.timestamp("us")

#: What a change may be a change of; unpriced calls are null in it and are left out, counted.
COSTS = ("contracted_cost", "list_cost", "billed_cost", "effective_cost")


def explain_change(
    ledger: Ledger,
    before: str | date | Period,
    after: str | date | Period,
    where: Mapping[str, Any] | None = None,
    leaf: Sequence[str] | None = None,
    *,
    method: str = "shapley",
    cost: str = "contracted_cost",
    currency: str = "USD",
    rates: pa.Table | pd.DataFrame | None = None,
    history: int = 0,
) -> Explanation:
    """Say why cost changed between two periods: an exact sum of drivers, to the pico-dollar.

    Each leaf's cost is a product of counts that people can change (requests, calls per request, model and tier
    shares, attempts per call, size, cache, price); a driver's effect is its Shapley value, so it depends on no
    order. What comes with a new model is model mix, whole; a workflow that appears is a new workflow, whole,
    unless it is a version of a known family. Spend that reached a team only because calls are tagged better is
    `coverage shift`. Unpriced calls are left out of both periods and counted in `unpriced`.

    Parameters
    ----------
    ledger
        A built ledger.
    before, after
        Day, ISO week, month, quarter, year or range (UTC); `before` may be `"same weekdays before"`.
    where
        Column of `cost_event` → value, or list of values; None stands for a missing value.
    leaf
        Columns that make a segment; the default is team, workflow and feature, to which others may be added.
    method
        `shapley`, `pvm` (in turn, price last) or `lmdi` (logarithmic means).
    cost
        `contracted_cost`, else at list where no contract applies; or `list_cost`, `billed_cost`, `effective_cost`.
    currency
        Explain the change in this currency, at the rate of each day; the exchange rate is then a part of the price.
    rates
        Columns `day` and `rate` (currency units per USD); the ledger's own rates when not given.
    history
        How many earlier pairs of periods to look at: a driver is also material when it is large beside what it did in
        them (at least six are needed).

    Returns
    -------
    Explanation
        `drivers`, `price_parts`, `leaves`, `unpriced` (frames, money in USD or `currency`),
        `headline`, `interaction`, and `drill_down(*by)`.

    Raises
    ------
    QuestionError
        For periods that overlap or hold no priced call, and for arguments that have no meaning.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.explain_change(ledger, "2026-W41", "2026-W42")
    Traceback (most recent call last):
    attribution.errors.LedgerError: this ledger has no priced calls in 2026-W41 or 2026-W42. Load exports ...
    """
    later = periods.parse(after, "after")
    is_same_weekdays = isinstance(before, str) and before.strip() == SAME_WEEKDAYS
    earlier = periods.same_weekdays_before(later) if is_same_weekdays else periods.parse(before, "before")
    if earlier.start < later.end and later.start < earlier.end:
        raise QuestionError.bad_argument("before", earlier.label, f"a period that does not overlap {later.label}")
    asked = (where, leaf, method, cost, currency, rates)
    answer = _explain(ledger, [earlier], later, *asked)
    if history < 1:
        return answer
    pairs = earlier_pairs(ledger, earlier, later, history)
    return with_history(answer, [_explain(ledger, [one], other, *asked) for one, other in pairs])


def explain_windows(
    ledger: Ledger,
    before: Sequence[Period],
    after: Period,
    where: Mapping[str, Any] | None = None,
    leaf: Sequence[str] | None = None,
    *,
    method: str = "shapley",
    cost: str = "contracted_cost",
) -> Explanation:
    """Explain a period against the mean of several earlier ones, such as the same weekdays of four weeks."""
    return _explain(ledger, before, after, where, leaf, method, cost, "USD", None)


def earlier_pairs(ledger: Ledger, before: Period, after: Period, most: int) -> list[tuple[Period, Period]]:
    """Return the pairs of periods before this one that the data reach back to, latest first."""
    first = ledger.value("select min(started_at) from event")
    is_next = periods.preceding(after) == before
    pairs: list[tuple[Period, Period]] = []
    while len(pairs) < most:
        step = before.start - after.start
        before, after = (periods.preceding(before), before) if is_next else (before.shifted(step), after.shifted(step))
        if before.start < first:
            break
        pairs.append((before, after))
    return pairs


def _explain(
    ledger: Ledger,
    before: Sequence[Period],
    after: Period,
    where: Mapping[str, Any] | None,
    leaf: Sequence[str] | None,
    method: str,
    cost: str,
    currency: str,
    rates: pa.Table | pd.DataFrame | None,
) -> Explanation:
    is_converted = rates is not None or currency != "USD"
    question = _question(before, after, where or {}, leaf, cost, is_converted=is_converted)
    text = statement(question, rules.check_method(method))
    by_day = rate_table(ledger, currency, rates, [*before, after]) if is_converted else {}
    with ledger.reading(**by_day, **_absent(ledger)):
        counts = _calls(ledger, question)
        _refuse_empty(ledger, counts, before, after, cost)
        leaves = ledger.arrow(text, question.values)
    labels, days = (periods_label(before), after.label), (before[0].days, after.days)
    names = (*SEGMENT, *question.extra)
    return explanation_of(leaves, counts, labels, dict(where or {}), names, method, cost, currency, days)


def _question(
    before: Sequence[Period],
    after: Period,
    where: Mapping[str, Any],
    leaf: Sequence[str] | None,
    cost: str,
    *,
    is_converted: bool,
) -> Question:
    if cost not in COSTS:
        raise QuestionError.bad_argument("cost", cost, f"one of {', '.join(COSTS)}")
    values: dict[str, Any] = after.values("after_")
    for i, window in enumerate(before):
        values |= {f"before_start_{i}": window.start, f"before_end_{i}": window.end}
    conditions: dict[bool, list[str]] = {True: ["true"], False: ["true"]}
    for i, name in enumerate(schema.require(where)):
        conditions[name in SEGMENT].append(condition_of(name, i, where[name], values))
    amount = "coalesce(contracted_cost, list_cost)" if cost == "contracted_cost" else f'"{cost}"'
    extra = tuple(name for name in schema.require(leaf or ()) if name not in SEGMENT)
    return Question(
        cost=amount,
        money=f"cast({amount} * currency.rate as decimal(38, 12))" if is_converted else amount,
        rates="join currency on currency.day = started_at::date" if is_converted else "",
        extra=extra,
        windows=len(before),
        only=" and ".join(conditions[False]),
        slice=" and ".join(conditions[True]),
        values=values,
    )


def condition_of(name: str, place: int, given: Any, values: dict[str, Any]) -> str:
    """Return the condition that a column has one of the values given, and put these among the values to bind."""
    wanted = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    if not wanted:
        raise QuestionError.bad_argument("where", {name: given}, "at least one value for each column")
    present = sorted((value for value in wanted if value is not None), key=str)
    ways = ["false"]
    if len(present) < len(wanted):
        ways.append(f'cost_event."{name}" is null')
    if present:
        values[f"where_{place}"] = present
        ways.append(f'coalesce(list_contains($where_{place}, cost_event."{name}"), false)')
        if name in ("workflow_id", "feature"):
            # A version stands for its family: asked about v5, one sees what v4 was.
            kind = name.split("_")[0]
            kin = f"select family from family where kind = '{kind}' and list_contains($where_{place}, name)"
            ways.append(f"coalesce(list_contains($where_{place}, {name[0]}.family), false)")
            ways.append(f"coalesce({name[0]}.family in ({kin}), false)")
    return f"({' or '.join(ways)})"


def _absent(ledger: Ledger) -> dict[str, pa.Table]:
    """Stand-ins for what the price step writes: where calls came with their cost, each cost is one fee."""
    kinds = {
        "line_item": {"event_id": _TEXT, "meter": _TEXT, "quantity": _MONEY, "list_cost": _MONEY, "price_entry": _TEXT},
        "rate_card": dict.fromkeys(("provider", "model", "service_tier"), _TEXT)
        | dict.fromkeys(("valid_from", "valid_to"), _TIME)
        | {"card_id": pa.int64(), "context_over": pa.int64(), "is_estimate": pa.bool_()},
        "rate_line": {"card_id": pa.int64(), "meter": _TEXT, "price": _MONEY, "per": pa.int64(), "entry": _TEXT},
    }
    there = ledger.tables()
    return {
        name: pa.table({column: pa.array([], kind) for column, kind in columns.items()})
        for name, columns in kinds.items()
        if name not in there
    }


def _calls(ledger: Ledger, question: Question) -> pd.DataFrame:
    """Count the calls of both periods by what is known of their price."""
    return ledger.frame(
        f"""
        select started_at >= $after_start and started_at < $after_end as is_after, price_status,
            {question.cost} is not null as is_counted, count(*) as calls, sum({question.cost}) as cost,
            sum(priced_part) as priced_part
        from cost_event
        {FAMILIES}
        where {question.only} and {question.slice} and {in_window(question)}
        group by all order by all
        """,
        question.values,
    )


def _refuse_empty(ledger: Ledger, counts: pd.DataFrame, before: Sequence[Period], after: Period, cost: str) -> None:
    """Refuse where there is nothing to compare: no call at all, no call in the ledger then, or none priced."""
    labels = {False: periods_label(before), True: after.label}
    if not counts["is_counted"].any():
        many = int(counts["calls"].sum())
        if many and cost in ("billed_cost", "effective_cost"):
            raise LedgerError.empty(f"{cost} in {labels[False]} or {labels[True]}", "Reconcile it with a bill first.")
        what = f"priced calls in {labels[False]} or {labels[True]}" + (f", {many} unpriced ones" if many else "")
        raise LedgerError.empty(what, "Load exports of these days, or see `attribution prices` for what is unpriced.")
    for is_after, label in labels.items():
        side = counts[counts["is_after"] == is_after]
        if len(side) and not side["is_counted"].any():
            raise LedgerError.empty(f"priced call in {label}", f"All {side['calls'].sum()} calls there are unpriced.")
    first, last = ledger.rows("select min(started_at), max(started_at) from event")[0]
    for start, end, label in ((before[0].start, before[-1].end, labels[False]), (after.start, after.end, labels[True])):
        if end <= first or start > last:
            raise LedgerError.empty(f"calls in {label}", f"It has calls from {first:%Y-%m-%d} to {last:%Y-%m-%d}.")


def periods_label(windows: Sequence[Period]) -> str:
    """Name one earlier period, or the mean of several."""
    return windows[0].label if len(windows) == 1 else f"the mean of {len(windows)} earlier weeks' same days"
