"""The commands about change, over the sample company that comes with the package."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

import attribution as at
from attribution.cli import app, gates
from attribution.cli.changes import read_where
from attribution.errors import QuestionError
from tests.examples import ledger_of
from tests.test_anomalies import company, on
from tests.test_forecasts import spend

ACME = at.sample_path("acme/data/litellm")
WEEKS = ("--before", "2026-W41", "--after", "2026-W42")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def answer_of(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_explain_change_as_json_adds_up_to_the_last_digit(tmp_path: Path) -> None:
    page = tmp_path / "change.html"

    answer = answer_of("explain-change", ACME, *WEEKS, "--drill", "workflow_id", "--out", str(page))

    change = Decimal(answer["cost_after"]) - Decimal(answer["cost_before"])
    assert Decimal(answer["change"]) == change
    assert sum(Decimal(row["effect"]) for row in answer["drivers"]) == change
    assert sum(Decimal(row["change"]) for row in answer["drill_down"]) == change
    assert "Why did cost change?" in page.read_text()
    assert "<svg" in page.read_text()
    assert "<script" not in page.read_text()


def test_the_planted_week_of_the_sample_company_is_explained_to_the_last_digit() -> None:
    ledger = at.build_ledger(
        at.sample_path("acme/data"), config=at.sample_path("acme/config/attribution.yaml"), quiet=True
    )
    rows = pq.read_table(Path(at.sample_path("acme")) / "truth" / "facts.parquet").to_pylist()
    truth = {row["period"]: row["value"] for row in rows if row["fact"] == "support_cost"}

    answer = at.explain_change(ledger, "2026-W41", "2026-W42", where={"owner_team": "support"}, cost="list_cost")

    assert (answer.cost_before, answer.cost_after) == (truth["2026-W41"], truth["2026-W42"])
    assert sum(answer.drivers["effect"]) == truth["2026-W42"] - truth["2026-W41"]
    assert answer.headline.startswith("Support rose 37 %")


def test_explain_change_prints_the_answer_first() -> None:
    result = run("explain-change", ACME, *WEEKS, "--where", "owner_team=support")

    assert result.exit_code == 0
    assert result.stdout.startswith("Support ")


def test_anomalies_lists_events_and_can_fail_a_build() -> None:
    listed = answer_of("anomalies", ACME, "--by", "owner_team", "--floor", "0.02")
    failed = run("anomalies", ACME, "--by", "owner_team", "--floor", "0.02", "--fail")

    assert listed["events"]
    for event in listed["events"]:
        assert Decimal(event["excess"]) == Decimal(event["actual"]) - Decimal(event["expected"])
        drivers = event["decomposition"]["drivers"]
        assert sum(Decimal(row["effect"]) for row in drivers) == Decimal(event["decomposition"]["change"])
    assert failed.exit_code == 1


def test_forecast_prints_the_interval_and_can_fail_a_build() -> None:
    row = answer_of("forecast", ACME, "--as-of", "2026-10-12", "--budget", "1")["rows"][0]

    low, point, high = (Decimal(row[name]) for name in ("low_80", "forecast", "high_80"))
    assert Decimal(row["month_to_date"]) <= low <= point <= high
    assert row["chance_over"] == 1.0
    assert run("forecast", ACME, "--budget", "1", "--fail-above", "50%").exit_code == 1


def test_the_end_of_the_hours_may_be_said_in_any_zone() -> None:
    answer = answer_of("what-changed", ACME, "--as-of", "2026-10-20T03:30+02:00")

    assert answer["window"] == "2026-10-19T01:00..2026-10-20T01:00"
    assert run("what-changed", ACME, "--as-of", "now").exit_code == 2


def test_what_changed_says_first_whether_everything_arrived() -> None:
    answer = answer_of("what-changed", ACME, "--last", "7d")

    assert answer["status"] in ("complete", "incomplete")
    assert {row["status"] for row in answer["sources"]} <= {"arrived", "late", "ended"}
    assert len(answer["series"]) == 7 * 24


def test_a_strange_period_or_condition_could_not_run() -> None:
    result = run("explain-change", ACME, "--before", "last week", "--after", "2026-W42")

    assert result.exit_code == 2
    assert "`before` was 'last week'" in result.stderr


def test_conditions_are_read_by_column() -> None:
    assert read_where(["owner_team=support", "model=a", "model=b", "feature="]) == {
        "owner_team": "support",
        "model": ["a", "b"],
        "feature": None,
    }
    with pytest.raises(QuestionError, match="COLUMN=VALUE"):
        read_where(["support"])


def test_the_gate_on_a_rise_says_why() -> None:
    ledger = company(days=40, planted={(38, "triage"): "retries"})

    assert gates.rise(ledger, Decimal("0.02"))[0].endswith("Limit for 2026-09-05..2026-09-11: 2%.")
    assert gates.rise(ledger, Decimal("0.5")) == []


def test_the_gate_on_alerts_looks_at_one_period() -> None:
    ledger = company(days=50, planted={(44, "triage"): "retries"})

    assert len(gates.alerts(ledger, str(on(44)))) == 1
    assert gates.alerts(ledger, str(on(40))) == []


def test_the_gate_on_budgets_names_the_team() -> None:
    events = spend(date(2026, 9, 1), ["10"] * 40)
    ledger = ledger_of(*events, team=[{"team": "support", "budget": Decimal(200)}])

    assert gates.over_budget(ledger, Decimal("0.5")) == [
        "support will pass its budget of $200.00 in 2026-10 with a chance of 100%: forecast $310.00."
    ]
    assert gates.broken_limits(ledger, None, None, None) == []


def test_check_holds_limits_on_change() -> None:
    assert run("check", ACME, "--max-unattributed", "100%", "--no-anomalies-in", "2026").exit_code == 1
