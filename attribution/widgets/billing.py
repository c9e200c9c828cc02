"""The widget about bills: choose a provider and a month, and see where the dollars between calls and bill go."""

from __future__ import annotations

from typing import Any

from attribution import charts, showing
from attribution.ledger import Ledger
from attribution.reconciliation import reconcile
from attribution.widgets import questions
from attribution.widgets.panels import Panel, dropdown, panel, picture, sentence, table

_ALL = "all"


def bill_explorer(
    ledger: Ledger, provider: str | None = None, month: str | None = None, *, key: str = "bill explorer"
) -> Panel:
    """Choose a provider and a month: the bridge, its days and its worst cells; plain: `at.reconcile`, `worst_cells`."""
    months, providers = questions.list_bills(ledger)
    controls = {
        "provider": dropdown("provider", [(_ALL, None), *providers], provider),
        "month": dropdown("month", list(months), month or (months[-1] if months else None), "14rem"),
    }

    def tell(chosen: dict[str, Any]) -> str:
        if chosen["month"] is None:
            return sentence("No bill is loaded, so there is nothing to reconcile with.")
        found = reconcile(ledger, chosen["month"], chosen["provider"])
        whose = chosen["provider"] or "all providers"
        bridge = charts.waterfall(found.bridge, f"From our calls to the bill: {showing.visible(whose, 40)}")
        days = charts.gap_calendar(questions.gaps_by_day(found))
        worst = table(questions.worst_cells(found, 5), empty="No cell differs.")
        return sentence(found.headline) + picture(bridge) + picture(days) + worst

    return panel("bill explorer", key, controls, tell)
