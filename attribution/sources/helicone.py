"""Helicone requests: API pages, command-line exports (JSON, JSON Lines, CSV), and dumps of its ClickHouse table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._cells import as_object, filled
from attribution.sources._identities import violations
from attribution.sources._ownership import Ownership

NAME = "helicone"
VERSION = 1
SUPERSEDES = True
GRAIN = "one request; retries inside the proxy are not seen"
GIVES = "calls, ownership (properties, user), usage, Helicone's own cost"
NESTING = "newer rows are disjoint: cached, audio and reasoning are beside prompt and completion; older ones as given"
MONEY = "US dollars in the API and its exports, nano-dollars in the table"
ZONE = "ISO 8601; naive times are UTC"
MISTAKE = "the table's cost is in nano-dollars: read as dollars it is a thousand million times too much"
SIGNATURE = ("request_id", "request_created_at", "response_created_at", "prompt_tokens", "completion_tokens")

_OWN = {"delay_ms", "response_status", "request_properties", "properties", "cache_reference_id", "request_user_id"}
_TABLE = {"status", "latency", "user_id", "properties", "proxy_key_id", "auth_hash", "organization_id"}
_NOT_CACHED = {"", "00000000-0000-0000-0000-000000000000"}
_IMPLAUSIBLE = Decimal(1000)


def recognise(sample: Sample) -> int:
    """Look for a creation time of the request beside Helicone's own names."""
    documents = [each for document in sample.documents for each in _records(document)]
    return max((_score(set(each)) for each in documents or [dict.fromkeys(sample.columns)]), default=0)


def _score(names: set[str]) -> int:
    if "request_created_at" not in names or not {"prompt_tokens", "request_model", "model"} & names:
        return 0
    return 90 if len((_OWN | _TABLE) & names) >= 2 else 0


def _records(document: Document) -> list[Document]:
    page = document.get("data")
    return [each for each in page if type(each) is dict] if type(page) is list and "error" in document else [document]


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one request, or a page of them."""
    for number, record in enumerate(_records(document)):
        try:
            intake.accept(line, observation=_request(record, intake))
        except Unreadable as fault:
            intake.set_aside(line, fault, number)


def _request(record: Document, intake: Intake) -> Row:
    if "request_created_at" not in record:
        raise Unreadable("other_record", "a request with request_created_at", list(record)[:8])
    is_table = "response_status" not in record and "status" in record
    properties = {_plain(name): value for name, value in _cell(record, "properties", "request_properties").items()}
    row: Row = {
        "role": "gateway_log",
        "started_at": normalization.instant(record["request_created_at"], "request_created_at", "UTC"),
        "ended_at": normalization.instant(filled(record, "response_created_at"), "response_created_at", "UTC"),
        "updated_at": normalization.instant(filled(record, "updated_at"), "updated_at", "UTC"),
        "provider": normalization.provider(_text(record, "provider") or intake.options.get("provider")),
        "model": _text(record, "response_model", "model_override", "model", "request_model"),
        "requested_model": _text(record, "request_model"),
        "session_id": normalization.text(filled(properties, "helicone_session_id"), "Helicone-Session-Id"),
        "trace_id": normalization.text(filled(properties, "trace_id"), "properties.trace_id"),
        "api_key_id": _text(record, "proxy_key_id", "auth_hash"),
        "gateway_call_id": _text(record, "request_id"),
        "record_id": _text(record, "response_id"),
        "cache_hit": _cache_hit(record),
    }
    row["native_id"] = row["gateway_call_id"] or row["record_id"] or intake.content_id(sorted(map(str, row.items())))
    _take_status(row, filled(record, "status" if is_table else "response_status"))
    body = _body(record)
    row["response_id"] = normalization.text(body.get("id"), "response_body.id")
    _take_usage(row, record)
    _take_cost(row, record, is_table)
    ownership = Ownership(intake)
    ownership.take({name: value for name, value in properties.items() if value != ""}, "properties")
    if "user_id_hash" not in ownership.found:
        ownership.offer("user_id_hash", filled(record, "request_user_id", "user_id"), "user_id")
    ownership.write(row)
    return row


def _plain(name: str) -> str:
    """Properties keep the case of their header: `Owner-Team` is owner_team."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _text(record: Document, *names: str) -> str | None:
    return normalization.text(filled(record, *names), names[0])


