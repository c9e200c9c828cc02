"""`attribution disputes` and `attribution evidence`: what a team objects to, and what it needs to do so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.opening import AsJson, Config, LedgerFile, MorePaths, Rules, opened_file, require_calls, waiting

DEFAULT_PACK = "attribution-evidence.html"


def register(app: typer.Typer) -> None:
    """Add `evidence` and `disputes`."""
    app.command("evidence")(write_pack)
    app.command("disputes")(settle)


def write_pack(
    team: Annotated[str, typer.Option("--team", help="Whose statement.")],
    period: Annotated[str, typer.Option("--period", help="Of which period, such as 2026-10 (UTC).")],
    paths: MorePaths = None,
    top: Annotated[int, typer.Option("--top", metavar="N", help="How many charges, largest first.")] = 20,
    rules: Rules = None,
    ledger: LedgerFile = None,
    config: Config = None,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="The HTML file; a CSV stands beside it.")] = (
        DEFAULT_PACK
    ),
) -> None:
    """Write an evidence pack: a team's largest charges with trees, file and line, owners, prices and arithmetic."""
    from attribution import reports
    from attribution.cli import screen
    from attribution.exports import files
    from attribution.packs import evidence_pack

    with opened_file(paths, config, ledger) as book:
        require_calls(book)
        with waiting("Gathering the evidence"):
            pack = evidence_pack(book, team, period, rules, top=top)
    kept = [f"--ledger={ledger}"] if ledger else []
    options = [f"--team={team}", f"--period={period}", f"--top={top}", *([f"--rules={rules}"] if rules else []), *kept]
    table = Path(out).with_suffix(".csv")
    files.write_table(pack.table(), table)
    reports.write(reports.render_pack(pack, paths=paths or (), config=config, options=options), out)
    screen.say(pack.headline)
    screen.say(f"Evidence: {out} and {table}")


def settle(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Disputes, as YAML or CSV.")],
    ledger: Annotated[
        str | None, typer.Option("--ledger", metavar="FILE", help="Book the upheld ones in this ledger.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file of disputes; with a ledger, book those that are upheld into the next open period."""
    from attribution import showing
    from attribution.cli import screen
    from attribution.disputes import read_disputes, settle_disputes
    from attribution.ledger import open_ledger

    if ledger is None:
        found = read_disputes(file)
    else:
        if not Path(ledger).is_file():
            raise typer.BadParameter(f"{ledger} is no file; keep a ledger with `attribution close --ledger`")
        with open_ledger(ledger) as book:
            found = settle_disputes(book, file)
    if as_json:
        screen.print_json({"command": "disputes", "rows": screen.records(found)})
        return
    names = ["dispute_id", "period", "owner_team", "charge_to", "amount", "state", "reviewer"]
    names += ["booked_in"] if ledger else []
    rows = [[row[name] for name in names] for row in showing.rows(found)]
    screen.table([name.replace("_", " ") for name in names], rows)
    if ledger is None:
        screen.say("Checked; nothing is booked without --ledger.")
