"""Pictures of spend: who spends how much."""

from __future__ import annotations

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
    data,
    distinct,
    dollar_axis,
    finish,
    largest_of,
    money,
    nothing,
    order_of,
    others,
    plain,
    team_color,
    team_colors,
    word,
)

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def spend(rows: pd.DataFrame, by: str = "owner_team", top: int = 10) -> alt.LayerChart:
    """Show spend by one column, dearest first, and the sum of the rest; from `roll_up(ledger, by)`."""
    import altair as alt

    bars = _top_and_other(plain(rows), by, top)
    if not bars:
        return nothing(f"Spend by {word(by)}", "No provider call is in this data or period.")
    names = [row["name"] for row in bars]
    base = alt.Chart(data(bars)).encode(
        y=alt.Y("name:N", sort=names, title=None),
        x=alt.X("list_cost:Q", **dollar_axis("list cost [USD]", largest_of(bars, "list_cost"), 1.5)),
        tooltip=[
            alt.Tooltip("name:N", title=by),
            alt.Tooltip("shown:N", title="list cost"),
            alt.Tooltip("attempts:Q", title="attempts"),
            alt.Tooltip("unpriced_attempts:Q", title="without a price"),
            alt.Tooltip("unmetered_attempts:Q", title="without usage"),
        ],
    )
    colors = alt.Scale(domain=names, range=[row["color"] for row in bars])
    bar = base.mark_bar(height={"band": 0.72}).encode(color=alt.Color("name:N", scale=colors, legend=None))
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(text="label:N")
    return finish((bar + text).properties(width=460, height=alt.Step(27)), f"Spend by {word(by)}")


def _top_and_other(rows: list[dict[str, Any]], by: str, top: int) -> list[dict[str, Any]]:
    """Return the dearest rows, then all others as one, so that the bars add up to the whole."""
    ranked = sorted(rows, key=lambda row: (-(row["list_cost"] or 0), str(row[by])))
    colors = team_colors(row[by] for row in ranked[:top] if row[by] is not None)
    bars = []
    for row in ranked[:top]:
        name = f"no {word(by)}" if row[by] is None else showing.visible(row[by], 40)
        bars.append(_bar(name, [row], LOST if row[by] is None else colors[row[by]]))
    if ranked[top:]:
        bars.append(_bar(others(len(ranked) - top), ranked[top:], GREY))
    for bar, name in zip(bars, distinct([bar["name"] for bar in bars]), strict=True):
        bar["name"] = name
    return bars


def _bar(name: str, rows: list[dict[str, Any]], color: str) -> dict[str, Any]:
    cost = fsum(row["list_cost"] or 0 for row in rows)
    counts = {
        count: sum(row[count] for row in rows) for count in ("attempts", "unpriced_attempts", "unmetered_attempts")
    }
    unpriced = counts["unpriced_attempts"]
    label = money(cost) + (f" + {showing.count(unpriced, 'call')} without a price" if unpriced else "")
    return {"name": name, "list_cost": cost, "shown": money(cost), "label": label, "color": color} | counts


def spend_over_time(rows: pd.DataFrame, over: str = "week", by: str = "owner_team", top: int = 8) -> alt.LayerChart:
    """Show spend over time by one column, stacked: the dearest, then all others, so that the top edge is all spend.

    From `roll_up(ledger, over, by)`. A team has the colour it has everywhere; what has no owner lies on top, in red.
    """
    import altair as alt

    told = [row for row in plain(rows) if row[over] is not None]
    periods = sorted({str(row[over])[:10] for row in told})[-MAX_PERIODS:]
    if not periods:
        return nothing(f"Spend by {word(by)} over time", "No provider call with a time is in this data or period.")
    bands = _bands(told, over, by, top, periods)
    names = order_of(bands, "name")
    colors = alt.Scale(domain=names, range=list({band["name"]: band["color"] for band in bands}.values()))
    highest = max((fsum(b["cost"] for b in bands if b["period"] == period) for period in periods), default=0)
    ticks = {"labelAngle": 0} if len(periods) <= 6 else {"labelAngle": -45, "labelOverlap": True}
    base = alt.Chart(data(bands)).encode(
        x=alt.X("period:N", title=f"{over} (UTC)", scale=alt.Scale(domain=periods), axis=alt.Axis(**ticks)),
        y=alt.Y("from:Q", **dollar_axis("list cost [USD]", highest, 1.05)),
        y2="to:Q",
        color=alt.Color("name:N", title=None, scale=colors, sort=names, legend=alt.Legend(symbolType="square")),
        tooltip=[
            alt.Tooltip("period:N", title=over),
            alt.Tooltip("name:N", title=word(by)),
            alt.Tooltip("shown:N", title="list cost"),
        ],
    )
    mark = (
        base.mark_bar(size=46, stroke=GROUND)
        if len(periods) < 3
        else base.mark_area(stroke=GROUND, strokeWidth=0.8 if len(periods) <= 40 else 0)
    )
    total = len({row[over] for row in told})
    cut = f"the last {len(periods)} of {total:,} {over}s; " if total > len(periods) else ""
    return finish(
        alt.layer(mark).properties(width=560, height=260),
        f"Spend by {word(by)} over time",
        f"{cut}{money(fsum(band['cost'] for band in bands))} in all; the top edge is all spend",
    )


