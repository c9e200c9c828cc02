"""Usage as tracers write it: OpenTelemetry's attributes and Langfuse's buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution.usage.counts import Usage, count, first, put, tier

#: Attributes that hold the totals of a call.
OTEL_TOTALS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
)
#: Column → the attributes that hold a part of a total.
_OTEL_PARTS = {
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
    ),
    "cache_write_5m_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
    ),
    "input_audio_tokens": ("gen_ai.usage.audio.input_tokens", "gen_ai.usage.details.input_audio_tokens"),
    "output_audio_tokens": ("gen_ai.usage.audio.output_tokens", "gen_ai.usage.details.output_audio_tokens"),
    "input_image_tokens": ("gen_ai.usage.image.input_tokens",),
    "output_image_tokens": ("gen_ai.usage.image.output_tokens",),
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


def read_otel(body: Mapping[str, Any], provider: str) -> Usage:
    """Read attributes whose input should hold the cache, unless the counts prove that it does not."""
    usage = Usage(reading="otel: cache in the input, reasoning in the output")
    held = {column: first(body, *names) for column, names in _OTEL_PARTS.items()}
    given, answered = first(body, OTEL_TOTALS[0], OTEL_TOTALS[2]), first(body, OTEL_TOTALS[1], OTEL_TOTALS[3])
    cache = (held["cache_read_tokens"] or 0) + (held["cache_write_5m_tokens"] or 0)
    total = count(body, "gen_ai.usage.total_tokens")
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
    usage = Usage(reading="langfuse: buckets apart from each other")
    sides = {"input_tokens": count(body, "input"), "output_tokens": count(body, "output")}
    total, given = count(body, "total"), (sides["input_tokens"] or 0) + (sides["output_tokens"] or 0)
    columns: dict[str, int | None] = {}
    inside = dict.fromkeys(sides, 0)
    for bucket, column in _BUCKETS.items():
        if (held := count(body, bucket)) is not None:
            columns[column] = (columns.get(column) or 0) + held
            inside["output_tokens" if column in _OUTPUT else "input_tokens"] += held
    if total is not None and total == given and any(inside.values()):
        usage.reading = "langfuse: input and output hold the other buckets, as the total says"
    else:
        if total is not None and total != given + sum(inside.values()):
            usage.flags.append(f"total {total} is not the sum of its buckets {given + sum(inside.values())}")
        for side, held in inside.items():
            sides[side] = (sides[side] or 0) + held if held or sides[side] is not None else None
    put(usage, **sides, **columns)
    return usage
