from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.normalization import response_id
from attribution.sources._litellm import host
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, taken

PAYLOADS = FIXTURES / "sources" / "litellm_payload"
SPEND = FIXTURES / "sources" / "litellm_spend_logs"
SDK = taken(PAYLOADS / "standard_logging_payload.sdk.jsonl").rows["observation"]
PROXY = taken(PAYLOADS / "standard_logging_payload.proxy.jsonl").rows["observation"]
SDK_ROWS = taken(SPEND / "spend_logs_payload.sdk.jsonl").rows["observation"]
PROXY_ROWS = taken(SPEND / "spend_logs_payload.proxy.jsonl").rows["observation"]
BOTH = pytest.mark.parametrize("exports", [(SDK, PROXY), (SDK_ROWS, PROXY_ROWS)], ids=["payloads", "spend_logs"])
#: Lines of the SDK file, by scenario.
STREAM, EMBEDDING, RETRIED, RETRY, FALLBACK, HIT, UNPRICED, RESPONSES, UNMETERED = 3, 4, 5, 6, 9, 14, 15, 17, 20


def payload(**fields: Any) -> dict[str, Any]:
    """One successful chat through a proxy; only what matters need be said."""
    return {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "trace_id": "trace-1",
        "call_type": "acompletion",
        "status": "success",
        "startTime": 1795445598.150159,
        "endTime": 1795445598.194931,
        "model": "openai/gpt-5-mini",
        "custom_llm_provider": "openai",
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "response_cost": Decimal("0.0007064"),
        "cost_breakdown": {"total_cost": Decimal("0.0007064"), "original_cost": Decimal("0.0007064")},
        "cache_hit": None,
        "metadata": {},
    } | fields


def spend(**fields: Any) -> dict[str, Any]:
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": Decimal("0.0007064"),
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "startTime": "2026-11-23T14:53:18.150",
        "endTime": "2026-11-23T14:53:18.194",
        "model": "openai/gpt-5-mini",
        "custom_llm_provider": "openai",
        "cache_hit": "None",
        "metadata": {"cost_breakdown": {"original_cost": Decimal("0.0007064")}},
        "request_tags": "[]",
        "status": "success",
    } | fields


def slo(**fields: Any) -> dict[str, Any]:
    return row(payload(**fields), "litellm_payload")


def log(**fields: Any) -> dict[str, Any]:
    return row(spend(**fields), "litellm_spend_logs")


# What the captured files say.


@BOTH
def test_the_captured_records_have_the_known_totals(exports: tuple[list[dict[str, Any]], ...]) -> None:
    sdk, proxy = exports

    metered = [each for each in [*sdk, *proxy] if each["is_metered"]]

    assert (len(sdk), len(proxy), len(metered)) == (21, 9, 21)
    assert sum(each["input_tokens"] for each in metered) == 40_692
    assert sum(each["output_tokens"] for each in metered) == 5_720
    assert sum(each["cache_read_tokens"] or 0 for each in metered) == 19 * 1920
    assert sum(each["cache_write_5m_tokens"] or 0 for each in metered) == 5 * 512
    assert sum(each["source_cost"] or 0 for each in metered) == Decimal("0.04445086")


def test_both_exports_give_the_same_facts_of_each_attempt() -> None:
    said = ("record_id", "response_id", "gateway_call_id", "operation_key", "trace_id", "status", "provider", "model")
    counted = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens", "is_metered", "source_cost")

    for payloads, logged in ((SDK, SDK_ROWS), (PROXY, PROXY_ROWS)):
        for one, other in zip(payloads, logged, strict=True):
            assert [one.get(name) for name in (*said, *counted)] == [other.get(name) for name in (*said, *counted)]
            assert one["started_at"] == other["started_at"]


def test_native_ids_are_unique_in_each_export() -> None:
    for exported in ([*SDK, *PROXY], [*SDK_ROWS, *PROXY_ROWS]):
        assert len({each["native_id"] for each in exported}) == 30


# Attempts.


