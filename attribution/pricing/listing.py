"""The price book for people: what it lists, what one model cost when, how two books differ, how sources agree."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import as_frame
from attribution.pricing.book import BEGINNING, FOREVER, NO_LIMIT, PriceBook, Rate
from attribution.pricing.models import PROVIDERS, near_providers, resolve

_MONEY = pa.decimal128(38, 12)
_COMPARED = ("input", "output", "cache_read", "cache_write_5m")


def list_models(book: PriceBook, provider: str | None = None) -> pd.DataFrame:
    """Return one row a model: provider, model, tiers, regions, meters, dated changes, and its entries' sources."""
    rows = []
    for owner in _owners(book, provider):
        for model in book.models(owner):
            rates = book.of(owner, model)
            row: dict[str, Any] = {"provider": owner, "model": model}
            row["tiers"] = ", ".join(sorted({r.service_tier for r in rates}))
            row["regions"] = ", ".join(sorted({r.region for r in rates if r.region})) or None
            row["meters"] = len({r.meter for r in rates})
            row["changes"] = len({r.valid_from for r in rates} - {BEGINNING})
            row["sources"] = ", ".join(sorted({r.source for r in rates}))
            rows.append(row)
    return _frame(rows)


def show_model(book: PriceBook, model: str, provider: str | None = None, at: datetime | None = None) -> pd.DataFrame:
    """Return every price of a model, or those that hold at a moment, each with where it is from."""
    rows = []
    reasons, is_known = [], False
    for owner in _owners(book, provider):
        found = resolve(book, owner, model)
        if isinstance(found, str):
            reasons.append(found)
        elif found.is_estimate:
            reasons.append(f"the price book has no model `{model}` of {owner}; {found.provider} has one")
        else:
            is_known = True
            rows += [_row(rate) for rate in book.of(owner, found.model) if _holds(rate, at)]
    if not rows and is_known:
        raise QuestionError.no_price(f"the price book has no price for `{model}` at {at:%Y-%m-%d %H:%M} UTC")
    if not rows and provider and reasons:
        raise QuestionError.no_price(reasons[0])
    if not rows:
        near = difflib.get_close_matches(model.lower(), sorted({r.model for r in book.rates}), n=3, cutoff=0.6)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise QuestionError.no_price(f"the price book has no model `{model}`{hint}")
    return _frame(rows, price=_MONEY)


def compare_books(before: PriceBook, after: PriceBook) -> pd.DataFrame:
    """Return what was added, removed or changed between two books, in the order of their entries."""
    old, new = ({(r.entry_id, r.meter): r for r in book.rates} for book in (before, after))
    rows = []
    for place in sorted(old.keys() | new.keys()):
        one, other = old.get(place), new.get(place)
        if one and other and (one.price, one.per, one.valid_to) == (other.price, other.per, other.valid_to):
            continue
        change = "added" if one is None else "removed" if other is None else "changed"
        row: dict[str, Any] = {"change": change, "entry": place[0], "meter": place[1]}
        row |= {"before": one.price if one else None, "before_per": one.per if one else None}
        row |= {"after": other.price if other else None, "after_per": other.per if other else None}
        rows.append(row)
    return _frame(rows, before=_MONEY, after=_MONEY)


def compare_sources(given: list[Rate], at: datetime) -> pd.DataFrame:
    """Return how often each two sources agree on base prices at a moment, by provider and meter."""
    places: dict[tuple[str, str, str], dict[str, Decimal]] = {}
    for rate in given:
        is_base = rate.service_tier == "standard" and rate.region is None and rate.context_over < 0
        if is_base and rate.meter in _COMPARED and _holds(rate, at) and rate.second_from == 0 and rate.weekdays & 1:
            prices = places.setdefault((rate.provider, rate.model, rate.meter), {})
            prices.setdefault(rate.source, rate.price * 1_000_000 / rate.per)
    counts: dict[tuple[str, str, str, str], list[int]] = {}
    for (provider, _, meter), prices in places.items():
        for one, other in combinations(sorted(prices), 2):
            count = counts.setdefault((provider, one, other, meter), [0, 0])
            count[0] += 1
            count[1] += abs(prices[one] - prices[other]) <= Decimal("0.000001")
    rows = [
        {"provider": p, "one": one, "other": other, "meter": m, "compared": n, "equal": equal}
        for (p, one, other, m), (n, equal) in sorted(counts.items())
    ]
    return _frame(rows)


def _owners(book: PriceBook, provider: str | None) -> list[str]:
    """Return the provider asked for by any of its names, or all of them."""
    if provider is None:
        return book.providers()
    wanted = PROVIDERS.get(provider.strip().lower(), provider.strip().lower())
    if wanted not in book.providers():
        raise QuestionError.no_price(f"the price book has no provider `{provider}`{near_providers(book, wanted)}")
    return [wanted]


def _row(rate: Rate) -> dict[str, Any]:
    return {
        "provider": rate.provider,
        "model": rate.model,
        "tier": rate.service_tier,
        "region": rate.region,
        "meter": rate.meter,
        "price": rate.price,
        "per": rate.per,
        "context": _band(rate),
        "hours": "; ".join(_hours(rate)) or None,
        "valid_from": rate.valid_from if rate.valid_from > BEGINNING else None,
        "valid_to": rate.valid_to if rate.valid_to < FOREVER else None,
        "source": rate.source,
        "source_entry": rate.source_entry,
        "basis": rate.basis,
        "entry": rate.entry_id,
    }


def _holds(rate: Rate, at: datetime | None) -> bool:
    return at is None or rate.valid_from <= at < rate.valid_to


def _band(rate: Rate) -> str | None:
    over = f"> {rate.context_over:,}" if rate.context_over >= 0 else ""
    upto = f"≤ {rate.context_upto:,}" if rate.context_upto < NO_LIMIT else ""
    return " and ".join(part for part in (over, upto) if part) or None


def _hours(rate: Rate) -> Iterator[str]:
    if rate.second_from > 0 or rate.second_to < 86_400:
        start, end = (f"{s // 3600:02}:{s % 3600 // 60:02}" for s in (rate.second_from, rate.second_to))
        yield f"{start}–{end} UTC"
    if rate.weekdays != 127:
        days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        yield " ".join(day for number, day in enumerate(days) if rate.weekdays & 1 << number)


def _frame(rows: list[dict[str, Any]], **types: pa.DataType) -> pd.DataFrame:
    """Return rows as an Arrow-backed frame; money stays decimal."""
    names = list(rows[0]) if rows else list(types)
    columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in names}
    return as_frame(pa.table(columns))
