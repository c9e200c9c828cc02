"""`attribution notebooks` and `lab`: the guided notebooks in a folder of yours, and JupyterLab open on them."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_LAB = "attribution-lab"


def register(app: typer.Typer) -> None:
    """Add `notebooks` and `lab`."""
    app.command("notebooks")(copy_notebooks)
    app.command("lab", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(open_lab)


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


def open_lab(
    ctx: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where to work; what is there is kept.")] = DEFAULT_LAB,
    port: Annotated[int | None, typer.Option("--port", help="A fixed port; without it JupyterLab chooses.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only serve; print the address.")] = False,
    voila: Annotated[bool, typer.Option("--voila", help="Show them as pages without code, in Voila.")] = False,
) -> None:
    """Open JupyterLab on a copy of the guided notebooks with the sample company; its own options are passed on."""
    import os
    import sys

    from attribution import notebooks

    environment = dict(os.environ)
    if voila:
        command, settings = notebooks.voila_command(folder, port, browser=not no_browser, more=ctx.args)
        environment |= settings
    else:
        command = notebooks.lab_command(folder, port, browser=not no_browser, more=ctx.args)
    books = notebooks.prepare(folder)
    typer.echo(f"{len(books)} notebooks and sample_data/acme in {folder}; begin with {books[0].name}. Stop: Ctrl-C.")
    sys.stdout.flush()
    # The server takes this process over, so that what stops or signals the one reaches the other.
    os.execve(command[0], command, environment)
