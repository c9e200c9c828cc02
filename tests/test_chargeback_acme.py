"""The sample company, charged back: every provider's month is its invoice to the cent, and a closed month stays."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from attribution.building import add
from attribution.ledger import Ledger
from attribution.showing import is_missing, rows

ACME = Path("sample_data/acme")
CONFIG = ACME / "config/attribution.yaml"
RULES = ACME / "config/chargeback.yaml"
CALLS = [ACME / "data" / name for name in ("litellm", "otlp", "langfuse", "bedrock", "direct")]


@pytest.fixture(scope="module")
def august() -> Iterator[tuple[Ledger, at.Chargeback]]:
    """August is closed on what gateways and spans said; then all bills and provider logs arrive."""
    ledger = at.build_ledger(*CALLS, config=CONFIG, quiet=True)
    closed = at.close_period(ledger, "2026-08", RULES)
    add(ledger, ACME / "data", config=CONFIG, quiet=True)
    yield ledger, closed
    ledger.close()


def invoices(month: str) -> dict[str, Decimal]:
    """Add the invoices up with a second tool: csv and Decimal."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    with (ACME / f"data/invoices/invoices_{month}.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            found[line["provider"]] += Decimal(line["amount"])
    return dict(found)


@pytest.mark.parametrize(("month", "basis"), [("2026-09", "effective"), ("2026-10", "billed")])
def test_statements_and_what_no_team_bears_are_each_invoice_to_the_cent(
    august: tuple[Ledger, at.Chargeback], month: str, basis: str, tmp_path: Path
) -> None:
    found = at.charge_back(august[0], month, RULES, basis=basis)
    assert found.state == "final"
    found.lines.to_csv(tmp_path / "lines.csv", index=False)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    exact: dict[str, Decimal] = defaultdict(Decimal)
    with (tmp_path / "lines.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["kind"] != "adjustment" and line["cents"]:
                sums[line["provider"]] += Decimal(line["cents"])
                exact[line["provider"]] += Decimal(line["amount"])
    assert sums == exact == invoices(month)
    assert sum(found.statements["cents"]) + sum(found.residual["cents"].dropna()) == sum(found.lines["cents"].dropna())


def test_a_month_closed_before_its_bills_came_stays_and_the_bills_are_entries(
    august: tuple[Ledger, at.Chargeback],
) -> None:
    ledger, closed = august
    assert closed.state == "accrual"
    september = at.charge_back(ledger, "2026-09", RULES)
    assert at.charge_back(ledger, "2026-08").document() == closed.document()
    kinds = {row[0] for row in ledger.rows("select distinct kind from journal where for_period = '2026-08'")}
    assert kinds == {"bill_arrived"}
    adjusted = september.lines[september.lines["kind"] == "adjustment"]
    booked = ledger.value("select sum(amount) from journal where booked_in = '2026-09'")
    assert sum(adjusted["amount"]) == booked
    accrued = sum(closed.lines["amount"].dropna())
    assert accrued + booked == sum(invoices("2026-08").values())
    assert at.verify_period(ledger, "2026-08").is_booked
    bears = sums_of(*rows(closed.lines), *rows(ledger.sql("select * from journal where for_period = '2026-08'")))
    drawn = at.compare_allocations(ledger, RULES, RULES, "2026-08")
    assert bears == sums_of(*(row | {"amount": row["after"]} for row in rows(drawn)))


def sums_of(*lines: dict[str, Any]) -> dict[str | None, Decimal]:
    """Return what each team bears in all; teams that bear nothing are left out."""
    sums: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in lines:
        if not is_missing(row["amount"]):
            sums[None if is_missing(row["owner_team"]) else row["owner_team"]] += row["amount"]
    return {team: amount for team, amount in sums.items() if amount}


def test_sharing_unowned_spend_out_never_lowers_the_reported_share(august: tuple[Ledger, at.Chargeback]) -> None:
    from attribution.allocation import parse_rules

    ledger = august[0]
    shared = at.charge_back(ledger, "2026-10", parse_rules("unattributed: {method: proportional}\n", Path("r.yaml")))
    assert "unowned" not in set(shared.lines["kind"])
    coverage = at.measure_coverage(ledger, period="2026-10")
    assert shared.coverage["unowned"].item() == coverage["unowned"].item()
    assert shared.coverage["unowned_low"].item() == coverage["unowned_low"].item()


def test_savings_are_priced_for_the_team_that_can_act(august: tuple[Ledger, at.Chargeback]) -> None:
    found = rows(at.charge_back(august[0], "2026-10", RULES).savings)
    retries = {
        (row["owner_team"], row["workflow_id"]): row["amount"] for row in found if row["saving"] == "retry_waste"
    }
    assert retries == {("support", "draft-reply"): Decimal("0.811578586500")}
