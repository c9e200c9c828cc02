"""The price book that comes with the package."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from attribution.pricing import from_genai
from attribution.pricing.book import PriceBook


@cache
def shipped_book() -> PriceBook:
    """Read the shipped book, once."""
    return PriceBook(list(from_genai.rates()), list(from_genai.names()), from_genai.fallbacks(), datetime(2026, 11, 23))
