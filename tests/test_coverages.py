"""Coverage: who owns how many dollars by what evidence, and how wide the unknown makes the answer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution import schema
from attribution.coverages import measure_coverage
from attribution.errors import QuestionError, SchemaError
from tests.examples import call, ledger_of


def covered(*calls: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return the one row of a coverage without groups."""
    rows = measure_coverage(ledger_of(*calls), **options).to_dict("records")
    assert len(rows) == 1
    return {str(name): value for name, value in rows[0].items()}


def shares(row: dict[str, Any]) -> list[Any]:
    return [row[name] for name in ("not_declared_low", "not_declared_high", "unowned_low", "unowned_high")]


def test_a_recovered_owner_was_not_declared_but_is_not_unowned() -> None:
    row = covered(call("a", list_cost="6.00"), call("b", list_cost="2.00", owner_evidence="inherited"))
    assert (row["list_cost"], row["not_declared"], row["unowned"]) == (Decimal("8"), Decimal("2"), Decimal("0"))
    assert shares(row) == [Decimal("0.25"), Decimal("0.25"), Decimal("0"), Decimal("0")]


@pytest.mark.parametrize(
    ("evidence", "not_declared", "unowned", "by_rule"),
    [
        ("declared", "0", "0", "0"),
        ("matched", "0", "0", "0"),
        ("exclusive_key", "0", "0", "0"),
        ("inherited", "1", "0", "0"),
        ("linked", "1", "0", "0"),
        ("trace", "1", "0", "0"),
        ("rule", "1", "1", "1"),
        ("none", "1", "1", "0"),
    ],
)
def test_each_rung_counts_where_it_should(evidence: str, not_declared: str, unowned: str, by_rule: str) -> None:
    row = covered(call("a", list_cost="1.00", owner_evidence=evidence))
    assert (row["not_declared"], row["unowned"], row["recovered_by_rule"]) == (
        Decimal(not_declared),
        Decimal(unowned),
        Decimal(by_rule),
    )
    assert row[evidence] == Decimal("1")


def test_an_unpriced_call_without_owner_widens_the_share_to_a_band_by_what_its_source_claimed() -> None:
    row = covered(call("a", list_cost="8.00"), call("b", list_cost=None, source_cost="2.00", owner_team=None))
    assert row["list_cost"] == Decimal("8")
    assert row["unpriced_calls"] == 1
    assert shares(row)[2:] == [Decimal("0"), Decimal("0.2")]


def test_without_a_claim_an_unpriced_call_counts_as_a_dear_one() -> None:
    row = covered(call("a", list_cost="6.00"), call("b", list_cost=None, owner_team=None))
    assert shares(row)[2:] == [Decimal("0"), Decimal("0.5")]


def test_what_is_unknown_of_a_partly_priced_call_is_not_counted_twice() -> None:
    row = covered(
        call("a", list_cost="8.00"),
        call("b", list_cost=None, priced_part="1.00", price_status="partial", source_cost="2.00", owner_team=None),
    )
    assert row["list_cost"] == Decimal("9")
    assert shares(row)[2:] == [Decimal("0.111111"), Decimal("0.2")]


def test_an_unpriced_call_with_an_owner_widens_nothing() -> None:
    row = covered(call("a", list_cost="8.00"), call("b", list_cost=None, source_cost="2.00"))
    assert shares(row)[2:] == [Decimal("0"), Decimal("0")]


def test_where_no_call_has_an_owner_no_price_is_needed_to_know_it() -> None:
    row = covered(call("a", list_cost=None, owner_team=None), call("b", list_cost=None, owner_team=None))
    assert shares(row) == [Decimal("1")] * 4


def test_a_failed_call_without_usage_is_no_unknown_spend() -> None:
    row = covered(
        call("a", list_cost="1.00"),
        call("b", list_cost=None, price_status="unmetered", status="error", owner_team=None),
    )
    assert row["unpriced_calls"] == 0
    assert shares(row) == [Decimal("0")] * 4


def test_an_unmetered_stream_is_unknown_spend() -> None:
    row = covered(call("a", list_cost="1.00"), call("b", list_cost=None, price_status="unmetered", owner_team=None))
    assert row["unpriced_calls"] == 1
    assert shares(row)[3] == Decimal("0.5")


def test_an_empty_ledger_has_no_share_instead_of_full_coverage() -> None:
    assert shares(covered()) == [None] * 4


def test_groups_come_in_order_and_add_up() -> None:
    ledger = ledger_of(
        call("a", list_cost="1.00", started_at=datetime(2026, 1, 1)),
        call("b", list_cost="2.00", started_at=datetime(2026, 1, 5), owner_team=None),
        call("c", list_cost="4.00", started_at=datetime(2026, 1, 4, 23, 59, 59)),
    )
    by_week = measure_coverage(ledger, "week")
    assert by_week["week"].tolist() == ["2026-W01", "2026-W02"]
    assert by_week["list_cost"].tolist() == [Decimal("5"), Decimal("2")]
    assert by_week["unowned"].tolist() == [Decimal("0"), Decimal("2")]


def test_a_period_limits_what_is_counted() -> None:
    ledger = ledger_of(
        call("a", list_cost="1.00", started_at=datetime(2026, 9, 30, 23, 59, 59)),
        call("b", list_cost="2.00", started_at=datetime(2026, 10, 1)),
    )
    assert measure_coverage(ledger, period="2026-10")["list_cost"].tolist() == [Decimal("2")]


def test_an_unknown_group_is_refused_with_the_near_one() -> None:
    with pytest.raises(SchemaError, match="Did you mean `owner_team`"):
        measure_coverage(ledger_of(), "ownerteam")


def test_an_unreadable_period_is_refused() -> None:
    with pytest.raises(QuestionError, match="an ISO week"):
        measure_coverage(ledger_of(), period="last week")


AMOUNTS = st.decimals("0", "1000", places=6, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), AMOUNTS), st.sampled_from(schema.EVIDENCE), st.sampled_from(["a", "b"])),
        max_size=12,
    )
)
def test_rungs_and_groups_add_up_to_the_whole(rows: list[tuple[Decimal | None, str, str]]) -> None:
    ledger = ledger_of(
        *[
            call(f"c{n}", list_cost=None if cost is None else str(cost), owner_evidence=evidence, feature=feature)
            for n, (cost, evidence, feature) in enumerate(rows)
        ]
    )
    whole = measure_coverage(ledger).to_dict("records")[0]
    total = sum((cost for cost, _, _ in rows if cost is not None), Decimal(0))
    assert whole["list_cost"] == total
    assert sum(whole[rung] for rung in schema.EVIDENCE) == total
    parts = measure_coverage(ledger, "feature")
    for name in ("list_cost", "not_declared", "unowned", "recovered_by_rule", "unpriced_calls"):
        assert sum(parts[name].tolist(), Decimal(0)) == whole[name]
    if whole["unowned_low"] is not None:
        assert 0 <= whole["unowned_low"] <= whole["unowned_high"] <= 1
