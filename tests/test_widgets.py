from __future__ import annotations

import builtins
import html
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from attribution import showing, widgets
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from tests.examples import call, ledger_of
from tests.invoice_examples import charged

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _nothing_chosen_before() -> Iterator[None]:
    widgets.forget()
    yield
    widgets.forget()


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return at.build_ledger(at.sample_path("traces/captured"), quiet=True)


@pytest.fixture(scope="module")
def weeks() -> Ledger:
    """Four weeks; each has one call nobody owns, and the last one call without a price."""
    return ledger_of(
        *(
            call(
                f"{week}-{n}",
                started_at=datetime(2026, 9, 28) + timedelta(weeks=week, hours=n),
                owner_team=None if n == 0 else ("support", "search")[n % 2],
                provider=("openai", "anthropic")[n % 2],
                feature=("draft", "rank")[n % 2],
                input_tokens=1000 * (week + 1) * (n + 1),
                list_cost=None if (week, n) == (3, 0) else str(n + 1),
            )
            for week in range(4)
            for n in range(5)
        )
    )


def test_a_choice_of_team_shows_what_the_plain_question_answers(weeks: Ledger) -> None:
    panel = widgets.spend_explorer(weeks)

    panel.controls["team"].value = "search"
    panel.controls["provider"].value = "anthropic"

    rows = widgets.explore_spend(weeks, team="search", provider="anthropic")
    assert [(row["feature"], row["list_cost"]) for row in rows.to_dict("records")] == [("rank", Decimal(24))]
    assert "$24.00" in panel.html
    panel.controls["provider"].value = "openai"
    assert widgets.explore_spend(weeks, team="search", provider="openai").empty
    assert "No call of this team and provider is in this period." in panel.html


def test_a_period_is_chosen_alone_and_later_cells_can_ask_which(weeks: Ledger) -> None:
    panel = widgets.period_selector(weeks, over="week")
    assert panel.chosen["period"] is None

    panel.controls["period"].value = "2026-W41"

    rows = widgets.explore_spend(weeks, period="2026-W41", by="owner_team")
    assert [showing.dollars(cost) for cost in rows["list_cost"]] == ["$8.00", "$6.00", "$1.00"]
    assert all(showing.dollars(cost) in panel.html for cost in rows["list_cost"])
    again = widgets.period_selector(weeks, over="week")
    assert (again.chosen["period"], again.html) == ("2026-W41", panel.html)


def test_a_team_is_chosen_alone_and_stays_chosen_when_the_cell_runs_again(weeks: Ledger) -> None:
    panel = widgets.team_selector(weeks, "search")
    assert "rank" in panel.html
    assert "draft" not in panel.html[panel.html.index("<table") :]

    panel.controls["team"].value = "support"

    assert widgets.team_selector(weeks, "search").chosen["team"] == "support"
    rows = widgets.explore_spend(weeks, team="support", by="feature")
    assert list(rows["feature"]) == ["draft"]
    assert showing.dollars(rows["list_cost"].item()) in panel.html


def test_moving_the_threshold_changes_which_weeks_pass(weeks: Ledger) -> None:
    panel = widgets.threshold_slider(weeks)
    assert "3 of 4 weeks above 2.0 %, 1 more perhaps" in panel.html

    panel.controls["percent"].value = 50

    assert "0 of 4 weeks above 50.0 %." in panel.html
    assert "--max-unattributed 50%" in panel.html


def test_a_share_that_calls_without_a_price_leave_open_is_not_called_within(weeks: Ledger) -> None:
    verdicts = widgets.over_threshold(weeks, Decimal("0.05"))["verdict"]

    assert list(verdicts) == ["over", "over", "over", "maybe"]


