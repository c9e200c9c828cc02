"""Builders that state only what matters: `ledger_of(call(...), call(...))`."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from attribution import schema
from attribution.ledger import Ledger, column_list, open_ledger

SHARED = Path(__file__).resolve().parents[2] / "shared"
FIXTURES = Path(__file__).resolve().parent / "fixtures"

MONEY = (
    "list_cost",
    "priced_part",
    "contracted_cost",
    "estimated_cost",
    "billed_cost",
    "effective_cost",
    "source_cost",
)


@dataclass(frozen=True)
class Said:
    """A span of a call, and the observation made from it."""

    observation: dict[str, Any]
    span: dict[str, Any]


def identity(text: str) -> uuid.UUID:
    """Return a stable id for a word."""
    return uuid.UUID(hashlib.md5(text.encode()).hexdigest())


def call(name: str = "c1", **columns: Any) -> dict[str, Any]:
    """Return one finished cost event; only what differs from a plain owned OpenAI call need be said."""
    event: dict[str, Any] = {
        "event_id": identity(name),
        "request_id": columns.get("trace_id", f"trace-{name}"),
        "trace_id": f"trace-{name}",
        "call_id": name,
        "attempt_no": 1,
        "attempt_role": "primary",
        "started_at": datetime(2026, 10, 5, 12, 0, 0),
        "status": "ok",
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-5-mini",
        "service_tier": "standard",
        "cache_hit": False,
        "input_tokens": 1000,
        "output_tokens": 100,
        "is_metered": True,
        "observations": 1,
        "sources": 1,
        "owner_team": "support",
        "owner_evidence": "declared",
        "workflow_id": "triage",
        "workflow_evidence": "declared",
        "feature": "classify",
        "feature_evidence": "declared",
        "tenant_evidence": "none",
        "price_status": "priced",
        "list_cost": "1.00",
    }
    event.update(columns)
    if event["owner_team"] is None and "owner_evidence" not in columns:
        event["owner_evidence"] = "none"
    if event["list_cost"] is None and "price_status" not in columns:
        event["price_status"] = "unpriced"
    if event.get("contracted_cost") is None:
        event["contracted_cost"] = event["list_cost"]
    event["ended_at"] = event.get("ended_at") or event["started_at"] + timedelta(seconds=1)
    for column in MONEY:
        if event.get(column) is not None:
            event[column] = Decimal(str(event[column]))
    return event


def ledger_of(*calls: dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    """Return a ledger in memory that holds these finished events, and rows of any other table."""
    ledger = open_ledger()
    for step in schema.STEP_TABLES:
        part = schema.table("cost_event").of_step(step)
        insert(ledger, part.name, [{name: event.get(name) for name in part.names} for event in calls])
    for name, rows in tables.items():
        insert(ledger, name, rows)
    return ledger


def insert(ledger: Ledger, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows into a stored table; columns not named stay null."""
    if not rows:
        return
    names = list(rows[0])
    values = pa.table(
        {
            name: pa.array([str(v) if isinstance(v, uuid.UUID) else v for v in (row.get(name) for row in rows)])
            for name in names
        }
    )
    with ledger.reading(new_rows=values):
        ledger.run(f'insert into "{table}" ({column_list(names)}) select {column_list(names)} from new_rows')


def seen(name: str = "o1", **columns: Any) -> dict[str, Any]:
    """Return one observation of an OpenAI chat call; only what differs need be said."""
    observation: dict[str, Any] = {
        "observation_id": identity(name),
        "native_id": name,
        "source": "otlp",
        "role": "client_span",
        "file_id": "file",
        "line": 1,
        "started_at": datetime(2026, 10, 5, 12, 0, 0),
        "ended_at": datetime(2026, 10, 5, 12, 0, 1),
        "status": "ok",
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-5-mini",
        "requested_model": "gpt-5-mini",
        "is_metered": True,
        "input_tokens": 1000,
        "output_tokens": 100,
    }
    return {**observation, **columns}


def hop(trace_id: str, span_id: str, parent_span_id: str | None = None, **columns: Any) -> dict[str, Any]:
    """Return one span of a trace."""
    span: dict[str, Any] = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": parent_span_id,
        "source": "otlp",
        "file_id": "file",
        "line": 1,
        "kind": "internal",
        "service": "app",
        "instance": "i-1",
        "started_at": datetime(2026, 10, 5, 12, 0, 0),
        "ended_at": datetime(2026, 10, 5, 12, 0, 1),
        "is_call": False,
    }
    return {**span, **columns}


def spanned(name: str, trace_id: str, span_id: str, parent_span_id: str | None = None, **columns: Any) -> Said:
    """Return the span of a call and what it says about the call."""
    observation = {k: v for k, v in columns.items() if k in schema.table("observation").names}
    span = {k: v for k, v in columns.items() if k in schema.table("span").names}
    return Said(
        seen(name, trace_id=trace_id, span_id=span_id, parent_span_id=parent_span_id, **observation),
        hop(trace_id, span_id, parent_span_id, **{"kind": "client", "is_call": True, **span}),
    )


def observed(*said: Said | dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    """Return a ledger in memory that holds these spans and observations, as after `load`."""
    ledger = open_ledger()
    observations = [
        s.observation if isinstance(s, Said) else s for s in said if isinstance(s, Said) or "native_id" in s
    ]
    spans = [s.span if isinstance(s, Said) else s for s in said if isinstance(s, Said) or "native_id" not in s]
    insert(ledger, "observation", _even(observations))
    insert(ledger, "span", _even(spans))
    for name, rows in tables.items():
        insert(ledger, name, _even(rows))
    return ledger


def _even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]
