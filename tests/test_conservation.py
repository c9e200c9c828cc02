"""The laws, over every sample: records, calls, usage and money are conserved from file to answer."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import attribution as at
from attribution import schema
from attribution.ledger import Ledger
from tests.examples import SHARED

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
FOLDERS = {
    "captured": SAMPLES / "traces" / "captured",
    "article, complete": SAMPLES / "traces" / "article" / "complete",
    "article, broken": SAMPLES / "traces" / "article" / "broken",
    "acme": SAMPLES / "acme" / "data",
    **{f"shared {path.name}": path for path in sorted((SHARED / "formats" / "samples").glob("*")) if path.is_dir()},
}


@pytest.fixture(scope="module", params=sorted(FOLDERS))
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    config = SAMPLES / "acme" / "config" / "attribution.yaml" if request.param == "acme" else None
    with at.build_ledger(FOLDERS[request.param], config=config, quiet=True) as built:
        yield built


def test_every_record_of_a_file_has_one_fate(ledger: Ledger) -> None:
    lost = ledger.rows(
        "select path, records, accepted, context, duplicates, superseded, conflicting, quarantined from source_file "
        "where records <> accepted + context + duplicates + superseded + conflicting + quarantined"
    )
    assert lost == []


def test_every_quarantined_record_is_named(ledger: Ledger) -> None:
    named = "select count(*) from (select distinct file_id, line, record from quarantine)"
    assert ledger.value(named) == ledger.value("select coalesce(sum(quarantined), 0) from source_file")
    assert ledger.value("select count(*) from quarantine where line < 1 or reason = '' or expected = ''") == 0


def test_every_observation_is_one_call_and_every_call_has_an_observation(ledger: Ledger) -> None:
    assert ledger.value("select count(*) from observation") == ledger.value("select count(*) from event_observation")
    assert ledger.value("select count(*) from observation anti join event_observation using (observation_id)") == 0
    assert ledger.value("select count(*) from event anti join event_observation using (event_id)") == 0
    assert ledger.value("select count(distinct event_id) from event_observation") == ledger.value(
        "select count(*) from event"
    )


def test_every_step_keeps_the_calls(ledger: Ledger) -> None:
    events = ledger.value("select count(*) from event")
    for table in ("event_owner", "event_cost", "cost_event"):
        assert ledger.rows(f'select count(*), count(distinct event_id) from "{table}"') == [(events, events)], table


def test_two_answers_are_never_one_call(ledger: Ledger) -> None:
    merged = ledger.rows(
        "select event_id from event_observation join observation using (observation_id) "
        "group by event_id having count(distinct response_id) > 1"
    )
    assert merged == []


def test_a_call_without_a_price_is_never_zero(ledger: Ledger) -> None:
    wrong = ledger.rows(
        "select event_id, price_status, list_cost from cost_event where "
        "(price_status in ('unpriced', 'partial', 'unmetered') and list_cost is not null) "
        "or (price_status = 'priced' and list_cost is null)"
    )
    assert wrong == []


def test_an_owner_has_evidence_and_a_call_without_one_has_a_reason(ledger: Ledger) -> None:
    wrong = ledger.rows(
        "select event_id from cost_event where (owner_team is null) <> (owner_evidence = 'none') "
        "or (owner_team is null) <> (owner_reason is not null)"
    )
    assert wrong == []
    rungs = {row[0] for row in ledger.rows("select distinct owner_evidence from cost_event")}
    assert rungs <= set(schema.EVIDENCE)


def test_what_a_call_does_not_carry_has_one_hop(ledger: Ledger) -> None:
    on_the_call = "('declared', 'exclusive_key')"
    missing = ledger.value(
        f"select count(*) from (select event_id from cost_event where owner_evidence not in {on_the_call} "
        f"union all select event_id from cost_event where workflow_evidence not in {on_the_call} "
        f"union all select event_id from cost_event where feature_evidence not in {on_the_call})"
    )
    assert ledger.rows("select count(*), count(distinct (event_id, field)) from lost_hop") == [(missing, missing)]


@pytest.mark.parametrize("by", [("owner_team",), ("provider", "model"), ("week",), ("feature", "status")])
def test_every_grouping_adds_up_to_the_whole(ledger: Ledger, by: tuple[str, ...]) -> None:
    whole = at.roll_up(ledger).to_dict("records")[0]
    parts = at.roll_up(ledger, *by)
    for name in ("attempts", "input_tokens", "output_tokens", "list_cost", "contracted_cost", "unpriced_attempts"):
        total = whole[name] if whole[name] is not None else 0
        assert sum(parts[name].dropna().tolist(), Decimal(0)) == total, name


def test_the_rungs_add_up_to_all_dollars(ledger: Ledger) -> None:
    for row in at.measure_coverage(ledger, "provider").to_dict("records"):
        assert sum((row[rung] for rung in schema.EVIDENCE), Decimal(0)) == row["list_cost"]
        assert row["unowned"] <= row["not_declared"] <= row["list_cost"]


def test_the_hops_of_one_field_add_up_to_what_was_not_on_the_call(ledger: Ledger) -> None:
    below = ledger.value(
        "select coalesce(sum(coalesce(list_cost, priced_part)), 0) from lost_hop join cost_event using (event_id) "
        "where field = 'owner_team'"
    )
    missing = ledger.value(
        "select coalesce(sum(coalesce(list_cost, priced_part)), 0) from cost_event "
        "where owner_evidence not in ('declared', 'exclusive_key')"
    )
    assert below == missing


def test_building_again_gives_the_same_bytes(ledger: Ledger) -> None:
    from attribution.building import run_steps

    before = ledger.rows("from cost_event order by event_id")
    run_steps(ledger)
    assert ledger.rows("from cost_event order by event_id") == before
