"""Negotiated prices over the list: contract price first, then discounts, then list; exact fractions, by date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

from attribution.errors import ConfigurationError
from attribution.ledger import Ledger
from attribution.pricing.book import BEGINNING, FOREVER
from attribution.pricing.compiling import Cell, tier_of
from attribution.pricing.models import PROVIDERS

KINDS = ("price", "discount", "tiered_discount", "commitment", "allowance")


@dataclass(frozen=True)
class Term:
    """One line of a contract while it holds; unit prices are dollars, factors what is paid of the list price."""

    contract_id: str
    kind: str
    provider: str
    model: str | None
    service_tier: str | None
    meter: str | None
    unit_price: Fraction | None
    factor: Fraction | None
    stack_order: int
    valid_from: datetime
    valid_to: datetime
    place: str
    over: Fraction = Fraction(0)
    amount: Fraction = Fraction(0)
    quantity: Fraction = Fraction(0)

    @property
    def paid(self) -> Fraction:
        """What is paid of the list price; all of it where the term is no discount."""
        return Fraction(1) if self.factor is None else self.factor

    @property
    def rank(self) -> int:
        """How specific the term is: what it names counts."""
        return sum(named is not None for named in (self.model, self.service_tier, self.meter))

    def is_about(self, provider: str | None, models: Iterable[str | None], tier: str) -> bool:
        """Tell whether calls of a provider, under any of a model's names, at a tier fall under the term."""
        return (
            self.provider == provider
            and (self.model is None or self.model in models)
            and self.service_tier in (None, tier)
        )


def read_terms(ledger: Ledger) -> list[Term]:
    """Read the contract table, checked; amounts in another currency are converted at their dated rates."""
    rows = ledger.arrow("select * from contract order by all").to_pylist()
    currencies = ledger.arrow("select * from currency_rate order by currency, valid_from").to_pylist()
    terms = [term for row in rows for term in _converted(row, _term(row), currencies)]
    prices = [term for term in terms if term.kind == "price"]
    for position, term in enumerate(prices):
        for other in prices[:position]:
            if _same_scope(term, other) and term.valid_from < other.valid_to and other.valid_from < term.valid_to:
                found = f"`{term.contract_id}` prices the same calls as `{other.contract_id}` ({other.place})"
                raise ConfigurationError.at(term.place, None, found, "prices that do not overlap")
    return terms


def apply_terms(cells: Iterable[Cell], terms: Sequence[Term]) -> Iterator[Cell]:
    """Yield cells cut where terms begin and end, each with its contracted unit prices."""
    for cell in cells:
        about = [t for t in terms if t.kind in ("price", "discount") and _is_about(t, cell)]
        points = {cell.valid_from, cell.valid_to}
        points |= {p for t in about for p in (t.valid_from, t.valid_to) if cell.valid_from < p < cell.valid_to}
        for start, end in pairwise(sorted(points)):
            now = [t for t in about if t.valid_from <= start and end <= t.valid_to]
            yield replace(cell, valid_from=start, valid_to=end, contracted=_contracted(cell, now))


def _is_about(term: Term, cell: Cell) -> bool:
    tier, _ = tier_of(cell.key.service_tier)
    return term.is_about(cell.provider, (cell.model, cell.key.model), tier)


def _contracted(cell: Cell, terms: Sequence[Term]) -> dict[str, Fraction]:
    """Return dollars per unit by meter: the most specific contract price, else the list price after discounts."""
    prices = sorted((t for t in terms if t.kind == "price"), key=lambda t: t.rank)
    named = {t.meter for t in prices if t.meter}
    contracted: dict[str, Fraction] = {}
    for meter in [*cell.rates, *sorted(named - set(cell.rates))]:
        own = [t for t in prices if t.meter in (None, meter)]
        if own and own[-1].unit_price is not None:
            contracted[meter] = own[-1].unit_price
        elif meter in cell.rates and not cell.is_estimate:
            price = Fraction(cell.rates[meter].price) / cell.rates[meter].per
            discounts = [t for t in terms if t.kind == "discount" and t.meter in (None, meter)]
            for discount in sorted(discounts, key=lambda t: (t.stack_order, t.contract_id)):
                price *= discount.paid
            contracted[meter] = price
    return contracted


