"""Configuration: one reviewed YAML file and the files it names become the reference tables of a ledger.

Nothing is ever taken from a data folder. YAML is read strictly: no tags, no anchors, no duplicate or unknown keys;
every fault names file and line.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from attribution import schema
from attribution.errors import ConfigurationError
from attribution.ledger import Ledger, column_list
from attribution.reviewed_files import Placed, exact, is_whole, read_yaml

#: Section of the file → the reference table it fills.
SECTIONS = {
    "teams": "team",
    "families": "family",
    "keys": "key",
    "ownership_rules": "ownership_rule",
    "aliases": "alias",
    "contracts": "contract",
    "currency_rates": "currency_rate",
    "prepaid": "prepayment",
    "pools": "pool",
}
#: Sections that other rooms read as they are.
FREE_SECTIONS = ("column_maps", "policies", "calendar", "rates", "allocation", "scope", "description")
#: Of these, what functions of a ledger read: kept as settings, under the name of the section.
STORED_SECTIONS = ("calendar", "scope")

#: Columns that may say only one of a few words.
_WORDS = {
    ("family", "kind"): ("workflow", "feature"),
    ("key", "kind"): ("api_key", "virtual_key", "project", "workspace", "principal", "deployment"),
    ("alias", "kind"): ("model", "team"),
    ("dispute", "state"): ("open", "upheld", "rejected"),
    ("contract", "kind"): ("price", "discount", "tiered_discount", "commitment", "allowance"),
    ("prepayment", "kind"): ("credit", "opening", "commitment"),
    ("pool", "kind"): ("provisioned_throughput", "seats"),
    ("ownership_rule", "match"): ("equals", "prefix", "glob"),
    ("ownership_rule", "field"): schema.RULE_FIELDS,
}
_NOT_NEGATIVE = {"units", "tokens_per_minute", "output_weight", "cache_read_weight", "monthly_cost"}
#: Tables in which a name may be said once at a time.
_ONCE = {
    "key": ("key_id", "provider"),
    "team": ("team",),
    "alias": ("kind", "name", "provider"),
    "family": ("kind", "name"),
    "ownership_rule": ("rule_id",),
    "pool": ("pool_id",),
}


@dataclass(frozen=True)
class Configuration:
    """What a configuration file says: rows for the reference tables, column maps, and policies."""

    path: str
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def column_maps(self) -> list[dict[str, Any]]:
        """Column maps of generic files: `match`, `mapping`, `options`."""
        return list(self.sections.get("column_maps") or [])


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """Read one configuration file and the files it names, or raise an error with file and line.

    Parameters
    ----------
    path
        `attribution.yaml`. A section may be a list, or the name of a YAML or CSV file beside it.

    Returns
    -------
    Configuration
        Rows for the reference tables, with the place each came from.

    Raises
    ------
    ConfigurationError
        For anything unknown, misspelt, of the wrong type, or contradictory.
    """
    name = os.fspath(path)
    if not Path(name).is_file():
        raise ConfigurationError.at(name, None, "there is no such file", "a YAML file")
    content = read_yaml(Path(name))
    if not isinstance(content, Placed):
        raise ConfigurationError.at(name, 1, "not a mapping", f"sections such as {', '.join(SECTIONS)}")
    configuration = Configuration(name)
    for section, entries in content.items():
        line = content.lines[section]
        if section in SECTIONS:
            table = SECTIONS[section]
            rows = [check_row(table, entry, place) for entry, place in entries_of(Path(name), entries, line, section)]
            configuration.rows[table] = rows
        elif section in FREE_SECTIONS:
            configuration.sections[section] = entries
        else:
            raise ConfigurationError.unknown_key(name, line, section, [*SECTIONS, *FREE_SECTIONS])
    check_overlaps(configuration.rows)
    _check_teams(configuration)
    return configuration


def apply(ledger: Ledger, configuration: Configuration | None) -> None:
    """Write the reference tables of a ledger anew from a configuration."""
    rows = configuration.rows if configuration else {}
    with ledger.transaction():
        for table in SECTIONS.values():
            ledger.run(f'delete from "{table}"')
            _insert(ledger, table, rows.get(table, []))
        ledger.run("delete from setting")
        policies = dict(configuration.sections.get("policies") or {}) if configuration else {}
        policies |= {
            name: content
            for name, content in (configuration.sections if configuration else {}).items()
            if name in STORED_SECTIONS
        }
        place = configuration.path if configuration else None
        settings = [{"name": k, "value": _as_text(v), "place": place} for k, v in sorted(policies.items())]
        _insert(ledger, "setting", settings)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _insert(ledger: Ledger, table: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = schema.table(table).names
    frame = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    with ledger.reading(new_rows=frame):
        ledger.run(f'insert into "{table}" ({column_list(names)}) select {column_list(names)} from new_rows')


def entries_of(path: Path, entries: Any, line: int, section: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the entries of a section with their place; a text names another file."""
    if isinstance(entries, str):
        other = path.parent / entries
        if not other.is_file():
            raise ConfigurationError.at(str(path), line, f"`{section}` names {entries}, which is not there", "a file")
        if other.suffix.lower() == ".csv":
            yield from _csv_entries(other)
            return
        path, entries, line = other, read_yaml(other), 1
        if isinstance(entries, Placed) and list(entries) == [section]:
            entries = entries[section]
    if not isinstance(entries, list):
        raise ConfigurationError.at(str(path), line, f"`{section}` is not a list", "a list of mappings")
    for entry in entries:
        if not isinstance(entry, Placed):
            raise ConfigurationError.at(str(path), line, f"{entry!r} in `{section}`", "a mapping")
        yield entry, f"{path.name}:{entry.line}"


