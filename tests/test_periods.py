from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution import periods
from attribution.errors import QuestionError


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-10-05", datetime(2026, 10, 5), datetime(2026, 10, 6)),
        ("2026-W41", datetime(2026, 10, 5), datetime(2026, 10, 12)),
        ("2026-W53", datetime(2026, 12, 28), datetime(2027, 1, 4)),
        ("2026-10", datetime(2026, 10, 1), datetime(2026, 11, 1)),
        ("2026-12", datetime(2026, 12, 1), datetime(2027, 1, 1)),
        ("2026-Q4", datetime(2026, 10, 1), datetime(2027, 1, 1)),
        ("2026", datetime(2026, 1, 1), datetime(2027, 1, 1)),
        ("2026-10-05T14", datetime(2026, 10, 5, 14), datetime(2026, 10, 5, 15)),
        ("2026-10-01..2026-10-07", datetime(2026, 10, 1), datetime(2026, 10, 8)),
        ("2026-W41..2026-10-20", datetime(2026, 10, 5), datetime(2026, 10, 21)),
    ],
)
def test_a_period_is_read_as_people_write_it(text: str, start: datetime, end: datetime) -> None:
    period = periods.parse(text)

    assert (period.start, period.end, period.label) == (start, end, text)


@pytest.mark.parametrize(
    "text",
    ["", "October", "2026-13", "2026-W54", "2025-W53", "2026-02-30", "2026-10-07..2026-10-01", "9999", "10/11/2026", 7],
)
def test_what_is_not_a_period_is_refused_by_name(text: object) -> None:
    with pytest.raises(QuestionError, match="`before` was"):
        periods.parse(text, "before")  # type: ignore[arg-type]


def test_a_date_is_a_day_and_a_period_stays_itself() -> None:
    assert periods.parse(periods.parse(date(2026, 10, 5))).label == "2026-10-05"


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("2026-03", "2026-02"),
        ("2026-W01", "2025-W52"),
        ("2026-Q1", "2025-Q4"),
        ("2026", "2025"),
        ("2026-03-01", "2026-02-28"),
    ],
)
def test_the_preceding_period_is_of_the_same_kind(text: str, before: str) -> None:
    assert periods.preceding(periods.parse(text)).label == before


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 40))
def test_the_same_weekdays_before_do_not_overlap_and_keep_their_weekday(first: date, days: int) -> None:
    after = periods.parse(f"{first}..{first + timedelta(days=days - 1)}")
    before = periods.same_weekdays_before(after)

    assert before.end <= after.start
    assert before.length == after.length
    assert before.start.weekday() == after.start.weekday()
    assert after.start - before.start < after.length + timedelta(days=7)


def test_a_length_of_time_is_hours_days_or_weeks() -> None:
    assert [periods.span(text) for text in ("24h", "7d", "2w")] == [timedelta(1), timedelta(7), timedelta(14)]
    with pytest.raises(QuestionError, match="`last` was '24 minutes'"):
        periods.span("24 minutes")
