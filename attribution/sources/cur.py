"""AWS Cost and Usage Reports: CUR 2.0 and legacy, Parquet or CSV, with both families of Bedrock rows."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

from attribution.reading import Document, Sample
from attribution.sources import Intake, Row, _bedrock, _bills, _runs

NAME = "cur"
VERSION = 2
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("line_item_usage_type", "line_item_unblended_cost", "line_item_line_item_type", "line_item_usage_amount")
GRAIN = "usage type × hour or day × account × region × operation × resource × IAM principal × tags"
GIVES = "billed money and tokens per account, principal and tag; no request id in any bill"
NESTING = "disjoint: input excludes cache reads and writes, each has its own usage type; reasoning is in the output"
MONEY = "the line's currency; unblended, or net unblended where it is filled; tokens in blocks of 1K or 1M"
ZONE = "UTC, naive times too"
MISTAKE = (
    "filtering by product code AmazonBedrock misses most Claude spend; mixing blocks of 1K and 1M is wrong by 1000; "
    "appending refreshed months adds them again"
)
REWRITES = "replace: a month is rewritten until the bill is final; a newer run replaces it, told by the manifest"
#: The line item id is new in every report version, so a line is known by its dimensions.
CELLS_REPEAT = True

run_of = _runs.aws_run

_CATEGORIES = {
    "Usage": "usage",
    "DiscountedUsage": "usage",
    "SavingsPlanCoveredUsage": "usage",
    "Tax": "tax",
    "Credit": "credit",
    "EdpDiscount": "credit",
    "PrivateRateDiscount": "credit",
    "BundledDiscount": "credit",
    "Refund": "adjustment",
    "SavingsPlanNegation": "adjustment",
    "Fee": "purchase",
    "RIFee": "purchase",
    "SavingsPlanUpfrontFee": "purchase",
    "SavingsPlanRecurringFee": "purchase",
}
#: Where a line names the plan or reservation that it buys or draws on.
_COMMITMENTS = ("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n")
_DIMENSIONS = (
    "bill_payer_account_id",
    "bill_billing_entity",
    "bill_bill_type",
    "line_item_usage_account_id",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_operation",
    "line_item_usage_type",
    "line_item_resource_id",
    "line_item_iam_principal",
    "line_item_line_item_description",
    "line_item_legal_entity",
    "line_item_tax_type",
    "line_item_availability_zone",
    "line_item_currency_code",
    "pricing_unit",
    "pricing_rate_id",
    "pricing_rate_code",
    "pricing_term",
)

_REQUEST = ("request_id", "requestid")


def recognise(sample: Sample) -> int:
    """Look for the report's own columns, in either spelling, or its manifest."""
    names = {_name(column) for column in sample.columns} | {_name(n) for d in sample.documents[:1] for n in d}
    if len(set(SIGNATURE) & names) >= 2:
        return 97
    return 90 if any(_is_manifest(document) for document in sample.documents[:1]) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one line of the report; its manifest is context."""
    if _is_manifest(document):
        intake.pass_over()
        return
    row = {_name(name): value for name, value in document.items()}
    intake.accept(line, bill_line=_line(row, intake))


def _is_manifest(document: Document) -> bool:
    return "dataFiles" in document or ("reportKeys" in document and "assemblyId" in document)


@cache
def _name(column: str) -> str:
    """Return the name in CUR 2.0 of a column of the legacy report; tags keep their own."""
    if "/" not in column or column.startswith("resourceTags/"):
        return column
    return "_".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part).lower() for part in column.split("/"))


def _line(row: Document, intake: Intake) -> Row:
    flags: list[str] = []
    product = _product(row, flags)
    tags = _tags(row, flags)
    begin, end = (_time(row, f"bill_billing_period_{edge}_date") for edge in ("start", "end"))
    start = _time(row, "line_item_usage_start_date")
    stated = {name: _bills.text(row, name) for name in _DIMENSIONS}
    kind = stated["line_item_line_item_type"] or ""
    if kind not in _CATEGORIES:
        flags.append(f"unknown_line_item_type: {kind}")
    month = _bills.month(begin if begin is not None else start)
    line: Row = {
        "role": "both",
        "provider": "aws",
        "period_start": _bills.required(start if start is not None else begin, "line_item_usage_start_date"),
        "period_end": _time(row, "line_item_usage_end_date") if start is not None else end,
        "billing_period": month,
        "account_id": stated["bill_payer_account_id"],
        "project_id": stated["line_item_usage_account_id"],
        "principal": _bills.principal(stated["line_item_iam_principal"], flags),
        "resource_id": stated["line_item_resource_id"],
        "sku": stated["line_item_usage_type"],
        "description": stated["line_item_line_item_description"] or product.get("product_name"),
        "category": _CATEGORIES.get(kind, "adjustment"),
        "charge_class": "correction" if kind == "Refund" else None,
        "currency": stated["line_item_currency_code"],
        "invoice_id": _bills.text(row, "bill_invoice_id"),
        "request_id": _request(row, product),
        "commitment_id": next((text for name in _COMMITMENTS if (text := _bills.text(row, name))), None),
        "commitment_status": "used" if kind in ("SavingsPlanCoveredUsage", "DiscountedUsage") else None,
        "tags": tags,
    }
    line |= _money(row, kind, stated["bill_billing_entity"] == "AWS Marketplace")
    line |= _usage(row, stated, product, line["billed_cost"], flags)
    line["flags"] = flags or None
    line["key"] = _bills.key(
        begin, start, line["period_end"], *stated.values(), sorted(product.items()), sorted((tags or {}).items()),
        intake.run.part if intake.run.exported_at is not None else None,
        *([line["request_id"]] if line["request_id"] else []),
    )  # fmt: skip
    export = intake.run.export or "cur"
    return _bills.stamp(intake, line, intake.cover("/".join((export, line["account_id"] or "", month or ""))))


def _request(row: Document, product: dict[str, str]) -> str | None:
    """Return a request's id, should AWS ever bill by the request: no report has such a column today."""
    given = (_bills.text(row, name) for name in sorted(row) if name.lower().endswith(_REQUEST))
    return next((text for text in given if text), None) or next(
        (product[name] for name in sorted(product) if name.lower().endswith(_REQUEST)), None
    )


