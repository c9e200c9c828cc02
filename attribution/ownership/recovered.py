"""What evidence beside the call says: the rungs from `exclusive_key` to `rule`. Nothing here guesses."""

from __future__ import annotations

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger

RUNGS = {"exclusive_key": 3, "inherited": 4, "linked": 5, "trace": 6, "rule": 7}
_VALID = (
    "carried.started_at >= coalesce({0}.valid_from, timestamp '1970-01-01') "
    "and carried.started_at < coalesce({0}.valid_to, timestamp '2999-12-31')"
)


def prepare(ledger: Ledger) -> None:
    """Make the tables that the rungs write: `found`, `crossing`, `told`, and the spans of each call."""
    ledger.run(
        "create or replace temp table found "
        "(event_id uuid, field varchar, value varchar, evidence varchar, rung integer, came_from varchar)"
    )
    ledger.run("create or replace temp table crossing (event_id uuid, reason varchar)")
    ledger.run(
        """
        create or replace temp table call_span as
        select distinct event_observation.event_id, observation.trace_id, observation.span_id
        from event_observation join observation using (observation_id)
        where observation.span_id is not null and observation.trace_id is not null
        """
    )
    ledger.run(
        """
        create or replace temp table told as
        with owned_trace as (select distinct trace_id from span where owner_team is not null)
        select distinct event.request_id
        from event
        join owned_trace on owned_trace.trace_id = event.trace_id or owned_trace.trace_id = event.request_id
        """
    )


def clear(ledger: Ledger) -> None:
    """Drop the temporary tables."""
    for name in ("carried", "found", "crossing", "call_span", "told", "needy", "bearer", "above", "pointer"):
        ledger.run(f"drop table if exists {name}")


def by_exclusive_key(ledger: Ledger) -> None:
    """Give calls to the team whose exclusive key, project or workspace they used at that moment."""
    _by_key(ledger, "exclusive_key", is_exclusive=True)


def _by_key(ledger: Ledger, evidence: str, is_exclusive: bool) -> None:
    ledger.run(
        f"""
        insert into found
        select carried.event_id, 'owner_team', key.owner_team, $evidence, $rung, 'key:' || key.key_id
        from carried join key
            on key.key_id in (carried.api_key_id, carried.project_id)
            and (key.provider is null or key.provider = carried.provider)
            and key.is_exclusive = $is_exclusive and {_VALID.format("key")}
        where carried.owner_team is null
        """,
        {"evidence": evidence, "rung": RUNGS[evidence], "is_exclusive": is_exclusive},
    )


def from_spans_above(ledger: Ledger, field: str) -> None:
    """Inherit a field from the nearest span above the call that carries it."""
    ledger.run(
        f"""
        create or replace temp table needy as
        select call_span.* from call_span join carried using (event_id)
        where carried.{field} is null and carried.{field}_values = 0
        """
    )
    ledger.run(
        f"create or replace temp table bearer as select distinct trace_id, span_id from span where {field} is not null"
    )
    if not ledger.value("select count(*) from needy") or not ledger.value("select count(*) from bearer"):
        return
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


def from_links(ledger: Ledger, field: str) -> None:
    """Recover a field through exact pointers on the call's path: span links, message ids, job keys.

    A consumer that serves several owners at once (a batch) is shared; the first pointer is never taken for all.
    """
    _find_pointers(ledger, field)
    if not ledger.value("select count(*) from pointer"):
        return
    ledger.run(
        f"create or replace temp table bearer as select distinct trace_id, span_id from span where {field} is not null"
    )
    find_nearest_above(ledger, "pointer", "bearer", "above")
    ledger.run(
        f"""
        create or replace temp table needy as
        select pointer.event_id, coalesce(own.{field}, higher.{field}) as value,
            pointer.trace_id || '/' || coalesce(above.above_span_id, pointer.span_id) as came_from
        from pointer
        left join span as own on own.trace_id = pointer.trace_id and own.span_id = pointer.span_id
        left join above on above.trace_id = pointer.trace_id and above.span_id = pointer.span_id
        left join span as higher on higher.trace_id = above.trace_id and higher.span_id = above.above_span_id
        """
    )
    ledger.run(
        """
        insert into found
        select event_id, $field, min(value), 'linked', $rung, 'span:' || min(came_from)
        from needy where value is not null group by event_id
        having count(distinct value) = 1
        """,
        {"field": field, "rung": RUNGS["linked"]},
    )
    if field == "owner_team":
        ledger.run(
            "insert into crossing select event_id, 'shared_batch' from needy where value is not null "
            "group by event_id having count(distinct value) > 1"
        )


