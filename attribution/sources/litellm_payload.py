"""LiteLLM `StandardLoggingPayload`: what its callbacks write (S3, GCS, Azure, HTTP), one object per attempt."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _litellm
from attribution.sources._ownership import Ownership, split_baggage

NAME = "litellm_payload"
VERSION = 1
GRAIN = "one attempt: each retry and fallback that LiteLLM made is a record, those that a provider's SDK made are not"
GIVES = "calls, attempts, ownership (metadata, tags, key's team), usage, LiteLLM's own cost"
NESTING = "cache reads and writes are in the input, reasoning is in the output, for every provider"
MONEY = "US dollars, LiteLLM's price list; discounts and margins of the proxy may be inside"
ZONE = "epoch seconds"
MISTAKE = "a cost of 0 can be a cache hit, a failure, an unknown price or a stream without usage: one is free"
SIGNATURE = ("litellm_call_id", "call_type", "startTime", "response_cost", "hidden_params", "model_map_information")
#: OpenAI's, Anthropic's and Bedrock's header, as LiteLLM prefixes it on success and leaves it bare on failure.
_REQUEST_ID_HEADERS = [
    prefix + name for prefix in ("llm_provider-", "") for name in ("x-request-id", "request-id", "x-amzn-requestid")
]
_HEADERS = {"x-owner-team": "owner_team", "x-workflow-id": "workflow_id", "x-feature": "feature"}


def recognise(sample: Sample) -> int:
    """Look for the payload's own names beside its call id."""
    return max((_score(len(set(SIGNATURE) & set(document))) for document in sample.documents), default=0)


def _score(found: int) -> int:
    return 95 if found >= 5 else 60 if found >= 4 else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one payload as one attempt."""
    if "call_type" not in document or not ("id" in document or "litellm_call_id" in document):
        raise Unreadable("other_record", "a StandardLoggingPayload with call_type and id", list(document)[:8])
    metadata = _object(document, "metadata")
    hidden = _object(document, "hidden_params")
    headers = hidden.get("additional_headers")
    headers = headers if type(headers) is dict else {}
    provider = normalization.text(document.get("custom_llm_provider"), "custom_llm_provider")
    row: Row = {
        "role": "gateway_log",
        "started_at": normalization.epoch(document.get("startTime"), "startTime", 1),
        "ended_at": normalization.epoch(document.get("endTime"), "endTime", 1),
        "status": {"success": "ok", "failure": "error"}.get(str(document.get("status")), "unknown"),
        "operation": _litellm.operation(normalization.text(document.get("call_type"), "call_type")),
        "is_stream": normalization.flag(document.get("stream"), "stream"),
        "provider": normalization.provider(provider),
        "model": _litellm.model(normalization.text(document.get("model"), "model"), provider),
        "requested_model": normalization.text(document.get("model_group"), "model_group"),
        "cache_hit": normalization.flag(document.get("cache_hit"), "cache_hit"),
        "endpoint": _litellm.host(document.get("api_base")),
        "api_key_id": normalization.text(metadata.get("user_api_key_hash"), "metadata.user_api_key_hash"),
        "session_id": normalization.text(document.get("session_id"), "session_id"),
        "trace_id": _litellm.trace(normalization.text(document.get("trace_id"), "trace_id")),
        "input_tokens": normalization.count(document.get("prompt_tokens"), "prompt_tokens"),
        "output_tokens": normalization.count(document.get("completion_tokens"), "completion_tokens"),
        "total_tokens": normalization.count(document.get("total_tokens"), "total_tokens"),
    }
    _identify(row, document, intake)
    is_proxy = row["api_key_id"] is not None or metadata.get("requester_metadata") is not None
    retries = normalization.count(headers.get("x-litellm-attempted-retries"), "x-litellm-attempted-retries")
    fallbacks = normalization.count(headers.get("x-litellm-attempted-fallbacks"), "x-litellm-attempted-fallbacks")
    _litellm.join_attempts(row, row["trace_id"], is_proxy, retries, fallbacks)
    _take_errors(row, document, headers)
    _litellm.take_usage(row, metadata.get("usage_object"), "usage_object")
    _litellm.settle_usage(row)
    cost = normalization.money(document.get("response_cost"), "response_cost")
    _litellm.settle_cost(row, cost, document.get("cost_breakdown"))
    _take_response_tier(row, document.get("response"))
    _take_ownership(row, document, metadata, intake)
    intake.accept(line, observation=row)


def _object(document: Document, name: str) -> Document:
    value = document.get(name)
    return value if type(value) is dict else {}


def _identify(row: Row, document: Document, intake: Intake) -> None:
    record = normalization.text(document.get("id"), "id")
    call = normalization.text(document.get("litellm_call_id"), "litellm_call_id")
    if record is None and call is None:
        row["native_id"] = intake.content_id(sorted((name, str(value)) for name, value in row.items()))
        return
    _litellm.identify(row, record or call or "", call)


def _take_errors(row: Row, document: Document, headers: Document) -> None:
    """Fill the provider's request id and what failed; on success the error object holds empty texts."""
    errors = _object(document, "error_information")
    for name in _REQUEST_ID_HEADERS:
        if type(headers.get(name)) is str:
            row["provider_request_id"] = headers[name]
            break
    else:
        row["provider_request_id"] = errors.get("error_provider_request_id") or None
    if row["status"] == "error":
        row["error_type"] = normalization.text(
            errors.get("error_class") or errors.get("error_code"), "error_information"
        )


def _take_response_tier(row: Row, response: Any) -> None:
    """The answer's own tier, where answers are kept in the log."""
    if type(response) is dict and row.get("service_tier") is None:
        row["service_tier"] = normalization.service_tier(response.get("service_tier"))


def _take_ownership(row: Row, document: Document, metadata: Document, intake: Intake) -> None:
    requester = metadata.get("requester_metadata")
    headers = requester.get("headers") if type(requester) is dict else None
    baggage = split_baggage(headers.get("baggage")) if type(headers) is dict else None
    custom = metadata.get("requester_custom_headers")
    ours = (
        {_HEADERS[k.lower()]: v for k, v in custom.items() if k.lower() in _HEADERS} if type(custom) is dict else None
    )
    ownership: Ownership = _litellm.own(
        intake,
        document.get("request_tags"),
        document.get("end_user"),
        ("spend_logs_metadata", metadata.get("spend_logs_metadata")),
        ("requester_metadata", requester),
        ("headers", ours),
        ("baggage", baggage),
    )
    if "metadata" in document and type(document["metadata"]) is not dict:
        ownership.flags.append("metadata:not_an_object")
    _litellm.claim(row, ownership, metadata.get("user_api_key_team_alias"), metadata.get("user_api_key_team_id"))
