"""What all charts share: colours, ground, type, axes, and how a frame becomes what a chart can hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.schema import EVIDENCE

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

BLUE, SKY, GREEN, YELLOW, ORANGE, RED, PINK, GREY = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#E69F00",
    "#D55E00",
    "#CC79A7",
    "#8C8C8C",
)
LOST = RED
INK, QUIET, GROUND, LINE = "#1B1F24", "#57606A", "#FFFFFF", "#D8DEE4"
#: A team keeps its colour in every chart; red is for what is lost, grey for what is summed up. Any two of these, red
#: and grey included, can be told apart with any colour vision (a test says how far).
TEAM_COLORS = (
    "#6699CC",
    "#117733",
    "#AA4499",
    "#BBCC33",
    "#332288",
    "#88CCEE",
    "#882255",
    "#DDCC77",
    "#661100",
    "#FFAABB",
)
#: With this salt the sample company's eight teams have eight colours.
_SALT = "3"
#: More periods than this no chart shows; it then says that it shows the last ones.
MAX_PERIODS = 400
TARGET = 0.02
#: Evidence on the call is dark, recovered is light, a rule is orange, none is red.
RUNG_COLORS = dict(zip(EVIDENCE, (BLUE, "#3D93C6", "#79B4DA", GREEN, "#55BD9C", "#9FD8C5", ORANGE, LOST), strict=True))

_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as rows that a chart can hold: floats for amounts, visible text, None for nothing."""
    return plain_rows(showing.rows(frame))


def plain_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as a chart can hold them."""
    return [{name: _plain_value(value) for name, value in row.items()} for row in rows]


def _plain_value(value: Any) -> Any:
    if showing.is_missing(value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return showing.visible(value) if isinstance(value, str) else value


def money(value: float) -> str:
    """Show an amount of a chart."""
    return showing.dollars(Decimal(repr(value)))


def signed(amount: Decimal) -> str:
    """Show a change with its sign."""
    return f"+{showing.dollars(amount)}" if amount > 0 else showing.dollars(amount)


def distinct(names: Sequence[str]) -> list[str]:
    """Tell apart names that look the same once cut: each stays one mark of the chart."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


def others(number: int, what: str = "") -> str:
    """Name what is summed up: `1 other`, `12 other hops`."""
    noun = f"other {what}" if what else "other"
    return showing.count(number, noun)


def word(name: str) -> str:
    """Name a column as people do."""
    return {"owner_team": "team", "workflow_id": "workflow"}.get(name, name.replace("_", " "))


def largest_of(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Return the largest value of one column."""
    return max((row[name] or 0 for row in rows), default=0)


def order_of(rows: Sequence[dict[str, Any]], name: str) -> list[str]:
    """Return the values of one column in the order of the rows."""
    return list(dict.fromkeys(row[name] for row in rows))


def team_colors(teams: Iterable[str]) -> dict[str, str]:
    """Give each team the colour that its name stands for, whoever else is in the chart.

    Two teams may share one; that is why every chart also writes the team's name.
    """
    return {team: team_color(team) for team in teams}


def team_color(team: str) -> str:
    """Return the colour that a team's name stands for."""
    digest = zlib.crc32(f"{_SALT} {team}".encode("utf-8", "surrogatepass"))
    return TEAM_COLORS[digest % len(TEAM_COLORS)]


def data(rows: list[dict[str, Any]]) -> alt.Data:
    """Give rows to a chart as they are."""
    import altair as alt

    return alt.Data(values=rows)


def dollar_axis(title: str, largest: float, room: float) -> dict[str, Any]:
    """Return an axis from zero whose labels suit the size of the amounts, with room for text right of the bars."""
    import altair as alt

    digits = 0 if largest >= 10 else 2 if largest >= 1 else 2 - Decimal(repr(largest)).adjusted() if largest else 2
    form = "$~s" if largest >= 10_000 else f"$,.{digits}~f"
    axis = alt.Axis(format=form, tickCount=4)
    return {"title": title, "axis": axis, "scale": alt.Scale(domain=[0, largest * room or 1], nice=False)}


def nothing(title: str, why: str) -> Any:
    """Draw what there is to say when there is nothing to draw."""
    import altair as alt

    text = alt.Chart(data([{"why": why}])).mark_text(align="left", fontSize=13, color=QUIET).encode(text="why:N")
    return finish(text.encode(x=alt.value(0)).properties(width=560, height=40), title, view=None)


def finish(chart: Any, title: str, subtitle: str | None = None, view: str | None = LINE) -> Any:
    """Give every chart the same ground, type and title."""
    import altair as alt

    head = alt.TitleParams(title, **({"subtitle": subtitle} if subtitle else {}))
    return (
        chart.properties(title=head)
        .configure(background=GROUND, font=_FONT, padding=14)
        .configure_title(anchor="start", fontSize=15, color=INK, subtitleColor=QUIET, subtitleFontSize=12, offset=12)
        .configure_view(stroke=view)
        # In one call: a second one would put back what the first said.
        .configure_axis(
            labelColor=INK,
            titleColor=QUIET,
            gridColor=LINE,
            domainColor=LINE,
            tickColor=LINE,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=260,
        )
        .configure_legend(
            labelColor=INK, titleColor=QUIET, labelFontSize=12, titleFontSize=12, titleFontWeight="normal"
        )
    )
