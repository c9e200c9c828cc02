"""Pictures: one function each, one frame in, one Altair chart out; the only door to Altair.

Only here do amounts become floats. Colours are Okabe and Ito's, which people with any colour vision can tell apart;
every chart brings its own light ground, so that it reads the same on a light page, a dark one and paper.
"""

from __future__ import annotations

from attribution.charts.ownership import coverage_by_hop, evidence_ladder, hop_costs, patterns, unattributed
from attribution.charts.rendering import enable, to_png, to_svg
from attribution.charts.spending import spend
from attribution.charts.trees import fan_out

__all__ = [
    "coverage_by_hop",
    "enable",
    "evidence_ladder",
    "fan_out",
    "hop_costs",
    "patterns",
    "spend",
    "to_png",
    "to_svg",
    "unattributed",
]
