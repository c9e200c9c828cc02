"""Build input: the genai-prices package, read through its snapshot and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from attribution.pricing.book import BEGINNING, DAY, FOREVER, NO_LIMIT, Name, Rate

#: Their price key → our meter.
_METERS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "cache_image_read_mtok": "cache_read_image",
    "input_video_mtok": "input_video",
    "output_video_mtok": "output_video",
    "output_reasoning_mtok": "reasoning",
    "output_citation_mtok": "citation",
    "web_searches_kcount": "web_search",
    "social_searches_kcount": "social_search",
    "storage_searches_kcount": "file_search",
    "code_executions_kcount": "code_execution",
    "rerank_searches_kcount": "rerank_search",
    "requests_kcount": "request",
    "audio_hours": "second",
    "input_audio_hours": "input_second",
    "output_audio_hours": "output_second",
    "input_mchars": "character",
    "input_document_kpages": "page",
    "input_annotated_document_kpages": "annotated_page",
    "input_text_messages_kcount": "text_message",
    "input_gpixels": "pixel",
}
_PER = {"mtok": 1_000_000, "kcount": 1_000, "hours": 3_600, "mchars": 1_000_000, "kpages": 1_000, "gpixels": 10**9}

#: Their request context → our service tier; other contexts select no tier of ours.
_TIERS = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}

#: Groq bills at least ten seconds of audio a request (https://console.groq.com/docs/speech-to-text).
_MINIMUM_SECONDS = {("groq", "whisper-large-v3"), ("groq", "whisper-large-v3-turbo")}


def rates() -> Iterator[Rate]:
    """Yield every price of the installed package as rate rows."""
    from genai_prices import data_snapshot

    version = _version()
    for provider in data_snapshot.get_snapshot().providers:
        known = {model.id for model in provider.models}
        for model in provider.models:
            entry, region = _bedrock_geography(model.id, known)
            for rate in _model_rates(provider.id, model):
                source_entry = f"{version}:{provider.id}/{model.id}"
                yield replace(rate, model=entry, region=region, source="genai-prices", source_entry=source_entry)


def names() -> Iterator[Name]:
    """Yield how each model is referred to, in the package's own order of trial."""
    from genai_prices import data_snapshot

    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            entry, _ = _bedrock_geography(model.id, set())
            yield Name(provider.id, entry, _clause(model.match))


def fallbacks() -> dict[str, tuple[str, ...]]:
    """Return which providers sell other providers' models without a price of their own here."""
    from genai_prices import data_snapshot

    providers = data_snapshot.get_snapshot().providers
    return {p.id: tuple(p.fallback_model_providers) for p in providers if p.fallback_model_providers}


def _bedrock_geography(model: str, known: set[str]) -> tuple[str, str | None]:
    """Read Bedrock's geography out of an id: one model, dearer in a region where it is also sold globally."""
    if model.startswith("global."):
        return model[7:], None
    if model.startswith("regional."):
        return model[9:], "regional" if f"global.{model[9:]}" in known else None
    return model, None


def _version() -> str:
    from importlib.metadata import version

    return version("genai-prices")


def _clause(match: Any) -> Mapping[str, Any]:
    kind, value = next(iter(vars(match).items()))
    if kind in ("or_", "and_"):
        return {kind[:-1]: [_clause(part) for part in value]}
    return {kind: value if kind == "regex" else value.lower()}


def _model_rates(provider: str, model: Any) -> Iterator[Rate]:
    base = Rate(provider, model.id, "input", Decimal(0), 1)
    for conditions, prices in _standard(model.prices):
        for rate in _meter_rates(base, prices):
            yield replace(rate, **conditions)
    tiers: dict[str, list[Any]] = {}
    for variant in model.price_variants or ():
        tier = _TIERS.get(next(iter(variant.when.items()))) if len(variant.when) == 1 else None
        if tier is not None:
            tiers.setdefault(tier, []).append(variant)
    for tier, variants in tiers.items():
        yield from _variant_rates(replace(base, service_tier=tier), variants)


