"""What all bills share: cells of a table, exact quantities, tags, keys, and the meters that words stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Any

from attribution import normalization
from attribution.reading import Document, Unreadable, embedded, mask
from attribution.sources import Intake, Row

#: The workspace of traffic that names none, where the provider has a default one.
DEFAULT_WORKSPACE = "default"
#: The key of traffic that used none: the provider's own console.
CONSOLE = "console"
#: The project of a cost that belongs to no project.
NO_PROJECT = "none"

_PICO = Decimal("0.000000000001")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?")
_NULLS = ("", "NULL", "null")


def quantity(value: Any, field: str) -> Decimal | None:
    """Return an exact quantity, negative in corrections; text in plain form is accepted."""
    if value is None:
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Unreadable("not_a_number", "a plain number such as 1234.56", mask(value), field)
        value = Decimal(value)
    elif type(value) is int:
        value = Decimal(value)
    elif type(value) is float:
        value = Decimal(repr(value))
    elif not isinstance(value, Decimal):
        raise Unreadable("not_a_number", "a number", mask(value), field)
    return pico(value, field)


def pico(value: Decimal, field: str) -> Decimal:
    """Round half-even to twelve decimals; more than 10^24 is a fault."""
    try:
        with localcontext(prec=60):
            if not value.is_finite() or value.adjusted() > 24:
                raise InvalidOperation
            return value.quantize(_PICO)
    except InvalidOperation:
        raise Unreadable("above_limit", "a finite number below 10^24", mask(value), field) from None


def scaled(value: Decimal | None, scale: Decimal | None, field: str) -> Decimal | None:
    """Return single units of a quantity that is counted in blocks."""
    if value is None or scale is None:
        return None
    with localcontext(prec=60):
        return pico(value * scale, field)


def cell(document: Document, name: str) -> Any:
    """Return a cell of a table, or null where the export writes one: empty, or the word NULL."""
    value = document.get(name)
    if type(value) is not str:
        return value
    value = value.strip()
    return None if value in _NULLS else value


def text(document: Document, name: str) -> str | None:
    """Return a cell as text; numbers in text columns (accounts in Parquet) become text."""
    value = document.get(name)
    if value is None or value == "":
        return None
    value = cell(document, name)
    if type(value) is int:
        return str(value)
    return normalization.text(value, name)


def money(document: Document, name: str) -> Decimal | None:
    """Return a cell as an exact amount."""
    return normalization.money(cell(document, name), name)


def amount(document: Document, name: str) -> Decimal | None:
    """Return a cell as an exact quantity."""
    return quantity(cell(document, name), name)


def moment(value: Any, field: str) -> int | None:
    """Return a time in UTC [microseconds]; naive ones are UTC, and a day of a typed table is its midnight."""
    if type(value) is date:
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return _moment(value, field) if type(value) is str else normalization.instant(value, field, "UTC")


@lru_cache(maxsize=4096)
def _moment(value: str, field: str) -> int | None:
    """Tables repeat few times, many times."""
    return normalization.instant(value, field, "UTC")


@lru_cache(maxsize=4096)
def month(microseconds: int | None) -> str | None:
    """Return the month of a time, `2026-10`."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m")


def required(value: Any, field: str) -> Any:
    """Refuse a record that lacks what a bill line cannot do without."""
    if value is None:
        raise Unreadable("missing", f"a value of {field}", None, field)
    return value


def flat(value: Any, field: str, flags: list[str]) -> dict[str, str] | None:
    """Return tags or another flat map: an object, its JSON text with or without braces, or key–value pairs."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        pairs, found_flags = _flat_text(value, field)
        flags.extend(found_flags)
        return dict(pairs) or None
    return _flat_pairs(value.items() if isinstance(value, Mapping) else _pairs(value), field, flags) or None


@lru_cache(maxsize=16_384)
def _flat_text(value: str, field: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Read the text of a map once; bills repeat the same tags line after line."""
    if value.strip() in _NULLS:
        return (), ()
    told = _object_text(value, field)
    if told is None:
        return (), (f"{field}:not_an_object",)
    flags: list[str] = []
    found = _flat_pairs(told.items() if isinstance(told, Mapping) else _pairs(told), field, flags)
    return tuple(found.items()), tuple(flags)


