"""What a Bedrock usage type says: model, meter, tier, region and how many tokens one unit is."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

#: First letters of a usage type → region, as AWS bills it.
REGIONS = {
    "USE1": "us-east-1",
    "USE2": "us-east-2",
    "USW1": "us-west-1",
    "USW2": "us-west-2",
    "CAN1": "ca-central-1",
    "SAE1": "sa-east-1",
    "EU": "eu-west-1",
    "EUW1": "eu-west-1",
    "EUW2": "eu-west-2",
    "EUW3": "eu-west-3",
    "EUC1": "eu-central-1",
    "EUC2": "eu-central-2",
    "EUN1": "eu-north-1",
    "EUS1": "eu-south-1",
    "APN1": "ap-northeast-1",
    "APN2": "ap-northeast-2",
    "APN3": "ap-northeast-3",
    "APS1": "ap-southeast-1",
    "APS2": "ap-southeast-2",
    "APS3": "ap-south-1",
    "APE1": "ap-east-1",
    "MES1": "me-south-1",
    "UGW1": "us-gov-west-1",
    "UGE1": "us-gov-east-1",
}
_TIERS = ("batch", "flex", "priority", "standard")
#: Where the token words of a usage type begin; before them stands the model.
_CLASS = re.compile(
    r"[-_](?:mantle[-_])?(?:cache[-_]?(?:read|write)|cacheread|cachewrite|input|output|inputtoken|outputtoken|reserved)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^([A-Z]{2,3}[A-Z]?\d?)-")
_UNIT = re.compile(r"^(?:(\d+)\s*([km])?\s*)?tokens?$", re.IGNORECASE)
_BLOCKS = {"": 1, "k": 1_000, "m": 1_000_000}


def region(usage_type: str) -> str | None:
    """Return the billing region of a usage type; some rows of us-east-1 carry none, and none is assumed."""
    found = _PREFIX.match(usage_type)
    return REGIONS.get(found[1]) if found else None


@lru_cache(maxsize=4096)
def meter(usage_type: str, inference_type: str | None) -> str | None:
    """Return the meter of a usage type; cache words are looked for before input words, which stand in both."""
    words = re.sub(r"[^a-z0-9]+", " ", f"{inference_type or ''} {usage_type}".lower())
    if "per minute" in words or "provisioned" in words or "modelunit" in words:
        return "provisioned"
    if "token" not in words:
        return None
    if "cache" in words and "read" in words:
        return "cache_read"
    if "cache" in words and "write" in words:
        return "cache_write_1h" if re.search(r"\b1h\b", words) else "cache_write_5m"
    if "output" in words:
        return "output"
    return "input" if "input" in words else None


@lru_cache(maxsize=4096)
def tier(usage_type: str) -> str | None:
    """Return the tier that a usage type names; without one it does not say."""
    words = re.split(r"[^a-z]+", usage_type.lower())
    return next((name for name in _TIERS if name in words), None)


def context_window(usage_type: str) -> str | None:
    """Return the context band that a usage type names."""
    return "long" if "long-context" in usage_type.lower() or "long_context" in usage_type.lower() else None


def model(usage_type: str, product: dict[str, str]) -> str | None:
    """Return the model: the product's own key, its name without the edition, or what the usage type says."""
    if product.get("model"):
        return product["model"]
    name = product.get("product_name") or ""
    if "(amazon bedrock edition)" in name.lower():
        return re.sub(r"\s*\(amazon bedrock edition\)", "", name, flags=re.IGNORECASE).strip() or None
    plain = _PREFIX.sub("", usage_type)
    found = _CLASS.search(plain)
    return plain[: found.start()] or None if found and not plain.startswith("MP:") else None


def is_bedrock(product_code: str | None, product: dict[str, str], family: str | None) -> bool:
    """Tell Bedrock rows of both families from the rest of a bill; the product code alone misses most of them."""
    return (
        (product_code or "").startswith("AmazonBedrock")
        or product.get("servicecode") == "AmazonBedrock"
        or family == "Amazon Bedrock"
        or bool(product.get("provider"))
        or "(amazon bedrock edition)" in (product.get("product_name") or "").lower()
    )


def scale(pricing_unit: str | None, is_marketplace: bool, flags: list[str]) -> Decimal | None:
    """Return how many tokens one unit is: as the row says, else by its family, flagged; null where nothing tells."""
    found = _UNIT.match(pricing_unit or "")
    if found:
        return Decimal(int(found[1] or 1) * _BLOCKS[(found[2] or "").lower()])
    if pricing_unit is None:
        flags.append("assumed_scale: no pricing unit, taken by the family of the row")
        return Decimal(1_000_000) if is_marketplace else Decimal(1_000)
    if is_marketplace and pricing_unit.lower() == "units":
        return Decimal(1_000_000)
    flags.append(f"unknown_scale: {pricing_unit}")
    return None


def check_scale(cost: Decimal | None, tokens: Decimal | None, flags: list[str]) -> None:
    """Flag a line whose price per million tokens no model has: a sign of the wrong scale."""
    if not cost or not tokens or cost < 0 or tokens < 0:
        return
    dollars, millions = cost * 1_000_000, tokens
    if dollars > millions * 10_000 or dollars * 10_000 < millions:
        flags.append(f"implausible_scale: {cost.normalize():f} for {tokens.normalize():f} tokens")