def _find_pointers(ledger: Ledger, field: str) -> None:
    """Collect where the path of each needy call points to: `pointer(event_id, trace_id, span_id)`."""
    ledger.run(
        f"""
        create or replace temp table needy as
        select call_span.* from call_span join carried using (event_id)
        where carried.{field} is null and carried.{field}_values = 0
            and not exists (from found where found.event_id = carried.event_id and found.field = '{field}'
                and found.evidence = 'inherited')
        """
    )
    ledger.run(_SIGNPOSTS)
    ledger.run("create or replace temp table pointer (event_id uuid, trace_id varchar, span_id varchar)")
    if not ledger.value("select count(*) from needy") or not ledger.value("select count(*) from signpost"):
        return
    find_nearest_above(ledger, "needy", "signpost", "above")
    ledger.run(
        """
        create or replace temp table pointer as
        with on_path as (
            select event_id, trace_id, span_id from needy semi join signpost using (trace_id, span_id)
            union
            select needy.event_id, above.trace_id, above.above_span_id
            from needy join above using (trace_id, span_id)
        )
        select distinct on_path.event_id, signpost.to_trace as trace_id, signpost.to_span as span_id
        from on_path join signpost using (trace_id, span_id)
        """
    )


#: Spans that point to other traces: by link, by the message they handle, or by the job they run.
_SIGNPOSTS = """
    create or replace temp table signpost as
    select span.trace_id, span.span_id, pointer.link.trace_id as to_trace, pointer.link.span_id as to_span
    from span, unnest(span.links) as pointer(link)
    where pointer.link.trace_id <> span.trace_id
    union
    select consumer.trace_id, consumer.span_id, producer.trace_id, producer.span_id
    from span as consumer
    join span as producer using (message_id)
    where consumer.message_id is not null and producer.trace_id <> consumer.trace_id
        and consumer.kind in ('consumer', 'server', 'internal') and producer.kind in ('producer', 'client')
        and consumer.messaging_system is not distinct from producer.messaging_system
    union
    select worker.trace_id, worker.span_id, starter.trace_id, starter.span_id
    from span as worker join span as starter using (job_key)
    where worker.job_key is not null and starter.trace_id <> worker.trace_id
        and starter.kind in ('producer', 'client', 'internal') and starter.owner_team is not null
"""


def mark_crossings(ledger: Ledger) -> None:
    """Mark calls on whose path two teams own: the configuration says who pays, else it stays open and visible."""
    policy = dict(ledger.rows("select name, value from setting where name = 'cross_team'")).get("cross_team")
    if policy == "callee":
        return
    ledger.run(
        """
        create or replace temp table bearer as
        with mixed as (select trace_id from span group by trace_id having count(distinct owner_team) > 1)
        select trace_id, span_id, min(owner_team) as owner_team
        from span semi join mixed using (trace_id) where owner_team is not null group by all
        """
    )
    if not ledger.value("select count(*) from bearer"):
        return
    ledger.run("create or replace temp table needy as select call_span.* from call_span semi join bearer using (trace_id)")
    ledger.run(
        "create or replace temp table start_span as "
        "select trace_id, span_id from needy union select trace_id, span_id from bearer"
    )
    find_nearest_above(ledger, "start_span", "bearer", "above")
    ledger.run(_CALLERS)
    ledger.run("drop table start_span")
    if policy == "caller":
        _pay_by_caller(ledger)
    else:
        ledger.run(
            "insert into crossing select event_id, 'crosses_teams' from caller "
            "where event_id not in (select event_id from crossing)"
        )
    ledger.run("drop table caller")


