"""Widgets about change: which driver moved the cost, and which day was unusual."""

from __future__ import annotations

from typing import Any

from attribution import charts, explanations
from attribution.anomalies import Anomalies, pick_anomaly
from attribution.ledger import Ledger
from attribution.widgets import questions
from attribution.widgets.panels import Panel, dropdown, panel, picture, sentence, table

_FAMILIES = ("volume", "usage", "mix", "price", "portfolio", "coverage")
_DRILL = ("owner_team", "workflow_id", "model")
_REQUEST = ("request_id", "workflow_id", "started_at", "models", "calls", "attempts", "input_tokens", "cost")


def driver_explorer(
    ledger: Ledger,
    before: str | None = None,
    after: str | None = None,
    *,
    where: dict[str, Any] | None = None,
    over: str = "week",
    key: str = "driver explorer",
) -> Panel:
    """Choose two periods, open a family of drivers and drill down; plain: `at.explain_change`, `compare_periods`."""
    known = questions.list_values(ledger, over)
    first, last = before or (known[-2] if len(known) > 1 else None), after or (known[-1] if known else None)
    options = sorted({*known, *(name for name in (first, last) if name)})
    controls = {
        "before": dropdown("before", list(options), first, "14rem"),
        "after": dropdown("after", list(options), last, "14rem"),
        "family": dropdown("open", [("no family", None), ("all families", "all"), *_FAMILIES], None, "16rem"),
        "by": dropdown("down to", list(_DRILL), _DRILL[1], "16rem"),
    }
    told: dict[tuple[str, str], explanations.Explanation] = {}

    def tell(chosen: dict[str, Any]) -> str:
        windows = (chosen["before"], chosen["after"])
        if None in windows:
            return sentence("No call with a time is in this ledger.")
        if windows not in told:
            told[windows] = explanations.explain_change(ledger, *windows, where)
        answer = told[windows]
        families = set(answer.drivers["family"])
        opened = "all" if chosen["family"] == "all" else [chosen["family"]] if chosen["family"] in families else []
        deeper = answer.drill_down(chosen["by"])[[chosen["by"], "cost_before", "cost_after", "change"]]
        return sentence(answer.headline) + picture(charts.drivers(answer.drivers, expand=opened)) + table(deeper)

    return panel("driver explorer", key, controls, tell)


def anomaly_picker(ledger: Ledger, found: Anomalies, *, key: str = "anomaly picker") -> Panel:
    """Choose an unusual day: its band, waterfall, driver and requests; plain: `at.pick_anomaly`."""
    controls = {
        "event": dropdown("event", [(called.replace("  ", " · "), number) for called, number in found.choices()], None),
        "open": dropdown("open", [("families", "families"), ("drivers", "drivers")], None, "14rem"),
        "driver": dropdown("look into", [("the largest driver", None), *explanations.DRIVERS], None, "18rem"),
        "by": dropdown("carried by", list(_DRILL), _DRILL[1], "16rem"),
    }
    controls["event"].layout.width = "40rem"

    def tell(chosen: dict[str, Any]) -> str:
        if chosen["event"] is None:
            return sentence(found.why)
        picked = pick_anomaly(ledger, found, chosen["event"], driver=chosen["driver"], by=chosen["by"])
        bars = picked.families if chosen["open"] == "families" else picked.drivers
        return (
            sentence(picked.said)
            + picture(charts.spend_band(picked.series))
            + picture(charts.waterfall(bars, title="From what is usual to what was spent"))
            + sentence(f"Who carries {picked.driver}, and the requests that show it:")
            + table(picked.members)
            + table(picked.requests[list(_REQUEST)])
        )

    return panel("anomaly picker", key, controls, tell)
