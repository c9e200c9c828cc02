from __future__ import annotations

import csv
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, taken

LANGFUSE = FIXTURES / "sources" / "langfuse"
QUOTED = LANGFUSE / "observations.blob-export.jsonl"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def generation(**fields: Any) -> dict[str, Any]:
    return {
        "id": "bb0d5480207eca84",
        "trace_id": TRACE,
        "project_id": "proj-1",
        "type": "GENERATION",
        "parent_observation_id": "9231078657ac05e3",
        "start_time": "2026-11-23 15:08:41.500",
        "end_time": "2026-11-23 15:08:42.400",
        "name": "classify",
        "metadata": {},
        "level": "DEFAULT",
        "provided_model_name": "gpt-5-mini",
        "usage_details": {"input": 86, "input_cached_tokens": 1920, "output": 108, "output_reasoning_tokens": 192},
        "cost_details": {},
        "total_cost": 0.0006695,
        "updated_at": "2026-11-23 15:08:44.000",
    } | fields


def read(**fields: Any) -> dict[str, Any]:
    return row(generation(**fields), "langfuse")


def usage(**counts: Any) -> dict[str, Any]:
    return read(usage_details={name.replace("__", "."): count for name, count in counts.items()})


# The captured export.


def test_the_captured_trace_is_a_failure_its_retry_and_a_fallback() -> None:
    intake = taken(QUOTED)
    calls = sorted(intake.rows["observation"], key=lambda each: each["started_at"])

    assert [(each["status"], each["model"], each["is_metered"]) for each in calls] == [
        ("error", "gpt-5-mini", False),
        ("ok", "gpt-5-mini", True),
        ("ok", "claude-sonnet-4-5-20250929", True),
    ]
    assert [(each.get("input_tokens"), each.get("output_tokens")) for each in calls] == [
        (None, None),
        (2006, 300),
        (2518, 300),
    ]
    assert sum(each["source_cost"] or 0 for each in calls) == Decimal("0.0079235")
    assert (intake.records, len(intake.rows["span"]), intake.faults) == (4, 4, [])


@pytest.mark.parametrize("name", ["observations.blob-export.unquoted64.jsonl", "observations.blob-export.parquet"])
def test_every_serialisation_tells_the_same(name: str) -> None:
    said, expected = taken(LANGFUSE / name), taken(QUOTED)

    assert (said.rows["observation"], said.rows["span"]) == (expected.rows["observation"], expected.rows["span"])


def test_the_traces_in_both_serialisations_carry_the_owners() -> None:
    (span,) = taken(LANGFUSE / "traces.blob-export.jsonl").rows["span"]
    (other,) = taken(LANGFUSE / "traces.blob-export.parquet").rows["span"]

    assert span == other
    assert (span["owner_team"], span["workflow_id"], span["feature"], span["user_id_hash"]) == (
        "support",
        "ticket-triage-v4",
        "auto-classify",
        "u_19ac",
    )


def test_root_observations_hang_below_their_trace_so_that_owners_are_inherited() -> None:
    root = next(span for span in taken(QUOTED).rows["span"] if span["name"] == "ticket-triage")
    (trace,) = taken(LANGFUSE / "traces.blob-export.jsonl").rows["span"]

    assert root["parent_span_id"] == trace["span_id"] == f"trace/{TRACE}"
    assert root["trace_id"] == trace["trace_id"] == TRACE


def test_observations_load_without_their_traces(tmp_path: Path) -> None:
    ledger = open_ledger()

    load(ledger, QUOTED)

    assert ledger.rows("select count(*), count(distinct trace_id) from observation") == [(3, 1)]


# Other layouts.


