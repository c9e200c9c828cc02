"""Arize Phoenix spans: the data frame as Parquet, the REST export, and its OTLP variant."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from attribution.normalization import instant
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake
from attribution.sources._otlp_attributes import gather_plain
from attribution.sources._otlp_intake import Place, release, take
from attribution.sources._otlp_spans import Context, Rows, complete, name_of, rows_of
from attribution.sources._otlp_values import an_object, hex_id, listed, span_ids

NAME = "phoenix"
VERSION = 1
GRAIN = "one record is one span"
GIVES = "trace, parent, model, tokens, metadata and tags; the response id inside the answer"
NESTING = "prompt includes cache reads and writes, completion includes reasoning"
MONEY = "none on spans; Phoenix keeps its estimates in other tables"
ZONE = "UTC"
MISTAKE = "an SDK's own span and the instrumentation's span are both LLM: their sum counts the call twice"

_IDS = ("context.trace_id", "context.span_id")
#: Attributes that are objects by themselves; other objects are names cut at their dots.
_WHOLE = {"metadata"}


def recognise(sample: Sample) -> int:
    """Phoenix says `span_kind` and `context`, as columns or in a list called `data`; its OTLP is a bare list."""
    if {*_IDS, "span_kind"} <= set(sample.columns):
        return 95
    spans = [span for document in sample.documents[:5] for span in _spans(document)]
    if any(isinstance(span, dict) and ("span_kind" in span or "start_time_unix_nano" in span) for span in spans):
        return 90
    return 0


def _spans(document: Document) -> list[Any]:
    """Return the spans of a page, or the one that the document is."""
    page = document.get("data")
    if isinstance(page, list):
        return page
    is_span = isinstance(document.get("context"), dict) and "span_kind" in document
    return [document] if is_span or _IDS[0] in document else []


def read(document: Document, line: int, intake: Intake) -> None:
    """Take every span of a page, or the span of a row."""
    spans = _spans(document)
    if not spans and "data" not in document:
        raise Unreadable("not_phoenix", "a span, or a page with `data`", ", ".join(sorted(document)[:8]))
    place = Place(line)
    for span in spans:
        take(span, _rows, Context(scope="phoenix"), place, intake)


def finish(intake: Intake) -> None:
    """Hand over the spans that had to wait for others of the file."""
    release(intake)


def _rows(span: Any, context: Context, hash_key: bytes | None) -> Rows:
    span = an_object(span, "data")
    if "start_time_unix_nano" in span or "startTimeUnixNano" in span:
        return rows_of(span, context, hash_key)
    inner = an_object(span.get("context") or {}, "context")
    trace_id, span_id = span_ids(span.get(_IDS[0]) or inner.get("trace_id"), span.get(_IDS[1]) or inner.get("span_id"))
    row: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": hex_id(span.get("parent_id"), 16, "parent_id"),
        "name": name_of(span.get("name")),
        "scope": context.scope,
        "service": context.service,
        "started_at": _time(span, "start_time"),
        "ended_at": _time(span, "end_time"),
        "status": "error" if span.get("status_code") == "ERROR" else "ok",
    }
    exception = _exception(span.get("events")) if row["status"] == "error" else None
    return row, complete(row, gather_plain(_attributes(span)), context, hash_key, exception)


def _time(span: Document, field: str) -> int | None:
    value = span.get(field)
    if value is not None and not isinstance(value, str | datetime):
        raise Unreadable("not_a_time", "a time such as 2026-10-05T12:00:00Z", mask(value), field)
    moment = instant(value, field)
    return None if moment is None else int(moment)


def _attributes(span: Document) -> dict[str, Any]:
    """Return the attributes by full name: Phoenix cuts some at their dots into objects, and some not."""
    flat: dict[str, Any] = {}
    nested = span.get("attributes")
    if nested is not None:
        _flatten("", an_object(nested, "attributes"), flat)
    for column, value in span.items():
        if column.startswith("attributes."):
            _flatten_one(column.removeprefix("attributes."), value, flat)
    if isinstance(kind := span.get("span_kind"), str):
        flat.setdefault("openinference.span.kind", kind)
    return flat


def _flatten(prefix: str, members: dict[str, Any], flat: dict[str, Any]) -> None:
    for name, value in members.items():
        _flatten_one(f"{prefix}{name}", value, flat)


def _flatten_one(name: str, value: Any, flat: dict[str, Any]) -> None:
    if isinstance(value, dict) and name not in _WHOLE:
        _flatten(f"{name}.", value, flat)
    elif isinstance(value, float):
        # Numbers of a data frame are floats; not-a-number stands for nothing.
        if value == value:
            flat[name] = int(value) if value.is_integer() else Decimal(repr(value))
    elif value is not None:
        flat[name] = value


def _exception(events: Any) -> str | None:
    for event in reversed(listed(events, "events")):
        if isinstance(event, dict) and event.get("name") == "exception":
            kind = an_object(event.get("attributes") or {}, "events").get("exception.type")
            return kind if isinstance(kind, str) else None
    return None
