"""`attribution hops`: which hop loses which ownership field, in dollars, and its remedy."""

from __future__ import annotations

from typing import Any

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Paths, opened


def register(app: typer.Typer) -> None:
    """Add `hops`."""
    app.command("hops")(show_hops)


def show_hops(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Show where ownership breaks, dearest hop first, each with its remedy."""
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
    hops = showing.rows(rows)
    screen.table(
        ("hop", "loses", "calls", "list cost", "recovered", "no price", "signature"),
        [
            (
                showing.hop(row),
                row["fields"],
                row["calls"],
                row["list_cost"],
                row["recovered"],
                row["unpriced_calls"],
                row["signature"] if row["is_provable"] else f"{row['signature']} likely",
            )
            for row in hops
        ],
    )
    screen.say("\nRemedies", style="bold")
    for signature, title, system, remedy in dict.fromkeys(_remedy(row) for row in hops):
        screen.say(f"{signature}{system}: {title}.", indent=2)
        screen.say(remedy, indent=6)
    screen.say("\nAmounts are list cost of the calls below the hop. Likely: the data suggest it and do not prove it.")


def _remedy(row: dict[str, Any]) -> tuple[str, str, str, str]:
    system = "" if showing.is_missing(row["system"]) else f" ({row['system']})"
    return row["signature"], row["title"], system, row["remedy"]
