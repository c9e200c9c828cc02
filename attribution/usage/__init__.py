"""A source's nesting made disjoint: inclusive totals, their parts, and usage bodies of every API shape."""

from __future__ import annotations

from attribution.usage.bodies import nested_totals, read_usage, shape_of
from attribution.usage.counts import Usage
from attribution.usage.nesting import INPUT_PARTS, LARGEST_COUNT, OUTPUT_PARTS, TOKEN_COLUMNS, disjoint_quantities
from attribution.usage.traces import USAGE_ATTRIBUTES, nest_buckets

__all__ = [
    "INPUT_PARTS",
    "LARGEST_COUNT",
    "OUTPUT_PARTS",
    "TOKEN_COLUMNS",
    "USAGE_ATTRIBUTES",
    "Usage",
    "disjoint_quantities",
    "nest_buckets",
    "nested_totals",
    "read_usage",
    "shape_of",
]
