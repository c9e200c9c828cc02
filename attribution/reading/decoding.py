"""One line decoded exactly, or the reason why it cannot be."""

from __future__ import annotations

import re
from typing import Any

import jiter

from attribution.reading.documents import Document, Limits, Unreadable, mask_line

_EMBEDDED = Limits()
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def decode(line: bytes, limits: Limits) -> Document:
    """Decode one JSON object exactly, or raise `Unreadable` with the reason."""
    value = _decode_any(line, limits)
    if type(value) is not dict:
        raise Unreadable("not_an_object", "a JSON object", type(value).__name__)
    return value


def embedded(text: str, field: str) -> Any:
    """Decode JSON that stands as text in a cell or attribute, as strictly as a line."""
    try:
        return _decode_any(text.encode("utf-8", "surrogatepass"), _EMBEDDED)
    except Unreadable as fault:
        fault.field = field
        raise


def _decode_any(line: bytes, limits: Limits) -> Any:
    try:
        value = jiter.from_json(
            line, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal", cache_mode="keys"
        )
    except ValueError as error:
        raise why_not_json(line, str(error)) from None
    if b"\\" in line and b"\\u0000" in line:
        raise Unreadable("nul", "text without NUL characters", mask_line(line))
    if _may_be_deep(line, limits.depth):
        raise Unreadable("too_deep", f"at most {limits.depth} levels", mask_line(line))
    return value


def _may_be_deep(line: bytes, limit: int) -> bool:
    """Peel innermost bracket pairs; brackets inside text can only make it look deeper, so check those exactly."""
    brackets = line.translate(None, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return bool(brackets) and _depth(jiter.from_json(line)) > limit


def _depth(value: Any) -> int:
    """Depth of a decoded value, without recursion."""
    deepest, level = 0, [value]
    while level:
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        deepest += 1
    return deepest - 1


def why_not_json(line: bytes, error: str) -> Unreadable:
    """Name the reason why a line is no JSON that can be read exactly."""
    excerpt = mask_line(line)
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("not_utf8", "UTF-8 text", excerpt)
    if "duplicate key" in error.lower():
        return Unreadable("duplicate_key", "each key once", excerpt)
    if "recursion limit" in error:
        return Unreadable("too_deep", "at most 100 levels", excerpt)
    if "control character" in error:
        return Unreadable("control_character", "escaped control characters", excerpt)
    if "surrogate" in error or ("hex escape" in error and re.search(rb"\\u[dD][89a-fA-F]", line)):
        return Unreadable("lone_surrogate", "whole characters", excerpt)
    if re.search(rb"\b(NaN|Infinity)\b", line) and re.search("NaN|Infinity|expected value|invalid number", error):
        return Unreadable("not_a_number", "finite numbers", excerpt)
    return Unreadable("not_json", "one JSON object on the line", excerpt)
