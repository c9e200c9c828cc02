"""Reconciliation: bill and calls meet in cells, and every dollar between them has one name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from attribution.errors import LedgerError, QuestionError
from attribution.reconciliation import Tolerance, match_cells, reconcile
from tests.bridge_examples import FAULTS, IN, OUT, Company, bill_line, billed, bridge
from tests.examples import call

OCTOBER = "2026-10"
MICRO = Decimal("0.000001")
_NAMES = list(FAULTS)


def moved(faults: Sequence[str]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return the causes that the faults should move, by how much, and those that they moved."""
    company, expected = Company(), defaultdict[str, Decimal](Decimal)
    for fault in faults:
        cause, plant = FAULTS[fault]
        expected[cause] += plant(company)
    with company.ledger() as ledger:
        found = bridge(reconcile(ledger, OCTOBER))
    return dict(expected), {cause: amount for cause, amount in found.items() if cause not in ("ledger", "billed")}


def invoice(name: str, amount: str | Decimal, **columns: Any) -> dict[str, Any]:
    """Return a line of a plain invoice of October."""
    told = {"source": "invoice", "role": "cost", "model": None, "meter": None, "period_start": datetime(2026, 10, 1)}
    return bill_line(name, **told | {"period_end": datetime(2026, 11, 1), "billed_cost": amount} | columns)


def test_a_bill_of_the_same_calls_leaves_nothing_to_explain() -> None:
    expected, found = moved([])

    assert found == expected == {}


@pytest.mark.parametrize("fault", _NAMES)
def test_one_fault_moves_one_line_by_its_dollars(fault: str) -> None:
    expected, found = moved([fault])

    assert found == expected


@pytest.mark.parametrize("pair", list(zip(_NAMES[::2], _NAMES[1::2], strict=True)))
def test_two_faults_move_their_two_lines(pair: tuple[str, str]) -> None:
    expected, found = moved(pair)

    assert found == expected


def test_all_faults_at_once_move_their_lines_and_no_other() -> None:
    expected, found = moved(_NAMES)

    assert found == expected


def test_a_coarser_grain_changes_the_split_and_never_the_total() -> None:
    company = Company()
    for _, plant in FAULTS.values():
        plant(company)
    with company.ledger() as ledger:
        fine, coarse = reconcile(ledger, OCTOBER), reconcile(ledger, OCTOBER, grain="month,model,meter")

    assert bridge(fine) != bridge(coarse)
    for end in ("ledger", "billed"):
        assert bridge(fine)[end] == bridge(coarse)[end]


def test_what_is_cut_off_in_one_month_comes_in_the_next() -> None:
    company = Company()
    FAULTS["cut_off"][1](company)
    with company.ledger() as ledger:
        months = [bridge(reconcile(ledger, month)).get("cut_off") for month in ("2026-09", OCTOBER)]

    assert months == [-(1000 * IN + 100 * OUT), 1000 * IN + 100 * OUT]


def test_the_configuration_may_say_by_which_end_of_a_call_the_provider_bills() -> None:
    company = Company()
    FAULTS["cut_off"][1](company)
    company.settings = [{"name": "calendar", "value": '{"billing": {"openai": "start"}}', "place": "attribution.yaml"}]
    with company.ledger() as ledger:
        found = bridge(reconcile(ledger, OCTOBER))

    assert "cut_off" not in found
    assert found["extra_or_missing_events"] == 1000 * IN + 100 * OUT


def test_the_same_quantity_a_day_later_is_the_same_call() -> None:
    company = Company()
    for meter in ("input", "output"):
        del company.lines[f"3-{meter}"]
    company.bill(4, "input", 2000, IN)
    company.bill(4, "output", 200, OUT)
    company.lines = {name: line for name, line in company.lines.items() if line["role"] != "usage"}
    with company.ledger() as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert set(bridge(answer)) == {"ledger", "billed"}
    assert sorted(answer.cells["cut_off"][answer.cells["cut_off"] != 0]) == [
        -250 * MICRO,
        -200 * MICRO,
        200 * MICRO,
        250 * MICRO,
    ]


def test_without_request_counts_a_gap_where_calls_are_is_one_of_tokens() -> None:
    company = Company()
    company.bill(2, "input", 3000, IN)
    with company.ledger() as ledger:
        with_counts = bridge(reconcile(ledger, OCTOBER))
    company.lines = {name: line for name, line in company.lines.items() if line["role"] != "usage"}
    with company.ledger() as ledger:
        without = reconcile(ledger, OCTOBER)

    assert with_counts["token_count"] == bridge(without)["token_count"] == 2000 * IN
    assert without.bridge.set_index("cause").loc["token_count", "is_guess"]


