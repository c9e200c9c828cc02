"""Exports: the ledger's charges and statements as files that others read, whole, exact, and equal to the ledger."""

from __future__ import annotations

from attribution.exports.exporting import FORMATS, Exported, export, focus_rows

__all__ = ["FORMATS", "Exported", "export", "focus_rows"]
