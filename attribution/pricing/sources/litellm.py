"""Build input: LiteLLM's price map, read as a file and never imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from attribution.pricing.book import NO_LIMIT, Rate
from attribution.pricing.models import PROVIDERS

_TOKEN_KEYS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cache_read_image",
    "input_cost_per_video_token": "input_video",
    "citation_cost_per_token": "citation",
}
_UNIT_KEYS = {
    "input_cost_per_image": "input_image_count",
    "output_cost_per_image": "image",
    "input_cost_per_pixel": "pixel",
    "output_cost_per_pixel": "output_pixel",
    "input_cost_per_second": "second",
    "input_cost_per_audio_per_second": "second",
    "input_cost_per_video_per_second": "input_video_second",
    "output_cost_per_second": "output_second",
    "output_cost_per_video_per_second": "output_second",
    "input_cost_per_character": "character",
    "output_cost_per_character": "output_character",
    "input_cost_per_query": "rerank_search",
    "input_cost_per_request": "request",
    "input_cost_per_text_message": "text_message",
    "ocr_cost_per_page": "page",
    "annotation_cost_per_page": "annotated_page",
    "code_interpreter_cost_per_session": "session",
    "google_maps_grounding_cost_per_query": "maps_search",
}
_WHOLES = {
    "reasoning": "output",
    "input_audio": "input",
    "input_image": "input",
    "input_video": "input",
    "output_audio": "output",
    "output_image": "output",
}
_KEY = re.compile(
    r"^(?P<base>.+?)(?:_above_(?P<over>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority|balanced|ultrafast))?$"
)
_SIZED = re.compile(r"^output_cost_per_(?P<unit>image|second)_(?P<size>[0-9.]+[kKp]?)$")
_IMAGE_MODEL = re.compile(r"^(?:(low|medium|high|hd|standard)/)?(\d+)-x-(\d+)/(?:(\d+-steps)/)?(.+)$")
_GEOGRAPHY = re.compile(r"^(us-gov|us|eu|apac|au|jp|ca)\.(?=[a-z0-9-]+\.)")
_AWS_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")
_AZURE_REGIONS = {"eu": "eu", "us": "us", "apac": "apac", "us-gov": "us-gov", "global": None, "global-standard": None}
_UPLIFTS = {
    "regional_processing_uplift_multiplier_eu": "eu",
    "regional_processing_uplift_multiplier_us": "us",
    "regional_endpoint_uplift_multiplier": "regional",
}
_MORE_PROVIDERS = {
    "azure_text": "azure",
    "bedrock_mantle": "aws",
    "codestral": "mistral",
    "dashscope": "alibaba",
    "fireworks_ai-embedding-models": "fireworks",
    "meta_llama": "meta",
    "sagemaker": "aws",
    "text-completion-codestral": "mistral",
}
#: xAI's long-context price starts at the threshold itself; everyone else's starts above it.
_INCLUSIVE = "x-ai"


@dataclass(frozen=True)
class Uplift:
    """A regional surcharge on a model's token prices, as an exact factor."""

    provider: str
    model: str
    region: str
    factor: Decimal
    source_entry: str


def rates(price_map: Mapping[str, Any], version: str) -> Iterator[Rate]:
    """Yield every price of the map that compiles to a rate row; entries that are free throughout say nothing."""
    for key, entry in price_map.items():
        placed = _place(key, entry)
        if placed is None:
            continue
        provider, model, region, attributes = placed
        base = Rate(provider, model, "input", Decimal(0), 1, region=region, source="litellm", basis="undated")
        found = list(_entry_rates(replace(base, source_entry=f"{version}:{key}"), entry, attributes))
        if any(rate.price for rate in found):
            yield from _bounded(_telling(found))


def unread(price_map: Mapping[str, Any]) -> dict[str, int]:
    """Return the price keys that no row is made of, each with the entries that have it, most first."""
    base = Rate("", "", "input", Decimal(0), 1)
    found: dict[str, int] = {}
    for entry in price_map.values():
        for key, value in entry.items():
            is_price = "cost" in key and isinstance(value, (int, Decimal)) and not isinstance(value, bool)
            if is_price and _priced(base, key, Decimal(value), "") is None:
                found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def uplifts(price_map: Mapping[str, Any], version: str) -> Iterator[Uplift]:
    """Yield the regional surcharges of the map."""
    for key, entry in price_map.items():
        placed = _place(key, entry)
        if placed is None:
            continue
        factors = {region: entry.get(name) for name, region in _UPLIFTS.items()}
        if placed[0] == "anthropic":
            factors["us"] = (entry.get("provider_specific_entry") or {}).get("us")
        for region, factor in factors.items():
            if factor:
                yield Uplift(placed[0], placed[1], region, Decimal(str(factor)), f"{version}:{key}")


