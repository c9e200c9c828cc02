"""Answers of providers as they came (chat, responses, messages, Gemini, Converse, batch results), one a line."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import as_object, filled
from attribution.sources._ownership import Ownership
from attribution.sources._response_usage import shape_of, take_anthropic, take_usage

NAME = "provider_responses"
VERSION = 1
GRAIN = "one answer; an Anthropic answer that asked a second model is one call of each model"
GIVES = "calls, usage, OpenRouter's and xAI's cost; ownership only in OpenAI's metadata"
NESTING = "by provider: OpenAI and compatible inclusive, Anthropic, Converse and Gemini as their pages say"
MONEY = "US dollars, where the answer has a cost (OpenRouter credits, xAI ticks)"
ZONE = "epoch seconds or ISO 8601"
#: `options={"provider": …}` names who answered where the answer itself does not.
MISTAKE = (
    "input_tokens means all input at OpenAI and only the uncached part at Anthropic: the same name, added up wrong"
)
SIGNATURE = ("id", "model", "usage")

#: What answers are made of; a log that says more (a team, a trace) is not a bare answer.
_NAMES = """
    id object created created_at completed_at createTime model modelVersion responseId provider type role status
    choices output content candidates data embeddings texts images text message response_type finish_reason
    native_finish_reason native_finish_reasons stop_reason stop_sequence stop_details stopReason promptFeedback
    usage usageMetadata meta metrics billing x_groq service_tier system_fingerprint error incomplete_details
    metadata user safety_identifier prompt_cache_key prompt_cache_retention moderation store background
    instructions max_output_tokens max_tool_calls temperature top_p top_logprobs presence_penalty frequency_penalty
    parallel_tool_calls previous_response_id reasoning tool_choice tools truncation container context_management
    ResponseMetadata trace additionalModelResponseFields performanceConfig custom_id result response
    file provider_guess
"""
_KNOWN = set(_NAMES.split())
_ANTHROPIC_HOSTS = {"msg_bdrk_": "aws", "msg_vrtx_": "google"}


def recognise(sample: Sample) -> int:
    """Look for answers that are nothing else."""
    return max((_score(document) for document in sample.documents), default=0)


def _score(document: Document) -> int:
    if not set(document) <= _KNOWN:
        return 0
    return 70 if shape_of(_unwrapped(document)[0]) is not None else 0


def _unwrapped(document: Document) -> tuple[Document, bool]:
    """Return the answer and whether it comes from a batch, whose lines wrap it."""
    result, response = document.get("result"), document.get("response")
    if "custom_id" in document and type(result) is dict and type(result.get("message")) is dict:
        return result["message"], True
    if "custom_id" in document and type(response) is dict and type(response.get("body")) is dict:
        return response["body"], True
    billed = document.get("meta")
    if "usage" not in document and type(billed) is dict and "billed_units" in billed:
        return document | {"usage": billed}, False
    return document, False


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one answer; one that used several models is several calls."""
    answer, is_batch = _unwrapped(document)
    shape = shape_of(answer)
    if shape is None:
        if answer.get("usage", answer) is None or "error" in answer:
            intake.accept(line, observation=_row(answer, None, is_batch, intake))
            return
        raise Unreadable("other_record", "an answer with usage", list(document)[:8])
    row = _row(answer, shape, is_batch, intake)
    usage = answer.get("usage")
    steps = usage.get("iterations") if type(usage) is dict else None
    if shape == "anthropic" and type(steps) is list and steps:
        _take_steps(row, steps, line, intake)
    else:
        intake.accept(line, observation=row)


def _row(answer: Document, shape: str | None, is_batch: bool, intake: Intake) -> Row:
    identity = normalization.text(filled(answer, "id", "responseId"), "id")
    failed = answer.get("error")
    model = normalization.text(filled(answer, "model", "modelVersion"), "model")
    row: Row = {
        "role": "provider_log",
        "response_id": normalization.response_id(identity),
        "started_at": _time(filled(answer, "created", "created_at", "createTime")),
        "status": "error" if failed or answer.get("status") == "failed" else "ok",
        "operation": _operation(answer),
        "provider": _provider(answer, shape, identity) or normalization.provider(intake.options.get("provider")),
        "model": model,
        "requested_model": model,
        "is_metered": False,
    }
    if shape is not None:
        take_usage(row, answer, shape)
    stated = normalization.service_tier(answer.get("service_tier"))
    row["service_tier"] = "batch" if is_batch else stated or row.get("service_tier")
    row["native_id"] = identity or intake.content_id(sorted((name, str(value)) for name, value in answer.items()))
    ownership = Ownership(intake)
    try:
        ownership.take(as_object(answer.get("metadata"), "metadata"), "metadata")
    except Unreadable as fault:
        ownership.flags.append(f"metadata:{fault.reason}")
    ownership.write(row)
    return row


def _time(value: Any) -> int | None:
    if type(value) is str and not value.isdigit():
        return normalization.instant(value, "created", "UTC")
    return normalization.epoch(value, "created", 1)


def _operation(answer: Document) -> str | None:
    kinds = {
        "chat.completion": "chat",
        "response": "responses",
        "list": "embeddings",
        "text_completion": "text_completion",
        "message": "chat",
    }
    return kinds.get(str(answer.get("object") or answer.get("type")))


def _provider(answer: Document, shape: str | None, identity: str | None) -> str | None:
    """Name who answered where the answer itself tells; compatible servers do not."""
    usage = answer.get("usage")
    if shape == "anthropic":
        return next((name for head, name in _ANTHROPIC_HOSTS.items() if (identity or "").startswith(head)), "anthropic")
    if shape in ("google", "converse", "cohere"):
        return {"google": "google", "converse": "aws", "cohere": "cohere"}[shape]
    if type(usage) is dict and ("cost_details" in usage or (identity or "").startswith("gen-")):
        return "openrouter"
    return "x-ai" if type(usage) is dict and "cost_in_usd_ticks" in usage else None


def _take_steps(row: Row, steps: list[Any], line: int, intake: Intake) -> None:
    """Anthropic's top level leaves out compactions and advisors; all steps are billed, each at its model."""
    totals: dict[str | None, list[Row]] = {}
    for step in steps:
        if type(step) is not dict:
            raise Unreadable("not_an_object", "an object per iteration", type(step).__name__, "iterations")
        part: Row = {}
        take_anthropic(part, step)
        totals.setdefault(normalization.text(step.get("model"), "iterations.model"), []).append(part)
    own = totals.pop(None, []) + totals.pop(row["model"], [])
    searches = row.get("other_usage")
    intake.accept(line, observation=row | _sum(own) | {"other_usage": searches})
    for number, (model, parts) in enumerate(sorted(totals.items(), key=str), 1):
        # It has no id of its own; under the answer's id it would be taken for the same call.
        other = {"response_id": None, "operation_key": row["response_id"], "model": model, "requested_model": model}
        other["native_id"] = f"{row['native_id']}/{number}"
        intake.accept(line, observation=row | _sum(parts) | other | {"other_usage": None})


def _sum(parts: list[Row]) -> Row:
    names = [name for name in (parts[0] if parts else {}) if name.endswith("_tokens")]
    counts = {name: [part[name] for part in parts if part[name] is not None] for name in names}
    return {name: sum(found) if found else None for name, found in counts.items()}
