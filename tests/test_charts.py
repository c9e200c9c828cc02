from __future__ import annotations

import itertools
import json
import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution import charts
from attribution.charts import style, waterfalls
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from tests.examples import call, ledger_of

HOSTILE = "</script><script>alert(1)</script>\u202e"


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return at.build_ledger(at.sample_path("traces/captured"), quiet=True)


@pytest.fixture(scope="module")
def pictures(ledger: Ledger) -> dict[str, Any]:
    return gallery(ledger)


def weeks() -> Ledger:
    return ledger_of(
        *(
            call(
                f"{week}-{n}",
                started_at=datetime(2026, 8, 3) + timedelta(weeks=week, hours=n),
                owner_team=None if n == 0 else f"team {n:02d}",
                list_cost=None if n == 7 else str(n + 1),
            )
            for week in range(4)
            for n in range(15)
        ),
        call("hostile", owner_team=HOSTILE, list_cost="99"),
    )


STEPS = pd.DataFrame(
    [
        {"label": "ledger", "kind": "total", "amount": Decimal("56.47")},
        {"label": "calls without a record", "kind": "effect", "amount": Decimal("12.30")},
        {"label": "nothing at all", "kind": "effect", "amount": Decimal(0)},
        {"label": "negotiated price", "kind": "effect", "amount": Decimal("-3.20")},
        {"label": "unexplained", "kind": "effect", "amount": Decimal("0.04")},
        {"label": "invoice", "kind": "total", "amount": Decimal("65.61")},
    ]
)
DRIVERS = pd.DataFrame(
    [
        {"family": "volume", "driver": "traffic", "effect": Decimal("-0.45")},
        {"family": "price", "driver": "unit price", "effect": Decimal("1.20")},
        {"family": "volume", "driver": "retries", "effect": Decimal("0.10")},
        {"family": "usage", "driver": "reasoning", "effect": Decimal(0)},
    ]
)
GAPS = pd.DataFrame(
    {
        "day": [date(2026, 10, 1) + timedelta(days=n) for n in range(31)],
        "gap": [Decimal(n % 5 - 2) * Decimal("0.30") for n in range(31)],
        "billed": [Decimal(n) for n in range(31)],
    }
)
SPENT = pd.DataFrame(
    {
        "day": [date(2026, 9, 1) + timedelta(days=n) for n in range(40)],
        "cost": [Decimal(10 if n == 30 else n % 7) for n in range(40)],
        "expected": [None if n < 7 else Decimal(n % 7) for n in range(40)],
        "low": [None if n < 7 else Decimal(0) for n in range(40)],
        "high": [None if n < 7 else Decimal(8) for n in range(40)],
        "is_alert": [n == 30 for n in range(40)],
        "slice": ["support / ticket-triage"] * 40,
    }
)
TEAMS = pd.DataFrame(
    [
        {"owner_team": "support", "before": Decimal("19.85"), "after": Decimal("21.05")},
        {"owner_team": "search", "before": Decimal("4.80"), "after": Decimal("5.10")},
        {"owner_team": None, "before": Decimal("1.50"), "after": Decimal(0)},
    ]
)


def gallery(ledger: Ledger) -> dict[str, Any]:
    audit = at.audit(ledger)
    dearest = at.dearest_requests(ledger, 1)["request_id"][0]
    return {
        "waterfall": charts.waterfall(STEPS, "From the ledger to the invoice"),
        "drivers": charts.drivers(DRIVERS),
        "drivers, one family open": charts.drivers(DRIVERS, expand=["volume"]),
        "calendar of gaps": charts.gap_calendar(GAPS),
        "spend beside its expected range": charts.spend_band(SPENT),
        "allocation": charts.allocation(TEAMS),
        "spend over time": charts.spend_over_time(at.roll_up(ledger, "day", "owner_team"), "day"),
        "pareto": charts.pareto(at.measure_coverage(ledger, "hop")),
        "hop ribbons": charts.hop_ribbons(at.hop_flows(ledger)),
        "icicle": charts.icicle(at.fan_out(ledger, dearest)),
        "coverage by hop": charts.coverage_by_hop(at.field_coverage(ledger)),
        "unattributed": charts.unattributed(at.measure_coverage(ledger, "day"), "day"),
        "spend": charts.spend(at.roll_up(ledger, "owner_team")),
        "ladder": charts.evidence_ladder(audit.shares),
        "hops": charts.hop_costs(audit.hops),
        "fan-out": charts.fan_out(at.fan_out(ledger, dearest)),
        "patterns": charts.patterns(audit.patterns),
    }


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """Return the rows of all data of a chart."""

    def within(spec: dict[str, Any]) -> list[dict[str, Any]]:
        own = spec["data"]["values"] if "data" in spec else []
        return [*own, *(row for part in spec.get("layer", []) for row in within(part))]

    return within(chart.to_dict())


