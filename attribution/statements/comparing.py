"""Two sets of rules side by side: what each team bears under either."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd
import pyarrow as pa

from attribution import periods
from attribution.allocation import Rules, from_pico
from attribution.errors import LedgerError
from attribution.ledger import Ledger
from attribution.periods import Period
from attribution.statements import charges
from attribution.statements.chargeback import frame
from attribution.statements.drawing_up import draw_lines

_MONEY = pa.decimal128(38, 12)
COLUMNS = {"owner_team": pa.string(), **dict.fromkeys(("direct", "before", "after", "difference"), _MONEY)}


def compare(ledger: Ledger, first: Rules, second: Rules, period: Period, basis: str) -> pd.DataFrame:
    """Return one row per team, and one for what no team bears: `direct`, `before`, `after`, `difference` [USD]."""
    sums: list[dict[str | None, int]] = []
    direct: dict[str | None, int] = defaultdict(int)
    for rules in (first, second):
        charges.charge_events(ledger, period, rules, basis)
        found: dict[str | None, int] = defaultdict(int)
        for line in draw_lines(ledger, period, rules, basis)[0]:
            found[line["owner_team"]] += line["amount"] or 0
            if rules is first and line["kind"] == "direct":
                direct[line["owner_team"]] += line["amount"] or 0
        sums.append(found)
    before, after = sums
    rows = [
        {
            "owner_team": team,
            "direct": from_pico(direct[team]),
            "before": from_pico(before[team]),
            "after": from_pico(after[team]),
            "difference": from_pico(after[team] - before[team]),
        }
        for team in sorted({*before, *after}, key=lambda team: (team is None, team or ""))
    ]
    return frame(rows, COLUMNS)


def all_months(ledger: Ledger) -> Period:
    """Return the months from the first call to the last."""
    first, last = ledger.rows("select min(started_at), max(started_at) from cost_event")[0]
    if first is None:
        raise LedgerError.empty("provider calls", "Load traces, gateway logs or call records first.")
    return periods.parse(f"{first:%Y-%m}..{last:%Y-%m}")