def test_a_day_without_a_bill_is_named_in_dollars_and_open() -> None:
    company = Company()
    FAULTS["not_billed"][1](company)
    with company.ledger() as ledger:
        answer = reconcile(ledger, OCTOBER)
    (row,) = answer.missing.to_dict("records")

    assert (row["state"], str(row["day_from"]), row["amount"]) == (
        "day_without_bill",
        "2026-10-10",
        1000 * IN + 100 * OUT,
    )
    assert row["is_guess"]
    assert answer.status == "open"


def test_usage_that_telemetry_never_saw_is_named_with_its_model() -> None:
    company = Company()
    FAULTS["missing_event"][1](company)
    company.lines["other"] = bill_line("other", model="gpt-5", quantity=1000, billed_cost="0.00125")
    with company.ledger() as ledger:
        missing = reconcile(ledger, OCTOBER).missing
    told = {(row["state"], row["what"]): row["amount"] for row in missing.to_dict("records")}

    assert told["bill_without_calls", "gpt-5-mini"] == 1000 * IN + 100 * OUT
    assert told["bill_without_calls", "gpt-5"] == Decimal("0.00125")


def test_calls_without_usage_are_the_likely_reason_of_billed_tokens() -> None:
    company = Company()
    company.calls["c7"] |= {"is_metered": False, "input_tokens": None, "output_tokens": None}
    with company.ledger() as ledger:
        answer = reconcile(ledger, OCTOBER)
    (row,) = answer.missing.to_dict("records")

    assert (row["state"], row["calls"], row["amount"]) == ("calls_without_usage", 1, 1000 * IN + 100 * OUT)
    assert bridge(answer)["token_count"] == 1000 * IN + 100 * OUT


def test_a_key_that_nobody_mapped_is_named_with_its_dollars() -> None:
    lines = [bill_line("k1", api_key_id="key_unknown", quantity=1000, billed_cost="0.00025")]
    with billed(lines=lines) as ledger:
        states = {row["state"]: row for row in reconcile(ledger, OCTOBER).missing.to_dict("records")}

    assert states["unmapped_key"]["what"] == "key_unknown"
    assert states["unmapped_key"]["amount"] == Decimal("0.00025")


def test_calls_whose_provider_sent_no_bill_do_not_tie() -> None:
    with billed(call()) as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert answer.status == "does not tie"
    assert list(answer.missing["state"]) == ["no_bill"]
    assert bridge(answer) == {"ledger": Decimal("0.00045"), "not_billed": Decimal("-0.00045")}


def test_a_plain_invoice_total_leaves_its_rest_unexplained() -> None:
    lines = [invoice("i1", "0.02")]
    with billed(call(), lines=lines) as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert bridge(answer)["unexplained"] == Decimal("0.02") - Decimal("0.00045")
    assert answer.status == "does not tie"


def test_an_invoice_checks_its_report_and_is_never_added_to_it() -> None:
    company = Company()
    company.lines["usage"] = invoice("usage", "0.01")
    company.lines["tax"] = invoice("tax", "0.08", category="tax")
    company.lines["top-up"] = invoice("top-up", "10", category="purchase")
    company.lines["credit"] = bill_line("credit", category="credit", model=None, meter=None, billed_cost="-0.0149")
    company.lines["credited"] = invoice("credited", "-0.01", category="credit")
    with company.ledger() as ledger:
        answer = reconcile(ledger, OCTOBER)
    found = bridge(answer)

    assert found["billed"] == Decimal("10.08")
    assert (found["tax"], found["purchases"], found["credits"]) == (Decimal("0.08"), Decimal(10), Decimal("-0.0149"))
    assert found["invoice_difference"] == Decimal("0.00") - (21 * Decimal("0.00045") - Decimal("0.0149"))
    assert list(answer.documents["is_total"]) == [True, False]


def test_two_exports_of_one_account_are_one_bill() -> None:
    same = {
        "quantity": 1000,
        "billed_cost": "0.00025",
        "account_id": "a",
        "provider": "aws",
        "model": "amazon.nova-lite-v1:0",
    }
    lines = [
        bill_line("cur", source="cur", replaces_key="export/a/2026-10", **same),
        bill_line("focus", source="focus", replaces_key="other/aws/a/2026-10", **same),
        bill_line("else", source="focus", replaces_key="third/aws/b/2026-10", **same | {"account_id": "b"}),
    ]
    with billed(lines=lines) as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert bridge(answer)["billed"] == Decimal("0.0005")
    assert sorted(answer.documents["is_detail"]) == [False, True, True]
    assert "told_twice" in list(answer.missing["state"])


