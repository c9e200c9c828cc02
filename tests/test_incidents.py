from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attribution.errors import ConfigurationError, LedgerError, QuestionError, SourceError
from attribution.incidents import what_changed
from attribution.incidents.markers import read_markers
from attribution.ledger import Ledger
from tests.examples import call, identity, ledger_of

END = datetime(2026, 10, 20)
HOURS = 24 * 22


def live(
    planted: int = 0, until: dict[str, int] | None = None, cost: str = "1", renamed: bool = False, hours: int = HOURS
) -> Ledger:
    """Two sources with a call each hour; the last `planted` hours of triage are twice as dear by retries."""
    events: list[dict[str, Any]] = []
    observed: list[dict[str, Any]] = []
    for back in range(hours, 0, -1):
        at = END - timedelta(hours=back) + timedelta(minutes=59)
        for source, workflow, key in (("gateway", "triage", "key-1"), ("sdk", "draft", "key-2")):
            if back <= (until or {}).get(source, 0):
                continue
            attempts = 3 if workflow == "triage" and back <= planted else 1
            for attempt in range(1, attempts + 1):
                name = f"{workflow}-{back}-{attempt}"
                version = f"{workflow}-v5" if renamed and back <= 24 else f"{workflow}-v4"
                events.append(
                    call(
                        name,
                        trace_id=f"{workflow}-{back}",
                        call_id=f"{workflow}-{back}",
                        attempt_no=attempt,
                        attempt_role="primary" if attempt == 1 else "retry",
                        started_at=at,
                        workflow_id=version,
                        api_key_id=key,
                        list_cost=cost,
                    )
                )
                observed.append(_observed(name, source, at))
    family = [
        {"kind": "workflow", "name": f"{name}-v{version}", "family": name}
        for name in ("triage", "draft")
        for version in (4, 5)
    ]
    return ledger_of(*events, observation=observed, family=family)


def _observed(name: str, source: str, at: datetime) -> dict[str, Any]:
    return {
        "observation_id": identity(f"observed-{name}"),
        "native_id": name,
        "source": source,
        "role": "gateway_log",
        "file_id": source,
        "line": 1,
        "started_at": at,
        "is_metered": True,
    }


def test_quiet_hours_are_complete_and_unchanged() -> None:
    answer = what_changed(live())

    assert (answer.status, answer.running) == ("complete", 0)
    assert answer.headline == "Spend did not change: $48.00 in the mean of 3 earlier weeks' same days and in " + (
        "2026-10-19."
    )
    assert answer.sources["status"].tolist() == ["arrived", "arrived"]


def test_what_still_runs_is_named_with_its_carrier_and_dollars_an_hour() -> None:
    answer = what_changed(live(planted=5))

    assert answer.headline == (
        "Spend rose 21 % ($10.00): 100 % more retries in triage. api_key_id key-1 alone rose by $10.00. "
        "Still running at $2.00 an hour."
    )
    assert answer.running == 2
    assert answer.carriers["change"].tolist()[0] == 10
    assert answer.explanation is not None
    assert answer.explanation.change == 10


def test_a_source_that_is_three_hours_late_is_incomplete_never_a_drop() -> None:
    answer = what_changed(live(until={"sdk": 3}))

    assert answer.status == "incomplete"
    assert answer.sources.set_index("source")["status"].to_dict() == {"gateway": "arrived", "sdk": "late"}
    assert answer.headline.startswith(
        "Incomplete: nothing from sdk after 2026-10-19 20:59 UTC; compared up to 2026-10-19 20:00 only. Spend did not"
    )
    assert answer.explanation is not None
    assert answer.explanation.change == 0


def test_a_source_with_few_calls_is_late_when_it_always_spoke_in_the_hours_it_is_silent_in() -> None:
    ledger = live(until={"sdk": 22})
    # Every fifth hour only, at another hour of each day.
    ledger.run("delete from observation where source = 'sdk' and epoch(started_at)::bigint // 3600 % 5 > 0")

    answer = what_changed(ledger)

    assert answer.sources.set_index("source")["status"].to_dict() == {"gateway": "arrived", "sdk": "late"}
    assert answer.status == "incomplete"


def test_a_source_that_is_silent_all_day_leaves_nothing_to_compare() -> None:
    answer = what_changed(live(until={"sdk": 30}))

    assert (answer.status, answer.explanation) == ("incomplete", None)
    assert "nothing can be compared" in answer.headline
    assert answer.carriers.empty


def test_a_new_version_of_a_workflow_is_no_change() -> None:
    assert what_changed(live(renamed=True)).headline.startswith("Spend did not change")


def test_without_an_earlier_week_the_hours_just_before_are_the_comparison() -> None:
    answer = what_changed(live(planted=5, hours=60))

    assert answer.compared_with == "2026-10-18"
    assert answer.explanation is not None
    assert answer.explanation.change == 10


def test_the_series_has_each_hour_and_what_is_usual() -> None:
    series = what_changed(live(planted=5)).series

    assert len(series) == 24
    assert series["cost"].tolist() == [2] * 19 + [4] * 5
    assert series["usual"].tolist() == [2] * 24


def test_markers_are_read_in_utc_and_shown_beside_the_hours(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "at,kind,text\n2026-10-19T20:30:00+02:00,release,triage 5.1\n"
        "2026-10-19 18:45,prompt edit,longer\n2026-09-01,old,x\n"
    )

    answer = what_changed(live(planted=5), events=path)
    markers, series = answer.markers, answer.series

    marked = series[series["marker"].notna()]
    assert marked[["hour", "cost", "usual", "marker"]].values.tolist() == [
        [datetime(2026, 10, 19, 18), 2, 2, "release: triage 5.1; prompt edit: longer"]
    ]
    assert markers.values.tolist() == [
        [datetime(2026, 10, 19, 18, 30), "release", "triage 5.1"],
        [datetime(2026, 10, 19, 18, 45), "prompt edit", "longer"],
    ]


def test_markers_that_cannot_be_read_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("at,kind,text\n2026-10-19,release,a\nyesterday,release,b\n")

    with pytest.raises(ConfigurationError, match=r"events\.csv:3: `yesterday` in column at"):
        read_markers(path)
    path.write_text("when,what\n")
    with pytest.raises(ConfigurationError, match="expected at, kind, text"):
        read_markers(path)
    with pytest.raises(SourceError, match="matches no file"):
        read_markers(tmp_path / "absent.csv")
    with pytest.raises(QuestionError, match="columns at, kind, text"):
        read_markers(pd.DataFrame({"when": []}))


def test_one_slice_may_be_asked_about() -> None:
    answer = what_changed(live(planted=5), where={"workflow_id": "draft"})

    assert answer.headline.startswith("Draft did not change")


def test_too_little_to_compare_is_refused_with_what_there_is() -> None:
    with pytest.raises(LedgerError, match="no hours to compare with"):
        what_changed(live(hours=30))
    with pytest.raises(QuestionError, match="24h, 7d or 2w"):
        what_changed(live(), "yesterday")


def test_amounts_leave_as_text() -> None:
    answer = what_changed(live(planted=5)).to_dict()

    assert answer["running"] == "2.0000"
    assert answer["carriers"][0]["change"] == "10.000000000000"
    assert Decimal(answer["explanation"]["change"]) == 10
