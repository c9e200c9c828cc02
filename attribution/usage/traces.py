"""Usage as tracers write it: OpenTelemetry's attributes and Langfuse's buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attribution.usage.counts import Usage, count, first, put, tier

#: Attributes that tell a body of them from the others.
OTEL_TOTALS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
)
#: What is counted → the attributes that say it, in the order in which they are believed.
USAGE_ATTRIBUTES = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "llm.usage.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "llm.usage.cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "codex.usage.reasoning_output_tokens",
        "llm.usage.reasoning_tokens",
    ),
    "input_audio_tokens": (
        "gen_ai.usage.audio.input_tokens",
        "gen_ai.usage.details.input_audio_tokens",
        "llm.token_count.prompt_details.audio",
    ),
    "cache_read_audio_tokens": (
        "gen_ai.usage.audio.cache_read.input_tokens",
        "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    "output_audio_tokens": (
        "gen_ai.usage.audio.output_tokens",
        "gen_ai.usage.details.output_audio_tokens",
        "llm.token_count.completion_details.audio",
    ),
    "input_image_tokens": ("gen_ai.usage.image.input_tokens",),
    "output_image_tokens": ("gen_ai.usage.image.output_tokens",),
    "total_tokens": (
        "gen_ai.usage.total_tokens",
        "llm.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
        "codex.usage.total_tokens",
    ),
}
#: Langfuse's bucket → column.
_BUCKETS = {
    "input_cached_tokens": "cache_read_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "input_cache_read": "cache_read_tokens",
    "input_cache_creation": "cache_write_5m_tokens",
    "input_cache_creation_5m": "cache_write_5m_tokens",
    "cache_creation_input_tokens": "cache_write_5m_tokens",
    "input_cache_write": "cache_write_5m_tokens",
    "input_cache_creation_1h": "cache_write_1h_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_reasoning": "reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}
_OUTPUT = ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")


@dataclass(frozen=True)
class Buckets:
    """Langfuse's buckets as columns whose totals hold their parts, and what is counted beside input and output."""

    columns: dict[str, int]
    others: dict[str, int]
    is_apart: bool
    summed: int


def nest_buckets(counts: Mapping[str, int], total: int | None) -> Buckets:
    """Read buckets as apart from each other, unless their total says that input and output hold the rest.

    A bucket of no known name is a part of the input or the output as its name begins. A side that no bucket tells
    of is left out: it is not known to be zero.
    """
    columns: dict[str, int] = {}
    others: dict[str, int] = {}
    sides: dict[str, int] = {}
    for name, held in counts.items():
        column = _BUCKETS.get(name)
        if column is None and not name.startswith(("input", "output")):
            others[name] = held
            continue
        is_output = column in _OUTPUT or (column is None and name.startswith("output"))
        side = "output_tokens" if is_output else "input_tokens"
        sides[side] = sides.get(side, 0) + held
        if column is not None:
            columns[column] = columns.get(column, 0) + held
    summed, given = sum(sides.values()), counts.get("input", 0) + counts.get("output", 0)
    is_apart = total is None or total == summed or total != given
    if not is_apart:
        sides = {"input_tokens": counts.get("input", 0), "output_tokens": counts.get("output", 0)}
    return Buckets(columns | sides, others, is_apart, summed)


def read_otel(body: Mapping[str, Any], provider: str) -> Usage:
    """Read attributes whose input should hold the cache, unless the counts prove that it does not."""
    usage = Usage(reading="otel: cache in the input, reasoning in the output")
    held = {counted: first(body, *names) for counted, names in USAGE_ATTRIBUTES.items()}
    held["cache_write_5m_tokens"] = held.pop("cache_write_tokens")
    given, answered, total = held.pop("input_tokens"), held.pop("output_tokens"), held.pop("total_tokens")
    cache = (held["cache_read_tokens"] or 0) + (held["cache_write_5m_tokens"] or 0)
    if given is not None and cache > given:
        usage.reading = f"otel: input excludes cache, as {cache} cached exceed {given}"
        given += cache
    elif cache and given is not None and total == given + cache + (answered or 0):
        usage.reading = "otel: input excludes cache, as the total says"
        given += cache
    put(usage, input_tokens=given, output_tokens=answered, **held)
    stated = body.get("gen_ai.openai.response.service_tier") or body.get("openai.response.service_tier")
    usage.service_tier = tier(stated)
    return usage


def is_langfuse(body: Mapping[str, Any]) -> bool:
    """Tell whether a body has Langfuse's two main buckets; an answer may hold texts under these names."""
    return any(str(body.get(name, "")).isdecimal() for name in ("input", "output"))


def read_langfuse(body: Mapping[str, Any], provider: str) -> Usage:
    """Read buckets that are apart from each other, unless their total says that two of them hold the others."""
    # Servers that quote whole numbers of eight bytes give them as text.
    body = {k: int(v) if isinstance(v, str) and v.isascii() and v.isdecimal() else v for k, v in body.items()}
    named = [name for name in body if name in ("input", "output", *_BUCKETS) or _is_part(name, body[name])]
    counts = {name: held for name in named if (held := count(body, name)) is not None}
    total = count(body, "total")
    found = nest_buckets(counts, total)
    usage = Usage(reading="langfuse: buckets apart from each other")
    if not found.is_apart:
        usage.reading = "langfuse: input and output hold the other buckets, as the total says"
    elif total not in (None, found.summed):
        usage.flags.append(f"total {total} is not the sum of its buckets {found.summed}")
    put(usage, **found.columns)
    return usage


def _is_part(name: str, value: Any) -> bool:
    """Whether a name that is not known is a bucket of tokens: costs may stand beside them."""
    return name.startswith(("input_", "output_")) and not name.endswith("_cost") and type(value) is int
