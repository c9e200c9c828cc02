"""A source's nesting made disjoint: inclusive totals, their parts, and usage bodies of every API shape."""

from __future__ import annotations

from attribution.usage.bodies import Usage, read_usage, shape_of
from attribution.usage.nesting import INPUT_PARTS, OUTPUT_PARTS, TOKEN_COLUMNS, disjoint_quantities

__all__ = [
    "INPUT_PARTS",
    "OUTPUT_PARTS",
    "TOKEN_COLUMNS",
    "Usage",
    "disjoint_quantities",
    "read_usage",
    "shape_of",
]
