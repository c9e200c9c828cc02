"""Statements: whatever the rules, they add up; direct cost keeps its evidence; nothing unknown is zero."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.allocation import parse_rules
from attribution.errors import AllocationError, LedgerError, QuestionError
from attribution.ledger import Ledger
from attribution.showing import is_missing, rows
from attribution.statements import from_document
from tests.examples import call, identity, ledger_of

OCTOBER = datetime(2026, 10, 1)


def rules_of(text: str) -> at.Rules:
    return parse_rules(text, Path("rules.yaml"))


def team(name: str, **columns: Any) -> dict[str, Any]:
    return {"team": name, "cost_center": None, "account": None, "contact": None, "budget": None, **columns}


def residual(provider: str, cause: str, billed: str, **columns: Any) -> dict[str, Any]:
    row = {"residual_id": identity(f"{provider}{cause}{columns}"), "period": "2026-10", "provider": provider}
    row |= {
        "cause": cause,
        "category": columns.pop("category", cause),
        "description": columns.pop("description", cause),
    }
    row |= {
        "billed_cost": Decimal(billed),
        "effective_cost": Decimal(columns.pop("effective", billed)),
        "bill_lines": [],
    }
    return {**row, "model": None, "meter": None, "project_id": None, **columns}


def trued(provider: str, billed: str, effective: str | None = None, **columns: Any) -> dict[str, Any]:
    total, drawn = Decimal(billed), Decimal(effective or billed)
    row = {"period": "2026-10", "provider": provider, "status": "final", "invoice_id": f"INV-{provider}"}
    row |= {"billed_cost": total, "effective_cost": drawn, "event_billed_cost": total, "event_effective_cost": drawn}
    row |= {"residual_billed_cost": Decimal(0), "residual_effective_cost": Decimal(0), "events": 1, "fingerprint": "f"}
    return row | columns


def billed(name: str, cost: str, effective: str | None = None, **columns: Any) -> dict[str, Any]:
    money = {"billed_cost": cost, "effective_cost": effective or cost, "billed_period": "2026-10"}
    return call(name, **{**money, **columns})


def amounts(found: at.Chargeback, *by: str) -> dict[Any, Decimal]:
    """Return the amount of each group; a group without a value is None."""
    sums = {}
    for row in rows(found.breakdown(*by)):
        key = tuple(None if is_missing(row[name]) else row[name] for name in by)
        sums[key[0] if len(by) == 1 else key] = row["amount"]
    return sums


def company(**tables: Any) -> Ledger:
    """Two teams, a shared guard, a call without an owner, and an invoice that holds tax and a credit."""
    return ledger_of(
        billed("a", "6.00", list_cost="7.00"),
        billed("b", "3.00", owner_team="search", workflow_id="rag", feature="answers", list_cost="3.50"),
        billed("g", "0.90", owner_team="platform", workflow_id="guard", feature="guard", list_cost="1.00"),
        billed("u", "1.00", owner_team=None, list_cost="1.20"),
        residual_line=[residual("openai", "tax", "0.80"), residual("openai", "credit", "-0.30")],
        trued_up=[trued("openai", "11.40")],
        **tables,
    )


SHARED = """
pools:
  - {pool: guard, calls: {workflow_id: guard}, method: proportional}
  - {pool: taxes, bill: {category: [tax, credit]}, method: proportional}
