"""The sample company's planted faults: the suites find those they are about, by number equal to the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import attribution as at
from attribution.cli import app
from attribution.expectations import condensing

ACME = Path(at.sample_path("acme"))


@pytest.fixture(scope="module")
def acme() -> Iterator[at.Ledger]:
    with at.build_ledger(ACME / "data", config=ACME / "config" / "attribution.yaml", quiet=True) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def answer(acme: at.Ledger) -> at.Quality:
    return at.validate(acme)


@pytest.fixture(scope="module")
def truth() -> list[dict[str, Any]]:
    return pq.read_table(ACME / "truth" / "calls.parquet").to_pylist()


def found(answer: at.Quality, rule: str) -> dict[str, Any]:
    (row,) = answer.frame[answer.frame["rule"] == rule].to_dict("records")
    return row


def struck(truth: list[dict[str, Any]], *faults: str) -> list[dict[str, Any]]:
    return [call for call in truth if set(faults) & set(call["faults"] or ())]


def test_unowned_calls_and_dollars_are_those_of_the_truth(answer: at.Quality, truth: list[dict[str, Any]]) -> None:
    unowned = [call for call in truth if call["expected_evidence"] in ("none", "rule")]
    for rule in ("CE-38", "CE-39"):
        row = found(answer, rule)
        assert row["outcome"] == "broken"
        assert row["failing"] == len(unowned)
        assert row["dollars"] == sum(call["seen_list_cost"] or Decimal(0) for call in unowned)
        assert row["without_price"] == sum(call["seen_list_cost"] is None for call in unowned)


def test_teams_that_no_registry_knows_are_those_misspelt_without_an_alias(
    answer: at.Quality, acme: at.Ledger, truth: list[dict[str, Any]]
) -> None:
    aliases = {row[0] for row in acme.rows("select name from alias where kind = 'team'")}
    misspelt = [call for call in struck(truth, "misspelt_team") if call["declared_team"] not in aliases]
    row = found(answer, "CE-19")
    assert row["failing"] == len(misspelt) > 0
    assert row["dollars"] == sum(call["seen_list_cost"] for call in misspelt)


def test_calls_without_a_price_are_the_previews_and_the_streams_without_usage(
    answer: at.Quality, truth: list[dict[str, Any]]
) -> None:
    unknown = struck(truth, "unknown_model", "streams_without_usage")
    assert found(answer, "CE-31")["failing"] == len([c for c in unknown if c["seen_list_cost"] is None])
    assert found(answer, "otlp-08")["failing"] == len(struck(truth, "streams_without_usage"))


def test_spans_whose_parent_was_never_exported_are_those_of_h8(answer: at.Quality, truth: list[dict[str, Any]]) -> None:
    traced = [call for call in struck(truth, "h8") if "otlp" in call["seen_in"]]
    row = found(answer, "SP-05")
    assert row["failing"] == len(traced)
    assert row["dollars"] == sum(call["seen_list_cost"] for call in traced)


def test_traces_that_name_two_teams_are_those_of_foreign_agents(
    answer: at.Quality, acme: at.Ledger, truth: list[dict[str, Any]]
) -> None:
    crossed = {call["trace_id"] for call in struck(truth, "h10", "cross_team_agent")}
    keys = answer.failures[answer.failures["rule"] == "SP-07"]["row_key"]
    assert {key.partition("/")[0] for key in keys} == crossed


def test_personal_data_is_found_where_a_span_carried_it(answer: at.Quality, truth: list[dict[str, Any]]) -> None:
    carried = [call for call in struck(truth, "personal_data") if "otlp" in call["seen_in"]]
    assert found(answer, "OB-17")["failing"] == len(carried) > 0


def test_attempts_that_the_gateway_never_logged_have_no_trace(answer: at.Quality, truth: list[dict[str, Any]]) -> None:
    assert found(answer, "CE-02")["failing"] == len(struck(truth, "retries_logged_once"))


def test_what_was_delivered_twice_is_no_double_anywhere(answer: at.Quality) -> None:
    for rule in ("CE-01", "OB-01", "OB-02", "SP-01", "LI-01", "BL-01", "OB-04"):
        assert (found(answer, rule)["outcome"], found(answer, rule)["failing"]) == ("pass", 0)


def test_negative_amounts_are_the_credits_and_corrections_and_break_nothing(
    answer: at.Quality, acme: at.Ledger
) -> None:
    assert acme.value("select count(*) from bill_line where billed_cost < 0") > 0
    assert found(answer, "BL-05")["outcome"] == found(answer, "BL-09")["outcome"] == "pass"


def test_no_other_critical_rule_is_broken(answer: at.Quality) -> None:
    critical = answer.broken[answer.broken["severity"] == "critical"]["rule"]
    assert sorted(critical) == ["CE-19", "CE-39", "OB-17"]


def test_failing_keys_lead_back_to_their_calls(answer: at.Quality, acme: at.Ledger) -> None:
    unowned = acme.value(
        "select sum(list_cost) from cost_event semi join "
        "(select event_id from quality_failure where rule = 'CE-39') using (event_id)"
    )
    assert unowned == found(answer, "CE-39")["dollars"]


def test_both_engines_agree_on_every_rule_of_the_sample(acme: at.Ledger, answer: at.Quality) -> None:
    reference = at.validate(acme, engine="great_expectations")
    columns = ["suite", "rule", "outcome", "failing", "judged", "dollars", "without_price"]
    assert reference.frame[columns].equals(answer.frame[columns])
    assert len(reference.failures) == len(answer.failures)


def test_rows_alike_are_judged_together_as_one_by_one(
    acme: at.Ledger, answer: at.Quality, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one = answer.failures
    monkeypatch.setattr(condensing, "WORTH_IT", 0)
    together = at.validate(acme)
    pd.testing.assert_frame_equal(together.frame, answer.frame)
    pd.testing.assert_frame_equal(together.failures, one_by_one)


def test_the_sample_company_is_what_its_stories_rest_on(acme: at.Ledger) -> None:
    assert at.validate(acme, "sample_company").passed


def test_the_command_answers_in_exit_codes_json_and_a_page(tmp_path: Path) -> None:
    data = [str(ACME / "data" / "otlp"), "--config", str(ACME / "config" / "attribution.yaml")]
    run = CliRunner().invoke
    assert run(app, ["quality", *data, "--suite", "spans_form", "--fail-on", "warning"]).exit_code == 0
    page = tmp_path / "quality.html"
    done = run(app, ["quality", *data, "--suite", "spans", "--fail-on", "warning", "--json", "--out", str(page)])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["passed"]) == (1, False)
    assert next(row for row in told["rules"] if row["rule"] == "SP-05")["failing"] == 37
    assert "the span above is exported too" in page.read_text(encoding="utf-8")
    assert run(app, ["quality", *data, "--suite", "nowhere.json"]).exit_code == 2
    assert run(app, ["quality", *data, "--fail-on", "fatal"]).exit_code == 2


def test_the_suites_are_listed_and_built(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["expectations", "list"])
    assert listed.exit_code == 0
    assert "cost_events" in listed.stdout
    built = CliRunner().invoke(app, ["expectations", "build", "--out", str(tmp_path)])
    assert built.exit_code == 0
    assert len(list(tmp_path.glob("*.json"))) == 8
