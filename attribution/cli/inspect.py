"""`attribution inspect`: what a file would be read as, before anything is loaded."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `inspect`."""
    app.command("inspect")(show_inspection)


def show_inspection(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One file.")],
    zone: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Zone of times without one, such as UTC.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a file would be read as: source, columns, coverage, units, nesting, and three masked rows."""
    from attribution.cli import screen
    from attribution.inspecting import inspect

    found = inspect(file, options={"tz": zone} if zone else None)
    if as_json:
        screen.print_json({"command": "inspect", **found.as_dict()})
        return
    for line in str(found).split("\n"):
        screen.say(line)
