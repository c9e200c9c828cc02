"""Bills that state only what matters: `charged("l1", billed_cost="7")`, ready for the table `bill_line`."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.examples import identity

_MONEY = ("billed_cost", "effective_cost", "list_cost", "contracted_cost", "quantity")


def charged(name: str, **columns: Any) -> dict[str, Any]:
    """Return a bill line: a day of OpenAI input tokens on a cost report, unless said otherwise."""
    start = columns.get("period_start", datetime(2026, 10, 5))
    row: dict[str, Any] = {
        "bill_line_id": str(identity(name)),
        "source": "openai_costs",
        "role": "both",
        "file_id": "file",
        "line": 1,
        "record_no": 0,
        "period_start": start,
        "period_end": start + timedelta(days=1),
        "billing_period": f"{start:%Y-%m}",
        "provider": "openai",
        "account_id": None,
        "project_id": None,
        "api_key_id": None,
        "model": "gpt-5-mini",
        "service_tier": None,
        "resource_id": None,
        "sku": None,
        "meter": "input",
        "category": "usage",
        "charge_class": None,
        "quantity": None,
        "unit": "tokens",
        "requests": None,
        "list_cost": None,
        "contracted_cost": None,
        "billed_cost": "1.00",
        "effective_cost": columns.get("billed_cost", "1.00"),
        "currency": "USD",
        "invoice_id": None,
        "commitment_id": None,
        "commitment_status": None,
        "exported_at": None,
        "description": None,
    }
    row.update(columns)
    return row | {n: None if row[n] is None else Decimal(str(row[n])) for n in _MONEY}


def invoiced(name: str, category: str, amount: str, description: str, **columns: Any) -> dict[str, Any]:
    """Return a line of a month's plain invoice."""
    start = columns.get("period_start", datetime(2026, 10, 1))
    end = datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
    line: dict[str, Any] = {
        "source": "invoice",
        "role": "cost",
        "period_start": start,
        "period_end": end,
        "billing_period": f"{start:%Y-%m}",
        "category": category,
        "billed_cost": amount,
        "effective_cost": amount,
        "description": description,
        "invoice_id": f"INV-{start:%Y-%m}",
        "model": None,
        "meter": None,
        "unit": None,
    }
    return charged(name, **line | columns)


def top_up(amount: str = "10000", **columns: Any) -> dict[str, Any]:
    """Return a declared purchase of a prepaid balance."""
    row: dict[str, Any] = {
        "contract_id": None,
        "kind": None,
        "provider": "openai",
        "account_id": None,
        "project_id": None,
        "amount": Decimal(amount),
        "currency": None,
        "purchased_on": datetime(2026, 10, 1),
        "expires_on": None,
        "invoice_id": None,
        "place": "attribution.yaml:7",
    }
    return {**row, **columns}