def _cell(record: Document, *names: str) -> Document:
    """Objects in CSV cells are escaped twice; one doubling is still there after the CSV is read."""
    value = filled(record, *names)
    if type(value) is str and '""' in value:
        value = value.removeprefix('"').removesuffix('"').replace('""', '"')
    return as_object(value, names[0])


def _body(record: Document) -> Document:
    try:
        return _cell(record, "response_body")
    except Unreadable:
        return {}


def _cache_hit(record: Document) -> bool | None:
    reference = record.get("cache_reference_id")
    if "cache_reference_id" not in record:
        return None
    return reference is not None and str(reference) not in _NOT_CACHED


def _take_status(row: Row, code: Any) -> None:
    """HTTP codes; negative ones are Helicone's own for cancelled and timed out."""
    number = int(code) if type(code) is str and code.lstrip("-").isdigit() else code
    if type(number) is not int:
        row["status"] = "unknown"
        return
    row["status"] = "ok" if 200 <= number < 300 else "error"
    row["error_type"] = None if row["status"] == "ok" else str(number)


def _take_usage(row: Row, record: Document) -> None:
    counts = {
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "cache_read_tokens": "prompt_cache_read_tokens",
        "cache_write_5m_tokens": "prompt_cache_write_tokens",
        "input_audio_tokens": "prompt_audio_tokens",
        "output_audio_tokens": "completion_audio_tokens",
        "reasoning_tokens": "reasoning_tokens",
        "total_tokens": "total_tokens",
    }
    for ours, theirs in counts.items():
        row[ours] = normalization.count_text(filled(record, theirs), theirs)
    given, answered = row["input_tokens"], row["output_tokens"]
    row["is_metered"] = bool(given or answered) or (row["cache_hit"] is True and given is not None)
    if not row["is_metered"]:
        row.update(dict.fromkeys(counts))
        return
    is_disjoint, row["usage_reading"] = _nesting(row)
    if is_disjoint:
        inside = (row["cache_read_tokens"], row["cache_write_5m_tokens"], row["input_audio_tokens"])
        row["input_tokens"] = (given or 0) + sum(part or 0 for part in inside)
        row["output_tokens"] = (answered or 0) + (row["reasoning_tokens"] or 0) + (row["output_audio_tokens"] or 0)
    total, apart = row["total_tokens"], (given or 0) + (answered or 0)
    flags = violations({name: value for name, value in row.items() if name != "total_tokens"}) or []
    if total is not None and total not in (apart, apart + (row["reasoning_tokens"] or 0)):
        flags.append(
            f"total_tokens {total} <> prompt + completion + reasoning {apart + (row['reasoning_tokens'] or 0)}"
        )
    if "prompt_cache_read_tokens" not in record:
        row["usage_reading"] = "exclusive; this export leaves out cached, audio and reasoning tokens"
        flags.append("input_tokens and output_tokens without their cached, audio and reasoning parts")
    row["usage_flags"] = flags or None


def _nesting(row: Row) -> tuple[bool, str]:
    """Tell newer, disjoint rows from older ones: by what exceeds what, the total, or the provider."""
    given, answered = row["input_tokens"] or 0, row["output_tokens"] or 0
    cached, hidden = row["cache_read_tokens"] or 0, row["reasoning_tokens"] or 0
    if cached > given or hidden > answered:
        return True, "exclusive: parts exceed the counts"
    if hidden and row["total_tokens"] == given + answered + hidden:
        return True, "exclusive: the total adds reasoning"
    if hidden and row["total_tokens"] == given + answered:
        return row["provider"] == "anthropic", "inclusive: the total has reasoning inside; Anthropic's cache is beside"
    return True, "exclusive: assumed, as newer rows are"


def _take_cost(row: Row, record: Document, is_table: bool) -> None:
    cost = normalization.money(filled(record, "cost", "cost_usd", "costUSD"), "cost")
    flags = list(row.get("usage_flags") or [])
    if cost is not None and is_table:
        cost = normalization.money(cost * Decimal("1e-9"), "cost")
    elif cost is not None and cost > _IMPLAUSIBLE:
        flags.append(f"source_cost:{cost.normalize():f} USD for one request, as nano-dollars would be")
        cost = None
    if cost == 0 and row["is_metered"] and not row["cache_hit"]:
        cost = None
        flags.append("source_cost:zero_for_usage")
    row["source_cost"] = None if cost == 0 and not row["is_metered"] else cost
    row["usage_flags"] = flags or None
