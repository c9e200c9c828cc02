from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution import schema
from attribution.errors import LedgerError, QuestionError, SchemaError
from attribution.explanations import Explanation, explain_change, explain_windows, show_requests
from attribution.explanations.rules import FACTORS, NODES, WEIGHTS
from attribution.ledger import Ledger
from attribution.periods import parse
from attribution.pricing import price_events
from tests.change_oracle import Attempt, driver_effects
from tests.examples import call, identity, insert, ledger_of

BEFORE, AFTER = "2026-W41", "2026-W42"
MONDAYS = {BEFORE: datetime(2026, 10, 5, 9), AFTER: datetime(2026, 10, 12, 9)}
ZERO = Decimal(0)


@dataclass(frozen=True)
class Call:
    """One logical call: what it used on each attempt, by meter, at a price per token."""

    request: str
    workflow: str = "triage"
    team: str | None = "support"
    feature: str | None = "classify"
    step: str = "chat"
    attempts: tuple[str, ...] = ("small",)
    tier: str = "standard"
    units: tuple[tuple[str, int], ...] = (("input", 1000), ("output", 100))
    price: tuple[tuple[str, str], ...] = (("input", "0.000002"), ("cache_read", "0.0000005"), ("output", "0.00001"))
    dear: tuple[tuple[str, str], ...] = (("small", "1"), ("large", "10"))
    discount: str = "1"

    def role(self, number: int) -> str:
        if number == 1:
            return "primary"
        return "retry" if self.attempts[number - 1] == self.attempts[0] else "fallback"

    def lines(self, number: int) -> dict[str, tuple[int, Decimal]]:
        times = Decimal(dict(self.dear)[self.attempts[number - 1]])
        return {meter: (units, units * times * Decimal(dict(self.price)[meter])) for meter, units in self.units}

    def cost(self, number: int) -> Decimal:
        return sum((cost for _, cost in self.lines(number).values()), ZERO)


def ledger_for(weeks: dict[str, list[Call]], family: Iterable[dict[str, Any]] = ()) -> Ledger:
    """A ledger of these calls, each week's on its Monday."""
    events, items = [], []
    for week, calls in weeks.items():
        for place, one in enumerate(calls):
            for number in range(1, len(one.attempts) + 1):
                name = f"{week}-{place}-{number}"
                events.append(_event(week, place, number, one))
                items += [
                    {
                        "event_id": identity(name),
                        "meter": meter,
                        "quantity": Decimal(units),
                        "unit": "tokens",
                        "list_cost": cost,
                    }
                    for meter, (units, cost) in one.lines(number).items()
                ]
    ledger = ledger_of(*events, family=list(family))
    ledger.run("drop view if exists line_item")
    ledger.run(schema.table("line_item").ddl())
    insert(ledger, "line_item", items)
    return ledger


def _event(week: str, place: int, number: int, one: Call) -> dict[str, Any]:
    return call(
        f"{week}-{place}-{number}",
        trace_id=f"{week}-{one.request}",
        call_id=f"{week}-{place}",
        attempt_no=number,
        attempt_role=one.role(number),
        started_at=MONDAYS[week] + timedelta(minutes=place),
        owner_team=one.team,
        workflow_id=one.workflow,
        feature=one.feature,
        operation=one.step,
        model=one.attempts[number - 1],
        service_tier=one.tier,
        list_cost=one.cost(number),
        contracted_cost=one.cost(number) * Decimal(one.discount),
    )


def by_day(before: str, after: str) -> pa.Table:
    """Rates for each day of both weeks."""
    days = [at.date() + timedelta(days=step) for at in MONDAYS.values() for step in range(7)]
    return pa.table({"day": days, "rate": [Decimal(before)] * 7 + [Decimal(after)] * 7})


def explained(before: list[Call], after: list[Call], **options: Any) -> Explanation:
    return explain_change(ledger_for({BEFORE: before, AFTER: after}), BEFORE, AFTER, **options)


