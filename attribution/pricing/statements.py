"""The statements of the pricing step: which rates hold for a call, what it costs, and its line items.

They are written for the calls at hand: meters that no call used, windows that no price has and other units that no
call counted are left out, because what is not there need not be computed a million times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from attribution.pricing.book import BEGINNING, FOREVER
from attribution.pricing.meters import IMPLIED_METERS, TOKEN_METERS
from attribution.usage import TOKEN_COLUMNS, disjoint_quantities

METERS = (*TOKEN_METERS, *IMPLIED_METERS)
#: What of an event chooses its card row; the first is the first to be done without.
KEY_COLUMNS = ("provider", "region", "service_tier", "model")


@dataclass(frozen=True)
class Shape:
    """What the calls and their card have; what is the same for all of them need not be looked at.

    `columns` are the token columns that some call used, `keys` the columns that tell card rows apart; `is_small` says
    that no call can cost a million dollars, so that eight bytes hold its pico-dollars as a decimal. `gaps` are the
    meters that some row of the card with prices has none for; `has_flaws` says that some call contradicts itself.
    """

    columns: tuple[str, ...] = TOKEN_COLUMNS
    keys: tuple[str, ...] = KEY_COLUMNS
    has_other: bool = True
    windowed: tuple[str, ...] = ()
    span: tuple[datetime, datetime] = (BEGINNING, FOREVER)
    has_requests: bool = True
    divisor: int = 1
    contract_divisor: int | None = None
    is_small: bool = False
    gaps: tuple[str, ...] = METERS
    has_hits: bool = True
    has_unmetered: bool = True
    has_unknown: bool = True
    has_flaws: bool = True
    has_undated: bool = True
    has_unpriced: bool = True
    has_estimates: bool = True

    @property
    def tokens(self) -> tuple[str, ...]:
        """Token meters that some call used."""
        return tuple(disjoint_quantities(self.columns))

    @property
    def meters(self) -> tuple[str, ...]:
        """Meters that the card prices by whole numbers and some call used."""
        return (*self.tokens, *(IMPLIED_METERS if self.has_requests else ()))


def event_quantity(shape: Shape) -> str:
    """Return the view of every event with its moment to price at and its disjoint quantities."""
    known = ", ".join(f"coalesce(event.{name}, 0) as {name}" for name in shape.columns)
    quantities = ", ".join(f"{sql} as {meter}_quantity" for meter, sql in disjoint_quantities(shape.columns).items())
    requests = "coalesce(cast(other_usage['request'] as bigint), 1)" if shape.has_other else "1"
    moment = "event.started_at"
    if shape.has_undated:
        moment = "coalesce(event.started_at, (select undated_at from rate_book))"
    return f"""
        create or replace view event_quantity as
        with call as (
            select
                event.event_id, event.provider, event.model, event.service_tier, event.region,
                event.cache_hit, event.is_metered, event.other_usage,
                {"event.started_at is null" if shape.has_undated else "false"} as is_undated, {moment} as priced_at,
                event.input_tokens is null as is_input_unknown, event.output_tokens is null as is_output_unknown,
                {known}
            from event
        )
        select *, {quantities}, case when is_metered then {requests} else 0 end as request_quantity from call
    """


def event_rate(shape: Shape) -> str:
    """Return the view of every event beside its disjoint quantities and the one card row that holds for it.

    Windows of the day and the week are looked at for the few models that have them only: every other call is spared
    the arithmetic on its time and the longer list of candidates.
    """
    contradictory = f"least({', '.join(f'{meter}_quantity' for meter in shape.tokens)}) < 0"
    first, last = (f"timestamp '{moment}'" for moment in shape.span)
    chosen = f"""
        select
            quantity.*, card.* exclude (provider, model, service_tier, region),
            {contradictory if shape.has_flaws else "false"} as is_contradictory
        from event_quantity as quantity
        join rate_card as card
            on {" and ".join(f"quantity.{key} is not distinct from card.{key}" for key in shape.keys) or "true"}
            and quantity.priced_at >= card.valid_from and quantity.priced_at < card.valid_to
            and quantity.input_tokens > card.context_over and quantity.input_tokens <= card.context_upto
        where card.valid_from <= {last} and card.valid_to > {first}
    """
    if not shape.windowed:
        return f"create or replace view event_rate as {chosen}"
    models = ", ".join("'" + name.replace("'", "''") + "'" for name in shape.windowed)
    second = "epoch_us(priced_at) // 1000000 % 86400"
    return f"""
        create or replace view event_rate as
        {chosen} and not card.is_windowed
        union all
        {chosen} and card.is_windowed and quantity.model in ({models})
            and {second} >= card.second_from and {second} < card.second_to
            and (1 << (extract(isodow from priced_at) - 1)) & card.weekdays > 0
    """


def event_rate_name() -> str:
    """Return the view that says which provider and model of the book each event was priced as."""
    return """
        create or replace view event_rate_name as
        select event_id, book_provider as provider, book_model as model from event_rate
    """


def store_costs(shape: Shape) -> str:
    """Return the statement that writes the costs of all events anew."""
    return f"create or replace table event_cost as {cost_query(shape)}"


def cost_query(shape: Shape) -> str:
    """Return the query that prices all events, in dollars."""
    return f"""
        select event_id, price_status, price_reason, price_entry,
            {_dollars("list_pico", shape.is_small)} as list_cost,
            {_dollars("partial_pico")} as priced_part,
            {_dollars("contracted_pico", shape.is_small)} as contracted_cost,
            {_dollars("estimated_pico")} as estimated_cost
        from ({pico_query(shape)})
    """


def pico_query(shape: Shape) -> str:
    """Return the query that prices all events in whole pico-dollars; without contracts, the list price is paid."""
    whole = " + ".join(_amount(meter, shape) for meter in shape.meters)
    part = " + ".join(f"coalesce({_amount(meter, shape)}, 0)" for meter in shape.meters)
    part += " + other_pico" if shape.has_other else ""
    others, join = ("", "") if not shape.has_other else (f"{_others()},", "left join other using (event_id)")
    known = f"case when {_unknown('rate')} then null else {whole} end" if shape.has_unknown else whole
    summed = "case when other_is_missing then null else known + other_pico end" if shape.has_other else "known"
    # Where a meter is plain, no price makes the whole null, and nobody need ask for it once more.
    asked = replace(shape, has_unpriced=False) if any(_is_plain(m, shape) for m in shape.tokens) else shape
    without = "".join(f"when {when} then {'0' if status == 'free' else 'null'} " for when, status in _exceptions(asked))
    listed = f"case {without} else whole end" if without else "whole"
    return f"""
        with {others}
        amount as (
            select rate.*, {_other_columns(shape.has_other)}, {known} as known from event_rate as rate {join}
        ),
        judged as (
            select *, {summed} as whole,
                case {_status(shape)} when {part} > 0 then 'partial' else 'unpriced' end as status
            from amount
        )
        select
            event_id, status as price_status, {_reason(shape)} as price_reason,
            case when status in ('priced', 'partial') or is_estimate then entry end as price_entry,
            {listed} as list_pico,
            case when status = 'partial' then {part} end as partial_pico,
            {_paid(shape) if shape.contract_divisor else listed} as contracted_pico,
            case when status = 'unpriced' and is_estimate and not is_contradictory then whole end as estimated_pico
        from judged
    """


def _exceptions(shape: Shape) -> list[tuple[str, str]]:
    """Return why a call has no plain price, with its status; without what no call and no price of the card has."""
    unmetered = [
        *(["not is_metered"] if shape.has_unmetered else []),
        *(["is_input_unknown and is_output_unknown and not has_other"] if shape.has_unknown else []),
    ]
    unpriced = [
        *(["is_contradictory"] if shape.has_flaws else []),
        *(["not is_priced"] if shape.has_unpriced else []),
        *(["is_estimate"] if shape.has_estimates else []),
    ]
    reasons = {"free": ["cache_hit"] if shape.has_hits else [], "unmetered": unmetered, "unpriced": unpriced}
    return [(" or ".join(tests), status) for status, tests in reasons.items() if tests]


def _is_plain(meter: str, shape: Shape) -> bool:
    """Return whether quantity times rate is the cost as it stands: never negative, and null only without any price."""
    return not shape.has_flaws and meter not in shape.gaps and meter not in IMPLIED_METERS


def _status(shape: Shape) -> str:
    """Return the branches that judge a call; the last, for what has a price only in part, is the caller's."""
    is_priced = "known is not null" + (" and not other_is_missing" if shape.has_other else "")
    return " ".join(f"when {when} then '{status}'" for when, status in [*_exceptions(shape), (is_priced, "priced")])


