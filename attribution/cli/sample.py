"""`attribution sample`: write the sample company, at any size, with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CALLS = 100_000


def register(app: typer.Typer) -> None:
    """Add `sample`."""
    app.command("sample")(sample)


def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    calls: Annotated[
        int, typer.Option("--calls", metavar="N", help="Provider calls, over all months.")
    ] = DEFAULT_CALLS,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The same seed gives the same bytes.")] = 7,
    months: Annotated[int, typer.Option("--months", metavar="M", help="Months up to October 2026, 1 to 6.")] = 3,
    faults: Annotated[
        str, typer.Option("--faults", metavar="NAMES", help="`all`, `none`, or names with commas between them.")
    ] = "all",
    changes: Annotated[
        str, typer.Option("--changes", metavar="NAMES", help="Planted changes of cost: `all`, `none`, or names.")
    ] = "none",
) -> None:
    """Write a company's AI telemetry and bills in every real format, and beside them the truth."""
    from attribution.cli import screen
    from attribution.samples import write_sample

    names, planted = ([name.strip() for name in given.split(",") if name.strip()] for given in (faults, changes))
    written = write_sample(folder, calls=calls, seed=seed, months=months, faults=names, changes=planted)
    screen.say(f"{written.calls:,} calls of {written.months} months in {written.folder}, seed {written.seed}.")
    screen.say(f"October 2026 comes to about {written.month_usd:,} USD at list price; faults: {len(written.faults)}.")
    if written.changes:
        screen.say(f"Planted changes: {', '.join(written.changes)}; what each cost is in truth/changes.parquet.")
    screen.say(f"Try: attribution audit {written.folder}/data --config {written.folder}/config/attribution.yaml")
