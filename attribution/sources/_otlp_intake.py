"""From rows to the intake: bad spans alone are set aside; a few dialects spread one call over several spans.

Logfire writes a streamed call's usage on a log record beside the request's span, without a response id; Codex
writes the model on a span above the one with the usage. Those spans wait until the file has been read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attribution.reading import Unreadable
from attribution.sources import Intake
from attribution.sources._otlp_spans import Context, Rows

Found = dict[str, Any]
#: What a log record of Logfire knows and the request's span does not.
_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "total_tokens",
    "is_metered",
    "usage_reading",
    "usage_flags",
    "source_cost",
)
_STEPS_UP = 32


@dataclass(slots=True)
class Place:
    """Where in the file a record stands: its line, and its ordinal in the line."""

    line: int
    ordinal: int = 0


def take(
    span: Any, rows_of: Callable[[Any, Context, bytes | None], Rows], context: Context, place: Place, intake: Intake
) -> None:
    """Hand one span to the intake, set it aside, or let it wait."""
    ordinal = place.ordinal
    place.ordinal += 1
    try:
        row, observation = rows_of(span, context, intake.hash_key)
    except Unreadable as fault:
        intake.set_aside(place.line, fault, ordinal)
        return
    if context.scope[:5] in ("logfi", "codex"):
        _let_wait(row, observation, context.scope, place.line, intake)
    else:
        intake.accept(place.line, span=row, observation=observation)


def _let_wait(row: Found, observation: Found | None, scope: str, line: int, intake: Intake) -> None:
    if scope.startswith("codex"):
        model = row.pop("model", None)
        intake.notes.setdefault("codex", {})[row["trace_id"], row["span_id"]] = (row["parent_span_id"], model)
        if observation is not None:
            observation["record_id"] = codex_record(observation, intake)
        if observation is not None and observation.get("model") is None:
            intake.notes.setdefault("codex_calls", []).append((intake.reserve(), line, row, observation))
            return
    elif scope.startswith("logfire") and observation is not None:
        intake.notes.setdefault("logfire", []).append((intake.reserve(), line, row, observation))
        return
    intake.accept(line, span=row, observation=observation)


def codex_record(row: Found, intake: Intake) -> str | None:
    """Return what Codex's spans and its session file both tell of a response, which has no id in common.

    That is the turn's trace, the counts, and the place among equal counts of the turn.
    """
    if row.get("trace_id") is None:
        return None
    told = f"codex:{row['trace_id']}/{row.get('input_tokens')}/{row.get('output_tokens')}"
    seen = intake.notes.setdefault("codex_records", {})
    seen[told] = seen.get(told, 0) + 1
    return f"{told}/{seen[told]}"


def release(intake: Intake) -> None:
    """Hand over what waited: streams with the usage beside them, calls with the model above them."""
    _pair_streams(intake.notes.get("logfire", ()))
    for number, line, row, observation in intake.notes.pop("logfire", ()):
        intake.accept(line, span=row, observation=observation if row["is_call"] else None, reserved=number)
    above = intake.notes.pop("codex", {})
    for number, line, row, observation in intake.notes.pop("codex_calls", ()):
        observation["model"] = _model_above(row, above)
        intake.accept(line, span=row, observation=observation, reserved=number)


def _pair_streams(waiting: Any) -> None:
    """Give each streamed request the usage of its log record: same parent, model and place in the code, in order."""
    requests: dict[tuple[Any, ...], list[tuple[Found, Found]]] = {}
    records: dict[tuple[Any, ...], list[tuple[Found, Found]]] = {}
    for _, _, row, observation in waiting:
        key = (
            row["trace_id"],
            row["parent_span_id"],
            observation.get("code_path"),
            observation.get("code_line"),
            observation.get("requested_model"),
        )
        if observation.get("logfire_type") == "log":
            records.setdefault(key, []).append((row, observation))
        elif row["status"] == "ok" and not observation["is_metered"]:
            requests.setdefault(key, []).append((row, observation))
    for key, found in records.items():
        found.sort(key=_started)
        asked = sorted(requests.get(key, ()), key=_started)
        for (row, said), (request, call) in zip(found, asked, strict=False):
            call.update({name: said[name] for name in _USAGE if name in said})
            call["is_stream"] = True
            row["is_call"] = False
            row["not_a_call"] = f"usage of the streamed call {request['span_id']}"


def _started(rows: tuple[Found, Found]) -> tuple[int, str]:
    return (rows[0]["started_at"] or 0, rows[0]["span_id"])


def _model_above(row: Found, above: dict[tuple[str, str], tuple[str | None, str | None]]) -> str | None:
    """Find the model that a span above names."""
    parent = row["parent_span_id"]
    for _ in range(_STEPS_UP):
        if parent is None:
            return None
        parent, model = above.get((row["trace_id"], parent), (None, None))
        if model is not None:
            return model
    return None
