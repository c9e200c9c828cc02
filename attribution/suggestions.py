"""What kinds and times of spans suggest about a call that is a root of its own: never proof, never an owner.

Each call looks for the nearest earlier span of a suspicious kind, by one ordered join, so that the time it takes
grows with the number of spans and not with its square.
"""

from __future__ import annotations

from attribution.ledger import Ledger


def suggest_hops(ledger: Ledger, into: str) -> None:
    """Suggest H4, H9, H5 and H1 for the calls of `root_call`, in that order of preference.

    Parameters
    ----------
    ledger
        A ledger with spans, and with the temporary tables `root_call` (event_id, service, instance, started_at,
        ended_at) and `signpost` (to_trace, to_span).
    into
        Name of the temporary table written: event_id, signature, producer, consumer, system, destination, preference.
    """
    ledger.run(
        f"create or replace temp table {into} "
        "(event_id uuid, signature varchar, producer varchar, consumer varchar, system varchar, "
        "destination varchar, preference integer)"
    )
    if not ledger.value("select count(*) from root_call"):
        return
    for statement in (_RECEIVED, _CLOSED, _IN_A_THREAD):
        ledger.run(f"insert into {into} {statement}")
    ledger.run(_UNANSWERED)
    ledger.run(f"insert into {into} {_NOT_TAKEN}")
    ledger.run("drop table unanswered")


#: H4: the same process received a message, by a client span that told the producer by its id, before the call.
_RECEIVED = """
    with received as (
        select coalesce(receive.service, '') as service, coalesce(receive.instance, '') as instance, receive.ended_at,
            max(struct_pack(producer := coalesce(send.service, ''), system := coalesce(receive.messaging_system, ''),
                destination := coalesce(receive.destination, ''))) as said
        from span as receive join span as send using (message_id)
        where receive.message_id is not null and receive.trace_id <> send.trace_id
            and receive.kind = 'client' and send.kind in ('client', 'producer') and send.started_at < receive.started_at
        group by all
    )
    select call.event_id, 'H4', nullif(near.said.producer, ''), call.service, nullif(near.said.system, ''),
        nullif(near.said.destination, ''), 1
    from root_call as call asof join received as near
        on near.service = coalesce(call.service, '') and near.instance = coalesce(call.instance, '')
        and call.started_at >= near.ended_at
"""

#: H9: a consumer span of the same process had ended before the call began.
_CLOSED = """
    with closed as (
        select coalesce(consumer.service, '') as service, coalesce(consumer.instance, '') as instance,
            consumer.ended_at,
            max(struct_pack(producer := coalesce(producer.service, ''),
                system := coalesce(consumer.messaging_system, ''),
                destination := coalesce(consumer.destination, ''))) as said
        from span as consumer
        left join span as producer
            on producer.trace_id = consumer.trace_id and producer.span_id = consumer.parent_span_id
        where consumer.kind = 'consumer' and consumer.parent_is_remote
        group by all
    )
    select call.event_id, 'H9', nullif(near.said.producer, ''), call.service, nullif(near.said.system, ''),
        nullif(near.said.destination, ''), 2
    from root_call as call asof join closed as near
        on near.service = coalesce(call.service, '') and near.instance = coalesce(call.instance, '')
        and call.started_at >= near.ended_at
"""

#: H5: a server span of the same process without children was still open: one that began before, the last to end.
_IN_A_THREAD = """
    with childless as (
        select coalesce(server.service, '') as service, coalesce(server.instance, '') as instance, server.started_at,
            max(server.ended_at) as ended_at
        from span as server
        left join span as child on child.trace_id = server.trace_id and child.parent_span_id = server.span_id
        where server.kind = 'server' and child.span_id is null
        group by all
    ),
    open_until as (
        select service, instance, started_at,
            max(ended_at) over (partition by service, instance order by started_at) as ended_at
        from childless
    )
    select call.event_id, 'H5', call.service, call.service, 'thread', null, 3
    from root_call as call asof join open_until as near
        on near.service = coalesce(call.service, '') and near.instance = coalesce(call.instance, '')
        and call.started_at >= near.started_at
    where near.ended_at >= call.ended_at
"""

#: Messages that nothing took, in order of time, each with the last one before it that another service sent.
_UNANSWERED = """
    create or replace temp table unanswered as
    with sent as (
        select distinct coalesce(producer.service, '') as service, producer.started_at,
            producer.messaging_system, producer.destination
        from span as producer
        left join span as child on child.trace_id = producer.trace_id and child.parent_span_id = producer.span_id
            and child.kind = 'consumer'
        left join signpost on signpost.to_trace = producer.trace_id and signpost.to_span = producer.span_id
        where producer.kind = 'producer' and producer.started_at is not null
            and child.span_id is null and signpost.span_id is null
    ),
    numbered as (
        select *, row_number() over times as place, lag(service) over times is distinct from service as is_change
        from sent
        window times as (order by started_at, service, messaging_system nulls first, destination nulls first)
    )
    select *, max(case when is_change then place end) over (order by place) - 1 as place_of_another
    from numbered
"""

#: H1: a message of another service that nothing took, the last one before the call.
_NOT_TAKEN = """
    with latest as (
        select started_at, max(place) as place from unanswered group by started_at
    ),
    near as (
        select call.event_id, call.service,
            case when sent.service = coalesce(call.service, '') then sent.place_of_another else sent.place end as place
        from root_call as call
        asof join latest on call.started_at >= latest.started_at
        join unanswered as sent using (place)
    )
    select near.event_id, 'H1', nullif(sent.service, ''), near.service, sent.messaging_system, sent.destination, 4
    from near join unanswered as sent using (place)
"""
