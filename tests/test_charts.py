from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution import charts
from attribution.charts import style
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from tests.examples import call, ledger_of

HOSTILE = "</script><script>alert(1)</script>\u202e"


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return at.build_ledger(at.sample_path("traces/captured"), quiet=True)


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


def gallery(ledger: Ledger) -> dict[str, Any]:
    audit = at.audit(ledger)
    dearest = at.dearest_requests(ledger, 1)["request_id"][0]
    return {
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
    spec = chart.to_dict()
    parts = [spec, *spec.get("layer", [])]
    return [row for part in parts if "data" in part for row in part["data"]["values"]]


def values(chart: Any, name: str) -> list[Any]:
    """Return one field of all rows of a chart."""
    return [row[name] for row in rows_of(chart) if name in row]


def test_every_picture_is_drawn_as_png_and_the_same_twice(ledger: Ledger) -> None:
    first = {name: charts.to_png(chart, 1) for name, chart in gallery(ledger).items()}
    again = {name: charts.to_png(chart, 1) for name, chart in gallery(ledger).items()}

    assert all(picture.startswith(b"\x89PNG") and len(picture) > 4000 for picture in first.values())
    assert first == again


def test_every_picture_has_a_title_a_light_ground_and_few_rows(ledger: Ledger) -> None:
    for chart in gallery(ledger).values():
        spec = chart.to_dict()
        assert spec["title"]["text"]
        assert spec["config"]["background"] == "#FFFFFF"
        assert 0 < len(rows_of(chart)) < 2000


def test_pictures_of_nothing_are_drawn_too() -> None:
    empty = ledger_of()

    pictures = [
        charts.coverage_by_hop(at.field_coverage(empty)),
        charts.unattributed(at.measure_coverage(empty, "week")),
        charts.spend(at.roll_up(empty, "owner_team")),
        charts.evidence_ladder(at.measure_coverage(empty)),
        charts.hop_costs(at.broken_hops(empty)),
    ]

    assert [charts.to_png(chart, 1)[:4] for chart in pictures] == [b"\x89PNG"] * 5


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
