from __future__ import annotations

import html
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution import schema
from attribution.anomalies import Anomalies, find_anomalies, pick_anomaly
from attribution.anomalies.localization import locate
from attribution.anomalies.scoring import BURN_IN, score_days
from attribution.anomalies.series import POOLED
from attribution.days import complete_days
from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger
from tests.examples import call, identity, insert, ledger_of

FIRST = datetime(2026, 8, 3, 12)
SLICES = {
    ("support", "triage", "small"): 20,
    ("support", "draft", "large"): 10,
    ("sales", "brief", "large"): 15,
    ("sales", "scores", "small"): 12,
}


def company(days: int = 60, planted: dict[tuple[int, str], str] | None = None, hours: int = 12) -> Ledger:
    """A ledger with a weekly rhythm; `planted` makes the calls of one workflow on one day dearer by a kind."""
    planted = planted or {}
    events: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for day in range(days):
        at = FIRST + timedelta(days=day)
        for (team, workflow, model), calls in SLICES.items():
            busy = calls // 3 if at.weekday() >= 5 else calls + (7 * day + len(workflow)) % 3
            kind = planted.get((day, workflow), "")
            for number in range(busy):
                for attempt in range(1, 4 if kind == "retries" else 2):
                    name = f"{day}-{workflow}-{number}-{attempt}"
                    units = 3000 if kind == "prompts" else 1000
                    events.append(
                        call(
                            name,
                            trace_id=f"{day}-{workflow}-{number}",
                            call_id=f"{day}-{workflow}-{number}",
                            attempt_no=attempt,
                            attempt_role="primary" if attempt == 1 else "retry",
                            started_at=at if number else at.replace(hour=hours),
                            owner_team=team,
                            workflow_id=workflow,
                            feature=None,
                            model=model,
                            list_cost=Decimal(units) / 1000,
                        )
                    )
                    items.append(
                        {
                            "event_id": identity(name),
                            "meter": "input",
                            "quantity": Decimal(units),
                            "unit": "tokens",
                            "list_cost": Decimal(units) / 1000,
                        }
                    )
    ledger = ledger_of(*events)
    ledger.run("drop view if exists line_item")
    ledger.run(schema.table("line_item").ddl())
    insert(ledger, "line_item", items)
    return ledger


def on(day: int) -> date:
    return (FIRST + timedelta(days=day)).date()


@pytest.fixture(scope="module")
def found() -> Anomalies:
    planted = {(44, "triage"): "retries"} | {(day, "brief"): "prompts" for day in range(52, 60)}
    return find_anomalies(company(planted=planted))


def test_a_planted_day_is_found_at_the_slice_that_caused_it(found: Anomalies) -> None:
    event = found.events[found.events["start"] == on(44)].to_dict("records")

    assert [(row["owner_team"], row["workflow_id"], row["direction"], row["is_alert"]) for row in event] == [
        ("support", "triage", "rise", True)
    ]
    assert event[0]["actual"] == 66
    assert event[0]["expected_high"] < 66
    assert event[0]["excess"] == event[0]["actual"] - event[0]["expected"]
    assert abs(event[0]["excess"] - 44) < 3


def test_an_event_carries_its_decomposition_and_its_cause_in_words(found: Anomalies) -> None:
    place = found.events.index[found.events["start"] == on(44)][0]
    explained = found.explanations[place]

    assert explained is not None
    assert explained.cost_after == 66
    assert "more retries" in found.events.loc[place, "why"]
    assert "role retry" in found.events.loc[place, "cause"]


def test_a_level_that_rose_and_stays_is_one_event_of_its_team(found: Anomalies) -> None:
    rises = found.events[found.events["kind"] == "sustained"]

    assert set(rises["owner_team"].fillna("")) == {"sales"}
    assert (rises["start"].min(), rises["end"].max()) == (on(52), on(58))
    assert rises["is_alert"].any()


def test_quiet_spend_raises_no_alarm() -> None:
    assert find_anomalies(company()).events.empty


def test_scores_look_at_earlier_days_only() -> None:
    rng = np.random.default_rng(9)
    days = rng.gamma(20, 5, (3, 80))
    weekday = np.arange(80) % 7
    changed = days.copy()
    changed[:, 60:] *= 7

    before, after = score_days(days, weekday), score_days(changed, weekday)

    for name in ("score", "expected", "sustained"):
        np.testing.assert_array_equal(getattr(before, name)[:, :60], getattr(after, name)[:, :60])


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_scores_do_not_depend_on_the_currency(seed: int, rate: float) -> None:
    days = np.random.default_rng(seed).gamma(20, 5, (2, 70))
    weekday = np.arange(70) % 7

    one, other = score_days(days, weekday), score_days(days * rate, weekday)

    np.testing.assert_allclose(one.score, other.score, rtol=1e-6)
    np.testing.assert_allclose(one.expected * rate, other.expected, rtol=1e-9)


