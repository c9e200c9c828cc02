"""Resolve owners: the best evidence wins, nothing is guessed, and what has no owner says why."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import ConfigurationError
from attribution.ledger import Ledger
from attribution.matching import match
from attribution.ownership import resolve_owners
from tests.examples import Said, call, hop, ledger_of, observed, seen, spanned

NOON = datetime(2026, 10, 5, 12, 0, 0)


def resolved(*said: Said | dict[str, Any], **tables: list[dict[str, Any]]) -> Ledger:
    ledger = observed(*said, **tables)
    match(ledger)
    resolve_owners(ledger)
    return ledger


def owners(ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    """Return (owner_team, evidence, reason) of the event of each observation."""
    rows = ledger.rows(
        "select native_id, cost_event.owner_team, owner_evidence, owner_reason "
        "from event_observation join observation using (observation_id) join cost_event using (event_id)"
    )
    return {row[0]: row[1:] for row in rows}


def key(key_id: str, team: str, **columns: Any) -> dict[str, Any]:
    return {
        "key_id": key_id,
        "kind": "api_key",
        "owner_team": team,
        "is_exclusive": True,
        "place": "a.yaml:1",
        **columns,
    }


def rule(rule_id: str, field: str, pattern: str, **columns: Any) -> dict[str, Any]:
    return {"rule_id": rule_id, "field": field, "match": "equals", "pattern": pattern, "place": "a.yaml:1", **columns}


# ---- each rung


def test_what_the_call_carries_is_declared() -> None:
    assert owners(resolved(seen("c", owner_team="support"))) == {"c": ("support", "declared", None)}


def test_what_another_record_of_the_call_carries_is_matched() -> None:
    ledger = resolved(
        seen("gateway", response_id="r", role="gateway_log", source="litellm"),
        seen("sdk", response_id="r", owner_team="support"),
    )
    assert owners(ledger)["gateway"] == ("support", "matched", None)


def test_an_exclusive_key_gives_its_calls_to_its_team() -> None:
    ledger = resolved(
        seen("c", api_key_id="k1"), seen("d", project_id="p1"), key=[key("k1", "support"), key("p1", "growth")]
    )
    assert owners(ledger) == {"c": ("support", "exclusive_key", None), "d": ("growth", "exclusive_key", None)}


def test_an_exclusive_key_counts_only_while_it_is_valid() -> None:
    ledger = resolved(
        seen("before", api_key_id="k", started_at=NOON - timedelta(microseconds=1)),
        seen("first", api_key_id="k", started_at=NOON),
        seen("after", api_key_id="k", started_at=NOON + timedelta(days=1)),
        key=[key("k", "support", valid_from=NOON, valid_to=NOON + timedelta(days=1))],
    )
    assert {name: row[0] for name, row in owners(ledger).items()} == {"before": None, "first": "support", "after": None}


def test_a_key_of_one_provider_says_nothing_about_another() -> None:
    ledger = resolved(seen("c", api_key_id="k"), key=[key("k", "support", provider="anthropic")])
    assert owners(ledger) == {"c": (None, "none", "never_owned")}


def test_two_exclusive_keys_of_two_teams_on_one_call_settle_nothing() -> None:
    ledger = resolved(seen("c", api_key_id="k", project_id="p"), key=[key("k", "support"), key("p", "billing")])
    assert owners(ledger) == {"c": (None, "none", "conflicting_keys")}


def test_a_call_inherits_from_the_nearest_span_above_that_carries_the_field() -> None:
    ledger = resolved(
        hop("t", "root", owner_team="growth", workflow_id="w1"),
        hop("t", "mid", "root", owner_team="growth"),
        hop("t", "plain", "mid"),
        spanned("c", "t", "s", "plain"),
    )
    assert owners(ledger) == {"c": ("growth", "inherited", None)}
    assert ledger.rows("select owner_from, workflow_id, workflow_evidence from cost_event") == [
        ("span:t/mid", "w1", "inherited")
    ]


def test_a_call_inherits_through_100_000_spans() -> None:
    length = 100_000
    chain = [hop("t", f"s{n}", f"s{n - 1}") for n in range(1, length)]
    ledger = resolved(hop("t", "s0", owner_team="support"), *chain, spanned("c", "t", "call", f"s{length - 1}"))
    assert owners(ledger) == {"c": ("support", "inherited", None)}


@pytest.mark.parametrize("parents", [("s1",), ("s2", "s1"), ("s2", "s3", "s1")])
def test_spans_in_a_circle_give_what_they_carry_and_end(parents: tuple[str, ...]) -> None:
    circle = [hop("t", f"s{n + 1}", parent) for n, parent in enumerate(parents)]
    ledger = resolved(*circle, spanned("c", "t", "call", "s1"))
    assert owners(ledger) == {"c": (None, "none", "never_owned")}


def test_a_link_leads_to_the_owner_of_the_producer() -> None:
    ledger = resolved(
        hop("t1", "route", owner_team="support"),
        hop("t1", "send", "route", kind="producer"),
        hop("t2", "process", kind="consumer", links=[{"trace_id": "t1", "span_id": "send"}]),
        spanned("c", "t2", "s", "process"),
    )
    assert owners(ledger) == {"c": ("support", "linked", None)}


def test_links_are_followed_from_queue_to_queue() -> None:
    ledger = resolved(
        hop("t1", "send", kind="producer", owner_team="support"),
        hop("t2", "process", kind="consumer", links=[{"trace_id": "t1", "span_id": "send"}]),
        hop("t2", "resend", "process", kind="producer"),
        hop("t3", "process", kind="consumer", links=[{"trace_id": "t2", "span_id": "resend"}]),
        spanned("c", "t3", "s", "process"),
    )
    assert owners(ledger) == {"c": ("support", "linked", None)}


def test_links_in_a_circle_end() -> None:
    ledger = resolved(
        hop("t1", "a", links=[{"trace_id": "t2", "span_id": "b"}]),
        hop("t2", "b", links=[{"trace_id": "t1", "span_id": "a"}]),
        spanned("c", "t2", "s", "b"),
    )
    assert owners(ledger) == {"c": (None, "none", "never_owned")}


def test_a_message_id_on_both_sides_is_as_good_as_a_link() -> None:
    ledger = resolved(
        hop("t1", "send", kind="producer", owner_team="support", message_id="m", messaging_system="celery"),
        hop("t2", "run", kind="consumer", message_id="m", messaging_system="celery"),
        spanned("c", "t2", "s", "run"),
    )
    assert owners(ledger) == {"c": ("support", "linked", None)}


def test_a_message_id_of_another_system_is_another_message() -> None:
    ledger = resolved(
        hop("t1", "send", kind="producer", owner_team="support", message_id="m", messaging_system="kafka"),
        hop("t2", "run", kind="consumer", message_id="m", messaging_system="celery"),
        spanned("c", "t2", "s", "run"),
    )
    assert owners(ledger)["c"][0] is None


def test_a_batch_of_two_owners_is_shared_and_belongs_to_neither() -> None:
    ledger = resolved(
        hop("t1", "a", kind="producer", owner_team="support"),
        hop("t2", "b", kind="producer", owner_team="growth"),
        hop("t3", "p", kind="consumer", links=[{"trace_id": "t1", "span_id": "a"}, {"trace_id": "t2", "span_id": "b"}]),
        spanned("c", "t3", "s", "p"),
    )
    assert owners(ledger) == {"c": (None, "linked", "shared_batch")}
    parts = ledger.rows("select owner_team, part, parts from owner_share order by owner_team")
    assert parts == [("growth", 1, 2), ("support", 1, 2)]


def test_a_batch_of_one_owner_belongs_to_it() -> None:
    ledger = resolved(
        hop("t1", "a", kind="producer", owner_team="support"),
        hop("t2", "b", kind="producer", owner_team="support"),
        hop("t3", "p", kind="consumer", links=[{"trace_id": "t1", "span_id": "a"}, {"trace_id": "t2", "span_id": "b"}]),
        spanned("c", "t3", "s", "p"),
    )
    assert owners(ledger) == {"c": ("support", "linked", None)}


def test_a_batch_with_a_link_that_leads_nowhere_is_not_taken_for_the_other() -> None:
    ledger = resolved(
        hop("t1", "a", kind="producer", owner_team="support"),
        hop("t3", "p", kind="consumer", links=[{"trace_id": "t1", "span_id": "a"}, {"trace_id": "t9", "span_id": "x"}]),
        spanned("c", "t3", "s", "p"),
    )
    assert owners(ledger)["c"][0] is None


def test_a_shared_batch_on_an_exclusive_key_belongs_to_the_key() -> None:
    ledger = resolved(
        hop("t1", "a", kind="producer", owner_team="support"),
        hop("t2", "b", kind="producer", owner_team="growth"),
        hop("t3", "p", kind="consumer", links=[{"trace_id": "t1", "span_id": "a"}, {"trace_id": "t2", "span_id": "b"}]),
        spanned("c", "t3", "s", "p", api_key_id="k"),
        key=[key("k", "billing")],
    )
    assert owners(ledger) == {"c": ("billing", "exclusive_key", None)}


def test_a_call_gets_what_all_other_owned_calls_of_its_request_agree_on() -> None:
    ledger = resolved(
        hop("t", "root"),
        spanned("a", "t", "s1", "root", response_id="r1", owner_team="support"),
        spanned("b", "t", "s2", "root", response_id="r2", owner_team="support"),
        spanned("c", "t", "s3", "root", response_id="r3"),
    )
    assert owners(ledger)["c"] == ("support", "trace", None)


def test_a_request_of_two_teams_gives_nothing_to_its_other_calls() -> None:
    ledger = resolved(
        hop("t", "root"),
        spanned("a", "t", "s1", "root", response_id="r1", owner_team="support"),
        spanned("b", "t", "s2", "root", response_id="r2", owner_team="growth"),
        spanned("c", "t", "s3", "root", response_id="r3"),
    )
    assert owners(ledger)["c"] == (None, "none", "lost_at_hop")


@pytest.mark.parametrize(
    ("match_by", "pattern"), [("equals", "triage-api"), ("prefix", "triage-"), ("glob", "tri*-api")]
)
def test_a_rule_gives_the_calls_of_a_service_to_a_team(match_by: str, pattern: str) -> None:
    ledger = resolved(
        seen("c", service="triage-api"),
        seen("d", service="search"),
        ownership_rule=[rule("r1", "service", pattern, match=match_by, owner_team="support", feature="triage")],
    )
    assert owners(ledger) == {"c": ("support", "rule", None), "d": (None, "none", "never_owned")}
    assert ledger.rows("select feature, feature_evidence, owner_from from cost_event where service = 'triage-api'") == [
        ("triage", "rule", "rule:r1")
    ]


def test_rules_see_a_workflow_that_was_inherited() -> None:
    ledger = resolved(
        hop("t", "root", workflow_id="triage-v4"),
        spanned("c", "t", "s", "root"),
        ownership_rule=[rule("r1", "workflow_id", "triage-", match="prefix", owner_team="support")],
    )
    assert owners(ledger) == {"c": ("support", "rule", None)}


def test_two_rules_that_name_two_teams_settle_nothing() -> None:
    ledger = resolved(
        seen("c", service="api", provider="openai"),
        ownership_rule=[
            rule("r1", "service", "api", owner_team="support"),
            rule("r2", "provider", "openai", owner_team="growth"),
        ],
    )
    assert owners(ledger) == {"c": (None, "none", "conflicting_rules")}


def test_a_rule_counts_only_while_it_is_valid() -> None:
    ledger = resolved(
        seen("c", service="api"),
        ownership_rule=[rule("r1", "service", "api", owner_team="support", valid_to=NOON)],
    )
    assert owners(ledger)["c"][0] is None


def test_a_key_that_is_not_exclusive_is_a_rule() -> None:
    ledger = resolved(seen("c", api_key_id="k"), key=[key("k", "support", is_exclusive=False)])
    assert owners(ledger) == {"c": ("support", "rule", None)}


def test_a_key_held_for_many_teams_says_nothing_about_who_owns_a_call() -> None:
    ledger = resolved(seen("c", api_key_id="k"), key=[key("k", "platform", is_exclusive=False, is_shared=True)])
    assert owners(ledger) == {"c": (None, "none", "never_owned")}


def test_better_evidence_wins_over_all_that_is_worse() -> None:
    rules = [rule("r1", "service", "app", owner_team="by-rule")]
    above = hop("t", "root", owner_team="by-span")
    keys = [key("k", "by-key")]
    declared = resolved(
        above, spanned("c", "t", "s", "root", owner_team="by-span", api_key_id="k"), key=keys, ownership_rule=rules
    )
    exclusive = resolved(above, spanned("c", "t", "s", "root", api_key_id="k"), key=keys, ownership_rule=rules)
    inherited = resolved(above, spanned("c", "t", "s", "root"), ownership_rule=rules)
    assert [owners(one)["c"][:2] for one in (declared, exclusive, inherited)] == [
        ("by-span", "declared"),
        ("by-key", "exclusive_key"),
        ("by-span", "inherited"),
    ]


# ---- disagreement, and two teams on one path


def test_two_records_with_two_owners_are_a_conflict_that_nothing_settles() -> None:
    said = [
        seen("sdk", response_id="r", owner_team="support", api_key_id="k", service="api"),
        seen("gateway", response_id="r", owner_team="growth", role="gateway_log", source="litellm"),
    ]
    more = {"key": [key("k", "billing")], "ownership_rule": [rule("r1", "service", "api", owner_team="search")]}
    for order in (said, said[::-1]):
        ledger = resolved(*order, **more)
        assert owners(ledger)["sdk"] == (None, "none", "conflicting")
        assert ledger.rows("select field, kept, other from conflict where kind = 'owner'") == [
            ("owner_team", "growth", "support")
        ]


def test_an_alias_makes_two_spellings_one_team() -> None:
    ledger = resolved(
        seen("sdk", response_id="r", owner_team="Support "),
        seen("gateway", response_id="r", owner_team="support", role="gateway_log", source="litellm"),
        alias=[{"kind": "team", "name": "Support ", "canonical": "support"}],
    )
    assert owners(ledger)["sdk"] == ("support", "declared", None)
    assert ledger.value("select count(*) from conflict") == 0


def test_an_alias_also_names_the_team_that_a_span_carries() -> None:
    ledger = resolved(
        hop("t", "root", owner_team="support"),
        hop("t", "mid", "root", owner_team="Support "),
        spanned("c", "t", "s", "mid"),
        alias=[{"kind": "team", "name": "Support ", "canonical": "support"}],
    )
    assert owners(ledger) == {"c": ("support", "inherited", None)}


def crossing(policy: str | None, **columns: Any) -> Ledger:
    return resolved(
        hop("t", "root", owner_team="support"),
        hop("t", "tool", "root"),
        hop("t", "agent", "tool", owner_team="search"),
        spanned("inside", "t", "s1", "agent", response_id="r1", **columns),
        spanned("beside", "t", "s2", "tool", response_id="r2"),
        setting=[{"name": "cross_team", "value": policy, "place": "a.yaml"}] if policy else [],
    )


def test_spend_on_a_path_of_two_teams_stays_open_until_a_policy_says_who_pays() -> None:
    assert owners(crossing(None)) == {
        "inside": (None, "none", "crosses_teams"),
        "beside": ("support", "inherited", None),
    }


def test_the_callee_pays_where_the_policy_says_so() -> None:
    assert owners(crossing("callee"))["inside"] == ("search", "inherited", None)


def test_the_caller_pays_where_the_policy_says_so() -> None:
    assert owners(crossing("caller"))["inside"] == ("support", "inherited", None)
    assert owners(crossing("caller", owner_team="search"))["inside"] == ("support", "inherited", None)


def test_caller_and_callee_bear_half_each_where_the_policy_splits() -> None:
    ledger = crossing("split")

    assert owners(ledger)["inside"] == (None, "inherited", "split_between_caller_and_callee")
    assert ledger.rows("select owner_team, part, parts from owner_share order by owner_team") == [
        ("search", 1, 2),
        ("support", 1, 2),
    ]


def test_a_policy_holds_for_its_dates_only() -> None:
    ends = '[{"policy": "callee", "valid_to": "2020-01-01"}]'
    begins = '[{"policy": "callee", "valid_to": "2020-01-01"}, {"policy": "caller", "valid_from": "2020-01-01"}]'

    assert owners(crossing(ends))["inside"] == (None, "none", "crosses_teams")
    assert owners(crossing(begins))["inside"] == ("support", "inherited", None)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="caller, callee, split"):
        crossing("whoever")


@given(
    cost=st.decimals("0", "1000", places=12),
    parts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_what_teams_bear_of_a_shared_call_adds_up_to_its_cost(cost: Decimal, parts: list[int]) -> None:
    event = call("c", owner_team=None, owner_evidence="linked", list_cost=cost)
    shares = [
        {"event_id": event["event_id"], "owner_team": f"team-{n}", "part": part, "parts": sum(parts), "reason": "batch"}
        for n, part in enumerate(parts)
    ]
    ledger = ledger_of(event, call("d", list_cost="1"), owner_share=shares)

    assert ledger.value("select sum(list_cost) from team_cost") == cost + 1
    assert ledger.value("select count(*) from team_cost where is_shared") == len(parts)


def test_a_call_that_declares_another_team_than_the_span_above_crosses_teams() -> None:
    ledger = resolved(hop("t", "root", owner_team="support"), spanned("c", "t", "s", "root", owner_team="search"))
    assert owners(ledger) == {"c": (None, "none", "crosses_teams")}


def test_a_crossing_is_found_below_300_spans_of_one_team() -> None:
    deep = [hop("t", f"s{n}", f"s{n - 1}", owner_team="search") for n in range(1, 300)]
    ledger = resolved(hop("t", "s0", owner_team="support"), *deep, spanned("c", "t", "call", "s299"))
    assert owners(ledger) == {"c": (None, "none", "crosses_teams")}


# ---- why there is no owner


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "never_owned"),
        ({"claimed_team": "platform"}, "claimed_only"),
        ({"ownership_flags": ["owner_team:not_text"]}, "not_text"),
        ({"ownership_flags": ["owner_team:too_long"]}, "too_long"),
        ({"ownership_flags": ["sent_not_stored"]}, "sent_not_stored"),
    ],
)
def test_a_call_without_owner_says_why(columns: dict[str, Any], reason: str) -> None:
    assert owners(resolved(seen("c", **columns))) == {"c": (None, "none", reason)}


def test_a_gateways_team_is_never_promoted_to_owner() -> None:
    ledger = resolved(
        seen("c", claimed_team="platform", response_id="r"),
        seen("d", response_id="r", role="gateway_log", source="litellm", claimed_team="platform"),
    )
    assert ledger.rows("select owner_team, claimed_team from cost_event") == [(None, "platform")]


def test_resolving_twice_changes_nothing() -> None:
    ledger = crossing("caller")
    before = ledger.rows("from event_owner order by event_id")
    resolve_owners(ledger)
    assert ledger.rows("from event_owner order by event_id") == before
    temporary = ledger.rows("select table_name from duckdb_tables() where temporary")
    assert temporary == []