@BOTH
def test_a_router_retry_is_two_attempts_of_one_operation(exports: tuple[list[dict[str, Any]], ...]) -> None:
    failed, answered = exports[0][RETRIED], exports[0][RETRY]

    assert (failed["status"], answered["status"], answered["attempt_no"]) == ("error", "ok", 2)
    assert failed["operation_key"] == answered["operation_key"] == answered["trace_id"]
    assert failed["gateway_call_id"] != answered["gateway_call_id"]


@BOTH
def test_a_proxy_retry_shares_the_call_id_that_its_failure_is_recorded_under(
    exports: tuple[list[dict[str, Any]], ...],
) -> None:
    failed, answered = exports[1][2], exports[1][3]

    assert failed["operation_key"] == answered["operation_key"] == "46791645-e2df-4c36-ab29-31a8878076c5"
    assert failed["record_id"] == "46791645-e2df-4c36-ab29-31a8878076c5@1795445596863"
    assert (failed["response_id"], answered["response_id"]) == (None, "chatcmpl-9b3a4d9a570e4aceaf10e8388fec5")


@BOTH
def test_a_fallback_is_the_other_model_of_one_operation(exports: tuple[list[dict[str, Any]], ...]) -> None:
    first, second, answered = exports[0][FALLBACK - 2 : FALLBACK + 1]

    assert {each["operation_key"] for each in (first, second, answered)} == {answered["trace_id"]}
    assert [each["requested_model"] for each in (first, second, answered)] == [
        "triage-broken",
        "triage-broken",
        "triage-backup",
    ]
    assert (answered["provider"], answered["model"]) == ("anthropic", "claude-sonnet-4-5-20250929")


@BOTH
def test_a_single_call_of_the_sdk_is_joined_to_no_other_by_its_trace(
    exports: tuple[list[dict[str, Any]], ...],
) -> None:
    assert exports[0][0].get("operation_key") is None
    assert exports[0][0]["trace_id"] is not None


@BOTH
def test_a_cache_hit_has_no_response_of_its_own_and_costs_nothing(exports: tuple[list[dict[str, Any]], ...]) -> None:
    miss, hit = exports[0][HIT - 1], exports[0][HIT]

    assert (hit["cache_hit"], hit["response_id"], hit["source_cost"]) == (True, None, Decimal(0))
    assert hit["record_id"] == f"{miss['record_id']}_cache_hit@260af3fb-08b4-47c0-9807-56c4034c4d45"
    assert (hit["input_tokens"], hit["output_tokens"]) == (2006, 300)


@BOTH
def test_an_embedding_is_recorded_under_its_call_and_has_no_response_id(
    exports: tuple[list[dict[str, Any]], ...],
) -> None:
    embedding = exports[0][EMBEDDING]

    assert (embedding["operation"], embedding["status"], embedding["response_id"]) == ("embeddings", "ok", None)
    assert (embedding["input_tokens"], embedding["output_tokens"], embedding["is_metered"]) == (8, 0, True)


@BOTH
def test_a_wrapped_responses_id_becomes_the_providers_own(exports: tuple[list[dict[str, Any]], ...]) -> None:
    assert exports[0][RESPONSES]["response_id"] == "resp_95348a835a324d52b567bc0e12264e84"
    assert response_id("resp_68a1") == "resp_68a1"
    assert response_id("resp_bGl0ZWxsbTpub3QgYmFzZTY0!") == "resp_bGl0ZWxsbTpub3QgYmFzZTY0!"


# What a cost of zero means.


@BOTH
def test_the_four_meanings_of_a_zero_cost_are_told_apart(exports: tuple[list[dict[str, Any]], ...]) -> None:
    hit, failed, unpriced, unmetered = (exports[0][n] for n in (HIT, RETRIED, UNPRICED, UNMETERED))

    assert [each["source_cost"] for each in (hit, failed, unpriced, unmetered)] == [Decimal(0), None, None, None]
    assert [each["is_metered"] for each in (hit, failed, unpriced, unmetered)] == [True, False, True, False]
    assert unpriced["usage_flags"] == ["source_cost:unpriced_at_source"]
    assert (unmetered["input_tokens"], unmetered["output_tokens"]) == (None, None)
    assert unmetered["status"] == "ok"