def _csv_entries(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise ConfigurationError.at(str(path), 1, "a column stands twice", "each column once")
            for cells in reader:
                line = reader.line_num
                if len(cells) != len(header):
                    found = f"{len(cells)} cells under {len(header)} columns"
                    raise ConfigurationError.at(str(path), line, found, "one cell a column")
                yield {k: v for k, v in zip(header, cells, strict=True) if v != ""}, f"{path.name}:{line}"
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError.at(str(path), line, str(error), "CSV in UTF-8") from None


def check_row(table: str, entry: dict[str, Any], place: str) -> dict[str, Any]:
    """Check one entry against the declaration of its table and return it with its place, such as `rules.yaml:7`."""
    declared = schema.table(table)
    file, _, line = place.rpartition(":")
    known = [name for name in declared.names if name != "place"]
    row: dict[str, Any] = {"place": place}
    for name, value in entry.items():
        if name not in known:
            raise ConfigurationError.unknown_key(file, int(line), name, known)
        row[name] = _value(declared.column(name).type, value, name, file, int(line))
        words = _WORDS.get((table, name))
        if words and row[name] is not None and row[name] not in words:
            raise ConfigurationError.unknown_key(file, int(line), row[name], words)
    for column in declared.columns:
        if column.is_required and row.get(column.name) is None:
            raise ConfigurationError.at(file, int(line), f"`{column.name}` is missing", column.meaning)
    _check_sense(row, file, int(line))
    return row


def _check_sense(row: dict[str, Any], file: str, line: int) -> None:
    """Refuse an end before its beginning, a key of one team and of many, and amounts below nothing."""
    for first, last in (("valid_from", "valid_to"), ("purchased_on", "expires_on")):
        if row.get(first) and row.get(last) and row[last] <= row[first]:
            found = f"{last} {row[last]} is not after {first} {row[first]}"
            raise ConfigurationError.at(file, line, found, "an end after the beginning")
    if row.get("is_exclusive") and row.get("is_shared"):
        found = "a key that is both exclusive and shared"
        raise ConfigurationError.at(
            file, line, found, "is_exclusive for one team's calls, or is_shared for many teams'"
        )
    for name in _NOT_NEGATIVE & set(row):
        if row[name] is not None and row[name] < 0:
            raise ConfigurationError.at(file, line, f"`{name}` is {row[name]}", "an amount that is not negative")


def _value(kind: str, value: Any, name: str, file: str, line: int) -> Any:
    if value is None:
        return None
    try:
        if kind == "VARCHAR" and isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            return str(value)
        if kind == "BOOLEAN" and (isinstance(value, bool) or value in ("true", "false")):
            return value in (True, "true")
        if kind == "BIGINT" and is_whole(value):
            return int(str(value))
        if kind.startswith("DECIMAL"):
            return exact(value)
        if kind == "TIMESTAMP":
            return _moment(value)
    except ValueError:
        pass
    wanted = {"VARCHAR": "text", "BOOLEAN": "true or false", "BIGINT": "a whole number", "TIMESTAMP": "a date"}
    raise ConfigurationError.at(file, line, f"`{name}` is {value!r}", wanted.get(kind, "an exact number in quotes"))


def _moment(value: Any) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def check_overlaps(rows: Mapping[str, list[dict[str, Any]]]) -> None:
    """Refuse two entries that speak of one name at one time, and two rules that give the same calls the same field."""
    for table, key in _ONCE.items():
        _refuse_overlaps(rows.get(table, []), key)
    for given in ("owner_team", "workflow_id", "feature"):
        giving = [row for row in rows.get("ownership_rule", []) if row.get(given) is not None]
        _refuse_overlaps(giving, ("field", "match", "pattern"))


def _refuse_overlaps(rows: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        same = seen.setdefault(tuple(row.get(name) for name in key), [])
        for other in same:
            if _overlap(row, other):
                file, _, line = row["place"].rpartition(":")
                what = " ".join(str(row[name]) for name in key if row.get(name))
                raise ConfigurationError.at(
                    file, int(line), f"`{what}` overlaps {other['place']} in time", "one entry at a time"
                )
        same.append(row)


def _check_teams(configuration: Configuration) -> None:
    """Where a registry is given, a team that it does not know is a misspelt one."""
    teams = sorted({row["team"] for row in configuration.rows.get("team", [])})
    if not teams:
        return
    for table, column in (("key", "owner_team"), ("family", "owner_team"), ("ownership_rule", "owner_team")):
        for row in configuration.rows.get(table, []):
            if row.get(column) is not None and row[column] not in teams:
                file, _, line = row["place"].rpartition(":")
                raise ConfigurationError.unknown_key(file, int(line), row[column], teams)


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    first, last = datetime(1, 1, 1), datetime(9999, 1, 1)
    return (one.get("valid_from") or first) < (other.get("valid_to") or last) and (other.get("valid_from") or first) < (
        one.get("valid_to") or last
    )
