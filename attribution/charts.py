"""Pictures: one function each, one frame in, one Altair chart out. The only door to Altair, and the only place where
amounts become floats.

Colours are Okabe and Ito's, which people with any colour vision can tell apart; every chart brings its own light
ground, so that it reads the same on a light page, a dark one and paper.
"""

from __future__ import annotations

import base64
import json
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
#: A team keeps its colour in every chart; red is for what is lost, grey for what is summed up.
TEAM_COLORS = (BLUE, ORANGE, GREEN, PINK, SKY, "#7F6A00", "#5B4FA3", "#66A61E", "#A65628", "#00868B")
TARGET = 0.02
#: Evidence on the call is dark, recovered is light, a rule is orange, none is red.
RUNG_COLORS = dict(zip(EVIDENCE, (BLUE, "#3D93C6", "#79B4DA", GREEN, "#55BD9C", "#9FD8C5", ORANGE, LOST), strict=True))
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
_MAX_NODES = 32


def enable(how: str = "live") -> None:
    """Show charts in notebooks everywhere: `live` in JupyterLab with a PNG beside it, `static` as SVG for Voila and HTML.

    The stock renderers need a script from a public server, or write what a notebook cannot hold; this one needs
    neither: JupyterLab draws Vega-Lite 5 itself, and whoever runs no scripts sees the picture.
    """
    import altair as alt

    from attribution.errors import QuestionError

    renderers = {"live": _live, "static": _static}
    if how not in renderers:
        raise QuestionError.bad_argument("how", how, f"one of {', '.join(renderers)}")
    alt.renderers.register("attribution", renderers[how])
    alt.renderers.enable("attribution")


def to_svg(chart: alt.Chart | alt.LayerChart) -> str:
    """Draw a chart as SVG; the same chart gives the same text."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


def to_png(chart: alt.Chart | alt.LayerChart, scale: float = 2) -> bytes:
    """Draw a chart as PNG."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=scale))


def coverage_by_hop(fields: pd.DataFrame) -> alt.LayerChart:
    """Show which share of each hop's records carries each field, as a heat map; from `field_coverage`."""
    import altair as alt

    rows = _plain(fields)
    for row in rows:
        row["shown"] = f"{row['share'] * 100:.0f} %"
        row["hop"] = showing.visible(row["hop"], 34)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("field:N", sort=_order(rows, "field"), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("hop:N", sort=_order(rows, "hop"), title=None),
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
        scale=alt.Scale(domain=[0, 0.5, 0.98, 1], range=[LOST, "#F6C9A0", "#A9CDE6", BLUE]),
        legend=alt.Legend(format=".0%", orient="right", gradientLength=120),
    )
    ink = alt.condition("datum.share < 0.2 || datum.share > 0.985", alt.value("#FFFFFF"), alt.value(INK))
    cells = base.mark_rect(stroke=GROUND, strokeWidth=2).encode(color=color)
    numbers = base.mark_text(fontSize=12).encode(text="shown:N", color=ink)
    return _finish(
        (cells + numbers).properties(width=alt.Step(104), height=alt.Step(30)),
        "Ownership coverage by hop",
        "share of records that carry the field, in the order in which requests pass",
    )


