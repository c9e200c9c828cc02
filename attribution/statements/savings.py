"""Dollars a team can act on: retry waste, fallback premium, cache savings, batch savings missed."""

from __future__ import annotations

from typing import Any

from attribution.allocation import Rules
from attribution.ledger import Ledger


def measure(ledger: Ledger, rules: Rules) -> list[dict[str, Any]]:
    """Return nothing yet."""
    return []
