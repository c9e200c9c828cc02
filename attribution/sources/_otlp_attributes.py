"""Attributes become slots: one pass over the keys, whatever dialect they are spelled in."""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import Any

from attribution.normalization import COUNT_LIMIT, TEXT_LIMIT, count
from attribution.reading import Unreadable, mask
from attribution.sources._otlp_names import ANY, COUNT, OWNERS, SPAN, TEXT, Names, look_up
from attribution.sources._otlp_values import pairs, unwrap, whole

Found = dict[str, Any]
_RANK = itemgetter(0)
_DIFFER = set(OWNERS)


def gather(attributes: Any, names: Names = SPAN) -> Found:
    """Collect what we know among OTLP attributes: slot → plain value, the best spelling first. The hot loop."""
    found: Found = {}
    later: list[tuple[int, str, Any, str]] = []
    try:
        for attribute in attributes or ():
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
            if (check == COUNT and (type(raw) is not int or not 0 <= raw <= COUNT_LIMIT)) or (
                check == TEXT and (type(raw) is not str or not 0 < len(raw) <= TEXT_LIMIT)
            ):
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
        raise Unreadable("not_an_object", "attributes by key", type(attributes).__name__, "attributes")
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
        if isinstance(raw, Decimal) and -1 < raw <= COUNT_LIMIT and raw == raw.to_integral_value():
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
