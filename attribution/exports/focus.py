"""FOCUS: charges in the columns of the FinOps cost and usage specification, one row per team, price and day."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import pyarrow as pa

from attribution.exports import charges
from attribution.ledger import Ledger

_TYPES = {"money": "decimal(38, 12)", "text": "varchar", "json": "varchar", "count": "bigint", "time": "timestamp"}


@dataclass(frozen=True)
class FocusColumn:
    """One column of the export: its name, kind, and the version that first has it."""

    name: str
    type: str
    since: str
    meaning: str


@cache
def columns(version: str) -> tuple[FocusColumn, ...]:
    """Return the columns of a version, in order: the specification's by name, then our own."""
    found = [FocusColumn(**row) for row in _rows("focus.csv")]
    wanted = [column for column in found if column.since <= version]
    return tuple(sorted(wanted, key=lambda column: (column.name.startswith("x_"), column.name)))


def rows_of(ledger: Ledger, months: list[str] | None, pools: Mapping[str, str] | None = None) -> pa.Table:
    """Return the FOCUS rows of these invoice months, or of all time, in stable order.

    Calls come from the table `charge`, what no call bears from `residual_line`; together their BilledCost is the
    invoice wherever there is one.

    Parameters
    ----------
    ledger
        A built ledger.
    months
        Invoice months, or null for all time.
    pools
        Residual line → the pool it falls into. When given, rows are told apart by pool, for version 1.3.
    """
    charges.gather(ledger, months, is_pooled=pools is not None)
    declared = columns("1.2" if pools is None else "1.3")
    placed = pa.table(
        {"residual_id": pa.array(pools or {}, pa.string()), "pool": pa.array((pools or {}).values(), pa.string())}
    )
    usage, beside = (
        ", ".join(f'cast({told.get(c.name, "null")} as {_TYPES[c.type]}) as "{c.name}"' for c in declared)
        for told in (_OF_CALLS, _OF_NO_CALL)
    )
    query = f"""
        with account as ({_ACCOUNTS}),
        plain as (select distinct team, plain_tags from focus_team),
        row as (
            select {usage} from charge
            left join focus_sku as sku on {_same("charge", "sku", _SKU)}
            left join focus_team as held on held.team = charge.owner_team
                and charge.day >= held.valid_from and charge.day < held.valid_to
            left join plain on plain.team = charge.owner_team
            left join trued_up on trued_up.provider = charge.provider and trued_up.period = charge.billing_month
            left join account on account.provider is not distinct from charge.provider
            union all
            select {beside} from residual_line as line
            left join trued_up on trued_up.provider = line.provider and trued_up.period = line.period
            left join account on account.provider = line.provider
            left join residual_pool as placed on placed.residual_id = line.residual_id::varchar
            where $is_all or list_contains($months, line.period)
        )
        select * replace (
            case when (select bool_and("x_InvoiceId" is not null) from row) then "x_InvoiceId" end as "InvoiceId"
        )
        from row
        order by "BillingPeriodStart", "ChargePeriodStart", "ProviderName", "x_OwnerTeam" nulls last,
            "SkuPriceId" nulls last, "x_ChargeId"
    """
    with ledger.reading(focus_sku=_skus(ledger), focus_team=_teams(ledger), residual_pool=placed):
        table = ledger.arrow(query, {"months": list(months or ()), "is_all": months is None})
    return _zoned(table, declared)


#: What tells one price of one model apart from another.
_SKU = ("provider", "model", "tier", "meter", "unit", "price_entry", "price_per")


def _same(left: str, right: str, names: tuple[str, ...]) -> str:
    return " and ".join(f"{left}.{name} is not distinct from {right}.{name}" for name in names)


def _usd(pico: str) -> str:
    return f"cast({pico} as decimal(38, 0)) * 0.000000000001"


_DIGEST = "substr(md5(to_json([{}])::varchar), 1, 16)"

_KEY = ", ".join(f"charge.{name}::varchar" for name in charges.KEY)

