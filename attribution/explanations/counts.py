"""From calls to counts: the common tables that lead from `cost_event` to the leaves of a change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from attribution.ledger import column_list

#: What a segment always is; a caller may add columns, never take these away.
SEGMENT = ("owner_team", "workflow_id", "feature")

#: Joins that give a workflow `w` and a feature `f` the name of their family.
FAMILIES = """
        left join (select name, min(family) as family from family where kind = 'workflow' group by name) w
            on w.name = cost_event.workflow_id
        left join (select name, min(family) as family from family where kind = 'feature' group by name) f
            on f.name = cost_event.feature"""


@dataclass(frozen=True)
class Question:
    """What is asked, ready for a statement: conditions without values, and the values to bind."""

    cost: str
    money: str
    rates: str
    extra: tuple[str, ...]
    windows: int
    only: str
    slice: str
    values: dict[str, Any] = field(default_factory=dict)

    def columns(self, prefix: str = "") -> str:
        """Return the added leaf columns, each after a comma."""
        return "".join(f", {column_list([name], prefix)}" for name in self.extra)

    def same(self, one: str, other: str) -> str:
        """Return the null-safe equality of the added leaf columns."""
        return "".join(f' and {one}."{name}" is not distinct from {other}."{name}"' for name in self.extra)


def common_tables(question: Question) -> str:
    """Return the common tables up to `branch_count`, `request_count` and `meter_count`."""
    return ",".join((_events(question), _places(question), _homes(question), _attempts(question), _tallies(question)))


def in_window(question: Question) -> str:
    """Return the condition that a call lies in the later period or in a window of the earlier one."""
    before = "".join(
        f" or started_at >= $before_start_{i} and started_at < $before_end_{i}" for i in range(question.windows)
    )
    return f"(started_at >= $after_start and started_at < $after_end{before})"


def _events(question: Question) -> str:
    """Priced calls of both periods; versions of a workflow go by their family's name."""
    return f"""
    event_named as materialized (
        select
            started_at >= $after_start and started_at < $after_end as is_after, event_id, call_id, attempt_no,
            attempt_role, coalesce(request_id, call_id) as request_id, trace_id is not null as is_request_known,
            owner_team, coalesce(w.family, workflow_id) as workflow_id, coalesce(f.family, feature) as feature,
            service, api_key_id, coalesce(operation, 'unknown') as step,
            concat_ws('/', provider, coalesce(model, 'unknown')) as model,
            coalesce(service_tier, 'standard') as service_tier, coalesce(list_cost, {question.cost}) as list_cost,
            {question.cost} as paid, {question.money} as cost,
            coalesce(cache_hit, false) and {question.cost} = 0 as is_no_call,
            owner_team is not null and workflow_id is not null and feature is not null as is_whole,
            {question.slice} as is_in_slice {question.columns("cost_event.")}
        from cost_event
        {FAMILIES} {question.rates}
        where {question.cost} is not null and {question.only} and {in_window(question)}
    )"""


def _places(question: Question) -> str:
    """Which ownership occurs, as complete as it is, and with which callers."""
    return f"""
    signature as (
        select row_number() over (
            order by owner_team, workflow_id, feature, service, api_key_id, is_request_known, is_in_slice
            {question.columns()}
        ) as signature_id, *
        from (
            select distinct owner_team, workflow_id, feature, if(is_whole, null, service) as service,
                if(is_whole, null, api_key_id) as api_key_id, is_request_known, is_in_slice, is_whole
                {question.columns()}
            from event_named
        )
    ),
    place as (
        select row_number() over (order by owner_team, workflow_id, feature) as place_id, *
        from (
            select distinct owner_team, workflow_id, feature,
                (owner_team is not null)::int + (workflow_id is not null)::int + (feature is not null)::int as known
            from signature
        )
    ),
    asked_caller as (
        select distinct service, api_key_id from signature where coalesce(service, api_key_id) is not null
    ),
    caller as (
        select distinct e.service, e.api_key_id, owner_team, workflow_id, feature
        from event_named e join asked_caller a
            on e.service is not distinct from a.service and e.api_key_id is not distinct from a.api_key_id
        where is_whole
    )"""


