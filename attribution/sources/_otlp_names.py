"""What every generation of telemetry calls a thing: attribute key → our slot, best spelling first."""

from __future__ import annotations

import re
from typing import Any

from attribution.usage import USAGE_ATTRIBUTES

#: How a slot's value is checked: text, a whole number, or by whoever reads the slot.
TEXT, COUNT, ANY = 0, 1, 2
Known = tuple[str, int, int]
Names = dict[str, Known | None]
_REMEMBERED = 50_000

_TEXT = {
    "operation": ("gen_ai.operation.name", "llm.request.type"),
    "provider": (
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.provider",
        "llm.vendor",
        "llm.system",
        "ai.model.provider",
    ),
    "requested_model": (
        "gen_ai.request.model",
        "llm.request.model",
        "llm.request.model_name",
        "ai.model.id",
    ),
    "model": (
        "gen_ai.response.model",
        "llm.response.model",
        "llm.response.model_name",
        "ai.response.model",
        "llm.model_name",
        "embedding.model_name",
        "langfuse.observation.model.name",
    ),
    "response_id": ("gen_ai.response.id", "ai.response.id"),
    "error_type": ("error.type",),
    "endpoint": ("server.address",),
    "session_id": (
        "gen_ai.conversation.id",
        "session.id",
        "traceloop.association.properties.session_id",
        "ai.telemetry.metadata.sessionId",
        "conversation.id",
    ),
    "gateway_call_id": ("litellm.call_id",),
}
_ODD_COUNT: dict[str, tuple[str, ...]] = {
    "cache_write_5m_tokens": ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    "cache_write_1h_tokens": ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    "no_cache_tokens": ("ai.usage.inputTokenDetails.noCacheTokens",),
}
_ANY: dict[str, tuple[str, ...]] = {
    "is_stream": ("gen_ai.request.stream", "llm.is_streaming", "gen_ai.is_streaming"),
    "service_tier": (
        "openai.response.service_tier",
        "anthropic.response.service_tier",
        "gen_ai.openai.response.service_tier",
        # Version 2.1b0 of the Python instrumentation puts the tier that answered here.
        "gen_ai.openai.request.service_tier",
        "openai.request.service_tier",
    ),
}
#: A plain call of the current convention has none of these; spans with none take a shorter way.
_ODD: dict[str, tuple[str, ...]] = {
    "source_cost": (
        "gen_ai.usage.cost",
        "gen_ai.usage.total_cost",
        "gen_ai.cost.total_cost",
        "llm.cost.total",
        "operation.cost",
    ),
    "api_base": ("gen_ai.openai.api_base", "openai.api_base"),
    # What tells the dialect.
    "openinference_kind": ("openinference.span.kind",),
    "traceloop_kind": ("traceloop.span.kind",),
    "vercel_operation": ("ai.operationId",),
    "langfuse_type": ("langfuse.observation.type",),
    "logfire_type": ("logfire.span_type",),
    "codex_turn": ("codex.turn.token_usage.input_tokens",),
    "aggregated": ("gen_ai.aggregated_usage.input_tokens",),
    # Claude Code has no name space of its own; Codex names the model on a span above.
    "plain_model": ("model",),
    "plain_input": ("input_tokens",),
    "plain_output": ("output_tokens",),
    "plain_read": ("cache_read_tokens",),
    "plain_write": ("cache_creation_tokens",),
    "request_id": ("request_id",),
    "code_path": ("code.filepath", "code.file.path"),
    "code_line": ("code.lineno", "code.line.number"),
    # Usage in a value of its own.
    "usage_raw": ("gen_ai.usage.raw", "metadata.usage_object"),
    "usage_details": ("langfuse.observation.usage_details",),
    "cost_details": ("langfuse.observation.cost_details",),
    "provider_metadata": ("ai.response.providerMetadata",),
    "invocation_parameters": ("llm.invocation_parameters", "embedding.invocation_parameters"),
    "answer": ("output.value",),
    "hidden_params": ("hidden_params",),
    "key_hash": ("metadata.user_api_key_hash",),
    "project_id": ("metadata.user_api_key_project_id",),
    # Messages.
    "message_id": ("messaging.message.id", "messaging.message_id"),
    "messaging_system": ("messaging.system",),
    "destination": ("messaging.destination.name", "messaging.destination", "messaging.destination_name"),
    "temporal_run": ("temporalRunID",),
    "ray_task": ("ray.task_id",),
    "bullmq_job": ("bullmq.job.id",),
    "kafka_offset": ("messaging.kafka.message.offset", "messaging.kafka.offset"),
    "kafka_partition": (
        "messaging.destination.partition.id",
        "messaging.kafka.partition",
        "messaging.kafka.destination.partition",
    ),
    "celery": ("celery.action",),
}
OWNERS = ("owner_team", "workflow_id", "feature", "tenant_id_hash", "user_id_hash")
#: Prefixes under which a dialect carries the keys of the contract, best first.
_OWNER_PREFIXES = (
    "",
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "langfuse.observation.metadata.",
    "langfuse.trace.metadata.",
    "metadata.",
)
_OWNER_ALIASES = {
    "workflow_id": ("gen_ai.workflow.name", "traceloop.workflow.name"),
    "tenant_id_hash": ("customer_id_hash",),
    "user_id_hash": ("user.id", "gen_ai.user", "ai.telemetry.metadata.userId", "enduser.id"),
}
_OWNER_ODD = {
    "metadata": ("metadata",),
    "requester_metadata": ("metadata.requester_metadata",),
    "spend_logs_metadata": ("metadata.spend_logs_metadata",),
    "tags": ("tag.tags", "langfuse.trace.tags"),
    "claimed_team": (
        "metadata.user_api_key_team_alias",
        "metadata.user_api_key_team_id",
        "gateway.team",
        "team.id",
        "team.name",
        "team",
        "team_id",
        "department",
        "cost_center",
        "cost.center",
    ),
}
_CONTRACT: dict[str, tuple[str, ...]] = {owner: (owner,) for owner in OWNERS}
_RESOURCE: dict[str, tuple[str, ...]] = {
    "service": ("service.name",),
    "instance": ("service.instance.id",),
}


