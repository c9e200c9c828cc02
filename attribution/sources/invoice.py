"""A plain invoice as CSV (or FOCUS Invoice Detail): lines with a period, an amount and a currency, under any name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake, Row, Run, _bills, _runs

NAME = "invoice"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("invoice_id", "amount", "currency", "billing_period")
GRAIN = "invoice line, often one per provider and month"
GIVES = "billed money; quantities only where the invoice states them; no request id"
NESTING = "lines are disjoint"
MONEY = "the currency of its column; amounts in plain form such as -1234.56"
ZONE = "days and months in UTC, ISO form"
MISTAKE = "entering totals beside their lines bills twice; without tax and credits the total is not what was paid"
REWRITES = "add: an invoice replaces nothing; the same invoice and line with another amount is a conflict"
#: Two equal lines of one invoice are two charges.
CELLS_REPEAT = True

#: Our name → what people call the column, in lower case without spaces.
_COLUMNS = {
    "amount": ("amount", "billed_cost", "billedcost", "cost", "total", "net_amount", "amount_usd", "line_amount"),
    "currency": ("currency", "billing_currency", "billingcurrency"),
    "start": ("period_start", "start_date", "start", "from", "service_start", "billingperiodstart", "date", "day"),
    "end": ("period_end", "end_date", "end", "to", "service_end", "billingperiodend"),
    "month": ("month", "period", "billing_period", "invoice_month"),
    "invoice_id": ("invoice_id", "invoice", "invoice_number", "invoice_no", "invoiceid", "number"),
    "line_id": ("line_id", "line", "item_id", "line_no", "invoicedetailid"),
    "provider": ("provider", "vendor", "supplier", "issuer", "invoiceissuername"),
    "account_id": ("account_id", "account", "organization", "organization_id", "billing_account", "billingaccountid"),
    "project_id": ("project_id", "project", "workspace", "workspace_id", "subscription"),
    "model": ("model",),
    "meter": ("meter",),
    "description": ("description", "item", "line_item", "product", "details", "invoicedetaildescription"),
    "category": ("category", "type", "charge_category", "chargecategory", "kind"),
    "quantity": ("quantity", "qty", "units"),
    "unit": ("unit", "uom"),
}
_CATEGORIES = {
    "usage": "usage",
    "subscription": "purchase",
    "purchase": "purchase",
    "commitment": "purchase",
    "prepayment": "purchase",
    "credit": "credit",
    "discount": "credit",
    "tax": "tax",
    "vat": "tax",
    "adjustment": "adjustment",
    "refund": "adjustment",
    "correction": "adjustment",
}
_DAY = 86_400_000_000


def recognise(sample: Sample) -> int:
    """Look for an amount, a currency or invoice number, and a period; anything better known goes before."""
    if not sample.kind.startswith("csv") and sample.kind not in ("parquet", "frame"):
        return 0
    names = {_name(column) for column in sample.columns}
    has = {ours for ours, theirs in _COLUMNS.items() if names & set(theirs)}
    is_dated = bool(has & {"start", "month"})
    if "input_tokens" in names or "prompt_tokens" in names:
        return 0
    return (
        75 if {"amount", "invoice_id"} <= has and is_dated else 55 if {"amount", "currency"} <= has and is_dated else 0
    )


def run_of(path: Any, options: dict[str, Any]) -> Run:
    """Nothing but the user can tell when an invoice was issued."""
    return Run(exported_at=_runs.declared_run(options))


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one line of an invoice."""
    row = {_name(name): value for name, value in document.items()}
    flags: list[str] = []
    start, end = _period(row)
    category = (_text(row, "category") or "").lower()
    amount = _bills.required(normalization.money(_cell(row, "amount"), "amount"), "amount")
    told: Row = {
        name: _text(row, name) for name in ("account_id", "project_id", "model", "meter", "unit", "invoice_id")
    }
    description = normalization.owner(_text(row, "description"), "description", flags)
    provider = normalization.provider(_text(row, "provider") or intake.options.get("provider"))
    currency = _text(row, "currency") or intake.options.get("currency")
    entry: Row = told | {
        "role": "both" if _cell(row, "quantity") is not None else "cost",
        "provider": provider,
        "period_start": start,
        "period_end": end,
        "billing_period": _bills.month(start),
        "category": _CATEGORIES.get(category) or _category(description or "", category),
        "charge_class": "correction" if category in ("refund", "correction") else None,
        "description": description,
        "sku": _text(row, "line_id"),
        "quantity": _bills.quantity(_cell(row, "quantity"), "quantity"),
        "billed_cost": amount,
        "effective_cost": amount,
        "currency": None if currency is None else currency.upper(),
        "exported_at": intake.run.exported_at,
    }
    if currency is None:
        flags.append("no_currency")
    entry["flags"] = flags or None
    identity = [told[name] for name in sorted(told)]
    entry["key"] = _bills.key(provider, start, end, entry["sku"], description, category, entry["currency"], *identity)
    intake.accept(line, bill_line=entry)


@cache
def _name(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _cell(row: Document, name: str) -> Any:
    return next((value for column in _COLUMNS[name] if (value := _bills.cell(row, column)) is not None), None)


def _text(row: Document, name: str) -> str | None:
    value = _cell(row, name)
    return str(value) if type(value) is int else normalization.text(value, name)


def _category(description: str, category: str) -> str:
    """Where the invoice has no category, its words decide; a line that says nothing is usage."""
    if category:
        raise Unreadable("unknown_kind", f"one of {', '.join(_CATEGORIES)}", mask(category), "category")
    words = re.findall(r"[a-z]+", description.lower())
    return next((_CATEGORIES[word] for word in words if word in _CATEGORIES), "usage")


def _period(row: Document) -> tuple[int, int]:
    """Return start and exclusive end: the stated ones, the month, or the day."""
    start, end = (_cell(row, name) for name in ("start", "end"))
    if start is None:
        return _month(_bills.required(_cell(row, "month"), "period"))
    began = _bills.required(_bills.moment(start, "start"), "start")
    if end is None:
        return began, began + _DAY
    ended = _bills.required(_bills.moment(end, "end"), "end")
    # A last day that is written as a plain day belongs to the period, unless it begins the next month.
    is_day = isinstance(end, str) and len(end) == 10 and not end.endswith("-01")
    return began, ended + _DAY if is_day else ended


def _month(value: Any) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{4})-(\d{2})", str(value))
    if not found or not 1 <= int(found[2]) <= 12:
        raise Unreadable("not_a_month", "YYYY-MM", mask(value), "period")
    year, month = int(found[1]), int(found[2])
    began = datetime(year, month, 1, tzinfo=UTC)
    ended = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return _bills.required(normalization.instant(began, "period"), "period"), _bills.required(
        normalization.instant(ended, "period"), "period"
    )
