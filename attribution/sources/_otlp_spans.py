"""One span becomes one record: a hop for the trace and, where it describes a provider call, an observation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from attribution.normalization import TEXT_LIMIT
from attribution.reading import Unreadable, mask
from attribution.sources._otlp_attributes import gather
from attribution.sources._otlp_calls import describe_call, operation_of
from attribution.sources._otlp_owners import read_owners, read_plain_owners
from attribution.sources._otlp_usage import read_usage
from attribution.sources._otlp_values import an_object, hex_id, listed, microseconds, pairs, span_ids, unwrap

Found = dict[str, Any]
KINDS = {
    1: "internal",
    2: "server",
    3: "client",
    4: "producer",
    5: "consumer",
    "INTERNAL": "internal",
    "SERVER": "server",
    "CLIENT": "client",
    "PRODUCER": "producer",
    "CONSUMER": "consumer",
}


_CAMEL = {
    "trace_id": "traceId",
    "span_id": "spanId",
    "parent_span_id": "parentSpanId",
    "start_time_unix_nano": "startTimeUnixNano",
    "end_time_unix_nano": "endTimeUnixNano",
}
_ERROR = ("STATUS_CODE_ERROR", "ERROR", "2")
Rows = tuple[Found, Found | None]


@dataclass(slots=True)
class Context:
    """What a resource and a scope say for all their spans."""

    service: str | None = None
    instance: str | None = None
    scope: str = ""
    version: str = ""
    owners: Found = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def of_scope(self, name: Any, version: Any) -> Context:
        """Return what the same resource says for the spans of a scope that adds nothing but its name."""
        if type(name) is not str or type(version) is not str:
            raise Unreadable("not_text", "text", mask(name), "scope.name")
        return Context(self.service, self.instance, name, version, self.owners, self.flags)


def context_of(resource: Found, scope: Found, name: Any, version: Any, hash_key: bytes | None) -> Context:
    """Read what a resource and a scope declare; the resource's word comes first."""
    found = scope | resource
    service, instance = found.pop("service", None), found.pop("instance", None)
    found.pop("odd", None)
    owners, flags = read_owners(found, {}, hash_key)
    shared = Context(
        service if type(service) is str else None, instance if type(instance) is str else None, "", "", owners, flags
    )
    return shared.of_scope(name, version)


def complete(
    span: Found, found: Found, context: Context, hash_key: bytes | None, exception: str | None
) -> Found | None:
    """Complete a span row from its attributes; return the observation row where it is a call."""
    odd = found.pop("odd", False)
    read = read_owners if odd else read_plain_owners
    owners, flags = read(found, context.owners, hash_key)
    operation, reason = operation_of(found, span["name"], odd)
    if "error_type" in found:
        span["status"] = "error"
    span["operation"] = found.get("operation")
    span["not_a_call"] = reason
    if owners:
        span.update(owners)
    if operation is None:
        span["is_call"] = False
        if odd:
            _read_message(found, span)
        return None
    span["is_call"] = True
    found["role"] = "client_span"
    describe_call(found, operation, context.scope, odd)
    read_usage(found, _exclusive(found, context), odd)
    if exception and span["status"] == "error":
        found.setdefault("error_type", exception)
    found["trace_id"] = trace_id = span["trace_id"]
    found["span_id"] = span_id = span["span_id"]
    found["native_id"] = f"{trace_id}/{span_id}"
    found["parent_span_id"] = span["parent_span_id"]
    found["started_at"] = span["started_at"]
    found["ended_at"] = span["ended_at"]
    found["status"] = span["status"]
    found["service"] = span["service"]
    if owners:
        found.update(owners)
    if context.flags or flags:
        found["ownership_flags"] = [*context.flags, *flags]
    return found


def _exclusive(found: Found, context: Context) -> str | None:
    """Name the writers that are known to leave the cache out of the input."""
    if "why_exclusive" in found:
        return str(found.pop("why_exclusive"))
    if context.scope == "ai" and found.get("provider") == "anthropic" and "no_cache_tokens" not in found:
        return "Vercel AI SDK 5 with Anthropic"
    return None


