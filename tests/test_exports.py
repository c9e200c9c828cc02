"""Exports: every file adds up to the ledger, whoever adds it; text harms nobody; a file is whole or not there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.allocation import Rules
from attribution.allocation.reading import parse_rules
from attribution.closing import book_dispute
from attribution.exports import files, focus
from attribution.ledger import Ledger
from attribution.showing import is_missing
from tests import focus_judge
from tests.examples import FIXTURES, identity, insert, observed, seen

PICO = Decimal("0.000000000001")
HOSTILE = '=HYPERLINK("http://x.example","y")'


def add_up(path: Path, column: str, **where: str) -> Decimal:
    """Add a column of a CSV file up: the second tool, which knows nothing of ours."""
    total = Decimal(0)
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if all(row[name] == value for name, value in where.items()):
                total += Decimal(row[column] or "0")
    return total


def priced(*said: dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    """Return a ledger of these records after every step."""
    ledger = observed(*said, **tables)
    at.match(ledger)
    at.resolve_owners(ledger)
    at.price_events(ledger)
    return ledger


def call(name: str, **columns: Any) -> dict[str, Any]:
    return seen(name, response_id=name, **({"owner_team": "support", "workflow_id": "w", "feature": "f"} | columns))


def event_of(ledger: Ledger, name: str) -> Any:
    return ledger.value("select event_id from cost_event where response_id = $name", {"name": name})


def billed(ledger: Ledger, month: str = "2026-10", invoice: str | None = "INV-1", **costs: str) -> None:
    """Write down by hand what the true-up spreads: the billed dollars of each call."""
    rows = [
        {
            "event_id": event_of(ledger, name),
            "billed_cost": Decimal(cost),
            "effective_cost": Decimal(cost),
            "billed_period": month,
        }
        for name, cost in costs.items()
    ]
    insert(ledger, "event_bill", rows)
    total = sum((row["billed_cost"] for row in rows), Decimal(0))
    insert(
        ledger,
        "trued_up",
        [
            {
                "period": month,
                "provider": "openai",
                "status": "final",
                "invoice_id": invoice,
                "billed_cost": total,
                "effective_cost": total,
                "event_billed_cost": total,
                "event_effective_cost": total,
                "residual_billed_cost": Decimal(0),
                "residual_effective_cost": Decimal(0),
                "events": len(rows),
                "fingerprint": "by hand",
            }
        ],
    )


def residual(ledger: Ledger, cause: str, category: str, cost: str, month: str = "2026-10") -> None:
    row = {
        "residual_id": identity(cause + cost),
        "period": month,
        "provider": "openai",
        "cause": cause,
        "category": category,
        "billed_cost": Decimal(cost),
        "effective_cost": Decimal(0) if category == "purchase" else Decimal(cost),
        "bill_lines": [],
    }
    insert(ledger, "residual_line", [row])


def rows(ledger: Ledger, period: str | None = None, **options: Any) -> list[dict[str, Any]]:
    return [
        {name: None if is_missing(value) else value for name, value in row.items()}
        for row in at.focus_rows(ledger, period, **options).to_dict("records")
    ]


@pytest.fixture(scope="module")
def acme() -> Iterator[Ledger]:
    config = at.sample_path("acme/config/attribution.yaml")
    with at.build_ledger(at.sample_path("acme/data"), config=config, quiet=True) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def october(acme: Ledger) -> list[dict[str, Any]]:
    return rows(acme, "2026-10")


def test_every_focus_file_adds_up_to_the_ledger_in_a_second_tool(acme: Ledger, tmp_path: Path) -> None:
    at.export(acme, tmp_path / "focus.csv")

    costs = ("list_cost", "contracted_cost", "billed_cost", "effective_cost")
    names = ("ListCost", "ContractedCost", "BilledCost", "EffectiveCost")
    teams = acme.rows(
        f"""
        select coalesce(team_cost.owner_team, ''), {", ".join(f"sum(team_cost.{cost})" for cost in costs)}
        from team_cost join cost_event using (event_id) where price_status = 'priced' group by 1 order by 1
        """
    )
    assert len(teams) > 5
    for team, *sums in teams:
        for name, cost in zip(names, sums, strict=True):
            assert add_up(tmp_path / "focus.csv", name, x_PriceStatus="priced", x_OwnerTeam=team) == cost


def test_the_file_of_a_month_adds_up_to_its_invoices_in_a_second_tool(acme: Ledger, tmp_path: Path) -> None:
    at.export(acme, tmp_path / "focus.csv", period="2026-10")

    invoices = acme.rows("select invoice_id, billed_cost from trued_up where period = '2026-10' order by 1")
    assert len(invoices) == 5
    for invoice, cost in invoices:
        assert add_up(tmp_path / "focus.csv", "BilledCost", InvoiceId=invoice) == cost


def test_months_add_up_to_all_time(acme: Ledger) -> None:
    whole, *months = (
        focus.total(focus.rows_of(acme, chosen), "EffectiveCost")
        for chosen in (None, ["2026-07"], ["2026-08"], ["2026-09"], ["2026-10"])
    )

    assert whole == sum(months) == acme.value("select sum(effective_cost) from trued_up")


def test_a_row_is_one_team_price_and_day(october: list[dict[str, Any]]) -> None:
    names = ("x_OwnerTeam", "SkuPriceId", "ChargePeriodStart")
    keys = [tuple(row[name] for name in names) for row in october if row["x_ResidualCause"] is None]

    assert len(set(keys)) == len(keys)
    assert len({row["x_ChargeId"] for row in october}) == len(october)


def test_list_and_contracted_cost_are_price_times_quantity(october: list[dict[str, Any]]) -> None:
    for row in october:
        if row["PricingQuantity"] is None:
            assert row["ChargeCategory"] in ("Tax", "Credit", "Adjustment")
            continue
        assert abs(row["ListUnitPrice"] * row["PricingQuantity"] - row["ListCost"]) <= PICO * 1000
        assert abs(row["ContractedUnitPrice"] * row["PricingQuantity"] - row["ContractedCost"]) <= PICO * 1000


def test_a_price_has_one_sku_and_a_negotiated_price_shows(october: list[dict[str, Any]]) -> None:
    found = [row for row in october if (row["ProviderName"], row["x_PriceStatus"]) == ("aws", "priced")]

    assert len(found) > 10
    assert all(row["ContractedUnitPrice"] * 100 == row["ListUnitPrice"] * 94 for row in found)
    skus = {(row["SkuPriceId"], row["SkuId"]) for row in october}
    assert len(skus) == len({price for price, _ in skus})


def test_money_stays_decimal_and_times_stay_utc_in_parquet(acme: Ledger, tmp_path: Path) -> None:
    done = at.export(acme, tmp_path / "focus.parquet", period="2026-10")
    schema = pq.read_schema(tmp_path / "focus.parquet")

    for column in focus.columns("1.2"):
        kind = schema.field(column.name).type
        assert kind == {"money": pa.decimal128(38, 12), "time": pa.timestamp("us", "UTC")}.get(column.type, kind)
        assert not pa.types.is_floating(kind)
    assert done.rows == pq.read_metadata(tmp_path / "focus.parquet").num_rows


def test_the_same_ledger_gives_the_same_bytes(acme: Ledger, tmp_path: Path) -> None:
    for name in ("a", "b"):
        table = focus.rows_of(acme, ["2026-10"])
        for kind in ("parquet", "csv"):
            files.write_table(table, tmp_path / f"{name}.{kind}", is_guarded=False)

    for kind in ("parquet", "csv"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_what_has_no_dollars_has_no_row_and_is_counted() -> None:
    ledger = priced(call("a"), call("b", model="atlas-preview", requested_model="atlas-preview"))
    found = rows(ledger)

    assert {row["x_Model"] for row in found} == {"gpt-5-mini"}
    left = ledger.sql("from left_out").to_dict("records")
    assert [(row["model"], row["calls"], row["input_tokens"]) for row in left] == [("atlas-preview", 1, 1000)]


def test_before_the_invoice_what_will_be_billed_stands_at_negotiated_price() -> None:
    (row, _) = rows(priced(call("a")))

    assert row["x_CostBasis"] == "accrual"
    assert row["BilledCost"] == row["EffectiveCost"] == row["ContractedCost"] == Decimal("0.00025")
    assert row["InvoiceId"] is None


def test_once_billed_the_file_adds_up_to_the_invoice() -> None:
    ledger = priced(call("a"), call("b", owner_team="search"), call("c"))
    billed(ledger, a="0.10", b="0.23")
    for cause, cost in {"tax": "0.07", "credit": "-0.05", "purchase": "25"}.items():
        residual(ledger, cause, cause, cost)
    found = rows(ledger, "2026-10")

    assert sum(row["BilledCost"] for row in found) == Decimal("25.35")
    assert {row["x_CostBasis"] for row in found} == {"billed"}
    assert {row["x_UnbilledCalls"] for row in found if row["x_OwnerTeam"] == "support"} == {1}
    assert {row["InvoiceId"] for row in found} == {"INV-1"}
    assert {row["ChargeCategory"] for row in found} == {"Usage", "Tax", "Credit", "Purchase"}
    by_team = {team: sum(r["BilledCost"] for r in found if r["x_OwnerTeam"] == team) for team in ("support", "search")}
    assert by_team == {"support": Decimal("0.10"), "search": Decimal("0.23")}


def test_a_call_that_only_the_invoice_prices_stands_at_what_was_billed() -> None:
    ledger = priced(call("a", model="atlas-preview", requested_model="atlas-preview"))
    billed(ledger, a="0.40")
    (row,) = rows(ledger)

    assert row["BilledCost"] == row["ListCost"] == row["ListUnitPrice"] * row["PricingQuantity"] == Decimal("0.40")
    assert row["x_PriceStatus"] == "unpriced"


def test_one_invoice_missing_leaves_no_row_with_one_and_says_them_beside() -> None:
    ledger = priced(call("a"), call("b", provider="anthropic", model="claude-haiku-4-5"))
    billed(ledger, a="0.10")
    found = rows(ledger)

    assert all(row["InvoiceId"] is None for row in found)
    assert {row["ProviderName"] for row in found if row["x_InvoiceId"] == "INV-1"} == {"openai"}


def test_a_shared_call_is_cut_exactly_along_teams_and_meters() -> None:
    ledger = priced(
        *(call(f"c{n}", input_tokens=1009 + 7 * n, output_tokens=13 + n, reasoning_tokens=3) for n in range(30))
    )
    shares = [("growth", 1), ("search", 2), (None, 4)]
    insert(
        ledger,
        "owner_share",
        [
            {"event_id": event, "owner_team": team, "part": part, "parts": 7, "reason": "shared_batch"}
            for (event,) in ledger.rows("select event_id from event order by event_id")
            for team, part in shares
        ],
    )
    billed(ledger, **{f"c{n}": f"0.{n:02}0000000001" for n in range(30)})
    found = rows(ledger)

    of_teams = dict(ledger.rows("select owner_team, sum(list_cost) from team_cost group by all"))
    of_meters = dict(ledger.rows("select meter, sum(list_cost) from line_item group by all"))
    words = {"Input Tokens": "input", "Output Tokens": "output", "Reasoning Output Tokens": "reasoning"}
    assert set(of_teams) == {"growth", "search", None}
    for team, cost in of_teams.items():
        assert sum(r["ListCost"] for r in found if r["x_OwnerTeam"] == team) == cost
    for meter, cost in of_meters.items():
        assert sum(r["ListCost"] for r in found if words[r["SkuMeter"]] == meter) == cost
    assert sum(r["BilledCost"] for r in found) == sum(Decimal(f"0.{n:02}0000000001") for n in range(30))
    assert sum(r["ConsumedQuantity"] for r in found) == sum(1009 + 7 * n + 13 + n for n in range(30))


def test_the_owner_stands_in_tags_and_columns_with_its_cost_center() -> None:
    team = {"team": "support", "cost_center": "CC-1", "account": "6410", "place": "teams.csv:2"}
    (row, _) = rows(priced(call("a"), team=[team]))

    assert json.loads(row["Tags"]) == {"owner_team": "support", "cost_center": "CC-1", "account": "6410"}
    assert (row["x_OwnerTeam"], row["x_CostCenter"], row["x_OwnerEvidence"]) == ("support", "CC-1", "declared")
    assert row["x_DeclaredCost"] == row["ListCost"]


def test_details_name_token_class_tier_and_context_band() -> None:
    long = call("a", provider="anthropic", model="claude-sonnet-4-5", input_tokens=300_000, cache_read_tokens=100_000)
    found = {row["SkuMeter"]: json.loads(row["SkuPriceDetails"]) for row in rows(priced(long))}

    assert found["Cache Read Input Tokens"] == {
        "x_ModelId": "claude-sonnet-4-5",
        "x_TokenDirection": "Input",
        "x_TokenCacheAction": "Read",
        "x_ServiceTier": "standard",
        "x_ContextBand": "over 200000 input tokens",
    }
    assert found["Output Tokens"]["x_TokenDirection"] == "Output"


def test_a_price_that_changes_in_the_day_gives_two_rows_with_one_price_each() -> None:
    terms = [
        {"contract_id": "d", "kind": "discount", "provider": "openai", "numerator": 90, "denominator": 100,
         "stack_order": 1, "valid_from": datetime(2026, 10, 5, 12, 30)},
    ]  # fmt: skip
    ledger = priced(call("a"), call("b", started_at=datetime(2026, 10, 5, 13)), contract=terms)
    found = [row for row in rows(ledger) if row["SkuMeter"] == "Input Tokens"]

    assert sorted(row["ContractedUnitPrice"] for row in found) == [Decimal("0.225"), Decimal("0.25")]
    assert all(row["ContractedUnitPrice"] * row["PricingQuantity"] == row["ContractedCost"] for row in found)


def test_focus_keeps_text_as_it_is_and_other_csv_does_not_run(tmp_path: Path) -> None:
    ledger = priced(call("a", owner_team=HOSTILE))
    at.export(ledger, tmp_path / "focus.csv")
    files.write_table(pa.table({"team": [HOSTILE, "-1", "ok"]}), tmp_path / "teams.csv")

    with (tmp_path / "focus.csv").open(encoding="utf-8", newline="") as lines:
        assert next(csv.DictReader(lines))["x_OwnerTeam"] == HOSTILE
    with (tmp_path / "teams.csv").open(encoding="utf-8", newline="") as lines:
        assert [row["team"] for row in csv.DictReader(lines)] == ["'" + HOSTILE, "'-1", "ok"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "focus.csv"
    target.write_text("old", encoding="utf-8")

    def fail() -> None:
        with files.replacing(target) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_no_float_is_ever_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="cost"):
        files.write_table(pa.table({"cost": [0.1]}), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period": "2026-W41"}, "whole months"),
        ({"period": "2026-10-05..2026-11-04"}, "whole months"),
        ({"kind": "focus-9"}, "focus-1.2"),
        ({"path": "focus.xlsx"}, ".csv or .parquet"),
        ({"path": "nowhere/focus.csv"}, "a folder that exists"),
    ],
)
def test_misuse_says_what_was_given_and_what_there_is(tmp_path: Path, options: dict[str, str], said: str) -> None:
    ledger = priced(call("a"))
    path = tmp_path / options.pop("path", "focus.csv")

    with pytest.raises(at.QuestionError, match=said):
        at.export(ledger, path, **options)


def test_the_judge_counts_rules_and_names_what_is_broken(tmp_path: Path) -> None:
    cases = [f'<testcase name="R-{n} :: x"/>' for n in range(focus_judge.FEWEST_RULES)]
    report = tmp_path / "report.xml"

    def verdict(*extra: str) -> focus_judge.Verdict:
        report.write_text(f"<s>{''.join([*cases, *extra])}</s>", encoding="utf-8")
        return focus_judge.read_report(report)

    assert verdict().code == 0
    assert verdict('<testcase name="InvoiceId-C-004-C :: x"><failure message="m"/></testcase>').code == 0
    broken = verdict('<testcase name="BilledCost-C-001-M :: x"><error message="m"/></testcase>')
    assert (broken.code, broken.broken) == (1, [("BilledCost-C-001-M", "m")])
    cases.pop()
    assert verdict('<testcase name="S :: x"><skipped/></testcase>').code == 1


def test_of_a_partly_priced_call_the_priced_meters_stand_and_the_call_is_counted() -> None:
    ledger = priced(call("a"))
    ledger.run("update event set other_usage = map {'mystery': 3}")
    at.price_events(ledger)
    found = rows(ledger)
    (part,) = ledger.rows("select priced_part from cost_event where price_status = 'partial'")[0]

    assert {row["x_PriceStatus"] for row in found} == {"partial"}
    assert sum(row["ListCost"] for row in found) == part > 0
    assert ledger.rows("select calls, priced_part from left_out") == [(1, part)]


RULES = """
pools:
  - pool: guard
    calls: {workflow_id: guard}
    method: driver
    driver: tokens
  - pool: taxes
    bill: {category: tax}
    method: proportional
