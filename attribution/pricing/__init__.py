"""The exact price of any call on the day it was made, or a plain statement that it is not known.

A dated price book is compiled from maintained sources and shipped; for the models of a ledger it
becomes a rate card, and all events are priced over the card in one statement.
"""

from __future__ import annotations

from attribution.pricing.charges import contract_charges
from attribution.pricing.claims import audit_claims
from attribution.pricing.frames import price
from attribution.pricing.rating import price_events
from attribution.pricing.repricing import price_as, reprice
from attribution.pricing.storing import read_book
from attribution.pricing.usages import PricedUsage, price_usage

__all__ = [
    "PricedUsage",
    "audit_claims",
    "contract_charges",
    "price",
    "price_as",
    "price_events",
    "price_usage",
    "read_book",
    "reprice",
]
