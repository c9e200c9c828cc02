"""Raw usage bodies of every API shape: what each holds is charged once, and what contradicts itself has no price."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import attribution as at
from attribution.errors import QuestionError
from attribution.usage import read_usage

SONNET = "claude-sonnet-4-5"
#: What Sonnet 4.5 costs a million tokens: https://platform.claude.com/docs/en/about-claude/pricing
SONNET_PRICES = {"input": 3, "cache_read": "0.3", "5m": "3.75", "1h": 6, "output": 15}


def sonnet(**tokens: int) -> Decimal:
    cost = sum(Fraction(SONNET_PRICES[name.removeprefix("_")]) * count for name, count in tokens.items())
    return Decimal(round(cost * 1_000_000)).scaleb(-12)


def priced(provider: str, model: str | None, body: Any, **options: Any) -> at.pricing.PricedUsage:
    options = {"at": "2026-11-20", "tier": "standard", **options}
    return at.price_usage(provider, model, body if isinstance(body, str) else json.dumps(body), **options)


CACHED = {"input": 3, "cache_read": 1111, "_5m": 418, "output": 33}
LITELLM = {
    "prompt_tokens": 1532,
    "completion_tokens": 33,
    "total_tokens": 1565,
    "cache_read_input_tokens": 1111,
    "cache_creation_input_tokens": 418,
}
LIVES = {"ephemeral_5m_input_tokens": 118, "ephemeral_1h_input_tokens": 300}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param(LITELLM, CACHED, id="a gateway's prompt holds Anthropic's cache"),
        pytest.param(
            {**LITELLM, "prompt_tokens_details": {"cached_tokens": 1111, "cache_creation_tokens": 418}},
            CACHED,
            id="and says so twice",
        ),
        pytest.param(
            {**LITELLM, "prompt_tokens_details": {"cached_tokens": 1111, "cache_creation_token_details": LIVES}},
            {**CACHED, "_5m": 118, "_1h": 300},
            id="and how long the writes live",
        ),
        pytest.param(
            {"prompt_tokens": 3, "completion_tokens": 33, "cache_creation_input_tokens": 418},
            {"input": 3, "_5m": 418, "output": 33},
            id="writes that exceed the prompt are beside it",
        ),
        pytest.param(
            {
                "gen_ai.usage.input_tokens": 1532,
                "gen_ai.usage.output_tokens": 33,
                "gen_ai.usage.cache_read.input_tokens": 1111,
                "gen_ai.usage.cache_creation.input_tokens": 418,
            },
            CACHED,
            id="OpenTelemetry's input holds the cache",
        ),
        pytest.param(
            {
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 33,
                "gen_ai.usage.cache_read.input_tokens": 1111,
                "gen_ai.usage.cache_creation.input_tokens": 418,
            },
            CACHED,
            id="unless the cache exceeds it",
        ),
        pytest.param(
            {
                "usage_details": {
                    "input": "3",
                    "cache_read_input_tokens": "1111",
                    "input_cache_creation": 418,
                    "output": 33,
                }
            },
            CACHED,
            id="Langfuse's buckets are apart",
        ),
        pytest.param(
            {"input": 1532, "cache_read_input_tokens": 1111, "input_cache_creation": 418, "output": 33, "total": 1565},
            CACHED,
            id="unless their total says otherwise",
        ),
    ],
)
def test_what_a_gateway_or_tracer_counts_is_charged_once(body: dict[str, Any], tokens: dict[str, int]) -> None:
    found = priced("anthropic", SONNET, body)

    assert (found.price_status, found.list_cost) == ("priced", sonnet(**tokens))
    assert sum(found.line_items["list_cost"], Decimal(0)) == found.list_cost


def test_a_call_without_a_price_says_what_it_counted() -> None:
    steps = [{"input_tokens": 3, "output_tokens": 4, "model": "claude-foo-9"}, {"input_tokens": 5, "output_tokens": 6}]
    body = {"input_tokens": 8, "output_tokens": 10, "cache_read_input_tokens": 0, "iterations": steps}
    body["server_tool_use"] = {"web_search_requests": 2}

    found = priced("anthropic", "claude-foo-9", body)

    assert (found.price_status, found.list_cost) == ("unpriced", None)
    counted = {name: count for name, count in found.usage.items() if count}
    assert counted == {"input_tokens": 8, "output_tokens": 10, "web_search": Decimal(2)}


def test_llama_on_bedrock_is_read_by_its_own_names() -> None:
    body = {"generation": "x", "prompt_token_count": 1000, "generation_token_count": 100}

    assert priced("aws", "meta.llama3-70b-instruct-v1:0", body).list_cost == Decimal("0.003")


def test_the_metrics_at_the_end_of_a_bedrock_stream_are_its_usage() -> None:
    body = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 1000, "outputTokenCount": 100}}

    assert priced("aws", "anthropic.claude-3-haiku-20240307-v1:0", body).list_cost == Decimal("0.000375")


def test_a_google_response_with_names_of_the_python_client_names_its_model() -> None:
    usage = {"prompt_token_count": 1000, "candidates_token_count": 100, "total_token_count": 1100}
    body = {"model_version": "gemini-2.5-pro", "usage_metadata": usage}

    assert priced("google", None, body).list_cost == Decimal("0.00225")


@pytest.mark.parametrize("usage", [None, {}])
def test_an_answer_without_usage_is_unmetered(usage: dict[str, Any] | None) -> None:
    found = priced("openai", None, {"model": "gpt-4o", "output": [{"type": "message"}], "usage": usage})

    assert (found.price_status, found.list_cost) == ("unmetered", None)


def test_cache_writes_that_do_not_add_up_leave_the_call_without_a_price() -> None:
    lives = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 300}
    body = {"input_tokens": 3, "cache_creation_input_tokens": 418, "cache_creation": lives, "output_tokens": 33}

    found = priced("anthropic", SONNET, body)

    assert (found.price_status, found.list_cost) == ("unpriced", None)
    assert found.flags == ("cache writes 100 + 300 are not 418",)


def test_a_call_of_a_provider_that_is_not_known_is_an_estimate() -> None:
    found = priced("", "gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 100})

    assert (found.price_status, found.list_cost, found.estimated_cost) == ("unpriced", None, Decimal("0.0035"))


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt_tokens": -5}',
        '{"prompt_tokens": 0.5}',
        '{"prompt_tokens": "12"}',
        '{"prompt_tokens": true}',
        '{"prompt_tokens": [1]}',
        '{"prompt_tokens": NaN}',
        '{"prompt_tokens": Infinity}',
        '{"prompt_tokens": 1e400}',
        '{"prompt_tokens": 100000000000000000000}',
        '{"prompt_tokens": 1, "prompt_tokens": 2}',
        '{"prompt_tokens": 1, "prompt_tokens_details": [1]}',
        '{"prompt_tokens": 1, "prompt_tokens_details": "x"}',
        '{"promptTokenCount": 1, "promptTokensDetails": {"modality": "TEXT"}}',
        '{"input_tokens": 1, "cache_read_input_tokens": 1, "iterations": [1]}',
        '{"inputTokens": 1, "cacheDetails": [1]}',
        '{"billed_units": 5}',
        '{"type": "duration", "seconds": true}',
        '{"type": "duration", "seconds": "x"}',
        '{"type": "duration", "seconds": -1}',
        '{"type": "duration", "seconds": 1e300}',
        "[1]",
        "{",
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(QuestionError, match="`usage_json` was"):
        priced("openai", "gpt-4o", text)


def test_seconds_are_counted_to_the_millionth_and_what_was_left_out_is_said() -> None:
    found = priced("openai", "whisper-1", {"type": "duration", "seconds": 8.4700000267})

    assert found.list_cost == Decimal("0.000847")
    assert found.flags == ("second 8.4700000267 is counted as 8.470000, to the millionth",)


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"input": 10, "input_tool_use": 5, "output": 2}, {"input_tokens": 15, "output_tokens": 2}),
        ({"input": 10, "input_cost": 1, "output": 2}, {"input_tokens": 10, "output_tokens": 2}),
        (
            {"input": 10, "input_cached_tokens": 4, "output": 2, "total": 12},
            {"input_tokens": 10, "output_tokens": 2, "cache_read_tokens": 4},
        ),
        ({"output": 2}, {"output_tokens": 2}),
    ],
)
def test_a_langfuse_bucket_without_a_known_name_is_a_part_of_its_side(
    body: dict[str, int], columns: dict[str, int]
) -> None:
    assert [each.tokens for each in read_usage(body)] == [columns]