def test_a_stream_with_usage_is_metered() -> None:
    assert (SDK[STREAM]["is_stream"], SDK[STREAM]["input_tokens"], SDK[STREAM]["is_metered"]) == (True, 2006, True)


def test_a_model_that_is_priced_at_zero_costs_zero() -> None:
    assert slo(response_cost=Decimal("0.0"), cost_breakdown={"total_cost": Decimal("0.0")})["source_cost"] == 0


def test_the_cost_is_the_response_cost_and_not_the_breakdown_of_a_hit() -> None:
    hit = slo(cache_hit=True, id="chatcmpl-1_cache_hit1795445115.3583043", response_cost=Decimal("0.0"))

    assert (hit["source_cost"], hit["usage_flags"]) == (Decimal(0), None)


def test_a_discount_inside_the_cost_is_flagged_with_both_numbers() -> None:
    assert slo(response_cost=Decimal("0.0006"))["usage_flags"] == [
        "source_cost:0.000600000000 after discount or margin on 0.000706400000"
    ]


def test_the_cost_is_exact() -> None:
    assert slo(response_cost=Decimal("0.0006695000000000001"))["source_cost"] == Decimal("0.000669500000")


# Usage.


def test_anthropic_input_holds_cache_reads_and_writes() -> None:
    anthropic = SDK[2]

    assert anthropic["input_tokens"] == 86 + 1920 + 512
    assert (anthropic["cache_read_tokens"], anthropic["cache_write_5m_tokens"]) == (1920, 512)
    assert (anthropic["cache_write_1h_tokens"], anthropic["service_tier"]) == (0, "standard")


def test_writes_are_counted_once_though_they_have_three_names() -> None:
    usage = {
        "prompt_tokens_details": {"cache_creation_tokens": 512, "cache_write_tokens": 512},
        "cache_creation_input_tokens": 512,
    }

    found = slo(metadata={"usage_object": usage})

    assert (found["cache_write_5m_tokens"], found.get("cache_write_1h_tokens")) == (512, None)


def test_one_hour_writes_are_told_from_five_minute_writes() -> None:
    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 412}
    usage = {"prompt_tokens_details": {"cache_creation_tokens": 512, "cache_creation_token_details": split}}

    found = slo(metadata={"usage_object": usage})

    assert (found["cache_write_5m_tokens"], found["cache_write_1h_tokens"], found["usage_flags"]) == (100, 412, None)


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"total_tokens": 9}, "total_tokens 9 <> input_tokens + output_tokens 2306"),
        (
            {"metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 3000}}}},
            "cache_read_tokens 3000 > input_tokens 2006",
        ),
        (
            {"metadata": {"usage_object": {"completion_tokens_details": {"reasoning_tokens": 301}}}},
            "reasoning_tokens 301 > output_tokens 300",
        ),
    ],
)
def test_violated_identities_are_flagged_with_both_numbers_and_not_clamped(fields: dict[str, Any], flag: str) -> None:
    assert slo(**fields)["usage_flags"] == [flag]


def test_a_wrong_count_is_set_aside_by_its_name() -> None:
    (fault,) = intake_of(payload(prompt_tokens=Decimal("1.5")), source="litellm_payload").faults

    assert (fault["field"], fault["reason"]) == ("prompt_tokens", "not_a_count")


def test_a_record_of_another_kind_is_set_aside() -> None:
    for source in ("litellm_payload", "litellm_spend_logs"):
        (fault,) = intake_of({"a": 1}, source=source).faults
        assert fault["reason"] == "other_record"


# Models and endpoints.


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("gpt-5-mini", "openai", "gpt-5-mini"),
        ("bedrock/eu.anthropic.claude-v1/x", "bedrock", "eu.anthropic.claude-v1/x"),
        ("projects/p/locations/l/models/m", "vertex_ai", "projects/p/locations/l/models/m"),
        ("openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
    ],
)
def test_only_the_providers_own_name_is_stripped_from_a_model(model: str, provider: str, expected: str) -> None:
    assert slo(model=model, custom_llm_provider=provider)["model"] == expected


