"""True-up: calls and residual lines add up to the invoice to the last digit, and a correction moves only its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import attribution as at
from attribution import building, schema, true_ups
from attribution.cli import app
from attribution.ledger import Ledger
from tests.examples import FIXTURES, call, identity, insert, ledger_of
from tests.invoice_examples import charged, invoiced, top_up

ACME = Path(__file__).resolve().parents[1] / "sample_data" / "acme"
MONTHS = ("2026-08", "2026-09", "2026-10")
DAY = datetime(2026, 10, 5)
EVENT = schema.table("cost_event").of_step("match").names


def trued(*calls: dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    """Return a ledger whose October is trued up, and check that it adds up."""
    ledger = ledger_of(*calls, **tables)
    at.price_events(ledger)
    at.true_up(ledger, "2026-10")
    check(ledger)
    return ledger


def check(ledger: Ledger) -> None:
    """Calls and residual lines add up to what the documents say, billed and effective, month by month."""
    for row in ledger.frame("select * from trued_up").to_dict("records"):
        if row["status"] == "accrual":
            continue
        bound = {"period": row["period"], "provider": row["provider"]}
        for cost in ("billed_cost", "effective_cost"):
            spread = ledger.value(
                f"select coalesce(sum({cost}), 0) from cost_event "
                "where billed_period = $period and provider = $provider",
                bound,
            )
            kept = ledger.value(
                f"select coalesce(sum({cost}), 0) from residual_line where period = $period and provider = $provider",
                bound,
            )
            assert (spread, kept) == (row[f"event_{cost}"], row[f"residual_{cost}"])
            assert spread + kept == row[cost]


def borne(ledger: Ledger, *columns: str) -> dict[str, Any]:
    """Return what each named call bears."""
    names = {str(identity(name)): name for name in "abcdefgh"}
    rows = ledger.rows("select event_id, billed_cost, effective_cost from event_bill order by event_id")
    place = {"billed_cost": 1, "effective_cost": 2}
    wanted = columns or ("billed_cost",)
    return {names[str(row[0])]: tuple(row[place[c]] for c in wanted) for row in rows}


def residual(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return cause and amounts of the residual lines."""
    return ledger.rows("select cause, billed_cost, effective_cost from residual_line order by all")


def usd(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(amount) for amount in amounts)


def dump(ledger: Ledger) -> list[list[tuple[Any, ...]]]:
    """Return everything that a true-up writes."""
    tables = ("event_bill", "residual_line", "trued_up")
    return [ledger.rows(f"select * from {table} order by all") for table in tables]


def question(name: str, tokens: int, **columns: Any) -> dict[str, Any]:
    """Return a call of October 5 that used input only."""
    return call(name, input_tokens=tokens, output_tokens=0, response_id=f"r-{name}", **columns)


# ---- spreading


def test_the_dollars_of_a_cell_go_to_its_calls_by_cost() -> None:
    ledger = trued(question("a", 1000), question("b", 3000), bill_line=[charged("l", billed_cost="1.00")])

    assert borne(ledger) == {"a": usd("0.25"), "b": usd("0.75")}
    assert residual(ledger) == []


def test_what_does_not_divide_goes_to_the_largest_remainder() -> None:
    ledger = trued(*(question(name, 1000) for name in "abc"), bill_line=[charged("l", billed_cost="0.000000000100")])

    assert sorted(borne(ledger).values()) == [usd("0.000000000033")] * 2 + [usd("0.000000000034")]


def test_a_day_keeps_its_own_dollars() -> None:
    ledger = trued(
        question("a", 1000),
        question("b", 1000, started_at=DAY + timedelta(days=1, hours=12)),
        bill_line=[charged("l", billed_cost="1"), charged("m", billed_cost="5", period_start=DAY + timedelta(days=1))],
    )

    assert borne(ledger) == {"a": usd("1"), "b": usd("5")}


def test_each_meter_goes_to_those_that_used_it() -> None:
    ledger = trued(
        question("a", 1000),
        call("b", input_tokens=0, output_tokens=10, response_id="r-b"),
        bill_line=[charged("l", billed_cost="1"), charged("m", billed_cost="5", meter="output")],
    )

    assert borne(ledger) == {"a": usd("1"), "b": usd("5")}


