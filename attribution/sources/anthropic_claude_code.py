"""Anthropic Claude Code report: tokens and an estimate per UTC day, developer, terminal and model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row, _bills, _runs
from attribution.sources.anthropic_cost import dollars

NAME = "anthropic_claude_code"
VERSION = 1
#: Names by which a file that nobody recognises is called near to this source.
SIGNATURE = ("data", "has_more", "next_page")
GRAIN = "UTC day × actor × terminal × model"
GIVES = "who coded with how many tokens; an estimate of the cost; no request id"
NESTING = "disjoint: input, cache reads, cache writes and output are separate; writes of 5m and 1h are one number"
MONEY = "cents as a JSON number, an estimate; notional for subscriptions; kept beside the bill, never added to it"
ZONE = "RFC 3339; UTC days"
MISTAKE = "the same tokens stand in the usage report: adding both doubles API customers; 186 is 1.86 dollars, not 186"
REWRITES = "replace: a later pull replaces a day, told by the time in the pulled file's name"
#: Without a hashing key two developers may have equal keys; their lines are told apart by content.
CELLS_REPEAT = True

run_of = _runs.pulled_run

_DAY = 86_400_000_000


def recognise(sample: Sample) -> int:
    """Look for rows with an actor and a model breakdown."""
    rows = [row for page in sample.documents for row in _rows(page) if isinstance(row, dict)]
    if any("model_breakdown" in row and "actor" in row for row in rows):
        return 97
    is_empty = not rows and bool(sample.documents) and all("has_more" in page for page in sample.documents)
    return 45 if is_empty and _runs.is_pulled("anthropic-claude_code", sample.path) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read every row of a page: one record per developer's day."""
    if intake.run.start is not None:
        # A page without rows does not name its day; the pulled file's name does.
        intake.cover(_bills.period("claude_code", intake.run.start, intake.run.start + _DAY))
    for ordinal, row in enumerate(_rows(document)):
        try:
            lines = _lines(row, intake)
        except Unreadable as fault:
            intake.set_aside(line, fault, ordinal)
            continue
        if lines:
            intake.accept(line, bill_lines=lines)
        else:
            intake.pass_over()


def _rows(page: Document) -> list[Any]:
    rows = [page] if "model_breakdown" in page else page.get("data")
    return rows if isinstance(rows, list) else []


def _lines(row: Any, intake: Intake) -> list[Row]:
    if not isinstance(row, dict):
        raise Unreadable("not_an_object", "a row of the report", type(row).__name__, "data")
    start = _bills.required(normalization.instant(row.get("date"), "date", "UTC"), "date")
    period = intake.cover(_bills.period("claude_code", start, start + _DAY))
    flags: list[str] = []
    principal = _actor(row.get("actor"), flags, intake)
    terminal = normalization.text(row.get("terminal_type"), "terminal_type")
    customer = normalization.text(row.get("customer_type"), "customer_type")
    subscription = normalization.text(row.get("subscription_type"), "subscription_type")
    kept = {"terminal_type": terminal, "customer_type": customer, "subscription_type": subscription}
    base: Row = {
        "role": "estimate",
        "category": "usage",
        "provider": "anthropic",
        "period_start": start,
        "period_end": start + _DAY,
        "billing_period": _bills.month(start),
        "account_id": normalization.text(row.get("organization_id"), "organization_id"),
        "principal": principal,
        "sku": "claude_code",
        "tags": {name: value for name, value in kept.items() if value is not None} or None,
        "flags": flags or None,
    }
    base = _bills.stamp(intake, base, period)
    identity = _bills.key(period, base["account_id"], principal, *kept.values())
    models = row.get("model_breakdown") or []
    if not isinstance(models, list):
        raise Unreadable("not_a_list", "a list of models", type(models).__name__, "model_breakdown")
    return [line for entry in models for line in _of_model(entry, base, identity)]


def _actor(actor: Any, flags: list[str], intake: Intake) -> str | None:
    """A developer's address is hashed with the key or not kept; a key's name stands as it is."""
    if not isinstance(actor, dict):
        return None
    if actor.get("type") == "api_actor":
        return normalization.owner(actor.get("api_key_name"), "actor", flags)
    return intake.handle(actor.get("email_address"), "actor", flags)


def _of_model(entry: Any, base: Row, identity: str) -> list[Row]:
    if not isinstance(entry, dict) or not isinstance(entry.get("tokens"), dict):
        raise Unreadable("not_an_object", "a model with its tokens", type(entry).__name__, "model_breakdown")
    tokens = {name: normalization.count(entry["tokens"].get(name), name) for name in entry["tokens"]}
    row = base | {"model": normalization.text(entry.get("model"), "model")}
    meters: dict[str, tuple[int | Decimal | None, str]] = {
        "input": (tokens.get("input"), "tokens"),
        "cache_write": (tokens.get("cache_creation"), "tokens"),
        "cache_read": (tokens.get("cache_read"), "tokens"),
        "output": (tokens.get("output"), "tokens"),
    }
    lines = _bills.lines_of(row, meters, _bills.key(identity, row["model"]))
    return lines + _estimate(entry.get("estimated_cost"), row, _bills.key(identity, row["model"], "estimate"))


def _estimate(cost: Any, row: Row, key: str) -> list[Row]:
    if not isinstance(cost, dict) or cost.get("amount") is None:
        return []
    currency = normalization.text(cost.get("currency"), "currency")
    estimate = dollars(cost["amount"], "estimated_cost.amount")
    return [row | {"estimated_cost": estimate, "currency": currency, "key": key}]
