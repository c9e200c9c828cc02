"""Pools: provisioned throughput and seats, paid whether used or not; how much of them was used, and what was idle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import periods, reconciliation, rounding
from attribution.ledger import Ledger, as_frame
from attribution.periods import Period

_MONEY = pa.decimal128(38, 12)
_SHARE = Decimal("0.000001")
_PICO = Decimal("0.000000000001")
_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("pool_id", "kind", "provider", "model", "month")),
        ("units", pa.int64()),
        ("capacity", pa.decimal128(38, 6)),
        ("used", pa.decimal128(38, 6)),
        ("unit", pa.string()),
        ("utilization", pa.decimal128(18, 6)),
        *((name, _MONEY) for name in ("cost", "used_cost", "idle_cost")),
        *((name, pa.string()) for name in ("cost_from", "status")),
    ]
)
#: What a call of a pool is told by; a pool that states none of them serves all calls of its provider.
_CALL_FIELDS = ("model", "project_id", "endpoint", "service_tier")


def measure_pools(ledger: Ledger, period: str | None = None) -> pd.DataFrame:
    """Show what provisioned throughput and seats could do, what was done with them, and what idle capacity cost.

    Pools stand in the configuration (`pools`); provisioned meters and seats that a bill charges without any are listed
    as pools whose capacity nobody stated. Tokens of a call count as the pool's weights say; seats are used by distinct
    users. The cost is the bill's, once commitments are drawn down, or the configuration's where no bill shows it.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        Only the months in it, such as `2026-10`; all months of calls and bills when not given.

    Returns
    -------
    pandas.DataFrame
        `pool_id`, `kind` (provisioned_throughput or seats), `provider`, `model`, `month`, `units`, `capacity` and
        `used` [`unit`: tokens or seats], `utilization` [0–1, above 1 where more was used than held; null where it
        cannot be known], `cost`, `used_cost`, `idle_cost` [USD; the last two add up to the first], `cost_from` (bill
        or configuration) and `status` (measured, or why not), by pool and month.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     len(at.measure_pools(ledger))
    0
    """
    pools = ledger.arrow("select * from pool order by pool_id, valid_from").to_pylist()
    providers = sorted({pool["provider"] for pool in pools} | {name for (name,) in ledger.rows(_CHARGING)})
    rows: list[dict[str, Any]] = []
    for month in _months(ledger, period):
        for provider in providers:
            mine = [pool for pool in pools if pool["provider"] == provider and _held(pool, month) is not None]
            rows += _measure(ledger, month, provider, mine)
    rows.sort(key=lambda row: (row["pool_id"], row["month"], row["provider"]))
    return as_frame(pa.Table.from_pylist(rows, schema=_COLUMNS))


def _months(ledger: Ledger, period: str | None) -> list[Period]:
    within = None if period is None else periods.parse(period)
    first, last = ledger.rows(_SPAN)[0]
    if first is None:
        return []
    found, month = [], periods.parse(f"{first:%Y-%m}")
    while month.start <= last:
        if within is None or within.start <= month.start < within.end:
            found.append(month)
        month = periods.parse(f"{month.end:%Y-%m}")
    return found


def _held(pool: Mapping[str, Any], month: Period) -> tuple[datetime, datetime] | None:
    """Return the part of a month in which a pool is held."""
    start = max(pool["valid_from"] or month.start, month.start)
    end = min(pool["valid_to"] or month.end, month.end)
    return (start, end) if start < end else None


def _measure(ledger: Ledger, month: Period, provider: str, pools: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    reconciliation.read_bills(ledger, month.label, provider)
    charged: dict[str | None, int] = {}
    unknown: dict[tuple[str, str, str | None], int] = {}
    for line in ledger.arrow(_LINES).to_pylist():
        pool_id = _pool_of(line, pools)
        if pool_id is not None:
            charged[pool_id] = charged.get(pool_id, 0) + int(line["effective"])
        elif line["kind"] is not None:
            told = (line["name"] or line["kind"], line["kind"], line["model"])
            unknown[told] = unknown.get(told, 0) + int(line["effective"])
    for pool in pools:
        yield _row(ledger, month, pool, charged.get(pool["pool_id"]))
    for (name, kind, model), cost in sorted(unknown.items(), key=lambda item: str(item[0])):
        yield {
            "pool_id": f"{provider}: {name}",
            "kind": kind,
            "provider": provider,
            "model": model,
            "month": month.label,
            "cost": Decimal(cost).scaleb(-12),
            "cost_from": "bill",
            "status": "not in the configuration",
        }


def _pool_of(line: Mapping[str, Any], pools: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the pool that a line pays for: the one that says most about it."""
    fits = []
    for pool in pools:
        if pool["sku"] is not None:
            if pool["sku"] in (line["sku"], line["description"]):
                fits.append((3, pool["pool_id"]))
            continue
        if line["kind"] != pool["kind"]:
            continue
        stated = [(pool[name], line[name]) for name in ("resource_id", "model", "project_id") if pool[name] is not None]
        if all(told is None or str(told).lower() == str(wanted).lower() for wanted, told in stated):
            fits.append((sum(told is not None for _, told in stated), pool["pool_id"]))
    return min(fits, key=lambda fit: (-fit[0], fit[1]))[1] if fits else None