def look_up(key: Any, names: Names) -> Known | None:
    """Look at a key that the table does not have, once, and remember what it is."""
    if type(key) is not str:
        raise TypeError(key)
    known = ("near_key", 1, ANY) if near_key(key) else None
    if len(names) < _REMEMBERED:
        names[key] = known
    return known


_NEAR = {name.replace("_", "") for name in OWNERS}


def near_key(key: str) -> bool:
    """Tell whether a key differs from one of the contract's in case or joints only: reported, never read."""
    last = key.rsplit("properties.", 1)[-1].rsplit("metadata.", 1)[-1]
    return len(last) <= 20 and last not in OWNERS and re.sub(r"[^a-z]", "", last.lower()) in _NEAR


def _table(*groups: tuple[dict[str, tuple[str, ...]], int, int]) -> Names:
    return {
        key: (slot, rank, check)
        for group, check, first in groups
        for slot, keys in group.items()
        for rank, key in enumerate(keys, first)
    }


def _owner_keys() -> dict[str, tuple[str, ...]]:
    return {
        owner: tuple(prefix + owner for prefix in _OWNER_PREFIXES)
        + tuple(
            prefix + alias if "." not in alias else alias
            for alias in _OWNER_ALIASES.get(owner, ())
            for prefix in (_OWNER_PREFIXES if "." not in alias else ("",))
        )
        for owner in OWNERS
    }


SPAN = _table(
    (_TEXT, TEXT, 0),
    (USAGE_ATTRIBUTES, COUNT, 0),
    (_ANY, ANY, 0),
    (_owner_keys(), ANY, 0),
    (_ODD, ANY, 1),
    (_ODD_COUNT, COUNT, 1),
    (_OWNER_ODD, ANY, 1),
)
#: Resource and scope attributes: who runs, and what was declared for everything that runs there.
RESOURCE = _table((_RESOURCE, ANY, 0), (_CONTRACT, ANY, 0), ({"claimed_team": _OWNER_ODD["claimed_team"][2:]}, ANY, 1))
_LOG: dict[str, tuple[str, ...]] = {
    "event_name": ("event.name",),
    "event_time": ("event.timestamp",),
    "duration_ms": ("duration_ms",),
    "status_code": ("status_code",),
    "speed": ("speed",),
    "cost_usd": ("cost_usd",),
}
LOG = SPAN | _table((_LOG, ANY, 0))
