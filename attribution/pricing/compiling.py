"""From the book to a rate card: for the calls' distinct keys, cells that cover every time, size and hour once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from attribution.pricing.book import ALL_WEEK, BEGINNING, DAY, FOREVER, HISTORY, NO_LIMIT, PriceBook, Rate
from attribution.pricing.meters import IMPLIED_METERS, TOKEN_METERS
from attribution.pricing.models import PROVIDERS, Resolved, resolve

#: Words for the tier that a provider gives when none is asked for.
_STANDARD = {"standard", "default", "on_demand", "on-demand", "ondemand", "standard_only", "regular"}
_UNSTATED = {"", "auto", "unspecified", "service_tier_unspecified", "traffic_type_unspecified", "unknown"}
_TIER_WORDS = {"batches": "batch", "batch_api": "batch", "on_demand_flex": "flex", "on_demand_priority": "priority"}
#: Regions that no worldwide price covers: government and mainland China clouds.
_SOVEREIGN = re.compile(r"^(us-?gov|usgov|usdod|cn-|china)")
#: A geography names where data stay, which is priced; a data center's name says only where the endpoint is.
_GEOGRAPHY = re.compile(r"^[a-z]{2}$|^(apac|emea|global)$")
_EARLY = f"assumed: the earliest price known, as no source follows prices before {HISTORY:%Y-%m-%d}"
_Bound = TypeVar("_Bound", int, datetime)
_COMPASS = "(?:north|south|east|west|central|jio)*"
_AZURE_LANDS = (
    "us|europe|asia|india|japan|korea|australia|canada|brazil|africa|france|germany|switzerland|sweden|norway|uk|uae"
    "|poland|italy|spain|israel|qatar|mexico|newzealand|austria|belgium|chile|denmark|indonesia|malaysia|taiwan"
)
#: Names of data centers as AWS, Azure and Google give them; any other word is no region that a price is known for.
_KNOWN_REGION = re.compile(
    rf"^(?:[a-z]{{2}}(?:-[a-z]+)+-?\d+|{_COMPASS}(?:{_AZURE_LANDS}){_COMPASS}\d?|[a-z]+-[a-z]+\d+"
    r"|[a-z]{2}|apac|emea|global|not_available)$"
)


@dataclass(frozen=True)
class Key:
    """What is distinct about calls: the columns of an event that choose its price, as they are there."""

    provider: str | None
    model: str | None
    service_tier: str | None
    region: str | None


@dataclass(frozen=True)
class Alias:
    """A reviewed name for a model, from one moment until another."""

    name: str
    provider: str | None
    canonical: str
    canonical_provider: str | None
    valid_from: datetime = BEGINNING
    valid_to: datetime = FOREVER


@dataclass(frozen=True)
class Cell:
    """Where one set of rates holds; the cells of a key do not overlap and leave nothing out."""

    key: Key
    valid_from: datetime
    valid_to: datetime
    context_over: int
    context_upto: int
    second_from: int
    second_to: int
    weekdays: int
    rates: dict[str, Rate]
    reason: str | None
    is_estimate: bool = False
    provider: str | None = None
    model: str | None = None
    contracted: dict[str, Fraction] = field(default_factory=dict)

    @property
    def is_windowed(self) -> bool:
        """Whether the rates hold in a part of the day or the week only."""
        return (self.second_from, self.second_to, self.weekdays) != (0, DAY, ALL_WEEK)


def compile_card(
    book: PriceBook, keys: Iterable[Key], aliases: Sequence[Alias] = (), *, has_early: bool = False
) -> Iterator[Cell]:
    """Yield the cells of all keys, in the order of the keys; with calls before the price history, say what was assumed.

    Cells that differ in their reason only would cost every later call a comparison, so they are cut on demand.
    """
    cut = HISTORY if has_early else BEGINNING
    for key in keys:
        for valid_from, valid_to, provider, model in _called(key, aliases):
            found = resolve(book, provider, model)
            if isinstance(found, str):
                owner = PROVIDERS.get(provider or "", provider)
                cell = Cell(key, valid_from, valid_to, -1, NO_LIMIT, 0, DAY, 127, {}, found)
                yield replace(cell, provider=owner, model=model)
                continue
            for cell in _cells(book, key, found, (valid_from, valid_to), cut):
                yield replace(cell, provider=found.sold_by, model=found.model)


def _called(key: Key, aliases: Sequence[Alias]) -> Iterator[tuple[datetime, datetime, str | None, str | None]]:
    """Yield what the key's model stands for over time; where no alias holds, it stands for itself."""
    held = sorted(
        (a for a in aliases if a.name == key.model and a.provider in (None, key.provider)),
        key=lambda a: (a.valid_from, a.provider is None),
    )
    at = BEGINNING
    for alias in held:
        if alias.valid_to <= at:
            continue
        if alias.valid_from > at:
            yield at, alias.valid_from, key.provider, key.model
        yield max(at, alias.valid_from), alias.valid_to, alias.canonical_provider or key.provider, alias.canonical
        at = alias.valid_to
    if at < FOREVER:
        yield at, FOREVER, key.provider, key.model


