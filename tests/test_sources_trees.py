"""MLflow traces and Weave calls: trees whose upper parts repeat the usage of the lower."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path

from attribution import matching
from attribution.ledger import Ledger, open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

SAMPLES = FIXTURES / "sources"


def loaded(*paths: Path) -> Ledger:
    ledger = open_ledger()
    report = load(ledger, *paths)
    assert report.refused == []
    assert [file["quarantined"] for file in report.files] == [0] * len(paths)
    return ledger


# MLflow.


def test_an_mlflow_trace_gives_its_calls_and_not_their_sums() -> None:
    ledger = loaded(SAMPLES / "mlflow" / "trace_v3.json")

    query = """select span_id, model, requested_model, response_id, provider, status, is_metered, input_tokens,
        cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, source_cost
        from observation order by span_id"""
    mini, broken, claude = "gpt-5-mini", "gpt-4.1-broken", "claude-sonnet-4-5-20250929"
    cost = Decimal("0.0006695")
    assert ledger.rows(query) == [
        ("1" * 16, mini, mini, "chatcmpl-1", None, "ok", True, 2006, 1920, None, None, 300, cost),
        ("2" * 16, claude, None, None, "anthropic", "ok", True, 2518, 1920, 500, 12, 300, None),
        ("3" * 16, broken, broken, None, None, "error", False, None, None, None, None, None, None),
    ]
    assert ledger.rows("select not_a_call from span where not is_call") == [("aggregate: AGENT",)]
    assert ledger.value("select count(*) from observation where len(usage_flags) > 0") == 0


def test_what_an_mlflow_trace_says_holds_for_all_its_spans() -> None:
    ledger = loaded(SAMPLES / "mlflow" / "trace_v3.json")

    query = "select distinct owner_team, workflow_id, session_id, user_id_hash from observation"
    assert ledger.rows(query) == [("support", "ticket-triage-v4", "sess-1", "u_19ac")]
    assert ledger.value("select count(*) from span where owner_team = 'support'") == 4


def test_rows_of_a_trace_search_with_spans_of_version_2_read_alike() -> None:
    ledger = loaded(SAMPLES / "mlflow" / "search_traces_v2.jsonl")

    query = "select trace_id, span_id, model, input_tokens, owner_team, session_id from observation"
    assert ledger.rows(query) == [
        ("eddc2ad9e5a2e32f6e40bc2ce6066a9e", "1" * 16, "gpt-5-mini", 2006, "support", "sess-1")
    ]


def test_no_prompt_of_a_tree_is_stored() -> None:
    ledger = loaded(SAMPLES / "mlflow" / "trace_v3.json", SAMPLES / "weave" / "calls.jsonl")

    assert "secret" not in str(ledger.rows("select * from observation")) + str(ledger.rows("select * from span"))


# Weave.


def test_only_the_lowest_weave_calls_with_usage_are_calls_in_any_order(tmp_path: Path) -> None:
    lines = (SAMPLES / "weave" / "calls.jsonl").read_text().splitlines()
    results = set()
    for number, order in enumerate(list(permutations(lines))[::20]):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(order) + "\n")
        ledger = loaded(path)
        assert ledger.rows("select records, accepted from source_file") == [(5, 5)]
        assert ledger.rows("select span_id, not_a_call from span where not is_call order by all") == [
            ("root", "aggregate: usage of the calls below"),
            ("step", None),
        ]
        query = "select response_id, provider, model, status, input_tokens, output_tokens from observation"
        results.add(tuple(ledger.rows(f"{query} order by span_id")))

    assert results == {
        (
            ("chatcmpl-1", "openai", "gpt-5-mini", "ok", 2006, 300),
            ("msg_1", "anthropic", "claude-sonnet-4-5-20250929", "ok", 2518, 300),
            (None, "openai", "gpt-4.1-broken", "error", None, None),
        )
    }


def test_weave_s_attributes_own_and_its_costs_are_kept_beside() -> None:
    ledger = loaded(SAMPLES / "weave" / "calls.jsonl")

    query = "select owner_team, workflow_id, source_cost, usage_reading from observation order by span_id limit 2"
    assert ledger.rows(query) == [
        ("support", "ticket-triage-v4", Decimal("0.0006695"), "inclusive: OpenTelemetry convention"),
        ("support", "ticket-triage-v4", None, "exclusive: the provider's own counts"),
    ]


def test_matching_leaves_the_calls_of_a_tree_as_they_are() -> None:
    ledger = loaded(SAMPLES / "weave" / "calls.jsonl")

    matching.match(ledger)

    assert ledger.rows("select count(*), sum(input_tokens) from event") == [(3, 4524)]


def test_a_weave_leaf_that_sums_several_requests_is_flagged(tmp_path: Path) -> None:
    call = json.loads((SAMPLES / "weave" / "calls.jsonl").read_text().splitlines()[0])
    call["summary"]["usage"]["gpt-5-mini"]["requests"] = 3
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps(call) + "\n")

    assert loaded(path).value("select usage_flags from observation") == ["requests 3 in one call"]
