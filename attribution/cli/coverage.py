"""`attribution coverage`: how much spend has an owner, over time or by any column."""

from __future__ import annotations

from typing import Annotated

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Out, Paths, Period, WriteHtml, opened

DEFAULT_PAGE = "attribution-coverage.html"


def register(app: typer.Typer) -> None:
    """Add `coverage`."""
    app.command("coverage")(show_coverage)


def show_coverage(
    paths: Paths,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="day, week, month, or a column of cost_event; may be repeated."),
    ] = None,
    period: Period = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Show the two headline shares: not declared at the call, and unowned after recovery."""
    from attribution.cli import screen
    from attribution.coverages import measure_coverage

    groups = by or []
    with opened(paths, config) as (ledger, _):
        rows = measure_coverage(ledger, *groups, period=period)
        if html or out:
            from attribution import reports

            target = out or DEFAULT_PAGE
            reports.write(reports.render_coverage(rows, groups, paths=paths), target)
            typer.echo(f"Page: {target}", err=True)
    if as_json:
        screen.print_json({"command": "coverage", "by": groups, "period": period, "rows": screen.records(rows)})
        return
    if rows.empty or not rows["calls"].sum():
        screen.say("There are no provider calls in this data and period, so there is nothing to own.")
        return
    screen.table(
        (*groups, "calls", "list cost", "not declared", "share", "unowned", "share", "by rule", "no price"),
        [
            (
                *(row[name] for name in groups),
                row["calls"],
                row["list_cost"],
                row["not_declared"],
                showing.band(row["not_declared_low"], row["not_declared_high"]),
                row["unowned"],
                showing.band(row["unowned_low"], row["unowned_high"]),
                row["recovered_by_rule"],
                row["unpriced_calls"],
            )
            for row in showing.rows(rows)
        ],
    )
    screen.say("List cost in USD, UTC. A share is a band where calls have no price; the target is 2 % for both.")
