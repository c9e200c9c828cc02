"""The price of one call from its raw usage body: read, then priced by the same statement as a ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from attribution.errors import QuestionError
from attribution.pricing.book import PriceBook
from attribution.pricing.columns import moment_of
from attribution.pricing.frames import price_rows
from attribution.pricing.models import PROVIDERS
from attribution.pricing.storing import shipped_book
from attribution.usage import TOKEN_COLUMNS, Usage, read_usage

#: APIs by which callers know a usage shape → our name of the shape.
_APIS = {
    "chat": "openai_chat",
    "chat_completions": "openai_chat",
    "completions": "openai_chat",
    "embeddings": "openai_chat",
    "responses": "openai_responses",
    "images": "openai_images",
    "realtime": "openai_responses",
    "transcriptions": None,
    "default": None,
    "messages": "anthropic",
    "anthropic": "anthropic",
    "invoke": None,
    "converse": "bedrock_converse",
    "invocation_log": "bedrock_log",
    "generate_content": "google",
    "gemini": "google",
    "cohere": "cohere",
    "otel": "otel",
    "opentelemetry": "otel",
    "litellm": "openai_chat",
    "langfuse": "langfuse",
}
_SHAPES = {
    "openai_chat",
    "openai_images",
    "openai_responses",
    "anthropic",
    "bedrock_converse",
    "bedrock_log",
    "google",
    "cohere",
    "langfuse",
    "otel",
}
#: Where a response holds its usage; it is null where none is known.
_HOLDERS = ("usage", "usageMetadata", "usage_metadata", "usage_details", "amazon-bedrock-invocationMetrics", "meta")
#: Where a response names the model that answered.
_MODEL = ("model", "modelVersion", "model_version")


@dataclass(frozen=True)
class PricedUsage:
    """What one usage body costs: money, its status and reason, and the line items with their entries."""

    list_cost: Decimal | None
    price_status: str
    price_reason: str | None
    price_entry: str | None
    priced_part: Decimal | None
    estimated_cost: Decimal | None
    line_items: pd.DataFrame
    usage: Mapping[str, int | Decimal]
    readings: tuple[str, ...]
    flags: tuple[str, ...]
    price_book: str


def price_usage(
    provider: str,
    model: str | None,
    usage_json: str | bytes | Mapping[str, Any],
    *,
    at: datetime | date | str | None = None,
    tier: str | None = None,
    api: str | None = None,
    region: str | None = None,
    book: PriceBook | None = None,
) -> PricedUsage:
    """Price one raw usage body as the provider returned it.

    The API shape is told by the fields of the body, or stated. A tier, region or model that the body itself
    carries is used where none is given; batch jobs report the standard tier in the body, so say `tier="batch"`.
    Iterations of server-side tools are billed at their own models. Counts that contradict each other leave the
    call unpriced.

    Parameters
    ----------
    provider
        Who bills the call, such as `openai`, `anthropic`, `aws`, `azure`, `google`.
    model
        The model that answered; the body's own when None.
    usage_json
        The usage object, or a response that holds one, as JSON text or a mapping.
    at
        When the call began, in UTC unless it has an offset; the date of the book when None, and flagged.
    tier
        `standard`, `batch`, `flex`, `priority`, `fast`; the body's own when None.
    api
        `chat`, `responses`, `messages`, `converse`, `generate_content`, …; told by the body when None.
    region
        Region or geography of the endpoint; the body's own when None.
    book
        The prices to use; the shipped book when not given.

    Returns
    -------
    PricedUsage
        `list_cost` [USD] is None unless every meter has a price; `line_items` has one row a meter; `usage` is what was
        counted, with or without a price, in the columns of `cost_event`.

    Raises
    ------
    QuestionError
        If the body is not a JSON object, or a count in it is no whole number.

    Examples
    --------
    >>> import attribution as at
    >>> body = {"prompt_tokens": 3200, "completion_tokens": 480}
    >>> at.price_usage("openai", "gpt-4.1-mini", body, at="2026-10-05", tier="standard").list_cost
    Decimal('0.002048000000')
    """
    body, response = _usage_body(usage_json)
    owner = PROVIDERS.get(provider.strip().lower(), provider.strip().lower()) if provider else ""
    try:
        usages = read_usage(body, provider=owner, api=_shape(api))
    except ValueError as error:
        raise QuestionError.bad_argument("usage_json", str(error), "counts as the provider gives them") from error
    named = model or next((response[name] for name in _MODEL if response.get(name)), None)
    stated = tier or response.get("service_tier")
    rows = [_row(usage, owner, named, stated, region, moment_of(at, "at")) for usage in usages]
    prices = book or shipped_book()
    costs, items = price_rows(rows, prices)
    flags = tuple(flag for usage in usages for flag in usage.flags)
    return _summed(costs, items, usages, flags, prices.fingerprint)


def _usage_body(given: str | bytes | Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the usage object and the response around it; floats in the text stay decimal."""
    if isinstance(given, Mapping):
        parsed: Any = given
    else:
        try:
            parsed = json.loads(given, parse_float=Decimal, object_pairs_hook=_once)
        except ValueError as error:
            expected = "JSON text of one object, each key once"
            raise QuestionError.bad_argument("usage_json", str(given)[:80], expected) from error
    if not isinstance(parsed, Mapping):
        raise QuestionError.bad_argument("usage_json", parsed, "one JSON object")
    for name in _HOLDERS:
        if name in parsed and (parsed[name] is None or isinstance(parsed[name], Mapping)):
            return parsed[name] or {}, parsed
    return parsed, {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says a key twice; which of the two counts is meant nobody can tell."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _shape(api: str | None) -> str | None:
    if api is None or api in _SHAPES:
        return api
    if api not in _APIS:
        raise QuestionError.bad_argument("api", api, f"one of {', '.join(sorted({*_APIS, *_SHAPES}))}")
    return _APIS[api]


def _row(
    usage: Usage, provider: str, model: str | None, tier: str | None, region: str | None, at: datetime | None
) -> dict[str, Any]:
    row: dict[str, Any] = {name: usage.tokens.get(name) for name in TOKEN_COLUMNS}
    row["other_usage"] = list(usage.other.items()) or None
    row["is_metered"] = usage.is_metered
    row["provider"], row["model"] = provider, usage.model or model
    row["service_tier"], row["region"] = tier or usage.service_tier, region or usage.region
    row["started_at"] = at
    return row


def _summed(
    costs: list[dict[str, Any]], items: pd.DataFrame, usages: Sequence[Usage], flags: tuple[str, ...], book: str
) -> PricedUsage:
    """Put the iterations of a call together: it is priced when all of them are."""
    statuses = {cost["price_status"] for cost in costs}
    reasons = list(dict.fromkeys(cost["price_reason"] for cost in costs if cost["price_reason"]))
    known = [c["list_cost"] if c["list_cost"] is not None else c["priced_part"] for c in costs]
    if len(statuses) == 1:
        status = costs[0]["price_status"]
    else:
        status = "partial" if any(k is not None for k in known) else "unpriced"
    is_priced = status in ("priced", "free")
    part = sum((k for k in known if k is not None), Decimal(0)) if status == "partial" else None
    estimates = [c["estimated_cost"] for c in costs if c["estimated_cost"] is not None]
    return PricedUsage(
        sum((c["list_cost"] for c in costs), Decimal(0)) if is_priced else None,
        status,
        "; ".join(reasons) or None,
        costs[0]["price_entry"],
        part,
        sum(estimates, Decimal(0)) if estimates else None,
        items,
        _counted(usages),
        tuple(usage.reading for usage in usages),
        flags,
        book,
    )


def _counted(usages: Sequence[Usage]) -> dict[str, int | Decimal]:
    """Add up what the iterations of a call counted; what none of them says is left out."""
    counted: dict[str, int | Decimal] = {}
    for usage in usages:
        own: dict[str, int | Decimal] = {**usage.tokens, **usage.other}
        for name, count in own.items():
            counted[name] = counted.get(name, 0) + count
    return counted
