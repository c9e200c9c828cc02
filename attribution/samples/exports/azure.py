"""Azure actual-cost export (EA layout, with BOM): meters of Foundry Models in blocks of thousands and millions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from attribution.samples.bills import Bills, Cell, plain
from attribution.samples.company import METERS
from attribution.samples.files import Folder

SUBSCRIPTION = "5f0c2b1e-7d34-4a86-9e02-acme00000001"
COLUMNS = [
    "BillingAccountId",
    "BillingAccountName",
    "BillingPeriodStartDate",
    "BillingPeriodEndDate",
    "BillingProfileId",
    "BillingProfileName",
    "AccountOwnerId",
    "AccountName",
    "SubscriptionId",
    "SubscriptionName",
    "Date",
    "Product",
    "PartNumber",
    "MeterId",
    "ServiceFamily",
    "MeterCategory",
    "MeterSubCategory",
    "MeterRegion",
    "MeterName",
    "Quantity",
    "EffectivePrice",
    "Cost",
    "UnitPrice",
    "BillingCurrency",
    "ResourceLocation",
    "AvailabilityZone",
    "ConsumedService",
    "ResourceId",
    "ResourceName",
    "ServiceInfo1",
    "ServiceInfo2",
    "AdditionalInfo",
    "Tags",
    "InvoiceSectionId",
    "InvoiceSection",
    "CostCenter",
    "UnitOfMeasure",
    "ResourceGroup",
    "ReservationId",
    "ReservationName",
    "ProductOrderId",
    "ProductOrderName",
    "OfferId",
    "IsAzureCreditEligible",
    "Term",
    "PublisherName",
    "PlanName",
    "ChargeType",
    "Frequency",
    "PublisherType",
    "PayGPrice",
    "PricingModel",
    "CostAllocationRuleName",
    "benefitId",
    "benefitName",
]
#: Deployment → meter → its name, id, and block of tokens.
_METERS = {
    ("azure-gpt-4.1", "input"): ("gpt 4.1 Inp glbl Tokens", "a1f0c001-0000-4000-8000-000000000001", 1_000),
    ("azure-gpt-4.1", "cache_read"): ("gpt 4.1 cached Inp glbl Tokens", "a1f0c001-0000-4000-8000-000000000002", 1_000),
    ("azure-gpt-4.1", "output"): ("gpt 4.1 Outp glbl Tokens", "a1f0c001-0000-4000-8000-000000000003", 1_000),
    ("azure-gpt-5-mini", "input"): (
        "GPT 5 Mini Inpt Glbl 1M Tokens",
        "a1f0c001-0000-4000-8000-000000000011",
        1_000_000,
    ),
    ("azure-gpt-5-mini", "cache_read"): (
        "GPT 5 Mini cchd Inpt Glbl 1M Tokens",
        "a1f0c001-0000-4000-8000-000000000012",
        1_000_000,
    ),
    ("azure-gpt-5-mini", "output"): (
        "GPT 5 Mini outpt Glbl 1M Tokens",
        "a1f0c001-0000-4000-8000-000000000013",
        1_000_000,
    ),
}
CORRECTED = "2026-09"
#: The first delivery of the corrected month charged one meter a tenth too much.
_WRONG = ("azure-gpt-4.1", "output")


def write_azure(bills: Bills, folder: Folder) -> None:
    """Write one export run per month, and for the corrected month an earlier, wrong one."""
    for month in bills.months():
        if month == CORRECTED and "corrected_bill" in bills.faults:
            _run(bills, folder, month, days_after=1, wrong=True)
        _run(bills, folder, month, days_after=6, wrong=False)


def overcharged(bills: Bills) -> int:
    """Return what the first delivery of the corrected month charged too much, as pico-dollars."""
    cells = [c for c in bills.of("azure") if f"{c.day:%Y-%m}" == CORRECTED]
    return sum(_charged(bills, cell, meter, pico, True) - pico for cell in cells for meter, pico in _priced(cell))


def _priced(cell: Cell) -> Iterator[tuple[str, int]]:
    yield from zip(METERS, cell.billed_pico, strict=True)


def _charged(bills: Bills, cell: Cell, meter: str, pico: int, wrong: bool) -> int:
    name = bills.company.deployments[cell.deployment].name
    return pico * 11 // 10 if wrong and (name, meter) == _WRONG else pico


def _run(bills: Bills, folder: Folder, month: str, *, days_after: int, wrong: bool) -> None:
    days = [day for day in bills.days if f"{day:%Y-%m}" == month]
    ran = days[-1] + timedelta(days=days_after)
    run_id = f"{ran:%Y%m%d}0600-5e1d-4c5f-9d1f-acme{days_after:08d}"
    place = f"data/azure/acme-actual/{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}/{run_id}"
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for cell in bills.of("azure"):
        if f"{cell.day:%Y-%m}" == month:
            writer.writerows(_rows(bills, cell, days[0], days[-1], wrong))
    folder.text(f"{place}/part_0_0001.csv", "\ufeff" + out.getvalue())
    folder.json(
        f"{place}/manifest.json",
        {
            "manifestVersion": "2024-04-01",
            "exportConfig": {"exportName": "acme-actual", "type": "ActualCost", "timeFrame": "Custom"},
            "runInfo": {
                "executionType": "Scheduled",
                "submittedTime": f"{ran}T06:00:00Z",
                "runId": run_id,
                "startDate": f"{days[0]}T00:00:00",
                "endDate": f"{days[-1]}T00:00:00",
            },
            "blobs": [{"blobName": f"acme-actual/{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}/{run_id}/part_0_0001.csv"}],
        },
    )


def _rows(bills: Bills, cell: Cell, first: Any, last: Any, wrong: bool) -> Iterator[dict[str, Any]]:
    name = bills.company.deployments[cell.deployment].name
    for meter, quantity, pico in zip(METERS, cell.quantities, cell.billed_pico, strict=True):
        if not quantity:
            continue
        words, meter_id, block = _METERS[name, meter]
        charged = _charged(bills, cell, meter, pico, wrong)
        price = plain(charged * block // quantity)
        group = "rg-ai" if cell.day.day % 3 else "RG-AI"
        yield _FIXED | {
            "BillingPeriodStartDate": f"{first:%m/%d/%Y}",
            "BillingPeriodEndDate": f"{last:%m/%d/%Y}",
            "Date": f"{cell.day:%m/%d/%Y}",
            "Product": f"Azure OpenAI - {words}",
            "MeterId": meter_id,
            "MeterName": words,
            "Quantity": _blocks(quantity, block),
            "EffectivePrice": price,
            "Cost": plain(charged),
            "UnitPrice": price,
            "ResourceId": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/"
            "Microsoft.CognitiveServices/accounts/acme-ai",
            "UnitOfMeasure": "1K" if block == 1_000 else "1M",
            "ResourceGroup": group,
            "PayGPrice": price,
        }


#: What every row says.
_FIXED = {
    "BillingAccountId": "88120457",
    "BillingAccountName": "Acme Inc.",
    "SubscriptionId": SUBSCRIPTION,
    "SubscriptionName": "acme-prod",
    "ServiceFamily": "AI + Machine Learning",
    "MeterCategory": "Foundry Models",
    "MeterSubCategory": "Azure OpenAI",
    "BillingCurrency": "USD",
    "ResourceLocation": "eastus2",
    "ConsumedService": "Microsoft.CognitiveServices",
    "ResourceName": "acme-ai",
    "Tags": '"env": "prod","team": "platform"',
    "IsAzureCreditEligible": "True",
    "PublisherName": "Microsoft",
    "ChargeType": "Usage",
    "Frequency": "UsageBased",
    "PublisherType": "Azure",
    "PricingModel": "OnDemand",
}


def _blocks(quantity: int, block: int) -> str:
    digits = len(str(block)) - 1
    text = f"{quantity // block}.{quantity % block:0{digits}d}".rstrip("0")
    return text[:-1] if text.endswith(".") else text