unattributed: {method: even}
"""
METRICS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity")


def shared_company() -> Ledger:
    """Three teams, a guard that serves them, a call that nobody owns, and a taxed invoice."""
    ledger = priced(
        call("a", input_tokens=1001),
        call("b", owner_team="search", input_tokens=2003),
        call("c", owner_team="growth", input_tokens=307),
        call("g", owner_team="platform", workflow_id="guard", input_tokens=5009),
        call("u", owner_team=None, input_tokens=7001),
        team=[{"team": "search", "cost_center": "CC-2", "account": "6420", "place": "teams.csv:3"}],
    )
    billed(ledger, a="0.10", b="0.20", c="0.03", g="0.50", u="0.70")
    residual(ledger, "tax", "tax", "0.11")
    ledger.run("update trued_up set billed_cost = 1.64, effective_cost = 1.64, residual_billed_cost = 0.11")
    return ledger


@pytest.fixture(scope="module")
def company() -> Iterator[Ledger]:
    with shared_company() as ledger:
        yield ledger


def given() -> Rules:
    return parse_rules(RULES, Path("rules.yaml"))


def test_the_parts_of_a_split_charge_add_up_to_their_origin(company: Ledger) -> None:
    origins = {row["x_ChargeId"]: row for row in rows(company, "2026-10")}
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in rows(company, "2026-10", version="1.3", rules=given()):
        parts.setdefault(row["x_ChargeId"], []).append(row)
    split = {key: found for key, found in parts.items() if found[0]["AllocatedMethodId"] is not None}

    assert {found[0]["AllocatedMethodId"] for found in split.values()} == {
        "guard/driver",
        "taxes/proportional",
        "unowned/even",
    }
    for key, found in split.items():
        assert len({row["AllocatedResourceId"] for row in found}) == len(found) > 1
        assert {row["ResourceId"] for row in found} == {f"pool/{found[0]['x_Pool']}"}
        assert {row["Tags"] for row in found} == {origins[key]["Tags"]}
    assert parts.keys() == origins.keys()
    for key, found in parts.items():
        for metric in METRICS:
            assert sum((row[metric] or 0 for row in found), Decimal(0)) == (origins[key][metric] or 0)


def test_both_versions_add_up_to_the_same_invoice(company: Ledger) -> None:
    sums = [
        sum(row["BilledCost"] for row in rows(company, "2026-10", **options))
        for options in ({}, {"version": "1.3", "rules": given()}, {"version": "1.3"})
    ]

    assert sums == [Decimal("1.64")] * 3


def test_what_each_team_bears_in_the_file_is_its_statement(company: Ledger) -> None:
    stated = at.charge_back(company, "2026-10", given()).statements
    found = rows(company, "2026-10", version="1.3", rules=given())
    for row in stated.to_dict("records"):
        team = row["owner_team"]
        borne = sum(
            (r["EffectiveCost"] for r in found if (r["AllocatedResourceId"] or r["x_OwnerTeam"]) == team), Decimal(0)
        )
        assert abs(borne - row["amount"]) <= PICO * len(found)


def test_without_rules_nothing_is_split(company: Ledger) -> None:
    assert {row["AllocatedMethodId"] for row in rows(company, "2026-10", version="1.3")} == {None}


def test_details_follow_the_schema_and_ratios_make_one(company: Ledger) -> None:
    schema = json.loads((FIXTURES / "focus" / "allocatedmethoddetailsobjectschema.json").read_text(encoding="utf-8"))
    sums: dict[tuple[str, str], Decimal] = {}
    for row in rows(company, "2026-10", version="1.3", rules=given()):
        if row["AllocatedMethodId"] is not None:
            jsonschema.validate(json.loads(row["AllocatedMethodDetails"]), schema)
            (element,) = json.loads(row["AllocatedMethodDetails"], parse_float=Decimal, parse_int=Decimal)["Elements"]
            key = (row["x_ChargeId"], row["AllocatedMethodId"])
            sums[key] = sums.get(key, Decimal(0)) + element["AllocatedRatio"]
            if row["x_Pool"] == "guard":
                assert (element["UsageUnit"], element["x_Driver"]) == ("Tokens", "tokens")
            assert json.loads(row["AllocatedTags"])["owner_team"] == row["AllocatedResourceId"]

    assert set(sums.values()) == {Decimal(1)}


def test_an_allocated_dollar_is_never_a_declared_one(company: Ledger) -> None:
    for row in rows(company, "2026-10", version="1.3", rules=given()):
        if row["x_Pool"] == "unowned":
            assert (row["x_OwnerTeam"], row["Tags"], row["x_DeclaredCost"]) == (None, None, 0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_statement_files_add_up_to_the_invoice_to_the_cent(company: Ledger, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"statements.{kind}"
    done = at.export(company, path, kind, period="2026-10", rules=given())

    if kind == "csv":
        assert add_up(path, "cents") == Decimal("1.64")
        assert add_up(path, "amount") == Decimal("1.64")
        assert add_up(path, "cents", owner_team="search", cost_center="CC-2") > 0
    else:
        assert pq.read_schema(path).field("amount").type == pa.decimal128(38, 12)
        assert sum(pq.read_table(path)["cents"].to_pylist()) == Decimal("1.64")
    assert done.sums == {"amount": Decimal("1.64"), "cents": Decimal("1.64")}


def test_the_journal_balances_to_zero_and_owes_the_provider_its_invoice(company: Ledger, tmp_path: Path) -> None:
    at.export(company, tmp_path / "journal.csv", "journal", period="2026-10", rules=given())

    debit, credit = (add_up(tmp_path / "journal.csv", side) for side in ("debit", "credit"))
    assert debit - credit == 0
    assert add_up(tmp_path / "journal.csv", "credit", account="Payable to openai") == Decimal("1.64")
    assert add_up(tmp_path / "journal.csv", "debit", account="6420", cost_center="CC-2") > 0


def test_a_moved_charge_balances_in_an_entry_of_its_own(tmp_path: Path) -> None:
    ledger = shared_company()
    at.close_period(ledger, "2026-10", given())
    book_dispute(
        ledger, dispute_id="D-1", for_period="2026-10", from_team="search", to_team="growth", amount=Decimal("0.05"),
        reason="agreed", reviewer="finops",
    )  # fmt: skip
    at.export(ledger, tmp_path / "journal.csv", "journal", period="2026-11", rules=given())

    path = tmp_path / "journal.csv"
    assert add_up(path, "debit") == add_up(path, "credit") == Decimal("0.05")
    assert add_up(path, "credit", account="6420") == Decimal("0.05")


def test_statements_need_a_period_and_a_file_of_their_kind(company: Ledger, tmp_path: Path) -> None:
    with pytest.raises(at.QuestionError, match="the period of the statements"):
        at.export(company, tmp_path / "s.csv", "csv")
    with pytest.raises(at.QuestionError, match=r"ends in .parquet, for parquet"):
        at.export(company, tmp_path / "s.csv", "parquet", period="2026-10")