def _flat_pairs(pairs: Iterable[tuple[Any, Any]], field: str, flags: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, content in pairs:
        why: list[str] = []
        kept = normalization.owner(_plain(content), field, why)
        if why:
            flags.extend(f"{reason}: {mask(name)}" for reason in why)
        if kept is not None:
            found[str(name).strip()] = kept
    return found


def _object_text(value: str, field: str) -> Any:
    stripped = value.strip()
    for candidate in (stripped, "{" + stripped + "}"):
        if candidate.startswith(("{", "[")):
            try:
                return embedded(candidate, field)
            except Unreadable:
                continue
    return None


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    """Parquet maps arrive as pairs, or as structs of key and value."""
    for each in value if isinstance(value, list) else []:
        if isinstance(each, Mapping) and "key" in each:
            yield each["key"], each.get("value")
        elif isinstance(each, tuple) and len(each) == 2:
            yield each


def _plain(value: Any) -> Any:
    if type(value) is bool:
        return "true" if value else "false"
    return str(value) if type(value) is int or isinstance(value, Decimal) else value


def principal(value: str | None, flags: list[str]) -> str | None:
    """Return who called as logs name it too; session names are often people, whose addresses are not kept."""
    if value is None:
        return None
    head, slash, session = value.rpartition("/")
    kind = normalization.personal_data(session)
    if kind is None:
        return value
    flags.append(f"principal:personal_data:{kind}")
    return f"{head}{slash}[{kind}]"


def key(*parts: object) -> str:
    """Return the native key of a cell: its dimensions, so that the same cell has the same key in every export."""
    return "\x1f".join("" if part is None else str(part) for part in parts)


def period(name: str, start: int, end: int) -> str:
    """Return the name of a period that an export tells as a whole."""
    told = (datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ") for moment in (start, end))
    return "/".join((name, *told))


def stamp(intake: Intake, row: Row, period: str | None) -> Row:
    """Add to a line which period of which export a newer run replaces."""
    row["replaces_key"] = period
    row["exported_at"] = intake.run.exported_at
    return row


def disjoint(total: int, parts: Mapping[str, int | None], field: str) -> int:
    """Return what is left of a total without its parts; more parts than total is a fault with both numbers."""
    inside = sum(count or 0 for count in parts.values())
    if inside > total:
        named = " + ".join(f"{name} {count:,}" for name, count in parts.items() if count)
        raise Unreadable("parts_exceed_total", f"{named} within {field}", f"{field} {total:,}, parts {inside:,}", field)
    return total - inside


def check(flags: list[str], name: str, total: int | None, parts: Iterable[int | None]) -> None:
    """Flag an identity that is violated, with both numbers; it says nothing where a part is absent."""
    known = list(parts)
    if total is None or any(part is None for part in known):
        return
    found = sum(part or 0 for part in known)
    if found != total:
        flags.append(f"{name}: {total} is not {found}")


def declared_grouping(intake: Intake) -> str | None:
    """Return the dimensions an extract is grouped by, where the user or the pulled file's name tells."""
    declared = intake.options.get("group_by")
    if isinstance(declared, list | tuple):
        return ",".join(sorted(str(name) for name in declared))
    return intake.run.grouping


def lines_of(base: Row, meters: Mapping[str, tuple[int | Decimal | None, str]], identity: str) -> list[Row]:
    """Return one line per meter that was used; where none was, the first one with its zero."""
    known = {meter: used for meter, used in meters.items() if used[0] is not None}
    used = {meter: measure for meter, measure in known.items() if measure[0]} or dict(list(known.items())[:1])
    return [
        base
        | {
            "meter": meter,
            "quantity": Decimal(str(count)),
            "unit": unit,
            "unit_scale": Decimal(1),
            "key": key(identity, meter),
        }
        for meter, (count, unit) in used.items()
    ]
