"""`attribution notebooks`: the guided notebooks in a folder of yours."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `notebooks`."""
    app.command("notebooks")(copy_notebooks)


def copy_notebooks(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where to put them; made when missing.")],
    force: Annotated[bool, typer.Option("--force", help="Write over notebooks of the same name.")] = False,
    execute: Annotated[bool, typer.Option("--build", help="Execute the notebooks of DIR in place instead.")] = False,
) -> None:
    """Copy the guided notebooks, each a question told on sample data, ready for your own."""
    from pathlib import Path

    from attribution import notebooks

    if execute:
        paths = sorted(Path(folder).glob("*.ipynb"))
        notebooks.build(paths)
        typer.echo(f"{len(paths)} notebooks executed in {folder}")
        return
    written = notebooks.copy(folder, force=force)
    typer.echo(f"{len(written)} notebooks in {folder}: {', '.join(path.name for path in written)}")
    typer.echo(f"Open them: jupyter lab {folder}")
