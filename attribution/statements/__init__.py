"""Statements: what each team bears of a period, drawn up so that all of it is the invoices."""

from __future__ import annotations

from attribution.statements.chargeback import Chargeback, as_closed, from_document
from attribution.statements.charges import charge_events
from attribution.statements.drawing_up import draw_up

__all__ = ["Chargeback", "as_closed", "charge_events", "draw_up", "from_document"]
