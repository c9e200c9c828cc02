"""Azure API Management `ApiManagementGatewayLlmLog`: several rows per request, of which one carries the tokens."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import filled
from attribution.sources._identities import violations

NAME = "azure_apim_llm_log"
VERSION = 1
GRAIN = "several rows per request: the first counts tokens, the others hold messages"
GIVES = "calls, usage; the subscription that called, where the rows were joined with the gateway's log"
NESTING = "cached input is inside the prompt, reasoning inside the completion; neither is told apart"
MONEY = "none"
ZONE = "UTC"
MISTAKE = "every message is a row of its own: counting rows counts a request three times"
SIGNATURE = ("CorrelationId", "RequestId", "SequenceNumber", "DeploymentName", "ModelName", "PromptTokens")

_OPERATIONS = (
    ("chat", "chat"),
    ("response", "responses"),
    ("embedding", "embeddings"),
    ("image", "image"),
    ("audio", "audio"),
    ("completion", "text_completion"),
)


def recognise(sample: Sample) -> int:
    """Look for the table's columns."""
    names = [set(document) for document in sample.documents] or [set(sample.columns)]
    found = max((len(set(SIGNATURE) & each) for each in names), default=0)
    return 93 if found >= 5 else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read the row that counts tokens; rows of messages are context."""
    if "CorrelationId" not in document or "PromptTokens" not in document:
        raise Unreadable("other_record", "a row with CorrelationId and PromptTokens", list(document)[:8])
    number = normalization.count_text(filled(document, "SequenceNumber"), "SequenceNumber")
    if filled(document, "DeploymentName", "ModelName") is None and number != 0:
        intake.pass_over()
        return
    correlation, request = _text(document, "CorrelationId"), _text(document, "RequestId")
    row: Row = {
        "role": "gateway_log",
        "gateway_call_id": correlation,
        "operation_key": correlation,
        "response_id": normalization.response_id(request),
        "started_at": normalization.instant(filled(document, "TimeGenerated"), "TimeGenerated", "UTC"),
        "status": "unknown",
        "operation": _operation(document.get("OperationName")),
        "is_stream": _flag(filled(document, "IsStreamCompletion")),
        "provider": "azure",
        "model": _text(document, "ModelName") or _text(document, "DeploymentName"),
        "requested_model": _text(document, "DeploymentName"),
        "region": _text(document, "Region"),
        "project_id": (_text(document, "_ResourceId") or "").lower() or None,
        "api_key_id": _text(document, "ApimSubscriptionId"),
    }
    row["native_id"] = f"{correlation}/{request}" if correlation or request else intake.content_id(str(row))
    _take_usage(row, document)
    intake.accept(line, observation=row)


def _text(document: Document, name: str) -> str | None:
    return normalization.text(filled(document, name), name)


def _operation(name: Any) -> str | None:
    word = str(name or "").lower()
    return next((ours for theirs, ours in _OPERATIONS if theirs in word), None)


def _flag(value: Any) -> bool | None:
    if type(value) is str and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return normalization.flag(value, "IsStreamCompletion")


def _take_usage(row: Row, document: Document) -> None:
    """Fill the counts; a stream whose provider sent no usage has zeros, which count nothing."""
    for ours, theirs in (
        ("input_tokens", "PromptTokens"),
        ("output_tokens", "CompletionTokens"),
        ("total_tokens", "TotalTokens"),
    ):
        row[ours] = normalization.count_text(filled(document, theirs), theirs)
    row["is_metered"] = bool(row["input_tokens"] or row["output_tokens"])
    if not row["is_metered"]:
        row.update(dict.fromkeys(("input_tokens", "output_tokens", "total_tokens")))
    row["status"] = "ok" if row["is_metered"] else "unknown"
    row["usage_reading"] = "inclusive: cached tokens are inside the prompt and not told apart"
    row["usage_flags"] = violations(row)
