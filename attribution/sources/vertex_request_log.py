"""Vertex AI request-response logging: the BigQuery table's rows as JSON Lines, a sample of the requests."""

from __future__ import annotations

import re
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import as_object, filled
from attribution.sources._google_usage import take_usage
from attribution.sources._litellm import trace
from attribution.sources._ownership import Ownership

NAME = "vertex_request_log"
VERSION = 1
GRAIN = "one sampled request; a streamed answer is merged into one row"
GIVES = "calls, ownership (request labels), usage; no money"
NESTING = "cached inside the prompt; thoughts beside the candidates and tool use beside the prompt, added here"
MONEY = "none"
ZONE = "UTC"
MISTAKE = "the rows are a sample: their sum is not the spend unless the sampling rate is 1"
SIGNATURE = ("full_request", "full_response", "logging_time", "deployed_model_id", "api_method", "request_id")

_PLACE = re.compile(r"projects/([^/]+)(?:/locations/([^/]+))?")


def recognise(sample: Sample) -> int:
    """Look for the logged request and answer beside the table's own columns."""
    names = [set(document) for document in sample.documents] or [set(sample.columns)]
    found = max((len(set(SIGNATURE) & each) for each in names if "full_response" in each), default=0)
    return 93 if found >= 4 else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one logged request."""
    if "full_response" not in document:
        raise Unreadable("other_record", "a row with full_response", list(document)[:8])
    answer = as_object(document.get("full_response"), "full_response")
    asked = as_object(document.get("full_request"), "full_request")
    model = normalization.text(filled(document, "model", "deployed_model_id"), "model")
    place = _PLACE.search(f"{filled(document, 'endpoint') or ''} {model or ''}")
    request = filled(document, "request_id")
    row: Row = {
        "role": "provider_log",
        "provider_request_id": None if request is None else str(request),
        "response_id": normalization.text(answer.get("responseId"), "responseId"),
        "started_at": normalization.instant(filled(document, "logging_time"), "logging_time", "UTC"),
        "status": "ok",
        "operation": _operation(document.get("api_method")),
        "is_stream": "stream" in str(document.get("api_method") or "").lower() or None,
        "provider": "google",
        "model": normalization.text(answer.get("modelVersion"), "modelVersion") or _last(model),
        "requested_model": _last(model),
        "project_id": place[1] if place else None,
        "region": place[2] if place else None,
        "trace_id": _trace_of(document),
    }
    row["native_id"] = (
        row["provider_request_id"] or row["response_id"] or intake.content_id(str(sorted(row.items(), key=str)))
    )
    if "error" in answer:
        failed = as_object(answer["error"], "full_response.error")
        row["status"], row["error_type"] = "error", str(failed.get("status") or failed.get("code") or "error")
    take_usage(row, as_object(answer.get("usageMetadata"), "usageMetadata"))
    ownership = Ownership(intake)
    ownership.take(as_object(asked.get("labels"), "labels"), "labels")
    ownership.write(row)
    intake.accept(line, observation=row)


def _last(model: str | None) -> str | None:
    return model.rsplit("/", 1)[-1] if model else None


def _operation(method: Any) -> str | None:
    word = str(method or "").lower()
    return "generate_content" if "generatecontent" in word else "embeddings" if "embed" in word else None


def _trace_of(document: Document) -> str | None:
    """The trace of the request, where OpenTelemetry logging is on."""
    try:
        log = as_object(document.get("otel_log"), "otel_log")
    except Unreadable:
        return None
    found = filled(log, "trace_id", "traceId")
    return trace(found) if type(found) is str else None