def test_another_currency_needs_a_rate() -> None:
    lines = [bill_line("eur", currency="EUR", quantity=1000, billed_cost="0.0002")]
    rate = [{"currency": "EUR", "usd": Decimal("1.25"), "units": None, "valid_from": None, "valid_to": None}]
    with billed(call(output_tokens=0), lines=lines) as ledger:
        without = reconcile(ledger, OCTOBER)
    with billed(call(output_tokens=0), lines=lines, currency_rate=rate) as ledger:
        converted = reconcile(ledger, OCTOBER)

    assert "no_currency_rate" in list(without.missing["state"])
    assert bridge(converted) == {"ledger": Decimal("0.00025"), "billed": Decimal("0.00025")}


def test_a_young_bill_is_provisional_and_amounts_stay_the_same() -> None:
    company = Company()
    with company.ledger() as ledger:
        young, old = (reconcile(ledger, OCTOBER, as_of=moment) for moment in ("2026-10-23", "2026-11-05T00:00Z"))

    assert (young.status, old.status) == ("provisional", "ties")
    assert bridge(young) == bridge(old)


@pytest.mark.parametrize(("rest", "status"), [("0.0004", "ties"), ("0.0015", "open"), ("0.0035", "does not tie")])
def test_the_share_unexplained_decides_the_status(rest: str, status: str) -> None:
    lines = [invoice("i1", Decimal("0.1") + Decimal(rest))]
    with billed(call(input_tokens=400_000, output_tokens=0), lines=lines) as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert (answer.status, bridge(answer)["unexplained"]) == (status, Decimal(rest))


def test_a_tolerance_decides_a_status_and_no_amount() -> None:
    lines = [invoice("i1", "0.2")]
    with billed(call(input_tokens=400_000, output_tokens=0), lines=lines) as ledger:
        strict, lenient = (
            reconcile(ledger, OCTOBER),
            reconcile(ledger, OCTOBER, tolerance=Tolerance(ties=Decimal("0.6"))),
        )

    assert (strict.status, lenient.status) == ("does not tie", "ties")
    assert bridge(strict) == bridge(lenient)


def test_asking_twice_gives_the_same_answer() -> None:
    company = Company()
    for _, plant in FAULTS.values():
        plant(company)
    with company.ledger() as ledger:
        first, second = (reconcile(ledger, OCTOBER).to_dict() for _ in range(2))

    assert str(first) == str(second)


def test_misuse_says_what_there_is() -> None:
    with Company().ledger() as ledger:
        with pytest.raises(QuestionError, match=r"`provider` was 'opnai'; expected one of openai"):
            reconcile(ledger, OCTOBER, "opnai")
        with pytest.raises(QuestionError, match=r"no finer than the lines of the bill, which are by day"):
            reconcile(ledger, OCTOBER, "openai", "hour")
        with pytest.raises(QuestionError, match=r"project_id.*meter"):
            reconcile(ledger, OCTOBER, grain="team")
        with pytest.raises(QuestionError, match="an ISO time"):
            reconcile(ledger, OCTOBER, as_of="yesterday")


def test_true_up_can_spread_every_cell() -> None:
    company = Company()
    for _, plant in FAULTS.values():
        plant(company)
    with company.ledger() as ledger:
        total = bridge(reconcile(ledger, OCTOBER))["billed"]
        match_cells(ledger, OCTOBER)
        (lines, residual, cells) = ledger.rows(
            """
            select (select sum(billed) from cell_line), (select coalesce(sum(billed), 0) from cell_residual),
                (select sum(billed) from cell_line where cell_id is not null) - (select sum(billed) from bill_cell)
            """
        )[0]
        twice = ledger.rows("select event_id, meter from cell_event group by all having count(*) > 1")

    assert Decimal(lines + residual).scaleb(-12) == total
    assert cells == 0
    assert twice == []


def test_text_of_the_bill_is_escaped_where_it_is_shown() -> None:
    lines = [bill_line("k1", api_key_id="<script>alert(1)</script>", quantity=1000, billed_cost="0.00025")]
    with billed(lines=lines) as ledger:
        page = reconcile(ledger, OCTOBER)._repr_html_()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def anthropic_days(refused_day: int) -> list[dict[str, Any]]:
    """Return five days of usage and cost of Claude; the cost of one day leaves out half its tokens."""
    told = {"provider": "anthropic", "model": "claude-haiku-4-5", "service_tier": "standard", "meter": "input"}
    lines = []
    for day in range(1, 6):
        start = datetime(2026, 10, day)
        usage = {"source": "anthropic_usage", "role": "usage", "quantity": 1000, "billed_cost": None}
        cost = {"source": "anthropic_cost", "role": "cost", "billed_cost": "0.0005" if day == refused_day else "0.001"}
        lines += [bill_line(f"{kind['source']}-{day}", period_start=start, **told | kind) for kind in (usage, cost)]
    return lines