#: Every call on whose way up the team changes, with the team at the top.
_CALLERS = """
    create or replace temp table caller as
    with recursive up as (
        select distinct above.trace_id, above.span_id, above.above_span_id, 1 as depth
        from above semi join needy using (trace_id, span_id)
        union
        select up.trace_id, up.span_id, above.above_span_id, depth + 1
        from up join above on above.trace_id = up.trace_id and above.span_id = up.above_span_id
        where depth < 200 and above.above_span_id <> up.span_id
    ),
    on_path as (
        select needy.event_id, bearer.owner_team, up.depth, bearer.trace_id || '/' || bearer.span_id as place
        from needy join up using (trace_id, span_id)
        join bearer on bearer.trace_id = up.trace_id and bearer.span_id = up.above_span_id
        union all
        select carried.event_id, carried.owner_team, 0, null from carried semi join needy using (event_id)
        where carried.owner_team is not null
    )
    select event_id, arg_max(owner_team, depth) as owner_team, arg_max(place, depth) as place
    from on_path group by event_id having count(distinct owner_team) > 1
"""


def _pay_by_caller(ledger: Ledger) -> None:
    ledger.run(
        "insert into found select event_id, 'owner_team', owner_team, 'inherited', $rung - 1, 'span:' || place from caller",
        {"rung": RUNGS["inherited"]},
    )
    ledger.run(
        "update carried set owner_team = null from caller "
        "where caller.event_id = carried.event_id and caller.owner_team <> carried.owner_team"
    )


def from_the_request(ledger: Ledger, field: str) -> None:
    """Give a call what all other owned calls of its request agree on."""
    ledger.run(
        f"""
        insert into found
        with owned as (
            select carried.request_id, carried.event_id, coalesce(carried.{field}, found.value) as value
            from carried
            left join found on found.event_id = carried.event_id and found.field = $field and found.rung < $rung
            where carried.trace_id is not null
        ),
        agreed as (
            select request_id, min(value) as value, cast(min(event_id) as varchar) as witness
            from owned where value is not null
            group by request_id having count(distinct value) = 1
        )
        select owned.event_id, $field, agreed.value, 'trace', $rung, 'event:' || agreed.witness
        from owned join agreed using (request_id)
        where owned.value is null
        """,
        {"field": field, "rung": RUNGS["trace"]},
    )


def by_rules(ledger: Ledger) -> None:
    """Apply the dated maps that people wrote: keys of a team that are not exclusive, and ownership rules."""
    _by_key(ledger, "rule", is_exclusive=False)
    for field in ("owner_team", "workflow_id", "feature"):
        ledger.run(
            f"""
            insert into found
            with looked_at as (
                select event_id, started_at, unnest([
                    struct_pack(name := 'api_key_id', value := api_key_id),
                    struct_pack(name := 'project_id', value := project_id),
                    struct_pack(name := 'service', value := service),
                    struct_pack(name := 'endpoint', value := endpoint),
                    struct_pack(name := 'provider', value := provider),
                    struct_pack(name := 'model', value := model),
                    struct_pack(name := 'claimed_team', value := carried.claimed_team),
                    struct_pack(name := 'workflow_id', value := carried.workflow_id),
                    struct_pack(name := 'feature', value := carried.feature)
                ]) as seen
                from event join carried using (event_id, started_at, api_key_id, project_id, provider)
                where carried.{field} is null
            )
            select carried.event_id, $field, rule.{field}, 'rule', $rung, 'rule:' || rule.rule_id
            from looked_at as carried join ownership_rule as rule
                on rule.field = carried.seen.name and rule.{field} is not null and {_VALID.format("rule")}
                and case rule.match when 'equals' then carried.seen.value = rule.pattern
                                    when 'prefix' then starts_with(carried.seen.value, rule.pattern)
                                    when 'glob' then carried.seen.value glob rule.pattern else false end
            """,
            {"field": field, "rung": RUNGS["rule"]},
        )