#: Where a row has no price of its own, it is one charge at what it costs.
_IS_LUMP = "charge.price_per is null"
_LUMP_PRICE = f"abs({_usd('charge.list')})"
_LUMP_PAID = f"abs({_usd('charge.contracted')})"
_SIGN = "case when charge.list < 0 then -1 else 1 end"
_QUANTITY = f"""case when {_IS_LUMP} then {_SIGN}
    else {_usd("cast(charge.micro as hugeint) * 1000000 // charge.price_per")} end"""
_LIST_PRICE = f"case when {_IS_LUMP} then {_LUMP_PRICE} else charge.unit_price end"
_PAID_PRICE = f"case when {_IS_LUMP} then {_LUMP_PAID} else charge.paid_price end"
_USAGE = {
    "BilledCost": _usd("charge.billed"),
    "ListCost": _usd("charge.list"),
    "ContractedCost": _usd("charge.contracted"),
    "EffectiveCost": _usd("charge.effective"),
    "PricingCurrencyEffectiveCost": _usd("charge.effective"),
}
#: A payer's own account is no sub account.
_PROJECT = "nullif(charge.project_id, account.account_id)"

#: Column → SQL over `charge`, the price's words (`sku`), the registry's team (`held`) and the invoice (`trued_up`).
_OF_CALLS = {
    **_USAGE,
    "BillingAccountId": "coalesce(account.account_id, charge.provider, 'unknown')",
    "BillingAccountName": "coalesce(account.account_id, charge.provider, 'unknown')",
    "BillingAccountType": "'Billing Account'",
    "BillingCurrency": "'USD'",
    "BillingPeriodStart": "cast(charge.billing_month || '-01' as date)",
    "BillingPeriodEnd": "cast(charge.billing_month || '-01' as date) + interval 1 month",
    "ChargeCategory": "'Usage'",
    "ChargeDescription": "sku.description",
    "ChargeFrequency": "'Usage-Based'",
    "ChargePeriodStart": "charge.day",
    "ChargePeriodEnd": "charge.day + interval 1 day",
    "ConsumedQuantity": "cast(charge.micro as decimal(38, 0)) * 0.000001",
    "ConsumedUnit": "sku.consumed_unit",
    "ListUnitPrice": _LIST_PRICE,
    "ContractedUnitPrice": _PAID_PRICE,
    "PricingCurrencyListUnitPrice": _LIST_PRICE,
    "PricingCurrencyContractedUnitPrice": _PAID_PRICE,
    "PricingCategory": "'Standard'",
    "PricingCurrency": "'USD'",
    "PricingQuantity": _QUANTITY,
    "PricingUnit": "sku.pricing_unit",
    "InvoiceIssuerName": "coalesce(charge.provider, 'unknown')",
    "ProviderName": "coalesce(charge.provider, 'unknown')",
    "PublisherName": "coalesce(charge.provider, 'unknown')",
    "ServiceProviderName": "coalesce(charge.provider, 'unknown')",
    "HostProviderName": "coalesce(charge.provider, 'unknown')",
    "RegionId": "charge.region",
    "RegionName": "charge.region",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceName": "coalesce(charge.provider, 'unknown') || ' model API'",
    "ServiceSubcategory": "'Generative AI'",
    "SkuId": "sku.sku_id",
    "SkuMeter": "sku.sku_meter",
    "SkuPriceDetails": "sku.details",
    "SkuPriceId": "sku.sku_price_id",
    "SubAccountId": _PROJECT,
    "SubAccountName": _PROJECT,
    "SubAccountType": f"case when {_PROJECT} is not null then 'Project' end",
    "Tags": "coalesce(held.tags, plain.plain_tags)",
    "x_Calls": "charge.calls",
    "x_ChargeId": _DIGEST.format(_KEY),
    "x_ContextBand": "sku.context_band",
    "x_CostBasis": "charge.basis",
    "x_CostCenter": "held.cost_center",
    "x_DeclaredCost": _usd("charge.declared"),
    "x_InvoiceId": "case when charge.basis <> 'accrual' then trued_up.invoice_id end",
    "x_LedgerAccount": "held.account",
    "x_Model": "charge.model",
    "x_OwnerEvidence": "array_to_string(charge.evidence, ', ')",
    "x_OwnerTeam": "charge.owner_team",
    "x_Pool": "coalesce(charge.pool, case when charge.owner_team is null then 'unowned' end)",
    "x_PriceStatus": "charge.price_status",
    "x_ServiceTier": "charge.tier",
    "x_UnbilledCalls": "charge.unbilled_calls",
}

