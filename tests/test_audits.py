"""The audit: verdicts written down beforehand from what the data prove, scores, samples and bounds."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.audits import Audit, audit, bounds
from attribution.audits.patterns import compare_patterns
from attribution.building import build_ledger
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from tests.examples import call, identity, ledger_of

TRACES = Path(__file__).resolve().parents[1] / "sample_data" / "traces"
COMPLETE = TRACES / "article" / "complete" / "complete_trace.json"
BROKEN = TRACES / "article" / "broken" / "broken_trace.json"
SPEND_LOGS = TRACES / "captured" / "litellm" / "spend_logs_payload.proxy.jsonl"
HEALTHY_SPANS = TRACES / "captured" / "broken_hops" / "celery_ok_baggage.otlp.jsonl"


def verdicts(found: Audit) -> dict[int, str]:
    return dict(zip(found.verdicts["number"], found.verdicts["verdict"], strict=True))


def built(*paths: Path, **options: Any) -> Ledger:
    return build_ledger(*paths, quiet=True, **options)


def test_the_complete_trace_of_the_article_proves_four_of_seven() -> None:
    found = audit(built(COMPLETE))

    assert verdicts(found) == {
        1: "pass",  # both calls stand under the user's request
        2: "not provable",  # the hops between them are not shown
        3: "pass",
        4: "pass",  # t_71b2 is a hash
        5: "fail",  # no price list knows a model called anthropic.claude-sonnet
        6: "not provable",  # no attempt is numbered, no cache is mentioned
        7: "pass",  # all spend is owned, whatever the unpriced call costs
    }
    assert found.score == "4 pass, 1 fail, 1 needs spans, 1 needs a gateway log"
    assert not found.is_ready


def test_an_alias_makes_the_complete_trace_priced(tmp_path: Path) -> None:
    config = tmp_path / "attribution.yaml"
    config.write_text(
        "aliases:\n"
        "  - {kind: model, name: anthropic.claude-sonnet, provider: aws,\n"
        "     canonical: 'anthropic.claude-sonnet-4-5-20250929-v1:0', canonical_provider: aws}\n"
    )
    ledger = built(COMPLETE, config=config)

    costs = ledger.rows("select provider, list_cost, source_cost, owner_team from cost_event order by provider")
    assert costs == [
        ("aws", Decimal("0.0867"), Decimal("0.091"), "support"),
        ("openai", Decimal("0.002048"), Decimal("0.002"), "support"),
    ]
    assert verdicts(audit(ledger))[5] == "pass"


def test_the_broken_trace_of_the_article_has_no_owner_and_only_a_claim() -> None:
    ledger = built(BROKEN)
    found = audit(ledger)

    assert verdicts(found) == {
        1: "pass",  # gateway, router and worker stand in one trace
        2: "not provable",
        3: "fail",
        4: "fail",
        5: "fail",
        6: "not provable",
        7: "fail",  # the only call is unowned: 100 %, whatever it costs
    }
    owner = ledger.rows("select owner_team, owner_evidence, owner_reason, claimed_team, list_cost from cost_event")
    assert owner == [(None, "none", "claimed_only", "support-platform", None)]
    hop = found.hops.iloc[0]
    assert (hop["producer"], hop["consumer"]) == ("gateway", "router")


def test_the_two_tellings_of_one_trace_are_a_conflict_when_loaded_together() -> None:
    ledger = built(COMPLETE, BROKEN)

    assert ledger.rows("select kind, key from conflict") == [("trace", "tr_9f4c")]


def test_spend_logs_alone_leave_the_trace_questions_open() -> None:
    found = audit(built(SPEND_LOGS))

    assert found.score == "1 pass, 4 fail, 2 need spans"
    assert [number for number, verdict in verdicts(found).items() if verdict == "not provable"] == [1, 2]


def test_spans_alone_leave_retries_and_caches_open() -> None:
    found = audit(built(HEALTHY_SPANS))

    assert found.score == "5 pass, 1 fail, 1 needs a gateway log"
    assert verdicts(found)[6] == "not provable"
    assert verdicts(found)[4] == "fail"  # these spans carry no tenant


def both(tmp_path: Path, *, tenant: str | None) -> Ledger:
    """Return one call seen by a span below a user request and by the gateway."""
    ids = {"traceId": "a" * 32, "parentSpanId": "b" * 16, "spanId": "c" * 16}
    owner = {"owner_team": "support", "workflow_id": "triage", "feature": "classify"}
    if tenant:
        owner["tenant_id_hash"] = tenant
    attributes = owner | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-5-mini",
        "gen_ai.response.id": "chatcmpl-1",
    }
    values = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
    values += [{"key": f"gen_ai.usage.{k}_tokens", "value": {"intValue": "100"}} for k in ("input", "output")]
    times = {"startTimeUnixNano": "1795445833453171033", "endTimeUnixNano": "1795445833553171033"}
    root = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "POST /tickets", "kind": 2, "flags": 256, **times}
    chat = {**ids, "name": "chat gpt-5-mini", "kind": 3, "flags": 256, "attributes": values, **times}
    spans = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "x"}, "spans": [root, chat]}]}]}
    (tmp_path / "spans.jsonl").write_text(json.dumps(spans) + "\n")
    payload = {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "trace_id": "a" * 32,
        "call_type": "acompletion",
        "status": "success",
        "custom_llm_provider": "openai",
        "model": "openai/gpt-5-mini",
        "startTime": 1795445833.45,
        "endTime": 1795445833.55,
        "prompt_tokens": 100,
        "completion_tokens": 100,
        "total_tokens": 200,
        "response_cost": 0.000225,
        "cache_hit": None,
        "request_tags": [],
        "metadata": {"usage_object": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}},
        "hidden_params": {},
    }
    (tmp_path / "gateway.jsonl").write_text(json.dumps(payload) + "\n")
    return built(tmp_path / "spans.jsonl", tmp_path / "gateway.jsonl")


def test_spans_and_gateway_together_decide_all_seven(tmp_path: Path) -> None:
    found = audit(both(tmp_path, tenant="t_71b2"))

    assert found.score == "7 pass, 0 fail"
    assert found.is_ready


def test_six_passes_are_ready_for_chargeback(tmp_path: Path) -> None:
    found = audit(both(tmp_path, tenant=None))

    assert found.score == "6 pass, 1 fail"
    assert found.is_ready


def test_no_calls_prove_nothing() -> None:
    found = audit(ledger_of())

    assert set(verdicts(found).values()) == {"not provable"}
    assert found.headline == "No provider calls are loaded."


def test_ten_clean_traces_prove_less_than_26_percent_failing() -> None:
    assert bounds.upper_limit(0, 10) == pytest.approx(0.2589, abs=5e-5)
    assert bounds.upper_limit(1, 10) == pytest.approx(0.3942, abs=5e-5)
    assert [bounds.traces_needed(share) for share in (0.02, 0.05, 0.01)] == [149, 59, 299]


@given(st.integers(1, 60), st.data())
def test_more_failures_never_lower_the_bound(traces: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, traces - 1))

    assert bounds.upper_limit(failures, traces) < bounds.upper_limit(failures + 1, traces) <= 1
    assert bounds.stringer_bound([1.0] * failures, traces) == pytest.approx(bounds.upper_limit(failures, traces))


def test_an_unknown_trace_is_refused_with_examples() -> None:
    with pytest.raises(QuestionError, match="such as"):
        audit(built(HEALTHY_SPANS), trace="nowhere")


def test_the_same_seed_draws_the_same_nested_traces(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    with path.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["request_id", "trace_id", "timestamp", "provider", "model", "input_tokens", "output_tokens"])
        for i in range(400):
            tokens = 1000 + i % 37
            rows.writerow([f"r{i}", f"t{i}", "2026-10-05T12:00:00Z", "openai", "gpt-5-mini", tokens, 100])
    ledger = built(path)

    def drawn(n: int, seed: int) -> set[str]:
        traces = audit(ledger, n=n, seed=seed).traces
        return set(traces[traces["stratum"] == "drawn"]["request_id"])

    assert len(drawn(10, 7)) == 10
    assert drawn(10, 7) == drawn(10, 7) != drawn(10, 8)
    assert drawn(10, 7) <= drawn(149, 7)


def test_what_reaching_the_target_needs_is_listed_dearest_first() -> None:
    lost = call("a", owner_team=None, list_cost="60")
    found = audit_of(lost, call("b", owner_team=None, list_cost="30"), call("c", list_cost="10"))

    assert found.shares["not_declared"].item() == Decimal(90)
    assert found.shares["unowned_low"].item() == Decimal("0.9")


def audit_of(*calls: dict[str, Any]) -> Audit:
    """Return the audit of finished events; without records behind them only the census can tell."""
    return audit(ledger_of(*calls))


def bill(source: str, amount: str, provider: str = "openai", **columns: Any) -> dict[str, Any]:
    """Return one line of a bill; only what differs need be said."""
    line = {
        "bill_line_id": identity(f"{source}/{provider}/{amount}/{sorted(columns.items())}"),
        "source": source,
        "role": "cost",
        "file_id": "file",
        "line": 1,
        "period_start": datetime(2026, 10, 1),
        "provider": provider,
        "category": "usage",
        "billed_cost": Decimal(amount),
        "currency": "USD",
    }
    return {**line, **columns}


def test_an_invoice_and_the_report_behind_it_are_not_added_up() -> None:
    ledger = ledger_of(
        bill_line=[bill("invoice", "10.00"), bill("openai_costs", "9.9987"), bill("cur", "5.25", provider="aws")]
    )

    assert audit(ledger).billed.startswith("Billed: $15.25 by 2 providers for 2026-10,")


def test_amounts_in_two_currencies_are_never_one_sum() -> None:
    ledger = ledger_of(bill_line=[bill("invoice", "10.00"), bill("cur", "5.25", provider="aws", currency="EUR")])

    assert audit(ledger).billed.startswith("Billed: $10.00, 5.25 EUR by 2 providers")


def test_without_a_bill_the_audit_says_so() -> None:
    assert audit(ledger_of()).billed == "No bill is loaded, so nothing here is compared with one."


def test_a_key_held_for_many_teams_is_no_key_of_its_holder_in_the_patterns() -> None:
    def tried(*, is_shared: bool) -> tuple[Decimal, Decimal]:
        key = {"key_id": "k", "kind": "api_key", "owner_team": "platform", "is_exclusive": False}
        ledger = ledger_of(call("a", api_key_id="k", list_cost="3"), key=[{**key, "is_shared": is_shared}])
        row = compare_patterns(ledger).iloc[1]
        return row["right"], row["wrong"]

    assert tried(is_shared=True) == (Decimal(3), Decimal(0))
    assert tried(is_shared=False) == (Decimal(0), Decimal(3))
