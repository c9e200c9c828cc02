from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from attribution.errors import LedgerError, QuestionError
from attribution.forecasts import forecast_month
from attribution.forecasts.expecting import LIMIT, expected_days
from attribution.forecasts.spread import Spread
from attribution.ledger import Ledger
from tests.examples import call, ledger_of


def spend(
    first: date, daily: list[str | None], team: str = "support", workflow: str = "triage"
) -> list[dict[str, Any]]:
    """One call a day; None is a day without calls."""
    return [
        call(
            f"{team}-{workflow}-{first}-{place}",
            started_at=datetime.combine(first, datetime.min.time()) + timedelta(days=place, hours=12),
            owner_team=team,
            workflow_id=workflow,
            list_cost=cost,
        )
        for place, cost in enumerate(daily)
        if cost is not None
    ]


def steady(days: int, **columns: Any) -> Ledger:
    return ledger_of(*spend(date(2026, 9, 1), ["10"] * days, **columns))


def only(ledger: Ledger, *by: str, **options: Any) -> dict[str, Any]:
    rows = forecast_month(ledger, *by, **options).to_dict("records")
    assert len(rows) == 1
    return rows[0]


def test_steady_spend_ends_where_it_goes() -> None:
    row = only(steady(40))

    assert (row["month"], row["as_of"], row["days_left"]) == ("2026-10", date(2026, 10, 10), 21)
    assert row["month_to_date"] == 100
    assert row["forecast"] == 310
    assert row["low_95"] <= row["low_80"] <= row["forecast"] <= row["high_80"] <= row["high_95"]


def test_a_finished_month_is_its_actual_cost_and_certain() -> None:
    row = only(steady(30), budget=299)

    assert row["days_left"] == 0
    assert {row[name] for name in ("forecast", "low_95", "high_95")} == {300}
    assert (row["chance_over"], row["exhausted_on"]) == (1.0, date(2026, 9, 30))


def test_weekends_are_expected_to_be_weekends() -> None:
    first = date(2026, 9, 1)
    daily: list[str | None] = ["2" if (first + timedelta(days=day)).weekday() >= 5 else "10" for day in range(40)]

    row = only(ledger_of(*spend(first, daily)))

    # October 2026 has 22 weekdays and 9 weekend days.
    assert row["forecast"] == 22 * 10 + 9 * 2


def test_growth_fades_and_is_limited() -> None:
    doubling = np.array([[2.0 ** (day // 7) for day in range(56)]])
    last = date(2026, 10, 10)
    ahead = [last + timedelta(days=step) for step in range(1, 22)]

    expected = expected_days(doubling, last, ahead)[0]
    flat = expected_days(np.array([[2.0 ** (day // 7) for day in range(28, 56)] * 2])[:, 28:], last, ahead)[0]

    longest = np.exp(0.5 * LIMIT * 0.9 / 0.1)
    assert np.all(expected <= flat.max() * longest)
    assert expected[20] > expected[6]


def test_the_budget_gives_a_chance_and_a_day() -> None:
    ledger = steady(40)

    assert only(ledger, budget="1000")["chance_over"] == 0.0
    assert only(ledger, budget="1000")["exhausted_on"] is None
    assert only(ledger, budget="205")["exhausted_on"] == date(2026, 10, 21)
    assert only(ledger, budget="205")["chance_over"] == 1.0


def test_teams_have_the_budgets_of_the_registry() -> None:
    events = spend(date(2026, 9, 1), ["10"] * 40) + spend(date(2026, 9, 1), ["4"] * 40, team="sales")
    ledger = ledger_of(*events, team=[{"team": "sales", "budget": Decimal(50)}])

    rows = forecast_month(ledger, "owner_team")

    assert rows["owner_team"].tolist() == ["support", "sales"]
    assert rows["forecast"].tolist() == [310, 124]
    assert rows["budget"].dropna().tolist() == [50]


def test_known_lines_are_added_by_name_to_the_whole() -> None:
    row = only(steady(40), known={"new workflow from the 20th": Decimal("55.50")})

    assert (row["known"], row["forecast"]) == (Decimal("55.50"), Decimal("365.50"))


def test_past_misses_of_enough_slices_make_the_interval() -> None:
    first = date(2026, 8, 1)
    events = []
    for number in range(25):
        factor = 1 + number / 25
        daily: list[str | None] = [f"{factor * (10 + (day * (number + 3)) % 5):.2f}" for day in range(75)]
        events += spend(first, daily, workflow=f"w{number}")
    ledger = ledger_of(*events)

    row = only(ledger)
    rows = forecast_month(ledger, "workflow_id")

    assert row["interval"] == "conformal"
    assert row["errors"] >= 20
    assert set(rows["interval"]) == {"conformal"}
    assert len(rows) == 25


def test_the_interval_of_few_errors_is_wider_the_longer_the_rest() -> None:
    rng = np.random.default_rng(3)
    daily: list[str | None] = [f"{value:.2f}" for value in rng.gamma(20, 0.5, 59)]
    ledger = ledger_of(*spend(date(2026, 9, 1), daily))

    early, late = only(ledger, as_of="2026-10-05"), only(ledger, as_of="2026-10-25")

    assert early["interval"] == "normal"
    assert early["high_95"] - early["low_95"] > late["high_95"] - late["low_95"] > 0


def test_conformal_bounds_are_the_misses_of_their_rank() -> None:
    spread = Spread(np.arange(39) / 100)

    assert spread.interval(0.95) == (0.0, 0.38)
    assert spread.interval(0.80) == (0.03, 0.35)


def test_smoothing_is_another_way_and_never_below_nothing() -> None:
    first = date(2026, 8, 1)
    daily: list[str | None] = [f"{max(0.01, 60 - day + 5 * (day % 7 == 3)):.2f}" for day in range(70)]
    ledger = ledger_of(*spend(first, daily))

    row = only(ledger, method="ets")

    assert row["month_to_date"] <= row["forecast"] < only(ledger)["forecast"]
    with pytest.raises(QuestionError, match="one of weekday, ets"):
        forecast_month(ledger, method="arima")


def test_a_month_of_the_past_can_be_forecast_as_it_was_then() -> None:
    row = only(steady(50), as_of="2026-09-20")

    assert (row["month"], row["month_to_date"], row["forecast"]) == ("2026-09", 200, 300)


def test_too_little_history_and_strange_arguments_are_refused() -> None:
    with pytest.raises(LedgerError, match="14 complete days, which a forecast needs: it has 9"):
        forecast_month(steady(9))
    with pytest.raises(QuestionError, match="`budget` was 'a lot'"):
        forecast_month(steady(40), budget="a lot")
    with pytest.raises(QuestionError, match="`as_of` was '2027-01-01'"):
        forecast_month(steady(40), as_of="2027-01-01")
    with pytest.raises(LedgerError, match="no priced calls"):
        forecast_month(
            ledger_of(*[call(f"{day}", started_at=datetime(2026, 9, day), list_cost=None) for day in range(1, 20)])
        )