def _bands(rows: list[dict[str, Any]], over: str, by: str, top: int, periods: list[str]) -> list[dict[str, Any]]:
    """Return one row per period and name, stacked from below: dearest first, then the others, then what has none."""
    totals: dict[Any, float] = {}
    cells: dict[tuple[Any, str], float] = {}
    for row in rows:
        place = (row[by], str(row[over])[:10])
        cells[place] = cells.get(place, 0.0) + (row["list_cost"] or 0)
        totals[row[by]] = totals.get(row[by], 0.0) + (row["list_cost"] or 0)
    ranked = sorted((name for name in totals if name is not None), key=lambda name: (-totals[name], name))
    groups = [([name], showing.visible(name, 28), team_color(str(name))) for name in ranked[:top]]
    if ranked[top:]:
        groups.append((ranked[top:], others(len(ranked) - top), GREY))
    if None in totals:
        groups.append(([None], f"no {word(by)}", LOST))
    names = distinct([name for _, name, _ in groups])
    bands = []
    for period in periods:
        level = 0.0
        for (members, _, color), name in zip(groups, names, strict=True):
            cost = fsum(cells.get((member, period), 0.0) for member in members)
            band = {"period": period, "name": name, "cost": cost, "shown": money(cost), "color": color}
            bands.append(band | {"from": level, "to": level + cost})
            level += cost
    return bands


def pareto(
    rows: pd.DataFrame, by: str = "hop", cost: str = "not_declared", top: int = 12, title: str | None = None
) -> alt.LayerChart:
    """Show where most dollars of one kind come from: bars, dearest first, and the line of their running share.

    From any frame with a name and dollars, such as `measure_coverage(ledger, "hop")` for what is not declared. The
    rest is summed up as one bar, so that the line ends at 100 %.
    """
    import altair as alt

    bars = _running(plain(rows), by, cost, top)
    title = title or f"Where most of what is {word(cost)} comes from"
    if not bars:
        return nothing(title, f"No dollar is {word(cost)}.")
    names = [bar["name"] for bar in bars]
    largest = largest_of(bars, "cost")
    base = alt.Chart(data(bars)).encode(
        y=alt.Y("name:N", sort=names, title=None, scale=alt.Scale(domain=names), axis=alt.Axis(labelLimit=320)),
        tooltip=[
            alt.Tooltip("name:N", title=word(by)),
            alt.Tooltip("shown:N", title=word(cost)),
            alt.Tooltip("running:N", title="with all above"),
        ],
    )
    color = alt.Color("is_rest:N", scale=alt.Scale(domain=[False, True], range=[LOST, GREY]), legend=None)
    axis = dollar_axis(f"{word(cost)} [USD]", largest, 1.3)
    bar = base.mark_bar(height={"band": 0.7}).encode(x=alt.X("cost:Q", **axis), color=color)
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(x="cost:Q", text="shown:N")
    right = alt.Axis(orient="top", labelExpr="format(datum.value * 100, '~g') + ' %'", tickCount=5, grid=False)
    scale = alt.Scale(domain=[0, 1.12], nice=False)
    share = alt.X("share:Q", title="running share", axis=right, scale=scale)
    line = base.mark_line(color=BLUE, strokeWidth=2, point={"filled": True, "size": 40, "color": BLUE}).encode(
        x=share, order="place:Q"
    )
    total = money(fsum(row["cost"] for row in bars))
    return finish(
        alt.layer(alt.layer(bar, text), line).resolve_scale(x="independent").properties(width=480, height=alt.Step(27)),
        title,
        f"{total} in all; bars in dollars (below), line: running share (above)",
    )


def _running(rows: list[dict[str, Any]], by: str, cost: str, top: int) -> list[dict[str, Any]]:
    spent = [row for row in rows if row[cost]]
    ranked = sorted(spent, key=lambda row: (-row[cost], str(row[by])))
    bars = [
        {
            "name": f"no {word(by)} named" if row[by] is None else showing.visible(row[by], 46),
            "cost": row[cost],
            "is_rest": False,
        }
        for row in ranked[:top]
    ]
    if ranked[top:]:
        rest = fsum(row[cost] for row in ranked[top:])
        bars.append({"name": others(len(ranked) - top), "cost": rest, "is_rest": True})
    total, level = fsum(bar["cost"] for bar in bars), 0.0
    for place, (bar, name) in enumerate(zip(bars, distinct([bar["name"] for bar in bars]), strict=True)):
        level += bar["cost"]
        share = level / total if total else 0.0
        running = {"share": share, "running": f"{share * 100:.1f} %"}
        bar.update({"name": name, "place": place, "shown": money(bar["cost"])} | running)
    return bars
