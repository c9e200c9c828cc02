"""What the two sides of a provider have in common: the time bucket, the calendar, and the dimensions both carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.reconciliation.documents import ZONES, Asked

#: Time buckets, finest first; `month` is the whole period.
BUCKETS = ("minute", "hour", "day", "month")
#: Dimensions beside time; a cell has those that the bill and every call carry.
DIMENSIONS = ("project_id", "caller", "region", "service_tier", "context_window", "model", "meter")
#: Of the calls, this share must carry a value that the bill knows, or the two speak of different things.
_KNOWN_NUMERATOR, _KNOWN_DENOMINATOR = 9, 10
_WIDTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(hours=25)}


@dataclass
class Side:
    """One provider: its window in UTC, its bucket, and which dimensions both sides share."""

    provider: str
    zone: str
    period_start: datetime
    window_start: datetime
    window_end: datetime
    unit: str
    told_unit: str
    is_itemized: bool
    quantity_from: str
    clock: str = "started_at"
    shared: dict[str, bool] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


def find_sides(ledger: Ledger, asked: Asked, grain: Sequence[str]) -> list[Side]:
    """Return every provider that bills or is called in the period, with the finest bucket its bill allows."""
    values = {"provider": asked.provider, **asked.period.values()}
    sides = []
    for provider, narrowest, widest, is_pacific, is_itemized, is_measured, usage_width in ledger.rows(_SIDES, values):
        zone = ZONES.get(provider, "UTC") if is_pacific and asked.months else "UTC"
        start, end = asked.window(zone)
        quantity_from = "bill" if is_measured else "usage report" if usage_width is not None else "none"
        told = _unit(narrowest, widest, usage_width if quantity_from == "usage report" else None)
        unit = _chosen(told, grain, is_only=asked.provider is not None)
        sides.append(Side(provider, zone, asked.period.start, start, end, unit, told, bool(is_itemized), quantity_from))
    write_sides(ledger, sides)
    return sides


def _unit(narrowest: timedelta | None, widest: timedelta | None, usage: timedelta | None) -> str:
    """Return the finest bucket that all lines fit; hours where all are hourly, else days, else the period."""
    width = max((w for w in (widest if widest and widest <= _WIDTHS["day"] else narrowest, usage) if w), default=None)
    if width is None:
        return "day"
    return next((unit for unit in ("hour", "day") if width <= _WIDTHS[unit]), "month")


def _chosen(told: str, grain: Sequence[str], *, is_only: bool) -> str:
    """Return the bucket asked for; of several providers each has at best its own bill's."""
    wanted = next((name for name in grain if name in BUCKETS), None)
    if wanted is None:
        return told if not grain else "month"
    if BUCKETS.index(wanted) < BUCKETS.index(told) and not (wanted == "minute" and told == "hour"):
        if is_only:
            raise QuestionError.bad_argument(
                "grain", wanted, f"no finer than the lines of the bill, which are by {told}"
            )
        return told
    return wanted


