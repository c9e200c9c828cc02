"""Widgets about change: which driver moved the cost, and which day was unusual."""

from __future__ import annotations

from typing import Any

from attribution import charts, explanations, showing
from attribution.anomalies import Anomalies
from attribution.ledger import Ledger
from attribution.widgets import questions
from attribution.widgets.panels import Panel, dropdown, panel, picture, sentence, table

_FAMILIES = ("volume", "usage", "mix", "price", "portfolio", "coverage")
_DRILL = ("owner_team", "workflow_id", "model")


def driver_explorer(
    ledger: Ledger,
    before: str | None = None,
    after: str | None = None,
    *,
    where: dict[str, Any] | None = None,
    over: str = "week",
    key: str = "driver explorer",
) -> Panel:
    """Choose two periods, open a family of drivers and drill down; plain: `at.explain_change` and `.drill_down`."""
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
    """Choose one of the unusual days, see it beside what was expected, and what drove it; plain: `found.events`."""
    events = showing.rows(found.events)
    controls = {
        "event": dropdown("event", [(_event(row, found.by), place) for place, row in enumerate(events)], None, "40rem")
    }

    def tell(chosen: dict[str, Any]) -> str:
        if chosen["event"] is None:
            return sentence("No unusual day and no sustained rise in the complete days of this data.")
        row = events[chosen["event"]]
        days = found.series
        for name in found.by:
            days = days[[_same(value, row[name]) for value in days[name]]]
        days = days.assign(slice=_slice(row, found.by), is_event=[_within(day, row) for day in days["day"]])
        why = "" if showing.is_missing(row["why"]) else sentence(row["why"])
        cause = "" if showing.is_missing(row["cause"]) else sentence(f"Mostly in: {row['cause']}.")
        return picture(charts.spend_band(days)) + why + cause

    return panel("anomaly picker", key, controls, tell)


def _slice(row: dict[str, Any], by: tuple[str, ...]) -> str:
    return " / ".join("no owner" if showing.is_missing(row[name]) else str(row[name]) for name in by) or "everything"


def _event(row: dict[str, Any], by: tuple[str, ...]) -> str:
    return f"{str(row['start'])[:10]} · {_slice(row, by)} · {showing.dollars(row['excess'])} {row['direction']}"


def _same(one: Any, other: Any) -> bool:
    return bool(showing.is_missing(one) and showing.is_missing(other)) or str(one) == str(other)


def _within(day: Any, row: dict[str, Any]) -> bool:
    return str(row["start"])[:10] <= str(day)[:10] <= str(row["end"])[:10]
