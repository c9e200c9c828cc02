"""Google's `usageMetadata`: cached inside the prompt, thoughts beside the candidates, tool use beside the prompt."""

from __future__ import annotations

from typing import Any

from attribution import normalization
from attribution.reading import Document
from attribution.sources import Row
from attribution.sources._identities import violations

_MODALITIES = {
    "promptTokensDetails": {
        "AUDIO": "input_audio_tokens",
        "IMAGE": "input_image_tokens",
        "VIDEO": "input_video_tokens",
    },
    "toolUsePromptTokensDetails": {
        "AUDIO": "input_audio_tokens",
        "IMAGE": "input_image_tokens",
        "VIDEO": "input_video_tokens",
    },
    "cacheTokensDetails": {
        "AUDIO": "cache_read_audio_tokens",
        "IMAGE": "cache_read_image_tokens",
        "VIDEO": "_cached_video",
    },
    "candidatesTokensDetails": {"AUDIO": "output_audio_tokens", "IMAGE": "output_image_tokens"},
}
_SUMS = {"promptTokensDetails": "promptTokenCount", "candidatesTokensDetails": "candidatesTokenCount"}


def take_usage(row: Row, usage: Document) -> None:
    """Fill inclusive totals and parts, and check Google's own identities."""
    prompt, tools, thoughts, total = (
        _count(usage, name)
        for name in ("promptTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount", "totalTokenCount")
    )
    answered = _count(usage, "candidatesTokenCount")
    answered = _count(usage, "responseTokenCount") if answered is None else answered
    row["is_metered"] = prompt is not None or answered is not None
    if not row["is_metered"]:
        return
    row["input_tokens"] = None if prompt is None else prompt + (tools or 0)
    # Without candidates the answer was empty or a tool call: the total says that nothing is missing.
    is_unknown = answered is None and total is None and not thoughts
    hidden = max((total or 0) - sum(count or 0 for count in (prompt, tools, answered, thoughts)), 0)
    thoughts = thoughts if not hidden else (thoughts or 0) + hidden
    row["output_tokens"] = None if is_unknown else (answered or 0) + (thoughts or 0)
    row["cache_read_tokens"] = _count(usage, "cachedContentTokenCount")
    row["reasoning_tokens"], row["total_tokens"] = thoughts, total
    row["usage_reading"] = "cached inside the prompt, thoughts beside the candidates, tool use beside the prompt"
    flags = [f"hidden reasoning: totalTokenCount {total} exceeds its parts by {hidden}"] if hidden else []
    for name, columns in _MODALITIES.items():
        _take_details(row, usage, name, columns, flags)
    _leave_cached_video(row)
    row["usage_flags"] = (violations(row) or []) + flags or None
    row["service_tier"] = _tier(usage)


def _count(usage: Document, name: str) -> int | None:
    return normalization.count(usage.get(name), name)


def _take_details(row: Row, usage: Document, name: str, columns: dict[str, str], flags: list[str]) -> None:
    """Details are counts by modality; an entry without a count is 0, and they need not add up."""
    entries = usage.get(name)
    if type(entries) is not list:
        return
    added = 0
    for entry in entries:
        count = _count(entry, "tokenCount") or 0 if type(entry) is dict else 0
        added += count
        column = columns.get(str(entry.get("modality")).upper()) if type(entry) is dict else None
        if column is not None:
            row[column] = (row.get(column) or 0) + count
    whole = usage.get(_SUMS.get(name, ""))
    if type(whole) is int and added != whole:
        flags.append(f"{name} {added} <> {_SUMS[name]} {whole}")


def _leave_cached_video(row: Row) -> None:
    """Cached video is priced as any cached input and has no column of its own, so it is a cache read only."""
    cached = row.pop("_cached_video", None)
    if cached is not None and row.get("input_video_tokens") is not None:
        row["input_video_tokens"] -= cached


def _tier(usage: Document) -> Any:
    return normalization.service_tier(usage.get("serviceTier") or usage.get("trafficType"))
