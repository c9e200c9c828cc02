"""Coding agents' session files: an answer is one call, however often its usage is written."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from attribution import matching
from attribution.ledger import Ledger, open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

SAMPLES = FIXTURES / "sources"


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def block(output_tokens: int = 412, **fields: Any) -> dict[str, Any]:
    """Return one line of a Claude Code transcript: a content block of an answer."""
    usage = {
        "input_tokens": 2,
        "cache_creation_input_tokens": 8655,
        "cache_read_input_tokens": 15030,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    message = {
        "id": "msg_01Ab",
        "model": "claude-sonnet-4-5-20250929",
        "role": "assistant",
        "content": [{"type": "text", "text": "secret"}],
        "usage": usage | fields.pop("usage", {}),
    } | fields.pop("message", {})
    return {
        "type": "assistant",
        "uuid": "u2",
        "parentUuid": "u1",
        "isSidechain": False,
        "sessionId": "0b7c",
        "cwd": "/home/jane.doe/ticket-service",
        "requestId": "req_011C",
        "timestamp": "2026-11-23T10:00:05.000Z",
        "message": message,
    } | fields


def loaded(*paths: Path) -> Ledger:
    ledger = open_ledger()
    report = load(ledger, *paths)
    assert report.refused == []
    return ledger


# Claude Code.


def test_the_blocks_of_one_answer_are_one_call_with_the_largest_output_in_any_order(tmp_path: Path) -> None:
    blocks = [block(1), block(1, uuid="u3"), block(412, uuid="u4", timestamp="2026-11-23T10:00:07.000Z")]
    results = set()
    for number, order in enumerate(permutations(blocks)):
        ledger = open_ledger()
        (file,) = load(ledger, written(tmp_path / f"{number}.jsonl", *order)).files
        assert (file["records"], file["accepted"], file["duplicates"] + file["superseded"]) == (3, 1, 2)
        results.add(ledger.rows("select response_id, input_tokens, output_tokens from observation")[0])

    assert results == {("msg_01Ab", 23_687, 412)}


def test_a_larger_count_wins_over_a_later_one(tmp_path: Path) -> None:
    late = block(3, timestamp="2026-11-23T10:00:09.000Z")

    ledger = loaded(written(tmp_path / "a.jsonl", block(412), late))

    assert ledger.rows("select output_tokens from observation") == [(412,)]


def test_a_resumed_session_repeats_lines_of_another_file_and_counts_once(tmp_path: Path) -> None:
    first = written(tmp_path / "a.jsonl", block())
    resumed = written(
        tmp_path / "b.jsonl",
        {"type": "summary", "summary": "x", "leafUuid": "u2"},
        block(),
        block(message={"id": "msg_2"}),
    )

    ledger = loaded(first, resumed)

    assert ledger.rows("select response_id from observation order by all") == [("msg_01Ab",), ("msg_2",)]
    assert ledger.value("select sum(duplicates) from source_file") == 1


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_sidechain_s_copy_yields_to_the_line_it_copies(is_reversed: bool, tmp_path: Path) -> None:
    own = block(requestId="req_1")
    copy = block(500, isSidechain=True, requestId="req_2", sessionId="side", timestamp="2026-11-23T11:00:00.000Z")

    ledger = loaded(written(tmp_path / "a.jsonl", *([copy, own] if is_reversed else [own, copy])))

    assert ledger.rows("select session_id, provider_request_id, output_tokens from observation") == [
        ("0b7c", "req_1", 412)
    ]


def test_lines_without_usage_and_synthetic_answers_are_context(tmp_path: Path) -> None:
    lines = [
        {"type": "user", "sessionId": "s", "uuid": "u1", "message": {"role": "user", "content": "hi"}},
        block(message={"model": "<synthetic>"}),
        {"type": "summary", "summary": "x", "leafUuid": "u"},
        block(),
    ]
    ledger = open_ledger()

    (file,) = load(ledger, written(tmp_path / "a.jsonl", *lines)).files

    assert (file["records"], file["accepted"], file["context"]) == (4, 1, 3)


def test_cache_is_added_to_the_input_and_its_lives_are_kept(tmp_path: Path) -> None:
    lives = {"cache_creation": {"ephemeral_5m_input_tokens": 655, "ephemeral_1h_input_tokens": 8000}}

    ledger = loaded(written(tmp_path / "a.jsonl", block(usage=lives | {"speed": "fast"})))

    query = """select input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, service_tier,
        usage_reading, usage_flags from observation"""
    assert ledger.rows(query) == [(23_687, 15_030, 655, 8000, "fast", "exclusive: Anthropic's own counts", None)]


def test_web_searches_are_counted_apart(tmp_path: Path) -> None:
    ledger = loaded(written(tmp_path / "a.jsonl", block(usage={"server_tool_use": {"web_search_requests": 2}})))

    assert ledger.value("select other_usage['web_search'] from observation") == Decimal(2)


def test_an_answer_without_a_request_id_or_with_a_gateway_s_is_still_one_call(tmp_path: Path) -> None:
    without = block()
    del without["requestId"]

    assert loaded(written(tmp_path / "a.jsonl", without, block())).value("select count(*) from observation") == 1


def test_the_folder_is_kept_and_the_path_and_the_text_are_not(tmp_path: Path) -> None:
    ledger = loaded(written(tmp_path / "a.jsonl", block()))

    assert ledger.value("select project_id from observation") == "ticket-service"
    dump = str(ledger.rows("select * from observation"))
    assert "jane" not in dump
    assert "secret" not in dump


def test_counts_of_another_type_are_set_aside(tmp_path: Path) -> None:
    ledger = loaded(written(tmp_path / "a.jsonl", block(), block(usage={"output_tokens": "412"})))

    assert ledger.rows("select line, field, reason from quarantine") == [(2, "output_tokens", "not_a_count")]


def test_ccusage_s_sessions_give_their_totals() -> None:
    ledger = loaded(*sorted((SAMPLES / "claude_code").glob("*.jsonl")))

    query = "select count(*), sum(input_tokens), sum(output_tokens), sum(source_cost) from observation"
    assert ledger.rows(query) == [(5, 930, 310, Decimal("1.090000000000"))]


# Codex.

COUNTS = {
    "input_tokens": 100,
    "cached_input_tokens": 40,
    "output_tokens": 10,
    "reasoning_output_tokens": 4,
    "total_tokens": 110,
}


def times(number: int) -> dict[str, int]:
    return {name: counted * number for name, counted in COUNTS.items()}


def counted(total: int | None, last: int = 1, second: int = 0) -> dict[str, Any]:
    """Return a token_count line; `total` and `last` are multiples of one request's usage."""
    info = None if total is None else {"total_token_usage": times(total), "last_token_usage": times(last)}
    at = f"2026-11-23T10:00:{second:02d}.000Z"
    return {"timestamp": at, "type": "event_msg", "payload": {"type": "token_count", "info": info}}


