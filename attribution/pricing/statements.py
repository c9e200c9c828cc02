"""The statements of the pricing step: which rates hold for a call, what it costs, and its line items."""

from __future__ import annotations

from attribution.pricing.meters import IMPLIED_METERS, TOKEN_METERS
from attribution.usage import DISJOINT, TOKEN_COLUMNS

METERS = (*TOKEN_METERS, *IMPLIED_METERS)


def event_rate() -> str:
    """Return the view of every event beside its disjoint quantities and the one card row that holds for it."""
    known = ", ".join(f"coalesce(event.{name}, 0) as {name}" for name in TOKEN_COLUMNS)
    quantities = ", ".join(f"{quantity} as {meter}_quantity" for meter, quantity in DISJOINT.items())
    smallest = ", ".join(f"{meter}_quantity" for meter in TOKEN_METERS)
    return f"""
        create or replace view event_rate as
        with call as (
            select
                event.event_id, event.provider, event.model, event.service_tier, event.region,
                event.cache_hit, event.is_metered, event.other_usage, event.started_at is null as is_undated,
                coalesce(event.started_at, (select undated_at from rate_book)) as priced_at,
                event.input_tokens is null as is_input_unknown, event.output_tokens is null as is_output_unknown,
                {known}
            from event
        ),
        quantity as (
            select
                *, {quantities},
                case when is_metered then coalesce(cast(other_usage['request'] as bigint), 1) else 0 end
                    as request_quantity,
                extract(hour from priced_at) * 3600 + extract(minute from priced_at) * 60
                    + extract(second from priced_at) as second_of_day,
                1 << (extract(isodow from priced_at) - 1) as weekday
            from call
        )
        select
            quantity.*, card.* exclude (provider, model, service_tier, region),
            least({smallest}) < 0 as is_contradictory
        from quantity
        join rate_card as card
            on quantity.provider is not distinct from card.provider
            and quantity.model is not distinct from card.model
            and quantity.service_tier is not distinct from card.service_tier
            and quantity.region is not distinct from card.region
            and quantity.priced_at >= card.valid_from and quantity.priced_at < card.valid_to
            and quantity.input_tokens > card.context_over and quantity.input_tokens <= card.context_upto
            and quantity.second_of_day >= card.second_from and quantity.second_of_day < card.second_to
            and quantity.weekday & card.weekdays > 0
    """


def event_rate_name() -> str:
    """Return the view that says which provider and model of the book each event was priced as."""
    return """
        create or replace view event_rate_name as
        select event_id, book_provider as provider, book_model as model from event_rate
    """


def event_cost(divisor: int, contract_divisor: int | None) -> str:
    """Return the statement that prices all events; a card's rates are pico-dollars times its divisor.

    Without contracts (no second divisor) what is paid is the list price.
    """
    contracted = "case status when 'priced' then whole when 'free' then 0 end"
    if contract_divisor:
        paid = " + ".join(_amount(meter, contract_divisor, "contract") for meter in METERS)
        contracted = f"""
            case
                when status = 'free' then 0
                when status = 'unmetered' or is_contradictory or other_is_unpaid
                    or is_input_unknown and contract_input > 0 or is_output_unknown and contract_output > 0 then null
                else {paid} + coalesce(other_paid, 0)
            end
        """
    whole = " + ".join(_amount(meter, divisor) for meter in METERS)
    part = " + ".join(f"coalesce({_amount(meter, divisor)}, 0)" for meter in METERS)
    return f"""
        create or replace table event_cost as
        with other_line as ({_other_line()}),
        other as (
            select
                event_id, sum(pico) as pico, bool_or(pico is null) as is_missing,
                sum(paid) as paid, bool_or(paid is null) as is_unpaid
            from other_line group by event_id
        ),
        amount as (
            select
                rate.*, other.event_id is not null as has_other, other.pico as other_pico,
                other.paid as other_paid, coalesce(other.is_unpaid, false) as other_is_unpaid,
                case
                    when other.is_missing or is_input_unknown and rate_input > 0
                        or is_output_unknown and rate_output > 0 then null
                    else {whole} + coalesce(other.pico, 0)
                end as whole
            from event_rate as rate left join other on other.event_id = rate.event_id
        ),
        judged as (
            select
                *,
                case
                    when cache_hit then 'free'
                    when not is_metered or is_input_unknown and is_output_unknown and not has_other then 'unmetered'
                    when is_contradictory or not is_priced or is_estimate then 'unpriced'
                    when whole is not null then 'priced'
                    when {part} + coalesce(other_pico, 0) > 0 then 'partial'
                    else 'unpriced'
                end as status
            from amount
        )
        select
            event_id, status as price_status, {_reason()} as price_reason,
            case when status in ('priced', 'partial') or is_estimate then entry end as price_entry,
            {_dollars("case status when 'priced' then whole when 'free' then 0 end")} as list_cost,
            {_dollars(f"case when status = 'partial' then {part} + coalesce(other_pico, 0) end")} as priced_part,
            {_dollars(contracted)} as contracted_cost,
            {_dollars("case when status = 'unpriced' and is_estimate and not is_contradictory then whole end")}
                as estimated_cost
        from judged
    """


