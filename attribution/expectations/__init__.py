"""Expectations: the ownership contract as suites of rules, checked on every data set in one scan."""

from __future__ import annotations

from attribution.expectations.quality import Quality
from attribution.expectations.validation import count_broken, validate

__all__ = ["Quality", "count_broken", "validate"]
