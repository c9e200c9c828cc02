"""What the records of a call carry themselves: the rungs `declared` and `matched`."""

from __future__ import annotations

from attribution.ledger import Ledger

_AUTHORITY = """
    case observation.role when 'provider_log' then 0 when 'gateway_log' then 1 when 'client_span' then 2 else 3 end
"""
_RANK = f"""
    (not observation.is_metered, event_observation.joined_by = 'parent_span', {_AUTHORITY},
     cast(observation.observation_id as varchar))
"""


def collect(ledger: Ledger, fields: tuple[str, ...]) -> None:
    """Write `carried`: per event the ownership on its own records, merged from all that carry any.

    The value on the record that speaks for the call, or on another of the same authority (two exports of one gateway
    record), is `declared`; one on another kind of record of the call is `matched`.
    Two records with different values are a conflict that no order of files may settle: the field stays empty.
    """
    ledger.run("delete from conflict where kind = 'owner'")
    values = ", ".join(_merge(field) for field in fields)
    ledger.run(
        f"""
        create or replace temp table carried as
        with said as (
            select event_observation.event_id, observation.* replace (
                    coalesce(team_alias.canonical, observation.owner_team) as owner_team
                ), {_RANK} as rank, {_AUTHORITY} as authority
            from event_observation
            join observation using (observation_id)
            left join alias as team_alias
                on team_alias.kind = 'team' and team_alias.name = observation.owner_team
                and observation.started_at >= coalesce(team_alias.valid_from, timestamp '1970-01-01')
                and observation.started_at < coalesce(team_alias.valid_to, timestamp '2999-12-31')
        ),
        merged as (
            select event_id, {values}, arg_min(claimed_team, rank) as claimed_team,
                flatten(list(coalesce(ownership_flags, []) order by rank)) as flags
            from said group by event_id
        )
        select merged.* exclude (flags), event.request_id, event.trace_id, event.started_at, event.api_key_id,
            event.project_id, event.provider,
            case when owner_team_values > 1 then 'conflicting'
                 when list_contains(flags, 'owner_team:not_text') then 'not_text'
                 when list_contains(flags, 'owner_team:too_long') then 'too_long'
                 when list_contains(flags, 'sent_not_stored') then 'sent_not_stored' end as reason
        from merged join event using (event_id)
        """
    )
    for field in fields:
        _note_conflicts(ledger, field)


def _merge(field: str) -> str:
    return (
        f"case when count(distinct {field}) > 1 then null else arg_min({field}, rank) end as {field}, "
        f"case when min(authority) filter (where {field} is not null) <= arg_min(authority, rank) "
        f"then 'declared' else 'matched' end "
        f"as {field}_evidence, "
        f"cast(arg_min(observation_id, rank) filter (where {field} is not null) as varchar) as {field}_from, "
        f"count(distinct {field}) as {field}_values"
    )


def _note_conflicts(ledger: Ledger, field: str) -> None:
    """List the calls on whose owner two records disagree, with both places."""
    ledger.run(
        f"""
        insert into conflict (kind, key, field, kept, kept_at, other, other_at, event_id)
        with disputed as (
            select event_observation.event_id, {field} as value,
                min(observation.file_id || ':' || lpad(cast(observation.line as varchar), 12, '0')) as place
            from event_observation join observation using (observation_id)
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
