"""Resolve owners: a ladder of evidence, best first, kept per field; an inferred owner is never a declared one.

`declared` on the call · `matched` on another record of the same call · `exclusive_key` · `inherited` from a span
above · `linked` through a span link or message id · `trace`, all other owned calls of the request agree · `rule`,
any other dated map · `none`, with the reason.
"""

from __future__ import annotations

from attribution import schema
from attribution.ledger import Ledger, column_list
from attribution.ownership import carried, crossings, pointers, recovered

#: The fields whose owner is looked for, with their evidence column; a user handle keeps none of its own.
FIELDS = {
    "owner_team": "owner_evidence",
    "workflow_id": "workflow_evidence",
    "feature": "feature_evidence",
    "tenant_id_hash": "tenant_evidence",
    "user_id_hash": None,
}


def resolve_owners(ledger: Ledger) -> None:
    """Write `event_owner` anew: every event gets its owner and the rung that gave it, or the reason why not.

    Parameters
    ----------
    ledger
        A ledger whose observations are matched. Keys, rules and aliases of its configuration are used with the
        dates they are valid for.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.open_ledger()
    >>> at.resolve_owners(ledger)
    >>> ledger.sql("select count(*) as events from event_owner")["events"].item()
    0
    """
    with ledger.transaction():
        carried.collect(ledger, tuple(FIELDS))
        ledger.run("delete from owner_share")
        recovered.prepare(ledger)
        recovered.by_exclusive_key(ledger)
        pointers.collect_signposts(ledger)
        for field in FIELDS:
            recovered.from_spans_above(ledger, field)
            pointers.from_links(ledger, field)
        recovered.name_teams(ledger)
        crossings.mark_crossings(ledger)
        for field in FIELDS:
            recovered.from_the_request(ledger, field)
        recovered.by_rules(ledger)
        _pick_best(ledger)
        ledger.run(_LOST)
        _write(ledger)
        recovered.clear(ledger)


def _pick_best(ledger: Ledger) -> None:
    """Write `best`: one row per event for which anything was found, with the best rung of each field."""
    best = ", ".join(
        f"max({column}) filter (where field = '{field}') as {field}_{column}"
        for field in FIELDS
        for column in ("value", "evidence", "came_from")
    )
    ledger.run(
        f"""
        create or replace temp table best as
        with first_found as (
            select event_id, field, value, evidence, came_from from found
            qualify row_number() over (partition by event_id, field order by rung, value, came_from) = 1
        )
        select event_id, {best} from first_found group by event_id
        """
    )


#: Calls without a team in whose request some span carries one.
_LOST = """
    create or replace temp table lost as
    with unowned as (
        select event_id, request_id from event
        semi join (select event_id from carried where owner_team is null) using (event_id)
    ),
    asked as (select distinct request_id, trace_id from event semi join unowned using (request_id)),
    owned_trace as (
        select distinct trace_id from span
        semi join (select trace_id from asked union select request_id from asked) using (trace_id)
        where owner_team is not null
    ),
    told as (
        select request_id from asked semi join owned_trace using (trace_id)
        union
        select request_id from asked semi join owned_trace on owned_trace.trace_id = asked.request_id
    )
    select event_id from unowned semi join told using (request_id)
"""


def _write(ledger: Ledger) -> None:
    """Take what the call carries, else the best rung of what was recovered; state why a call has no owner."""
    picked = ", ".join(_pick(field, evidence) for field, evidence in FIELDS.items())
    names = schema.table("cost_event").of_step("own").names
    ledger.run(
        f"""
        create or replace table event_owner as
        with resolved as (
            select carried.event_id, {picked}, carried.claimed_team,
                coalesce(crossing.reason, carried.reason, disputed.reason, case
                    when lost.event_id is not null then 'lost_at_hop'
                    when carried.claimed_team is not null then 'claimed_only'
                    else 'never_owned' end) as reason_if_none
            from carried
            left join best using (event_id)
            left join (select event_id, min(reason) as reason from crossing group by event_id) as crossing
                using (event_id)
            left join (select event_id, min(reason) as reason from disputed group by event_id) as disputed
                using (event_id)
            left join lost using (event_id)
        )
        select {column_list(names)} from (
            select *, case when owner_team is null then reason_if_none end as owner_reason from resolved
        )
        """
    )


def _pick(field: str, evidence: str | None) -> str:
    is_blocked = "crossing.event_id is not null" if field == "owner_team" else "false"
    value = f"case when {is_blocked} then null else coalesce(carried.{field}, best.{field}_value) end as {field}"
    if evidence is None:
        return value
    # A shared call is owned by evidence, by several teams at once; what each bears is in `owner_share`.
    shared = (
        "case crossing.reason when 'shared_batch' then 'linked' "
        "when 'split_between_caller_and_callee' then 'inherited' else 'none' end"
    )
    rung = (
        f"case when {is_blocked} then {shared} when carried.{field} is not null then carried.{field}_evidence "
        f"else coalesce(best.{field}_evidence, 'none') end as {evidence}"
    )
    if field != "owner_team":
        return f"{value}, {rung}"
    came_from = (
        f"case when {is_blocked} then null when carried.{field} is not null then carried.{field}_from "
        f"else best.{field}_came_from end as owner_from"
    )
    return f"{value}, {rung}, {came_from}"