def effects(answer: Explanation) -> dict[str, Decimal]:
    """The drivers that did anything."""
    pairs = zip(answer.drivers["driver"], answer.drivers["effect"], strict=True)
    return {driver: effect for driver, effect in pairs if effect != 0}


def requests(count: int, **columns: Any) -> list[Call]:
    return [Call(request=f"{columns.get('workflow', 'triage')}-{place}", **columns) for place in range(count)]


def total(calls: Iterable[Call]) -> Decimal:
    return sum((one.cost(n) * Decimal(one.discount) for one in calls for n in range(1, len(one.attempts) + 1)), ZERO)


# One driver changed: it is the only line and equals the change.

UNITS = (("input", 1000), ("output", 100))
CHEAPER = (("input", "0.000001"), ("cache_read", "0.0000005"), ("output", "0.00001"))
PURE = {
    "traffic": (requests(10), requests(17)),
    "fan-out": (requests(4), [*requests(4), *requests(4)]),
    "retries": (requests(10), [*requests(7), *requests(3, attempts=("small", "small"))]),
    "fallbacks": (requests(10), [*requests(7), *requests(3, attempts=("small", "large"))]),
    "model mix": (requests(10), [*requests(4), *[replace(one, attempts=("large",)) for one in requests(10)[4:]]]),
    "service tier": (
        [*requests(5), *[replace(one, tier="batch", discount="0.5") for one in requests(10)[5:]]],
        [*requests(2), *[replace(one, tier="batch", discount="0.5") for one in requests(10)[2:]]],
    ),
    "prompt size": (requests(9), requests(9, units=(("input", 1700), ("output", 100)))),
    "response size": (requests(9), requests(9, units=(("input", 1000), ("output", 130)))),
    "cache": (requests(9), requests(9, units=(("input", 300), ("cache_read", 700), ("output", 100)))),
    "unit price": (requests(9), requests(9, price=CHEAPER)),
    "new workflows": (requests(3), [*requests(3), *requests(5, workflow="refund")]),
    "retired workflows": ([*requests(3), *requests(5, workflow="refund")], requests(3)),
    "workflow mix": (
        [*requests(3), *requests(7, workflow="refund", attempts=("large",))],
        [*requests(7), *requests(3, workflow="refund", attempts=("large",))],
    ),
}


@pytest.mark.parametrize("driver", sorted(PURE))
def test_what_alone_changed_is_the_only_line_and_equals_the_change(driver: str) -> None:
    before, after = PURE[driver]
    if driver in ("retries", "fallbacks"):
        after = [replace(one, request=str(place)) for place, one in enumerate(after)]

    answer = explained(before, after)

    assert effects(answer) == {driver: total(after) - total(before)}
    assert answer.change == total(after) - total(before)


@pytest.mark.parametrize("driver", ["reasoning", "other usage"])
def test_reasoning_and_other_meters_have_lines_of_their_own(driver: str) -> None:
    meter = {"reasoning": "reasoning", "other usage": "web_search"}[driver]
    price = (("input", "0.000002"), ("output", "0.00001"), (meter, "0.01"))
    before = requests(5, price=price, units=(("input", 1000), ("output", 100), (meter, 2)))
    after = requests(5, price=price, units=(("input", 1000), ("output", 100), (meter, 3)))

    assert effects(explained(before, after)) == {driver: Decimal("0.05")}


def test_nothing_changed_nothing_shown() -> None:
    calls = [*requests(5), *requests(3, workflow="refund", attempts=("large", "small"))]

    answer = explained(calls, calls)

    assert effects(answer) == {}
    assert answer.headline.startswith("Spend did not change")


def test_a_whole_model_swap_under_growing_traffic_is_model_mix_and_traffic() -> None:
    answer = explained(requests(10), requests(20, attempts=("large",)))

    # Per request $0.003 and $0.03: Bennet's rule on the two factors that changed.
    assert effects(answer) == {"traffic": Decimal("0.165"), "model mix": Decimal("0.405")}