def _read_message(found: Found, span: Found) -> None:
    """Keep the ids by which two sides of a queue know the same message or job, and a model for spans below."""
    if type(found.get("plain_model")) is str:
        span["model"] = found["plain_model"]
    for slot in ("message_id", "messaging_system", "destination"):
        value = found.get(slot)
        if value is not None:
            span[slot] = str(value)[:TEXT_LIMIT]
    if "messaging_system" not in span and "celery" in found:
        span["messaging_system"] = "celery"
    if "temporal_run" in found:
        span["job_key"] = f"temporal:{found['temporal_run']}"
    elif "ray_task" in found:
        span["job_key"] = f"ray:{found['ray_task']}"
    elif "bullmq_job" in found:
        span["job_key"] = f"bullmq:{span.get('destination', '')}/{found['bullmq_job']}"
    elif "kafka_offset" in found:
        place = (span.get("destination", ""), found.get("kafka_partition", ""), found["kafka_offset"])
        span["job_key"] = "kafka:" + "/".join(str(part) for part in place)


def name_of(value: Any) -> str:
    """Return a span's name, shortened."""
    if value is None:
        return ""
    if type(value) is not str:
        raise Unreadable("not_text", "text", mask(value), "name")
    return value[:TEXT_LIMIT] if len(value) > TEXT_LIMIT else value


def kind_of(value: Any) -> str | None:
    """Return the kind in words: number, `SPAN_KIND_CLIENT`, `SpanKind.CLIENT` or `CLIENT`."""
    if type(value) is int:
        return KINDS.get(value)
    if type(value) is str:
        return KINDS.get(value.removeprefix("SPAN_KIND_").removeprefix("SpanKind."))
    return None


def links_of(links: Any) -> list[dict[str, str]] | None:
    """Return the spans that a span points to; a link with zero ids points nowhere."""
    if not links:
        return None
    if not isinstance(links, list):
        raise Unreadable("not_a_list", "a list of links", type(links).__name__, "links")
    pointed = []
    for link in links:
        if type(link) is not dict:
            raise Unreadable("not_an_object", "a link", type(link).__name__, "links")
        inner = link.get("context")
        at = inner if type(inner) is dict else link
        trace = hex_id(at.get("traceId") or at.get("trace_id"), 32, "links.traceId")
        span = hex_id(at.get("spanId") or at.get("span_id"), 16, "links.spanId")
        if trace and span:
            pointed.append({"trace_id": trace, "span_id": span})
    return pointed or None


def rows_of(span: Any, context: Context, hash_key: bytes | None) -> Rows:
    """Return the rows of one OTLP span, in camel or snake case."""
    if type(span) is not dict:
        raise Unreadable("not_an_object", "a span", type(span).__name__)
    if "traceId" not in span:
        span = {_CAMEL.get(key, key): value for key, value in span.items()}
    trace_id, span_id = span_ids(span.get("traceId"), span.get("spanId"))
    parent = span.get("parentSpanId")
    if parent:
        parent = hex_id(parent, 16, "parentSpanId")
    flags = span.get("flags") or 0
    code = an_object(span.get("status") or {}, "status").get("code")
    row: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent or None,
        "name": name_of(span.get("name")),
        "kind": kind_of(span.get("kind")),
        "service": context.service,
        "instance": context.instance,
        "scope": context.scope or None,
        "started_at": microseconds(span.get("startTimeUnixNano"), "startTimeUnixNano"),
        "ended_at": microseconds(span.get("endTimeUnixNano"), "endTimeUnixNano"),
        "status": "error" if code == 2 or code in _ERROR else "ok",
    }
    if type(flags) is int and flags & 0x100 and parent:
        row["parent_is_remote"] = flags & 0x200 != 0
    if links := span.get("links"):
        row["links"] = links_of(links)
    exception = _exception(span.get("events")) if row["status"] == "error" else None
    return row, complete(row, gather(span.get("attributes") or ()), context, hash_key, exception)


def _exception(events: Any) -> str | None:
    """Return the type of the last exception event."""
    for event in reversed(listed(events, "events")):
        if an_object(event, "events").get("name") == "exception":
            kind = dict(pairs(event.get("attributes"), "events")).get("exception.type")
            named = unwrap(kind, "exception.type") if kind else None
            return named if type(named) is str else None
    return None
