"""What a contract says, line by line: read and checked, in dollars, and refused by name where it cannot be right."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from attribution.errors import ConfigurationError
from attribution.ledger import Ledger
from attribution.pricing.book import BEGINNING, FOREVER, PriceBook
from attribution.pricing.compiling import tier_of
from attribution.pricing.meters import TOKEN_METERS, UNITS, base_meter
from attribution.pricing.models import PROVIDERS, near_providers

KINDS = ("price", "discount", "tiered_discount", "commitment", "allowance")
#: Kinds that are charges of a month and touch no unit price.
_MONTHLY = ("tiered_discount", "commitment", "allowance")


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
    #: Why what it is worth in dollars is not known at this time.
    unknown: str | None = None

    @property
    def paid(self) -> Fraction:
        """What is paid of the list price; all of it where the term is no discount."""
        return Fraction(1) if self.factor is None else self.factor

    @property
    def rank(self) -> int:
        """How specific the term is: what it names counts."""
        return sum(named is not None for named in (self.model, self.service_tier, self.meter))

    def is_about(self, provider: str | None, models: Collection[str], tier: str) -> bool:
        """Tell whether calls of a provider, under any of a model's names, at a tier fall under the term."""
        return (
            self.provider == provider
            and (self.model is None or self.model in models)
            and self.service_tier in (None, tier)
        )


def read_terms(ledger: Ledger) -> list[Term]:
    """Read the contract table, checked; amounts in another currency are converted at their dated rates."""
    rows = ledger.arrow("select * from contract order by all").to_pylist()
    rates = _read_rates(ledger)
    stated = [_term(row) for row in rows]
    for position, term in enumerate(stated):
        for other in stated[:position]:
            if term.valid_from < other.valid_to and other.valid_from < term.valid_to:
                _refuse_clash(term, other)
    return [piece for row, term in zip(rows, stated, strict=True) for piece in _converted(row, term, rates)]


def check_names(terms: Collection[Term], book: PriceBook, sellers: Collection[str | None]) -> None:
    """Refuse a term about a provider or tier that neither the book nor any call has, but one of nearly that name is."""
    tiers = {rate.service_tier for rate in book.rates}
    for term in terms:
        if term.service_tier and term.service_tier not in tiers:
            found = f"`{term.contract_id}` is about the tier `{term.service_tier}`"
            raise ConfigurationError.at(term.place, None, found, f"one of {', '.join(sorted(tiers))}")
        near = near_providers(book, term.provider)
        if near and term.provider not in book.providers() and term.provider not in sellers:
            found = f"`{term.contract_id}` is about the provider `{term.provider}`{near}"
            raise ConfigurationError.at(term.place, None, found, "a provider of the price book or of a call")


def _refuse_clash(term: Term, other: Term) -> None:
    """Refuse two terms that hold at once where nothing says which of them counts, or that count twice."""
    if term.kind != other.kind or not _may_meet(term, other):
        return
    is_same = _scope(term) == _scope(other)
    what = f"`{term.contract_id}`"
    whose = f"`{other.contract_id}` ({other.place})"
    if term.kind == "price" and term.rank == other.rank:
        found = f"{what} prices the same calls as {whose}"
        raise ConfigurationError.at(term.place, None, found, "prices that do not overlap, or one that names more")
    if term.kind == "allowance":
        raise ConfigurationError.at(
            term.place, None, f"{what} frees the same units as {whose}", "one allowance at a time"
        )
    if is_same and term.contract_id == other.contract_id and (term.kind, term.over) == (other.kind, other.over):
        found = f"{what} says the same {term.kind.replace('_', ' ')} twice, here and in {other.place}"
        raise ConfigurationError.at(term.place, None, found, "each once at a time")


def _scope(term: Term) -> tuple[str | None, ...]:
    return (term.provider, term.model, term.service_tier, term.meter)


def _may_meet(one: Term, other: Term) -> bool:
    """Tell whether a call can fall under both: what both name is the same."""
    return all(a == b for a, b in zip(_scope(one), _scope(other), strict=True) if a is not None and b is not None)


