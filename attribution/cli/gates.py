"""Gates on change for `attribution check`: a rise, an alert, or a budget that will not hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attribution.ledger import Ledger

#: The last complete days that a rise is measured over, against the same weekdays before.
WEEK = 7


def broken_limits(
    ledger: Ledger, max_rise: Decimal | None, anomalies_in: str | None, max_over_budget: Decimal | None
) -> list[str]:
    """Return a sentence for each limit that is broken; none that was not asked for."""
    broken = []
    if max_rise is not None:
        broken += rise(ledger, max_rise)
    if anomalies_in is not None:
        broken += alerts(ledger, anomalies_in)
    if max_over_budget is not None:
        broken += over_budget(ledger, max_over_budget)
    return broken


def rise(ledger: Ledger, limit: Decimal) -> list[str]:
    """Compare the last seven complete days with the same weekdays before."""
    from attribution import periods
    from attribution.days import complete_days
    from attribution.explanations import explain_change

    last = datetime.combine(complete_days(ledger)[-1][0], datetime.min.time()) + timedelta(days=1)
    after = periods.between(last - timedelta(days=WEEK), last)
    answer = explain_change(ledger, periods.same_weekdays_before(after), after)
    is_above = answer.change > limit * answer.cost_before
    return [f"{answer.headline} Limit for {after.label}: {limit:.0%}."] if is_above else []


def alerts(ledger: Ledger, period: str) -> list[str]:
    """Name every alert that touches a period."""
    from attribution.anomalies import find_anomalies
    from attribution.showing import dollars

    answer = find_anomalies(ledger, period=period, explain=0)
    return [
        f"Unusual spend in {' / '.join(str(row[name]) for name in answer.by[: row['level']])} from {row['start']} "
        f"to {row['end']}: {dollars(row['actual'])}, expected {dollars(row['expected'])}."
        for row in answer.events.to_dict("records")
        if row["is_alert"]
    ]


def over_budget(ledger: Ledger, limit: Decimal) -> list[str]:
    """Name the teams whose registry budget will be exceeded with more than this chance."""
    from attribution.forecasts import forecast_month
    from attribution.showing import dollars

    rows = forecast_month(ledger, "owner_team")
    likely = rows[rows["chance_over"].fillna(0.0) > float(limit)]
    return [
        f"{row['owner_team']} will pass its budget of {dollars(row['budget'])} in {row['month']} with a chance of "
        f"{row['chance_over']:.0%}: forecast {dollars(row['forecast'])}."
        for row in likely.to_dict("records")
    ]