_IS_SKU = "line.category in ('usage', 'purchase')"
_ONE = f"case when {_IS_SKU} then case when line.billed_cost < 0 then -1 else 1 end end"
_PRICE = f"case when {_IS_SKU} then abs(line.billed_cost) end"
_LINE_PROJECT = "nullif(line.project_id, account.account_id)"
_SKU_ID = f"case when {_IS_SKU} then concat_ws('/', line.provider, line.model, line.cause, line.meter) end"

#: Column → SQL over `residual_line`: a charge of the invoice that belongs to no call, and so to no team.
_OF_NO_CALL = {
    "BilledCost": "line.billed_cost",
    "ListCost": "line.billed_cost",
    "ContractedCost": "line.billed_cost",
    "EffectiveCost": "line.effective_cost",
    "PricingCurrencyEffectiveCost": "line.effective_cost",
    "BillingAccountId": "coalesce(account.account_id, line.provider)",
    "BillingAccountName": "coalesce(account.account_id, line.provider)",
    "BillingAccountType": "'Billing Account'",
    "BillingCurrency": "'USD'",
    "BillingPeriodStart": "cast(line.period || '-01' as date)",
    "BillingPeriodEnd": "cast(line.period || '-01' as date) + interval 1 month",
    "ChargeCategory": "upper(line.category[1]) || line.category[2:]",
    "ChargeDescription": "coalesce(line.description, replace(line.cause, '_', ' '))",
    "ChargeFrequency": "case when line.category = 'usage' then 'Usage-Based' else 'One-Time' end",
    "ChargePeriodStart": "cast(line.period || '-01' as date)",
    "ChargePeriodEnd": "cast(line.period || '-01' as date) + interval 1 month",
    "ConsumedQuantity": f"case when line.category = 'usage' then {_ONE} end",
    "ConsumedUnit": "case when line.category = 'usage' then 'Charges' end",
    "ListUnitPrice": _PRICE,
    "ContractedUnitPrice": _PRICE,
    "PricingCurrencyListUnitPrice": _PRICE,
    "PricingCurrencyContractedUnitPrice": _PRICE,
    "PricingCategory": f"case when {_IS_SKU} then 'Standard' end",
    "PricingCurrency": "'USD'",
    "PricingQuantity": _ONE,
    "PricingUnit": f"case when {_IS_SKU} then 'Charges' end",
    "InvoiceIssuerName": "line.provider",
    "ProviderName": "line.provider",
    "PublisherName": "line.provider",
    "ServiceProviderName": "line.provider",
    "HostProviderName": "line.provider",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceName": "line.provider || ' model API'",
    "ServiceSubcategory": "'Generative AI'",
    "SkuId": _SKU_ID,
    "SkuMeter": f"case when {_IS_SKU} then replace(coalesce(line.meter, line.cause), '_', ' ') end",
    "SkuPriceId": _SKU_ID,
    "SubAccountId": _LINE_PROJECT,
    "SubAccountName": _LINE_PROJECT,
    "SubAccountType": f"case when {_LINE_PROJECT} is not null then 'Project' end",
    "x_ChargeId": "substr(replace(line.residual_id::varchar, '-', ''), 1, 16)",
    "x_CostBasis": "'billed'",
    "x_DeclaredCost": "0",
    "x_InvoiceId": "trued_up.invoice_id",
    "x_Model": "line.model",
    "x_OwnerEvidence": "'none'",
    "x_Pool": "placed.pool",
    "x_ResidualCause": "line.cause",
}

#: The account of a provider's bills, where they name exactly one.
_ACCOUNTS = """
    select provider, case when count(distinct account_id) = 1 then min(account_id) end as account_id
    from bill_line group by provider
"""


def _skus(ledger: Ledger) -> pa.Table:
    """Return the words of each price that a charge stands at."""
    words = {row["meter"]: row for row in _rows("meters.csv")}
    found = ledger.arrow(
        f"""
        with entry as (
            select entry as price_entry, any_value(model order by model) as book_model,
                max(context_over) as context_over
            from price group by entry
        )
        select distinct {", ".join(f"charge.{name}" for name in _SKU)}, book_model, context_over
        from charge left join entry on entry.price_entry = charge.price_entry
        order by all
        """
    ).to_pylist()
    return pa.Table.from_pylist([_told(row, words) for row in found], schema=_SKU_SCHEMA)


