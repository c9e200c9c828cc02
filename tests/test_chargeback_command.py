"""The commands chargeback, close and verify: what people type, see, and what CI gets as an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attribution.cli import app

ACME = Path("sample_data/acme")
CALLS = str(ACME / "data/direct")
CONFIG = ["--config", str(ACME / "config/attribution.yaml")]
RULES = ["--rules", str(ACME / "config/chargeback.yaml")]


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_chargeback_says_what_teams_pay_and_on_what_it_stands() -> None:
    code, said, _ = run("chargeback", CALLS, *CONFIG, *RULES, "--period", "2026-10")
    assert code == 0
    assert said.startswith("2026-10, accrual: $2.64 of effective cost to 1 team.")
    assert "CC-160" in said
    assert "rules 2026-08" in said


def test_json_is_exact_and_a_page_is_written_where_it_says(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ("chargeback", CALLS, *CONFIG, "--period", "2026-10", "--json", "--out", str(page))
    code, said, told = run(*arguments)
    answer = json.loads(said)
    assert (code, answer["command"], answer["state"]) == (0, "chargeback", "accrual")
    assert answer["lines"][0]["amount"].split(".")[1] == answer["lines"][0]["amount"][-12:]
    assert str(page) in told
    first = page.read_bytes()
    assert run(*arguments)[1] == said
    assert page.read_bytes() == first


def test_a_period_is_closed_verified_and_reopened_in_a_ledger_file(tmp_path: Path) -> None:
    kept = ["--ledger", str(tmp_path / "acme.duckdb")]
    code, said, _ = run("close", CALLS, *CONFIG, *RULES, "--period", "2026-09", *kept)
    assert (code, "Closed as revision 1, sha256 " in said) == (0, True)
    code, said, _ = run("verify", "2026-09", *kept)
    assert (code, "the same, to the last digit" in said) == (0, True)
    statement = tmp_path / "statement.json"
    statement.write_text(run("chargeback", "--period", "2026-09", *kept, "--json")[1], encoding="utf-8")
    assert run("verify", str(statement), *kept)[0] == 0
    statement.write_text(statement.read_text(encoding="utf-8").replace("research", "search"), encoding="utf-8")
    code, said, _ = run("verify", str(statement), *kept)
    assert (code, "is NOT the statement that was frozen" in " ".join(said.split())) == (1, True)
    assert run("close", "--period", "2026-09", *kept)[0] == 2
    code, said, _ = run("close", "--period", "2026-09", *kept, "--reopen", "a log was late")
    assert (code, said) == (0, "2026-09 is open again: a log was late\n")
    assert run("verify", "2026-09", *kept)[0] == 2


def test_before_and_after_of_other_rules(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text('markups: [{team: "*", percent: 10}]\n', encoding="utf-8")
    code, said, _ = run("chargeback", CALLS, *CONFIG, *RULES, "--period", "2026-10", "--compare", str(other), "--json")
    rows = json.loads(said)["compared"]
    assert code == 0
    assert [row["owner_team"] for row in rows if row["difference"] != "0.000000000000"] == ["research", None]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("close", "--period", "2026-09"), "what is closed has to be kept somewhere"),
        (("verify", "2026-09"), "the ledger file in which the period is closed"),
        (("chargeback", "--period", "2026-09"), "Name files or folders to load, or a ledger with --ledger FILE"),
        (("chargeback", CALLS, *CONFIG, "--period", "october"), "a month (2026-10)"),
        (("chargeback", CALLS, *CONFIG, "--period", "2026-10", "--rules", "no.yaml"), "no.yaml: there is no such file"),
    ],
)
def test_misuse_exits_with_2_and_says_what_to_do(arguments: tuple[str, ...], why: str) -> None:
    code, _, told = run(*arguments)
    assert code == 2
    assert why in told
