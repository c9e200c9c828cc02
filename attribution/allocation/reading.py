"""The rules file: one reviewed YAML, checked against its schema; every fault names file and line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from attribution import schema
from attribution.allocation.methods import METHODS, PLAIN, SPELLINGS, Pool
from attribution.allocation.networks import solve
from attribution.allocation.rules import BASES, DRIVERS, UNOWNED, Rules, SharedPool
from attribution.configuration import check_overlaps, check_row
from attribution.errors import AllocationError, ConfigurationError
from attribution.reviewed_files import Placed, exact, parse_yaml

SECTIONS = (
    "description",
    "version",
    "valid_from",
    "basis",
    "ownership_rules",
    "pools",
    "unattributed",
    "minimums",
    "markups",
    "cost_centers",
    "budgets",
    "calendar",
    "savings",
)
_SPLIT = ("method", "driver", "percent", "units", "targets", "fallback")
#: Columns of a bill's residual lines by which a pool may choose them.
_BILL = ("provider", "category", "cause", "model", "meter", "project_id")
_CALLS = tuple(
    column.name
    for column in schema.table("cost_event").columns
    if column.type == "VARCHAR" and column.name not in ("request_id", "call_id")
)
#: What `unattributed` may say beside the methods: leave it where everybody sees it.
VISIBLE = "visible"


def read_rules(path: str | os.PathLike[str]) -> Rules:
    """Read one rules file, or raise an error with file and line.

    Parameters
    ----------
    path
        A YAML file; `sample_data/acme/config/chargeback.yaml` is one.

    Returns
    -------
    Rules
        Checked: methods and columns exist, percentages make 100, pools that serve each other reach a team.

    Raises
    ------
    ConfigurationError
        For anything unknown, misspelt, of the wrong type, or impossible.

    Examples
    --------
    >>> import attribution as at
    >>> rules = at.read_rules("sample_data/acme/config/chargeback.yaml")
    >>> [shared.pool.name for shared in rules.pools]
    ['guard', 'bill charges']
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigurationError.at(str(file), None, "there is no such file", "a YAML file of chargeback rules")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError.at(str(file), None, str(error), "YAML in UTF-8") from None
    return parse_rules(text, file)


def parse_rules(text: str, file: Path) -> Rules:
    """Check the text of a rules file; `file` is what errors name."""
    content = parse_yaml(text, file)
    if not isinstance(content, Placed):
        raise ConfigurationError.at(str(file), 1, "not a mapping", f"sections such as {', '.join(SECTIONS)}")
    _known(content, SECTIONS, file)
    line = content.lines
    rules = Rules(str(file), text)
    return replace(
        rules,
        version=_text(content.get("version"), file, line.get("version")),
        valid_from=_day(content.get("valid_from"), file, line.get("valid_from")),
        basis=_word(content.get("basis", rules.basis), BASES, file, line.get("basis")),
        ownership_rules=tuple(_ownership(content.get("ownership_rules"), file, line.get("ownership_rules"))),
        pools=_pools(content.get("pools"), file, line.get("pools")),
        unattributed=_unattributed(content.get("unattributed"), file, line.get("unattributed")),
        minimums=dict(_amounts(content, "minimums", "amount", file)),
        markups=dict(_amounts(content, "markups", "percent", file)),
        cost_centers=_cost_centers(content.get("cost_centers"), file, line.get("cost_centers")),
        budgets=dict(_by_name(content.get("budgets"), file, line.get("budgets"))),
        calendar=_calendar(content.get("calendar"), file, line.get("calendar")),
        can_wait=_savings(content.get("savings"), file, line.get("savings")),
    )


def _known(entry: Placed, known: Iterable[str], file: Path) -> None:
    names = list(known)
    for name in entry:
        if name not in names:
            raise ConfigurationError.unknown_key(str(file), entry.lines[name], name, names)


def _word(given: Any, known: Iterable[str], file: Path, line: int | None) -> str:
    names = list(known)
    if given not in names:
        raise ConfigurationError.unknown_key(str(file), line, str(given), names)
    return str(given)


def _text(given: Any, file: Path, line: int | None) -> str | None:
    if given is None or isinstance(given, str | int | Decimal | date):
        return None if given is None else str(given)
    raise ConfigurationError.at(str(file), line, f"{given!r}", "text")


def _day(given: Any, file: Path, line: int | None) -> date | None:
    if given is None or type(given) is date:
        return given
    raise ConfigurationError.at(str(file), line, f"`valid_from` is {given!r}", "the first day of a period")