def test_lmdi_credits_a_swap_whole_to_what_was_zero_and_that_is_why_it_is_not_the_default() -> None:
    answer = explained(requests(10), requests(20, attempts=("large",)), method="lmdi")

    assert effects(answer) == {"model mix": answer.change}


def test_pvm_values_price_at_later_quantities() -> None:
    after = requests(12, price=CHEAPER)

    answer = explained(requests(10), after, method="pvm")

    assert effects(answer) == {"traffic": Decimal("0.006"), "unit price": Decimal("-0.012")}


def test_discount_and_list_price_are_parts_of_the_unit_price() -> None:
    answer = explained(requests(10, discount="0.9"), requests(10, price=CHEAPER, discount="0.8"))
    parts = dict(zip(answer.price_parts["part"], answer.price_parts["effect"], strict=True))

    # List 0.03 → 0.02, kept 0.9 → 0.8; both meters together, Bennet's rule.
    assert parts == {"list price": Decimal("-0.0085"), "discount": Decimal("-0.0025"), "exchange rate": 0}
    assert effects(answer) == {"unit price": Decimal("-0.011")}


def test_an_exchange_rate_is_a_part_of_the_unit_price() -> None:
    answer = explained(requests(10), requests(10), currency="EUR", rates=by_day("0.90", "0.95"))
    parts = dict(zip(answer.price_parts["part"], answer.price_parts["effect"], strict=True))

    assert answer.cost_before == Decimal("0.027")
    assert parts["exchange rate"] == Decimal("0.0015") == answer.change


def test_the_reviewed_rates_of_the_ledger_serve_a_currency() -> None:
    ledger = ledger_for({BEFORE: requests(10), AFTER: requests(10)})
    turn = MONDAYS[AFTER].replace(hour=0)
    insert(
        ledger,
        "currency_rate",
        [
            {"currency": "EUR", "usd": Decimal("1.25"), "valid_to": turn, "valid_from": turn - timedelta(days=99)},
            {"currency": "EUR", "usd": Decimal("1.00"), "valid_to": turn + timedelta(days=99), "valid_from": turn},
        ],
    )

    answer = explain_change(ledger, BEFORE, AFTER, currency="EUR")

    # $0.03 in both weeks, at €0.80 and €1.00 a dollar.
    assert effects(answer) == {"unit price": Decimal("0.006")}
    assert answer.headline == "Spend rose 25 % (EUR 0.006): 100 % higher prices."


def test_a_day_without_a_rate_is_refused() -> None:
    ledger = ledger_for({BEFORE: requests(1), AFTER: requests(1)})

    with pytest.raises(QuestionError, match="none for 2026-10-05"):
        explain_change(ledger, BEFORE, AFTER, currency="EUR")
    with pytest.raises(QuestionError, match="none for 2026-10-19"):
        explain_change(ledger, BEFORE, "2026-10-12..2026-10-19", currency="EUR", rates=by_day("0.9", "0.9"))


def test_a_driver_that_is_large_beside_its_past_is_material() -> None:
    start = date(2026, 8, 3)
    weeks = [(start + timedelta(weeks=week)).isocalendar() for week in range(11)]
    events = [
        call(
            f"{week}-{place}",
            trace_id=f"{week}-{place}",
            started_at=datetime.combine(start, datetime.min.time()) + timedelta(weeks=week, hours=1),
            list_cost="1",
        )
        for week in range(11)
        for place in range(500 + week * week % 7 % 4 + (8 if week == 10 else 0))
    ]
    before, after = (f"{year}-W{week:02}" for year, week, _ in weeks[-2:])

    plain = explain_change(ledger_of(*events), before, after)
    informed = explain_change(ledger_of(*events), before, after, history=8)

    # Less than 2 % of 500, and far more than the one or two of other weeks.
    assert effects(plain) == effects(informed) == {"traffic": Decimal(10)}
    assert (plain.drivers["is_material"].sum(), informed.drivers["is_material"].sum()) == (0, 1)


