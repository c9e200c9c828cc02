"""One record in the shapes it is exported in: JSON objects, JSON text in a cell, lists of pairs from Parquet maps."""

from __future__ import annotations

from typing import Any

from attribution.reading import Document, Unreadable, embedded


def as_object(value: Any, field: str) -> Document:
    """Return an object that may stand as JSON text or as a Parquet map; nothing is an empty object."""
    if type(value) is str:
        value = embedded(value, field) if value.strip() else None
    if value is None:
        return {}
    if type(value) is list and all(type(each) is tuple and len(each) == 2 for each in value):
        return dict(value)
    if type(value) is not dict:
        raise Unreadable("not_an_object", "an object", type(value).__name__, field)
    return value


def as_list(value: Any, field: str) -> list[Any]:
    """Return a list that may stand as JSON text; nothing is an empty list."""
    if type(value) is str:
        value = embedded(value, field) if value.strip() else None
    if value is None:
        return []
    if type(value) is not list:
        raise Unreadable("not_a_list", "a list", type(value).__name__, field)
    return value


def filled(document: Document, *names: str) -> Any:
    """Return the first value that is there under one of these names; empty text is nothing."""
    for name in names:
        value = document.get(name)
        if value is not None and value != "":
            return value
    return None
