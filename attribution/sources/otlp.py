"""OpenTelemetry traces as OTLP JSON, of every GenAI generation and dialect."""

from __future__ import annotations

from typing import Any

from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake
from attribution.sources._otlp_attributes import gather
from attribution.sources._otlp_intake import Place, release, take
from attribution.sources._otlp_logs import read_logs
from attribution.sources._otlp_names import RESOURCE
from attribution.sources._otlp_spans import context_of, rows_of
from attribution.sources._otlp_values import an_object, listed

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
_METRICS = ("scopeMetrics", "scope_metrics", "instrumentationLibraryMetrics")
_SCOPE = ("scope", "instrumentationLibrary", "instrumentation_library")


def recognise(sample: Sample) -> int:
    """An OTLP line says so in its only key."""
    return 95 if any(not _TOP.keys().isdisjoint(_unwrapped(document)) for document in sample.documents) else 0


def _unwrapped(document: Document) -> Document:
    """Some back ends answer with the trace inside one more object."""
    inner = document.get("trace")
    return inner if len(document) <= 2 and isinstance(inner, dict) else document


def read(document: Document, line: int, intake: Intake) -> None:
    """Take every span, and log records that are calls; other records and metrics are context."""
    document = _unwrapped(document)
    if document and _TOP.keys().isdisjoint(document):
        raise Unreadable("not_otlp", "resourceSpans, resourceLogs or resourceMetrics", ", ".join(sorted(document)[:8]))
    place = Place(line)
    for key in (key for key in document if key in _TOP):
        for resource in listed(document[key], key):
            if _TOP[key] == "resourceSpans":
                _read_resource(resource, place, intake)
                continue
            try:
                if _TOP[key] == "resourceLogs":
                    read_logs(resource, place, intake)
                else:
                    intake.pass_over(_count_metrics(resource))
            except Unreadable as fault:
                intake.set_aside(line, fault, place.ordinal)
                place.ordinal += 1


def finish(intake: Intake) -> None:
    """Hand over the spans that had to wait for others of the file."""
    release(intake)


def _read_resource(resource: Any, place: Place, intake: Intake) -> None:
    try:
        groups = [group for key in _SCOPES for group in listed(an_object(resource, "resource").get(key), key)]
        own = gather(an_object(resource.get("resource") or {}, "resource").get("attributes"), RESOURCE)
        shared = context_of(own.copy(), {}, "", "", intake.hash_key)
    except Unreadable as fault:
        _set_aside_all(resource, fault, place, intake)
        return
    for given in groups:
        try:
            group = an_object(given, "scopeSpans")
            scope = an_object(next((group[name] for name in _SCOPE if group.get(name)), {}), "scope")
            name, version = scope.get("name") or "", scope.get("version") or ""
            if scope.get("attributes"):
                scoped = gather(scope["attributes"], RESOURCE)
                context = context_of(own.copy(), scoped, name, version, intake.hash_key)
            else:
                context = shared.of_scope(name, version)
            spans = listed(group.get("spans"), "spans")
        except Unreadable as fault:
            _set_aside_all(given, fault, place, intake)
            continue
        for span in spans:
            take(span, rows_of, context, place, intake)


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


def _count_metrics(resource: Any) -> int:
    """Count metrics, so that files of them are conserved too; they tell no single call."""
    groups = [
        an_object(group, key) for key in _METRICS for group in listed(an_object(resource, "metrics").get(key), key)
    ]
    return sum(len(listed(group.get("metrics"), "metrics")) for group in groups)
