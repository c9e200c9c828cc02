from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from attribution.reading import Sample
from attribution.sources import provider_responses
from attribution.usage import TOKEN_COLUMNS, read_usage
from tests.examples import FIXTURES
from tests.intake_examples import intake_of, row, rows, taken

BODIES = FIXTURES / "sources" / "provider_responses"


def answer(usage: Any, **fields: Any) -> dict[str, Any]:
    return row({"id": "a-1", "model": "m", "usage": usage, **fields}, "provider_responses")


def totals(name: str) -> tuple[int, ...]:
    found = taken(BODIES / name)
    assert (found.source, found.faults) == ("provider_responses", [])
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    observed = found.rows["observation"]
    return len(observed), *(sum(each.get(column) or 0 for each in observed) for column in names)


# Real bodies: the identities that the pages count hold on every one.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anthropic.jsonl", (141, 1_386_340, 20_954, 117_855, 732)),
        ("openai.jsonl", (86, 274_901, 37_448, 154_968, 28_355)),
        ("converse.jsonl", (105, 119_176, 11_778, 16_706, 0)),
        ("mantle.jsonl", (11, 1_080, 245, 0, 21)),
        ("google.jsonl", (166, 173_758, 38_131, 14_719, 20_417)),
        ("others.jsonl", (163, 70_840, 25_543, 16_581, 6_047)),
    ],
)
def test_real_answers_have_their_known_totals(name: str, expected: tuple[int, ...]) -> None:
    assert totals(name) == expected


@pytest.mark.parametrize("name", ["anthropic.jsonl", "openai.jsonl", "converse.jsonl", "mantle.jsonl"])
def test_no_real_answer_of_these_providers_violates_an_identity(name: str) -> None:
    assert [each["usage_flags"] for each in taken(BODIES / name).rows["observation"] if each["usage_flags"]] == []


def test_real_gemini_details_that_do_not_add_up_are_flagged_and_their_totals_hold() -> None:
    flags = [flag for each in taken(BODIES / "google.jsonl").rows["observation"] for flag in each["usage_flags"] or []]

    assert {flag.split(" ")[0] for flag in flags} == {"promptTokensDetails", "candidatesTokensDetails"}
    assert sum(flag.startswith("promptTokensDetails") for flag in flags) == 7
    assert sum(flag.startswith("candidatesTokensDetails") for flag in flags) == 3


def test_thoughts_that_a_compatible_endpoint_hides_show_in_the_total_and_are_charged_as_reasoning() -> None:
    flagged = [each for each in taken(BODIES / "others.jsonl").rows["observation"] if each["usage_flags"]]

    hidden = {"hidden reasoning: total 109 exceeds 35 + 12": 74, "hidden reasoning: total 100 exceeds 66 + 6": 34}
    assert {each["usage_flags"][0]: each["output_tokens"] for each in flagged if each["reasoning_tokens"]} == hidden


# The same names, other rules.


def test_input_tokens_is_all_input_at_openai_and_the_uncached_part_at_anthropic() -> None:
    openai = answer({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 1})
    anthropic = answer({"input_tokens": 100, "cache_read_input_tokens": 60, "output_tokens": 1})

    assert (openai["input_tokens"], anthropic["input_tokens"]) == (100, 160)


def test_anthropics_cache_is_beside_its_input() -> None:
    found = answer(
        {
            "input_tokens": 3,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 12,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 5,
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 9},
        }
    )

    assert (found["input_tokens"], found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (75, 10, 2)
    assert (found["other_usage"], found["provider"]) == ([("web_search", Decimal(2))], "anthropic")


def test_compactions_and_advisors_are_billed_at_their_own_models() -> None:
    def step(kind: str, given: int, answered: int, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "input_tokens": given, "output_tokens": answered, **fields}

    usage = {
        "input_tokens": 2390,
        "output_tokens": 121,
        "cache_creation_input_tokens": 0,
        "iterations": [
            step("message", 1128, 110),
            step("advisor_message", 2518, 22, model="claude-opus-4-8"),
            step("compaction", 100, 82, cache_creation_input_tokens=55_096),
            step("message", 1262, 11),
        ],
    }

    own, advisor = rows({"id": "msg_1", "model": "claude-sonnet-5", "usage": usage}, source="provider_responses")

    assert (own["model"], own["input_tokens"], own["output_tokens"]) == ("claude-sonnet-5", 2390 + 100 + 55_096, 203)
    assert own["cache_write_5m_tokens"] == 55_096
    assert (advisor["model"], advisor["input_tokens"], advisor["output_tokens"]) == ("claude-opus-4-8", 2518, 22)
    assert (own["response_id"], advisor["response_id"], advisor["operation_key"]) == ("msg_1", None, "msg_1")


@pytest.mark.parametrize(("total", "output"), [(115, 15), (110, 10)])
def test_the_total_tells_whether_reasoning_is_inside(total: int, output: int) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }

    assert (answer(usage)["output_tokens"], answer(usage)["usage_flags"]) == (output, None)


@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"])
def test_compatible_servers_count_cached_tokens_under_other_names(name: str) -> None:
    found = answer({"prompt_tokens": 70, "completion_tokens": 12, "total_tokens": 82, name: 69})

    assert (found["input_tokens"], found["cache_read_tokens"]) == (70, 69)


def test_a_count_that_is_reported_twice_is_taken_once() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 512}, "prompt_cache_hit_tokens": 512}

    assert answer({"prompt_tokens": 563, "completion_tokens": 1, **details})["cache_read_tokens"] == 512