"""
TAKEN = SHARED + "unattributed: {method: proportional}\n"


# ---- who bears what


def test_a_statement_has_direct_cost_by_evidence_and_what_no_team_bears_stays_visible() -> None:
    found = at.charge_back(company(), "2026-10")
    assert amounts(found, "kind", "owner_team") == {
        ("direct", "support"): Decimal(6),
        ("direct", "search"): Decimal(3),
        ("direct", "platform"): Decimal("0.9"),
        ("unowned", None): Decimal(1),
        ("residual", None): Decimal("0.5"),
    }
    assert found.state == "final"


def test_shared_pools_are_split_by_their_method_and_keep_their_origin() -> None:
    found = at.charge_back(company(), "2026-10", rules_of(SHARED))
    support = found.statement("support")
    guard = support[support["pool"] == "guard"].to_dict("records")
    assert [(row["kind"], row["amount"], row["workflow_id"], row["model"]) for row in guard] == [
        ("shared", Decimal("0.6"), "guard", "gpt-5-mini")
    ]
    assert guard[0]["share"] == Decimal("0.666666666666666667")
    assert guard[0]["list_cost"] == Decimal("0.666666666667")
    taxes = support[support["pool"] == "taxes"]
    assert dict(zip(taxes["category"], taxes["amount"], strict=True)) == {
        "credit": Decimal("-0.2"),
        "tax": Decimal("0.533333333333"),
    }
    assert found.statement("search")["amount"].sum() + support["amount"].sum() == Decimal("10.4")


def test_unowned_spend_is_shared_out_only_by_rule_and_the_reported_share_stays() -> None:
    visible = at.charge_back(company(), "2026-10", rules_of(SHARED))
    shared = at.charge_back(company(), "2026-10", rules_of(TAKEN))
    assert amounts(visible, "kind")["unowned"] == 1
    assert "unowned" not in amounts(shared, "kind")
    assert amounts(shared, "kind")["unowned_share"] == 1
    assert dict(zip(shared.statements["owner_team"], shared.statements["of_unowned"], strict=True)) == {
        "search": Decimal("0.333333333333"),
        "support": Decimal("0.666666666667"),
    }
    assert shared.coverage.equals(visible.coverage)
    assert shared.coverage["unowned"].item() == Decimal("1.2")


def test_an_allocated_dollar_is_never_shown_as_a_declared_one() -> None:
    lines = at.charge_back(company(), "2026-10", rules_of(TAKEN)).lines
    assert set(lines.loc[lines["evidence"].notna(), "kind"]) == {"direct"}


def test_the_files_own_ownership_rules_give_owners_as_rules_and_never_replace_one() -> None:
    text = """
ownership_rules:
  - {rule_id: r, field: model, match: prefix, pattern: gpt-5, owner_team: search}
"""
    found = at.charge_back(company(), "2026-10", rules_of(text))
    assert amounts(found, "owner_team", "evidence")[("search", "rule")] == 1
    assert amounts(found, "owner_team", "evidence")[("support", "declared")] == 6


def test_rules_at_odds_give_no_owner() -> None:
    text = """
ownership_rules:
  - {rule_id: r, field: model, match: prefix, pattern: gpt-5, owner_team: search}
  - {rule_id: s, field: provider, match: equals, pattern: openai, owner_team: support}