def _same_scope(one: Term, other: Term) -> bool:
    return (one.provider, one.model, one.service_tier, one.meter) == (
        other.provider,
        other.model,
        other.service_tier,
        other.meter,
    )


def _term(row: dict[str, Any]) -> Term:
    place = row["place"] or f"contract {row['contract_id']}"
    entry = f"`{row['contract_id']}`"
    if row["kind"] not in KINDS:
        raise ConfigurationError.at(place, None, f"{entry} is a `{row['kind']}`", f"one of {', '.join(KINDS)}")
    if row["kind"] == "allowance" and not row["meter"]:
        raise ConfigurationError.at(place, None, f"{entry} names no meter", "the meter whose units are free")
    valid_from, valid_to = row["valid_from"] or BEGINNING, row["valid_to"] or FOREVER
    if valid_from >= valid_to:
        raise ConfigurationError.at(place, None, f"{entry} is valid from {valid_from} to {valid_to}", "an end after it")
    provider = row["provider"].lower()
    return Term(
        row["contract_id"],
        row["kind"],
        PROVIDERS.get(provider, provider),
        row["model"].lower() if row["model"] else None,
        tier_of(row["service_tier"])[0] if row["service_tier"] else None,
        row["meter"],
        _unit_price(row, place, entry),
        _factor(row, place, entry),
        row["stack_order"] or 0,
        valid_from,
        valid_to,
        place,
        _positive(row, "over", place, entry),
        _positive(row, "amount", place, entry, row["kind"] == "commitment"),
        _positive(row, "quantity", place, entry, row["kind"] == "allowance"),
    )


def _unit_price(row: dict[str, Any], place: str, entry: str) -> Fraction | None:
    if row["kind"] != "price":
        return None
    price, per = row["price"], row["price_per"] or 1_000_000
    if price is None or price < 0 or per < 1:
        found = f"{entry} has price {price} per {row['price_per']}"
        raise ConfigurationError.at(place, None, found, "a price that is not negative, per a whole number of units")
    return Fraction(price) / per


def _factor(row: dict[str, Any], place: str, entry: str) -> Fraction | None:
    if row["kind"] not in ("discount", "tiered_discount"):
        return None
    above, below = row["numerator"], row["denominator"]
    if above is None or below is None or below < 1 or not 0 <= above <= below:
        found = f"{entry} pays {above}/{below} of the list price"
        raise ConfigurationError.at(place, None, found, "a fraction from 0 to 1, such as 825/1000 for 17.5 % off")
    return Fraction(above, below)


def _positive(row: dict[str, Any], name: str, place: str, entry: str, is_needed: bool = False) -> Fraction:
    value = row[name]
    if (value is None and is_needed) or (value is not None and value < 0):
        raise ConfigurationError.at(place, None, f"{entry} has {name} {value}", f"a {name} that is not negative")
    return Fraction(value or 0)


def _converted(row: dict[str, Any], term: Term, currencies: Sequence[dict[str, Any]]) -> Iterator[Term]:
    """Yield the term in dollars, one piece for each rate; without a rate for all of it, nothing is guessed."""
    if (row["currency"] or "USD") == "USD":
        yield term
        return
    at = term.valid_from
    for rate in currencies:
        start, end = rate["valid_from"] or BEGINNING, min(rate["valid_to"] or FOREVER, term.valid_to)
        if rate["currency"] != row["currency"] or start > at or end <= at:
            continue
        worth = Fraction(rate["usd"]) / (rate["units"] or 1)
        price = term.unit_price * worth if term.unit_price is not None else None
        yield replace(term, valid_from=at, valid_to=end, unit_price=price, amount=term.amount * worth)
        at = end
    if at < term.valid_to:
        found = f"`{term.contract_id}` is in {row['currency']} without a rate from {at:%Y-%m-%d}"
        raise ConfigurationError.at(term.place, None, found, "a dated row in currency_rates for all of its validity")
