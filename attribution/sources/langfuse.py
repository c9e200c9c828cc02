"""Langfuse exports: traces and observations (blob storage, UI export, public API; JSON Lines, JSON, CSV, Parquet)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake, Row
from attribution.sources._cells import as_list, as_object, filled
from attribution.sources._langfuse_usage import take_usage
from attribution.sources._ownership import Ownership

NAME = "langfuse"
VERSION = 1
SUPERSEDES = True
GRAIN = "one observation of a trace; generations and embeddings are calls, all others are hops"
GIVES = "calls, hops, ownership (trace tags and metadata, user, session), usage, Langfuse's own cost"
NESTING = "disjoint: cached and written tokens are beside the input, reasoning is beside the output"
MONEY = "US dollars"
ZONE = "naive times are UTC"
#: `options={"provider": …}` names who bills, which an observation does not say unless its attributes do.
MISTAKE = "owners stand on the trace: without the traces file every call looks unowned"
SIGNATURE = ("id", "trace_id", "parent_observation_id", "type", "start_time", "provided_model_name", "usage_details")

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_CALLS = {"GENERATION": None, "EMBEDDING": "embeddings"}
_HOPS = {"SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "GUARDRAIL"}
_TRACE_KEYS = {"bookmarked", "public", "release", "tags", "session_id", "user_id", "timestamp"}
_HEX = re.compile(r"[0-9A-Fa-f]{32}")


def recognise(sample: Sample) -> int:
    """Look for observations or traces, in either spelling, or a page of them."""
    documents = [each for document in sample.documents for each in _records(document)]
    return max((_score({_snake(name) for name in each}) for each in documents), default=0)


def _score(names: set[str]) -> int:
    is_observation = {"id", "trace_id", "type", "parent_observation_id", "start_time"} <= names
    if is_observation:
        return 90
    return 85 if "id" in names and len(_TRACE_KEYS & names) >= 6 else 0


@lru_cache(maxsize=4_096)
def _snake(name: str) -> str:
    return _CAMEL.sub(r"_\1", name).lower()


def _records(document: Document) -> list[Document]:
    page = document.get("data")
    if type(page) is list and "meta" in document:
        return [each for each in page if type(each) is dict]
    return [document]


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one trace or observation, or a page of the API."""
    for number, record in enumerate(_records(document)):
        plain = {_snake(name): value for name, value in record.items()}
        try:
            if "type" in plain and "trace_id" in plain:
                _read_observation(plain, line, intake)
            elif len(_TRACE_KEYS & plain.keys()) >= 4:
                _read_trace(plain, line, intake)
            else:
                intake.pass_over()
        except Unreadable as fault:
            intake.set_aside(line, fault, number)


def _read_trace(record: Document, line: int, intake: Intake) -> None:
    """A trace is the root of its observations and carries what they inherit."""
    trace_id = _trace_id(record, "id")
    started = normalization.instant(record.get("timestamp"), "timestamp", "UTC")
    span: Row = {
        "trace_id": trace_id,
        "span_id": f"trace/{trace_id}",
        "name": normalization.text(filled(record, "name"), "name"),
        "scope": "langfuse",
        "started_at": started,
        "ended_at": started,
        "status": "unknown",
        "is_call": False,
        "updated_at": normalization.instant(filled(record, "updated_at"), "updated_at", "UTC"),
    }
    ownership = _ownership(record, intake, filled(record, "tags"))
    intake.accept(line, span=span | ownership.found)


def _read_observation(record: Document, line: int, intake: Intake) -> None:
    kind = str(record["type"]).upper()
    if kind not in _CALLS and kind not in _HOPS:
        raise Unreadable("not_a_type", "a type of observation", record["type"], "type")
    trace_id, parent = _trace_id(record, "trace_id"), _text(record, "parent_observation_id")
    identity = _text(record, "id")
    if identity is None:
        raise Unreadable("missing", "an id", None, "id")
    common: Row = {
        "trace_id": trace_id,
        "span_id": identity.lower() if _HEX.fullmatch(identity * 2) else identity,
        "parent_span_id": parent or (None if "user_id" in record or trace_id is None else f"trace/{trace_id}"),
        "started_at": normalization.instant(filled(record, "start_time"), "start_time", "UTC"),
        "ended_at": normalization.instant(filled(record, "end_time"), "end_time", "UTC"),
        "status": "error" if record.get("level") == "ERROR" else "ok",
        "updated_at": normalization.instant(filled(record, "updated_at"), "updated_at", "UTC"),
    }
    ownership = _ownership(record, intake, filled(record, "tags", "trace_tags"))
    usage: Row = {}
    take_usage(usage, record)
    span = common | {"name": normalization.text(filled(record, "name"), "name"), "scope": "langfuse"}
    span |= {"is_call": kind in _CALLS, **ownership.found}
    if kind not in _CALLS:
        span["not_a_call"] = "aggregate" if usage["is_metered"] else None
        intake.accept(line, span=span)
        return
    row = common | usage | _facts(record, kind, identity)
    row["provider"] = row["provider"] or normalization.provider(intake.options.get("provider"))
    ownership.write(row)
    intake.accept(line, observation=row, span=span if trace_id else None)


def _trace_id(record: Document, name: str) -> str | None:
    value = normalization.text(filled(record, name), name)
    return value.lower() if value and _HEX.fullmatch(value) else value


def _text(record: Document, name: str) -> str | None:
    return normalization.text(filled(record, name), name)


def _facts(record: Document, kind: str, identity: str) -> Row:
    metadata = as_object(record.get("metadata"), "metadata")
    attributes = _attributes(metadata)
    model = normalization.text(filled(record, "provided_model_name", "model"), "provided_model_name")
    named = filled(attributes, "gen_ai.provider.name", "gen_ai.system") or filled(metadata, "ls_provider")
    failed = filled(record, "status_message") if record.get("level") == "ERROR" else None
    return {
        "role": "client_span",
        "native_id": f"{filled(record, 'project_id') or ''}/{identity}",
        "operation": _CALLS[kind],
        "model": model,
        "requested_model": model,
        "provider": normalization.provider(named) if type(named) is str else None,
        "response_id": normalization.response_id(
            normalization.text(filled(attributes, "gen_ai.response.id"), "gen_ai.response.id")
        ),
        "session_id": normalization.text(filled(record, "session_id"), "session_id"),
        "error_type": mask(failed, 80) if failed is not None else None,
    }


def _attributes(metadata: Document) -> Document:
    """Attributes of the span that Langfuse got, as text in its metadata; unreadable ones are not needed."""
    try:
        return as_object(metadata.get("attributes"), "metadata.attributes") or metadata
    except Unreadable:
        return metadata


def _ownership(record: Document, intake: Intake, tags: Any) -> Ownership:
    ownership = Ownership(intake)
    try:
        ownership.take(as_object(record.get("metadata"), "metadata"), "metadata")
        ownership.take_tags(as_list(tags, "tags"), "tags")
    except Unreadable as fault:
        ownership.flags.append(f"{fault.field}:{fault.reason}")
    if "user_id_hash" not in ownership.found and filled(record, "user_id") is not None:
        ownership.offer("user_id_hash", record["user_id"], "user_id")
    return ownership
