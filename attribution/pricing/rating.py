"""The ledger step: all events are priced in one statement over a rate card for the models they name."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

import pyarrow as pa

from attribution.ledger import Ledger
from attribution.pricing import statements
from attribution.pricing.book import BEGINNING, FOREVER, PriceBook, Rate
from attribution.pricing.compiling import Alias, Cell, Key, compile_card
from attribution.pricing.meters import unit_of
from attribution.pricing.storing import shipped_book

_PICO = 10**12
_INTEGER = pa.decimal128(38, 0)
_MONEY = pa.decimal128(38, 12)
#: The largest product that eight-byte integers hold.
_LARGEST = 2**63 - 1


def price_events(ledger: Ledger, book: PriceBook | None = None) -> None:
    """Price every event of a ledger at the moment it began, exactly, or say why it has no price.

    Fills `list_cost`, `priced_part`, `contracted_cost`, `estimated_cost`, `price_status`, `price_reason` and
    `price_entry` of `cost_event`, and the view `line_item`, from tables `event`, `alias` and `contract`.
    Money is exact to the pico-dollar. An absent tier or region is the provider's default, and the reason says
    that it was assumed; a stated one without a price leaves the call unpriced. A call without a time is priced
    at the latest time in the ledger, or at the date of the book, and the reason says so.

    Parameters
    ----------
    ledger
        A ledger whose events are matched. Running this again changes nothing.
    book
        The prices to use; the shipped book when not given.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.price_events(ledger)
    ...     ledger.sql("select count(*) as priced from cost_event where list_cost is not null")["priced"].item()
    0
    """
    prices = book or shipped_book()
    cells = list(compile_card(prices, _keys(ledger), _aliases(ledger)))
    with ledger.transaction():
        divisor = _write_card(ledger, prices, cells)
        ledger.run(statements.event_rate())
        ledger.run(statements.event_cost(divisor))
        ledger.run(statements.line_item(divisor))


def _keys(ledger: Ledger) -> list[Key]:
    rows = ledger.rows("select distinct provider, model, service_tier, region from event order by all")
    return [Key(*row) for row in rows]


def _aliases(ledger: Ledger) -> list[Alias]:
    rows = ledger.rows(
        """
        select name, provider, canonical, canonical_provider, valid_from, valid_to
        from alias where kind = 'model' order by all
        """
    )
    return [Alias(n, p, c, cp, start or BEGINNING, end or FOREVER) for n, p, c, cp, start, end in rows]


def _write_card(ledger: Ledger, book: PriceBook, cells: list[Cell]) -> int:
    """Store the rates that the events need; return what their whole numbers are to be divided by."""
    divisor = _divisor(cells)
    whole = "bigint" if _fits(ledger, cells, divisor) else "hugeint"
    rates = ", ".join(f"cast({name} as {whole}) as {name}" for name in _rate_columns())
    with ledger.reading(card_rows=_card_table(cells, divisor), line_rows=_line_table(cells)):
        ledger.run(f"create or replace table rate_card as select * replace ({rates}) from card_rows")
        ledger.run("create or replace table rate_line as select * from line_rows")
    ledger.run(
        """
        create or replace table rate_book as
        select $fingerprint as fingerprint, cast($as_of as timestamp) as as_of,
            coalesce((select max(started_at) from event), cast($as_of as timestamp)) as undated_at
        """,
        {"fingerprint": book.fingerprint, "as_of": book.as_of},
    )
    return divisor


def _rate_columns() -> list[str]:
    return [f"rate_{meter}" for meter in statements.METERS]


def _divisor(cells: list[Cell]) -> int:
    """Return the least number that makes whole pico-dollars per unit of every rate on the card."""
    rates = (rate for cell in cells for meter, rate in cell.rates.items() if meter in statements.METERS)
    return lcm(*((Fraction(rate.price) * _PICO / rate.per).denominator for rate in rates))


def _fits(ledger: Ledger, cells: list[Cell], divisor: int) -> bool:
    """Tell whether no cost of one event can pass the eight-byte integers, so that they may be used."""
    rates = (rate for cell in cells for meter, rate in cell.rates.items() if meter in statements.METERS)
    dearest = max((_whole(rate, divisor) for rate in rates), default=0)
    most = ledger.value("select max(coalesce(input_tokens, 0)::hugeint + coalesce(output_tokens, 0) + 1) from event")
    return 2 * dearest * (most or 1) < _LARGEST


def _whole(rate: Rate, divisor: int) -> int:
    return int(Fraction(rate.price) * _PICO * divisor / rate.per)


def _card_table(cells: list[Cell], divisor: int) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        row: dict[str, Any] = {
            "card_id": number,
            "provider": cell.key.provider,
            "model": cell.key.model,
            "service_tier": cell.key.service_tier,
            "region": cell.key.region,
            "valid_from": cell.valid_from,
            "valid_to": cell.valid_to,
            "context_over": cell.context_over,
            "context_upto": cell.context_upto,
            "second_from": cell.second_from,
            "second_to": cell.second_to,
            "weekdays": cell.weekdays,
            "is_priced": bool(cell.rates),
            "is_estimate": cell.is_estimate,
            "reason": cell.reason,
            "entry": next(iter(cell.rates.values())).entry_id if cell.rates else None,
        }
        for meter in statements.METERS:
            rate = cell.rates.get(meter)
            row[f"rate_{meter}"] = None if rate is None else Decimal(_whole(rate, divisor))
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=_card_schema())


def _card_schema() -> pa.Schema:
    words = ["provider", "model", "service_tier", "region"]
    bounds = ["context_over", "context_upto", "second_from", "second_to", "weekdays"]
    return pa.schema(
        [("card_id", pa.int64())]
        + [(name, pa.string()) for name in words]
        + [(name, pa.timestamp("us")) for name in ("valid_from", "valid_to")]
        + [(name, pa.int64()) for name in bounds]
        + [("is_priced", pa.bool_()), ("is_estimate", pa.bool_()), ("reason", pa.string()), ("entry", pa.string())]
        + [(name, _INTEGER) for name in _rate_columns()]
    )


def _line_table(cells: list[Cell]) -> pa.Table:
    """Return one row per card cell and meter: the price as the book has it, with the unit it is per."""
    rows = [
        {
            "card_id": number,
            "meter": meter,
            "unit": unit_of(meter),
            "price": rate.price,
            "per": rate.per,
            "price_pico": Decimal(int(rate.price * _PICO)),
            "minimum": rate.minimum,
            "entry": rate.entry_id,
        }
        for number, cell in enumerate(cells)
        for meter, rate in cell.rates.items()
    ]
    names = [("card_id", pa.int64()), ("meter", pa.string()), ("unit", pa.string()), ("price", _MONEY)]
    names += [("per", pa.int64()), ("price_pico", _INTEGER), ("minimum", pa.decimal128(18, 6))]
    return pa.Table.from_pylist(rows, schema=pa.schema([*names, ("entry", pa.string())]))
