"""Figures that stories are told by, what each fault touches, and the true lines of every bill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attribution.samples.article import is_gpt
from attribution.samples.bills import Bills, discounted, in_contract
from attribution.samples.company import FIRST_DAY, METERS, TIERS, Array, Company
from attribution.samples.exports.azure import overcharged
from attribution.samples.exports.invoices import PROVIDERS
from attribution.samples.faults import EVIDENCE, FAULTS
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.traffic import GPT_DAY, OK
from attribution.samples.truth import MONEY, usd
from attribution.samples.weeks import AFTER, BEFORE

UNOWNED = tuple(EVIDENCE.index(name) for name in ("rule", "none"))
AT_THE_CALL = tuple(EVIDENCE.index(name) for name in ("declared", "matched", "exclusive_key"))


class Facts:
    """Adds up, part by part, in whole numbers."""

    def __init__(self, faults: Set[str]) -> None:
        self._switches = faults
        self._sums: dict[tuple[str, str], int] = defaultdict(int)
        self._faults: dict[tuple[str, str], list[int]] = {}

    def add(self, page: Page, company: Company) -> None:
        """Add one part."""
        calls = page.calls
        months = np.array(page["month"])
        for month in np.unique(months).tolist():
            self._add_month(calls, months == month, month)
        support = company.team_of_workflow()[calls["workflow"]] == company.team_names.index("support")
        of_day = calls["day"] == (GPT_DAY - FIRST_DAY).days
        gpt = is_gpt(calls, company) & of_day
        if gpt.any():
            self._add("gpt_cost", str(GPT_DAY), calls["cost"][gpt])
            self._add("support_gpt_cost", str(GPT_DAY), calls["cost"][gpt & support])
        for monday in (BEFORE, AFTER):
            week = calls["day"] - (monday - FIRST_DAY).days
            mine = support & (week >= 0) & (week < 7)
            if mine.any():
                self._add_week(calls, mine, company, "{}-W{:02}".format(*monday.isocalendar()[:2]))
        self._add_faults(page)

    def _add_month(self, calls: dict[str, Array], rows: Array, month: str) -> None:
        seen, evidence = np.maximum(calls["seen_cost"], 0), calls["evidence"]
        self._add("list_cost", month, calls["cost"][rows])
        self._add("billed_cost", month, calls["billed"][rows])
        self._add("seen_list_cost", month, seen[rows])
        self._add("unowned", month, seen[rows & np.isin(evidence, UNOWNED)])
        self._add("recovered_by_rule", month, seen[rows & (evidence == EVIDENCE.index("rule"))])
        self._add("not_declared", month, seen[rows & ~np.isin(evidence, AT_THE_CALL)])
        self._sums["calls", month] += int(rows.sum())

    def _add(self, name: str, period: str, pico: Array) -> None:
        self._sums[name, period] += int(pico.sum())

    def _add_week(self, calls: dict[str, Array], support: Array, company: Company, week: str) -> None:
        """Add what tells why Support's spend jumped."""
        self._add("support_cost", week, calls["cost"][support])
        self._add("support_contracted_cost", week, discounted(calls, company, in_contract(self._switches))[support])
        counts = {
            "support_requests": len(np.unique(calls["request"][support])),
            "support_calls": int((support & (calls["attempt"] == 1)).sum()),
            "support_later_attempts": int((support & (calls["attempt"] > 1)).sum()),
            "support_answers": int((support & (calls["status"] == OK)).sum()),
            "support_gpt5_answers": int((support & (calls["deployment"] == company.deployment("gpt-5"))).sum()),
            "support_input_tokens": int(calls["input"][support].sum()),
            "support_output_tokens": int(calls["output"][support].sum()),
        }
        for name, count in counts.items():
            self._sums[name, week] += count

    def _add_faults(self, page: Page) -> None:
        costs, months = page.calls["cost"].tolist(), page["month"]
        for row, names in enumerate(page["faults"]):
            for name in names:
                month = months[row]
                total = self._faults.setdefault((name, month), [0, 0, page.first + row])
                total[0] += 1
                total[1] += costs[row]

    def write(self, folder: Folder, bills: Bills, month_usd: float) -> None:
        """Write truth/facts.parquet and truth/faults.parquet."""
        rows = [
            {
                "fact": name,
                "period": period,
                "unit": _unit(name),
                "value": usd(v) if _is_money(name) else usd(v * 10**12),
            }
            for (name, period), v in sorted(self._sums.items())
        ]
        rows.append(
            {"fact": "month_bill_target", "period": "2026-10", "unit": "USD", "value": usd(round(month_usd * 10**12))}
        )
        schema = pa.schema([("fact", pa.string()), ("period", pa.string()), ("unit", pa.string()), ("value", MONEY)])
        _write(folder, "truth/facts.parquet", rows, schema)
        schema = pa.schema(
            [
                ("fault", pa.string()),
                ("month", pa.string()),
                ("description", pa.string()),
                ("calls", pa.int64()),
                ("list_cost", MONEY),
                ("first_call_no", pa.int64()),
                ("bill_lines", pa.int64()),
                ("bill_amount", MONEY),
            ]
        )
        _write(folder, "truth/faults.parquet", [*self._fault_rows(bills)], schema)

    def _fault_rows(self, bills: Bills) -> list[dict[str, Any]]:
        on_bills = bill_faults(bills)
        keys = sorted({*self._faults, *on_bills})
        rows = []
        for fault, month in keys:
            struck = self._faults.get((fault, month))
            count, pico = struck[:2] if struck else (0, 0)
            lines, amount = on_bills.get((fault, month), (0, 0))
            rows.append(
                {
                    "fault": fault,
                    "month": month,
                    "description": FAULTS[fault],
                    "calls": count,
                    "list_cost": usd(pico),
                    "first_call_no": struck[2] if struck else None,
                    "bill_lines": lines,
                    "bill_amount": usd(amount),
                }
            )
        return rows


