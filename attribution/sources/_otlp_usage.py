"""Usage on spans, made inclusive: whether a count holds its cache depends on who wrote it, and the row says so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution.normalization import count, money
from attribution.sources._otlp_values import mapping

Found = dict[str, Any]
_INCLUSIVE = "inclusive: OpenTelemetry convention"
#: Parts a count must not be smaller than.
_PARTS = (
    ("reasoning_tokens", "output_tokens"),
    ("output_audio_tokens", "output_tokens"),
    ("input_audio_tokens", "input_tokens"),
    ("input_image_tokens", "input_tokens"),
    ("cache_read_audio_tokens", "cache_read_tokens"),
)
#: Providers whose own input count leaves the cache out, so that a larger cache is no contradiction.
_EXCLUSIVE_PROVIDERS = {"anthropic", "aws", None}


def read_usage(found: Found, is_exclusive: str | None, odd: bool) -> None:
    """Turn the usage slots of a call into columns: inclusive totals, their reading, and what contradicts itself."""
    flags: list[str] = []
    if odd:
        flags = found.pop("differing", flags)
        is_exclusive = _read_odd(found, flags) or is_exclusive
        read_cost(found)
    if (write := found.pop("cache_write_tokens", None)) is not None:
        _split_cache_write(found, write, flags)
    used, made = found.get("input_tokens"), found.get("output_tokens")
    found["is_metered"] = is_metered = used is not None or made is not None
    if not is_metered:
        if flags:
            found["usage_flags"] = flags
        return
    if not used and not made:
        # No call reads and writes nothing; writers that know no usage say 0, and unknown is not zero.
        found["is_metered"] = False
        flags.append("input_tokens 0 and output_tokens 0")
    found["usage_reading"] = _nest(found, used, made, is_exclusive, flags)
    for part, whole in _PARTS:
        if (counted := found.get(part)) and counted > (found.get(whole) or 0):
            flags.append(f"{part} {counted} > {whole} {found.get(whole)}")
    if flags:
        found["usage_flags"] = flags


def _nest(found: Found, used: int | None, made: int | None, is_exclusive: str | None, flags: list[str]) -> str:
    """Add the cache where the input leaves it out; say which reading was used and why."""
    cache = (
        (found.get("cache_read_tokens") or 0)
        + (found.get("cache_write_5m_tokens") or 0)
        + (found.get("cache_write_1h_tokens") or 0)
    )
    total = found.get("total_tokens")
    given = (used or 0) + (made or 0)
    reading = _INCLUSIVE
    if cache and used is not None:
        if is_exclusive:
            reading = f"exclusive: {is_exclusive}"
        elif cache > used:
            reading = f"exclusive: cache {cache} > input {used}"
            if found.get("provider") not in _EXCLUSIVE_PROVIDERS:
                flags.append(f"cache {cache} > input_tokens {used}")
        elif total == given + cache:
            reading = f"exclusive: total {total} = {given} + cache {cache}"
        if reading is not _INCLUSIVE:
            found["input_tokens"] = used + cache
    hidden = found.get("reasoning_tokens")
    if hidden and made is not None and total == (found.get("input_tokens") or 0) + made + hidden:
        # xAI and Google count hidden reasoning beside the visible output.
        found["output_tokens"] = made = made + hidden
        reading += f"; output exclusive: total {total} counts reasoning {hidden} beside it"
    if total is not None and total != given and total != (found.get("input_tokens") or 0) + (made or 0):
        flags.append(f"total_tokens {total} <> input_tokens {found.get('input_tokens')} + output_tokens {made}")
    return reading


def _split_cache_write(found: Found, write: int, flags: list[str]) -> None:
    """Writes without a stated life are five-minute writes; a stated split must add up."""
    short, long = found.get("cache_write_5m_tokens"), found.get("cache_write_1h_tokens")
    if short is None:
        # Writes of an hour are a part of all writes; a part larger than the whole shows below.
        short = found["cache_write_5m_tokens"] = max(write - (long or 0), 0)
    if short + (long or 0) != write:
        flags.append(f"cache_write_tokens {write} <> 5m {short} + 1h {long}")


def _read_odd(found: Found, flags: list[str]) -> str | None:
    """Read usage that came as one value; return why the input leaves the cache out, where it does."""
    why = None
    if (buckets := mapping(found.pop("usage_details", None))) and "input_tokens" not in found:
        why = _take(found, langfuse_usage(buckets, flags))
    if raw := mapping(found.pop("usage_raw", None)):
        counts = provider_usage(raw)
        own = counts["input_tokens"]
        is_own = counts.pop("is_exclusive") and found.get("input_tokens", own) == own
        # The span's own totals stand; the provider's details complete them.
        _take(found, counts)
        why = why or ("the provider's own counts" if is_own else None)
    if given := mapping(found.pop("provider_metadata", None)):
        _take_provider_metadata(found, given)
    fresh = found.pop("no_cache_tokens", None)
    cached = (found.get("cache_read_tokens") or 0) + (found.get("cache_write_tokens") or 0)
    if fresh is not None and "input_tokens" in found and found["input_tokens"] != fresh + cached:
        flags.append(f"input_tokens {found['input_tokens']} <> no cache {fresh} + cache {cached}")
    return why


def _take(found: Found, counts: Found) -> str | None:
    why: str | None = counts.pop("why", None)
    for slot, counted in counts.items():
        if counted is not None:
            found.setdefault(slot, counted)
    return why


def _take_provider_metadata(found: Found, given: dict[str, Any]) -> None:
    """Vercel AI SDK 5 leaves Anthropic's cache writes to the provider's own metadata."""
    own = mapping(given.get("anthropic"))
    counts = mapping(own.get("usage"))
    written = own.get("cacheCreationInputTokens", counts.get("cache_creation_input_tokens"))
    if written is not None and "cache_write_tokens" not in found:
        found["cache_write_tokens"] = count(written, "cacheCreationInputTokens")


def provider_usage(raw: dict[str, Any]) -> Found:
    """Read a provider's usage object (OpenAI chat or responses, Anthropic messages) into slots."""
    given_input = mapping(raw.get("prompt_tokens_details") or raw.get("input_tokens_details"))
    given_output = mapping(raw.get("completion_tokens_details") or raw.get("output_tokens_details"))
    lives = mapping(raw.get("cache_creation") or given_input.get("cache_creation_token_details"))
    counts = {
        "input_tokens": _first(raw, "prompt_tokens", "input_tokens"),
        "output_tokens": _first(raw, "completion_tokens", "output_tokens"),
        "total_tokens": _first(raw, "total_tokens"),
        "cache_read_tokens": _first(given_input, "cached_tokens", also=_first(raw, "cache_read_input_tokens")),
        "cache_write_tokens": _first(
            given_input, "cache_write_tokens", "cache_creation_tokens", also=_first(raw, "cache_creation_input_tokens")
        ),
        "cache_write_5m_tokens": _first(lives, "ephemeral_5m_input_tokens"),
        "cache_write_1h_tokens": _first(lives, "ephemeral_1h_input_tokens"),
        "input_audio_tokens": _first(given_input, "audio_tokens"),
        "input_image_tokens": _first(given_input, "image_tokens"),
        "reasoning_tokens": _first(given_output, "reasoning_tokens"),
        "output_audio_tokens": _first(given_output, "audio_tokens"),
    }
    is_anthropic = "prompt_tokens" not in raw and not given_input and "cache_read_input_tokens" in raw
    return counts | {"is_exclusive": is_anthropic}


