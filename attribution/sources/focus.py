"""FOCUS cost and usage rows, 1.0 to 1.4 and the 1.5 draft, from any vendor: CSV, Parquet or JSON."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake, Row, Run, _azure_meters, _bedrock, _bills, _google_skus, _runs
from attribution.sources.azure_cost import day

NAME = "focus"
VERSION = 2
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart")
GRAIN = "charge: SKU × charge period × resource × tags, as the generator chose"
GIVES = "billed, effective, list and contracted money; tokens by meter where the generator tells; no request id"
NESTING = "disjoint: a token on a cache row is on no other row"
MONEY = "BillingCurrency; PricingCurrency may be credits called Token, which are not tokens"
ZONE = "UTC; naive times are UTC, as the specification says"
MISTAKE = "adding BilledCost and EffectiveCost counts prepayments twice; a split row and its origin are the same cost"
REWRITES = "replace: a billing period is rewritten until it is closed; a newer run replaces it, told by the manifest"
#: Rows have no id; equal rows of one export are different charges.
CELLS_REPEAT = True

_CATEGORIES = {"usage", "purchase", "tax", "credit", "adjustment"}
_PROVIDERS = {
    "microsoft": "azure",
    "microsoft azure": "azure",
    "google cloud": "google",
    "google cloud platform": "google",
    "gcp": "google",
    "amazon web services": "aws",
    "amazon web services, inc.": "aws",
}
_DIMENSIONS = (
    "BillingAccountId", "SubAccountId", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "PublisherName", "HostProviderName", "InvoiceIssuerName", "BillingCurrency", "PricingCurrency", "ServiceName",
    "SkuId", "SkuPriceId", "SkuMeter", "RegionId", "AvailabilityZone", "ResourceId", "CommitmentDiscountId",
    "CommitmentDiscountStatus", "CapacityReservationId", "CapacityReservationStatus", "PricingCategory",
    "PricingUnit", "ConsumedUnit", "AllocatedMethodId", "AllocatedResourceId", "x_Operation", "x_UsageType",
    "x_SkuMeterId", "x_ResourceGroupName", "x_CostCenter", "x_InvoiceSectionId",
)  # fmt: skip
_TOKENS = re.compile(r"^(?:(\d+)\s+)?Tokens?$", re.IGNORECASE)


def recognise(sample: Sample) -> int:
    """Look for the mandatory columns that all versions share."""
    names = set(sample.columns).union(*(set(document) for document in sample.documents[:1]))
    return 96 if set(SIGNATURE) <= names else 0


def run_of(path: Path, options: dict[str, Any]) -> Run:
    """Return the export run, from the manifest of the cloud that wrote the file."""
    run = _runs.aws_run(path, options)
    return run if run.export is not None else _runs.azure_run(path, options)


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one charge."""
    flags: list[str] = []
    row = _identity(document, flags)
    details = _details(document, flags)
    row |= _money(document, row, flags)
    row |= _usage(document, row, details, flags)
    row["flags"] = flags or None
    row["key"] = _bills.key(
        row["period_start"], row["period_end"], row["billing_period"], row["provider"],
        *(_bills.text(document, name) for name in _DIMENSIONS),
        sorted((row["tags"] or {}).items()), sorted(details.items()), row["principal"], row["api_key_id"],
        intake.run.part if intake.run.exported_at is not None else None,
    )  # fmt: skip
    told = (intake.run.export or "focus", row["provider"], row["account_id"], row["billing_period"])
    period = intake.cover("/".join(part or "" for part in told))
    intake.accept(line, bill_line=_bills.stamp(intake, row, period))


def _time(document: Document, name: str) -> int | None:
    """Official examples write `5/1/25`, real exports leave out the zone."""
    return day(_bills.cell(document, name), name)


def _any(document: Document, *names: str) -> str | None:
    return next((value for name in names if (value := _bills.text(document, name)) is not None), None)


