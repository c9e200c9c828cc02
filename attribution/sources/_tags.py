"""Tags in any of the shapes that exports have, and JSON that stands as text in a cell."""

from __future__ import annotations

import ast
from typing import Any

from attribution.reading import Unreadable, embedded, mask


def structured(text: str, field: str) -> Any:
    """Read JSON in a cell; Python's own spelling of it (`{'a': None}`) needs a reader for literals."""
    try:
        return embedded(text, field)
    except Unreadable:
        if len(text) > 100_000 or "'" not in text:
            raise
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise Unreadable("not_json", "JSON in the cell", mask(text), field) from None


def read_tags(tags: Any, separator: str | None = None) -> dict[str, Any]:
    """Read tags in any of their shapes: objects, `key:value` lists, comma text, cloud-style Key/Value lists."""
    if type(tags) is str and tags[:1] in ("{", "["):
        tags = structured(tags, "tags")
    if type(tags) is str:
        tags = [tag for tag in tags.split(",") if tag.strip()]
    if type(tags) is dict:
        if type(tags.get("key")) is list and type(tags.get("value")) is list:
            return dict(zip(tags["key"], tags["value"], strict=False))
        return tags
    found: dict[str, Any] = {}
    for tag in tags if type(tags) is list else ():
        if type(tag) is dict:
            lower = {str(key).lower(): value for key, value in tag.items()}
            if "key" in lower:
                found.setdefault(str(lower["key"]), lower.get("value"))
        elif type(tag) is str:
            key, value = _split_tag(tag, separator)
            if value is not None:
                found.setdefault(key, value)
    return found


def _split_tag(tag: str, separator: str | None) -> tuple[str, str | None]:
    marks = [separator] if separator else [":", "="]
    cuts = [tag.find(mark) for mark in marks if mark in tag]
    if not cuts:
        return tag.strip(), None
    cut = min(cuts)
    return tag[:cut].strip(), tag[cut + len(separator or ":") :].strip()
