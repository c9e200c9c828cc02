"""The statement that answers: counts become factors, factors become effects, effects become exact amounts by leaf."""

from __future__ import annotations

from attribution.explanations import rules
from attribution.explanations.counts import SEGMENT, Question, common_tables
from attribution.ledger import column_list

#: Drivers in the order shown, with their family; the three price lines are parts of `unit price`.
DRIVERS = {
    "traffic": "volume",
    "fan_out": "volume",
    "retries": "volume",
    "fallbacks": "volume",
    "prompt_size": "usage",
    "response_size": "usage",
    "reasoning": "usage",
    "cache": "usage",
    "other_usage": "usage",
    "workflow_mix": "mix",
    "model_mix": "mix",
    "tier_mix": "mix",
    "list_price": "price",
    "discount": "price",
    "exchange_rate": "price",
    "new_workflows": "portfolio",
    "retired_workflows": "portfolio",
    "coverage_shift": "coverage",
}

#: What names a leaf, after the segment's columns; `model`, `service_tier` are those of the call's first attempt.
LEAF = ("step", "model", "service_tier", "role", "attempt_model", "attempt_tier", "meter_group", "meter")

_BRANCH = "segment_id, step, model, service_tier, role, attempt_model, attempt_tier"


def statement(question: Question, method: str) -> str:
    """Return the one statement: a row per leaf, its exact costs, and its exact effect by driver."""
    return f"""
    with {common_tables(question)}, {_closed()}, {_quotes(question)},
    {_denominators()}, {_leaves()}, {_factors(question)},
    path as (select *, {rules.points()} from factor),
    weighted as (select *, {rules.weights(method)} from path),
    effect as (select *, {rules.effects(method)}, {rules.alone()} as alone from weighted),
    {_drivers()}, {_exact()}
    {_shown(question)}
    """


def _closed() -> str:
    """A branch's meters add up to its calls' exact cost: what division left over goes to the largest meter."""
    keys = f"{_BRANCH}, place_id, is_in_slice"
    return f"""
    meter_rest as (
        select m.*, b.cost_0 - sum(m.cost_0) over branch as rest_0, b.cost_1 - sum(m.cost_1) over branch as rest_1,
            row_number() over (branch order by abs(m.cost_0) desc, meter) as rank_0,
            row_number() over (branch order by abs(m.cost_1) desc, meter) as rank_1
        from meter_count m join branch_count b using ({keys})
        window branch as (partition by {keys})
    ),
    meter_cost as (
        select * replace (
            cost_0 + if(rank_0 = 1, rest_0, 0) as cost_0, cost_1 + if(rank_1 = 1, rest_1, 0) as cost_1
        ), case
            when meter = 'fee' then meter
            when regexp_matches(meter, '^(input|output|cache_|reasoning)')
            then regexp_replace(meter, '^cache_(read|write(_5m|_1h)?)', 'input')
            else split_part(meter, '[', 1)
        end as meter_group
        from meter_rest
    )"""


def _denominators() -> str:
    """Counts on their own shorter keys, blind to tags: calls by step, model and tier, attempts by role, units."""
    return f"""
    segment_count as (
        select *, sum(requests_0) filter (is_continuing) over () as all_0,
            sum(requests_1) filter (is_continuing) over () as all_1
        from (select *, requests_0 > 0 and requests_1 > 0 as is_continuing from request_count)
    ),
    tier_count as (
        select segment_id, step, model, service_tier, sum(attempts_0) as calls_0, sum(attempts_1) as calls_1
        from branch_count where role = 'primary' group by all
    ),
    call_count as (
        select *, sum(calls_0) over of_model as model_0, sum(calls_1) over of_model as model_1,
            sum(calls_0) over of_step as step_0, sum(calls_1) over of_step as step_1
        from tier_count
        window of_model as (partition by segment_id, step, model), of_step as (partition by segment_id, step)
    ),
    role_count as (
        select {_BRANCH}, sum(attempts_0) as attempts_0, sum(attempts_1) as attempts_1 from branch_count group by all
    ),
    unit_count as (
        select *, sum(units_0) over (partition by {_BRANCH}, meter_group) as group_0,
            sum(units_1) over (partition by {_BRANCH}, meter_group) as group_1
        from (
            select {_BRANCH}, meter_group, meter, sum(units_0) as units_0, sum(units_1) as units_1,
                sum(list_0) as list_0, sum(list_1) as list_1, sum(paid_0) as paid_0, sum(paid_1) as paid_1,
                sum(cost_0) as cost_0, sum(cost_1) as cost_1
            from meter_cost group by all
        )
    )"""


