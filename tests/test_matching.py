"""Match: one provider call is one event, whatever the order of files and however often it was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.building import build_ledger
from attribution.ledger import Ledger
from attribution.matching import match
from tests.examples import SHARED, Said, hop, observed, seen, spanned

NOON = datetime(2026, 10, 5, 12, 0, 0)


def groups(ledger: Ledger) -> set[frozenset[str]]:
    """Return which observations are one call, by their native ids."""
    rows = ledger.rows(
        "select list(native_id order by native_id) from event_observation join observation using (observation_id) "
        "group by event_id"
    )
    return {frozenset(row[0]) for row in rows}


def matched(*said: Said | dict[str, Any]) -> set[frozenset[str]]:
    ledger = observed(*said)
    match(ledger)
    return groups(ledger)


def together(*names: str) -> frozenset[str]:
    return frozenset(names)


# ---- shared ids


def test_observations_with_one_response_id_are_one_call() -> None:
    assert matched(
        seen("sdk", response_id="r1"), seen("gateway", response_id="r1", role="gateway_log", source="litellm")
    ) == {together("sdk", "gateway")}


def test_two_response_ids_never_merge_even_when_a_weaker_id_is_shared() -> None:
    assert matched(
        seen("one", response_id="r1", record_id="x", trace_id="t", span_id="s"),
        seen("other", response_id="r2", record_id="x", trace_id="t", span_id="s"),
    ) == {together("one"), together("other")}


def test_an_id_that_leads_to_two_calls_joins_nothing() -> None:
    assert matched(
        seen("one", response_id="r1", record_id="x"),
        seen("other", response_id="r2", record_id="x"),
        seen("lost", record_id="x"),
    ) == {together("one"), together("other"), together("lost")}


def test_the_gateway_call_id_that_retries_share_does_not_merge_attempts() -> None:
    ledger = observed(
        seen("first", gateway_call_id="g", operation_key="g", status="error", started_at=NOON),
        seen("second", gateway_call_id="g", operation_key="g", started_at=NOON + timedelta(seconds=2)),
        seen(
            "third",
            gateway_call_id="g",
            operation_key="g",
            requested_model="gpt-5",
            started_at=NOON + timedelta(seconds=4),
        ),
    )
    match(ledger)
    assert groups(ledger) == {together("first"), together("second"), together("third")}
    assert ledger.rows("select attempt_no, attempt_role, call_id from event order by attempt_no") == [
        (1, "primary", "operation:g"),
        (2, "retry", "operation:g"),
        (3, "fallback", "operation:g"),
    ]


def test_retried_calls_of_one_session_are_calls_of_their_own() -> None:
    def attempt(name: str, seconds: int, status: str = "ok") -> Said:
        at = NOON + timedelta(seconds=seconds)
        return seen(name, trace_id="session", operation_key="session", status=status, started_at=at)

    said = [attempt("a1", 0, "error"), attempt("a2", 1), attempt("b1", 60, "error"), attempt("b2", 61, "error")]
    calls = []
    for order in (said, said[::-1]):
        ledger = observed(*order, attempt("b3", 62))
        match(ledger)
        calls.append(ledger.rows("select call_id, attempt_no, attempt_role from event order by started_at"))

    first, second = "operation:session", "operation:session#2"
    assert calls[0] == [
        (first, 1, "primary"),
        (first, 2, "retry"),
        (second, 1, "primary"),
        (second, 2, "retry"),
        (second, 3, "retry"),
    ]
    assert calls[0] == calls[1]


def test_calls_without_any_shared_id_stay_apart_even_when_they_are_equal() -> None:
    assert matched(seen("one"), seen("twin")) == {together("one"), together("twin")}


@pytest.mark.parametrize("key", ["provider_request_id", "record_id"])
def test_a_shared_record_id_joins_what_has_no_response_id(key: str) -> None:
    assert matched(seen("one", **{key: "x"}), seen("other", **{key: "x"}), seen("third", **{key: "y"})) == {
        together("one", "other"),
        together("third"),
    }


def test_a_chain_of_weak_ids_ends_in_the_one_call_it_leads_to() -> None:
    # c shares a request id with a, a shares a record with the answered call b.
    assert matched(
        seen("a", provider_request_id="x", record_id="r"),
        seen("b", response_id="R", record_id="r"),
        seen("c", provider_request_id="x"),
    ) == {together("a", "b", "c")}


def test_a_long_chain_of_weak_ids_is_one_call() -> None:
    links = [seen(f"o{n}", provider_request_id=f"p{n // 2}", record_id=f"r{(n + 1) // 2}") for n in range(12)]
    assert matched(*links, seen("end", response_id="R", record_id="r6")) == {
        together(*[f"o{n}" for n in range(12)], "end")
    }


def test_the_stronger_id_wins_where_two_lead_to_different_calls() -> None:
    ledger = observed(
        seen("one", response_id="r1", record_id="x"),
        seen("other", response_id="r2", trace_id="t", span_id="s"),
        seen("torn", record_id="x", trace_id="t", span_id="s"),
    )
    match(ledger)
    assert groups(ledger) == {together("one", "torn"), together("other")}
    assert ledger.rows(
        "select joined_by from event_observation join observation using (observation_id) where native_id = 'torn'"
    ) == [("record",)]


# ---- spans above spans


def test_a_span_above_with_equal_usage_is_the_same_call() -> None:
    assert matched(
        spanned("agent", "t", "s1", input_tokens=2006, output_tokens=300),
        spanned("chat", "t", "s2", "s1", response_id="r1", input_tokens=2006, output_tokens=300),
    ) == {together("agent", "chat")}


def test_a_span_above_with_an_id_and_one_below_without_are_the_same_call() -> None:
    ledger = observed(
        spanned("outer", "t", "s1", response_id="r1"),
        spanned("inner", "t", "s2", "s1"),
    )
    match(ledger)
    assert groups(ledger) == {together("outer", "inner")}
    assert ledger.rows("select response_id from event") == [("r1",)]


def test_equal_usage_of_two_response_ids_stays_two_calls() -> None:
    assert matched(
        spanned("outer", "t", "s1", response_id="r1"),
        spanned("inner", "t", "s2", "s1", response_id="r2"),
    ) == {together("outer"), together("inner")}


def test_a_span_that_belongs_to_an_answered_call_never_joins_another_below_it() -> None:
    assert matched(
        spanned("outer", "t", "s1", record_id="x"),
        seen("gateway", record_id="x", response_id="r1", role="gateway_log", source="litellm"),
        spanned("inner", "t", "s2", "s1", response_id="r2"),
    ) == {together("outer", "gateway"), together("inner")}


def test_equal_usage_of_another_model_stays_two_calls() -> None:
    assert matched(
        spanned("outer", "t", "s1", model="gpt-5", requested_model="gpt-5"),
        spanned("inner", "t", "s2", "s1", response_id="r2"),
    ) == {together("outer"), together("inner")}


def test_spans_beside_each_other_stay_apart() -> None:
    assert matched(
        hop("t", "root"),
        spanned("one", "t", "s1", "root", response_id="r1"),
        spanned("other", "t", "s2", "root"),
    ) == {together("one"), together("other")}


def test_a_span_that_sums_its_children_adds_no_call() -> None:
    ledger = observed(
        spanned("sum", "t", "s0", input_tokens=30, output_tokens=12),
        spanned("one", "t", "s1", "s0", response_id="r1", input_tokens=10, output_tokens=5),
        hop("t", "tool", "s0"),
        spanned("other", "t", "s2", "tool", response_id="r2", input_tokens=20, output_tokens=7),
    )
    match(ledger)
    assert groups(ledger) == {together("sum", "one"), together("other")}
    assert ledger.rows("select sum(input_tokens), sum(output_tokens) from event") == [(30, 12)]


def test_a_span_that_says_less_than_its_children_is_a_call_of_its_own() -> None:
    assert matched(
        spanned("upper", "t", "s0", input_tokens=29, output_tokens=12),
        spanned("one", "t", "s1", "s0", response_id="r1", input_tokens=10, output_tokens=5),
        spanned("other", "t", "s2", "s0", response_id="r2", input_tokens=20, output_tokens=7),
    ) == {together("upper"), together("one"), together("other")}


def test_a_chain_of_three_equal_spans_is_one_call() -> None:
    assert matched(
        spanned("run", "t", "s1"), spanned("step", "t", "s2", "s1"), spanned("chat", "t", "s3", "s2", response_id="r")
    ) == {together("run", "step", "chat")}


def test_two_retries_below_one_equal_span_are_two_calls() -> None:
    assert matched(
        spanned("run", "t", "s0"),
        spanned("first", "t", "s1", "s0", response_id="r1"),
        spanned("second", "t", "s2", "s0", response_id="r2", started_at=NOON + timedelta(seconds=1)),
    ) == {together("run", "first"), together("second")}


# ---- trees that are no trees


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_spans_in_a_circle_are_counted_once(length: int) -> None:
    circle = [spanned(f"c{n}", "t", f"s{n}", f"s{(n + 1) % length}") for n in range(length)]
    assert matched(*circle) == {together(*[f"c{n}" for n in range(length)])}


def test_a_circle_of_different_calls_keeps_each() -> None:
    assert matched(spanned("a", "t", "s1", "s2", input_tokens=1), spanned("b", "t", "s2", "s1", input_tokens=2)) == {
        together("a"),
        together("b"),
    }


def test_a_missing_parent_loses_no_call() -> None:
    assert matched(spanned("orphan", "t", "s1", "nowhere")) == {together("orphan")}


def test_a_chain_of_100_000_spans_ends_and_finds_its_top() -> None:
    length = 100_000
    chain = [hop("t", f"s{n}", f"s{n - 1}") for n in range(1, length)]
    assert matched(
        spanned("top", "t", "s0"), *chain, spanned("call", "t", "bottom", f"s{length - 1}", response_id="r")
    ) == {together("top", "call")}


# ---- what an event says


def test_usage_comes_whole_from_the_most_authoritative_and_the_disagreement_is_listed() -> None:
    ledger = observed(
        seen("sdk", response_id="r", input_tokens=86, cache_read_tokens=None, output_tokens=300),
        seen(
            "gateway",
            response_id="r",
            role="gateway_log",
            source="litellm",
            input_tokens=2518,
            cache_read_tokens=1920,
            output_tokens=300,
        ),
    )
    match(ledger)
    assert ledger.rows("select input_tokens, cache_read_tokens, output_tokens, observations, sources from event") == [
        (2518, 1920, 300, 2, 2)
    ]
    assert ledger.rows("select field, kept, other from conflict where kind = 'usage'") == [
        ("input_tokens", "2518", "86")
    ]


def test_an_unmetered_observation_never_hides_the_usage_another_gives() -> None:
    ledger = observed(
        seen("log", response_id="r", role="provider_log", is_metered=False, input_tokens=None, output_tokens=None),
        seen("sdk", response_id="r"),
    )
    match(ledger)
    assert ledger.rows("select is_metered, input_tokens from event") == [(True, 1000)]


def test_a_call_that_nobody_metered_has_unknown_usage_not_zero() -> None:
    ledger = observed(seen("sdk", is_metered=False, input_tokens=None, output_tokens=None))
    match(ledger)
    assert ledger.rows("select is_metered, input_tokens from event") == [(False, None)]


def test_a_lost_answer_is_not_a_failed_call() -> None:
    ledger = observed(
        seen("sdk", response_id="r", status="error"),
        seen("gateway", response_id="r", role="gateway_log", source="litellm"),
    )
    match(ledger)
    assert ledger.rows("select status from event") == [("ok",)]


def test_a_failed_span_and_its_successful_sibling_are_one_call_of_two_attempts() -> None:
    ledger = observed(
        spanned("first", "t", "s1", "root", status="error", ended_at=NOON + timedelta(seconds=1)),
        spanned("second", "t", "s2", "root", started_at=NOON + timedelta(seconds=2)),
        spanned("later", "t", "s3", "root", started_at=NOON + timedelta(seconds=9)),
    )
    match(ledger)
    rows = ledger.rows("select attempt_no, attempt_role, status from event order by started_at")
    assert rows == [(1, "primary", "error"), (2, "retry", "ok"), (1, "primary", "ok")]
    assert ledger.value("select count(distinct call_id) from event") == 2


def test_a_trace_that_links_to_one_other_continues_its_request() -> None:
    ledger = observed(
        spanned("a", "t1", "s1", response_id="r1"),
        spanned("b", "t2", "s2", response_id="r2", links=[{"trace_id": "t1", "span_id": "s1"}]),
        spanned("c", "t3", "s3", response_id="r3", links=[{"trace_id": "t2", "span_id": "s2"}]),
    )
    match(ledger)
    assert ledger.rows("select distinct request_id from event") == [("t1",)]


def test_a_batch_that_links_to_two_requests_belongs_to_neither() -> None:
    ledger = observed(
        spanned(
            "batch",
            "t3",
            "s3",
            response_id="r",
            links=[{"trace_id": "t1", "span_id": "a"}, {"trace_id": "t2", "span_id": "b"}],
        )
    )
    match(ledger)
    assert ledger.rows("select request_id from event") == [("t3",)]


# ---- laws

IDS = st.one_of(st.none(), st.sampled_from("abc"))


@st.composite
def tellings(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Observations that share ids in every possible way, with spans above each other."""
    count = draw(st.integers(1, 7))
    return [
        {
            "name": f"o{n}",
            "response_id": draw(IDS),
            "record_id": draw(IDS),
            "provider_request_id": draw(IDS),
            "trace_id": "t",
            "span_id": draw(st.sampled_from(["s0", "s1", "s2", "s3"])),
            "parent_span_id": draw(st.sampled_from([None, "s0", "s1", "s2", "s3"])),
            "input_tokens": draw(st.sampled_from([1, 2, 3])),
            "role": draw(st.sampled_from(["client_span", "gateway_log", "provider_log"])),
        }
        for n in range(count)
    ]


