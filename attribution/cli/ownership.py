"""`attribution explain-event`, `match-report`, `keys`, `lint`, `repair` and `trend`: the evidence behind ownership."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.opening import AsJson, Config, Paths, opened

if TYPE_CHECKING:
    import pandas as pd


def register(app: typer.Typer) -> None:
    """Add the commands about evidence."""
    app.command("explain-event")(explain)
    app.command("match-report")(report_matches)
    app.command("keys")(show_keys)
    app.command("lint")(lint)
    app.command("repair")(repair)
    app.command("trend")(show_trend)


def explain(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Its first characters are enough.")],
    paths: Paths,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Explain one event: records with file and line, owner and evidence, price entry and arithmetic."""
    from attribution.cli import screen
    from attribution.event_explanations import explain_event

    with opened(paths, config) as (ledger, _):
        found = explain_event(ledger, event_id)
    if as_json:
        screen.print_json({"command": "explain-event", **found.to_dict()})
    else:
        typer.echo(found.to_text())


def report_matches(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Show how many sources saw each call, and what counting twice would have cost."""
    from attribution import showing
    from attribution.cli import screen
    from attribution.match_reports import match_report

    with opened(paths, config) as (ledger, _):
        found = match_report(ledger)
    frames = {"by_sources": found.by_sources, "unmatched": found.unmatched, "conflicts": found.conflicts}
    if as_json:
        rows = {name: screen.records(frame) for name, frame in frames.items()}
        screen.print_json({"command": "match-report", "double_counted": screen.plain(found.double_counted), **rows})
        return
    for name, frame in frames.items():
        _print(name.replace("_", " "), frame)
    screen.say(f"Adding the sources up would have counted {showing.dollars(found.double_counted)} twice.")


def show_keys(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Show who holds each key beside who owns the spend on it."""
    from attribution.keys import key_matrix

    with opened(paths, config) as (ledger, _):
        _answer("keys", key_matrix(ledger), as_json)


def lint(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """List personal data, raw ids, look-alike teams and misplaced values in ownership fields."""
    from attribution.hygiene import lint_ownership

    with opened(paths, config) as (ledger, _):
        _answer("lint", lint_ownership(ledger), as_json)


def repair(
    paths: Paths,
    share: Annotated[float, typer.Option(help="Share of owned calls whose owner is hidden.")] = 0.2,
    seed: Annotated[int, typer.Option(help="The same seed hides the same calls.")] = 0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Hide known owners, let the ladder find them again, and show how often it is right."""
    from attribution.repairs import measure_repair

    with opened(paths, config) as (ledger, _):
        _answer("repair", measure_repair(ledger, share=Decimal(str(share)), seed=seed), as_json)


def show_trend(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Show the days on which the share not declared changed its level."""
    from attribution.cli import screen
    from attribution.trends import coverage_trend

    with opened(paths, config) as (ledger, _):
        found = coverage_trend(ledger)
    if as_json:
        rows = {"days": screen.records(found.days), "changes": screen.records(found.changes)}
        screen.print_json({"command": "trend", "parameters": found.parameters, **rows})
        return
    _print("levels", found.changes)
    screen.say(found.headline)


def _answer(command: str, frame: pd.DataFrame, as_json: bool) -> None:
    from attribution.cli import screen

    if as_json:
        screen.print_json({"command": command, "rows": screen.records(frame)})
    else:
        _print(command, frame)


def _print(title: str, frame: pd.DataFrame) -> None:
    from attribution import showing
    from attribution.cli import screen

    screen.say(title, style="bold")
    if frame.empty:
        screen.say("nothing to list", indent=2)
        return
    names = [str(name) for name in frame.columns]
    screen.table([n.replace("_", " ") for n in names], [[row[n] for n in names] for row in showing.rows(frame)])
