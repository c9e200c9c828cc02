"""Pull: a provider's usage and cost pages, page by page, as they are, to be loaded like any file.

A page's name tells what was asked for and when, so that the loader knows which of two pages of one day counts:
`openai-costs.by-line_item+project_id.2026-09-01..2026-10-01.pulled-20261003T060000Z.p0001.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.errors import PullError, QuestionError
from attribution.pulling import asking, pages, providers
from attribution.pulling.asking import Sleep
from attribution.pulling.pages import PulledRun, Window

if TYPE_CHECKING:
    import httpx

#: Days after its end in which a provider still revises a day; a later pull asks for them again.
TRAILING_DAYS = 3

Report = Callable[[str, int], None]


def pull(
    provider: str,
    start: date,
    end: date,
    out: Path,
    *,
    key: str,
    pulled_at: datetime,
    base_url: str | None = None,
    trailing_days: int = TRAILING_DAYS,
    sleep: Sleep | None = None,
    report: Report | None = None,
) -> list[Path]:
    """Write a provider's usage and cost pages of some days, untouched, into a folder.

    Days that an earlier pull has, and that had settled by then, are not asked for again; recent days are, and
    replace what was pulled of them. A pull that was interrupted goes on after the last page it wrote.

    Parameters
    ----------
    provider
        `openai` or `anthropic`.
    start, end
        First day, and the day after the last, in UTC.
    out
        Folder for the pages; made when missing.
    key
        Admin key; it is sent to the provider and kept nowhere.
    pulled_at
        The time of this pull; it stands in the pages' names and decides which page of a day counts.
    base_url
        Another address of the API: https, or this machine.
    trailing_days
        Days after its end in which a day is still revised.
    sleep
        What waits between attempts; for tests.
    report
        Called with an endpoint's name and the days done, after each page.

    Returns
    -------
    list of pathlib.Path
        The pages written, in order.

    Raises
    ------
    PullError
        If the key is refused, or the provider does not answer in the end.
    """
    found = providers.named(provider)
    if end <= start:
        raise QuestionError.bad_argument("to", str(end), f"a day after {start}")
    client = asking.open_client(found, key, base_url or found.base_url)
    written: list[Path] = []
    out.mkdir(parents=True, exist_ok=True)
    pages.sweep(out)
    with client:
        for window in pages.windows(found, start, end, out, trailing_days, pulled_at):
            written += _pull_window(client, window, out, pulled_at, sleep, report)
    return written


def _pull_window(
    client: httpx.Client, window: Window, out: Path, pulled_at: datetime, sleep: Sleep | None, report: Report | None
) -> list[Path]:
    """Write all pages of a window; go on after the last page of an interrupted run, or anew where that is refused."""
    interrupted = pages.interrupted(window, out)
    if interrupted is not None:
        try:
            return _pull_pages(client, window, out, interrupted, sleep, report)
        except asking.TokenRefused:
            for path in interrupted.pages:
                path.unlink()
    try:
        return _pull_pages(client, window, out, pages.fresh(window, pulled_at), sleep, report)
    except asking.TokenRefused as fault:
        raise PullError.failed(asking.shown(client, window), str(fault)) from None


def _pull_pages(
    client: httpx.Client, window: Window, out: Path, run: PulledRun, sleep: Sleep | None, report: Report | None
) -> list[Path]:
    """Write the pages of a run from where it stands to its end, then drop older runs that it covers."""
    token, written = run.next_page, list[Path]()
    while True:
        body = asking.page(client, window, token, sleep)
        told: dict[str, Any] = json.loads(body)
        path = out / pages.name(window, run.pulled_at, len(run.pages) + len(written) + 1)
        pages.write(path, body)
        written.append(path)
        if report is not None:
            report(window.endpoint.name, len(told["data"]))
        if not told.get("has_more"):
            break
        if not told.get("next_page") or told["next_page"] == token:
            raise PullError.failed(asking.shown(client, window), "it says that there are more pages and not which")
        token = told["next_page"]
    pages.drop_older(window, out, run.pulled_at)
    return written