@pytest.mark.parametrize("base", ["https://api.openai.com/v1/", "https://api.openai.com", "api.openai.com/v1"])
def test_an_endpoint_is_its_host(base: str) -> None:
    assert slo(api_base=base)["endpoint"] == "api.openai.com"


@pytest.mark.parametrize("base", ["[1]", "http://[::1", "//[x]/v1"])
def test_what_is_no_address_is_no_endpoint_and_stops_nothing(base: str) -> None:
    assert host(base) is None


def test_an_opentelemetry_trace_id_is_lower_case() -> None:
    assert slo(trace_id="4BF92F3577B34DA6A3CE929D0E0E4736")["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_providers_request_id_is_found_with_and_without_its_prefix() -> None:
    assert SDK[1]["provider_request_id"] == "req_a3a21ce847d54870a036522a"
    assert SDK[RETRIED]["provider_request_id"] == "req_bdb4a42b2a6e480f8e05a0ba"


# Ownership.


def owned(**fields: Any) -> dict[str, Any]:
    found = slo(**fields)
    return {name: found[name] for name in ("owner_team", "workflow_id", "feature", "claimed_team") if found.get(name)}


@pytest.mark.parametrize("tags", [["team:support", "feature:classify"], ["team=support", "feature=classify"]])
def test_tags_name_owners_in_both_spellings(tags: list[str]) -> None:
    assert owned(request_tags=tags) == {"owner_team": "support", "feature": "classify"}


def test_a_bare_tag_is_a_claim_that_is_only_flagged() -> None:
    found = slo(request_tags=["support"])

    assert ("owner_team" in found, found["ownership_flags"]) == (False, ["request_tags:bare:support"])


def test_a_client_name_is_never_an_owner() -> None:
    found = slo(request_tags=["User-Agent: team", "User-Agent: curl/7.88.1"])

    assert ("owner_team" in found, found["ownership_flags"]) == (False, None)


def test_declared_metadata_comes_before_tags_and_the_difference_is_flagged() -> None:
    found = slo(metadata={"spend_logs_metadata": {"owner_team": "support"}}, request_tags=["team:growth"])

    assert (found["owner_team"], found["ownership_flags"]) == (
        "support",
        ["owner_team:other_value:request_tags:growth"],
    )


def test_free_metadata_is_in_the_payload_and_not_in_the_table() -> None:
    sent, stored = PROXY[1], PROXY_ROWS[1]

    assert (sent["owner_team"], sent["workflow_id"], sent["feature"]) == (
        "support",
        "ticket-triage-v4",
        "auto-classify",
    )
    assert (stored["owner_team"], stored.get("workflow_id"), stored.get("feature")) == ("support", None, None)
    assert (PROXY[2]["owner_team"], PROXY_ROWS[2].get("owner_team")) == ("support", None)


def test_a_header_and_baggage_are_read_where_the_proxy_kept_them() -> None:
    headers = {"baggage": "owner_team=support,feature=auto%2Dclassify;p=1"}

    assert owned(metadata={"requester_metadata": {"headers": headers}}) == {
        "owner_team": "support",
        "feature": "auto-classify",
    }
    assert owned(metadata={"requester_custom_headers": {"X-Owner-Team": "support"}}) == {"owner_team": "support"}


def test_the_keys_team_is_a_claim_and_never_the_owner() -> None:
    keyed = {"user_api_key_team_id": "t-1", "user_api_key_team_alias": "platform", "user_api_key_hash": "88dc28d0"}

    assert owned(metadata=keyed) == {"claimed_team": "platform"}
    assert log(team_id="t-1")["claimed_team"] == "t-1"
    assert slo(metadata=keyed)["api_key_id"] == "88dc28d0"


def test_master_key_traffic_is_flagged() -> None:
    assert slo(metadata={"user_api_key_hash": "litellm_proxy_master_key"})["ownership_flags"] == ["master_key"]


def test_the_end_user_is_a_handle_and_is_stored_hashed_only() -> None:
    assert slo(end_user="u_19ac")["user_id_hash"] == "u_19ac"
    assert slo(end_user="ann@example.com").get("user_id_hash") is None
    hashed = row(payload(end_user="ann@example.com"), "litellm_payload", hash_key=b"key")
    assert hashed["user_id_hash"].startswith("h_")
    assert log(user="default_user_id", end_user="").get("user_id_hash") is None


@pytest.mark.parametrize("place", ["metadata", "spend_logs_metadata"])
@pytest.mark.parametrize("value", [5, "text", ["a"]])
def test_metadata_that_is_no_object_costs_the_owner_and_not_the_call(place: str, value: Any) -> None:
    found = slo(metadata=value) if place == "metadata" else slo(metadata={place: value})

    assert (found["input_tokens"], found["ownership_flags"]) == (2006, [f"{place}:not_an_object"])


# The table's own ways.


def test_python_words_are_flags_in_the_table() -> None:
    words = ("True", "False", "None", "", None, "true")

    assert [log(cache_hit=word)["cache_hit"] for word in words] == [True, False, None, None, None, True]


def test_naive_times_of_the_table_are_utc() -> None:
    assert log(startTime="2026-11-23 14:53:18.150")["started_at"] == 1_795_445_598_150_000
    assert log(startTime="2026-11-23T15:53:18.150+01:00")["started_at"] == 1_795_445_598_150_000


def test_a_failure_that_the_column_calls_success_is_a_failure() -> None:
    failed = {"request_id": "c-1", "litellm_call_id": "c-1", "prompt_tokens": 0, "completion_tokens": 0}

    assert log(**failed, total_tokens=0, spend=0, metadata={})["status"] == "error"
    assert log(**failed, total_tokens=0, spend=0, metadata={}, call_type="aimage_generation")["status"] == "unknown"
    assert log(status="failure", metadata={"error_information": {"error_class": "RateLimitError"}})["status"] == "error"


def test_a_database_keeps_milliseconds_and_both_exports_still_meet() -> None:
    failed = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "litellm_call_id": "c-1"}

    one = slo(id="c-1", status="failure", **failed)
    other = log(request_id="c-1", startTime="2026-11-23 14:53:18.150", metadata={}, **failed)

    assert one["record_id"] == other["record_id"] == "c-1@1795445598150"


