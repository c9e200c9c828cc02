"""Broken hops: which hop loses which ownership field, and how many dollars run below it."""

from __future__ import annotations

import csv
from importlib import resources

import pandas as pd
import pyarrow as pa

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger
from attribution.sampling import spans_are_sampled
from attribution.suggestions import suggest_hops

FIELDS = {"owner_team": "owner_evidence", "workflow_id": "workflow_evidence", "feature": "feature_evidence"}


def find_lost_hops(ledger: Ledger) -> None:
    """Write `lost_hop` anew: for every field that a call does not carry, the first hop that lost it.

    The order of diagnosis: records of the call that disagree or differ, a span above that carries the field, links
    and message ids, then what kind and time of spans suggest (`is_provable` false), then nobody ever said it. Where
    spans are a sample, a parent that is not there was sampled out: no hop is broken, and that nobody said it above
    proves nothing.
    """
    with ledger.transaction():
        is_sample = spans_are_sampled(ledger)
        ledger.run(_NEEDY)
        ledger.run("create or replace temp table verdict as select *, 0 as place from lost_hop limit 0")
        ledger.run(_CONFLICTING)
        ledger.run(_AT_GATEWAY)
        for field in FIELDS:
            _lost_below_an_owner(ledger, field)
        _lost_between_traces(ledger)
        _lost_below_a_claim(ledger)
        _lost_at_the_top(ledger, is_sample=is_sample)
        ledger.run(_NEVER_SAID, {"is_sample": is_sample})
        ledger.run("delete from lost_hop")
        ledger.run(_FIRST_VERDICT)
        ledger.run(_SAY_LOST)
        for name in ("needy", "verdict", "bearer", "above", "top", "top_span", "signpost", "root_call", "suggested"):
            ledger.run(f"drop table if exists {name}")


def broken_hops(ledger: Ledger) -> pd.DataFrame:
    """Show which hop loses which ownership field, dearest first, with its remedy.

    Dollars are list cost of the calls below the hop, each call counted once per row; the hop that leaves most dollars
    without a team at the call comes first, those that lose only a workflow or feature last. A row with `is_provable`
    false is what kinds and times of spans suggest; it is never used to assign an owner.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `signature` (H1–H11), `title`, `producer`, `consumer`, `system`, `destination`, `fields`, `calls`,
        `list_cost` [USD], `not_declared` [USD] (the part whose team is not on the call), `unpriced_calls`,
        `recovered` [USD] (an owner was found by evidence beside the call), `since` [UTC], `is_provable`, `remedy`.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/broken", quiet=True)
    >>> at.broken_hops(ledger)[["producer", "consumer", "fields"]].to_dict("records")
    [{'producer': 'gateway', 'consumer': 'router', 'fields': 'feature, owner_team, workflow_id'}]
    """
    with ledger.reading(remedy=_remedies()):
        return ledger.frame(_BROKEN_HOPS)


def _remedies() -> pa.Table:
    path = resources.files("attribution") / "remedies.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return pa.Table.from_pylist([{name: value or None for name, value in row.items()} for row in rows])


#: One row per call and field that is not on the call; `span_id` is a span of the call, if any.
_NEEDY = """
    create or replace temp table needy as
    with lost as (
        select event_id, 'owner_team' as field, owner_evidence as evidence, owner_from, owner_reason
        from event_owner where owner_evidence not in ('declared', 'exclusive_key')
        union all
        select event_id, 'workflow_id', workflow_evidence, null, null
        from event_owner where workflow_evidence not in ('declared', 'exclusive_key')
        union all
        select event_id, 'feature', feature_evidence, null, null
        from event_owner where feature_evidence not in ('declared', 'exclusive_key')
    ),
    call_span as (
        select distinct event_observation.event_id, observation.trace_id, observation.span_id
        from event_observation join observation using (observation_id)
        where observation.span_id is not null and observation.trace_id is not null
    )
    select lost.*, call_span.trace_id, call_span.span_id
    from lost left join call_span using (event_id)
"""