def line_item(shape: Shape) -> str:
    """Return the view of what each event was charged for; an unmetered or free call has no lines."""
    tokens = " union all ".join(_token_line(meter, shape.divisor) for meter in shape.meters)
    others = f"union all select event_id, meter, quantity, card_id, pico from ({_other_line('charged')})"
    return f"""
        create or replace view line_item as
        with charged as (
            select * from event_rate
            where is_metered and not coalesce(cache_hit, false) and is_priced and not is_estimate
                and not is_contradictory
        ),
        used as ({tokens} {others if shape.has_other else ""})
        select
            used.event_id, used.meter, cast(used.quantity as decimal(38, 12)) as quantity,
            coalesce(line.unit, used.meter) as unit, line.price as unit_price, line.per as price_per,
            {_dollars("used.pico")} as list_cost, line.entry as price_entry
        from used
        left join rate_line as line on line.card_id = used.card_id and line.meter = used.meter
    """


def event_meter(shape: Shape) -> str:
    """Return the view of what each event used and costs by meter: one row an event, whole pico-dollars.

    A cost is null where the event as a whole has none; the costs of an event with one add up to its contracted cost.
    What is counted in other units than tokens stands in `event_other_meter`.
    """
    card = "contract" if shape.contract_divisor else "rate"
    columns = ", ".join(
        f"case when is_counted then {meter}_quantity else 0 end as {meter}_quantity, "
        f"case when is_counted then {_amount(meter, shape)} else 0 end as {meter}_list, "
        f"case when is_counted then {_amount(meter, shape, card)} else 0 end as {meter}_cost"
        if meter in shape.meters
        else f"0 as {meter}_quantity, 0 as {meter}_list, 0 as {meter}_cost"
        for meter in METERS
    )
    return f"""
        create or replace view event_meter as
        with counted as (
            select *, is_metered and not coalesce(cache_hit, false) and not is_contradictory as is_counted
            from event_rate
        )
        select event_id, book_provider, book_model, context_over >= 0 as is_long, {columns} from counted
    """


