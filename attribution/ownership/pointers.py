"""The rung `linked`: exact pointers from one trace to another, by span link, message id or job key."""

from __future__ import annotations

from attribution.ancestry import find_nearest_above
from attribution.ledger import Ledger
from attribution.ownership.recovered import RUNGS, is_on_spans

#: A request crosses a few queues; pointers that lead in a circle end here.
_MOST_HOPS = 16


def collect_signposts(ledger: Ledger) -> None:
    """Write `signpost`: the spans that point to other traces, for all fields alike."""
    ledger.run(_SIGNPOSTS)


def from_links(ledger: Ledger, field: str) -> None:
    """Recover a field through the pointers on the call's path, from queue to queue until a span carries it.

    A consumer that serves several owners at once (a batch) is shared: the first pointer is never taken for all, nor
    are those that lead to an owner taken for those that lead nowhere.
    """
    if not _start(ledger, field):
        return
    for hop in range(_MOST_HOPS):
        _follow(ledger)
        if hop > 0:
            ledger.run("insert into reached select event_id, null, null from post where span_id is null")
        if not ledger.value("select count(*) from pointer"):
            break
        _ask(ledger, field)
    _conclude(ledger, field)
    for name in ("needy", "bearer", "post", "pointer", "reached"):
        ledger.run(f"drop table if exists {name}")


def _start(ledger: Ledger, field: str) -> bool:
    """Collect the calls that need the field: `needy(event_id, trace_id, span_id)`; say whether any pointer exists."""
    if not ledger.value("select count(*) from signpost") or not is_on_spans(ledger, field):
        return False
    ledger.run(
        f"""
        create or replace temp table needy as
        select call_span.event_id, call_span.trace_id, call_span.span_id
        from call_span join carried using (event_id)
        where carried.{field} is null and carried.{field}_values = 0
            and not exists (from found where found.event_id = carried.event_id and found.field = $field
                and found.rung < $rung)
        """,
        {"field": field, "rung": RUNGS["linked"]},
    )
    ledger.run(
        f"create or replace temp table bearer as select distinct trace_id, span_id from span where {field} is not null"
    )
    ledger.run("create or replace temp table reached (event_id uuid, value varchar, came_from varchar)")
    return bool(ledger.value("select count(*) from needy"))


def _follow(ledger: Ledger) -> None:
    """Find where the nearest signpost at or above each needy span points to; one without any is a dead end."""
    find_nearest_above(ledger, "needy", "signpost", "above")
    ledger.run(
        """
        create or replace temp table post as
        select needy.event_id, needy.trace_id, coalesce(own.span_id, above.above_span_id) as span_id
        from needy
        left join (select distinct trace_id, span_id from signpost) as own using (trace_id, span_id)
        left join above using (trace_id, span_id)
        """
    )
    ledger.run(
        """
        create or replace temp table pointer as
        select distinct post.event_id, signpost.to_trace as trace_id, signpost.to_span as span_id
        from post join signpost using (trace_id, span_id)
        """
    )


def _ask(ledger: Ledger, field: str) -> None:
    """Note what the spans pointed to carry, or the spans above them; the others are needy in the next round."""
    find_nearest_above(ledger, "pointer", "bearer", "above")
    ledger.run(
        f"""
        create or replace temp table answer as
        select distinct pointer.*, coalesce(own.{field}, higher.{field}) as value,
            pointer.trace_id || '/' || coalesce(case when own.{field} is null then above.above_span_id end,
                pointer.span_id) as came_from
        from pointer
        left join span as own on own.trace_id = pointer.trace_id and own.span_id = pointer.span_id
        left join above on above.trace_id = pointer.trace_id and above.span_id = pointer.span_id
        left join span as higher on higher.trace_id = above.trace_id and higher.span_id = above.above_span_id
        """
    )
    ledger.run("insert into reached select event_id, value, came_from from answer where value is not null")
    ledger.run(
        """
        create or replace temp table needy as
        select distinct event_id, trace_id, span_id from answer
        where not exists (from answer as told where told.value is not null and told.event_id = answer.event_id
            and told.trace_id = answer.trace_id and told.span_id = answer.span_id)
        """
    )
    ledger.run("drop table answer")


def _conclude(ledger: Ledger, field: str) -> None:
    """Take a value that every pointer leads to; where two owners are reached, the call is shared between them."""
    ledger.run(
        """
        insert into found
        select event_id, $field, min(value), 'linked', $rung, 'span:' || min(came_from)
        from reached
        group by event_id having count(distinct value) = 1 and bool_and(value is not null)
        """,
        {"field": field, "rung": RUNGS["linked"]},
    )
    if field == "owner_team":
        ledger.run(
            "insert into crossing select event_id, 'shared_batch' from reached "
            "group by event_id having count(distinct value) > 1"
        )
        ledger.run(_SPLIT_BY_MESSAGE)


#: A call for a batch is borne by message: each pointer is one message, owned or not.
_SPLIT_BY_MESSAGE = """
    insert into owner_share
    with shared as (select event_id from crossing where reason = 'shared_batch')
    select event_id, value, count(*), cast(sum(count(*)) over (partition by event_id) as bigint), 'shared_batch'
    from reached semi join shared using (event_id)
    group by event_id, value
"""

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
        and (producer.kind = 'producer' or not regexp_matches(producer.name, '(?i)receive|poll|delete|process'))
        and consumer.messaging_system is not distinct from producer.messaging_system
    union
    select worker.trace_id, worker.span_id, starter.trace_id, starter.span_id
    from span as worker join span as starter using (job_key)
    where worker.job_key is not null and starter.trace_id <> worker.trace_id
        and starter.kind in ('producer', 'client', 'internal') and starter.owner_team is not null
"""
