"""`attribution sources`: what can be loaded, what each source gives, and what its users get wrong."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `sources`."""
    app.command("sources")(show_sources)


def show_sources(
    name: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="One source, told in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the README.")] = False,
) -> None:
    """Show the sources: grain, what they give, nesting, money unit, zone, rewrites, and the usual mistake."""
    from attribution import sources
    from attribution.catalog import list_sources, render_sources
    from attribution.cli import screen

    if as_markdown:
        typer.echo(render_sources(), nl=False)
        return
    found = list_sources()
    if name is not None:
        found = found[found["source"] == sources.named(name).NAME]
    rows = found.to_dict("records")
    if as_json:
        screen.print_json({"command": "sources", "sources": rows})
    elif name is not None:
        screen.table(["", ""], list(rows[0].items()))
    else:
        screen.table(["source", "grain", "gives"], [(row["source"], row["grain"], row["gives"]) for row in rows])
        screen.say("`attribution sources SOURCE` tells nesting, money, zone, rewrites and the usual mistake.")
