"""pick_anomaly(): one event from the band of its days down to the requests that show it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import showing
from attribution.anomalies import naming
from attribution.anomalies.comparing import explain_days, period_of
from attribution.anomalies.finding import ATTRIBUTES, Anomalies
from attribution.errors import LedgerError
from attribution.explanations import Explanation, show_requests
from attribution.explanations.answers import LINES, MONEY, NO_FORMULA
from attribution.ledger import Ledger

_DOLLARS = pd.ArrowDtype(MONEY)


@dataclass(frozen=True)
class PickedAnomaly:
    """One unusual stretch of days, from the series down to the requests.

    Attributes
    ----------
    name
        The event's days, slice and excess.
    said
        What happened, in a sentence or two.
    series
        The slice's days, as `Anomalies.series_of` returns them.
    explanation
        The decomposition against the mean of the same weekdays in the weeks before; None without an event.
    families, drivers
        The two waterfalls of it.
    driver
        The driver that is looked into: the one asked for, else the largest in the direction of the change.
    members
        Who carries that driver: `member`, `cost_before`, `cost_after`, `change`, `effect` [USD], largest first.
    requests
        The requests of the event in which the driver shows most.
    """

    name: str
    said: str
    series: pd.DataFrame
    explanation: Explanation | None
    families: pd.DataFrame
    drivers: pd.DataFrame
    driver: str
    members: pd.DataFrame
    requests: pd.DataFrame

    def _repr_html_(self) -> str:
        parts = [showing.show(frame)._repr_html_() for frame in (self.members, self.requests)]
        return (
            f'<p class="{NO_FORMULA}"><b>{html.escape(self.said)}</b></p>'
            f"<p>Who carries {html.escape(self.driver)}:</p>{parts[0]}<p>Requests that show it:</p>{parts[1]}"
        )


def pick_anomaly(
    ledger: Ledger, found: Anomalies, number: int = 1, *, driver: str | None = None, by: str | None = None, n: int = 5
) -> PickedAnomaly:
    """Look into one event: its days, why it happened, who carries it, and the requests that show it.

    Parameters
    ----------
    ledger
        The ledger in which the event was found.
    found
        What `find_anomalies` returned.
    number
        Which row of its `events`, from 1 on; `found.choices()` lists them.
    driver
        A driver of `explain_change` to look into; the largest in the direction of the change when not given.
    by
        Whom to name as carrying it: a column of the leaves; the workflow, or the model below a workflow, when not
        given.
    n
        How many members and requests.

    Returns
    -------
    PickedAnomaly
        `said`, `series`, `explanation`, `families`, `drivers`, `driver`, `members`, `requests`. Where nothing unusual
        was found, `said` is why, and the frames have no row.

    Raises
    ------
    QuestionError
        If there is no such event or driver.
    LedgerError
        If the data do not reach back a week before the event, so that nothing can be compared.
    """
    if found.events.empty:
        return _nothing(ledger, found, by or _finer(found, 1))
    series, (name, _) = found.series_of(number), found.choices()[number - 1]
    row, where = found.events.iloc[number - 1], found.slices[number - 1]
    explained = found.explanations[number - 1] or explain_days(
        ledger, where, row["start"], row["end"], series["day"].iloc[0]
    )
    if explained is None:
        raise LedgerError.empty(f"days to compare {name} with", f"It begins on {series['day'].iloc[0]}.")
    chosen = driver or _largest(explained)
    requests = show_requests(ledger, period_of(row["start"], row["end"]), where, driver=chosen, n=n)
    return PickedAnomaly(
        name=name,
        said=f"{_usual(row, naming.slice_name(dict(row), found.by))} {explained.headline}",
        series=series,
        explanation=explained,
        families=explained.waterfall("family"),
        drivers=explained.waterfall("driver"),
        driver=chosen,
        members=_members(explained, chosen, by or _finer(found, int(row["level"])), n),
        requests=requests,
    )


def _nothing(ledger: Ledger, found: Anomalies, by: str) -> PickedAnomaly:
    steps = pd.DataFrame(columns=["label", "kind", "start", "end"])
    return PickedAnomaly(
        name="no event",
        said=found.why,
        series=found.series.iloc[:0].drop(columns=[*found.by, "level"]).assign(is_event=False, slice=""),
        explanation=None,
        families=steps,
        drivers=steps,
        driver="nothing",
        members=pd.DataFrame(columns=[by, "cost_before", "cost_after", "change", "effect"]),
        requests=show_requests(ledger, "1970"),
    )


def _usual(row: Any, name: str) -> str:
    """Say what was spent, and what is usual."""
    low, high = showing.dollars(row["expected_low"]), showing.dollars(row["expected_high"])
    return (
        f"{name[:1].upper()}{name[1:]} spent {showing.dollars(row['actual'])} on {naming.days(row)}, where "
        f"{showing.dollars(row['expected'])} is usual and {low} to {high} would raise no alarm."
    )


def _largest(explained: Explanation) -> str:
    """Return the driver with the largest effect in the direction of the change."""
    pairs = zip(explained.drivers["driver"], explained.drivers["effect"], strict=True)
    sign = -1 if explained.change < 0 else 1
    return str(max(pairs, key=lambda pair: sign * pair[1])[0])


def _finer(found: Anomalies, level: int) -> str:
    """Return the column below the event's slice."""
    fixed = found.by[:level]
    return next((name for name in ATTRIBUTES if name not in fixed), "model")


def _members(explained: Explanation, driver: str, by: str, n: int) -> pd.DataFrame:
    """Return who carries one driver, by a column of the leaves."""
    rows = explained.drill_down(by)
    effects = [sum(each, Decimal(0)) for each in zip(*(rows[name].tolist() for name in LINES[driver][1]), strict=True)]
    moved = [place for place, effect in enumerate(effects) if effect]
    order = sorted(moved, key=lambda place: -abs(effects[place]))[:n]
    shown = rows[[by, "cost_before", "cost_after", "change"]].iloc[order].reset_index(drop=True)
    return shown.assign(effect=pd.Series(pa.array([effects[place] for place in order], MONEY), dtype=_DOLLARS))
