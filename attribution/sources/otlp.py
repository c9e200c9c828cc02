"""OpenTelemetry traces as OTLP JSON, of every GenAI generation and dialect."""

from __future__ import annotations

from typing import Any

from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake
from attribution.sources._otlp_intake import Place, Rows, release, take
from attribution.sources._otlp_names import RESOURCE
from attribution.sources._otlp_spans import Context, complete, context_of, gather, kind_of, links_of, name_of
from attribution.sources._otlp_values import hex_id, microseconds, pairs, span_ids, unwrap

NAME = "otlp"
VERSION = 1
GRAIN = "one record is one span"
GIVES = "trace and parent of every hop, model, tokens, response id, ownership attributes, messages between services"
NESTING = "input includes cache reads and writes, output includes reasoning; older writers that differ are recognised"
MONEY = "the emitter's own estimate, where it makes one"
ZONE = "UTC (nanoseconds since 1970)"
MISTAKE = "adding up every span with usage counts one call two or three times"

_TOP = {
    "resourceSpans": "resourceSpans",
    "resource_spans": "resourceSpans",
    "batches": "resourceSpans",
    "resourceLogs": "resourceLogs",
    "resource_logs": "resourceLogs",
    "resourceMetrics": "resourceMetrics",
    "resource_metrics": "resourceMetrics",
}
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_SCOPE = ("scope", "instrumentationLibrary", "instrumentation_library")
_CAMEL = {
    "trace_id": "traceId",
    "span_id": "spanId",
    "parent_span_id": "parentSpanId",
    "start_time_unix_nano": "startTimeUnixNano",
    "end_time_unix_nano": "endTimeUnixNano",
}
_ERROR = ("STATUS_CODE_ERROR", "ERROR", "2")


def recognise(sample: Sample) -> int:
    """An OTLP line says so in its only key."""
    return 95 if any(not _TOP.keys().isdisjoint(document) for document in sample.documents) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Take every span; log records and metric points are context."""
    if document and _TOP.keys().isdisjoint(document):
        raise Unreadable("not_otlp", "resourceSpans, resourceLogs or resourceMetrics", ", ".join(sorted(document)[:8]))
    place = Place(line)
    for key in (key for key in document if key in _TOP):
        for resource in _list(document[key], key):
            if _TOP[key] == "resourceSpans":
                _read_resource(resource, place, intake)
            else:
                intake.pass_over(_count_records(resource))


def finish(intake: Intake) -> None:
    """Hand over the spans that had to wait for others of the file."""
    release(intake)


def _read_resource(resource: Any, place: Place, intake: Intake) -> None:
    try:
        groups = [group for key in _SCOPES for group in _list(_object(resource, "resource").get(key), key)]
        own = gather(_object(resource.get("resource") or {}, "resource").get("attributes") or (), RESOURCE)
    except Unreadable as fault:
        _set_aside_all(resource, fault, place, intake)
        return
    for given in groups:
        try:
            group = _object(given, "scopeSpans")
            scope = _object(next((group[name] for name in _SCOPE if group.get(name)), {}), "scope")
            scoped = gather(scope.get("attributes") or (), RESOURCE)
            name, version = scope.get("name") or "", scope.get("version") or ""
            context = context_of(own.copy(), scoped, name, version, intake.hash_key)
            spans = _list(group.get("spans"), "spans")
        except Unreadable as fault:
            _set_aside_all(given, fault, place, intake)
            continue
        for span in spans:
            take(span, _rows, context, place, intake)


def _set_aside_all(holder: Any, fault: Unreadable, place: Place, intake: Intake) -> None:
    """What a resource or scope says holds for its spans: when it cannot be read, none of them can."""
    below = 0
    if type(holder) is dict:
        inner = [holder.get(key) for key in _SCOPES]
        groups = [holder, *(group for members in inner if type(members) is list for group in members)]
        held = [group.get("spans") for group in groups if type(group) is dict]
        below = sum(len(spans) for spans in held if type(spans) is list)
    for _ in range(max(below, 1)):
        intake.set_aside(place.line, fault, place.ordinal)
        place.ordinal += 1


def _rows(span: Any, context: Context, hash_key: bytes | None) -> Rows:
    if type(span) is not dict:
        raise Unreadable("not_an_object", "a span", mask(span))
    if "traceId" not in span:
        span = {_CAMEL.get(key, key): value for key, value in span.items()}
    trace_id, span_id = span_ids(span.get("traceId"), span.get("spanId"))
    parent = hex_id(span.get("parentSpanId"), 16, "parentSpanId")
    flags = span.get("flags") or 0
    code = _object(span.get("status") or {}, "status").get("code")
    row: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent,
        "name": name_of(span.get("name")),
        "kind": kind_of(span.get("kind")),
        "service": context.service,
        "instance": context.instance,
        "scope": context.scope or None,
        "started_at": microseconds(span.get("startTimeUnixNano"), "startTimeUnixNano"),
        "ended_at": microseconds(span.get("endTimeUnixNano"), "endTimeUnixNano"),
        "status": "error" if code == 2 or code in _ERROR else "ok",
    }
    if type(flags) is int and flags & 0x100 and parent:
        row["parent_is_remote"] = flags & 0x200 != 0
    if links := span.get("links"):
        row["links"] = links_of(links)
    exception = _exception(span.get("events")) if row["status"] == "error" else None
    return row, complete(row, gather(span.get("attributes") or ()), context, hash_key, exception)


def _exception(events: Any) -> str | None:
    """Return the type of the last exception event."""
    for event in reversed(_list(events, "events")):
        if _object(event, "events").get("name") == "exception":
            kind = dict(pairs(event.get("attributes"), "events")).get("exception.type")
            named = unwrap(kind, "exception.type") if kind else None
            return named if type(named) is str else None
    return None


def _count_records(resource: Any) -> int:
    """Count log records and metrics, so that files of them are conserved too."""
    found = 0
    for key, members in resource.items() if isinstance(resource, dict) else ():
        if key.lower().replace("_", "") in ("scopelogs", "scopemetrics", "instrumentationlibrarylogs"):
            for group in members or ():
                found += sum(len(group.get(name) or ()) for name in ("logRecords", "log_records", "metrics", "logs"))
    return found


def _list(value: Any, field: str) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise Unreadable("not_a_list", f"a list of {field}", mask(value), field)
    return value


def _object(value: Any, field: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise Unreadable("not_an_object", f"an object in {field}", mask(value), field)
    return value
