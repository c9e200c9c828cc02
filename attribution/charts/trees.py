"""The picture of one request: its hops and calls as a tree, with owner and dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import GREY, INK, LOST, data, finish, money, nothing, plain, team_colors

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

#: More rows than this nobody reads; the rest is summed up in one.
_MAX_NODES = 32
_LOST, _CARRIES_NONE = "lost: no owner", "hop that carries no owner"


def fan_out(nodes: pd.DataFrame) -> alt.LayerChart:
    """Show one request as a tree: every hop and call, what it costs and who owns it; from `fan_out(ledger, id)`.

    A bar is as long as what is spent below the hop, and starts where the bars before it end.
    """
    import altair as alt

    rows = _tree_rows(nodes)
    if not rows:
        return nothing("One request, every hop and call below it", "No provider call is in this data.")
    total = max((row["cost_to"] for row in rows), default=0) or 1
    owners = {row["owner"]: row["color"] for row in rows}
    order = [*sorted(name for name in owners if name not in (_CARRIES_NONE, _LOST)), _LOST, _CARRIES_NONE]
    names = [name for name in order if name in owners]
    colors = alt.Scale(domain=names, range=[owners[name] for name in names])
    y = alt.Y("place:O", axis=None, sort=None)
    base = alt.Chart(data(rows)).encode(
        y=y,
        tooltip=[
            alt.Tooltip("full:N", title="hop or call"),
            alt.Tooltip("service:N", title="service"),
            alt.Tooltip("owner:N", title="owner"),
            alt.Tooltip("evidence:N", title="evidence"),
            alt.Tooltip("cost:N", title="list cost below"),
        ],
    )
    color = alt.Color("owner:N", title=None, scale=colors, legend=alt.Legend(orient="top", symbolOpacity=1))
    indent = alt.X("depth:Q", axis=None, scale=alt.Scale(domain=[0, 20], range=[0, 280], nice=False, clamp=True))
    start = alt.X("cost_from:Q", axis=None, scale=alt.Scale(domain=[0, total], range=[330, 530], nice=False))
    label = base.mark_text(align="left", limit=318, fontSize=12, color=INK).encode(x=indent, text="label:N")
    bar = base.mark_bar(height={"band": 0.6}, cornerRadius=1).encode(
        x=start,
        x2="cost_to:Q",
        color=color,
        opacity=alt.condition("datum.kind == 'call'", alt.value(1), alt.value(0.4)),
    )
    tick = base.mark_tick(thickness=3, height=13, opacity=1).encode(x=start, color=color)
    tick = tick.transform_filter(f"datum.cost_to - datum.cost_from < {total / 150!r} && datum.kind == 'call'")
    amount = base.mark_text(align="left", fontSize=11).encode(
        x=alt.value(540), text="amount:N", color=alt.condition("datum.is_lost", alt.value("#A63A00"), alt.value(INK))
    )
    title = showing.visible(nodes["label"].iloc[0], 60)
    return finish(
        alt.layer(label, bar, tick, amount).resolve_scale(x="independent").properties(width=800, height=alt.Step(22)),
        "One request, every hop and call below it",
        f"request {title}; solid: a provider call, pale: a hop and what is spent below it",
        view=None,
    )


def _tree_rows(nodes: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the dearest nodes with their ancestors, in tree order, and one row for all others."""
    rows = plain(nodes)
    by_cost = sorted(rows, key=lambda row: (-row["cost_below"], -row["calls_below"], row["node"]))
    kept = sorted(by_cost[:_MAX_NODES], key=lambda row: row["node"])
    colors = team_colors(row["owner_team"] for row in rows if row["owner_team"])
    for place, row in enumerate(kept):
        is_call = row["kind"] == "call"
        row["place"] = place
        row["full"] = row["label"]
        name = row["label"] if row["depth"] else "request"
        service = f" ({row['service']})" if row["service"] and not is_call and row["service"] != name else ""
        row["label"] = showing.visible(name + service, max(48 - 2 * row["depth"], 12))
        row["is_lost"] = is_call and row["owner_team"] is None
        row["owner"] = row["owner_team"] or (_LOST if is_call else _CARRIES_NONE)
        row["color"] = colors.get(row["owner_team"], LOST if is_call else GREY)
        row["cost"] = money(row["cost_below"])
        row["amount"] = _amount(row, is_call)
    hidden = len(rows) - len(kept)
    if hidden:
        kept.append(_rest(hidden, len(kept)))
    return kept


def _amount(row: dict[str, Any], is_call: bool) -> str:
    unpriced = f"{showing.count(row['unpriced_below'], 'call')} without a price" if row["unpriced_below"] else ""
    if not is_call:
        if not row["calls_below"]:
            return ""
        return " + ".join(part for part in (money(row["cost_below"]) if row["cost_below"] else "", unpriced) if part)
    owner = f"{row['owner_team']} ({row['evidence'].replace('_', ' ')})" if row["owner_team"] else "lost"
    cost = "no price" if row["unpriced_below"] else "no cost" if row["list_cost"] is None else money(row["list_cost"])
    return f"{cost} · {owner}"


def _rest(hidden: int, place: int) -> dict[str, Any]:
    text = f"and {hidden:,} cheaper hops and calls"
    blank = dict.fromkeys(("service", "evidence", "cost", "amount", "kind"), "")
    return blank | {
        "place": place,
        "depth": 0,
        "label": text,
        "full": text,
        "owner": _CARRIES_NONE,
        "color": GREY,
        "cost_from": 0.0,
        "cost_to": 0.0,
        "is_lost": False,
    }
