"""Back-test of forecast_month on the sample company: coverage of its intervals and error of its point, as they are.

usage: python -m tests.benchmarks.forecast [--calls 40000] [--months 6] [--ledger FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import attribution as at
from attribution.days import complete_days
from attribution.ledger import Ledger

ORIGINS = (5, 10, 15, 20, 25)
LEVELS: tuple[tuple[str, ...], ...] = ((), ("owner_team",), ("workflow_id",))
COST = "coalesce(contracted_cost, list_cost)"


def company(calls: int, months: int, changes: str = "none") -> Ledger:
    """The sample company, written and built in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        at.write_sample(Path(folder) / "acme", calls=calls, months=months, changes=changes)
        root = Path(folder) / "acme"
        return at.build_ledger(root / "data", config=root / "config" / "attribution.yaml", quiet=True)


def actual_months(ledger: Ledger, by: tuple[str, ...]) -> dict[tuple[Any, ...], float]:
    """What each month cost in the end, by member; versions of a workflow go by their family's name."""
    name = "coalesce(f.family, workflow_id)" if by == ("workflow_id",) else f'"{by[0]}"' if by else "null"
    rows = ledger.rows(
        f"""
        select strftime(started_at, '%Y-%m') as month, {name} as member, sum({COST})::double as cost
        from cost_event
        left join (select name, min(family) as family from family where kind = 'workflow' group by name) f
            on f.name = workflow_id
        where {COST} is not null group by all order by all
        """
    )
    return {(month, member): cost for month, member, cost in rows}


def origins(ledger: Ledger) -> Iterator[date]:
    """Days of full months from which five weeks can be looked back on."""
    days = [day for day, _ in complete_days(ledger)]
    for day in days:
        end = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        if day.day in ORIGINS and (day - days[0]).days >= 35 and end <= days[-1]:
            yield day


def back_test(ledger: Ledger, by: tuple[str, ...]) -> None:
    """Print one line per day of the month."""
    actual = actual_months(ledger, by)
    rows: dict[tuple[int, str], list[tuple[bool, bool, float, float, float]]] = defaultdict(list)
    cpu, forecasts = time.process_time(), 0
    for day in origins(ledger):
        for row in at.forecast_month(ledger, *by, as_of=day.isoformat()).to_dict("records"):
            forecasts += 1
            member = row[by[0]] if by else None
            truth = actual.get((row["month"], member if isinstance(member, str) else None), 0.0)
            known, point = float(row["month_to_date"]), float(row["forecast"])
            if not truth or row["interval"] == "none":
                continue
            straight = (
                known / day.day * ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
            )
            held = [float(row[f"low_{level}"]) <= truth <= float(row[f"high_{level}"]) for level in (80, 95)]
            wide = (float(row["high_80"]) - float(row["low_80"])) / truth
            rows[day.day, row["interval"]].append(
                (held[0], held[1], abs(point / truth - 1), abs(straight / truth - 1), wide)
            )
    cpu = time.process_time() - cpu
    print(f"{' × '.join(by) or 'whole'}: {forecasts} forecasts, {cpu / max(forecasts, 1) * 1000:.1f} CPU-ms each")
    for (day_no, interval), each in sorted(rows.items()):
        table = np.array(each, dtype=float)
        print(
            f"  day {day_no:>2} {interval:<9} n {len(each):>4}  80 % holds {table[:, 0].mean():.2f}  "
            f"95 % holds {table[:, 1].mean():.2f}  median error {np.median(table[:, 2]):.3f}  "
            f"straight line {np.median(table[:, 3]):.3f}  median width of 80 % {np.median(table[:, 4]):.2f}"
        )
    every = np.array([row for each in rows.values() for row in each], dtype=float)
    if len(every):
        print(
            f"  all            n {len(every):>4}  80 % holds {every[:, 0].mean():.2f}  "
            f"95 % holds {every[:, 1].mean():.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--months", type=int, default=6)
    parser.add_argument("--ledger", help="a ledger that is there already")
    options = parser.parse_args()
    ledger = (
        at.open_ledger(options.ledger, read_only=True) if options.ledger else company(options.calls, options.months)
    )
    for by in LEVELS:
        back_test(ledger, by)


if __name__ == "__main__":
    main()
