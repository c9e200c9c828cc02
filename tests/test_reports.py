from __future__ import annotations

import html
import re
from decimal import Decimal
from pathlib import Path

import pytest

import attribution as at
from attribution import reports, showing
from attribution.ledger import Ledger
from tests.examples import call, ledger_of

HOSTILE = "</script><script>alert(1)</script>\u202e"
DATA = "sample_data/traces/captured"


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return at.build_ledger(at.sample_path("traces/captured"), quiet=True)


@pytest.fixture(scope="module")
def page(ledger: Ledger) -> str:
    return reports.render(ledger, at.audit(ledger), paths=[DATA])


@pytest.fixture(scope="module")
def company() -> Ledger:
    data, config = at.sample_path("acme/data"), at.sample_path("acme/config/attribution.yaml")
    return at.build_ledger(data, config=config, quiet=True)


def text_of(page: str) -> str:
    """Return a page without its pictures and tags."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", body).split()))


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert set(re.findall(r'(?:src|href)="([^";]*)', page)) == {"data:image/png"}
    assert "default-src 'none'" in page
    assert not re.search(r"\son\w+=|@import|url\(", page)


def test_the_same_ledger_gives_the_same_bytes(ledger: Ledger, page: str) -> None:
    assert reports.render(ledger, at.audit(ledger), paths=[DATA]) == page


def test_the_page_begins_with_the_answer_and_holds_all_evidence(ledger: Ledger, page: str) -> None:
    audit, text = at.audit(ledger), text_of(page)

    assert text.index(audit.headline) < text.index(audit.score) < text.index("Seven questions")
    assert all(question in text for question in audit.verdicts["question"])
    assert all(remedy in text for remedy in audit.hops["remedy"].head(12))
    assert all(request in text for request in audit.traces["request_id"])
    assert ledger.value("select fingerprint from rate_book") in text
    assert f"attribution report {DATA} --traces=10 --seed=0" in text
    assert page.count("<img") >= 6


def test_what_cannot_be_answered_says_why_and_what_to_load(page: str) -> None:
    text = text_of(page)

    assert "No bill is loaded. Load an invoice, a cost report or a cloud bill of the month to compare with." in text
    assert "There is one month of calls: a change needs two." in text
    assert re.search(r"\d+ rules checked, \d+ broken", text)


def test_the_sections_are_the_answers_of_their_questions(company: Ledger) -> None:
    rules = str(at.sample_path("acme/config/chargeback.yaml"))
    page = reports.render(company, at.audit(company), paths=["acme"], period="2026-10", rules=rules)
    text = text_of(page)

    bill = at.reconcile(company, "2026-10")
    statements = at.charge_back(company, "2026-10", rules)
    assert bill.headline in text
    assert statements.headline in text
    assert at.explain_change(company, "2026-09", "2026-10").headline in text
    assert at.validate(company).headline in text
    assert f"all teams {showing.dollars(sum(statements.statements['direct'], Decimal(0)))}" in text
    for row in showing.rows(bill.bridge):
        assert not row["amount"] or f"{row['label']} {showing.dollars(row['amount'])}" in text
    assert f"--period 2026-10 --rules {rules}" in text
    assert reports.render(company, at.audit(company), paths=["acme"], period="2026-10", rules=rules) == page


def test_the_page_conserves_records(ledger: Ledger, page: str) -> None:
    rows = ledger.rows("select sum(records), sum(accepted), sum(context) from source_file")[0]

    total = re.search(r"<b>all</b>.*?</tr>", page, flags=re.DOTALL)

    assert total is not None
    assert re.findall(r"<b>([\d,]+)</b>", total[0])[:3] == [f"{count:,}" for count in rows]


def test_hostile_names_stay_text_wherever_they_stand() -> None:
    ledger = ledger_of(
        call("a", owner_team=HOSTILE, service=HOSTILE, model=HOSTILE, trace_id=HOSTILE, list_cost=None),
        call("b", owner_team=None, service=HOSTILE),
        lost_hop=[
            {"event_id": call("b")["event_id"], "field": "owner_team", "signature": "H11", "is_provable": True}
            | {"producer": HOSTILE, "consumer": HOSTILE, "system": HOSTILE, "destination": None}
        ],
        source_file=[source_file(HOSTILE)],
    )
    at.price_events(ledger)

    page = reports.render(ledger, at.audit(ledger), paths=[HOSTILE], config=HOSTILE)

    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e" in page


def source_file(path: str) -> dict[str, object]:
    counts = dict.fromkeys(("accepted", "context", "duplicates", "superseded", "conflicting", "quarantined"), 0)
    return {"file_id": "f", "sha256": "0" * 64, "path": path, "source": "otlp", "loader_version": 1, "bytes": 1} | {
        "records": 0,
        "is_complete": True,
        **counts,
    }


def test_coverage_over_time_is_a_picture_and_a_table(ledger: Ledger) -> None:
    page = reports.render_coverage(at.measure_coverage(ledger, "week"), ["week"], paths=[DATA])

    assert page.count("<img") == 1
    assert "2026-W48" in text_of(page)
    assert f"attribution coverage {DATA} --by week --html" in text_of(page)


def test_coverage_by_a_hostile_team_stays_text() -> None:
    rows = at.measure_coverage(ledger_of(call("a", owner_team=HOSTILE)), "owner_team")

    page = reports.render_coverage(rows, ["owner_team"])

    assert "<script" not in page
    assert "&lt;/script&gt;" in page


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    reports.write("whole", tmp_path / "page.html")
    with pytest.raises(UnicodeEncodeError):
        reports.write("half \ud800", tmp_path / "page.html")

    assert (tmp_path / "page.html").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
