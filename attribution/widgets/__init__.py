"""Widgets for notebooks and Voila; each asks a plain function that works without them. The only door to ipywidgets.

The answer of a widget is escaped HTML with charts as images, so that it shows in JupyterLab and Voila alike, runs
nothing, and leaves no state in a saved notebook. What was chosen survives running the cell again.
"""

from __future__ import annotations

from attribution.widgets.billing import bill_explorer
from attribution.widgets.changing import anomaly_picker, driver_explorer
from attribution.widgets.charging import export_buttons, statement_viewer
from attribution.widgets.panels import Panel, forget
from attribution.widgets.questions import (
    POLICIES,
    compare_periods,
    explore_spend,
    find_requests,
    gaps_by_day,
    list_bills,
    list_files,
    list_values,
    over_threshold,
    try_policy,
    worst_cells,
)
from attribution.widgets.spending import (
    period_selector,
    policy_chooser,
    spend_explorer,
    team_selector,
    threshold_slider,
)
from attribution.widgets.tracing import file_picker, trace_explorer

__all__ = [
    "POLICIES",
    "Panel",
    "anomaly_picker",
    "bill_explorer",
    "compare_periods",
    "driver_explorer",
    "explore_spend",
    "export_buttons",
    "file_picker",
    "find_requests",
    "forget",
    "gaps_by_day",
    "list_bills",
    "list_files",
    "list_values",
    "over_threshold",
    "period_selector",
    "policy_chooser",
    "spend_explorer",
    "statement_viewer",
    "team_selector",
    "threshold_slider",
    "trace_explorer",
    "try_policy",
    "worst_cells",
]
