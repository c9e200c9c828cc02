"""Pictures of spend: who spends how much."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import (
    GREY,
    INK,
    LOST,
    data,
    dollar_axis,
    finish,
    largest_of,
    money,
    plain,
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
    domain = list(dict.fromkeys(names))
    colors = alt.Scale(domain=domain, range=[row["color"] for row in bars])
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
        bars.append(_bar(f"{len(ranked) - top:,} others", ranked[top:], GREY))
    return bars


def _bar(name: str, rows: list[dict[str, Any]], color: str) -> dict[str, Any]:
    cost = fsum(row["list_cost"] or 0 for row in rows)
    counts = {
        count: sum(row[count] for row in rows) for count in ("attempts", "unpriced_attempts", "unmetered_attempts")
    }
    unpriced = counts["unpriced_attempts"]
    label = money(cost) + (f" + {showing.count(unpriced, 'call')} without a price" if unpriced else "")
    return {"name": name, "list_cost": cost, "shown": money(cost), "label": label, "color": color} | counts
