"""Disputes: small reviewed records; an upheld one moves money in the next period and leaves the closed one alone."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

import attribution as at
from attribution.ledger import Ledger
from tests.examples import call, ledger_of

TEAMS = [{"team": name, "place": "teams.csv:1"} for name in ("search", "support")]


def dispute(**said: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "dispute_id": "D-1",
        "period": "2026-10",
        "owner_team": "support",
        "charge_to": "search",
        "amount": "312.40",
        "state": "upheld",
        "reason": "Search ran its backfill on our workflow",
        "decision": "the worker is Search's since September",
        "reviewer": "finops-review",
    }
    return {name: value for name, value in (entry | said).items() if value is not None}


def file_of(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    path = tmp_path / "disputes.yaml"
    path.write_text(yaml.safe_dump({"disputes": list(entries)}, sort_keys=False), encoding="utf-8")
    return path


def closed() -> Ledger:
    ledger = ledger_of(
        call("a", list_cost="1000", request_id="r1"),
        call("b", list_cost="312.40", request_id="r2"),
        call("c", list_cost="500", owner_team="search"),
        call("d", list_cost="40", started_at=datetime(2026, 11, 3)),
        call("e", list_cost="60", started_at=datetime(2026, 11, 4), owner_team="search"),
        team=TEAMS,
    )
    at.close_period(ledger, "2026-10")
    return ledger


def teams(ledger: Ledger, period: str, column: str) -> dict[str, Decimal]:
    rows = at.charge_back(ledger, period).statements
    return dict(zip(rows["owner_team"], rows[column], strict=True))


def test_an_upheld_dispute_moves_money_in_the_next_period_and_nothing_else(tmp_path: Path) -> None:
    ledger = closed()
    document = at.charge_back(ledger, "2026-10").document()
    before = teams(ledger, "2026-11", "amount")

    (row,) = at.settle_disputes(ledger, file_of(tmp_path, dispute())).to_dict("records")

    assert row["booked_in"] == "2026-11"
    assert teams(ledger, "2026-11", "adjustment") == {"support": Decimal("-312.40"), "search": Decimal("312.40")}
    after = teams(ledger, "2026-11", "amount")
    assert sum(after.values()) == sum(before.values()) == 100
    assert at.charge_back(ledger, "2026-10").document() == document


def test_settling_the_same_file_again_books_nothing_more(tmp_path: Path) -> None:
    ledger, path = closed(), file_of(tmp_path, dispute())
    first = at.settle_disputes(ledger, path)

    assert at.settle_disputes(ledger, path).equals(first)
    assert ledger.value("select count(*) from journal") == 2


def test_open_and_rejected_disputes_are_kept_and_move_nothing(tmp_path: Path) -> None:
    ledger = closed()
    path = file_of(
        tmp_path,
        dispute(state="open", decision=None, reviewer=None, charge_to=None),
        dispute(dispute_id="D-2", state="rejected", decision="the trace shows Support's own retry"),
    )

    found = at.settle_disputes(ledger, path)

    assert found["state"].to_list() == ["open", "rejected"]
    assert ledger.value("select count(*) from journal") == 0


def test_a_disputed_request_moves_what_its_calls_were_charged(tmp_path: Path) -> None:
    ledger = closed()

    at.settle_disputes(ledger, file_of(tmp_path, dispute(request_id="r2")))

    assert ledger.value("select max(calls) from journal") == 1
    with pytest.raises(at.ConfigurationError, match=r"disputes.yaml:2: .*312.4"):
        at.settle_disputes(ledger, file_of(tmp_path, dispute(dispute_id="D-9", request_id="r1")))
    with pytest.raises(at.ConfigurationError, match="was charged no call of request `r9`"):
        at.settle_disputes(ledger, file_of(tmp_path, dispute(dispute_id="D-8", request_id="r9")))


def test_what_is_booked_cannot_be_taken_back_by_editing_the_file(tmp_path: Path) -> None:
    ledger = closed()
    at.settle_disputes(ledger, file_of(tmp_path, dispute()))

    for change in ({"state": "rejected"}, {"amount": "300"}):
        with pytest.raises(at.ConfigurationError, match=r"is booked in 2026-11 as upheld, 312.40.* USD from support"):
            at.settle_disputes(ledger, file_of(tmp_path, dispute(**change)))
    assert ledger.value("select state from dispute") == "upheld"


def test_a_period_must_be_closed_before_a_dispute_about_it_is_booked(tmp_path: Path) -> None:
    ledger = ledger_of(call("a"), team=TEAMS)

    with pytest.raises(at.ConfigurationError, match=r"disputes.yaml:2: .*2026-10"):
        at.settle_disputes(ledger, file_of(tmp_path, dispute()))
    assert ledger.value("select count(*) from dispute") == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "agreed"}, "`agreed` is not known here.*open, upheld, rejected"),
        ({"amount": "-5"}, "`amount` is -5"),
        ({"amount": "1e3"}, "`amount` is '1e3'"),
        ({"period": "October"}, "`period` is October"),
        ({"charge_to": None}, "`charge_to` is missing"),
        ({"charge_to": "support"}, "`charge_to` is `support` itself"),
        ({"reviewer": None}, "`reviewer` is missing"),
        ({"reviewer": "jo@example.com"}, "`reviewer` holds what looks like email"),
        ({"state": "open"}, "an open dispute has a decision"),
        ({"reason": None}, "`reason` is missing"),
        ({"teem": "x"}, "`teem` is not known here"),
        ({"opened_on": "2026-11-05", "decided_on": "2026-11-01"}, "it was decided before it was opened"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(at.ConfigurationError, match=rf"disputes.yaml:2: {said}"):
        at.read_disputes(file_of(tmp_path, dispute(**change)))


def test_a_dispute_is_said_once_and_teams_are_the_registrys(tmp_path: Path) -> None:
    with pytest.raises(at.ConfigurationError, match=r"stands at disputes.yaml:2, too"):
        at.read_disputes(file_of(tmp_path, dispute(), dispute()))
    with pytest.raises(at.ConfigurationError, match=r"`serch` is not known here. Did you mean `search`\?"):
        at.settle_disputes(closed(), file_of(tmp_path, dispute(charge_to="serch")))


def test_a_csv_file_says_the_same(tmp_path: Path) -> None:
    entry = dispute()
    path = tmp_path / "disputes.csv"
    path.write_text(",".join(entry) + "\n" + ",".join(entry.values()) + "\n", encoding="utf-8")

    (row,) = at.read_disputes(path).to_dict("records")

    assert (row["amount"], row["state"], row["place"]) == (Decimal("312.40"), "upheld", "disputes.csv:2")
