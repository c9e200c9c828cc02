"""What comes with the package beside code: sample data and notebooks, in a checkout or in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

from attribution.errors import QuestionError


def root() -> Path:
    """Return the folder that holds `sample_data` and `notebooks`."""
    here = Path(__file__).resolve().parent
    return here / "_assets" if (here / "_assets").is_dir() else here.parent


def sample_path(name: str = "") -> str:
    """Return where a sample that comes with the package is.

    Parameters
    ----------
    name
        A file or folder below `sample_data`, such as `traces/captured`.

    Returns
    -------
    str
        A path that `build_ledger` takes; a relative one inside a checkout, so that nothing shown names a machine.

    Raises
    ------
    QuestionError
        If there is no such sample; the message names those there are.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger(at.sample_path("traces/article/complete"), quiet=True)
    >>> ledger
    <Ledger :memory:: 2 cost events from 1 files>
    """
    samples = root() / "sample_data"
    path = (samples / name).resolve()
    if not path.exists() or not path.is_relative_to(samples.resolve()):
        known = sorted(str(p.relative_to(samples)) for p in samples.glob("*/*") if p.is_dir())
        raise QuestionError.bad_argument("name", name, f"a sample that comes with the package: {', '.join(known)}")
    is_near = Path.cwd().is_relative_to(samples.resolve().parent)
    return os.path.relpath(path) if is_near else str(path)
