"""find_anomalies(): score the hierarchy, keep the event nearest its cause, and explain it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from attribution import schema, showing
from attribution.anomalies import naming
from attribution.anomalies.comparing import explain_days
from attribution.anomalies.events import Event, find_events
from attribution.anomalies.localization import locate
from attribution.anomalies.scoring import Scores, score_days
from attribution.anomalies.series import (
    POOLED,
    Series,
    check_history,
    level_series,
    whole_median,
)
from attribution.days import complete_days, daily_costs
from attribution.errors import LedgerError, QuestionError
from attribution.explanations import Explanation
from attribution.explanations.answers import NO_FORMULA
from attribution.ledger import Ledger, as_frame
from attribution.periods import Period, parse

LEVELS = ("owner_team", "workflow_id", "feature", "model")

#: A child's event with this share of its parent's excess is the cause; below the other it is only listed.
REPLACES, LISTED = 0.8, 0.2

#: An alarm is worth this share of the whole's median day, unless said otherwise.
MATERIAL = Decimal("0.05")

COST = "coalesce(contracted_cost, list_cost)"
_MONEY = pa.decimal128(38, 12)
_CENT_OF_CENT = Decimal("0.0001")

#: What a cause may be described by, among the columns of an explanation's leaves.
ATTRIBUTES = ("owner_team", "workflow_id", "feature", "model", "service_tier", "role")

_JUDGED = ("expected", "low", "high", "score", "is_alert")
#: Short cells are not broken to make room for the sentences.
_WHOLE = ' style="white-space:nowrap"'


@dataclass(frozen=True)
class Anomalies:
    """Unusual spend.

    Attributes
    ----------
    events
        One row per event, alerts by excess first: the slice, `level`, `start`, `end`, `kind` (day or sustained),
        `direction`, `actual`, `expected`, `expected_low`, `expected_high`, `excess` [USD], `score`, `is_alert`,
        `cause` (the slice that moved), `why` (its drivers in words).
    series
        One row per scored slice and day: `cost`, `expected`, `low`, `high` [USD], `score`, `is_alert`.
    explanations
        The decomposition of the event in the same row of `events`; None where it was not asked for.
    slices
        The `where` by which other questions are asked about the slice in the same row of `events`.
    """

    by: tuple[str, ...]
    events: pd.DataFrame
    series: pd.DataFrame
    explanations: tuple[Explanation | None, ...]
    slices: tuple[Mapping[str, Any], ...] = ()
    #: Why there is no event, where there is none.
    why: str = "No unusual day and no sustained rise in the complete days of this data."

    def choices(self) -> list[tuple[str, int]]:
        """Return what an event is called and its number, from 1 on, in the order of `events`."""
        return [(naming.called(row, self.by), number) for number, row in enumerate(self._rows(), 1)]

    def listed(self) -> pd.DataFrame:
        """Return the events as people read them.

        Returns
        -------
        pandas.DataFrame
            `event` (its number), `slice`, `days`, `actual`, `expected`, `alarm_above`, `excess` [USD], `is_alert`, in
            the order of `events`.
        """
        amounts = self.events[["actual", "expected", "expected_high", "excess", "is_alert"]]
        names = [(naming.slice_name(row, self.by), naming.days(row)) for row in self._rows()]
        words = {"slice": [name for name, _ in names], "days": [days for _, days in names]}
        numbers = {"event": pa.array(range(1, len(names) + 1), pa.int64())}
        told = numbers | {name: pa.array(texts, pa.string()) for name, texts in words.items()}
        return pd.concat([_frame(pa.table(told)), amounts.rename(columns={"expected_high": "alarm_above"})], axis=1)

    def series_of(self, number: int = 1) -> pd.DataFrame:
        """Return the daily series of one event's slice.

        Parameters
        ----------
        number
            Which row of `events`, from 1 on.

        Returns
        -------
        pandas.DataFrame
            `day`, `cost`, `expected`, `low`, `high` [USD], `score`, `is_alert`, `is_event` (a day of this event),
            `slice`.
        """
        row = self._row(number)
        levels = range(len(self.by))
        mine = self.series["level"] == row["level"]
        for name, place in zip(self.by, levels, strict=True):
            value = row[name] if place < row["level"] and isinstance(row[name], str) else None
            mine &= self.series[name].isna() if value is None else (self.series[name] == value).fillna(False)
        days = self.series[mine].drop(columns=[*self.by, "level"]).reset_index(drop=True)
        is_event = [row["start"] <= day <= row["end"] for day in days["day"]]
        answer: pd.DataFrame = days.assign(
            is_event=pd.array(is_event, dtype="bool[pyarrow]"),
            slice=pd.array([naming.slice_name(row, self.by)] * len(days), dtype="string[pyarrow]"),
        )
        return answer

    def _rows(self) -> list[dict[str, Any]]:
        return [{str(name): value for name, value in row.items()} for row in self.events.to_dict("records")]

    def _row(self, number: int) -> dict[str, Any]:
        """Return an event by its number, or say how many there are."""
        if type(number) is not int or not 1 <= number <= len(self.events):
            have = f"a number from 1 to {len(self.events)}" if len(self.events) else "an event: there is none"
            raise QuestionError.bad_argument("number", number, have)
        return self._rows()[number - 1]

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(f"<td{_WHOLE * (place < 3)}>{html.escape(cell)}</td>" for place, cell in enumerate(row))
            + "</tr>"
            for row in self._cells()
        )
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in ("slice", "days", "excess", "cause", "why"))
        if not rows:
            return f"<p>{html.escape(self.why)}</p>"
        return f'<table class="{NO_FORMULA}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'

    def _cells(self) -> list[tuple[str, ...]]:
        cells = []
        for row in self._rows():
            texts = [row[name] if isinstance(row[name], str) else "" for name in ("cause", "why")]
            cells.append((naming.slice_name(row, self.by), naming.days(row), showing.dollars(row["excess"]), *texts))
        return cells


def find_anomalies(
    ledger: Ledger,
    *by: str,
    period: str | None = None,
    floor: Decimal | str | None = None,
    explain: int = 10,
) -> Anomalies:
    """Find unusual days and sustained rises of spend, at the level of the slice that caused them.

    Each complete UTC day is scored from the days before it alone, on two scales with weekday factors. A child's
    event that holds 80 % of its parent's excess replaces it; one with less than 20 % is listed, not alerted.
    Slices whose median day is below the floor, lately and in every week, are pooled beside their siblings. Unpriced
    calls cost nothing here and are counted by `explain_change`.

    Parameters
    ----------
    ledger
        A built ledger with at least 22 complete days.
    *by
        The hierarchy, coarsest first; team, workflow, feature, model when not given.
    period
        Only events that touch this day, ISO week, month or range; all history still serves as comparison.
    floor
        The least daily amount and excess worth an alarm [USD]; 5 % of the median day when not given.
    explain
        Decompose this many events, largest excess first.

    Returns
    -------
    Anomalies
        `events`, `series`, `explanations`.

    Raises
    ------
    LedgerError
        If there are fewer than 22 complete days.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.find_anomalies(ledger, "owner_team")
    Traceback (most recent call last):
    attribution.errors.LedgerError: this ledger has no dated calls. Load exports first.
    """
    levels = tuple(schema.require(by)) or LEVELS
    calendar = complete_days(ledger)
    check_history(calendar)
    costs = daily_costs(ledger, levels, COST)
    least = whole_median(costs, calendar) * MATERIAL if floor is None else Decimal(floor)
    scored = [_score_level(costs, levels[: depth + 1], calendar, least) for depth in range(len(levels))]
    chosen = _nearest_the_cause([(series, events) for series, _, events in scored])
    wanted = parse(period) if period else None
    days = [day for day, _ in calendar]
    chosen = [item for item in chosen if wanted is None or _touches(item[1], days, wanted)]
    chosen.sort(key=lambda item: (not item[2], -abs(item[1].excess), item[1].first, item[0], str(item[1].member)))
    slices = tuple(_slice(levels, scored[depth][0], event) for depth, event, _ in chosen)
    why = [
        explain_days(ledger, slices[place], days[event.first], days[event.last], days[0]) if place < explain else None
        for place, (_, event, _) in enumerate(chosen)
    ]
    events = _event_frame(levels, [(scored[depth][0], depth, event, alert) for depth, event, alert in chosen], why)
    return Anomalies(levels, events, _series_frame(levels, scored), tuple(why), slices)


def look_for_anomalies(ledger: Ledger, *by: str, period: str | None = None) -> Anomalies:
    """Find unusual days as `find_anomalies` does; a ledger too young for it has no event, and `why` says so.

    For pages that are drawn on any data; a gate asks `find_anomalies`, which refuses to judge without history.
    """
    try:
        return find_anomalies(ledger, *by, period=period)
    except LedgerError as error:
        levels = tuple(schema.require(by)) or LEVELS
        series = pd.DataFrame(columns=[*levels, "level", "day", "cost", *_JUDGED])
        return Anomalies(levels, _event_frame(levels, [], []), series, (), why=str(error))


def _score_level(
    costs: pa.Table, by: Sequence[str], calendar: Sequence[tuple[date, bool]], floor: Decimal
) -> tuple[Series, Scores, list[Event]]:
    series = level_series(costs, by, calendar, floor)
    weekday = np.array([day.weekday() for day in series.days], dtype=np.int64)
    scores = score_days(series.numbers, weekday, float(floor))
    return series, scores, find_events(series, scores)


def _nearest_the_cause(levels: Sequence[tuple[Series, Sequence[Event]]]) -> list[tuple[int, Event, bool]]:
    """Walk down the hierarchy: a child with most of the excess takes its parent's place.

    A child that spends all that its parent spends says nothing more, and is not taken.
    """
    kept: list[tuple[int, Event, bool]] = []
    for depth, (series, events) in enumerate(levels):
        for event in events:
            parents = [
                (place, level, parent)
                for place, (level, parent, _) in enumerate(kept)
                if level < depth and event.member[: level + 1] == parent.member and event.overlaps(parent)
            ]
            if any(levels[level][0].amounts[above.row] == series.amounts[event.row] for _, level, above in parents):
                continue
            shares = [(event.excess / parent.excess if parent.excess else 0.0, place) for place, _, parent in parents]
            replaced = {place for share, place in shares if share >= REPLACES}
            is_alert = not shares or max(shares)[0] >= LISTED
            kept = [item for place, item in enumerate(kept) if place not in replaced]
            kept.append((depth, event, is_alert))
    return kept


def _touches(event: Event, days: Sequence[date], wanted: Period) -> bool:
    return days[event.first] < wanted.end.date() and days[event.last] >= wanted.start.date()


def _slice(levels: Sequence[str], series: Series, event: Event) -> dict[str, Any]:
    """Return the `where` of an event's slice; pooled members are all named."""
    where: dict[str, Any] = dict(zip(levels, event.member, strict=False))
    if event.member[-1] == POOLED:
        where[levels[len(event.member) - 1]] = series.pooled[event.member]
    return where


