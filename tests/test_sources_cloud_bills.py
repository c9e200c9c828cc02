"""Bills of clouds and vendors to the letter of their pages: blocks, meters from words, credits, corrections."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attribution.sources import _azure_meters, _google_skus
from tests.bill_examples import SOURCES, bill, counts, dump, faults, line, lines, meters, total, write

# AWS.

CUR = SOURCES / "cur" / "illustrative_cur2.csv"


def cur_row(**fields: str) -> dict[str, str]:
    with CUR.open(encoding="utf-8") as stream:
        return next(csv.DictReader(stream)) | fields


def table(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_both_families_of_bedrock_rows_come_in_tokens() -> None:
    """bedrock.md, Trap 2: service rows count thousands, marketplace rows millions."""
    ledger = bill(CUR)

    assert lines(ledger, "model", "meter", "quantity", "unit_scale", "billed_cost", where="meter is not null") == [
        ("Claude Sonnet 4.6", "cache_write_5m", 25_037, 1_000_000, Decimal("0.09388875")),
        ("Claude Sonnet 4.6", "input", 812_000, 1_000_000, Decimal("2.436")),
        ("Claude Sonnet 4.6", "output", 64_100, 1_000_000, Decimal("0.9615")),
        ("Claude4.6Sonnet", "cache_read", 310_000, 1000, Decimal("0.093")),
        ("Nova 2.0 Lite", "input", 1_200_500, 1000, Decimal("0.36015")),
    ]
    assert lines(ledger, "category", "billed_cost", where="category <> 'usage'") == [("tax", Decimal("0.03"))]
    assert total(ledger) == Decimal("3.97453875")


def test_rows_by_the_request_keep_its_id_should_a_report_ever_carry_one(tmp_path: Path) -> None:
    rows = [cur_row(line_item_request_id=request) for request in ("r-1", "r-2", "")]

    ledger = bill(table(tmp_path / "report.csv", *rows))

    assert lines(ledger, "request_id") == [("r-1",), ("r-2",), (None,)]
    assert lines(bill(CUR), "request_id", where="request_id is not null") == []


def test_the_iam_principal_and_its_tags_say_who_called() -> None:
    ledger = bill(CUR)

    assert lines(ledger, "principal", "tags", where="meter = 'input' and model like 'Nova%'") == [
        ("arn:aws:iam::111122223333:user/alice", {"iamPrincipal/team": "search"})
    ]


def test_a_session_that_is_a_persons_address_is_not_kept_and_two_people_stay_two_lines(tmp_path: Path) -> None:
    role = "arn:aws:sts::111122223333:assumed-role/sso"
    rows = [cur_row(line_item_iam_principal=f"{role}/{name}@example.com") for name in ("alice", "bob")]

    ledger = bill(table(tmp_path / "report.csv", *rows))

    assert lines(ledger, "principal", "flags") == [(f"{role}/[email]", ["principal:personal_data:email"])] * 2


def test_a_marketplace_row_without_list_price_has_none_instead_of_zero() -> None:
    assert set(lines(bill(CUR), "list_cost", where="model = 'Claude Sonnet 4.6'")) == {(None,)}


def test_the_legacy_report_gives_the_same_lines_under_its_own_names() -> None:
    told = ("meter", "quantity", "billed_cost", "category", "region")

    assert lines(bill(SOURCES / "cur" / "legacy.csv"), *told) == lines(bill(CUR), *told)
    tagged = lines(bill(SOURCES / "cur" / "legacy.csv"), "tags", where="tags is not null")
    assert tagged == [({"resourceTags/user:team": "support"},)] * 3


def test_csv_gzip_and_parquet_give_the_same_lines(tmp_path: Path) -> None:
    """bedrock.md, Trap 12: maps are JSON text in CSV and key–value structs in Parquet."""
    with CUR.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    maps = {name: [list(json.loads(row[name]).items()) for row in rows] for name in ("product", "tags")}
    text = pa.map_(pa.string(), pa.string())
    columns = {name: pa.array([row[name] or None for row in rows]) for name in rows[0] if name not in maps}
    columns |= {name: pa.array(values, text) for name, values in maps.items()}
    for name in ("line_item_usage_amount", "line_item_unblended_cost", "pricing_public_on_demand_cost"):
        columns[name] = pa.array([float(row[name]) for row in rows])
    for name in ("line_item_usage_start_date", "line_item_usage_end_date"):
        columns[name] = pa.array([row[name] for row in rows]).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))
    pq.write_table(pa.table(columns), tmp_path / "report.snappy.parquet")
    (tmp_path / "report.csv.gz").write_bytes(gzip.compress(CUR.read_bytes()))

    assert dump(bill(tmp_path / "report.csv.gz")) == dump(bill(CUR)) == dump(bill(tmp_path / "report.snappy.parquet"))


@pytest.mark.parametrize(
    ("usage_type", "meter", "tier"),
    [
        ("USE1-Claude4.6Sonnet-cache-read-input-token-count", "cache_read", None),
        ("USE1-Claude4.6Sonnet-cache-write-input-token-count", "cache_write_5m", None),
        ("USE1-Claude4.6Sonnet-cache-write-1h-input-token-count", "cache_write_1h", None),
        ("USE1-Nova2.0Lite-output-tokens-batch", "output", "batch"),
        ("USE1-Nova2.0Lite-input-tokens-flex", "input", "flex"),
        ("USE1-Nova2.0Lite-input-tokens-priority", "input", "priority"),
        ("USW2-anthropic.claude-opus-4-8-mantle-input-tokens-global-standard", "input", "standard"),
        ("USE1-Nova-reserved-1-month-input-tokens-per-minute", "provisioned", None),
        ("USE1-Guardrail-ContentPolicyUnitsConsumed", None, None),
    ],
)
def test_usage_types_say_meter_and_tier_and_cache_is_looked_for_before_input(
    tmp_path: Path, usage_type: str, meter: str | None, tier: str | None
) -> None:
    row = cur_row(line_item_usage_type=usage_type, product="{}", line_item_product_code="AmazonBedrock")

    assert line(bill(table(tmp_path / "report.csv", row)), "meter", "service_tier") == (meter, tier)


def test_newer_marketplace_names_are_read_too(tmp_path: Path) -> None:
    fields = {"bill_billing_entity": "AWS Marketplace", "pricing_unit": "Units", "line_item_product_code": "7zgyu5r4"}
    name = json.dumps({"product_name": "GPT-5.6 (Amazon Bedrock Edition)"})
    rows = [
        cur_row(
            **fields, product=name, line_item_usage_type=f"USW2-MP:USW2_{words}-Units", line_item_usage_amount="0.5"
        )
        for words in ("input_tokens_standard", "output_tokens_global_standard", "cache_write_tokens_30m_standard")
    ]

    assert lines(bill(table(tmp_path / "report.csv", *rows)), "model", "meter", "quantity", "region") == [
        ("GPT-5.6", "cache_write_5m", 500_000, "us-west-2"),
        ("GPT-5.6", "input", 500_000, "us-west-2"),
        ("GPT-5.6", "output", 500_000, "us-west-2"),
    ]


def test_a_unit_nobody_knows_leaves_the_quantity_open(tmp_path: Path) -> None:
    ledger = bill(table(tmp_path / "report.csv", cur_row(pricing_unit="Furlongs")))

    assert line(ledger, "quantity", "flags") == (None, ["unknown_scale: Furlongs"])


def test_a_price_that_no_model_has_betrays_the_wrong_scale(tmp_path: Path) -> None:
    ledger = bill(table(tmp_path / "report.csv", cur_row(pricing_unit="Tokens", line_item_unblended_cost="900")))

    assert line(ledger, "flags") == (["implausible_scale: 900 for 1200.5 tokens"],)


def test_credits_refunds_and_fees_stay_rows_of_their_own(tmp_path: Path) -> None:
    """bedrock.md, Trap 10: token rows alone do not sum to the invoice."""
    kinds = {"Usage": "5", "Credit": "-1", "Refund": "-0.5", "EdpDiscount": "-0.25", "Fee": "10", "Tax": "0.4"}
    rows = [cur_row(line_item_line_item_type=kind, line_item_unblended_cost=cost) for kind, cost in kinds.items()]

    ledger = bill(table(tmp_path / "report.csv", *rows))

    assert lines(ledger, "category", "charge_class", "billed_cost") == [
        ("adjustment", "correction", Decimal("-0.5")),
        ("credit", None, Decimal("-1")),
        ("credit", None, Decimal("-0.25")),
        ("purchase", None, Decimal("10")),
        ("tax", None, Decimal("0.4")),
        ("usage", None, Decimal("5")),
    ]


def test_net_cost_counts_where_it_is_filled(tmp_path: Path) -> None:
    rows = [
        cur_row(line_item_net_unblended_cost="0.30"),
        cur_row(line_item_net_unblended_cost="", line_item_operation="x"),
    ]

    assert lines(bill(table(tmp_path / "report.csv", *rows)), "billed_cost") == [
        (Decimal("0.30"),),
        (Decimal("0.36015"),),
    ]


def test_columns_that_were_not_selected_are_simply_absent(tmp_path: Path) -> None:
    """bedrock.md, 4: columns are chosen by SQL; a wanted column may be absent."""
    row = cur_row()
    for name in ("line_item_iam_principal", "pricing_unit", "tags", "line_item_resource_id"):
        del row[name]

    assert line(bill(table(tmp_path / "report.csv", row)), "quantity", "principal", "flags") == (
        1_200_500, None, ["assumed_scale: no pricing unit, taken by the family of the row"],
    )  # fmt: skip


# Azure.

AZURE = SOURCES / "azure_cost" / "illustrative_actual_cost_models.csv"


def azure_row(**fields: str) -> dict[str, str]:
    with AZURE.open(encoding="utf-8-sig") as stream:
        return next(csv.DictReader(stream)) | fields


def test_azure_blocks_of_1k_and_1m_become_tokens() -> None:
    """azure.md, Trap 2: the wrong scale is wrong by 1000."""
    ledger = bill(AZURE)

    assert lines(ledger, "model", "meter", "quantity", "billed_cost") == [
        ("GPT 5 Mini", "cache_read", 800_000, Decimal("0.02")),
        ("GPT 5 Mini", "input", 1_200_000, Decimal("0.30")),
        ("gpt-4o-mini-0718", "output", 310_000, Decimal("0.186")),
    ]


def test_azure_tags_have_no_braces_and_one_resource_has_one_name() -> None:
    """azure.md, Trap 4."""
    ledger = bill(AZURE)

    assert {resource for (resource,) in lines(ledger, "resource_id")} == {
        "/subscriptions/1caaa5a3-0000-0000-0000-000000000000/resourcegroups/rg-ai"
        "/providers/microsoft.cognitiveservices/accounts/acme-ai"
    }
    assert lines(ledger, "tags", where="meter = 'input'") == [({"team": "support", "env": "prod"},)]
    assert lines(ledger, "tags", where="meter = 'output'") == [(None,)]


def test_azure_days_are_american_and_in_utc() -> None:
    assert bill(AZURE).rows(
        "select distinct period_start::varchar, period_end::varchar, billing_period from bill_line"
    ) == [("2026-09-14 00:00:00", "2026-09-15 00:00:00", "2026-09")]


def test_an_azure_day_written_another_way_is_set_aside(tmp_path: Path) -> None:
    rows = [azure_row(Date="14/09/2026"), azure_row(Date="09/31/2026"), azure_row(Date="2026-09-14")]

    ledger = bill(table(tmp_path / "cost.csv", *rows))

    assert faults(ledger) == [("date", "not_a_time")] * 2
    assert counts(ledger, "records", "accepted", "quarantined") == (3, 1, 2)


def test_actual_and_amortised_exports_are_not_added_where_they_differ() -> None:
    """azure.md, Trap 5: on-demand rows are the same in both; commitments differ, and that is a conflict."""
    actual, amortized = (SOURCES / "azure_cost" / f"EA_{kind}Cost_Small.csv" for kind in ("Actual", "Amortized"))
    alone = total(bill(amortized), "effective_cost")

    both = bill(actual, amortized)

    assert counts(both, "records", "accepted", "conflicting", "duplicates")[0] == 39
    assert total(both, "effective_cost") < alone + total(bill(actual), "effective_cost")
    assert dump(both) == dump(bill(amortized, actual))


def test_a_reservation_is_billed_when_bought_and_effective_when_used(tmp_path: Path) -> None:
    common = {"PricingModel": "Reservation"}
    bought = azure_row(ChargeType="Purchase", Cost="100", **common)
    used = azure_row(ChargeType="Usage", Cost="3.25", **common)
    idle = azure_row(ChargeType="UnusedReservation", Cost="1.75", **common)

    ledger = bill(table(tmp_path / "AmortizedCost.csv", used, idle), table(tmp_path / "ActualCost.csv", bought))

    assert lines(ledger, "category", "billed_cost", "effective_cost") == [
        ("purchase", Decimal(100), Decimal(0)),
        ("usage", Decimal(0), Decimal("1.75")),
        ("usage", Decimal(0), Decimal("3.25")),
    ]


def test_mca_exports_name_their_columns_otherwise_and_one_cost_is_taken(tmp_path: Path) -> None:
    """azure.md, Trap 9: cost in billing currency and in US dollars are both present."""
    row = {
        "date": "09/14/2026", "costInBillingCurrency": "9.20", "costInUsd": "10.00", "billingCurrency": "EUR",
        "meterId": "m-1", "meterName": "5.4 opt Gl", "meterCategory": "Foundry Models", "unitOfMeasure": "1M",
        "quantity": "2", "chargeType": "Usage", "consumedService": "Microsoft.CognitiveServices", "SubscriptionId": "s",
    }  # fmt: skip

    ledger = bill(table(tmp_path / "cost.csv", row))

    assert line(ledger, "billed_cost", "currency", "meter", "quantity") == (Decimal("9.20"), "EUR", "output", 2_000_000)


def test_azure_exports_in_parquet_have_days_and_numbers_of_their_own_types(tmp_path: Path) -> None:
    with AZURE.open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    columns: dict[str, Any] = {name: pa.array([row[name] or None for row in rows]) for name in rows[0]}
    columns["Date"] = pa.array([date(2026, 9, 14)] * len(rows), pa.date32())
    for name in ("Quantity", "EffectivePrice", "Cost"):
        columns[name] = pa.array([Decimal(row[name]) for row in rows], pa.decimal128(38, 10))
    pq.write_table(pa.table(columns), tmp_path / "part_0_0001.parquet")

    assert dump(bill(tmp_path / "part_0_0001.parquet")) == dump(bill(AZURE))


def test_an_azure_export_without_rows_is_a_bill_without_lines() -> None:
    assert counts(bill(SOURCES / "azure_cost" / "EA_NoRows.csv"), "records") == (0,)


@pytest.mark.parametrize(
    ("name", "model", "meter", "tier"),
    [
        ("gpt 4o 1120 Inp glbl Tokens", "gpt 4o 1120", "input", None),
        ("gpt 4o 1120 cached Inp glbl Tokens", "gpt 4o 1120", "cache_read", None),
        ("gpt-4o-mini-0718-Outp-glbl Tokens", "gpt-4o-mini-0718", "output", None),
        ("gpt 4.1 mini Batch Inp glbl Tokens", "gpt 4.1 mini", "input", "batch"),
        ("GPT 5 outpt DZone 1M Tokens", "GPT 5", "output", None),
        ("5.4 opt Gl", "5.4", "output", None),
        ("54 mini Inp Flex Gl", "54 mini", "input", "flex"),
        ("6-sol ShortCo Cd Wr Std Gl", "6-sol", "cache_write_5m", "standard"),
        ("6-sol ShortCo Inp PP Gl", "6-sol", "input", "priority"),
        ("4.3 Cached Inp Glbl", "4.3", "cache_read", None),
        ("Provisioned Managed Global Unit", None, "provisioned", None),
    ],
)
def test_azure_meter_names_are_read_word_by_word(name: str, model: str | None, meter: str, tier: str | None) -> None:
    said = _azure_meters.parse(name)

    assert (said["model"], said["meter"], said["service_tier"]) == (model, meter, tier)


def test_a_declared_meter_id_goes_before_its_name() -> None:
    ledger = bill(AZURE, meters={"m-1": {"model": "gpt-5-mini-2025-08-07", "meter": "input"}})

    assert ("gpt-5-mini-2025-08-07", "input") in lines(ledger, "model", "meter")


def test_azure_units_are_read_as_the_published_table_does() -> None:
    with (SOURCES / "azure_cost" / "PricingUnits.reference").open(encoding="utf-8-sig") as stream:
        published = [(row["UnitOfMeasure"], Decimal(row["PricingBlockSize"])) for row in csv.DictReader(stream)]

    assert [(unit, _azure_meters.block(unit)[0]) for unit, _ in published] == published
    assert len(published) == 383


# Google.

GOOGLE = SOURCES / "google_billing" / "illustrative_billing_export.jsonl"


def google_row(**fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(GOOGLE.read_text(encoding="utf-8").splitlines()[0])
    return row | fields


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_google_credits_are_lines_of_their_own_and_make_the_net() -> None:
    """google.md, Trap 2: net cost = cost + sum of credits; Trap 1: credits must not multiply the cost."""
    ledger = bill(GOOGLE)

    assert total(ledger, where="category = 'usage'") == Decimal("0.447612")
    assert total(ledger, where="category = 'credit'") == Decimal("-0.081951")
    assert total(ledger) == Decimal("0.365661")


def test_google_rows_of_one_hour_are_summed_over_export_batches() -> None:
    """google.md, Trap 5: late rows for the same hour come in later batches; sum all."""
    ledger = bill(GOOGLE)

    assert meters(ledger) == {"input": 1_067_040, "output": 9000, "reasoning": 42_000}
    assert counts(ledger, "records", "accepted") == (4, 4)


def test_google_labels_are_kept_and_missing_ones_stay_missing() -> None:
    labels = {"team": "support", "workflow": "triage"}

    assert lines(bill(GOOGLE), "meter", "tags", where="meter is not null", order="quantity") == [
        ("input", labels), ("output", None), ("reasoning", labels), ("input", labels),
    ]  # fmt: skip


def test_the_invoice_month_is_googles_own_and_not_that_of_the_utc_hour(tmp_path: Path) -> None:
    """google.md, Trap 4: invoice.month is Pacific."""
    row = google_row(usage_start_time="2026-10-01T03:00:00Z", usage_end_time="2026-10-01T04:00:00Z")

    assert set(lines(bill(jsonl(tmp_path / "rows.jsonl", row)), "billing_period")) == {("2026-09",)}


def test_google_corrections_come_as_new_rows(tmp_path: Path) -> None:
    fix = google_row(cost_type="adjustment", cost=-0.1, credits=[], adjustment_info={"id": "adj-1"})

    ledger = bill(jsonl(tmp_path / "rows.jsonl", google_row(credits=[]), fix))

    assert lines(ledger, "category", "charge_class", "billed_cost") == [
        ("adjustment", "correction", Decimal("-0.1")), ("usage", None, Decimal("0.319512")),
    ]  # fmt: skip


def test_two_equal_google_rows_of_one_batch_are_two_charges(tmp_path: Path) -> None:
    ledger = bill(jsonl(tmp_path / "rows.jsonl", google_row(credits=[]), google_row(credits=[])))

    assert total(ledger) == Decimal("0.639024")


def test_the_standard_and_the_detailed_export_are_not_added(tmp_path: Path) -> None:
    """google.md, Trap 10: the detailed export repeats each standard row with finer grain."""
    standard = jsonl(tmp_path / "standard.jsonl", google_row(credits=[]))
    halves = [
        google_row(credits=[], cost=cost, resource={"name": name}) for name, cost in (("a", 0.3), ("b", 0.019512))
    ]
    detailed = jsonl(tmp_path / "detailed.jsonl", *halves)

    for order in ((standard, detailed), (detailed, standard)):
        ledger = bill(*order)
        assert total(ledger) == Decimal("0.319512")
        assert counts(ledger, "records", "accepted", "conflicting") == (3, 2, 1)


def test_money_of_google_keeps_every_decimal(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(google_row(credits=[], cost=0)).replace('"cost": 0,', '"cost": 0.100000000007,'))

    assert total(bill(path)) == Decimal("0.100000000007")


@pytest.mark.parametrize(
    ("words", "model", "meter"),
    [
        ("Gemini 2.5 Flash GA Text Input - Predictions", "Gemini 2.5 Flash", "input"),
        ("Gemini 2.5 Flash GA Thinking Text Output - Predictions", "Gemini 2.5 Flash", "reasoning"),
        ("Gemini 2.5 Pro Input Text Caching", "Gemini 2.5 Pro", "cache_read"),
        ("Gemini 3 Flash Text Input Caching Storage", "Gemini 3 Flash", "cache_storage"),
        ("Gemini 3.7 Flash Global Text Input - Predictions", "Gemini 3.7 Flash", "input"),
        ("Gemini 2.5 Flash GA Audio Input - Predictions", "Gemini 2.5 Flash", "input_audio"),
        ("LLM Grounding with Google Search tool - Predictions", None, "web_search"),
        ("Vertex Online Prediction e2", None, None),
    ],
)
def test_google_skus_are_read_storage_first_then_caching_then_thinking(
    words: str, model: str | None, meter: str | None
) -> None:
    said = _google_skus.parse(words)

    assert (said["model"], said["meter"]) == (model, meter)


# FOCUS.

FOCUS = SOURCES / "focus"


def focus_row(**fields: str) -> dict[str, str]:
    with (FOCUS / "focus15draft_ai_prompt_caching_a.csv").open(encoding="utf-8") as stream:
        return next(csv.DictReader(stream)) | fields


def test_focus_cache_classes_are_disjoint_and_add_up_to_the_drafts_total() -> None:
    """focus.md, 4: 500k uncached 1.50, 2M write 7.50, 8M read 2.40, 1.5M output 22.50; 33.90 in all."""
    ledger = bill(FOCUS / "focus15draft_ai_prompt_caching_a.csv")

    assert meters(ledger) == {
        "input": 500_000, "cache_write_5m": 2_000_000, "cache_read": 8_000_000, "output": 1_500_000,
    }  # fmt: skip
    assert total(ledger) == Decimal("33.90")
    assert set(lines(ledger, "model", "unit")) == {("solora-reasoning-pro", "tokens")}


def test_focus_cache_storage_counts_token_hours_and_not_tokens() -> None:
    ledger = bill(FOCUS / "focus15draft_ai_prompt_caching_b.csv")

    assert lines(ledger, "meter", "quantity", "unit", where="meter = 'cache_storage'") == [
        ("cache_storage", 6_000_000, "Token-Hours")
    ]
    assert meters(ledger, "unit = 'tokens'") == {"input": 2_500_000, "cache_read": 8_000_000, "output": 1_500_000}


def test_an_older_draft_says_token_type() -> None:
    ledger = bill(FOCUS / "focus15draft_per_token_foundation_model_api.csv")

    assert lines(ledger, "meter", "quantity", "billed_cost") == [
        ("input", 8_400_000, Decimal("42")), ("output", 2_100_000, Decimal("52.5")),
    ]  # fmt: skip


def test_keys_with_the_prefix_of_versions_up_to_1_4_are_the_same_keys(tmp_path: Path) -> None:
    details = json.dumps({"x_ModelId": "m-1", "x_TokenDirection": "Input", "x_TokenCacheAction": "Read"})

    assert line(bill(table(tmp_path / "focus.csv", focus_row(SkuPriceDetails=details))), "model", "meter") == (
        "m-1", "cache_read",
    )  # fmt: skip


def test_prepaid_usage_is_billed_nothing_and_costs_something() -> None:
    """focus.md, Trap 1: sum one metric only."""
    ledger = bill(FOCUS / "focus15draft_drawdown_via_prepayment_frontier_model_api.csv")

    assert lines(ledger, "category", "billed_cost", "effective_cost", "contracted_cost") == [
        ("purchase", Decimal(500_000), Decimal(0), Decimal(500_000)),
        ("usage", Decimal(0), Decimal(20), Decimal(25)),
        ("usage", Decimal(0), Decimal(30), Decimal("37.5")),
    ]


def test_a_currency_called_token_is_no_token() -> None:
    """focus.md, Trap 2."""
    ledger = bill(FOCUS / "v12_virtual_currency_pricing_model_a2.csv")

    assert meters(ledger) == {}
    assert "tokens" not in {unit for (unit,) in lines(ledger, "unit")}


def test_the_anonymised_real_export_loads_whole_though_it_breaks_the_rules() -> None:
    """focus.md, Trap 4: the word NULL, times without zone, an extra column, zero effective cost."""
    ledger = bill(FOCUS / "v10_anonymised_real_subset.csv")

    assert counts(ledger, "records", "accepted") == (213, 213)
    with (FOCUS / "v10_anonymised_real_subset.csv").open(encoding="utf-8") as stream:
        billed = sum((Decimal(row["BilledCost"]) for row in csv.DictReader(stream)), Decimal(0))
    assert total(ledger) == billed
    assert ledger.value("select count(*) from bill_line where list_contains(flags, 'consumed_in_blocks: of 10000')") > 0
    assert ledger.value("select count(*) from bill_line where sku = 'NULL' or region = 'NULL'") == 0


def test_official_examples_have_a_byte_order_mark_and_short_american_dates() -> None:
    """focus.md, Trap 5."""
    ledger = bill(FOCUS / "v12_virtual_currency_pricing_model_a1.csv")

    assert ledger.rows("select billing_period, period_start::date::varchar, billed_cost from bill_line") == [
        ("2025-04", "2025-04-01", Decimal(200_000))
    ]


def test_an_amount_with_signs_and_separators_is_set_aside() -> None:
    """focus.md, 3: no thousands separator, no currency sign; one official example has both."""
    ledger = bill(FOCUS / "v12_simple_saas_agreements_a1.csv")

    assert counts(ledger, "records", "quarantined") == (1, 1)
    assert faults(ledger) == [("BilledCost", "not_money")]


def test_version_1_4_has_no_provider_name_and_the_service_provider_bills(tmp_path: Path) -> None:
    row = focus_row(ServiceProviderName="Microsoft Azure", HostProviderName="OpenAI")
    assert "ProviderName" not in row

    assert line(bill(table(tmp_path / "focus.csv", row)), "provider") == ("azure",)


def test_split_rows_name_their_target_and_do_not_repeat_their_origin() -> None:
    """focus.md, 6 and Trap 10."""
    ledger = bill(FOCUS / "synthetic_v13_aws.csv")

    assert ledger.value("select count(*) from bill_line where tags['AllocatedResourceName'] is not null") > 0
    with (FOCUS / "synthetic_v13_aws.csv").open(encoding="utf-8") as stream:
        stored = [Decimal(row["BilledCost"]).quantize(Decimal("1e-12")) for row in csv.DictReader(stream)]
    assert total(ledger) == sum(stored, Decimal(0))


def test_a_cost_that_is_not_price_times_quantity_is_flagged_with_both_numbers(tmp_path: Path) -> None:
    rows = [focus_row(ListCost="9"), focus_row(ListCost="8", ChargeClass="Correction")]

    ledger = bill(table(tmp_path / "focus.csv", *rows))

    assert lines(ledger, "list_cost", "charge_class", "flags") == [
        (Decimal(8), "correction", None),
        (Decimal(9), None, ["list_cost: 9 is not price × quantity 1.5"]),
    ]


def test_tags_that_are_no_object_cost_nothing_but_themselves(tmp_path: Path) -> None:
    """focus.md, Trap 9."""
    rows = [focus_row(Tags=tags) for tags in ("", "{}", '"team": "x"', "team=x", '{"team": "x", "n": 1, "b": true}')]

    ledger = bill(table(tmp_path / "focus.csv", *rows))

    assert lines(ledger, "tags", "flags", order="line") == [
        (None, None), (None, None), ({"team": "x"}, None), (None, ["Tags:not_an_object"]),
        ({"team": "x", "n": "1", "b": "true"}, None),
    ]  # fmt: skip


def test_focus_loads_from_csv_parquet_and_json_alike(tmp_path: Path) -> None:
    with (FOCUS / "focus15draft_ai_prompt_caching_a.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    numbers = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity")
    typed = {name: [Decimal(row[name]) if name in numbers else row[name] or None for row in rows] for name in rows[0]}
    columns = {n: pa.array(v, pa.decimal128(38, 12) if n in numbers else None) for n, v in typed.items()}
    pq.write_table(pa.table(columns), tmp_path / "focus.parquet")
    objects = [row | {"SkuPriceDetails": json.loads(row["SkuPriceDetails"])} for row in rows]

    original = dump(bill(FOCUS / "focus15draft_ai_prompt_caching_a.csv"))

    assert dump(bill(tmp_path / "focus.parquet")) == original
    assert dump(bill(jsonl(tmp_path / "focus.jsonl", *objects))) == original
    assert dump(bill(write(tmp_path / "focus.json", objects))) == original


def test_azure_focus_rows_are_read_by_the_vendors_own_meter_name(tmp_path: Path) -> None:
    row = focus_row(
        SkuPriceDetails="", SkuMeter="", ServiceProviderName="Microsoft", ServiceSubcategory="AI Platforms",
        ConsumedUnit="Units", ConsumedQuantity="2000000", PricingUnit="1M", PricingQuantity="2",
        ListUnitPrice="3", ListCost="6", ContractedUnitPrice="", ContractedCost="6",
    ) | {"x_SkuMeterName": "GPT 5 Mini cchd Inpt Glbl 1M Tokens", "x_SkuMeterCategory": "Foundry Models"}  # fmt: skip

    assert line(bill(table(tmp_path / "focus.csv", row)), "provider", "model", "meter", "quantity", "unit") == (
        "azure", "GPT 5 Mini", "cache_read", 2_000_000, "tokens",
    )  # fmt: skip


# Invoices.


def test_a_plain_invoice_has_lines_by_category_and_the_months_total() -> None:
    ledger = bill(SOURCES / "invoice" / "invoice.csv")

    assert lines(ledger, "provider", "category", "billed_cost", "billing_period", "invoice_id") == [
        ("anthropic", "tax", Decimal("64.99"), "2026-09", "INV-2001"),
        ("anthropic", "usage", Decimal("812.40"), "2026-09", "INV-2001"),
        ("openai", "credit", Decimal("-1204.37"), "2026-09", "INV-1001"),
        ("openai", "purchase", Decimal("5000"), "2026-09", "INV-1001"),
        ("openai", "usage", Decimal("1204.37"), "2026-09", "INV-1001"),
    ]


@pytest.mark.parametrize("amount", ["1,234.56", "$5", "(12.30)", "1.234,56", "−5", "NaN"])
def test_an_invoice_amount_that_is_not_plain_is_set_aside(tmp_path: Path, amount: str) -> None:
    row = {"invoice_id": "i", "date": "2026-09-14", "amount": amount, "currency": "USD"}

    assert faults(bill(table(tmp_path / "invoice.csv", row))) == [("amount", "not_money")]


def test_invoice_periods_are_days_months_or_stated(tmp_path: Path) -> None:
    base = {"invoice": "i", "amount": "1", "currency": "EUR", "period": "", "start": "", "end": ""}
    rows = [
        base | {"period": "2026-12"},
        base | {"start": "2026-09-14"},
        base | {"start": "2026-09-01", "end": "2026-09-30"},
        base | {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"},
    ]

    ledger = bill(table(tmp_path / "invoice.csv", *rows))

    days = "select period_start::date::varchar, period_end::date::varchar from bill_line order by line"
    assert ledger.rows(days) == [
        ("2026-12-01", "2027-01-01"), ("2026-09-14", "2026-09-15"),
        ("2026-09-01", "2026-10-01"), ("2026-09-01", "2026-10-01"),
    ]  # fmt: skip


def test_an_invoice_in_another_currency_keeps_it(tmp_path: Path) -> None:
    rows = [{"invoice": "i", "month": "2026-09", "amount": "1", "currency": c} for c in ("eur", "USD")]

    assert lines(bill(table(tmp_path / "invoice.csv", *rows)), "currency") == [("EUR",), ("USD",)]


def test_the_invoice_detail_of_focus_1_4_is_an_invoice(tmp_path: Path) -> None:
    """focus.md, 7: the sum of BilledCost over a key is the invoice's amount."""
    row = {
        "BilledCost": "12.50", "BillingAccountId": "acct-1", "BillingCurrency": "USD", "ChargeCategory": "Tax",
        "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "InvoiceDetailId": "d-1", "InvoiceId": "INV-9", "InvoiceIssuerName": "OpenAI", "InvoiceIssueStatus": "Issued",
        "PaymentTerms": "Net 30",
    }  # fmt: skip

    ledger = bill(table(tmp_path / "detail.csv", row))

    told = ("source", "provider", "category", "billed_cost", "invoice_id", "account_id", "sku")
    assert line(ledger, *told) == ("invoice", "openai", "tax", Decimal("12.50"), "INV-9", "acct-1", "d-1")
