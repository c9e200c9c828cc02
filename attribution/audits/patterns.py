"""The five attribution patterns, tried on this very data: what each would attribute rightly, wrongly, not at all."""

from __future__ import annotations

import pandas as pd

from attribution.ledger import Ledger


def compare_patterns(ledger: Ledger) -> pd.DataFrame:
    """Judge each pattern against the owners that evidence gives.

    A key or project is given to the team the registry names, else to the team with most of its dollars: the most
    that the pattern could know. Dollars whose owner no evidence gives cannot be judged.
    """
    return ledger.frame(_PATTERNS)


_PATTERNS = """
    with priced as (
        select event_id, trace_id, api_key_id, project_id, provider, started_at, owner_evidence,
            coalesce(list_cost, priced_part) as cost,
            case when owner_evidence not in ('none', 'rule') then owner_team end as owner
        from cost_event
    ),
    registered as (
        select priced.event_id, min(key.owner_team) filter (where key.kind in ('api_key', 'virtual_key')) as key_team,
            min(key.owner_team) filter (where key.kind not in ('api_key', 'virtual_key')) as project_team
        from priced join key on key.key_id in (priced.api_key_id, priced.project_id) and key.is_shared is not true
            and priced.started_at >= coalesce(key.valid_from, timestamp '1970-01-01')
            and priced.started_at < coalesce(key.valid_to, timestamp '2999-12-31')
        group by priced.event_id
    ),
    key_sum as (
        select api_key_id, owner, coalesce(sum(cost), 0) as cost, count(*) as calls from priced
        where api_key_id is not null and owner is not null group by all
    ),
    project_sum as (
        select project_id, owner, coalesce(sum(cost), 0) as cost, count(*) as calls from priced
        where project_id is not null and owner is not null group by all
    ),
    key_holder as (select api_key_id, arg_max(owner, (cost, calls, owner)) as team from key_sum group by api_key_id),
    project_holder as (
        select project_id, arg_max(owner, (cost, calls, owner)) as team from project_sum group by project_id
    ),
    at_gateway as (
        select event_observation.event_id, max(case when observation.role = 'gateway_log'
            then coalesce(observation.owner_team, observation.claimed_team) else observation.claimed_team end) as team
        from event_observation join observation using (observation_id)
        group by event_observation.event_id
    ),
    guess as (
        select priced.*, coalesce(registered.key_team, key_holder.team) as by_key,
            coalesce(registered.project_team, project_holder.team) as by_project, at_gateway.team as by_gateway
        from priced
        left join registered using (event_id)
        left join key_holder using (api_key_id)
        left join project_holder using (project_id)
        left join at_gateway on at_gateway.event_id = priced.event_id
    ),
    tried as (
        select 1 as number, cast(null as varchar) as team, owner, cost from guess
        union all select 2, by_key, owner, cost from guess
        union all select 3, by_project, owner, cost from guess
        union all select 4, by_gateway, owner, cost from guess
        union all select 5, owner, owner, cost from guess
    ),
    shared_key as (select api_key_id from key_sum group by api_key_id having count(*) > 1),
    shown as (
        select count(distinct api_key_id) as keys, count(distinct project_id) as projects,
            count(*) filter (where by_gateway is not null) as at_gateway, count(*) as calls,
            count(*) filter (where owner_evidence in ('declared', 'matched') and trace_id is not null) as end_to_end,
            (select count(*) from shared_key) as shared_keys
        from guess
    )
    select number, ['One shared API key per environment', 'Separate API key per team',
            'Project or workspace per product area', 'Request metadata at gateway only',
            'End-to-end trace plus ownership contract'][number] as pattern,
        cast(coalesce(sum(cost) filter (where team = owner), 0) as decimal(38, 12)) as "right",
        cast(coalesce(sum(cost) filter (where team <> owner), 0) as decimal(38, 12)) as wrong,
        cast(coalesce(sum(cost) filter (where team is null and (owner is not null or number in (1, 5))), 0)
            as decimal(38, 12)) as not_at_all,
        cast(coalesce(sum(cost) filter (where owner is null and not (team is null and number in (1, 5))), 0)
            as decimal(38, 12)) as cannot_be_judged,
        count(*) filter (where team = owner) as calls_right, count(*) filter (where team <> owner) as calls_wrong,
        any_value(case number
            when 1 then shown.keys <= 1 or shown.shared_keys > 0
            when 2 then shown.keys > 1 and shown.shared_keys = 0
            when 3 then shown.projects > 1
            when 4 then shown.at_gateway > 0 and shown.end_to_end * 50 < shown.calls * 49
            else shown.calls > 0 and shown.end_to_end * 50 >= shown.calls * 49 end) as is_shown
    from tried, shown
    group by number order by number
"""
