"""Daily cost by slice, and which days are complete: what every question about time starts from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa

from attribution.errors import LedgerError
from attribution.ledger import Ledger

_FAMILIES = {"workflow_id": "workflow", "feature": "feature"}


def daily_costs(ledger: Ledger, by: Sequence[str], cost: str) -> pa.Table:
    """Return exact cost by day and slice; workflows and features go by their family's name."""
    names = ", ".join(
        f'coalesce({name}_family.family, "{name}") as "{name}"' if name in _FAMILIES else f'"{name}"' for name in by
    )
    joins = " ".join(
        f"left join (select name, min(family) as family from family where kind = '{kind}' group by name) {name}_family "
        f"on {name}_family.name = cost_event.{name}"
        for name, kind in _FAMILIES.items()
        if name in by
    )
    costs = ledger.arrow(
        f"""
        select {names}, started_at::date as day, sum({cost}) as cost
        from cost_event {joins}
        where {cost} is not null and started_at is not null
        group by all order by all
        """
    )
    if not costs.num_rows:
        raise LedgerError.empty("priced calls", "Nothing here has a price, so no spend can be unusual.")
    return costs


def complete_days(ledger: Ledger) -> list[tuple[date, bool]]:
    """Return every day of the ledger up to the last complete one, and whether it has any call.

    The last day counts when calls reach as late into it as they reached into the earliest-ending of the
    fourteen days before; a day without a single call is one whose feed did not arrive.
    """
    ends = dict(
        ledger.rows(
            """
            select started_at::date as day, max(started_at) - date_trunc('day', max(started_at)) as until
            from event where started_at is not null
            group by day order by day
            """
        )
    )
    if not ends:
        raise LedgerError.empty("dated calls", "Load exports first.")
    last = max(ends)
    earlier = [ends[day] for day in sorted(ends) if last - timedelta(days=14) <= day < last]
    if earlier and ends[last] < min(earlier):
        last -= timedelta(days=1)
    first = min(ends)
    days = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    return [(day, day in ends) for day in days]


def latest_month(ledger: Ledger) -> str:
    """Return the last month that has calls, or, where no call has a time, the last one that has a bill.

    Raises
    ------
    LedgerError
        If there is neither.

    Examples
    --------
    >>> import attribution as at
    >>> at.latest_month(at.build_ledger(at.sample_path("traces/captured"), quiet=True))
    '2026-11'
    """
    for said in (
        "select strftime(max(started_at), '%Y-%m') from cost_event",
        "select coalesce(max(billing_period), strftime(max(period_start), '%Y-%m')) from bill_line",
    ):
        month = ledger.value(said)
        if month is not None:
            return str(month)
    raise LedgerError.empty("dated calls and no bills", "Load exports first.")