def test_a_cell_that_takes_back_spreads_what_it_takes_back() -> None:
    ledger = trued(question("a", 1000), question("b", 3000), bill_line=[charged("l", billed_cost="-1.00")])

    assert borne(ledger) == {"a": usd("-0.25"), "b": usd("-0.75")}


def test_calls_without_a_price_bear_by_what_they_used() -> None:
    unknown = {"model": "atlas-preview"}
    ledger = trued(
        question("a", 1000, **unknown), question("b", 3000, **unknown), bill_line=[charged("l", model="atlas-preview")]
    )

    assert borne(ledger) == {"a": usd("0.25"), "b": usd("0.75")}


def test_calls_that_recorded_no_usage_bear_the_same_of_what_their_cell_is_billed() -> None:
    lost = {"is_metered": False, "input_tokens": None, "output_tokens": None, "status": "unknown"}
    ledger = trued(call("a", response_id="r-a", **lost), call("b", response_id="r-b", **lost), bill_line=[charged("l")])

    assert borne(ledger) == {"a": usd("0.50"), "b": usd("0.50")}


def test_a_meter_that_no_call_recorded_is_borne_by_the_calls_of_its_day_and_model() -> None:
    """Cached input that was recorded as fresh."""
    ledger = trued(
        question("a", 1000),
        question("b", 3000),
        bill_line=[charged("l", billed_cost="1"), charged("m", billed_cost="4", meter="cache_read")],
    )

    assert borne(ledger) == {"a": usd("1.25"), "b": usd("3.75")}


def test_usage_that_nobody_recorded_stays_a_line() -> None:
    ledger = trued(
        question("a", 1000), bill_line=[charged("l"), charged("m", billed_cost="7", model="gpt-4.1", meter="output")]
    )

    assert borne(ledger) == {"a": usd("1")}
    assert residual(ledger) == [("no_call", *usd("7", "7"))]


def test_what_no_call_causes_stays_named_lines_with_their_bill_lines() -> None:
    ledger = trued(
        question("a", 1000),
        bill_line=[
            charged("l"),
            charged("s", billed_cost="2", meter=None, model=None, description="file search storage"),
            charged("c", billed_cost="-3", category="credit", meter=None, model=None, description="credit adjustment"),
            charged("t", billed_cost="4", category="tax", meter=None, model=None, description="VAT"),
        ],
    )

    assert residual(ledger) == [
        ("credit", *usd("-3", "-3")), ("non_token_usage", *usd("2", "2")), ("tax", *usd("4", "4")),
    ]  # fmt: skip
    assert ledger.rows("select bill_lines from residual_line where cause = 'tax'") == [([identity("t")],)]


def test_a_call_that_no_bill_covers_has_no_billed_cost_rather_than_nothing() -> None:
    ledger = trued(question("a", 1000), question("b", 1000, model="gpt-4.1"), bill_line=[charged("l")])

    assert borne(ledger) == {"a": usd("1")}
    assert ledger.rows("select billed_cost, billed_period from cost_event where model = 'gpt-4.1'") == [(None, None)]


def test_an_invoice_is_the_total_and_its_rounding_a_line() -> None:
    ledger = trued(
        question("a", 1000),
        bill_line=[charged("l", billed_cost="1.004"), invoiced("i", "usage", "1.00", "Usage of the month")],
    )

    assert borne(ledger) == {"a": usd("1.004")}
    assert residual(ledger) == [("invoice_difference", *usd("-0.004", "-0.004"))]
    assert ledger.rows("select document, detail, invoice_id, billed_cost from trued_up") == [
        ("invoice", "openai_costs", "INV-2026-10", Decimal(1))
    ]


# ---- prepaid


