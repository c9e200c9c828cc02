"""what_changed(): the first question of an incident, answered like for like."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from attribution import periods
from attribution.errors import LedgerError, QuestionError
from attribution.explanations import Explanation, explain_windows
from attribution.explanations.answers import NO_FORMULA
from attribution.incidents.arrivals import arrivals, complete_until
from attribution.incidents.hours import carriers_of, hourly_costs, hourly_series, running_cost
from attribution.incidents.markers import beside, read_markers, with_markers
from attribution.ledger import Ledger
from attribution.periods import Period, between

#: Earlier weeks whose same hours are the comparison.
WEEKS = 4


@dataclass(frozen=True)
class Incident:
    """What changed in the last hours.

    Attributes
    ----------
    status
        `complete`, or `incomplete` when a source has not arrived for all hours; then only the hours that have
        arrived everywhere are compared.
    headline
        The answer in a sentence or two.
    window, compared_with
        Labels of the hours asked about, and of the hours they are compared with.
    sources
        `source`, `last_at`, `silent_hours`, `status`, `arrived_until`.
    explanation
        The decomposition over the complete hours; None where none are complete.
    carriers
        For each kind of carrier its member with most of the change: `carrier`, `member`, `cost_before`,
        `cost_after`, `change` [USD], `share` of the change [0–1], largest share first.
    running
        What the change still costs [USD per hour], over the last complete hours.
    series
        `hour`, `cost`, `usual` [USD], and `marker`: what people did in that hour.
    markers
        `at`, `kind`, `text` of what people did around it.
    """

    status: str
    headline: str
    window: str
    compared_with: str
    sources: pd.DataFrame
    explanation: Explanation | None
    carriers: pd.DataFrame
    running: Decimal
    series: pd.DataFrame
    markers: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return the answer ready for JSON; money as text, so that it stays exact."""
        single = {name: getattr(self, name) for name in ("status", "headline", "window", "compared_with")}
        frames = {name: getattr(self, name) for name in ("sources", "carriers", "series", "markers")}
        return {
            **single,
            "running": f"{self.running:f}",
            "explanation": self.explanation.to_dict() if self.explanation else None,
            **{name: [_plain(row) for row in frame.to_dict("records")] for name, frame in frames.items()},
        }

    def _repr_html_(self) -> str:
        cells = [(row["carrier"], row["member"], f"{row['change']:,.2f}") for row in self.carriers.to_dict("records")]
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in cells
        )
        marks = "".join(
            f"<li>{row['at']:%Y-%m-%d %H:%M} {html.escape(row['kind'])}: {html.escape(row['text'])}</li>"
            for row in self.markers.to_dict("records")
        )
        inner = self.explanation._repr_html_() if self.explanation else ""
        head = "<tr><th>carrier</th><th>member</th><th>change [USD]</th></tr>"
        said = f"<p><b>{html.escape(self.headline)}</b></p><table>{head}{rows}</table><ul>{marks}</ul>"
        return f'<div class="{NO_FORMULA}">{said}{inner}</div>'