_SKU_SCHEMA = pa.schema(
    [(name, pa.int64() if name == "price_per" else pa.string()) for name in _SKU]
    + [
        (name, pa.string())
        for name in (
            "sku_id",
            "sku_price_id",
            "sku_meter",
            "details",
            "description",
            "context_band",
            "consumed_unit",
            "pricing_unit",
        )
    ]
)


def _told(row: dict[str, Any], words: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Put one price into the words of FOCUS."""
    meter, unit = row["meter"], str(row["unit"]).capitalize()
    known = words.get(meter or "", {})
    named = known.get("sku_meter") or _titled(meter or "unpriced requests")
    band = f"over {row['context_over']} input tokens" if (row["context_over"] or -1) > 0 else None
    model, tier = row["model"] or "unknown", row["tier"] or "unknown"
    sku = "/".join([row["provider"] or "unknown", model, tier, *([f"over-{row['context_over']}"] if band else ())])
    entry = row["price_entry"] or f"unpriced/{sku}"
    as_model = "" if row["book_model"] in (model, None) else f"={model}"
    details = {
        "x_ModelId": row["model"],
        "x_TokenDirection": known.get("direction") or None,
        "x_TokenCacheAction": known.get("cache_action") or None,
        "x_ServiceTier": row["tier"],
        "x_ContextBand": band,
        **dict(part.split("=") for part in (known.get("details") or "").split(";") if part),
    }
    return {
        **{name: row[name] for name in _SKU},
        "sku_id": f"{sku}/{meter or 'unpriced'}",
        "sku_price_id": f"{entry}{as_model}:{meter or 'unpriced'}",
        "sku_meter": named,
        "details": _json({name: value for name, value in details.items() if value is not None}),
        "description": f"{named} of {model} ({', '.join([tier, *([band] if band else ())])})",
        "context_band": band,
        "consumed_unit": unit,
        "pricing_unit": "Charges" if row["price_per"] is None else _block(row["price_per"], unit),
    }


def _block(per: int, unit: str) -> str:
    return unit if per == 1 else f"{per} {unit}"


def _titled(meter: str) -> str:
    return meter.replace("_", " ").replace("[", " [").title()


def _teams(ledger: Ledger) -> pa.Table:
    """Return each team of a charge with its tags, by the dates of the registry; a team without an entry once."""
    rows = ledger.arrow(
        """
        select teams.owner_team as team, cost_center, account,
            coalesce(valid_from, timestamp '0001-01-01') as valid_from,
            coalesce(valid_to, timestamp '9999-01-01') as valid_to
        from (select distinct owner_team from charge where owner_team is not null) as teams
        left join team on team.team = teams.owner_team
        order by all
        """
    ).to_pylist()
    for row in rows:
        named = {"owner_team": row["team"], "cost_center": row["cost_center"], "account": row["account"]}
        row["tags"] = _json({name: value for name, value in named.items() if value is not None})
        row["plain_tags"] = _json({"owner_team": row["team"]})
    texts = [(name, pa.string()) for name in ("team", "cost_center", "account", "tags", "plain_tags")]
    times = [(name, pa.timestamp("us")) for name in ("valid_from", "valid_to")]
    return pa.Table.from_pylist(rows, schema=pa.schema(texts + times))


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _zoned(table: pa.Table, declared: tuple[FocusColumn, ...]) -> pa.Table:
    """Say that times are UTC, and money is DECIMAL(38, 12)."""
    kinds = {
        "money": pa.decimal128(38, 12),
        "time": pa.timestamp("us", tz="UTC"),
        "count": pa.int64(),
    }
    return table.cast(pa.schema([(c.name, kinds.get(c.type, pa.string())) for c in declared]))


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files("attribution") / "exports" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def total(table: pa.Table, column: str) -> Decimal:
    """Return the exact sum of a money column."""
    return sum((value for value in table[column].to_pylist() if value is not None), Decimal(0))