def _variant_rates(base: Rate, variants: list[Any]) -> Iterator[Rate]:
    """Yield a tier's prices over time; of the variants that have begun, the first in their order counts by meter."""
    starts = sorted({_start(variant) for variant in variants})
    for position, start in enumerate(starts):
        end = starts[position + 1] if position + 1 < len(starts) else FOREVER
        told: set[str] = set()
        for variant in variants:
            if _start(variant) > start:
                continue
            basis = "verified" if start > BEGINNING else "undated"
            found = list(_meter_rates(replace(base, valid_from=start, valid_to=end, basis=basis), variant.prices))
            yield from (rate for rate in found if rate.meter not in told)
            told |= {rate.meter for rate in found}


def _start(variant: Any) -> datetime:
    return _midnight(variant.constraint.start_date) if variant.constraint else BEGINNING


def _standard(prices: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the conditions under which each of a model's standard prices holds, none overlapping."""
    if not isinstance(prices, list):
        yield {"basis": "undated"}, prices
        return
    dated = [p for p in prices if p.constraint is None or hasattr(p.constraint, "start_date")]
    hourly = [p for p in prices if p.constraint is not None and not hasattr(p.constraint, "start_date")]
    starts = [BEGINNING] + [_midnight(p.constraint.start_date) for p in dated[1:]]
    windows = [window for p in hourly for window in _windows(p.constraint)]
    for position, (price, start) in enumerate(zip(dated, starts, strict=True)):
        end = starts[position + 1] if position + 1 < len(starts) else FOREVER
        basis = "undated" if (start, end) == (BEGINNING, FOREVER) else "dated"
        dates = {"valid_from": start, "valid_to": end, "basis": basis}
        for gap in _gaps(windows if end == FOREVER else []):
            yield {**dates, "second_from": gap[0], "second_to": gap[1]}, price.prices
    for price in hourly:
        for window in _windows(price.constraint):
            dates = {"valid_from": starts[-1], "basis": "undated" if starts[-1] == BEGINNING else "dated"}
            yield {**dates, "second_from": window[0], "second_to": window[1]}, price.prices


def _meter_rates(base: Rate, prices: Any) -> Iterator[Rate]:
    for key, value in vars(prices).items():
        meter = _METERS.get(key)
        if meter is None or value is None:
            continue
        per = _PER[key.rsplit("_", 1)[1]]
        floor = Decimal(10) if per == _PER["hours"] and (base.provider, base.model) in _MINIMUM_SECONDS else Decimal(0)
        rate = replace(base, meter=meter, per=per, minimum=floor)
        if isinstance(value, Decimal):
            yield replace(rate, price=_clean(value))
            continue
        bounds = [-1, *(tier.start for tier in value.tiers)]
        for position, price in enumerate([value.base, *(tier.price for tier in value.tiers)]):
            upto = bounds[position + 1] if position + 1 < len(bounds) else NO_LIMIT
            yield replace(rate, price=_clean(price), context_over=bounds[position], context_upto=upto)


def _clean(price: Decimal) -> Decimal:
    """Take the binary noise off prices such as 0.08333333333333334 a million: twelve places are kept."""
    return price.quantize(Decimal("1e-12")) if -int(price.as_tuple().exponent) > 12 else price


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time())


def _windows(constraint: Any) -> list[tuple[int, int]]:
    """Return a daily window in seconds, split where it passes midnight."""
    start, end = (_seconds(t) for t in (constraint.start_time, constraint.end_time))
    return [(start, end)] if start <= end else [(0, end), (start, DAY)]


def _seconds(moment: time) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _gaps(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the parts of a day that no window covers."""
    gaps, at = [], 0
    for start, end in sorted(windows):
        if start > at:
            gaps.append((at, start))
        at = max(at, end)
    return [*gaps, (at, DAY)] if at < DAY else gaps
