"""Pages as files: their names tell what was asked for and when, so that what is there decides what is asked next."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from attribution.pulling.providers import Endpoint, Provider


@dataclass(frozen=True)
class Window:
    """Days of one endpoint that are asked for together; the end is exclusive."""

    endpoint: Endpoint
    start: date
    end: date

    @property
    def stem(self) -> str:
        """The part of its pages' names that does not change from pull to pull."""
        return f"{self.endpoint.name}.by-{'+'.join(sorted(self.endpoint.group_by))}.{self.start}..{self.end}"


def windows(
    provider: Provider, start: date, end: date, out: Path, trailing_days: int, pulled_at: datetime
) -> Iterator[Window]:
    """Yield what must be asked for: days without settled pages, in windows; an interrupted window first as it was."""
    for endpoint in provider.endpoints:
        done = settled_days(endpoint, out, trailing_days)
        last = min(end, pulled_at.date() + timedelta(days=1))
        days = [start + timedelta(days=n) for n in range((last - start).days)]
        first: date | None = None
        for day in [*days, None]:
            is_due = day is not None and day not in done
            is_full = first is not None and day is not None and (day - first).days >= endpoint.days_per_window
            if first is not None and (not is_due or is_full):
                yield Window(endpoint, first, day if day is not None else last)
                first = None
            if is_due and first is None:
                first = day


def settled_days(endpoint: Endpoint, out: Path, trailing_days: int) -> set[date]:
    """Return the days that complete runs have, pulled when the days were no longer revised."""
    days: set[date] = set()
    for run in runs(endpoint, out):
        if not run.is_complete:
            continue
        day = run.start
        while day < run.end and run.pulled_at.date() > day + timedelta(days=trailing_days):
            days.add(day)
            day += timedelta(days=1)
    return days


@dataclass(frozen=True)
class PulledRun:
    """The pages of one window that are there."""

    start: date
    end: date
    pulled_at: datetime
    pages: tuple[Path, ...]
    next_page: str | None
    is_complete: bool


_NAME = re.compile(
    r"^(?P<stem>.+\.(?P<start>\d{4}-\d\d-\d\d)\.\.(?P<end>\d{4}-\d\d-\d\d))\.pulled-(?P<at>\d{8}T\d{6}Z)\.p(?P<page>\d+)\.json$"
)


def name(window: Window, pulled_at: datetime, number: int) -> str:
    """Return the name of one page."""
    return f"{window.stem}.pulled-{pulled_at:%Y%m%dT%H%M%SZ}.p{number:04d}.json"


def runs(endpoint: Endpoint, out: Path) -> list[PulledRun]:
    """Return the runs of an endpoint whose pages are there, oldest first; pages after a gap do not count."""
    groups: dict[tuple[str, str], list[tuple[int, Path, re.Match[str]]]] = {}
    prefix = f"{endpoint.name}.by-{'+'.join(sorted(endpoint.group_by))}."
    for path in sorted(out.glob("*.json")):
        found = _NAME.match(path.name)
        if found and path.name.startswith(prefix):
            groups.setdefault((found["at"], found["stem"]), []).append((int(found["page"]), path, found))
    return [_run(sorted(pages, key=lambda page: page[0])) for _, pages in sorted(groups.items())]


def _run(pages: list[tuple[int, Path, re.Match[str]]]) -> PulledRun:
    whole = [path for number, (at, path, _) in enumerate(pages, 1) if at == number]
    told = pages[0][2]
    last: dict[str, Any] = json.loads(whole[-1].read_bytes()) if whole else {"has_more": True}
    return PulledRun(
        date.fromisoformat(told["start"]),
        date.fromisoformat(told["end"]),
        datetime.strptime(told["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
        tuple(whole),
        last.get("next_page"),
        bool(whole) and not last.get("has_more"),
    )


def interrupted(window: Window, out: Path) -> PulledRun | None:
    """Return the run of the same window that stopped between two pages, if there is one."""
    stopped = [run for run in runs(window.endpoint, out) if not run.is_complete and run.pages and run.next_page]
    return next((run for run in reversed(stopped) if (run.start, run.end) == (window.start, window.end)), None)


def fresh(window: Window, pulled_at: datetime) -> PulledRun:
    """Return a run that has no page yet."""
    return PulledRun(window.start, window.end, pulled_at, (), None, False)


def drop_older(window: Window, out: Path, stamp: datetime) -> None:
    """A complete newer run replaces the pages of older runs that it covers."""
    for run in runs(window.endpoint, out):
        if run.pulled_at < stamp and window.start <= run.start and run.end <= window.end:
            for path in run.pages:
                path.unlink()


def write(path: Path, body: bytes) -> None:
    """Write beside the target, then rename: no half page under a final name."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def sweep(out: Path) -> None:
    """Remove what an interrupted pull left half written."""
    for partial in out.glob(".*.partial"):
        partial.unlink()
