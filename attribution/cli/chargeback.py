"""`attribution chargeback`, `close` and `verify`: statements that make the invoice, frozen, and checked later."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, LedgerFile, MorePaths, Out, Rules, WriteHtml, opened_file
from attribution.errors import QuestionError
from attribution.showing import is_missing, rows

if TYPE_CHECKING:
    import pandas as pd

    from attribution.closing import Verification
    from attribution.statements import Chargeback

Period = Annotated[
    str, typer.Option("--period", help="A month (2026-10), a quarter, or a period of the rules' calendar.")
]
Basis = Annotated[
    str | None, typer.Option("--basis", help="effective, billed, contracted or list; the rules' own when not given.")
]
_PAGE = "attribution-chargeback.html"
_NO = 1


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command("chargeback")(show_statements)
    app.command("close")(close)
    app.command("verify")(verify)


def show_statements(
    period: Period,
    paths: MorePaths = None,
    rules: Rules = None,
    basis: Basis = None,
    team: Annotated[str | None, typer.Option("--team", help="Only the lines of this team's statement.")] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="FILE", help="Other rules: what each team bears under either.")
    ] = None,
    ledger: LedgerFile = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Charge a period back: one statement per team; with what no team bears they are the invoices, to the cent."""
    from attribution import closing
    from attribution.cli import screen

    with opened_file(paths, config, ledger) as book:
        if compare is not None:
            compared = closing.compare_allocations(book, rules, compare, period, basis=basis)
            _compared(compared, as_json)
            return
        found = closing.charge_back(book, period, rules, basis=basis)
    target = out or (_PAGE if html else None)
    if target is not None:
        from attribution import reports

        reports.write(reports.render_answer(found._repr_html_(), f"Chargeback {found.period}"), target)
        typer.echo(f"Page: {shlex.quote(target)}", err=True)
    if as_json:
        screen.print_json({"command": "chargeback", **found.to_dict()})
    elif team is not None:
        _team(found, team)
    else:
        _statements(found)