@pytest.mark.parametrize("shown", ["report", "purchase", "credit", "calls"])
def test_a_top_up_of_10000_of_which_7000_is_used_charges_7000_and_the_invoice_ties(shown: str) -> None:
    lines = {
        "report": [charged("l", billed_cost="7000")],
        "purchase": [charged("l", billed_cost="7000"), invoiced("i", "purchase", "10000", "API credits")],
        "credit": [
            charged("l", billed_cost="7000"),
            invoiced("i", "purchase", "10000", "Prepaid balance top-up"),
            invoiced("j", "usage", "7000", "Usage of the month"),
            invoiced("k", "credit", "-7000", "Covered by prepaid balance"),
        ],
        "calls": [invoiced("i", "purchase", "10000", "API credits")],
    }[shown]
    # 28 thousand million input tokens of gpt-5-mini are 7,000 dollars.
    ledger = trued(
        question("a", 8_000_000_000), question("b", 20_000_000_000), bill_line=lines, prepayment=[top_up("10000")]
    )

    assert borne(ledger, "billed_cost", "effective_cost") == {"a": usd("0", "2000"), "b": usd("0", "5000")}
    assert sum(row[1] for row in residual(ledger)) == 10_000
    assert sum(row[2] for row in residual(ledger)) == 0
    assert ledger.rows("select billed_cost, effective_cost from trued_up") == [usd("10000", "7000")]
    assert at.roll_forward(ledger, "2026-10")["closing"].item() == 3_000


def test_what_the_balance_does_not_reach_is_billed() -> None:
    later = DAY + timedelta(days=1)
    ledger = trued(
        question("a", 1000),
        question("b", 1000, started_at=later + timedelta(hours=12)),
        bill_line=[charged("l", billed_cost="60"), charged("m", billed_cost="60", period_start=later)],
        prepayment=[top_up("100")],
    )

    assert borne(ledger, "billed_cost", "effective_cost") == {"a": usd("0", "60"), "b": usd("20", "60")}
    assert ledger.rows("select billed_cost, effective_cost from trued_up") == [usd("120", "120")]


def test_the_rounding_of_a_covering_credit_is_no_bill() -> None:
    ledger = trued(
        question("a", 1000),
        bill_line=[
            charged("l", billed_cost="7.004"),
            invoiced("i", "usage", "7.00", "Usage of the month"),
            invoiced("j", "credit", "-7.00", "Covered by prepaid balance"),
        ],
        prepayment=[top_up("10", kind="opening")],
    )

    assert borne(ledger, "billed_cost", "effective_cost") == {"a": usd("0", "7.004")}
    assert residual(ledger) == [("credit", *usd("0", "0")), ("invoice_difference", *usd("0", "-0.004"))]


# ---- status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], "accrual"),
        ([charged("l", exported_at=datetime(2026, 11, 9))], "provisional"),
        ([charged("l"), invoiced("i", "usage", "1", "Usage", exported_at=datetime(2026, 11, 3, 23))], "provisional"),
        ([charged("l"), invoiced("i", "usage", "1", "Usage", exported_at=datetime(2026, 11, 4))], "final"),
    ],
)
def test_a_month_is_final_when_its_invoice_had_three_days_to_settle(lines: list[dict[str, Any]], status: str) -> None:
    ledger = trued(question("a", 1000), bill_line=lines)

    assert ledger.rows("select status from trued_up") == [(status,)]


def test_only_whole_months_are_trued_up() -> None:
    with at.open_ledger() as ledger, pytest.raises(at.QuestionError, match="whole months, such as 2026-10"):
        at.true_up(ledger, "2026-10-05")


def test_truing_up_one_provider_leaves_the_others_as_they_are() -> None:
    ledger = trued(
        question("a", 1000),
        question("b", 1000, provider="anthropic", model="claude-haiku-4-5"),
        bill_line=[
            charged("l"),
            charged("m", provider="anthropic", source="anthropic_cost", model="claude-haiku-4-5", billed_cost="2"),
        ],
    )
    before = dump(ledger)
    ledger.run("update bill_line set billed_cost = 9, effective_cost = 9 where provider = 'openai'")

    at.true_up(ledger, "2026-10", provider="openai")

    assert borne(ledger) == {"a": usd("9"), "b": usd("2")}
    check(ledger)
    at.true_up(ledger, "2026-10", provider="anthropic")
    assert dump(ledger)[2][0] == before[2][0]


