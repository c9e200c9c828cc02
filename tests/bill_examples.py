"""Load bills and look at their lines: `bill(path)`, `page(tmp_path, "costs", {...})`."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from attribution import schema
from attribution.ledger import Ledger, column_list, open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

SOURCES = FIXTURES / "sources"
#: What a line says, apart from where it stands.
CONTENT = [
    n
    for n in schema.table("bill_line").names
    if n not in ("file_id", "line", "record_no", "exported_at", "replaces_key")
]


def bill(*inputs: Any, ledger: Ledger | None = None, **options: Any) -> Ledger:
    """Return a ledger that holds these bills; a file that is not loaded fails the test."""
    ledger = ledger or open_ledger()
    hash_key = options.pop("hash_key", None)
    loaded = load(ledger, *inputs, options=options, hash_key=hash_key)
    assert loaded.refused == []
    return ledger


def lines(ledger: Ledger, *columns: str, where: str = "true", order: str = "all") -> list[tuple[Any, ...]]:
    """Return chosen columns of the bill lines, in stable order."""
    return ledger.rows(f"select {column_list(columns)} from bill_line where {where} order by {order}")


def line(ledger: Ledger, *columns: str, where: str = "true") -> tuple[Any, ...]:
    """Return the only bill line."""
    (only,) = lines(ledger, *columns, where=where)
    return only


def dump(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return everything that the bill lines say, in stable order."""
    return ledger.rows(f"select {column_list(CONTENT)} from bill_line order by bill_line_id")


def counts(ledger: Ledger, *columns: str) -> tuple[Any, ...]:
    """Return sums of the conservation numbers over all files, and check that they add up per file."""
    parts = "accepted + context + duplicates + superseded + conflicting + quarantined"
    assert ledger.rows(f"select path from source_file where records <> {parts} or accepted < 0") == []
    names = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in columns)
    return ledger.rows(f"select {names} from source_file")[0]


def faults(ledger: Ledger) -> list[tuple[str, str]]:
    """Return field and reason of what was set aside."""
    return ledger.rows("select field, reason from quarantine order by all")


def write(path: Path, document: Any) -> Path:
    """Write one JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def openai_page(*results: dict[str, Any], day: int = 1789344000, **page: Any) -> dict[str, Any]:
    """Return one page with one UTC day of results."""
    bucket = {"object": "bucket", "start_time": day, "end_time": day + 86400, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None} | page


def openai_usage(**fields: Any) -> dict[str, Any]:
    """Return one completions result of the 2026 generation; only what differs need be said."""
    result: dict[str, Any] = {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "input_cached_tokens": 0,
        "input_cache_write_tokens": 0,
        "input_uncached_tokens": 1000,
        "output_tokens": 100,
        "num_model_requests": 5,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": None,
        "batch": None,
        "service_tier": None,
    }
    return result | fields


def openai_cost(value: Any, **fields: Any) -> dict[str, Any]:
    """Return one cost result."""
    result: dict[str, Any] = {
        "object": "organization.costs.result",
        "amount": {"value": value, "currency": "usd"},
        "line_item": None,
        "project_id": None,
        "api_key_id": None,
        "quantity": None,
    }
    return result | fields


def anthropic_page(*results: dict[str, Any], day: str = "2026-09-14", **page: Any) -> dict[str, Any]:
    """Return one page with one UTC day of results."""
    end = f"{day[:8]}{int(day[8:]) + 1:02d}"
    bucket = {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{end}T00:00:00Z", "results": list(results)}
    return {"data": [bucket], "has_more": False, "next_page": None} | page


def anthropic_usage(**fields: Any) -> dict[str, Any]:
    """Return one result of the messages usage report."""
    result: dict[str, Any] = {
        "uncached_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": 100,
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": None,
        "workspace_id": None,
        "model": None,
        "service_tier": None,
        "context_window": None,
        "inference_geo": None,
    }
    return result | fields


def meters(ledger: Ledger, where: str = "true") -> dict[str, Decimal]:
    """Return units by meter."""
    found: dict[str, Decimal] = {}
    for meter, quantity in lines(ledger, "meter", "quantity", where=f"meter is not null and ({where})"):
        found[meter] = found.get(meter, Decimal(0)) + (quantity or 0)
    return found


def total(ledger: Ledger, column: str = "billed_cost", where: str = "true") -> Decimal:
    """Return the sum of a money column; nulls add nothing."""
    return sum((cost or Decimal(0) for (cost,) in lines(ledger, column, where=where)), Decimal(0))