def _time(row: Document, name: str) -> int | None:
    return _bills.moment(_bills.cell(row, name), name)


def _product(row: Document, flags: list[str]) -> dict[str, str]:
    """Return the product's keys, from the map and from the columns beside it."""
    found = _bills.flat(row.get("product"), "product", flags) or {}
    for name in row:
        if name.startswith("product_"):
            value = _bills.text(row, name)
            if value is not None:
                found.setdefault(
                    name.removeprefix("product_") if name != "product_product_name" else "product_name", value
                )
    return found


def _tags(row: Document, flags: list[str]) -> dict[str, str] | None:
    """Return tags of principals and resources under the names that the bill itself uses in `tags`."""
    found = _bills.flat(row.get("tags"), "tags", flags) or {}
    for name, value in (_bills.flat(row.get("resource_tags"), "resource_tags", flags) or {}).items():
        found.setdefault(f"resourceTags/{name}", value)
    columns = {n: row[n] for n in row if n.startswith("resourceTags/") and _bills.cell(row, n) is not None}
    for name in row:
        if name.startswith("resource_tags_") and _bills.cell(row, name) is not None:
            columns["resourceTags/" + name.removeprefix("resource_tags_")] = row[name]
    found |= _bills.flat(columns, "tags", flags) or {}
    return found or None


def _money(row: Document, kind: str, is_marketplace: bool) -> Row:
    net = _bills.money(row, "line_item_net_unblended_cost")
    billed = net if net is not None else _bills.money(row, "line_item_unblended_cost")
    billed = _bills.required(billed, "line_item_unblended_cost")
    listed = _bills.money(row, "pricing_public_on_demand_cost")
    if listed == 0 and is_marketplace and billed:
        # Marketplace rows write 0 where they do not know the list price.
        listed = None
    covered = {
        "SavingsPlanCoveredUsage": "savings_plan_savings_plan_effective_cost",
        "DiscountedUsage": "reservation_effective_cost",
    }
    effective = _bills.money(row, covered[kind]) if kind in covered else None
    if kind == "SavingsPlanNegation":
        effective = Decimal(0)
    return {
        "list_cost": listed,
        "billed_cost": billed,
        "effective_cost": billed if effective is None else effective,
    }


def _usage(
    row: Document, stated: dict[str, str | None], product: dict[str, str], cost: Decimal, flags: list[str]
) -> Row:
    """Return what a line measures, in single units; only Bedrock rows have a meter of ours."""
    quantity = _bills.amount(row, "line_item_usage_amount")
    usage_type = stated["line_item_usage_type"] or ""
    region = product.get("region_code") or product.get("region") or _bedrock.region(usage_type)
    family = product.get("product_family") or product.get("productfamily")
    unit = stated["pricing_unit"]
    kind = stated["line_item_line_item_type"]
    if kind in ("Tax", "Credit", "Refund", "Fee") or not _bedrock.is_bedrock(
        stated["line_item_product_code"], product, family
    ):
        unmeasured = kind == "Tax" or quantity is None
        return {"region": region, "quantity": None if unmeasured else quantity, "unit": None if unmeasured else unit}
    meter = _bedrock.meter(usage_type, product.get("inference_type"))
    scale: Decimal | None = Decimal(1)
    if meter not in (None, "provisioned"):
        scale = _bedrock.scale(unit, stated["bill_billing_entity"] == "AWS Marketplace", flags)
        unit = "tokens"
    tokens = _bills.scaled(quantity, scale, "line_item_usage_amount")
    if unit == "tokens":
        _bedrock.check_scale(cost, tokens, flags)
    return {
        "region": region,
        "model": _bedrock.model(usage_type, product),
        "meter": meter,
        "service_tier": _bedrock.tier(usage_type),
        "context_window": _bedrock.context_window(usage_type),
        "quantity": tokens,
        "unit": unit,
        "unit_scale": scale,
    }
