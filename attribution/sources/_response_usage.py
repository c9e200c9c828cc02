"""The `usage` object of each provider's answers: recognised by its names, made inclusive by that provider's rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Unreadable
from attribution.sources import Row
from attribution.sources._cells import filled
from attribution.sources._google_usage import take_usage as take_google
from attribution.sources._identities import violations
from attribution.usage import nested_totals

_TICKS = Decimal("1e-10")
#: Where compatible servers put what was read from the cache when it does not stand in details.
_FLAT_CACHED = (
    "prompt_cache_hit_tokens",
    "num_cached_tokens",
    "cached_tokens",
    "cached_prompt_text_tokens",
    "cache_read_input_tokens",
)
_MILLIONTH = Decimal("0.000001")
#: No recording is longer [seconds].
_LONGEST = 10**9


def shape_of(document: Document) -> str | None:
    """Name the provider whose rule the counts of an answer follow."""
    usage = document.get("usage")
    if type(document.get("usageMetadata")) is dict:
        return "google"
    if type(usage) is not dict:
        return None
    if "inputTokens" in usage or "outputTokens" in usage:
        return "converse"
    if "billed_units" in usage:
        return "cohere"
    has_details = any(name in usage for name in ("input_tokens_details", "input_token_details", "prompt_tokens"))
    if (
        "input_tokens" in usage
        and not has_details
        and ("cache_creation_input_tokens" in usage or "total_tokens" not in usage)
    ):
        return "anthropic"
    return "openai" if {"prompt_tokens", "input_tokens"} & usage.keys() or usage.get("type") == "duration" else None


def take_usage(row: Row, document: Document, shape: str) -> None:
    """Fill the counts of one answer by the rule of its shape."""
    if shape == "google":
        take_google(row, document["usageMetadata"])
        return
    usage = document["usage"]
    {"converse": _converse, "cohere": _cohere, "anthropic": take_anthropic, "openai": _openai}[shape](row, usage)
    row["is_metered"] = row.get("input_tokens") is not None or row.get("output_tokens") is not None
    row["is_metered"] |= row.get("other_usage") is not None
    row["usage_flags"] = [*(row.get("usage_flags") or []), *(violations(row) or [])] or None


def _count(holder: Document, *names: str) -> int | None:
    return normalization.count(filled(holder, *names), names[0])


def _part(usage: Document, *names: str) -> Document:
    """Details may be null, absent or partly filled."""
    value = filled(usage, *names)
    if value is not None and type(value) is not dict:
        raise Unreadable("not_an_object", "an object", type(value).__name__, names[0])
    return value or {}


def _openai(row: Row, usage: Document) -> None:
    into = _part(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out_of = _part(usage, "completion_tokens_details", "output_tokens_details", "output_token_details")
    cached = _part(into, "cached_tokens_details")
    row["input_tokens"] = _count(usage, "prompt_tokens", "input_tokens")
    row["output_tokens"] = _count(usage, "completion_tokens", "output_tokens")
    row["total_tokens"] = _count(usage, "total_tokens")
    inside = _count(into, "cached_tokens")
    row["cache_read_tokens"] = _count(usage, *_FLAT_CACHED) if inside is None else inside
    written = _count(into, "cache_write_tokens", "cache_creation_tokens")
    row["cache_write_5m_tokens"] = _count(usage, "cache_creation_input_tokens") if written is None else written
    row["cache_read_audio_tokens"] = _count(cached, "audio_tokens")
    row["cache_read_image_tokens"] = _count(cached, "image_tokens")
    for side, holder in (("input", into), ("output", out_of)):
        row[f"{side}_audio_tokens"] = _count(holder, "audio_tokens")
        row[f"{side}_image_tokens"] = _count(holder, "image_tokens")
    row["input_video_tokens"] = _count(into, "video_tokens")
    hidden = _count(out_of, "reasoning_tokens")
    row["reasoning_tokens"] = _count(usage, "reasoning_tokens") if hidden is None else hidden
    _nest(row, "openai_chat" if "prompt_tokens" in usage else "openai_responses")
    hour = _count(_part(into, "cache_creation_token_details"), "ephemeral_1h_input_tokens")
    if hour is not None:
        row["cache_write_5m_tokens"] = (row["cache_write_5m_tokens"] or hour) - hour
        row["cache_write_1h_tokens"] = hour
    _take_cost(row, usage)
    _take_units(row, usage)


def _nest(row: Row, shape: str) -> None:
    """Some servers count cache or reasoning beside the totals: the counts themselves prove it."""
    totals = (row["input_tokens"], row["output_tokens"], row["total_tokens"])
    cache = (row["cache_read_tokens"], row["cache_write_5m_tokens"])
    # Only xAI's and Perplexity's chat counts reasoning beside the answer where no total says so.
    provider = str(row.get("provider") or "") if shape == "openai_chat" else ""
    nested = nested_totals(shape, provider, totals, cache, row["reasoning_tokens"])
    row.update(nested.tokens)
    row["usage_reading"] = nested.reading
    hidden = [flag for flag in nested.flags if flag.startswith("hidden reasoning")]
    row["usage_flags"] = [*(row.get("usage_flags") or []), *hidden] or None


def _take_cost(row: Row, usage: Document) -> None:
    """OpenRouter's dollars (with a key of one's own the upstream's besides) and xAI's ticks."""
    ticks = _count(usage, "cost_in_usd_ticks")
    cost = normalization.money(usage.get("cost"), "usage.cost")
    if ticks is not None:
        cost = normalization.money(ticks * _TICKS, "usage.cost_in_usd_ticks")
    if usage.get("is_byok") is True:
        upstream = normalization.money(
            _part(usage, "cost_details").get("upstream_inference_cost"), "usage.upstream_inference_cost"
        )
        cost = None if upstream is None else (cost or Decimal(0)) + upstream
        said = "source_cost:own_key" if upstream is not None else "source_cost:own_key, upstream unknown"
        row["usage_flags"] = [*(row.get("usage_flags") or []), said]
    row["source_cost"] = cost


#: What is charged by the piece → where an answer counts it.
_TOOLS = {
    "web_search": "web_search_calls",
    "social_search": "x_search_calls",
    "code_execution": "code_interpreter_calls",
    "file_search": "file_search_calls",
}
_FLAT_UNITS = {"web_search": "num_search_queries", "citation": "citation_tokens"}


def _take_units(row: Row, usage: Document) -> None:
    tools = _part(usage, "server_side_tool_usage_details")
    counts = {name: _count(tools, theirs) for name, theirs in _TOOLS.items()}
    counts |= {name: _count(usage, theirs) for name, theirs in _FLAT_UNITS.items() if theirs in usage}
    units = [(name, Decimal(count)) for name, count in counts.items() if count]
    if usage.get("type") == "duration":
        seconds = usage.get("seconds")
        if (type(seconds) is not int and not isinstance(seconds, Decimal)) or not 0 <= seconds <= _LONGEST:
            raise Unreadable("not_a_number", "seconds", seconds, "usage.seconds")
        kept = Decimal(seconds).quantize(_MILLIONTH)
        if kept != seconds:
            said = f"second {seconds:f} is counted as {kept:f}, to the millionth"
            row["usage_flags"] = [*(row.get("usage_flags") or []), said]
        units.append(("second", kept))
    row["other_usage"] = units or None


def take_anthropic(row: Row, usage: Document) -> None:
    """Anthropic counts its cache beside the input."""
    given, answered = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    split = _part(usage, "cache_creation")
    short, hour = _count(split, "ephemeral_5m_input_tokens"), _count(split, "ephemeral_1h_input_tokens")
    if written is None and (short is not None or hour is not None):
        written = (short or 0) + (hour or 0)
    row["input_tokens"] = None if given is None else given + (read or 0) + (written or 0)
    row["output_tokens"], row["cache_read_tokens"] = answered, read
    row["cache_write_5m_tokens"] = written if short is None and hour is None else short
    row["cache_write_1h_tokens"] = hour
    row["reasoning_tokens"] = _count(_part(usage, "output_tokens_details"), "thinking_tokens")
    searches = _count(_part(usage, "server_tool_use"), "web_search_requests")
    row["other_usage"] = [("web_search", Decimal(searches))] if searches else None
    tier = normalization.service_tier(usage.get("service_tier"))
    row["service_tier"] = "fast" if usage.get("speed") == "fast" else tier
    row["region"] = _region(usage.get("inference_geo"))
    row["usage_reading"] = "exclusive: cache reads and writes are beside the input"
    if written is not None and short is not None and short + (hour or 0) != written:
        row["usage_flags"] = [f"cache_creation {short + (hour or 0)} <> cache_creation_input_tokens {written}"]
        row["input_tokens"] = None  # nobody can tell how many were written


def _region(geo: Any) -> str | None:
    return geo if type(geo) is str and geo not in ("", "not_available") else None


def _converse(row: Row, usage: Document) -> None:
    """Bedrock's Converse counts its cache beside the input, and says it twice under two names."""
    given, answered = _count(usage, "inputTokens"), _count(usage, "outputTokens")
    read = _count(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _count(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details = usage.get("cacheDetails")
    kept = [each for each in details if type(each) is dict] if type(details) is list else []
    hour = sum(_count(each, "inputTokens") or 0 for each in kept if each.get("ttl") == "1h") if kept else None
    row["input_tokens"] = None if given is None else given + (read or 0) + (written or 0)
    row["output_tokens"], row["total_tokens"], row["cache_read_tokens"] = answered, _count(usage, "totalTokens"), read
    row["cache_write_1h_tokens"] = hour
    row["cache_write_5m_tokens"] = None if written is None else written - (hour or 0)
    row["usage_reading"] = "exclusive: cache reads and writes are beside inputTokens"


def _cohere(row: Row, usage: Document) -> None:
    """Cohere bills other counts than it used; the cached ones are of the latter, so they are no part of the former."""
    billed = _part(usage, "billed_units")
    row["input_tokens"] = _whole(billed, "input_tokens")
    row["output_tokens"] = _whole(billed, "output_tokens")
    searches = _whole(billed, "search_units")
    row["other_usage"] = [("rerank_search", Decimal(searches))] if searches else None
    row["usage_reading"] = "billed units; what the model used and cached is counted otherwise"


def _whole(holder: Document, name: str) -> int | None:
    value = holder.get(name)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return normalization.count(value, f"billed_units.{name}")
