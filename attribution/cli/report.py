"""`attribution report`: one self-contained HTML page, no network, to print or send."""

from __future__ import annotations

import typer

from attribution.cli.audit import DEFAULT_PAGE, Seed, Trace, Traces, write_page
from attribution.cli.opening import Config, Out, Paths, Period, Rules, opened, require_calls, waiting


def register(app: typer.Typer) -> None:
    """Add `report`."""
    app.command("report")(write_report)


def write_report(
    paths: Paths,
    out: Out = None,
    config: Config = None,
    traces: Traces = 10,
    seed: Seed = 0,
    trace: Trace = None,
    period: Period = None,
    rules: Rules = None,
) -> None:
    """Write the report alone: audit, hops, statements, bill, changes, quality, prices, and how to reproduce it."""
    from attribution.audits import audit

    with opened(paths, config) as (ledger, loaded):
        require_calls(ledger)
        with waiting("Auditing"):
            answer = audit(ledger, traces, seed=seed, trace=trace)
        write_page(ledger, answer, loaded, paths, config, out or DEFAULT_PAGE, period, rules)
    typer.echo(f"Report: {out or DEFAULT_PAGE}")