"""
    assert amounts(at.charge_back(company(), "2026-10", rules_of(text)), "kind")["unowned"] == 1


def test_a_shared_call_is_split_to_the_last_pico_dollar() -> None:
    parts = [
        {"event_id": identity("s"), "owner_team": team, "part": part, "parts": 3, "reason": "shared_batch"}
        for team, part in (("search", 1), ("support", 2))
    ]
    ledger = ledger_of(
        billed("s", "0.10", owner_team=None, owner_evidence="declared", list_cost="0.20"),
        owner_share=parts,
        trued_up=[trued("openai", "0.10")],
    )
    found = at.charge_back(ledger, "2026-10")
    assert amounts(found, "owner_team") == {"search": Decimal("0.033333333333"), "support": Decimal("0.066666666667")}
    assert sum(found.lines["list_cost"]) == Decimal("0.2")


def test_minimums_and_markups_are_taken_back_on_a_line_of_their_own() -> None:
    text = 'minimums: [{team: "*", amount: "5.00"}]\nmarkups: [{team: support, percent: "10"}]\n'
    found = at.charge_back(company(), "2026-10", rules_of(text))
    by_kind = amounts(found, "kind", "owner_team")
    assert by_kind["markup", "support"] == Decimal("0.6")
    assert by_kind["minimum", "search"] == 2
    assert by_kind["minimum", "platform"] == Decimal("4.1")
    assert by_kind["offset", None] == Decimal("-6.7")
    assert sum(found.lines["amount"]) == Decimal("11.40")


def test_the_registry_gives_cost_centre_account_and_budget_and_the_rules_may_say_otherwise() -> None:
    ledger = company(
        team=[team("support", cost_center="CC-1", account="6410", budget=Decimal(5)), team("idle", budget=Decimal(1))]
    )
    text = "cost_centers: {support: {account: 6499}}\nbudgets: {search: 4}\n"
    rows = {
        row["owner_team"]: row
        for row in at.charge_back(ledger, "2026-10", rules_of(text)).statements.to_dict("records")
    }
    assert (rows["support"]["cost_center"], rows["support"]["account"]) == ("CC-1", "6499")
    assert rows["support"]["variance"] == -1
    assert rows["search"]["variance"] == 1
    assert (rows["idle"]["amount"], rows["idle"]["variance"]) == (0, 1)


def test_direct_cost_says_apart_what_the_call_declared_what_was_recovered_and_what_a_rule_gave() -> None:
    rungs = {"declared": "1", "exclusive_key": "2", "inherited": "4", "trace": "8", "rule": "16"}
    calls = [billed(rung, cost, owner_evidence=rung) for rung, cost in rungs.items()]
    (row,) = rows(at.charge_back(ledger_of(*calls, trued_up=[trued("openai", "31")]), "2026-10").statements)
    assert (row["declared"], row["recovered"], row["by_rule"], row["direct"]) == (3, 12, 16, 31)


def test_a_team_that_is_not_there_in_the_period_bears_only_what_a_pool_names_it_for() -> None:
    text = """
pools:
  - {pool: guard, calls: {workflow_id: guard}, method: fixed, percent: {later: 50, support: 50}}
  - {pool: taxes, bill: {category: [tax, credit]}, method: even}
