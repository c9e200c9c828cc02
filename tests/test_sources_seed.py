from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.reading import Sample
from attribution.sources import seed
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, rows, taken

SEED = FIXTURES / "sources" / "seed"


def call(**fields: Any) -> dict[str, Any]:
    return {"provider": "openai", "model": "gpt-4.1-mini", "input_tokens": 10, "output_tokens": 2} | fields


def trace(*calls: Any, **fields: Any) -> dict[str, Any]:
    return {"trace_id": "tr_1", "owner_team": "support", **fields, "provider_calls": list(calls)}


def read(document: dict[str, Any]) -> list[dict[str, Any]]:
    return rows(document, source="seed")


# The article's two traces.


def test_the_complete_trace_is_its_two_calls_under_support() -> None:
    bedrock, openai = taken(SEED / "complete_trace.json").rows["observation"]

    for each in (bedrock, openai):
        assert (each["trace_id"], each["owner_team"], each["workflow_id"], each["feature"]) == (
            "tr_9f4c",
            "support",
            "ticket-triage-v4",
            "auto-classify",
        )
        assert (each["tenant_id_hash"], each["user_id_hash"], each["service_tier"]) == ("t_71b2", "u_19ac", "standard")
        assert (each["usage_flags"], each["ownership_flags"], each["started_at"]) == (None, None, None)
    assert (bedrock["provider"], bedrock["model"], bedrock["provider_request_id"]) == (
        "aws",
        "anthropic.claude-sonnet",
        "br_441",
    )
    assert (bedrock["input_tokens"], bedrock["output_tokens"], bedrock["source_cost"]) == (
        18400,
        2100,
        Decimal("0.091"),
    )
    assert (openai["input_tokens"], openai["output_tokens"], openai["source_cost"]) == (3200, 480, Decimal("0.002"))


def test_the_broken_trace_is_one_call_without_owner_whose_gateway_only_claims_it() -> None:
    (only,) = taken(SEED / "broken_trace.json").rows["observation"]

    assert (only["provider"], only["model"]) == ("aws", "anthropic.claude-sonnet")
    assert (only["input_tokens"], only["output_tokens"], only["source_cost"]) == (18400, 2100, None)
    assert [only.get(name) for name in ("owner_team", "workflow_id", "feature", "tenant_id_hash")] == [None] * 4
    assert (only["claimed_team"], only["ownership_flags"]) == ("support-platform", ["claimed_by:gateway"])
    assert only["provider_request_id"] is None


def test_the_broken_trace_names_its_hops_in_order() -> None:
    spans = taken(SEED / "broken_trace.json").rows["span"]

    assert [(s["name"], s["parent_span_id"], s["is_call"]) for s in spans] == [
        ("gateway", None, False),
        ("router", "tr_9f4c/gateway", False),
        ("worker", "tr_9f4c/router", True),
    ]
    assert [(s.get("owner_team"), s.get("feature"), s.get("claimed_team")) for s in spans] == [
        (None, "ticket-triage", "support-platform"),
        (None, None, None),
        (None, None, None),
    ]


def test_one_object_an_array_and_lines_are_the_same_traces(tmp_path: Any) -> None:
    whole, single = open_ledger(), open_ledger()
    array = tmp_path / "traces.json"
    array.write_text(f"[{(SEED / 'broken_trace.json').read_text()},{(SEED / 'complete_trace.json').read_text()}]")

    load(whole, array)
    load(single, SEED / "broken_trace.json", SEED / "complete_trace.json")
    lines = load(whole, SEED / "both_traces.jsonl")

    columns = "select * exclude (file_id, line) from observation order by observation_id"
    assert whole.rows(columns) == single.rows(columns)
    assert (lines.files[0]["duplicates"], lines.files[0]["records"]) == (5, 5)


# Generalisations of the complete trace.