def test_a_weekday_rhythm_is_no_anomaly_and_its_absence_is() -> None:
    weekday = np.arange(70) % 7
    days = np.where(weekday >= 5, 10.0, 100.0)[None, :] * (1 + 0.02 * np.sin(np.arange(70)))
    loud = days.copy()
    loud[0, 68] = 100.0

    assert weekday[68] == 5
    assert not score_days(days, weekday).is_alert.any()
    assert np.flatnonzero(score_days(loud, weekday).is_alert[0]).tolist() == [68]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 2.5]), st.sampled_from([1.0, 0.3]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_day_outside_its_range_is_an_alert_and_no_other_is(seed: int, floor: float, busy: float) -> None:
    rng = np.random.default_rng(seed)
    days = rng.gamma(2, 5, (3, 70)) * (rng.random((3, 70)) < busy)
    days[:, 60:] *= rng.choice([0.1, 1, 4, 9], size=(3, 10))

    scores = score_days(days, np.arange(70) % 7, floor)
    scored = ~np.isnan(scores.score)
    is_outside = (days > scores.high * (1 + 1e-9)) | (days < scores.low * (1 - 1e-9))

    assert (scores.low <= scores.high)[scored].all()
    assert ((days >= scores.low) & (days <= scores.high) & scores.is_alert).sum() == 0
    assert (is_outside & scored & ~scores.is_alert).sum() == 0


def test_a_missing_day_is_not_a_drop() -> None:
    days = np.full((1, 60), 100.0) + np.sin(np.arange(60))
    days[0, 50] = np.nan

    assert not score_days(days, np.arange(60) % 7).is_alert.any()


def test_a_sparse_slice_is_scored_on_one_scale() -> None:
    days = np.zeros((1, 60))
    days[0, ::2] = 10.0
    days[0, 55] = 200.0

    scores = score_days(days, np.arange(60) % 7)

    assert scores.is_alert[0, 55]
    assert not scores.is_sustained.any()


def test_nothing_is_scored_before_three_weeks() -> None:
    assert np.isnan(score_days(np.ones((1, 40)), np.arange(40) % 7).score[0, :BURN_IN]).all()


def test_the_last_day_counts_only_when_it_is_over() -> None:
    cut = company(days=30)
    name = "late"
    early = call(name, started_at=FIRST + timedelta(days=30, hours=-9))
    for step, table in schema.STEP_TABLES.items():
        part = schema.table("cost_event").of_step(step)
        insert(cut, table, [{column: early.get(column) for column in part.names}])

    assert complete_days(cut)[-1][0] == on(29)


def test_too_little_history_is_refused_with_what_there_is() -> None:
    with pytest.raises(LedgerError, match="22 complete days, which scoring needs: it has 10"):
        find_anomalies(company(days=10))


def test_a_small_slice_that_runs_away_for_a_week_is_not_hidden_among_its_siblings() -> None:
    days = [FIRST + timedelta(days=day) for day in range(60)]
    events = [
        call(f"{at}-{name}", started_at=at, workflow_id=name, feature=None, list_cost=Decimal(cost))
        for place, at in enumerate(days)
        for name, cost in (
            ("large", 100 + place % 3),
            ("tiny", "0.20"),
            ("runaway", Decimal(20) if 50 <= place < 56 else Decimal("0.2") + place % 2),
        )
    ]

    found = find_anomalies(ledger_of(*events), "workflow_id", explain=0)

    assert found.listed()["slice"].tolist() == ["runaway"]
    assert set(found.series["workflow_id"]) == {"large", "runaway", POOLED}


def test_a_period_limits_the_events_not_the_history(found: Anomalies) -> None:
    planted = {(44, "triage"): "retries", (50, "brief"): "prompts"}

    limited = find_anomalies(company(planted=planted), "workflow_id", period=str(on(44)))

    assert limited.events["workflow_id"].tolist() == ["triage"]
    assert set(limited.series["workflow_id"]) == {"triage", "draft", "brief", "scores"}


def test_answers_are_the_same_each_time() -> None:
    ledger = company(planted={(44, "triage"): "retries"})

    assert find_anomalies(ledger).events.equals(find_anomalies(ledger).events)


# Localisation


def cube(cause: dict[str, str], ratio: float, also: dict[str, str] | None = None) -> tuple[Any, ...]:
    leaves = [(a, b, c) for a in "pqrs" for b in "uvwx" for c in "klmn"]
    attributes = {name: [leaf[place] for leaf in leaves] for place, name in enumerate("abc")}
    expected = np.array([10.0 + 3 * place % 17 for place in range(len(leaves))])
    actual = expected * (1 + 0.01 * np.sin(np.arange(len(leaves))))
    for slice_, by in ((cause, ratio), (also or {}, 0.4)):
        if slice_:
            inside = np.all([np.array(attributes[name]) == value for name, value in slice_.items()], axis=0)
            actual = np.where(inside, actual * by, actual)
    return attributes, expected, actual


@pytest.mark.parametrize("cause", [{"a": "q"}, {"a": "q", "c": "m"}, {"a": "r", "b": "x", "c": "l"}])
def test_the_slice_whose_leaves_moved_by_one_ratio_is_found(cause: dict[str, str]) -> None:
    found = locate(*cube(cause, 1.8))

    assert [one.values for one in found] == [cause]
    assert found[0].actual / found[0].expected == pytest.approx(1.8, rel=0.02)


def test_two_causes_with_two_ratios_are_told_apart() -> None:
    found = locate(*cube({"a": "q"}, 1.8, also={"b": "u", "c": "k"}))

    assert {tuple(one.values.items()) for one in found} == {(("a", "q"),), (("b", "u"), ("c", "k"))}


def test_where_nothing_moved_there_is_no_cause() -> None:
    attributes, expected, _ = cube({}, 1.0)

    assert locate(attributes, expected, expected) == []


def test_what_is_new_is_a_cause() -> None:
    attributes = {"model": ["small", "large", "new"], "workflow": ["triage"] * 3}

    found = locate(attributes, [10.0, 20.0, 0.0], [10.0, 20.0, 30.0])

    assert [one.values for one in found] == [{"model": "new"}]


# Looking into one event


def test_an_event_is_picked_by_its_number_with_its_days_its_drivers_and_its_requests(found: Anomalies) -> None:
    ledger = company(planted={(44, "triage"): "retries"})
    one = find_anomalies(ledger)

    picked = pick_anomaly(ledger, one)

    assert one.choices() == [(f"{on(44)}  support / triage  +$45.00", 1)]
    assert picked.series[picked.series["is_event"]]["cost"].tolist() == [66]
    assert set(picked.series["slice"]) == {"support / triage"}
    assert (picked.driver, picked.families["label"].tolist()[1:-1]) == ("retries", ["volume"])
    # Two more attempts for each of 21 requests before and 22 after.
    assert picked.members["effect"].tolist() == [43]
    assert picked.requests["retry_cost"].tolist() == [2] * 5
    assert picked.said.startswith(f"Support / triage spent $66.00 on {on(44)}, where $21.00 is usual and ")
    assert "more retries" in picked.said
    assert pick_anomaly(ledger, one, driver="unit price", by="model").members.empty


def test_a_waterfall_ends_at_the_later_cost(found: Anomalies) -> None:
    for explained in found.explanations:
        assert explained is not None
        for by in ("family", "driver"):
            bars = explained.waterfall(by)
            steps = bars[bars["kind"] == "effect"]

            assert bars["end"].tolist()[-2:] == [explained.cost_after] * 2
            assert bars["start"].tolist()[1:-1] == [explained.cost_before, *steps["end"].tolist()[:-1]]
            ends = zip(steps["start"], steps["end"], steps["effect"], strict=True)
            assert all(end - start == effect for start, end, effect in ends)


def test_an_event_that_is_not_there_is_refused_with_how_many_there_are(found: Anomalies) -> None:
    with pytest.raises(QuestionError, match=r"`number` was 99; expected a number from 1 to \d"):
        found.series_of(99)
    with pytest.raises(QuestionError, match="there is none"):
        find_anomalies(company()).series_of()
    with pytest.raises(QuestionError, match="`by` was 'colour'"):
        found.explanations[0].waterfall("colour")  # type: ignore[union-attr]


def test_a_page_on_data_without_an_event_says_why_and_has_nothing_to_draw() -> None:
    young, calm = ledger_of(call("a", list_cost="1")), company()

    for ledger, why in (
        (young, "this ledger has no 22 complete days, which scoring needs: it has 1"),
        (calm, "No unu"),
    ):
        found = at.look_for_anomalies(ledger, "owner_team")
        picked = at.pick_anomaly(ledger, found, 5)
        assert picked.said == found.why
        assert found.why.startswith(why)
        assert html.escape(why) in found._repr_html_()
        assert (picked.series.empty, picked.members.empty, picked.requests.empty) == (True, True, True)
        assert found.listed().empty
    assert at.look_for_anomalies(calm).events.empty
    with pytest.raises(LedgerError, match="22 complete days"):
        find_anomalies(young)


def test_events_are_listed_as_people_read_them(found: Anomalies) -> None:
    listed = found.listed()

    assert listed["event"].tolist() == list(range(1, len(found.events) + 1))
    assert listed["slice"].tolist() == ["sales / brief", "support / triage"]
    assert listed["days"].tolist() == [f"{on(52)} to {on(58)}", str(on(44))]
    assert (listed["alarm_above"] < listed["actual"]).all()
    assert find_anomalies(company()).listed().empty
