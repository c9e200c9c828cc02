"""Periods as people write them: days, ISO weeks, months, quarters, years, hours and ranges, in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from attribution.errors import QuestionError

EXPECTED = (
    "a day (2026-10-05), an ISO week (2026-W41), a month (2026-10), a quarter (2026-Q4), a year (2026), "
    "an hour (2026-10-05T14) or a range of them (2026-10-01..2026-10-07)"
)

_YEAR = re.compile(r"\d{4}", re.ASCII)
_QUARTER = re.compile(r"(\d{4})-Q([1-4])", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2})(?::00)?Z?", re.ASCII)
_SPAN = re.compile(r"(\d{1,5})\s*(h|d|w)", re.ASCII | re.IGNORECASE)

#: Time columns of `cost_event` that every question may group by, in UTC; weeks are ISO weeks.
CALENDAR = {
    "day": "strftime(started_at, '%Y-%m-%d')",
    "week": "strftime(started_at, '%G-W%V')",
    "month": "strftime(started_at, '%Y-%m')",
}


@dataclass(frozen=True, order=True)
class Period:
    """A stretch of time: start inclusive, end exclusive, both naive UTC, and its name."""

    start: datetime
    end: datetime
    label: str

    def __str__(self) -> str:
        return self.label

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    @property
    def days(self) -> float:
        """How long it is, in days; hours are parts of a day."""
        return self.length / timedelta(days=1)

    def values(self, prefix: str = "") -> dict[str, datetime]:
        """Return `{prefix}start` and `{prefix}end`, ready to be bound in a statement."""
        return {f"{prefix}start": self.start, f"{prefix}end": self.end}

    def shifted(self, by: timedelta) -> Period:
        """Return the same stretch earlier or later, named by its days."""
        return between(self.start + by, self.end + by)


def parse(text: str | date | Period, name: str = "period") -> Period:
    """Read a period; `name` is the argument that an error shall name.

    Examples
    --------
    >>> period = parse("2026-W41")
    >>> period.start, period.end
    (datetime.datetime(2026, 10, 5, 0, 0), datetime.datetime(2026, 10, 12, 0, 0))
    """
    if isinstance(text, Period):
        return text
    if isinstance(text, datetime):
        raise QuestionError.bad_argument(name, text, EXPECTED)
    if isinstance(text, date):
        text = text.isoformat()
    if not isinstance(text, str):
        raise QuestionError.bad_argument(name, text, EXPECTED)
    given = text.strip()
    try:
        if ".." in given:
            return _range(given, name)
        return _single(given, name)
    except (ValueError, OverflowError) as error:
        raise QuestionError.bad_argument(name, text, f"{EXPECTED}; {error}") from None


def between(start: datetime, end: datetime) -> Period:
    """Name a stretch of time by its first and last day, or by its hours where it is not whole days."""
    is_whole = start.time() == end.time() == datetime.min.time()
    if not is_whole:
        return Period(start, end, f"{start:%Y-%m-%dT%H:%M}..{end:%Y-%m-%dT%H:%M}")
    last = end - timedelta(days=1)
    label = f"{start:%Y-%m-%d}" if last == start else f"{start:%Y-%m-%d}..{last:%Y-%m-%d}"
    return Period(start, end, label)


def same_weekdays_before(period: Period) -> Period:
    """Return the nearest earlier stretch of the same weekdays: whole weeks back, so that it does not overlap.

    Examples
    --------
    >>> same_weekdays_before(parse("2026-10-07")).label
    '2026-09-30'
    """
    weeks = -(-period.length // timedelta(days=7))
    return period.shifted(-timedelta(days=7 * weeks))


def preceding(period: Period) -> Period:
    """Return the period of the same kind just before: the month before a month, else the same length.

    Examples
    --------
    >>> preceding(parse("2026-03")).label
    '2026-02'
    """
    last = period.start - timedelta(days=1)
    if _YEAR.fullmatch(period.label):
        return parse(f"{last:%Y}")
    if _QUARTER.fullmatch(period.label):
        return parse(f"{last:%Y}-Q{(last.month + 2) // 3}")
    if _MONTH.fullmatch(period.label):
        return parse(f"{last:%Y-%m}")
    if _WEEK.fullmatch(period.label):
        return parse("{}-W{:02}".format(*last.isocalendar()[:2]))
    return period.shifted(-period.length)


def following(period: Period) -> Period:
    """Return the period of the same kind just after: the month after a month, else the same length.

    Examples
    --------
    >>> following(parse("2026-12")).label
    '2027-01'
    """
    if _YEAR.fullmatch(period.label):
        return parse(f"{period.end:%Y}")
    if _QUARTER.fullmatch(period.label):
        return parse(f"{period.end:%Y}-Q{(period.end.month + 2) // 3}")
    if _MONTH.fullmatch(period.label):
        return parse(f"{period.end:%Y-%m}")
    if _WEEK.fullmatch(period.label):
        return parse("{}-W{:02}".format(*period.end.isocalendar()[:2]))
    return period.shifted(period.length)


def months(period: Period) -> list[str] | None:
    """Return the months that make a period, such as `2026-10`, or nothing where it is not whole months.

    Examples
    --------
    >>> months(parse("2026-Q4"))
    ['2026-10', '2026-11', '2026-12']
    """
    if any(moment != moment.replace(day=1, hour=0, minute=0) for moment in (period.start, period.end)):
        return None
    found, month = [], period.start
    while month < period.end:
        found.append(f"{month:%Y-%m}")
        month = _dates(month.date(), _month_after(month.year, month.month), "").end
    return found


def span(text: str | timedelta, name: str = "last") -> timedelta:
    """Read a length of time such as `24h`, `7d` or `2w`.

    Examples
    --------
    >>> span("24h")
    datetime.timedelta(days=1)
    """
    if isinstance(text, timedelta) and text > timedelta(0):
        return text
    found = _SPAN.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found or int(found[1]) == 0:
        raise QuestionError.bad_argument(name, text, "a length of time such as 24h, 7d or 2w")
    return int(found[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[found[2].lower()]


def _range(given: str, name: str) -> Period:
    first, _, last = given.partition("..")
    start, end = _single(first.strip(), name).start, _single(last.strip(), name).end
    if end <= start:
        raise QuestionError.bad_argument(name, given, "a range whose first day is not after its last")
    return Period(start, end, f"{first.strip()}..{last.strip()}")


def _single(given: str, name: str) -> Period:
    if found := _HOUR.fullmatch(given):
        start = datetime.combine(date.fromisoformat(found[1]), datetime.min.time()) + timedelta(hours=_hour(found[2]))
        return Period(start, start + timedelta(hours=1), f"{start:%Y-%m-%dT%H}")
    if _DAY.fullmatch(given):
        return _dates(date.fromisoformat(given), date.fromisoformat(given) + timedelta(days=1), given)
    if found := _WEEK.fullmatch(given):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return _dates(monday, monday + timedelta(days=7), given)
    if found := _QUARTER.fullmatch(given):
        year, quarter = int(found[1]), int(found[2])
        return _dates(date(year, 3 * quarter - 2, 1), _month_after(year, 3 * quarter), given)
    if found := _MONTH.fullmatch(given):
        return _dates(date(int(found[1]), int(found[2]), 1), _month_after(int(found[1]), int(found[2])), given)
    if _YEAR.fullmatch(given):
        return _dates(date(int(given), 1, 1), date(int(given) + 1, 1, 1), given)
    raise QuestionError.bad_argument(name, given, EXPECTED)


def _hour(text: str) -> int:
    if int(text) > 23:
        raise ValueError(f"{text} is not an hour from 00 to 23")
    return int(text)


def _month_after(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1)


def _dates(start: date, end: date, label: str) -> Period:
    midnight = datetime.min.time()
    return Period(datetime.combine(start, midnight), datetime.combine(end, midnight), label)