def test_csv_json_and_parquet_dumps_of_the_table_tell_the_same(tmp_path: Path) -> None:
    documents = [json.loads(line) for line in (SPEND / "spend_logs_payload.proxy.jsonl").read_text().splitlines()]
    as_text = [
        {name: "" if value is None else str(value) for name, value in document.items()} for document in documents
    ]
    with (tmp_path / "spend.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(as_text[0]))
        writer.writeheader()
        writer.writerows(as_text)
    pq.write_table(pa.Table.from_pylist(documents), tmp_path / "spend.parquet")
    (tmp_path / "api.json").write_text(
        json.dumps([document | {"metadata": json.loads(document["metadata"])} for document in documents], indent=1)
    )

    for name in ("spend.csv", "spend.parquet", "api.json"):
        intake = taken(tmp_path / name)
        assert (intake.source, intake.faults) == ("litellm_spend_logs", [])
        for one, other in zip(intake.rows["observation"], PROXY_ROWS, strict=True):
            assert one == other | {"line": one["line"]}


def test_both_exports_together_load_without_conflict() -> None:
    ledger = open_ledger()

    result = load(ledger, str(PAYLOADS / "*.jsonl"), str(SPEND / "*.jsonl"))

    assert [row["accepted"] for row in result.files] == [9, 21, 9, 21]
    assert ledger.value("select count(*) from conflict") == 0
    assert ledger.rows(
        "select observations, count(*) from (select count(*) as observations from observation "
        "group by record_id) group by all"
    ) == [(2, 30)]