META = {
    "timestamp": "2026-11-23T10:00:00.000Z",
    "type": "session_meta",
    "payload": {"id": "s1", "cwd": "/home/dev/ticket-service", "model_provider": "openai"},
}
CONTEXT = {"timestamp": "2026-11-23T10:00:00.000Z", "type": "turn_context", "payload": {"model": "gpt-5-codex"}}


def test_a_usage_record_is_preferred_and_the_cumulative_count_beside_it_is_context() -> None:
    ledger = loaded(SAMPLES / "codex_rollout" / "codex_0.169.0_rollout.jsonl")

    query = """select response_id, model, provider, project_id, input_tokens, cache_read_tokens, output_tokens,
        reasoning_tokens from observation"""
    assert ledger.rows(query) == [
        ("resp_62066a58a58b47cfa44418b3f36a98ba", "gpt-5-codex", None, "ticket-service", 2006, 1920, 300, 192)
    ]
    assert ledger.rows("select records, accepted, context from source_file") == [(14, 1, 13)]


def test_each_rise_of_the_cumulative_count_is_one_call_and_a_repeat_is_none(tmp_path: Path) -> None:
    lines = [META, CONTEXT, counted(1), counted(1), counted(None), counted(3, last=2, second=5)]

    ledger = loaded(written(tmp_path / "a.jsonl", *lines))

    assert ledger.rows("select input_tokens, model, provider, usage_flags from observation order by started_at") == [
        (100, "gpt-5-codex", "openai", None),
        (200, "gpt-5-codex", "openai", None),
    ]
    assert ledger.rows("select records, accepted, context from source_file") == [(6, 2, 4)]


def test_a_rise_that_is_not_the_last_request_s_usage_is_flagged(tmp_path: Path) -> None:
    ledger = loaded(written(tmp_path / "a.jsonl", META, CONTEXT, counted(1), counted(4, last=2, second=5)))

    flags = "select usage_flags from observation order by started_at"
    assert ledger.rows(flags) == [(None,), (["last input_tokens 200 <> rise of the total 300"],)]


def test_a_forked_session_does_not_count_what_it_replays_of_its_parent(tmp_path: Path) -> None:
    meta = META | {"payload": META["payload"] | {"forked_from_id": "s0"}}
    lines = [meta, CONTEXT, counted(1), counted(2), counted(3), counted(4, second=9)]

    ledger = loaded(written(tmp_path / "a.jsonl", *lines))

    assert ledger.rows("select input_tokens from observation") == [(100,)]


def test_counts_that_contradict_their_total_are_flagged() -> None:
    ledger = loaded(SAMPLES / "codex_rollout" / "ccusage_codex_session_alpha.jsonl")

    assert ledger.rows(
        "select model, input_tokens, output_tokens, usage_flags from observation order by started_at"
    ) == [
        ("gpt-5.2-codex", 1000, 125, ["total_tokens 1200 <> input_tokens 1000 + output_tokens 125"]),
        ("gpt-5.3-codex", 2500, 300, ["total_tokens 3000 <> input_tokens 2500 + output_tokens 300"]),
    ]


def test_codex_s_spans_and_its_session_file_tell_one_call() -> None:
    spans = SAMPLES / "otlp" / "codex_0.169.0_otel_spans_token_bearing.otlp.jsonl"
    rollout = SAMPLES / "codex_rollout" / "codex_0.169.0_rollout.jsonl"

    for paths in ((spans, rollout), (rollout, spans)):
        ledger = loaded(*paths)
        matching.match(ledger)

        assert ledger.rows("select input_tokens, observations, sources, model, response_id from event") == [
            (2006, 2, 2, "gpt-5-codex", "resp_62066a58a58b47cfa44418b3f36a98ba")
        ]
