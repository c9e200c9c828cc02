"""`attribution true-up`, `prepaid` and `pools`: invoices spread over calls, balances, and what capacity was used."""

from __future__ import annotations

from typing import Annotated

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Paths, Period, opened

Provider = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only this provider.")]
Months = Annotated[str, typer.Option("--period", help="A month such as 2026-10, or several whole ones.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("true-up")(show_true_up)
    app.command("prepaid")(show_prepaid)
    app.command("pools")(show_pools)


def show_true_up(
    paths: Paths, period: Months, provider: Provider = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Spread invoices over the calls that caused them; calls and residual lines add up to each invoice."""
    from attribution.cli import screen
    from attribution.true_ups import residual_causes, true_up

    with opened(paths, config) as (ledger, _):
        rows = true_up(ledger, period, provider)
        lines = residual_causes(ledger, period, provider)
    if as_json:
        told = {"command": "true-up", "period": period, "provider": provider}
        screen.print_json({**told, "rows": screen.records(rows), "residual_lines": screen.records(lines)})
        return
    if rows.empty:
        screen.say(f"There are no bills and no calls in {period}, so there is nothing to true up.")
        return
    screen.table(
        ("month", "provider", "status", "invoice", "on calls", "calls", "on no call", "effective cost"),
        [
            (
                row["period"],
                row["provider"],
                row["status"],
                *(
                    row[name]
                    for name in ("billed_cost", "event_billed_cost", "events", "residual_billed_cost", "effective_cost")
                ),
            )
            for row in showing.rows(rows)
        ],
    )
    screen.say("What no call bears:", style="bold")
    screen.table(
        ("month", "provider", "cause", "lines", "billed cost", "effective cost"),
        [
            tuple(row[n] for n in ("period", "provider", "cause", "lines", "billed_cost", "effective_cost"))
            for row in showing.rows(lines)
        ],
    )
    screen.say(
        "USD. Calls and residual lines add up to each invoice exactly. Usage that a prepaid balance covers is billed "
        "at nothing and keeps its effective cost."
    )


def show_prepaid(
    paths: Paths, period: Period = None, provider: Provider = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Roll prepaid balances and commitments forward: opening + purchased − used − expired = closing."""
    from attribution.cli import screen
    from attribution.prepayments import roll_forward

    with opened(paths, config) as (ledger, _):
        rows = roll_forward(ledger, period, provider)
    if as_json:
        told = {"command": "prepaid", "period": period, "provider": provider}
        screen.print_json({**told, "rows": screen.records(rows)})
        return
    if rows.empty:
        screen.say(
            "Nothing was paid ahead: the configuration declares no `prepaid` and no bill shows a purchase of one."
        )
        return
    names = ("contract_id", "month", "opening", "purchased", "used", "expired", "closing", "status", "evidence")
    screen.table(
        [name.replace("_id", "").replace("evidence", "use is known by") for name in names],
        [tuple(row[name] for name in names) for row in showing.rows(rows)],
    )
    screen.say("USD. Opening + purchased − used − expired = closing, per contract and month.")


def show_pools(paths: Paths, period: Period = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show how much of provisioned throughput and seats was used, and what idle capacity cost."""
    from attribution.cli import screen
    from attribution.pools import measure_pools

    with opened(paths, config) as (ledger, _):
        rows = measure_pools(ledger, period)
    if as_json:
        screen.print_json({"command": "pools", "period": period, "rows": screen.records(rows)})
        return
    if rows.empty:
        screen.say("There are no pools: the configuration declares none and no bill charges provisioned capacity.")
        return
    screen.table(
        ("pool", "month", "units", "used", "cost", "used cost", "idle cost", "status"),
        [
            (
                row["pool_id"],
                row["month"],
                row["units"],
                showing.share(row["utilization"]),
                *(row[name] for name in ("cost", "used_cost", "idle_cost", "status")),
            )
            for row in showing.rows(rows)
        ],
    )
    screen.say("USD, UTC months. Used is the share of the capacity; idle cost is what the rest of it cost.")
