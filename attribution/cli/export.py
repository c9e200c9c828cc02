"""`attribution export`: charges as FOCUS files, statements as CSV or Parquet, a journal for the books."""

from __future__ import annotations

from typing import Annotated

import typer

from attribution.cli.opening import AsJson, Config, LedgerFile, MorePaths, Period, Rules, opened_file, require_calls


def register(app: typer.Typer) -> None:
    """Add `export`."""
    app.command("export")(write_export)


def write_export(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="A .parquet or .csv file.")],
    paths: MorePaths = None,
    kind: Annotated[
        str, typer.Option("--format", help="focus-1.2, focus-1.3, csv, parquet (statements) or journal.")
    ] = "focus-1.2",
    period: Period = None,
    rules: Rules = None,
    ledger: LedgerFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write charges or statements to a file that adds up to the ledger, and to the invoice where one is loaded."""
    from attribution.cli import screen
    from attribution.exports import export

    with opened_file(paths, config, ledger) as book:
        require_calls(book)
        done = export(book, out, kind, period=period, rules=rules)
    if as_json:
        sums = {name: screen.plain(amount) for name, amount in done.sums.items()}
        facts = {"path": done.path, "format": done.format, "rows": done.rows, "sums": sums}
        screen.print_json({"command": "export", **facts, "left_out": screen.records(done.left_out)})
    else:
        screen.say(done.headline)
