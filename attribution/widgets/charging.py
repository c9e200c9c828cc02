"""Widgets about chargeback: one team's statement under chosen rules, and files to hand over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attribution import showing
from attribution.closing import charge_back
from attribution.exports import FORMATS, export
from attribution.ledger import Ledger
from attribution.statements import Chargeback
from attribution.widgets import questions
from attribution.widgets.panels import Panel, dropdown, panel, sentence, table, toolkit

_PARTS = ("kind", "pool", "workflow_id", "feature")
_SHOWN = ["kind", "pool", "workflow_id", "feature", "calls", "list_cost", "contracted_cost", "amount", "cents"]


def statement_viewer(
    ledger: Ledger,
    rules: Mapping[str, Any],
    period: str | None = None,
    team: str | None = None,
    *,
    key: str = "statement",
) -> Panel:
    """Choose a month, rules and a team, and see its statement; the plain question is `charge_back(…).breakdown(…)`.

    `rules` has a name for each choice: a rules file, what `read_rules` returned, or None for no rules.
    """
    drawn: dict[tuple[str, str], Chargeback] = {}
    months = questions.list_values(ledger, "month")
    controls = {
        "period": dropdown("month", months, period or months[-1]),
        "rules": dropdown("rules", list(rules)),
        "team": dropdown("team", questions.list_values(ledger, "owner_team"), team),
    }

    def tell(chosen: dict[str, Any]) -> str:
        month, name = chosen["period"], chosen["rules"]
        if (month, name) not in drawn:
            drawn[month, name] = charge_back(ledger, month, rules[name])
        stated = drawn[month, name]
        rows = stated.breakdown(*_PARTS, team=chosen["team"])[_SHOWN]
        return sentence(stated.headline) + table(rows, 40, f"Nothing is charged to {chosen['team']} in {month}.")

    return panel("statement", key, controls, tell)


def export_buttons(ledger: Ledger, period: str, rules: Any = None, folder: str = ".", *, key: str = "exports") -> Panel:
    """Write statements, FOCUS files or a journal at the press of a button; the plain question is `export`.

    Nothing is written before a button is pressed; each file goes into `folder` under the name of its period and format.
    """
    w = toolkit()
    controls = {kind: w.ToggleButton(description=kind, tooltip=said) for kind, said in FORMATS.items()}

    def tell(chosen: dict[str, Any]) -> str:
        pressed = [kind for kind, is_pressed in chosen.items() if is_pressed]
        said = [_write(ledger, Path(folder), period, kind, rules) for kind in pressed]
        for kind in pressed:
            controls[kind].value = False
        return "".join(map(sentence, said)) or sentence("Nothing is written before a button is pressed.")

    return panel("exports", key, controls, tell)


def _write(ledger: Ledger, folder: Path, period: str, kind: str, rules: Any) -> str:
    ending = "csv" if kind in ("csv", "journal") else "parquet"
    name = "statements" if kind in ("csv", "parquet") else kind
    return showing.visible(export(ledger, folder / f"{period}-{name}.{ending}", kind, period=period, rules=rules))