def event_other_meter(shape: Shape) -> str:
    """Return the view of what each event used and costs in other units than tokens, one row a meter."""
    if not shape.has_other:
        return """
            create or replace view event_other_meter as
            select cast(null as uuid) as event_id, '' as meter, cast(0 as decimal(18, 6)) as quantity,
                0::hugeint as list, 0::hugeint as cost
            where false
        """
    paid = "paid" if shape.contract_divisor else "pico"
    return f"""
        create or replace view event_other_meter as
        with charged as (
            select * from event_rate
            where is_metered and not coalesce(cache_hit, false) and not is_contradictory
        )
        select event_id, meter, quantity, cast(pico as hugeint) as list, cast({paid} as hugeint) as cost
        from ({_other_line("charged")})
    """


def half_even(numerator: str, denominator: str) -> str:
    """Return SQL for a whole quotient rounded half to even, for numbers that are not negative."""
    quotient, rest = f"(({numerator}) // ({denominator}))", f"(({numerator}) % ({denominator}))"
    is_up = f"{rest} * 2 > ({denominator}) or ({rest} * 2 = ({denominator}) and {quotient} % 2 = 1)"
    return f"({quotient} + case when {is_up} then 1 else 0 end)"


def _amount(meter: str, shape: Shape, card: str = "rate") -> str:
    """Return the cost of one meter: nothing where nothing was used, null where there is no price."""
    divisor = shape.divisor if card == "rate" else shape.contract_divisor or 1
    product = f"{meter}_quantity * {card}_{meter}"
    if meter in IMPLIED_METERS:
        product = f"coalesce({product}, 0)"
    cost = product if divisor == 1 else half_even(product, str(divisor))
    if card == "rate" and _is_plain(meter, shape):
        return cost
    return f"case when {meter}_quantity > 0 then {cost} else 0 end"


def _unknown(card: str) -> str:
    """Return whether a total that is not known is one that is charged for."""
    return f"is_input_unknown and {card}_input > 0 or is_output_unknown and {card}_output > 0"


def _paid(shape: Shape) -> str:
    paid = " + ".join(_amount(meter, shape, "contract") for meter in shape.meters)
    return f"""
        case
            when status = 'free' then 0
            when status = 'unmetered' or is_contradictory or other_is_unpaid or {_unknown("contract")} then null
            else {paid} + other_paid
        end
    """