def _identity(document: Document, flags: list[str]) -> Row:
    category = (_bills.required(_bills.text(document, "ChargeCategory"), "ChargeCategory")).lower()
    if category not in _CATEGORIES:
        raise Unreadable("unknown_kind", f"one of {', '.join(sorted(_CATEGORIES))}", mask(category), "ChargeCategory")
    charge_class = _bills.text(document, "ChargeClass")
    name = _any(document, "ServiceProviderName", "ProviderName", "InvoiceIssuerName")
    begin = _time(document, "BillingPeriodStart")
    start = _bills.required(_time(document, "ChargePeriodStart"), "ChargePeriodStart")
    resource = _bills.text(document, "ResourceId")
    provider = _PROVIDERS.get((name or "").lower()) or normalization.provider(name)
    return {
        "role": "both",
        "category": category,
        "charge_class": None if charge_class is None else charge_class.lower(),
        "provider": provider,
        "period_start": start,
        "period_end": _time(document, "ChargePeriodEnd"),
        "billing_period": _bills.month(start if begin is None else begin),
        "account_id": _bills.text(document, "BillingAccountId"),
        "project_id": _bills.text(document, "SubAccountId"),
        "api_key_id": _any(document, "CredentialId", "x_CredentialId"),
        "principal": _bills.principal(_any(document, "PrincipalId", "x_PrincipalId"), flags),
        "resource_id": resource.lower() if resource is not None and provider == "azure" else resource,
        "region": _bills.text(document, "RegionId"),
        "sku": _any(document, "SkuId", "x_SkuMeterId"),
        "description": _bills.text(document, "ChargeDescription"),
        "currency": _bills.text(document, "BillingCurrency"),
        "invoice_id": _any(document, "InvoiceId", "x_InvoiceId"),
        "commitment_id": _bills.text(document, "CommitmentDiscountId"),
        "commitment_status": (_bills.text(document, "CommitmentDiscountStatus") or "").lower() or None,
        "tags": _tags(document, flags),
    }


def _tags(document: Document, flags: list[str]) -> dict[str, str] | None:
    """Tags, and for a split row its target: what bears the cost."""
    found = _bills.flat(document.get("Tags"), "Tags", flags) or {}
    for name in ("AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName"):
        value = _bills.text(document, name)
        if value is not None:
            found[name] = value
    for name, value in (_bills.flat(document.get("AllocatedTags"), "AllocatedTags", flags) or {}).items():
        found[f"AllocatedTags/{name}"] = value
    return found or None


def _details(document: Document, flags: list[str]) -> dict[str, str]:
    """Return the keys of SkuPriceDetails without the prefix that versions before 1.5 demand."""
    found = _bills.flat(document.get("SkuPriceDetails"), "SkuPriceDetails", flags) or {}
    for name in ("ModelId", "TokenDirection", "TokenCacheAction"):
        value = _bills.text(document, f"x_{name}")
        if value is not None:
            found.setdefault(name, value)
    return {name.removeprefix("x_"): value for name, value in found.items()}


def _money(document: Document, row: Row, flags: list[str]) -> Row:
    money: Row = {
        "billed_cost": _bills.required(_bills.money(document, "BilledCost"), "BilledCost"),
        "effective_cost": _bills.money(document, "EffectiveCost"),
        "list_cost": _bills.money(document, "ListCost"),
        "contracted_cost": _bills.money(document, "ContractedCost"),
    }
    if row["category"] == "usage" and money["billed_cost"] and money["effective_cost"] == 0:
        flags.append(f"effective_cost 0 beside billed_cost {money['billed_cost'].normalize():f}")
    quantity = _bills.amount(document, "PricingQuantity")
    if quantity is None or row["charge_class"] == "correction":
        return money
    for name, price in (("list_cost", "ListUnitPrice"), ("contracted_cost", "ContractedUnitPrice")):
        product = _bills.scaled(quantity, _bills.amount(document, price), price)
        if money[name] is not None and product is not None and not _near(money[name], product):
            flags.append(f"{name}: {money[name].normalize():f} is not price × quantity {product.normalize():f}")
    return money


def _near(amount: Decimal, other: Decimal) -> bool:
    """Equal but for rounding: a thousandth of it, or what the last decimals cannot tell."""
    return abs(amount - other) <= max(abs(other) * Decimal("0.001"), Decimal("0.00000001"))


