"""Build input: our own dated rows, one file a provider, append only, each with its public source."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from importlib.resources.abc import Traversable

from attribution.errors import ConfigurationError
from attribution.pricing.book import ALL_WEEK, BEGINNING, DAY, FOREVER, NO_LIMIT, Rate
from attribution.pricing.meters import TOKEN_METERS, UNITS, base_meter

COLUMNS = (
    "entry",
    "model",
    "meter",
    "service_tier",
    "region",
    "context_over",
    "context_upto",
    "valid_from",
    "valid_to",
    "second_from",
    "second_to",
    "weekdays",
    "price",
    "per",
    "minimum",
    "source",
)
_PLAIN = re.compile(r"^\d+(\.\d{1,12})?$")


def rates(folder: Traversable) -> Iterator[Rate]:
    """Yield the rows of every provider's file, checked."""
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".csv") and entry.name not in ("precedence.csv", "conflicts.csv"):
            lines = entry.read_text(encoding="utf-8").splitlines()
            yield from read_rates(lines, entry.name.removesuffix(".csv"), f"prices/{entry.name}")


def read_rates(lines: Iterable[str], provider: str, path: str) -> Iterator[Rate]:
    """Read rate rows of one provider; a row that cannot be right is refused with file, line and entry."""
    reader = csv.DictReader(lines, strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ConfigurationError.at(path, 1, f"columns {reader.fieldnames}", f"columns {', '.join(COLUMNS)}")
    rows: list[tuple[int, str, Rate]] = []
    for row in reader:
        rate = _rate(row, provider, path, reader.line_num)
        for line, entry, other in rows:
            if _overlap(rate, other):
                found = f"entry `{row['entry']}` overlaps entry `{entry}` of line {line}"
                raise ConfigurationError.at(path, reader.line_num, found, "validities that do not overlap")
        rows.append((reader.line_num, row["entry"], rate))
        yield rate


def _rate(row: dict[str, str], provider: str, path: str, line: int) -> Rate:
    entry = f"entry `{row['entry']}`"
    if not row["source"].startswith("https://") and not row["source"].startswith("contract"):
        raise ConfigurationError.at(path, line, f"{entry}: source `{row['source']}`", "the public page it is from")
    meter = row["meter"]
    if meter not in TOKEN_METERS and base_meter(meter) not in UNITS:
        raise ConfigurationError.at(path, line, f"{entry}: unknown meter `{meter}`", "a meter of the price book")
    if not _PLAIN.match(row["price"]):
        expected = "a plain decimal number, not negative, with at most 12 places"
        raise ConfigurationError.at(path, line, f"{entry}: price `{row['price']}`", expected)
    per = _whole(row["per"], 0, f"{entry}: per", path, line)
    if per < 1:
        raise ConfigurationError.at(path, line, f"{entry}: per `{row['per']}`", "a whole number of units above 0")
    rate = Rate(
        provider,
        row["model"].lower(),
        meter,
        Decimal(row["price"]),
        per,
        row["service_tier"] or "standard",
        row["region"] or None,
        _whole(row["context_over"], -1, f"{entry}: context_over", path, line),
        _whole(row["context_upto"], NO_LIMIT, f"{entry}: context_upto", path, line),
        _moment(row["valid_from"], BEGINNING, entry, path, line),
        _moment(row["valid_to"], FOREVER, entry, path, line),
        _whole(row["second_from"], 0, f"{entry}: second_from", path, line),
        _whole(row["second_to"], DAY, f"{entry}: second_to", path, line),
        _whole(row["weekdays"], ALL_WEEK, f"{entry}: weekdays", path, line),
        Decimal(row["minimum"] or 0),
        "supplement",
        f"{path}:{row['entry']}",
        f"documented: {row['source']}",
    )
    if rate.valid_from >= rate.valid_to:
        found = f"{entry}: valid from {row['valid_from']} to {row['valid_to']}"
        raise ConfigurationError.at(path, line, found, "an end after the start")
    if rate.context_over >= rate.context_upto or not 0 <= rate.second_from < rate.second_to <= DAY:
        raise ConfigurationError.at(path, line, f"{entry}: an empty band or window", "an end after the start")
    return rate


def _overlap(one: Rate, other: Rate) -> bool:
    return (
        (one.model, one.meter, one.service_tier, one.region)
        == (other.model, other.meter, other.service_tier, other.region)
        and one.valid_from < other.valid_to
        and other.valid_from < one.valid_to
        and one.context_over < other.context_upto
        and other.context_over < one.context_upto
        and one.second_from < other.second_to
        and other.second_from < one.second_to
        and one.weekdays & other.weekdays > 0
    )


def _whole(text: str, default: int, what: str, path: str, line: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise ConfigurationError.at(path, line, f"{what} `{text}`", "a whole number")
    return int(text)


def _moment(text: str, default: datetime, entry: str, path: str, line: int) -> datetime:
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ConfigurationError.at(path, line, f"{entry}: time `{text}`", "an ISO date or time in UTC") from error
    if moment.utcoffset():
        raise ConfigurationError.at(path, line, f"{entry}: time `{text}`", "an ISO date or time in UTC")
    return moment.replace(tzinfo=None)
