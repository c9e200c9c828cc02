"""The truth beside the data: every provider call, every planted fault, and the figures that stories are told by."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attribution.samples.company import TIERS, Company
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.traffic import TOKEN_COLUMNS

MONEY = pa.decimal128(38, 12)
ROLES = np.array(["primary", "retry", "fallback"])
STATUSES = np.array(["ok", "failed", "timed_out"])
CALLS = pa.schema(
    [
        ("call_no", pa.int64()),
        ("request_id", pa.string()),
        ("operation_id", pa.string()),
        ("attempt_no", pa.int64()),
        ("attempt_role", pa.string()),
        ("status", pa.string()),
        ("response_id", pa.string()),
        ("gateway_call_id", pa.string()),
        ("provider_request_id", pa.string()),
        ("trace_id", pa.string()),
        ("span_id", pa.string()),
        ("owner_team", pa.string()),
        ("workflow_id", pa.string()),
        ("feature", pa.string()),
        ("tenant_id_hash", pa.string()),
        ("user_id_hash", pa.string()),
        ("step", pa.string()),
        ("provider", pa.string()),
        ("model", pa.string()),
        ("service_tier", pa.string()),
        ("started_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
        ("month", pa.string()),
        *((f"{name}_tokens", pa.int64()) for name in TOKEN_COLUMNS),
        ("web_searches", pa.int64()),
        ("list_cost", MONEY),
        ("seen_list_cost", MONEY),
        ("billed_cost", MONEY),
        ("seen_in", pa.list_(pa.string())),
        ("declared_team", pa.string()),
        ("expected_evidence", pa.string()),
        ("hop", pa.string()),
        ("faults", pa.list_(pa.string())),
    ]
)


class Truth:
    """Writes truth/calls.parquet part by part."""

    def __init__(self, folder: Folder) -> None:
        self._writer = pq.ParquetWriter(
            folder.path("truth/calls.parquet"), CALLS, compression="zstd", store_schema=False
        )
        self._kept: list[pa.Table] = []
        self._rows = 0

    def add(self, page: Page, company: Company) -> None:
        """Add the calls of one part."""
        self._kept.append(_table(page, company))
        self._rows += page.count
        if self._rows >= 100_000:
            self._flush()

    def close(self) -> None:
        """Write what is left and end the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._kept:
            self._writer.write_table(pa.concat_tables(self._kept), row_group_size=131_072)
        self._kept, self._rows = [], 0


def money(pico: Any) -> pa.Array:
    """Return whole pico-dollars as exact decimals of twelve places; negative stands for unknown."""
    values = np.asarray(pico, dtype=np.int64)
    low = np.empty((len(values), 2), dtype=np.int64)
    low[:, 0], low[:, 1] = values, np.where(values < 0, -1, 0)
    return pa.Array.from_buffers(MONEY, len(values), [None, pa.py_buffer(low.tobytes())])


def _money_or_null(pico: Any) -> pa.Array:
    return pc.if_else(pa.array(np.asarray(pico) >= 0), money(pico), pa.scalar(None, MONEY))


#: Column of the truth ← list of the page, where the names differ.
_LISTED = {"tenant_id_hash": "tenant", "user_id_hash": "user", "owner_team": "owner", "declared_team": "declared"}
_LISTED |= {"expected_evidence": "evidence_name", "hop": "hop_name"}


def _table(page: Page, company: Company) -> pa.Table:
    calls, deployments = page.calls, company.deployments
    columns: dict[str, Any] = {
        "call_no": np.arange(page.first, page.first + page.count),
        "attempt_no": calls["attempt"],
        "attempt_role": ROLES[calls["role"]],
        "status": STATUSES[calls["status"]],
        "step": np.array([s["step"] for s in company.steps])[calls["step"]],
        "provider": np.array([d.provider for d in deployments])[calls["deployment"]],
        "model": np.array([d.answered_as for d in deployments])[calls["deployment"]],
        "service_tier": np.array(TIERS)[calls["tier"]],
        "started_at": calls["started"] * 1000,
        "ended_at": calls["ended"] * 1000,
        **{f"{name}_tokens": calls[name] for name in TOKEN_COLUMNS},
        "web_searches": calls["web_search"],
        "list_cost": money(calls["cost"]),
        "seen_list_cost": _money_or_null(calls["seen_cost"]),
        "billed_cost": money(calls["billed"]),
    }
    arrays = []
    for field in CALLS:
        column = columns[field.name] if field.name in columns else page[_LISTED.get(field.name, field.name)]
        arrays.append(column if isinstance(column, pa.Array) else pa.array(column, field.type))
    return pa.Table.from_arrays(arrays, schema=CALLS)


def usd(pico: int) -> Decimal:
    """Return pico-dollars as dollars."""
    return Decimal(pico).scaleb(-12)
