"""Broken hops: the hop that lost a field is named, priced, and no more is claimed than the data prove."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attribution.building import build_ledger, run_steps
from attribution.hops import broken_hops, find_lost_hops
from attribution.ledger import Ledger
from tests.examples import FIXTURES, Said, call, hop, ledger_of, observed, seen, spanned

CAPTURED = Path(__file__).resolve().parents[1] / "sample_data" / "traces" / "captured" / "broken_hops"
NOON = datetime(2026, 10, 5, 12, 0, 0)
#: 86 fresh and 1,920 cached input tokens and 300 output tokens of gpt-5-mini, at list price.
ONE_CALL = Decimal("0.001101500000")
ALL_THREE = "feature, owner_team, workflow_id"
SHOWN = ["signature", "producer", "consumer", "system", "destination", "fields", "calls", "list_cost", "is_provable"]


def shown(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return the rows of the answer, without remedy and time."""
    rows = broken_hops(ledger)[SHOWN].itertuples(index=False)
    return [tuple(None if value is pd.NA else value for value in row) for row in rows]


def found(*said: Said | dict[str, Any], **tables: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return (signature, producer, consumer, system, is_provable) of the owner's row after every step."""
    ledger = observed(*said, **tables)
    run_steps(ledger)
    return ledger.rows(
        "select distinct signature, producer, consumer, system, is_provable from lost_hop "
        "where field = 'owner_team' order by all"
    )


# ---- captured samples

BROKEN = {
    "celery_producer_uninstrumented": ("H2", None, "triage-worker", "celery", "celery", ALL_THREE, 1, ONE_CALL, True),
    "celery_use_links": ("H3", "ticket-api", "triage-worker", "celery", "celery", ALL_THREE, 1, ONE_CALL, True),
    "celery_worker_uninstrumented": (
        "H1",
        "ticket-api",
        "triage-worker",
        "celery",
        "celery",
        ALL_THREE,
        1,
        ONE_CALL,
        False,
    ),
    "sqs_boto3sqs": (
        *("H3", "ticket-api+worker", "ticket-api+worker", "aws.sqs", "triage-jobs"),
        *(ALL_THREE, 1, ONE_CALL, True),
    ),
    "sqs_botocore": (
        *("H4", "ticket-api+worker", "ticket-api+worker", "aws.sqs", "triage-jobs"),
        *(ALL_THREE, 1, ONE_CALL, False),
    ),
    "threading_off": (
        *("H5", "ticket-api+worker", "ticket-api+worker", "thread", None),
        *(ALL_THREE, 2, 2 * ONE_CALL, False),
    ),
}


@pytest.mark.parametrize("sample", sorted(BROKEN))
def test_each_captured_sample_gets_its_signature_and_its_dollars(sample: str) -> None:
    ledger = build_ledger(CAPTURED / f"{sample}.otlp.jsonl", quiet=True)
    assert shown(ledger) == [BROKEN[sample]]


@pytest.mark.parametrize("sample", ["celery_ok_baggage", "celery_retry", "threading_on"])
def test_healthy_captured_samples_have_no_broken_hop(sample: str) -> None:
    folder = FIXTURES / "hops" if sample == "threading_on" else CAPTURED
    ledger = build_ledger(folder / f"{sample}.otlp.jsonl", quiet=True)
    assert ledger.value("select count(*) from cost_event") > 0
    assert shown(ledger) == []


@pytest.mark.parametrize("sample", ["celery_use_links", "sqs_boto3sqs"])
def test_what_a_link_recovers_is_shown_beside_what_the_hop_lost(sample: str) -> None:
    row = broken_hops(build_ledger(CAPTURED / f"{sample}.otlp.jsonl", quiet=True)).iloc[0]
    assert (row["list_cost"], row["recovered"]) == (ONE_CALL, ONE_CALL)


def test_every_captured_sample_together_keeps_its_signature() -> None:
    ledger = build_ledger(CAPTURED, quiet=True)
    dollars = dict(
        ledger.rows(
            "select signature, sum(list_cost) from lost_hop join cost_event using (event_id) "
            "where field = 'owner_team' group by all"
        )
    )
    assert dollars["H3"] == 2 * ONE_CALL
    assert sum(dollars.values()) == 7 * ONE_CALL


# ---- signatures of the catalogue without a captured sample


def test_h6_the_trace_survives_and_the_keys_do_not() -> None:
    assert found(
        hop("t", "send", service="api", kind="producer", owner_team="support", messaging_system="temporal"),
        hop("t", "run", "send", service="worker", kind="consumer", messaging_system="temporal"),
        spanned("c", "t", "s", "run", service="worker"),
    ) == [("H6", "api", "worker", "temporal", True)]


def test_h6_names_the_first_hop_that_lost_the_field_not_the_last() -> None:
    assert found(
        hop("t", "a", service="web", owner_team="support"),
        hop("t", "b", "a", service="gateway"),
        hop("t", "c", "b", service="worker"),
        spanned("x", "t", "s", "c", service="worker"),
    ) == [("H6", "web", "gateway", None, True)]


def test_h7_the_gateways_row_lacks_what_the_applications_span_carries() -> None:
    assert found(
        spanned("sdk", "t", "s", response_id="r", owner_team="support", service="api"),
        seen("row", response_id="r", role="gateway_log", source="litellm_spend_logs", service=None),
    ) == [("H7", "api", "litellm_spend_logs", "gateway", True)]


def test_h7_is_not_provable_where_only_the_gateway_saw_the_call() -> None:
    assert found(seen("row", response_id="r", role="gateway_log", source="litellm_spend_logs", service=None)) == [
        ("H7", "application", "litellm_spend_logs", "gateway", False)
    ]


def test_h7_is_proven_where_the_gateway_kept_a_header_it_did_not_store() -> None:
    assert found(
        seen("row", role="gateway_log", source="litellm_spend_logs", service=None, ownership_flags=["sent_not_stored"])
    ) == [("H7", "application", "litellm_spend_logs", "gateway", True)]


def test_h8_a_parent_of_the_same_process_that_is_not_there_was_lost() -> None:
    said = spanned("c", "t", "s", "gone", service="worker", parent_is_remote=False)
    assert found(said) == [("H8", None, "worker", None, True)]


@pytest.mark.parametrize("is_remote", [True, None])
def test_h8_a_parent_that_may_be_in_another_export_proves_nothing(is_remote: bool | None) -> None:
    said = spanned("c", "t", "s", "gone", service="worker", parent_is_remote=is_remote)
    assert found(said) == [("H8", None, "worker", None, False)]


def test_a_parent_that_was_sampled_out_is_no_broken_hop() -> None:
    said = spanned("c", "t", "s", "gone", service="worker", parent_is_remote=False)
    assert found(said, setting=[{"name": "spans", "value": "sampled"}]) == [("H11", None, "worker", None, False)]


def test_h9_the_consumer_span_closed_before_the_work() -> None:
    assert found(
        hop("t1", "send", service="api", kind="producer", owner_team="support", messaging_system="kafka"),
        hop(
            "t1",
            "receive",
            "send",
            service="worker",
            kind="consumer",
            messaging_system="kafka",
            parent_is_remote=True,
            ended_at=NOON + timedelta(milliseconds=1),
        ),
        spanned("c", "t2", "s", service="worker", started_at=NOON + timedelta(seconds=1)),
    ) == [("H9", "api", "worker", "kafka", False)]


def test_h9_never_blames_a_consumer_that_ended_after_the_call_began() -> None:
    assert found(
        hop("t1", "send", service="api", kind="producer", owner_team="support", messaging_system="kafka"),
        hop(
            "t1", "receive", "send", service="worker", kind="consumer", messaging_system="kafka", parent_is_remote=True
        ),
        spanned("c", "t2", "s", service="worker", started_at=NOON),
    ) == [("H11", None, "worker", None, True)]


def sent(name: str, service: str, second: int) -> dict[str, Any]:
    when = NOON + timedelta(seconds=second)
    return hop(name, "send", service=service, kind="producer", started_at=when, messaging_system="celery")


def test_h1_suggests_the_last_message_of_another_service_that_nothing_took() -> None:
    late = NOON + timedelta(seconds=10)
    said = [sent("p1", "shop", 1), sent("p2", "api", 2), sent("p3", "worker", 3), sent("p4", "worker", 4)]
    call_of = {name: spanned(name, f"t-{name}", "s", service=name, started_at=late) for name in ("worker", "other")}
    assert found(*said, call_of["worker"]) == [("H1", "api", "worker", "celery", False)]
    assert found(*said, call_of["other"]) == [("H1", "worker", "other", "celery", False)]


def test_h1_never_suggests_a_message_sent_after_the_call() -> None:
    assert found(sent("p1", "api", 20), spanned("c", "t", "s", service="worker")) == [
        ("H11", None, "worker", None, True)
    ]


def test_h5_is_suggested_while_any_request_of_the_process_is_open() -> None:
    long = hop("r1", "a", kind="server", ended_at=NOON + timedelta(seconds=60))
    short = hop("r2", "b", kind="server", started_at=NOON + timedelta(seconds=5), ended_at=NOON + timedelta(seconds=6))
    inside = NOON + timedelta(seconds=30)
    said = spanned("c", "t", "s", service="app", started_at=inside, ended_at=inside)
    assert found(long, short, said) == [("H5", "app", "app", "thread", False)]
    assert found(short, said) == [("H11", None, "app", None, True)]


def test_h10_two_teams_on_one_path() -> None:
    assert found(
        hop("t", "root", service="web", owner_team="support"),
        spanned("c", "t", "s", "root", service="agent", owner_team="search"),
    ) == [("H10", "agent", "agent", None, True)]


def test_h10_two_records_that_disagree() -> None:
    assert found(
        spanned("sdk", "t", "s", response_id="r", owner_team="support", service="api"),
        seen("row", response_id="r", role="gateway_log", source="litellm", owner_team="growth", service=None),
    ) == [("H10", "api", "api", None, True)]


def test_h11_nobody_ever_said_it() -> None:
    assert found(hop("t", "cron", service="digest"), spanned("c", "t", "s", "cron", service="digest")) == [
        ("H11", None, "digest", None, True)
    ]


def test_a_field_that_the_call_carries_has_no_broken_hop_though_others_have() -> None:
    ledger = observed(
        hop("t", "root", service="web", workflow_id="w", feature="f", owner_team="support"),
        spanned("c", "t", "s", "root", service="agent", owner_team="support"),
    )
    run_steps(ledger)
    assert shown(ledger)[0][5] == "feature, workflow_id"


# ---- the answer


def lost(name: str, signature: str, **columns: Any) -> dict[str, Any]:
    return {
        "event_id": call(name)["event_id"],
        "field": "owner_team",
        "signature": signature,
        "producer": "api",
        "consumer": "worker",
        "system": "celery",
        "is_provable": True,
        **columns,
    }


def test_each_call_counts_once_in_a_row_however_many_fields_it_lost() -> None:
    ledger = ledger_of(
        call("a", list_cost="1.10", owner_team=None),
        lost_hop=[lost("a", "H6"), lost("a", "H6", field="feature"), lost("a", "H6", field="workflow_id")],
    )
    assert shown(ledger) == [("H6", "api", "worker", "celery", None, ALL_THREE, 1, Decimal("1.100000000000"), True)]


def test_the_dearest_hop_comes_first_and_unpriced_calls_are_counted_apart() -> None:
    ledger = ledger_of(
        call("a", list_cost="1.10", owner_team=None),
        call("b", list_cost="7.00", owner_team=None),
        call("c", list_cost=None, owner_team=None),
        lost_hop=[lost("a", "H1"), lost("b", "H2"), lost("c", "H1")],
    )
    answer = broken_hops(ledger)
    assert answer["signature"].tolist() == ["H2", "H1"]
    assert answer["list_cost"].tolist() == [Decimal("7.000000000000"), Decimal("1.100000000000")]
    assert answer["unpriced_calls"].tolist() == [0, 1]


def test_the_remedy_is_that_of_the_system_where_there_is_one() -> None:
    ledger = ledger_of(
        call("a", owner_team=None),
        call("b", owner_team=None),
        lost_hop=[lost("a", "H1"), lost("b", "H1", system="nats")],
    )
    remedies = dict(broken_hops(ledger)[["system", "remedy"]].itertuples(index=False))
    assert "CeleryInstrumentor" in remedies["celery"]
    assert "Celery" not in remedies["nats"]
    assert all(remedies.values())


def test_finding_twice_changes_nothing() -> None:
    ledger = build_ledger(CAPTURED, quiet=True)
    before = ledger.rows("from lost_hop order by all")
    find_lost_hops(ledger)
    assert ledger.rows("from lost_hop order by all") == before


def test_every_field_that_is_not_on_the_call_has_exactly_one_hop() -> None:
    ledger = build_ledger(CAPTURED, quiet=True)
    assert ledger.rows("select count(*), count(distinct (event_id, field)) from lost_hop") == ledger.rows(
        "select sum((owner_evidence not in ('declared', 'exclusive_key'))::int "
        "+ (workflow_evidence not in ('declared', 'exclusive_key'))::int "
        "+ (feature_evidence not in ('declared', 'exclusive_key'))::int) as n, n from cost_event"
    )
