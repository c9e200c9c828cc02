"""What commands have in common: their options, and a ledger built from paths with progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import showing
from attribution.errors import LedgerError, SourceError

if TYPE_CHECKING:
    from attribution.ledger import Ledger
    from attribution.loading import Loaded

Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", help="Files, folders or globs; recognised by content.", show_default=False),
]
MorePaths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH...]", help="Files to load; none where the ledger file holds them.", show_default=False
    ),
]
LedgerFile = Annotated[
    str | None,
    typer.Option("--ledger", metavar="FILE", help="A ledger file that is kept; made when missing. Else in memory."),
]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="attribution.yaml: registry, rules, aliases, contracts."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text; amounts are text, to the last digit.")
]
Period = Annotated[
    str | None, typer.Option("--period", help="Only a day, week, month, year or range, such as 2026-10 (UTC).")
]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Where to write the HTML page.")]
WriteHtml = Annotated[bool, typer.Option("--html", help="Write an HTML page too; always says where.")]

_PATH_SHOWN = 32


@contextmanager
def opened(paths: list[str], config: str | None) -> Iterator[tuple[Ledger, Loaded]]:
    """Yield a ledger in memory, built from the paths, and what became of each file."""
    from attribution import building
    from attribution.ledger import open_ledger

    with open_ledger() as ledger:
        with telling(paths) as tell:
            loaded = building.add(ledger, *paths, config=config, quiet=True, tell=tell)
        if not loaded.files:
            raise SourceError.nothing_loaded(paths, loaded.refused, loaded.passed_over)
        yield ledger, loaded


@contextmanager
def opened_file(paths: list[str] | None, config: str | None, file: str | None) -> Iterator[Ledger]:
    """Yield the ledger kept in a file, with the paths loaded into it; without a file, one in memory."""
    from attribution import building
    from attribution.ledger import open_ledger

    if file is None:
        if not paths:
            raise LedgerError.empty("source", "Name files or folders to load, or a ledger with --ledger FILE.")
        with opened(paths, config) as (ledger, _):
            yield ledger
        return
    with open_ledger(file) as ledger:
        if paths or config is not None:
            with telling(paths or []) as tell:
                building.add(ledger, *(paths or ()), config=config, quiet=True, tell=tell)
        yield ledger


def require_calls(ledger: Ledger) -> None:
    """Refuse to answer from nothing."""
    if not ledger.value("select count(*) from cost_event"):
        raise LedgerError.empty("provider calls", "Load traces, gateway logs or call records, not only bills.")


@contextmanager
def telling(paths: list[str]) -> Iterator[Callable[[str], None] | None]:
    """Show which file is being read, how many there are and the elapsed time; on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from attribution.loading import expand

    total = sum(1 for path in paths for _ in expand(path))
    text = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), text)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def tell(path: str) -> None:
            progress.update(task, advance=1, description=showing.visible(path[-_PATH_SHOWN:]))

        yield tell


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner with the elapsed time while the block runs; on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
