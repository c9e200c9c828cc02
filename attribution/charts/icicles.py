"""The icicle of one request: as broad as its dollars, level by level, coloured by owner or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import GREY, GROUND, INK, LOST, data, finish, money, nothing, plain, team_color

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_LOST, _HOP = "lost: no owner", "hop that carries no owner"
_MAX_CELLS = 400
_MAX_DEPTH = 24
_WIDTH = 860


def icicle(nodes: pd.DataFrame) -> alt.LayerChart:
    """Show one request as an icicle: below each hop what it caused, as broad as its dollars; from `at.fan_out`.

    A call without a price has no breadth: the subtitle counts them. Of a large request the dearest parts are shown.
    """
    import altair as alt

    rows = plain(nodes)
    total = max((row["cost_to"] for row in rows), default=0.0)
    cells = [_cell(row, total) for row in rows if row["cost_below"] > 0 and row["depth"] <= _MAX_DEPTH]
    cells = sorted(
        sorted(cells, key=lambda cell: (-cell["cost"], cell["node"]))[:_MAX_CELLS], key=lambda cell: cell["node"]
    )
    if not cells:
        why = "No call of this request has a price." if rows else "There is no such request."
        return nothing("Who owns what one request caused?", why)
    owners = {cell["owner"]: cell["color"] for cell in cells}
    order = [
        *sorted(name for name in owners if name not in (_LOST, _HOP)),
        *(name for name in (_LOST, _HOP) if name in owners),
    ]
    scale = alt.Scale(domain=order, range=[owners[name] for name in order])
    base = alt.Chart(data(cells)).encode(
        x=alt.X("from:Q", axis=None, scale=alt.Scale(domain=[0, total or 1], nice=False)),
        y=alt.Y("depth:O", axis=None),
        tooltip=[
            alt.Tooltip("full:N", title="hop or call"),
            alt.Tooltip("service:N", title="service"),
            alt.Tooltip("owner:N", title="owner"),
            alt.Tooltip("evidence:N", title="evidence"),
            alt.Tooltip("shown:N", title="list cost here and below"),
        ],
    )
    rect = base.mark_rect(stroke=GROUND, strokeWidth=1.5).encode(
        x2="to:Q",
        color=alt.Color("owner:N", title=None, scale=scale, legend=alt.Legend(orient="top", symbolOpacity=1)),
        opacity=alt.condition("datum.is_call", alt.value(1), alt.value(0.45)),
    )
    ink = alt.condition("datum.is_dark", alt.value(GROUND), alt.value(INK))
    name = base.mark_text(align="left", dx=5, dy=-7, fontSize=11).encode(text="label:N", color=ink)
    amount = base.mark_text(align="left", dx=5, dy=8, fontSize=10).encode(text="amount:N", color=ink)
    unpriced = int(rows[0]["unpriced_below"]) if rows else 0
    said = f"; {showing.count(unpriced, 'call')} without a price have no breadth" if unpriced else ""
    request = showing.visible(nodes["label"].iloc[0], 50) if len(nodes) else "none"
    return finish(
        alt.layer(rect, name, amount).properties(width=_WIDTH, height=alt.Step(40)),
        "Who owns what one request caused?",
        f"request {request}, {money(total)}; solid: a provider call, pale: a hop with all below it{said}",
        view=None,
    )


def _cell(row: dict[str, Any], total: float) -> dict[str, Any]:
    is_call = row["kind"] == "call"
    owner = row["owner_team"] or (_LOST if is_call else _HOP)
    color = team_color(row["owner_team"]) if row["owner_team"] else LOST if is_call else GREY
    room = int(_WIDTH * (row["cost_below"] / total) / 6.4) - 2
    label = row["label"] if row["depth"] else "request"
    amount = f"{money(row['cost_below'])}{' · ' + owner.partition(':')[0] if is_call else ''}"
    return {
        "node": row["node"],
        "depth": row["depth"],
        "from": row["cost_from"],
        "to": row["cost_to"],
        "cost": row["cost_below"],
        "full": label,
        "label": showing.visible(label, room) if room > 3 else "",
        "amount": amount if room >= len(amount) else money(row["cost_below"]) if room > 6 else "",
        "service": row["service"] or "not named",
        "owner": owner,
        "evidence": (row["evidence"] or "none").replace("_", " "),
        "shown": money(row["cost_below"]),
        "is_call": is_call,
        "is_dark": is_call and _is_dark(color),
        "color": color,
    }


def _is_dark(color: str) -> bool:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140
