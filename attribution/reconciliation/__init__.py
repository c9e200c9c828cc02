"""Reconciliation: from what our calls cost to what the provider bills, as an exact sum of named causes."""

from __future__ import annotations

from attribution.reconciliation.cells import match_cells, read_bills
from attribution.reconciliation.reconciling import Reconciliation, reconcile
from attribution.reconciliation.statuses import Tolerance

__all__ = ["Reconciliation", "Tolerance", "match_cells", "read_bills", "reconcile"]
