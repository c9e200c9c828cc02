"""AWS CUR 2.0 in Parquet: Claude as Marketplace rows in millions, Nova as service rows in thousands of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.samples.bills import Bills, Cell
from attribution.samples.company import METERS
from attribution.samples.exports.bedrock import ACCOUNT
from attribution.samples.files import Folder

EXPORT = "acme-cur2"
_MAP = pa.map_(pa.string(), pa.string())
_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        ("identity_line_item_id", pa.string()),
        ("bill_billing_entity", pa.string()),
        ("bill_billing_period_start_date", _TIME),
        ("bill_billing_period_end_date", _TIME),
        ("bill_invoice_id", pa.string()),
        ("bill_payer_account_id", pa.string()),
        ("line_item_usage_start_date", _TIME),
        ("line_item_usage_end_date", _TIME),
        ("line_item_usage_account_id", pa.string()),
        ("line_item_line_item_type", pa.string()),
        ("line_item_line_item_description", pa.string()),
        ("line_item_product_code", pa.string()),
        ("line_item_operation", pa.string()),
        ("line_item_usage_type", pa.string()),
        ("line_item_usage_amount", pa.float64()),
        ("line_item_unblended_cost", pa.float64()),
        ("line_item_net_unblended_cost", pa.float64()),
        ("line_item_currency_code", pa.string()),
        ("line_item_iam_principal", pa.string()),
        ("line_item_resource_id", pa.string()),
        ("pricing_unit", pa.string()),
        ("pricing_public_on_demand_cost", pa.float64()),
        ("product_product_family", pa.string()),
        ("product_region_code", pa.string()),
        ("product", _MAP),
        ("tags", _MAP),
    ]
)
_MARKETPLACE = {
    "input": "InputTokenCount",
    "cache_read": "CacheReadInputTokenCount",
    "cache_write_5m": "CacheWriteInputTokenCount",
    "cache_write_1h": "CacheWrite1hInputTokenCount",
    "output": "OutputTokenCount",
}
_SERVICE = {"input": "input-tokens", "output": "output-tokens", "cache_read": "cache-read-input-token-count"}
_PRODUCTS = {
    "sonnet": ("Claude Sonnet 4.5", "3fk0q1m7acmesonnet45example"),
    "haiku": ("Claude Haiku 4.5", "9xw2r6t8acmehaiku45example"),
}


def write_cur(bills: Bills, folder: Folder) -> None:
    """Write each month's partition and its manifest."""
    cells = bills.of("aws")
    for month in bills.months():
        rows = [row for cell in cells if f"{cell.day:%Y-%m}" == month for row in _rows(bills, cell)]
        rows += [
            _charge(month, extra.words, extra.category, extra.pico, extra.day) for extra in bills.charges("aws", month)
        ]
        for number, row in enumerate(rows):
            row["identity_line_item_id"] = f"{month.replace('-', '')}{number:012d}"
        table = pa.Table.from_pylist(rows, SCHEMA)
        name = f"{EXPORT}-00001.snappy.parquet"
        path = folder.path(f"data/aws/cur2/data/BILLING_PERIOD={month}/{name}")
        pq.write_table(table, path, compression="snappy", store_schema=False)
        s3 = f"s3://acme-billing/exports/{EXPORT}/data/BILLING_PERIOD={month}/{name}"
        after = _first_of_next(month) + timedelta(days=4)
        folder.json(
            f"data/aws/cur2/metadata/BILLING_PERIOD={month}/{EXPORT}-Manifest.json",
            {
                "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{ACCOUNT}:export/{EXPORT}",
                "exportName": EXPORT,
                "billingPeriod": month,
                "dataFiles": [s3],
                "submittedTime": f"{after}T04:12:09Z",
            },
        )


def _rows(bills: Bills, cell: Cell) -> Iterator[dict[str, Any]]:
    deployment = bills.company.deployments[cell.deployment]
    is_claude = "claude" in deployment.name
    for meter, quantity, listed, billed in zip(METERS, cell.quantities, cell.list_pico, cell.billed_pico, strict=True):
        if not quantity:
            continue
        row = _base(cell.day, "Usage")
        if is_claude:
            title, code = next(product for key, product in _PRODUCTS.items() if key in deployment.name)
            row |= {
                "bill_billing_entity": "AWS Marketplace",
                "line_item_product_code": code,
                "line_item_usage_type": f"USE1-MP:USE1_{_MARKETPLACE[meter]}-Units",
                "line_item_usage_amount": quantity / 1_000_000,
                "pricing_unit": "Units",
                "pricing_public_on_demand_cost": 0.0,
                "product": [
                    ("product_name", f"{title} (Amazon Bedrock Edition)"),
                    ("provider", "Anthropic"),
                    ("model", title),
                ],
                "line_item_line_item_description": f"AWS Marketplace hourly usage | {title} {_MARKETPLACE[meter]}",
            }
        else:
            row |= {
                "line_item_usage_type": f"USE1-NovaLite-{_SERVICE[meter]}",
                "line_item_usage_amount": quantity / 1_000,
                "pricing_unit": "1K tokens",
                "pricing_public_on_demand_cost": listed / 1e12,
                "product": [("servicecode", "AmazonBedrock"), ("provider", "Amazon"), ("model", "Nova Lite")],
                "line_item_line_item_description": f"Nova Lite {_SERVICE[meter]}",
            }
        row["line_item_unblended_cost"] = listed / 1e12
        row["line_item_net_unblended_cost"] = billed / 1e12
        row["line_item_iam_principal"] = deployment.upstream_key
        yield row


def _charge(month: str, words: str, category: str, pico: int, day: date) -> dict[str, Any]:
    """Return a tax or credit row: no usage type, no principal."""
    row = _base(day, {"tax": "Tax", "credit": "Credit"}[category])
    row |= {
        "line_item_line_item_description": words,
        "line_item_operation": "",
        "line_item_usage_amount": 0.0,
        "line_item_unblended_cost": pico / 1e12,
        "line_item_net_unblended_cost": pico / 1e12,
        "pricing_public_on_demand_cost": 0.0,
        "product": [],
    }
    return row


def _base(day: date, kind: str) -> dict[str, Any]:
    month = f"{day:%Y-%m}"
    return {
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": _at(day.replace(day=1)),
        "bill_billing_period_end_date": _at(_first_of_next(month)),
        "bill_invoice_id": f"AWS-{month}",
        "bill_payer_account_id": ACCOUNT,
        "line_item_usage_start_date": _at(day),
        "line_item_usage_end_date": _at(day + timedelta(days=1)),
        "line_item_usage_account_id": ACCOUNT,
        "line_item_line_item_type": kind,
        "line_item_product_code": "AmazonBedrock",
        "line_item_operation": "InvokeModelInference",
        "line_item_usage_type": "",
        "line_item_currency_code": "USD",
        "line_item_iam_principal": "",
        "line_item_resource_id": "",
        "pricing_unit": "",
        "product_product_family": "Amazon Bedrock" if kind == "Usage" else "",
        "product_region_code": "us-east-1",
        "tags": [],
    }


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _first_of_next(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year + number // 12, number % 12 + 1, 1)