def _cells(
    book: PriceBook, key: Key, found: Resolved, validity: tuple[datetime, datetime], cut: datetime
) -> Iterator[Cell]:
    valid_from, valid_to = validity
    own = book.of(found.provider, found.model)
    # What a provider charges for a tool whichever model calls it stands under the model `*`.
    tools = [r for r in book.of(found.provider, "*") if r.meter not in {o.meter for o in own}]
    everything = [*own, *tools]
    tier, tier_note = tier_of(key.service_tier)
    regions, region_note, refusal = _regions(everything, found, key.region)
    rates = [r for r in everything if r.region in regions and r.service_tier in (tier, "standard")]
    if tier != "standard" and not any(r.service_tier == tier for r in rates):
        refusal = refusal or f"the price book has no `{key.service_tier}` price for {found.model}"
    if refusal:
        yield Cell(key, valid_from, valid_to, -1, NO_LIMIT, 0, DAY, 127, {}, refusal)
        return
    notes = _noted(found.note, tier_note, region_note)
    for start, end in _cuts({valid_from, valid_to, cut}, ((r.valid_from, r.valid_to) for r in rates)):
        if start < valid_from or end > valid_to:
            continue
        now = [r for r in rates if r.valid_from <= start and end <= r.valid_to]
        for cell in _cells_at(key, found, now, tier, regions, notes, (start, end)):
            is_guessed = end <= cut and any(not rate.is_traced for rate in cell.rates.values())
            yield replace(cell, reason=_noted(cell.reason, _EARLY)) if is_guessed else cell


def _cells_at(
    key: Key,
    found: Resolved,
    rates: list[Rate],
    tier: str,
    regions: Sequence[str | None],
    notes: str | None,
    validity: tuple[datetime, datetime],
) -> Iterator[Cell]:
    if tier != "standard" and not any(r.service_tier == tier for r in rates):
        reason = f"the price book has no `{key.service_tier}` price for {found.model} at this time"
        yield Cell(key, *validity, -1, NO_LIMIT, 0, DAY, 127, {}, reason)
        return
    cells = []
    for over, upto in _cuts({-1, NO_LIMIT}, ((r.context_over, r.context_upto) for r in rates)):
        for second_from, second_to in _cuts({0, DAY}, ((r.second_from, r.second_to) for r in rates)):
            for days in _weekdays(rates):
                here = [
                    r
                    for r in rates
                    if r.context_over <= over < r.context_upto
                    and r.second_from <= second_from < r.second_to
                    and r.weekdays & days == days
                ]
                chosen = _choose(here, tier, regions)
                why = notes if chosen else f"the price book has no price for {found.model} at this time"
                cells.append(
                    Cell(key, *validity, over, upto, second_from, second_to, days, chosen, why, found.is_estimate)
                )
    yield from _merged(_merged(cells, "second_from", "second_to"), "context_over", "context_upto")


