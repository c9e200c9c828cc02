from __future__ import annotations

import html
import re
import sys
from datetime import datetime, timedelta
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


def test_calls_without_a_price_are_listed_with_the_reason_and_their_tokens() -> None:
    unknown = {"model": "gpt-4.1-minny", "input_tokens": 3_200, "output_tokens": 480}
    one = ledger_of(call("a", **unknown, list_cost=None), call("b", **unknown, list_cost=None))
    at.price_events(one)

    text = text_of(reports.render(one, at.audit(one), paths=[DATA]))

    assert "near: gpt-4.1-mini, gpt-4.1-nano, gpt-4o-mini 2 6,400 960" in text


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


def test_the_patterns_of_the_company_are_its_calls_recounted_one_by_one(company: Ledger) -> None:
    rows = showing.rows(at.audit(company).patterns)
    calls = company.rows(
        """
        select cost_event.api_key_id, case when owner_evidence not in ('none', 'rule') then cost_event.owner_team end,
            coalesce(list_cost, priced_part, 0), min(key.owner_team)
        from cost_event left join key on kind in ('api_key', 'virtual_key') and is_shared is not true
            and key_id in (api_key_id, project_id) and started_at >= coalesce(valid_from, timestamp '1970-01-01')
            and started_at < coalesce(valid_to, timestamp '2999-12-31')
        group by event_id, 1, 2, 3
        """
    )
    spent: dict[str, dict[str, Decimal]] = {}
    for key, owner, cost, _ in calls:
        if key and owner:
            teams = spent.setdefault(key, {})
            teams[owner] = teams.get(owner, Decimal(0)) + cost
    holders = {key: max(teams, key=lambda team: (teams[team], team)) for key, teams in spent.items()}
    told = dict.fromkeys(("right", "wrong", "not_at_all", "cannot_be_judged"), Decimal(0))
    for key, owner, cost, registered in calls:
        team = registered or holders.get(key)
        verdict = "not_at_all" if team is None else "right" if team == owner else "wrong"
        told["cannot_be_judged" if owner is None else verdict] += cost

    assert {part: rows[1][part] for part in told} == told
    shares = showing.rows(at.measure_coverage(company))[0]
    assert all(sum(row[part] for part in told) == shares["list_cost"] for row in rows)
    assert (rows[0]["not_at_all"], rows[4]["right"], rows[4]["not_at_all"]) == (
        shares["list_cost"],
        shares["list_cost"] - shares["unowned"],
        shares["unowned"],
    )
    assert [showing.dollars(row["right"]) for row in rows] == ["$0.00", "$20.05", "$10.94", "$24.55", "$50.29"]
    assert [showing.dollars(row["wrong"]) for row in rows] == ["$0.00", "$24.53", "$2.87", "$0.1358", "$0.00"]
    assert [row["is_shown"] for row in rows] == [True, False, False, True, False]


def test_the_page_says_when_the_level_of_what_is_not_declared_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def days(first_bad: int) -> Ledger:
        owners = [None if n >= first_bad else "support" for n in range(30)]
        times = [datetime(2026, 9, 1) + timedelta(days=n) for n in range(30)]
        return ledger_of(
            *(call(f"{n}", started_at=t, owner_team=o) for n, (t, o) in enumerate(zip(times, owners, strict=True)))
        )

    worse, steady = days(18), days(30)
    assert "from 2026-09-19 on 100.0 % in place of 0.0 % (worse)" in text_of(reports.render(worse, at.audit(worse)))
    assert at.coverage_trend(steady).headline in text_of(reports.render(steady, at.audit(steady)))
    monkeypatch.setitem(sys.modules, "ruptures", None)
    assert "pip install 'attribution[statistics]'" in text_of(reports.render(worse, at.audit(worse)))


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
