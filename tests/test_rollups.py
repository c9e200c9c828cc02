"""Roll up: totals are the exact sums of their attempts; what has no price is counted, never zero."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.errors import QuestionError, SchemaError
from attribution.rollups import roll_up
from tests.examples import call, ledger_of


def test_a_request_costs_the_sum_of_its_attempts() -> None:
    ledger = ledger_of(
        call("a", request_id="r", call_id="k", list_cost="0.10", status="error"),
        call("b", request_id="r", call_id="k", list_cost="0.20", attempt_role="retry"),
        call("c", request_id="r", call_id="k", list_cost="0.40", attempt_role="fallback", model="gpt-5"),
        call("d", request_id="r", call_id="m", list_cost="0.80"),
    )
    row = roll_up(ledger, "request_id").to_dict("records")[0]
    counts = ("requests", "calls", "attempts", "retries", "fallbacks", "failures", "cache_hits")
    assert [row[name] for name in counts] == [1, 2, 4, 1, 1, 1, 0]
    assert (row["list_cost"], row["retry_cost"], row["fallback_cost"]) == (
        Decimal("1.5"),
        Decimal("0.2"),
        Decimal("0.4"),
    )


def test_ten_times_a_tenth_is_one() -> None:
    ledger = ledger_of(*[call(f"c{n}", list_cost="0.1") for n in range(10)])
    assert roll_up(ledger)["list_cost"].item() == Decimal(1)


def test_a_group_without_any_price_has_no_cost_instead_of_zero() -> None:
    row = roll_up(ledger_of(call("a", list_cost=None)), "owner_team").to_dict("records")[0]
    assert row["list_cost"] is None
    assert row["unpriced_attempts"] == 1


def test_an_unpriced_attempt_is_counted_beside_the_priced_ones() -> None:
    row = roll_up(ledger_of(call("a", list_cost=None), call("b", list_cost="2.50"))).to_dict("records")[0]
    assert (row["list_cost"], row["attempts"], row["unpriced_attempts"]) == (Decimal("2.5"), 2, 1)


def test_unmetered_usage_is_counted_apart_from_unpriced() -> None:
    row = roll_up(ledger_of(call("a", list_cost=None, price_status="unmetered"))).to_dict("records")[0]
    assert (row["unpriced_attempts"], row["unmetered_attempts"]) == (0, 1)


def test_calls_without_owner_are_a_group_of_their_own() -> None:
    ledger = ledger_of(call("a"), call("b", owner_team=None))
    answer = roll_up(ledger, "owner_team")
    assert answer["owner_team"].tolist() == ["support", pd.NA]
    assert answer["list_cost"].tolist() == [Decimal(1), Decimal(1)]


def test_a_condition_on_nothing_asks_for_rows_without_a_value() -> None:
    ledger = ledger_of(call("a"), call("b", owner_team=None, list_cost="3.00"))
    assert roll_up(ledger, where={"owner_team": None})["list_cost"].item() == Decimal(3)
    assert roll_up(ledger, where={"owner_team": "support"})["list_cost"].item() == Decimal(1)


@pytest.mark.parametrize("team", ["NA", "null", "0012", "'; drop table event; --", "Süd", 'a"b'])
def test_names_are_values_whatever_they_look_like(team: str) -> None:
    ledger = ledger_of(call("a", owner_team=team))
    assert roll_up(ledger, "owner_team", where={"owner_team": team})["owner_team"].tolist() == [team]


def test_days_are_utc_and_weeks_are_iso_weeks() -> None:
    ledger = ledger_of(
        call("a", started_at=datetime(2027, 1, 3, 23, 59, 59, 999999)), call("b", started_at=datetime(2027, 1, 4))
    )
    assert roll_up(ledger, "day")["day"].tolist() == ["2027-01-03", "2027-01-04"]
    assert roll_up(ledger, "week")["week"].tolist() == ["2026-W53", "2027-W01"]
    assert roll_up(ledger, "month")["month"].tolist() == ["2027-01"]


def test_a_period_ends_before_the_next_begins() -> None:
    ledger = ledger_of(
        call("a", started_at=datetime(2026, 10, 31, 23, 59, 59)), call("b", started_at=datetime(2026, 11, 1))
    )
    assert roll_up(ledger, period="2026-10")["attempts"].item() == 1


@pytest.mark.parametrize("given", [("team",), ("owner_team; drop table event",), ("",)])
def test_only_columns_can_be_grouped_by(given: tuple[str, ...]) -> None:
    with pytest.raises(SchemaError, match="is not a column of `cost_event`"):
        roll_up(ledger_of(), *given)


def test_only_columns_can_be_asked_for() -> None:
    with pytest.raises(SchemaError, match="is not a column"):
        roll_up(ledger_of(), where={"1=1) or (1": 1})


def test_an_unreadable_period_is_refused() -> None:
    with pytest.raises(QuestionError, match="expected a day"):
        roll_up(ledger_of(), period="10/2026")


COSTS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.decimals("0", "99999", places=12, allow_nan=False)),
        st.sampled_from(["support", "growth", None]),
        st.sampled_from(["openai", "anthropic"]),
    ),
    max_size=15,
)


@settings(max_examples=15, deadline=None)
@given(COSTS)
def test_every_grouping_adds_up_to_the_last_digit(rows: list[tuple[Decimal | None, str | None, str]]) -> None:
    ledger = ledger_of(
        *[
            call(f"c{n}", list_cost=None if cost is None else format(cost, "f"), owner_team=team, provider=provider)
            for n, (cost, team, provider) in enumerate(rows)
        ]
    )
    total = sum((cost for cost, _, _ in rows if cost is not None), Decimal(0))
    for by in (("owner_team",), ("provider",), ("owner_team", "provider"), ("day", "owner_team")):
        answer = roll_up(ledger, *by)
        assert sum(answer["list_cost"].dropna().tolist(), Decimal(0)) == total
        assert sum(answer["attempts"].tolist()) == len(rows)