def test_refused_calls_stand_in_the_usage_report_and_are_not_billed() -> None:
    spoken = {"provider": "anthropic", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 0}
    calls = [call(f"c{day}", started_at=datetime(2026, 10, day, 12), **spoken) for day in range(1, 6)]
    with billed(*calls, lines=anthropic_days(3)) as ledger:
        isolated = bridge(reconcile(ledger, OCTOBER))
    with billed(*calls, lines=anthropic_days(5)) as ledger:
        last = bridge(reconcile(ledger, OCTOBER))

    assert isolated["not_billed"] == Decimal("-0.0005")
    assert last["price"] == Decimal("-0.0005")


def test_priority_usage_that_the_cost_report_leaves_out_is_not_billed_there() -> None:
    told = {"provider": "anthropic", "model": "claude-haiku-4-5", "meter": "input"}
    lines = [
        bill_line("u1", source="anthropic_usage", role="usage", service_tier="priority", quantity=1000, **told),
        bill_line("u2", source="anthropic_usage", role="usage", service_tier="standard", quantity=1000, **told),
        bill_line("m2", source="anthropic_cost", role="cost", service_tier="standard", billed_cost="0.001", **told),
    ]
    spoken = {"provider": "anthropic", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 0}
    calls = [call("c1", **spoken), call("c2", service_tier="priority", **spoken)]
    with billed(*calls, lines=lines) as ledger:
        answer = reconcile(ledger, OCTOBER)

    assert [row["what"] for row in answer.missing.to_dict("records")] == ["claude-haiku-4-5 priority"]
    assert list(answer.missing["state"]) == ["usage_without_bill"]
    assert set(bridge(answer)) <= {"ledger", "billed", "not_billed"}


def test_a_request_that_the_bill_names_is_compared_alone() -> None:
    generation = {"source": "openrouter", "provider": "openrouter", "model": "openai/gpt-5-mini", "meter": None}
    lines = [
        bill_line("g1", request_id="gen-1", billed_cost="0.001", **generation),
        bill_line("g2", request_id="gen-2", billed_cost="0.002", **generation),
    ]
    spoken = {"provider": "openrouter", "model": "openai/gpt-5-mini"}
    calls = [call("c1", response_id="gen-1", **spoken), call("c2", provider_request_id="gen-2", **spoken)]
    with billed(*calls, lines=lines) as ledger:
        cells = reconcile(ledger, OCTOBER).cells
    exact = {row["request_id"]: row["billed"] for row in cells.to_dict("records") if row["billed"] is not None}

    assert set(cells["level"]) == {"request"}
    assert {key: value for key, value in exact.items() if value == value} == {
        "gen-1": Decimal("0.001"),
        "gen-2": Decimal("0.002"),
    }


def test_calls_of_another_month_beside_a_bill_of_nothing_are_no_calls_of_this_one() -> None:
    outside = call("a", provider="azure", started_at=datetime(2026, 9, 30, 23), is_metered=False, input_tokens=None)
    free = bill_line("b", provider="azure", billed_cost="0", period_end=datetime(2026, 10, 5, 1))
    with billed(outside, lines=[free]) as ledger:
        answer = reconcile(ledger, "2026-10")

    first = answer.bridges.iloc[0]
    assert (first["cause"], first["amount"], first["calls"]) == ("ledger", 0, 0)


def test_calls_that_name_no_provider_are_said_and_tie_with_nothing() -> None:
    with billed(call("a", provider=None), call("b", provider=None), lines=[]) as ledger:
        answer = reconcile(ledger, "2026-10")
        with pytest.raises(LedgerError, match="no calls or bills in 2026-09"):
            reconcile(ledger, "2026-09")

    assert answer.headline.startswith("2026-10: 2 calls without a provider, and no bill")
    assert answer.status == "does not tie"
    assert answer.statuses.empty
    assert set(answer.bridge["amount"]) == {0}
    assert answer.missing[["state", "calls"]].values.tolist() == [["calls_without_provider", 2]]


def test_a_period_without_calls_and_bills_is_refused_and_never_ties() -> None:
    with billed(call("a"), lines=[bill_line("b", billed_cost="1")]) as ledger:
        with pytest.raises(LedgerError, match=r"no calls or bills in 2026-09\. What is loaded reaches from 2026-10-05"):
            reconcile(ledger, "2026-09")
        with pytest.raises(LedgerError, match="no calls or bills of openai in 2026-09"):
            reconcile(ledger, "2026-09", "openai")
        with pytest.raises(QuestionError, match="expected one of openai"):
            reconcile(ledger, "2026-10", "opanai")
