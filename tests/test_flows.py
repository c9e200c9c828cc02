from __future__ import annotations

from decimal import Decimal

import pytest

import attribution as at
from attribution.ledger import Ledger
from tests.examples import call, ledger_of


@pytest.fixture(scope="module", params=["traces/captured", "traces/article/broken"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return at.build_ledger(at.sample_path(request.param), quiet=True)


def test_dollars_to_the_providers_are_all_dollars(ledger: Ledger) -> None:
    flows = at.hop_flows(ledger)

    total = ledger.value("select sum(coalesce(list_cost, priced_part, 0)) from cost_event")
    assert sum(flows[flows["is_provider"]]["list_cost"], Decimal(0)) == total


def test_dollars_that_lose_their_team_at_a_hop_are_those_not_declared(ledger: Ledger) -> None:
    lost = sum(at.hop_flows(ledger)["lost_here"], Decimal(0))

    assert lost == at.measure_coverage(ledger)["not_declared"].item()


def test_what_crosses_a_hop_is_carried_lost_here_or_lost_before(ledger: Ledger) -> None:
    flows = at.hop_flows(ledger)

    for row in flows.to_dict("records"):
        assert row["carried"] + row["lost_here"] + row["lost_before"] == row["list_cost"]


def span(name: str, parent: str | None, service: str, team: str | None = None) -> dict[str, object]:
    kept = {"trace_id": "t", "span_id": name, "parent_span_id": parent, "service": service, "owner_team": team}
    return kept | {"source": "otlp", "file_id": "f", "line": 1, "is_call": name == "call"}


def test_ownership_is_lost_at_the_hop_and_stays_lost_below_it() -> None:
    event = call("c", trace_id="t", span_id="call", service="worker", owner_team=None, list_cost="4.00")
    lost = {"event_id": event["event_id"], "field": "owner_team", "signature": "H6", "is_provable": True}
    ledger = ledger_of(
        event,
        span=[
            span("web", None, "web", "support"),
            span("api", "web", "api", "support"),
            span("queue", "api", "queue"),
            span("call", "queue", "worker"),
        ],
        lost_hop=[lost | {"producer": "api", "consumer": "queue"}],
    )

    flows = at.hop_flows(ledger).set_index(["producer", "consumer"])[["carried", "lost_here", "lost_before"]]

    assert {hop: [str(part.normalize()) for part in row] for hop, row in flows.iterrows()} == {
        ("web", "api"): ["4", "0", "0"],
        ("api", "queue"): ["0", "4", "0"],
        ("queue", "worker"): ["0", "0", "4"],
        ("worker", "openai"): ["0", "0", "4"],
    }


def test_spans_in_a_circle_end() -> None:
    event = call("c", trace_id="t", span_id="a", service="one")
    ledger = ledger_of(event, span=[span("a", "b", "one"), span("b", "a", "other")])

    assert set(at.hop_flows(ledger)["list_cost"]) == {Decimal("1.00")}
