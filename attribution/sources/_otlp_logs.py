"""Log records that are calls: Claude Code's events, one per API request; every other record is context."""

from __future__ import annotations

from typing import Any

from attribution.normalization import count_text, instant, money, text
from attribution.reading import Unreadable
from attribution.sources import Intake, Row
from attribution.sources._otlp_attributes import gather
from attribution.sources._otlp_intake import Place
from attribution.sources._otlp_names import LOG, RESOURCE
from attribution.sources._otlp_owners import read_owners
from attribution.sources._otlp_spans import Context, context_of
from attribution.sources._otlp_values import an_object, hex_id, listed, microseconds

_SCOPES = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs")
_RECORDS = ("logRecords", "log_records", "logs")
_CALLS = {
    "claude_code.api_request": "ok",
    "api_request": "ok",
    "claude_code.api_error": "error",
    "api_error": "error",
}


def read_logs(resource: Any, place: Place, intake: Intake) -> None:
    """Take the calls among the log records of a resource."""
    own = gather(
        an_object(an_object(resource, "resourceLogs").get("resource") or {}, "resource").get("attributes"), RESOURCE
    )
    for key in _SCOPES:
        for group in listed(resource.get(key), key):
            scope = an_object(an_object(group, key).get("scope") or {}, "scope")
            context = context_of(own.copy(), {}, scope.get("name") or "", "", intake.hash_key)
            for name in _RECORDS:
                for record in listed(group.get(name), name):
                    _take(record, context, place, intake)


def _take(record: Any, context: Context, place: Place, intake: Intake) -> None:
    ordinal = place.ordinal
    place.ordinal += 1
    try:
        row = _row(an_object(record, "logRecords"), context, intake)
    except Unreadable as fault:
        intake.set_aside(place.line, fault, ordinal)
        return
    if row is None:
        intake.pass_over()
    else:
        intake.accept(place.line, observation=row)


def _row(record: dict[str, Any], context: Context, intake: Intake) -> Row | None:
    if not (context.service or "").startswith("claude-code") and not context.scope.startswith("com.anthropic"):
        return None
    found = gather(record.get("attributes"), LOG)
    found.pop("odd", None)
    status = _CALLS.get(str(found.pop("event_name", None)))
    if status is None:
        return None
    ended_at = instant(found.pop("event_time", None), "event.timestamp")
    if ended_at is None:
        ended_at = microseconds(record.get("timeUnixNano") or record.get("observedTimeUnixNano"), "timeUnixNano")
    took = count_text(found.pop("duration_ms", None), "duration_ms")
    owners, flags = read_owners(found, context.owners, intake.hash_key)
    request = text(found.get("request_id"), "request_id")
    row: Row = {
        "native_id": request
        or intake.content_id(ended_at, sorted((slot, repr(given)) for slot, given in found.items())),
        "role": "client_span",
        "trace_id": hex_id(record.get("traceId"), 32, "traceId"),
        "provider_request_id": request,
        "session_id": found.get("session_id"),
        "started_at": None if ended_at is None else ended_at - (took or 0) * 1000,
        "ended_at": ended_at,
        "status": status,
        "error_type": text(found.get("status_code"), "status_code") if status == "error" else None,
        "operation": "chat",
        "provider": "anthropic",
        "model": text(found.get("plain_model"), "model"),
        "service_tier": "fast" if found.get("speed") == "fast" else None,
        "service": context.service,
        "source_cost": money(found.get("cost_usd"), "cost_usd"),
        **owners,
    }
    _read_usage(found, row)
    if context.flags or flags:
        row["ownership_flags"] = [*context.flags, *flags]
    return row


def _read_usage(found: dict[str, Any], row: Row) -> None:
    """Claude Code counts as Anthropic does: the input leaves the cache out."""
    fresh, made, read, written = (
        count_text(found.get(slot), name)
        for slot, name in (
            ("plain_input", "input_tokens"),
            ("plain_output", "output_tokens"),
            ("plain_read", "cache_read_tokens"),
            ("plain_write", "cache_creation_tokens"),
        )
    )
    row["is_metered"] = fresh is not None or made is not None
    row["output_tokens"], row["cache_read_tokens"], row["cache_write_5m_tokens"] = made, read, written
    if fresh is not None:
        row["input_tokens"] = fresh + (read or 0) + (written or 0)
        row["usage_reading"] = "exclusive: Claude Code"
