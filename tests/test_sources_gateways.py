"""Helicone, Portkey and OpenRouter."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, taken

SOURCES = FIXTURES / "sources"
HELICONE = taken(SOURCES / "helicone" / "requests.jsonl").rows["observation"]
PORTKEY = taken(SOURCES / "portkey" / "logs.jsonl").rows["observation"]
NO_REFERENCE = "00000000-0000-0000-0000-000000000000"


def helicone(**fields: Any) -> dict[str, Any]:
    record = {
        "request_id": "q1",
        "request_created_at": "2026-11-23T15:08:41.500Z",
        "response_status": 200,
        "provider": "OPENAI",
        "request_model": "gpt-5-mini",
        "prompt_tokens": 86,
        "prompt_cache_read_tokens": 20,
        "completion_tokens": 108,
        "reasoning_tokens": 0,
        "total_tokens": 194,
        "cost": Decimal("0.0006695"),
        "properties": {},
        "cache_reference_id": NO_REFERENCE,
    }
    return row(record | fields, "helicone")


def table(**fields: Any) -> dict[str, Any]:
    record = {
        "request_id": "q1",
        "request_created_at": "2026-11-23 15:08:41.500",
        "status": 200,
        "latency": 900,
        "model": "gpt-5-mini",
        "provider": "OPENAI",
        "prompt_tokens": 86,
        "prompt_cache_read_tokens": 0,
        "completion_tokens": 108,
        "cost": 669500,
        "user_id": "",
        "properties": {},
    }
    return row(record | fields, "helicone")


def portkey(**fields: Any) -> dict[str, Any]:
    record = {
        "id": "p1",
        "trace_id": "t1",
        "created_at": "2026-11-23T15:08:41.500Z",
        "is_success": 1,
        "ai_org": "openai",
        "ai_model": "gpt-5-mini",
        "req_units": 2006,
        "res_units": 300,
        "total_units": 2306,
        "cost": Decimal("0.06695"),
        "cost_currency": "USD",
        "mode": "SINGLE",
    }
    return row(record | fields, "portkey")


def generation(**fields: Any) -> dict[str, Any]:
    record = {
        "id": "gen-1",
        "upstream_id": "msg_01abc",
        "created_at": "2026-09-14T10:22:31.000Z",
        "model": "anthropic/claude-sonnet-4.6",
        "total_cost": Decimal("0.0015"),
        "usage": Decimal("0.0015"),
        "is_byok": False,
        "tokens_prompt": 10,
        "tokens_completion": 25,
        "native_tokens_prompt": 11,
        "native_tokens_completion": 27,
        "native_tokens_reasoning": 5,
        "native_tokens_cached": 3,
    }
    return row(record | fields, "openrouter_generations")


# Helicone.


def test_helicone_counts_are_disjoint_and_become_totals() -> None:
    openai, anthropic = HELICONE[:2]

    assert (openai["input_tokens"], openai["output_tokens"], openai["cache_read_tokens"]) == (2006, 300, 1920)
    assert (anthropic["input_tokens"], anthropic["output_tokens"], anthropic["cache_write_5m_tokens"]) == (
        2518,
        300,
        512,
    )
    assert [each["usage_flags"] for each in (openai, anthropic)] == [None, None]


def test_helicone_cached_tokens_are_in_no_total_of_its_own() -> None:
    assert HELICONE[0]["total_tokens"] == 86 + 108 + 192


def test_older_helicone_rows_with_reasoning_inside_are_told_by_their_total() -> None:
    found = helicone(
        prompt_tokens=2006,
        prompt_cache_read_tokens=1920,
        completion_tokens=300,
        reasoning_tokens=192,
        total_tokens=2306,
    )

    assert (found["input_tokens"], found["output_tokens"]) == (2006, 300)


def test_a_helicone_total_that_fits_no_reading_is_flagged() -> None:
    assert helicone(total_tokens=9)["usage_flags"] == ["total_tokens 9 <> prompt + completion + reasoning 194"]


def test_helicone_costs_are_dollars_in_the_api_and_nano_dollars_in_the_table() -> None:
    assert helicone()["source_cost"] == table()["source_cost"] == Decimal("0.0006695")


def test_a_helicone_cost_that_must_be_raw_is_not_taken_for_dollars() -> None:
    found = helicone(cost=669500)

    assert (found["source_cost"], found["usage_flags"]) == (
        None,
        ["source_cost:669500 USD for one request, as nano-dollars would be"],
    )


def test_an_answer_from_helicones_cache_used_no_tokens_and_cost_nothing() -> None:
    hit = HELICONE[2]

    assert (hit["cache_hit"], hit["input_tokens"], hit["source_cost"]) == (True, 0, Decimal(0))
    assert [helicone(cache_reference_id=each)["cache_hit"] for each in (NO_REFERENCE, None, "")] == [False] * 3


def test_a_helicone_failure_is_unmetered() -> None:
    failed = HELICONE[3]

    assert (failed["status"], failed["error_type"], failed["is_metered"], failed["source_cost"]) == (
        "error",
        "429",
        False,
        None,
    )
    assert helicone(response_status=-3)["status"] == "error"


def test_a_zero_helicone_cost_for_usage_is_unknown() -> None:
    found = helicone(cost=0)

    assert (found["source_cost"], found["usage_flags"]) == (None, ["source_cost:zero_for_usage"])


def test_helicone_properties_name_owners_in_any_case() -> None:
    found = helicone(properties={"Owner-Team": "support", "Workflow-Id": "triage", "FEATURE": "chat"})

    assert (found["owner_team"], found["workflow_id"], found["feature"]) == ("support", "triage", "chat")


def test_an_empty_helicone_user_is_no_user() -> None:
    assert (table().get("user_id_hash"), helicone(request_user_id="u_19ac")["user_id_hash"]) == (None, "u_19ac")


def test_helicones_csv_is_escaped_twice_and_has_no_cache_counts() -> None:
    (only,) = taken(SOURCES / "helicone" / "requests.csv").rows["observation"]

    assert (only["owner_team"], only["user_id_hash"], only["model"]) == ("support", "u_19ac", None)
    assert only["usage_flags"] == ["input_tokens and output_tokens without their cached, audio and reasoning parts"]
    assert only["record_id"] == HELICONE[0]["record_id"]


def test_of_two_states_of_a_helicone_row_the_newest_is_kept(tmp_path: Any) -> None:
    record = json.loads((SOURCES / "helicone" / "requests.jsonl").read_text().splitlines()[0])
    for name, at, cost in (("a", "2026-11-23T16:00:00Z", 0.5), ("b", "2026-11-23T15:00:00Z", 0.1)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record | {"updated_at": at, "cost": cost}) + "\n")
    ledger = open_ledger()

    load(ledger, tmp_path)

    assert ledger.rows("select source_cost from observation") == [(Decimal("0.5"),)]


def test_a_page_of_helicones_api_is_read_record_by_record() -> None:
    records = [json.loads(line) for line in (SOURCES / "helicone" / "requests.jsonl").read_text().splitlines()]
    broken = records[0] | {"prompt_tokens": "many"}

    intake = intake_of({"data": [*records, broken], "error": None}, source="helicone")

    assert (len(intake.rows["observation"]), [fault["record"] for fault in intake.faults]) == (4, [4])


# Portkey.


def test_portkey_costs_are_cents_whatever_the_currency_says() -> None:
    assert portkey()["source_cost"] == Decimal("0.0006695")
    assert portkey(cost_currency="EUR")["source_cost"] is None


def test_portkey_attempts_share_the_trace() -> None:
    failed, answered = PORTKEY[:2]

    assert failed["operation_key"] == answered["operation_key"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (failed["status"], failed["error_type"], failed["is_metered"]) == ("error", "429", False)
    assert "operation_key" not in portkey()


def test_a_portkey_retry_says_its_number() -> None:
    assert (portkey(retry_success_count=1)["attempt_no"], "attempt_no" in portkey(mode="FALLBACK")) == (2, False)


@pytest.mark.parametrize(
    ("said", "hit"), [("HIT", True), ("SEMANTIC HIT", True), ("MISS", False), ("DISABLED", False), (None, None)]
)
def test_portkeys_cache_has_words(said: str | None, hit: bool | None) -> None:
    assert portkey(cache_status=said)["cache_hit"] is hit


def test_a_portkey_hit_costs_nothing_and_a_zero_for_a_miss_is_unknown() -> None:
    assert PORTKEY[2]["source_cost"] == Decimal(0)
    assert (portkey(cost=0)["source_cost"], portkey(cost=0)["usage_flags"]) == (None, ["source_cost:zero_for_usage"])


def test_portkey_units_are_as_the_provider_counts_and_split_only_with_the_answer() -> None:
    anthropic = PORTKEY[3]
    details = {"prompt_tokens_details": {"cached_tokens": 1920}, "completion_tokens_details": {"reasoning_tokens": 192}}
    openai = portkey(response={"id": "chatcmpl-1", "usage": details})

    assert (anthropic["input_tokens"], anthropic["cache_read_tokens"], anthropic["response_id"]) == (
        2518,
        1920,
        "msg_01abc",
    )
    assert (openai["input_tokens"], openai["cache_read_tokens"], openai["reasoning_tokens"]) == (2006, 1920, 192)
    assert portkey().get("cache_read_tokens") is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"metadata": {"owner_team": "support", "_user": "u_19ac"}},
        {"metadata": '{"owner_team": "support", "_user": "u_19ac"}'},
        {"metadata.key": ["owner_team", "_user"], "metadata.value": ["support", "u_19ac"]},
        {"metadata.key": '["owner_team", "_user"]', "metadata.value": '["support", "u_19ac"]'},
    ],
)
def test_portkey_metadata_is_an_object_or_two_lists(metadata: dict[str, Any]) -> None:
    found = portkey(**metadata)

    assert (found["owner_team"], found["user_id_hash"]) == ("support", "u_19ac")


def test_broken_portkey_metadata_costs_the_owner_and_not_the_call() -> None:
    found = portkey(metadata="{broken")

    assert (found["input_tokens"], found["ownership_flags"]) == (2006, ["metadata:not_json"])


def test_only_the_columns_that_were_asked_for_are_there() -> None:
    found = row({"ai_model": "gpt-5-mini", "req_units": 5, "res_units": 1, "ai_org": "openai"}, "portkey")

    assert (found["input_tokens"], found["status"], found["source_cost"], found["trace_id"]) == (
        5,
        "unknown",
        None,
        None,
    )


def test_naive_portkey_times_are_utc() -> None:
    assert portkey(created_at="2026-11-23T15:08:41.500")["started_at"] == portkey()["started_at"]


# OpenRouter.


def test_openrouter_bills_native_counts() -> None:
    (found,) = taken(SOURCES / "openrouter_generations" / "generation.json").rows["observation"]

    assert (found["input_tokens"], found["output_tokens"], found["cache_read_tokens"], found["reasoning_tokens"]) == (
        11,
        27,
        3,
        5,
    )
    assert (found["response_id"], found["provider_request_id"], found["provider"]) == (
        "gen-3bhGkxlo4XFrqiabUM7NDtwDzWwG",
        "msg_01abc",
        "openrouter",
    )
    assert found["source_cost"] == Decimal("0.0015")


def test_an_own_key_is_not_free() -> None:
    found = generation(is_byok=True, total_cost=0, usage=0, upstream_inference_cost=Decimal("0.02"))
    unknown = generation(is_byok=True, total_cost=0, usage=0, upstream_inference_cost=None)

    assert (found["source_cost"], found["usage_flags"]) == (Decimal("0.02"), ["source_cost:own_key"])
    assert (unknown["source_cost"], unknown["usage_flags"]) == (None, ["source_cost:own_key, upstream cost unknown"])


def test_two_openrouter_amounts_that_differ_are_flagged_with_both_numbers() -> None:
    assert generation(usage=Decimal("0.002"))["usage_flags"] == ["total_cost 0.0015 <> usage 0.002"]


def test_a_list_of_generations_is_read_one_by_one() -> None:
    record = {
        "id": "gen-1",
        "created_at": "2026-09-14T10:22:31Z",
        "native_tokens_prompt": 1,
        "native_tokens_completion": 1,
    }

    intake = intake_of({"data": [record, {**record, "id": None}]}, source="openrouter_generations")

    assert (len(intake.rows["observation"]), [fault["field"] for fault in intake.faults]) == (1, ["id"])
