"""Evidence packs: everything behind a team's largest charges, and nothing of another team."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from attribution import reports
from attribution.allocation import Rules
from attribution.allocation.reading import parse_rules
from attribution.exports import files
from attribution.ledger import Ledger
from attribution.packs import EvidencePack
from tests.examples import hop, insert, observed, spanned
from tests.test_exports import add_up

OTHERS = (
    "h_5ea7c4d0e1f2a3b4c5d6e7f8",
    "h_user0fsearch00000000000",
    "search",
    "gpt-5-nano",
    "secret-index",
    "key-search",
)
RULES = """
pools:
  - pool: guard
    calls: {workflow_id: guard}
    method: driver
    driver: requests
unattributed: {method: proportional}
minimums:
  - {team: support, amount: "0.10"}
"""


def rules() -> Rules:
    return parse_rules(RULES, Path("rules.yaml"))


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    """One request in which Support calls Search's agent, a guard call for all, and one call that nobody owns."""
    ours: dict[str, Any] = {"owner_team": "support", "workflow_id": "triage", "feature": "classify"}
    theirs: dict[str, Any] = {"owner_team": "search", "workflow_id": "secret-index", "feature": "secret-index"}
    said = [
        hop("t1", "root", service="ticket-api", name="POST /tickets/jo@example.com"),
        spanned("a", "t1", "s1", "root", response_id="a", tenant_id_hash="h_01234567890abcdef0123", **ours),
        hop("t1", "agent", "root", service="secret-index", name="secret-index query", owner_team="search"),
        spanned(
            "b", "t1", "s2", "agent", response_id="b", model="gpt-5-nano", tenant_id_hash=OTHERS[0],
            user_id_hash=OTHERS[1], api_key_id="key-search", input_tokens=77_777, **theirs,
        ),
        spanned("s", "t1", "s3", "root", response_id="s", tenant_id_hash=OTHERS[0], **ours),
        spanned("g", "t2", "s4", response_id="g", owner_team="platform", workflow_id="guard", feature="guard"),
        spanned("u", "t3", "s5", response_id="u", tenant_id_hash=OTHERS[0], input_tokens=500_000),
    ]  # fmt: skip
    source = {"file_id": "file", "sha256": "0", "path": "logs/calls.jsonl", "source": "otlp", "loader_version": 1}
    counts = dict.fromkeys(
        ("bytes", "records", "accepted", "context", "duplicates", "superseded", "conflicting", "quarantined"), 0
    )
    with observed(*said, source_file=[source | counts | {"is_complete": True}]) as built:
        at.match(built)
        at.resolve_owners(built)
        at.price_events(built)
        shared = built.value("select event_id from event where response_id = 's'")
        parts = [("search", 3), ("support", 1)]
        insert(
            built,
            "owner_share",
            [
                {"event_id": shared, "owner_team": team, "part": part, "parts": 4, "reason": "shared_batch"}
                for team, part in parts
            ],
        )
        yield built


@pytest.fixture(scope="module")
def pack(ledger: Ledger) -> EvidencePack:
    return at.evidence_pack(ledger, "support", "2026-10", rules())


def rows(frame: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in frame.to_dict("records")]


def test_the_charges_add_up_to_the_statement(ledger: Ledger, pack: EvidencePack) -> None:
    stated = at.charge_back(ledger, "2026-10", rules()).statements.set_index("owner_team")["amount"]["support"]

    assert pack.total == stated == Decimal("0.10")
    assert sorted(pack.charges["kind"]) == ["minimum", "request", "shared", "unowned_share"]


def test_the_csv_adds_up_to_the_statement_in_a_second_tool(pack: EvidencePack, tmp_path: Path) -> None:
    files.write_table(pack.table(), tmp_path / "pack.csv")

    assert add_up(tmp_path / "pack.csv", "amount") == pack.total


def test_the_rest_is_one_row_and_the_sum_stays(ledger: Ledger, pack: EvidencePack) -> None:
    short = at.evidence_pack(ledger, "support", "2026-10", rules(), top=1)

    assert rows(short.charges)[-1]["charge"] == "3 smaller charges"
    assert len(short.charges) == 2
    assert short.total == pack.total


def test_each_call_has_its_place_owner_price_and_arithmetic(pack: EvidencePack) -> None:
    whole = next(row for row in rows(pack.calls) if "parts are" not in row["arithmetic"])

    assert whole["place"] == "logs/calls.jsonl:1"
    assert (whole["evidence"], whole["owner_place"]) == ("declared", "logs/calls.jsonl:1")
    assert whole["price_entry"].startswith("openai/gpt-5-mini/standard")
    assert whole["arithmetic"] == (
        "1,000 input tokens × $0.25 ÷ 1,000,000 + 100 output tokens × $2 ÷ 1,000,000 = $0.00045 list; $0.00045 charged"
    )
    assert whole["tenant"] == "h_01234567…"


