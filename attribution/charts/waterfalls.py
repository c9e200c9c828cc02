"""Waterfalls: from one total to another in named steps, and the drivers of a change by family."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attribution import showing
from attribution.charts.style import (
    GREEN,
    INK,
    ORANGE,
    QUIET,
    data,
    distinct,
    dollar_axis,
    finish,
    nothing,
    plain_rows,
    signed,
)
from attribution.errors import QuestionError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

#: Colour and words: orange raises, green lowers. Position and sign say the same, for whoever sees no colour.
_KINDS = {"total": QUIET, "adds": ORANGE, "takes away": GREEN}
#: More steps than this nobody reads; the smallest are summed up.
_MAX_STEPS = 24
#: Longer names of steps are cut; what is longer than a line stands on two.
_MAX_LABEL, _LINE = 84, 42
#: In which order a change is told: how much, with what, on what, at what price.
FAMILIES = ("volume", "usage", "mix", "price", "portfolio", "coverage")


def waterfall(steps: pd.DataFrame, title: str = "From one total to the other", cost_name: str = "cost") -> Any:
    """Show how one total becomes another, in named steps that add up; totals stand on zero.

    `steps` holds `label`, `kind` (`total`, or what the step is) and either `amount` [USD] or `start` and `end` [USD],
    in drawing order. Steps of nothing are left out; beyond two dozen the smallest between two totals are summed up.
    """
    spans = _spans(showing.rows(steps))
    bars = _folded([bar for bar in spans if bar["is_total"] or bar["start"] != bar["end"]])
    return _drawn(bars, title, "each step starts where the one before ends", cost_name)


def drivers(rows: pd.DataFrame, expand: str | Sequence[str] = (), title: str = "Why did cost change?") -> Any:
    """Show a change as the sum of its driver families; families named in `expand`, or `all`, open into drivers.

    From `explain_change(...).drivers`: `family`, `driver`, `effect` [USD].
    """
    told = showing.rows(rows)
    families = sorted({row["family"] for row in told}, key=lambda name: (_place(name), name))
    opened = families if expand == "all" else [expand] if isinstance(expand, str) else list(expand)
    unknown = [name for name in opened if name not in families]
    if unknown:
        raise QuestionError.bad_argument("expand", ", ".join(unknown), f"families: {', '.join(families)}, or all")
    steps: list[dict[str, Any]] = []
    for family in families:
        parts = [row for row in told if row["family"] == family and row["effect"]]
        if family in opened:
            steps += [
                {"label": row["driver"], "kind": "effect", "family": family, "amount": row["effect"]} for row in parts
            ]
        elif parts:
            amount = sum((row["effect"] for row in parts), Decimal(0))
            steps.append({"label": f"{family} ({len(parts)})", "kind": "effect", "family": family, "amount": amount})
    total = sum((step["amount"] for step in steps), Decimal(0))
    steps.append({"label": "change", "kind": "total", "family": None, "amount": total})
    return _drawn(_spans(steps), title, "by family; in brackets how many drivers a family sums up", "change in cost")


def _place(family: str) -> int:
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)


def _spans(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return bars with exact ends; amounts add up from the last total."""
    bars = []
    level = Decimal(0)
    for row in rows:
        is_total = row["kind"] == "total"
        if "end" in row:
            start, end = Decimal(row["start"]), Decimal(row["end"])
        else:
            start = Decimal(0) if is_total else level
            end = start + Decimal(row["amount"])
        level = end
        family = row.get("family")
        bars.append({"label": str(row["label"]), "is_total": is_total, "start": start, "end": end, "family": family})
    return bars


