"""One span becomes one record: a hop for the trace and, where it describes a provider call, an observation."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from attribution.normalization import COUNT_LIMIT, TEXT_LIMIT, count
from attribution.reading import Unreadable, mask
from attribution.sources._otlp_calls import describe_call, operation_of
from attribution.sources._otlp_names import ANY, COUNT, OWNERS, SPAN, TEXT, Names, look_up
from attribution.sources._otlp_owners import read_owners, read_plain_owners
from attribution.sources._otlp_usage import read_usage
from attribution.sources._otlp_values import hex_id, pairs, unwrap, whole

Found = dict[str, Any]
_RANK = itemgetter(0)
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
_DIFFER = set(OWNERS)


@dataclass(slots=True)
class Context:
    """What a resource and a scope say for all their spans."""

    service: str | None = None
    instance: str | None = None
    scope: str = ""
    version: str = ""
    owners: Found = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def gather(attributes: Any, names: Names = SPAN) -> Found:
    """Collect what we know among OTLP attributes: slot → plain value, the best spelling first.

    This is the hot loop of loading: a dialect costs a row in a table, not a branch.
    """
    found: Found = {}
    later: list[tuple[int, str, Any, str]] = []
    try:
        for attribute in attributes:
            key = attribute["key"]
            try:
                known = names[key]
            except KeyError:
                known = look_up(key, names)
            if known is None or not (value := attribute.get("value")):
                continue
            slot, rank, check = known
            raw = value.get("stringValue")
            if raw is None:
                raw = value.get("intValue")
                if raw is None:
                    raw = unwrap(value, key)
                    if raw is None:
                        continue
                elif type(raw) is not int:
                    raw = int(raw) if raw.isdecimal() and raw.isascii() and len(raw) < 20 else whole(raw, key)
            if check == COUNT:
                if type(raw) is not int or not 0 <= raw <= COUNT_LIMIT:
                    raw = checked(raw, check, key)
            elif check == TEXT and (type(raw) is not str or not 0 < len(raw) <= TEXT_LIMIT):
                raw = checked(raw, check, key)
            if rank:
                later.append((rank, slot, raw, key))
            elif slot in found and found[slot] != raw:
                raise Unreadable("duplicate_key", "each key once", key, key)
            else:
                found[slot] = raw
    except (AttributeError, KeyError, TypeError):
        for key, value in pairs(attributes, "attributes"):
            unwrap(value, key)
        raise
    if later:
        settle(found, later)
    return found


def gather_plain(attributes: Any, names: Names = SPAN) -> Found:
    """Collect the same from a flat object of plain values, as SDK consoles and APIs print them."""
    if type(attributes) is not dict:
        raise Unreadable("not_an_object", "attributes by key", mask(attributes), "attributes")
    found: Found = {}
    later: list[tuple[int, str, Any, str]] = []
    for key, raw in attributes.items():
        known = names[key] if key in names else look_up(key, names)
        if known is None or raw is None:
            continue
        slot, rank, check = known
        if check != ANY:
            raw = checked(raw, check, key)
        if rank:
            later.append((rank, slot, raw, key))
        else:
            found[slot] = raw
    if later:
        settle(found, later)
    return found


def checked(raw: Any, check: int, key: str) -> Any:
    """Return a text or a count as it must be; empty text says nothing."""
    if check == COUNT:
        if raw == "":
            return None
        # A double that holds a whole number holds it exactly.
        if isinstance(raw, Decimal) and abs(raw) <= COUNT_LIMIT and raw == raw.to_integral_value():
            raw = int(raw)
        return count(raw, key)
    if type(raw) is not str:
        raise Unreadable("not_text", "text", mask(raw), key)
    if len(raw) > TEXT_LIMIT:
        raise Unreadable("above_limit", f"at most {TEXT_LIMIT} characters", mask(raw), key)
    return raw or None


def settle(found: Found, later: list[tuple[int, str, Any, str]]) -> None:
    """Fill the slots that the best spelling left empty; spellings that differ, and near misses, are noted."""
    found["odd"] = True
    later.sort(key=_RANK)
    for _, slot, raw, key in later:
        if slot == "near_key":
            found.setdefault("near_keys", []).append(key)
            continue
        kept = found.get(slot)
        if kept is None:
            found[slot] = raw
        elif raw is None or kept == raw:
            continue
        elif slot in _DIFFER:
            found.setdefault("two_values", []).append(slot)
        elif slot.endswith("_tokens"):
            found.setdefault("differing", []).append(f"{slot} {kept} <> {raw} ({key})")


def context_of(resource: Found, scope: Found, name: Any, version: Any, hash_key: bytes | None) -> Context:
    """Read what a resource and a scope declare; the resource's word comes first."""
    found = scope | resource
    service, instance = found.pop("service", None), found.pop("instance", None)
    if type(name) is not str or type(version) is not str:
        raise Unreadable("not_text", "text", mask(name), "scope.name")
    found.pop("odd", None)
    owners, flags = read_owners(found, {}, hash_key)
    return Context(
        service if type(service) is str else None,
        instance if type(instance) is str else None,
        name,
        version,
        owners,
        flags,
    )


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
