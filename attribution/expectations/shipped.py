"""The suites that come with the package: by hand in `expectations/`, from the tables in `expectations/generated/`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution import assets
from attribution.errors import ConfigurationError
from attribution.expectations.suites import Suite, read_suite

Given = str | os.PathLike[str] | Mapping[str, Any] | Suite


def folder() -> Path:
    """Return the folder of the suites, in a checkout or an installed wheel."""
    return assets.root() / "expectations"


def names() -> list[str]:
    """Return the names by which the shipped suites are asked for, sorted."""
    return sorted({path.stem for path in [*folder().glob("*.json"), *folder().glob("generated/*.json")]})


def read_shipped(name: str) -> list[Suite]:
    """Return the generated and the hand-written suite of a name."""
    paths = (folder() / "generated" / f"{name}.json", folder() / f"{name}.json")
    return [read_suite(path) for path in paths if path.is_file()]


def choose(given: Given | Sequence[Given] | None) -> list[Suite]:
    """Return the suites that were asked for: by name, file, JSON or list; all that fit any company when none was."""
    if given is None:
        every = [suite for name in names() for suite in read_shipped(name)]
        return [suite for suite in every if not suite.meta.get("only_by_name")]
    if isinstance(given, Suite):
        return [given]
    if isinstance(given, Mapping):
        return [read_suite(given)]
    if isinstance(given, list | tuple):
        return [suite for each in given for suite in choose(each)]
    if isinstance(given, str) and given.removesuffix("_form") in names():
        read = read_shipped(given.removesuffix("_form"))
        return read if given in names() else [suite for suite in read if suite.name == given]
    if not Path(os.fspath(given)).is_file():  # type: ignore[arg-type]
        raise ConfigurationError.unknown_suite(os.fspath(given), names())  # type: ignore[arg-type]
    return [read_suite(given)]  # type: ignore[arg-type]
