"""Exports: every file adds up to the ledger, whoever adds it; text harms nobody; a file is whole or not there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.exports import files, focus
from attribution.ledger import Ledger
from attribution.showing import is_missing
from tests import focus_judge
from tests.examples import identity, insert, observed, seen

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


def test_every_focus_file_adds_up_to_the_ledger_in_a_second_tool(acme: Ledger, tmp_path: Path) -> None:
    at.export(acme, tmp_path / "focus.csv", "focus-1.2", period="2026-09")

    teams = acme.rows(
        """
        select coalesce(team_cost.owner_team, ''), sum(team_cost.list_cost)
        from team_cost join cost_event using (event_id)
        where strftime(started_at, '%Y-%m') = '2026-09' group by 1 order by 1
        """
    )
    assert len(teams) > 5
    for team, cost in teams:
        assert add_up(tmp_path / "focus.csv", "ListCost", ChargeCategory="Usage", x_OwnerTeam=team) == cost


def test_months_add_up_to_all_time(acme: Ledger) -> None:
    whole = focus.total(pa.Table.from_pandas(at.focus_rows(acme)), "ListCost")
    months = [focus.total(pa.Table.from_pandas(at.focus_rows(acme, f"2026-{m:02}")), "ListCost") for m in (8, 9, 10)]

    assert whole == sum(months) == acme.value("select sum(list_cost) from cost_event")


def test_a_row_is_one_team_price_and_day(acme: Ledger) -> None:
    keys = [(row["x_OwnerTeam"], row["SkuPriceId"], row["ChargePeriodStart"]) for row in rows(acme, "2026-10")]

    assert len(set(map(str, keys))) == len(keys)


def test_list_and_contracted_cost_are_price_times_quantity(acme: Ledger) -> None:
    for row in rows(acme, "2026-10"):
        assert abs(row["ListUnitPrice"] * row["PricingQuantity"] - row["ListCost"]) <= PICO * 1000
        assert abs(row["ContractedUnitPrice"] * row["PricingQuantity"] - row["ContractedCost"]) <= PICO * 1000


def test_a_price_has_one_sku_and_a_negotiated_price_shows(acme: Ledger) -> None:
    found = [row for row in rows(acme, "2026-10") if row["ProviderName"] == "aws"]

    assert all(row["ContractedUnitPrice"] * 100 == row["ListUnitPrice"] * 94 for row in found)
    skus = {(row["SkuPriceId"], row["SkuId"]) for row in rows(acme)}
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
    for name in ("a.parquet", "b.parquet", "a.csv", "b.csv"):
        at.export(acme, tmp_path / name, period="2026-10")

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
    residual(ledger, "tax", "tax", "0.07")
    residual(ledger, "credit", "credit", "-0.05")
    residual(ledger, "purchase", "purchase", "25")
    found = rows(ledger, "2026-10")

    assert sum(row["BilledCost"] for row in found) == Decimal("25.35")
    assert {row["x_CostBasis"] for row in found} == {"billed", "not billed"}
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