def values(chart: Any, name: str) -> list[Any]:
    """Return one field of all rows of a chart."""
    return [row[name] for row in rows_of(chart) if name in row]


def test_every_picture_is_drawn_as_png_and_the_same_twice(ledger: Ledger, pictures: dict[str, Any]) -> None:
    first = {name: charts.to_png(chart, 1) for name, chart in pictures.items()}
    again = {name: charts.to_png(chart, 1) for name, chart in gallery(ledger).items()}

    assert all(picture.startswith(b"\x89PNG") and len(picture) > 4000 for picture in first.values())
    assert first == again


def test_every_picture_has_a_title_a_light_ground_and_few_rows(pictures: dict[str, Any]) -> None:
    for chart in pictures.values():
        spec = chart.to_dict()
        assert spec["title"]["text"]
        assert spec["config"]["background"] == "#FFFFFF"
        assert 0 < len(rows_of(chart)) < 2000


def test_every_word_of_a_picture_can_be_read_whatever_theme_surrounds_it(pictures: dict[str, Any]) -> None:
    """A dark theme of JupyterLab gives its own colour, white, to every text that names none."""
    guides = {"title": ("color", "subtitleColor"), "axis": ("labelColor", "titleColor")}
    guides |= {"legend": ("labelColor", "titleColor")}
    for name, chart in pictures.items():
        spec = chart.to_dict()
        for guide, parts in guides.items():
            told = [spec["config"][guide].get(part, "#FFFFFF") for part in parts]
            assert [contrast(color, spec["config"]["background"]) > 4.5 for color in told] == [True, True], (
                name,
                guide,
            )
        assert [mark for mark in text_marks(spec) if not mark] == [], name


def text_marks(spec: dict[str, Any]) -> list[bool]:
    """Return for each mark of text whether its colour is said."""
    own = []
    if isinstance(spec.get("mark"), dict) and spec["mark"]["type"] == "text":
        own = ["color" in spec["mark"] or "color" in spec.get("encoding", {})]
    return [*own, *(mark for part in spec.get("layer", []) for mark in text_marks(part))]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    low, high = sorted(luminance(color) + 0.05 for color in (one, other))
    return high / low


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_pictures_of_nothing_are_drawn_too() -> None:
    empty = ledger_of()

    pictures = [
        charts.waterfall(STEPS.head(0)),
        charts.drivers(DRIVERS.head(0)),
        charts.gap_calendar(GAPS.head(0)),
        charts.spend_band(SPENT.head(0)),
        charts.allocation(TEAMS.head(0)),
        charts.spend_over_time(at.roll_up(empty, "week", "owner_team")),
        charts.pareto(at.measure_coverage(empty, "hop")),
        charts.hop_ribbons(at.hop_flows(empty)),
        charts.fan_out(at.fan_out(empty)),
        charts.icicle(at.fan_out(empty)),
        charts.coverage_by_hop(at.field_coverage(empty)),
        charts.unattributed(at.measure_coverage(empty, "week")),
        charts.spend(at.roll_up(empty, "owner_team")),
        charts.evidence_ladder(at.measure_coverage(empty)),
        charts.hop_costs(at.broken_hops(empty)),
    ]

    assert [charts.to_png(chart, 1)[:4] for chart in pictures] == [b"\x89PNG"] * 15


