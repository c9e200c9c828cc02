"""OpenRouter generations: the answers of `/api/v1/generation`, one billed request each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import filled
from attribution.sources._identities import violations
from attribution.sources._ownership import Ownership

NAME = "openrouter_generations"
VERSION = 1
GRAIN = "one billed request"
GIVES = "calls, usage, the cost charged, the upstream provider's id"
NESTING = "native counts, which are billed: cached inside the prompt, reasoning inside the completion"
MONEY = "US dollars (1 credit is 1 USD)"
ZONE = "ISO 8601, UTC"
MISTAKE = "with a key of your own the cost is 0 and the upstream provider bills it: free it is not"
SIGNATURE = ("id", "upstream_id", "total_cost", "native_tokens_prompt", "native_tokens_completion", "is_byok")


def recognise(sample: Sample) -> int:
    """Look for native token counts."""
    documents = [each for document in sample.documents for each in _records(document)]
    return 95 if any({"native_tokens_prompt", "native_tokens_completion"} <= set(each) for each in documents) else 0


def _records(document: Document) -> list[Document]:
    held = document.get("data")
    if type(held) is dict:
        return [held]
    return [each for each in held if type(each) is dict] if type(held) is list else [document]


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one generation, or a list of them."""
    for number, record in enumerate(_records(document)):
        try:
            intake.accept(line, observation=_generation(record, intake))
        except Unreadable as fault:
            intake.set_aside(line, fault, number)


def _generation(record: Document, intake: Intake) -> Row:
    identity = normalization.text(record.get("id"), "id")
    if identity is None:
        raise Unreadable("missing", "an id such as gen-…", None, "id")
    row: Row = {
        "role": "provider_log",
        "native_id": identity,
        "response_id": identity,
        "provider_request_id": normalization.text(filled(record, "upstream_id"), "upstream_id"),
        "started_at": normalization.instant(record.get("created_at"), "created_at", "UTC"),
        "status": "error" if record.get("finish_reason") == "error" else "ok",
        "is_stream": normalization.flag(record.get("streamed"), "streamed"),
        "provider": "openrouter",
        "model": normalization.text(record.get("model"), "model"),
        "requested_model": normalization.text(record.get("model"), "model"),
        "input_tokens": normalization.count(record.get("native_tokens_prompt"), "native_tokens_prompt"),
        "output_tokens": normalization.count(record.get("native_tokens_completion"), "native_tokens_completion"),
        "cache_read_tokens": normalization.count(record.get("native_tokens_cached"), "native_tokens_cached"),
        "reasoning_tokens": normalization.count(record.get("native_tokens_reasoning"), "native_tokens_reasoning"),
        "output_image_tokens": normalization.count(
            record.get("native_tokens_completion_images"), "native_tokens_completion_images"
        ),
        "usage_reading": "inclusive: native counts",
    }
    row["is_metered"] = row["input_tokens"] is not None or row["output_tokens"] is not None
    row["usage_flags"] = violations(row)
    _take_cost(row, record)
    ownership = Ownership(intake)
    ownership.offer("user_id_hash", record.get("external_user"), "external_user")
    ownership.write(row)
    return row


def _take_cost(row: Row, record: Document) -> None:
    """What was charged, and with a key of one's own what the upstream provider charges besides."""
    cost = normalization.money(filled(record, "total_cost", "usage"), "total_cost")
    charged = normalization.money(_number(record.get("usage")), "usage")
    upstream = normalization.money(record.get("upstream_inference_cost"), "upstream_inference_cost")
    flags = list(row["usage_flags"] or [])
    if cost is not None and charged is not None and cost != charged:
        flags.append(f"total_cost {cost.normalize():f} <> usage {charged.normalize():f}")
    if record.get("is_byok") is True:
        flags.append("source_cost:own_key" if upstream is not None else "source_cost:own_key, upstream cost unknown")
        cost = None if upstream is None else (cost or Decimal(0)) + upstream
    row["source_cost"], row["usage_flags"] = cost, flags or None


def _number(value: Any) -> Any:
    return None if type(value) is dict else value