def test_better_tagging_alone_is_coverage_shift_and_nothing_else() -> None:
    untagged = [replace(one, team=None) for one in requests(9, units=(("input", 5000), ("output", 10)))]
    untagged = [replace(one, request=f"u{place}") for place, one in enumerate(untagged)]
    before = [*requests(4), *untagged]
    after = [replace(one, team="support") for one in before]
    moved = total(untagged)

    ledger = ledger_for({BEFORE: before, AFTER: after})

    def answer(team: str | None) -> dict[str, Decimal]:
        return effects(explain_change(ledger, BEFORE, AFTER, where={"owner_team": team}))

    assert answer("support") == {"coverage shift": moved}
    assert answer(None) == {"coverage shift": -moved}
    assert effects(explain_change(ledger, BEFORE, AFTER)) == {}


def test_untagged_calls_of_a_workflow_that_two_teams_run_belong_to_neither() -> None:
    before = [*requests(4), *requests(4, team="sales"), *requests(2, team=None)]
    after = [*requests(4), *requests(4, team="sales"), *requests(2)]

    answer = explained(before, after, where={"owner_team": "support"})

    assert "coverage shift" not in effects(answer)


def test_the_price_of_a_model_that_enters_is_quoted_by_the_list_for_both_periods() -> None:
    ledger = ledger_for({BEFORE: requests(10), AFTER: requests(10, attempts=("large",))})
    ledger.run("drop table if exists rate_card")
    ledger.run("drop table if exists rate_line")
    ledger.run(
        """
        create table rate_card as
        select * from (values
            (1, 'openai', 'large', null::varchar, -1, timestamp '2026-01-01', timestamp '2026-10-12', false),
            (2, 'openai', 'large', null, -1, timestamp '2026-10-12', timestamp '2999-12-31', false)
        ) cards(card_id, provider, model, service_tier, context_over, valid_from, valid_to, is_estimate)
        """
    )
    ledger.run(
        """
        create table rate_line as
        select * from (values
            (1, 'input', 10.0::decimal(38, 12), 1000000, 'large'), (2, 'input', 20.0, 1000000, 'large'),
            (1, 'output', 100.0, 1000000, 'large'), (2, 'output', 100.0, 1000000, 'large')
        ) lines(card_id, meter, price, per, entry)
        """
    )

    # The swap is worth $0.03 - $0.003 a request at the later price; half of the input's own rise is price.
    answer = effects(explain_change(ledger, BEFORE, AFTER))

    assert answer == {"model mix": Decimal("0.22"), "unit price": Decimal("0.05")}


def test_a_version_of_a_workflow_is_neither_new_nor_retired() -> None:
    family = [{"kind": "workflow", "name": f"triage-v{n}", "family": "triage"} for n in (4, 5)]
    weeks = {BEFORE: requests(5, workflow="triage-v4"), AFTER: requests(6, workflow="triage-v5")}

    ledger = ledger_for(weeks, family)

    assert effects(explain_change(ledger, BEFORE, AFTER)) == {"traffic": Decimal("0.003")}
    for asked in ("triage", "triage-v4", "triage-v5"):
        answer = explain_change(ledger, BEFORE, AFTER, where={"workflow_id": asked})
        assert effects(answer) == {"traffic": Decimal("0.003")}


# What people read, and what is refused.


def test_the_headline_names_the_team_the_rise_and_its_drivers_in_order() -> None:
    before = requests(100)
    after = [*requests(110), *requests(30, workflow="draft")]
    retried = [replace(one, attempts=("small", "small")) for one in after[:20]]

    ledger = ledger_for({BEFORE: [*before, *requests(30, workflow="draft")], AFTER: [*retried, *after[20:]]})
    answer = explain_change(ledger, BEFORE, AFTER, where={"owner_team": "support"})

    assert answer.headline == ("Support rose 23 % ($0.09): 64 % more retries in triage, 36 % more traffic in triage.")


def test_when_signs_differ_both_sides_come_before_the_net() -> None:
    answer = explained(requests(10), requests(20, price=CHEAPER))

    assert answer.headline == "Spend rose 33 % ($0.01): more traffic ($0.025) added; lower prices ($0.015) saved."


