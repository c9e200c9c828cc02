"""Pictures by day: a calendar of gaps to the bill, and spend beside its expected range."""

from __future__ import annotations

from datetime import date
from math import fsum
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import (
    BLUE,
    GREY,
    GROUND,
    INK,
    LOST,
    MAX_PERIODS,
    ORANGE,
    QUIET,
    data,
    dollar_axis,
    finish,
    money,
    nothing,
    plain,
)

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: How much higher than all spend the expected range is drawn: beyond, it would flatten what was spent.
_HEADROOM = 2.5


def gap_calendar(days: pd.DataFrame, title: str = "On which days does the bill differ?") -> alt.LayerChart:
    """Show the gap between bill and ledger day by day, as a calendar: weeks across, weekdays down.

    `days` holds one row per `day` with its `gap` [USD], billed less ours, and may hold `billed` and `ours`. Orange:
    the bill is higher; blue: the ledger is; grey: equal to the cent. A day that is not there has no cell.
    """
    import altair as alt

    rows = [_day(row) for row in sorted(plain(days), key=lambda row: str(row["day"]))[-MAX_PERIODS:]]
    if not rows:
        return nothing(title, "No day has both a bill and a ledger to compare.")
    weeks = sorted({row["week"] for row in rows})
    largest = max(abs(row["gap"]) for row in rows) or 1
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "week:O",
            title="week (ISO, UTC)",
            scale=alt.Scale(domain=weeks),
            axis=alt.Axis(labelAngle=-45, labelOverlap=True),
        ),
        y=alt.Y("weekday:O", title=None, sort=list(_WEEKDAYS), scale=alt.Scale(domain=list(_WEEKDAYS))),
        tooltip=[
            alt.Tooltip("day:N", title="day"),
            alt.Tooltip("shown:N", title="billed − ledger"),
            alt.Tooltip("billed_shown:N", title="billed"),
            alt.Tooltip("ours_shown:N", title="ledger"),
        ],
    )
    scale = alt.Scale(domain=[-largest, 0, largest], range=[BLUE, "#ECEFF2", ORANGE], interpolate="rgb")
    legend = alt.Legend(orient="top", format="$~g", gradientLength=220, titleOrient="left")
    color = alt.Color("gap:Q", title="billed − ledger [USD]", scale=scale, legend=legend)
    cell = base.mark_rect(stroke=GROUND, strokeWidth=2).encode(color=color)
    text = base.mark_text(fontSize=9).encode(
        text="short:N",
        color=alt.condition(f"abs(datum.gap) > {0.75 * largest!r} && datum.gap < 0", alt.value(GROUND), alt.value(INK)),
    )
    total = money(fsum(row["gap"] for row in rows))
    differ = sum(row["short"] != "" for row in rows)
    return finish(
        (cell + text).properties(width=alt.Step(44), height=alt.Step(26)),
        title,
        f"{total} in all; {differ:,} of {showing.count(len(rows), 'day')} differ by a cent or more",
    )


def _day(row: dict[str, Any]) -> dict[str, Any]:
    day = date.fromisoformat(str(row["day"])[:10])
    year, week, weekday = day.isocalendar()
    gap = row["gap"] or 0.0
    return {
        "day": day.isoformat(),
        "week": f"{year}-W{week:02d}",
        "weekday": _WEEKDAYS[weekday - 1],
        "gap": gap,
        "short": f"{gap:+.2f}" if abs(gap) >= 0.005 else "",
        "shown": money(gap),
        "billed_shown": money(row["billed"]) if row.get("billed") is not None else "not given",
        "ours_shown": money(row["ours"]) if row.get("ours") is not None else "not given",
    }


def spend_band(days: pd.DataFrame, title: str | None = None) -> alt.LayerChart:
    """Show spend by day beside the range that was expected, with the flagged days; one slice of the anomalies.

    `days` holds `day`, `cost`, `expected`, `low`, `high` [USD] and `is_alert`; `is_event` marks the days of the event
    in question, `slice` says what it is about. Where nothing was expected yet there is no band.
    """
    import altair as alt

    rows = [_spent(row) for row in sorted(plain(days), key=lambda row: str(row["day"]))[-MAX_PERIODS:]]
    if not rows:
        return nothing(title or "Spend beside what was expected", "No day of this slice has a call.")
    spent = max(max(row["cost"], row["expected"] or 0) for row in rows)
    highest = min(max(row["high"] or 0 for row in rows), _HEADROOM * spent)
    is_cut = any((row["high"] or 0) > highest for row in rows)
    highest = max(highest, spent)
    what = rows[0]["slice"]
    base = alt.Chart(data(rows)).encode(
        # Drawn in UTC, as days are: in the reader's own zone a clock change would move them.
        x=alt.X(
            "day:T",
            title="day (UTC)",
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(format="%-d %b", labelOverlap=True),
        ),
        tooltip=[
            alt.Tooltip("label:N", title="day"),
            alt.Tooltip("shown:N", title="spent"),
            alt.Tooltip("expected_shown:N", title="expected"),
            alt.Tooltip("range:N", title="expected range"),
            alt.Tooltip("flag:N", title="judged"),
        ],
    )
    axis = dollar_axis("list cost by day [USD]", highest, 1.08)
    known = "isValid(datum.low) && isValid(datum.high)"
    area = (
        base.transform_filter(known)
        .mark_area(color=GREY, opacity=0.22, clip=True)
        .encode(y=alt.Y("low:Q", **axis), y2="high:Q")
    )
    middle = base.transform_filter("isValid(datum.expected)").mark_line(color=QUIET, strokeDash=[3, 3], strokeWidth=1.2)
    line = base.mark_line(color=BLUE, strokeWidth=2).encode(y=alt.Y("cost:Q", **axis))
    flags = alt.Scale(domain=["flagged", "this event"], range=[ORANGE, LOST])
    color = alt.Color("flag:N", title=None, scale=flags, legend=alt.Legend(orient="top"))
    shape = alt.Shape(
        "flag:N", scale=alt.Scale(domain=["flagged", "this event"], range=["circle", "diamond"]), legend=None
    )
    points = base.transform_filter("datum.flag != 'as expected'").mark_point(filled=True, opacity=1, size=90)
    flagged = sum(row["flag"] != "as expected" for row in rows)
    return finish(
        alt.layer(
            area,
            middle.encode(y=alt.Y("expected:Q", **axis)),
            line,
            points.encode(y=alt.Y("cost:Q", **axis), color=color, shape=shape),
        ).properties(width=620, height=230),
        title or (f"Spend of {what}" if what else "Spend beside what was expected"),
        f"grey: the expected range, dashed its middle; {showing.count(flagged, 'day')} flagged of {len(rows):,}"
        + ("; the range is cut at the top" if is_cut else ""),
    )


def _spent(row: dict[str, Any]) -> dict[str, Any]:
    flag = "this event" if row.get("is_event") else "flagged" if row["is_alert"] else "as expected"
    ends = (row["low"], row["high"])
    return {
        "day": f"{str(row['day'])[:10]}T00:00:00Z",
        "label": str(row["day"])[:10],
        "cost": row["cost"] or 0.0,
        "expected": row["expected"],
        "low": row["low"],
        "high": row["high"],
        "flag": flag,
        "shown": money(row["cost"] or 0.0),
        "expected_shown": "not yet known" if row["expected"] is None else money(row["expected"]),
        "range": "not yet known" if None in ends else f"{money(row['low'])} to {money(row['high'])}",
        "slice": showing.visible(row.get("slice") or "", 60),
    }
