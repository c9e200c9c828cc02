"""What the records of a call carry themselves: the rungs `declared` and `matched`."""

from __future__ import annotations

from attribution.ledger import Ledger

_AUTHORITY = "case role when 'provider_log' then 0 when 'gateway_log' then 1 when 'client_span' then 2 else 3 end"


def collect(ledger: Ledger, fields: tuple[str, ...]) -> None:
    """Write `carried`: per event the ownership on its own records, merged from all that carry any.

    The value on the record that speaks for the call, or on another of the same authority (two exports of one gateway
    record), is `declared`; one on another kind of record of the call is `matched`. Two records with different values
    are a conflict that no order of files may settle: the field stays empty.
    """
    ledger.run("delete from conflict where kind = 'owner'")
    rest = ", ".join(
        f"arg_min({f}, rank) as {f}, count(distinct {f}) as {f}_values, "
        f"min(authority) filter (where {f} is not null) as {f}_authority, "
        f"arg_min(observation_id, rank) filter (where {f} is not null) as {f}_from"
        for f in fields
    )
    ledger.run(
        f"""
        create or replace temp table carried as
        with said as (
            select event_id, rank, observation_id, {_AUTHORITY} as authority, claimed_team, ownership_flags,
                {", ".join(f for f in fields if f != "owner_team")},
                coalesce(team_alias.canonical, event_record.owner_team) as owner_team
            from event_record
            left join alias as team_alias
                on team_alias.kind = 'team' and team_alias.name = event_record.owner_team
                and event_record.started_at >= coalesce(team_alias.valid_from, timestamp '1970-01-01')
                and event_record.started_at < coalesce(team_alias.valid_to, timestamp '2999-12-31')
        ),
        one as (select * from said where rank = 1),
        two as (select * from said where rank = 2),
        more as (
            select event_id, {rest}, arg_min(claimed_team, rank) as claimed_team,
                flatten(list(coalesce(ownership_flags, []) order by rank)) as ownership_flags
            from said where rank > 2 group by event_id
        ),
        merged as (
            select one.event_id, {", ".join(_merge(f) for f in fields)},
                coalesce(one.claimed_team, two.claimed_team, more.claimed_team) as claimed_team,
                list_concat(one.ownership_flags, list_concat(two.ownership_flags, more.ownership_flags)) as flags
            from one left join two using (event_id) left join more using (event_id)
        )
        select merged.* exclude (flags), event.request_id, event.trace_id, event.started_at, event.api_key_id,
            event.project_id, event.provider,
            case when owner_team_values > 1 then 'conflicting'
                 when list_contains(flags, 'owner_team:not_text') then 'not_text'
                 when list_contains(flags, 'owner_team:too_long') then 'too_long'
                 when len(list_filter(flags, lambda f: starts_with(f, 'owner_team:personal_data'))) > 0
                    then 'personal_data'
                 when list_contains(flags, 'sent_not_stored') then 'sent_not_stored' end as reason
        from merged join event using (event_id)
        """
    )
    for field in fields:
        _note_conflicts(ledger, field)


def _merge(field: str) -> str:
    """Take the value of the best record, unless two records differ; say on which kind of record it stood."""
    first = f"coalesce(one.{field}, two.{field}, more.{field})"
    differs = (
        f"coalesce(one.{field} <> two.{field}, false) or coalesce(coalesce(one.{field}, two.{field}) <> more.{field}, "
        f"false) or coalesce(more.{field}_values > 1, false)"
    )
    at_the_call = (
        f"one.{field} is not null or (two.{field} is not null and two.authority <= one.authority) "
        f"or coalesce(more.{field}_authority <= one.authority, false)"
    )
    record = (
        f"case when one.{field} is not null then one.observation_id when two.{field} is not null "
        f"then two.observation_id else more.{field}_from end"
    )
    return (
        f"case when {differs} then null else {first} end as {field}, "
        f"case when {at_the_call} then 'declared' else 'matched' end as {field}_evidence, "
        f"cast({record} as varchar) as {field}_from, "
        f"case when {differs} then 2 when {first} is null then 0 else 1 end as {field}_values"
    )


def _note_conflicts(ledger: Ledger, field: str) -> None:
    """List the calls on whose owner two records disagree, with both places."""
    ledger.run(
        f"""
        insert into conflict (kind, key, field, kept, kept_at, other, other_at, event_id)
        with disputed as (
            select event_id, {field} as value, min(file_id || ':' || lpad(cast(line as varchar), 12, '0')) as place
            from event_record
            semi join (select event_id from carried where {field}_values > 1) as contested using (event_id)
            where {field} is not null
            group by all
        )
        select 'owner', cast(one.event_id as varchar), $field, one.value, one.place, other.value, other.place,
            one.event_id
        from disputed as one join disputed as other on other.event_id = one.event_id and other.value > one.value
        order by all
        """,
        {"field": field},
    )
