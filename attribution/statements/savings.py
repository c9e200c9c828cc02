"""Dollars a team can act on: retry waste, fallback premium, cache savings, batch savings missed."""

from __future__ import annotations

from typing import Any

from attribution import pricing
from attribution.allocation import Rules
from attribution.ledger import Ledger

#: What each figure is, in the words of the statement.
MEANINGS = {
    "retry_waste": "attempts that did not give the call's answer",
    "fallback_premium": "what answers of a fallback cost above the same usage on the call's first model",
    "cache_savings": "saved already: cached input at its full price, less what it cost with the cache",
    "batch_missed": "not saved: what the same calls cost above the batch price of their model",
}
_EVERY_WORKFLOW = "; an upper bound, for the rules do not say which workflows can wait"

#: The calls of a period, once each, with the attempt that answered it.
_ATTEMPT = """
    create or replace temp table attempt as
    with borne as (select distinct event_id from event_charge where pool is null and owner_team is not null),
    told as (
        select event.*, event_cost.contracted_cost as paid,
            max(attempt_no) filter (where status = 'ok') over (partition by call_id) as answered_by,
            count(*) over (partition by call_id) as attempts,
            first_value(struct_pack(provider, model, service_tier, region))
                over (partition by call_id order by attempt_no, event_id) as first_choice
        from event semi join borne using (event_id) join event_cost using (event_id)
    )
    select * from told
"""

#: What would have been called instead, for each figure that needs another price.
_IMAGINED = {
    "fallback_premium": """
        select {event} replace (first_choice.provider as provider, first_choice.model as model,
            first_choice.service_tier as service_tier, first_choice.region as region)
        from attempt where attempt_role = 'fallback' and attempt_no = answered_by
    """,
    "cache_savings": """
        select {event} replace (0 as cache_read_tokens, 0 as cache_write_5m_tokens, 0 as cache_write_1h_tokens,
            0 as cache_read_audio_tokens, 0 as cache_read_image_tokens)
        from attempt
        where coalesce(cache_read_tokens, 0) > 0 or coalesce(cache_write_5m_tokens, 0) > 0
            or coalesce(cache_write_1h_tokens, 0) > 0
    """,
    "batch_missed": """
        select {event} replace ('batch' as service_tier)
        from attempt join event_owner using (event_id)
        where status = 'ok' and coalesce(service_tier, 'standard') = 'standard'
            and ($can_wait is null or list_contains($can_wait, workflow_id))
    """,
}
_EVENT = "attempt.* exclude (paid, answered_by, attempts, first_choice)"
#: Whether a figure is what was paid above the imagined price, or below it.
_SIGN = {"fallback_premium": 1, "cache_savings": -1, "batch_missed": 1}


def measure(ledger: Ledger, rules: Rules) -> list[dict[str, Any]]:
    """Return each figure by team and workflow, for the calls in `event_charge` that teams bear directly.

    All at contracted price, on both sides; calls that either side cannot price are counted apart and in no sum.
    What several teams share is split as the call is, to the pico-dollar.
    """
    ledger.run(_ATTEMPT)
    ledger.run(
        """
        create or replace temp table event_saving as
        select event_id, 'retry_waste' as saving, paid as amount, paid is null and is_metered as is_unknown
        from attempt where attempts > 1 and attempt_no is distinct from answered_by and (paid is null or paid <> 0)
        """
    )
    for saving, sign in _SIGN.items():
        query = _IMAGINED[saving].format(event=_EVENT)
        can_wait = {"can_wait": list(rules.can_wait) if rules.can_wait is not None else None}
        values = can_wait if "$can_wait" in query else None
        ledger.run(f"create or replace temp table chosen as select event_id from ({query})", values)
        if not ledger.value("select count(*) from chosen"):
            continue
        priced = pricing.price_as(ledger, query, values)
        with ledger.reading(priced=priced):
            ledger.run(
                f"""
                insert into event_saving
                select event_id, '{saving}', {sign} * (paid - imagined_cost), paid is null or imagined_cost is null
                from chosen join attempt using (event_id)
                left join (select cast(event_id as uuid) as event_id, imagined_cost from priced) using (event_id)
                """
            )
    rows = _by_team(ledger, rules)
    for name in ("attempt", "event_saving", "chosen"):
        ledger.run(f"drop table {name}")
    return rows


def _by_team(ledger: Ledger, rules: Rules) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.arrow(
        """
        with cut as (
            select event_id, owner_team, parts, part,
                sum(part) over (partition by event_id order by owner_team nulls last rows unbounded preceding) as upto
            from owner_share
        ),
        pico as (
            select *, cast(cast(amount as decimal(25, 12)) * 1000000000000 as hugeint) as saved from event_saving
        ),
        bearer as (select distinct event_id, owner_team, workflow_id from event_charge where owner_team is not null),
        borne as (
            select bearer.owner_team, bearer.workflow_id, saving, event_id, is_unknown,
                case when cut.event_id is null then saved
                     else saved * upto // parts - saved * (upto - part) // parts end as saved
            from pico join bearer using (event_id)
            left join cut on cut.event_id = pico.event_id and cut.owner_team is not distinct from bearer.owner_team
        )
        select owner_team, workflow_id, saving, count(*) as calls, count(*) filter (where is_unknown) as not_compared,
            cast(cast(coalesce(sum(saved) filter (where not is_unknown), 0) as decimal(38, 0))
                * 0.000000000001 as decimal(38, 12)) as amount
        from borne group by owner_team, workflow_id, saving
        having count(*) filter (where is_unknown) > 0 or sum(saved) <> 0
        order by owner_team, workflow_id nulls last, saving
        """
    ).to_pylist()
    for row in rows:
        is_bound = row["saving"] == "batch_missed" and rules.can_wait is None
        row["meaning"] = MEANINGS[row["saving"]] + (_EVERY_WORKFLOW if is_bound else "")
    return rows