def _folded(bars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum up the smallest steps of the longest run, so that the bars stay readable and still add up."""
    steps = [bar for bar in bars if not bar["is_total"]]
    if len(steps) <= _MAX_STEPS:
        return bars
    kept = sorted(steps, key=lambda bar: -abs(bar["end"] - bar["start"]))[: _MAX_STEPS - 1]
    folded: list[dict[str, Any]] = []
    level, rest, hidden = Decimal(0), Decimal(0), 0
    for bar in [*bars, None]:
        if bar is None or bar["is_total"]:
            if hidden:
                label = f"{hidden:,} smaller steps"
                folded.append({"label": label, "is_total": False, "start": level, "end": level + rest, "family": None})
            if bar is not None:
                folded.append(bar)
                level, rest, hidden = bar["end"], Decimal(0), 0
        elif any(bar is one for one in kept):
            size = bar["end"] - bar["start"]
            folded.append(bar | {"start": level, "end": level + size})
            level += size
        else:
            rest += bar["end"] - bar["start"]
            hidden += 1
    return folded


def _drawn(bars: list[dict[str, Any]], title: str, subtitle: str, cost_name: str) -> alt.LayerChart:
    import altair as alt

    if not bars:
        return nothing(title, "There is no step to show: both totals are the same or nothing was compared.")
    labels = distinct([showing.visible(bar["label"], _MAX_LABEL) for bar in bars])
    rows = [_row(bar, label, place) for place, (bar, label) in enumerate(zip(bars, labels, strict=True))]
    rows = plain_rows(rows)
    lowest = min([0.0, *(min(row["start"], row["end"]) for row in rows)])
    highest = max([0.0, *(max(row["start"], row["end"]) for row in rows)])
    axis = dollar_axis(f"{cost_name} [USD]", max(highest, -lowest), 1)
    width = (highest - lowest) or 1
    axis["scale"] = alt.Scale(domain=[lowest - 0.16 * width * (lowest < 0), highest + 0.2 * width], nice=False)
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("label:N", sort=labels, title=None, scale=alt.Scale(domain=labels), axis=_label_axis()),
        tooltip=[
            alt.Tooltip("label:N", title="step"),
            alt.Tooltip("shown:N", title=cost_name),
            alt.Tooltip("stands:N", title="stands at"),
            alt.Tooltip("family:N", title="family"),
        ],
    )
    colors = alt.Scale(domain=list(_KINDS), range=list(_KINDS.values()))
    bar = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("start:Q", **axis),
        x2="end:Q",
        color=alt.Color("kind:N", title=None, scale=colors, legend=alt.Legend(orient="top")),
    )
    text = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(x="right:Q", text="shown:N")
    step = 27 if max(map(len, labels)) <= _LINE else 40
    zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=INK, strokeWidth=1).encode(x="zero:Q")
    joint = (
        base.mark_tick(orient="vertical", thickness=1, color=INK, height={"band": 1}).encode(
            x="end:Q"
        )  # where the next begins
    )
    return finish(
        alt.layer(alt.layer(bar, joint, text), zero).properties(width=520, height=alt.Step(step)), title, subtitle
    )


def _label_axis() -> alt.Axis:
    """Break long names of steps in two at a space: a step whose end is cut cannot be told from its neighbour."""
    import altair as alt

    label = "datum.label"
    place = f"(floor(length({label}) / 2) - 4)"
    space = f"indexof(slice({label}, {place}), ' ')"
    halves = f"[slice({label}, 0, {place} + {space}), slice({label}, {place} + {space} + 1)]"
    return alt.Axis(labelExpr=f"length({label}) > {_LINE} && {space} >= 0 ? {halves} : {label}", labelLimit=340)


def _row(bar: dict[str, Any], label: str, place: int) -> dict[str, Any]:
    size = bar["end"] - bar["start"]
    return {
        "label": label,
        "kind": "total" if bar["is_total"] else "adds" if size >= 0 else "takes away",
        "start": bar["start"],
        "end": bar["end"],
        "right": max(bar["start"], bar["end"]),
        "shown": showing.dollars(bar["end"]) if bar["is_total"] else signed(size),
        "stands": showing.dollars(bar["end"]),
        "family": bar["family"],
        "place": place,
    }