def _homes(question: Question) -> str:
    """Say which segment calls with missing ownership are part of, where other tags settle it.

    A call whose workflow, or else whose service and key, occurs in these periods with exactly one fuller set of
    team, workflow and feature belongs to that segment's activity. Its cost stays where it is tagged; a move
    between the two is then better tagging, not more use.
    """
    return f"""
    candidate as (
        select signature_id, place_id, p.known, 1 as rung
        from signature s join place p using (workflow_id)
        where {_fuller()}
        union all
        select signature_id, place_id, p.known, 2
        from signature s
        join caller c on c.service is not distinct from s.service and c.api_key_id is not distinct from s.api_key_id
        join place p on (p.owner_team, p.workflow_id, p.feature) = (c.owner_team, c.workflow_id, c.feature)
        where coalesce(s.service, s.api_key_id) is not null and {_fuller()}
    ),
    settled as (
        select signature_id, rung, min(place_id) as place_id
        from (select *, known = max(known) over (partition by signature_id, rung) as is_fullest from candidate)
        where is_fullest
        group by signature_id, rung
        having min(place_id) = max(place_id)
    ),
    home as (
        select s.*, dense_rank() over (order by h.place_id, is_request_known{question.columns()}) as segment_id,
            h.place_id as home_id, own.place_id as place_id
        from signature s
        join place own on own.owner_team is not distinct from s.owner_team
            and own.workflow_id is not distinct from s.workflow_id and own.feature is not distinct from s.feature
        left join (select signature_id, arg_min(place_id, rung) as place_id from settled group by all) better
            using (signature_id)
        join place h on h.place_id = coalesce(better.place_id, own.place_id)
    )"""


def _fuller() -> str:
    """Return the condition that place `p` says all that signature `s` says, and more."""
    agrees = " and ".join(f"(s.{name} is null or s.{name} = p.{name})" for name in SEGMENT)
    says = " + ".join(f"(s.{name} is not null)::int" for name in SEGMENT)
    return f"not s.is_whole and {agrees} and p.known > {says}"


#: One source names the dated snapshot that answered, another the alias: where both have an entry of the price list in
#: common, they are one model, named by the shorter; else a source that came or went would look like a change of models.
_SPELLINGS = r"""
    spelling as (
        select model, arg_min(name, (length(name), name)) as name
        from (
            select model, first_value(model) over (partition by plain, entry order by length(model), model) as name
            from (
                select concat_ws('/', provider, model) as model, rate_line.entry,
                    concat_ws('/', provider, regexp_replace(model, '[-@](\d{8}|\d{4}-\d{2}-\d{2})$', '')) as plain
                from rate_card join rate_line using (card_id)
            )
        )
        group by model
    )"""


def _attempts(question: Question) -> str:
    """Attempts in numbers only: segment, place, and the kind of their call's first attempt in the period."""
    return f"""
    {_SPELLINGS},
    kind_spelled as (
        select *, dense_rank() over (order by step, name, service_tier) as kind_id,
            dense_rank() over (order by step) as step_id, dense_rank() over (order by name) as model_id
        from (
            select distinct step, e.model, service_tier, coalesce(spelling.name, e.model) as name
            from event_named e left join spelling using (model)
        )
    ),
    kind as (select distinct kind_id, step, name as model, service_tier from kind_spelled),
    seen as materialized (
        select segment_id, place_id, h.is_in_slice, kind_id, step_id, model_id, is_after, event_id, call_id, attempt_no,
            attempt_role, request_id, list_cost, paid, cost, is_no_call
        from event_named e
        join home h on e.owner_team is not distinct from h.owner_team
            and e.workflow_id is not distinct from h.workflow_id and e.feature is not distinct from h.feature
            and if(e.is_whole, null, e.service) is not distinct from h.service
            and if(e.is_whole, null, e.api_key_id) is not distinct from h.api_key_id
            and e.is_request_known = h.is_request_known and e.is_in_slice = h.is_in_slice {question.same("e", "h")}
        join kind_spelled using (step, model, service_tier)
        where segment_id in (select segment_id from home where is_in_slice)
    ),
    repeated_call as (
        select distinct is_after, segment_id, step_id, call_id from seen where attempt_no > 1 and not is_no_call
    ),
    first_attempt as (
        select is_after, segment_id, step_id, call_id, min((attempt_no, event_id)) as first_one,
            arg_min((kind_id, model_id), (attempt_no, event_id)) as primary_one
        from seen semi join repeated_call using (is_after, segment_id, step_id, call_id)
        where not is_no_call
        group by is_after, segment_id, step_id, call_id
    ),
    attempt as (
        select is_after, segment_id, place_id, is_in_slice, event_id, list_cost, paid, cost,
            coalesce(primary_one[1], kind_id) as kind_id, kind_id as attempt_kind_id,
            case
                when first_one is null or first_one = (attempt_no, event_id) then 'primary'
                when attempt_role in ('retry', 'fallback') then attempt_role
                when model_id = primary_one[2] then 'retry'
                else 'fallback'
            end as role
        from seen left join first_attempt using (is_after, segment_id, step_id, call_id)
        where not is_no_call
    )"""