def _first(raw: dict[str, Any], *names: str, also: int | None = None) -> int | None:
    for name in names:
        if raw.get(name) is not None:
            return count(raw[name], name)
    return also


#: Langfuse's buckets; each is apart from the others.
_BUCKETS = {
    "cache_read_tokens": ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read"),
    "cache_write_tokens": (
        "input_cache_creation",
        "cache_creation_input_tokens",
        "input_cache_creation_5m",
        "input_cache_write",
        "cache_write.input_tokens",
    ),
    "cache_write_1h_tokens": ("input_cache_creation_1h",),
    "input_audio_tokens": ("input_audio_tokens",),
    "input_image_tokens": ("input_image_tokens",),
    "reasoning_tokens": ("output_reasoning_tokens", "output_reasoning"),
    "output_audio_tokens": ("output_audio_tokens",),
}


def langfuse_usage(buckets: dict[str, Any], flags: list[str]) -> Found:
    """Read the Langfuse SDK's usage: a provider's object as given, or buckets that are apart from each other."""
    if "prompt_tokens" in buckets or "input_tokens" in buckets:
        counts = provider_usage(buckets)
        return counts | {"why": "the provider's own counts" if counts.pop("is_exclusive") else None}
    taken: Found = {slot: _first(buckets, *names) for slot, names in _BUCKETS.items()}
    total, fresh, made = (_first(buckets, name) for name in ("total", "input", "output"))
    inside = sum(taken[slot] or 0 for slot in taken if slot.startswith(("cache", "input")))
    made_inside = sum(taken[slot] or 0 for slot in taken if slot.startswith(("reasoning", "output")))
    if fresh is None and not inside:
        return {"output_tokens": made, "total_tokens": total}
    is_inclusive = inside + made_inside > 0 and total is not None and total == (fresh or 0) + (made or 0)
    if is_inclusive:
        flags.append(f"total {total} = input {fresh} + output {made}: the buckets hold each other")
    elif total is not None and total != (fresh or 0) + (made or 0) + inside + made_inside:
        flags.append(f"total {total} <> the sum of its parts {(fresh or 0) + (made or 0) + inside + made_inside}")
    if taken["cache_write_1h_tokens"] is not None:
        short, taken["cache_write_tokens"] = taken["cache_write_tokens"], None
        taken["cache_write_5m_tokens"] = short
    # What is neither cache nor text is put into the input here, the cache where every other reading adds it.
    media = (taken["input_audio_tokens"] or 0) + (taken["input_image_tokens"] or 0)
    why = None if is_inclusive else "Langfuse buckets are apart"
    return taken | {
        "input_tokens": (fresh or 0) + (0 if is_inclusive else media),
        "output_tokens": None if made is None else made + (0 if is_inclusive else made_inside),
        "total_tokens": total,
        "why": why,
    }


def read_cost(found: Found) -> None:
    """Keep the emitter's own estimate, exactly; details are parts of the total and are left alone."""
    given = found.pop("source_cost", None)
    details = mapping(found.pop("cost_details", None))
    if given is None and details:
        given = details.get("total")
        if given is None and all(isinstance(cost, Decimal | int) for cost in details.values()):
            given = sum(Decimal(cost) for cost in details.values())
    if given is not None and given != "":
        found["source_cost"] = money(given, "cost")