def bill_faults(bills: Bills) -> dict[tuple[str, str], tuple[int, int]]:
    """Return lines and dollars of the faults that strike bills: by fault and month."""
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def note(fault: str, month: str, pico: int) -> None:
        found[fault, month][0] += 1
        found[fault, month][1] += pico

    for row in bill_rows(bills):
        fault = {"tax": "tax_and_credits", "credit": "tax_and_credits", "adjustment": "corrected_bill"}.get(
            row["category"]
        )
        if row["category"] in ("storage", "session"):
            fault = "storage_and_sessions"
        if row["category"] == "purchase":
            fault = "prepaid_drawdown"
        if fault:
            note(fault, row["month"], row["pico"])
    if "corrected_bill" in bills.faults and (wrong := overcharged(bills)):
        note("corrected_bill", "2026-09", wrong)
    if "discount_missing" in bills.faults:
        for cell in bills.of("anthropic"):
            granted = sum(cell.list_pico) - sum(cell.billed_pico)
            if granted:
                note("discount_missing", f"{cell.day:%Y-%m}", -granted)
    return {key: (lines, pico) for key, (lines, pico) in found.items()}


def bill_rows(bills: Bills) -> list[dict[str, Any]]:
    """Return every true line of every bill, by day and meter; usage is what calls caused."""
    rows = []
    for provider in PROVIDERS:
        for cell in bills.of(provider):
            for n, meter in enumerate(METERS):
                if cell.quantities[n]:
                    rows.append(
                        _bill_row(provider, cell.day, f"{cell.day:%Y-%m}", "usage", cell.billed_pico[n])
                        | {
                            "model": bills.company.deployments[cell.deployment].answered_as,
                            "service_tier": TIERS[cell.tier],
                            "is_direct": cell.is_direct,
                            "is_long": cell.is_long,
                            "meter": meter,
                            "quantity": cell.quantities[n],
                            "requests": cell.requests,
                            "list_pico": cell.list_pico[n],
                        }
                    )
        others = [*bills.extras(provider), *bills.credits(provider), *bills.corrections(provider)]
        others += [e for month in bills.months() for e in bills.charges(provider, month)]
        for extra in others:
            rows.append(
                _bill_row(provider, extra.day, bills.invoiced_in(extra), extra.category, extra.pico)
                | {"description": extra.words}
            )
        for month in bills.months():
            if bills.is_prepaid(provider) and bills.purchase(month):
                first = date.fromisoformat(f"{month}-01")
                rows.append(_bill_row(provider, first, month, "purchase", bills.purchase(month)))
    return rows


def _bill_row(provider: str, day: date, month: str, category: str, pico: int) -> dict[str, Any]:
    return {"provider": provider, "day": day, "month": month, "category": category, "pico": pico}


def write_bill_truth(bills: Bills, folder: Folder) -> None:
    """Write truth/bills.parquet."""
    schema = pa.schema(
        [
            ("provider", pa.string()),
            ("day", pa.date32()),
            ("month", pa.string()),
            ("category", pa.string()),
            ("model", pa.string()),
            ("service_tier", pa.string()),
            ("is_direct", pa.bool_()),
            ("is_long", pa.bool_()),
            ("meter", pa.string()),
            ("quantity", pa.int64()),
            ("requests", pa.int64()),
            ("list_cost", MONEY),
            ("billed_cost", MONEY),
            ("description", pa.string()),
        ]
    )
    rows = [
        row | {"billed_cost": usd(row["pico"]), "list_cost": usd(row["list_pico"]) if "list_pico" in row else None}
        for row in bill_rows(bills)
    ]
    _write(folder, "truth/bills.parquet", rows, schema)


def write_change_truth(rows: list[dict[str, Any]], folder: Folder) -> None:
    """Write truth/changes.parquet: what each planted change cost at list price, by driver."""
    names = ("change", "description", "owner_team", "workflow_id", "before", "after", "driver")
    schema = pa.schema([*((name, pa.string()) for name in names), ("effect", MONEY)])
    _write(folder, "truth/changes.parquet", [row | {"effect": usd(row["effect"])} for row in rows], schema)


def _write(folder: Folder, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    table = pa.Table.from_pylist([{field.name: row.get(field.name) for field in schema} for row in rows], schema)
    pq.write_table(table, folder.path(name), compression="zstd", store_schema=False)


def _is_money(fact: str) -> bool:
    return fact.endswith("_cost") or fact in ("unowned", "recovered_by_rule", "not_declared")


def _unit(fact: str) -> str:
    return "USD" if _is_money(fact) else "tokens" if fact.endswith("_tokens") else "1"
