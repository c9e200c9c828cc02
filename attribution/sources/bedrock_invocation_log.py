"""Bedrock model invocation logs: S3 objects (gz) and CloudWatch events, one record per request."""

from __future__ import annotations

import re
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, embedded
from attribution.sources import Intake, Row
from attribution.sources._cells import as_object
from attribution.sources._identities import violations
from attribution.sources._ownership import Ownership

NAME = "bedrock_invocation_log"
VERSION = 1
GRAIN = "one request to bedrock-runtime of one account and region; the mantle endpoint is not logged"
GIVES = "calls, caller (IAM principal), ownership (requestMetadata), usage; no money"
NESTING = "cache reads and writes are beside the input; one-hour writes are told apart only by the answer's body"
MONEY = "none"
ZONE = "ISO 8601, UTC"
MISTAKE = "no bill carries the request id, and cache tokens are outside inputTokenCount: its sum misses them"
SIGNATURE = ("schemaType", "schemaVersion", "requestId", "modelId", "accountId", "operation")

_MODEL_ARN = re.compile(r"arn:aws[\w-]*:bedrock:[^:]*:\d*:(?:foundation-model|inference-profile)/(.+)")
_TRACE = ("trace_id", "traceId", "traceparent")


def recognise(sample: Sample) -> int:
    """Look for the schema type, in the record or in the message of a log event."""
    for document in sample.documents:
        for record in _records(document):
            if type(record) is dict and record.get("schemaType") == "ModelInvocationLog":
                return 97
    return 0


def _records(document: Document) -> list[Any]:
    """A record, a CloudWatch event that holds it as text, or a batch of events."""
    events = document.get("logEvents") or document.get("events")
    held = [_message(event) for event in events] if type(events) is list else [_message(document)]
    return [each for each in held if each is not None]


def _message(event: Any) -> Any:
    if type(event) is not dict:
        return event
    text = event.get("message", event.get("@message"))
    if type(text) is not str:
        return text if type(text) is dict else event
    try:
        return embedded(text, "message")
    except Unreadable as fault:
        return fault


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one record, or a batch of log events."""
    for number, record in enumerate(_records(document)):
        try:
            if isinstance(record, Unreadable):
                raise record
            if type(record) is not dict or record.get("schemaType") != "ModelInvocationLog":
                raise Unreadable("other_record", "schemaType ModelInvocationLog", type(record).__name__)
            intake.accept(line, observation=_invocation(record, intake))
        except Unreadable as fault:
            intake.set_aside(line, fault, number)


def _invocation(record: Document, intake: Intake) -> Row:
    operation = normalization.text(record.get("operation"), "operation") or ""
    failed = normalization.text(record.get("errorCode"), "errorCode")
    model = normalization.text(record.get("modelId"), "modelId")
    request = normalization.text(record.get("requestId"), "requestId")
    started = normalization.instant(record.get("timestamp"), "timestamp", "UTC")
    row: Row = {
        "role": "provider_log",
        "native_id": request or intake.content_id(sorted(map(str, record.items()))),
        "provider_request_id": request,
        "started_at": started,
        "status": "error" if failed else "ok",
        "error_type": failed,
        "operation": "chat" if operation.startswith("Converse") else None,
        "is_stream": operation.endswith("Stream") if operation else None,
        "provider": "aws",
        "model": _bare_model(model),
        "requested_model": model,
        "region": normalization.text(record.get("region"), "region"),
        "project_id": normalization.text(record.get("accountId"), "accountId"),
    }
    _take_usage(row, record)
    metadata = as_object(record.get("requestMetadata"), "requestMetadata")
    row["trace_id"] = _trace_of(metadata)
    ownership = Ownership(intake)
    row["api_key_id"] = _principal(as_object(record.get("identity"), "identity").get("arn"), ownership.flags)
    ownership.take(metadata, "requestMetadata")
    ownership.write(row)
    return row


def _bare_model(model: str | None) -> str | None:
    """An ARN of a model or system profile names it; that of an application's profile hides it, so it stays whole."""
    named = _MODEL_ARN.fullmatch(model) if model else None
    return named[1] if named else model