def told(rows: list[dict[str, Any]]) -> Ledger:
    """Return the matched ledger; a span id told twice keeps one row, as `load` leaves it."""
    spans = {row["span_id"]: row["parent_span_id"] for row in sorted(rows, key=lambda r: str(r["name"]))}
    return observed(
        *[seen(row["name"], **{k: v for k, v in row.items() if k != "name"}) for row in rows],
        *[hop("t", span, parent, is_call=True) for span, parent in spans.items()],
    )


@settings(max_examples=20, deadline=None)
@given(tellings(), st.randoms(use_true_random=False))
def test_every_observation_ends_in_one_event_in_any_order_and_answers_never_merge(
    rows: list[dict[str, Any]], random: Any
) -> None:
    ledger = told(rows)
    match(ledger)
    assert ledger.rows("select count(*), count(distinct observation_id) from event_observation") == [
        (len(rows), len(rows))
    ]
    assert ledger.value("select count(*) from event") == len(groups(ledger))
    merged = ledger.value(
        "select count(*) from (select event_id from event_observation join observation using (observation_id) "
        "group by event_id having count(distinct response_id) > 1)"
    )
    assert merged == 0
    dump = ledger.rows("from event order by event_id")
    random.shuffle(rows)
    again = told(rows)
    match(again)
    assert again.rows("from event order by event_id") == dump
    match(again)
    assert again.rows("from event order by event_id") == dump


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["r1", "r2", "r3"]), min_size=1, max_size=8))
def test_a_call_told_many_times_costs_once(responses: list[str]) -> None:
    ledger = observed(*[seen(f"o{n}", response_id=response) for n, response in enumerate(responses)])
    match(ledger)
    assert ledger.value("select sum(input_tokens) from event") == 1000 * len(set(responses))


# ---- captured samples: true totals of formats/opentelemetry.md, section 3

TRUE_INPUT = {
    "genai_openai_anthropic": 12_556,
    "openllmetry": 10_550,
    "openinference": 8_544,
    "openai_v2": 8_032,
    "logfire": 4_012,
    "vercel_ai_5": 4_012,
    "vercel_ai_7": 4_012,
    "litellm_proxy": 7_042,
    "codex_0.169.0_otel_spans": 2_006,
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the captured samples of ../shared are not beside this checkout")
@pytest.mark.parametrize("sample", sorted(TRUE_INPUT))
def test_captured_traces_come_to_their_true_input_total(sample: str) -> None:
    files = sorted(SHARED.glob(f"formats/samples/*/*{sample}*.otlp.jsonl"))
    assert files, f"no captured sample is called {sample}"
    for path in files:
        ledger = build_ledger(path, quiet=True)
        assert ledger.value("select sum(input_tokens) from cost_event") == TRUE_INPUT[sample], path.name
