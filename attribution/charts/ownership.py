"""Pictures of ownership: which hops carry it, which lose it, by what evidence it is known."""

from __future__ import annotations

from datetime import date
from math import fsum
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import (
    BLUE,
    GREEN,
    GREY,
    GROUND,
    INK,
    LOST,
    MAX_PERIODS,
    ORANGE,
    RUNG_COLORS,
    TARGET,
    data,
    dollar_axis,
    finish,
    largest_of,
    money,
    nothing,
    order_of,
    others,
    plain,
)
from attribution.schema import EVIDENCE

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_KINDS = {"not_declared": "not declared at the call", "unowned": "unowned after recovery"}


def coverage_by_hop(fields: pd.DataFrame, top: int = 24) -> alt.LayerChart:
    """Show which share of each hop's records carries each field, as a heat map; from `field_coverage`.

    Of many hops the ones with most records are shown, and the subtitle says how many there are.
    """
    import altair as alt

    rows = plain(fields)
    if not rows:
        return nothing("Ownership coverage by hop", "No record passes a hop: there are no spans and no calls.")
    records = {row["hop"]: row["records"] for row in rows}
    kept = sorted(records, key=lambda hop: (-records[hop], hop))[:top]
    rows = [row | {"shown": f"{row['share'] * 100:.0f} %"} for row in rows if row["hop"] in kept]
    what = f"the {len(kept)} of {len(records)} hops with most records" if len(kept) < len(records) else "hops"
    for row in rows:
        row["hop"] = showing.visible(row["hop"], 34)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("field:N", sort=order_of(rows, "field"), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("hop:N", sort=order_of(rows, "hop"), title=None),
        tooltip=[
            alt.Tooltip("hop:N", title="hop"),
            alt.Tooltip("field:N", title="field"),
            alt.Tooltip("carrying:Q", title="records that carry it"),
            alt.Tooltip("records:Q", title="records"),
        ],
    )
    color = alt.Color(
        "share:Q",
        title="records that carry it",
        scale=alt.Scale(domain=[0, 0.6, 0.98, 1], range=[LOST, "#F5E3D0", "#CFE1EE", BLUE], interpolate="rgb"),
        legend=None,
    )
    ink = alt.condition("datum.share < 0.2 || datum.share > 0.985", alt.value("#FFFFFF"), alt.value(INK))
    cells = base.mark_rect(stroke=GROUND, strokeWidth=2).encode(color=color)
    numbers = base.mark_text(fontSize=12).encode(text="shown:N", color=ink)
    return finish(
        (cells + numbers).properties(width=alt.Step(104), height=alt.Step(30)),
        "Ownership coverage by hop",
        f"share of records that carry the field; {what}, in the order in which requests pass",
    )


def unattributed(coverage: pd.DataFrame, by: str = "week", changes: pd.DataFrame | None = None) -> alt.LayerChart:
    """Show both unattributed shares over time, with the 2 % line; from `measure_coverage(ledger, by)`.

    The shaded part is what calls without a price leave open. `changes`, from `coverage_trend(ledger).changes`, marks
    the periods in which the level changed.
    """
    import altair as alt

    rows = _shares_over_time(plain(coverage)[-MAX_PERIODS:], by)
    if not rows:
        return nothing("Unattributed share over time", "No call with a price is in this data or period.")
    periods = order_of(rows, "period")
    highest = max([TARGET, *(row["high"] for row in rows)])
    kinds = list(_KINDS.values())
    colors = alt.Scale(domain=kinds, range=[ORANGE, LOST])
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "period:N",
            sort=periods,
            title=f"{by} (UTC)",
            scale=alt.Scale(domain=periods),
            axis=alt.Axis(labelAngle=0 if len(periods) <= 8 else -45, labelOverlap=True),
        ),
        color=alt.Color("kind:N", title=None, scale=colors, legend=alt.Legend(orient="top", symbolOpacity=1)),
        tooltip=[
            alt.Tooltip("period:N", title=by),
            alt.Tooltip("kind:N", title="share"),
            alt.Tooltip("shown:N", title="of list cost"),
            alt.Tooltip("cost:N", title="list cost"),
        ],
    )
    axis = alt.Axis(labelExpr="format(datum.value * 100, '~g') + ' %'", tickCount=6)
    y = alt.Y("low:Q", title="share of list cost", axis=axis, scale=alt.Scale(domain=[0, highest * 1.08], nice=False))
    area = base.mark_area(opacity=0.22).encode(y=y, y2="high:Q")
    ends = base.mark_rule(opacity=0.35, strokeWidth=7).encode(y=y, y2="high:Q")
    # The first line is the wider one, so that it is seen where both run together.
    width = alt.StrokeWidth("kind:N", scale=alt.Scale(domain=kinds, range=[4.5, 2]), legend=None)
    size = alt.Size("kind:N", scale=alt.Scale(domain=kinds, range=[80, 36]), legend=None)
    line = base.mark_line().encode(y=y, strokeWidth=width)
    points = base.mark_point(filled=True, opacity=1).encode(y=y, size=size)
    limit = [{"share": TARGET, "name": "2 % target"}]
    rule = alt.Chart(data(limit)).mark_rule(strokeDash=[5, 4], color=INK).encode(y="share:Q")
    name = (
        alt.Chart(data(limit))
        .mark_text(align="right", dy=-7, color=INK, fontSize=11)
        .encode(y="share:Q", x=alt.value(560), text="name:N")
    )
    marks = _change_points(changes, by, periods)
    layers = [area, ends, line, points, rule, name, *([] if marks is None else marks)]
    cut = f"; the last {MAX_PERIODS} of {len(coverage):,} {by}s" if len(coverage) > MAX_PERIODS else ""
    return finish(
        alt.layer(*layers).properties(width=560, height=240),
        "Unattributed share over time",
        f"shaded where calls without a price leave it open{cut}",
    )