"""
    ledger = company(team=[team("later", valid_from=datetime(2026, 11, 1))])
    found = at.charge_back(ledger, "2026-10", rules_of(text))
    assert amounts(found, "owner_team", "pool")[("later", "guard")] == Decimal("0.45")
    assert ("later", "taxes") not in amounts(found, "owner_team", "pool")


# ---- the four costs, and states


def test_the_four_costs_stand_beside_each_other_and_the_basis_chooses() -> None:
    ledger = company()
    sums = {basis: at.charge_back(ledger, "2026-10", basis=basis).lines["amount"].sum() for basis in ("list", "billed")}
    assert sums == {"list": Decimal("12.70"), "billed": Decimal("11.40")}
    found = at.charge_back(ledger, "2026-10")
    assert found.lines["list_cost"].sum() == Decimal("12.70")
    assert found.lines["billed_cost"].sum() == Decimal("11.40")


def test_usage_paid_ahead_is_charged_at_what_it_drew_and_the_rest_makes_the_invoice() -> None:
    ledger = ledger_of(
        billed("a", "0", "6.00"),
        residual_line=[residual("openai", "purchase", "20.00", effective="0")],
        trued_up=[trued("openai", "20.00", "6.00")],
    )
    found = at.charge_back(ledger, "2026-10")
    assert amounts(found, "kind") == {"direct": Decimal(6), "residual": Decimal(0), "prepaid": Decimal(14)}
    tie = found.providers.to_dict("records")[0]
    assert (tie["total"], tie["invoice"], tie["difference"]) == (20, 20, 0)


def test_without_a_bill_the_statement_is_an_accrual_at_contracted_price_and_says_so() -> None:
    ledger = ledger_of(
        call("a", list_cost="2.00", contracted_cost="1.50"),
        billed("b", "3.00", provider="aws"),
        trued_up=[trued("aws", "3.00", status="provisional")],
    )
    found = at.charge_back(ledger, "2026-10")
    assert found.state == "accrual"
    assert dict(zip(found.providers["provider"], found.providers["state"], strict=True)) == {
        "aws": "provisional",
        "openai": "accrual",
    }
    assert amounts(found, "provider") == {"aws": Decimal(3), "openai": Decimal("1.5")}
    assert "accrual" in found.headline


def test_a_call_belongs_to_the_month_whose_invoice_bears_it() -> None:
    late = datetime(2026, 9, 30, 23, 59, 59)
    ledger = ledger_of(billed("a", "2.00", started_at=late), trued_up=[trued("openai", "2.00")])
    assert amounts(at.charge_back(ledger, "2026-10"), "owner_team") == {"support": 2}
    with pytest.raises(LedgerError, match="2026-09"):
        at.charge_back(ledger, "2026-09")


def test_a_call_without_a_price_is_counted_and_has_no_dollars() -> None:
    ledger = ledger_of(call("a"), call("b", list_cost=None, model="secret-model"))
    found = at.charge_back(ledger, "2026-10")
    line = found.lines[found.lines["model"] == "secret-model"].to_dict("records")[0]
    assert line["amount"] is None or str(line["amount"]) == "<NA>"
    assert line["unpriced_calls"] == 1
    assert "1 call has no price" in found.headline


def test_a_week_is_an_accrual_for_bills_are_monthly() -> None:
    found = at.charge_back(company(), "2026-W41")
    assert found.state == "accrual"
    assert "residual" not in amounts(found, "kind")


# ---- sums


def test_statements_and_residual_lines_are_the_invoice_to_the_cent() -> None:
    third = "3.333333333333"
    ledger = ledger_of(
        *(billed(name, third, owner_team=name, workflow_id=f"w{name}") for name in ("a", "b", "c")),
        residual_line=[residual("openai", "tax", "0.000000000001")],
        trued_up=[trued("openai", "10.000000000000")],
    )
    found = at.charge_back(ledger, "2026-10")
    assert sum(found.lines["cents"]) == Decimal("10.00")
    assert sorted(found.statements["cents"]) == [Decimal("3.33"), Decimal("3.33"), Decimal("3.34")]
    assert found.providers["difference"].item() == 0


def test_many_small_lines_of_a_team_do_not_drift_from_its_total() -> None:
    calls = [billed(f"{n}", "0.003", workflow_id=f"w{n}") for n in range(50)]
    calls += [billed(f"x{n}", "0.0049", owner_team="search", workflow_id=f"w{n}") for n in range(50)]
    found = at.charge_back(ledger_of(*calls, trued_up=[trued("openai", "0.395")]), "2026-10")
    assert dict(zip(found.statements["owner_team"], found.statements["cents"], strict=True)) == {
        "search": Decimal("0.25"),
        "support": Decimal("0.15"),
    }


costs = st.decimals("0", "1000", places=6)
METHODS = ["visible", "proportional", "even", "driver"]


@st.composite
def periods_and_rules(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    teams = ["a", "b", "c", None]
    calls = [
        billed(
            f"c{n}",
            str(draw(costs)),
            owner_team=draw(st.sampled_from(teams)),
            workflow_id=draw(st.sampled_from(["w", "guard"])),
            provider=draw(st.sampled_from(["openai", "aws"])),
        )
        for n in range(draw(st.integers(1, 8)))
    ]
    calls.append(billed("own", "1", owner_team="a", workflow_id="w"))
    extra = [
        residual(provider, cause, str(draw(st.decimals("-50", "50", places=6))))
        for provider in ("openai", "aws")
        for cause in ("tax", "credit")
    ]
    text = "pools:\n"
    for pool, holds in (("guard", "calls: {workflow_id: guard}"), ("taxes", "bill: {category: [tax, credit]}")):
        method = draw(st.sampled_from(["proportional", "even", "driver"]))
        driver = ", driver: requests" if method == "driver" else ""
        text += f"  - {{pool: {pool}, {holds}, method: {method}{driver}}}\n"
    unowned = draw(st.sampled_from(METHODS))
    text += f"unattributed: {{method: {unowned}{', driver: calls' if unowned == 'driver' else ''}}}\n"
    if draw(st.booleans()):
        text += 'minimums: [{team: "*", amount: "2.50"}]\nmarkups: [{team: "*", percent: "3.3"}]\n'
    return calls, extra, text


def invoices_of(calls: list[dict[str, Any]], extra: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for provider in ("aws", "openai"):
        parts = [row["billed_cost"] for row in (*calls, *extra) if row["provider"] == provider]
        found.append(trued(provider, str(sum(parts, Decimal(0)))))
    return found


@settings(max_examples=6, deadline=None)
@given(periods_and_rules(), st.randoms())
def test_whatever_the_rules_every_provider_adds_up_to_its_invoice_and_order_does_not_matter(
    case: tuple[list[dict[str, Any]], list[dict[str, Any]], str], random: Any
) -> None:
    calls, extra, text = case
    with ledger_of(*calls, residual_line=extra, trued_up=invoices_of(calls, extra)) as ledger:
        found = at.charge_back(ledger, "2026-10", rules_of(text))
    named = found.providers[found.providers["provider"].notna()]
    assert not named["difference"].any()
    assert list(named["total_cents"]) == list(named["invoice_cents"])
    assert sum(found.lines["cents"]) == sum(named["invoice_cents"])
    for name in ("billed_cost", "effective_cost"):
        assert sum(found.lines[name].dropna()) == sum(named["invoice"])
    assert sum(found.statements["cents"]) + sum(found.residual["cents"]) == sum(found.lines["cents"])
    shuffled = calls.copy()
    random.shuffle(shuffled)
    with ledger_of(*shuffled, residual_line=extra[::-1], trued_up=invoices_of(calls, extra)[::-1]) as ledger:
        assert at.charge_back(ledger, "2026-10", rules_of(text)).document() == found.document()


def test_asking_twice_gives_the_same_bytes_and_a_document_reads_back_as_it_was() -> None:
    ledger = company(team=[team("support", budget=Decimal(5))])
    first = at.charge_back(ledger, "2026-10", rules_of(TAKEN))
    again = at.charge_back(ledger, "2026-10", rules_of(TAKEN))
    assert first.document() == again.document()
    assert first._repr_html_() == again._repr_html_()
    read = from_document(first.document())
    assert read.document() == first.document()
    assert read._repr_html_() == first._repr_html_()


def test_line_ids_do_not_depend_on_amounts() -> None:
    other = company()
    other.run("update event_bill set effective_cost = effective_cost * 2")
    one, two = (at.charge_back(ledger, "2026-10", rules_of(TAKEN)).lines for ledger in (company(), other))
    assert set(one["line_id"]) == set(two["line_id"])
    assert one["line_id"].is_unique


def test_a_second_tool_of_ten_lines_adds_the_lines_up_to_the_invoice(tmp_path: Path) -> None:
    found = at.charge_back(company(), "2026-10", rules_of(TAKEN))
    found.lines.to_csv(tmp_path / "lines.csv", index=False)
    with (tmp_path / "lines.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert sum(Decimal(row["amount"]) for row in read) == Decimal("11.40")
    assert sum(Decimal(row["cents"]) for row in read) == Decimal("11.40")


# ---- unit costs


def test_unit_costs_are_exact_quotients_rounded_as_stated() -> None:
    ledger = ledger_of(
        *(billed(f"{n}", "1.00", request_id=f"r{n % 3}", tenant_id_hash=f"t{n % 2}") for n in range(4)),
        trued_up=[trued("openai", "4.00")],
    )
    row = at.charge_back(ledger, "2026-10").unit_costs.to_dict("records")[0]
    assert (row["requests"], row["calls"], row["tenants"]) == (3, 4, 2)
    assert row["per_request"] == Decimal("1.333333333333")
    assert row["per_thousand_requests"] == Decimal("1333.333333333333")
    assert row["per_tenant"] == 2


# ---- dollars to act on

#: gpt-5-mini: input 0.25, cached 0.025, output 2.00; gpt-5: 1.25, 0.125, 10.00 USD per million; batch is half.
MILLION = {"input_tokens": 1_000_000, "output_tokens": 0}


def saved(*calls: dict[str, Any], text: str = "", **tables: Any) -> dict[tuple[str, str], Decimal]:
    ledger = ledger_of(*calls, **tables)
    at.price_events(ledger)
    found = at.charge_back(ledger, "2026-10", rules_of(text) if text else None).savings
    sums: dict[tuple[str, str], Decimal] = {}
    for row in rows(found):
        key = (row["owner_team"], row["saving"])
        sums[key] = sums.get(key, Decimal(0)) + row["amount"]
    return {key: amount for key, amount in sums.items() if amount}


def test_a_retry_wastes_what_the_attempts_without_an_answer_cost() -> None:
    assert saved(
        call("a", call_id="c", status="error", service_tier="batch", **MILLION),
        call("b", call_id="c", attempt_no=2, attempt_role="retry", service_tier="batch", **MILLION),
    ) == {("support", "retry_waste"): Decimal("0.125")}


def test_a_fallback_costs_a_premium_above_the_first_model() -> None:
    found = saved(
        call("a", call_id="c", status="error", is_metered=False, input_tokens=None, output_tokens=None),
        call("b", call_id="c", attempt_no=2, attempt_role="fallback", model="gpt-5", **MILLION),
        text="savings: {can_wait: [nightly]}",
    )
    assert found == {("support", "fallback_premium"): Decimal("1.00")}


def test_the_cache_saves_what_cached_input_would_cost_at_full_price() -> None:
    found = saved(call("a", cache_read_tokens=400_000, **MILLION), text="savings: {can_wait: [nightly]}")
    assert found == {("support", "cache_savings"): Decimal("0.09")}


def test_batch_savings_are_missed_only_by_workflows_that_can_wait() -> None:
    calls = (call("a", workflow_id="nightly", **MILLION), call("b", workflow_id="chat", **MILLION))
    assert saved(*calls, text="savings: {can_wait: [nightly]}") == {("support", "batch_missed"): Decimal("0.125")}
    assert sum(saved(*calls).values()) == Decimal("0.25")


def test_savings_of_a_shared_call_are_split_as_the_call_is() -> None:
    parts = [
        {"event_id": identity("a"), "owner_team": team, "part": part, "parts": 3, "reason": "shared_batch"}
        for team, part in (("search", 1), ("support", 2))
    ]
    found = saved(call("a", owner_team=None, owner_evidence="declared", **MILLION), owner_share=parts)
    assert found == {
        ("search", "batch_missed"): Decimal("0.041666666666"),
        ("support", "batch_missed"): Decimal("0.083333333334"),
    }


# ---- before and after


def test_two_sets_of_rules_are_compared_per_team_and_move_nothing_in_total() -> None:
    compared = at.compare_allocations(company(), None, rules_of(TAKEN), "2026-10")
    found = {row["owner_team"]: (row["before"], row["after"]) for row in rows(compared)}
    assert found["support"] == (6, Decimal("7.600000000000"))
    assert found["search"] == (3, Decimal("3.800000000000"))
    assert found["platform"] == (Decimal("0.9"), 0)
    assert sum(compared["difference"]) == 0
    assert sum(compared["after"]) == Decimal("11.40")


# ---- misuse


def test_misuse_says_what_there_is() -> None:
    ledger = company()
    with pytest.raises(QuestionError, match="one of effective, billed, contracted, list"):
        at.charge_back(ledger, "2026-10", basis="amortised")
    with pytest.raises(LedgerError, match="no calls or bills of 2025-01"):
        at.charge_back(ledger, "2025-01")
    with pytest.raises(QuestionError, match="one of platform, search, support"):
        at.charge_back(ledger, "2026-10").statement("suport")
    with pytest.raises(AllocationError, match="Did you mean `support`"):
        at.charge_back(ledger, "2026-10", rules_of("budgets: {suport: 1}\n"))


def test_a_hostile_team_name_stays_text() -> None:
    ledger = ledger_of(billed("a", "1.00", owner_team="<script>alert(1)</script>"), trued_up=[trued("openai", "1.00")])
    page = at.charge_back(ledger, "2026-10")._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
