"""Bills of OpenAI and Anthropic to the letter of their pages: disjoint quantities, exact money, what null means."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.bill_examples import (
    SOURCES,
    anthropic_page,
    anthropic_usage,
    bill,
    counts,
    faults,
    line,
    lines,
    meters,
    openai_cost,
    openai_page,
    openai_usage,
    total,
    write,
)

# OpenAI usage.


def test_openai_meters_are_disjoint_and_add_up_to_the_totals_of_the_page() -> None:
    """openai.md, 3.1: input 1000 = cached 400 + write 100 + uncached 500; output 500 = 400 + 50 + 50."""
    used = meters(bill(SOURCES / "openai_usage" / "spec_usage_completions.json"))

    assert used == {
        "input": 400, "input_audio": 50, "input_image": 50, "cache_write_5m": 100,
        "cache_read": 300, "cache_read_audio": 50, "cache_read_image": 50,
        "output": 400, "output_audio": 50, "output_image": 50,
    }  # fmt: skip
    assert sum(n for meter, n in used.items() if not meter.startswith("output")) == 1000


def test_openai_pages_of_one_pull_keep_every_bucket_and_the_batch_apart() -> None:
    pages = sorted((SOURCES / "openai_usage").glob("illustrative_*"))
    ledger = bill(*pages)

    assert counts(ledger, "records", "accepted") == (4, 4)
    assert meters(ledger, "service_tier = 'batch'") == {"input": 400_000, "output": 31_000}
    assert meters(ledger, "service_tier = 'standard'") == {
        "input": 400_000, "cache_read": 800_000, "cache_write_5m": 50_000, "output": 90_000,
    }  # fmt: skip
    assert sum(meters(ledger, "meter <> 'output'").values()) == 1_250_000 + 400_000 + 90_000 + 10


def test_openai_payloads_of_the_first_generation_never_lose_audio_twice() -> None:
    """openai.md, 3.2: bucket 1736899200 has input 35664, cached 192, output 1835, and audio beside or within them."""
    ledger = bill(SOURCES / "openai_usage" / "first_generation_usage_completions_2025-01.json")
    first = "period_start = timestamp '2025-01-15'"

    assert meters(ledger, first) == {"input": 35_664 - 192, "cache_read": 192, "output": 1835}
    assert lines(ledger, "flags", "requests", where=f"{first} and meter = 'input'") == [
        (["audio_not_separable: input_audio_tokens 2520", "audio_not_separable: output_audio_tokens 1549"], 55)
    ]


@pytest.mark.parametrize(
    ("file", "meter", "quantity"),
    [
        ("embeddings", "input", 16),
        ("moderations", "input", 16),
        ("images", "image", 2),
        ("audio_speeches", "character", 45),
        ("audio_transcriptions", "second", 20),
        ("vector_stores", "vector_storage", 1024),
        ("code_interpreter_sessions", "session", 1),
        ("file_search_calls", "file_search", 2),
        ("web_search_calls", "web_search", 2),
    ],
)
def test_every_openai_endpoint_has_its_meter(file: str, meter: str, quantity: int) -> None:
    """openai.md, Trap 10: the discriminators of file and web search do not match their paths."""
    assert meters(bill(SOURCES / "openai_usage" / f"spec_usage_{file}.json")) == {meter: quantity}


def test_an_early_openai_page_calls_its_results_result(tmp_path: Path) -> None:
    page = openai_page(openai_usage())
    page["data"][0]["result"] = page["data"][0].pop("results")

    assert meters(bill(write(tmp_path / "page.json", page))) == {"input": 1000, "output": 100}


def test_openai_parts_beyond_their_total_are_set_aside_with_both_numbers(tmp_path: Path) -> None:
    old = openai_usage(input_cached_tokens=1200)
    del old["input_uncached_tokens"]
    ledger = bill(write(tmp_path / "page.json", openai_page(old, openai_usage(model="good"))))

    assert counts(ledger, "records", "accepted", "quarantined") == (2, 1, 1)
    assert ledger.rows("select field, reason, found from quarantine") == [
        ("input_tokens", "parts_exceed_total", "input_tokens 1,000, parts 1,200")
    ]


def test_an_openai_identity_that_is_violated_is_flagged_with_both_numbers(tmp_path: Path) -> None:
    ledger = bill(write(tmp_path / "page.json", openai_page(openai_usage(input_tokens=1001))))

    assert line(ledger, "quantity", "flags", where="meter = 'input'") == (1000, ["input_tokens: 1001 is not 1000"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "missing"), ("5", "not_a_count"), (1.5, "not_a_count"), (True, "not_a_count"), (-1, "negative")],
)
def test_an_openai_count_that_is_not_one_is_never_zero(tmp_path: Path, value: Any, reason: str) -> None:
    page = openai_page(openai_usage(output_tokens=value), openai_usage(model="good"))

    ledger = bill(write(tmp_path / "page.json", page))

    assert faults(ledger) == [("output_tokens", reason)]
    assert counts(ledger, "records", "accepted", "quarantined") == (2, 1, 1)


# OpenAI costs.


def test_openai_amounts_are_dollars_as_text_or_number_to_the_last_digit(tmp_path: Path) -> None:
    """openai.md, Trap 3."""
    body = json.dumps(openai_page(openai_cost("12.504310", line_item="a"), openai_cost("N", line_item="b")))
    (tmp_path / "page.json").write_text(body.replace('"N"', "0.1000000000000000055"), encoding="utf-8")

    ledger = bill(tmp_path / "page.json")

    assert lines(ledger, "sku", "billed_cost", "currency") == [
        ("a", Decimal("12.504310"), "USD"), ("b", Decimal("0.100000000000"), "USD"),
    ]  # fmt: skip


def test_openai_line_items_tell_model_and_meter_and_keep_their_words() -> None:
    ledger = bill(SOURCES / "openai_costs" / "illustrative_costs_string_amount.json")

    assert lines(ledger, "category", "model", "meter", "quantity", "billed_cost", "project_id") == [
        ("credit", None, None, None, Decimal("-0.10"), "none"),
        ("usage", "gpt-5.6-luna", "cache_read", 800_000, Decimal("0.40"), "proj_support"),
        ("usage", "gpt-5.6-luna", "input", 825_000, Decimal("4.125"), "proj_support"),
        ("usage", "gpt-5.6-luna", "output", 121_000, Decimal("2.70"), "proj_support"),
        ("usage", None, "web_search", None, Decimal("0.25"), "proj_support"),
    ]
    assert total(ledger) == Decimal("7.375")


@pytest.mark.parametrize(
    ("unit", "quantity", "expected"),
    [
        ("tokens", 5, (Decimal(5), "tokens")),
        ("1000_tokens", 1.5, (Decimal(1500), "tokens")),
        ("duration_minutes", 2, (Decimal(120), "seconds")),
        ("duration_hours", 1, (Decimal(3600), "seconds")),
        ("gibibyte_hours", 3, (Decimal(3), "gibibyte-hours")),
        ("parsecs", 7, (Decimal(7), "parsecs")),
        (None, 7, (Decimal(7), None)),
    ],
)
def test_openai_quantities_come_in_single_units_and_unknown_units_stay(
    tmp_path: Path, unit: str | None, quantity: float, expected: tuple[Decimal, str | None]
) -> None:
    cost = openai_cost("1.00", line_item="x", quantity=quantity, quantity_unit=unit)

    assert line(bill(write(tmp_path / "page.json", openai_page(cost))), "quantity", "unit") == expected


def test_a_null_project_is_no_project_only_where_it_was_grouped_by(tmp_path: Path) -> None:
    """openai.md, 4: null inside a grouped reply is a cost that is not tied to a project."""
    plain = write(tmp_path / "plain.json", openai_page(openai_cost("1.00")))
    grouped = write(tmp_path / "grouped.json", openai_page(openai_cost("1.00"), openai_cost("2.00", project_id="p")))

    assert lines(bill(plain), "project_id", "grouping") == [(None, "")]
    assert lines(bill(grouped), "project_id") == [("none",), ("p",)]
    assert lines(bill(plain, group_by=["project_id"]), "project_id", "grouping") == [("none", "project_id")]


# Anthropic.


def test_anthropic_token_classes_are_disjoint_and_searches_are_not_tokens() -> None:
    ledger = bill(SOURCES / "anthropic_usage" / "usage_report_messages_doc_shape.json")

    assert meters(ledger) == {
        "input": 1500, "cache_write_5m": 500, "cache_write_1h": 1000, "cache_read": 200, "output": 500,
        "web_search": 10,
    }  # fmt: skip
    assert lines(ledger, "unit", where="meter = 'web_search'") == [("searches",)]


def test_the_default_workspace_and_the_console_are_groups_of_their_own() -> None:
    """anthropic.md, Trap 3: do not drop nulls, do not merge them with not grouped."""
    ledger = bill(SOURCES / "anthropic_usage" / "illustrative_usage_report_default_workspace.json")

    assert meters(ledger, "project_id = 'default' and api_key_id = 'console'") == {
        "input": 52_000, "cache_write_5m": 1200, "cache_read": 310_000, "output": 18_000,
    }  # fmt: skip
    assert lines(
        ledger, "service_tier", "context_window", "region", where="project_id = 'wrkspc_a' and meter = 'input'"
    ) == [("batch", "200k-1M", "us")]


def test_anthropic_nulls_that_were_not_grouped_by_stay_null(tmp_path: Path) -> None:
    ledger = bill(write(tmp_path / "page.json", anthropic_page(anthropic_usage(model="claude-sonnet-4-6"))))

    assert set(lines(ledger, "project_id", "api_key_id", "grouping")) == {(None, None, "model")}


def test_a_pulled_page_says_by_its_name_what_it_was_grouped_by(tmp_path: Path) -> None:
    name = "anthropic-messages.by-api_key_id+workspace_id.2026-09-14..2026-09-15.pulled-20260916T060000Z.p0001.json"
    ledger = bill(write(tmp_path / name, anthropic_page(anthropic_usage())))

    assert set(lines(ledger, "project_id", "api_key_id")) == {("default", "console")}


def test_service_accounts_are_not_console_traffic(tmp_path: Path) -> None:
    page = anthropic_page(anthropic_usage(service_account_id="sa_1"), anthropic_usage(api_key_id="apikey_b"))

    ledger = bill(write(tmp_path / "page.json", page))

    assert set(lines(ledger, "api_key_id", "principal")) == {(None, "sa_1"), ("apikey_b", None)}


def test_fast_mode_has_a_price_of_its_own_and_is_a_tier(tmp_path: Path) -> None:
    page = anthropic_page(anthropic_usage(service_tier="standard", speed="fast"))

    assert set(lines(bill(write(tmp_path / "page.json", page)), "service_tier")) == {("fast",)}


def test_anthropic_costs_are_cents() -> None:
    """anthropic.md, Trap 1: 123.78912 is 1.2378912 dollars, 41280.000000 is 412.80."""
    ledger = bill(SOURCES / "anthropic_cost" / "illustrative_cost_report_cents.json")

    assert lines(ledger, "billed_cost", "project_id", "meter") == [
        (Decimal("0.05"), "default", "code_execution"),
        (Decimal("0.095"), "default", "cache_write_1h"),
        (Decimal("1"), "default", "web_search"),
        (Decimal("1.2378912"), "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ", "input"),
        (Decimal("412.8"), "default", "output"),
    ]


def test_analytics_costs_have_a_list_amount_and_a_key() -> None:
    ledger = bill(SOURCES / "anthropic_cost" / "illustrative_analytics_cost.json")

    assert line(ledger, "api_key_id", "list_cost", "billed_cost", "requests") == (
        "apikey_b", Decimal("14.27225"), Decimal("12.845025"), 311,
    )  # fmt: skip


def test_costs_without_description_have_no_model_and_are_still_dollars(tmp_path: Path) -> None:
    """anthropic.md, Trap 5."""
    result = {"amount": "250", "currency": "USD", "cost_type": None, "token_type": None, "description": None}
    ledger = bill(write(tmp_path / "page.json", anthropic_page(result)))

    assert line(ledger, "billed_cost", "model", "meter", "category") == (Decimal("2.50"), None, None, "usage")


def test_analytics_usage_over_a_whole_range_is_not_taken_for_a_day(tmp_path: Path) -> None:
    """anthropic.md, Trap 11."""
    usage = {
        "uncached_input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0},
        "cache_read_input_tokens": 1, "output_tokens": 3, "total_tokens": 12, "requests": 4,
    }  # fmt: skip
    row = {"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-10-01T00:00:00Z", "group": {"workspace_id": None}}
    page = {"data": [row | {"usage": usage}], "has_more": False, "next_page": None}

    ledger = bill(write(tmp_path / "page.json", page))

    assert ledger.rows("select distinct date_diff('day', period_start, period_end) from bill_line") == [(30,)]
    assert lines(ledger, "project_id", "requests", "flags", where="meter = 'input'") == [
        ("default", 4, ["total_tokens: 12 is not 11"])
    ]


def test_rows_of_overlapping_groups_are_never_added(tmp_path: Path) -> None:
    """anthropic.md, Trap 12: a person in two groups counts in both."""
    row = {"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-02T00:00:00Z", "group": {"rbac_group_id": "g1"}}
    page = {"data": [row | {"cost": {"amount": "100", "currency": "USD"}}], "has_more": False, "next_page": None}

    assert line(bill(write(tmp_path / "page.json", page)), "role") == ("estimate",)


def test_claude_code_is_an_estimate_in_cents_beside_the_bill() -> None:
    """anthropic.md, 4 and Trap 14: 186 is 1.86 dollars; the same tokens stand in the usage report."""
    ledger = bill(SOURCES / "anthropic_claude_code" / "claude_code_report_doc_shape.json")

    assert meters(ledger) == {"input": 100_000, "cache_write": 5000, "cache_read": 10_000, "output": 35_000}
    assert lines(ledger, "estimated_cost", "billed_cost", where="estimated_cost is not null") == [
        (Decimal("1.86"), None)
    ]
    assert set(lines(ledger, "role")) == {("estimate",)}


def test_a_developers_address_is_hashed_with_the_key_or_not_kept() -> None:
    report = SOURCES / "anthropic_claude_code" / "claude_code_report_doc_shape.json"

    assert set(lines(bill(report), "principal")) == {(None,)}
    ((principal,),) = set(lines(bill(report, hash_key=b"k"), "principal"))
    assert principal.startswith("h_")
    assert "@" not in principal


def test_two_developers_without_a_hashing_key_stay_two(tmp_path: Path) -> None:
    report = json.loads((SOURCES / "anthropic_claude_code" / "claude_code_report_doc_shape.json").read_bytes())
    other = json.loads(json.dumps(report["data"][0]))
    other["actor"]["email_address"] = "another@example.com"
    report["data"].append(other)

    ledger = bill(write(tmp_path / "report.json", report))

    assert counts(ledger, "records", "accepted") == (2, 2)
    assert meters(ledger)["input"] == 200_000


# OpenRouter.


def test_openrouter_days_have_tokens_and_one_charge_and_own_keys_are_billed_elsewhere() -> None:
    """others.md, Trap 3: BYOK cost 0 is not free."""
    ledger = bill(SOURCES / "openrouter_activity" / "illustrative_openrouter_activity.json")

    assert meters(ledger) == {"input": 4229, "output": 100 + 91, "reasoning": 25}
    assert lines(ledger, "model", "billed_cost", "estimated_cost", "requests", where="meter is null") == [
        ("anthropic/claude-4.6-sonnet-20260217", Decimal("0.015"), None, 5),
        ("google/gemini-2.5-flash", Decimal(0), Decimal("0.012"), 4),
    ]


def test_openrouter_dates_may_have_a_time_part_and_keys_are_declared(tmp_path: Path) -> None:
    file = "illustrative_openrouter_activity.json"
    page = json.loads((SOURCES / "openrouter_activity" / file).read_text(encoding="utf-8"))
    page["data"][0]["date"] = "2026-09-14 00:00:00"
    written = write(tmp_path / "activity.json", page)

    ledger = bill(written, api_key_hash="h1")
    bill(SOURCES / "openrouter_activity" / file, ledger=ledger)

    assert set(lines(ledger, "api_key_id", "billing_period")) == {("h1", "2026-09"), (None, "2026-09")}
    assert total(ledger) == Decimal("0.03")
