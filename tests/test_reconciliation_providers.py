"""Reconciliation of every provider's bill: under its own names and scales, the same usage leaves no gap of usage."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from attribution.ledger import Ledger
from attribution.pricing import price_events
from attribution.reconciliation import reconcile
from tests.bill_examples import SOURCES, bill
from tests.bridge_examples import bridge
from tests.examples import FIXTURES, call, insert, ledger_of

#: What the bill calls a model → what calls name it.
_CALLED = {
    "Claude Sonnet 4.6": "us.anthropic.claude-sonnet-4-6",
    "Claude4.6Sonnet": "us.anthropic.claude-sonnet-4-6",
    "Nova 2.0 Lite": "amazon.nova-2-lite-v1:0",
    "Nova2.0Lite": "amazon.nova-2-lite-v1:0",
    "GPT 5 Mini": "gpt-5-mini-2025-08-07",
    "gpt-4o-mini-0718": "gpt-4o-mini-2024-07-18",
    "Gemini 2.5 Flash": "gemini-2.5-flash",
    "anthropic/claude-4.6-sonnet-20260217": "anthropic/claude-sonnet-4.6",
}
_INPUT = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
_OUTPUT = ("output", "reasoning")
#: Gaps of usage, which the same usage cannot leave.
_OF_USAGE = {"extra_or_missing_events", "token_count", "not_billed", "cut_off", "duplicates", "unexplained"}


def as_called(ledger: Ledger) -> list[dict[str, Any]]:
    """Return one call per bucket, model and tier, that used what the bill counts."""
    used: dict[tuple[Any, ...], dict[str, int]] = {}
    for provider, start, end, model, tier, meter, quantity in ledger.rows(
        """
        select provider, period_start, period_end, model, service_tier, meter, sum(quantity)
        from bill_line where quantity is not null and model is not null and category = 'usage' group by all order by all
        """
    ):
        meters = used.setdefault((provider, start, end, _CALLED.get(model, model), tier), {})
        meters[meter] = meters.get(meter, 0) + int(quantity)
    calls = []
    for number, ((provider, start, end, model, tier), meters) in enumerate(used.items()):
        parts = {
            f"{m}_tokens": n for m, n in meters.items() if m in (*_INPUT, *_OUTPUT) and m not in ("input", "output")
        }
        calls.append(
            call(
                f"c{number}",
                provider=provider,
                model=model,
                service_tier=tier,
                started_at=start + (end - start) / 2,
                ended_at=start + (end - start) / 2 + timedelta(seconds=1),
                input_tokens=sum(meters.get(m, 0) for m in _INPUT),
                output_tokens=sum(meters.get(m, 0) for m in _OUTPUT),
                **parts,
            )
        )
    return calls


def reconciled(*files: Any, month: str) -> dict[str, Decimal]:
    """Return the bridge of a month of bills beside calls that used what they count."""
    told = bill(*files)
    names = [row[0] for row in told.rows("select column_name from (describe bill_line)")]
    lines = told.arrow("select * from bill_line").to_pylist()
    with ledger_of(*as_called(told)) as ledger:
        with ledger.reading(told_lines=told.arrow("select * from bill_line")):
            ledger.run(f"insert into bill_line ({', '.join(names)}) select {', '.join(names)} from told_lines")
        price_events(ledger)
        assert len(lines) == ledger.value("select count(*) from bill_line")
        return bridge(reconcile(ledger, month))


@pytest.mark.parametrize(
    ("files", "month"),
    [
        (("cur/illustrative_cur2.csv",), "2026-09"),
        (("cur/legacy.csv",), "2026-08"),
        (("azure_cost/illustrative_actual_cost_models.csv",), "2026-09"),
        (("google_billing/illustrative_billing_export.jsonl",), "2026-09"),
        (("openai_costs/illustrative_costs_string_amount.json",), "2026-09"),
        (("openrouter_activity/illustrative_openrouter_activity.json",), "2026-09"),
        (("focus/focus15draft_ai_prompt_caching_a.csv",), "2025-01"),
        (("focus/focus15draft_multi_model_invoice_via_csp_marketplace.csv",), "2025-05"),
        (("focus/focus15draft_per_token_foundation_model_api.csv",), "2025-05"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0].split("/")[1],
)
def test_the_same_usage_leaves_no_gap_of_usage(files: tuple[str, ...], month: str) -> None:
    found = reconciled(*(SOURCES / name for name in files), month=month)

    assert found["billed"]
    assert "unexplained" not in found
    # A bill that counts requests tells one large call from many small ones; what the one adds the other takes.
    assert sum((found.get(cause, Decimal(0)) for cause in _OF_USAGE), Decimal(0)) == 0


@pytest.mark.parametrize("name", ["v10_anonymised_real_subset.csv", "v12_virtual_currency_pricing_model_a1.csv"])
def test_a_focus_file_of_anything_adds_up(name: str) -> None:
    ledger = bill(SOURCES / "focus" / name)
    price_events(ledger)
    months = [row[0] for row in ledger.rows("select distinct billing_period from bill_line order by 1")]
    total = ledger.value("select sum(billed_cost) from bill_line where currency = 'USD'")
    answers = [bridge(reconcile(ledger, month)) for month in months]

    assert sum((answer.get("billed", Decimal(0)) for answer in answers), Decimal(0)) == total


def test_the_actual_and_the_amortised_export_are_one_bill() -> None:
    folder = SOURCES / "azure_cost"
    ledger = bill(folder / "EA_ActualCost_Small.csv", folder / "EA_AmortizedCost_Small.csv")
    price_events(ledger)
    month = ledger.value("select min(billing_period) from bill_line")
    answer = reconcile(ledger, month)

    assert bridge(answer)["billed"] == answer.documents[answer.documents["is_detail"]]["billed"].sum()


def test_generations_of_openrouter_are_compared_request_by_request() -> None:
    from attribution.building import build_ledger

    with build_ledger(FIXTURES / "sources" / "openrouter_generations" / "generation.json", quiet=True) as ledger:
        month = ledger.value("select strftime(min(started_at), '%Y-%m') from event")
        answer = reconcile(ledger, month)
        charged = ledger.value("select sum(source_cost) from observation")

    assert set(answer.cells["level"]) == {"request"}
    assert bridge(answer)["billed"] == charged


def test_a_bill_for_other_things_than_ai_has_one_line_out_of_scope() -> None:
    ledger = bill(SOURCES / "focus" / "v10_anonymised_real_subset.csv")
    price_events(ledger)
    scope = '[{"provider": "aws", "field": "model", "match": "present"}]'
    insert(ledger, "setting", [{"name": "scope", "value": scope, "place": "attribution.yaml"}])
    answer = reconcile(ledger, "2024-09", "aws")

    assert set(bridge(answer)) == {"out_of_scope", "billed"}


def test_the_command_prints_json_to_the_last_digit_and_fails_a_build_when_asked(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from attribution.cli import app

    runner, page = CliRunner(), tmp_path / "page.html"
    file = str(SOURCES / "openai_costs" / "illustrative_costs_string_amount.json")
    told = runner.invoke(app, ["reconcile", file, "--period", "2026-09", "--json", "--out", str(page), "--fail"])
    plain = runner.invoke(app, ["reconcile", file, "--period", "2026-09"])
    answer = json.loads(told.stdout)

    assert (told.exit_code, plain.exit_code) == (1, 0)
    assert answer["status"] == "does not tie"
    assert {row["cause"]: row["amount"] for row in answer["bridge"]}["credits"] == "-0.100000000000"
    assert "From our calls to the bill" in page.read_text(encoding="utf-8")
    assert "Credits" in plain.stdout
