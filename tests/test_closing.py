"""Closing: a closed statement never changes; what changes later is an entry in the next open period."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger, open_ledger
from attribution.showing import is_missing, rows
from tests.examples import call, identity, insert, ledger_of
from tests.test_statements import TAKEN, billed, residual, rules_of, trued

NOVEMBER = datetime(2026, 11, 3, 12)


def october(*more: dict[str, Any], **tables: Any) -> Ledger:
    """Two teams and a call without an owner in October, one call in November; no bill yet."""
    return ledger_of(
        call("a", list_cost="6.00"),
        call("b", owner_team="search", workflow_id="rag", feature="answers", list_cost="3.00"),
        call("u", owner_team=None, list_cost="1.00"),
        call("n", started_at=NOVEMBER, list_cost="2.00"),
        *more,
        **tables,
    )


def add(ledger: Ledger, *calls: dict[str, Any]) -> None:
    from attribution import schema

    for step in schema.STEP_TABLES:
        part = schema.table("cost_event").of_step(step)
        insert(ledger, part.name, [{name: event.get(name) for name in part.names} for event in calls])


def bill(ledger: Ledger, costs: dict[str, str], *lines: dict[str, Any], **facts: Any) -> None:
    """Let an invoice of October arrive: what each call bears, and what no call bears."""
    ledger.run("delete from event_bill")
    insert(
        ledger,
        "event_bill",
        [
            {
                "event_id": identity(name),
                "billed_cost": Decimal(cost),
                "effective_cost": Decimal(cost),
                "billed_period": "2026-10",
            }
            for name, cost in costs.items()
        ],
    )
    ledger.run("delete from trued_up")
    ledger.run("delete from residual_line")
    insert(ledger, "residual_line", list(lines))
    total = sum(map(Decimal, costs.values())) + sum((line["billed_cost"] for line in lines), Decimal(0))
    insert(ledger, "trued_up", [trued("openai", str(total), **facts)])


def entries(ledger: Ledger) -> list[dict[str, Any]]:
    return rows(ledger.sql("select * from journal order by kind, owner_team nulls last, amount"))


def short(ledger: Ledger) -> list[tuple[Any, ...]]:
    names = ("kind", "owner_team", "amount")
    return [tuple(None if is_missing(e[n]) else e[n] for n in names) for e in entries(ledger)]


def borne(lines: Any) -> dict[str | None, Decimal]:
    sums: dict[str | None, Decimal] = {}
    for row in rows(lines):
        team = None if is_missing(row["owner_team"]) else row["owner_team"]
        sums[team] = sums.get(team, Decimal(0)) + (Decimal(0) if is_missing(row["amount"]) else row["amount"])
    return {team: amount for team, amount in sums.items() if amount}


# ---- what is closed stays


def test_a_closed_statement_is_shown_again_byte_for_byte_whatever_happens() -> None:
    ledger = october()
    closed = at.close_period(ledger, "2026-10", rules_of(TAKEN))
    add(ledger, call("late", list_cost="5.00"))
    ledger.run("update event_owner set owner_team = 'growth'")
    ledger.run("update event_cost set list_cost = list_cost * 2")
    again = at.charge_back(ledger, "2026-10")
    assert again.document() == closed.document()
    assert again._repr_html_() == closed._repr_html_()
    assert again.is_closed


def test_a_ledger_file_keeps_what_was_closed(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "acme.duckdb") as ledger:
        add(ledger, call("a", list_cost="6.00"))
        closed = at.close_period(ledger, "2026-10")
    with open_ledger(tmp_path / "acme.duckdb") as ledger:
        assert at.charge_back(ledger, "2026-10").document() == closed.document()
        assert at.verify_period(ledger, "2026-10").is_same
    with open_ledger(tmp_path / "acme.duckdb", read_only=True) as ledger:
        assert at.charge_back(ledger, "2026-10").document() == closed.document()
        assert at.verify_period(ledger, "2026-10").is_same


def test_a_ledger_that_is_open_read_only_states_what_it_holds_and_changes_nothing(tmp_path: Path) -> None:
    line = {"bill_line_id": identity("l"), "source": "invoice", "role": "cost", "file_id": "f", "line": 1}
    line |= {"period_start": datetime(2026, 10, 1), "billing_period": "2026-10", "category": "usage"}
    with open_ledger(tmp_path / "acme.duckdb") as ledger:
        add(ledger, call("a", list_cost="6.00"))
        expected = at.charge_back(ledger, "2026-10").document()
    with open_ledger(tmp_path / "acme.duckdb", read_only=True) as ledger:
        assert at.charge_back(ledger, "2026-10").document() == expected
        assert len(at.book_adjustments(ledger)) == 0
    with open_ledger(tmp_path / "acme.duckdb") as ledger:
        insert(ledger, "bill_line", [line])
    with (
        open_ledger(tmp_path / "acme.duckdb", read_only=True) as ledger,
        pytest.raises(LedgerError, match="true-up of 2026-10 and is open read-only"),
    ):
        at.charge_back(ledger, "2026-10")


def test_a_period_is_closed_once_and_no_part_of_it_again() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    for again in ("2026-10", "2026-Q4", "2026-10-05"):
        with pytest.raises(QuestionError, match="2026-10 is closed \\(revision 1\\); reopen it with a reason"):
            at.close_period(ledger, again)
    with pytest.raises(QuestionError, match="was closed on it"):
        at.charge_back(ledger, "2026-10", basis="list")


def test_the_register_keeps_the_fingerprints_of_what_the_statement_rests_on() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10", rules_of(TAKEN))
    (row,) = rows(ledger.sql("select * from period"))
    assert row["rules_text"] == TAKEN
    assert set(json.loads(row["inputs"])) == {"calls", "owners", "amounts", "bills", "registry"}
    assert row["code_version"] == at.__version__
    stored = ledger.value("select sum(cents) from statement_line where period = '2026-10'")
    assert stored == sum(at.charge_back(ledger, "2026-10").lines["cents"])


# ---- what changes later is booked


def test_a_late_call_is_an_entry_in_the_next_open_period_with_its_reason_and_link() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    add(ledger, call("late", list_cost="5.00"))
    november = at.charge_back(ledger, "2026-11")
    (entry,) = entries(ledger)
    assert (entry["booked_in"], entry["for_period"]) == ("2026-11", "2026-10")
    assert (entry["kind"], entry["owner_team"], entry["amount"]) == ("late_event", "support", 5)
    assert entry["reason"] == "1 call arrived after the close"
    assert (entry["link_kind"], entry["link"]) == ("event", str(identity("late")))
    line = november.lines[november.lines["kind"] == "adjustment"]
    assert line["amount"].item() == 5
    assert line["description"].item() == "2026-10: 1 call arrived after the close"
    assert november.statements.set_index("owner_team").loc["support", "adjustment"] == 5


def test_another_owner_moves_money_between_two_teams_and_the_total_stays() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    ledger.run("update event_owner set owner_team = 'search', owner_from = 'rule:x' where owner_team = 'support'")
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("changed_owner", "search", 6), ("changed_owner", "support", -6)]
    assert [entry["counter_team"] for entry in entries(ledger)] == ["support", "search"]


def test_an_owner_found_later_takes_a_call_from_the_unowned_line() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    ledger.run("update event_owner set owner_team = 'search', owner_evidence = 'declared' where owner_team is null")
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("changed_owner", "search", 1), ("reallocated", None, -1)]


def test_a_call_that_is_no_longer_one_is_taken_back() -> None:
    ledger = october(call("twice", list_cost="4.00"))
    at.close_period(ledger, "2026-10")
    ledger.run("delete from event where call_id = 'twice'")
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("removed_event", "support", -4)]


def test_another_price_is_an_entry() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    ledger.run("update event_cost set contracted_cost = contracted_cost / 2 where list_cost = 6")
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("changed_price", "support", -3)]


def test_when_the_bill_arrives_the_difference_to_the_accrual_is_an_entry_and_a_correction_another() -> None:
    ledger = october()
    assert at.close_period(ledger, "2026-10").state == "accrual"
    bill(ledger, {"a": "5.50", "b": "3.00", "u": "1.00"}, residual("openai", "tax", "0.40"))
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("bill_arrived", "support", Decimal("-0.5")), ("bill_arrived", None, Decimal("0.4"))]
    assert entries(ledger)[0]["link"] == "INV-openai"
    again = at.close_period(ledger, "2026-11")
    assert borne(again.lines)["support"] == Decimal("1.5")


def test_a_corrected_bill_says_from_what_to_what() -> None:
    ledger = october()
    bill(ledger, {"a": "6.00", "b": "3.00", "u": "1.00"})
    at.close_period(ledger, "2026-10")
    bill(ledger, {"a": "5.00", "b": "3.00", "u": "1.00"})
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("corrected_bill", "support", -1)]
    assert "corrected from 10.000000000000 to 9.000000000000 USD" in entries(ledger)[0]["reason"]


def test_a_late_call_under_a_final_bill_takes_from_what_had_no_call_and_the_invoice_stays() -> None:
    ledger = october()
    bill(ledger, {"a": "6.00", "b": "3.00", "u": "1.00"}, residual("openai", "no_call", "2.00"))
    at.close_period(ledger, "2026-10")
    add(ledger, call("late", list_cost="2.00"))
    bill(ledger, {"a": "6.00", "b": "3.00", "u": "1.00", "late": "2.00"})
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == [("late_event", "support", 2), ("respread", None, -2)]


def test_changed_rules_restate_a_closed_period_unless_they_hold_from_later() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    later = rules_of("valid_from: 2026-11-01\n" + TAKEN)
    at.charge_back(ledger, "2026-11", later)
    assert short(ledger) == []
    at.charge_back(ledger, "2026-11")
    assert short(ledger) == []
    at.charge_back(ledger, "2026-11", rules_of("unattributed: {method: proportional}\n"))
    assert short(ledger) == [
        ("changed_rules", "search", Decimal("0.333333333333")),
        ("changed_rules", "support", Decimal("0.666666666667")),
        ("changed_rules", None, -1),
    ]


def test_booking_twice_books_once_and_a_second_change_is_another_entry() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    add(ledger, call("late", list_cost="5.00"))
    assert len(at.book_adjustments(ledger)) == 1
    assert len(at.book_adjustments(ledger)) == 0
    add(ledger, call("later", list_cost="5.00"))
    assert len(at.book_adjustments(ledger)) == 1
    assert ledger.value("select count(distinct entry_id) from journal") == 2


def test_entries_go_into_the_first_period_that_is_open() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    at.close_period(ledger, "2026-11")
    add(ledger, call("late", list_cost="5.00"))
    (row,) = rows(at.book_adjustments(ledger))
    assert row["booked_in"] == "2026-12"
    december = at.charge_back(ledger, "2026-12")
    assert borne(december.lines) == {"support": 5}


def test_a_call_whose_id_changed_is_the_same_call() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    for table in ("event", "event_owner", "event_cost", "event_bill"):
        ledger.run(f"update {table} set event_id = $new where event_id = $old", {
            "new": str(identity("merged")), "old": str(identity("a"))
        })  # fmt: skip
    insert(ledger, "event_alias", [{"old_event_id": identity("a"), "event_id": identity("merged")}])
    assert len(at.book_adjustments(ledger)) == 0
    assert at.verify_period(ledger, "2026-10").differences.empty


changes = st.lists(
    st.tuples(
        st.sampled_from(["owner", "price", "late", "remove", "bill", "rules"]),
        st.sampled_from(["a", "b", "u", "c"]),
        st.decimals("0", "50", places=6),
        st.sampled_from(["support", "search", "growth", None]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=5, deadline=None)
@given(changes)
def test_closed_and_entries_are_always_what_would_be_drawn_up_now(
    done: list[tuple[str, str, Decimal, str | None]],
) -> None:
    with october(call("c", owner_team="growth", list_cost="0.70")) as ledger:
        closed = at.close_period(ledger, "2026-10", rules_of(TAKEN))
        held = rules_of(TAKEN)
        for number, (what, name, cost, team) in enumerate(done):
            _change(ledger, what, name, cost, team, number)
            if what == "rules":
                held = rules_of(f"unattributed: {{method: {'even' if number % 2 else 'visible'}}}\n")
            at.book_adjustments(ledger, held)
        assert at.charge_back(ledger, "2026-10").document() == closed.document()
        booked = ledger.sql("select owner_team, amount from journal")
        bears = borne(closed.lines)
        for team, amount in borne(booked).items():
            bears[team] = bears.get(team, Decimal(0)) + amount
        drawn = at.compare_allocations(ledger, held, held, "2026-10")
        now = {None if is_missing(r["owner_team"]) else r["owner_team"]: r["after"] for r in rows(drawn)}
        assert {k: v for k, v in bears.items() if v} == {k: v for k, v in now.items() if v}
        assert len(at.book_adjustments(ledger, held)) == 0


def _change(ledger: Ledger, what: str, name: str, cost: Decimal, team: str | None, number: int) -> None:
    values = {"id": str(identity(name)), "cost": cost, "team": team}
    if what == "owner":
        ledger.run(
            "update event_owner set owner_team = $team, owner_evidence = if($team is null, 'none', 'declared') "
            "where event_id = $id",
            {"id": values["id"], "team": team},
        )
    elif what == "price":
        ledger.run(
            "update event_cost set contracted_cost = $cost where event_id = $id", {"id": values["id"], "cost": cost}
        )
    elif what == "late":
        add(ledger, call(f"late{number}", owner_team=team, list_cost=str(cost)))
    elif what == "remove":
        ledger.run("delete from event where event_id = $id", {"id": values["id"]})
    elif what == "bill":
        bill(ledger, {"a": str(cost), "b": "1"}, residual("openai", "tax", "0.10"))


# ---- verify and reopen


def test_verify_says_what_differs_and_whether_it_is_booked() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    same = at.verify_period(ledger, "2026-10")
    assert (same.is_intact, same.is_same, same.is_booked) == (True, True, True)
    assert "the same, to the last digit" in same.headline
    add(ledger, call("late", list_cost="5.00"))
    found = at.verify_period(ledger, "2026-10")
    assert (found.is_intact, found.is_same, found.is_booked) == (True, False, False)
    (row,) = rows(found.differences)
    assert (row["owner_team"], row["closed"], row["now"], row["not_booked"]) == ("support", 6, 11, 5)
    assert [(line["kind"], line["workflow_id"], line["difference"]) for line in rows(found.lines)] == [
        ("direct", "triage", 5)
    ]
    changed = {row["what"] for row in rows(found.checks) if not row["is_same"]}
    assert changed == {"calls", "owners", "amounts"}
    at.book_adjustments(ledger)
    assert at.verify_period(ledger, "2026-10").is_booked


def test_verify_notices_a_statement_that_was_touched() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    ledger.run("update statement_line set amount = amount + 1 where owner_team = 'search'")
    assert not at.verify_period(ledger, "2026-10").is_intact
    ledger.run("update statement_line set amount = amount - 1 where owner_team = 'search'")
    assert at.verify_period(ledger, "2026-10").is_intact
    ledger.run("update period set document = replace(document, 'search', 'growth')")
    assert "is NOT as it was frozen" in at.verify_period(ledger, "2026-10").headline


def test_verify_needs_a_closed_period() -> None:
    with pytest.raises(QuestionError, match="a closed period; closed: none yet"):
        at.verify_period(october(), "2026-10")


def test_reopening_needs_a_reason_that_is_kept_and_reverses_what_was_booked() -> None:
    ledger = october()
    first = at.close_period(ledger, "2026-10")
    add(ledger, call("late", list_cost="5.00"))
    at.book_adjustments(ledger)
    with pytest.raises(QuestionError, match="why the period is opened again"):
        at.reopen_period(ledger, "2026-10", reason=" ")
    reversing = at.reopen_period(ledger, "2026-10", reason="the gateway log was late")
    assert [(row["kind"], row["amount"], row["reason"]) for row in rows(reversing)] == [
        ("reopened", -5, "reopened: the gateway log was late")
    ]
    assert borne(at.charge_back(ledger, "2026-11").lines) == {"support": 2}
    second = at.close_period(ledger, "2026-10")
    assert borne(second.lines)["support"] == borne(first.lines)["support"] + 5
    register = rows(ledger.sql("select revision, state, reason from period order by revision"))
    assert register[0] == {"revision": 1, "state": "reopened", "reason": "the gateway log was late"}
    assert register[1]["state"] == "closed"
    assert len(at.book_adjustments(ledger)) == 0
    assert ledger.value("select document from period where revision = 1") == first.document()


# ---- disputes


def test_an_upheld_dispute_moves_money_in_the_next_period_and_nothing_else() -> None:
    ledger = ledger_of(
        call("a", list_cost="1000.00"),
        call("b", owner_team="search", list_cost="500.00"),
        call("n", started_at=NOVEMBER, list_cost="2.00"),
    )
    closed = at.close_period(ledger, "2026-10")
    said: dict[str, Any] = {
        "dispute_id": "D-1",
        "for_period": "2026-10",
        "from_team": "support",
        "to_team": "search",
        "amount": Decimal("312.40"),
        "reason": "the re-index job is Search's",
        "reviewer": "finops-lead",
    }
    booked = at.book_dispute(ledger, **said)
    assert [(row["owner_team"], row["amount"]) for row in rows(booked.sort_values("amount"))] == [
        ("support", Decimal("-312.40")),
        ("search", Decimal("312.40")),
    ]
    assert at.book_dispute(ledger, **said).equals(booked)
    assert ledger.value("select count(*) from journal") == 2
    november = at.charge_back(ledger, "2026-11")
    assert borne(november.lines) == {"support": Decimal("-310.40"), "search": Decimal("312.40")}
    assert sum(november.lines["amount"]) == 2
    assert at.charge_back(ledger, "2026-10").document() == closed.document()
    assert at.verify_period(ledger, "2026-10").is_same


def test_a_dispute_over_calls_is_not_moved_twice_when_the_owner_is_corrected_at_the_source() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    at.book_dispute(
        ledger,
        dispute_id="D-2",
        for_period="2026-10",
        from_team="support",
        to_team="search",
        reason="wrong key",
        reviewer="finops-lead",
        event_ids=[str(identity("a"))],
    )
    assert len(at.book_adjustments(ledger)) == 0
    ledger.run("update event_owner set owner_team = 'search' where owner_team = 'support'")
    assert len(at.book_adjustments(ledger)) == 0
    assert at.verify_period(ledger, "2026-10").is_booked


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"for_period": "2026-11"}, "a closed period; closed: 2026-10"),
        ({"to_team": "support"}, "another team"),
        ({"to_team": "serach"}, "one of search, support"),
        ({"amount": Decimal(0)}, "dollars above zero"),
        ({"amount": Decimal("1.0000000000001")}, "exact to twelve places"),
        ({"reason": ""}, "it is kept with the entries"),
        ({"reviewer": "ann@acme.example"}, "no personal data"),
        ({"event_ids": [str(identity("b"))]}, "calls that support was charged for 2026-10; 0 of them are"),
        ({"event_ids": [str(identity("a"))], "amount": Decimal(1)}, "6.000000000000, which these calls were charged"),
    ],
)
def test_a_dispute_that_cannot_be_booked_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    said: dict[str, Any] = {
        "dispute_id": "D-1",
        "for_period": "2026-10",
        "from_team": "support",
        "to_team": "search",
        "amount": Decimal("1.00"),
        "reason": "why",
        "reviewer": "finops-lead",
    }
    with pytest.raises(QuestionError, match=why):
        at.book_dispute(ledger, **{**said, **change})
    assert ledger.value("select count(*) from journal") == 0


def test_an_id_stands_for_one_dispute() -> None:
    ledger = october()
    at.close_period(ledger, "2026-10")
    said: dict[str, Any] = {"dispute_id": "D-1", "for_period": "2026-10", "reason": "why", "reviewer": "finops-lead"}
    at.book_dispute(ledger, from_team="support", to_team="search", amount=Decimal(1), **said)
    with pytest.raises(QuestionError, match="a new id"):
        at.book_dispute(ledger, from_team="support", to_team="search", amount=Decimal(2), **said)


def test_every_entry_of_a_billed_call_names_its_reason(tmp_path: Path) -> None:
    ledger = ledger_of(billed("a", "1.00"), trued_up=[trued("openai", "1.00")])
    at.close_period(ledger, "2026-10")
    ledger.run("update event_owner set owner_team = 'search'")
    assert all(entry["reason"] and entry["link"] for entry in rows(at.book_adjustments(ledger)))