_CONFLICTING = """
    insert into verdict
    select distinct needy.event_id, field, 'H10', event.service, event.service, null, null, true, 1
    from needy join event using (event_id)
    where field = 'owner_team' and owner_reason in ('conflicting', 'crosses_teams')
"""

#: Another record of the call carries the field and the gateway's does not; or only a gateway that drops free
#: metadata saw the call, and then it cannot be told whether the field was ever sent.
_AT_GATEWAY = """
    insert into verdict
    with seen as (
        select event_observation.event_id, bool_or(role = 'gateway_log') as at_gateway,
            bool_or(role = 'client_span') as at_client, min(source) filter (where role = 'gateway_log') as gateway,
            min(service) filter (where role <> 'gateway_log') as service,
            bool_or(list_contains(ownership_flags, 'sent_not_stored')) as was_sent
        from event_observation join observation using (observation_id)
        semi join needy using (event_id)
        group by event_observation.event_id
    )
    select distinct needy.event_id, field, 'H7', coalesce(service, 'application'), gateway, 'gateway',
        null, evidence = 'matched' or coalesce(was_sent, false), 2
    from needy join seen using (event_id)
    where at_gateway and (evidence = 'matched' or coalesce(was_sent, false) or (not at_client and span_id is null))
"""


def _lost_below_an_owner(ledger: Ledger, field: str) -> None:
    """H6: a span above the call carries the field, the next one down does not."""
    ledger.run(
        f"create or replace temp table bearer as select distinct trace_id, span_id from span where {field} is not null"
    )
    _lost_below_a_bearer(ledger, field, is_inherited=True, place=3)


def _lost_below_a_claim(ledger: Ledger) -> None:
    """H6 too: a span above carries other ownership keys or a claim, and the next one down carries none."""
    ledger.run(
        "create or replace temp table bearer as select distinct trace_id, span_id from span "
        "where coalesce(owner_team, workflow_id, feature, claimed_team) is not null"
    )
    for field in FIELDS:
        _lost_below_a_bearer(ledger, field, is_inherited=False, place=5)


def _lost_below_a_bearer(ledger: Ledger, field: str, *, is_inherited: bool, place: int) -> None:
    """Find the hop between the nearest span of `bearer` above the call and the next one down."""
    ledger.run(
        "create or replace temp table top as select distinct trace_id, span_id from needy "
        "where field = $field and span_id is not null and (evidence = 'inherited') = $is_inherited",
        {"field": field, "is_inherited": is_inherited},
    )
    if not ledger.value("select count(*) from top"):
        return
    find_nearest_above(ledger, "top", "bearer", "above")
    ledger.run(
        """
        insert into verdict
        select distinct needy.event_id, needy.field, 'H6', coalesce(upper.service, upper.source),
            coalesce(lower.service, lower.source),
            coalesce(lower.messaging_system, upper.messaging_system,
                case when lower.source = 'langfuse' then 'langfuse' end,
                case when upper.service is not distinct from lower.service then 'in-process' end),
            coalesce(lower.destination, upper.destination), true, $place
        from needy
        join above using (trace_id, span_id)
        join span as upper on upper.trace_id = above.trace_id and upper.span_id = above.above_span_id
        join span as lower on lower.trace_id = above.trace_id and lower.span_id = above.below_span_id
        where needy.field = $field and (needy.evidence = 'inherited') = $is_inherited
            and ($is_inherited or coalesce(lower.owner_team, lower.workflow_id, lower.feature) is null)
        """,
        {"field": field, "place": place, "is_inherited": is_inherited},
    )


def _lost_between_traces(ledger: Ledger) -> None:
    """H3, H2 and H4: the path points to another trace, by a link or by the message it handles."""
    ledger.run(_SIGNPOSTS)
    ledger.run(
        "create or replace temp table top as select distinct trace_id, span_id from needy where span_id is not null"
    )
    if not ledger.value("select count(*) from signpost") or not ledger.value("select count(*) from top"):
        return
    find_nearest_above(ledger, "top", "signpost", "above")
    ledger.run(_POINTED)


