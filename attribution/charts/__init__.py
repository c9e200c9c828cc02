"""Pictures: one function each, one frame in, one Altair chart out; the only door to Altair.

Only here do amounts become floats. Any two colours can be told apart with any colour vision; every chart brings its
own light ground, so that it reads the same on a light page, a dark one and paper.
"""

from __future__ import annotations

from attribution.charts.allocations import allocation
from attribution.charts.calendars import gap_calendar, spend_band
from attribution.charts.icicles import icicle
from attribution.charts.ownership import coverage_by_hop, evidence_ladder, hop_costs, patterns, unattributed
from attribution.charts.rendering import enable, to_png, to_svg
from attribution.charts.ribbons import hop_ribbons
from attribution.charts.spending import pareto, spend, spend_over_time
from attribution.charts.style import team_color
from attribution.charts.trees import fan_out
from attribution.charts.waterfalls import drivers, waterfall

__all__ = [
    "allocation",
    "coverage_by_hop",
    "drivers",
    "enable",
    "evidence_ladder",
    "fan_out",
    "gap_calendar",
    "hop_costs",
    "hop_ribbons",
    "icicle",
    "pareto",
    "patterns",
    "spend",
    "spend_band",
    "spend_over_time",
    "team_color",
    "to_png",
    "to_svg",
    "unattributed",
    "waterfall",
]