def _change_points(changes: pd.DataFrame | None, by: str, periods: list[str]) -> list[Any] | None:
    """Mark the periods in which the level of the share changed."""
    import altair as alt

    found = (
        [
            {"period": _period_of(row["first_day"], by), "shown": _level_shift(row)}
            for row in plain(changes)
            if _period_of(row["first_day"], by) in periods
        ]
        if changes is not None
        else []
    )
    if not found:
        return None
    base = alt.Chart(data(found)).encode(x="period:N", tooltip=[alt.Tooltip("shown:N", title="level of the share")])
    rule = base.mark_rule(color=INK, strokeWidth=1.5)
    text = base.mark_text(align="left", baseline="top", dx=4, fontSize=11, color=INK).encode(
        y=alt.value(2), text="shown:N"
    )
    return [rule, text]


def _period_of(day: str, by: str) -> str:
    """Return the period, as the axis writes it, that a day falls in."""
    moment = date.fromisoformat(day)
    if by == "week":
        year, week, _ = moment.isocalendar()
        return f"{year}-W{week:02d}"
    return day[:7] if by == "month" else day


def _level_shift(row: dict[str, Any]) -> str:
    return f"{row['first_day'][5:]}: {row['before'] * 100:.0f} % → {row['after'] * 100:.0f} %"


