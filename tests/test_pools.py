"""Pools: capacity is paid whether used or not; used and idle cost add up to what it costs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

import attribution as at
from attribution import showing
from attribution.ledger import Ledger
from tests.examples import call, ledger_of
from tests.invoice_examples import charged

COLUMNS = ("units", "capacity", "used", "utilization", "cost", "used_cost", "idle_cost", "cost_from", "status")


def pool(**columns: Any) -> dict[str, Any]:
    """Return ten provisioned units of 1,000 tokens a minute."""
    row: dict[str, Any] = {
        "pool_id": "ptu",
        "kind": "provisioned_throughput",
        "provider": "openai",
        "units": 10,
        "model": None,
        "project_id": None,
        "endpoint": None,
        "service_tier": None,
        "sku": None,
        "resource_id": None,
        "tokens_per_minute": 1000,
        "output_weight": None,
        "cache_read_weight": None,
        "monthly_cost": None,
        "valid_from": None,
        "valid_to": None,
    }
    return row | columns


def capacity_line(**columns: Any) -> dict[str, Any]:
    """Return what a bill charges for provisioned units."""
    return charged("p", **{"meter": "provisioned", "model": None, "billed_cost": "100", "description": "PTU"} | columns)


def measured(ledger: Ledger) -> dict[str, Any]:
    """Return the only row."""
    (row,) = at.measure_pools(ledger, "2026-10").to_dict("records")
    if row["cost"] is not None and row["used_cost"] is not None:
        assert row["used_cost"] + row["idle_cost"] == row["cost"]
    return dict(row)


def test_used_is_the_share_of_what_the_units_could_take_in_the_month() -> None:
    """October has 44,640 minutes: ten units of 1,000 tokens a minute could take 446,400,000."""
    calls = call("a", input_tokens=100_000_000, output_tokens=11_600_000)
    row = measured(ledger_of(calls, pool=[pool()], bill_line=[capacity_line()]))

    assert (row["capacity"], row["used"], row["utilization"]) == (446_400_000, 111_600_000, Decimal("0.25"))
    assert (row["cost"], row["used_cost"], row["idle_cost"]) == (100, 25, 75)
    assert (row["cost_from"], row["status"]) == ("bill", "measured")


def test_output_and_cached_input_weigh_what_the_pool_says() -> None:
    weights = {"output_weight": Decimal(4), "cache_read_weight": Decimal(0)}
    calls = call("a", input_tokens=1000, cache_read_tokens=400, output_tokens=100)

    assert measured(ledger_of(calls, pool=[pool(**weights)]))["used"] == 600 + 4 * 100


def test_a_pool_serves_the_calls_it_names_and_no_others() -> None:
    calls = [call("a", model="gpt-5-mini", input_tokens=7, output_tokens=0), call("b", model="gpt-4.1")]

    assert measured(ledger_of(*calls, pool=[pool(model="gpt-5-mini")]))["used"] == 7


def test_more_than_all_of_a_pool_costs_no_more_than_the_pool() -> None:
    calls = call("a", input_tokens=900_000_000, output_tokens=0)
    row = measured(ledger_of(calls, pool=[pool()], bill_line=[capacity_line()]))

    assert row["utilization"] > 2
    assert (row["used_cost"], row["idle_cost"]) == (100, 0)


@pytest.mark.parametrize(
    ("columns", "status"),
    [({"tokens_per_minute": None}, "capacity not stated"), ({"units": 0}, "no units"), ({"model": "x"}, "no calls")],
)
def test_what_cannot_be_measured_is_said_and_its_cost_not_split(columns: dict[str, Any], status: str) -> None:
    row = measured(ledger_of(call("a"), pool=[pool(**columns)], bill_line=[capacity_line()]))

    assert row["status"] == status
    assert row["cost"] == 100
    assert row["idle_cost"] is None or showing.is_missing(row["idle_cost"])


def test_a_pool_that_was_held_for_a_part_of_the_month_is_measured_and_paid_for_that_part() -> None:
    held = pool(valid_from=datetime(2026, 10, 17), monthly_cost=Decimal(310))
    row = measured(ledger_of(call("a", started_at=datetime(2026, 10, 20)), pool=[held]))

    assert (row["capacity"], row["cost"], row["cost_from"]) == (15 * 1440 * 10_000, 150, "configuration")


def test_seats_are_used_by_distinct_users() -> None:
    seats = pool(kind="seats", tokens_per_minute=None, units=4, monthly_cost=Decimal(80))
    calls = [call("a", user_id_hash="u1"), call("b", user_id_hash="u1"), call("c", user_id_hash="u2")]
    row = measured(ledger_of(*calls, pool=[seats]))

    assert (row["used"], row["utilization"], row["used_cost"], row["idle_cost"]) == (2, Decimal("0.5"), 40, 40)


def test_users_that_nobody_knows_are_not_nobody() -> None:
    seats = pool(kind="seats", tokens_per_minute=None, units=4)

    assert measured(ledger_of(call("a"), pool=[seats]))["status"] == "users not known"


def test_a_line_pays_for_the_pool_that_says_most_about_it() -> None:
    pools = [pool(pool_id="any"), pool(pool_id="mine", sku="PTU")]
    rows = at.measure_pools(ledger_of(call("a"), pool=pools, bill_line=[capacity_line()]), "2026-10")

    assert {r["pool_id"]: r["cost_from"] for r in rows.to_dict("records")} == {"any": None, "mine": "bill"}


def test_capacity_that_a_bill_charges_without_a_pool_is_listed() -> None:
    row = measured(ledger_of(call("a"), bill_line=[capacity_line(sku="Provisioned Managed Global Unit")]))

    assert (row["pool_id"], row["cost"], row["status"]) == (
        "openai: Provisioned Managed Global Unit", 100, "not in the configuration",
    )  # fmt: skip