def _usage(document: Document, row: Row, details: dict[str, str], flags: list[str]) -> Row:
    if row["category"] != "usage":
        return {}
    said = _said(document, details)
    unit = _bills.text(document, "ConsumedUnit")
    consumed, scale = _consumed(document, flags)
    found = _TOKENS.match(unit or "")
    if found and unit == _bills.text(document, "PricingCurrency"):
        # A currency of that name is credits, not tokens.
        found = None
    if found:
        scale *= Decimal(int(found[1] or 1))
        unit = "tokens"
    quantity = _bills.scaled(consumed, scale, "ConsumedQuantity")
    if said.get("meter") not in (None, "cache_storage", "web_search", "maps_search") and unit not in ("tokens", None):
        unit = _token_unit(unit, document)
    return {
        "model": said.get("model"),
        "meter": said.get("meter"),
        "service_tier": said.get("service_tier"),
        "context_window": said.get("context_window"),
        "quantity": quantity,
        "unit": unit,
        "unit_scale": scale,
    }


def _token_unit(unit: str, document: Document) -> str:
    """Azure and Google count tokens under other names: `Units`, `1M`, `count`."""
    named = _any(document, "x_SkuMeterName", "x_UsageType", "SkuMeter", "ChargeDescription") or ""
    return "tokens" if unit.lower() in ("units", "1m", "1k", "count") or "token" in named.lower() else unit


def _consumed(document: Document, flags: list[str]) -> tuple[Decimal | None, Decimal]:
    """Return the consumed quantity and its scale, which cost and price decide: some exports divide twice.

    By the specification ConsumedQuantity counts single units and ListCost is price × PricingQuantity. Where it
    is price × ConsumedQuantity instead, that column holds blocks, and the ratio of the two is the block.
    """
    consumed, priced = _bills.amount(document, "ConsumedQuantity"), _bills.amount(document, "PricingQuantity")
    listed, price = _bills.amount(document, "ListCost"), _bills.amount(document, "ListUnitPrice")
    if not consumed or not priced or not listed or not price or consumed == priced:
        return consumed, Decimal(1)
    by_priced = _bills.scaled(priced, price, "PricingQuantity")
    by_consumed = _bills.scaled(consumed, price, "ConsumedQuantity")
    if by_priced is None or by_consumed is None or _near(listed, by_priced) or not _near(listed, by_consumed):
        return consumed, Decimal(1)
    block = (consumed / priced).to_integral_value()
    if block < 10 or not _near(consumed, priced * block):
        return consumed, Decimal(1)
    flags.append(f"consumed_in_blocks: of {block:f}")
    return consumed, block


def _said(document: Document, details: dict[str, str]) -> dict[str, str | None]:
    """Return model and meter: from the draft's keys, else from the words of the vendor's own columns."""
    said: dict[str, str | None] = {"model": details.get("ModelId"), "meter": _meter_of_keys(details)}
    if _bills.text(document, "x_SkuMeterName") and _azure_meters.is_model_meter(
        _bills.text(document, "x_SkuMeterCategory"), _bills.text(document, "x_SkuMeterSubcategory"),
        _bills.text(document, "ResourceId"),
    ):  # fmt: skip
        words = _azure_meters.parse(_bills.text(document, "x_SkuMeterName") or "")
        return {name: said.get(name) or value for name, value in words.items()}
    usage_type = _bills.text(document, "x_UsageType")
    if usage_type and _bedrock.meter(usage_type, None):
        said["meter"] = said["meter"] or _bedrock.meter(usage_type, None)
        said["model"] = said["model"] or _bedrock.model(usage_type, {})
        return said | {"service_tier": _bedrock.tier(usage_type)}
    text = _any(document, "SkuMeter", "ChargeDescription") or ""
    is_model = details.get("ModelId") or _bills.text(document, "ServiceSubcategory") == "Generative AI"
    if said["meter"] is None and (is_model or "- Predictions" in text):
        words = _google_skus.parse(text.replace("Cache Read", "Cached").replace("Context Cache", "Caching"))
        said["meter"] = "cache_write_5m" if "cache write" in text.lower() else words["meter"]
        said["service_tier"] = words["service_tier"]
    return said


def _meter_of_keys(details: dict[str, str]) -> str | None:
    """Read TokenDirection and TokenCacheAction; an older draft has TokenType."""
    direction = (details.get("TokenDirection") or details.get("TokenType") or "").lower()
    action = (details.get("TokenCacheAction") or "").lower()
    if direction.startswith("output"):
        return "output"
    if not direction.startswith("input"):
        return None
    if action == "write":
        return "cache_write_1h" if "1h" in (details.get("SkuMeter") or "").lower() else "cache_write_5m"
    return "cache_read" if action == "read" else "input"
