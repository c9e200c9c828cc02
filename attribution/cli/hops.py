"""`attribution hops`: which hop loses which ownership field, in dollars, and its remedy."""

from __future__ import annotations

import typer

from attribution.cli.opening import AsJson, Config, Paths, opened


def register(app: typer.Typer) -> None:
    """Add `hops`."""
    app.command("hops")(show_hops)


def show_hops(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Show where ownership breaks, dearest hop first, each with its remedy."""
    from attribution import showing
    from attribution.cli import screen
    from attribution.hops import broken_hops

    with opened(paths, config) as (ledger, _):
        rows = broken_hops(ledger)
        calls = ledger.value("select count(*) from cost_event")
    if as_json:
        screen.print_json({"command": "hops", "calls": calls, "rows": screen.records(rows)})
        return
    if rows.empty:
        reason = "every call carries owner_team, workflow_id and feature" if calls else "there are no provider calls"
        screen.say(f"No hop loses an ownership field: {reason}.")
        return
    hops = rows.to_dict("records")
    screen.table(
        ("hop", "loses", "calls", "list cost", "recovered", "no price", "signature", "proven"),
        [
            (
                showing.hop(row),
                row["fields"],
                row["calls"],
                row["list_cost"],
                row["recovered"],
                row["unpriced_calls"],
                f"{row['signature']} {row['title']}",
                bool(row["is_provable"]),
            )
            for row in hops
        ],
    )
    screen.say("\nRemedies", style="bold")
    remedies = dict.fromkeys((row["signature"], row["system"] or "", row["remedy"]) for row in hops)
    for signature, system, remedy in remedies:
        screen.say(f"  {signature}{f' ({system})' if system else ''}: {remedy}")