def test_top_teams_and_others_add_up_to_all_spend() -> None:
    ledger = weeks()
    chart = charts.spend(at.roll_up(ledger, "owner_team"), top=5)

    shown = values(chart, "list_cost")

    assert len(shown) == 6
    assert sum(Decimal(repr(cost)) for cost in shown) == ledger.value("select sum(list_cost) from cost_event")


def test_a_team_has_one_colour_whoever_else_is_there() -> None:
    teams = [f"team {n}" for n in range(60)]
    together = style.team_colors(teams)

    assert [style.team_colors([team])[team] for team in teams] == list(together.values())
    assert set(together.values()) == set(style.TEAM_COLORS)
    assert style.LOST not in style.TEAM_COLORS


def test_many_hops_are_cut_to_those_with_most_records_and_say_so() -> None:
    rows = [
        {"hop": f"hop {n}", "basis": "spans", "field": "feature", "records": n + 1, "carrying": 0, "share": Decimal(0)}
        for n in range(40)
    ]

    chart = charts.coverage_by_hop(pd.DataFrame(rows), top=10)

    assert min(values(chart, "records")) == 31
    assert "the 10 of 40 hops" in chart.to_dict()["title"]["subtitle"]


def test_the_band_of_calls_without_a_price_is_drawn() -> None:
    chart = charts.unattributed(at.measure_coverage(weeks(), "week"))

    rows = [row for row in rows_of(chart) if "low" in row]

    assert {row["kind"] for row in rows} == {"not declared at the call", "unowned after recovery"}
    assert all(row["low"] <= row["high"] for row in rows)


def test_a_large_request_shows_its_dearest_hops_and_counts_the_rest() -> None:
    ledger = ledger_of(*(call(f"c{n:03d}", trace_id="t", list_cost=str(n)) for n in range(100)))

    labels = values(charts.fan_out(at.fan_out(ledger, "t")), "label")

    assert labels[-1] == "and 69 cheaper hops and calls"
    assert len(labels) == 33


def test_hostile_names_stay_text() -> None:
    chart = charts.spend(at.roll_up(weeks(), "owner_team"))

    assert HOSTILE not in values(chart, "name")
    assert HOSTILE.replace("\u202e", "\\u202e") in values(chart, "name")
    assert "<script>" not in charts.to_svg(chart)


def test_the_live_renderer_gives_jupyterlab_what_it_can_draw_and_others_a_picture(ledger: Ledger) -> None:
    import altair

    charts.enable("live")
    bundle = altair.renderers.get()(charts.evidence_ladder(at.measure_coverage(ledger)).to_dict())

    assert sorted(bundle) == ["application/vnd.vegalite.v5+json", "image/png", "text/plain"]
    assert bundle["application/vnd.vegalite.v5+json"]["$schema"].endswith("/vega-lite/v5.json")
    assert bundle["text/plain"] == "<chart: Owner by evidence>"
    json.dumps(bundle)


def test_the_static_renderer_needs_no_script(ledger: Ledger) -> None:
    import altair

    charts.enable("static")
    bundle = altair.renderers.get()(charts.evidence_ladder(at.measure_coverage(ledger)).to_dict())
    charts.enable("live")

    assert sorted(bundle) == ["image/svg+xml", "text/plain"]
    assert bundle["image/svg+xml"].startswith("<svg")


def test_an_unknown_renderer_is_refused() -> None:
    with pytest.raises(QuestionError, match="live, static"):
        charts.enable("fancy")


def exact(amounts: list[float]) -> Decimal:
    return sum((Decimal(repr(amount)) for amount in amounts), Decimal(0))


def test_steps_of_a_waterfall_lead_from_one_total_to_the_other() -> None:
    bars = rows_of(charts.waterfall(STEPS))

    spans = [(bar["start"], bar["end"]) for bar in bars if "start" in bar]
    assert spans == [(0, 56.47), (56.47, 68.77), (68.77, 65.57), (65.57, 65.61), (0, 65.61)]
    assert [bar["kind"] for bar in bars if "kind" in bar] == ["total", "adds", "takes away", "adds", "total"]