def close(
    period: Period,
    paths: MorePaths = None,
    rules: Rules = None,
    basis: Basis = None,
    reopen: Annotated[
        str | None,
        typer.Option("--reopen", metavar="REASON", help="Open a closed period again; the reason is kept."),
    ] = None,
    ledger: LedgerFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Close a period: freeze its statements; what changes later is booked into the next open one."""
    from attribution import closing
    from attribution.cli import screen

    if ledger is None:
        raise QuestionError.bad_argument("--ledger", None, "a ledger file: what is closed has to be kept somewhere")
    with opened_file(paths, config, ledger) as book:
        if reopen is not None:
            reversed_entries = closing.reopen_period(book, period, reason=reopen)
            if as_json:
                screen.print_json({"command": "close", "reopened": period, "entries": screen.records(reversed_entries)})
                return
            screen.say(f"{period} is open again: {reopen}")
            _entries(reversed_entries, "Entries that were booked for it are reversed:")
            return
        found = closing.close_period(book, period, rules, basis=basis)
        (revision, checksum) = book.rows(
            "select revision, document_sha256 from period where period = $period order by revision desc limit 1",
            {"period": found.period},
        )[0]
    if as_json:
        screen.print_json({"command": "close", "revision": revision, "sha256": checksum, **found.to_dict()})
        return
    _statements(found)
    screen.say(f"Closed as revision {revision}, sha256 {checksum}.", style="bold")


def verify(
    statement: Annotated[
        str,
        typer.Argument(
            metavar="STATEMENT",
            help="A closed period (2026-10), one team's of it (2026-10/support), or the JSON that chargeback printed.",
        ),
    ],
    ledger: LedgerFile = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Verify a closed statement: as it was frozen, the same if drawn up today, and what differs booked."""
    from attribution import closing
    from attribution.cli import screen

    if ledger is None:
        raise QuestionError.bad_argument("--ledger", None, "the ledger file in which the period is closed")
    said = _said(statement)
    period, _, team = (said["period"] if said else statement).partition("/")
    with opened_file(None, None, ledger) as book:
        found = closing.verify_period(book, period)
        is_copy = said is None or closing.is_copy(book, said)
    target = out or ("attribution-verify.html" if html else None)
    if target is not None:
        from attribution import reports

        reports.write(reports.render_answer(found._repr_html_(), f"Verification of {period}"), target)
        typer.echo(f"Page: {shlex.quote(target)}", err=True)
    if as_json:
        screen.print_json({"command": "verify", "is_copy": is_copy, **found.to_dict()})
    else:
        _verified(found, team or None)
        if not is_copy:
            screen.say(f"{statement} is NOT the statement that was frozen.", style="bold")
    if not (is_copy and found.is_intact and found.is_booked):
        raise typer.Exit(_NO)


def _said(statement: str) -> dict[str, Any] | None:
    """Return what a file of JSON says, where the argument names one."""
    if not statement.endswith(".json"):
        return None
    try:
        said = json.loads(Path(statement).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QuestionError.bad_argument("STATEMENT", statement, f"JSON that chargeback printed; {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("period"), str):
        raise QuestionError.bad_argument("STATEMENT", statement, "JSON that chargeback printed, with its period")
    return said


def _statements(found: Chargeback) -> None:
    from attribution.cli import screen

    screen.say(found.headline, style="bold")
    names = ["owner_team", "cost_center", "account", "direct", "shared", "of_unowned", "markup", "minimum"]
    names += ["adjustment", "cents", "budget", "variance"]
    _table(found.statements, _telling(found.statements, names))
    names = ["provider", "state", "statements", "unowned", "residual", "prepaid", "total_cents", "invoice_cents"]
    _table(found.providers, names)
    if len(found.residual):
        _table(
            found.residual, _telling(found.residual, ["kind", "provider", "model", "category", "description", "cents"])
        )
    from attribution.statements.pages import footnote

    screen.say(footnote(found))


def _team(found: Chargeback, team: str) -> None:
    from attribution.cli import screen

    lines = found.statement(team)
    screen.say(found.headline, style="bold")
    shown = [(_what(row), _for(row), row["provider"], row["calls"], row["cents"]) for row in rows(lines)]
    screen.table(("line", "for", "provider", "calls", "cents"), shown)
    screen.say(f"{showing.dollars(sum(lines['cents'].dropna()))} in {showing.count(len(lines), 'line')}.")


def _what(row: dict[str, Any]) -> str:
    """Say what kind of line it is: `direct, declared`, `shared, guard 19.9 %`."""
    parts = [row["kind"].replace("_", " "), *(row[name] for name in ("evidence", "pool") if not is_missing(row[name]))]
    share = "" if is_missing(row["share"]) else f" {showing.share(row['share'])}"
    return ", ".join(parts) + share


def _for(row: dict[str, Any]) -> str:
    names = ("description",) if row["kind"] == "adjustment" else ("workflow_id", "feature", "model", "description")
    return ", ".join(dict.fromkeys(row[name] for name in names if not is_missing(row[name]))) or "–"


def _compared(compared: pd.DataFrame, as_json: bool) -> None:
    from attribution.cli import screen

    if as_json:
        screen.print_json({"command": "chargeback", "compared": screen.records(compared)})
    else:
        _table(compared, ["owner_team", "direct", "before", "after", "difference"])


def _verified(found: Verification, team: str | None) -> None:
    from attribution.cli import screen

    screen.say(found.headline, style="bold")
    changed = found.checks[~found.checks["is_same"]]
    if len(changed):
        screen.say(f"Not the same as when it was closed: {', '.join(changed['what'])}.")
    for frame, names in (
        (found.differences, ["owner_team", "provider", "closed", "now", "difference", "booked", "not_booked"]),
        (
            found.lines,
            ["owner_team", "kind", "pool", "provider", "model", "workflow_id", "closed", "now", "difference"],
        ),
    ):
        shown = frame if team is None else frame[frame["owner_team"] == team]
        if len(shown):
            _table(shown, _telling(shown, names))


def _entries(entries: pd.DataFrame, title: str) -> None:
    from attribution.cli import screen

    if len(entries):
        screen.say(title)
        _table(entries, ["booked_in", "for_period", "owner_team", "provider", "kind", "amount", "reason"])


def _telling(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the columns that say anything, so that a table fits the screen."""
    return [name for name in names if any(not is_missing(v) and v != 0 for v in frame[name])]


def _table(frame: pd.DataFrame, names: list[str]) -> None:
    from attribution.cli import screen

    screen.table([name.replace("_", " ") for name in names], [tuple(row[n] for n in names) for row in rows(frame)])
