"""Widgets about spend: period, team and provider; the threshold; how to treat what nobody owns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import charts, coverages, showing
from attribution.ledger import Ledger
from attribution.widgets import questions
from attribution.widgets.panels import Panel, dropdown, panel, picture, sentence, table, toolkit

_ALL = "all"
_COLUMNS = ["calls", "input_tokens", "output_tokens", "list_cost", "unpriced_attempts"]


def spend_explorer(ledger: Ledger, by: str = "feature", *, over: str = "month", key: str = "spend explorer") -> Panel:
    """Choose a period, a team and a provider, and see what they spend; the plain question is `explore_spend`."""
    columns = ["feature", "workflow_id", "model", "service", "owner_evidence", "owner_team", "provider"]
    controls = {
        "period": dropdown(over, [(_ALL, None), *questions.list_values(ledger, over)]),
        "team": dropdown("team", [(_ALL, None), *questions.list_values(ledger, "owner_team")]),
        "provider": dropdown("provider", [(_ALL, None), *questions.list_values(ledger, "provider")]),
        "by": dropdown("by", sorted({by, *columns}), by),
    }

    def tell(chosen: dict[str, Any]) -> str:
        rows = questions.explore_spend(ledger, **chosen)
        why = "No call of this team and provider is in this period."
        return picture(charts.spend(rows, chosen["by"])) + table(rows[[chosen["by"], *_COLUMNS]], empty=why)

    return panel("spend explorer", key, controls, tell)


def period_selector(
    ledger: Ledger, period: str | None = None, by: str = "owner_team", *, over: str = "month", key: str = "period"
) -> Panel:
    """Choose a day, week or month and see who spent what in it; plain: `explore_spend(ledger, period=…, by=…)`.

    `.chosen["period"]` gives later cells what was chosen; None is all of the data.
    """
    controls = {"period": dropdown(over, [(_ALL, None), *questions.list_values(ledger, over)], period)}

    def tell(chosen: dict[str, Any]) -> str:
        rows = questions.explore_spend(ledger, period=chosen["period"], by=by)
        return picture(charts.spend(rows, by)) + table(rows[[by, *_COLUMNS]], empty="No call is in this period.")

    return panel("period selector", key, controls, tell)


def team_selector(
    ledger: Ledger, team: str | None = None, by: str = "feature", *, period: str | None = None, key: str = "team"
) -> Panel:
    """Choose a team and see what it spends on; plain: `explore_spend(ledger, team=…, by=…, period=…)`.

    `.chosen["team"]` gives later cells what was chosen; None is all teams.
    """
    controls = {"team": dropdown("team", [(_ALL, None), *questions.list_values(ledger, "owner_team")], team)}

    def tell(chosen: dict[str, Any]) -> str:
        rows = questions.explore_spend(ledger, team=chosen["team"], by=by, period=period)
        why = f"No call of this team is in {period or 'this data'}."
        return picture(charts.spend(rows, by)) + table(rows[[by, *_COLUMNS]], empty=why)

    return panel("team selector", key, controls, tell)


def threshold_slider(ledger: Ledger, by: str = "week", *, key: str = "threshold") -> Panel:
    """Move the share of dollars that may go undeclared, and see which periods pass; plain: `over_threshold`."""
    w = toolkit()
    slider = w.FloatSlider(
        value=float(coverages.TARGET * 100), min=0, max=50, step=0.5, description="at most %", continuous_update=False
    )
    controls = {"percent": slider, "by": dropdown("by", ["day", "week", "month"], by, "10rem")}

    def tell(chosen: dict[str, Any]) -> str:
        threshold = Decimal(str(chosen["percent"])) / 100
        rows = questions.over_threshold(ledger, threshold, chosen["by"])
        over, maybe = (int((rows["verdict"] == verdict).sum()) for verdict in ("over", "maybe"))
        said = f"{over} of {showing.count(len(rows), chosen['by'])} above {showing.share(threshold)}"
        open_ones = f", {maybe} more perhaps: calls without a price leave it open" if maybe else ""
        gate = f"In CI: attribution check PATH --max-unattributed {chosen['percent']:g}%"
        why = "No call with a time is in this ledger."
        return sentence(f"{said}{open_ones}. {gate}") + table(rows, top=60, empty=why)

    return panel("threshold", key, controls, tell)


def policy_chooser(ledger: Ledger, period: str | None = None, *, key: str = "allocation policy") -> Panel:
    """Choose how to split what nobody owns, and see every team before and after; plain: `try_policy`."""
    policies = list(questions.POLICIES)
    controls = {
        "policy": dropdown("split", policies, policies[1], "24rem"),
        "period": dropdown("month", [(_ALL, None), *questions.list_values(ledger, "month")], period),
    }

    def tell(chosen: dict[str, Any]) -> str:
        rows = questions.try_policy(ledger, chosen["policy"], chosen["period"])
        moved = sum((amount for amount in rows["allocated"] if amount > 0), Decimal(0))
        said = sentence(f"{showing.dollars(moved)} move to teams; the coverage that the audit reports does not change.")
        return picture(charts.allocation(rows, cost_name="list cost")) + said + table(rows, top=40)

    return panel("allocation policy", key, controls, tell)