def _merged(cells: Iterable[Cell], start: str, end: str) -> list[Cell]:
    """Make one of neighbors along an axis that differ in nothing else: each is one more to put beside every call."""
    joined: list[Cell] = []
    for cell in cells:
        for place, other in enumerate(joined):
            both = replace(other, **{end: getattr(cell, end)})
            if getattr(other, end) == getattr(cell, start) and both == replace(cell, **{start: getattr(other, start)}):
                joined[place] = both
                break
        else:
            joined.append(cell)
    return joined


def _choose(rates: list[Rate], tier: str, regions: Sequence[str | None]) -> dict[str, Rate]:
    """Return one rate a meter: the stated tier and the nearest region first, then the stand-ins."""
    own: dict[str, Rate] = {}
    for rate in sorted(rates, key=lambda r: (r.service_tier != tier, regions.index(r.region))):
        own.setdefault(rate.meter, rate)
    chosen = dict(own)
    for meter, stand_ins in TOKEN_METERS.items():
        for other in stand_ins:
            if meter not in chosen and other in own:
                chosen[meter] = own[other]
    if "cache_write_1h" not in chosen and "cache_write_5m" not in own and "input" in own:
        chosen["cache_write_1h"] = own["input"]  # this provider does not charge for writing the cache at all
    order = [*TOKEN_METERS, *IMPLIED_METERS]
    return dict(sorted(chosen.items(), key=lambda item: (item[0] not in order, item[0])))


def _noted(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


def tier_of(given: str | None) -> tuple[str, str | None]:
    """Return a tier in the book's words, and what was assumed where none is stated."""
    word = (given or "").strip().lower()
    if word in _UNSTATED:
        return "standard", "assumed: the standard tier"
    if word in _STANDARD:
        return "standard", None
    return _TIER_WORDS.get(word, word), None


def _regions(rates: list[Rate], found: Resolved, given: str | None) -> tuple[list[str | None], str | None, str | None]:
    """Return the regions whose prices apply, nearest first, with what was assumed or why there is none."""
    priced = {r.region for r in rates}
    stated = found.geography or (given or "").strip().lower() or found.location
    if not stated:
        default = "assumed: the price without a regional surcharge" if len(priced) > 1 else None
        return [None], default, None
    chain = [stated, *([found.location] if found.location else [])]
    sovereign = _SOVEREIGN.match(stated)
    if sovereign and stated.startswith(("us-gov", "usgov")):
        chain.append("us-gov")
    if sovereign:
        hit = [region for region in chain if region in priced]
        if hit:
            return list(dict.fromkeys([*hit])), None, None
        return [None], None, f"the price book has no price for {found.model} in region `{stated}`"
    if len(priced) == 1:
        return [*priced], None, None
    note = None
    if found.geography not in (None, "global") or (found.provider == "google" and stated != "global"):
        chain.append("regional")
    elif found.provider == "aws" and found.geography is None and stated not in priced:
        note = "assumed: the price without a geography, as the model id names none"
    is_geography = _GEOGRAPHY.match(stated) and stated != "global" and not {*chain} & priced
    if is_geography or not _KNOWN_REGION.match(stated):
        return [None], None, f"the price book has no price for {found.model} in region `{stated}`"
    return list(dict.fromkeys([*(r for r in chain if r in priced), None])), note, None


def _cuts(bounds: set[_Bound], spans: Iterable[tuple[_Bound, _Bound]]) -> list[tuple[_Bound, _Bound]]:
    points = sorted(bounds | {point for span in spans for point in span})
    return list(pairwise(points))


def _weekdays(rates: list[Rate]) -> list[int]:
    """Return the masks that the rates tell apart; together they are the whole week."""
    days: dict[tuple[bool, ...], int] = {}
    for day in range(7):
        told = tuple(bool(r.weekdays & 1 << day) for r in rates)
        days[told] = days.get(told, 0) | 1 << day
    return list(days.values())
