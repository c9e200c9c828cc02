"""Azure cost exports, actual or amortised (EA and MCA layouts): UTC day × resource × meter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake, Row, Run, _azure_meters, _bills, _runs

NAME = "azure_cost"
VERSION = 2
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("MeterCategory", "MeterName", "UnitOfMeasure", "Quantity", "ChargeType", "MeterId", "ConsumedService")
GRAIN = "UTC day × resource × meter; no deployment, key, user or request in any row"
GIVES = "billed or amortised money and tokens per resource and tag; no request id"
NESTING = "meters are disjoint: input is uncached input, cached input and output have their own"
MONEY = "billing currency; tokens in blocks of 1K or 1M by the unit of measure"
ZONE = "UTC days, written MM/DD/YYYY"
MISTAKE = (
    "adding the actual and the amortised export doubles; reading 1K blocks as 1M is wrong by 1000; "
    "filtering by the old category name finds nothing new"
)
REWRITES = "replace: every run rewrites the month to date; a newer run replaces it, told by the manifest"
#: Rows have no id; equal rows of one export are different charges.
CELLS_REPEAT = True

run_of = _runs.azure_run

_CATEGORIES = {
    "usage": "usage",
    "unusedreservation": "usage",
    "unusedsavingsplan": "usage",
    "purchase": "purchase",
    "refund": "adjustment",
    "roundingadjustment": "adjustment",
    "adjustment": "adjustment",
    "tax": "tax",
    "credit": "credit",
}
_COMMITMENTS = {"reservation", "savingsplan"}
#: Our name → the names of the layouts, in lower case; only the first that is filled is taken.
_COLUMNS = {
    "date": ("date", "usagedate", "usagedatetime"),
    "cost": ("cost", "costinbillingcurrency", "pretaxcost"),
    "currency": ("billingcurrency", "billingcurrencycode", "currency"),
    "account": ("billingaccountid",),
    "subscription": ("subscriptionid", "subscriptionguid"),
    "resource": ("resourceid", "instanceid"),
    "product": ("product", "productname"),
    "region": ("resourcelocation", "location"),
    "benefit": ("benefitid", "reservationid"),
    "list_price": ("paygprice",),
    "unit_price": ("unitprice",),
    "begin": ("billingperiodstartdate",),
    "invoice": ("invoiceid",),
}
_DAY = 86_400_000_000


def recognise(sample: Sample) -> int:
    """Look for the export's own columns, in any letter case, or its manifest."""
    names = {_name(column) for column in sample.columns} | {_name(n) for d in sample.documents[:1] for n in d}
    if len({name.lower() for name in SIGNATURE} & names) >= 5:
        return 97
    return 90 if any(_is_manifest(document) for document in sample.documents[:1]) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one row; a manifest is context."""
    if _is_manifest(document):
        intake.pass_over()
        return
    intake.accept(line, bill_line=_line({_name(name): value for name, value in document.items()}, intake))


def _is_manifest(document: Document) -> bool:
    return "exportConfig" in document and "runInfo" in document


@cache
def _name(column: str) -> str:
    return column.strip().lower()


def _any(row: Document, name: str) -> str | None:
    return next((value for column in _COLUMNS[name] if (value := _bills.text(row, column)) is not None), None)


def _day_of(row: Document, name: str) -> int | None:
    """Return the first date that is filled, as text or as a typed day."""
    found = (column for column in _COLUMNS[name] if _bills.cell(row, column) is not None)
    column = next(found, None)
    return None if column is None else day(_bills.cell(row, column), column)


def _amount(row: Document, name: str) -> Decimal | None:
    found = (normalization.money(_bills.cell(row, column), column) for column in _COLUMNS[name])
    return next((value for value in found if value is not None), None)


def day(value: Any, field: str) -> int | None:
    """Return a UTC day written MM/DD/YYYY, or in ISO form."""
    return _day(value, field) if type(value) is str else _bills.moment(value, field)


@lru_cache(maxsize=4096)
def _day(value: Any, field: str) -> int | None:
    if found := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})", value):
        month, day_of, year = (int(part) for part in found.groups())
        try:
            value = datetime(year + 2000 if year < 100 else year, month, day_of, tzinfo=UTC)
        except ValueError:
            raise Unreadable("not_a_time", "a date as MM/DD/YYYY", mask(value), field) from None
    return normalization.instant(value, field, "UTC")


def _line(row: Document, intake: Intake) -> Row:
    flags: list[str] = []
    charge = (_bills.text(row, "chargetype") or "Usage").lower()
    if charge not in _CATEGORIES:
        flags.append(f"unknown_charge_type: {mask(charge)}")
    start = _bills.required(_day_of(row, "date"), "Date")
    begin = _day_of(row, "begin")
    tags = _bills.flat(row.get("tags"), "tags", flags)
    resource = _any(row, "resource")
    line: Row = {
        "role": "both",
        "provider": "azure",
        "period_start": start,
        "period_end": start + _DAY,
        "billing_period": _bills.month(start if begin is None else begin),
        "account_id": _any(row, "account"),
        "project_id": _any(row, "subscription"),
        # Letter case differs between rows of one resource.
        "resource_id": None if resource is None else resource.lower(),
        "region": _any(row, "region"),
        "sku": _bills.text(row, "meterid"),
        "description": _bills.text(row, "metername") or _any(row, "product"),
        "category": _CATEGORIES.get(charge, "adjustment"),
        "charge_class": "correction" if charge == "refund" else None,
        "currency": _any(row, "currency"),
        "invoice_id": _any(row, "invoice"),
        "commitment_id": _any(row, "benefit"),
        "tags": tags,
    }
    if line["commitment_id"] is not None and line["category"] == "usage":
        line["commitment_status"] = "unused" if charge.startswith("unused") else "used"
    line |= _money(row, charge, intake.run)
    line |= _usage(row, line, intake, flags)
    line["flags"] = flags or None
    line["key"] = _key(row, line, charge, intake)
    kind = f"{intake.run.export or 'azure'}/{intake.run.kind or ''}"
    period = "/".join((kind, line["account_id"] or line["project_id"] or "", line["billing_period"] or ""))
    return _bills.stamp(intake, line, intake.cover(period))


def _key(row: Document, line: Row, charge: str, intake: Intake) -> str:
    told = ("metersubcategory", "product", "pricingmodel", "benefitid", "reservationid", "publishertype", "frequency")
    more = ("unitofmeasure", "costcenter", "invoicesectionid", "offerid", "partnumber", "productorderid", "term")
    stated = ("period_start", "account_id", "project_id", "resource_id", "region", "sku", "description", "currency")
    return _bills.key(
        *(line[name] for name in stated), charge, *(_bills.text(row, name) for name in (*told, *more)),
        sorted((line["tags"] or {}).items()), intake.run.part if intake.run.exported_at is not None else None,
    )  # fmt: skip


def _money(row: Document, charge: str, run: Run) -> Row:
    """Tell what was invoiced from what the day really cost, where a commitment makes them differ.

    The actual export has the purchase of a commitment and zero for its use; the amortised one has no
    purchase and spreads it over use. All other rows are the same in both.
    """
    cost = _bills.required(_amount(row, "cost"), "Cost")
    model = (_bills.text(row, "pricingmodel") or "").lower()
    money: Row = {"billed_cost": cost, "effective_cost": cost, "contracted_cost": None, "list_cost": None}
    if model in _COMMITMENTS or charge.startswith("unused"):
        if charge == "purchase":
            money["effective_cost"] = Decimal(0)
        elif run.kind == "actual" or (run.kind is None and cost == 0):
            money["effective_cost"] = None
        else:
            money["billed_cost"] = Decimal(0)
    quantity = _bills.amount(row, "quantity")
    currency, priced_in = _any(row, "currency"), _bills.text(row, "pricingcurrency")
    if quantity is None or (priced_in is not None and priced_in != currency):
        return money
    for name, price in (("list_cost", _amount(row, "list_price")), ("contracted_cost", _amount(row, "unit_price"))):
        if price:
            money[name] = _bills.scaled(quantity, price, name)
    return money


def _usage(row: Document, line: Row, intake: Intake, flags: list[str]) -> Row:
    """Return what a row measures in single units; model meters are read from the meter's name, or declared by id."""
    quantity = _bills.amount(row, "quantity")
    block, unit = _azure_meters.block(_bills.text(row, "unitofmeasure") or "1")
    measured: Row = {"quantity": _bills.scaled(quantity, block, "Quantity"), "unit": unit, "unit_scale": block}
    category, subcategory = _bills.text(row, "metercategory"), _bills.text(row, "metersubcategory")
    if not _azure_meters.is_model_meter(category, subcategory, line["resource_id"]):
        return measured
    declared = intake.options.get("meters") or {}
    said = _azure_meters.parse(line["description"] or "") | declared.get(line["sku"], {})
    if said["meter"] is None:
        flags.append(f"unknown_meter: {mask(line['description'] or '')}")
    elif said["meter"] not in ("provisioned", "hosting"):
        measured["unit"] = "tokens"
    names = ("model", "meter", "service_tier", "context_window")
    return measured | {name: said.get(name) for name in names}
