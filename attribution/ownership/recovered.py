"""What evidence beside the call says: the rungs from `exclusive_key` to `rule`. Nothing here guesses."""

from __future__ import annotations

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger

RUNGS = {"exclusive_key": 3, "inherited": 4, "linked": 5, "trace": 6, "rule": 7}
_VALID = (
    "event.started_at >= coalesce({0}.valid_from, timestamp '1970-01-01') "
    "and event.started_at < coalesce({0}.valid_to, timestamp '2999-12-31')"
)


def prepare(ledger: Ledger) -> None:
    """Make the tables that the rungs write: `found`, `crossing`, `disputed`, and the spans of each call."""
    ledger.run(
        "create or replace temp table found "
        "(event_id uuid, field varchar, value varchar, evidence varchar, rung integer, came_from varchar)"
    )
    ledger.run("create or replace temp table crossing (event_id uuid, reason varchar)")
    ledger.run("create or replace temp table disputed (event_id uuid, reason varchar)")
    ledger.run(
        """
        create or replace temp table call_span as
        select distinct event_observation.event_id, observation.trace_id, observation.span_id
        from event_observation join observation using (observation_id)
        where observation.span_id is not null and observation.trace_id is not null
        """
    )


def clear(ledger: Ledger) -> None:
    """Drop the temporary tables."""
    for name in (
        "carried",
        "found",
        "crossing",
        "call_span",
        "needy",
        "bearer",
        "above",
        "pointer",
        "signpost",
        "disputed",
        "best",
        "lost",
    ):
        ledger.run(f"drop table if exists {name}")


def by_exclusive_key(ledger: Ledger) -> None:
    """Give calls to the team whose exclusive key, project or workspace they used at that moment.

    Every record of a call may show one: the gateway its virtual key, the provider's log the account behind it.
    """
    _by_key(ledger, "exclusive_key", is_exclusive=True)


def _by_key(ledger: Ledger, evidence: str, is_exclusive: bool) -> None:
    if not ledger.value("select count(*) from key where is_exclusive = $is_exclusive", {"is_exclusive": is_exclusive}):
        return
    ledger.run(
        f"""
        create or replace temp table needy as
        with unowned as (select event_id from carried where owner_team is null and owner_team_values = 0),
        record as (select event_id, api_key_id, project_id from event_record semi join unowned using (event_id)),
        shown as (
            select event_id, api_key_id as key_id from record where api_key_id is not null
            union
            select event_id, project_id from record where project_id is not null
        )
        select shown.event_id, 'owner_team' as field, key.owner_team as value, 'key:' || key.key_id as came_from
        from shown join event using (event_id) join key
            on key.key_id = shown.key_id and (key.provider is null or key.provider = event.provider)
            and key.is_exclusive = $is_exclusive and key.is_shared is not true and {_VALID.format("key")}
        """,
        {"is_exclusive": is_exclusive},
    )
    _find_agreed(ledger, evidence, "conflicting_keys")


def _find_agreed(ledger: Ledger, evidence: str, reason: str) -> None:
    """Take what all entries that fit a call agree on; entries that say different things give nothing."""
    ledger.run(
        """
        insert into found
        select event_id, field, min(value), $evidence, $rung, min(came_from)
        from needy group by event_id, field having count(distinct value) = 1
        """,
        {"evidence": evidence, "rung": RUNGS[evidence]},
    )
    ledger.run(
        "insert into disputed select event_id, $reason from needy where field = 'owner_team' "
        "group by event_id having count(distinct value) > 1",
        {"reason": reason},
    )


def is_on_spans(ledger: Ledger, field: str) -> bool:
    """Say whether any span carries the field; where none does, no path can lead to it."""
    return bool(ledger.value(f"select count({field}) from span"))


def from_spans_above(ledger: Ledger, field: str) -> None:
    """Inherit a field from the nearest span above the call that carries it."""
    if not is_on_spans(ledger, field):
        return
    ledger.run(
        f"""
        create or replace temp table needy as
        select call_span.* from call_span join carried using (event_id)
        where carried.{field} is null and carried.{field}_values = 0
        """
    )
    if not ledger.value("select count(*) from needy"):
        return
    ledger.run(
        "create or replace temp table bearer as select distinct trace_id, span_id "
        f"from span semi join needy using (trace_id) where {field} is not null"
    )
    find_nearest_above(ledger, "needy", "bearer", "above")
    ledger.run(
        f"""
        insert into found
        with candidate as (
            select needy.event_id, min(bearer.{field}) as value, count(distinct bearer.{field}) as owners,
                min(above.trace_id || '/' || above.above_span_id) as came_from
            from needy
            join above using (trace_id, span_id)
            join span as bearer on bearer.trace_id = above.trace_id and bearer.span_id = above.above_span_id
            group by needy.event_id
        )
        select event_id, $field, value, 'inherited', $rung, 'span:' || came_from from candidate where owners = 1
        """,
        {"field": field, "rung": RUNGS["inherited"]},
    )