def _term(row: dict[str, Any]) -> Term:
    place = row["place"] or f"contract {row['contract_id']}"
    entry = f"`{row['contract_id']}`"
    if row["kind"] not in KINDS:
        raise ConfigurationError.at(place, None, f"{entry} is a `{row['kind']}`", f"one of {', '.join(KINDS)}")
    meter = row["meter"]
    if meter and meter not in TOKEN_METERS and base_meter(meter) not in UNITS:
        near = difflib.get_close_matches(meter, [*TOKEN_METERS, *UNITS], n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ConfigurationError.at(
            place, None, f"{entry}: unknown meter `{meter}`", f"a meter of the price book{hint}"
        )
    if row["kind"] in _MONTHLY and (row["service_tier"] or (meter and row["kind"] != "allowance")):
        found = f"{entry} is a {row['kind'].replace('_', ' ')} of one tier or meter"
        raise ConfigurationError.at(place, None, found, "a charge of the month over all tiers and meters")
    if row["kind"] == "allowance" and not meter:
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
    price, per = row["price"], 1_000_000 if row["price_per"] is None else row["price_per"]
    if price is None or price < 0 or per < 1:
        found = f"{entry} has price {price} per {per}"
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
        raise ConfigurationError.at(
            place, None, f"{entry} has {name} {value}", f"{name} as a number that is not negative"
        )
    return Fraction(value or 0)


def _read_rates(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the currency rates in the order of their time; two at one time, or a worth of nothing, are refused."""
    rates: list[dict[str, Any]] = ledger.arrow(
        "select * from currency_rate order by currency, valid_from nulls first, valid_to"
    ).to_pylist()
    for position, rate in enumerate(rates):
        rate["currency"] = rate["currency"].upper()
        rate["valid_from"], rate["valid_to"] = rate["valid_from"] or BEGINNING, rate["valid_to"] or FOREVER
        rate["units"] = 1 if rate["units"] is None else rate["units"]
        place = rate["place"] or f"currency_rate {rate['currency']}"
        is_dollar = rate["currency"] == "USD" and rate["usd"] != rate["units"]
        if rate["usd"] <= 0 or rate["units"] < 1 or is_dollar:
            found = f"`{rate['currency']}`: {rate['units']} are worth {rate['usd']} USD"
            raise ConfigurationError.at(place, None, found, "a worth above 0 of 1 or more units; a dollar is a dollar")
        for other in rates[:position]:
            is_other = other["currency"] != rate["currency"]
            if not is_other and other["valid_from"] < rate["valid_to"] and rate["valid_from"] < other["valid_to"]:
                found = f"a rate of `{rate['currency']}` overlaps that of {other['place']}"
                raise ConfigurationError.at(place, None, found, "one rate at a time")
    return rates


def _converted(row: dict[str, Any], term: Term, rates: Sequence[dict[str, Any]]) -> Iterator[Term]:
    """Yield the term in dollars, one piece for each rate; where there is no rate nothing is guessed."""
    currency = (row["currency"] or "USD").upper()
    if currency == "USD":
        yield term
        return
    at, found = term.valid_from, False
    for rate in rates:
        start, end = max(rate["valid_from"], at), min(rate["valid_to"], term.valid_to)
        if rate["currency"] != currency or start >= end:
            continue
        if start > at:
            yield _without_rate(term, currency, at, start)
        worth, found = Fraction(rate["usd"]) / rate["units"], True
        price = term.unit_price * worth if term.unit_price is not None else None
        yield replace(term, valid_from=start, valid_to=end, unit_price=price, amount=term.amount * worth)
        at = end
    if not found:
        missing = f"`{term.contract_id}` is in {currency} without a rate in all of its validity"
        raise ConfigurationError.at(term.place, None, missing, "dated rows of currency_rates")
    if at < term.valid_to:
        yield _without_rate(term, currency, at, term.valid_to)


def _without_rate(term: Term, currency: str, start: datetime, end: datetime) -> Term:
    why = f"no rate of {currency} at this time for contract `{term.contract_id}`"
    return replace(term, valid_from=start, valid_to=end, unit_price=None, unknown=why)
