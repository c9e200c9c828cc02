"""A declared column map becomes readers of one record: where a field is, in what unit, and what it may hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from attribution import normalization, schema
from attribution.errors import ConfigurationError
from attribution.reading import Document, Unreadable, mask
from attribution.sources._tags import read_tags, structured

#: Words of a column map that stand for one of our columns.
SYNONYMS = {
    "event_id": "native_id",
    "request_id": "provider_request_id",
    "parent_id": "parent_span_id",
    "timestamp": "started_at",
    "cost_usd": "source_cost",
    "attempt": "attempt_no",
    "tenant_id": "tenant_id_hash",
    "customer_id_hash": "tenant_id_hash",
    "user_id": "user_id_hash",
    "cache_write_tokens": "cache_write_5m_tokens",
}
_SETTLED = {"observation_id", "source", "file_id", "line", "other_usage", "is_metered", "usage_reading"}
FIELDS = [
    column.name
    for column in schema.table("observation").columns
    if column.name not in _SETTLED and not column.type.endswith("[]")
]
OPTIONS = (
    "input_includes_cache",
    "output_includes_reasoning",
    "tz",
    "json_columns",
    "tag_column",
    "tag_separator",
    "role",
    "decimal",
    "thousands",
)
_SPEC_KEYS = ("path", "const", "unit", "rate", "decimal", "thousands")
_COST_UNITS = {"usd": Decimal(1), "cents": Decimal("0.01"), "micros": Decimal("0.000001"), "nanos": Decimal("1e-9")}
_TIME_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MISSING_WORDS = {"", "none", "null", "n/a", "nan", "-", "\\n"}
_TRUE, _FALSE = {"true", "1", "hit", "yes", "t"}, {"false", "0", "miss", "no", "f", "bypass"}
_OK = {"ok", "success", "succeeded", "completed", "true", "default", "stop"}
_FAILED = {"error", "failure", "failed", "false", "exception", "timeout", "cancelled"}
_TAG = re.compile(r"tags\[(.+)\]")

Reader = Callable[[Document], Any]


def compile_map(mapping: dict[str, Any], options: dict[str, Any], columns: Iterable[str]) -> list[tuple[str, Reader]]:
    """Turn a column map into a reader per field, or say what is wrong with it.

    `columns` are the columns that the beginning of the file has, if it could be read; a field none of whose
    alternatives begins with one of them is an error, because a misspelt column must not look like missing data.
    """
    known = set(columns)
    unknown = [name for name in options if name not in OPTIONS and name != "mapping"]
    if unknown:
        raise ConfigurationError.unknown_key("options", None, unknown[0], OPTIONS)
    readers = []
    for given, spec in mapping.items():
        field = SYNONYMS.get(given, given)
        if field not in FIELDS:
            raise ConfigurationError.unknown_key("mapping", None, given, [*FIELDS, *SYNONYMS])
        if spec is None:
            continue
        readers.append((field, _reader(given, field, spec, options, known)))
    return readers


def _reader(given: str, field: str, spec: Any, options: dict[str, Any], known: set[str]) -> Reader:
    details = spec if isinstance(spec, dict) else {"path": spec}
    for key in details:
        if key not in _SPEC_KEYS:
            raise ConfigurationError.unknown_key(f"mapping.{given}", None, str(key), _SPEC_KEYS)
    convert = _converter(given, field, details, options)
    if "const" in details:
        constant = convert(details["const"])
        return lambda document: constant
    if callable(details.get("path")):
        return lambda document: convert(details["path"](document))
    places = details.get("path")
    alternatives = [places] if isinstance(places, str) else places
    if not isinstance(alternatives, list) or not all(isinstance(each, str) for each in alternatives):
        expected = "a column, a dotted path, a list of them, {'path': …} or {'const': …}"
        raise ConfigurationError.at(f"mapping.{given}", None, f"{spec!r}", expected)
    _check_columns(given, alternatives, options, known)
    getters = [_getter(each, options) for each in alternatives]

    def read_first(document: Document) -> Any:
        for getter in getters:
            value = getter(document)
            if value is not None and value != "":
                kept = convert(value)
                if kept is not None:
                    return kept
        return None

    return read_first


def _check_columns(given: str, alternatives: list[str], options: dict[str, Any], known: set[str]) -> None:
    if not known:
        return
    for path in alternatives:
        tag = _TAG.fullmatch(path)
        if (options.get("tag_column", "tags") if tag else path) in known or first_step(path) in known:
            return
    raise ConfigurationError.unknown_key(f"mapping.{given}", None, " or ".join(alternatives), sorted(known))


def first_step(path: str) -> str:
    """Return the column a path begins in: `usage.prompt_tokens`, `/usage/prompt_tokens`."""
    return path[1:].split("/", 1)[0] if path.startswith("/") else path.split(".", 1)[0]


def _getter(path: str, options: dict[str, Any]) -> Reader:
    tag = _TAG.fullmatch(path)
    if tag:
        column, separator, key = options.get("tag_column", "tags"), options.get("tag_separator"), tag[1]
        return lambda document: read_tags(document.get(column), separator).get(key)
    if path.startswith("/"):
        pointer = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
        return lambda document: _walk(document, pointer, path)
    steps = path.split(".")
    if len(steps) == 1:
        return lambda document: document.get(path)
    return lambda document: _walk(document, steps, path)


def at_path(document: Document, path: str) -> Any:
    """Return what stands at a dotted path."""
    return document[path] if path in document else _walk(document, path.split("."), path)


def _walk(value: Any, steps: list[str], path: str) -> Any:
    """Follow a path; a key that itself has dots comes before an object of that name, JSON in text is opened."""
    for depth, step in enumerate(steps):
        if type(value) is str and value[:1] in ("{", "["):
            value = structured(value, path)
        if type(value) is list:
            value = value[int(step)] if step.isdigit() and int(step) < len(value) else None
        elif type(value) is dict:
            whole = ".".join(steps[depth:])
            if whole in value:
                return value[whole]
            value = value.get(step)
        else:
            return None
    return value


# What a field may hold.


def _converter(given: str, field: str, details: dict[str, Any], options: dict[str, Any]) -> Reader:
    kind = schema.table("observation").column(field).type
    if field == "source_cost":
        return _money_reader(given, details, options)
    if kind == "TIMESTAMP":
        return _time_reader(given, field, details, options.get("tz"))
    if kind == "BIGINT":
        return lambda value: read_count(value, field)
    if kind == "BOOLEAN":
        return lambda value: _flag(value, field)
    if field == "status":
        return _status
    if field == "provider":
        return lambda value: normalization.provider(_text(value, field))
    if field == "service_tier":
        return lambda value: normalization.service_tier(_text(value, field))
    if field in schema.OWNERSHIP_CONTRACT or field == "claimed_team":
        return lambda value: value
    return lambda value: _text(value, field)


def _money_reader(given: str, details: dict[str, Any], options: dict[str, Any]) -> Reader:
    unit = str(details.get("unit", "usd")).lower()
    if unit not in _COST_UNITS and "rate" not in details:
        expected = f"one of {', '.join(_COST_UNITS)}, or a `rate` to US dollars as text"
        raise ConfigurationError.at(f"mapping.{given}", None, f"unit `{unit}` without a rate", expected)
    rate = _COST_UNITS.get(unit, Decimal(1)) * Decimal(str(details.get("rate", 1)))
    decimal = details.get("decimal", options.get("decimal", "."))
    thousands = details.get("thousands", options.get("thousands"))

    def read(value: Any) -> Decimal | None:
        if _is_missing(value):
            return None
        if type(value) is str and (decimal != "." or thousands):
            value = value.replace(thousands, "") if thousands else value
            value = value.replace(decimal, ".").strip("$€£ \u00a0")
        amount = normalization.money(value, given)
        return None if amount is None else normalization.money(amount * rate, given) if rate != 1 else amount

    return read


def _time_reader(given: str, field: str, details: dict[str, Any], zone: str | None) -> Reader:
    unit = details.get("unit", "iso")
    if unit != "iso" and unit not in _TIME_UNITS:
        raise ConfigurationError.at(f"mapping.{given}", None, f"unit `{unit}`", "s, ms, us, ns or iso")

    def read(value: Any) -> int | None:
        if _is_missing(value):
            return None
        if unit != "iso":
            return normalization.epoch(value, field, _TIME_UNITS[unit])
        if type(value) is int or isinstance(value, float | Decimal) or (type(value) is str and value.isdigit()):
            return _epoch_by_size(value, field)
        return normalization.instant(value, field, zone)

    return read


def _epoch_by_size(value: Any, field: str) -> int | None:
    """Times between 2000 and 2100 have other magnitudes in each unit, so the number itself tells its unit."""
    number = Decimal(str(value)).copy_abs()
    per_second = next((p for p in (1, 1_000, 1_000_000) if number < Decimal(10) ** 10 * p), 1_000_000_000)
    return normalization.epoch(value, field, per_second)


def read_count(value: Any, field: str) -> int | None:
    """Read a count as frames and CSV files hold it: whole floats and decimal text are counts there."""
    if _is_missing(value):
        return None
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return normalization.count_text(value, field)


def _is_missing(value: Any) -> bool:
    if value is None or (type(value) is float and math.isnan(value)):
        return True
    return type(value) is str and value.strip().lower() in _MISSING_WORDS


def _flag(value: Any, field: str) -> bool | None:
    if type(value) is bool or _is_missing(value):
        return value if type(value) is bool else None
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Unreadable("not_a_flag", "true or false", mask(value), field)


def _status(value: Any) -> str:
    """Read a status as words, flags or HTTP codes; what says nothing of success is unknown."""
    word = str(value).strip().lower()
    if word in _OK or re.fullmatch(r"2\d\d", word):
        return "ok"
    if word in _FAILED or re.fullmatch(r"[45]\d\d", word):
        return "error"
    return "unknown"


def _text(value: Any, field: str) -> str | None:
    """Ids stay text; a number where an id is expected is its digits."""
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return None if math.isnan(value) else normalization.text(value, field)
    return normalization.text(None if type(value) is str and not value.strip() else value, field)