def name_teams(ledger: Ledger) -> None:
    """Call the teams that spans carry by the names that stated aliases give them."""
    if not ledger.value("select count(*) from alias where kind = 'team'"):
        return
    ledger.run(
        f"""
        update found set value = alias.canonical
        from alias, event
        where alias.kind = 'team' and found.field = 'owner_team' and found.value = alias.name
            and event.event_id = found.event_id and {_VALID.format("alias")}
        """
    )


def from_the_request(ledger: Ledger, field: str) -> None:
    """Give a call what all other owned calls of its request agree on."""
    known = f"(select count({field}) from carried) + (select count(*) from found where field = $field)"
    if not ledger.value(f"select {known}", {"field": field}):
        return
    ledger.run(
        f"""
        insert into found
        with best as (
            select event_id, arg_min(value, (rung, value)) as value from found
            where field = $field and rung < $rung group by event_id
        ),
        unowned as (
            select event_id from carried anti join best using (event_id)
            where carried.{field} is null and carried.{field}_values <= 1
        ),
        request as (
            select event_id, request_id from event semi join unowned using (event_id) where trace_id is not null
        ),
        agreed as (
            select request_id, min(value) as value, cast(min(event_id) as varchar) as witness
            from (
                select event.request_id, event_id, coalesce(carried.{field}, best.value) as value
                from event semi join request using (request_id) join carried using (event_id)
                left join best using (event_id)
                where event.trace_id is not null and carried.{field}_values <= 1
            )
            where value is not null
            group by request_id having count(distinct value) = 1
        )
        select request.event_id, $field, agreed.value, 'trace', $rung, 'event:' || agreed.witness
        from request join agreed using (request_id)
        """,
        {"field": field, "rung": RUNGS["trace"]},
    )


def by_rules(ledger: Ledger) -> None:
    """Apply the dated maps that people wrote: keys of a team that are not exclusive, and ownership rules."""
    _by_key(ledger, "rule", is_exclusive=False)
    if not ledger.value("select count(*) from ownership_rule"):
        return
    ledger.run(_SEEN)
    for field in ("owner_team", "workflow_id", "feature"):
        ledger.run(
            f"""
            create or replace temp table needy as
            select carried.event_id, $field as field, rule.{field} as value, 'rule:' || rule.rule_id as came_from
            from seen join carried using (event_id) join event using (event_id)
            join ownership_rule as rule
                on rule.field = seen.name and rule.{field} is not null and {_VALID.format("rule")}
                and case rule.match when 'equals' then seen.value = rule.pattern
                                    when 'prefix' then starts_with(seen.value, rule.pattern)
                                    when 'glob' then seen.value glob rule.pattern else false end
            where carried.{field} is null and carried.{field}_values = 0
            """,
            {"field": field},
        )
        _find_agreed(ledger, "rule", "conflicting_rules")
    ledger.run("drop table seen")


#: What a rule may look at, one row per event and column; workflow and feature also where they were recovered.
_SEEN = """
    create or replace temp table seen as
    with recovered as (
        select event_id, arg_min(value, (rung, value)) filter (where field = 'workflow_id') as workflow_id,
            arg_min(value, (rung, value)) filter (where field = 'feature') as feature
        from found group by event_id
    ),
    listed as (
        select event.event_id, unnest([
            struct_pack(name := 'api_key_id', value := event.api_key_id),
            struct_pack(name := 'project_id', value := event.project_id),
            struct_pack(name := 'service', value := event.service),
            struct_pack(name := 'endpoint', value := event.endpoint),
            struct_pack(name := 'provider', value := event.provider),
            struct_pack(name := 'model', value := event.model),
            struct_pack(name := 'region', value := event.region),
            struct_pack(name := 'claimed_team', value := carried.claimed_team),
            struct_pack(name := 'workflow_id', value := coalesce(carried.workflow_id, recovered.workflow_id)),
            struct_pack(name := 'feature', value := coalesce(carried.feature, recovered.feature))
        ]) as pair
        from event join carried using (event_id) left join recovered using (event_id)
        where carried.owner_team is null or carried.workflow_id is null or carried.feature is null
    )
    select event_id, pair.name as name, pair.value as value from listed where pair.value is not null
"""
