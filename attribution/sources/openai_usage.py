"""OpenAI organization Usage API pages: every endpoint, tokens and units per bucket and grouping, no money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills, _openai, _runs

NAME = "openai_usage"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("object", "data", "has_more", "next_page")
GRAIN = "time bucket (minute, hour or UTC day) × the dimensions the pull was grouped by × meter"
GIVES = "usage per project, key, member, model, tier; no money, no request id"
NESTING = "cached and written input are in the input, reasoning is in the output; made disjoint here"
MONEY = "none"
ZONE = "unix seconds, buckets in UTC"
MISTAKE = (
    "two groupings of one period each tell the full total: adding them doubles usage; a missing page cuts a month short"
)
REWRITES = (
    "replace: recent buckets are revised; a later pull replaces a bucket, told by the time in the pulled file's name"
)
#: Hours and their day tell the same; of two widths of bucket the wide one counts.
BUCKETS = True

run_of = _runs.pulled_run

_OBJECT = "organization.usage."
_DIMENSIONS = (
    "project_id",
    "user_id",
    "api_key_id",
    "model",
    "batch",
    "service_tier",
    "vector_store_id",
    "context_level",
    "source",
    "size",
)
#: Endpoint → what it counts, and our meter and unit. File and web search are named unlike their paths.
_COUNTS: dict[str, tuple[str, str, str]] = {
    "embeddings": ("input_tokens", "input", "tokens"),
    "moderations": ("input_tokens", "input", "tokens"),
    "images": ("images", "image", "images"),
    "audio_speeches": ("characters", "character", "characters"),
    "audio_transcriptions": ("seconds", "second", "seconds"),
    "vector_stores": ("usage_bytes", "vector_storage", "bytes"),
    "code_interpreter_sessions": ("num_sessions", "session", "sessions"),
    "file_searches": ("num_requests", "file_search", "searches"),
    "web_searches": ("num_requests", "web_search", "searches"),
}


def recognise(sample: Sample) -> int:
    """Look for the page envelope and the discriminator of usage results."""
    return _openai.prefix_score(sample, _OBJECT, empty=40)


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every result of a page; a result that cannot be read costs itself only."""
    grouping = _openai.grouping(document, _DIMENSIONS, intake)
    for start, end, results in _openai.buckets(document):
        for ordinal, result in enumerate(results):
            try:
                intake.accept(line, bill_lines=_lines(result, start, end, grouping, intake))
            except Unreadable as fault:
                intake.set_aside(line, fault, ordinal)
        if not results and intake.run.kind is not None:
            # An empty bucket does not name its endpoint; the pulled file's name does.
            intake.cover(_bills.period(intake.run.kind, start, end))


def _lines(result: Any, start: int, end: int, grouping: str, intake: Intake) -> list[Row]:
    if not isinstance(result, dict):
        raise Unreadable("not_an_object", "a usage result", type(result).__name__, "results")
    endpoint = str(result.get("object")).removeprefix(_OBJECT).removesuffix(".result")
    flags: list[str] = []
    meters = _completions(result, flags) if endpoint == "completions" else _others(result, endpoint)
    dimensions = {name: _dimension(result, name) for name in _DIMENSIONS}
    period = intake.cover(_bills.period(endpoint, start, end))
    base = _bills.stamp(intake, _base(result, dimensions, start, end), period)
    base |= {"grouping": grouping, "flags": flags or None, "sku": endpoint}
    return _bills.lines_of(base, meters, _bills.key(period, *dimensions.values()))


def _dimension(result: Document, name: str) -> str | None:
    value = result.get(name)
    return str(value).lower() if type(value) is bool else normalization.text(value, name)


