"""Build: load → match → resolve owners → price → find lost hops → renew true-ups, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from attribution import (
    configuration,
    expectations,
    hops,
    loading,
    matching,
    ownership,
    pricing,
    progress,
    true_ups,
)
from attribution.ledger import Ledger, open_ledger
from attribution.loading import Loaded
from attribution.reading import Limits
from attribution.showing import count

#: Records set aside that the summary names; the table `quarantine` has them all.
_SHOWN = 5


def build_ledger(
    *inputs: Any,
    config: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] = ":memory:",
    source: str | None = None,
    mapping: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    limits: Limits | None = None,
    quiet: bool = False,
) -> Ledger:
    """Load files and frames and answer everything that can be computed about each call.

    Parameters
    ----------
    *inputs
        Files, folders, globs, or frames (with a `mapping`).
    config
        `attribution.yaml`: registry, ownership rules, aliases, contracts, column maps. Never taken from a data folder.
    path
        Where to keep the ledger; in memory when not given.
    source, mapping, options, limits
        As for `load`.
    quiet
        Do not print the summary.

    Returns
    -------
    Ledger
        With every table filled; `ledger.loaded` tells what became of each file.

    Raises
    ------
    SourceError
        If an input names no file.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.roll_up(ledger, "owner_team")[["owner_team", "calls"]].to_dict("records")
    [{'owner_team': 'support', 'calls': 2}]
    """
    ledger = open_ledger(path)
    with nullcontext() if quiet else progress.counting(_count(inputs)) as tell:
        loaded = add(
            ledger,
            *inputs,
            config=config,
            source=source,
            mapping=mapping,
            options=options,
            limits=limits,
            quiet=True,
            tell=tell,
        )
    if not quiet:
        print(summarize(loaded))  # noqa: T201 - the summary is the point
    return ledger


def _count(inputs: tuple[Any, ...]) -> int:
    """Return how many files and frames there are to load."""
    return sum(sum(1 for _ in loading.expand(os.fspath(i))) if isinstance(i, str | os.PathLike) else 1 for i in inputs)


def add(
    ledger: Ledger,
    *inputs: Any,
    config: str | os.PathLike[str] | None = None,
    source: str | None = None,
    mapping: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    limits: Limits | None = None,
    quiet: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Loaded:
    """Load more into a ledger and run every step anew; adding the same twice changes nothing."""
    read = configuration.read_configuration(config) if config is not None else None
    loaded = loading.load(
        ledger,
        *inputs,
        source=source,
        mapping=mapping,
        options=options,
        column_maps=read.column_maps if read else (),
        hash_key=_hash_key(),
        limits=limits,
        tell=tell,
    )
    if read is not None:
        configuration.apply(ledger, read)
    run_steps(ledger)
    if not quiet:
        told = "\n".join(filter(None, (summarize(loaded), summarize_quality(ledger))))
        print(told)  # noqa: T201 - the summary is the point
    return loaded


def run_steps(ledger: Ledger) -> None:
    """Run the steps after load: each writes its table anew from the step before."""
    matching.match(ledger)
    ownership.resolve_owners(ledger)
    pricing.price_events(ledger)
    hops.find_lost_hops(ledger)
    true_ups.renew(ledger)


def summarize(loaded: Loaded) -> str:
    """Say what became of the inputs, in a few lines."""
    files = loaded.files
    fresh = [row for row in files if row["state"] != "already loaded"]
    totals = {
        name: sum(row[name] for row in fresh)
        for name in ("records", "accepted", "context", "duplicates", "superseded", "conflicting", "quarantined")
    }
    parts = " + ".join(f"{number:,} {name}" for name, number in totals.items() if name != "records" and number)
    lines = [f"{count(len(fresh), 'file')} loaded: {totals['records']:,} records = {parts or '0'}"]
    if len(files) > len(fresh):
        lines.append(f"{count(len(files) - len(fresh), 'file')} already loaded")
    lines += [f"set aside: {why}" for why in loaded.set_aside[:_SHOWN]]
    if len(loaded.set_aside) > _SHOWN:
        lines.append(f"and {len(loaded.set_aside) - _SHOWN:,} more: see the table quarantine")
    lines += [f"not loaded: {why}" for _, why in loaded.refused]
    return "\n".join(lines)


def summarize_quality(ledger: Ledger) -> str:
    """Say how many rules of the shipped suites the data break; nothing when it breaks none."""
    broken = expectations.count_broken(ledger)
    if not broken:
        return ""
    parts = " and ".join(f"{number:,} {severity}" for severity, number in broken.items())
    rules = "rule" if sum(broken.values()) == 1 else "rules"
    return f"data quality: {parts} {rules} broken; `attribution quality` names them with rows and dollars"


def _hash_key() -> bytes | None:
    key = os.environ.get("ATTRIBUTION_HASH_KEY")
    return key.encode() if key else None
