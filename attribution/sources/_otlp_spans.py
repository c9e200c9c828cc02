"""One span becomes one record: a hop for the trace and, where it describes a provider call, an observation."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from attribution.normalization import COUNT_LIMIT, TEXT_LIMIT, count
from attribution.reading import Unreadable, mask
from attribution.sources._otlp_calls import describe_call, operation_of
from attribution.sources._otlp_names import COUNT, OWNERS, SPAN, Names
from attribution.sources._otlp_owners import read_owners
from attribution.sources._otlp_usage import read_cost, read_usage
from attribution.sources._otlp_values import hex_id, pairs, unwrap, whole

Found = dict[str, Any]
_RANK = itemgetter(0)
_KINDS = {
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
_DIFFER = set(OWNERS)


@dataclass(slots=True)
class Hop:
    """What a span says of itself beside its attributes, in plain values."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: Any
    started_at: int | None
    ended_at: int | None
    is_error: bool
    flags: int = 0
    links: list[dict[str, str]] | None = None
    exception: str | None = None


@dataclass(slots=True)
class Context:
    """What a resource and a scope say for all their spans."""

    service: str | None = None
    instance: str | None = None
    scope: str = ""
    version: str = ""
    owners: Found = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


def gather(attributes: Any, names: Names = SPAN) -> Found:
    """Collect what we know among OTLP attributes: slot → plain value, the best spelling first."""
    found: Found = {}
    later: list[tuple[int, str, Any]] = []
    try:
        for attribute in attributes:
            known = names[attribute["key"]]
            if known is None:
                continue
            slot, rank, check = known
            value = attribute["value"]
            for kind in value:
                raw = value[kind]
                if raw is not None:
                    break
            else:
                continue
            if kind == "intValue":
                if type(raw) is not int:
                    raw = whole(raw, attribute["key"])
            elif kind != "stringValue":
                raw = unwrap(value, attribute["key"])
            if check != 2:
                raw = checked(raw, check, attribute["key"])
            if raw is None:
                continue
            if slot == "near_key":
                found.setdefault("near_keys", []).append(attribute["key"])
            elif rank:
                later.append((rank, slot, raw))
            elif found.setdefault(slot, raw) is not raw and found[slot] != raw:
                raise Unreadable("duplicate_key", "each key once", attribute["key"], attribute["key"])
    except (KeyError, TypeError):
        for _ in pairs(attributes, "attributes"):
            pass
        raise Unreadable("not_an_attribute", "attributes with key and value", None, "attributes") from None
    if later:
        settle(found, later)
    return found


def gather_plain(attributes: dict[str, Any], names: Names = SPAN) -> Found:
    """Collect the same from a flat object of plain values, as SDK consoles and APIs print them."""
    found: Found = {}
    later: list[tuple[int, str, Any]] = []
    for key, raw in attributes.items():
        known = names[key]
        if known is None or raw is None:
            continue
        slot, rank, check = known
        if check != 2:
            raw = checked(raw, check, key)
            if raw is None:
                continue
        if slot == "near_key":
            found.setdefault("near_keys", []).append(key)
        elif rank:
            later.append((rank, slot, raw))
        else:
            found[slot] = raw
    if later:
        settle(found, later)
    return found


def checked(raw: Any, check: int, key: str) -> Any:
    """Return a text or a count as it must be; empty text says nothing."""
    if check == COUNT:
        if type(raw) is int and 0 <= raw <= COUNT_LIMIT:
            return raw
        if raw == "":
            return None
        if not isinstance(raw, str | bool) and raw == int(raw):
            raw = int(raw)
        return count(raw, key)
    if type(raw) is not str:
        raise Unreadable("not_text", "text", mask(raw), key)
    if len(raw) > TEXT_LIMIT:
        raise Unreadable("above_limit", f"at most {TEXT_LIMIT} characters", mask(raw), key)
    return raw or None


def settle(found: Found, later: list[tuple[int, str, Any]]) -> None:
    """Fill the slots that the best spelling left empty; spellings that differ are noted."""
    later.sort(key=_RANK)
    for _, slot, raw in later:
        kept = found.setdefault(slot, raw)
        if kept is raw or kept == raw:
            continue
        if slot in _DIFFER:
            found.setdefault("two_values", []).append(slot)
        elif slot.endswith("_tokens"):
            found.setdefault("differing", []).append(f"{slot} {kept} <> {raw} in another spelling")