_BRANCH = "segment_id, place_id, is_in_slice, kind_id, attempt_kind_id, role"


def _tallies(question: Question) -> str:
    """Requests of a segment and attempts of a branch, both periods side by side."""
    return f"""
    request_count as (
        select segment_id, count(distinct request_id) filter (not is_after) as requests_0,
            count(distinct request_id) filter (is_after) as requests_1
        from seen group by segment_id
    ),
    branch_tally as (
        select {_BRANCH}, is_after, count(*) as attempts, sum(cost) as cost from attempt group by all
    ),
    branch_count as (
        select {_names()}, {_both("attempts")}, {_both("cost")} from branch_tally {_KINDS} group by all
    ),
    {_meters(question)}"""


def _meters(question: Question) -> str:
    """Units and cost of a meter, both periods side by side.

    A meter has one unit price: where the list asks more for long contexts, those are another meter.
    """
    is_converted = question.money != question.cost
    return f"""
    band as (
        select rate_line.entry as price_entry, min(context_over) as context_over
        from rate_line join rate_card using (card_id) group by rate_line.entry having min(context_over) > 0
    ),
    meter_tally as (
        select {_BRANCH}, is_after, meter, context_over, sum(if(coalesce(quantity, 0) = 0, 1, quantity)) as units,
            sum(coalesce(l.list_cost, if(meter is null, attempt.list_cost, 0))) as list,
            sum(if(attempt.list_cost = 0, paid, {_part("paid")})) as paid
            {f", sum(if(attempt.list_cost = 0, cost, {_part('cost')})) as cost" if is_converted else ""}
        from attempt left join line_item l using (event_id) left join band on band.price_entry = l.price_entry
        where coalesce(quantity, 0) <> 0 or coalesce(l.list_cost, cost) <> 0
        group by all
    ),
    meter_count as (
        select {_names()}, coalesce(meter || coalesce(' over ' || context_over, ''), 'fee') as meter,
            {_both("units")}, {_both("list")}, {_both("paid")}, {_both("cost" if is_converted else "paid", "cost")}
        from meter_tally {_KINDS} group by all
    )"""


#: Joins that give the kinds of a tally their names again.
_KINDS = "join kind k using (kind_id) join kind a on a.kind_id = attempt_kind_id"


def _names() -> str:
    return (
        "segment_id, place_id, is_in_slice, k.step as step, k.model as model, k.service_tier as service_tier, role, "
        "a.model as attempt_model, a.service_tier as attempt_tier"
    )


def _both(amount: str, name: str | None = None) -> str:
    """Return a total for the earlier and for the later period."""
    return ", ".join(
        f"coalesce(sum({amount}) filter ({side}), 0) as {name or amount}_{i}"
        for i, side in enumerate(("not is_after", "is_after"))
    )


def _part(amount: str) -> str:
    """Return a line's part of the call's amount: its own where nothing was taken off, else in proportion to list."""
    share = f"l.list_cost::double * {amount}::double / attempt.list_cost::double"
    return (
        f"case when l.list_cost is null then if(meter is null, {amount}, 0) "
        f"when {amount} = attempt.list_cost then l.list_cost else cast({share} as decimal(38, 12)) end"
    )