def unattributed(coverage: pd.DataFrame, by: str = "week") -> alt.LayerChart:
    """Show both unattributed shares over time, with the 2 % line; from `measure_coverage(ledger, by)`.

    The shaded part is what calls without a price leave open.
    """
    import altair as alt

    rows = _shares_over_time(_plain(coverage), by)
    periods = _order(rows, "period")
    colors = alt.Scale(domain=["not declared at the call", "unowned after recovery"], range=[ORANGE, LOST])
    base = alt.Chart(_data(rows)).encode(
        x=alt.X(
            "period:N",
            sort=periods,
            title=f"{by} (UTC)",
            scale=alt.Scale(domain=periods),
            axis=alt.Axis(labelAngle=0 if len(periods) <= 8 else -45, labelOverlap=True),
        ),
        color=alt.Color("kind:N", title=None, scale=colors, legend=alt.Legend(orient="top")),
        tooltip=[
            alt.Tooltip("period:N", title=by),
            alt.Tooltip("kind:N", title="share"),
            alt.Tooltip("shown:N", title="of list cost"),
            alt.Tooltip("cost:N", title="list cost"),
        ],
    )
    y = alt.Y("low:Q", title="share of list cost", axis=alt.Axis(format=".0%"), scale=alt.Scale(domainMin=0))
    area = base.mark_area(opacity=0.22).encode(y=y, y2="high:Q")
    ends = base.mark_rule(opacity=0.35, strokeWidth=7).encode(y=y, y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=y, shape=alt.Shape("kind:N", title=None, legend=None)
    )
    limit = [{"share": TARGET, "name": "2 % target"}]
    rule = alt.Chart(_data(limit)).mark_rule(strokeDash=[5, 4], color=INK).encode(y="share:Q")
    name = (
        alt.Chart(_data(limit))
        .mark_text(align="right", dy=-7, color=INK, fontSize=11)
        .encode(y="share:Q", x=alt.value(560), text="name:N")
    )
    return _finish(
        alt.layer(area, ends, line, points, rule, name).properties(width=560, height=240),
        "Unattributed share over time",
        "shaded where calls without a price leave it open",
    )


def spend(rows: pd.DataFrame, by: str = "owner_team", top: int = 10) -> alt.LayerChart:
    """Show spend by one column, dearest first, and the sum of the rest; from `roll_up(ledger, by)`."""
    import altair as alt

    bars = _top_and_other(_plain(rows), by, top)
    names = [row["name"] for row in bars]
    base = alt.Chart(_data(bars)).encode(
        y=alt.Y("name:N", sort=names, title=None),
        x=alt.X(
            "list_cost:Q",
            title="list cost [USD]",
            axis=alt.Axis(format="$~s", tickCount=5),
            scale=alt.Scale(padding=70),
        ),
        tooltip=[
            alt.Tooltip("name:N", title=by),
            alt.Tooltip("shown:N", title="list cost"),
            alt.Tooltip("attempts:Q", title="attempts"),
            alt.Tooltip("unpriced:Q", title="without a price"),
        ],
    )
    domain = list(dict.fromkeys(names))
    colors = alt.Scale(domain=domain, range=[row["color"] for row in bars])
    bar = base.mark_bar(height={"band": 0.72}).encode(color=alt.Color("name:N", scale=colors, legend=None))
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(text="label:N")
    return _finish((bar + text).properties(width=460, height=alt.Step(27)), f"Spend by {_word(by)}")


def evidence_ladder(coverage: pd.DataFrame) -> alt.LayerChart:
    """Show by what evidence dollars have an owner, best evidence first; from `measure_coverage(ledger)`."""
    import altair as alt

    row = _plain(coverage)[0]
    total = row["list_cost"] or 0
    rungs = [
        {
            "rung": rung.replace("_", " "),
            "cost": row[rung],
            "label": f"{_money(row[rung])}  ·  {row[rung] / total * 100:.1f} %" if total else _money(row[rung]),
            "color": RUNG_COLORS[rung],
        }
        for rung in EVIDENCE
    ]
    names = [rung["rung"] for rung in rungs]
    base = alt.Chart(_data(rungs)).encode(
        y=alt.Y("rung:N", sort=names, title=None),
        x=alt.X(
            "cost:Q", title="list cost [USD]", axis=alt.Axis(format="$~s", tickCount=5), scale=alt.Scale(padding=110)
        ),
        tooltip=[alt.Tooltip("rung:N", title="evidence"), alt.Tooltip("label:N", title="list cost")],
    )
    colors = alt.Scale(domain=names, range=[rung["color"] for rung in rungs])
    bar = base.mark_bar(height={"band": 0.72}).encode(color=alt.Color("rung:N", scale=colors, legend=None))
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(text="label:N")
    return _finish(
        (bar + text).properties(width=460, height=alt.Step(26)),
        "Owner by evidence",
        "from the call's own word down to none; a rule is shown, and counts as unowned",
    )