def _others() -> str:
    """Return the CTEs that sum up what each event used in other units than tokens."""
    return f"""
        other_line as ({_other_line("event_rate")}),
        other as (
            select
                event_id, sum(pico) as pico, bool_or(pico is null) as is_missing,
                sum(paid) as paid, bool_or(paid is null) as is_unpaid, bool_or(is_rounded) as is_rounded,
                string_agg(case when pico is null then meter end, ', ' order by meter) as missing
            from other_line group by event_id
        )
    """


def _other_columns(has_other: bool) -> str:
    if not has_other:
        return """false as has_other, false as other_is_missing, false as other_is_unpaid,
            false as other_is_rounded, 0 as other_pico, 0 as other_paid, cast(null as varchar) as other_missing"""
    return """other.event_id is not null as has_other, coalesce(other.is_missing, false) as other_is_missing,
        coalesce(other.is_unpaid, false) as other_is_unpaid,
        coalesce(other.is_rounded, false) as other_is_rounded, coalesce(other.pico, 0) as other_pico,
        coalesce(other.paid, 0) as other_paid, other.missing as other_missing"""


def _other_line(relation: str) -> str:
    """Return the lines that count something else than tokens, with at least the minimum that is billed."""
    quantity = "cast(greatest(usage.value, line.minimum) * 1000000 as hugeint)"
    pico = half_even(f"{quantity} * line.price_pico::hugeint", "line.per * 1000000::hugeint")
    paid = half_even(f"{quantity} * line.paid_pico::hugeint", "line.paid_per::hugeint * 1000000::hugeint")
    return f"""
        select used.event_id, used.card_id, usage.key as meter, usage.value as quantity,
            case when usage.value > 0 then {pico} else 0 end as pico,
            case when usage.value > 0 then {paid} else 0 end as paid,
            {quantity} * line.price_pico::hugeint % (line.per * 1000000::hugeint) <> 0 as is_rounded
        from (
            select event_id, card_id, unnest(map_entries(other_usage)) as usage
            from {relation} where other_usage is not null
        ) as used
        left join rate_line as line on line.card_id = used.card_id and line.meter = usage.key
        where usage.key <> 'request' and usage.value is not null
    """


def _token_line(meter: str, divisor: int) -> str:
    cost = f"{meter}_quantity * rate_{meter}"
    pico = cost if divisor == 1 else half_even(cost, str(divisor))
    is_used = f"{meter}_quantity > 0" + (f" and rate_{meter} is not null" if meter in IMPLIED_METERS else "")
    return (
        f"select event_id, '{meter}' as meter, {meter}_quantity as quantity, card_id, {pico} as pico "
        f"from charged where {is_used}"
    )


def _reason(shape: Shape) -> str:
    remainders = [f"{meter}_quantity * rate_{meter} % {shape.divisor} > 0" for meter in shape.tokens]
    rounded = " or ".join(["other_is_rounded", *(remainders if shape.divisor > 1 else ())])
    missing = ", ".join(
        f"case when {meter}_quantity > 0 and rate_{meter} is null then '{meter}' end" for meter in shape.tokens
    )
    return f"""
        case
            when status = 'free' then 'answered from the response cache of a gateway'
            when status = 'unmetered' then 'the sources gave no usage'
            when is_contradictory then 'the parts of the usage exceed its total, or a count is negative'
            when not is_priced or is_estimate then reason
            when whole is null then concat_ws('; ', 'no price or no quantity for: ' || concat_ws(', ',
                {missing},
                case when is_input_unknown and rate_input > 0 then 'input' end,
                case when is_output_unknown and rate_output > 0 then 'output' end,
                other_missing), reason)
            when is_undated or {rounded} then concat_ws('; ',
                case when is_undated then 'assumed: priced at the latest time known' end, reason,
                case when {rounded} then 'rounded once a line to the pico-dollar' end)
            else reason
        end
    """


def _dollars(pico: str, is_small: bool = False) -> str:
    """Return pico-dollars as dollars; the product of a whole decimal and a pico-dollar is exact."""
    return f"cast(cast({pico} as decimal({18 if is_small else 38}, 0)) * 0.000000000001 as decimal(38, 12))"
