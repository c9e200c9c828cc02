"""Progress of long work: a bar on a terminal and in a live notebook, silence everywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attribution import showing

_PATH_SHOWN = 32
#: Where outputs are compared or kept for good, a bar would be noise.
_SILENCING = ("PYTEST_VERSION", "PAPERMILL_EXECUTION", "CI")


def is_wanted() -> bool:
    """Whether somebody looks on: a terminal or a live notebook, and neither a test, a schedule nor a build.

    The environment variable ATTRIBUTION_PROGRESS settles it: `off` is silence, `on` a bar.
    """
    said = os.environ.get("ATTRIBUTION_PROGRESS", "").lower()
    if said in ("on", "off"):
        return said == "on"
    if any(name in os.environ for name in _SILENCING):
        return False
    return is_notebook() or sys.stderr.isatty()


def is_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


@contextmanager
def counting(total: int) -> Iterator[Callable[[str], None] | None]:
    """Yield what is told each file as it is read, to show how far it is; None where nobody looks on."""
    if not is_wanted():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    with _bar(SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), text) as progress:
        task = progress.add_task("", total=total)

        def tell(path: str) -> None:
            progress.update(task, advance=1, description=showing.visible(path[-_PATH_SHOWN:]))

        yield tell


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner with the elapsed time while the block runs, where somebody looks on."""
    if not is_wanted():
        yield
        return
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    with _bar(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()) as progress:
        progress.add_task(what, total=None)
        yield


def _bar(*columns: Any) -> Any:
    """Return a bar that is gone when the work is done, so that no finished output holds one."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console() if is_notebook() else Console(stderr=True)
    return Progress(*columns, console=console, transient=True)
