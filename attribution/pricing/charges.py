"""What a contract charges or credits by the month: tiered discounts, commitments and free allowances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_frame
from attribution.pricing.statements import METERS
from attribution.pricing.terms import Term, read_terms

_PICO = 10**12
_MONEY = pa.decimal128(38, 12)
_WORDS = ("contract_id", "kind", "provider", "period", "explanation")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _WORDS), ("basis", _MONEY), ("charge", _MONEY)])


def contract_charges(ledger: Ledger, period: str) -> pd.DataFrame:
    """Return what contracts add to or take off a month, as lines that belong to no single call.

    A tiered discount credits the part of the month's contracted cost above its bound; tiers of one contract
    follow each other, each up to the bound of the next. A commitment charges what the month fell short of it; in
    another currency it is worth what its rate says where the month, or the commitment, begins. An
    allowance credits its free units at the average price that the month paid for the meter.

    Parameters
    ----------
    ledger
        A priced ledger with contracts.
    period
        A month, such as `2026-10` (UTC).

    Returns
    -------
    pandas.DataFrame
        `contract_id`, `kind`, `provider`, `period`, `basis` [USD; what the term looked at], `charge` [USD; negative
        for a credit, null where no rate of its currency is known] and `explanation`, by contract, kind and bound.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.price_events(ledger)
    ...     len(at.contract_charges(ledger, "2026-10"))
    0
    """
    start, end = _month(period)
    held = [t for t in read_terms(ledger) if t.valid_from < end and start < t.valid_to]
    terms = sorted(_due_once(held), key=_order)
    rows = []
    for term in terms:
        if term.kind == "tiered_discount":
            rows.append(_tiered(ledger, term, terms, start, end))
        elif term.kind == "commitment":
            rows.append(_commitment(ledger, term, start, end))
        elif term.kind == "allowance":
            rows.append(_allowance(ledger, term, start, end))
    lines = [
        {
            "contract_id": term.contract_id,
            "kind": term.kind,
            "provider": term.provider,
            "period": period,
            "basis": _dollars(basis),
            "charge": None if charge is None else _dollars(charge),
            "explanation": explanation,
        }
        for term, basis, charge, explanation in rows
    ]
    order = ["contract_id", "kind", "provider", "period", "basis", "charge", "explanation"]
    frame = as_frame(pa.Table.from_pylist(lines, schema=_SCHEMA))
    return frame[order]


def _order(term: Term) -> tuple[Any, ...]:
    return (term.contract_id, term.kind, term.over, term.valid_from, term.meter or "", term.model or "")


_Line = tuple[Term, Fraction, Fraction | None, str]


def _due_once(terms: Sequence[Term]) -> list[Term]:
    """Put the pieces of a commitment together: it is due once a month however its rate changes."""
    whole: dict[tuple[str | None, ...], Term] = {}
    for term in sorted((t for t in terms if t.kind == "commitment"), key=lambda t: t.valid_from):
        key = (term.contract_id, term.place, term.provider, term.model)
        first = whole.setdefault(key, term)
        whole[key] = replace(first, valid_to=max(first.valid_to, term.valid_to))
    return [*(t for t in terms if t.kind != "commitment"), *whole.values()]


def _tiered(ledger: Ledger, term: Term, terms: Sequence[Term], start: datetime, end: datetime) -> _Line:
    spent = _spent(ledger, term, start, end)
    bounds = [t.over for t in terms if t.kind == term.kind and t.contract_id == term.contract_id and t.over > term.over]
    part = max(min([spent, *bounds]) - term.over, Fraction(0))
    credit = part * (term.paid - 1)
    return term, spent, credit, f"{1 - term.paid} off what is above {_dollars(term.over):f} USD"


def _commitment(ledger: Ledger, term: Term, start: datetime, end: datetime) -> _Line:
    spent = _spent(ledger, term, start, end)
    if term.unknown:
        return term, spent, None, term.unknown
    return term, spent, max(term.amount - spent, Fraction(0)), f"short of {_dollars(term.amount):f} USD"


def _allowance(ledger: Ledger, term: Term, start: datetime, end: datetime) -> _Line:
    """Credit free units at what the meter's units of the term's part of the month cost on average, by contract."""
    meter = str(term.meter)
    used, paid = ledger.rows(
        f"""
        with metered as ({_METERED.format(meter=meter) if meter in METERS else _OTHERWISE_METERED})
        select coalesce(sum(quantity), 0), coalesce(sum(cost), 0)
        from metered join event using (event_id) join event_rate_name as named using (event_id)
        where named.provider = $provider and ($model is null or named.model = $model or lower(event.model) = $model)
            and event.started_at >= $start and event.started_at < $end
        """,
        {**_bound(term, start, end), **({} if meter in METERS else {"meter": meter})},
    )[0]
    used, cost = Fraction(used), Fraction(paid, _PICO)
    free = min(used, term.quantity)
    credit = -cost * free / used if used else Fraction(0)
    return term, cost, credit, f"{free} of {used} {meter} are free"


#: What each call used and pays of one meter: tokens stand in columns, all else in rows.
_METERED = """
    select event_id, {meter}_quantity as quantity, {meter}_cost as cost from event_meter
    where {meter}_quantity > 0 and {meter}_cost is not null
"""
_OTHERWISE_METERED = """
    select event_id, quantity, cost from event_other_meter where meter = $meter and cost is not null
"""


def _spent(ledger: Ledger, term: Term, start: datetime, end: datetime) -> Fraction:
    """Return what the calls under a term cost in the part of the month in which it holds."""
    total = ledger.value(
        """
        select coalesce(sum(contracted_cost), 0)
        from event join event_cost using (event_id) join event_rate_name as named using (event_id)
        where named.provider = $provider and ($model is null or named.model = $model or lower(event.model) = $model)
            and started_at >= $start and started_at < $end
        """,
        _bound(term, start, end),
    )
    return Fraction(total)


def _bound(term: Term, start: datetime, end: datetime) -> dict[str, Any]:
    """Return what a term is about, and the part of the month in which it holds."""
    period = {"start": max(start, term.valid_from), "end": min(end, term.valid_to)}
    return {"provider": term.provider, "model": term.model, **period}


def _month(period: str) -> tuple[datetime, datetime]:
    try:
        start = datetime.strptime(period, "%Y-%m")
    except ValueError as error:
        raise QuestionError.bad_argument("period", period, "a month such as 2026-10") from error
    return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1)


def _dollars(amount: Fraction) -> Decimal:
    """Round half to even at the pico-dollar, the ledger's least amount."""
    return Decimal(round(amount * _PICO)).scaleb(-12)