_SIGNPOSTS = """
    create or replace temp table signpost as
    with linked as (
        select span.trace_id, span.span_id, pointer.link.trace_id as to_trace, pointer.link.span_id as to_span
        from span, unnest(span.links) as pointer(link)
        where pointer.link.trace_id <> span.trace_id
    ),
    told as (
        select consumer.trace_id, consumer.span_id, producer.trace_id as to_trace, producer.span_id as to_span,
            case producer.kind when 'client' then 'H4' else 'H2' end as signature
        from span as consumer join span as producer using (message_id)
        where consumer.message_id is not null and producer.trace_id <> consumer.trace_id
            and consumer.kind in ('consumer', 'server', 'internal') and producer.kind in ('producer', 'client')
            and (producer.kind = 'producer' or not regexp_matches(producer.name, '(?i)receive|poll|delete|process'))
    )
    select *, 'H3' as signature from linked
    union all
    select * from told anti join linked using (trace_id, span_id)
"""

_POINTED = """
    insert into verdict
    with on_path as (
        select event_id, field, trace_id, span_id from needy semi join signpost using (trace_id, span_id)
        union
        select needy.event_id, needy.field, above.trace_id, above.above_span_id
        from needy join above using (trace_id, span_id)
    ),
    crossed as (
        select on_path.event_id, on_path.field, min(signpost.signature) as signature,
            min(producer.service) as producer, min(consumer.service) as consumer,
            min(coalesce(consumer.messaging_system, producer.messaging_system)) as system,
            min(coalesce(consumer.destination, producer.destination)) as destination
        from on_path
        join signpost using (trace_id, span_id)
        join span as consumer on consumer.trace_id = on_path.trace_id and consumer.span_id = on_path.span_id
        left join span as producer on producer.trace_id = signpost.to_trace and producer.span_id = signpost.to_span
        group by on_path.event_id, on_path.field
    )
    select event_id, field, signature, producer, consumer, system, destination, true, 4 from crossed
"""


def _lost_at_the_top(ledger: Ledger, *, is_sample: bool) -> None:
    """H8, H2 and the suggestions H4, H9, H5, H1: what stands at the top of the call's path."""
    ledger.run(
        "create or replace temp table top as select distinct trace_id, span_id from needy where span_id is not null"
    )
    ledger.run(
        """
        create or replace temp table bearer as
        select span.trace_id, span.span_id from span
        left join span as parent on parent.trace_id = span.trace_id and parent.span_id = span.parent_span_id
        where parent.span_id is null or span.parent_span_id = span.span_id
        """
    )
    find_nearest_above(ledger, "top", "bearer", "above")
    ledger.run(_TOPS)
    if not is_sample:
        ledger.run(_ORPHANS)
    for statement in (_CONSUMER_ROOTS, _ROOT_CALLS):
        ledger.run(statement)
    suggest_hops(ledger, "suggested")
    ledger.run(_SUGGESTED)


_TOPS = """
    create or replace temp table top_span as
    select distinct needy.event_id, needy.field, top.span_id = needy.span_id as is_call, top.*,
        top.parent_span_id is not null and top.parent_span_id <> top.span_id as is_orphan
    from needy
    left join above using (trace_id, span_id)
    join span as top on top.trace_id = needy.trace_id and top.span_id = coalesce(above.above_span_id, needy.span_id)
    where needy.evidence not in ('inherited', 'linked', 'matched')
"""

#: A parent that runs in the same process and is not there was lost; a remote one may be in another team's export.
_ORPHANS = """
    insert into verdict
    select event_id, field, 'H8', null, service, messaging_system, destination,
        coalesce(parent_is_remote = false, false), 6
    from top_span where is_orphan
"""