def _list(entries: Any, section: str, file: Path, line: int | None) -> Iterator[Placed]:
    if entries is None:
        return
    if not isinstance(entries, list):
        raise ConfigurationError.at(str(file), line, f"`{section}` is not a list", "a list of mappings")
    for entry in entries:
        if not isinstance(entry, Placed):
            raise ConfigurationError.at(str(file), line, f"{entry!r} in `{section}`", "a mapping")
        yield entry


def _mapping(entry: Any, section: str, file: Path, line: int | None) -> Placed:
    if entry is None:
        return Placed()
    if not isinstance(entry, Placed):
        raise ConfigurationError.at(str(file), line, f"`{section}` is {entry!r}", "a mapping")
    return entry


def _number(value: Any, name: str, file: Path, line: int | None) -> Decimal:
    try:
        amount = exact(value)
    except ValueError:
        amount = Decimal(-1)
    if amount < 0:
        raise ConfigurationError.at(str(file), line, f"`{name}` is {value!r}", "an exact number of zero or above")
    return amount


def _by_name(entry: Any, file: Path, line: int | None, section: str = "budgets") -> Iterator[tuple[str, Decimal]]:
    placed = _mapping(entry, section, file, line)
    for name, value in placed.items():
        yield name, _number(value, name, file, placed.lines[name])


def _names(value: Any, name: str, file: Path, line: int | None) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or any(not isinstance(each, str | int) or isinstance(each, bool) for each in values):
        raise ConfigurationError.at(str(file), line, f"`{name}` is {value!r}", "a name, or a list of names")
    return tuple(str(each) for each in values)


