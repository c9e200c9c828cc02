"""What LiteLLM's two exports share: its usage object, its ids, its costs, and where callers' fields survive."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from attribution import normalization
from attribution.reading import Document, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._identities import violations
from attribution.sources._ownership import Ownership

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX_TRACE = re.compile(r"[0-9A-Fa-f]{32}")
_CACHE_HIT = "_cache_hit"
_OPERATIONS = {
    "completion": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "responses": "responses",
    "anthropic_messages": "chat",
    "generate_content": "generate_content",
    "generate_content_stream": "generate_content",
    "image_generation": "image",
    "image_edit": "image",
    "transcription": "audio",
    "speech": "audio",
    "rerank": "rerank",
}
#: Calls whose answers carry an id of their own; a record of theirs under the call's id is a failure.
_ANSWERS_WITH_ID = {"chat", "text_completion", "responses", "generate_content"}


def operation(call_type: str | None) -> str | None:
    """Return our name of a call type; `acompletion` is the same as `completion`."""
    if call_type is None:
        return None
    plain = call_type[1:] if call_type.startswith("a") and call_type[1:] in _OPERATIONS else call_type
    return _OPERATIONS.get(plain, plain)


def answers_with_id(kind: str | None) -> bool:
    """Tell whether a successful call of this kind has an id that the provider or LiteLLM made for its answer."""
    return kind in _ANSWERS_WITH_ID


def model(name: str | None, provider: str | None) -> str | None:
    """Strip the provider's name from a model; other slashes belong to the model."""
    if name and provider and name.startswith(provider + "/"):
        return name[len(provider) + 1 :]
    return name


def host(api_base: Any) -> str | None:
    """Return the host of an endpoint, which is written with and without path."""
    return _host(api_base) if type(api_base) is str and api_base else None


@lru_cache(maxsize=4_096)
def _host(api_base: str) -> str | None:
    try:
        return urlsplit(api_base if "//" in api_base else "//" + api_base).hostname
    except ValueError:
        return None  # no address at all, such as `[1]`


def trace(value: str | None) -> str | None:
    """Return a trace id, in lower case where it is an OpenTelemetry id."""
    return value.lower() if value and _HEX_TRACE.fullmatch(value) else value


def identify(row: Row, record: str, call: str | None) -> None:
    """Fill the ids of a record from LiteLLM's own.

    A failure's or embedding's record carries the id of the call, which a proxy reuses over retries, so its start is
    part of its identity. A cache hit repeats the id of the answer it repeats, with a suffix made anew in each export.
    """
    milliseconds = (row["started_at"] or 0) // 1000
    original, is_hit, _ = record.partition(_CACHE_HIT)
    if is_hit:
        row["record_id"] = f"{original}{_CACHE_HIT}@{call or milliseconds}"
    elif record == call or _UUID.fullmatch(record):
        row["record_id"] = f"{record}@{milliseconds}"
    else:
        row["record_id"] = record
    row["native_id"] = row["record_id"]
    is_answer = not is_hit and record != call and row["status"] == "ok"
    row["response_id"] = normalization.response_id(record) if is_answer else None
    row["gateway_call_id"] = call


def join_attempts(row: Row, trace_id: str | None, is_proxy: bool, retries: int | None, fallbacks: int | None) -> None:
    """Say what the attempts of one logical call share.

    A proxy gives them one call id. The SDK and the Router make a new one per attempt; there only the trace joins
    them, and only records that are an attempt of several (a failure, or a success after one) are joined by it.
    """
    if is_proxy and row["gateway_call_id"]:
        row["operation_key"] = row["gateway_call_id"]
    elif row["status"] == "error" or retries or fallbacks:
        row["operation_key"] = trace_id
    if retries is not None and not fallbacks:
        row["attempt_no"] = retries + 1


def take_usage(row: Row, usage: Any, where: str) -> None:
    """Fill the parts of the usage; LiteLLM's totals include all of them, for every provider."""
    if usage is None:
        return
    if type(usage) is not dict:
        raise Unreadable("not_an_object", "an object", type(usage).__name__, where)
    prompt = _details(usage, "prompt_tokens_details", where)
    completion = _details(usage, "completion_tokens_details", where)
    row["cache_read_tokens"] = _first((prompt, "cached_tokens"), (usage, "cache_read_input_tokens"), where=where)
    _take_writes(row, usage, prompt, where)
    row["input_audio_tokens"] = normalization.count(prompt.get("audio_tokens"), f"{where}.audio_tokens")
    row["input_image_tokens"] = normalization.count(prompt.get("image_tokens"), f"{where}.image_tokens")
    row["input_video_tokens"] = normalization.count(prompt.get("video_tokens"), f"{where}.video_tokens")
    row["reasoning_tokens"] = normalization.count(completion.get("reasoning_tokens"), f"{where}.reasoning_tokens")
    row["output_audio_tokens"] = normalization.count(completion.get("audio_tokens"), f"{where}.audio_tokens")
    row["output_image_tokens"] = normalization.count(completion.get("image_tokens"), f"{where}.image_tokens")
    row["service_tier"] = normalization.service_tier(usage.get("service_tier"))
    row["region"] = normalization.text(usage.get("inference_geo"), f"{where}.inference_geo")
    tools = _details(usage, "server_tool_use", where)
    searches = _first((tools, "web_search_requests"), (prompt, "web_search_requests"), where=where)
    if searches:
        row["other_usage"] = [("web_search", Decimal(searches))]