def read_grain(grain: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the dimensions asked for, checked; none means the finest that both sides share."""
    if grain is None:
        return ()
    names = tuple(part.strip() for part in grain.split(",")) if isinstance(grain, str) else tuple(grain)
    known = (*BUCKETS, *DIMENSIONS)
    named = tuple("caller" if name in ("api_key_id", "key", "principal") else name for name in names)
    for name in named:
        if name not in known:
            raise QuestionError.bad_argument("grain", grain, f"names among {', '.join(known)}")
    return named


def share_dimensions(ledger: Ledger, sides: Sequence[Side], grain: Sequence[str]) -> None:
    """Decide per provider which dimensions bill and calls both carry, and say why the others are left out."""
    told = {row[0]: row[1:] for row in ledger.rows(_CARRIED)}
    for side in sides:
        facts = told.get(side.provider, (0,) * 17)
        for place, name in enumerate(("project_id", "caller", "region")):
            _share(side, name, *facts[5 * place : 5 * place + 5])
        tiers, bands = facts[15:17]
        side.shared["service_tier"] = tiers > 0
        side.why["service_tier"] = "the bill names tiers" if tiers else "no line of the bill names a tier"
        side.shared["context_window"] = bands > 0
        side.why["context_window"] = "long context has its own lines" if bands else "no line is of long context"
        for name in ("model", "meter"):
            side.shared[name] = True
            side.why[name] = "as far as a line names it"
        for name in DIMENSIONS:
            wanted = [each for each in grain if each not in BUCKETS]
            if wanted and name not in wanted and side.shared[name]:
                side.shared[name], side.why[name] = False, "not asked for"
            if name in wanted and not side.shared[name]:
                side.why[name] = f"asked for, but {side.why[name]}"
    write_sides(ledger, sides)


def _share(side: Side, name: str, lines: int, lines_with: int, calls: int, calls_with: int, known: int) -> None:
    side.shared[name] = False
    if lines == 0 or lines_with < lines:
        side.why[name] = f"{lines_with:,} of {lines:,} lines of the bill carry it"
    elif calls_with < calls:
        side.why[name] = f"{calls_with:,} of {calls:,} calls carry it"
    elif known * _KNOWN_DENOMINATOR < calls * _KNOWN_NUMERATOR:
        side.why[name] = f"the bill knows the values of {known:,} of {calls:,} calls"
    else:
        side.shared[name], side.why[name] = True, "every line and call carries it"


def write_sides(ledger: Ledger, sides: Sequence[Side]) -> None:
    """Write `side`, by which statements know what each provider's cells are."""
    rows: list[dict[str, Any]] = [
        {
            "provider": side.provider,
            "unit": side.unit,
            "clock": side.clock,
            "is_itemized": side.is_itemized,
            "quantity_from": side.quantity_from,
            "period_start": side.period_start,
            "window_start": side.window_start,
            "window_end": side.window_end,
            **{f"has_{name}": side.shared.get(name, False) for name in DIMENSIONS},
        }
        for side in sides
    ]
    schema = pa.schema(
        [("provider", pa.string()), ("unit", pa.string()), ("clock", pa.string()), ("is_itemized", pa.bool_())]
        + [("quantity_from", pa.string())]
        + [(name, pa.timestamp("us")) for name in ("period_start", "window_start", "window_end")]
        + [(f"has_{name}", pa.bool_()) for name in DIMENSIONS]
    )
    with ledger.reading(side_rows=pa.Table.from_pylist(rows, schema=schema)):
        ledger.run("create or replace temp table side as select * from side_rows order by provider")


_SIDES = """
    with billed as (
        select line.provider,
            min(period_end - period_start) filter (where cause = 'usage') as narrowest,
            max(period_end - period_start) filter (where cause = 'usage') as widest,
            (
                select coalesce(bool_or(told.billing_period <> strftime(told.period_start, '%Y-%m')), false)
                from told_line as told where told.provider = line.provider and told.category = 'usage'
                    and told.charge_class is null
            ) as is_pacific,
            any_value(bill_shape.is_itemized) as is_itemized,
            count(*) filter (
                where cause = 'usage' and quantity is null
                    and coalesce(regexp_matches(meter, '^(input|output|cache|reasoning)'), true)
            ) as unmeasured,
            count(*) filter (where cause = 'usage' and quantity is not null) as measured
        from cell_line as line join bill_shape using (provider) group by line.provider
    ),
    reported as (
        select provider, max(period_end - period_start) as width from told_line
        where billed_cost is null and quantity is not null and role <> 'estimate' and model is not null
            and provider is not null and ($provider is null or provider = $provider)
            and period_start >= $start and period_start < $end
        group by provider
    ),
    called as (
        select distinct provider from event
        where provider is not null and started_at >= $start and started_at < $end
            and ($provider is null or provider = $provider)
    )
    select provider, narrowest, widest, coalesce(is_pacific, false), coalesce(is_itemized, false),
        coalesce(measured, 0) >= coalesce(unmeasured, 0), reported.width
    from called full outer join billed using (provider) full outer join reported using (provider)
    order by provider
"""


def _facts(bill: str, call: str) -> str:
    return f"""
        max(bill.{bill}_lines), max(bill.{bill}_with), coalesce(sum(calls), 0),
        coalesce(sum(calls) filter (where part.{call} is not null), 0),
        coalesce(sum(calls) filter (where exists (
            select 1 from bill_value as known
            where known.provider = part.provider and known.name = '{bill}' and known.value = part.{call}
        )), 0)
    """


_CARRIED = f"""
    with line as (
        select 'money' as kind, provider, project_id, caller, region, service_tier, context_window from cell_line
        where cause = 'usage' and not is_wide
        union all
        select 'quantity', provider, project_id, caller, region, service_tier, context_window from usage_line
        join side using (provider) where side.quantity_from = 'usage report'
    ),
    told as (
        select provider, kind, count(service_tier) as tiers,
            count(*) filter (where context_window in ('long', '200k-1M')) as bands
        from line group by all
    ),
    bill as (
        select provider, count(*) as project_id_lines, count(project_id) as project_id_with,
            count(*) as caller_lines, count(caller) as caller_with,
            count(*) as region_lines, count(region) as region_with,
            (select min(tiers) from told where told.provider = line.provider) as tiers,
            (select min(bands) from told where told.provider = line.provider) as bands
        from line group by provider
    ),
    bill_value as materialized (
        select distinct provider, 'project_id' as name, project_id as value from line
        union select distinct provider, 'caller', caller from line
        union select distinct provider, 'region', region from line
    )
    select provider, {_facts("project_id", "project_id")}, {_facts("caller", "caller")}, {_facts("region", "region")},
        coalesce(max(tiers), 0), coalesce(max(bands), 0)
    from bill left join call_part as part using (provider)
    group by provider order by provider
"""
