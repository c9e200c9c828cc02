"""Prices of the book for what the bill has and no priced call has: at the list price, and after the contract."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

from attribution.ledger import Ledger
from attribution.pricing.book import PriceBook
from attribution.pricing.compiling import Alias, Cell, Key, compile_card
from attribution.pricing.contracts import apply_terms
from attribution.pricing.terms import read_terms
from attribution.reconciliation.pots import TOKEN_METER

_PICO = 10**12
_INTEGER = pa.decimal128(38, 0)


def write_rates(ledger: Ledger, book: PriceBook) -> None:
    """Write `book_rate`: pico-dollars per unit, as fractions, for cells that no priced call gives a price."""
    wanted = ledger.rows(_WANTED)
    keys = {Key(provider, name, tier, region): key for provider, key, tier, name, region in wanted}
    cells = apply_terms(compile_card(book, keys, _no_aliases()), read_terms(ledger))
    rows = [row for cell in cells for row in _rows(cell, keys[cell.key])]
    names = [("provider", pa.string()), ("model", pa.string()), ("service_tier", pa.string()), ("meter", pa.string())]
    names += [("is_long", pa.bool_()), ("valid_from", pa.timestamp("us")), ("valid_to", pa.timestamp("us"))]
    names += [(name, _INTEGER) for name in ("cost", "cost_per", "list", "list_per")]
    with ledger.reading(rate_rows=pa.Table.from_pylist(rows, schema=pa.schema(names))):
        ledger.run(
            """
            create or replace temp table book_rate as
            select * replace (
                cast(cost as hugeint) as cost, cast(cost_per as hugeint) as cost_per,
                cast(list as hugeint) as list, cast(list_per as hugeint) as list_per
            )
            from rate_rows order by all
            """
        )


def _no_aliases() -> tuple[Alias, ...]:
    """The names are the book's own already, or those of calls that were priced."""
    return ()


def _rows(cell: Cell, model: str) -> Iterable[dict[str, Any]]:
    """Return a row per meter of a card cell; what changes within a day is left to the calls that show it."""
    if cell.is_windowed or cell.is_estimate:
        return
    for meter in dict.fromkeys([*cell.rates, *cell.contracted]):
        rate, paid = cell.rates.get(meter), cell.contracted.get(meter)
        listed = Fraction(rate.price) / rate.per if rate is not None else paid
        cost = paid if paid is not None else listed
        if cost is None or listed is None:
            continue
        yield {
            "provider": cell.key.provider,
            "model": model,
            "service_tier": cell.key.service_tier,
            "meter": meter,
            "is_long": cell.context_over >= 0,
            "valid_from": cell.valid_from,
            "valid_to": cell.valid_to,
            **_parts("cost", cost),
            **_parts("list", listed),
        }


def _parts(name: str, price: Fraction) -> dict[str, Decimal]:
    pico = price * _PICO
    return {name: Decimal(pico.numerator), f"{name}_per": Decimal(pico.denominator)}


#: The name a call goes by where there is one, for it carries the geography; else the book's own.
_WANTED = f"""
    with called as (
        select name.provider, name.key, min(name.name) as name, min(part.region) as region
        from model_name as name join call_part as part on part.provider = name.provider and part.model = name.name
        where name.book_model is not null
        group by all
    )
    select distinct pair.provider, pair.model, coalesce(pair.service_tier, 'standard'),
        coalesce(called.name, name.book_model), called.region
    from pair
    join (select provider, key, min(book_model) as book_model from model_name group by all) as name
        on name.provider = pair.provider and name.key = pair.model
    left join called on called.provider = pair.provider and called.key = pair.model
    where pair.known = 0 and (pair.billed_quantity <> 0 or pair.quantity <> 0) and pair.model is not null
        and {TOKEN_METER.format("pair.meter")} and name.book_model is not null
    order by all
"""
