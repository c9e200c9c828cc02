"""MLflow traces: as JSON of a trace, or as rows of its trace search, with the spans inside."""

from __future__ import annotations

from typing import Any

import jiter

from attribution.reading import Document, Sample
from attribution.sources import Intake
from attribution.sources._otlp_attributes import gather_plain
from attribution.sources._otlp_intake import Place, release, take
from attribution.sources._otlp_names import OWNERS
from attribution.sources._otlp_spans import Context, Rows, complete, name_of
from attribution.sources._otlp_values import an_object, hex_id, listed, mapping, microseconds, span_ids

NAME = "mlflow"
VERSION = 1
GRAIN = "one record is one span of a trace"
GIVES = "trace, parent, tokens, cost estimate, tags, user and session of the trace; the model where MLflow kept it"
NESTING = "as the provider counted; where the cache exceeds the input or the total says so, it is added"
MONEY = "dollars, an estimate at LiteLLM's prices"
ZONE = "UTC (nanoseconds since 1970)"
MISTAKE = "agent spans and the trace itself repeat the sum of their calls"

_CALLS = {"CHAT_MODEL": "LLM", "LLM": "LLM", "EMBEDDING": "EMBEDDING", "RERANKER": "RERANKER"}
#: MLflow's own names → the names of the convention.
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "total_tokens": "gen_ai.usage.total_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_write.input_tokens",
    "cache_creation_input_tokens_above_1hr": "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
}
_NAMES = {
    "mlflow.llm.model": "gen_ai.response.model",
    "mlflow.llm.provider": "gen_ai.provider.name",
    "mlflow.trace.user": "user.id",
    "mlflow.trace.session": "session.id",
}
_METADATA = ("trace_metadata", "request_metadata", "tags")


def recognise(sample: Sample) -> int:
    """A trace has its information and its spans apart, or is a row with spans and metadata."""
    return 94 if any(_is_trace(document) for document in sample.documents) else 0


def _is_trace(document: Document) -> bool:
    body = document.get("data")
    is_whole = isinstance(document.get("info"), dict) and isinstance(body, dict) and "spans" in body
    return is_whole or ("spans" in document and any(name in document for name in _METADATA[:2]))


def read(document: Document, line: int, intake: Intake) -> None:
    """Take every span of a trace; a trace without spans is context."""
    body = document.get("data")
    holder = body if isinstance(body, dict) else document
    spans = holder.get("spans")
    if type(spans) is str:
        spans = _decoded(spans)
    place = Place(line)
    shared = _shared(document)
    context = Context(scope="mlflow")
    for span in listed(spans, "spans"):
        take(span, lambda each, context, key: _rows(each, shared, context, key), context, place, intake)


def finish(intake: Intake) -> None:
    """Hand over the spans that had to wait for others of the file."""
    release(intake)


def _shared(document: Document) -> dict[str, Any]:
    """Return what a trace says for all its spans, under the names of the convention."""
    info = document.get("info")
    holder = info if isinstance(info, dict) else document
    said: dict[str, Any] = {}
    for name in _METADATA:
        for key, value in mapping(holder.get(name)).items():
            if key in _NAMES or key in OWNERS:
                said[_NAMES.get(key, key)] = value
    return said


def _rows(span: Any, shared: dict[str, Any], context: Context, hash_key: bytes | None) -> Rows:
    span = an_object(span, "spans")
    inner = an_object(span.get("context") or {}, "context")
    trace_id, span_id = span_ids(
        _first(inner.get("trace_id"), span.get("trace_id")), _first(inner.get("span_id"), span.get("span_id"))
    )
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else span.get("status_code", status)
    row: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": hex_id(_first(span.get("parent_span_id"), span.get("parent_id")), 16, "parent_span_id"),
        "name": name_of(span.get("name")),
        "scope": context.scope,
        "service": context.service,
        "started_at": microseconds(_first(span.get("start_time_unix_nano"), span.get("start_time")), "start_time"),
        "ended_at": microseconds(_first(span.get("end_time_unix_nano"), span.get("end_time")), "end_time"),
        "status": "error" if code in ("ERROR", "STATUS_CODE_ERROR", 2) else "ok",
    }
    attributes = shared | _attributes(an_object(span.get("attributes") or {}, "attributes"))
    return row, complete(row, gather_plain(attributes), context, hash_key, None)


def _first(given: Any, other: Any) -> Any:
    return other if given is None else given


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes under the names of the convention; MLflow writes each value as JSON text."""
    said: dict[str, Any] = {}
    for key, text in attributes.items():
        if key == "mlflow.chat.tokenUsage":
            usage = mapping(text)
            said |= {_USAGE[name]: counted for name, counted in usage.items() if name in _USAGE}
        elif key == "mlflow.llm.cost":
            said["gen_ai.usage.cost"] = mapping(text).get("total_cost")
        elif key == "mlflow.spanType":
            kind = _decoded(text)
            said["openinference.span.kind"] = _CALLS.get(kind, kind) if isinstance(kind, str) else None
        elif key == "mlflow.spanInputs":
            said.setdefault("gen_ai.request.model", _model(text))
        elif key == "mlflow.spanOutputs":
            said["output.value"] = text
        else:
            said[_NAMES.get(key, key)] = _decoded(text)
    return said


def _model(inputs: Any) -> str | None:
    """The model asked for stands among the inputs; nothing else of them is read or kept."""
    model = mapping(inputs).get("model")
    return model if isinstance(model, str) else None


def _decoded(text: Any) -> Any:
    """Return the value of JSON text; text that is none stands for itself."""
    if type(text) is not str:
        return text
    try:
        return jiter.from_json(text.encode(), allow_inf_nan=False, float_mode="decimal")
    except (ValueError, UnicodeEncodeError):
        return text
