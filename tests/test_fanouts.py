from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution import showing
from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger
from tests.examples import call, ledger_of


def span(name: str, parent: str | None = None, trace: str = "t", **columns: Any) -> dict[str, Any]:
    return {
        "trace_id": trace,
        "span_id": name,
        "parent_span_id": parent,
        "source": "otlp",
        "file_id": "f",
        "line": 1,
        "name": name,
        "service": "api",
        "owner_team": None,
        "is_call": False,
        "links": None,
    } | columns


def tree(ledger: Ledger, request: str = "t") -> list[tuple[int, str, Decimal]]:
    rows = at.fan_out(ledger, request).to_dict("records")
    return [(row["depth"], row["label"], row["cost_below"]) for row in rows]


def test_a_request_is_a_tree_whose_root_costs_what_its_calls_cost() -> None:
    ledger = ledger_of(
        call("a", trace_id="t", span_id="s2", list_cost="1.50"),
        call("b", trace_id="t", span_id="s3", list_cost="0.25", model="gpt-5"),
        span=[span("s1"), span("s2", "s1"), span("s3", "s1")],
    )

    assert tree(ledger) == [
        (0, "t", Decimal("1.75")),
        (1, "s1", Decimal("1.75")),
        (2, "gpt-5-mini", Decimal("1.50")),
        (2, "gpt-5", Decimal("0.25")),
    ]


def test_a_call_without_a_span_hangs_below_the_request() -> None:
    ledger = ledger_of(call("a", trace_id="t", span_id=None, list_cost="1"))

    assert tree(ledger) == [(0, "t", Decimal(1)), (1, "gpt-5-mini", Decimal(1))]


def test_a_trace_that_only_links_hangs_below_the_span_it_links_to() -> None:
    ledger = ledger_of(
        call("a", request_id="t", trace_id="u", span_id="s2", list_cost="1"),
        span=[span("s1"), span("s2", trace="u", links=[{"trace_id": "t", "span_id": "s1"}])],
    )

    assert [row[:2] for row in tree(ledger)] == [(0, "t"), (1, "s1"), (2, "gpt-5-mini")]


def test_spans_in_a_circle_and_orphans_keep_each_call_exactly_once() -> None:
    ledger = ledger_of(
        call("a", trace_id="t", span_id="s1", list_cost="1"),
        call("b", trace_id="t", span_id="s4", list_cost="2"),
        span=[span("s1", "s3"), span("s2", "s1"), span("s3", "s2"), span("s4", "gone"), span("s5", "s5")],
    )

    rows = tree(ledger)

    assert len(rows) == 6
    assert rows[0] == (0, "t", Decimal(3))


def test_an_unpriced_call_is_counted_and_never_zero_dollars() -> None:
    ledger = ledger_of(call("a", trace_id="t", list_cost=None))

    row = at.fan_out(ledger, "t").to_dict("records")[1]

    assert row["unpriced_below"] == 1
    assert showing.is_missing(row["list_cost"])


def test_a_request_that_is_not_there_names_some_that_are() -> None:
    with pytest.raises(QuestionError, match="such as t"):
        at.fan_out(ledger_of(call("a", trace_id="t")), "nope")


def test_the_request_to_show_is_unowned_has_hops_and_is_dear() -> None:
    ledger = ledger_of(
        call("owned", list_cost="9"),
        call("bare", owner_team=None, list_cost="5"),
        call("cheap", trace_id="t", span_id="s3", owner_team=None, list_cost="0.10"),
        call("dear", trace_id="u", span_id="s3", owner_team=None, list_cost="0.20"),
        span=[span(f"s{n}", trace=trace) for trace in "tu" for n in (1, 2, 3)],
    )

    assert at.find_broken_request(ledger) == "u"
    with pytest.raises(LedgerError, match="no provider calls"):
        at.find_broken_request(ledger_of())
    assert at.fan_out(ledger).equals(at.fan_out(ledger, "u"))


def test_without_a_call_there_is_no_tree() -> None:
    nodes = at.fan_out(ledger_of())

    assert len(nodes) == 0
    assert list(nodes.columns) == list(at.fan_out(ledger_of(call("a"))).columns)


def test_coverage_counts_spans_that_enter_a_service_and_calls() -> None:
    ledger = ledger_of(
        call("a", trace_id="t", span_id="s3"),
        span=[
            span("s1", service="api", owner_team="support"),
            span("s2", "s1", service="worker"),
            span("inside", "s2", service="worker"),
            span("s3", "s2", service="worker", is_call=True, owner_team="support"),
        ],
    )

    rows = at.field_coverage(ledger)
    owners = rows[rows["field"] == "owner_team"][["hop", "records", "carrying", "share"]].to_dict("records")

    assert owners == [
        {"hop": "api", "records": 1, "carrying": 1, "share": Decimal(1)},
        {"hop": "worker", "records": 2, "carrying": 1, "share": Decimal("0.5")},
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 999)), min_size=1, max_size=10))
def test_any_parents_give_a_tree_that_holds_every_call_once(links: list[tuple[int, int]]) -> None:
    calls = [
        call(f"c{n}", trace_id="t", span_id=f"s{n}", list_cost=f"0.{cost:03d}") for n, (_, cost) in enumerate(links)
    ]
    spans = [span(f"s{n}", f"s{parent}") for n, (parent, _) in enumerate(links)]
    with ledger_of(*calls, span=spans) as ledger:
        rows = at.fan_out(ledger, "t")

    assert rows["event_id"].notna().sum() == len(links)
    assert rows["cost_below"][0] == sum(Decimal(cost) / 1000 for _, cost in links)
    assert rows["calls_below"][0] == len(links)
