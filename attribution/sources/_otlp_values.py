"""OTLP values become plain ones: attribute unions, ids in four spellings, nanoseconds, Python literals."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import jiter

from attribution.normalization import epoch
from attribution.reading import Unreadable, mask

_HEX = {digits: re.compile(f"[0-9a-f]{{{digits}}}").fullmatch for digits in (16, 32)}
_ZERO = {digits: "0" * digits for digits in (16, 32)}
_is_both = re.compile("[0-9a-f]{48}").fullmatch
_WHOLE = re.compile(r"-?\d{1,30}")
_EARLIEST, _LATEST = 946_684_800_000_000_000, 4_102_444_800_000_000_000
_LITERAL_LIMIT = 100_000
_DEPTH_LIMIT = 30


def hex_id(value: Any, digits: int, field: str) -> str | None:
    """Return a trace or span id as lower-case hex, from hex, upper-case, `0x` or base64; zeros are no id."""
    if not value:
        return None
    if type(value) is not str:
        raise Unreadable("not_an_id", f"{digits} hex digits", mask(value), field)
    text = value.lower()
    if len(text) == digits + 2 and text[:2] == "0x":
        text = text[2:]
    if _HEX[digits](text) is None:
        text = _from_base64(value, digits, field)
    return None if text == _ZERO[digits] else text


def span_ids(trace: Any, span: Any) -> tuple[str, str]:
    """Return the two ids of a span; what nearly every writer writes is checked in one step."""
    if type(trace) is str and type(span) is str and len(trace) == 32 and _is_both(trace + span):
        trace_id, span_id = trace if trace != _ZERO[32] else None, span if span != _ZERO[16] else None
    else:
        trace_id, span_id = hex_id(trace, 32, "traceId"), hex_id(span, 16, "spanId")
    if trace_id is None or span_id is None:
        missing = "traceId" if trace_id is None else "spanId"
        raise Unreadable("no_id", "a trace id and a span id that are not zero", None, missing)
    return trace_id, span_id


def _from_base64(value: str, digits: int, field: str) -> str:
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) * 2 != digits:
        raise Unreadable("not_an_id", f"{digits} hex digits", mask(value), field)
    return content.hex()


def microseconds(value: Any, field: str) -> int | None:
    """Return microseconds of a nanosecond number or decimal text, through integers; 0 means not said."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 21:
        number = int(value)
    elif type(value) is int:
        number = value
    elif value is None or value == "":
        return None
    else:
        return epoch(value, field, 1_000_000_000)
    if _EARLIEST <= number < _LATEST:
        return number // 1000
    return None if number == 0 else epoch(number, field, 1_000_000_000)


def unwrap(value: Any, field: str) -> Any:
    """Return the plain value of an attribute union; of null-filled unions the member that is not null."""
    if type(value) is not dict:
        raise Unreadable("not_a_value", 'an attribute value such as {"stringValue": …}', type(value).__name__, field)
    for kind, given in value.items():
        if given is not None:
            return _member(kind, given, field)
    return None


def _member(kind: str, given: Any, field: str) -> Any:
    if kind in ("stringValue", "string_value", "boolValue", "bool_value", "doubleValue", "double_value"):
        return given
    if kind in ("intValue", "int_value"):
        return whole(given, field)
    if kind in ("bytesValue", "bytes_value"):
        return None
    members = given.get("values") if type(given) is dict else None
    if kind in ("arrayValue", "array_value"):
        if members is not None and not isinstance(members, list | tuple):
            raise Unreadable("not_a_list", "a list of values", type(members).__name__, field)
        return [unwrap(member, field) for member in members or ()]
    if kind in ("kvlistValue", "kvlist_value"):
        return {key: unwrap(member, field) for key, member in pairs(members or (), field)}
    raise Unreadable("not_a_value", 'an attribute value such as {"stringValue": …}', kind, field)


