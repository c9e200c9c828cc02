"""How usage bodies nest: every shape comes out with inclusive totals and disjoint parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attribution.usage import TOKEN_COLUMNS, disjoint_quantities, read_usage, shape_of
from tests.examples import FIXTURES


def bodies(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / "prices" / f"{name}.jsonl").read_text().splitlines()]


def disjoint(tokens: dict[str, int]) -> dict[str, int]:
    columns = {name: tokens.get(name, 0) for name in TOKEN_COLUMNS}
    return {meter: int(eval(sql, {"__builtins__": {}}, columns)) for meter, sql in disjoint_quantities().items()}


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("openai_response_usage", {"openai_chat", "openai_responses"}),
        ("anthropic_message_usage", {"anthropic", "openai_chat"}),
        ("google_usage_metadata", {"google"}),
        ("bedrock_converse_usage", {"bedrock_converse"}),
        ("bedrock_mantle_usage", {"openai_chat", "openai_responses"}),
        ("other_response_usage", {"openai_chat", "openai_responses", "cohere"}),
    ],
)
def test_real_bodies_are_told_by_their_fields_and_their_parts_are_not_negative(name: str, shapes: set[str]) -> None:
    for record in bodies(name):
        body = record.get("usage") or record.get("usageMetadata") or record["meta"]
        assert shape_of(body) in shapes
        for usage in read_usage(body):
            parts = disjoint(usage.tokens)
            assert all(count >= 0 for count in parts.values()), record
            total = usage.tokens.get("input_tokens", 0) + usage.tokens.get("output_tokens", 0)
            assert sum(parts.values()) == total


@pytest.mark.parametrize("name", ["openai_response_usage", "bedrock_mantle_usage", "bedrock_converse_usage"])
def test_totals_are_the_totals_that_the_body_gives(name: str) -> None:
    for record in bodies(name):
        body = record["usage"]
        (usage,) = read_usage(body)
        whole = body.get("total_tokens", body.get("totalTokens"))
        assert usage.tokens["input_tokens"] + usage.tokens.get("output_tokens", 0) == whole
        assert usage.flags == []


def test_google_counts_thoughts_and_tool_use_beside_the_rest() -> None:
    for record in bodies("google_usage_metadata"):
        body = record["usageMetadata"]
        (usage,) = read_usage(body)
        if "totalTokenCount" in body:
            assert usage.tokens["input_tokens"] + usage.tokens["output_tokens"] == body["totalTokenCount"]


def test_anthropic_input_excludes_the_cache_and_its_total_includes_it() -> None:
    body = {"input_tokens": 3, "cache_read_input_tokens": 1111, "cache_creation_input_tokens": 418, "output_tokens": 33}

    (usage,) = read_usage(body)

    assert usage.tokens["input_tokens"] == 1532
    assert disjoint(usage.tokens)["input"] == 3


def test_a_write_split_that_does_not_add_up_is_flagged() -> None:
    body = {"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 1}
    body["cache_creation"] = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 4}  # type: ignore[assignment]

    assert read_usage(body)[0].flags == ["cache writes 4 + 4 are not 9"]


def test_iterations_are_items_of_their_own_and_searches_count_once() -> None:
    body = {"input_tokens": 5, "output_tokens": 2, "server_tool_use": {"web_search_requests": 3}}
    first = {"type": "message", "input_tokens": 5, "output_tokens": 2}
    second = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 7, "output_tokens": 1}

    items = read_usage({**body, "iterations": [first, second]})

    assert [item.model for item in items] == [None, "claude-opus-4-8"]
    assert [dict(item.other) for item in items] == [{"web_search": 3}, {}]


def test_reasoning_is_beside_the_completion_where_the_total_says_so() -> None:
    body = {"prompt_tokens": 100, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}}

    inside = read_usage({**body, "total_tokens": 150})[0]
    beside = read_usage({**body, "total_tokens": 180})[0]

    assert (inside.tokens["output_tokens"], inside.tokens["reasoning_tokens"]) == (50, 30)
    assert (beside.tokens["output_tokens"], beside.tokens["reasoning_tokens"]) == (80, 30)


def test_without_a_total_the_provider_decides_where_reasoning_is() -> None:
    body = {"prompt_tokens": 100, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}}

    assert read_usage(body, provider="x-ai")[0].tokens["output_tokens"] == 80
    assert read_usage(body, provider="openai")[0].tokens["output_tokens"] == 50


def test_more_reasoning_than_completion_is_beside_it_whatever_the_total_says() -> None:
    body = {"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196, "reasoning_tokens": 73_994}

    (usage,) = read_usage(body, provider="perplexity")

    assert (usage.tokens["output_tokens"], usage.tokens["reasoning_tokens"]) == (81_157, 73_994)


@pytest.mark.parametrize(
    ("body", "meter", "quantity"),
    [({"type": "duration", "seconds": 9}, "second", 9), ({"pages_processed": 3, "doc_size_bytes": 1}, "page", 3)],
)
def test_seconds_and_pages_are_usage_too(body: dict[str, Any], meter: str, quantity: int) -> None:
    assert read_usage(body)[0].other == {meter: quantity}


def test_the_output_of_an_image_call_is_a_picture_where_it_is_not_text() -> None:
    (usage,) = read_usage({"input_tokens": 50, "output_tokens": 4160}, api="openai_images")

    assert disjoint(usage.tokens)["output_image"] == 4160


def test_a_total_above_all_parts_is_hidden_reasoning_and_flagged() -> None:
    (usage,) = read_usage({"prompt_tokens": 758, "completion_tokens": 102, "total_tokens": 1725})

    assert (usage.tokens["output_tokens"], usage.tokens["reasoning_tokens"]) == (967, 865)
    assert usage.flags == ["hidden reasoning: total 1725 exceeds 758 + 102"]


def test_more_cached_than_prompt_is_read_as_exclusive_only_where_the_total_allows_it() -> None:
    body = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 90}}

    proven, contradictory = read_usage({**body, "total_tokens": 105})[0], read_usage({**body, "total_tokens": 15})[0]

    assert proven.tokens["input_tokens"] == 100
    assert contradictory.tokens["input_tokens"] == 10
    assert contradictory.flags == ["cached tokens 90 exceed the input 10"]


def test_the_duplicate_keys_of_converse_count_once() -> None:
    body = {"inputTokens": 3, "outputTokens": 61, "cacheReadInputTokens": 20, "cacheReadInputTokenCount": 20}

    assert read_usage(body)[0].tokens["input_tokens"] == 23


def test_cohere_bills_its_billed_units() -> None:
    body = {
        "billed_units": {"input_tokens": 2406, "output_tokens": 2},
        "cached_tokens": 2928,
        "tokens": {"input_tokens": 1},
    }

    assert read_usage(body)[0].tokens == {"input_tokens": 2406, "output_tokens": 2}


@pytest.mark.parametrize("count", [-1, 1.5, True, "12"])
def test_a_count_that_is_no_whole_number_is_refused(count: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number of tokens"):
        read_usage({"prompt_tokens": count, "completion_tokens": 1})


def test_a_body_without_usage_is_unmetered() -> None:
    (usage,) = read_usage({"id": "x"})

    assert not usage.is_metered


def test_a_plain_body_is_read_as_its_providers() -> None:
    body = {"input_tokens": 1000, "output_tokens": 10}

    assert read_usage(body, provider="anthropic")[0].reading == "anthropic: input excludes cache"
    assert read_usage(body, provider="openai")[0].reading.startswith("openai_responses")
