"""Closing: statements are frozen, later changes are booked as adjusting entries, and anyone can verify it."""

from __future__ import annotations

from attribution.closing.adjusting import book_adjustments
from attribution.closing.charging import charge_back, close_period, compare_allocations, reopen_period
from attribution.closing.disputing import book_dispute
from attribution.closing.verifying import Verification, is_copy, verify_period

__all__ = [
    "Verification",
    "book_adjustments",
    "book_dispute",
    "charge_back",
    "close_period",
    "compare_allocations",
    "is_copy",
    "reopen_period",
    "verify_period",
]
