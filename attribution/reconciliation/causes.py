"""Causes: each cell's gap as an exact sum of named differences, in the order in which they are explained away."""

from __future__ import annotations

from attribution.ledger import Ledger
from attribution.reconciliation.exact import share

#: Cause → how people read it, in the order of the bridge; `ledger` and `billed` are its ends.
CAUSES = {
    "ledger": "Our calls, at contract price",
    "duplicates": "Duplicates: the same call recorded again",
    "cut_off": "Cut-off: calls the provider puts into another period",
    "extra_or_missing_events": "Billed calls we have no record of, or too many",
    "token_count": "Token counts differ",
    "unpriced": "Our calls without a price, at the bill's",
    "list_price": "List price differs from ours",
    "discount": "Discount differs from our contract",
    "price": "Unit price differs",
    "rounding": "Rounding",
    "not_billed": "Recorded, not billed",
    "non_token_usage": "Storage, sessions and other usage no call causes",
    "purchases": "Purchases, prepaid amounts and commitments",
    "credits": "Credits",
    "adjustments": "Adjustments of earlier bills",
    "tax": "Tax",
    "out_of_scope": "Out of the declared scope",
    "invoice_difference": "Invoice, beyond the report behind it",
    "unexplained": "Unexplained",
    "billed": "Billed",
}
#: Cause of a bill line → its row of the bridge.
LINE_CAUSES = {
    "non_token_usage": "non_token_usage",
    "purchase": "purchases",
    "credit": "credits",
    "adjustment": "adjustments",
    "tax": "tax",
    "out_of_scope": "out_of_scope",
}


def write_values(ledger: Ledger) -> None:
    """Write `pair_value`: each cell's cost after every step of the explanation, in pico-dollars."""
    ledger.run(_VALUES)


def write_causes(ledger: Ledger) -> None:
    """Write `cell_cause`: cell or pot × cause → pico-dollars; the causes of a pot and its cells add up to its gap."""
    ledger.run(_ROUNDING_UNIT)
    ledger.run(_POT_VALUES)
    ledger.run(_CAUSES)


#: own: priced calls · known: with unpriced ones · counted: as many calls as the bill has · used: the bill's quantity.
_VALUES = f"""
    create or replace temp table pair_value as
    with priced as (
        select pair.*, rate.cost as rate, rate.cost_per as per, rate.list as list_rate, rate.list_per as list_per,
            not exists (
                select 1 from pair as other where other.pot_id = pair.pot_id and other.pair_id <> pair.pair_id
            ) as is_alone
        from pair
        left join book_rate as rate on rate.provider = pair.provider and rate.model = pair.model
            and rate.service_tier = coalesce(pair.service_tier, 'standard') and rate.meter = pair.meter
            and rate.is_long = (pair.context_window is not null)
            and coalesce(pair.bucket, (select min(period_start) from side)) >= rate.valid_from
            and coalesce(pair.bucket, (select min(period_start) from side)) < rate.valid_to
    ),
    valued as (
        select *,
            case when known > 0 then {share("cost", "quantity - known", "known")}
                when quantity > known and rate is not null then rate * (quantity - known) // (per * 1000000)
                when quantity > known and billed_quantity > 0 and billed is not null and is_alone
                    then {share("billed", "quantity - known", "billed_quantity")}
                else 0 end as unpriced,
            case when billed_quantity is null then null
                when known > 0 then {share("cost", "billed_quantity", "known")}
                when rate is not null then rate * billed_quantity // (per * 1000000)
                when billed is not null and is_alone then billed end as used,
            case when billed_quantity is null then null
                when known > 0 then {share("list", "billed_quantity", "known")}
                when list_rate is not null then list_rate * billed_quantity // (list_per * 1000000) end as used_list
        from priced
    )
    select * exclude (unpriced, used, used_list, rate, per, list_rate, list_per),
        unpriced, cost + unpriced as known_cost,
        case when requests is not null and calls > 0 then {share("cost + unpriced", "requests", "calls")} end
            as counted,
        coalesce(used, case when billed_quantity is null then cost + unpriced else 0 end) as used,
        case when used is null then null else used_list end as used_list
    from valued
"""

#: The last decimal that a provider's bill uses, cents at the coarsest; a few lines do not tell.
_ROUNDING_UNIT = """
    create or replace temp table rounding_unit as
    select provider, case when count(*) filter (where told_cost <> 0) < 5 then 1::hugeint else
        cast(1000000000000 as hugeint) // cast(rpad('1', 1 + greatest(2, max(
        length(rtrim(split_part(cast(cast(told_cost as decimal(38, 12)) as varchar), '.', 2), '0'))
    ))::integer, '0') as hugeint) end as unit
    from cell_line group by provider
"""

