"""Who stands above a span: the nearest ancestor of a wanted kind, for millions of spans at once."""

from __future__ import annotations

from attribution.ledger import Ledger


def find_nearest_above(ledger: Ledger, start: str, wanted: str, into: str) -> None:
    """Find, for every span of `start`, its nearest ancestor among `wanted`, and write them to `into`.

    Each round lets every unfinished span jump as far as the span it points to had jumped already, so a chain of
    100,000 spans takes 17 rounds. A cycle, a self-parent or a missing parent finds nothing.

    Parameters
    ----------
    ledger
        A ledger with spans.
    start, wanted
        Names of tables with the columns `trace_id` and `span_id`.
    into
        Name of the temporary table written: `trace_id`, `span_id`, `above_span_id` and `below_span_id`, the last
        span before that ancestor on the way up (only where one was found).
    """
    ledger.run(_FIRST.format(start=start, wanted=wanted))
    spans = ledger.value(_LONGEST)
    for _ in range(max(int(spans or 0), 1).bit_length() + 1):
        if not ledger.value("select count(*) from jump where not is_found and above_span_id is not null"):
            break
        ledger.run(_JUMP)
    ledger.run(_RESULT.format(start=start, into=into))
    ledger.run("drop table jump")


_LONGEST = "select max(spans) from (select count(*) as spans from jump group by trace_id)"

_FIRST = """
    create or replace temp table jump as
    with trace as (select distinct trace_id from {start} where span_id is not null),
    one_span as (
        select trace_id, span_id, min(parent_span_id) as parent_span_id
        from span semi join trace using (trace_id)
        group by trace_id, span_id
    ),
    target as (select distinct trace_id, span_id from {wanted})
    select one_span.trace_id, one_span.span_id,
        nullif(one_span.parent_span_id, one_span.span_id) as above_span_id, one_span.span_id as below_span_id,
        target.span_id is not null as is_found
    from one_span
    left join target on target.trace_id = one_span.trace_id
        and target.span_id = nullif(one_span.parent_span_id, one_span.span_id)
"""

_JUMP = """
    create or replace temp table jump as
    select jump.trace_id, jump.span_id,
        case when jump.is_found then jump.above_span_id else higher.above_span_id end as above_span_id,
        case when jump.is_found then jump.below_span_id else higher.below_span_id end as below_span_id,
        case when jump.is_found then true else coalesce(higher.is_found, false) end as is_found
    from jump
    left join jump as higher
        on higher.trace_id = jump.trace_id
        and higher.span_id = case when not jump.is_found then jump.above_span_id end
"""

_RESULT = """
    create or replace temp table {into} as
    select distinct jump.trace_id, jump.span_id, jump.above_span_id, jump.below_span_id
    from jump semi join {start} as start using (trace_id, span_id)
    where jump.is_found and jump.above_span_id <> jump.span_id
"""