def test_a_team_without_earlier_spend_is_new_not_infinitely_more() -> None:
    ledger = ledger_for({BEFORE: requests(3, team="sales"), AFTER: requests(5)})

    answer = explain_change(ledger, BEFORE, AFTER, where={"owner_team": "support"})

    assert answer.headline == "Support rose from nothing to $0.015: 100 % new workflows."


def test_interaction_tells_how_much_no_driver_does_alone() -> None:
    answer = explained(requests(10), requests(20, attempts=("large",)))

    # Alone: traffic 0.03, model mix 0.27; together 0.57.
    assert answer.interaction == pytest.approx(1 - 0.30 / 0.57, abs=1e-6)


def test_unpriced_calls_are_left_out_of_both_periods_and_counted() -> None:
    ledger = ledger_for({BEFORE: requests(5), AFTER: requests(6)})
    unpriced = call("x", started_at=MONDAYS[AFTER], list_cost=None, price_status="unpriced", owner_team="support")
    for name in schema.STEP_TABLES.values():
        part = schema.table("cost_event").of_step({v: k for k, v in schema.STEP_TABLES.items()}[name])
        insert(ledger, name, [{column: unpriced.get(column) for column in part.names}])

    answer = explain_change(ledger, BEFORE, AFTER)

    assert effects(answer) == {"traffic": Decimal("0.003")}
    assert answer.unpriced[["period", "price_status", "calls"]].values.tolist() == [[AFTER, "unpriced", 1]]


def test_a_ledger_without_line_items_explains_each_cost_as_a_fee() -> None:
    events = [
        call(f"{week}-{place}", trace_id=f"{week}-{place}", started_at=MONDAYS[week], list_cost=cost)
        for week, cost in ((BEFORE, "2"), (AFTER, "3"))
        for place in range(4)
    ]

    assert effects(explain_change(ledger_of(*events), BEFORE, AFTER)) == {"unit price": Decimal(4)}


def test_the_mean_of_several_earlier_windows_is_an_earlier_period() -> None:
    weeks = {BEFORE: requests(12), AFTER: requests(9)}
    windows = [parse("2026-W40"), parse(BEFORE)]

    answer = explain_windows(ledger_for(weeks), windows, parse(AFTER))

    assert answer.cost_before == Decimal("0.018")
    assert effects(answer) == {"traffic": Decimal("0.009")}


def test_the_same_weekdays_before_may_be_asked_for() -> None:
    ledger = ledger_for({BEFORE: requests(5), AFTER: requests(6)})

    answer = explain_change(ledger, "same weekdays before", "2026-10-12")

    assert (answer.before, effects(answer)) == ("2026-10-05", {"traffic": Decimal("0.003")})


def test_what_cannot_be_compared_is_refused_with_what_there_is() -> None:
    ledger = ledger_for({BEFORE: requests(5), AFTER: requests(6)})

    with pytest.raises(LedgerError, match=r"no calls in 2026-W30\. It has calls from 2026-10-05 to 2026-10-12"):
        explain_change(ledger, "2026-W30", AFTER)
    with pytest.raises(LedgerError, match="no priced calls in 2026-W41 or 2026-W42"):
        explain_change(ledger, BEFORE, AFTER, where={"owner_team": "nobody"})
    with pytest.raises(QuestionError, match="does not overlap 2026-10"):
        explain_change(ledger, BEFORE, "2026-10")
    with pytest.raises(QuestionError, match="shapley, pvm or lmdi"):
        explain_change(ledger, BEFORE, AFTER, method="ratio")
    with pytest.raises(SchemaError, match="Did you mean `owner_team`"):
        explain_change(ledger, BEFORE, AFTER, where={"ower_team": "support"})
    with pytest.raises(SchemaError, match="`colour` is not a column of `leaves`"):
        explain_change(ledger, BEFORE, AFTER).drill_down("colour")