def hop_costs(hops: pd.DataFrame, top: int = 8) -> alt.LayerChart:
    """Show the hops below which most dollars lose a field, and what was recovered; from `broken_hops`."""
    import altair as alt

    rows = _plain(hops)
    for row in rows:
        row["name"] = showing.visible(f"{row['signature']} · {showing.hop(row)}", 52)
        row["lost"] = row["list_cost"] - row["recovered"]
    rows = _merged(rows, top)
    names = [row["name"] for row in rows]
    parts = [
        {"name": row["name"], "part": part, "cost": row[key], "order": order, "label": _money(row["list_cost"])}
        for row in rows
        for order, (part, key) in enumerate((("recovered beside the call", "recovered"), ("not recovered", "lost")))
    ]
    colors = alt.Scale(domain=["recovered beside the call", "not recovered"], range=[GREEN, LOST])
    base = alt.Chart(_data(parts)).encode(y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=340)))
    bar = base.mark_bar(height={"band": 0.72}).encode(
        x=alt.X(
            "sum(cost):Q",
            title="list cost below the hop [USD]",
            axis=alt.Axis(format="$~s", tickCount=5),
            scale=alt.Scale(padding=70),
        ),
        color=alt.Color("part:N", title=None, scale=colors, legend=alt.Legend(orient="top")),
        order="order:Q",
        tooltip=[
            alt.Tooltip("name:N", title="hop"),
            alt.Tooltip("part:N", title="what"),
            alt.Tooltip("label:N", title="all"),
        ],
    )
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(x="sum(cost):Q", text="label:N")
    return _finish((bar + text).properties(width=380, height=alt.Step(27)), "Where ownership breaks")


def fan_out(nodes: pd.DataFrame) -> alt.LayerChart:
    """Show one request as a tree: every hop and call, what it costs and who owns it; from `fan_out(ledger, id)`.

    A bar is as long as what is spent below the hop, and starts where the bars before it end.
    """
    import altair as alt

    rows = _tree_rows(nodes)
    total = max((row["cost_to"] for row in rows), default=0) or 1
    owners = {row["owner"]: row["color"] for row in rows}
    order = [*sorted(name for name in owners if name not in (_CARRIES_NONE, _LOST)), _LOST, _CARRIES_NONE]
    names = [name for name in order if name in owners]
    colors = alt.Scale(domain=names, range=[owners[name] for name in names])
    y = alt.Y("place:O", axis=None, sort=None)
    base = alt.Chart(_data(rows))
    tooltip = [
        alt.Tooltip("full:N", title="hop or call"),
        alt.Tooltip("service:N", title="service"),
        alt.Tooltip("owner:N", title="owner"),
        alt.Tooltip("evidence:N", title="evidence"),
        alt.Tooltip("cost:N", title="list cost below"),
    ]
    color = alt.Color("owner:N", title="owner", scale=colors, legend=alt.Legend(orient="top"))
    label = base.mark_text(align="left", limit=330, fontSize=12).encode(
        x=alt.value(0), y=y, text="label:N", color=alt.value(INK), tooltip=tooltip
    )
    bar = base.mark_bar(height={"band": 0.6}, minBandSize=3, cornerRadius=1).encode(
        x=alt.X("cost_from:Q", axis=None, scale=alt.Scale(domain=[0, total], range=[345, 625], nice=False)),
        x2="cost_to:Q",
        y=y,
        color=color,
        opacity=alt.condition("datum.kind == 'call'", alt.value(1), alt.value(0.45)),
        tooltip=tooltip,
    )
    tick = base.mark_tick(thickness=3, height=15).encode(x="cost_from:Q", y=y, color=color, tooltip=tooltip)
    amount = base.mark_text(align="left", fontSize=11).encode(
        x=alt.value(635),
        y=y,
        text="amount:N",
        color=alt.condition("datum.is_lost", alt.value("#A63A00"), alt.value(INK)),
    )
    title = showing.visible(nodes["label"].iloc[0], 60)
    return _finish(
        alt.layer(label, bar, tick, amount).properties(width=860, height=alt.Step(22)),
        "One request, every hop and call below it",
        f"request {title}; solid: a provider call, pale: a hop and what is spent below it",
        view=None,
    )


