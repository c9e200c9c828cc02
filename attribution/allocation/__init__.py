"""Allocation: reviewed rules, and the exact split of costs that no one team caused."""

from __future__ import annotations

from attribution.allocation.allocating import Allocation, allocate
from attribution.allocation.methods import METHODS, Pool
from attribution.allocation.reading import read_rules
from attribution.allocation.rules import Rules

__all__ = ["METHODS", "Allocation", "Pool", "Rules", "allocate", "read_rules"]