def test_a_period_whose_calls_are_all_unpriced_is_refused() -> None:
    events = [call("a", started_at=MONDAYS[BEFORE]), call("b", started_at=MONDAYS[AFTER], list_cost=None)]

    with pytest.raises(LedgerError, match=r"no priced call in 2026-W42\. All 1 calls there are unpriced"):
        explain_change(ledger_of(*events), BEFORE, AFTER)


def test_a_cheaper_model_that_grows_shows_a_saving_in_the_drill_down() -> None:
    large = [replace(one, attempts=("large",)) for one in requests(10)]
    before, after = [*large[:8], *requests(10)[8:]], [*large[:4], *requests(10)[4:]]

    rows = explained(before, after).drill_down("model").set_index("model")

    # Average cost per unit of share is 10 × (0.6 × $0.03 + 0.4 × $0.003) = $0.192; shares move by 0.4.
    assert rows.loc["openai/small", "model_mix"] == Decimal("-0.0648")
    assert rows.loc["openai/large", "model_mix"] == Decimal("-0.0432")
    assert sum(rows["model_mix"]) == total(after) - total(before)


def test_periods_of_different_length_are_told_apart() -> None:
    ledger = ledger_for({BEFORE: requests(5), AFTER: requests(6)})

    assert "2026-W41 has 7 days, 2026-10-12 has 1." in explain_change(ledger, BEFORE, "2026-10-12").footnote
    assert " days" not in explain_change(ledger, BEFORE, AFTER).footnote


def test_a_drill_down_by_provider_needs_no_other_leaf_and_others_say_how() -> None:
    answer = explained(requests(5), requests(8))

    assert answer.drill_down("provider")[["provider", "traffic"]].values.tolist() == [["openai", Decimal("0.009")]]
    with pytest.raises(QuestionError, match=r"`by` was 'api_key_id'; expected .* leaf=\['api_key_id'\]"):
        answer.drill_down("api_key_id")


def test_names_are_shown_as_text() -> None:
    answer = explained(requests(3, team="<script>"), requests(5, team="<script>"), where={"owner_team": "<script>"})

    assert "<script>" not in answer._repr_html_()
    assert "&lt;script&gt;" in answer._repr_html_()


# Invariants of the method over random cases.

prices = st.sampled_from(
    [
        (("input", "0.000002"), ("cache_read", "0.0000005"), ("output", "0.00001"), ("fee", "-0.001")),
        (("input", "0.000003"), ("cache_read", "0"), ("output", "0.000012"), ("fee", "0.004")),
    ]
)
usage = st.fixed_dictionaries(
    {"input": st.integers(1, 4000), "output": st.integers(0, 500)},
    optional={"cache_read": st.integers(1, 3000), "fee": st.just(1)},
)
logical_calls = st.builds(
    lambda request, workflow, step, attempts, tier, units, discount: Call(
        request=f"{workflow}-{request}",
        workflow=workflow,
        step=step,
        attempts=tuple(attempts),
        tier=tier,
        units=tuple(units.items()),
        discount=discount,
    ),
    st.integers(0, 3),
    st.sampled_from(["triage", "refund", "draft"]),
    st.sampled_from(["chat", "embeddings"]),
    st.lists(st.sampled_from(["small", "large"]), min_size=1, max_size=3),
    st.sampled_from(["standard", "batch"]),
    usage,
    st.sampled_from(["1", "0.8"]),
)


@st.composite
def weeks(draw: st.DrawFn) -> tuple[list[Call], list[Call]]:
    periods = []
    for _ in (BEFORE, AFTER):
        price = draw(prices)
        calls = draw(st.lists(logical_calls, min_size=1, max_size=8))
        periods.append([replace(one, price=price) for one in calls])
    return periods[0], periods[1]


invariant = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@given(weeks())
@invariant
def test_effects_add_up_to_the_change_exactly(case: tuple[list[Call], list[Call]]) -> None:
    before, after = case
    ledger = ledger_for({BEFORE: before, AFTER: after})

    for method in ("shapley", "pvm", "lmdi"):
        answer = explain_change(ledger, BEFORE, AFTER, method=method)

        assert answer.change == total(after) - total(before)
        assert sum(effects(answer).values(), ZERO) == answer.change
        assert sum(answer.price_parts["effect"]) == effects(answer).get("unit price", ZERO)


