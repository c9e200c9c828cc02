"""Prepaid balances: opening + purchased − used − expired = closing, whatever the bills tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.ledger import Ledger
from attribution.prepayments.lots import Lot
from attribution.prepayments.months import Balances, Bill, Group
from tests.bill_examples import SOURCES, bill
from tests.examples import call, insert, ledger_of
from tests.invoice_examples import charged, invoiced, top_up

FLOWS = ("opening", "purchased", "used", "expired", "closing")
FOCUS = SOURCES / "focus"


def months(ledger: Ledger, *columns: str, **limits: Any) -> list[tuple[Any, ...]]:
    """Return chosen columns of the roll-forward, month by month; each row must add up."""
    rows = at.roll_forward(ledger, **limits).to_dict("records")
    for row in rows:
        assert row["opening"] + row["purchased"] - row["used"] - row["expired"] == row["closing"]
    names = columns or FLOWS
    return [tuple(int(row[n]) if isinstance(row[n], Decimal) else row[n] for n in names) for row in rows]


# ---- how the use of a balance is known


def test_a_top_up_of_which_a_part_is_used_leaves_the_rest() -> None:
    ledger = ledger_of(prepayment=[top_up("10000")], bill_line=[charged("u", billed_cost="7000")])

    assert months(ledger) == [(0, 10_000, 7_000, 0, 3_000)]


def test_the_covering_credit_of_an_invoice_says_what_was_used() -> None:
    ledger = ledger_of(
        prepayment=[top_up("10000")],
        bill_line=[
            charged("u", billed_cost="7000.004"),
            invoiced("i1", "usage", "7000", "Usage of the month"),
            invoiced("i2", "credit", "-7000", "Covered by prepaid balance"),
            invoiced("i3", "purchase", "10000", "Prepaid balance top-up"),
        ],
    )

    assert months(ledger, *FLOWS, "billed_purchase", "billed_use", "status") == [
        (0, 10_000, 7_000, 0, 3_000, 10_000, 7_000, "ties")
    ]


def test_an_invoice_that_shows_the_purchase_alone_left_the_usage_to_the_balance() -> None:
    ledger = ledger_of(
        prepayment=[top_up("10000")],
        bill_line=[charged("u", billed_cost="7000"), invoiced("i", "purchase", "10000", "API credits")],
    )

    assert months(ledger, "used", "closing", "status", "evidence") == [
        (7_000, 3_000, "ties", "usage that the invoice leaves out")
    ]


def test_an_invoice_that_charges_the_usage_drew_on_nothing() -> None:
    ledger = ledger_of(
        prepayment=[top_up("10000")],
        bill_line=[
            charged("u", billed_cost="7000"),
            invoiced("i1", "usage", "7000", "Usage of the month"),
            invoiced("i2", "purchase", "10000", "API credits"),
        ],
    )

    assert months(ledger, "used", "closing") == [(0, 10_000)]


def test_where_no_bill_shows_usage_the_calls_say_what_was_used() -> None:
    ledger = ledger_of(
        call("a", list_cost="4000"),
        call("b", list_cost="3000"),
        prepayment=[top_up("10000")],
        bill_line=[invoiced("i", "purchase", "10000", "API credits")],
    )

    assert months(ledger, "used", "closing", "evidence") == [
        (7_000, 3_000, "cost of the calls; no bill shows their usage")
    ]


def test_usage_that_focus_bills_at_nothing_drew_on_its_commitment() -> None:
    ledger = bill(FOCUS / "focus15draft_drawdown_via_prepayment_frontier_model_api.csv")

    assert months(ledger, "contract_id", "month", *FLOWS, "billed_use", "status") == [
        ("subscription:aaaa/provider/solora-ai/tokens/1111", "2025-05", 0, 500_000, 50, 0, 499_950, 50, "ties")
    ]


def test_a_pack_of_virtual_currency_is_a_balance_of_its_provider() -> None:
    ledger = bill(
        FOCUS / "v12_virtual_currency_pricing_model_a1.csv", FOCUS / "v12_virtual_currency_pricing_model_a2.csv"
    )

    assert months(ledger, "contract_id", "month", "purchased")[0] == ("acmecorp prepaid", "2025-04", 200_000)


def test_a_fee_that_is_used_up_as_it_is_charged_is_no_balance() -> None:
    ledger = ledger_of(bill_line=[invoiced("i", "purchase", "500", "Support plan of the month")])

    assert months(ledger) == []


# ---- months follow each other


def test_what_is_left_opens_the_next_month_and_the_last_one_drawn_is_billed() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", purchased_on=datetime(2026, 8, 1))],
        bill_line=[
            charged(f"u{n}", billed_cost="60", period_start=datetime(2026, month, 5)) for n, month in enumerate((8, 9))
        ],
    )

    assert months(ledger) == [(0, 100, 60, 0, 40), (40, 0, 40, 0, 0)]


def test_a_period_shows_its_months_and_counts_those_before() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", purchased_on=datetime(2026, 8, 1))],
        bill_line=[
            charged(f"u{n}", billed_cost="10", period_start=datetime(2026, month, 5)) for n, month in enumerate((8, 9))
        ],
    )

    assert months(ledger, "month", *FLOWS, period="2026-10") == [("2026-10", 80, 0, 0, 0, 80)]


def test_what_is_left_on_the_day_of_expiry_expires() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", expires_on=datetime(2026, 11, 1)), top_up("5", contract_id="later")],
        bill_line=[charged("u", billed_cost="30")],
    )

    assert months(ledger, "contract_id", *FLOWS) == [("later", 0, 5, 0, 0, 5), ("openai prepaid", 0, 100, 30, 70, 0)]


def test_usage_before_the_purchase_draws_on_nothing() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", purchased_on=datetime(2026, 10, 6))],
        bill_line=[
            charged("u1", billed_cost="30"),
            charged("u2", billed_cost="20", period_start=datetime(2026, 10, 6)),
        ],
    )

    assert months(ledger) == [(0, 100, 20, 0, 80)]


def test_a_balance_of_one_project_pays_for_no_other() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", project_id="p1")],
        bill_line=[charged("u1", billed_cost="30", project_id="p1"), charged("u2", billed_cost="20", project_id="p2")],
    )

    assert months(ledger) == [(0, 100, 30, 0, 70)]


def test_an_opening_balance_is_bought_in_no_month() -> None:
    ledger = ledger_of(prepayment=[top_up("100", kind="opening")], bill_line=[charged("u", billed_cost="30")])

    assert months(ledger) == [(100, 0, 30, 0, 70)]


def test_a_commitment_is_billed_as_it_is_used_and_what_falls_short_expires() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100", kind="commitment", contract_id="c", expires_on=datetime(2026, 11, 1))],
        bill_line=[charged("u", billed_cost="30")],
    )

    assert months(ledger, "kind", *FLOWS) == [("commitment", 0, 100, 30, 70, 0)]


# ---- the bill has the last word


def test_a_declared_purchase_that_the_invoice_denies_does_not_tie() -> None:
    ledger = ledger_of(
        prepayment=[top_up("100")],
        bill_line=[charged("u", billed_cost="30"), invoiced("i", "usage", "30", "Usage of the month")],
    )

    assert months(ledger, "billed_purchase", "status") == [(None, "does not tie")]


def test_a_purchase_that_nobody_declared_counts_once() -> None:
    line = invoiced("i", "purchase", "100", "Prepaid balance top-up")
    undeclared = ledger_of(bill_line=[line])
    declared = ledger_of(bill_line=[line], prepayment=[top_up("100")])

    assert months(undeclared) == months(declared) == [(0, 100, 0, 0, 100)]


def test_more_used_than_was_bought_is_owed_and_said() -> None:
    ledger = ledger_of(
        prepayment=[top_up("10")],
        bill_line=[
            charged("u", billed_cost="30"),
            invoiced("i1", "usage", "30", "Usage of the month"),
            invoiced("i2", "credit", "-30", "Covered by prepaid balance"),
            invoiced("i3", "purchase", "10", "Prepaid balance top-up"),
        ],
    )

    assert months(ledger, *FLOWS, "status") == [(0, 10, 30, 0, -20, "overdrawn")]


def test_euros_count_at_the_declared_rate_and_without_one_not_at_all() -> None:
    rate = {"currency": "EUR", "usd": Decimal("1.10"), "units": None}
    lines = [charged("u", billed_cost="30")]

    assert months(ledger_of(prepayment=[top_up("100", currency="EUR")], bill_line=lines, currency_rate=[rate])) == [
        (0, 110, 30, 0, 80)
    ]
    with pytest.raises(
        at.ConfigurationError, match=r"attribution.yaml:7: 100 EUR; expected an entry of currency_rates"
    ):
        at.roll_forward(ledger_of(prepayment=[top_up("100", currency="EUR")], bill_line=lines))


def test_the_sample_company_draws_its_balance_down_to_what_the_invoices_leave(tmp_path: Path) -> None:
    ledger = at.open_ledger()
    acme = Path(__file__).resolve().parents[1] / "sample_data" / "acme"
    at.load(ledger, acme / "data" / "openai", acme / "data" / "invoices")
    insert(ledger, "prepayment", [top_up("29.70", purchased_on=datetime(2026, 8, 1), invoice_id="INV-openai-2026-08")])

    rows = at.roll_forward(ledger, provider="openai")

    assert [(r["used"], r["closing"], r["status"]) for r in rows.to_dict("records")] == [
        (Decimal("5.74"), Decimal("23.96"), "ties"),
        (Decimal("4.36"), Decimal("19.60"), "ties"),
        (Decimal("5.54"), Decimal("14.06"), "ties"),
    ]


# ---- laws

AMOUNT = st.integers(-(10**15), 10**18)
DAY = datetime(2026, 10, 1)


@st.composite
def years(draw: st.DrawFn) -> tuple[list[Lot], list[Bill]]:
    """Draw random purchases and three months of random usage, credits and differences."""
    lots = [
        Lot(
            contract_id=draw(st.sampled_from("ab")),
            kind=draw(st.sampled_from(("credit", "opening", "commitment"))),
            provider="openai",
            amount=draw(st.integers(0, 10**18)),
            bought=DAY + timedelta(days=draw(st.integers(0, 80))),
            expires=draw(st.sampled_from((None, datetime(2026, 11, 15), datetime(2027, 1, 1)))),
            evidence=f"f:{n}",
            project_id=draw(st.sampled_from((None, "p"))),
        )
        for n in range(draw(st.integers(0, 4)))
    ]
    bills = []
    for start, end in zip((10, 11, 12), (11, 12, 13), strict=True):
        first, last = datetime(2026, start, 1), datetime(2026 + end // 13, (end - 1) % 12 + 1, 1)
        usage = {
            Group(first + timedelta(days=draw(st.integers(0, 27))), "", draw(st.sampled_from(("", "p")))): draw(AMOUNT)
            for _ in range(draw(st.integers(0, 5)))
        }
        one = Bill("openai", f"{first:%Y-%m}", first, last, has_bill=True, usage=usage)
        one.has_invoice = draw(st.booleans())
        one.difference = draw(AMOUNT) if one.has_invoice else 0
        if draw(st.booleans()):
            one.credits = [
                {"bill_line_id": "l", "billed": -draw(st.integers(1, 10**18)), "description": "prepaid balance"}
            ]
        bills.append(one)
    return lots, bills


@given(years())
def test_every_month_adds_up_and_covers_no_more_than_is_used(drawn: tuple[list[Lot], list[Bill]]) -> None:
    lots, bills = drawn
    balances = Balances("openai", lots)
    left: dict[tuple[str, str], int] = {}
    for one in bills:
        accounts, cover = balances.follow(one)
        opened = {key: account.opening for key, account in accounts.items()}
        bought = sum(lot.amount for lot in lots if lot.kind == "opening" and one.start <= lot.bought < one.end)
        assert sum(opened.values()) == sum(left.values()) + bought
        left = {key: account.closing for key, account in accounts.items()}
        held = dict.fromkeys(left, 0)
        for lot in balances.lots:
            key = (lot.contract_id, "commitment" if lot.kind == "commitment" else "credit")
            held[key] = held.get(key, 0) + lot.left
        assert {k: v for k, v in held.items() if v} == {k: v for k, v in left.items() if v}
        assert all(0 < amount <= one.usage[group] for group, amount in cover.usage.items())
        drawn_on = sum(account.used for (_, kind), account in accounts.items() if kind == "credit")
        assert drawn_on >= cover.total
