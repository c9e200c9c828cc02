"""The declared scope of a bill that holds other things than AI: which of its lines are asked about."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from attribution.errors import ConfigurationError
from attribution.ledger import Ledger

#: What an entry may look at.
FIELDS = (
    "account_id", "project_id", "resource_id", "region", "sku", "description", "model", "meter", "category", "source",
)  # fmt: skip
_KEYS = ("provider", "field", "match", "pattern", "in_scope")
_MATCHES = ("equals", "prefix", "glob", "present")


@dataclass(frozen=True)
class Entry:
    """One declaration: lines of a provider whose field matches are asked about, or are not."""

    provider: str
    field: str
    match: str
    pattern: str
    in_scope: bool

    def holds(self, value: str | None) -> bool:
        """Tell whether a value of the field matches."""
        if self.match == "present":
            return value is not None
        if value is None:
            return False
        told, pattern = value.lower(), self.pattern.lower()
        if self.match == "glob":
            return fnmatch.fnmatchcase(told, pattern)
        return told.startswith(pattern) if self.match == "prefix" else told == pattern


def read_scope(ledger: Ledger) -> list[Entry]:
    """Read the declared scope; a misspelt entry is an error, because money would silently change sides."""
    rows = ledger.rows("select value, place from setting where name = 'scope'")
    if not rows:
        return []
    text, place = rows[0]
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ConfigurationError.at(place or "scope", None, "`scope` is not a list", "a list of entries")
    return [_entry(entry, place or "scope") for entry in entries]


def _entry(entry: Any, place: str) -> Entry:
    if not isinstance(entry, dict):
        raise ConfigurationError.at(place, None, f"{entry!r} in `scope`", f"a mapping of {', '.join(_KEYS)}")
    for name in entry:
        if name not in _KEYS:
            raise ConfigurationError.unknown_key(place, None, name, _KEYS)
    field, match = entry.get("field"), entry.get("match", "equals")
    for value, known in ((field, FIELDS), (match, _MATCHES)):
        if value not in known:
            raise ConfigurationError.unknown_key(place, None, str(value), known)
    if match != "present" and not isinstance(entry.get("pattern"), str):
        raise ConfigurationError.at(place, None, f"`pattern` is {entry.get('pattern')!r}", "text to match")
    if not isinstance(entry.get("provider"), str) or not isinstance(entry.get("in_scope", True), bool):
        raise ConfigurationError.at(place, None, f"{entry!r} in `scope`", "a provider, and in_scope true or false")
    return Entry(entry["provider"], str(field), match, entry.get("pattern", ""), entry.get("in_scope", True))


def mark_scope(ledger: Ledger) -> None:
    """Write `line_out_of_scope`: the bill lines that the declared scope leaves out.

    A provider with entries that are in scope has only what they match; entries that are not take lines out again.
    """
    entries = read_scope(ledger)
    found: set[tuple[Any, ...]] = set()
    rows: list[dict[str, Any]] = []
    if entries:
        names = ", ".join(FIELDS)
        providers = sorted({entry.provider for entry in entries})
        found = set(
            ledger.rows(
                f"select distinct provider, {names} from bill_line where list_contains($providers, provider)",
                {"providers": providers},
            )
        )
    for provider, *values in sorted(found, key=lambda row: tuple((v is None, v or "") for v in row)):
        told = dict(zip(FIELDS, values, strict=True))
        mine = [entry for entry in entries if entry.provider == provider]
        wanted = [entry for entry in mine if entry.in_scope]
        is_in = not wanted or any(entry.holds(told[entry.field]) for entry in wanted)
        if not is_in or any(entry.holds(told[entry.field]) for entry in mine if not entry.in_scope):
            rows.append({"provider": provider, **told})
    schema = pa.schema([(name, pa.string()) for name in ("provider", *FIELDS)])
    with ledger.reading(scope_rows=pa.Table.from_pylist(rows, schema=schema)):
        same = " and ".join(f"bill_line.{name} is not distinct from scope_rows.{name}" for name in FIELDS)
        ledger.run(
            f"""
            create or replace temp table line_out_of_scope as
            select bill_line_id from bill_line join scope_rows on bill_line.provider = scope_rows.provider and {same}
            """
        )