@given(weeks())
@invariant
def test_swapping_the_periods_negates_every_effect(case: tuple[list[Call], list[Call]]) -> None:
    before, after = case
    there, back = effects(explained(before, after)), effects(explained(after, before))
    turned = {"new workflows": "retired workflows", "retired workflows": "new workflows"}

    for driver in {*there, *[turned.get(name, name) for name in back]}:
        assert there.get(driver, ZERO) == pytest.approx(
            -back.get(turned.get(driver, driver), ZERO), abs=Decimal("1e-9")
        )


@given(weeks(), st.randoms())
@invariant
def test_the_order_of_rows_does_not_matter(case: tuple[list[Call], list[Call]], random: Any) -> None:
    before, after = case
    shuffled = [random.sample(calls, len(calls)) for calls in case]

    assert effects(explained(before, after)) == effects(explained(*shuffled))


@given(weeks())
@invariant
def test_effects_are_linear_in_currency(case: tuple[list[Call], list[Call]]) -> None:
    doubled = [
        [replace(one, dear=tuple((model, str(2 * Decimal(times))) for model, times in one.dear)) for one in calls]
        for calls in case
    ]
    single, double = effects(explained(*case)), effects(explained(*doubled))

    for driver in {*single, *double}:
        assert double.get(driver, ZERO) == pytest.approx(2 * single.get(driver, ZERO), abs=Decimal("1e-9"))


@given(weeks())
@invariant
def test_slices_of_whole_segments_add_up_for_every_driver(case: tuple[list[Call], list[Call]]) -> None:
    ledger = ledger_for({BEFORE: case[0], AFTER: case[1]})
    whole = _with_traffic_and_mix_together(effects(explain_change(ledger, BEFORE, AFTER)))
    added: dict[str, Decimal] = defaultdict(Decimal)
    for workflow in {one.workflow for calls in case for one in calls}:
        part = effects(explain_change(ledger, BEFORE, AFTER, where={"workflow_id": workflow}))
        for driver, effect in _with_traffic_and_mix_together(part).items():
            added[driver] += effect

    for driver in {*whole, *added}:
        assert added.get(driver, ZERO) == pytest.approx(whole.get(driver, ZERO), abs=Decimal("1e-9"))


def _with_traffic_and_mix_together(lines: dict[str, Decimal]) -> dict[str, Decimal]:
    together = lines.pop("traffic", ZERO) + lines.pop("workflow mix", ZERO)
    return lines | {"requests": together}


@given(weeks())
@invariant
def test_a_nested_split_changes_no_other_driver(case: tuple[list[Call], list[Call]]) -> None:
    ledger = ledger_for({BEFORE: case[0], AFTER: case[1]})
    paid = effects(explain_change(ledger, BEFORE, AFTER))

    converted = explain_change(ledger, BEFORE, AFTER, rates=by_day("1", "1"))

    assert effects(converted) == paid


@given(weeks())
@invariant
def test_a_drill_down_keeps_every_driver_and_the_cost_of_every_member(case: tuple[list[Call], list[Call]]) -> None:
    answer = explained(*case)
    for by in (("model",), ("workflow_id",), ("role", "meter"), ("service_tier",)):
        rows = answer.drill_down(*by)

        assert sum(rows["change"], ZERO) == sum(rows["contribution"], ZERO) == answer.change
        for driver in ("model_mix", "tier_mix", "workflow_mix", "traffic"):
            assert sum(rows[driver], ZERO) == sum(answer.leaves[driver], ZERO)


# An oracle that knows nothing of SQL or integrals: fractions, and every order in which factors could change.