def what_changed(
    ledger: Ledger,
    last: str | timedelta = "24h",
    events: str | os.PathLike[str] | pd.DataFrame | None = None,
    *,
    where: Mapping[str, Any] | None = None,
    as_of: datetime | None = None,
) -> Incident:
    """Say what changed in the last hours, like for like, and first whether everything has arrived.

    The hours are compared with the mean of the same hours of the same weekdays up to four weeks before; where the
    data reach back less than a week, with the hours just before. A source that is silent at the end, in hours in
    which it usually has calls, makes the answer `incomplete`, and only the hours before are compared.

    Parameters
    ----------
    ledger
        A built ledger.
    last
        How far back: `24h`, `7d`, `2w`.
    events
        Markers: a CSV file or frame with columns at, kind and text (releases, price changes, prompt edits).
    where
        Column of `cost_event` → value, to look at one slice.
    as_of
        The end, UTC; the end of the last complete hour in the data when not given.

    Returns
    -------
    Incident
        `status`, `headline`, `sources`, `explanation`, `carriers`, `running`, `series`, `markers`.

    Raises
    ------
    LedgerError
        If the data do not reach back far enough to compare.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.what_changed(ledger)
    Traceback (most recent call last):
    attribution.errors.LedgerError: this ledger has no dated calls. Load exports first.
    """
    length = periods.span(last)
    first, end = _reach(ledger, as_of)
    window = between(end - length, end)
    before = _comparison(window, first)
    sources = arrivals(ledger, window, before)
    until = complete_until(sources, window)
    near = beside(read_markers(events), window, before[-1])
    compared = between(window.start, until) if until > window.start else None
    windows = [between(one.start, one.start + (until - window.start)) for one in before] if compared else []
    explained = explain_windows(ledger, windows, compared, where) if compared else None
    costs = hourly_costs(ledger, window, before, where)
    carriers = carriers_of(costs, compared or between(window.start, window.start), windows)
    running = running_cost(costs, compared, windows, carriers) if compared else Decimal(0)
    return Incident(
        status="complete" if until == window.end else "incomplete",
        headline=_headline(sources, window, compared, explained, carriers, running),
        window=window.label,
        compared_with=before[0].label if len(before) == 1 else f"the same hours of {len(before)} weeks before",
        sources=sources,
        explanation=explained,
        carriers=carriers,
        running=running,
        series=with_markers(hourly_series(costs, window, before), near),
        markers=near,
    )


def _reach(ledger: Ledger, as_of: datetime | None) -> tuple[datetime, datetime]:
    """Return the first hour of the data and the end of its last complete hour."""
    first, latest = ledger.rows("select min(started_at), max(started_at) from event")[0]
    if first is None:
        raise LedgerError.empty("dated calls", "Load exports first.")
    if as_of is not None and as_of.tzinfo is not None:
        raise QuestionError.bad_argument("as_of", as_of, "a UTC time without an offset")
    moment = as_of or latest + timedelta(minutes=5)
    return first.replace(minute=0, second=0, microsecond=0), moment.replace(minute=0, second=0, microsecond=0)


def _comparison(window: Period, first: datetime) -> list[Period]:
    """Return the same hours of up to four earlier weeks, oldest first; the hours just before where there is no week."""
    apart = timedelta(weeks=-(-window.length // timedelta(weeks=1)))
    weeks = [window.shifted(-back * apart) for back in range(WEEKS, 0, -1)]
    weeks = [one for one in weeks if one.start >= first]
    just_before = window.shifted(-window.length)
    if weeks:
        return weeks
    if just_before.start >= first:
        return [just_before]
    have = f"It begins at {first:%Y-%m-%d %H:%M}, {window.label} needs {just_before.start:%Y-%m-%d %H:%M}."
    raise LedgerError.empty("hours to compare with", have)


def _headline(
    sources: pd.DataFrame,
    window: Period,
    compared: Period | None,
    explained: Explanation | None,
    carriers: pd.DataFrame,
    running: Decimal,
) -> str:
    """Say first what has not arrived, then what changed, what carries it, and what it still costs."""
    said = []
    late = sources[sources["status"] != "arrived"]
    if len(late):
        names = ", ".join(f"{row['source']} after {row['last_at']:%Y-%m-%d %H:%M}" for row in late.to_dict("records"))
        rest = f"compared up to {compared.end:%Y-%m-%d %H:%M} only" if compared else "nothing can be compared"
        said.append(f"Incomplete: nothing from {names} UTC; {rest}.")
    if explained is None:
        return " ".join(said) or f"There is nothing to compare in {window.label}."
    said.append(explained.headline)
    if len(carriers) and explained.change:
        top = carriers.iloc[0]
        verb = "rose" if top["change"] > 0 else "fell"
        said.append(f"{top['carrier']} {top['member']} alone {verb} by ${abs(top['change']):,.2f}.")
    if running > 0:
        said.append(f"Still running at ${running:,.2f} an hour.")
    return " ".join(said)


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): f"{value:f}"
        if isinstance(value, Decimal)
        else f"{value:%Y-%m-%dT%H:%M:%SZ}"
        if isinstance(value, datetime)
        else None
        if value is pd.NA
        else value
        for name, value in row.items()
    }