def test_every_policy_moves_dollars_and_makes_none(weeks: Ledger) -> None:
    for policy in widgets.POLICIES:
        rows = widgets.try_policy(weeks, policy)
        assert sum(rows["before"], Decimal(0)) == sum(rows["after"], Decimal(0)) == Decimal(59)
    evenly = widgets.try_policy(weeks, "evenly").set_index("owner_team")["allocated"]
    assert evenly["search"] == evenly["support"] == Decimal("1.5")
    assert widgets.try_policy(weeks, "leave it with nobody").iloc[-1]["after"] == Decimal(3)
    with pytest.raises(QuestionError, match="in proportion to direct cost"):
        widgets.try_policy(weeks, "by the weather")


def test_another_policy_is_seen_at_once(weeks: Ledger) -> None:
    panel = widgets.policy_chooser(weeks)
    before = panel.html

    panel.controls["policy"].value = "leave it with nobody"

    assert "$0.00 move to teams" in panel.html
    assert panel.html != before


def test_a_request_is_found_by_the_beginning_of_any_id(ledger: Ledger) -> None:
    event = ledger.rows("select cast(event_id as varchar), request_id from cost_event order by event_id limit 1")[0]

    assert list(widgets.find_requests(ledger, event[0][:13])["request_id"]) == [event[1]]
    assert list(widgets.find_requests(ledger, event[1][:20].upper(), n=1)["request_id"])
    assert widgets.find_requests(ledger, "no such id").empty


def test_walking_to_a_call_shows_its_evidence(ledger: Ledger) -> None:
    panel = widgets.trace_explorer(ledger)
    assert "request" in panel.html
    chosen = panel.controls["call"].options[1][1]

    panel.controls["call"].value = chosen

    assert "Who owns it, and who says so" in panel.html
    assert "Which records show it" in panel.html
    panel.controls["search"].value = "nothing begins so"
    assert panel.chosen["request"] is None
    assert "No request, trace, call, event or response id begins with" in panel.html


def test_a_file_is_inspected_as_soon_as_it_is_picked() -> None:
    folder = at.sample_path("traces/article")
    panel = widgets.file_picker(folder)

    panel.controls["file"].value = next(
        name for name in widgets.list_files(folder) if name.endswith("broken_trace.json")
    )

    assert "broken_trace.json" in panel.html
    assert "Source: " in panel.html
    panel.controls["folder"].value = "/no/such/folder"
    assert "expected a folder that is there" in panel.html


def test_hidden_files_and_too_many_files_are_not_offered(tmp_path: Path) -> None:
    for name in [".env", *(f"{n:04d}.jsonl" for n in range(600))]:
        (tmp_path / name).touch()

    files = widgets.list_files(tmp_path)

    assert len(files) == 500
    assert files[0] == "0000.jsonl"


def test_opening_a_family_of_drivers_changes_the_picture_and_not_the_change() -> None:
    days = [datetime(2026, 10, 5), datetime(2026, 10, 12)]
    calls = [call(f"{day}-{n}", started_at=days[day], list_cost="2") for day in range(2) for n in range(3 + 2 * day)]
    ledger = ledger_of(*calls)
    panel = widgets.driver_explorer(ledger)
    before = panel.html

    panel.controls["family"].value = "volume"

    assert panel.html != before
    assert panel.html.count("<img") == 1
    assert all("Spend rose 67 % ($4.00)" in html for html in (before, panel.html))


def test_two_periods_that_cannot_be_compared_are_a_sentence(weeks: Ledger) -> None:
    said, steps = widgets.compare_periods(weeks, "2026-W40", "2026-W41")
    assert said == at.explain_change(weeks, "2026-W40", "2026-W41").headline
    assert list(steps["kind"])[-1] == "total"

    said, steps = widgets.compare_periods(weeks, "2025-W01", "2026-W41", {"owner_team": "support"})
    assert said.startswith("this ledger has no ")
    assert steps.empty


def test_without_an_unusual_day_the_picker_says_so() -> None:
    days = (datetime(2026, 9, 1) + timedelta(days=n) for n in range(40))
    ledger = ledger_of(*(call(f"{day}", started_at=day) for day in days))

    panel = widgets.anomaly_picker(ledger, at.find_anomalies(ledger))

    assert "No unusual day" in panel.html