def _leaves() -> str:
    """Each leaf beside the counts that its factors are made of."""
    return f"""
    leaf as (
        select m.place_id, m.cost_0 as own_0, m.cost_1 as own_1, s.*, c.* exclude (segment_id),
            r.attempts_0, r.attempts_1, u.* exclude ({_BRANCH}), quote_0, quote_1,
            r.role, r.attempt_model, r.attempt_tier
        from meter_cost m
        join unit_count u using ({_BRANCH}, meter_group, meter)
        join role_count r using ({_BRANCH})
        join call_count c using (segment_id, step, model, service_tier)
        join segment_count s using (segment_id)
        left join quote using (attempt_model, attempt_tier, meter)
        where m.is_in_slice
    )"""


def _quotes(question: Question) -> str:
    """The price list's own price of a meter in each period, where it is one price throughout."""
    last = question.windows - 1
    sides = {0: ("$before_start_0", f"$before_end_{last}"), 1: ("$after_start", "$after_end")}
    columns = ", ".join(
        f"case when min(price) filter ({while_}) = max(price) filter ({while_}) "
        f"then min(price) filter ({while_}) end as quote_{i}"
        for i, while_ in ((i, f"valid_from < {end} and valid_to > {start}") for i, (start, end) in sides.items())
    )
    return f"""
    quote as (
        select attempt_model, attempt_tier, meter, {columns}
        from (
            select concat_ws('/', provider, model) as attempt_model, coalesce(service_tier, 'standard') as attempt_tier,
                meter || coalesce(' over ' || band.context_over, '') as meter, price / per as price,
                valid_from, valid_to
            from rate_card join rate_line using (card_id) left join band on band.price_entry = rate_line.entry
            where not is_estimate
        )
        group by all
    )"""


def _factors(question: Question) -> str:
    """Neighbouring counts make the factors; where one is undefined, the other period's value is carried."""
    ratios = {
        "fan_out": ("step", "requests"),
        "model_share": ("model", "step"),
        "tier_share": ("calls", "model"),
        "attempts": ("attempts", "calls"),
        "size": ("group", "attempts"),
        "composition": ("units", "group"),
        "tagged": ("own", "cost"),
        "segment": ("requests", "all"),
        "kept": ("paid", "list"),
        "rate": ("cost", "paid"),
        "list_price": ("list", "units"),
        "price": ("cost", "units"),
    }
    quoted = {"list_price": "quote_{}", "price": "quote_{0} * kept_{0} * rate_{0}"}
    columns = ", ".join(
        _carried(name, *counts, i, quoted.get(name, "null")) for name, counts in ratios.items() for i in (0, 1)
    )
    in_all = f"(cast(own_0 * 1000000000000 as hugeint) // {question.windows})::decimal(38, 0) * 0.000000000001"
    earlier = "own_0" if question.windows == 1 else in_all
    return f"""
    number as (
        select * replace ({_as_double()}), {earlier} as exact_0, own_1 as exact_1 from leaf
    ),
    factor as (
        select place_id, segment_id, is_continuing, {column_list(LEAF)}, exact_0, exact_1,
            requests_0 / {question.windows} as requests_0, requests_1,
            exact_0::double as value_0, exact_1::double as value_1,
            all_0 / {question.windows} as total_0, all_1 as total_1, {columns}
        from number
    )"""


