"""Allocation: reviewed rules, and the exact split of costs that no one team caused."""

from __future__ import annotations

from attribution.allocation.allocating import Allocation, allocate, from_pico, share_rows, to_pico
from attribution.allocation.methods import METHODS, Pool
from attribution.allocation.networks import Ratios, solve
from attribution.allocation.reading import parse_rules, read_rules
from attribution.allocation.rules import BASES, UNOWNED, Rules

__all__ = [
    "BASES",
    "METHODS",
    "UNOWNED",
    "Allocation",
    "Pool",
    "Ratios",
    "Rules",
    "allocate",
    "from_pico",
    "parse_rules",
    "read_rules",
    "share_rows",
    "solve",
    "to_pico",
]
