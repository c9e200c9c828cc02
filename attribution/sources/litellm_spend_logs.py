"""LiteLLM `LiteLLM_SpendLogs`: the proxy's table, as JSON, CSV dump or Parquet, one row per logged attempt."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, embedded
from attribution.sources import Intake, Row, _litellm

NAME = "litellm_spend_logs"
VERSION = 1
GRAIN = "one logged attempt; a fallback's failed attempts are under-recorded"
GIVES = "calls, attempts, ownership (tags, spend_logs_metadata, key's team, end user), usage, LiteLLM's own cost"
NESTING = "cache reads and writes are in the input, reasoning is in the output, for every provider"
MONEY = "US dollars, LiteLLM's price list; discounts and margins of the proxy may be inside"
ZONE = "naive times are UTC"
MISTAKE = "free-form metadata is not stored in this table: a missing owner may mean sent, not stored"
SIGNATURE = ("request_id", "call_type", "spend", "startTime", "request_tags", "team_id", "cache_key")
_MISSING = ("", "None", "null", "NULL", "\\N")


def recognise(sample: Sample) -> int:
    """Look for the table's own columns."""
    names = [set(document) for document in sample.documents] or [set(sample.columns)]
    found = max((len(set(SIGNATURE) & each) for each in names), default=0)
    return 95 if found >= 6 else 60 if found >= 5 else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one row as one attempt."""
    if "request_id" not in document or "call_type" not in document:
        raise Unreadable("other_record", "a row with request_id and call_type", list(document)[:8])
    metadata = _object(document.get("metadata"), "metadata")
    provider = _text(document, "custom_llm_provider")
    row: Row = {
        "role": "gateway_log",
        "started_at": normalization.instant(_cell(document, "startTime"), "startTime", "UTC"),
        "ended_at": normalization.instant(_cell(document, "endTime"), "endTime", "UTC"),
        "operation": _litellm.operation(_text(document, "call_type")),
        "provider": normalization.provider(provider),
        "model": _litellm.model(_text(document, "model"), provider),
        "requested_model": _text(document, "model_group"),
        "cache_hit": _python_flag(document.get("cache_hit"), "cache_hit"),
        "endpoint": _litellm.host(document.get("api_base")),
        "api_key_id": _text(document, "api_key"),
        "trace_id": _litellm.trace(_text(document, "session_id")),
        "input_tokens": normalization.count_text(_cell(document, "prompt_tokens"), "prompt_tokens"),
        "output_tokens": normalization.count_text(_cell(document, "completion_tokens"), "completion_tokens"),
        "total_tokens": normalization.count_text(_cell(document, "total_tokens"), "total_tokens"),
    }
    call = _text(document, "litellm_call_id") or normalization.text(metadata.get("litellm_call_id"), "litellm_call_id")
    record = _text(document, "request_id")
    row["status"] = _status(document, metadata, row, record == call or record is None)
    if record is None and call is None:
        row["native_id"] = intake.content_id(sorted((name, str(value)) for name, value in row.items()))
    else:
        _litellm.identify(row, record or call or "", call)
    retries = normalization.count(metadata.get("attempted_retries"), "attempted_retries")
    fallbacks = normalization.count(metadata.get("attempted_fallbacks"), "attempted_fallbacks")
    _litellm.join_attempts(row, row["trace_id"], row["api_key_id"] is not None, retries, fallbacks)
    _take_errors(row, metadata)
    _litellm.take_usage(row, metadata.get("usage_object") or metadata.get("additional_usage_values"), "usage_object")
    _litellm.settle_usage(row)
    _litellm.settle_cost(row, normalization.money(_cell(document, "spend"), "spend"), metadata.get("cost_breakdown"))
    _take_ownership(row, document, metadata, intake)
    intake.accept(line, observation=row)


def _cell(document: Document, name: str) -> Any:
    value = document.get(name)
    return None if type(value) is str and value in _MISSING else value


def _text(document: Document, name: str) -> str | None:
    return normalization.text(_cell(document, name), name)


def _object(value: Any, field: str) -> Document:
    """A JSON column: an object in logger payloads and API answers, text in dumps."""
    if type(value) is str:
        value = None if value in _MISSING else embedded(value, field)
    if value is not None and type(value) is not dict:
        raise Unreadable("not_an_object", "an object", type(value).__name__, field)
    return value or {}


def _python_flag(value: Any, field: str) -> bool | None:
    """The column holds the words that Python has for true, false and nothing."""
    if type(value) is not str:
        return normalization.flag(value, field)
    words = {"true": True, "false": False, "none": None, "": None, "null": None, "\\n": None}
    if value.lower() not in words:
        raise Unreadable("not_a_flag", "True, False or None", value, field)
    return words[value.lower()]


def _status(document: Document, metadata: Document, row: Row, is_under_call_id: bool) -> str:
    """Tell failures apart; the column alone says `success` of failures that the proxy's hook did not stamp.

    A chat that succeeded is stored under the id of its answer; one under the id of the call, without tokens, failed.
    """
    if "failure" in (_text(document, "status"), metadata.get("status")) or metadata.get("error_information"):
        errors = metadata.get("error_information")
        if type(errors) is not dict or any(errors.values()) or _text(document, "status") == "failure":
            return "error"
    if is_under_call_id and not (row["input_tokens"] or row["output_tokens"]):
        return "error" if _litellm.answers_with_id(row["operation"]) else "unknown"
    return "ok" if _text(document, "status") in ("success", None) else "unknown"


def _take_errors(row: Row, metadata: Document) -> None:
    errors = metadata.get("error_information")
    if type(errors) is dict and row["status"] == "error":
        row["provider_request_id"] = normalization.text(errors.get("error_provider_request_id"), "error_information")
        row["error_type"] = normalization.text(
            errors.get("error_class") or errors.get("error_code"), "error_information"
        )


def _take_ownership(row: Row, document: Document, metadata: Document, intake: Intake) -> None:
    tags = _cell(document, "request_tags")
    tags = embedded(tags, "request_tags") if type(tags) is str else tags
    ownership = _litellm.own(
        intake, tags, _cell(document, "end_user"), ("spend_logs_metadata", metadata.get("spend_logs_metadata"))
    )
    team = metadata.get("user_api_key_team_id") or _cell(document, "team_id")
    _litellm.claim(row, ownership, metadata.get("user_api_key_team_alias"), team)