_TIED = "inside.used <> 0 and abs(pot.billed - inside.used) * 2 <= pot.lines * unit.unit + inside.calls + 1"
#: `is_refused`: the cost report charges less than the usage report counts, at a price that holds before and after.
_POT_VALUES = f"""
    create or replace temp table pot_value as
    with inside as (
        select pot_id, sum(used)::hugeint as used,
            case when count(used_list) = count(*) then sum(used_list)::hugeint end as used_list,
            count(billed_quantity) > 0 as is_measured, sum(calls)::hugeint as calls,
            sum(quantity) <> 0 or sum(calls) > 0 as is_called, count(*) as pairs, min(pair_id) as first_pair
        from pair_value where pot_id is not null group by pot_id
    )
    select pot.provider, pot.pot_id, pot.level, pot.billed, pot.lines, inside.* exclude (pot_id),
        nullif(pot.list, case when pot.billed <> 0 then 0 end) as list,
        nullif(pot.contracted, case when pot.billed <> 0 then 0 end) as contracted,
        unit.unit, side.quantity_from = 'usage report' and pot.billed < inside.used
            and pot.bucket > min(case when {_TIED} then pot.bucket end) over alike
            and pot.bucket < max(case when {_TIED} then pot.bucket end) over alike as is_refused
    from pot join inside using (pot_id) join rounding_unit as unit using (provider) join side using (provider)
    window alike as (
        partition by pot.provider, pot.model, pot.service_tier, pot.context_window, pot.meter
    )
"""

#: A call's own request is its own quantity; a total that names no model is an amount only, and leaves a rest.
_CAUSES = """
    create or replace temp table cell_cause as
    with step as (
        select provider, pair_id, pot_id, unpriced,
            case when pot_id is null then 0 when not is_called_group then used - known_cost
                when counted is not null and is_measured then counted - known_cost else 0 end as events,
            case when pot_id is null or not is_called_group then 0
                when counted is not null and is_measured then used - counted else used - known_cost end as tokens,
            case when pot_id is null then -known_cost else 0 end as not_billed
        from (
            select *, calls > 0 or quantity <> 0 as is_called_group, billed_quantity is not null as is_measured
            from pair_value
        )
    ),
    rest as (
        select *, billed - used as gap,
            is_measured and level not in ('bucket', 'provider') or level = 'request' and is_called as is_price,
            abs(billed - coalesce(contracted, used)) * 2 <= lines * unit + calls + 1 as is_rounding
        from pot_value
    ),
    paid as (
        select provider, first_pair as pair_id, pot_id,
            case when not is_price and not is_called then gap else 0 end as events,
            case when not is_price and is_called then gap else 0 end as unexplained,
            case when is_price and list is not null and used_list is not null
                and not (contracted is null and is_rounding) then list - used_list else 0 end as list_price,
            case when not is_price or (contracted is null and is_rounding) then 0
                when list is not null and used_list is not null
                    then coalesce(contracted, billed) - list - (used - used_list)
                when contracted is not null then contracted - used else 0 end as discount,
            case when not is_price or is_rounding then 0
                when contracted is not null then billed - contracted
                when list is not null and used_list is not null then 0 else gap end as price,
            case when not is_price or not is_rounding then 0 else billed - coalesce(contracted, used) end as rounding,
            case when is_price and is_refused and contracted is null and not is_rounding then gap else 0 end
                as not_billed
        from rest
    ),
    told as (
        select provider, pair_id, pot_id, unnest([
            {'cause': 'unpriced', 'amount': unpriced}, {'cause': 'extra_or_missing_events', 'amount': events},
            {'cause': 'token_count', 'amount': tokens}, {'cause': 'not_billed', 'amount': not_billed}
        ]) as part from step
        union all
        select provider, pair_id, pot_id, unnest([
            {'cause': 'extra_or_missing_events', 'amount': events}, {'cause': 'unexplained', 'amount': unexplained},
            {'cause': 'list_price', 'amount': list_price}, {'cause': 'discount', 'amount': discount},
            {'cause': 'price', 'amount': price - not_billed}, {'cause': 'rounding', 'amount': rounding},
            {'cause': 'not_billed', 'amount': not_billed}
        ]) from paid
        union all
        select provider, pair_id, pot_id, {'cause': 'cut_off', 'amount': shifted} from pair
    )
    select provider, pair_id, pot_id, part.cause as cause, sum(part.amount)::hugeint as amount
    from told group by all having sum(part.amount) <> 0
"""
