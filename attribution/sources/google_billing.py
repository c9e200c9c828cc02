"""Google Cloud Billing export rows: hour × project × SKU × label set, cost before credits and each credit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills, _google_skus

NAME = "google_billing"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("billing_account_id", "sku", "usage_start_time", "usage_end_time", "cost", "invoice", "service")
GRAIN = "hour × project × SKU × label set × export batch; credits are lines of their own"
GIVES = "billed money and tokens per project and label; no request id"
NESTING = "disjoint: input, cached input, output, and thinking where it has its own SKU"
MONEY = "the row's currency, before credits; credits are negative and make the net"
ZONE = "usage times in UTC; the invoice month is Pacific"
MISTAKE = (
    "leaving out credits overstates, often a lot; keeping one row per hour loses late rows; "
    "loading the standard and the detailed export doubles"
)
REWRITES = "add: late rows and corrections come as new rows, and all are summed"
#: Rows have no id; equal rows of one export batch are different charges.
CELLS_REPEAT = True

_CATEGORIES = {"regular": "usage", "tax": "tax", "adjustment": "adjustment", "rounding_error": "adjustment"}


def recognise(sample: Sample) -> int:
    """Look for the export's own records."""
    names = set(sample.columns).union(*sample.documents[:5])
    found = len(set(SIGNATURE) & names)
    return 97 if found >= 6 else 70 if found == 5 else 0


def prepare(sample: Sample, intake: Intake) -> None:
    """The detailed export repeats every row of the standard one, per resource; the two must not be added."""
    names = set(sample.columns).union(*sample.documents)
    is_detailed = bool(names & {"resource", "price"})
    intake.options.setdefault("grouping", "resource" if is_detailed else "")


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one row: its cost, and each of its credits."""
    base, identity = _base(document, intake)
    lines = [_charge(document, base, identity)]
    granted = document.get("credits") or []
    if not isinstance(granted, list):
        raise Unreadable("not_a_list", "a list of credits", type(granted).__name__, "credits")
    lines += [_credit(credit, base, identity) for credit in granted]
    intake.accept(line, bill_lines=lines)


def _base(document: Document, intake: Intake) -> tuple[Row, str]:
    flags: list[str] = []
    sku, project, place, invoice = (_part(document, name) for name in ("sku", "project", "location", "invoice"))
    start, end, exported_at = (
        normalization.instant(document.get(name), name, "UTC")
        for name in ("usage_start_time", "usage_end_time", "export_time")
    )
    start = _bills.required(start, "usage_start_time")
    account = normalization.text(document.get("billing_account_id"), "billing_account_id")
    description = normalization.text(sku.get("description"), "sku.description")
    said = _google_skus.parse(description or "")
    overrides = intake.options.get("skus") or {}
    sku_id = normalization.text(sku.get("id"), "sku.id")
    said |= overrides.get(sku_id, {})
    resource = _part(document, "resource").get("global_name") or _part(document, "resource").get("name")
    base: Row = {
        "provider": "google",
        "period_start": start,
        "period_end": end,
        "billing_period": _invoice_month(invoice.get("month")),
        "account_id": account,
        "project_id": normalization.text(project.get("id"), "project.id"),
        "resource_id": normalization.text(resource, "resource"),
        "model": said["model"],
        "service_tier": said["service_tier"],
        "context_window": said["context_window"],
        "region": normalization.text(place.get("region") or place.get("location"), "location"),
        "sku": sku_id,
        "description": description,
        "currency": normalization.text(document.get("currency"), "currency"),
        "tags": _tags(document, flags),
        "meter": said["meter"],
        "exported_at": exported_at,
        "replaces_key": _bills.period(account or "", start, start),
        "grouping": intake.options.get("grouping"),
    }
    base["flags"] = flags or None
    return base, _identity(document, base)


def _identity(document: Document, base: Row) -> str:
    """A row is known by its dimensions and its export batch; late rows of one hour are rows of their own."""
    named = ("account_id", "sku", "period_start", "period_end", "project_id", "resource_id", "region", "currency")
    given = ("cost_type", "transaction_type", "seller_name")
    parts = (("service", "id"), ("invoice", "month"), ("adjustment_info", "id"))
    return _bills.key(
        *(base[name] for name in named),
        *(document.get(name) for name in given),
        *(_part(document, part).get(name) for part, name in parts),
        sorted((base["tags"] or {}).items()),
        base["exported_at"],
    )


def _charge(document: Document, base: Row, identity: str) -> Row:
    kind = normalization.text(document.get("cost_type"), "cost_type") or "regular"
    if kind not in _CATEGORIES:
        raise Unreadable("unknown_kind", f"one of {', '.join(_CATEGORIES)}", kind, "cost_type")
    cost = _bills.required(_bills.money(document, "cost"), "cost")
    usage = _part(document, "usage")
    quantity = _bills.quantity(usage.get("amount"), "usage.amount")
    return base | {
        "role": "both",
        "category": _CATEGORIES[kind],
        "charge_class": "correction" if kind == "adjustment" else None,
        "quantity": quantity,
        "unit": _unit(base["meter"], normalization.text(usage.get("unit"), "usage.unit")),
        "unit_scale": None if quantity is None else Decimal(1),
        "list_cost": _bills.money(document, "cost_at_list"),
        "contracted_cost": _bills.money(document, "cost_at_effective_price_default"),
        "billed_cost": cost,
        "effective_cost": cost,
        "key": identity,
    }


def _unit(meter: str | None, stated: str | None) -> str | None:
    """The export says `count`, which its reports show as requests, where it counts tokens."""
    if meter == "cache_storage":
        return "token-hours"
    is_token = meter is not None and meter.startswith(("input", "output", "cache_read", "reasoning"))
    return "tokens" if stated == "count" and is_token else stated


def _credit(credit: Any, base: Row, identity: str) -> Row:
    if not isinstance(credit, dict):
        raise Unreadable("not_an_object", "a credit", type(credit).__name__, "credits")
    amount = _bills.required(_bills.money(credit, "amount"), "credits.amount")
    kind = normalization.text(credit.get("type"), "credits.type")
    name = normalization.text(credit.get("full_name") or credit.get("name"), "credits.name")
    return base | {
        "role": "cost",
        "category": "credit",
        "meter": None,
        "billed_cost": amount,
        "effective_cost": amount,
        "description": name,
        "key": _bills.key(identity, "credit", credit.get("id"), kind, name),
    }


def _part(document: Document, name: str) -> Document:
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unreadable("not_an_object", "a record", type(found).__name__, name)
    return found


def _tags(document: Document, flags: list[str]) -> dict[str, str] | None:
    """Labels under their own names; resource tags under `tags/`."""
    found = _bills.flat(document.get("labels"), "labels", flags) or {}
    for name, value in (_bills.flat(document.get("tags"), "tags", flags) or {}).items():
        found.setdefault(f"tags/{name}", value)
    if document.get("transaction_type") not in (None, "GOOGLE"):
        found["transaction_type"] = str(document["transaction_type"])
    return found or None


def _invoice_month(month: Any) -> str | None:
    """`202609` is September 2026, in Pacific time; it is kept as it is, not derived from usage times."""
    if month is None:
        return None
    text = str(month)
    if len(text) != 6 or not text.isdigit():
        raise Unreadable("not_a_month", "YYYYMM", text, "invoice.month")
    return f"{text[:4]}-{text[4:]}"