# ---- again, and after corrections


def test_a_corrected_bill_moves_the_calls_of_its_cells_and_no_others() -> None:
    later = DAY + timedelta(days=1)
    ledger = trued(
        question("a", 1000),
        question("b", 2000),
        question("c", 1000, started_at=later),
        bill_line=[charged("l", billed_cost="1"), charged("m", billed_cost="5", period_start=later)],
    )
    before = borne(ledger)

    ledger.run(f"update bill_line set billed_cost = 7, effective_cost = 7 where bill_line_id = '{identity('m')}'")
    at.true_up(ledger, "2026-10")

    check(ledger)
    assert {name: share for name, share in borne(ledger).items() if share != before[name]} == {"c": usd("7")}


def test_steps_that_write_the_calls_anew_renew_what_was_trued_up_and_no_more() -> None:
    lines = [
        charged("l"),
        charged("m", provider="anthropic", source="anthropic_cost", model="claude-haiku-4-5", billed_cost="2"),
    ]
    ledger = ledger_of(
        question("a", 1000), question("b", 1000, provider="anthropic", model="claude-haiku-4-5"), bill_line=lines
    )
    at.price_events(ledger)
    at.true_up(ledger, "2026-10", provider="openai")
    at.true_up(ledger, "2026-09", provider="openai")
    before = dump(ledger)
    ledger.run(f"update event set input_tokens = 5000 where event_id = '{identity('a')}'")

    true_ups.renew(ledger)

    assert dump(ledger) == before
    assert borne(ledger) == {"a": usd("1")}


def test_adding_to_a_ledger_leaves_no_stale_true_up(acme: Ledger) -> None:
    before = dump(acme)

    building.run_steps(acme)

    assert dump(acme) == before


def test_truing_up_twice_changes_nothing(acme: Ledger) -> None:
    before = dump(acme)

    at.true_up(acme, "2026-10")

    assert dump(acme) == before


# ---- the sample company


@pytest.fixture(scope="module")
def acme() -> Iterator[Ledger]:
    with at.build_ledger(ACME / "data", config=ACME / "config" / "attribution.yaml", quiet=True) as ledger:
        at.true_up(ledger, "2026-08..2026-10")
        yield ledger


def test_the_sample_company_adds_up_to_its_invoices(acme: Ledger) -> None:
    check(acme)
    told = acme.rows(
        "select billing_period, provider, cast(sum(billed_cost) as decimal(38, 12)) from bill_line "
        "where source = 'invoice' group by all order by all"
    )
    assert acme.rows("select period, provider, billed_cost from trued_up order by all") == told


def test_the_sample_company_adds_up_to_the_truth(acme: Ledger) -> None:
    """The invoices round what is true to cents, line by line; usage that a balance covers is billed at nothing."""
    truth: dict[tuple[str, str], Decimal] = {}
    for row in pq.read_table(ACME / "truth" / "bills.parquet").to_pylist():
        key = (row["month"], row["provider"])
        truth[key] = truth.get(key, Decimal(0)) + row["billed_cost"]
    for period, provider, billed, effective in acme.rows(
        "select period, provider, billed_cost, effective_cost from trued_up order by all"
    ):
        true = truth[period, provider]
        if provider == "openai":
            bought = Decimal("29.70") if period == "2026-08" else Decimal(0)
            assert abs(effective - (true - bought)) < Decimal("0.015")
            assert billed == bought - Decimal("0.01")
        else:
            assert billed == effective
            assert abs(billed - true) < Decimal("0.015")


def test_the_usage_of_the_sample_company_is_on_calls_to_the_last_digit(acme: Ledger) -> None:
    """Google's invoice months are Pacific, so its first hours of August stand in July; the others are whole."""
    usage: dict[tuple[str, str], Decimal] = {}
    for row in pq.read_table(ACME / "truth" / "bills.parquet").to_pylist():
        if row["category"] == "usage" and row["provider"] != "google":
            key = (row["month"], row["provider"])
            usage[key] = usage.get(key, Decimal(0)) + row["billed_cost"]
    spread = {
        (period, provider): cost
        for period, provider, cost in acme.rows("select period, provider, event_effective_cost from trued_up")
        if provider != "google"
    }
    assert spread == usage