def test_a_shared_call_shows_the_teams_part_and_no_tenant(pack: EvidencePack) -> None:
    shared = next(row for row in rows(pack.calls) if "parts are" in row["arithmetic"])

    assert shared["arithmetic"].endswith("= $0.00045 list; 1 of 4 parts are this team's; $0.0001125 charged")
    assert shared["tenant"] is None


def test_a_request_that_crosses_teams_shows_that_others_were_there_and_nothing_of_them(pack: EvidencePack) -> None:
    rank = next(row["rank"] for row in rows(pack.charges) if row["kind"] == "request")
    tree = [(row["depth"], row["label"], row["is_ours"]) for row in rows(pack.nodes) if row["rank"] == rank]

    assert (1, "[email]", True) in tree
    assert (2, "a hop of another team", False) in tree
    assert (3, "a call of another team", False) in tree
    assert sum(row["amount"] for row in rows(pack.nodes) if row["depth"] == 0) == Decimal("0.0005625")


def test_no_word_of_another_team_is_in_any_part_of_the_pack(pack: EvidencePack, tmp_path: Path) -> None:
    files.write_table(pack.table(), tmp_path / "pack.csv")
    frames = (pack.charges, pack.calls, pack.nodes, pack.pools, pack.pool_calls)
    texts = [
        reports.render_pack(pack),
        pack._repr_html_(),
        repr(pack),
        (tmp_path / "pack.csv").read_text(encoding="utf-8"),
        *(str(rows(frame)) for frame in frames),
    ]

    for text in texts:
        for word in (*OTHERS, "example.com", "77,777", "77777"):
            assert word not in text


def test_why_my_share_of_unowned_spend(pack: EvidencePack) -> None:
    share = next(row for row in rows(pack.charges) if row["kind"] == "unowned_share")
    pool = next(row for row in rows(pack.pools) if row["rank"] == share["rank"])
    (call,) = [row for row in rows(pack.pool_calls) if row["rank"] == share["rank"]]

    assert (pool["method"], pool["pool_amount"]) == ("proportional", Decimal("0.1252"))
    assert pool["weight"] == Decimal("0.0005625")
    assert abs(pool["amount"] - pool["pool_amount"] * pool["weight"] / pool["weight_of_all"]) < Decimal("1e-12")
    assert share["arithmetic"].startswith("proportional: 0.0005625 of ")
    assert (call["place"], call["model"], call["amount"]) == ("logs/calls.jsonl:1", "gpt-5-mini", Decimal("0.1252"))
    assert call["reason"]


def test_why_my_share_of_a_pool_by_requests(pack: EvidencePack) -> None:
    share = next(row for row in rows(pack.charges) if row["kind"] == "shared")

    assert share["arithmetic"] == ("driver by requests: 1 of 2, over 2 teams = 50.0 %; 50.0 % of $0.00045 = $0.000225")


def test_a_closed_statement_keeps_its_evidence_when_owners_change_later(ledger: Ledger) -> None:
    at.close_period(ledger, "2026-10", rules())
    before = at.evidence_pack(ledger, "support", "2026-10", rules())
    ledger.run("update event_owner set owner_team = 'search' where owner_team = 'support'")
    after = at.evidence_pack(ledger, "support", "2026-10", rules())

    assert rows(after.charges)[0] == rows(before.charges)[0]
    assert after.total == before.total == Decimal("0.10")


def test_a_team_without_a_statement_is_told_which_there_are(ledger: Ledger) -> None:
    with pytest.raises(at.QuestionError, match=r"supprt.*one of .*support"):
        at.evidence_pack(ledger, "supprt", "2026-10", rules())
    with pytest.raises(at.QuestionError, match="above zero"):
        at.evidence_pack(ledger, "support", "2026-10", rules(), top=0)


def test_hostile_names_stay_text_in_the_page(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    with observed(spanned("a", "t1", "s1", response_id="a", owner_team=bad, workflow_id=bad)) as ledger:
        at.match(ledger)
        at.resolve_owners(ledger)
        at.price_events(ledger)
        page = reports.render_pack(at.evidence_pack(ledger, bad, "2026-10"), options=[bad])

    assert "<script" not in page
    assert "&lt;/script&gt;" in page