def describe_cause(explained: Explanation | None, fixed: Sequence[str] = ()) -> str | None:
    """Name the slice whose leaves moved by one ratio, beyond what is fixed already."""
    if explained is None or explained.leaves.empty:
        return None
    names = [name for name in ATTRIBUTES if name not in fixed]
    leaves = explained.leaves.groupby(names, dropna=False, sort=True)[["cost_before", "cost_after"]].sum().reset_index()
    values = {name: [value if isinstance(value, str) else None for value in leaves[name]] for name in names}
    before, after = (leaves[name].astype(float).to_numpy() for name in ("cost_before", "cost_after"))
    found = [one for one in locate(values, before, after) if (one.actual > one.expected) == (explained.change > 0)]
    if not found:
        return None
    return "; ".join(" and ".join(f"{name} {value}" for name, value in one.values.items()) for one in found[:3])


def _event_frame(
    levels: Sequence[str], chosen: Sequence[tuple[Series, int, Event, bool]], why: Sequence[Explanation | None]
) -> pd.DataFrame:
    rows: dict[str, list[Any]] = {name: [] for name in levels}
    kinds: dict[str, Any] = {"level": pa.int64(), "start": pa.date32(), "end": pa.date32(), "kind": pa.string()}
    kinds |= {"direction": pa.string()}
    kinds |= dict.fromkeys(("actual", "expected", "expected_low", "expected_high", "excess"), _MONEY)
    kinds |= {"score": pa.float64(), "is_alert": pa.bool_(), "cause": pa.string(), "why": pa.string()}
    rows |= {name: [] for name in kinds}
    for (series, depth, event, is_alert), explained in zip(chosen, why, strict=True):
        member = dict(zip(levels, event.member, strict=False))
        actual = sum(series.amounts[event.row][event.first : event.last + 1], Decimal(0))
        expected = _amount(event.expected)
        row = {name: member.get(name) for name in levels} | {
            "level": depth + 1,
            "start": series.days[event.first],
            "end": series.days[event.last],
            "kind": event.kind,
            "direction": "rise" if event.direction > 0 else "drop",
            "actual": actual,
            "expected": expected,
            "expected_low": _amount(event.low),
            "expected_high": _amount(event.high),
            "excess": actual - expected,
            "score": round(event.score, 3),
            "is_alert": is_alert,
            "cause": describe_cause(explained, levels[: depth + 1]),
            "why": explained.headline if explained else None,
        }
        for name, value in row.items():
            rows[name].append(value)
    arrays = {name: pa.array(values, kinds.get(name, pa.string())) for name, values in rows.items()}
    return _frame(pa.table(arrays))


