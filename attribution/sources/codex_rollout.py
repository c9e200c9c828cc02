"""Codex session files (rollouts): a usage record per response, or the deltas of older cumulative counts."""

from __future__ import annotations

from typing import Any

from attribution.normalization import count, instant, provider, text
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._otlp_intake import codex_record
from attribution.sources._otlp_values import an_object, hex_id
from attribution.sources.claude_code import folder

NAME = "codex_rollout"
VERSION = 1
GRAIN = "one line is one event of a session; a usage record, or a rise of the count, is one call"
GIVES = "tokens, model and, since 2026, the provider's response id; session, repository folder; no declared owner"
NESTING = "input includes cached, output includes reasoning"
MONEY = "none"
ZONE = "UTC"
MISTAKE = "token_count is cumulative, repeats, and doubles the newer usage records; forked sessions replay their parent"

_COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cached_input_tokens",
    "cache_write_5m_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
    "total_tokens": "total_tokens",
}
_TYPES = {
    "session_meta",
    "turn_context",
    "event_msg",
    "response_item",
    "token_usage_record",
    "world_state",
    "compacted",
}


def recognise(sample: Sample) -> int:
    """A rollout's lines have a time, a type of Codex's own, and a payload."""
    found = [
        document
        for document in sample.documents
        if document.get("type") in _TYPES and isinstance(document.get("payload"), dict)
    ]
    return 93 if found and len(found) * 2 > len(sample.documents) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Take usage; remember model and session for the lines that follow."""
    kind, payload = document.get("type"), an_object(document.get("payload"), "payload")
    state = intake.notes
    if kind == "session_meta":
        # A forked session repeats the head of its parent; its own comes first.
        state.setdefault("session", payload)
    elif kind == "event_msg" and payload.get("type") == "task_started":
        state["trace"] = hex_id(payload.get("trace_id"), 32, "trace_id")
    elif kind == "turn_context":
        state["model"] = text(payload.get("model"), "model") or state.get("model")
    if kind == "token_usage_record":
        row = _row(document, payload, an_object(payload.get("usage"), "usage"), state)
        state["has_records"] = True
        row["response_id"] = text(payload.get("response_id"), "response_id")
        row["record_id"] = codex_record(row, intake)
        row["native_id"] = row["response_id"] or intake.content_id(document.get("timestamp"), repr(payload))
        intake.accept(line, observation=row)
    elif kind == "event_msg" and payload.get("type") == "token_count" and payload.get("info") is not None:
        info = an_object(payload["info"], "info")
        row = _row(document, payload, _last(info), state)
        row["model"] = text(info.get("model"), "info.model") or row["model"]
        total = _total(info)
        state.setdefault("counts", []).append((intake.reserve(), line, row, total))
    else:
        intake.pass_over()


def finish(intake: Intake) -> None:
    """Take the cumulative counts only where no usage records tell the same."""
    waiting, before = intake.notes.pop("counts", []), None
    replayed = _replayed(waiting, intake.notes.get("session") or {})
    for number, line, row, total in waiting:
        is_news = total is None or total != before
        if intake.notes.get("has_records") or number in replayed or not is_news:
            intake.context += 1
        else:
            _check_rise(row, total, before)
            session = row["session_id"]
            row["record_id"] = codex_record(row, intake)
            row["native_id"] = f"{session}/{total}" if session and total else intake.content_id(repr(row))
            intake.accept(line, observation=row, reserved=number)
        before = total if total is not None else before


def _replayed(waiting: list[Any], session: Document) -> set[int]:
    """A forked or sub-agent session begins with its parent's counts, all written within one second."""
    source = session.get("source")
    is_forked = session.get("forked_from_id") is not None or (isinstance(source, dict) and "subagent" in source)
    if not is_forked or not waiting:
        return set()
    second = waiting[0][2]["started_at"] // 1_000_000
    burst: set[int] = set()
    for number, _, row, _ in waiting:
        if row["started_at"] // 1_000_000 != second:
            break
        burst.add(number)
    return burst if len(burst) > 1 else set()


def _last(info: Document) -> Document:
    last = info.get("last_token_usage")
    return an_object(last if last is not None else info.get("total_token_usage"), "last_token_usage")


def _total(info: Document) -> tuple[int, ...] | None:
    total = info.get("total_token_usage")
    if total is None:
        return None
    counts = an_object(total, "total_token_usage")
    return tuple(count(counts.get(name), name) or 0 for name in _COUNTS.values())


def _check_rise(row: Row, total: tuple[int, ...] | None, before: tuple[int, ...] | None) -> None:
    """The last request's usage is the rise of the cumulative count."""
    if total is None or before is None:
        return
    rise = total[0] - before[0]
    if rise >= 0 and row.get("input_tokens") != rise:
        row.setdefault("usage_flags", []).append(
            f"last input_tokens {row.get('input_tokens')} <> rise of the total {rise}"
        )


def _row(document: Document, payload: Document, usage: Document, state: dict[str, Any]) -> Row:
    session = state.get("session") or {}
    at = instant(document.get("timestamp"), "timestamp")
    if at is None:
        raise Unreadable("missing", "a time", None, "timestamp")
    flags: list[str] = []
    counts = {ours: count(usage.get(theirs), theirs) for ours, theirs in _COUNTS.items()}
    row: Row = {
        "role": "client_span",
        "trace_id": state.get("trace"),
        "session_id": text(session.get("session_id") or session.get("id") or payload.get("session_id"), "session_id"),
        "started_at": at,
        "ended_at": at,
        "status": "ok",
        "operation": "responses",
        "provider": _provider(session.get("model_provider")),
        "model": state.get("model"),
        "service": "codex",
        "project_id": folder(session.get("cwd"), flags),
        "is_metered": counts["input_tokens"] is not None or counts["output_tokens"] is not None,
        "usage_reading": "inclusive: Codex counts",
        **counts,
    }
    _flag(row, counts)
    if flags:
        row["ownership_flags"] = flags
    return row


def _provider(named: Any) -> str | None:
    """The configured provider's name; `local` and other names of a user's own say nothing of who bills."""
    known = provider(named) if isinstance(named, str) else None
    return None if known == "local" else known


def _flag(row: Row, counts: dict[str, int | None]) -> None:
    flags = []
    used, made, total = counts["input_tokens"] or 0, counts["output_tokens"] or 0, counts["total_tokens"]
    if total is not None and total != used + made:
        flags.append(f"total_tokens {total} <> input_tokens {used} + output_tokens {made}")
    for part, whole in (("cache_read_tokens", used), ("reasoning_tokens", made)):
        if (counts[part] or 0) > whole:
            flags.append(f"{part} {counts[part]} > {whole}")
    if flags:
        row["usage_flags"] = flags