# ---- laws


@st.composite
def months(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Draw random calls, bill lines of any sign and kind, an invoice or none, and a balance or none."""
    models = ("gpt-5-mini", "gpt-4.1", "atlas-preview")
    days = [DAY, DAY + timedelta(days=1)]
    calls = [
        question(
            name,
            draw(st.integers(0, 10**7)),
            model=draw(st.sampled_from(models)),
            started_at=draw(st.sampled_from(days)),
        )
        for name in "abcdef"[: draw(st.integers(0, 6))]
    ]
    amount = st.decimals("-1000", "100000", places=12)
    lines = [
        charged(
            f"l{n}",
            billed_cost=draw(amount),
            model=draw(st.sampled_from((*models, None))),
            meter=draw(st.sampled_from(("input", "output", None))),
            category=draw(st.sampled_from(("usage", "usage", "usage", "credit", "tax", "purchase", "adjustment"))),
            period_start=draw(st.sampled_from(days)),
            description=draw(st.sampled_from((None, "prepaid balance", "storage"))),
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    if draw(st.booleans()):
        lines.append(invoiced("i1", "usage", str(draw(st.decimals("0", "9999", places=2))), "Usage of the month"))
    if draw(st.booleans()):
        lines.append(invoiced("i2", "credit", str(-draw(st.decimals("0", "9999", places=2))), "prepaid balance"))
    tables: dict[str, list[dict[str, Any]]] = {"bill_line": lines}
    if draw(st.booleans()):
        tables["prepayment"] = [top_up(str(draw(st.decimals("0", "99999", places=2))))]
    return calls, tables


@pytest.fixture(scope="module")
def empty() -> Iterator[Ledger]:
    with at.open_ledger() as ledger:
        yield ledger


@given(months())
@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_bill_and_any_calls_add_up_and_stay(
    empty: Ledger, drawn: tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]
) -> None:
    calls, tables = drawn
    for table in ("event", "event_owner", "event_cost", "bill_line", "prepayment", "event_bill", "residual_line"):
        empty.run(f"delete from {table}")
    empty.run("delete from trued_up")
    if calls:
        insert(empty, "event", [{n: c[n] for n in c if n in EVENT} for c in calls])
    for table, rows in tables.items():
        insert(empty, table, rows)
    at.price_events(empty)
    at.true_up(empty, "2026-10")

    check(empty)
    once = dump(empty)
    at.true_up(empty, "2026-10")
    assert dump(empty) == once


# ---- the command line

DRAWDOWN = FIXTURES / "sources" / "focus" / "focus15draft_drawdown_via_prepayment_frontier_model_api.csv"


def said(*arguments: str) -> Any:
    """Run a command on the drawdown example of FOCUS and return its JSON."""
    run = CliRunner().invoke(app, [*arguments, str(DRAWDOWN), "--json"])
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def test_the_command_says_what_calls_and_lines_bear_to_the_last_digit() -> None:
    told = said("true-up", "--period", "2025-05")

    (row,) = told["rows"]
    assert (row["billed_cost"], row["effective_cost"]) == ("500000.000000000000", "50.000000000000")
    assert {line["cause"]: line["billed_cost"] for line in told["residual_lines"]} == {
        "no_call": "0.000000000000",
        "purchase": "500000.000000000000",
    }


def test_the_command_rolls_a_balance_forward() -> None:
    (row,) = said("prepaid")["rows"]

    assert [row[name] for name in ("purchased", "used", "closing", "status")] == [
        "500000.000000000000", "50.000000000000", "499950.000000000000", "ties",
    ]  # fmt: skip


def test_the_commands_speak_to_people_too() -> None:
    for command, words in (
        (("true-up", "--period", "2025-05"), "What no call bears"),
        (("prepaid",), "Opening + purchased"),
        (("pools",), "There are no pools"),
    ):
        run = CliRunner().invoke(app, [*command, str(DRAWDOWN)])
        assert run.exit_code == 0, run.output
        assert words in run.stdout