def test_a_waterfall_whose_bars_are_given_draws_them_as_they_are() -> None:
    steps = pd.DataFrame(
        [
            {"label": "before", "kind": "total", "start": Decimal(0), "end": Decimal(5), "family": None},
            {"label": "volume", "kind": "effect", "start": Decimal(5), "end": Decimal(3), "family": "volume"},
            {"label": "after", "kind": "total", "start": Decimal(0), "end": Decimal(3), "family": None},
        ]
    )

    assert values(charts.waterfall(steps), "end") == [5, 3, 3]


def test_many_steps_are_summed_up_and_still_lead_to_the_end() -> None:
    steps = [{"label": f"cause {n}", "kind": "effect", "amount": Decimal(n + 1)} for n in range(60)]
    whole = [{"label": "ledger", "kind": "total", "amount": Decimal(10)}, *steps]

    bars = [row for row in rows_of(charts.waterfall(pd.DataFrame(whole))) if "end" in row]

    assert len(bars) == 25
    assert bars[-1]["label"] == "37 smaller steps"
    assert bars[-1]["end"] == 10 + sum(range(61))


def test_a_long_step_is_named_whole_on_two_lines() -> None:
    name = "Prepaid usage: what the invoice leaves out because it was paid ahead of it"
    steps = pd.concat([STEPS.head(1), STEPS.iloc[1:2].assign(label=name), STEPS.tail(1)])

    chart = charts.waterfall(steps)

    assert values(chart, "label")[:3] == ["ledger", name, "invoice"]
    svg = charts.to_svg(chart)
    assert ">Prepaid usage: what the invoice leaves</tspan>" in svg
    assert ">out because it was paid ahead of it</tspan>" in svg
    short = charts.waterfall(STEPS)
    assert short.to_dict()["height"] == {"step": 27}
    assert "tspan" not in charts.to_svg(short)


def test_families_of_drivers_add_up_to_the_change_open_or_not() -> None:
    total = sum(DRIVERS["effect"], Decimal(0))

    for opened in ((), ["volume"], "all"):
        bars = [row for row in rows_of(charts.drivers(DRIVERS, expand=opened)) if "end" in row]
        assert Decimal(repr(bars[-1]["end"])) == total == Decimal(repr(bars[-2]["end"]))
    with pytest.raises(QuestionError, match="families: volume, usage, price"):
        charts.drivers(DRIVERS, expand="weather")


def test_spend_over_time_adds_up_to_all_spend_whatever_is_summed_up() -> None:
    ledger = weeks()

    bands = rows_of(charts.spend_over_time(at.roll_up(ledger, "week", "owner_team"), top=3))

    assert exact([band["cost"] for band in bands]) == ledger.value("select sum(list_cost) from cost_event")
    assert {band["name"] for band in bands} > {"12 others", "no team"}


def test_only_the_last_of_many_periods_are_shown_and_the_chart_says_so() -> None:
    days = [f"{date(2024, 1, 1) + timedelta(days=n)}" for n in range(900)]
    rows = pd.DataFrame({"day": days, "owner_team": ["support"] * 900, "list_cost": [Decimal(1)] * 900})

    chart = charts.spend_over_time(rows, "day")

    assert len(rows_of(chart)) == style.MAX_PERIODS
    assert chart.to_dict()["title"]["subtitle"].startswith("the last 400 of 900 days")


def test_the_running_share_of_a_pareto_ends_at_everything() -> None:
    rows = pd.DataFrame({"hop": [f"hop {n}" for n in range(30)], "not_declared": [Decimal(n) for n in range(30)]})

    bars = rows_of(charts.pareto(rows, top=5))

    assert exact([bar["cost"] for bar in bars]) == Decimal(435)
    assert (bars[-1]["name"], bars[-1]["running"]) == ("24 others", "100.0 %")


def test_an_allocation_shows_both_sums_so_that_a_lost_dollar_would_be_seen() -> None:
    chart = charts.allocation(TEAMS)

    assert chart.to_dict()["title"]["subtitle"].count("$26.15 in all") == 2
    assert values(chart, "moved") == ["+$1.20", "+$0.30", "-$1.50"]


def test_a_gap_below_a_cent_is_drawn_as_equal() -> None:
    days = pd.DataFrame({"day": ["2026-10-01", "2026-10-02"], "gap": [Decimal("0.004"), Decimal("-0.30")]})

    assert values(charts.gap_calendar(days), "short") == ["", "-0.30"]


