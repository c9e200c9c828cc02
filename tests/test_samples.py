"""The sample company: the same bytes for a seed, the real formats' own fields, a truth exact to the last digit."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from genai_prices import data_snapshot

from attribution.audits import audit
from attribution.building import build_ledger
from attribution.coverages import measure_coverage
from attribution.errors import QuestionError
from attribution.hops import broken_hops
from attribution.ledger import Ledger
from attribution.samples import write_sample
from attribution.samples.article import begin, next_dearness, tell_stories
from attribution.samples.company import load_company, read
from attribution.samples.faults import FAULTS, place_faults
from attribution.samples.rhythm import plan, share_out
from attribution.samples.traffic import generate
from attribution.schema import EVIDENCE
from tests.examples import FIXTURES

ACME = Path(__file__).resolve().parents[1] / "sample_data" / "acme"
SHAPES = FIXTURES / "samples"
OCTOBER = "2026-10"
#: As sample_data/acme/ORIGIN.txt says.
CALLS = 1_750


@pytest.fixture(scope="module")
def acme() -> Path:
    return ACME


def table(folder: Path, name: str) -> pa.Table:
    return pq.read_table(folder / "truth" / f"{name}.parquet")


def rows(folder: Path, name: str, **where: Any) -> list[dict[str, Any]]:
    return [row for row in table(folder, name).to_pylist() if all(row[k] == v for k, v in where.items())]


def fact(folder: Path, name: str, period: str) -> Decimal:
    return rows(folder, "facts", fact=name, period=period)[0]["value"]


def csv_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def json_lines(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def spans(folder: Path) -> Iterator[dict[str, Any]]:
    for line in json_lines(folder, "data/otlp/*.jsonl"):
        for resource in line["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                yield from scope["spans"]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


def spend_log_lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("data/litellm/spend_logs*")) for line in path.read_text().splitlines()]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# The same seed gives the same bytes


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_sample(tmp_path / name, calls=700, months=2, seed=3)

    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_another_seed_gives_other_calls(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_sample(tmp_path / str(seed), calls=200, months=1, seed=seed)

    one, two = (table(tmp_path / str(seed), "calls")["response_id"].to_pylist() for seed in (1, 2))
    assert not set(one) & set(two)


def test_the_company_in_the_repository_is_what_the_command_writes(tmp_path: Path, acme: Path) -> None:
    write_sample(tmp_path / "acme", calls=CALLS, seed=7)

    ours = {name: d for name, d in digests(acme).items() if name != "ORIGIN.txt"}
    again = digests(tmp_path / "acme")
    assert sorted(ours) == sorted(again)
    # Parquet names the version of its writer and gzip depends on the library: both are compared by content.
    assert {n for n in ours if ours[n] != again[n] and not n.endswith((".parquet", ".gz"))} == set()
    for name in (n for n in ours if n.endswith(".gz")):
        assert gzip.decompress((acme / name).read_bytes()) == gzip.decompress((tmp_path / "acme" / name).read_bytes())
    for name in (n for n in ours if n.endswith(".parquet")):
        kept, written = (pq.ParquetFile(folder / name).read() for folder in (acme, tmp_path / "acme"))
        assert kept.equals(written), name


def test_the_two_traces_of_the_article_stand_beside_the_data(acme: Path) -> None:
    owners = {
        name: build_ledger(acme / "article" / name, quiet=True).rows(
            "select owner_team, owner_evidence, claimed_team from cost_event order by event_id"
        )
        for name in ("complete", "broken")
    }

    assert owners["complete"] == [("support", "declared", None)] * 2
    assert owners["broken"] == [(None, "none", "support-platform")]


def test_the_company_in_the_repository_is_small(acme: Path) -> None:
    folder = acme.parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 10_000_000


# Bad options touch nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calls": -5}, "`calls` was -5"),
        ({"calls": 0}, "`calls` was 0"),
        ({"calls": True}, "`calls` was True"),
        ({"months": 0}, "`months` was 0"),
        ({"months": 7}, "from 1 to 6"),
        ({"seed": -1}, "`seed` was -1"),
        ({"faults": "file_twise"}, "Did you mean `file_twice`"),
        ({"faults": ["h1", "h12"]}, "`h12` is not a fault"),
    ],
)
def test_a_bad_option_is_named_and_nothing_is_written(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        write_sample(tmp_path / "new", **options)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(QuestionError, match="not an empty folder"):
        write_sample(tmp_path, calls=10)

    assert digests(tmp_path) == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}


def test_an_empty_folder_is_filled_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    write_sample(tmp_path / "empty", calls=40, months=1)

    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["article", "config", "data", "truth"]
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_path_through_a_file_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(OSError, match="file"):
        write_sample(tmp_path / "file" / "new", calls=40, months=1)

    assert digests(tmp_path) == {"file": hashlib.sha256(b"mine").hexdigest()}


# Prices and sizes come from outside


def test_prices_are_those_of_the_price_package() -> None:
    snapshot = data_snapshot.get_snapshot()
    contexts = {
        "batch": {"processing": "batch"},
        "flex": {"service_tier": "flex"},
        "priority": {"service_tier": "priority"},
    }
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "web_search")
    theirs = (
        "input_mtok",
        "cache_read_mtok",
        "cache_write_mtok",
        "cache_write_1h_mtok",
        "output_mtok",
        "web_searches_kcount",
    )
    for row in read("prices"):
        if row["is_listed"] != "yes":
            continue
        _, model = snapshot.find_provider_model(row["model"], None, row["provider"], None)
        before_change = row["model"] == "gpt-5.6-sol" and not row["valid_from"]
        moment = datetime(2026, 8, 20 if before_change else 22, tzinfo=UTC)
        if row["service_tier"] != "standard":
            moment = datetime(2026, 10, 20, tzinfo=UTC)
        prices = model.get_prices(moment, price_context=contexts.get(row["service_tier"]))
        for name, their in zip(names, theirs, strict=True):
            price = getattr(prices, their, None)
            if hasattr(price, "base"):
                above = int(row["above_input_tokens"])
                price = price.base if not above else next(t.price for t in price.tiers if t.start == above)
            assert (Decimal(row[name]) if row[name] else None) == price, (row["model"], row["service_tier"], name)


def test_a_model_unknown_to_the_price_package_stays_unknown() -> None:
    with pytest.raises(LookupError):
        data_snapshot.get_snapshot().find_provider_model("atlas-preview-0926", None, "openai", None)


def test_days_share_the_calls_exactly() -> None:
    parts = plan(123_457, 3)

    assert sum(part.calls for part in parts) == 123_457
    assert {part.month for part in parts} == {"2026-08", "2026-09", OCTOBER}
    assert max(part.calls for part in parts) <= 20_000


def test_whole_numbers_are_shared_by_largest_remainder() -> None:
    assert share_out(10, pa.array([1.0, 1.0, 1.0]).to_numpy()).tolist() == [4, 3, 3]


# The article's numbers


def test_october_comes_to_its_bill(acme: Path) -> None:
    target = fact(acme, "month_bill_target", OCTOBER)

    assert target == 22
    assert abs(fact(acme, "list_cost", OCTOBER) - target) < target * Decimal("0.03")


def test_about_eleven_percent_has_no_owner(acme: Path) -> None:
    share = fact(acme, "unowned", OCTOBER) / fact(acme, "seen_list_cost", OCTOBER)

    assert abs(share - Decimal("0.11")) < Decimal("0.006")


def test_support_owns_sixty_two_percent_of_gpt_spend_on_its_day(acme: Path) -> None:
    share = fact(acme, "support_gpt_cost", "2026-10-20") / fact(acme, "gpt_cost", "2026-10-20")

    assert abs(share - Decimal("0.62")) < Decimal("0.001")


def test_supports_week_jumps_thirty_seven_percent(acme: Path) -> None:
    before, after = (fact(acme, "support_contracted_cost", week) for week in ("2026-W41", "2026-W42"))
    jump = after / before

    assert abs(jump - Decimal("1.37")) < Decimal("0.005")


def test_ratios_hold_at_another_size() -> None:
    company, faults = load_company(), frozenset(FAULTS)
    steering = begin(60_000, 1, company, 11, faults)
    for part in plan(60_000, 1):
        calls = generate(part, company, 11, next_dearness(steering, part), faults, steering.weeks)
        tell_stories(calls, part, company, steering, faults)
        place_faults(calls, part, company, steering.tally(part.month), faults, 11)
    tally = steering.tally(OCTOBER)

    assert steering.month_usd == 2_200
    assert abs(steering.spent[OCTOBER] - 2_200) < 44
    assert abs(tally.unowned / tally.dollars - 0.11) < 0.001
    assert abs(steering.gpt[0] / sum(steering.gpt) - 0.62) < 0.0005
    assert abs(steering.after / sum(steering.before.values()) - 1.37) < 0.001


# The truth


def test_truth_has_every_call_once_and_money_is_exact(acme: Path) -> None:
    calls = table(acme, "calls")

    assert calls["call_no"].to_pylist() == list(range(CALLS))
    for name in ("list_cost", "seen_list_cost", "billed_cost"):
        assert calls.schema.field(name).type == pa.decimal128(38, 12)
    assert pc.min(calls["list_cost"]).as_py() == 0


def test_a_call_costs_its_tokens_at_the_dated_price(acme: Path) -> None:
    prices = {
        (r["provider"], r["model"], r["service_tier"], r["valid_from"], int(r["above_input_tokens"]) > 0): r
        for r in read("prices")
    }
    company = {d.answered_as: d for d in load_company().deployments}
    checked = 0
    for call in rows(acme, "calls"):
        if call["status"] == "failed":
            assert call["list_cost"] == 0
            continue
        deployment = next(
            d for d in load_company().deployments if d.answered_as == call["model"] and d.provider == call["provider"]
        )
        is_new = deployment.model == "gpt-5.6-sol" and call["started_at"].date() >= date(2026, 8, 21)
        key = (call["provider"], deployment.model, call["service_tier"], "2026-08-21" if is_new else "")
        band = (*key, True) in prices and call["input_tokens"] > int(prices[(*key, True)]["above_input_tokens"])
        price = prices[(*key, band)]
        written = call["cache_write_5m_tokens"], call["cache_write_1h_tokens"]
        fresh = call["input_tokens"] - call["cache_read_tokens"] - sum(written)
        parts = {
            "input": fresh,
            "cache_read": call["cache_read_tokens"],
            "cache_write_5m": written[0],
            "cache_write_1h": written[1],
            "output": call["output_tokens"],
        }
        cost = sum(Decimal(price[m]) * n / 10**6 for m, n in parts.items() if n)
        cost += Decimal(price["web_search"] or 0) * call["web_searches"] / 1_000
        assert call["list_cost"] == cost
        assert fresh >= 0
        checked += 1
    assert checked > 1_650
    assert company


def test_every_fault_is_in_the_truth(acme: Path) -> None:
    assert {row["fault"] for row in rows(acme, "faults")} == set(FAULTS)


def test_the_truth_of_a_fault_is_the_sum_of_its_calls(acme: Path) -> None:
    calls = rows(acme, "calls")
    for fault in rows(acme, "faults"):
        touched = [c for c in calls if fault["fault"] in c["faults"] and c["month"] == fault["month"]]
        assert fault["calls"] == len(touched)
        assert fault["list_cost"] == sum((c["list_cost"] for c in touched), Decimal(0))


def test_without_faults_nothing_is_marked_and_every_call_has_its_owner(tmp_path: Path) -> None:
    write_sample(tmp_path, calls=900, months=1, faults="none")

    calls = rows(tmp_path, "calls")
    assert {name for call in calls for name in call["faults"]} == set()
    # Where a part of a day is cut off, a call may be left without another of its request to tell its owner.
    lost = sum((c["list_cost"] for c in calls if c["expected_evidence"] == "none"), Decimal(0))
    assert lost < sum((c["list_cost"] for c in calls), Decimal(0)) / 1_000
    assert {c["expected_evidence"] for c in calls} <= {"declared", "matched", "inherited", "trace", "none"}
    assert all(call["declared_team"] == call["owner_team"] for call in calls)
    assert rows(tmp_path, "faults") == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_can_be_planted_alone(fault: str, tmp_path: Path) -> None:
    write_sample(tmp_path, calls=150, months=2, faults=[fault], seed=5)

    planted = {row["fault"] for row in rows(tmp_path, "faults")}
    marked = {name for call in rows(tmp_path, "calls") for name in call["faults"]}
    assert planted | marked <= {fault}


# What the files hold is what the truth says


def test_every_export_holds_the_calls_that_the_truth_says_it_saw(acme: Path) -> None:
    seen: dict[str, list[dict[str, Any]]] = {}
    for call in rows(acme, "calls"):
        for name in call["seen_in"]:
            seen.setdefault(name, []).append(call)

    assert len(spend_log_lines(acme)) == len(seen["spend_logs"])
    payloads = json_lines(acme, "data/litellm/standard_logging*")
    assert sorted(p["id"] for p in payloads) == sorted(c["response_id"] for c in seen["standard_logging"])
    observations = json_lines(acme, "data/langfuse/observations*")
    assert len(list(observations)) == len(seen["langfuse"])
    logged = [
        json.loads(line)["requestId"]
        for path in acme.glob("data/bedrock/**/*.gz")
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    assert sorted(logged) == sorted(c["provider_request_id"] for c in seen["bedrock"])
    direct = [row for path in acme.glob("data/direct/*.csv") for row in csv_rows(path)]
    assert sorted(r["call"] for r in direct) == sorted(c["response_id"] for c in seen["direct"])
    called = {a["gen_ai.response.id"] for a in map(attributes, spans(acme)) if "gen_ai.response.id" in a}
    assert sorted(called) == sorted(c["response_id"] for c in seen["otlp"])


def test_broken_lines_are_the_ones_the_truth_names(acme: Path) -> None:
    broken = 0
    for line in spend_log_lines(acme):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken += 1

    assert broken == sum("malformed_lines" in c["faults"] for c in rows(acme, "calls")) > 0


def test_spans_carry_the_tokens_and_the_owner_of_the_truth(acme: Path) -> None:
    calls = {c["response_id"]: c for c in rows(acme, "calls")}
    for span in spans(acme):
        found = attributes(span)
        if "gen_ai.response.id" not in found:
            continue
        call = calls[found["gen_ai.response.id"]]
        is_repeat = span["name"] == "anthropic.messages.create"
        assert (span["traceId"], span.get("parentSpanId") if is_repeat else span["spanId"]) == (
            call["trace_id"],
            call["span_id"],
        )
        owner = found.get("owner_team", found.get("traceloop.association.properties.owner_team"))
        if owner is not None:
            assert owner == call["declared_team"]
        if "streams_without_usage" in call["faults"]:
            assert "gen_ai.usage.input_tokens" not in found
        else:
            assert int(found["gen_ai.usage.input_tokens"]) == call["input_tokens"]
            assert int(found["gen_ai.usage.output_tokens"]) == call["output_tokens"]


def test_a_redelivered_file_has_the_bytes_of_the_first(acme: Path) -> None:
    for path in acme.glob("data/langfuse/redelivered/*"):
        original = acme / "data/langfuse" / path.name.replace(" (1)", "")
        assert path.read_bytes() == original.read_bytes()


# Bills add up


def usage_billed(folder: Path, provider: str) -> Decimal:
    return sum((c["billed_cost"] for c in rows(folder, "calls", provider=provider)), Decimal(0))


def other_lines(folder: Path, provider: str, *categories: str) -> Decimal:
    found = [r for r in rows(folder, "bills", provider=provider) if r["category"] in categories]
    return sum((r["billed_cost"] for r in found), Decimal(0))


def test_usage_on_all_bills_is_what_the_calls_were_billed(acme: Path) -> None:
    for provider in ("openai", "anthropic", "aws", "azure", "google"):
        assert other_lines(acme, provider, "usage") == usage_billed(acme, provider)


def results(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        for bucket in json.loads(path.read_text())["data"]:
            yield from bucket["results"]


def test_openai_costs_are_usage_storage_sessions_and_credits(acme: Path) -> None:
    billed = sum((Decimal(r["amount"]["value"]) for r in results(acme, "data/openai/costs/*")), Decimal(0))

    assert billed == usage_billed(acme, "openai") + other_lines(acme, "openai", "storage", "session", "credit")


def test_openai_usage_counts_the_tokens_of_its_calls(acme: Path) -> None:
    calls = [c for c in rows(acme, "calls", provider="openai") if "embedding" not in c["model"]]
    usage = list(results(acme, "data/openai/usage/openai-usage-completions*"))

    for theirs, ours in (("input_tokens", "input"), ("output_tokens", "output"), ("input_cached_tokens", "cache_read")):
        assert sum(r[theirs] for r in usage) == sum(c[f"{ours}_tokens"] for c in calls)
    for r in usage:
        assert (
            r["input_tokens"] == r["input_cached_tokens"] + r["input_cache_write_tokens"] + r["input_uncached_tokens"]
        )


def test_anthropic_bills_cents(acme: Path) -> None:
    cents = sum((Decimal(r["amount"]) for r in results(acme, "data/anthropic/cost/*")), Decimal(0))

    assert cents / 100 == usage_billed(acme, "anthropic") + other_lines(acme, "anthropic", "session")


def test_the_discount_that_the_contract_lacks_is_on_the_bill(acme: Path) -> None:
    calls = [c for c in rows(acme, "calls", provider="anthropic") if c["started_at"].date() >= date(2026, 9, 1)]

    assert all(c["billed_cost"] == c["list_cost"] * 90 / 100 for c in calls)
    assert "anthropic-discount" not in (acme / "config/attribution.yaml").read_text()


def test_the_cost_and_usage_report_keeps_both_families_and_the_tax(acme: Path) -> None:
    report = [r for path in acme.glob("data/aws/**/*.parquet") for r in pq.read_table(path).to_pylist()]
    used = [r for r in report if r["line_item_line_item_type"] == "Usage"]
    net = sum((Decimal(repr(r["line_item_net_unblended_cost"])) for r in used), Decimal(0))

    assert net == usage_billed(acme, "aws")
    assert {r["pricing_unit"] for r in used} == {"Units", "1K tokens"}
    taxes = [r for r in report if r["line_item_line_item_type"] in ("Tax", "Credit")]
    charged = sum((Decimal(repr(r["line_item_unblended_cost"])) for r in taxes), Decimal(0))
    assert charged == other_lines(acme, "aws", "tax", "credit")


def test_the_newest_azure_run_of_a_month_is_the_bill(acme: Path) -> None:
    total, wrong = Decimal(0), Decimal(0)
    for period in sorted((acme / "data/azure/acme-actual").iterdir()):
        runs = []
        for run in sorted(period.iterdir()):
            lines = csv_rows(run / "part_0_0001.csv")
            runs.append(sum((Decimal(line["Cost"]) for line in lines), Decimal(0)))
        total += runs[-1]
        wrong += sum(runs[:-1], Decimal(0)) - (runs[-1] if len(runs) > 1 else 0)

    assert total == usage_billed(acme, "azure")
    assert wrong == rows(acme, "faults", fault="corrected_bill", month="2026-09")[0]["bill_amount"]


def test_google_rows_are_usage_storage_and_the_correction(acme: Path) -> None:
    billed = sum((Decimal(repr(r["cost"])) for r in json_lines(acme, "data/google/*.jsonl")), Decimal(0))

    assert billed == usage_billed(acme, "google") + other_lines(acme, "google", "storage", "adjustment")


def test_invoices_are_the_bills_in_cents(acme: Path) -> None:
    for provider in ("anthropic", "azure", "google"):
        lines = [
            row for path in acme.glob("data/invoices/*.csv") for row in csv_rows(path) if row["provider"] == provider
        ]
        invoiced = sum((Decimal(row["amount"]) for row in lines), Decimal(0))
        billed = sum((r["billed_cost"] for r in rows(acme, "bills", provider=provider)), Decimal(0))
        assert abs(invoiced - billed) <= Decimal("0.005") * len(lines)


def test_prepaid_usage_is_covered_and_the_top_up_is_charged_once(acme: Path) -> None:
    lines = [row for path in acme.glob("data/invoices/*.csv") for row in csv_rows(path) if row["provider"] == "openai"]

    covered = sum(Decimal(r["amount"]) for r in lines if r["description"] == "Covered by prepaid balance")
    assert covered == -sum(Decimal(r["amount"]) for r in lines if r["category"] == "usage")
    assert [r["billing_period"] for r in lines if r["category"] == "purchase"] == ["2026-08"]


# Every field is one of the real format's


def shape(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHAPES / name).read_text().splitlines()[0])
    return found


def test_spend_log_rows_have_the_columns_of_the_table(acme: Path) -> None:
    real = shape("spend_logs.jsonl")
    for line in spend_log_lines(acme)[:50]:
        row = json.loads(line) if line.endswith("}") else {}
        assert set(row) <= set(real)
        assert set(json.loads(row["metadata"])) <= set(json.loads(real["metadata"])) if row else True


def test_payloads_have_the_fields_of_the_callback(acme: Path) -> None:
    real = shape("standard_logging_payload.jsonl")
    for payload in json_lines(acme, "data/litellm/standard_logging*"):
        assert set(payload) <= set(real)
        assert set(payload["metadata"]) <= set(real["metadata"])
        assert isinstance(payload["startTime"], float)


def test_langfuse_rows_have_the_columns_of_the_export(acme: Path) -> None:
    for name in ("observations", "traces"):
        real = shape(f"langfuse_{name}.jsonl")
        for row in json_lines(acme, f"data/langfuse/{name}*"):
            assert list(row) == list(real)


def test_invocation_logs_have_the_fields_of_the_record(acme: Path) -> None:
    real = {*shape("bedrock_invocation.jsonl"), "errorCode"}
    for path in acme.glob("data/bedrock/**/*.gz"):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            assert set(json.loads(line)) <= real


def test_pages_have_the_fields_of_the_apis(acme: Path) -> None:
    for pattern, name in (
        ("data/openai/usage/openai-usage-completions*", "openai_usage.json"),
        ("data/openai/usage/openai-usage-embeddings*", "openai_embeddings.json"),
        ("data/openai/costs/*", "openai_costs.json"),
        ("data/anthropic/usage/*", "anthropic_usage.json"),
        ("data/anthropic/cost/*", "anthropic_cost.json"),
    ):
        page = json.loads((SHAPES / name).read_text())
        real = next(r for bucket in page["data"] for r in bucket["results"])
        found = list(results(acme, pattern))
        assert found
        assert all(set(r) == set(real) for r in found), pattern


def test_the_azure_header_is_the_exports_own(acme: Path) -> None:
    real = (SHAPES / "azure_header.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    for path in acme.glob("data/azure/**/*.csv"):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        assert path.read_text(encoding="utf-8-sig").splitlines()[0] == real


def test_google_rows_have_the_fields_of_the_table(acme: Path) -> None:
    real = {*shape("google_billing.jsonl"), "adjustment_info"}
    for row in json_lines(acme, "data/google/*.jsonl"):
        assert set(row) <= real


def test_report_columns_are_those_of_the_report(acme: Path) -> None:
    known = set((SHAPES / "cur2_header.csv").read_text().strip().split(","))
    for path in acme.glob("data/aws/**/*.parquet"):
        names = set(pq.read_schema(path).names)
        assert known <= names
        assert all(n.split("_")[0] in ("identity", "bill", "line", "pricing", "product", "tags") for n in names)


def test_spans_use_the_names_of_two_instrumentations(acme: Path) -> None:
    real: set[str] = set()
    for name in ("genai", "openllmetry"):
        for line in (SHAPES / f"{name}.otlp.jsonl").read_text().splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    real |= {a["key"] for span in scope["spans"] for a in span.get("attributes", [])}
    known = real | {
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.request.stream",
        "user_id_hash",
        "tenant_id_hash",
    }
    for span in spans(acme):
        found = attributes(span)
        if "gen_ai.response.id" in found:
            theirs = {k for k in found if not k.startswith(("traceloop.association.properties.", "traceloop.workflow"))}
            assert theirs <= known
            assert type(span["startTimeUnixNano"]) is str
            assert len(span["traceId"]) == 32


# The ledger finds what the truth says


@pytest.fixture(scope="module")
def ledger(acme: Path) -> Iterator[Ledger]:
    config = acme / "config" / "attribution.yaml"
    with build_ledger(str(acme / "data"), config=str(config), quiet=True) as built:
        yield built


def test_every_call_that_an_export_saw_is_one_event(acme: Path, ledger: Ledger) -> None:
    calls = [c for c in rows(acme, "calls") if c["seen_in"]]
    # Nothing joins a failed call in Langfuse to its row in the gateway's log.
    apart = sum("langfuse" in c["seen_in"] and c["status"] != "ok" and len(c["seen_in"]) > 1 for c in calls)

    assert ledger.value("select count(*) from cost_event") == len(calls) + apart
    answered = sorted(c["response_id"] for c in calls if c["response_id"] != c["gateway_call_id"])
    found = ledger.rows("select response_id from cost_event where response_id is not null order by response_id")
    assert [row[0] for row in found] == answered


def test_the_ledger_costs_what_can_be_known_to_the_last_digit(acme: Path, ledger: Ledger) -> None:
    for month in ("2026-08", "2026-09", OCTOBER):
        known = [c["seen_list_cost"] for c in rows(acme, "calls", month=month) if c["seen_list_cost"] is not None]
        found = ledger.value(
            "select sum(list_cost) from cost_event where strftime(started_at, '%Y-%m') = $month", {"month": month}
        )
        assert found == sum(known, Decimal(0))


def test_what_cannot_be_known_has_no_price(acme: Path, ledger: Ledger) -> None:
    unknown = {
        c["response_id"]: c["faults"]
        for c in rows(acme, "calls")
        if c["seen_list_cost"] is None and c["seen_in"] and c["status"] == "ok"
    }
    found = ledger.rows("select response_id, list_cost from cost_event where response_id is not null")

    assert {key for key, cost in found if cost is None} == set(unknown)
    assert {n for names in unknown.values() for n in names} >= {"unknown_model", "streams_without_usage"}


def test_owners_and_their_evidence_are_the_truths(acme: Path, ledger: Ledger) -> None:
    found = {
        row[0]: row[1:]
        for row in ledger.rows(
            "select response_id, owner_evidence, owner_team from cost_event where response_id is not null"
        )
    }
    for call in rows(acme, "calls"):
        if call["response_id"] in found:
            evidence, team = found[call["response_id"]]
            assert evidence == call["expected_evidence"], call
            # One misspelling has an alias; the other stays as it is, for people to see.
            owner = "finanace-ops" if call["declared_team"] == "finanace-ops" else call["owner_team"]
            assert team == (None if evidence == "none" else owner), call


def test_the_unowned_share_is_the_truths_to_the_last_digit(acme: Path, ledger: Ledger) -> None:
    shares = measure_coverage(ledger, "month").set_index("month")
    for month in ("2026-08", "2026-09", OCTOBER):
        unowned = [
            c["seen_list_cost"]
            for c in rows(acme, "calls", month=month)
            if c["expected_evidence"] in ("none", "rule") and c["seen_list_cost"] is not None
        ]
        assert shares.loc[month, "unowned"] == sum(unowned, Decimal(0)) == fact(acme, "unowned", month)
        assert shares.loc[month, "not_declared"] == fact(acme, "not_declared", month)
        assert shares.loc[month, "recovered_by_rule"] == fact(acme, "recovered_by_rule", month)


def test_each_broken_hop_costs_what_runs_below_it(acme: Path, ledger: Ledger) -> None:
    hops = broken_hops(ledger)
    for signature, consumer, hop in (
        ("H1", "extract-worker", "h1"),
        ("H2", "enrich-worker", "h2"),
        ("H3", "summary-worker", "h3"),
        ("H5", "sales-bot", "h5"),
        ("H6", "chat-gateway", "h6"),
        ("H8", "triage-worker", "h8"),
        ("H9", "feature-worker", "h9"),
        ("H11", "nightly-digest", "h11"),
        ("H11", "hr-bot", "missing_team"),
    ):
        line = hops[(hops["signature"] == signature) & (hops["consumer"] == consumer)]
        below = [c for c in rows(acme, "calls", hop=hop) if "otlp" in c["seen_in"]]
        assert line["list_cost"].sum() == sum((c["seen_list_cost"] for c in below), Decimal(0)), hop
        assert line["calls"].sum() == len(below)


def test_what_the_audit_prints_is_the_truths(acme: Path, ledger: Ledger) -> None:
    answer = audit(ledger)
    known = [c for c in rows(acme, "calls") if c["seen_in"] and c["seen_list_cost"] is not None]

    def cost(calls: list[dict[str, Any]]) -> Decimal:
        return sum((c["seen_list_cost"] for c in calls), Decimal(0))

    shares = answer.shares.iloc[0]
    assert shares["list_cost"] == answer.population["list_cost"] == cost(known)
    by_rung = {rung: cost([c for c in known if c["expected_evidence"] == rung]) for rung in EVIDENCE}
    assert {rung: shares[rung] for rung in EVIDENCE} == by_rung
    unknown = [c for c in rows(acme, "calls") if c["seen_list_cost"] is None and c["seen_in"] and c["status"] == "ok"]
    assert shares["unpriced_calls"] == len(unknown)
    assert answer.target["not_declared"].max() <= shares["not_declared"]
    end_to_end = answer.patterns.set_index("number").loc[5]
    # What the pattern of the article attributes rightly is what evidence owns; the rest it does not attribute at all.
    assert end_to_end["right"] == cost(known) - by_rung["rule"] - by_rung["none"]
    assert end_to_end["not_at_all"] == by_rung["rule"] + by_rung["none"]
    assert answer.patterns["wrong"].ge(0).all()


def test_bills_in_the_ledger_are_the_bills_of_the_truth(acme: Path, ledger: Ledger) -> None:
    for source, provider in (
        ("openai_costs", "openai"),
        ("anthropic_cost", "anthropic"),
        ("cur", "aws"),
        ("azure_cost", "azure"),
        ("google_billing", "google"),
    ):
        billed = ledger.value("select sum(billed_cost) from bill_line where source = $source", {"source": source})
        lines = [r for r in rows(acme, "bills", provider=provider) if r["category"] != "purchase"]
        assert billed == sum((r["billed_cost"] for r in lines), Decimal(0)), source


def test_broken_lines_and_second_deliveries_are_counted(acme: Path, ledger: Ledger) -> None:
    malformed = sum("malformed_lines" in c["faults"] for c in rows(acme, "calls"))

    assert ledger.value("select count(*) from quarantine") == malformed
    assert ledger.value("select sum(superseded) from source_file where source = 'azure_cost'") > 0
    assert ledger.value("select count(*) from conflict where kind = 'same_id'") == 0


# The command line


def test_the_command_writes_a_sample(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from attribution.cli import app

    outcome = CliRunner().invoke(
        app, ["sample", str(tmp_path / "new"), "--calls", "120", "--months", "1", "--faults", "h1,h3"]
    )

    assert outcome.exit_code == 0, outcome.output
    assert "120 calls" in outcome.output
    assert table(tmp_path / "new", "calls").num_rows == 120


def test_the_command_refuses_a_negative_number_of_calls(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from attribution.cli import app

    outcome = CliRunner().invoke(app, ["sample", str(tmp_path / "new"), "--calls=-3"])

    assert outcome.exit_code == 2
    assert "`calls` was -3" in outcome.output
    assert not (tmp_path / "new").exists()
