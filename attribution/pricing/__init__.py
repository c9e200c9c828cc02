"""The exact price of any call on the day it was made, or a plain statement that it is not known.

A dated price book is compiled from maintained sources and shipped; for the models of a ledger it
becomes a rate card, and all events are priced over the card in one statement.
"""

from __future__ import annotations

from attribution.pricing.frames import price
from attribution.pricing.rating import price_events
from attribution.pricing.usages import PricedUsage, price_usage

__all__ = ["PricedUsage", "price", "price_events", "price_usage"]