@pytest.mark.parametrize("name", ["provider_calls", "calls", "spans", "children", "steps", "events", "attempts"])
def test_calls_may_be_called_otherwise(name: str) -> None:
    document = {"trace_id": "tr_1", "owner_team": "support", name: [call(), call()]}

    assert seed.recognise(Sample("f", "json", [document])) >= 70
    assert [each["owner_team"] for each in read(document)] == ["support", "support"]


def test_a_call_may_override_its_trace_and_that_is_flagged() -> None:
    (only,) = read(trace(call(owner_team="growth")))

    assert (only["owner_team"], only["ownership_flags"]) == ("growth", ["owner_team:other_value:trace:support"])


def test_calls_within_calls_inherit_from_the_nearest() -> None:
    inner, outer = read(trace({"feature": "plan", "steps": [call()]}, call(), feature="chat"))

    assert (inner["feature"], inner["owner_team"], outer["feature"]) == ("plan", "support", "chat")


def test_a_step_without_model_and_tokens_is_context() -> None:
    intake = intake_of(trace({"tool": "search"}, call()), source="seed")

    assert (intake.records, intake.context, len(intake.rows["observation"])) == (2, 1, 1)


def test_a_trace_without_calls_is_context() -> None:
    intake = intake_of(trace(), source="seed")

    assert (intake.records, intake.context) == (1, 1)


def test_a_bad_call_is_set_aside_alone() -> None:
    intake = intake_of(trace(call(input_tokens="many"), call(), 5), source="seed")

    assert [(fault["field"], fault["reason"]) for fault in intake.faults] == [
        ("input_tokens", "not_a_count"),
        ("provider_calls", "not_an_object"),
    ]
    assert (intake.records, len(intake.rows["observation"])) == (3, 1)


def test_calls_without_ids_and_repeated_ids_stay_apart() -> None:
    found = read(trace(call(request_id="r"), call(request_id="r"), call(), call()))

    assert len({each["native_id"] for each in found}) == 4


def test_openai_names_and_customer_handles_are_read() -> None:
    openai = {"model": "m", "prompt_tokens": 7, "completion_tokens": 3, "cost_usd": Decimal("0.1")}

    (only,) = read(trace(openai, customer_id_hash="t_71b2", tenant_id=None))

    assert (only["input_tokens"], only["output_tokens"], only["source_cost"]) == (7, 3, Decimal("0.1"))
    assert only["tenant_id_hash"] == "t_71b2"


def test_an_id_that_a_provider_gave_its_answer_is_the_response_id() -> None:
    (only,) = read(trace(call(request_id="chatcmpl-1")))

    assert (only["response_id"], only.get("provider_request_id")) == ("chatcmpl-1", None)


def test_a_raw_tenant_is_not_stored() -> None:
    (only,) = read(trace(call(), tenant_id="ann@example.com"))

    assert (only.get("tenant_id_hash"), only["ownership_flags"]) == (None, ["tenant_id_hash:unhashed"])


@pytest.mark.parametrize(("said", "hit"), [({"cache_hit": True}, True), ({"cache_policy": "miss"}, False), ({}, None)])
def test_the_gateways_cache_is_read_by_flag_or_policy(said: dict[str, Any], hit: bool | None) -> None:
    assert row(trace(call(**said)), "seed")["cache_hit"] is hit


@pytest.mark.parametrize(
    ("total", "flags"),
    [
        (Decimal("0.093"), None),
        (Decimal("0.0945"), None),
        (Decimal("0.0946"), ["total_estimated_cost_usd 0.0946 <> sum of calls 0.093"]),
        (Decimal("0.5"), ["total_estimated_cost_usd 0.5 <> sum of calls 0.093"]),
        (None, None),
    ],
)
def test_the_total_of_a_trace_is_checked_within_the_rounding_of_its_parts(
    total: Decimal | None, flags: list[str] | None
) -> None:
    calls = [call(estimated_cost_usd=Decimal("0.091")), call(estimated_cost_usd=Decimal("0.002"))]

    first, second = read(trace(*calls, total_estimated_cost_usd=total))

    assert (first["usage_flags"], second["usage_flags"]) == (flags, None)


