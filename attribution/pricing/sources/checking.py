"""A source that the user points at, read as strictly as a price file: what cannot be right is refused by its entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from attribution.errors import ConfigurationError

#: No unit of anything costs more; beyond it a price is in another unit [USD].
_DEAREST = 10**9


@dataclass(frozen=True)
class Given:
    """A file's content, its digest as its version, and where its entries stand."""

    path: Path
    text: str
    content: dict[str, Any]
    version: str

    def refused(self, entry: str, found: str, expected: str) -> ConfigurationError:
        """Name the file, the line that names the entry, and the entry."""
        place = self.text.find(json.dumps(entry.split("/standard")[0]))
        line = self.text.count("\n", 0, place) + 1 if place >= 0 else None
        return ConfigurationError.at(str(self.path), line, f"`{entry}`: {found}", expected)


def read_given(path: Path) -> Given:
    """Read a JSON file of prices; a key that is there twice or a number that is none is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise ValueError(f"`{twice}` stands twice")
        return dict(pairs)

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is no price")

    try:
        data = path.read_bytes()
        text = data.decode()
        content = json.loads(text, parse_float=Decimal, parse_constant=no_number, object_pairs_hook=once)
    except (OSError, ValueError) as error:
        raise ConfigurationError.at(str(path), None, f"it cannot be read: {error}", "a JSON file") from error
    if not isinstance(content, dict):
        raise ConfigurationError.at(str(path), None, "it is not an object", "a price map or a snapshot")
    return Given(path, text, content, hashlib.sha256(data).hexdigest()[:12])


def check_map(given: Given) -> None:
    """Check the entries of a LiteLLM map: prices are numbers that are not negative, and ranges follow each other."""
    for entry, said in given.content.items():
        if not isinstance(said, dict):
            raise given.refused(entry, f"is {said!r}", "an object of prices")
        for key, price in _prices(said):
            _check_price(given, entry, key, price)
        end = 0
        for band in said.get("tiered_pricing") or []:
            bounds = band.get("range") if isinstance(band, dict) else None
            if bounds is None:
                continue
            is_range = (
                isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(b, int | Decimal) for b in bounds)
            )
            if not is_range or not end <= bounds[0] < bounds[1]:
                raise given.refused(entry, f"the range {bounds} after {end}", "ranges of tokens that follow each other")
            end = bounds[1]


def _prices(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in said.items():
        if key == "search_context_cost_per_query" and isinstance(value, dict):
            yield from ((f"{key}.{size}", price) for size, price in value.items())
        elif key == "tiered_pricing" and isinstance(value, list):
            bands = (band for band in value if isinstance(band, dict))
            yield from ((name, price) for band in bands for name, price in band.items() if "cost" in name)
        elif "cost" in key and not isinstance(value, dict | list):
            yield key, value


def _check_price(given: Given, entry: str, key: str, price: Any) -> None:
    if price is None:
        return
    if isinstance(price, bool) or not isinstance(price, int | Decimal) or not 0 <= price < _DEAREST:
        raise given.refused(entry, f"{key} is {price}", "a price that is a number and not negative")


def check_snapshot(given: Given) -> None:
    """Check a snapshot of model-prices: dated intervals in their order, with prices that are not negative."""
    shape: dict[str, type] = {"updated_at": str, "prices": dict, "schedules": dict}
    missing = [name for name, kind in shape.items() if not isinstance(given.content.get(name), kind)]
    schedules = {} if missing else given.content["schedules"]
    if missing or not isinstance(schedules.get("schedule"), list) or not isinstance(schedules.get("holidays"), dict):
        found = f"no {', '.join(missing) or 'schedules of hours and holidays'}"
        raise ConfigurationError.at(str(given.path), None, found, "a snapshot.json of model-prices")
    _time(given, "updated_at", given.content["updated_at"])
    try:
        for provider, models in given.content["prices"].items():
            for model, modes in models.items():
                for mode, intervals in modes.items():
                    _check_intervals(given, f"{provider}/{model}/{mode}", model, intervals)
    except (AttributeError, TypeError, KeyError) as error:
        raise given.refused("prices", f"is not shaped as expected: {error}", "providers, models, modes") from error


def _check_intervals(given: Given, entry: str, model: str, intervals: list[dict[str, Any]]) -> None:
    last: datetime | None = None
    for number, interval in enumerate(intervals):
        start = _time(given, model, interval["start"])
        if (start is None) != (number == 0 and interval["start"] is None) or (last and start and start <= last):
            raise given.refused(model, f"{entry} begins at {interval['start']} after {last}", "starts that follow")
        last = start
        rates = interval["rates"]
        for band in [rates, *((rates or {}).get("tiers") or [])] if rates is not None else []:
            for key in ("input", "output", "cache_read", "cache_write", "cache_write_1h_multiple"):
                _check_price(given, model, f"{entry} {key}", band.get(key))
        if rates is not None and (rates.get("input") is None or rates.get("output") is None):
            raise given.refused(model, f"{entry} has no input or output price", "both")
        bounds = [tier["above"] for tier in (rates or {}).get("tiers") or []]
        if bounds != sorted(set(bounds)):
            raise given.refused(model, f"{entry} has tiers above {bounds}", "bounds that rise")


def _time(given: Given, model: str, text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text is not None else None
    except ValueError as error:
        raise given.refused(model, f"begins at {text!r}", "an ISO date or time") from error
