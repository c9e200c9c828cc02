"""Where ownership is lost between services: one ribbon per hop, as broad as the dollars that cross it."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import BLUE, INK, LOST, data, finish, money, nothing, others, plain

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_CARRIED, _LOST_HERE, _LOST_BEFORE = "carries its team", "loses its team here", "lost it before"
_STRANDS = (("carried", _CARRIED, BLUE), ("lost_here", _LOST_HERE, LOST), ("lost_before", _LOST_BEFORE, "#F0C3A8"))
_POINTS = 21
_TOP = 20
_ELSEWHERE = "elsewhere"
#: Of the height, what is left between two services.
_SPACE = 0.4


def hop_ribbons(flows: pd.DataFrame, top: int = _TOP) -> alt.LayerChart:
    """Show each hop between services as a ribbon: blue still carries its team, red loses it here; from `hop_flows`.

    `flows` holds `producer`, `consumer`, `list_cost`, `carried`, `lost_here` and `lost_before` [USD]. The hops that
    lose most and those with most dollars are shown, all others as one. The last hop, from a service to its provider
    (`is_provider`), is left out where there are others.
    """
    import altair as alt

    rows = plain(flows)
    hops = _hops([row for row in rows if not row.get("is_provider")] or rows, top)
    if not hops:
        return nothing("Where ownership is lost between services", "No call with a cost crosses a hop.")
    left = _places(hops, "producer")
    right = _places(hops, "consumer")
    strands = [point for hop in hops for point in _points(hop, left, right)]
    colors = alt.Scale(domain=[name for _, name, _ in _STRANDS], range=[color for _, _, color in _STRANDS])
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.55, 1.55], nice=False))
    y = alt.Scale(domain=[1, 0], nice=False)
    ribbon = (
        alt.Chart(data(strands))
        .mark_area(opacity=0.85, interpolate="linear")
        .encode(
            x=x,
            y=alt.Y("top:Q", axis=None, scale=y),
            y2="bottom:Q",
            detail="strand:N",
            color=alt.Color(
                "kind:N",
                title=None,
                scale=colors,
                legend=alt.Legend(orient="top", symbolType="square", symbolOpacity=1),
            ),
            tooltip=[
                alt.Tooltip("hop:N", title="hop"),
                alt.Tooltip("kind:N", title="the call"),
                alt.Tooltip("shown:N", title="list cost"),
            ],
        )
    )
    layers = [ribbon, *_ends(left, "right", -0.02), *_ends(right, "left", 1.02)]
    lost = money(fsum(hop["lost_here"] for hop in hops))
    height = max(160, 31 * max(len(left), len(right), 1))
    return finish(
        alt.layer(*layers).properties(width=760, height=height),
        "Where ownership is lost between services",
        f"a ribbon is as broad as the list cost that crosses the hop; {lost} lose their team on the way",
        view=None,
    )


def _hops(rows: list[dict[str, Any]], top: int) -> list[dict[str, Any]]:
    parts = ("list_cost", *(part for part, _, _ in _STRANDS))
    told: list[dict[str, Any]] = [
        {name: row[name] or 0.0 for name in parts} | _named(row) for row in rows if row["list_cost"]
    ]
    by_loss = sorted(told, key=lambda row: (-row["lost_here"], -row["list_cost"], row["producer"], row["consumer"]))
    by_size = sorted(told, key=lambda row: (-row["list_cost"], row["producer"], row["consumer"]))
    losing = [row for row in by_loss[: top * 2 // 3] if row["lost_here"]]
    ranked = [*losing, *(row for row in by_size if not any(row is one for one in losing))]
    if ranked[top:]:
        sums = {name: fsum(row[name] for row in ranked[top:]) for name in parts}
        ranked = [*ranked[:top], sums | {"producer": others(len(ranked) - top, "hop"), "consumer": _ELSEWHERE}]
    return ranked


def _named(row: dict[str, Any]) -> dict[str, str]:
    return {end: showing.visible(row[end] or "unnamed service", 30) for end in ("producer", "consumer")}


def _places(hops: list[dict[str, Any]], end: str) -> dict[str, dict[str, Any]]:
    """Return where each service stands on its side, from the dearest down, with space between."""
    totals: dict[str, float] = {}
    for hop in hops:
        totals[hop[end]] = totals.get(hop[end], 0.0) + hop["list_cost"]
    rest = [hop[end] for hop in hops if hop["consumer"] == _ELSEWHERE]
    ranked = sorted(totals, key=lambda name: (name in rest, -totals[name], name))
    whole = fsum(totals.values()) or 1.0
    gap = _SPACE / max(len(ranked), 1)
    places, level = {}, gap / 2
    for name in ranked:
        size = (1 - _SPACE) * totals[name] / whole
        places[name] = {
            "top": level,
            "bottom": level + size,
            "next": level,
            "cost": totals[name],
            "unit": (1 - _SPACE) / whole,
        }
        level += size + gap
    return places


def _points(hop: dict[str, Any], left: dict[str, Any], right: dict[str, Any]) -> list[dict[str, Any]]:
    points = []
    one, other = left[hop["producer"]], right[hop["consumer"]]
    name = f"{hop['producer']} → {hop['consumer']}"
    for part, kind, _ in _STRANDS:
        size = hop[part] * one["unit"]
        if not size:
            continue
        start, end = one["next"], other["next"]
        one["next"] += size
        other["next"] += size
        for step in range(_POINTS):
            along = step / (_POINTS - 1)
            smooth = along * along * (3 - 2 * along)
            top = start + (end - start) * smooth
            points.append(
                {"strand": f"{name} {part}", "hop": name, "kind": kind, "shown": money(hop[part])}
                | {"x": round(along, 4), "top": round(top, 6), "bottom": round(top + size, 6)}
            )
    return points


def _ends(places: dict[str, dict[str, Any]], align: str, x: float) -> list[Any]:
    import altair as alt

    rows = [
        {"x": x, "y": (place["top"] + place["bottom"]) / 2, "top": place["top"], "bottom": place["bottom"]}
        | {"label": f"{name} · {money(place['cost'])}"}
        for name, place in places.items()
    ]
    base = alt.Chart(data(rows)).encode(x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None))
    text = base.mark_text(align=align, dx=-6 if align == "right" else 6, fontSize=11, color=INK).encode(text="label:N")
    rule = (
        alt.Chart(data(rows))
        .mark_rule(color=INK, strokeWidth=3)
        .encode(x=alt.X("x:Q", axis=None), y=alt.Y("top:Q", axis=None), y2="bottom:Q")
    )
    return [rule, text]
