"""Which records are one call: the provider's response id says it, else the ids that exports of one attempt share.

Most records carry a response id, and nothing more need be known of them. Only the others are kept in `placed`, with
the group they join, so that the search for shared ids runs over few rows however large the ledger is.
"""

from __future__ import annotations

from attribution.ledger import Ledger

#: Weaker keys, strongest first; each is an id that names one attempt, never a whole operation.
_WEAK_KEYS = {
    "provider_request": "provider_request_id",
    "record": "record_id",
    "span": "trace_id || '/' || span_id",
}


def place_unanswered(ledger: Ledger) -> None:
    """Write `placed`: every record without a response id, with the group it joins by the ids that it shares."""
    ledger.run(
        """
        create or replace temp table placed as
        select observation_id, role, trace_id, span_id, record_id, provider_request_id,
            'observation:' || cast(observation_id as varchar) as group_key, 'itself' as joined_by, false as is_answered
        from observation where response_id is null
        """
    )
    before = None
    while (state := ledger.value("select sum(hash(observation_id, group_key)) from placed")) != before:
        before = state
        for joined_by, key in _WEAK_KEYS.items():
            _adopt_by_weak_key(ledger, joined_by, key)


def place_answered(ledger: Ledger, traces: str) -> None:
    """Add to `placed` the records of every answer that a client span in one of these traces gives or has joined."""
    ledger.run(
        f"""
        insert into placed
        with spoken as (
            select response_id from observation semi join {traces} using (trace_id)
            where role = 'client_span' and response_id is not null
            union
            select substr(group_key, length('response:') + 1) from placed semi join {traces} using (trace_id)
            where role = 'client_span' and is_answered
        )
        select observation_id, role, trace_id, span_id, record_id, provider_request_id, 'response:' || response_id,
            'response_id', true
        from observation semi join spoken using (response_id)
        """
    )


def _adopt_by_weak_key(ledger: Ledger, joined_by: str, key: str) -> None:
    """Let records without a response id join the one group that shares this key.

    A key that leads to two different response ids names no single call, so nothing joins by it; and what already
    joined a response by a stronger key stays there.
    """
    if not ledger.value(f"select count(*) from placed where not is_answered and ({key}) is not null"):
        return
    ledger.run(
        f"""
        create or replace temp table placed as
        with needing as (select distinct {key} as weak_key from placed where not is_answered and ({key}) is not null),
        named as (
            select {key} as weak_key, group_key, joined_by, is_answered from placed
            union all
            select {key}, 'response:' || response_id, 'response_id', true from observation
            where response_id is not null and ({key}) is not null
        ),
        leader as (
            select weak_key, bool_or(is_answered) as is_answer, coalesce(
                    min(group_key) filter (where is_answered),
                    min(group_key) filter (where joined_by <> 'itself'),
                    $joined_by || ':' || weak_key
                ) as leader_key
            from named semi join needing using (weak_key)
            group by weak_key having count(distinct group_key) filter (where is_answered) <= 1
        )
        select placed.* replace (
            coalesce(leader_key, group_key) as group_key,
            case when leader_key is not null and joined_by = 'itself' then $joined_by else joined_by end as joined_by,
            is_answered or coalesce(is_answer, false) as is_answered
        )
        from placed left join leader on not placed.is_answered and leader.weak_key = {key}
        """,
        {"joined_by": joined_by},
    )