def patterns(rows: pd.DataFrame) -> alt.Chart:
    """Show what each way of attributing gets right, wrong and not at all on this data; from `audit(ledger).patterns`."""
    import altair as alt

    kinds = {"right": BLUE, "wrong": LOST, "not_at_all": ORANGE, "cannot_be_judged": GREY}
    parts = [
        {"pattern": showing.visible(row["pattern"]), "part": kind.replace("_", " "), "cost": row[kind], "order": order}
        for row in _plain(rows)
        for order, kind in enumerate(kinds)
    ]
    colors = alt.Scale(domain=[kind.replace("_", " ") for kind in kinds], range=list(kinds.values()))
    chart = (
        alt.Chart(_data(parts))
        .mark_bar(height={"band": 0.72})
        .encode(
            y=alt.Y("pattern:N", sort=_order(parts, "pattern"), title=None, axis=alt.Axis(labelLimit=300)),
            x=alt.X("sum(cost):Q", title="list cost [USD]", axis=alt.Axis(format="$~s", tickCount=5)),
            color=alt.Color("part:N", title=None, scale=colors, sort=None, legend=alt.Legend(orient="top")),
            order="order:Q",
            tooltip=[
                alt.Tooltip("pattern:N", title="pattern"),
                alt.Tooltip("part:N", title="attributed"),
                alt.Tooltip("sum(cost):Q", title="list cost [USD]"),
            ],
        )
    )
    return _finish(chart.properties(width=420, height=alt.Step(27)), "What each way of attributing would have done")


_LOST, _CARRIES_NONE = "lost: no owner", "hop that carries no owner"