def _take_writes(row: Row, usage: Document, prompt: Document, where: str) -> None:
    """Fill cache writes; `cache_write_tokens` and `cache_creation_tokens` are the same tokens."""
    written = _first(
        (prompt, "cache_creation_tokens"),
        (prompt, "cache_write_tokens"),
        (usage, "cache_creation_input_tokens"),
        where=where,
    )
    split = _details(prompt, "cache_creation_token_details", where)
    hour = normalization.count(split.get("ephemeral_1h_input_tokens"), f"{where}.ephemeral_1h_input_tokens")
    short = normalization.count(split.get("ephemeral_5m_input_tokens"), f"{where}.ephemeral_5m_input_tokens")
    if short is None and written is not None and written >= (hour or 0):
        short = written - (hour or 0)
    row["cache_write_5m_tokens"], row["cache_write_1h_tokens"] = short, hour
    parts = (short or 0) + (hour or 0)
    if written is not None and parts != written:
        row["usage_flags"] = [f"cache_write_5m_tokens + cache_write_1h_tokens {parts} <> cache writes {written}"]


def _details(holder: Document, name: str, where: str) -> Document:
    value = holder.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise Unreadable("not_an_object", "an object", type(value).__name__, f"{where}.{name}")
    return value


def _first(*places: tuple[Document, str], where: str) -> int | None:
    for holder, name in places:
        value = normalization.count(holder.get(name), f"{where}.{name}")
        if value is not None:
            return value
    return None


def settle_usage(row: Row) -> None:
    """Tell metered from unmetered, and check the identities.

    LiteLLM writes 0 where it has no usage: on failures and on streams that the provider did not meter.
    """
    counts = (row["input_tokens"], row["output_tokens"], row["total_tokens"])
    row["is_metered"] = any(counts)
    row["usage_reading"] = "inclusive: LiteLLM counts cache reads, writes and reasoning within its totals"
    if not row["is_metered"]:
        for name in [name for name in row if name.endswith("_tokens")]:
            row[name] = None
    flags = (row.get("usage_flags") or []) + (violations(row) or [])
    row["usage_flags"] = flags or None


def settle_cost(row: Row, cost: Decimal | None, breakdown: Any) -> None:
    """Keep LiteLLM's cost; a 0 is kept for cache hits and for models that it prices at 0, and is unknown otherwise."""
    breakdown = breakdown if type(breakdown) is dict else None
    flags = list(row.get("usage_flags") or [])
    if not cost and not row["cache_hit"]:
        if not row["is_metered"]:
            cost = None
        elif breakdown is None:
            cost = None
            flags.append("source_cost:unpriced_at_source")
    if breakdown is not None and cost is not None and not row["cache_hit"]:
        original = normalization.money(breakdown.get("original_cost"), "cost_breakdown.original_cost")
        if original is not None and original != cost:
            flags.append(f"source_cost:{cost:f} after discount or margin on {original:f}")
    row["source_cost"] = cost
    row["usage_flags"] = flags or None
    if breakdown is not None and row.get("service_tier") is None:
        row["service_tier"] = normalization.service_tier(breakdown.get("service_tier"))


def own(intake: Intake, tags: Any, end_user: Any, *places: tuple[str, Any]) -> Ownership:
    """Read the caller's fields: declared objects first, then tags, then the end user."""
    ownership = Ownership(intake)
    for where, place in places:
        ownership.take(place, where)
    ownership.take_tags(tags, "request_tags")
    if end_user not in (None, "") and "user_id_hash" not in ownership.found:
        ownership.offer("user_id_hash", end_user, "end_user")
    return ownership


def claim(row: Row, ownership: Ownership, *teams: Any) -> None:
    """Note the team that owns the virtual key: a claim of the gateway, never the owner."""
    for team in teams:
        claimed = normalization.owner(team, "claimed_team", ownership.flags)
        if claimed:
            row["claimed_team"] = claimed
            break
    if row["api_key_id"] == "litellm_proxy_master_key":
        ownership.flags.append("master_key")
    ownership.write(row)
