"""How statements look: a summary, how it ties to the invoices, and a table per team. Text from data is escaped."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from attribution import showing

if TYPE_CHECKING:
    from attribution.statements.chargeback import Chargeback

#: Lines of a team beyond which the page says how many more there are and what they come to.
_LINES = 40
_TIE = [
    "provider",
    "state",
    "invoice_id",
    "statements",
    "unowned",
    "residual",
    "prepaid",
    "total",
    "accrued",
    "invoice",
]
_TIE += ["difference", "total_cents", "invoice_cents", "adjustments"]
_SHOWN = ("kind", "evidence", "pool", "share", "provider", "model", "workflow_id", "feature", "description", "cents")


def as_html(chargeback: Chargeback) -> str:
    """Return the statements as escaped HTML."""
    summary = [
        "owner_team",
        "cost_center",
        "account",
        "declared",
        "recovered",
        "by_rule",
        "direct",
        "shared",
        "of_unowned",
        "markup",
        "minimum",
    ]
    summary += ["adjustment", "cents", "budget", "variance", "state"]
    parts = [
        f"<p><b>{escape(showing.visible(chargeback.headline))}</b></p>",
        _table("Statements", chargeback.statements[_worth(chargeback.statements, summary)]),
        _table("How they make the invoices", chargeback.providers[_worth(chargeback.providers, _TIE)]),
    ]
    if len(chargeback.residual):
        parts.append(_table("What no team bears", chargeback.residual[_worth(chargeback.residual, [*_SHOWN])]))
    for team in chargeback.statements["owner_team"]:
        parts.append(_team(chargeback, team))
    if len(chargeback.unit_costs):
        parts.append(_table("Unit costs", chargeback.unit_costs))
    if len(chargeback.savings):
        parts.append(_table("Dollars to act on", chargeback.savings))
    parts.append(f"<p>{escape(showing.visible(footnote(chargeback)))}</p>")
    return "\n".join(parts)


def footnote(chargeback: Chargeback) -> str:
    """Return what the statements rest on, in a sentence."""
    book = f"price book {chargeback.price_book[:12]}" if chargeback.price_book else "no price book"
    return (
        f"On {chargeback.basis} cost, UTC, rules {chargeback.rules}, {book}, code {chargeback.code_version}. "
        f"Rounded to cents by largest remainder; amounts underneath are exact."
    )


def _team(chargeback: Chargeback, team: str) -> str:
    lines = chargeback.statement(team)
    if not len(lines):
        return ""
    shown = lines.sort_values(["cents", "line_id"], ascending=[False, True], na_position="last", kind="stable")
    more = ""
    if len(shown) > _LINES:
        rest = sum(shown["cents"].iloc[_LINES:].dropna(), Decimal(0))
        more = f"<p>And {len(shown) - _LINES:,} more lines that come to {showing.dollars(rest)}.</p>"
    columns = _worth(lines, [*_SHOWN])
    return _table(showing.visible(team), shown[columns].head(_LINES)) + more


def _worth(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the columns that say anything: what is empty or zero on every row is left out."""
    return [name for name in names if any(not showing.is_missing(v) and v != 0 for v in frame[name])]


def _table(title: str, frame: pd.DataFrame) -> str:
    named = frame.rename(columns=lambda name: str(name).replace("_", " "))
    table = showing.show(named, top=len(frame))._repr_html_()
    return f"<h3>{escape(title)}</h3>{table}"
