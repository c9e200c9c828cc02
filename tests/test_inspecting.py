from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from attribution.cli import app
from attribution.errors import ConfigurationError, SourceError
from attribution.inspecting import inspect
from tests.examples import FIXTURES

SOURCES = FIXTURES / "sources"


def write(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "calls.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def call(**fields: Any) -> dict[str, Any]:
    return {"requestId": "r1", "model": "gpt-5-mini", "promptTokens": 1000, "completion_tokens": 100} | fields


def shares(found: Any) -> dict[str, str]:
    return dict(zip(found.coverage["field"], found.coverage["share"], strict=True))


def test_a_known_export_is_named_with_its_grain_units_and_nesting() -> None:
    found = inspect(SOURCES / "litellm_payload" / "standard_logging_payload.proxy.jsonl")

    assert (found.source, found.format, found.records, found.is_whole) == ("litellm_payload", "JSON Lines", 9, True)
    assert found.units[1] == "time epoch seconds"
    assert found.nesting == "cache reads and writes are in the input, reasoning is in the output, for every provider"
    assert {name: shares(found)[name] for name in ("owner_team", "feature", "input_tokens")} == {
        "owner_team": "88.9",
        "feature": "22.2",
        "input_tokens": "66.7",
    }
    assert found.faults.empty


def test_an_unknown_export_is_shown_by_the_map_that_its_names_suggest(tmp_path: Path) -> None:
    found = inspect(write(tmp_path, call(Team="support"), call(Team=None)))

    assert found.source == "generic"
    assert found.mapping == {
        "event_id": "requestId",
        "model": "model",
        "input_tokens": "promptTokens",
        "output_tokens": "completion_tokens",
        "owner_team": "Team",
    }
    assert shares(found)["owner_team"] == "50.0"


def test_coverage_is_of_what_stands_there_also_where_a_record_would_be_set_aside(tmp_path: Path) -> None:
    found = inspect(write(tmp_path, call(startTime="2026-10-05T12:00:00")))

    assert shares(found)["started_at"] == "100.0"
    assert found.units == ["times without a zone, declare tz: 1 records"]
    assert found.faults[["reason", "field", "records", "line"]].values.tolist() == [
        ["no_time_zone", "started_at", 1, 1]
    ]
    assert inspect(tmp_path / "calls.jsonl", options={"tz": "UTC"}).faults.empty


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([{"cached_tokens": 4000}], "cache reads are beside the input: in 1 of 1 records they exceed it"),
        (
            [{"cached_tokens": 400, "total_tokens": 1100}],
            "cache counts are in the input: the totals of 1 of 1 records say so",
        ),
        (
            [{"cached_tokens": 400, "total_tokens": 1500}, {"cached_tokens": 1}],
            "cache counts are beside the input: the totals of 1 of 2 records say so",
        ),
        ([{"cached_tokens": 400}], "not provable from these counts; declare input_includes_cache"),
        ([{}], "no record has cache counts, so nothing needs to be known"),
    ],
)
def test_nesting_is_proved_by_the_counts_or_said_to_be_unknown(
    tmp_path: Path, records: list[dict[str, int]], verdict: str
) -> None:
    assert inspect(write(tmp_path, *(call(**each) for each in records))).nesting == verdict


def test_a_cost_without_a_unit_is_weighed_and_not_taken(tmp_path: Path) -> None:
    found = inspect(write(tmp_path, call(cost=0.11)))

    assert "source_cost" not in shares(found)
    assert found.units == [
        "`cost` is not taken as it does not name its unit; plausible: dollars (100 USD per million tokens), "
        "cents (1.00 USD per million tokens)"
    ]


def test_a_declared_map_is_tried_and_its_faults_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, call(tokens_in=5), call(tokens_in="many"))

    found = inspect(path, {"model": "model", "input_tokens": "tokens_in"})

    assert found.faults[["reason", "field", "line"]].values.tolist() == [["not_a_count", "input_tokens", 2]]
    with pytest.raises(ConfigurationError, match="Did you mean `tokens_in`"):
        inspect(path, {"input_tokens": "token_in"})


def test_a_file_that_no_source_knows_shows_its_names_and_none_of_its_text(tmp_path: Path) -> None:
    found = inspect(write(tmp_path, {"prompt": "my secret", "nested": {"answer": "another secret"}}))

    assert found.source is None
    assert shares(found) == {"prompt": "100.0", "nested": "100.0", "nested.answer": "100.0"}
    assert found.notes[0].startswith(
        "It looks like JSON Lines with prompt, nested, nested.answer. "
        "Nearest: generic (misses model, input_tokens, output_tokens); "
    )
    assert "secret" not in str(found) + found._repr_html_() + json.dumps(found.as_dict())


def test_examples_are_three_rows_without_personal_data_prompts_and_keys(tmp_path: Path) -> None:
    records = [call(Team="ann@example.com", prompt="my secret", api="sk-1234567890abc") for _ in range(5)]

    found = inspect(write(tmp_path, *records))

    assert len(found.examples) == 3
    assert found.examples[0] == {
        "model": "gpt-5-mini",
        "input_tokens": "1000",
        "output_tokens": "100",
        "owner_team": "***",
    }
    assert all(word not in str(found) + found._repr_html_() for word in ("ann@", "secret", "sk-123"))


def test_markup_in_data_is_text_in_the_notebook(tmp_path: Path) -> None:
    shown = inspect(write(tmp_path, call(Team="</td><script>alert(1)</script>")))._repr_html_()

    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_frame_is_inspected_like_a_file() -> None:
    found = inspect(pd.DataFrame([call(), call(promptTokens=None)]))

    assert (found.path, found.format, found.records) == ("<frame>", "a frame", 2)
    assert shares(found)["input_tokens"] == "50.0"


def test_bad_lines_are_counted_by_reason_with_their_first_place(tmp_path: Path) -> None:
    path = write(tmp_path, call())
    path.write_text(path.read_text() + "nope\n[1]\nnope\n")

    found = inspect(path)

    assert found.records == 4
    assert found.faults[["reason", "records", "line"]].values.tolist() == [["not_json", 2, 2], ["not_an_object", 1, 3]]


def test_an_empty_file_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert (inspect(tmp_path / "empty").format, inspect(tmp_path / "empty").records) == ("an empty file", 0)
    with pytest.raises(SourceError, match="matches no file"):
        inspect(tmp_path / "nothing")


def test_the_command_prints_text_or_json(tmp_path: Path) -> None:
    path = write(tmp_path, call(Team="support"))
    runner = CliRunner()

    text = runner.invoke(app, ["inspect", str(path)])
    answer = json.loads(runner.invoke(app, ["inspect", str(path), "--json"]).stdout)

    assert (text.exit_code, "Source: generic" in text.stdout, "promptTokens" in text.stdout) == (0, True, True)
    assert (answer["command"], answer["mapping"]["owner_team"], answer["records"]) == ("inspect", "Team", 1)