def _series_frame(levels: Sequence[str], scored: Sequence[tuple[Series, Scores, list[Event]]]) -> pd.DataFrame:
    """Lay the scored series out for a chart: one row per slice and day from the first scored day on."""
    parts = []
    for depth, (series, scores, _) in enumerate(scored):
        width = len(series.days)
        for row, member in enumerate(series.members):
            columns: dict[str, Any] = {
                name: pa.array([value if value is None else str(value)] * width, pa.string())
                for name, value in zip(levels, (*member, *[None] * (len(levels) - depth - 1)), strict=True)
            }
            columns |= {"level": pa.array([depth + 1] * width), "day": pa.array(series.days, pa.date32())}
            columns["cost"] = pa.array(series.amounts[row], _MONEY)
            for name in ("expected", "low", "high"):
                columns[name] = pa.array(
                    [None if np.isnan(number) else _amount(number) for number in getattr(scores, name)[row]], _MONEY
                )
            columns["score"] = pa.array(np.minimum(scores.score[row], 999.0), from_pandas=True)
            columns["is_alert"] = pa.array(scores.is_alert[row] | scores.is_sustained[row])
            parts.append(pa.table(columns))
    return _frame(pa.concat_tables(parts))


def _amount(number: float) -> Decimal:
    return Decimal(float(number)).quantize(_CENT_OF_CENT)


def _frame(table: pa.Table) -> pd.DataFrame:
    return as_frame(table)
