"""Claude Code session transcripts: one line per content block, usage repeated on each, counted once per answer."""

from __future__ import annotations

from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from attribution.normalization import count, instant, money, owner, service_tier, text
from attribution.reading import Document, Sample
from attribution.sources import Intake, Row
from attribution.sources._otlp_values import an_object

NAME = "claude_code"
VERSION = 1
GRAIN = "one line is one content block of an answer; an answer is one call"
GIVES = "tokens, model and provider id of each answer, session, repository folder; no declared owner"
NESTING = "input excludes cache reads and writes, output includes thinking; made inclusive here"
MONEY = "dollars, an estimate, in old versions only; notional for subscriptions"
ZONE = "UTC"
MISTAKE = "adding up the lines counts each answer 1.8 to 4 times; resumed sessions and sub-agents repeat lines"
SUPERSEDES = True
#: A sub-agent's copy yields to the line it copies; of the blocks of one answer the one that counted most is the last.
PREFER = ("role", "output_tokens", "input_tokens", "ended_at")

_SIGNS = ("sessionId", "uuid")
_LIKELY = {"assistant", "user", "summary", "system", "file-history-snapshot", "queue-operation"}


def recognise(sample: Sample) -> int:
    """Look for answers with usage inside a session; sessions without any look like transcripts too."""
    if any("sessionId" in document and _usage(document) is not None for document in sample.documents):
        return 92
    return 60 if any(_is_line(document) for document in sample.documents) else 0


def _is_line(document: Document) -> bool:
    return document.get("type") in _LIKELY and any(name in document for name in (*_SIGNS, "leafUuid"))


def _usage(document: Document) -> Any:
    message = document.get("message")
    return message.get("usage") if isinstance(message, dict) else None


def read(document: Document, line: int, intake: Intake) -> None:
    """Take one line; only answers of a model carry usage, the rest is context."""
    usage = _usage(document)
    if usage is None or document["message"].get("model") == "<synthetic>":
        intake.pass_over()
        return
    intake.accept(
        line, observation=_observation(document, document["message"], an_object(usage, "message.usage"), intake)
    )


def _observation(document: Document, message: Document, usage: Document, intake: Intake) -> Row:
    answer = text(message.get("id"), "message.id")
    model = text(message.get("model"), "message.model")
    ended_at = instant(document.get("timestamp"), "timestamp")
    flags: list[str] = []
    row: Row = {
        "native_id": answer or intake.content_id(document.get("requestId"), ended_at, model, repr(usage)),
        "role": "application" if document.get("isSidechain") is True else "client_span",
        "response_id": answer,
        "provider_request_id": text(document.get("requestId"), "requestId"),
        "session_id": text(document.get("sessionId"), "sessionId"),
        "started_at": ended_at,
        "ended_at": ended_at,
        "status": "ok",
        "operation": "chat",
        "provider": _provider(answer),
        "model": model,
        "service": "claude-code",
        "service_tier": "fast" if usage.get("speed") == "fast" else service_tier(usage.get("service_tier")),
        "source_cost": money(document.get("costUSD"), "costUSD"),
        "project_id": folder(document.get("cwd"), flags),
    }
    _read_usage(usage, row)
    if flags:
        row["ownership_flags"] = flags
    return row


def _provider(answer: str | None) -> str:
    """The cloud that answered marks its ids."""
    if answer is not None and answer.startswith("msg_bdrk_"):
        return "aws"
    return "google" if answer is not None and answer.startswith("msg_vrtx_") else "anthropic"


def folder(given: Any, flags: list[str]) -> str | None:
    """Keep the name of the repository's folder; the path to it often names a person."""
    if not isinstance(given, str) or not given:
        return None
    path = PureWindowsPath(given) if "\\" in given else PurePosixPath(given)
    return owner(path.name, "cwd", flags)


def _read_usage(usage: Document, row: Row) -> None:
    """Anthropic's own counts leave the cache out of the input."""
    fresh, made = (count(usage.get(name), name) for name in ("input_tokens", "output_tokens"))
    read = count(usage.get("cache_read_input_tokens"), "cache_read_input_tokens")
    written = count(usage.get("cache_creation_input_tokens"), "cache_creation_input_tokens")
    lives = usage.get("cache_creation")
    short = long = None
    if isinstance(lives, dict):
        short, long = (count(lives.get(f"ephemeral_{life}_input_tokens"), life) for life in ("5m", "1h"))
    if short is None and long is None:
        short = written
    elif written is not None and written != (short or 0) + (long or 0):
        row["usage_flags"] = [f"cache_creation_input_tokens {written} <> 5m {short} + 1h {long}"]
    row["is_metered"] = fresh is not None or made is not None
    if fresh is not None:
        row["input_tokens"] = fresh + (read or 0) + (short or 0) + (long or 0)
        row["usage_reading"] = "exclusive: Anthropic's own counts"
    row |= {
        "output_tokens": made,
        "cache_read_tokens": read,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
    }
    tools = usage.get("server_tool_use")
    searches = count(tools.get("web_search_requests"), "web_search_requests") if isinstance(tools, dict) else None
    if searches:
        row["other_usage"] = [("web_search", Decimal(searches))]