def test_a_page_of_the_api_and_a_ui_export_in_camel_case_are_read(tmp_path: Path) -> None:
    record = {
        "id": "bb0d5480207eca84",
        "traceId": TRACE,
        "projectId": "proj-1",
        "type": "GENERATION",
        "parentObservationId": "9231078657ac05e3",
        "name": "classify",
        "startTime": "2026-11-23T15:08:41.500Z",
        "endTime": "2026-11-23T15:08:42.400Z",
        "model": "gpt-5-mini",
        "usageDetails": {"input": 86, "input_cached_tokens": 1920, "output": 300},
        "totalCost": 0.0006695,
        "level": "DEFAULT",
        "traceTags": ["team:support"],
        "userId": "u_19ac",
        "metadata": {},
    }
    page = tmp_path / "page.json"
    page.write_text(json.dumps({"data": [record, record | {"id": "bb0d5480207eca85"}], "meta": {"page": 1}}, indent=1))
    cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in record.items()}
    with (tmp_path / "ui.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(cells), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerow(cells)

    first, second = taken(page).rows["observation"]
    (exported,) = taken(tmp_path / "ui.csv").rows["observation"]

    assert (first["input_tokens"], second["native_id"]) == (2006, "proj-1/bb0d5480207eca85")
    assert exported == first | {"line": 2, "record_no": 0}
    assert (first["owner_team"], first["user_id_hash"], first["started_at"]) == ("support", "u_19ac", 1795446521500000)


def test_denormalised_events_carry_their_owner_and_have_an_empty_root() -> None:
    event = generation(parent_observation_id="", user_id="u_19ac", tags=["feature:chat"], session_id="s")

    found = row(event, "langfuse")

    assert (found["parent_span_id"], found["feature"], found["user_id_hash"]) == (None, "chat", "u_19ac")
    assert found["session_id"] == "s"


def test_the_response_id_and_provider_are_found_in_the_spans_attributes() -> None:
    attributes = json.dumps({"gen_ai.response.id": "chatcmpl-1", "gen_ai.system": "az.ai.openai"})

    found = read(metadata={"attributes": attributes})

    assert (found["response_id"], found["provider"]) == ("chatcmpl-1", "azure")


def test_who_bills_can_be_declared_where_the_export_does_not_say() -> None:
    assert row(generation(), "langfuse")["provider"] is None
    assert row(generation(), "langfuse", provider="OpenAI")["provider"] == "openai"


# Usage.


def test_buckets_are_disjoint_and_the_total_is_not_added() -> None:
    found = usage(input="86", input_cached_tokens="1920", output="108", output_reasoning_tokens="192", total="2306")

    assert (found["input_tokens"], found["output_tokens"], found["total_tokens"]) == (2006, 300, 2306)
    assert (found["cache_read_tokens"], found["reasoning_tokens"], found["usage_flags"]) == (1920, 192, None)


@pytest.mark.parametrize("name", ["input_cached_tokens", "cache_read_input_tokens", "input_cache_read"])
def test_cache_reads_have_three_names(name: str) -> None:
    found = usage(input=86, output=1, **{name: 1920})

    assert (found["cache_read_tokens"], found["input_tokens"]) == (1920, 2006)


@pytest.mark.parametrize(
    "name", ["input_cache_creation", "input_cache_creation_5m", "cache_creation_input_tokens", "input_cache_write"]
)
def test_cache_writes_have_four_names(name: str) -> None:
    found = usage(input=86, output=1, **{name: 512})

    assert (found["cache_write_5m_tokens"], found["input_tokens"]) == (512, 598)


def test_prediction_tokens_are_output_and_unknown_units_are_kept() -> None:
    found = usage(input=1, output=10, output_rejected_prediction_tokens=5, searches=2)

    assert (found["output_tokens"], found["other_usage"]) == (15, [("searches", Decimal(2))])


def test_the_newer_name_of_cache_writes_is_in_the_input_already() -> None:
    found = usage(input=598, output=1, cache_write__input_tokens=512)

    assert (found["input_tokens"], found["cache_write_5m_tokens"], found["usage_flags"]) == (598, 512, None)


def test_counts_sent_inclusive_are_told_by_their_total() -> None:
    found = usage(input=2006, input_cached_tokens=1920, output=300, total=2306)

    assert (found["input_tokens"], found["output_tokens"], found["usage_flags"]) == (2006, 300, None)
    assert found["usage_reading"].startswith("inclusive")


def test_a_total_that_fits_neither_reading_is_flagged_with_both_numbers() -> None:
    assert usage(input=10, input_cached_tokens=5, output=1, total=99)["usage_flags"] == [
        "total_tokens 99 <> input_tokens + output_tokens 16"
    ]


def test_no_price_is_unknown_and_zero_is_free() -> None:
    assert read(total_cost=None)["source_cost"] is None
    assert read(total_cost=None)["usage_flags"] == ["source_cost:unpriced_at_source"]
    assert (read(total_cost=0)["source_cost"], read(total_cost=0)["usage_flags"]) == (Decimal(0), None)


def test_only_generations_and_embeddings_are_calls() -> None:
    agent = generation(type="AGENT", id="a", usage_details={"input": 5, "output": 1})
    embedding = generation(type="EMBEDDING", id="b", usage_details={"input": 5})

    intake = intake_of(agent, embedding, generation(type="SPAN", id="c", usage_details={}), source="langfuse")

    assert [each["operation"] for each in intake.rows["observation"]] == ["embeddings"]
    assert [(s["is_call"], s.get("not_a_call")) for s in intake.rows["span"]] == [
        (False, "aggregate"),
        (True, None),
        (False, None),
    ]


def test_another_type_is_set_aside_and_scores_are_context() -> None:
    intake = intake_of(generation(type="NEW"), {"id": "s", "name": "quality", "value": 1}, source="langfuse")

    assert ([fault["reason"] for fault in intake.faults], intake.context) == (["not_a_type"], 1)


# Windows overlap and rows are exported again.


def test_of_two_states_the_newest_is_kept_in_every_order(tmp_path: Path) -> None:
    states = [
        generation(updated_at="2026-11-23 15:08:44.000", total_cost=None, usage_details={}),
        generation(updated_at="2026-11-23 15:09:44.000", total_cost=0.5),
        generation(updated_at="2026-11-23 15:10:44.000", total_cost=0.25, end_time="2026-11-23 15:08:42.000"),
    ]
    paths = []
    for number, state in enumerate(states):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_text(json.dumps(state) + "\n")

    for order in itertools.permutations(paths):
        ledger = open_ledger()
        load(ledger, *order)
        assert ledger.rows("select source_cost from observation") == [(Decimal("0.25"),)]
        assert ledger.rows("select sum(accepted), sum(superseded), sum(conflicting) from source_file") == [(1, 2, 0)]


def test_the_same_row_in_two_windows_is_one_call(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(QUOTED.read_text())
    (tmp_path / "b.jsonl").write_text("\n" + QUOTED.read_text())
    ledger = open_ledger()

    result = load(ledger, tmp_path)

    assert [(row["accepted"], row["duplicates"]) for row in result.files] == [(4, 0), (0, 4)]
