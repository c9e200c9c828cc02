"""Google Cloud Billing export rows (standard usage cost), as JSON Lines out of BigQuery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from attribution.samples.bills import Bills, Cell
from attribution.samples.company import METERS
from attribution.samples.files import Folder

ACCOUNT = "01ACME-5D2E71-9C40B8"
PROJECTS = {False: ("acme-prod", "412200331907"), True: ("acme-research", "412200338816")}
_SKUS = {
    "input": ("{0} GA {1}Text Input - Predictions", "1"),
    "cache_read": ("{0} GA {1}Input Text Caching", "2"),
    "output": ("{0} GA {1}Text Output - Predictions", "3"),
}


def write_google(bills: Bills, folder: Folder) -> None:
    """Write the rows of each invoice month; the month is the one in Los Angeles."""
    files: dict[str, list[str]] = {}
    for cell in bills.of("google", hourly=True):
        for row in _rows(bills, cell):
            files.setdefault(row["invoice"]["month"], []).append(json.dumps(row))
    for extra in [*bills.extras("google"), *bills.corrections("google")]:
        row = _other(extra.day, extra.words, extra.category, extra.pico)
        files.setdefault(row["invoice"]["month"], []).append(json.dumps(row))
    for month, lines in sorted(files.items()):
        folder.lines(f"data/google/billing_export_{month[:4]}-{month[4:]}.jsonl", lines)


def invoice_month(moment: datetime) -> str:
    """Return the invoice month: the calendar month in Los Angeles, seven hours behind in these months."""
    return f"{moment - timedelta(hours=7):%Y%m}"


def _rows(bills: Bills, cell: Cell) -> Iterator[dict[str, Any]]:
    name = bills.company.deployments[cell.deployment].name
    title = {"gemini-2.5-flash": "Gemini 2.5 Flash", "gemini-2.5-pro": "Gemini 2.5 Pro"}[name]
    begin = datetime(cell.day.year, cell.day.month, cell.day.day, cell.hour, tzinfo=UTC)
    for meter, quantity, pico in zip(METERS, cell.quantities, cell.billed_pico, strict=True):
        if quantity:
            words, digit = _SKUS[meter]
            sku = f"{'F1A5' if 'flash' in name else '9B0C'}-{'00A' if cell.is_long else '001'}{digit}"
            yield _row(begin, cell.is_direct, sku, words.format(title, "Long " if cell.is_long else ""), quantity, pico)


def _row(begin: datetime, is_direct: bool, sku: str, words: str, quantity: int, pico: int) -> dict[str, Any]:
    project, number = PROJECTS[is_direct]
    labels = [{"key": "team", "value": "research"}] if is_direct else []
    return {
        "billing_account_id": ACCOUNT,
        "invoice": {"month": invoice_month(begin)},
        "cost_type": "regular",
        "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
        "sku": {"id": sku, "description": words},
        "usage_start_time": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
        "usage_end_time": f"{begin + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "project": {"id": project, "number": number, "name": project, "labels": []},
        "labels": labels,
        "system_labels": [],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": None},
        "cost": pico / 1e12,
        "currency": "USD",
        "currency_conversion_rate": 1,
        "usage": {"amount": quantity, "unit": "count", "amount_in_pricing_units": quantity, "pricing_unit": "count"},
        "credits": [],
        "transaction_type": "GOOGLE",
        "export_time": f"{begin + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}",
    }


def _other(day: date, words: str, category: str, pico: int) -> dict[str, Any]:
    """Return a row that no call caused: cache storage, or a correction of an earlier month."""
    begin = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    row = _row(begin, False, "9B0C-0ST0", words, 0, pico)
    if category == "adjustment":
        row["cost_type"] = "adjustment"
        row["invoice"] = {"month": f"{day + timedelta(days=20):%Y%m}"}
        row["adjustment_info"] = {"id": "adj-1", "description": words, "type": "PRICE_CORRECTION", "mode": "MANUAL"}
        row["export_time"] = f"{day + timedelta(days=14)}T09:00:00Z"
    else:
        hours = 24 * 50_000
        row["usage"] = {"amount": hours, "unit": "count", "amount_in_pricing_units": hours, "pricing_unit": "count"}
    return row
