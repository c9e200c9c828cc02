"""One price for every moment from sources that disagree: precedence by what is known, and every conflict kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from attribution.pricing.book import BEGINNING, Rate
from attribution.pricing.meters import TOKEN_METERS

#: Place of a row: what its price is of.
_Place = tuple[str, str, str | None, str, str]


@dataclass(frozen=True)
class Conflict:
    """Two sources that give different prices for the same thing now, and why one was taken."""

    provider: str
    model: str
    region: str | None
    service_tier: str
    meter: str
    chosen: str
    chosen_price: Decimal
    chosen_per: int
    other: str
    other_price: Decimal
    other_per: int
    reason: str


def merge(rates: Iterable[Rate], preferred: Mapping[str, str], as_of: datetime) -> tuple[list[Rate], list[Conflict]]:
    """Return the rates that hold, none overlapping, and the conflicts between sources at a moment.

    Order: the supplement; a provider's preferred source; documented changes; what genai-prices dates; what
    genai-prices says now, from the last change that the history knows; the observed history; LiteLLM; and what
    genai-prices does not date for the time before. Tier prices that no source dates hold only while the
    standard price is the one they go with.
    """
    models: dict[tuple[str, str, str | None], list[Rate]] = defaultdict(list)
    for rate in rates:
        models[rate.provider, rate.model, rate.region].append(rate)
    kept: list[Rate] = []
    conflicts: list[Conflict] = []
    for key in sorted(models, key=lambda k: (k[0], k[1], k[2] or "")):
        chosen = _merge_model(models[key], preferred.get(key[0]))
        kept += chosen
        conflicts += _conflicts(models[key], chosen, as_of, preferred.get(key[0]))
    return kept, conflicts


def _merge_model(rates: list[Rate], preferred: str | None) -> list[Rate]:
    tiers: dict[str, list[Rate]] = defaultdict(list)
    for rate in rates:
        tiers[rate.service_tier].append(rate)
    standard: list[Rate] = []
    for meter in sorted({r.meter for r in tiers["standard"]}):
        standard += _timeline([r for r in tiers["standard"] if r.meter == meter], preferred)
    chosen = list(standard)
    for tier in sorted(tiers):
        if tier != "standard":
            first = min((r.valid_from for r in tiers[tier] if r.basis == "verified"), default=BEGINNING)
            dated = [
                piece
                for given in tiers[tier]
                for piece in _while_standard_holds(given, tiers["standard"], standard, first)
            ]
            chosen += _timeline(dated, preferred)
    return chosen


def _timeline(rates: list[Rate], preferred: str | None) -> list[Rate]:
    """Choose one source for every stretch of time; its rows keep their bands and windows."""
    now = max((r.valid_from for r in rates if r.source == "model-prices"), default=BEGINNING)
    today = {(r.meter, r.price / r.per) for r in rates if r.source == "genai-prices" and r.context_over < 0}
    points = sorted({p for r in rates for p in (r.valid_from, r.valid_to)} | {now})
    pieces: list[Rate] = []
    for start, end in pairwise(points):
        here = [r for r in rates if r.valid_from <= start and end <= r.valid_to]
        if not here:
            continue
        then = [r for r in here if r.source == "model-prices" and r.context_over < 0]
        # Where the history had today's price, today's bands held too: the history often leaves them out.
        is_now = start >= now or (bool(then) and all((r.meter, r.price / r.per) in today for r in then))
        best = min(_rank(r, is_now, preferred) for r in here)
        winners = [r for r in here if _rank(r, is_now, preferred) == best]
        entry = min(r.source_entry for r in winners)
        pieces += [replace(r, valid_from=start, valid_to=end) for r in winners if r.source_entry == entry]
    return _joined(pieces)


def _rank(rate: Rate, is_now: bool, preferred: str | None) -> int:
    if rate.source == "supplement":
        return 0
    if rate.source == preferred:
        return 1
    if rate.source == "model-prices":
        return 2 if rate.basis.startswith("documented") else 5
    if rate.source == "genai-prices":
        if rate.basis in ("dated", "verified"):
            return 3
        return 4 if is_now else 7
    return 6


def _reason(rate: Rate, preferred: str | None) -> str:
    return {
        0: "a dated supplement with a public source stands above the packages",
        1: f"{preferred} is preferred for this provider (precedence.csv)",
        2: "the change is documented by the provider",
        3: "genai-prices dates this price",
        4: "genai-prices is taken for the present",
        5: "only the observed history reaches this time",
        6: "no other source has this price",
        7: "no other source reaches this time",
    }[_rank(rate, True, preferred)]


def _while_standard_holds(rate: Rate, given: list[Rate], standard: list[Rate], first: datetime) -> list[Rate]:
    """Limit a tier price that is not dated to the times when the standard price is the one it goes with.

    A price that was first verified on a day held before it too, as long as the standard price was the same.
    """
    if rate.source not in ("genai-prices", "litellm"):
        return [rate]
    is_verified = rate.basis == "verified"
    if is_verified and rate.valid_from > first:
        return [rate]
    beside = [
        r
        for r in given
        if (r.source, r.meter, r.context_over) == (rate.source, "input", -1)
        and (not is_verified or r.valid_from <= rate.valid_from < r.valid_to)
    ]
    if not beside:
        return [rate]
    price = beside[-1].price / beside[-1].per
    until = rate.valid_from if is_verified else rate.valid_to
    since = BEGINNING if is_verified else rate.valid_from
    pieces = [rate] if is_verified else []
    for then in standard:
        is_base = then.meter == "input" and then.context_over < 0 and then.second_from == 0
        if is_base and then.price / then.per == price and then.valid_from < until:
            start, end = max(then.valid_from, since), min(then.valid_to, until)
            pieces.append(replace(rate, valid_from=start, valid_to=end, basis="extended"))
    return pieces


def _joined(pieces: list[Rate]) -> list[Rate]:
    """Join rows that differ in nothing but adjoining validity."""
    joined: dict[tuple[object, ...], list[Rate]] = defaultdict(list)
    for piece in sorted(pieces, key=lambda r: r.valid_from):
        place = (
            piece.meter,
            piece.context_over,
            piece.context_upto,
            piece.second_from,
            piece.second_to,
            piece.weekdays,
        )
        rows = joined[place]
        last = rows[-1] if rows else None
        if (
            last
            and last.valid_to == piece.valid_from
            and (last.price, last.per, last.minimum)
            == (
                piece.price,
                piece.per,
                piece.minimum,
            )
        ):
            rows[-1] = replace(last, valid_to=piece.valid_to)
        else:
            rows.append(piece)
    return [rate for rows in joined.values() for rate in rows]


def _conflicts(rates: list[Rate], chosen: list[Rate], as_of: datetime, preferred: str | None) -> list[Conflict]:
    def now(rows: Iterable[Rate]) -> dict[tuple[object, ...], Rate]:
        held: dict[tuple[object, ...], Rate] = {}
        for r in rows:
            if r.valid_from <= as_of < r.valid_to and r.second_from == 0 and r.weekdays & 1:
                held.setdefault((r.service_tier, r.meter, r.context_over), r)
        return held

    taken = now(chosen)
    found = []
    for source in sorted({r.source for r in rates}):
        for place, other in sorted(now(r for r in rates if r.source == source).items(), key=lambda i: str(i[0])):
            mine = taken.get(place)
            if mine is None or mine.source == source or place[2] != -1 or _same(mine, other):
                continue
            found.append(
                Conflict(
                    mine.provider,
                    mine.model,
                    mine.region,
                    mine.service_tier,
                    mine.meter,
                    mine.source_entry,
                    mine.price,
                    mine.per,
                    other.source_entry,
                    other.price,
                    other.per,
                    _reason(mine, preferred),
                )
            )
    return found


def _same(one: Rate, other: Rate) -> bool:
    """Tell whether two prices differ by no more than a pico-dollar a unit."""
    return abs(one.price * other.per - other.price * one.per) * 10**12 <= one.per * other.per


def is_token(rate: Rate) -> bool:
    """Tell whether a rate is per token."""
    return rate.meter in TOKEN_METERS
