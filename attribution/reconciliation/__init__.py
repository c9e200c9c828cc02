"""Reconciliation: from what our calls cost to what the provider bills, as an exact sum of named causes."""

from __future__ import annotations

from attribution.reconciliation.cells import match_cells

__all__ = ["match_cells"]
