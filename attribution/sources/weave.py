"""W&B Weave calls: a tree of function calls, each with the usage of itself and of everything below it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.normalization import instant, money, text
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._otlp_attributes import gather_plain
from attribution.sources._otlp_owners import read_owners
from attribution.sources._otlp_usage import provider_usage, read_usage
from attribution.sources._otlp_values import an_object, mapping

NAME = "weave"
VERSION = 1
GRAIN = "one record is one call of a traced function; the lowest with usage are provider calls"
GIVES = "trace, parent, model, tokens, attributes; the response id inside the answer"
NESTING = "as the provider counted; Anthropic's own counts get their cache added"
MONEY = "dollars, an estimate, where costs were asked for"
ZONE = "UTC"
MISTAKE = "a parent's usage is the sum of its children: adding up all calls counts each as often as it is deep"

_PROVIDERS = {"openai", "anthropic", "google", "vertexai", "mistralai", "cohere", "groq", "bedrock", "cerebras"}


def recognise(sample: Sample) -> int:
    """Look for calls of Weave: an operation's name inside a trace, with a summary or inputs."""
    return 94 if any("op_name" in each and "trace_id" in each for each in sample.documents) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Take one call; which calls are the lowest is known when the file has been read."""
    if "op_name" not in document:
        raise Unreadable("not_a_call", "a call with op_name", ", ".join(sorted(document)[:8]))
    span = _span(document)
    usage = mapping(an_object(document.get("summary") or {}, "summary").get("usage"))
    told: dict[Any, Document] = {model: an_object(counts, "summary.usage") for model, counts in usage.items()}
    if not told and _provider(span["name"]) is not None:
        # A provider's own function without usage failed, or streamed without saying.
        asked = mapping(document.get("inputs")).get("model")
        told = {asked if isinstance(asked, str) else None: {}}
    observations = [_observation(document, span, model, counts, intake) for model, counts in told.items()]
    for row in observations[:1]:
        span |= {name: row[name] for name in ("owner_team", "workflow_id", "feature", "claimed_team") if name in row}
    intake.notes.setdefault("calls", []).append((intake.reserve(), line, span, observations))
    if observations and span["parent_span_id"]:
        intake.notes.setdefault("parents", {})[span["span_id"]] = span["parent_span_id"]


def finish(intake: Intake) -> None:
    """Hand over all calls; above a call with usage every other is an aggregate."""
    parents: dict[str, str] = intake.notes.pop("parents", {})
    above = set(_ancestors(parents, intake.notes.get("calls", ())))
    for number, line, span, observations in intake.notes.pop("calls", ()):
        is_call = bool(observations) and span["span_id"] not in above
        span["is_call"] = is_call
        if observations and not is_call:
            span["not_a_call"] = "aggregate: usage of the calls below"
        first = observations[0] if is_call else None
        intake.accept(line, span=span, observation=first, reserved=number)
        for row in observations[1:] if is_call else ():
            intake.accept(line, observation=row, reserved=number)


def _ancestors(parents: dict[str, str], calls: Any) -> Iterator[str]:
    """Yield every call above one with usage, also through calls without."""
    upward = {span["span_id"]: span["parent_span_id"] for _, _, span, _ in calls}
    seen: set[str] = set()
    for call in parents:
        step = upward.get(call)
        while step is not None and step not in seen:
            seen.add(step)
            yield step
            step = upward.get(step)


def _span(document: Document) -> Row:
    trace_id, span_id = text(document.get("trace_id"), "trace_id"), text(document.get("id"), "id")
    if trace_id is None or span_id is None:
        missing = "trace_id" if trace_id is None else "id"
        raise Unreadable("no_id", "a trace id and an id", None, missing)
    return {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": text(document.get("parent_id"), "parent_id"),
        "name": _operation(document),
        "scope": "weave",
        "started_at": instant(document.get("started_at"), "started_at"),
        "ended_at": instant(document.get("ended_at"), "ended_at"),
        "status": "error" if document.get("exception") else "ok",
    }


def _operation(document: Document) -> str:
    """Return the function's name out of `weave:///entity/project/op/NAME:version`."""
    name = text(document.get("op_name"), "op_name") or ""
    return name.rsplit("/", 1)[-1].split(":", 1)[0]


def _provider(operation: str) -> str | None:
    """Traced SDK functions begin with the provider's name."""
    prefix = operation.split(".", 1)[0].lower()
    return normalization.provider(prefix) if prefix in _PROVIDERS else None


def _observation(document: Document, span: Row, model: Any, counts: Document, intake: Intake) -> Row:
    """Return what one call says of one model."""
    found = gather_plain(mapping(document.get("attributes")))
    found.pop("odd", None)
    owners, flags = read_owners(found, {}, intake.hash_key)
    used = provider_usage(counts)
    why = "the provider's own counts" if used.pop("is_exclusive") else None
    row: Row = {name: counted for name, counted in used.items() if counted is not None}
    row["provider"] = _provider(span["name"])
    read_usage(row, why, odd=True)
    requests = counts.get("requests")
    if isinstance(requests, int) and requests > 1:
        row["usage_flags"] = [*row.get("usage_flags", ()), f"requests {requests} in one call"]
    answer = document.get("output")
    own = answer.get("id") if isinstance(answer, dict) else None
    row |= {
        "native_id": f"{span['trace_id']}/{span['span_id']}/{model}",
        "role": "client_span",
        "response_id": own if isinstance(own, str) and 0 < len(own) <= 200 else None,
        "model": text(model, "model"),
        "operation": "embeddings" if "embedding" in span["name"].lower() else "chat",
        "source_cost": _cost(document, model),
        **{name: span[name] for name in ("trace_id", "span_id", "parent_span_id", "started_at", "ended_at", "status")},
        **owners,
    }
    if document.get("thread_id") is not None:
        row["session_id"] = text(document["thread_id"], "thread_id")
    if flags:
        row["ownership_flags"] = list(flags)
    return row


def _cost(document: Document, model: Any) -> Decimal | None:
    """Return the estimate of both directions, where costs were asked for."""
    weave = mapping(an_object(document.get("summary") or {}, "summary").get("weave"))
    costs = mapping(mapping(weave.get("costs")).get(model))
    parts = [money(costs.get(f"{side}_tokens_total_cost"), "costs") for side in ("prompt", "completion")]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known else None
