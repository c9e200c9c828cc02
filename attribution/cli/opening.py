"""What commands have in common: their options, and a ledger built from paths with progress on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from attribution import progress
from attribution.errors import LedgerError, SourceError
from attribution.progress import waiting as waiting

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
Rules = Annotated[str | None, typer.Option("--rules", metavar="FILE", help="The chargeback rules, a reviewed YAML.")]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Where to write the HTML page.")]
WriteHtml = Annotated[bool, typer.Option("--html", help="Write an HTML page too; always says where.")]


@contextmanager
def opened(paths: list[str], config: str | None) -> Iterator[tuple[Ledger, Loaded]]:
    """Yield a ledger in memory, built from the paths, and what became of each file."""
    from attribution import building
    from attribution.ledger import open_ledger

    with open_ledger() as ledger:
        with progress.counting(_count(paths)) as tell:
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
            with progress.counting(_count(paths or [])) as tell:
                building.add(ledger, *(paths or ()), config=config, quiet=True, tell=tell)
        yield ledger


def require_calls(ledger: Ledger) -> None:
    """Refuse to answer from nothing."""
    if not ledger.value("select count(*) from cost_event"):
        raise LedgerError.empty("provider calls", "Load traces, gateway logs or call records, not only bills.")


def _count(paths: list[str]) -> int:
    """Return how many files the paths stand for."""
    from attribution.loading import expand

    return sum(1 for path in paths for _ in expand(path))
