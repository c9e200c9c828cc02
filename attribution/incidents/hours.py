"""Cost by hour and carrier: where a change sits, what it looks like, and whether it still runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attribution import schema
from attribution.explanations.counts import FAMILIES
from attribution.explanations.explaining import condition_of
from attribution.ledger import Ledger, as_frame
from attribution.periods import Period

#: What may carry a change, most telling first where several carry all of it.
CARRIERS = ("api_key_id", "model", "workflow_id", "feature", "service", "owner_team", "provider")
#: Complete hours at the end that tell whether it is still running.
RUNNING = 3

HOUR = timedelta(hours=1)
_COST = "coalesce(contracted_cost, list_cost)"
_MONEY = pa.decimal128(38, 12)
_SHOWN = Decimal("0.0001")


def hourly_costs(ledger: Ledger, after: Period, before: Sequence[Period], where: Mapping[str, Any] | None) -> pa.Table:
    """Return exact cost by hour and carriers over all windows; versions of a workflow go by their family's name."""
    values: dict[str, Any] = {
        "starts": [one.start for one in (*before, after)],
        "ends": [one.end for one in (*before, after)],
    }
    conditions = [
        condition_of(name, i, (where or {})[name], values) for i, name in enumerate(schema.require(where or ()))
    ]
    family = {
        "workflow_id": "coalesce(w.family, cost_event.workflow_id)",
        "feature": "coalesce(f.family, cost_event.feature)",
    }
    names = ", ".join(f'{family.get(name, f"cost_event.{name}")} as "{name}"' for name in CARRIERS)
    return ledger.arrow(
        f"""
        with span as (select unnest($starts) as start_at, unnest($ends) as end_at)
        select date_trunc('hour', started_at) as hour, {names}, sum({_COST}) as cost
        from cost_event {FAMILIES}
        where {_COST} is not null and {" and ".join(["true", *conditions])}
            and exists (select 1 from span where started_at >= start_at and started_at < end_at)
        group by all order by all
        """,
        values,
    )


def carriers_of(costs: pa.Table, after: Period, before: Sequence[Period]) -> pd.DataFrame:
    """Return, for each kind of carrier, the member with the largest part of the change, largest part first."""
    earlier, later = _within(costs, before), _within(costs, [after])
    change = _sum(later) - _mean(_sum(earlier), before) if before else Decimal(0)
    rows = []
    for place, carrier in enumerate(CARRIERS):
        sums = [_by(part, carrier) for part in (earlier, later)]
        moved = {
            member: (_mean(sums[0].get(member, Decimal(0)), before), sums[1].get(member, Decimal(0)))
            for member in {**sums[0], **sums[1]}
            if member is not None and change
        }
        if not moved:
            continue
        top = max(moved, key=lambda member: ((moved[member][1] - moved[member][0]) / change, str(member)))
        share = float((moved[top][1] - moved[top][0]) / change)
        rows.append((-round(min(share, 1.0), 6), place, carrier, top, *moved[top], round(share, 6)))
    rows.sort()
    columns = {
        "carrier": pa.array([row[2] for row in rows], pa.string()),
        "member": pa.array([row[3] for row in rows], pa.string()),
        "cost_before": pa.array([row[4] for row in rows], _MONEY),
        "cost_after": pa.array([row[5] for row in rows], _MONEY),
        "change": pa.array([row[5] - row[4] for row in rows], _MONEY),
        "share": pa.array([row[6] for row in rows], pa.float64()),
    }
    return as_frame(pa.table(columns))


def running_cost(costs: pa.Table, after: Period, before: Sequence[Period], carriers: pd.DataFrame) -> Decimal:
    """Return what the top carrier's change cost per hour over the last complete hours [USD]; 0 where it is over."""
    length = min(RUNNING * HOUR, after.length)
    top = carriers.iloc[0] if len(carriers) else None
    part = costs if top is None else costs.filter(pc.equal(costs[top["carrier"]], top["member"]))
    tails = [Period(one.end - length, one.end, "") for one in (*before, after)]
    excess = _sum(_within(part, tails[-1:])) - _mean(_sum(_within(part, tails[:-1])), before)
    return (excess / (length // HOUR)).quantize(_SHOWN)


def hourly_series(costs: pa.Table, after: Period, before: Sequence[Period]) -> pd.DataFrame:
    """Return one row per hour: its cost, and the usual cost of the same hour."""
    sums = _by(costs, "hour")
    hours = [after.start + place * HOUR for place in range(after.length // HOUR)]
    back = [after.start - one.start for one in before]
    usual = [_mean(sum((sums.get(hour - by, Decimal(0)) for by in back), Decimal(0)), before) for hour in hours]
    columns = {
        "hour": pa.array(hours, pa.timestamp("us")),
        "cost": pa.array([sums.get(hour, Decimal(0)) for hour in hours], _MONEY),
        "usual": pa.array(usual, _MONEY),
    }
    return as_frame(pa.table(columns))


def _within(costs: pa.Table, windows: Sequence[Period]) -> pa.Table:
    chosen = pa.array(
        [any(one.start <= hour < one.end for one in windows) for hour in costs["hour"].to_pylist()], pa.bool_()
    )
    return costs.filter(chosen)


def _by(costs: pa.Table, name: str) -> dict[Any, Decimal]:
    sums = costs.group_by(name).aggregate([("cost", "sum")])
    return dict(zip(sums[name].to_pylist(), sums["cost_sum"].to_pylist(), strict=True))


def _sum(costs: pa.Table) -> Decimal:
    total = pc.sum(costs["cost"]).as_py()
    return Decimal(0) if total is None else Decimal(total)


def _mean(total: Decimal, before: Sequence[Period]) -> Decimal:
    return total if len(before) == 1 else (total / len(before)).quantize(_SHOWN)
