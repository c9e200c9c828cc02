"""Ownership on spans: the contract's keys, exactly as each dialect spells them, and who merely operates a hop."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import jiter

from attribution import normalization
from attribution.sources._otlp_names import OWNERS, near_key
from attribution.sources._otlp_values import listing, mapping

Found = dict[str, Any]
_HANDLES = {"tenant_id_hash", "user_id_hash"}
_TAG_KEYS = {
    "team": "owner_team",
    "owner_team": "owner_team",
    "workflow": "workflow_id",
    "workflow_id": "workflow_id",
    "feature": "feature",
}
_NESTED = {"metadata", "requester_metadata", "spend_logs_metadata", "tags", "near_keys", "two_values"}
_SLOTS = (*OWNERS, "claimed_team")
_NOTHING = (None,) * len(OWNERS)


def read_plain_owners(found: Found, inherited: Found, hash_key: bytes | None) -> tuple[Found, tuple[str, ...]]:
    """Take the contract's own keys out of what was found; what the resource declares holds where the span is silent."""
    given = (
        found.pop("owner_team", None),
        found.pop("workflow_id", None),
        found.pop("feature", None),
        found.pop("tenant_id_hash", None),
        found.pop("user_id_hash", None),
    )
    if given == _NOTHING:
        return inherited, ()
    return _kept_with(given, inherited, hash_key)


def read_owners(found: Found, inherited: Found, hash_key: bytes | None) -> tuple[Found, tuple[str, ...]]:
    """Take ownership in every dialect's spelling out of what was found."""
    flags: list[str] = []
    given = {slot: found.pop(slot) for slot in _SLOTS if slot in found}
    if not _NESTED.isdisjoint(found):
        _read_nested(found, given, flags)
    owners, why = _kept_with(tuple(given.get(slot) for slot in _SLOTS), inherited, hash_key)
    return owners, (*flags, *why)


def _kept_with(given: tuple[Any, ...], inherited: Found, hash_key: bytes | None) -> tuple[Found, tuple[str, ...]]:
    try:
        owners, why = _kept_all(given, hash_key)
    except TypeError:
        # A list or an object has no hash; it is no owner either, and is flagged as such.
        owners, why = _kept_all.__wrapped__(given, hash_key)
    return (inherited | owners if inherited else owners), why


@lru_cache(maxsize=65_536)
def _kept_all(given: tuple[Any, ...], hash_key: bytes | None) -> tuple[Found, tuple[str, ...]]:
    """Check the ownership of one span; the same few combinations come again and again."""
    flags: list[str] = []
    kept = {slot: _kept(value, slot, hash_key, flags) for slot, value in zip(_SLOTS, given, strict=False)}
    return {slot: value for slot, value in kept.items() if value is not None}, tuple(flags)


def _kept(value: Any, slot: str, hash_key: bytes | None, flags: list[str]) -> str | None:
    if value is None:
        return None
    if type(value) is str and len(value) > 1 and value[0] == value[-1] == '"':
        value = _unquoted(value)
    if slot in _HANDLES:
        return normalization.handle(value, slot, flags, hash_key)
    return normalization.owner(value, slot, flags)


def _unquoted(value: str) -> Any:
    """Langfuse's SDK writes metadata values as JSON text."""
    try:
        return jiter.from_json(value.encode())
    except ValueError:
        return value


def _read_nested(found: Found, given: Found, flags: list[str]) -> None:
    """Look into metadata objects, tags and forwarded baggage, in this order; the first to say something holds."""
    flags += [f"near_key:{key}" for key in found.pop("near_keys", ())]
    flags += [f"{slot}:two_values" for slot in found.pop("two_values", ())]
    tags = listing(found.pop("tags", None))
    for name in ("metadata", "requester_metadata", "spend_logs_metadata"):
        nested = mapping(found.pop(name, None))
        if nested:
            _take(nested, given, flags)
            tags += listing(nested.get("tags"))
            _take_forwarded(nested, given, flags)
    _take(_tagged(tags, flags), given, flags)


def _take(nested: dict[Any, Any], given: Found, flags: list[str]) -> None:
    for key, value in nested.items():
        if value is None or value == "":
            continue
        if key in OWNERS:
            if given.setdefault(key, value) != value:
                flags.append(f"{key}:two_values")
        elif key in ("cost_center", "department"):
            given.setdefault("claimed_team", value)
        elif type(key) is str and near_key(key):
            flags.append(f"near_key:{key}")


def _take_forwarded(nested: dict[Any, Any], given: Found, flags: list[str]) -> None:
    """A gateway keeps the caller's headers; the baggage among them carries what spans would have carried."""
    headers = nested.get("headers")
    baggage = headers.get("baggage") if isinstance(headers, dict) else None
    if type(baggage) is str:
        members = (member.split(";", 1)[0].partition("=") for member in baggage.split(","))
        _take({key.strip(): unquote(value.strip()) for key, _, value in members}, given, flags)


def _tagged(tags: list[Any], flags: list[str]) -> Found:
    """Read `team:support` and `team=support`; two different teams on one call name none."""
    named: dict[str, set[str]] = {}
    for tag in tags:
        if type(tag) is str:
            key, mark, value = tag.partition(":") if ":" in tag else tag.partition("=")
            if mark and key.strip() in _TAG_KEYS:
                named.setdefault(_TAG_KEYS[key.strip()], set()).add(value.strip())
    flags += [f"{slot}:two_values" for slot, values in named.items() if len(values) > 1]
    return {slot: min(values) for slot, values in named.items() if len(values) == 1}
