"""Match: observations of one provider call become one cost event, joined by shared ids and never by guess.

The provider's response id is strongest. Observations without one join on the id their exports share (a gateway's
record, the provider's request id, a span); a span above another span of the same call joins it. Two observations
with different response ids never merge, and everything without a shared id is a call of its own.
"""

from __future__ import annotations

from attribution.ledger import Ledger
from attribution.matching import grouping, merging, repeats

#: Usage is believed in this order.
_AUTHORITY = "case role when 'provider_log' then 0 when 'gateway_log' then 1 when 'client_span' then 2 else 3 end"


def match(ledger: Ledger) -> None:
    """Write `event` and `event_observation` anew from all observations and spans.

    Every observation ends in exactly one event. The result does not depend on the order in which files came.

    Parameters
    ----------
    ledger
        A ledger with loaded observations and spans.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.open_ledger()
    >>> at.match(ledger)
    >>> ledger.sql("select count(*) as events from event")["events"].item()
    0
    """
    with ledger.transaction():
        grouping.place_unanswered(ledger)
        repeats.join_spans_above(ledger)
        ledger.run("create or replace temp table former as select event_id, observation_id from event_observation")
        _write_event_observations(ledger)
        _keep_former_ids(ledger)
        merging.write_events(ledger)
        _note_usage_conflicts(ledger)
        _note_retold_traces(ledger)
        for name in ("placed", "former", "nested", "candidate", "candidate_above", "repeated"):
            ledger.run(f"drop table if exists {name}")


def _write_event_observations(ledger: Ledger) -> None:
    """Order the records of each event by authority on usage; the first speaks for the call."""
    ledger.run("delete from event_observation")
    ledger.run(
        f"""
        insert into event_observation (event_id, observation_id, joined_by, rank)
        with grouped as (
            select observation_id, cast(md5(coalesce(group_key, 'response:' || response_id)) as uuid) as event_id,
                coalesce(joined_by, 'response_id') as joined_by, cast({_AUTHORITY}
                    + case joined_by when 'parent_span' then 4 else 0 end
                    + case when is_metered then 0 else 8 end as utinyint) as place
            from (select observation_id, response_id, role, is_metered from observation)
            left join (select observation_id, group_key, joined_by from placed) using (observation_id)
        )
        select event_id, observation_id, joined_by,
            row_number() over (partition by event_id order by place, observation_id)
        from grouped
        """
    )


def _keep_former_ids(ledger: Ledger) -> None:
    """Note what events are called now whose records a later file merged or split, so that notes still find them."""
    if not ledger.value("select count(*) from former"):
        return
    ledger.run(
        """
        create or replace temp table renamed as
        with present as (select distinct event_id from event_observation),
        gone as (
            select former.event_id as old_event_id, min(event_observation.event_id) as event_id
            from former anti join present using (event_id)
            join event_observation using (observation_id)
            group by former.event_id
        )
        select old_event_id, event_id from gone
        union all
        select event_alias.old_event_id, gone.event_id
        from event_alias join gone on gone.old_event_id = event_alias.event_id
        """
    )
    ledger.run("delete from event_alias using renamed where event_alias.old_event_id = renamed.old_event_id")
    ledger.run("insert into event_alias select old_event_id, event_id from renamed order by all")
    ledger.run("delete from event_alias where old_event_id in (select event_id from event_observation)")
    ledger.run("drop table renamed")


def _note_usage_conflicts(ledger: Ledger) -> None:
    """List the calls on whose usage two sources disagree; the more authoritative one is kept."""
    ledger.run("delete from conflict where kind = 'usage'")
    ledger.run(
        """
        insert into conflict (kind, key, field, kept, kept_at, other, other_at, event_id)
        with differing as (
            select event_id from event_record join event using (event_id)
            where rank > 1 and event_record.is_metered and (event_record.input_tokens <> event.input_tokens
                or event_record.output_tokens <> event.output_tokens)
        ),
        said as (select * from event_record semi join differing using (event_id)),
        kept as (select * from said where rank = 1),
        other as (select * from said where rank > 1 and is_metered)
        select 'usage', cast(kept.event_id as varchar), field,
            cast(case field when 'input_tokens' then kept.input_tokens else kept.output_tokens end as varchar),
            kept.file_id || ':' || kept.line,
            cast(case field when 'input_tokens' then other.input_tokens else other.output_tokens end as varchar),
            other.file_id || ':' || other.line, kept.event_id
        from kept join other using (event_id), (values ('input_tokens'), ('output_tokens')) as fields(field)
        where case field when 'input_tokens' then kept.input_tokens <> other.input_tokens
                         else kept.output_tokens <> other.output_tokens end
        order by all
        """
    )


def _note_retold_traces(ledger: Ledger) -> None:
    """List traces that two documents tell in different ways; they belong into two ledgers."""
    ledger.run("delete from conflict where kind = 'trace'")
    ledger.run(
        """
        insert into conflict (kind, key, kept_at, other_at)
        with telling as (
            select distinct trace_id, file_id, line from observation where source = 'seed' and trace_id is not null
        )
        select 'trace', trace_id, min(file_id || ':' || line), max(file_id || ':' || line)
        from telling group by trace_id having count(*) > 1 order by all
        """
    )
