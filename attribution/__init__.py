"""Tell who owns each dollar of an AI API bill, and prove it.

The front door: every verb is a function of a ledger. Rooms are imported when first used, so that
`import attribution` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name → the room it lives in.
_ROOMS = {
    "Ledger": "ledger",
    "open_ledger": "ledger",
    "audit_claims": "pricing",
    "contract_charges": "pricing",
    "price": "pricing",
    "price_events": "pricing",
    "price_usage": "pricing",
    "read_book": "pricing",
    "reprice": "pricing",
    "Reconciliation": "reconciliation",
    "Tolerance": "reconciliation",
    "match_cells": "reconciliation",
    "reconcile": "reconciliation",
    "Explanation": "explanations",
    "explain_change": "explanations",
    "show_requests": "explanations",
    "Anomalies": "anomalies",
    "find_anomalies": "anomalies",
    "look_for_anomalies": "anomalies",
    "PickedAnomaly": "anomalies",
    "pick_anomaly": "anomalies",
    "write_sample": "samples",
    "forecast_month": "forecasts",
    "Incident": "incidents",
    "what_changed": "incidents",
    "Inspection": "inspecting",
    "inspect": "inspecting",
    "AttributionError": "errors",
    "ConfigurationError": "errors",
    "LedgerError": "errors",
    "QuestionError": "errors",
    "SchemaError": "errors",
    "SourceError": "errors",
    "build_ledger": "building",
    "Exported": "exports",
    "export": "exports",
    "focus_rows": "exports",
    "read_disputes": "disputes",
    "settle_disputes": "disputes",
    "list_disputes": "disputes",
    "EvidencePack": "packs",
    "evidence_pack": "packs",
    "load": "loading",
    "match": "matching",
    "resolve_owners": "ownership",
    "latest_month": "days",
    "measure_pools": "pools",
    "roll_forward": "prepayments",
    "true_up": "true_ups",
    "residual_causes": "true_ups",
    "tie_out": "true_ups",
    "roll_up": "rollups",
    "coverage": "coverages",
    "measure_coverage": "coverages",
    "broken_hops": "hops",
    "recognise_sampling": "sampling",
    "CoverageTrend": "trends",
    "coverage_trend": "trends",
    "hash_ids": "hygiene",
    "look_alikes": "hygiene",
    "lint_ownership": "hygiene",
    "EventExplanation": "event_explanations",
    "explain_event": "event_explanations",
    "measure_repair": "repairs",
    "key_matrix": "keys",
    "MatchReport": "match_reports",
    "match_report": "match_reports",
    "fan_out": "fanouts",
    "hop_flows": "flows",
    "sample_path": "assets",
    "show": "showing",
    "field_coverage": "fanouts",
    "dearest_requests": "fanouts",
    "find_broken_request": "fanouts",
    "Audit": "audits",
    "audit": "audits",
    "read_configuration": "configuration",
    "AllocationError": "errors",
    "Allocation": "allocation",
    "Pool": "allocation",
    "Rules": "allocation",
    "allocate": "allocation",
    "read_rules": "allocation",
    "Quality": "expectations",
    "validate": "expectations",
    "Chargeback": "statements",
    "Verification": "closing",
    "book_adjustments": "closing",
    "book_dispute": "closing",
    "charge_back": "closing",
    "close_period": "closing",
    "compare_allocations": "closing",
    "reopen_period": "closing",
    "verify_period": "closing",
}

__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"attribution.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'attribution' has no attribute '{name}'. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
