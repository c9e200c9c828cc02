"""A double-entry journal of the statements: debit what teams bear, credit what providers are owed; it adds up to 0."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from attribution import showing
from attribution.statements import Chargeback

#: Accounts of what no team bears, by kind of line.
ACCOUNTS = {
    "unowned": "AI spend without an owner",
    "residual": "AI invoice lines of no team",
    "prepaid": "Prepaid AI credits",
    "offset": "AI chargeback offset",
    "adjustment": "AI spend without an owner",
}
_CENTS = pa.decimal128(38, 2)
_TEXT = pa.string()
SCHEMA = pa.schema(
    {
        "entry": _TEXT,
        "date": pa.date32(),
        "period": _TEXT,
        "account": _TEXT,
        "cost_center": _TEXT,
        "owner_team": _TEXT,
        "provider": _TEXT,
        "debit": _CENTS,
        "credit": _CENTS,
        "description": _TEXT,
    }
)


def journal(stated: Chargeback) -> pa.Table:
    """Return the entries: one per provider, its debits equal to its credit in cents.

    Team lines go to the ledger account and cost centre of the registry; what no team bears to accounts of its own;
    what is owed to the provider's. Lines of no provider (minimums, markups, moved charges) balance in one entry of
    their own. A negative line stands on the other side.
    """
    registry = {row["owner_team"]: row for row in showing.rows(stated.statements)}
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for line in showing.rows(stated.lines):
        if not showing.is_missing(line["cents"]):
            provider, team = (_text(line[name]) for name in ("provider", "owner_team"))
            sums[provider, team, "" if team else line["kind"]] += line["cents"]
    rows: list[dict[str, Any]] = []
    for provider in sorted({key[0] for key in sums}, key=lambda name: (name == "", name)):
        parts = [(key, cents) for key, cents in sorted(sums.items()) if key[0] == provider and cents]
        rows += [_row(stated, provider, _bearer(key, registry), cents) for key, cents in parts]
        owed = sum((cents for _, cents in parts), Decimal(0))
        if owed:
            rows.append(_row(stated, provider, _owed(provider), -owed))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _bearer(key: tuple[str, str, str], registry: dict[str, dict[str, Any]]) -> dict[str, Any]:
    _, team, kind = key
    if not team:
        return {"account": ACCOUNTS[kind], "description": kind.replace("_", " ")}
    known = registry.get(team, {})
    account = _text(known.get("account")) or f"AI spend of {team}"
    return {
        "account": account,
        "cost_center": _text(known.get("cost_center")) or None,
        "owner_team": team,
        "description": f"AI spend of {team}",
    }


def _owed(provider: str) -> dict[str, Any]:
    account = f"Payable to {provider}" if provider else "AI chargeback clearing"
    return {"account": account, "description": f"owed to {provider}" if provider else "what teams owe one another"}


def _row(stated: Chargeback, provider: str, bearer: dict[str, Any], cents: Decimal) -> dict[str, Any]:
    nothing = Decimal("0.00")
    return {
        **bearer,
        "entry": f"{stated.period}/{provider or 'internal'}",
        "date": (stated.period_end - timedelta(days=1)).date(),
        "period": stated.period,
        "provider": provider or None,
        "debit": cents if cents > 0 else nothing,
        "credit": -cents if cents < 0 else nothing,
        "description": f"{bearer['description']}, {stated.period}, {stated.state}",
    }


def _text(value: Any) -> str:
    return "" if showing.is_missing(value) else str(value)