def pairs(attributes: Any, field: str) -> Iterator[tuple[str, Any]]:
    """Yield key and union of a list of attributes."""
    if attributes is None:
        return
    if not isinstance(attributes, list | tuple):
        raise Unreadable("not_a_list", "a list of attributes", type(attributes).__name__, field)
    for attribute in attributes:
        if type(attribute) is not dict or type(attribute.get("key")) is not str:
            raise Unreadable("not_an_attribute", "an object with key and value", type(attribute).__name__, field)
        yield attribute["key"], attribute.get("value") or {}


def whole(given: Any, field: str) -> int:
    """Return an `intValue`: decimal text by the specification, a number from some writers."""
    if type(given) is int:
        return given
    if type(given) is str and _WHOLE.fullmatch(given):
        return int(given)
    raise Unreadable("not_a_count", "a whole number", mask(given), field)


_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<word>None|True|False)\b"""
    r"""|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<mark>[\[\](){},:])|\s+""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {"None": None, "True": True, "False": False}
_CLOSING = {"{": "}", "[": "]", "(": ")"}


def literal(text: str) -> Any:
    """Return the value of a Python `repr` of dicts, lists, text and numbers, or null when it is none.

    LiteLLM writes its metadata so. Nothing is evaluated.
    """
    if len(text) > _LITERAL_LIMIT:
        return None
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            return None
        if found.lastgroup:
            tokens.append((found.lastgroup, found.group()))
        position = found.end()
    tokens.reverse()
    try:
        value = _parse(tokens, 0)
    except (IndexError, ValueError, TypeError):
        return None
    return None if tokens else value


def _parse(tokens: list[tuple[str, str]], depth: int) -> Any:
    kind, word = tokens.pop()
    if kind == "text":
        return _ESCAPE.sub(_unescape, word[1:-1])
    if kind == "word":
        return _WORDS[word]
    if kind == "number":
        return int(word) if word.lstrip("-").isdigit() else Decimal(word)
    closing = _CLOSING[word] if word in _CLOSING and depth < _DEPTH_LIMIT else ""
    if not closing:
        raise ValueError
    members: list[Any] = []
    entries: dict[Any, Any] = {}
    while tokens[-1] != ("mark", closing):
        member = _parse(tokens, depth + 1)
        if closing == "}":
            _expect(tokens, ":")
            entries[member] = _parse(tokens, depth + 1)
        members.append(member)
        if tokens[-1] != ("mark", closing):
            _expect(tokens, ",")
    tokens.pop()
    return entries if closing == "}" else members


def _expect(tokens: list[tuple[str, str]], mark: str) -> None:
    if tokens.pop() != ("mark", mark):
        raise ValueError


def _unescape(found: re.Match[str]) -> str:
    word = found.group(1)
    if len(word) > 1:
        code = int(word[1:], 16)
        if 0xD800 <= code < 0xE000:
            raise ValueError
        return chr(code)
    return _SHORT.get(word, "\\" + word)


def mapping(value: Any) -> dict[str, Any]:
    """Return an object given as such, as JSON text or as a Python literal; anything else is empty."""
    if type(value) is str:
        value = _decoded(value)
    return value if type(value) is dict else {}


def _decoded(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return None
    try:
        return jiter.from_json(text.encode(), allow_inf_nan=False, float_mode="decimal")
    except (ValueError, UnicodeEncodeError):
        return literal(text)


def listing(value: Any) -> list[Any]:
    """Return a list given as such, as JSON text or as a Python literal; anything else is empty."""
    if type(value) is str:
        value = _decoded(value)
    return value if type(value) is list else []


def listed(value: Any, field: str) -> list[Any]:
    """Return a list; nothing is an empty one, and anything else is refused."""
    if value is None:
        return []
    if type(value) is not list:
        raise Unreadable("not_a_list", f"a list of {field}", type(value).__name__, field)
    return value


def an_object(value: Any, field: str) -> dict[str, Any]:
    """Return an object; anything else is refused."""
    if type(value) is not dict:
        raise Unreadable("not_an_object", f"an object in {field}", type(value).__name__, field)
    return value