# What a ledger reads and what `price_usage` reads is the same.


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}},
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 400},
        {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}},
        {
            "prompt_tokens": 1532,
            "completion_tokens": 33,
            "cache_read_input_tokens": 1111,
            "cache_creation_input_tokens": 418,
            "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 300}},
        },
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "server_side_tool_usage_details": {"x_search_calls": 2},
        },
        {"prompt_tokens": 33, "completion_tokens": 5, "num_search_queries": 18, "citation_tokens": 7},
        {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "speed": "fast"},
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        },
        {"inputTokens": 10, "outputTokens": 5, "cacheWriteInputTokens": 9, "cacheReadInputTokens": 3},
        {"type": "duration", "seconds": Decimal("8.4700000267")},
        {"billed_units": {"input_tokens": 3, "output_tokens": 2, "search_units": 1}},
    ],
    ids=str,
)
def test_a_ledger_reads_an_answer_as_one_body_is_read(usage: dict[str, Any]) -> None:
    (read,) = read_usage(usage)
    found = answer(usage)

    kept = {name: found[name] for name in TOKEN_COLUMNS if found.get(name)}
    assert kept == {name: count for name, count in read.tokens.items() if count}
    assert dict(found.get("other_usage") or []) == read.other
    assert found.get("service_tier") == read.service_tier


def test_converse_says_its_cache_twice_and_it_is_added_once() -> None:
    usage = {
        "inputTokens": 3,
        "outputTokens": 61,
        "cacheReadInputTokens": 2074,
        "cacheReadInputTokenCount": 2074,
        "cacheWriteInputTokens": 297,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 97}],
        "totalTokens": 2435,
    }

    found = answer(usage)

    assert (found["input_tokens"], found["cache_write_5m_tokens"], found["cache_write_1h_tokens"]) == (2374, 97, 200)
    assert (found["provider"], found["usage_flags"]) == ("aws", None)


def test_cohere_bills_its_own_units_and_cached_is_no_part_of_them() -> None:
    usage = {
        "billed_units": {"input_tokens": Decimal("2406.0"), "output_tokens": 2},
        "tokens": {"input_tokens": 2935, "output_tokens": 4},
        "cached_tokens": 2928,
    }

    found = answer(usage)

    assert (found["input_tokens"], found["output_tokens"], found.get("cache_read_tokens")) == (2406, 2, None)


@pytest.mark.parametrize(
    ("message", "provider"), [("msg_1", "anthropic"), ("msg_bdrk_1", "aws"), ("msg_vrtx_1", "google")]
)
def test_an_anthropic_id_tells_who_served_it(message: str, provider: str) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1}

    assert row({"id": message, "model": "claude", "usage": usage}, "provider_responses")["provider"] == provider


def test_ticks_and_credits_are_dollars() -> None:
    (xai,) = taken(BODIES / "xai.json").rows["observation"]
    own_key = {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": Decimal("0.002")}}
    routed = answer({"prompt_tokens": 1, "completion_tokens": 1, **own_key})

    assert (xai["provider"], xai["source_cost"]) == ("x-ai", Decimal("0.0318319"))
    assert (routed["provider"], routed["source_cost"], routed["usage_flags"]) == (
        "openrouter",
        Decimal("0.002"),
        ["source_cost:own_key"],
    )


def test_the_tier_that_answered_is_kept_and_a_batch_is_one() -> None:
    body = {"id": "chatcmpl-1", "model": "m", "service_tier": "priority", "usage": {"prompt_tokens": 1}}
    line = {
        "id": "b",
        "custom_id": "c",
        "response": {"status_code": 200, "request_id": "r", "body": body},
        "error": None,
    }
    message = {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 1, "output_tokens": 1}}

    assert row(body, "provider_responses")["service_tier"] == "priority"
    assert row(line, "provider_responses")["service_tier"] == "batch"
    batched = row({"custom_id": "c", "result": {"type": "succeeded", "message": message}}, "provider_responses")
    assert (batched["service_tier"], batched["response_id"]) == ("batch", "msg_1")


def test_an_answer_without_usage_is_unmetered() -> None:
    found = row({"id": "resp_1", "model": "m", "object": "response", "usage": None}, "provider_responses")

    assert (found["is_metered"], found["response_id"], found.get("input_tokens")) == (False, "resp_1", None)


def test_transcriptions_may_be_billed_by_the_second() -> None:
    found = answer({"type": "duration", "seconds": Decimal("12.5")})

    assert (found["other_usage"], found["is_metered"]) == ([("second", Decimal("12.5"))], True)


def test_metadata_of_an_answer_names_its_owner() -> None:
    assert answer({"prompt_tokens": 1}, metadata={"owner_team": "support"})["owner_team"] == "support"


def test_a_log_that_says_more_than_an_answer_is_left_to_others() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1}

    for more in ({"team": "support"}, {"trace_id": "t"}):
        assert provider_responses.recognise(Sample("f", "jsonl", [{"id": "a", "usage": usage, **more}])) == 0
    assert provider_responses.recognise(Sample("f", "jsonl", [{"id": "a", "model": "m", "usage": usage}])) == 70


def test_a_record_without_usage_is_set_aside() -> None:
    (fault,) = intake_of({"id": "a", "model": "m"}, source="provider_responses").faults

    assert fault["reason"] == "other_record"
