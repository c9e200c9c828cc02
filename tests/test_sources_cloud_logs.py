"""Bedrock invocation logs, Azure API Management's LLM log, Vertex request-response logs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.sources._google_usage import take_usage
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, taken

SOURCES = FIXTURES / "sources"
INVOCATIONS = SOURCES / "bedrock_invocation_log" / "invocation_log.jsonl"


def invocation(**fields: Any) -> dict[str, Any]:
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": "2026-09-14T10:22:31Z",
        "accountId": "111122223333",
        "region": "us-east-1",
        "requestId": "r1",
        "operation": "Converse",
        "modelId": "us.anthropic.claude-sonnet-4-6",
        "identity": {"arn": "arn:aws:iam::111122223333:user/alice"},
        "input": {"inputTokenCount": 3, "cacheReadInputTokenCount": 10, "cacheWriteInputTokenCount": 100},
        "output": {"outputTokenCount": 211},
    } | fields


def bedrock(**fields: Any) -> dict[str, Any]:
    return row(invocation(**fields), "bedrock_invocation_log")


def apim(**fields: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": "2026-09-14T10:22:31.123Z",
        "CorrelationId": "7f0c",
        "RequestId": "chatcmpl-1",
        "SequenceNumber": 0,
        "DeploymentName": "chat-prod",
        "ModelName": "gpt-5-mini-2025-08-07",
        "OperationName": "ChatCompletions_Create",
        "IsStreamCompletion": False,
        "PromptTokens": 1200,
        "CompletionTokens": 300,
        "TotalTokens": 1500,
    } | fields


def google(**usage: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    take_usage(found, usage)
    return found


# Bedrock.


def test_the_bedrock_log_is_a_call_a_stream_and_a_throttled_one() -> None:
    call, stream, throttled = taken(INVOCATIONS).rows["observation"]

    assert (call["input_tokens"], call["output_tokens"], call["cache_write_5m_tokens"]) == (25_040, 211, 25_037)
    assert (call["owner_team"], call["workflow_id"], call["usage_flags"]) == ("support", "triage", None)
    assert (stream["is_stream"], stream["input_tokens"], stream["output_tokens"]) == (True, 812, 64)
    assert (throttled["status"], throttled["error_type"], throttled["is_metered"]) == (
        "error",
        "ThrottlingException",
        False,
    )


def test_bedrock_cache_tokens_are_beside_the_input() -> None:
    found = bedrock()

    assert (found["input_tokens"], found["cache_read_tokens"], found["cache_write_5m_tokens"]) == (113, 10, 100)


def test_a_bedrock_body_tells_one_hour_writes_and_its_doubled_keys_are_not_added() -> None:
    usage = {
        "inputTokens": 3,
        "outputTokens": 211,
        "cacheReadInputTokens": 10,
        "cacheReadInputTokenCount": 10,
        "cacheWriteInputTokens": 100,
        "cacheWriteInputTokenCount": 100,
        "totalTokens": 324,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 40}, {"ttl": "1h", "inputTokens": 60}],
    }

    found = bedrock(output={"outputTokenCount": 211, "outputBodyJson": {"usage": usage}})

    assert (found["input_tokens"], found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (113, 40, 60)
    assert found["usage_flags"] is None


def test_an_anthropic_body_tells_its_id_and_one_hour_writes() -> None:
    body = {"id": "msg_bdrk_1", "usage": {"cache_creation": {"ephemeral_1h_input_tokens": 100}}}

    found = bedrock(output={"outputTokenCount": 211, "outputBodyJson": body})

    assert (found["response_id"], found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (
        "msg_bdrk_1",
        0,
        100,
    )


def test_a_bedrock_stream_without_counts_has_them_in_its_last_chunk() -> None:
    metrics = {"inputTokenCount": 812, "outputTokenCount": 64, "cacheReadInputTokenCount": 5}
    chunks = [
        {"type": "message_start", "message": {"id": "msg_bdrk_2", "usage": {"input_tokens": 812}}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics},
    ]

    found = bedrock(input={}, output={"outputBodyJson": chunks})

    assert (found["input_tokens"], found["output_tokens"], found["cache_read_tokens"]) == (817, 64, 5)
    assert found["response_id"] == "msg_bdrk_2"


def test_a_bedrock_body_that_counts_otherwise_is_flagged_with_both_numbers() -> None:
    found = bedrock(output={"outputTokenCount": 211, "outputBodyJson": {"usage": {"totalTokens": 9}}})

    assert found["usage_flags"] == ["totalTokens 9 <> logged counts 324"]


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-x", "us.anthropic.claude-x"),
    ],
)
def test_a_bedrock_arn_names_its_model(given: str, model: str) -> None:
    assert bedrock(modelId=given)["model"] == model


def test_an_application_profile_hides_the_model_and_stays_whole() -> None:
    arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/ab12cd34ef56"

    assert bedrock(modelId=arn)["model"] == arn


def test_the_calling_region_is_kept_and_not_the_serving_one() -> None:
    assert bedrock(inferenceRegion="us-west-2")["region"] == "us-east-1"


def test_the_callers_session_is_kept_unless_it_is_a_person() -> None:
    role = "arn:aws:sts::111122223333:assumed-role/support-bot"

    assert bedrock(identity={"arn": f"{role}/session-42"})["api_key_id"] == f"{role}/session-42"
    person = bedrock(identity={"arn": f"{role}/ann@example.com"})
    assert (person["api_key_id"], person["ownership_flags"]) == (f"{role}/[email]", ["api_key_id:personal_data:email"])


def test_a_trace_in_the_request_metadata_joins_the_call() -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    assert bedrock(requestMetadata={"traceparent": parent})["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_s3_objects_and_log_events_tell_the_same(tmp_path: Path) -> None:
    records = INVOCATIONS.read_text().splitlines()
    events = [{"id": str(n), "timestamp": 1, "message": text} for n, text in enumerate(records)]
    (tmp_path / "object.json.gz").write_bytes(gzip.compress(INVOCATIONS.read_bytes()))
    (tmp_path / "batch.json").write_text(json.dumps({"logGroup": "bedrock", "logEvents": events}, indent=1))
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))

    def facts(path: Path) -> list[dict[str, Any]]:
        return [{**each, "line": 0} for each in taken(path).rows["observation"]]

    expected = facts(INVOCATIONS)
    assert facts(tmp_path / "object.json.gz") == expected
    assert facts(tmp_path / "batch.json") == expected
    assert facts(tmp_path / "events.jsonl") == expected


def test_bodies_beside_the_bedrock_log_are_not_read(tmp_path: Path) -> None:
    hour = (
        tmp_path / "AWSLogs" / "111122223333" / "BedrockModelInvocationLogs" / "us-east-1" / "2026" / "09" / "14" / "10"
    )
    (hour / "data").mkdir(parents=True)
    (hour / "log.json.gz").write_bytes(gzip.compress(INVOCATIONS.read_bytes()))
    (hour / "data" / "log_input.json.gz").write_bytes(gzip.compress(b'{"messages": []}'))
    (hour / "amazon-bedrock-logs-permission-check").write_text("ok")

    result = load(open_ledger(), tmp_path)

    assert [Path(file["path"]).name for file in result.files] == ["log.json.gz"]
    assert (result.refused, result.passed_over) == ([], [])


def test_a_bad_event_of_a_batch_is_set_aside_alone() -> None:
    good = {"message": json.dumps(invocation())}

    intake = intake_of({"logEvents": [good, {"message": "{cut"}, {"message": "{}"}]}, source="bedrock_invocation_log")

    assert [(fault["record"], fault["reason"]) for fault in intake.faults] == [(1, "not_json"), (2, "other_record")]
    assert len(intake.rows["observation"]) == 1


# Azure API Management.


def test_three_rows_of_a_request_are_one_call() -> None:
    intake = taken(SOURCES / "azure_apim_llm_log" / "llm_log.jsonl")

    (only,) = intake.rows["observation"]
    assert (intake.records, intake.context) == (3, 2)
    assert (only["input_tokens"], only["output_tokens"], only["response_id"]) == (1200, 300, "chatcmpl-aaa")
    assert (only["provider"], only["model"], only["requested_model"]) == ("azure", "gpt-5-mini-2025-08-07", "chat-prod")


def test_an_unmetered_stream_behind_the_gateway_is_not_zero() -> None:
    found = row(apim(PromptTokens=0, CompletionTokens=0, TotalTokens=0, IsStreamCompletion=True), "azure_apim_llm_log")

    assert (found["is_metered"], found["input_tokens"], found["is_stream"]) == (False, None, True)


def test_a_csv_of_the_gateways_log_is_read(tmp_path: Path) -> None:
    document = apim(_ResourceId="/SUBSCRIPTIONS/S/Service/X", ApimSubscriptionId="team-a")
    path = tmp_path / "log.csv"
    path.write_text(f"{','.join(document)}\n{','.join(str(value) for value in document.values())}\n")

    (only,) = taken(path).rows["observation"]

    assert (only["input_tokens"], only["is_stream"], only["api_key_id"]) == (1200, False, "team-a")
    assert only["project_id"] == "/subscriptions/s/service/x"


def test_a_gateway_total_that_is_not_the_sum_is_flagged() -> None:
    assert row(apim(TotalTokens=9), "azure_apim_llm_log")["usage_flags"] == [
        "total_tokens 9 <> input_tokens + output_tokens 1500"
    ]


# Vertex.


def test_vertex_rows_are_calls_with_labels_and_traces() -> None:
    call, tool, failed = taken(SOURCES / "vertex_request_log" / "log.jsonl").rows["observation"]

    assert (call["input_tokens"], call["output_tokens"], call["reasoning_tokens"]) == (3297, 150, 95)
    assert (call["cache_read_tokens"], call["input_audio_tokens"], call["cache_read_audio_tokens"]) == (2918, 321, 284)
    assert (call["owner_team"], call["workflow_id"], call["trace_id"]) == (
        "support",
        "triage",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    )
    assert (call["project_id"], call["region"], call["service_tier"]) == ("acme-prod", "europe-west1", "standard")
    assert (tool["input_tokens"], tool["output_tokens"], tool["is_stream"]) == (120, 0, True)
    assert (failed["status"], failed["error_type"], failed["is_metered"]) == ("error", "RESOURCE_EXHAUSTED", False)


def test_cached_video_is_a_cache_read_and_no_video_input() -> None:
    found = google(
        promptTokenCount=100,
        cachedContentTokenCount=60,
        candidatesTokenCount=1,
        totalTokenCount=101,
        promptTokensDetails=[{"modality": "VIDEO", "tokenCount": 100}],
        cacheTokensDetails=[{"modality": "VIDEO", "tokenCount": 60}],
    )

    assert (found["input_tokens"], found["cache_read_tokens"], found["input_video_tokens"]) == (100, 60, 40)


def test_thoughts_are_added_to_the_output_and_tool_use_to_the_input() -> None:
    found = google(
        promptTokenCount=10, toolUsePromptTokenCount=5, candidatesTokenCount=3, thoughtsTokenCount=7, totalTokenCount=25
    )

    assert (found["input_tokens"], found["output_tokens"], found["usage_flags"]) == (15, 10, None)


def test_an_answer_without_candidates_has_no_output() -> None:
    assert google(promptTokenCount=10, totalTokenCount=10)["output_tokens"] == 0
    assert google(promptTokenCount=10, responseTokenCount=4)["output_tokens"] == 4


def test_details_that_do_not_add_up_are_flagged_and_a_detail_without_count_is_zero() -> None:
    found = google(
        promptTokenCount=351,
        totalTokenCount=351,
        promptTokensDetails=[{"modality": "TEXT", "tokenCount": 417}, {"modality": "AUDIO"}],
    )

    assert (found["usage_flags"], found["input_audio_tokens"]) == (
        ["promptTokensDetails 417 <> promptTokenCount 351"],
        0,
    )


def test_a_google_total_above_its_parts_is_hidden_reasoning_and_one_below_them_is_flagged() -> None:
    above = google(promptTokenCount=1, candidatesTokenCount=1, totalTokenCount=9)
    below = google(promptTokenCount=5, candidatesTokenCount=1, totalTokenCount=2)

    assert (above["output_tokens"], above["reasoning_tokens"]) == (8, 7)
    assert above["usage_flags"] == ["hidden reasoning: totalTokenCount 9 exceeds its parts by 7"]
    assert below["usage_flags"] == ["total_tokens 2 <> input_tokens + output_tokens 6"]
