"""Columns that real exports have, and which field each may be: used where no map is declared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from attribution.reading import Sample, Unreadable
from attribution.sources._tags import read_tags

#: Field → names seen in exports, likeliest first; compared without case and separators.
ALIASES = {
    "trace_id": ("trace_id", "context.trace_id", "x-portkey-trace-id", "correlation_id"),
    "session_id": ("session_id", "conversation.id", "conversation_id"),
    "response_id": ("response_id", "gen_ai.response.id", "message.id"),
    "gateway_call_id": ("litellm_call_id",),
    "event_id": ("request_id", "event_id", "call_id", "id", "span_id"),
    "parent_id": ("parent_id", "parent_span_id", "parent_observation_id"),
    "timestamp": (
        "timestamp",
        "started_at",
        "start_time",
        "request_created_at",
        "startTimeUnixNano",
        "event.timestamp",
        "created_at",
        "time",
    ),
    "ended_at": ("ended_at", "end_time", "endTimeUnixNano", "completed_at"),
    "provider": (
        "provider",
        "custom_llm_provider",
        "ai_org",
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.provider",
    ),
    "model": (
        "gen_ai.response.model",
        "response_model",
        "model",
        "model_name",
        "provided_model_name",
        "ai_model",
        "llm.model_name",
        "message.model",
        "request_model",
    ),
    "input_tokens": (
        "input_tokens",
        "prompt_tokens",
        "usage.input_tokens",
        "usage.prompt_tokens",
        "message.usage.input_tokens",
        "gen_ai.usage.input_tokens",
        "req_units",
        "llm.token_count.prompt",
        "usage_details.input",
        "inputUsage",
    ),
    "output_tokens": (
        "output_tokens",
        "completion_tokens",
        "usage.output_tokens",
        "usage.completion_tokens",
        "message.usage.output_tokens",
        "gen_ai.usage.output_tokens",
        "res_units",
        "llm.token_count.completion",
        "usage_details.output",
        "outputUsage",
    ),
    "cache_read_tokens": (
        "cache_read_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        "usage.prompt_tokens_details.cached_tokens",
        "usage.input_tokens_details.cached_tokens",
        "usage.cache_read_input_tokens",
        "message.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "prompt_cache_read_tokens",
        "input_cached_tokens",
        "cached_input_tokens",
        "cacheRead",
    ),
    "cache_write_5m_tokens": (
        "cache_write_5m_tokens",
        "cache_creation_input_tokens",
        "usage.cache_creation_input_tokens",
        "message.usage.cache_creation_input_tokens",
        "cache_write_input_tokens",
        "cache_write_tokens",
        "prompt_cache_write_tokens",
        "input_cache_creation",
        "cacheCreation",
    ),
    "cache_write_1h_tokens": ("cache_write_1h_tokens",),
    "reasoning_tokens": (
        "reasoning_tokens",
        "usage.completion_tokens_details.reasoning_tokens",
        "usage.output_tokens_details.reasoning_tokens",
        "reasoning_output_tokens",
        "output_reasoning_tokens",
        "thinking_tokens",
    ),
    "total_tokens": ("total_tokens", "usage.total_tokens"),
    "cost_usd": ("cost_usd", "estimated_cost_usd", "total_cost_usd", "spend_usd"),
    "service_tier": ("service_tier", "openai.response.service_tier", "usage_pricing_tier_name"),
    "owner_team": ("owner_team", "team", "team_alias", "team.id", "team_id", "metadata.owner_team", "tags[team]"),
    "workflow_id": (
        "workflow_id",
        "workflow",
        "gen_ai.workflow.name",
        "traceloop.workflow.name",
        "metadata.workflow_id",
    ),
    "feature": ("feature", "use_case", "ai.telemetry.functionId", "metadata.feature"),
    "tenant_id_hash": ("tenant_id_hash", "customer_id_hash", "tenant_id", "tenant", "customer_id", "customer"),
    "user_id_hash": ("user_id_hash", "end_user", "user_id", "request_user_id"),
    "cache_hit": ("cache_hit",),
    "status": ("status", "is_success", "response_status", "status_code"),
    "operation": ("operation", "gen_ai.operation.name", "call_type"),
}
#: A cost whose name does not say the unit may be dollars, cents or nano-dollars; it is shown, never taken.
UNCLEAR_COSTS = ("cost", "total_cost", "spend", "response_cost", "price", "calculated_total_cost", "amount")
#: Rows that count calls are sums of many; each would be taken for one call.
AGGREGATES = (
    "api_requests",
    "successful_requests",
    "failed_requests",
    "requests",
    "request_count",
    "num_requests",
    "num_model_requests",
    "calls",
    "call_count",
)
_SEPARATORS = re.compile(r"[^a-z0-9\[\]]+")


def plain(name: str) -> str:
    """Return a name without case and separators: `startTime` and `start_time` are the same."""
    return _SEPARATORS.sub("", name.lower())


def flat_names(documents: Iterable[Any], columns: Iterable[str] = ()) -> list[str]:
    """Names of all values of the first documents, nested ones as dotted paths, in the order they are met."""
    found: dict[str, None] = dict.fromkeys(columns)
    for document in documents:
        waiting = [("", document, 0)]
        while waiting:
            prefix, value, depth = waiting.pop(0)
            for key, inner in value.items():
                name = f"{prefix}{key}"
                if type(inner) is dict and inner and depth < 4:
                    waiting.append((f"{name}.", inner, depth + 1))
                found.setdefault(name)
    return list(found)


def detect(sample: Sample) -> dict[str, Any]:
    """Return the column map that the names suggest."""
    names: dict[str, str] = {}
    for name in flat_names(sample.documents, sample.columns):
        names.setdefault(plain(name), name)
    tags = {key for document in sample.documents for key in _tag_keys(document)}
    names |= {f"tags[{key}]": f"tags[{key}]" for key in tags if plain(key) == "team"}
    mapping: dict[str, Any] = {}
    for field, aliases in ALIASES.items():
        present = list(dict.fromkeys(names[plain(alias)] for alias in aliases if plain(alias) in names))
        if present:
            mapping[field] = present if len(present) > 1 else present[0]
    return mapping


def _tag_keys(document: dict[str, Any]) -> Iterable[str]:
    try:
        return read_tags(document.get("tags"))
    except Unreadable:
        return ()


def is_aggregate(sample: Sample) -> bool:
    """Tell whether rows count calls; no call counts calls."""
    names = {plain(name) for document in sample.documents for name in document} | set(map(plain, sample.columns))
    return any(plain(name) in names for name in AGGREGATES)


def is_confident(mapping: dict[str, Any]) -> bool:
    """A file is read without a map only where it names at least a model and its input or output tokens."""
    return "model" in mapping and ("input_tokens" in mapping or "output_tokens" in mapping)
