"""Build input: the dated history of the model-prices package (models.dev commits and documented changes)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from attribution.pricing.book import BEGINNING, DAY, FOREVER, NO_LIMIT, Rate
from attribution.pricing.models import PROVIDERS

#: Their speed mode → our service tier; "thinking" is a property of the request that no event carries.
_TIERS = {"standard": "standard", "batch": "batch", "flex": "flex", "fast": "fast", "ultrafast": "ultrafast"}
_METERS = {"input": "input", "output": "output", "cache_read": "cache_read", "cache_write": "cache_write_5m"}
_WEEKDAYS, _WEEKEND, _ALL_WEEK = 31, 96, 127
_MILLION = 1_000_000


def rates(snapshot: Mapping[str, Any], version: str) -> Iterator[Rate]:
    """Yield every dated price of a snapshot, in its daily windows where the provider has them."""
    for provider, models in snapshot["prices"].items():
        owner = PROVIDERS.get(provider, provider)
        for model, modes in models.items():
            for mode, intervals in modes.items():
                if mode not in _TIERS:
                    continue
                entry = f"{version}:{provider}/{model}/{mode}"
                base = Rate(owner, model.lower(), "input", Decimal(0), _MILLION, _TIERS[mode], source="model-prices")
                for rate in _interval_rates(replace(base, source_entry=entry), _complete(intervals)):
                    yield from _in_windows(rate, provider, model, snapshot["schedules"])


def _complete(intervals: list[dict[str, Any]]) -> list[tuple[datetime, datetime, dict[str, Any]]]:
    """Return dated intervals, with the gaps closed that come from recording a price late.

    A first interval that was recorded only after the next one took effect never held. Cache prices that were
    recorded later than the input and output prices they go with held as long as those.
    """
    dated = [(_time(i["start"]) if i["start"] else BEGINNING, i["rates"]) for i in intervals]
    if len(dated) > 1 and dated[0][1] and _time(dated[0][1]["valid_from"]) >= dated[1][0]:
        dated = [(BEGINNING, dated[1][1]), *dated[2:]]
    known: list[tuple[datetime, datetime, dict[str, Any]]] = []
    for position, (start, rates_then) in enumerate(dated):
        if rates_then is None:
            continue
        filled = dict(rates_then)
        for _, later in dated[position + 1 :]:
            if later is None or (later["input"], later["output"]) != (filled["input"], filled["output"]):
                break
            for meter in ("cache_read", "cache_write", "cache_write_1h_multiple"):
                filled.setdefault(meter, later.get(meter))
        known.append((start, dated[position + 1][0] if position + 1 < len(dated) else FOREVER, filled))
    return known


def _interval_rates(base: Rate, intervals: list[tuple[datetime, datetime, dict[str, Any]]]) -> Iterator[Rate]:
    for start, end, then in intervals:
        basis = "documented" if then["valid_from_basis"] == "documented" else "observed"
        dated = replace(base, valid_from=start, valid_to=end, basis=f"{basis}: {then['source']}")
        bounds = [-1, *(int(tier["above"]) for tier in then.get("tiers") or [])]
        for position, prices in enumerate([then, *(then.get("tiers") or [])]):
            upto = bounds[position + 1] if position + 1 < len(bounds) else NO_LIMIT
            band = replace(dated, context_over=bounds[position], context_upto=upto)
            for theirs, meter in _METERS.items():
                price = prices.get(theirs, then.get(theirs))
                if price is not None:
                    yield replace(band, meter=meter, price=_decimal(price))
            multiple = then.get("cache_write_1h_multiple")
            if multiple is not None and then.get("cache_write") is not None:
                price = _decimal(prices.get("input", then["input"])) * _decimal(multiple)
                yield replace(band, meter="cache_write_1h", price=price)


def _in_windows(rate: Rate, provider: str, model: str, schedules: Mapping[str, Any]) -> Iterator[Rate]:
    """Yield a price over its validity, dearer or cheaper in the daily windows that a provider announced."""
    at = rate.valid_from
    for schedule in sorted(schedules["schedule"], key=lambda s: str(s["valid_from"])):
        factors = schedule.get("off_peak_multiplier", {})
        if schedule["provider"] != provider or (isinstance(factors, dict) and factors and model not in factors):
            continue
        start = max(at, _time(schedule["valid_from"]))
        end = min(rate.valid_to, _time(schedule["valid_until"]) if "valid_until" in schedule else FOREVER)
        if start >= end:
            continue
        if start > at:
            yield replace(rate, valid_from=at, valid_to=start)
        yield from _scheduled(replace(rate, valid_from=start, valid_to=end), model, schedule, schedules["holidays"])
        at = end
    if at < rate.valid_to:
        yield replace(rate, valid_from=at)


def _scheduled(rate: Rate, model: str, schedule: Mapping[str, Any], holidays: Mapping[str, Any]) -> Iterator[Rate]:
    is_peak = "peak_hours_utc" in schedule
    hours = schedule["peak_hours_utc"] if is_peak else schedule["off_peak_hours_utc"]
    factor = _decimal(schedule["peak_multiplier"] if is_peak else schedule["off_peak_multiplier"][model])
    windows = sorted(window for start, end in hours for window in _window(start, end))
    days = _WEEKDAYS if schedule.get("weekdays_only") else _ALL_WEEK
    for start, end, is_holiday in _working(rate, holidays.get(schedule.get("holidays", ""), None)):
        then = replace(rate, valid_from=start, valid_to=end)
        if is_holiday:
            yield then
            continue
        if days != _ALL_WEEK:
            yield replace(then, weekdays=_WEEKEND)
        at = 0
        for second_from, second_to in [*windows, (DAY, DAY)]:
            if second_from > at:
                yield replace(then, weekdays=days, second_from=at, second_to=second_from)
            if second_from < second_to:
                price = rate.price * factor
                yield replace(then, weekdays=days, second_from=second_from, second_to=second_to, price=price)
            at = second_to


def _working(rate: Rate, calendar: Mapping[str, Any] | None) -> Iterator[tuple[datetime, datetime, bool]]:
    """Cut a validity at public holidays; past the end of the calendar there are none known."""
    at = rate.valid_from
    for day in sorted(calendar["dates"]) if calendar else ():
        start = datetime.fromisoformat(day) - timedelta(hours=calendar["utc_offset_hours"] if calendar else 0)
        end = min(start + timedelta(days=1), rate.valid_to)
        start = max(start, at)
        if start >= end:
            continue
        if start > at:
            yield at, start, False
        yield start, end, True
        at = end
    if at < rate.valid_to:
        yield at, rate.valid_to, False


def _window(start: str, end: str) -> list[tuple[int, int]]:
    first, last = (int(t[:2]) * 3600 + int(t[3:]) * 60 for t in (start, end))
    if last == 0:
        last = DAY
    return [(first, last)] if first < last else [(0, last), (first, DAY)]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)


def _decimal(number: Any) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))
