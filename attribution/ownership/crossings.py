"""Paths on which two teams own: the configuration says who pays, else the spend stays open and visible."""

from __future__ import annotations

import json

from attribution.ancestry import find_nearest_above
from attribution.errors import ConfigurationError
from attribution.ledger import Ledger
from attribution.ownership.recovered import RUNGS

POLICIES = ("caller", "callee", "split")


def mark_crossings(ledger: Ledger) -> None:
    """Mark calls on whose path two teams own, as the policy `cross_team` says.

    `callee`: the team nearest to the call pays, as if nothing were special. `caller`: the team at the top pays.
    `split`: both bear half. Not stated for the time of the call: it has no owner, for the reason `crosses_teams`.
    """
    _read_policies(ledger)
    ledger.run(_BEARERS)
    if not ledger.value("select count(*) from bearer"):
        return
    ledger.run(
        "create or replace temp table needy as select call_span.* from call_span semi join bearer using (trace_id)"
    )
    ledger.run(
        "create or replace temp table start_span as "
        "select trace_id, span_id from needy union select trace_id, span_id from bearer"
    )
    find_nearest_above(ledger, "start_span", "bearer", "above")
    ledger.run(_CHANGES)
    find_nearest_above(ledger, "needy", "change", "change_above")
    ledger.run(_TOPS)
    find_nearest_above(ledger, "needy", "top_bearer", "top_above")
    ledger.run(_CALLERS)
    ledger.run(_DECIDED)
    _pay_by_caller(ledger)
    _pay_by_halves(ledger)
    ledger.run("insert into crossing select event_id, 'crosses_teams' from caller where policy is null")
    for name in ("start_span", "change", "change_above", "top_bearer", "top_above", "caller", "policy"):
        ledger.run(f"drop table {name}")


_BEARERS = """
    create or replace temp table bearer as
    with mixed as (select trace_id from span group by trace_id having count(distinct owner_team) > 1)
    select span.trace_id, span.span_id, min(coalesce(alias.canonical, span.owner_team)) as owner_team
    from span semi join mixed using (trace_id)
    left join alias on alias.kind = 'team' and alias.name = span.owner_team
        and span.started_at >= coalesce(alias.valid_from, timestamp '1970-01-01')
        and span.started_at < coalesce(alias.valid_to, timestamp '2999-12-31')
    where span.owner_team is not null group by span.trace_id, span.span_id
"""

#: Spans whose team is another than that of the next owned span above them.
_CHANGES = """
    create or replace temp table change as
    select lower.trace_id, lower.span_id
    from above
    join bearer as lower using (trace_id, span_id)
    join bearer as upper on upper.trace_id = above.trace_id and upper.span_id = above.above_span_id
    where upper.owner_team <> lower.owner_team
"""

_TOPS = """
    create or replace temp table top_bearer as
    select bearer.trace_id, bearer.span_id, bearer.owner_team from bearer anti join above using (trace_id, span_id)
"""

#: Every call at or above which the team changes, with the team at the top of its path.
_CALLERS = """
    create or replace temp table caller as
    with crossed as (
        select event_id, trace_id, span_id from needy semi join change using (trace_id, span_id)
        union
        select needy.event_id, trace_id, span_id from needy semi join change_above using (trace_id, span_id)
        union
        select needy.event_id, above.trace_id, above.span_id
        from needy join above using (trace_id, span_id) join carried using (event_id)
        join bearer on bearer.trace_id = above.trace_id and bearer.span_id = above.above_span_id
        where carried.owner_team <> bearer.owner_team
    )
    select crossed.event_id, min(top_bearer.owner_team) as owner_team, count(distinct top_bearer.owner_team) as owners,
        min(top_bearer.trace_id || '/' || top_bearer.span_id) as place
    from crossed
    left join top_above using (trace_id, span_id)
    left join top_bearer
        on top_bearer.trace_id = top_above.trace_id and top_bearer.span_id = top_above.above_span_id
    group by crossed.event_id
"""

#: The policy that is stated for the time of each call.
_DECIDED = """
    create or replace temp table caller as
    select caller.*, min(policy.policy) as policy
    from caller join event using (event_id)
    left join policy on coalesce(event.started_at, timestamp '2999-12-30') >= policy.valid_from
        and coalesce(event.started_at, timestamp '2999-12-30') < policy.valid_to
    group by all
"""


def _read_policies(ledger: Ledger) -> None:
    """Write `policy(policy, valid_from, valid_to)` from the setting: one word, or a dated list."""
    ledger.run("create or replace temp table policy (policy varchar, valid_from timestamp, valid_to timestamp)")
    for value, place in ledger.rows("select value, place from setting where name = 'cross_team'"):
        entries = json.loads(value) if value.startswith("[") else [{"policy": value}]
        for entry in entries:
            if entry.get("policy") not in POLICIES:
                raise ConfigurationError.at(
                    place or "policies",
                    None,
                    f"`cross_team` is {entry.get('policy')!r}",
                    f"one of {', '.join(POLICIES)}",
                )
            ledger.run(
                "insert into policy values ($policy, coalesce(cast($start as timestamp), timestamp '1970-01-01'), "
                "coalesce(cast($end as timestamp), timestamp '2999-12-31'))",
                {"policy": entry["policy"], "start": entry.get("valid_from"), "end": entry.get("valid_to")},
            )


def _pay_by_caller(ledger: Ledger) -> None:
    """Let the team at the top pay; where there is no one top (spans in a circle), nobody can say who called."""
    ledger.run(
        "insert into crossing select event_id, 'crosses_teams' from caller "
        "where policy in ('caller', 'split') and owners <> 1"
    )
    ledger.run(
        "insert into found select event_id, 'owner_team', owner_team, 'inherited', $rung, 'span:' || place "
        "from caller where policy = 'caller' and owners = 1",
        {"rung": RUNGS["exclusive_key"] - 1},
    )
    ledger.run(
        "update carried set owner_team = null from caller "
        "where caller.event_id = carried.event_id and caller.policy = 'caller' and caller.owners = 1 "
        "and caller.owner_team <> carried.owner_team"
    )


def _pay_by_halves(ledger: Ledger) -> None:
    """Let the team at the top and the team nearest to the call bear half each."""
    ledger.run(
        """
        create or replace temp table half as
        select caller.event_id, caller.owner_team as caller_team,
            coalesce(carried.owner_team, arg_min(found.value, (found.rung, found.value))) as callee_team
        from caller join carried using (event_id)
        left join found on found.event_id = caller.event_id and found.field = 'owner_team'
        where caller.policy = 'split' and caller.owners = 1
        group by caller.event_id, caller.owner_team, carried.owner_team
        """
    )
    ledger.run(
        "insert into owner_share "
        "select event_id, unnest([caller_team, callee_team]), 1, 2, 'split_between_caller_and_callee' "
        "from half where caller_team <> callee_team"
    )
    ledger.run(
        "insert into crossing select event_id, 'split_between_caller_and_callee' from half "
        "where caller_team <> callee_team"
    )
    ledger.run("drop table half")
