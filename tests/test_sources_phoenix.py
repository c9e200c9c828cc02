"""Phoenix spans: three exports of the same spans, and the traps of its page."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attribution import matching
from attribution.ledger import Ledger, open_ledger
from attribution.loading import load
from attribution.sources import Intake, phoenix
from tests.examples import FIXTURES

SAMPLES = FIXTURES / "sources" / "phoenix"
CALLS = """select trace_id, span_id, response_id, provider, model, status, started_at, ended_at, input_tokens,
    output_tokens, cache_read_tokens, cache_write_5m_tokens, owner_team, workflow_id, feature, session_id
    from observation order by span_id"""


def loaded(path: Any) -> Ledger:
    ledger = open_ledger()
    report = load(ledger, path)
    assert report.refused == []
    assert [file["quarantined"] for file in report.files] == [0]
    return ledger


def row_of(**attributes: Any) -> dict[str, Any]:
    """Return one row of the data frame."""
    return {
        "name": "ChatCompletion",
        "span_kind": "LLM",
        "parent_id": None,
        "start_time": "2026-11-23T15:14:03.012433+00:00",
        "end_time": "2026-11-23T15:14:05.135767+00:00",
        "status_code": "OK",
        "context.trace_id": "eddc2ad9e5a2e32f6e40bc2ce6066a9e",
        "context.span_id": "9dcb713830b7030d",
        "attributes.llm.model_name": "gpt-5-mini",
        "attributes.llm.token_count.prompt": 2006.0,
        "attributes.llm.token_count.completion": 300.0,
    } | attributes


def read(*documents: dict[str, Any]) -> Intake:
    intake = Intake("phoenix")
    for line, document in enumerate(documents, 1):
        phoenix.read(document, line, intake)
    return intake


def test_the_three_exports_of_a_span_give_the_same_call() -> None:
    frame, rest, otlp = (
        loaded(SAMPLES / name).rows(CALLS)
        for name in ("spans_dataframe.parquet", "rest_v1_spans.json", "rest_v1_spans_otlp.json")
    )

    assert len(frame) == 7
    assert len(rest) == len(otlp) == 2
    assert set(rest) <= set(frame)
    # Phoenix passes OTLP times through floats: they are off by less than a microsecond.
    assert [(*row[:6], *row[8:]) for row in otlp] == [(*row[:6], *row[8:]) for row in rest]
    assert max(
        abs(a - b) for old, new in zip(rest, otlp, strict=True) for a, b in zip(old[6:8], new[6:8], strict=True)
    ) <= timedelta(microseconds=1)


def test_every_span_is_a_record_and_a_call_told_by_two_spans_counts_once() -> None:
    ledger = loaded(SAMPLES / "spans_dataframe.parquet")

    assert ledger.value("select count(*) from span") == 8
    tokens = "select sum(input_tokens + output_tokens) from {} where operation <> 'embeddings'"
    assert ledger.value(tokens.format("observation")) == 12_554
    matching.match(ledger)
    assert ledger.value(tokens.format("event")) == 9_736


def test_a_frame_from_memory_reads_like_its_file() -> None:
    expected = loaded(SAMPLES / "spans_dataframe.parquet").rows(CALLS)

    assert loaded(pq.read_table(SAMPLES / "spans_dataframe.parquet")).rows(CALLS) == expected


def test_a_failed_span_has_its_exception_and_no_usage() -> None:
    ledger = loaded(SAMPLES / "spans_dataframe.parquet")

    query = "select error_type, requested_model, is_metered from observation where status = 'error'"
    assert ledger.rows(query) == [("openai.InternalServerError", "gpt-4.1-broken", False)]


def test_metadata_that_is_a_struct_in_parquet_gives_nothing_where_a_row_has_none() -> None:
    metadata = {"owner_team": None, "workflow_id": "triage"}

    (call,) = read(row_of(**{"attributes.metadata": metadata})).rows["observation"]

    assert call.get("owner_team") is None
    assert call["workflow_id"] == "triage"
    assert "ownership_flags" not in call


def test_not_a_number_is_no_count_and_a_fraction_is_set_aside() -> None:
    missing = row_of(**{"attributes.llm.token_count.prompt_details.cache_read": float("nan")})
    broken = row_of(**{"attributes.llm.token_count.prompt": 1.5})

    intake = read(missing, broken)

    assert "cache_read_tokens" not in intake.rows["observation"][0]
    assert [(fault["line"], fault["field"], fault["reason"]) for fault in intake.faults] == [
        (2, "llm.token_count.prompt", "not_a_count")
    ]


def test_an_embedding_counts_its_prompt() -> None:
    row = row_of(span_kind="EMBEDDING") | {"attributes.embedding.model_name": "text-embedding-3-small"}
    del row["attributes.llm.token_count.completion"], row["attributes.llm.model_name"]

    (call,) = read(row).rows["observation"]

    assert (call["operation"], call["model"], call["input_tokens"]) == ("embeddings", "text-embedding-3-small", 2006)


def test_the_producer_s_own_cost_is_kept_beside() -> None:
    (call,) = read(row_of(**{"attributes.llm.cost.total": 0.0006695})).rows["observation"]

    assert call["source_cost"] == Decimal("0.0006695")


def test_a_bad_span_of_a_page_is_set_aside_alone(tmp_path: Path) -> None:
    page = json.loads((SAMPLES / "rest_v1_spans.json").read_text())
    page["data"][1]["context"]["span_id"] = "nope"
    path = tmp_path / "page.json"
    path.write_text(json.dumps(page))
    ledger = open_ledger()

    (file,) = load(ledger, path).files

    assert (file["records"], file["accepted"], file["quarantined"]) == (3, 2, 1)
    assert ledger.rows("select line, record, field, reason from quarantine") == [(1, 1, "spanId", "not_an_id")]


@pytest.mark.parametrize("page", [{"data": []}, {"data": [], "next_cursor": None}])
def test_an_empty_page_is_no_fault(page: dict[str, Any]) -> None:
    assert read(page).faults == []


def test_a_frame_of_other_columns_is_not_taken_for_phoenix() -> None:
    table = pa.table({"name": ["x"], "span_kind": ["LLM"]})

    assert load(open_ledger(), table, mapping={"model": "name"}).files[0]["source"] == "generic"
