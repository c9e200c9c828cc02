"""`attribution reconcile`: from our calls to the bill in named causes, as a table, JSON or a page to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Out, Paths, WriteHtml, opened, waiting

if TYPE_CHECKING:
    from attribution.reconciliation import Reconciliation

DEFAULT_PAGE = "attribution-reconciliation.html"
_CELLS_SHOWN = 5
_STYLES = {"ties": "green", "open": "yellow", "provisional": "yellow", "does not tie": "red"}


def register(app: typer.Typer) -> None:
    """Add `reconcile`."""
    app.command("reconcile")(run_reconcile)


def run_reconcile(
    paths: Paths,
    period: Annotated[str, typer.Option("--period", help="A month such as 2026-10, or a day, week or range (UTC).")],
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider.")] = None,
    grain: Annotated[
        str | None,
        typer.Option("--grain", help="Such as day,model; the finest that bill and calls share when not given."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="The moment of asking; the latest time in the data.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit 1 unless everything ties.")] = False,
) -> None:
    """Explain the gap between our calls and the bill, every dollar with a name."""
    from attribution.cli import screen
    from attribution.reconciliation import reconcile

    with opened(paths, config) as (ledger, _), waiting("Reconciling"):
        answer = reconcile(ledger, period, provider, grain, as_of=as_of)
    if html or out:
        from attribution import reports

        with waiting("Drawing the page"):
            reports.write(reports.render_reconciliation(answer), out or DEFAULT_PAGE)
    if as_json:
        screen.print_json({"command": "reconcile", **screen.plain(answer.to_dict())})
    else:
        print_answer(answer)
    if html or out:
        typer.echo(f"\nReport: {out or DEFAULT_PAGE}", err=as_json)
    if fail and answer.status != "ties":
        raise typer.Exit(1)


def print_answer(answer: Reconciliation) -> None:
    """Print the bridge, the status of every provider, what evidence is missing, and the largest gaps."""
    from attribution.cli import screen

    screen.say(answer.headline, style=f"bold {_STYLES[answer.status]}")
    screen.say()
    rows = [row for row in showing.rows(answer.bridge) if row["amount"] or row["kind"] == "total"]
    screen.table(
        ("from our calls to the bill", "USD", "calls", "likely"),
        [(row["label"], row["amount"], row["calls"] or None, row["guess"]) for row in rows],
        ["bold" if row["kind"] == "total" else None for row in rows],
    )
    screen.say()
    statuses = showing.rows(answer.statuses)
    screen.table(
        ("provider", "status", "billed", "unexplained", "why"),
        [(row["provider"], row["status"], row["billed"], row["unexplained"], row["why"]) for row in statuses],
        [_STYLES[row["status"]] for row in statuses],
    )
    _print_missing(answer)
    _print_gaps(answer)
    screen.say(f"\nOurs is {answer.basis}. Likely: a guess, marked as one.")


def _print_missing(answer: Reconciliation) -> None:
    from attribution.cli import screen

    rows = showing.rows(answer.missing)
    if rows:
        screen.say("\nMissing evidence, and what is likely", style="bold")
        screen.table(
            ("provider", "state", "what", "days", "USD", "likely"),
            [
                (row["provider"], row["state"].replace("_", " "), row["what"], _days(row), row["amount"], row["guess"])
                for row in rows
            ],
        )


def _days(row: dict[str, object]) -> str | None:
    first, last = row["day_from"], row["day_to"]
    if showing.is_missing(first):
        return None
    return str(first) if first == last else f"{first} to {last}"


def _print_gaps(answer: Reconciliation) -> None:
    from attribution.cli import screen

    rows = [row for row in showing.rows(answer.cells.head(_CELLS_SHOWN)) if row["status"] != "ties"]
    if rows:
        screen.say("\nLargest gaps", style="bold")
        screen.table(
            ("provider", "bucket", "model", "meter", "ours", "billed", "gap", "status"),
            [
                tuple(row[n] for n in ("provider", "bucket", "model", "meter", "ledger", "billed", "gap", "status"))
                for row in rows
            ],
        )