_CONSUMER_ROOTS = """
    insert into verdict
    select event_id, field, 'H2', null, service, messaging_system, destination, true, 6
    from top_span where kind = 'consumer' and not is_orphan and coalesce(len(links), 0) = 0
"""

_ROOT_CALLS = """
    create or replace temp table root_call as
    select distinct event_id, service, instance, started_at, ended_at
    from top_span where is_call and not is_orphan and started_at is not null
"""

_SUGGESTED = """
    insert into verdict
    select top_span.event_id, top_span.field, signature, producer, consumer, system, suggested.destination, false,
        6 + preference
    from suggested join (select distinct event_id, field from top_span where is_call and not is_orphan) as top_span
        using (event_id)
"""

#: Other spans of the request carry a team and no span of the call's path does (in this process), or nobody does.
_NEVER_SAID = """
    insert into verdict
    with told as (select distinct trace_id from span where owner_team is not null),
    orphan as (select distinct event_id from top_span where is_orphan and $is_sample)
    select distinct needy.event_id, needy.field,
        case when told.trace_id is null then 'H11' else 'H6' end,
        case when told.trace_id is null then null else coalesce(event.service, speaker.source) end,
        coalesce(event.service, speaker.source),
        case when told.trace_id is null then null else 'in-process' end, null,
        needy.span_id is not null and orphan.event_id is null, 11
    from needy join event using (event_id)
    join (select event_id, source from event_record where rank = 1) as speaker using (event_id)
    left join told on told.trace_id = event.trace_id
    left join orphan on orphan.event_id = needy.event_id
"""

_FIRST_VERDICT = """
    insert into lost_hop (event_id, field, signature, producer, consumer, system, destination, is_provable)
    select event_id, field, signature, producer, consumer, system, destination, is_provable
    from verdict
    qualify row_number() over (
        partition by event_id, field order by place, signature, producer, consumer, system, destination
    ) = 1
    order by event_id, field
"""

#: A call that a hop cut off from its request was not simply never owned.
_SAY_LOST = """
    update event_owner set owner_reason = 'lost_at_hop' from lost_hop
    where lost_hop.event_id = event_owner.event_id and lost_hop.field = 'owner_team'
        and event_owner.owner_reason = 'never_owned'
        and lost_hop.signature in ('H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'H8', 'H9')
"""

_BROKEN_HOPS = """
    with hop as (
        select event_id, signature, producer, consumer, system, destination, is_provable,
            string_agg(field, ', ' order by field) as fields
        from lost_hop group by all
    ),
    priced as (
        select hop.*, cost_event.started_at, coalesce(cost_event.list_cost, cost_event.priced_part) as cost,
            cost_event.price_status in ('unpriced', 'partial')
                or (cost_event.price_status = 'unmetered' and cost_event.status <> 'error') as is_unpriced,
            cost_event.owner_evidence
        from hop join cost_event using (event_id)
    ),
    summed as (
        select signature, producer, consumer, system, destination, fields, is_provable, count(*) as calls,
            cast(coalesce(sum(cost), 0) as decimal(38, 12)) as list_cost,
            cast(coalesce(sum(cost) filter (
                where owner_evidence not in ('declared', 'matched', 'exclusive_key')), 0) as decimal(38, 12))
                as not_declared,
            count(*) filter (where is_unpriced) as unpriced_calls,
            cast(coalesce(sum(cost) filter (where owner_evidence not in ('none', 'rule')), 0) as decimal(38, 12))
                as recovered,
            min(started_at) as since
        from priced group by all
    )
    select summed.signature, coalesce(exact.title, general.title) as title, producer, consumer, summed.system,
        destination, fields, calls, list_cost, not_declared, unpriced_calls, recovered, since, is_provable,
        coalesce(exact.remedy, general.remedy) as remedy
    from summed
    left join remedy as exact on exact.signature = summed.signature and exact.system = summed.system
    left join remedy as general on general.signature = summed.signature and general.system is null
    order by not_declared desc, list_cost desc, calls desc, signature, producer, consumer, summed.system, destination,
        fields, is_provable
"""