def context_of(resource: Found, scope: Found, name: str, version: str, hash_key: bytes | None) -> Context:
    """Read what a resource and a scope declare; the resource's word comes first."""
    found = scope | resource
    service, instance = found.pop("service", None), found.pop("instance", None)
    owners, flags = read_owners(found, {}, hash_key)
    return Context(
        service if type(service) is str else None,
        instance if type(instance) is str else None,
        name,
        version,
        owners,
        flags,
    )


def rows_of(hop: Hop, found: Found, context: Context, hash_key: bytes | None) -> tuple[Found, Found | None]:
    """Return the span row and, for a call, the observation row."""
    owners, flags = read_owners(found, context.owners, hash_key)
    if context.flags:
        flags = context.flags + flags
    raw_operation = found.get("operation")
    operation, reason = operation_of(found, hop.name)
    is_error = hop.is_error or "error_type" in found
    span: Found = {
        "trace_id": hop.trace_id,
        "span_id": hop.span_id,
        "parent_span_id": hop.parent_span_id,
        "name": hop.name[:TEXT_LIMIT],
        "kind": _KINDS.get(hop.kind),
        "service": context.service,
        "instance": context.instance,
        "scope": context.scope or None,
        "operation": raw_operation,
        "started_at": hop.started_at,
        "ended_at": hop.ended_at,
        "status": "error" if is_error else "ok",
        "parent_is_remote": bool(hop.flags & 0x200) if hop.flags & 0x100 and hop.parent_span_id else None,
        "links": hop.links,
        "is_call": operation is not None,
        "not_a_call": reason,
        **owners,
    }
    if operation is None:
        if "plain_model" in found and type(found["plain_model"]) is str:
            span["model"] = found["plain_model"]
        if hop.kind in (3, 4, 5) or not _MESSAGING.isdisjoint(found):
            _read_message(found, span)
        return span, None
    describe_call(found, operation, context.scope)
    read_usage(found, _exclusive(found, context))
    if "source_cost" in found or "cost_details" in found:
        read_cost(found)
    if is_error and hop.exception:
        found.setdefault("error_type", hop.exception)
    found.setdefault("role", "client_span")
    found.update(
        native_id=f"{hop.trace_id}/{hop.span_id}",
        trace_id=hop.trace_id,
        span_id=hop.span_id,
        parent_span_id=hop.parent_span_id,
        started_at=hop.started_at,
        ended_at=hop.ended_at,
        status=span["status"],
        service=context.service,
        **owners,
    )
    if flags:
        found["ownership_flags"] = flags
    return span, found


def _exclusive(found: Found, context: Context) -> str | None:
    """Name the writers that are known to leave the cache out of the input."""
    if context.scope == "ai" and found.get("provider") == "anthropic" and "no_cache_tokens" not in found:
        return "Vercel AI SDK 5 with Anthropic"
    return None


_MESSAGING = {"message_id", "messaging_system", "destination", "temporal_run", "ray_task", "bullmq_job", "celery"}


def _read_message(found: Found, span: Found) -> None:
    """Keep the ids by which two sides of a queue know the same message or job."""
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


def links_of(links: Any) -> list[dict[str, str]] | None:
    """Return the spans that a span points to; a link with zero ids points nowhere."""
    if not links:
        return None
    if not isinstance(links, list):
        raise Unreadable("not_a_list", "a list of links", mask(links), "links")
    pointed = []
    for link in links:
        if type(link) is not dict:
            raise Unreadable("not_an_object", "a link", mask(link), "links")
        inner = link.get("context")
        at = inner if type(inner) is dict else link
        trace = hex_id(at.get("traceId") or at.get("trace_id"), 32, "links.traceId")
        span = hex_id(at.get("spanId") or at.get("span_id"), 16, "links.spanId")
        if trace and span:
            pointed.append({"trace_id": trace, "span_id": span})
    return pointed or None
