"""OpenTelemetry spans as SDKs print them: the console exporter's objects, one per span."""

from __future__ import annotations

from typing import Any

from attribution.normalization import instant
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake
from attribution.sources._otlp_intake import Place, Rows, release, take
from attribution.sources._otlp_names import RESOURCE
from attribution.sources._otlp_spans import Context, Hop, context_of, gather_plain, links_of, rows_of
from attribution.sources._otlp_values import hex_id, microseconds

NAME = "otel_console"
VERSION = 1
GRAIN = "one record is one span"
GIVES = "the same as OTLP: trace, parent, model, tokens, response id, ownership attributes"
NESTING = "as OTLP: input includes cache, output includes reasoning; older writers are recognised"
MONEY = "the emitter's own estimate, where it makes one"
ZONE = "UTC"
MISTAKE = "adding up every span with usage counts one call two or three times"

_IDS = ("trace_id", "traceId")
_TIMES = (("start_time", "end_time"), ("startTime", "endTime"), ("timestamp", "duration"))


def recognise(sample: Sample) -> int:
    """A printed span has flat attributes beside its ids, and times under the SDK's own names."""
    return 85 if any(_is_span(document) for document in sample.documents) else 0


def _is_span(document: Document) -> bool:
    context = document.get("context")
    holder = context if isinstance(context, dict) else document
    return (
        any(name in holder for name in _IDS)
        and isinstance(document.get("attributes"), dict)
        and any(start in document for start, _ in _TIMES)
        and "span_kind" not in document
        and "status_code" not in document
    )


def read(document: Document, line: int, intake: Intake) -> None:
    """Take one span."""
    if not _is_span(document):
        raise Unreadable("not_a_span", "a span with ids, times and flat attributes", ", ".join(sorted(document)[:8]))
    resource = document.get("resource") or {}
    scope = document.get("instrumentationScope") or document.get("scope") or document.get("instrumentation_scope") or {}
    context = context_of(
        gather_plain(resource.get("attributes") or {}, RESOURCE),
        gather_plain(scope.get("attributes") or {}, RESOURCE),
        scope.get("name") or "",
        scope.get("version") or "",
        intake.hash_key,
    )
    take(document, _rows, context, Place(line), intake)


def finish(intake: Intake) -> None:
    """Hand over the spans that had to wait for others of the file."""
    release(intake)


def _rows(span: Any, context: Context, hash_key: bytes | None) -> Rows:
    inner = span.get("context")
    ids = inner if isinstance(inner, dict) else span
    trace_id = hex_id(_first(ids, "trace_id", "traceId"), 32, "trace_id")
    span_id = hex_id(_first(ids, "span_id", "spanId", "id"), 16, "span_id")
    if trace_id is None or span_id is None:
        missing = "trace_id" if trace_id is None else "span_id"
        raise Unreadable("no_id", "a trace id and a span id that are not zero", None, missing)
    status = span.get("status") or {}
    is_error = _first(status, "status_code", "code") in (2, "ERROR", "STATUS_CODE_ERROR")
    started_at, ended_at = _times(span)
    kind = span.get("kind")
    hop = Hop(
        trace_id,
        span_id,
        hex_id(_parent(span), 16, "parent_id"),
        span.get("name") or "",
        kind.removeprefix("SpanKind.").removeprefix("SPAN_KIND_") if isinstance(kind, str) else _js_kind(kind),
        started_at,
        ended_at,
        is_error,
        0,
        links_of(span.get("links")),
        _exception(span.get("events")) if is_error else None,
    )
    return rows_of(hop, gather_plain(span["attributes"]), context, hash_key)


def _first(holder: dict[str, Any], *names: str) -> Any:
    return next((holder[name] for name in names if holder.get(name) is not None), None)


def _parent(span: dict[str, Any]) -> Any:
    above = span.get("parentSpanContext")
    return _first(above, "spanId") if isinstance(above, dict) else _first(span, "parent_id", "parentId", "parentSpanId")


def _js_kind(kind: Any) -> Any:
    """JavaScript's SDK counts its kinds from internal = 0; OTLP from internal = 1."""
    return kind + 1 if type(kind) is int else kind


def _times(span: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return start and end in microseconds: ISO text, [seconds, nanoseconds], or microseconds and a duration."""
    for start, end in _TIMES[:2]:
        if start in span:
            return _time(span[start], start), _time(span.get(end), end)
    start_us = microseconds(
        span["timestamp"] * 1000 if type(span["timestamp"]) is int else span["timestamp"], "timestamp"
    )
    duration = span.get("duration")
    if start_us is None or type(duration) is not int:
        return start_us, None
    return start_us, start_us + duration


def _time(value: Any, field: str) -> int | None:
    if type(value) is list and len(value) == 2 and all(type(part) is int for part in value):
        return microseconds(value[0] * 1_000_000_000 + value[1], field)
    if value is not None and not isinstance(value, str):
        raise Unreadable("not_a_time", "a time such as 2026-10-05T12:00:00Z", mask(value), field)
    return instant(value, field)


def _exception(events: Any) -> str | None:
    for event in reversed(events or ()):
        if event.get("name") == "exception":
            kind = (event.get("attributes") or {}).get("exception.type")
            return kind if isinstance(kind, str) else None
    return None