def _as_double() -> str:
    counts = ("requests", "all", "step", "model", "calls", "attempts", "group", "units", "list", "paid", "cost", "own")
    return ", ".join(f"{name}_{i}::double as {name}_{i}" for name in counts for i in (0, 1))


def _carried(name: str, above: str, below: str, i: int, quoted: str) -> str:
    here = f"{above}_{i} / nullif({below}_{i}, 0)"
    there = f"{above}_{1 - i} / nullif({below}_{1 - i}, 0)"
    return f"coalesce({here}, {quoted.format(i)}, {there}, 1) as {name}_{i}"


def _drivers() -> str:
    """Effects by the name people know; segments that come or go are portfolio, whole."""
    named = {
        "traffic": "effect_total",
        "fan_out": "effect_fan_out",
        "retries": "if(role = 'retry', effect_attempts, 0)",
        "fallbacks": "if(role = 'fallback', effect_attempts, 0)",
        "prompt_size": "if(kind = 'input', effect_size, 0)",
        "response_size": "if(kind = 'output', effect_size, 0)",
        "reasoning": "if(kind = 'reasoning', effect_size, 0)",
        "cache": "if(kind = 'input', effect_composition, 0)",
        "other_usage": "if(kind = '', effect_size, 0) + if(kind = 'input', 0, effect_composition)",
        "workflow_mix": "effect_segment",
        "model_mix": "effect_model_share",
        "tier_mix": "effect_tier_share",
        "list_price": "effect_list_price",
        "discount": "effect_kept",
        "exchange_rate": "effect_rate",
        "coverage_shift": "effect_tagged",
    }
    columns = ", ".join(f"if(is_continuing, {text}, 0) as {name}" for name, text in named.items())
    return f"""
    driver as (
        select *, {columns}, if(requests_0 = 0, value_1, 0) as new_workflows,
            if(requests_1 = 0, -value_0, 0) as retired_workflows
        from (
            select *, coalesce(regexp_extract(meter_group, '^(input|output|reasoning)'), '') as kind from effect
        )
    )"""


def _exact() -> str:
    """Amounts that add up to the leaf's exact change: what floats lost goes to the largest effect."""
    noise = "1e-13 * (abs(value_0) + abs(value_1))"
    amounts = ", ".join(f"cast(if(abs({name}) <= {noise}, 0, {name}) as decimal(38, 12)) as {name}" for name in DRIVERS)
    sizes = ", ".join(f"abs({name})" for name in DRIVERS)
    return f"""
    amount as (
        select * replace ({amounts}), exact_1 - exact_0 as change from driver
    ),
    closed as (
        select *, change - ({" + ".join(DRIVERS)}) as rest, list_position([{sizes}], greatest({sizes})) as rest_to
        from amount
    )"""


def _shown(question: Question) -> str:
    """Name the leaf and order by what is unique."""
    names = column_list(SEGMENT, "p.") + question.columns("segment.")
    last = list(DRIVERS).index("list_price") + 1
    effects = ", ".join(
        f"{name} + if(if(change = rest, {last}, rest_to) = {i}, rest, 0) as {name}" for i, name in enumerate(DRIVERS, 1)
    )
    return f"""
    select {names}, concat_ws(' / ', home.owner_team, home.workflow_id, home.feature) as segment,
        segment.is_request_known, {column_list(LEAF)}, exact_0 as cost_before, exact_1 as cost_after, change, {effects},
        if(is_continuing, alone, 0) + new_workflows::double + retired_workflows::double as alone,
        model_share_0, model_share_1, weight_model_share as model_weight,
        tier_share_0, tier_share_1, weight_tier_share as tier_weight,
        if(is_continuing, segment_0, 0) as segment_0, if(is_continuing, segment_1, 0) as segment_1,
        if(is_continuing, weight_requests * (total_0 + total_1) / 2, 0) as segment_weight
    from closed
    join place p using (place_id)
    join (select distinct segment_id, home_id, is_request_known{question.columns()} from home) segment
        using (segment_id)
    join place home on home.place_id = home_id
    order by all
    """
