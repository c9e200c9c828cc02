"""The picture of an allocation: what each team spent itself, and what it pays with its share of the rest."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import (
    GREY,
    INK,
    LOST,
    QUIET,
    data,
    distinct,
    dollar_axis,
    finish,
    largest_of,
    money,
    nothing,
    others,
    plain,
    team_color,
)

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_TOP = 20


def allocation(
    teams: pd.DataFrame,
    title: str = "Before and after shared cost is allocated",
    cost_name: str = "cost",
    top: int = _TOP,
) -> alt.LayerChart:
    """Show each team's cost before and after shared cost is allocated; an allocation moves dollars, it makes none.

    `teams` holds `owner_team` (null: what nobody owns), `before` and `after` [USD]. The subtitle gives both sums, so
    that a difference would be seen.
    """
    import altair as alt

    rows = _teams(plain(teams), top)
    if not rows:
        return nothing(title, "No team has a cost in this period.")
    names = [row["name"] for row in rows]
    highest = max(largest_of(rows, "before"), largest_of(rows, "after"))
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("name:N", sort=names, title=None, scale=alt.Scale(domain=names)),
        tooltip=[
            alt.Tooltip("name:N", title="team"),
            alt.Tooltip("before_shown:N", title="before"),
            alt.Tooltip("after_shown:N", title="after"),
            alt.Tooltip("moved:N", title="moved"),
        ],
    )
    axis = dollar_axis(f"{cost_name} [USD]", highest, 1.45)
    colors = alt.Scale(domain=names, range=[row["color"] for row in rows])
    color = alt.Color("name:N", scale=colors, legend=None)
    after = base.mark_bar(height={"band": 0.7}, opacity=0.45).encode(x=alt.X("after:Q", **axis), color=color)
    before = base.mark_bar(height={"band": 0.34}).encode(x=alt.X("before:Q", **axis), color=color)
    end = base.mark_tick(thickness=2, height={"band": 0.7}, color=QUIET).encode(x="after:Q")
    text = base.mark_text(align="left", dx=6, color=INK, fontSize=11).encode(x="right:Q", text="label:N")
    sums = [money(fsum(row[side] for row in rows)) for side in ("before", "after")]
    return finish(
        alt.layer(after, before, end, text).properties(width=500, height=alt.Step(30)),
        title,
        f"narrow and dark: before, {sums[0]} in all; broad and pale: after, {sums[1]} in all",
    )


def _teams(rows: list[dict[str, Any]], top: int) -> list[dict[str, Any]]:
    ranked = sorted(rows, key=lambda row: (row["owner_team"] is None, -(row["after"] or 0), str(row["owner_team"])))
    owned = [row for row in ranked if row["owner_team"] is not None]
    told = [_team(showing.visible(row["owner_team"], 34), [row], team_color(row["owner_team"])) for row in owned[:top]]
    if owned[top:]:
        told.append(_team(others(len(owned) - top), owned[top:], GREY))
    unowned = [row for row in ranked if row["owner_team"] is None]
    if unowned:
        told.append(_team("no team", unowned, LOST))
    for row, name in zip(told, distinct([row["name"] for row in told]), strict=True):
        row["name"] = name
    return told


def _team(name: str, rows: list[dict[str, Any]], color: str) -> dict[str, Any]:
    before, after = (fsum(row[side] or 0 for row in rows) for side in ("before", "after"))
    moved = after - before
    sign = "+" if moved > 0 else ""
    shown = f"{sign}{money(moved)}" if abs(moved) > 1e-12 else "nothing"
    label = f"{money(before)} → {money(after)}"
    return {
        "name": name,
        "before": before,
        "after": after,
        "right": max(before, after),
        "label": label,
        "color": color,
    } | {
        "before_shown": money(before),
        "after_shown": money(after),
        "moved": shown,
    }