def _tree_rows(nodes: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the dearest nodes with their ancestors, in tree order, and one row for all others."""
    rows = _plain(nodes)
    by_cost = sorted(rows, key=lambda row: (-row["cost_below"], -row["calls_below"], row["node"]))
    kept = sorted(by_cost[:_MAX_NODES], key=lambda row: row["node"])
    colors = team_colors(row["owner_team"] for row in rows if row["owner_team"])
    for place, row in enumerate(kept):
        is_call = row["kind"] == "call"
        row["place"] = place
        row["full"] = row["label"]
        name = row["label"] if row["depth"] else "request"
        service = f"  ({row['service']})" if row["service"] and not is_call and row["service"] != name else ""
        row["label"] = "\u2003" * row["depth"] + name + service
        row["is_lost"] = is_call and row["owner_team"] is None
        row["owner"] = row["owner_team"] or (_LOST if is_call else _CARRIES_NONE)
        row["color"] = colors.get(row["owner_team"], LOST if is_call else GREY)
        row["cost"] = _money(row["cost_below"])
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
        return "  +  ".join(part for part in (_money(row["cost_below"]) if row["cost_below"] else "", unpriced) if part)
    owner = f"{row['owner_team']} ({row['evidence'].replace('_', ' ')})" if row["owner_team"] else "lost"
    cost = "no price" if row["unpriced_below"] else "no cost" if row["list_cost"] is None else _money(row["list_cost"])
    return f"{cost}  {owner}"


def _rest(hidden: int, place: int) -> dict[str, Any]:
    text = f"and {hidden:,} cheaper hops and calls"
    blank = dict.fromkeys(("service", "evidence", "cost", "amount", "kind"), "")
    return blank | {
        "place": place,
        "label": text,
        "full": text,
        "owner": _CARRIES_NONE,
        "color": GREY,
        "cost_from": 0.0,
        "cost_to": 0.0,
        "is_lost": False,
    }


def team_colors(teams: Iterable[str]) -> dict[str, str]:
    """Give each team the colour that its name stands for; teams that would share one move on to the next free."""
    chosen: dict[str, str] = {}
    for team in sorted(set(teams)):
        start = zlib.crc32(team.encode("utf-8", "surrogatepass")) % len(TEAM_COLORS)
        ring = TEAM_COLORS[start:] + TEAM_COLORS[:start]
        chosen[team] = next((color for color in ring if color not in chosen.values()), ring[0])
    return chosen


def _top_and_other(rows: list[dict[str, Any]], by: str, top: int) -> list[dict[str, Any]]:
    """Return the dearest rows, then all others as one, so that the bars add up to the whole."""
    ranked = sorted(rows, key=lambda row: (-(row["list_cost"] or 0), str(row[by])))
    colors = team_colors(row[by] for row in ranked[:top] if row[by] is not None)
    bars = []
    for row in ranked[:top]:
        name = f"no {_word(by)}" if row[by] is None else showing.visible(row[by], 40)
        bars.append(_bar(name, [row], LOST if row[by] is None else colors[row[by]]))
    if ranked[top:]:
        bars.append(_bar(f"{len(ranked) - top:,} others", ranked[top:], GREY))
    return bars


def _bar(name: str, rows: list[dict[str, Any]], color: str) -> dict[str, Any]:
    cost = sum(row["list_cost"] or 0 for row in rows)
    unpriced = sum(row["unpriced_attempts"] + row["unmetered_attempts"] for row in rows)
    label = _money(cost) + (f"  + {unpriced:,} without a price" if unpriced else "")
    attempts = sum(row["attempts"] for row in rows)
    return {"name": name, "list_cost": cost, "shown": _money(cost), "label": label, "color": color} | {
        "attempts": attempts,
        "unpriced": unpriced,
    }


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
        parts = {part: sum(row[part] for row in rest) for part in ("list_cost", "recovered", "lost")}
        ranked = [*ranked[:top], {"name": f"{len(rest):,} other hops", **parts}]
    return ranked


def _shares_over_time(rows: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    kinds = {"not_declared": "not declared at the call", "unowned": "unowned after recovery"}
    return [
        {
            "period": "no time" if row[by] is None else str(row[by])[:10],
            "kind": name,
            "low": row[f"{kind}_low"],
            "high": row[f"{kind}_high"],
            "shown": f"{row[f'{kind}_low'] * 100:.1f}–{row[f'{kind}_high'] * 100:.1f} %",
            "cost": _money(row["list_cost"]),
        }
        for row in rows
        for kind, name in kinds.items()
        if row[f"{kind}_low"] is not None
    ]


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as rows that a chart can hold: floats for amounts, visible text, None for nothing."""
    return [{name: _plain_value(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain_value(value: Any) -> Any:
    if showing.is_missing(value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return showing.visible(value) if isinstance(value, str) else value


def _money(value: float) -> str:
    return showing.dollars(Decimal(repr(value)))


def _word(name: str) -> str:
    return {"owner_team": "team", "workflow_id": "workflow"}.get(name, name.replace("_", " "))


def _order(rows: Sequence[dict[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(row[name] for row in rows))


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    import altair as alt

    return alt.Data(values=rows)


def _finish(chart: Any, title: str, subtitle: str | None = None, view: str | None = LINE) -> Any:
    """Give every chart the same ground, type and title."""
    import altair as alt

    head = alt.TitleParams(title, **({"subtitle": subtitle} if subtitle else {}))
    return (
        chart.properties(title=head)
        .configure(background=GROUND, font=_FONT, padding=14)
        .configure_title(anchor="start", fontSize=15, color=INK, subtitleColor=QUIET, subtitleFontSize=12, offset=12)
        .configure_view(stroke=view)
        .configure_axis(labelColor=INK, titleColor=QUIET, gridColor=LINE, domainColor=LINE, tickColor=LINE)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=260)
        .configure_legend(
            labelColor=INK, titleColor=QUIET, labelFontSize=12, titleFontSize=12, titleFontWeight="normal"
        )
    )


def _live(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    shown = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    picture = base64.b64encode(vl_convert.vegalite_to_png(spec, scale=1)).decode()
    return {"application/vnd.vegalite.v5+json": shown, "image/png": picture, "text/plain": _as_text(spec)}


def _static(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": _as_text(spec)}


def _as_text(spec: dict[str, Any]) -> str:
    title = spec.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return f"<chart: {text if isinstance(text, str) else json.dumps(text)}>"
