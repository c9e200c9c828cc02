"""Reconciliation: bill and calls meet in cells, and every dollar between them has one name."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from attribution.ledger import Ledger
from attribution.pricing import price_events
from attribution.reconciliation import match_cells
from tests.examples import call, identity, insert, ledger_of

OCTOBER = "2026-10"


def bill_line(name: str = "b1", **columns: Any) -> dict[str, Any]:
    """Return one daily line of an OpenAI bill; only what differs need be said."""
    line: dict[str, Any] = {
        "bill_line_id": identity(name), "source": "openai_costs", "role": "both", "file_id": "bill", "line": 1,
        "record_no": 0, "period_start": datetime(2026, 10, 5), "period_end": datetime(2026, 10, 6),
        "billing_period": "2026-10", "provider": "openai", "model": "gpt-5-mini", "service_tier": None,
        "meter": "input", "category": "usage", "quantity": "1000", "unit": "tokens", "requests": None,
        "list_cost": None, "contracted_cost": None, "billed_cost": "0.00025", "effective_cost": None,
        "currency": "USD", "request_id": None, "description": None, "account_id": None, "project_id": None,
        "api_key_id": None, "region": None, "context_window": None, "charge_class": None, "sku": None,
        "exported_at": None, "replaces_key": None, "principal": None,
    } | columns  # fmt: skip
    line["effective_cost"] = line["effective_cost"] or line["billed_cost"]
    for money in ("quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost"):
        if line[money] is not None:
            line[money] = Decimal(line[money])
    return line


def billed(*calls: dict[str, Any], lines: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Ledger:
    """Return a priced ledger of these calls beside a bill of these lines; a call is 1,000 in and 100 out."""
    ledger = ledger_of(*calls, **tables)
    insert(ledger, "bill_line", lines)
    price_events(ledger)
    return ledger


@pytest.fixture
def tied() -> list[dict[str, Any]]:
    """The two lines of one call of gpt-5-mini: 1,000 in at $0.25 and 100 out at $2 a million."""
    return [bill_line("in"), bill_line("out", meter="output", quantity="100", billed_cost="0.0002")]


def causes(ledger: Ledger) -> dict[str, Decimal]:
    """Return the dollars of each cause of the cells."""
    rows = ledger.rows("select cause, sum(amount) from cell_cause group by cause order by cause")
    return {cause: Decimal(amount).scaleb(-12) for cause, amount in rows}


def test_a_bill_of_the_same_calls_leaves_nothing_to_explain(tied: list[dict[str, Any]]) -> None:
    ledger = billed(call(), lines=tied)

    match_cells(ledger, OCTOBER)

    assert causes(ledger) == {}
    assert ledger.rows("select sum(billed), sum(ledger), sum(calls) from bill_cell") == [(450_000_000, 450_000_000, 2)]
    assert ledger.rows("select meter, sum(weight)::bigint from cell_event group by all order by 1") == [
        ("input", 250_000_000), ("output", 200_000_000)
    ]  # fmt: skip
