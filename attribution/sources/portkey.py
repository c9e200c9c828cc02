"""Portkey logs export: JSON Lines (or CSV) with the columns that were asked for, one row per attempt."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import as_list, as_object, filled
from attribution.sources._identities import violations
from attribution.sources._litellm import host, trace
from attribution.sources._ownership import Ownership

NAME = "portkey"
VERSION = 1
GRAIN = "one attempt; retries and fallbacks of a request share its trace"
GIVES = "calls, attempts, ownership (metadata), usage, Portkey's own cost"
NESTING = (
    "as the provider counts: cached tokens are inside for OpenAI, beside for Anthropic; split only with `response`"
)
MONEY = "US cents, although cost_currency says USD"
ZONE = "ISO 8601; naive times are UTC"
MISTAKE = "cost is in cents: read as dollars it is a hundred times too much"
SIGNATURE = ("ai_org", "ai_model", "req_units", "res_units", "total_units", "is_success", "cost_currency")

_SUCCESS = {"1": "ok", "true": "ok", "0": "error", "false": "error"}
_CACHE = {"HIT": True, "SEMANTIC HIT": True, "MISS": False, "DISABLED": False, "REFRESH": False}


def recognise(sample: Sample) -> int:
    """Look for Portkey's names of provider, model and units."""
    names = [set(document) for document in sample.documents] or [set(sample.columns)]
    found = max((len(set(SIGNATURE) & each) for each in names), default=0)
    return 92 if found >= 4 else 60 if found == 3 else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one row as one attempt."""
    if not {"ai_model", "req_units", "ai_org"} & document.keys():
        raise Unreadable("other_record", "a row with ai_model or req_units", list(document)[:8])
    succeeded = document.get("is_success")
    code = filled(document, "response_status_code")
    row: Row = {
        "role": "gateway_log",
        "native_id": _text(document, "id"),
        "trace_id": trace(_text(document, "trace_id")),
        "started_at": normalization.instant(filled(document, "created_at"), "created_at", "UTC"),
        "status": "unknown" if succeeded is None else _SUCCESS.get(str(succeeded).lower(), "unknown"),
        "provider": normalization.provider(_text(document, "ai_org")),
        "model": _text(document, "ai_model"),
        "requested_model": _text(document, "ai_model"),
        "endpoint": host(document.get("request_url")),
        "api_key_id": _text(document, "virtual_key"),
        "cache_hit": _CACHE.get(str(filled(document, "cache_status") or "").upper()),
        "input_tokens": normalization.count_text(filled(document, "req_units"), "req_units"),
        "output_tokens": normalization.count_text(filled(document, "res_units"), "res_units"),
        "total_tokens": normalization.count_text(filled(document, "total_units"), "total_units"),
    }
    row["error_type"] = str(code) if row["status"] == "error" and code is not None else None
    if row["native_id"] is None:
        row["native_id"] = intake.content_id(sorted(map(str, row.items())))
    _join_attempts(row, document)
    _take_usage(row, document)
    _take_cost(row, document)
    _take_ownership(row, document, intake)
    intake.accept(line, observation=row)


def _text(document: Document, name: str) -> str | None:
    return normalization.text(filled(document, name), name)


def _join_attempts(row: Row, document: Document) -> None:
    """A trace joins the attempts of a request only where a record is one of several."""
    retries = normalization.count_text(filled(document, "retry_success_count"), "retry_success_count")
    if row["status"] == "error" or retries or str(document.get("mode")).upper() == "FALLBACK":
        row["operation_key"] = row["trace_id"]
    if retries is not None and str(document.get("mode")).upper() != "FALLBACK":
        row["attempt_no"] = retries + 1


def _take_usage(row: Row, document: Document) -> None:
    """The split is only in the provider's answer, which is in the export when it was asked for."""
    response = _response(document)
    row["response_id"] = normalization.response_id(normalization.text(response.get("id"), "response.id"))
    usage = as_object(response.get("usage"), "response.usage")
    row["is_metered"] = bool(row["input_tokens"] or row["output_tokens"])
    if not row["is_metered"]:
        row.update(dict.fromkeys(("input_tokens", "output_tokens", "total_tokens")))
        return
    row["usage_reading"] = "as the provider counts; no cache split in this export"
    if usage:
        _take_split(row, usage)
    row["usage_flags"] = violations(row)


def _take_split(row: Row, usage: Document) -> None:
    read = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    if read is not None or written is not None:
        row["cache_read_tokens"] = normalization.count(read, "response.usage.cache_read_input_tokens")
        row["cache_write_5m_tokens"] = normalization.count(written, "response.usage.cache_creation_input_tokens")
        beside = (row["cache_read_tokens"] or 0) + (row["cache_write_5m_tokens"] or 0)
        row["input_tokens"] = (row["input_tokens"] or 0) + beside
        row["total_tokens"] = None if row["total_tokens"] is None else row["total_tokens"] + beside
        row["usage_reading"] = "exclusive: Anthropic's answer counts its cache beside the input"
        return
    into = as_object(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"), "response.usage")
    out_of = as_object(usage.get("completion_tokens_details") or usage.get("output_tokens_details"), "response.usage")
    row["cache_read_tokens"] = normalization.count(into.get("cached_tokens"), "response.usage.cached_tokens")
    row["reasoning_tokens"] = normalization.count(out_of.get("reasoning_tokens"), "response.usage.reasoning_tokens")
    row["usage_reading"] = "inclusive: OpenAI's answer counts its cache inside the input"


def _response(document: Document) -> Document:
    try:
        return as_object(filled(document, "response", "response.body"), "response")
    except Unreadable:
        return {}


def _take_cost(row: Row, document: Document) -> None:
    cents = normalization.money(filled(document, "cost"), "cost")
    currency = str(filled(document, "cost_currency") or "USD").upper()
    flags = list(row.get("usage_flags") or [])
    if cents is not None and currency != "USD":
        flags.append(f"source_cost:in {currency}, not kept")
        cents = None
    if cents == 0 and not row["cache_hit"]:
        flags += ["source_cost:zero_for_usage"] if row["is_metered"] else []
        cents = None
    row["source_cost"] = None if cents is None else normalization.money(cents.scaleb(-2), "cost")
    row["usage_flags"] = flags or None


def _take_ownership(row: Row, document: Document, intake: Intake) -> None:
    ownership = Ownership(intake)
    try:
        metadata = _metadata(document)
    except Unreadable as fault:
        metadata = {}
        ownership.flags.append(f"metadata:{fault.reason}")
    ownership.take(metadata, "metadata")
    if "user_id_hash" not in ownership.found:
        ownership.offer("user_id_hash", metadata.get("_user"), "_user")
    ownership.write(row)


def _metadata(document: Document) -> Document:
    """An object, or in older exports two parallel lists."""
    keys: list[Any] = as_list(document.get("metadata.key"), "metadata.key")
    if keys:
        values = as_list(document.get("metadata.value"), "metadata.value")
        if len(values) != len(keys):
            raise Unreadable("not_parallel", f"{len(keys)} values", len(values), "metadata.value")
        return dict(zip(map(str, keys), values, strict=True))
    return as_object(filled(document, "metadata"), "metadata")