def _row(ledger: Ledger, month: Period, pool: Mapping[str, Any], charged: int | None) -> dict[str, Any]:
    start, end = _held(pool, month) or (month.start, month.end)
    is_seats = pool["kind"] == "seats"
    conditions = " and ".join(f"{name} = ${name}" for name in _CALL_FIELDS if pool[name] is not None)
    values = {"provider": pool["provider"], "start": start, "end": end}
    values |= {name: pool[name] for name in _CALL_FIELDS if pool[name] is not None}
    if not is_seats:
        values |= {name: pool[name] for name in ("output_weight", "cache_read_weight")}
    used, calls = ledger.rows((_USERS if is_seats else _TOKENS).format(where=conditions or "true"), values)[0]
    minutes = Fraction(int((end - start).total_seconds()), 60)
    capacity = _capacity(pool, minutes)
    part = None if not capacity or used is None else Fraction(used) / capacity
    cost = _cost(pool, charged, (start, end), month)
    return {
        **{name: pool[name] for name in ("pool_id", "kind", "provider", "model", "units")},
        "month": month.label,
        "capacity": None if capacity is None else rounding.largest_remainder([capacity], _SHARE)[0],
        "used": used,
        "unit": "seats" if is_seats else "tokens",
        "utilization": None if part is None else rounding.largest_remainder([part], _SHARE)[0],
        **_split(cost, part),
        "cost_from": "bill" if charged is not None else None if cost is None else "configuration",
        "status": _status(is_seats, capacity, used, calls),
    }


def _capacity(pool: Mapping[str, Any], minutes: Fraction) -> Fraction | None:
    if pool["kind"] == "seats":
        return Fraction(pool["units"])
    return None if pool["tokens_per_minute"] is None else pool["units"] * pool["tokens_per_minute"] * minutes


def _cost(
    pool: Mapping[str, Any], charged: int | None, held: tuple[datetime, datetime], month: Period
) -> Fraction | None:
    """Return the bill's dollars, or the declared ones for the part of the month in which the pool is held."""
    if charged is not None:
        return Fraction(charged, 10**12)
    if pool["monthly_cost"] is None:
        return None
    return Fraction(pool["monthly_cost"]) * Fraction((held[1] - held[0]) // _SECOND, month.length // _SECOND)


_SECOND = timedelta(seconds=1)


def _split(cost: Fraction | None, part: Fraction | None) -> dict[str, Decimal | None]:
    """Split the cost into what was used and what was idle; more than all cannot be used."""
    if cost is None:
        return {"cost": None, "used_cost": None, "idle_cost": None}
    whole = rounding.largest_remainder([cost], _PICO)[0]
    if part is None:
        return {"cost": whole, "used_cost": None, "idle_cost": None}
    worth = min(max(part, Fraction(0)), Fraction(1))
    used, idle = rounding.largest_remainder([cost * worth, cost * (1 - worth)], _PICO, total=whole)
    return {"cost": whole, "used_cost": used, "idle_cost": idle}


def _status(is_seats: bool, capacity: Fraction | None, used: Decimal | None, calls: int) -> str:
    if capacity is None:
        return "capacity not stated"
    if not capacity:
        return "no units"
    if used is None:
        return "users not known" if is_seats and calls else "no calls"
    return "measured"


_SEATS = r"regexp_matches(lower(coalesce(description, '')), '\bseats?\b')"
_CHARGING = f"""
    select distinct provider from bill_line
    where provider is not null and billed_cost is not null and (meter in ('provisioned', 'seat') or {_SEATS})
    order by provider
"""
_SPAN = """
    select min(moment), max(moment) from (
        select started_at as moment from event
        union all
        select coalesce(try_strptime(billing_period, '%Y-%m'), period_start) from bill_line
        where billed_cost is not null
    )
"""
_LINES = f"""
    select sku, description, model, resource_id, project_id, coalesce(sku, description) as name,
        case when meter = 'provisioned' then 'provisioned_throughput'
            when meter = 'seat' or {_SEATS} then 'seats' end as kind,
        cast(sum(coalesce(effective, billed)) as decimal(38, 0)) as effective
    from cell_line where cause in ('usage', 'non_token_usage', 'purchase')
    group by all order by all
"""
_OF_POOL = "provider = $provider and started_at >= $start and started_at < $end and {where}"
_TOKENS = f"""
    select cast(sum(
            input_tokens - coalesce(cache_read_tokens, 0)
            + coalesce(cache_read_tokens, 0) * coalesce(cast($cache_read_weight as decimal(18, 6)), 1)
            + coalesce(output_tokens, 0) * coalesce(cast($output_weight as decimal(18, 6)), 1)
        ) as decimal(38, 6)), count(*)
    from event where is_metered and {_OF_POOL}
"""
_USERS = f"""
    select cast(nullif(count(distinct user_id_hash), 0) as decimal(38, 6)), count(*)
    from cost_event where {_OF_POOL}
"""