def attempts_of(calls: list[Call]) -> list[Attempt]:
    return [
        Attempt(
            segment=one.workflow,
            request=one.request,
            call=place,
            step=one.step,
            model=model,
            tier=one.tier,
            role=one.role(number),
            lines=tuple(
                (meter, Fraction(units), Fraction(cost) * Fraction(one.discount))
                for meter, (units, cost) in one.lines(number).items()
            ),
        )
        for place, one in enumerate(calls)
        for number, model in enumerate(one.attempts, 1)
    ]


@given(weeks())
@settings(invariant, max_examples=10)
def test_effects_are_the_average_over_all_orders(case: tuple[list[Call], list[Call]]) -> None:
    wanted = driver_effects(attempts_of(case[0]), attempts_of(case[1]))
    found = _with_traffic_and_mix_together(effects(explained(*case)))

    for driver in {*wanted, *found}:
        assert float(found.get(driver, ZERO)) == pytest.approx(float(wanted.get(driver, 0)), rel=1e-9, abs=1e-10)


def test_five_nodes_are_exact_for_products_of_all_factors() -> None:
    for power in range(len(FACTORS)):
        area = sum(weight * node**power for node, weight in zip(NODES, WEIGHTS, strict=True))
        assert area == pytest.approx(1 / (power + 1), rel=1e-14)


def test_calls_priced_from_the_book_are_explained_to_the_last_digit() -> None:
    usage = {
        "provider": "openai",
        "model": "gpt-5-mini",
        "output_tokens": 0,
        "list_cost": None,
        "contracted_cost": None,
    }
    events = [
        call(f"{week}-{place}", started_at=MONDAYS[week], input_tokens=1000 * size, **usage)
        for week, size in ((BEFORE, 1), (AFTER, 3))
        for place in range(4)
    ]
    ledger = ledger_of(*events)
    price_events(ledger)

    # 4 × 2,000 more tokens at $0.25 a million.
    assert effects(explain_change(ledger, BEFORE, AFTER)) == {"prompt size": Decimal("0.002")}


def test_a_snapshot_and_its_alias_are_one_model() -> None:
    usage = {"provider": "openai", "input_tokens": 1000, "output_tokens": 0, "list_cost": None}
    events = [
        call(f"{week}-{place}", started_at=MONDAYS[week], model=model, **usage)
        for week, model in ((BEFORE, "gpt-5-mini-2025-08-07"), (AFTER, "gpt-5-mini"))
        for place in range(4)
    ]
    ledger = ledger_of(*events)
    price_events(ledger)

    answer = explain_change(ledger, BEFORE, AFTER)

    assert set(answer.leaves["model"]) == {"openai/gpt-5-mini"}
    assert effects(answer) == {}


def test_a_long_context_is_another_meter_not_another_price() -> None:
    usage = {"provider": "google", "model": "gemini-2.5-pro", "output_tokens": 0, "list_cost": None}
    events = [
        call(f"{week}-{place}", started_at=MONDAYS[week], input_tokens=size, **usage)
        for week, size in ((BEFORE, 100_000), (AFTER, 300_000))
        for place in range(2)
    ]
    ledger = ledger_of(*events)
    price_events(ledger)

    # $1.25 a million up to 200,000 tokens, $2.50 beyond.
    assert effects(explain_change(ledger, BEFORE, AFTER)) == {"prompt size": Decimal("1.25")}


def test_the_requests_that_show_a_driver_come_first() -> None:
    retried = [replace(one, attempts=("small", "small", "small")) for one in requests(6)[3:5]]
    ledger = ledger_for({BEFORE: requests(2), AFTER: [*requests(3), *retried, *requests(1, workflow="draft")]})

    rows = show_requests(ledger, AFTER, {"workflow_id": "triage"}, driver="retries", n=3)

    assert rows["request_id"].tolist()[:2] == [f"{AFTER}-triage-3", f"{AFTER}-triage-4"]
    assert rows["retry_cost"].tolist() == [Decimal("0.006"), Decimal("0.006"), 0]
    assert rows["cost"].tolist() == [Decimal("0.009"), Decimal("0.009"), Decimal("0.003")]
    with pytest.raises(QuestionError, match="`driver` was 'weather'"):
        show_requests(ledger, AFTER, driver="weather")