def test_running_the_cell_again_shows_the_same_choice(weeks: Ledger) -> None:
    widgets.spend_explorer(weeks).controls["team"].value = "search"

    again = widgets.spend_explorer(weeks)

    assert again.chosen["team"] == "search"
    assert widgets.spend_explorer(weeks, key="another").chosen["team"] is None


def test_a_choice_that_is_no_longer_there_is_forgotten(weeks: Ledger) -> None:
    widgets.spend_explorer(weeks).controls["team"].value = "search"

    other = widgets.spend_explorer(ledger_of(call("a", owner_team="support")))

    assert other.chosen["team"] is None


def test_hostile_names_stay_text_in_every_answer() -> None:
    event = call("a", owner_team=HOSTILE, feature=HOSTILE, service=HOSTILE, model=HOSTILE, trace_id=HOSTILE)
    ledger = ledger_of(event, call("b", owner_team=None, feature=HOSTILE, trace_id=HOSTILE))
    at.price_events(ledger)
    panels = [
        widgets.spend_explorer(ledger),
        widgets.policy_chooser(ledger),
        widgets.trace_explorer(ledger),
        widgets.driver_explorer(ledger, "2026-10-05", "2026-10-05"),
    ]
    panels[2].controls["call"].value = panels[2].controls["call"].options[1][1]
    panels[0].controls["by"].value = "owner_team"

    assert all("<script" not in panel.html for panel in panels)
    assert "&lt;/script&gt;" in panels[0].html


def test_what_a_notebook_keeps_of_a_widget_is_the_same_every_time(weeks: Ledger) -> None:
    kept = [widgets.spend_explorer(weeks)._repr_mimebundle_()["text/plain"] for _ in range(2)]

    assert kept == ["<spend explorer: period, team, provider, by>"] * 2


def test_without_ipywidgets_the_message_says_what_to_install(weeks: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return there(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(QuestionError, match=r"pip install 'attribution\[notebooks\]'"):
        widgets.spend_explorer(weeks)
    assert not widgets.explore_spend(weeks).empty


def test_a_statement_is_seen_by_month_rules_and_team(weeks: Ledger) -> None:
    panel = widgets.statement_viewer(weeks, {"none": None}, "2026-10", "search")

    stated = at.charge_back(weeks, "2026-10")
    assert stated.headline in html.unescape(panel.html)
    panel.controls["team"].value = "support"
    assert "draft" in panel.html
    assert "rank" not in panel.html


def test_an_export_button_writes_one_file_and_springs_back(weeks: Ledger, tmp_path: Path) -> None:
    panel = widgets.export_buttons(weeks, "2026-10", None, str(tmp_path))
    assert list(tmp_path.iterdir()) == []

    panel.controls["journal"].value = True

    assert [path.name for path in tmp_path.iterdir()] == ["2026-10-journal.csv"]
    assert panel.controls["journal"].value is False
    assert "of journal in" in panel.html


def test_a_choice_of_provider_and_month_tells_its_bridge_and_its_worst_cells() -> None:
    ledger = ledger_of(
        call("a", input_tokens=4_000_000, output_tokens=0, model="gpt-5-mini"),
        bill_line=[charged("l", billed_cost="1.50"), charged("m", provider="azure", source="azure_cost")],
    )
    at.price_events(ledger)
    panel = widgets.bill_explorer(ledger)

    panel.controls["provider"].value = "openai"

    found = at.reconcile(ledger, "2026-10", "openai")
    assert widgets.list_bills(ledger) == (["2026-10"], ["azure", "openai"])
    assert found.headline.replace("'", "&#x27;") in panel.html
    assert widgets.gaps_by_day(found)["gap"].sum() == found.days["gap"].sum()
    assert list(widgets.worst_cells(found)["gap"]) == [Decimal("0.50")]
