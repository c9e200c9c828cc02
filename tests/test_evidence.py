"""The evidence behind ownership: match report, key matrix, repair, hygiene, one event explained, coverage trend."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.audits import audit
from attribution.building import build_ledger
from attribution.coverages import measure_coverage
from attribution.errors import QuestionError
from attribution.event_explanations import explain_event
from attribution.hygiene import hash_ids, lint_ownership, look_alikes, skeleton
from attribution.keys import key_matrix
from attribution.ledger import Ledger
from attribution.match_reports import match_report
from attribution.matching import match
from attribution.repairs import measure_repair
from attribution.sampling import recognise_sampling
from attribution.trends import coverage_trend
from tests.examples import call, identity, insert, ledger_of, observed, seen, spanned

CAPTURED = Path(__file__).resolve().parents[1] / "sample_data" / "traces" / "captured"


@pytest.fixture(scope="module")
def captured() -> Ledger:
    return build_ledger(CAPTURED, quiet=True)


def test_every_record_is_in_exactly_one_call(captured: Ledger) -> None:
    report = match_report(captured)

    assert report.by_sources["records"].sum() == captured.value("select count(*) from observation")
    assert report.by_sources["calls"].sum() == captured.value("select count(*) from cost_event")


def test_two_exports_of_one_gateway_are_counted_once(captured: Ledger) -> None:
    once = build_ledger(CAPTURED / "litellm" / "spend_logs_payload.proxy.jsonl", quiet=True)
    cost = once.value("select sum(list_cost) from cost_event")
    both = build_ledger(
        CAPTURED / "litellm" / "spend_logs_payload.proxy.jsonl",
        CAPTURED / "litellm" / "standard_logging_payload.proxy.jsonl",
        quiet=True,
    )

    assert both.value("select sum(list_cost) from cost_event") == cost
    assert match_report(both).double_counted == cost


def test_the_key_is_platforms_and_most_of_its_spend_supports() -> None:
    held = [{"key_id": "k1", "kind": "api_key", "owner_team": "platform", "is_exclusive": False, "is_shared": True}]
    ledger = ledger_of(
        call("a", api_key_id="k1", list_cost="62"),
        call("b", api_key_id="k1", owner_team="search", list_cost="38"),
        key=held,
    )

    cells = key_matrix(ledger)[["key_holder", "owner_team", "list_cost", "share_of_key"]].to_dict("records")
    assert cells == [
        {
            "key_holder": "platform",
            "owner_team": "support",
            "list_cost": Decimal(62),
            "share_of_key": Decimal("0.620000"),
        },
        {"key_holder": "platform", "owner_team": "search", "list_cost": Decimal(38), "share_of_key": Decimal("0.38")},
    ]


def test_measuring_repair_leaves_the_ledger_as_it_was(captured: Ledger) -> None:
    before = captured.rows("select * from cost_event order by event_id")

    measure_repair(captured, share=Decimal(1))

    assert captured.rows("select * from cost_event order by event_id") == before


def test_hidden_owners_are_found_again_from_spans_above(captured: Ledger) -> None:
    repaired = measure_repair(captured, share=Decimal(1))
    inherited = repaired[repaired["rung"] == "inherited"].iloc[0]

    assert inherited["right"] == inherited["hidden_calls"] == 14
    assert inherited["precision"] == 1
    assert repaired["wrong"].sum() == 0


def test_hiding_nothing_is_refused(captured: Ledger) -> None:
    with pytest.raises(QuestionError, match="share"):
        measure_repair(captured, share=Decimal(0))


def test_look_alike_teams_are_one_group_and_stay_apart() -> None:
    ledger = ledger_of(
        call("a", owner_team="Support"),
        call("b", owner_team="suppоrt"),  # the o is Cyrillic
        call("c", owner_team="search"),
    )

    groups = look_alikes(ledger)
    assert groups[["skeleton", "names"]].to_dict("records") == [{"skeleton": "support", "names": 2}]
    assert "\\u043e" in groups["teams"].item()
    assert ledger.value("select count(distinct owner_team) from cost_event") == 3


@given(st.text(min_size=1))
def test_a_name_looks_like_itself_in_any_case_and_spacing(name: str) -> None:
    assert skeleton(name) == skeleton(f" {name} ")
    assert skeleton(name.upper().lower()) == skeleton(name.upper().lower().upper().lower())


def test_a_feature_in_the_team_field_is_found() -> None:
    usual = [call(f"u{i}", feature="classify") for i in range(20)]
    ledger = ledger_of(*usual, call("x", owner_team="classify", list_cost="5"))

    found = lint_ownership(ledger)
    assert found[["finding", "field", "list_cost"]].to_dict("records") == [
        {"finding": "other_field", "field": "owner_team", "list_cost": Decimal(5)}
    ]


def test_teams_that_the_registry_does_not_know_are_named() -> None:
    ledger = ledger_of(call("a"), call("b", owner_team="supprot"), team=[{"team": "support"}])

    assert lint_ownership(ledger)["detail"].tolist() == ["supprot"]


def test_ids_are_hashed_with_a_key_and_never_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATTRIBUTION_HASH_KEY", raising=False)
    frame = pd.DataFrame({"tenant_id": ["acme", "acme", None], "n": [1, 2, 3]})

    hashed = hash_ids(frame, "secret")
    first, second, missing = hashed["tenant_id_hash"]
    assert first == second
    assert first.startswith("h_")
    assert "acme" not in first
    assert pd.isna(missing)
    assert hash_ids(frame, "other")["tenant_id_hash"][0] != first
    with pytest.raises(QuestionError, match="ATTRIBUTION_HASH_KEY"):
        hash_ids(frame)


def test_an_event_is_explained_down_to_file_line_and_price(captured: Ledger) -> None:
    event = captured.value(
        "select event_id from cost_event where sources > 1 and list_cost is not null order by event_id limit 1"
    )

    found = explain_event(captured, event)
    assert all(":" in place for place in found.records["place"])
    assert found.items["list_cost"].sum() == found.event["list_cost"]
    assert found.items["price_entry"].notna().all()
    assert json.dumps(found.to_dict())
    assert "owner_team" in found.to_text()


def test_an_unknown_event_is_refused(captured: Ledger) -> None:
    with pytest.raises(QuestionError, match="event_id"):
        explain_event(captured, "no-such-event")


def test_spans_stated_to_be_a_sample_prove_no_dollars() -> None:
    spans = CAPTURED / "broken_hops" / "celery_ok_baggage.otlp.jsonl"
    ledger = build_ledger(spans, quiet=True)
    ledger.run("insert into setting (name, value) values ('spans', 'sampled')")

    seventh = audit(ledger).verdicts.iloc[6]
    assert recognise_sampling(ledger)["state"].item() == "sampled"
    assert (seventh["verdict"], seventh["needs"]) == ("not provable", "a gateway log or a bill")


def test_whole_traces_missing_from_spans_are_a_sample_and_not_lost_calls() -> None:
    def state(spans: range) -> str:
        logged = [seen(f"g{n}", role="gateway_log", trace_id=f"t{n}", response_id=f"r{n}") for n in range(20)]
        traced = [spanned(f"s{n}", f"t{n}", "s", response_id=f"r{n}") for n in spans]
        ledger = observed(*logged, *traced)
        match(ledger)
        return str(recognise_sampling(ledger)["state"].item())

    assert state(range(5)) == "sampled"
    assert state(range(20)) == "complete"


@pytest.mark.parametrize(
    ("has_span", "state"),
    [
        (lambda n: n % 3 == 0, "sampled"),  # a third of the spans of every model, traces torn
        (lambda n: n % 2 == 0, "complete"),  # all of one model and none of the other: a hop loses them
        (lambda n: True, "complete"),
    ],
)
def test_spans_missing_evenly_within_traces_are_a_sample(has_span: Callable[[int], bool], state: str) -> None:
    logged = [
        seen(f"g{n}", role="gateway_log", trace_id=f"t{n // 6}", response_id=f"r{n}", model=f"m{n % 2}")
        for n in range(120)
    ]
    traced = [spanned(f"s{n}", f"t{n // 6}", f"s{n}", response_id=f"r{n}") for n in range(120) if has_span(n)]
    ledger = observed(*logged, *traced)
    match(ledger)
    assert recognise_sampling(ledger)["state"].item() == state


@pytest.mark.parametrize(
    ("traced", "state"),
    [
        ((10, 12, 8), "sampled"),  # a tenth of every day
        ((100, 100, 5), "incomplete"),  # one day lost its spans
        ((100, 99, 100), "complete"),
    ],
)
def test_requests_that_a_bill_counts_are_the_population_where_no_gateway_is(
    traced: tuple[int, ...], state: str
) -> None:
    days = [datetime(2026, 10, 5 + n) for n in range(3)]
    spans = [
        spanned(f"s{day.day}-{n}", f"t{day.day}-{n}", "s", started_at=day)
        for day, calls in zip(days, traced, strict=True)
        for n in range(calls)
    ]
    ledger = observed(*spans)
    match(ledger)
    assert recognise_sampling(ledger)["state"].item() == "unknown"
    usage = [
        {
            "bill_line_id": identity(f"{day}{meter}"), "source": "openai_usage", "role": "usage", "file_id": "f",
            "line": 1, "record_no": day.day, "period_start": day, "period_end": day + timedelta(days=1),
            "provider": "openai", "meter": meter, "category": "usage", "requests": 100,
        }
        for day in days
        for meter in ("input", "output")  # the two lines of one record count the same requests
    ]  # fmt: skip
    insert(ledger, "bill_line", usage)

    found = recognise_sampling(ledger).iloc[0]
    assert (found["state"], found["population"], found["calls"]) == (state, "bill", 300)
    assert found["calls_with_span"] == sum(traced)


def test_an_event_is_found_by_the_id_it_had_before_a_later_file_merged_it() -> None:
    ledger = observed(seen("span", trace_id="t", span_id="s", provider_request_id="q"))
    match(ledger)
    before = ledger.value("select event_id from event")
    insert(ledger, "observation", [seen("log", role="provider_log", provider_request_id="q", response_id="r")])
    match(ledger)

    after = ledger.value("select event_id from event")
    assert before != after
    assert ledger.rows("select old_event_id, event_id from event_alias") == [(before, after)]


def test_coverage_by_hop_adds_up_to_all_spend(captured: Ledger) -> None:
    whole, parts = measure_coverage(captured), measure_coverage(captured, "hop")

    for column in ("list_cost", "not_declared", "unowned"):
        assert parts[column].sum() == whole[column].item()


def test_the_first_bad_day_is_named() -> None:
    def day(number: int, owner: str | None) -> list[dict[str, object]]:
        at = datetime(2026, 9, 1) + timedelta(days=number)
        owned = call(f"o{number}", started_at=at, list_cost="90")
        return [owned, call(f"x{number}", started_at=at, owner_team=owner, list_cost="10")]

    calls = [c for n in range(30) for c in day(n, "support" if n < 18 else None)]
    trend = coverage_trend(ledger_of(*calls))

    assert trend.changes.to_dict("records") == [
        {"first_day": "2026-09-19", "before": 0.0, "after": 0.1, "is_worse": True}
    ]
    assert "PELT" in trend.parameters
    assert trend.headline.startswith(
        "The share not declared changed its level: from 2026-09-19 on 10.0 % in place of 0.0 % (worse)."
    )


def test_without_a_change_of_level_the_trend_says_why() -> None:
    def days(number: int) -> Ledger:
        return ledger_of(*(call(f"{n}", started_at=datetime(2026, 9, 1) + timedelta(days=n)) for n in range(number)))

    assert coverage_trend(days(4)).headline == (
        "4 days with priced calls: a change of level needs 6, 3 on either side."
    )
    assert coverage_trend(days(9)).headline.startswith("No day in 9 after which the share not declared stays at")


def test_without_ruptures_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    calls = [call(f"{n}", started_at=datetime(2026, 9, 1) + timedelta(days=n)) for n in range(9)]

    with pytest.raises(QuestionError, match=r"pip install 'attribution\[statistics\]'"):
        coverage_trend(ledger_of(*calls))