def line_item(divisor: int) -> str:
    """Return the view of what each event was charged for; an unmetered or free call has no lines."""
    tokens = " union all ".join(_token_line(meter, divisor) for meter in METERS)
    return f"""
        create or replace view line_item as
        with charged as (
            select * from event_rate
            where is_metered and not coalesce(cache_hit, false) and is_priced and not is_estimate
                and not is_contradictory
        ),
        used as ({tokens}
            union all
            select event_id, line.meter, line.quantity, card_id, line.pico from ({_other_line()}) as line
        )
        select
            used.event_id, used.meter, cast(used.quantity as decimal(38, 12)) as quantity,
            coalesce(line.unit, used.meter) as unit, line.price as unit_price, line.per as price_per,
            {_dollars("used.pico")} as list_cost, line.entry as price_entry
        from used
        left join rate_line as line on line.card_id = used.card_id and line.meter = used.meter
    """


def half_even(numerator: str, denominator: str) -> str:
    """Return SQL for a whole quotient rounded half to even, for numbers that are not negative."""
    quotient, rest = f"(({numerator}) // ({denominator}))", f"(({numerator}) % ({denominator}))"
    is_up = f"{rest} * 2 > ({denominator}) or ({rest} * 2 = ({denominator}) and {quotient} % 2 = 1)"
    return f"({quotient} + case when {is_up} then 1 else 0 end)"


def _amount(meter: str, divisor: int, card: str = "rate") -> str:
    """Return the cost of one meter: nothing where nothing was used, null where there is no price."""
    product = f"{meter}_quantity * {card}_{meter}"
    if meter in IMPLIED_METERS:
        product = f"coalesce({product}, 0)"
    cost = product if divisor == 1 else half_even(product, str(divisor))
    return f"case when {meter}_quantity > 0 then {cost} else 0 end"


def _other_line() -> str:
    """Return the lines that count something else than tokens, with at least the minimum that is billed."""
    quantity = "cast(greatest(usage.value, line.minimum) * 1000000 as hugeint)"
    pico = half_even(f"{quantity} * line.price_pico::hugeint", "line.per * 1000000::hugeint")
    paid = half_even(f"{quantity} * line.paid_pico::hugeint", "line.paid_per::hugeint * 1000000::hugeint")
    return f"""
        select used.event_id, used.card_id, usage.key as meter, usage.value as quantity,
            case when usage.value > 0 then {pico} else 0 end as pico,
            case when usage.value > 0 then {paid} else 0 end as paid
        from (
            select event_id, card_id, unnest(map_entries(other_usage)) as usage
            from event_rate where other_usage is not null
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


def _reason() -> str:
    missing = ", ".join(
        f"case when {meter}_quantity > 0 and rate_{meter} is null then '{meter}' end" for meter in TOKEN_METERS
    )
    return f"""
        case
            when status = 'free' then 'answered from the response cache of a gateway'
            when status = 'unmetered' then 'the sources gave no usage'
            when is_contradictory then 'the parts of the usage exceed its total'
            when not is_priced or is_estimate then reason
            when whole is null then concat_ws('; ', 'no price or no quantity for: ' || concat_ws(', ',
                {missing},
                case when is_input_unknown and rate_input > 0 then 'input' end,
                case when is_output_unknown and rate_output > 0 then 'output' end,
                (select string_agg(meter, ', ' order by meter) from other_line
                    where other_line.event_id = judged.event_id and other_line.pico is null)), reason)
            when is_undated then concat_ws('; ', 'assumed: priced at the latest time known', reason)
            else reason
        end
    """


def _dollars(pico: str) -> str:
    return f"cast(cast({pico} as decimal(38, 0)) * 0.000000000001 as decimal(38, 12))"
