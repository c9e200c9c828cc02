"""OpenTelemetry spans as SDKs print them: the console exporter's objects, one per span."""

from __future__ import annotations

from typing import Any

from attribution.normalization import instant
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake
from attribution.sources._otlp_attributes import gather_plain
from attribution.sources._otlp_intake import Place, release, take
from attribution.sources._otlp_names import RESOURCE
from attribution.sources._otlp_spans import Context, Rows, complete, context_of, kind_of, links_of, name_of
from attribution.sources._otlp_values import hex_id, microseconds, span_ids

NAME = "otel_console"
VERSION = 1
GRAIN = "one record is one span"
GIVES = "the same as OTLP: trace, parent, model, tokens, response id, ownership attributes"
NESTING = "as OTLP: input includes cache, output includes reasoning; older writers are recognised"
MONEY = "the emitter's own estimate, where it makes one"
ZONE = "UTC"
MISTAKE = "adding up every span with usage counts one call two or three times"

_IDS = ("trace_id", "traceId")
#: What marks the metrics and log records that file exporters write among spans.
_OTHER_SIGNALS = ("resource_metrics", "resourceMetrics", "descriptor", "dataPoints", "body", "severityText", "hrTime")
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
    """Take one span; metrics and log records that stand among spans are context."""
    if not _is_span(document) and any(name in document for name in _OTHER_SIGNALS):
        intake.pass_over()
        return
    if not _is_span(document):
        raise Unreadable("not_a_span", "a span with ids, times and flat attributes", ", ".join(sorted(document)[:8]))
    resource = _holder(document, "resource")
    scope = _holder(document, "instrumentationScope", "instrumentation_scope", "scope")
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
    trace_id, span_id = span_ids(_first(ids, "trace_id", "traceId"), _first(ids, "span_id", "spanId", "id"))
    status = span.get("status")
    code = _first(status, "status_code", "code") if isinstance(status, dict) else None
    started_at, ended_at = _times(span)
    kind = span.get("kind")
    row: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": hex_id(_parent(span), 16, "parent_id"),
        "name": name_of(span.get("name")),
        # JavaScript's SDK counts its kinds from internal = 0; OTLP from internal = 1.
        "kind": kind_of(kind + 1 if type(kind) is int else kind),
        "service": context.service,
        "instance": context.instance,
        "scope": context.scope or None,
        "started_at": started_at,
        "ended_at": ended_at,
        "status": "error" if code == 2 or code in ("ERROR", "STATUS_CODE_ERROR") else "ok",
        "links": links_of(span.get("links")),
    }
    exception = _exception(span.get("events")) if row["status"] == "error" else None
    return row, complete(row, gather_plain(span["attributes"]), context, hash_key, exception)


def _holder(document: Document, *names: str) -> dict[str, Any]:
    """Return the first object under these names; what is not said is empty."""
    holder = _first(document, *names) or {}
    if not isinstance(holder, dict):
        raise Unreadable("not_an_object", f"an object in {names[0]}", type(holder).__name__, names[0])
    return holder


def _first(holder: dict[str, Any], *names: str) -> Any:
    return next((holder[name] for name in names if holder.get(name) is not None), None)


def _parent(span: dict[str, Any]) -> Any:
    above = span.get("parentSpanContext")
    return _first(above, "spanId") if isinstance(above, dict) else _first(span, "parent_id", "parentId", "parentSpanId")


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
    """Return the type of the last exception event."""
    told: list[Any] = events if type(events) is list else []
    for event in reversed(told):
        if type(event) is dict and event.get("name") == "exception":
            attributes: Any = event.get("attributes")
            kind = attributes.get("exception.type") if type(attributes) is dict else None
            return kind if type(kind) is str else None
    return None