def _base(result: Document, dimensions: dict[str, str | None], start: int, end: int) -> Row:
    normalization.flag(result.get("batch"), "batch")
    extra = {name: dimensions[name] for name in ("vector_store_id", "context_level", "source", "size")}
    return {
        "role": "usage",
        "category": "usage",
        "provider": "openai",
        "period_start": start,
        "period_end": end,
        "billing_period": _bills.month(start),
        "project_id": dimensions["project_id"],
        "api_key_id": dimensions["api_key_id"],
        "principal": dimensions["user_id"],
        "model": dimensions["model"],
        "service_tier": "batch"
        if dimensions["batch"] == "true"
        else normalization.service_tier(dimensions["service_tier"]),
        "requests": normalization.count(result.get("num_model_requests"), "num_model_requests"),
        "tags": {name: value for name, value in extra.items() if value is not None} or None,
    }


def _others(result: Document, endpoint: str) -> dict[str, tuple[int | Decimal | None, str]]:
    if endpoint not in _COUNTS:
        raise Unreadable("unknown_kind", f"one of completions, {', '.join(_COUNTS)}", endpoint, "object")
    field, meter, unit = _COUNTS[endpoint]
    return {meter: (_bills.required(normalization.count(result.get(field), field), field), unit)}


def _completions(result: Document, flags: list[str]) -> dict[str, tuple[int | Decimal | None, str]]:
    """Split a result into disjoint meters; which fields there are depends on the generation of the payload."""
    counts = {
        name: normalization.count(value, name)
        for name, value in result.items()
        if name.endswith("_tokens") and name.startswith(("input_", "output_"))
    }
    total = _bills.required(counts.get("input_tokens"), "input_tokens")
    output = _bills.required(counts.get("output_tokens"), "output_tokens")
    if counts.get("input_uncached_tokens") is None:
        return _first_generation(counts, total, output, flags)
    _identities(counts, flags)
    uncached, cached = counts["input_uncached_tokens"] or 0, counts.get("input_cached_tokens") or 0
    media = {name: counts.get(f"input_{name}_tokens") for name in ("audio", "image")}
    cached_media = {name: counts.get(f"input_cached_{name}_tokens") for name in ("audio", "image")}
    output_media = {name: counts.get(f"output_{name}_tokens") for name in ("audio", "image")}
    return {
        "input": (_bills.disjoint(uncached, media, "input_uncached_tokens"), "tokens"),
        "cache_read": (_bills.disjoint(cached, cached_media, "input_cached_tokens"), "tokens"),
        "cache_write_5m": (counts.get("input_cache_write_tokens"), "tokens"),
        "input_audio": (media["audio"], "tokens"),
        "input_image": (media["image"], "tokens"),
        "cache_read_audio": (cached_media["audio"], "tokens"),
        "cache_read_image": (cached_media["image"], "tokens"),
        "output": (_bills.disjoint(output, output_media, "output_tokens"), "tokens"),
        "output_audio": (output_media["audio"], "tokens"),
        "output_image": (output_media["image"], "tokens"),
    }


def _first_generation(
    counts: dict[str, int | None], total: int, output: int, flags: list[str]
) -> dict[str, tuple[int | Decimal | None, str]]:
    """Until 2026 audio stands beside or within the totals, cached audio included: it cannot be separated."""
    for name in ("input_audio_tokens", "output_audio_tokens"):
        if counts.get(name):
            flags.append(f"audio_not_separable: {name} {counts[name]}")
    inside = {name: counts.get(f"input_{name}_tokens") for name in ("cached", "cache_write")}
    return {
        "input": (_bills.disjoint(total, inside, "input_tokens"), "tokens"),
        "cache_read": (inside["cached"], "tokens"),
        "cache_write_5m": (inside["cache_write"], "tokens"),
        "output": (output, "tokens"),
    }


def _identities(counts: dict[str, int | None], flags: list[str]) -> None:
    """Assert the identities of the page where all fields of one are present."""
    for total, parts in {
        "input_tokens": ("input_cached_tokens", "input_cache_write_tokens", "input_uncached_tokens"),
        "input_uncached_tokens": ("input_text_tokens", "input_audio_tokens", "input_image_tokens"),
        "input_cached_tokens": ("input_cached_text_tokens", "input_cached_audio_tokens", "input_cached_image_tokens"),
        "output_tokens": ("output_text_tokens", "output_audio_tokens", "output_image_tokens"),
    }.items():
        _bills.check(flags, total, counts.get(total), [counts.get(part) for part in parts])