def test_a_total_is_not_checked_where_a_call_has_no_cost() -> None:
    first, _ = read(trace(call(estimated_cost_usd=Decimal("0.1")), call(), total_estimated_cost_usd=Decimal("9")))

    assert first["usage_flags"] is None


def test_times_need_an_offset_and_are_kept_in_utc() -> None:
    intake = intake_of(
        trace(call(started_at="2026-10-05T14:00:00+02:00"), call(started_at="2026-10-05T14:00:00")), source="seed"
    )

    assert intake.rows["observation"][0]["started_at"] == 1_791_201_600_000_000
    assert [fault["reason"] for fault in intake.faults] == ["no_time_zone"]


@pytest.mark.parametrize(
    ("counts", "total", "reading"),
    [
        ({"cached_tokens": 4}, 10, "inclusive input: assumed, the record does not tell"),
        ({"cached_tokens": 40}, 50, "exclusive input: the parts 40 exceed input_tokens 10"),
        ({"cached_tokens": 4, "total_tokens": 12}, 10, "inclusive input: the record's total says so"),
        ({"cached_tokens": 4, "total_tokens": 16}, 14, "exclusive input: the record's total says so"),
        ({}, 10, "no parts given"),
    ],
)
def test_nesting_is_read_from_the_counts_where_they_prove_it(counts: dict[str, int], total: int, reading: str) -> None:
    (only,) = read(trace(call(**counts)))

    assert (only["input_tokens"], only["usage_reading"]) == (total, reading)


# Generalisations of the broken trace.


def test_any_object_with_usage_ownership_or_model_is_a_hop() -> None:
    document = {
        "trace_id": "tr_1",
        "edge": {"owner_team": "support", "team": "platform"},
        "note": {"text": "no hop"},
        "proxy": {"model": "gpt-5-mini", "provider": "openai"},
        "runner": {"input_tokens": 5, "output_tokens": 1, "request_id": "req_1"},
    }

    intake = intake_of(document, source="seed")

    assert [(s["name"], s.get("owner_team")) for s in intake.rows["span"]] == [
        ("edge", "support"),
        ("proxy", None),
        ("runner", None),
    ]
    (only,) = intake.rows["observation"]
    assert (only["span_id"], only["parent_span_id"], only["model"]) == ("tr_1/runner", "tr_1/proxy", "gpt-5-mini")
    assert (only.get("owner_team"), only["claimed_team"], only["provider_request_id"]) == (None, "platform", "req_1")


def test_usage_told_twice_is_one_call_and_a_difference_is_flagged() -> None:
    told = {
        "trace_id": "t",
        "gateway": {"team": "p", "prompt_tokens": 9},
        "worker": {"model": "m", "prompt_tokens": 10},
    }

    (only,) = read(told)

    assert (only["input_tokens"], only["usage_flags"]) == (10, ["input_tokens 10 <> 9 at gateway"])


def test_a_trace_told_without_usage_is_an_unmetered_call() -> None:
    (only,) = read({"trace_id": "t", "gateway": {"team": "p"}, "router": {"model": "m"}})

    assert (only["is_metered"], only["input_tokens"], only["model"]) == (False, None, "m")


def test_calls_beside_hops_hang_below_the_last_hop() -> None:
    intake = intake_of(trace(call(), gateway={"team": "platform"}), source="seed")

    (only,) = intake.rows["observation"]
    assert (only["parent_span_id"], only["claimed_team"], only["owner_team"]) == ("tr_1/gateway", "platform", "support")


@pytest.mark.parametrize(
    "document", [{"a": 1}, {"trace_id": 5, "calls": [call()]}, {"trace_id": "t", "calls": [{"x": 1}]}]
)
def test_other_documents_are_not_recognised(document: dict[str, Any]) -> None:
    assert seed.recognise(Sample("f", "json", [document])) == 0