def _principal(arn: Any, flags: list[str]) -> str | None:
    """The caller as bills name it; session names are often people, whose addresses are not kept."""
    principal = normalization.text(arn, "identity.arn")
    if principal is None:
        return None
    head, slash, session = principal.rpartition("/")
    kind = normalization.personal_data(session)
    if kind:
        flags.append(f"api_key_id:personal_data:{kind}")
        return f"{head}{slash}[{kind}]"
    return principal


def _trace_of(metadata: Document) -> str | None:
    value = next((metadata[name] for name in _TRACE if type(metadata.get(name)) is str), None)
    if value and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", value):
        return str(value[3:35])
    return value or None


def _take_usage(row: Row, record: Document) -> None:
    """Fill the counts; a request without any, such as a throttled one, is unmetered."""
    into, out_of = as_object(record.get("input"), "input"), as_object(record.get("output"), "output")
    body = _Body(out_of.get("outputBodyJson"))
    row["response_id"] = normalization.text(body.response_id, "outputBodyJson.id")
    names = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
    given, read, written = (normalization.count(into.get(n, body.metrics.get(n)), f"input.{n}") for n in names)
    answered = normalization.count(
        out_of.get("outputTokenCount", body.metrics.get("outputTokenCount")), "output.outputTokenCount"
    )
    row["is_metered"] = given is not None or answered is not None
    if not row["is_metered"]:
        return
    row["input_tokens"] = None if given is None else given + (read or 0) + (written or 0)
    row["output_tokens"], row["cache_read_tokens"] = answered, read
    hour = body.written_for_an_hour
    row["cache_write_1h_tokens"] = hour
    row["cache_write_5m_tokens"] = written if hour is None or written is None or hour > written else written - hour
    row["usage_reading"] = "exclusive: cache reads and writes are beside inputTokenCount"
    flags = violations(row) or []
    if body.total is not None and row["input_tokens"] is not None:
        ours = row["input_tokens"] + (answered or 0)
        flags += [f"totalTokens {body.total} <> logged counts {ours}"] if body.total != ours else []
    if hour is not None and written is not None and hour > written:
        flags.append(f"one-hour writes {hour} > cacheWriteInputTokenCount {written}")
    row["usage_flags"] = flags or None


class _Body:
    """What only the answer's body tells, where bodies are logged: its id, one-hour writes, the streamed metrics."""

    def __init__(self, body: Any) -> None:
        chunks = body if type(body) is list else [body]
        parts = [chunk for chunk in chunks if type(chunk) is dict]
        messages = [part["message"] for part in parts if type(part.get("message")) is dict]
        usages = [each["usage"] for each in (*parts, *messages) if type(each.get("usage")) is dict]
        self.response_id = next((each["id"] for each in (*parts, *messages) if type(each.get("id")) is str), None)
        found = [part.get("amazon-bedrock-invocationMetrics") for part in parts]
        self.metrics: Document = next((each for each in reversed(found) if type(each) is dict), {})
        self.written_for_an_hour = next((hour for hour in map(_hour_writes, usages) if hour is not None), None)
        totals = [usage.get("totalTokens") for usage in usages]
        self.total = next((total for total in totals if type(total) is int), None)


def _hour_writes(usage: Document) -> int | None:
    split, details = usage.get("cache_creation"), usage.get("cacheDetails")
    if type(split) is dict:
        return normalization.count(split.get("ephemeral_1h_input_tokens"), "cache_creation.ephemeral_1h_input_tokens")
    if type(details) is not list:
        return None
    written = [each.get("inputTokens") for each in details if type(each) is dict and each.get("ttl") == "1h"]
    return sum(normalization.count(each, "cacheDetails.inputTokens") or 0 for each in written)