def _ownership(entries: Any, file: Path, line: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield ownership rules of the file's own; the word `configuration` leaves it at those of attribution.yaml."""
    if entries == "configuration":
        return
    rows = []
    for entry in _list(entries, "ownership_rules", file, line):
        row = check_row("ownership_rule", entry, f"{file}:{entry.line}")
        if row.get("owner_team") is None:
            raise ConfigurationError.at(
                str(file), entry.line, "`owner_team` is missing", "the team that the rule gives"
            )
        rows.append(row)
    check_overlaps({"ownership_rule": rows})
    yield from rows


def _pools(entries: Any, file: Path, line: int | None) -> tuple[SharedPool, ...]:
    pools: list[SharedPool] = []
    lines: dict[str, int] = {}
    for entry in _list(entries, "pools", file, line):
        _known(entry, ("pool", "calls", "bill", *_SPLIT), file)
        name = entry.get("pool")
        if not isinstance(name, str) or not name or name == UNOWNED:
            raise ConfigurationError.at(str(file), entry.line, f"`pool` is {name!r}", f"a name other than `{UNOWNED}`")
        if not entry.get("calls") and not entry.get("bill"):
            found = f"pool `{name}` holds nothing"
            raise ConfigurationError.at(str(file), entry.line, found, "`calls` or `bill`, which say what belongs to it")
        chosen = {
            part: _chosen(entry.get(part), part, known, file, entry.lines.get(part))
            for part, known in (("calls", _CALLS), ("bill", _BILL))
        }
        pool = _pool(entry, name, METHODS, file)
        pools.append(SharedPool(pool, chosen["calls"], chosen["bill"], f"{file.name}:{entry.line}"))
        lines[name] = entry.line
    _check_solvable([shared.pool for shared in pools], file, lines)
    return tuple(pools)


def _chosen(
    entry: Any, part: str, known: Iterable[str], file: Path, line: int | None
) -> dict[str, tuple[str | None, ...]]:
    placed = _mapping(entry, part, file, line)
    _known(placed, known, file)
    return {name: _names(value, name, file, placed.lines[name]) for name, value in placed.items()}


def _pool(entry: Placed, name: str, methods: Iterable[str], file: Path) -> Pool:
    """Read how a pool is split; what is written for another method is refused, for nobody would see it ignored."""
    line = entry.lines
    given = entry.get("method")
    method = _word(SPELLINGS.get(str(given), given), methods, file, line.get("method", entry.line))
    takes = {"driver": ("driver", "units"), "fixed": ("percent",), "step_down": ("percent", "units")}
    takes |= {"reciprocal": ("percent", "units"), "proportional": (), "even": (), "direct": ()}
    for key in ("driver", "percent", "units"):
        if key in entry and key not in takes[method]:
            raise ConfigurationError.at(str(file), line[key], f"`{key}` beside method `{method}`", "one or the other")
    if len([key for key in ("driver", "percent", "units") if key in entry]) > 1:
        raise ConfigurationError.at(str(file), entry.line, "several weights", "one of driver, percent and units")
    if "driver" in entry:
        _word(entry["driver"], DRIVERS, file, line["driver"])
    parts = {
        key: dict(_by_name(entry.get(key), file, line.get(key), key)) for key in ("percent", "units") if key in entry
    }
    targets = _names(entry["targets"], "targets", file, line["targets"]) if "targets" in entry else ()
    try:
        return Pool(name, method, entry.get("driver"), targets=targets, fallback=entry.get("fallback"), **parts)
    except AllocationError as error:
        raise ConfigurationError.at(str(file), entry.line, _sentence(error), "a pool that can be split") from None


def _check_solvable(pools: list[Pool], file: Path, lines: Mapping[str, int]) -> None:
    """Refuse pools that can never be split; whether a name is a team is not known before there is a ledger."""
    names = [pool.name for pool in pools]
    teams = {name: 1 for pool in pools for name in (*pool.percent, *pool.units, *pool.targets) if name not in names}
    serving = [pool for pool in pools if pool.method not in PLAIN]
    written = [[pool] for pool in pools if pool.method in PLAIN and (pool.percent or pool.units or pool.targets)]
    for group in [serving, *written]:
        try:
            solve(group, teams, {name: {} for name in DRIVERS}, [pool.name for pool in group if not pool.driver])
        except AllocationError as error:
            raise ConfigurationError.at(
                str(file), lines[group[0].name], _sentence(error), "pools that can be split"
            ) from None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError.at(str(file), lines[twice], f"pool `{twice}` stands twice", "each pool once")


def _sentence(error: AllocationError) -> str:
    return str(error).rstrip(".")


def _unattributed(entry: Any, file: Path, line: int | None) -> Pool | None:
    placed = _mapping(entry, "unattributed", file, line)
    _known(placed, _SPLIT, file)
    if not placed or placed.get("method") == VISIBLE:
        return None
    return _pool(placed, UNOWNED, [*(m for m in PLAIN if m != "direct"), VISIBLE], file)


def _amounts(content: Placed, section: str, key: str, file: Path) -> Iterator[tuple[str, Decimal]]:
    seen: set[str] = set()
    for entry in _list(content.get(section), section, file, content.lines.get(section)):
        _known(entry, ("team", key), file)
        team = entry.get("team")
        if not isinstance(team, str) or team in seen:
            raise ConfigurationError.at(
                str(file), entry.line, f"`team` is {team!r}", "each team once, `*` for all others"
            )
        seen.add(team)
        yield team, _number(entry.get(key), key, file, entry.line)


def _cost_centers(entry: Any, file: Path, line: int | None) -> dict[str, Mapping[str, str]]:
    placed = _mapping(entry, "cost_centers", file, line)
    found: dict[str, Mapping[str, str]] = {}
    for team, value in placed.items():
        given = _mapping(value, team, file, placed.lines[team])
        _known(given, ("cost_center", "account"), file)
        found[team] = {name: str(_text(text, file, given.lines[name])) for name, text in given.items()}
    return found


def _calendar(entry: Any, file: Path, line: int | None) -> dict[str, tuple[date, date]]:
    """Read the company's own periods; without any, months are the periods."""
    placed = _mapping(entry, "calendar", file, line)
    _known(placed, ("zone", "periods"), file)
    if placed.get("zone", "UTC") != "UTC":
        found = f"`zone` is {placed['zone']!r}"
        raise ConfigurationError.at(
            str(file), placed.lines["zone"], found, "UTC: providers bill UTC days, and no day is cut in two"
        )
    found_periods: dict[str, tuple[date, date]] = {}
    for period in _list(placed.get("periods"), "periods", file, placed.lines.get("periods")):
        _known(period, ("period", "first_day", "last_day"), file)
        name, first, last = (period.get(key) for key in ("period", "first_day", "last_day"))
        if not isinstance(name, str) or not type(first) is type(last) is date or last < first:
            found = f"period {name!r} from {first} to {last}"
            raise ConfigurationError.at(str(file), period.line, found, "a name, its first_day and its last_day")
        end = date.fromordinal(last.toordinal() + 1)
        for other, (start, stop) in found_periods.items():
            if name == other or (first < stop and start < end):
                raise ConfigurationError.at(str(file), period.line, f"`{name}` overlaps `{other}`", "each day once")
        found_periods[name] = (first, end)
    return found_periods


def _savings(entry: Any, file: Path, line: int | None) -> tuple[str, ...] | None:
    placed = _mapping(entry, "savings", file, line)
    _known(placed, ("can_wait",), file)
    return _names(placed["can_wait"], "can_wait", file, placed.lines["can_wait"]) if "can_wait" in placed else None
