"""What if, what was claimed, and what contracts charge by the month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from attribution.configuration import apply
from attribution.errors import ConfigurationError, QuestionError, SchemaError
from attribution.ledger import Ledger
from attribution.pricing.book import PriceBook, Rate
from tests.examples import call, ledger_of

MILLION = 1_000_000
OCTOBER = datetime(2026, 10, 5, 12)


def book(**prices: str) -> PriceBook:
    rates = [Rate("openai", "m", meter, Decimal(price), MILLION) for meter, price in prices.items()]
    batch = [Rate("openai", "m", meter, Decimal(price) / 2, MILLION, "batch") for meter, price in prices.items()]
    other = [Rate("openai", "small", meter, Decimal(price) / 10, MILLION) for meter, price in prices.items()]
    return PriceBook([*rates, *batch, *other], [], {}, OCTOBER)


def event(name: str, **columns: Any) -> dict[str, Any]:
    plain = {"model": "m", "list_cost": None, "input_tokens": MILLION, "output_tokens": 0}
    return call(name, **{**plain, **columns})


def priced(*events: dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    ledger = ledger_of(*events, **tables)
    at.price_events(ledger, book(input="2", cache_read="1", output="4"))
    return ledger


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def test_moving_calls_to_batch_shows_the_difference_by_team_and_changes_nothing() -> None:
    ledger = priced(event("a"), event("b", owner_team="search"), event("c", model="unknown"))
    before = ledger.rows("select * from event_cost order by event_id")

    found = at.reprice(ledger, "owner_team", book=book(input="2", output="4"), tier="batch")

    assert rows(found) == [
        ("search", 1, Decimal(2), Decimal(1), Decimal(-1), 0),
        ("support", 2, Decimal(2), Decimal(1), Decimal(-1), 1),
    ]
    assert ledger.rows("select * from event_cost order by event_id") == before


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"model": "small"}, Decimal("0.2")),
        ({"cached_share": Decimal("0.75")}, Decimal("1.25")),
        ({"contracts": []}, Decimal(2)),
        ({}, Decimal(2)),
    ],
)
def test_other_models_caches_and_terms(change: dict[str, Any], after: Decimal) -> None:
    ledger = priced(event("a"))

    found = at.reprice(ledger, "model", book=book(input="2", cache_read="1", output="4"), **change)

    assert found["after"].item() == after
    assert found["model"].item() == "m"


def test_two_dates_of_one_book() -> None:
    halved = [
        Rate("openai", "m", "input", Decimal(4), MILLION, valid_to=OCTOBER),
        Rate("openai", "m", "input", Decimal(2), MILLION, valid_from=OCTOBER),
        Rate("openai", "m", "output", Decimal(1), MILLION),
    ]
    ledger = priced(event("a"))

    found = at.reprice(ledger, "model", book=PriceBook(halved, [], {}, OCTOBER), on=datetime(2026, 1, 1))

    assert found["difference"].item() == Decimal(2)


@pytest.mark.parametrize("on", ["2026-01-01", "2026-10-05T13:59:59.999999+02:00", date(2026, 1, 1)])
def test_a_date_may_come_in_any_form(on: Any) -> None:
    cut = [
        Rate("openai", "m", "input", Decimal(4), MILLION, valid_to=OCTOBER),
        Rate("openai", "m", "input", Decimal(2), MILLION, valid_from=OCTOBER),
        Rate("openai", "m", "output", Decimal(1), MILLION),
    ]

    found = at.reprice(priced(event("a")), "model", book=PriceBook(cut, [], {}, OCTOBER), on=on)

    assert found["after"].item() == Decimal(4)


def test_two_contracts_are_compared_and_read_as_strictly_as_in_a_file() -> None:
    ledger = priced(event("a"), contract=[contract("c", "discount", numerator=9, denominator=10)])
    prices = book(input="2", cache_read="1", output="4")
    other = {"contract_id": "n", "kind": "discount", "provider": "openai", "numerator": 3, "denominator": 4}

    found = at.reprice(ledger, "model", book=prices, contracts=[other])

    assert rows(found) == [("m", 1, Decimal("1.8"), Decimal("1.5"), Decimal("-0.3"), 0)]
    for wrong, message in (({"numeratr": 3}, "Did you mean `numerator`"), ({"price": 0.1}, "an exact number")):
        with pytest.raises(ConfigurationError, match=message):
            at.reprice(ledger, book=prices, contracts=[{**other, **wrong}])


def test_a_ledger_that_another_book_priced_is_not_compared_with_the_shipped_one_in_silence() -> None:
    with pytest.raises(QuestionError, match="the book that priced this ledger"):
        at.reprice(priced(event("a")), tier="batch")


def test_questions_without_meaning_are_refused() -> None:
    ledger = ledger_of(event("a", model="gpt-4o"))
    at.price_events(ledger)

    with pytest.raises(SchemaError):
        at.reprice(ledger, "team")
    with pytest.raises(QuestionError, match="cached_share"):
        at.reprice(ledger, cached_share=Decimal(2))


def test_claims_are_compared_with_the_list_and_zero_is_told_apart() -> None:
    claims = {"a": "2", "b": "0", "c": "2.5", "d": "1", "e": "2.0000000001"}
    events = [event(name, source_cost=claim) for name, claim in claims.items()]
    ledger = priced(*events, event("u", model="unknown", source_cost="9"), event("n"))

    found = at.audit_claims(ledger)

    known, unknown = rows(found)
    assert known[:4] == ("not recorded", "openai", "m", "standard")
    assert known[4:10] == (5, 2, 1, 1, 1, 0)
    assert known[12] == Decimal("-2.4999999999")
    assert unknown[2] == "unknown"
    assert unknown[9:] == (1, Decimal(0), Decimal(0), Decimal(0))


def contract(name: str, kind: str, **columns: Any) -> dict[str, Any]:
    keys = ("numerator", "denominator", "over", "amount", "quantity", "meter", "model", "place")
    return {**dict.fromkeys(keys), "contract_id": name, "kind": kind, "provider": "openai", **columns}


def test_tiers_of_a_discount_follow_each_other() -> None:
    tiers = [
        contract("t", "tiered_discount", numerator=9, denominator=10, over=Decimal(1)),
        contract("t", "tiered_discount", numerator=8, denominator=10, over=Decimal(3)),
    ]
    ledger = priced(event("a"), event("b"), event("c"), contract=tiers)

    found = at.contract_charges(ledger, "2026-10")

    # 6 USD: the two dollars from 1 to 3 are a tenth off, the three above 3 a fifth.
    assert list(found["charge"]) == [Decimal("-0.2"), Decimal("-0.6")]


def test_a_commitment_charges_what_the_month_fell_short() -> None:
    ledger = priced(event("a"), contract=[contract("c", "commitment", amount=Decimal(5))])

    assert list(at.contract_charges(ledger, "2026-10")["charge"]) == [Decimal(3)]
    assert list(at.contract_charges(ledger, "2026-11")["charge"]) == [Decimal(5)]


def test_a_commitment_in_another_currency_is_due_once_however_often_its_rate_changes() -> None:
    euros = contract("c", "commitment", amount=Decimal(5), currency="EUR")
    cut = datetime(2026, 10, 10)
    daily = [
        {"currency": "EUR", "usd": Decimal("1.5"), "valid_from": None, "valid_to": cut},
        {"currency": "EUR", "usd": Decimal("1.25"), "valid_from": cut, "valid_to": datetime(2026, 11, 10)},
    ]
    ledger = priced(event("a"), contract=[euros], currency_rate=daily)

    # October begins at 1.50, November at 1.25; nobody knows what December's euros are worth.
    charges = [at.contract_charges(ledger, month)["charge"].tolist() for month in ("2026-10", "2026-11", "2026-12")]
    assert charges[:2] == [[Decimal("5.5")], [Decimal("6.25")]]
    assert at.contract_charges(ledger, "2026-12")["charge"].isna().tolist() == [True]


def test_an_allowance_credits_its_free_units_and_no_more_than_were_used() -> None:
    free = contract("f", "allowance", meter="input", quantity=Decimal(250_000))
    ledger = priced(event("a"), contract=[free])
    plenty = priced(event("a"), contract=[{**free, "quantity": Decimal(9_000_000)}])

    assert list(at.contract_charges(ledger, "2026-10")["charge"]) == [Decimal("-0.5")]
    assert list(at.contract_charges(plenty, "2026-10")["charge"]) == [Decimal(-2)]


def test_every_kind_of_term_can_be_written_in_the_configuration(tmp_path: Path) -> None:
    reviewed = tmp_path / "attribution.yaml"
    reviewed.write_text(
        "contracts:\n"
        "- {contract_id: p, kind: price, provider: openai, model: m, meter: input, price: '1', price_per: 1000000}\n"
        "- {contract_id: d, kind: discount, provider: aws, numerator: 94, denominator: 100, stack_order: 1}\n"
        "- {contract_id: t, kind: tiered_discount, provider: openai, numerator: 9, denominator: 10, over: '0.5'}\n"
        "- {contract_id: c, kind: commitment, provider: openai, amount: '5'}\n"
        "- {contract_id: f, kind: allowance, provider: openai, meter: input, quantity: 250000}\n"
    )
    with ledger_of(event("a")) as ledger:
        apply(ledger, at.read_configuration(reviewed))
        at.price_events(ledger, book(input="2", output="4"))

        found = at.contract_charges(ledger, "2026-10")

    # One million tokens cost 1 USD by contract: 0.05 off beyond 0.50, 4 short of 5, a quarter of a million free.
    charges = dict(zip(found["contract_id"], found["charge"], strict=True))
    assert charges == {"t": Decimal("-0.05"), "c": Decimal(4), "f": Decimal("-0.25")}