def _shares_over_time(rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    return [
        {
            "period": "no time" if row[by] is None else str(row[by])[:10],
            "kind": name,
            "low": row[f"{kind}_low"],
            "high": row[f"{kind}_high"],
            "shown": f"{row[f'{kind}_low'] * 100:.1f}–{row[f'{kind}_high'] * 100:.1f} %",
            "cost": money(row["list_cost"]),
        }
        for row in rows
        for kind, name in _KINDS.items()
        if row[f"{kind}_low"] is not None
    ]


def evidence_ladder(coverage: pd.DataFrame) -> alt.LayerChart:
    """Show by what evidence dollars have an owner, best evidence first; from `measure_coverage(ledger)`."""
    import altair as alt

    row = plain(coverage)[0]
    total = row["list_cost"] or 0
    rungs = [
        {
            "rung": rung.replace("_", " "),
            "cost": row[rung],
            "label": f"{money(row[rung])} · {row[rung] / total * 100:.1f} %" if row[rung] else "–",
            "color": RUNG_COLORS[rung],
        }
        for rung in EVIDENCE
    ]
    names = [rung["rung"] for rung in rungs]
    base = alt.Chart(data(rungs)).encode(
        y=alt.Y("rung:N", sort=names, title=None),
        x=alt.X("cost:Q", **dollar_axis("list cost [USD]", largest_of(rungs, "cost"), 1.5)),
        tooltip=[alt.Tooltip("rung:N", title="evidence"), alt.Tooltip("label:N", title="list cost")],
    )
    colors = alt.Scale(domain=names, range=[rung["color"] for rung in rungs])
    bar = base.mark_bar(height={"band": 0.72}).encode(color=alt.Color("rung:N", scale=colors, legend=None))
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(text="label:N")
    return finish(
        (bar + text).properties(width=460, height=alt.Step(26)),
        "Owner by evidence",
        "from the call's own word down to none; a rule is shown, and counts as unowned",
    )


def hop_costs(hops: pd.DataFrame, top: int = 8) -> alt.LayerChart:
    """Show the hops below which most dollars lose a field, and what was recovered; from `broken_hops`."""
    import altair as alt

    rows = plain(hops)
    if not rows:
        return nothing("Spend below each hop that loses ownership", "No hop loses an ownership field.")
    for row in rows:
        row["name"] = showing.visible(f"{row['signature']} · {showing.hop(row)}", 60)
        row["lost"] = row["list_cost"] - row["recovered"]
    rows = _merged(rows, top)
    names = [row["name"] for row in rows]
    parts = [
        {"name": row["name"], "part": part, "cost": row[key], "order": order, "label": money(row["list_cost"])}
        for row in rows
        for order, (part, key) in enumerate((("recovered beside the call", "recovered"), ("not recovered", "lost")))
    ]
    colors = alt.Scale(domain=["recovered beside the call", "not recovered"], range=[GREEN, LOST])
    base = alt.Chart(data(parts)).encode(y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=400)))
    bar = base.mark_bar(height={"band": 0.72}).encode(
        x=alt.X("sum(cost):Q", **dollar_axis("list cost below the hop [USD]", largest_of(rows, "list_cost"), 1.3)),
        color=alt.Color("part:N", title=None, scale=colors, legend=alt.Legend(orient="top")),
        order="order:Q",
        tooltip=[
            alt.Tooltip("name:N", title="hop"),
            alt.Tooltip("part:N", title="what"),
            alt.Tooltip("label:N", title="all"),
        ],
    )
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(x="sum(cost):Q", text="label:N")
    return finish((bar + text).properties(width=380, height=alt.Step(27)), "Spend below each hop that loses ownership")


def _merged(rows: list[dict[str, Any]], top: int) -> list[dict[str, Any]]:
    """Join rows of one name, keep the dearest, and sum up the others."""
    joined: dict[str, dict[str, Any]] = {}
    for row in rows:
        kept = joined.setdefault(row["name"], {"name": row["name"], "list_cost": 0.0, "recovered": 0.0, "lost": 0.0})
        for part in ("list_cost", "recovered", "lost"):
            kept[part] += row[part]
    ranked = sorted(joined.values(), key=lambda row: (-row["list_cost"], row["name"]))
    rest = ranked[top:]
    if rest:
        parts = {part: fsum(row[part] for row in rest) for part in ("list_cost", "recovered", "lost")}
        ranked = [*ranked[:top], {"name": others(len(rest), "hop"), **parts}]
    return ranked


def patterns(rows: pd.DataFrame) -> alt.Chart:
    """Show what each way of attributing gets right, wrong and not at all; from `audit(ledger).patterns`."""
    import altair as alt

    kinds = {"right": BLUE, "wrong": LOST, "not_at_all": ORANGE, "cannot_be_judged": GREY}
    tried = plain(rows)
    total = max((fsum(row[kind] for kind in kinds) for row in tried), default=0)
    parts = [
        {"part": kind.replace("_", " "), "cost": row[kind], "order": order}
        | {"pattern": row["pattern"] + (" (shown here)" if row["is_shown"] else "")}
        for row in tried
        for order, kind in enumerate(kinds)
    ]
    colors = alt.Scale(domain=[kind.replace("_", " ") for kind in kinds], range=list(kinds.values()))
    chart = (
        alt.Chart(data(parts))
        .mark_bar(height={"band": 0.72})
        .encode(
            y=alt.Y("pattern:N", sort=order_of(parts, "pattern"), title=None, axis=alt.Axis(labelLimit=300)),
            x=alt.X("sum(cost):Q", **dollar_axis("list cost [USD]", total, 1)),
            color=alt.Color("part:N", title=None, scale=colors, sort=None, legend=alt.Legend(orient="top")),
            order="order:Q",
            tooltip=[
                alt.Tooltip("pattern:N", title="pattern"),
                alt.Tooltip("part:N", title="attributed"),
                alt.Tooltip("sum(cost):Q", title="list cost [USD]"),
            ],
        )
    )
    return finish(chart.properties(width=420, height=alt.Step(27)), "What each way of attributing would have done")
