"""Reconciliation of the sample company: its planted faults, each on its line of the bridge by its dollars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from attribution.building import build_ledger
from attribution.ledger import Ledger
from attribution.reconciliation import Reconciliation, reconcile
from attribution.samples import write_sample

ACME = Path(__file__).resolve().parents[1] / "sample_data" / "acme"
MONTHS = ("2026-08", "2026-09", "2026-10")
#: Fault of the bills → the lines of the bridge it moves; what invoices round to cents stands on a line of its own.
FAULTS = {
    "tax_and_credits": ("tax", "credits"),
    "storage_and_sessions": ("non_token_usage",),
    "prepaid_drawdown": ("purchases", "credits"),
    "discount_missing": ("price",),
    "streams_without_usage": ("token_count",),
}
_ENDS = ("ledger", "billed", "invoice_difference")


def amounts(answer: Reconciliation) -> dict[tuple[str, str], Decimal]:
    """Return provider and cause → dollars, and check that every provider's bridge adds up."""
    found = {}
    for provider, frame in answer.bridges.groupby("provider"):
        rows = dict(zip(frame["cause"], frame["amount"], strict=True))
        assert sum(rows.values()) == 2 * rows["billed"]
        found |= {(str(provider), cause): amount for cause, amount in rows.items() if amount}
    return found


@cache
def october(*faults: str) -> dict[tuple[str, str], Decimal]:
    """Return October of a company of 300 calls with these faults."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "acme"
        write_sample(place, calls=300, months=1, faults=faults or "none")
        ledger = build_ledger(place / "data", config=place / "config" / "attribution.yaml", quiet=True)
        with ledger:
            return amounts(reconcile(ledger, "2026-10"))


def moved(*faults: str) -> dict[tuple[str, str], Decimal]:
    """Return what the faults change, beside a company without any; ends and cents of invoices apart."""
    before, after = october(), october(*faults)
    change = {key: after.get(key, Decimal(0)) - before.get(key, Decimal(0)) for key in {*before, *after}}
    return {key: amount for key, amount in change.items() if amount and key[1] not in _ENDS}


@pytest.fixture(scope="module")
def acme() -> Iterator[Ledger]:
    """The company in the repository, with all its faults."""
    with build_ledger(ACME / "data", config=ACME / "config" / "attribution.yaml", quiet=True) as ledger:
        yield ledger


def truth(name: str) -> list[dict[str, object]]:
    """Return the rows of one table of truth."""
    rows: list[dict[str, object]] = pq.read_table(ACME / "truth" / f"{name}.parquet").to_pylist()
    return rows


def test_without_faults_every_bill_ties_but_for_cents_of_its_invoice() -> None:
    causes = {key for key in october() if key[1] not in _ENDS}

    assert causes <= {("google", "cut_off")}  # its months are Pacific
    assert all(abs(amount) < Decimal("0.02") for (_, cause), amount in october().items() if cause == _ENDS[2])


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_moves_its_lines_and_no_other(fault: str) -> None:
    assert {cause for _, cause in moved(fault)} == set(FAULTS[fault])


def test_two_faults_move_what_each_moves_alone() -> None:
    pair = ("storage_and_sessions", "discount_missing")

    assert moved(*pair) == moved(pair[0]) | moved(pair[1])


@pytest.mark.parametrize("month", MONTHS)
def test_all_faults_at_once_leave_nothing_unexplained(acme: Ledger, month: str) -> None:
    answer = reconcile(acme, month)

    assert answer.bridge.set_index("cause")["amount"]["unexplained"] == 0
    assert answer.status == "ties"
    assert amounts(answer)


@pytest.mark.parametrize("month", MONTHS)
def test_lines_of_the_bridge_are_the_truth(acme: Ledger, month: str) -> None:
    found = defaultdict[str, Decimal](Decimal)
    for (_, cause), amount in amounts(reconcile(acme, month)).items():
        found[cause] += amount
    bills = defaultdict[str, Decimal](Decimal)
    for row in truth("bills"):
        if row["month"] == month and isinstance(row["billed_cost"], Decimal):
            bills[str(row["category"])] += row["billed_cost"]
    faults = {str(row["fault"]): row for row in truth("faults") if row["month"] == month}

    assert found["non_token_usage"] == bills["storage"] + bills["session"]
    assert found["tax"] == bills["tax"]
    assert found["purchases"] == bills["purchase"]
    assert found["adjustments"] == bills["adjustment"]
    assert found["price"] == faults.get("discount_missing", {"bill_amount": Decimal(0)})["bill_amount"]
    assert found["unpriced"] == faults["unknown_model"]["list_cost"]


def test_the_invoice_is_the_end_of_the_bridge(acme: Ledger) -> None:
    invoiced = acme.rows(
        "select provider, sum(billed_cost) from bill_line where source = 'invoice' and billing_period = '2026-10' "
        "group by provider order by provider"
    )
    answer = reconcile(acme, "2026-10")

    assert list(zip(answer.statuses["provider"], answer.statuses["billed"], strict=True)) == invoiced


def test_months_add_up_to_the_quarter_but_for_what_is_cut_off(acme: Ledger) -> None:
    months = [amounts(reconcile(acme, month)) for month in MONTHS]
    whole = amounts(reconcile(acme, "2026-08-01..2026-10-31"))

    for key, amount in whole.items():
        if key[1] not in ("cut_off", "credits"):
            assert sum((month.get(key, Decimal(0)) for month in months), Decimal(0)) == amount, key
