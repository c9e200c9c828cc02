"""An event beside what is usual: the mean of the same weekdays in the four weeks before, explained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from attribution.explanations import Explanation, explain_windows
from attribution.ledger import Ledger
from attribution.periods import Period, between

#: Weeks before an event whose same weekdays are what it is compared with.
WEEKS = 4


def period_of(first: date, last: date) -> Period:
    """Return the days from first to last, both whole."""
    midnight = datetime.min.time()
    return between(datetime.combine(first, midnight), datetime.combine(last, midnight) + timedelta(days=1))


def explain_days(ledger: Ledger, where: Mapping[str, Any], first: date, last: date, begins: date) -> Explanation | None:
    """Decompose the days of an event; None where the ledger, which begins on a day, does not reach back a week."""
    after = period_of(first, last)
    apart = -(-((last - first).days + 1) // 7)
    before = [after.shifted(-timedelta(weeks=apart * back)) for back in range(WEEKS, 0, -1)]
    before = [window for window in before if window.start.date() >= begins]
    return explain_windows(ledger, before, after, where) if before else None
