"""What the report says beyond the audit: the bill, the statements, the changes and the data's quality."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from attribution import charts, closing, expectations, explanations, reconciliation, showing, trends
from attribution.errors import AttributionError, QuestionError
from attribution.ledger import Ledger

#: A part of the page: `headline` and what its template shows, or `why` there is none.
Section = dict[str, Any]


def gather(
    ledger: Ledger, period: str | None, picture: Callable[[Any, str], Any], rules: str | None = None
) -> dict[str, Section]:
    """Return the sections of the page for one period, the last month in the data when none is given.

    Statements are drawn up by the rules file, or by none.

    A question that cannot be answered from this data becomes a sentence that says why; it never stops the page.
    """
    months = [row[0] for row in ledger.rows(_MONTHS)]
    chosen = period or (months[-1] if months else None)
    parts: dict[str, Callable[[str], Section]] = {
        "reconciliation": lambda name: _reconciliation(ledger, name, picture),
        "chargeback": lambda name: _chargeback(ledger, name, picture, rules),
        "changes": lambda name: _changes(ledger, name, months, picture),
    }
    told = {part: _tried(ask, chosen) for part, ask in parts.items()}
    return told | {"quality": _tried(lambda _: _quality(ledger), "all")}


def _tried(ask: Callable[[str], Section], period: str | None) -> Section:
    if period is None:
        return {"why": "No call in this data has a time, so there is no period to ask about."}
    try:
        return ask(period)
    except AttributionError as error:
        return {"why": str(error)}


def levels(ledger: Ledger) -> Section:
    """Say whether and when the share not declared changed its level, or why that cannot be said."""
    try:
        found = trends.coverage_trend(ledger)
    except QuestionError as error:
        return {"headline": f"When the level changed is not said: {error}", "changes": None}
    return {"headline": found.headline, "changes": found.changes}


def _reconciliation(ledger: Ledger, period: str, picture: Callable[[Any, str], Any]) -> Section:
    if not ledger.value("select count(*) from bill_line"):
        return {
            "why": "No bill is loaded. Load an invoice, a cost report or a cloud bill of the month to compare with."
        }
    answer = reconciliation.reconcile(ledger, period)
    steps = answer.bridge[["label", "kind", "amount"]]
    return {
        "headline": answer.headline,
        "picture": picture(charts.waterfall(steps, "From our calls to the bill"), "From our calls to the bill"),
        "bridge": [row for row in showing.rows(answer.bridge) if row["amount"] or row["kind"] == "total"],
        "statuses": showing.rows(answer.statuses),
        "command": f"attribution reconcile PATHS --period {period}",
    }


def _chargeback(ledger: Ledger, period: str, picture: Callable[[Any, str], Any], rules: str | None) -> Section:
    answer = closing.charge_back(ledger, period, rules)
    by_rules = f" --rules {shlex.quote(rules)}" if rules else ""
    teams = answer.statements
    before_after = teams[["owner_team"]].assign(before=teams["direct"], after=teams["amount"])
    title = f"Statements of {period}: before and after shared cost"
    return {
        "headline": answer.headline,
        "basis": answer.basis,
        "picture": picture(charts.allocation(before_after, title, f"{answer.basis} cost"), title),
        "teams": showing.rows(teams),
        "providers": showing.rows(answer.providers),
        "command": f"attribution chargeback PATHS --period {period}{by_rules}",
    }


def _changes(ledger: Ledger, period: str, months: list[str], picture: Callable[[Any, str], Any]) -> Section:
    earlier = [month for month in months if month < period]
    if period not in months or not earlier:
        return {"why": "There is one month of calls: a change needs two."}
    answer = explanations.explain_change(ledger, earlier[-1], period)
    title = f"Why did cost change from {earlier[-1]} to {period}?"
    drill = answer.drill_down("workflow_id").head(_TOP_CHANGES)
    return {
        "headline": answer.headline,
        "picture": picture(charts.drivers(answer.drivers, expand="all", title=title), title),
        "workflows": showing.rows(drill[["workflow_id", "cost_before", "cost_after", "change"]]),
        "footnote": answer.footnote,
        "command": f"attribution explain-change PATHS --before {earlier[-1]} --after {period}",
    }


def _quality(ledger: Ledger) -> Section:
    answer = expectations.validate(ledger)
    return {
        "headline": answer.headline,
        "broken": showing.rows(answer.broken),
        "command": "attribution quality PATHS",
    }


_TOP_CHANGES = 10
_MONTHS = "select distinct strftime(started_at, '%Y-%m') from cost_event where started_at is not null order by 1"