def _place(key: str, entry: Mapping[str, Any]) -> tuple[str, str, str | None, str] | None:
    """Return provider, model, region and image attributes of an entry; None for what is no priced model."""
    given = str(entry.get("litellm_provider", ""))
    family = "vertex_ai" if given.startswith("vertex_ai") else given
    provider = _MORE_PROVIDERS.get(family, PROVIDERS.get(family, family))
    if key == "sample_spec" or "commitment" in key or "*" in key or " " in given or not given:
        return None
    name, region = key.lower(), None
    for prefix in (given, family, provider, "bedrock", "azure", "azure_ai", "gemini", "openai", "invoke"):
        name = name.removeprefix(f"{prefix}/")
    attributes = ""
    sized = _IMAGE_MODEL.match(name)
    if sized:
        quality, width, height, steps, name = sized.groups()
        attributes = ",".join(part for part in (quality, f"{width}x{height}", steps) if part)
        name = name.removeprefix("bedrock/")
    head, _, rest = name.partition("/")
    if provider == "azure" and head in _AZURE_REGIONS and rest:
        name, region = rest, _AZURE_REGIONS[head]
    elif provider == "aws" and _AWS_REGION.match(head) and rest:
        name, region = rest, "us-gov" if head.startswith("us-gov") else head
    if provider == "aws":
        geography = _GEOGRAPHY.match(name)
        if geography:
            name, region = name[geography.end() :], region or geography.group(1)
        name = name.removeprefix("global.")
    return provider, name.replace("@", "-"), region, attributes


def _entry_rates(base: Rate, entry: Mapping[str, Any], attributes: str) -> Iterator[Rate]:
    for key, value in entry.items():
        if key == "search_context_cost_per_query" and isinstance(value, Mapping):
            yield from _searches(base, value)
        elif key == "tiered_pricing":
            yield from _ranges(base, value)
        elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            rate = _priced(base, key, Decimal(value), attributes)
            if rate:
                yield rate


def _priced(base: Rate, key: str, value: Decimal, attributes: str) -> Rate | None:
    sized = _SIZED.match(key)
    if sized:
        meter = "image" if sized["unit"] == "image" else "output_second"
        return replace(base, meter=f"{meter}[{sized['size']}]", price=_clean(value))
    parts = _KEY.match(key)
    if parts is None:
        return None
    tier = {"batches": "batch", None: "standard"}.get(parts["tier"], parts["tier"]) or "standard"
    over = int(parts["over"]) * 1000 - (1 if base.provider == _INCLUSIVE else 0) if parts["over"] else -1
    found = replace(base, service_tier=tier, context_over=over)
    if parts["base"] in _TOKEN_KEYS:
        return replace(found, meter=_TOKEN_KEYS[parts["base"]], price=_clean(value * 1_000_000), per=1_000_000)
    if parts["base"] in _UNIT_KEYS:
        meter = _UNIT_KEYS[parts["base"]]
        if attributes:
            meter = f"{'image' if meter == 'input_image_count' else meter}[{attributes}]"
        return replace(found, meter=meter, price=_clean(value))
    return None


def _searches(base: Rate, prices: Mapping[str, Any]) -> Iterator[Rate]:
    """Yield the price of a web search, by size of its context where that matters."""
    sizes = {key.removeprefix("search_context_size_"): Decimal(value) for key, value in prices.items()}
    if len(set(sizes.values())) == 1:
        yield replace(base, meter="web_search", price=_clean(next(iter(sizes.values()))))
        return
    for size, price in sorted(sizes.items()):
        yield replace(base, meter=f"web_search[{size}]", price=_clean(price))


def _ranges(base: Rate, ranges: list[Mapping[str, Any]]) -> Iterator[Rate]:
    for band in ranges:
        bounds = band.get("range")
        if not bounds:
            continue
        over, upto = int(bounds[0]), int(bounds[1])
        for key, value in band.items():
            if key in _TOKEN_KEYS and isinstance(value, (int, Decimal)):
                rate = _priced(base, key, Decimal(value), "")
                if rate:
                    yield replace(rate, context_over=over if over > 0 else -1, context_upto=upto)


def _telling(found: list[Rate]) -> list[Rate]:
    """Leave out parts at the price of their whole: undated, they would outlive a change of it."""
    prices = {(r.meter, r.service_tier, r.context_over): r.price for r in found}

    def is_told(rate: Rate) -> bool:
        whole = _WHOLES.get(rate.meter)
        return whole is None or prices.get((whole, rate.service_tier, rate.context_over)) != rate.price

    return [rate for rate in found if is_told(rate)]


def _bounded(found: list[Rate]) -> Iterator[Rate]:
    """Close each band where the next one of the same meter and tier begins; one price a place."""
    places: dict[tuple[str, str, int], Rate] = {}
    for rate in found:
        places.setdefault((rate.meter, rate.service_tier, rate.context_over), rate)
    for (meter, tier, over), rate in places.items():
        later = [o for m, t, o in places if (m, t) == (meter, tier) and o > over]
        upto = min([rate.context_upto, *later])
        yield replace(rate, context_upto=upto if upto < NO_LIMIT else NO_LIMIT)


def _clean(price: Decimal) -> Decimal:
    """Take off what binary fractions added: twelve places are kept."""
    return price.quantize(Decimal("1e-12")) if -int(price.as_tuple().exponent) > 12 else price
