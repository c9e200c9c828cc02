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
    filled = _filled(ledger, (*fields, "claimed_team"))
    said = ", ".join(name for name in filled if name != "owner_team") or "null"
    ledger.run(
        f"""
        create or replace temp table carried as
        with said as (
            select event_id, rank, observation_id, cast({_AUTHORITY} as utinyint) as authority, {said},
                coalesce(team_alias.canonical, observation.owner_team) as owner_team
            from event_observation join observation using (observation_id)
            left join alias as team_alias
                on team_alias.kind = 'team' and team_alias.name = observation.owner_team
                and observation.started_at >= coalesce(team_alias.valid_from, timestamp '1970-01-01')
                and observation.started_at < coalesce(team_alias.valid_to, timestamp '2999-12-31')
        ),
        merged as (
            select event_id, min(authority) filter (where rank = 1) as speaker,
                {"".join(_roll_up(f) for f in fields if f in filled)}
                arg_min(observation_id, rank) filter (where owner_team is not null) as owner_record,
                {"arg_min(claimed_team, rank)" if "claimed_team" in filled else "cast(null as varchar)"} as claimed_team
            from said group by event_id
        ),
        flawed as ({_FLAWED})
        select merged.event_id, {", ".join(_merge(f) if f in filled else _leave_empty(f) for f in fields)},
            cast(owner_record as varchar) as owner_team_from, claimed_team,
            case when owner_team_values > 1 then 'conflicting' else flawed.reason end as reason
        from merged left join flawed using (event_id)
        """
    )
    for field in fields:
        if field in filled and ledger.value(f"select count(*) from carried where {field}_values > 1"):
            _note_conflicts(ledger, field)


def _filled(ledger: Ledger, names: tuple[str, ...]) -> list[str]:
    """Return the columns that at least one record fills; the others need no work."""
    counts = ledger.rows(f"select {', '.join(f'count({name})' for name in names)} from observation")[0]
    return [name for name, count in zip(names, counts, strict=True) if count]


def _roll_up(field: str) -> str:
    return (
        f"min({field}) as {field}_least, max({field}) as {field}_most, "
        f"min(authority) filter (where {field} is not null) as {field}_authority, "
    )


def _merge(field: str) -> str:
    """Take the value that all records agree on; say on which kind of record it stood."""
    return (
        f"case when {field}_least = {field}_most then {field}_least end as {field}, "
        f"case when {field}_authority <= speaker then 'declared' else 'matched' end as {field}_evidence, "
        f"case when {field}_least <> {field}_most then 2 when {field}_least is null then 0 else 1 end as {field}_values"
    )


def _leave_empty(field: str) -> str:
    return f"cast(null as varchar) as {field}, 'matched' as {field}_evidence, 0 as {field}_values"


#: The first reason why the team that a record sent is not kept.
_FLAWED = """
    select event_id, case when bool_or(list_contains(ownership_flags, 'owner_team:not_text')) then 'not_text'
        when bool_or(list_contains(ownership_flags, 'owner_team:too_long')) then 'too_long'
        when bool_or(len(list_filter(ownership_flags, lambda f: starts_with(f, 'owner_team:personal_data'))) > 0)
            then 'personal_data'
        when bool_or(list_contains(ownership_flags, 'sent_not_stored')) then 'sent_not_stored' end as reason
    from event_observation
    join (select observation_id, ownership_flags from observation where len(ownership_flags) > 0)
        using (observation_id)
    group by event_id
"""


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