def test_a_day_without_an_expected_range_says_so() -> None:
    ranges = values(charts.spend_band(SPENT), "range")

    assert (ranges[0], ranges[-1]) == ("not yet known", "$0.00 to $8.00")
    assert values(charts.spend_band(SPENT), "flag").count("flagged") == 1


def test_a_day_stands_at_its_date_in_whatever_zone_it_is_drawn() -> None:
    chart = charts.spend_band(SPENT)

    assert all(day.endswith("T00:00:00Z") for day in values(chart, "day"))
    scales = [layer["encoding"]["x"]["scale"] for layer in chart.to_dict()["layer"]]
    assert scales == [{"type": "utc"}] * 4


def test_a_change_point_is_marked_in_the_week_it_falls_in() -> None:
    changes = pd.DataFrame([{"first_day": "2026-08-12", "before": 0.1, "after": 0.4, "is_worse": True}])

    chart = charts.unattributed(at.measure_coverage(weeks(), "week"), "week", changes)

    marks = [row for row in rows_of(chart) if str(row.get("shown", "")).startswith("08-12")]
    assert {(row["period"], row["shown"]) for row in marks} == {("2026-W33", "08-12: 10 % → 40 %")}


def test_strands_of_a_ribbon_are_as_broad_as_their_dollars() -> None:
    hop = {"producer": "api", "consumer": "worker", "is_provider": False, "calls": 3, "list_cost": Decimal(4)}
    flows = pd.DataFrame([hop | {"carried": Decimal(3), "lost_here": Decimal(1), "lost_before": Decimal(0)}])

    points = [row for row in rows_of(charts.hop_ribbons(flows)) if "strand" in row and row["x"] == 0]

    breadth = {row["kind"]: round(row["bottom"] - row["top"], 6) for row in points}
    assert breadth["carries its team"] == pytest.approx(3 * breadth["loses its team here"])


def test_names_that_look_alike_once_cut_stay_two_bars() -> None:
    ledger = ledger_of(call("a", owner_team="x" * 50 + "1"), call("b", owner_team="x" * 50 + "2"))

    names = values(charts.spend(at.roll_up(ledger, "owner_team")), "name")

    assert len(set(names)) == 2


def test_teams_of_the_sample_company_have_colours_of_their_own() -> None:
    teams = pd.read_csv(at.sample_path("acme/config/teams.csv"))["team"]

    assert len(set(style.team_colors(teams).values())) == len(teams) == 8


def test_any_two_colours_can_be_told_apart_with_any_colour_vision() -> None:
    colors = [*style.TEAM_COLORS, style.LOST, style.GREY]

    for vision in COLOUR_VISION.values():
        seen = [seen_as(color, vision) for color in colors]
        assert min(math.dist(one, other) for one, other in itertools.combinations(seen, 2)) > 12


def test_what_stands_side_by_side_in_a_picture_can_be_told_apart_with_any_colour_vision() -> None:
    beside = {
        "waterfall": tuple(waterfalls._KINDS.values()),
        "patterns": (style.BLUE, style.LOST, style.ORANGE, style.GREY),
        "ribbons, calendar": (style.BLUE, style.LOST, style.ORANGE),
        "hops": (style.GREEN, style.LOST),
        "shares over time": (style.ORANGE, style.LOST),
        "ladder, kind by kind": (style.BLUE, style.GREEN, style.ORANGE, style.LOST),
    }
    for name, colors in beside.items():
        for vision in COLOUR_VISION.values():
            seen = [seen_as(color, vision) for color in colors]
            assert min(math.dist(one, other) for one, other in itertools.combinations(seen, 2)) > 12, name


#: Linear RGB as people with no fault of colour vision and with each of the three see it (Machado, Oliveira and
#: Fernandes 2009, severity 1).
COLOUR_VISION = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def seen_as(color: str, vision: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """Return a colour in CIELAB, where distance is about how different it looks."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    r, g, b = (min(1, max(0, sum(a * v for a, v in zip(row, linear, strict=True)))) for row in vision)
    x, y, z = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    f, h, k = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * h - 16, 500 * (f - h), 200 * (h - k)
