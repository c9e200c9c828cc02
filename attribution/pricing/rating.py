"""The ledger step: all events are priced in one statement over a rate card for the models they name."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

import pyarrow as pa

from attribution import schema
from attribution.ledger import Ledger, column_list
from attribution.pricing import statements
from attribution.pricing.book import BEGINNING, FOREVER, HISTORY, NO_LIMIT, PriceBook
from attribution.pricing.compiling import Alias, Cell, Key, compile_card
from attribution.pricing.contracts import apply_terms
from attribution.pricing.meters import unit_of
from attribution.pricing.storing import shipped_book
from attribution.pricing.terms import check_names, read_terms
from attribution.usage import TOKEN_COLUMNS, disjoint_quantities

_PICO = 10**12
_INTEGER = pa.decimal128(38, 0)
_MONEY = pa.decimal128(38, 12)
#: The largest product that eight-byte integers hold.
_LARGEST = 2**63 - 1
#: The largest amount that an eight-byte decimal holds.
_SMALL = 10**18


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
    with ledger.transaction():
        shape = choose_rates(ledger, book or shipped_book())
        ledger.run(statements.store_costs(shape))
        ledger.run(statements.line_item(shape))
        ledger.run(statements.event_meter(shape))
        ledger.run(statements.event_other_meter(shape))


def choose_rates(ledger: Ledger, book: PriceBook) -> statements.Shape:
    """Write the card of the rates that the events need and the view that chooses among them, and return its shape."""
    terms, keys = read_terms(ledger), _keys(ledger)
    check_names(terms, book, {key.provider for key in keys})
    cells = list(apply_terms(compile_card(book, keys, _aliases(ledger), has_early=_has_early(ledger)), terms))
    shape = _write_card(ledger, book, cells, bool(terms))
    ledger.run(statements.event_quantity(shape))
    ledger.run(statements.event_rate(shape))
    ledger.run(statements.event_rate_name())
    return shape


def _keys(ledger: Ledger) -> list[Key]:
    rows = ledger.rows("select distinct provider, model, service_tier, region from event order by all")
    return [Key(*row) for row in rows]


def _has_early(ledger: Ledger) -> bool:
    return bool(ledger.value("select coalesce(min(started_at) < $history, false) from event", {"history": HISTORY}))


def _aliases(ledger: Ledger) -> list[Alias]:
    rows = ledger.rows(
        """
        select name, provider, canonical, canonical_provider, valid_from, valid_to
        from alias where kind = 'model' order by all
        """
    )
    return [Alias(n, p, c, cp, start or BEGINNING, end or FOREVER) for n, p, c, cp, start, end in rows]


def _write_card(ledger: Ledger, book: PriceBook, cells: list[Cell], has_contracts: bool) -> statements.Shape:
    """Store the rates that the events need; return what the statements over them have to deal with."""
    listed = [_per_unit(cell) for cell in cells]
    paid = [cell.contracted for cell in cells]
    divisors = _divisor(listed), _divisor(paid)
    columns = {"rate": _whole(listed, divisors[0]), "contract": _whole(paid, divisors[1])}
    used, has_other = _used(ledger)
    columns_used = tuple(c for c in TOKEN_COLUMNS if used[c] > 0 or c in ("input_tokens", "output_tokens"))
    casts = ", ".join(
        f"cast({card}_{meter} as {_integer(values, used)}) as {card}_{meter}"
        for card, values in columns.items()
        for meter in statements.METERS
    )
    names = column_list(schema.table("price").names)
    with ledger.reading(price_rows=_price_table(cells, book.fingerprint)):
        ledger.run("delete from price")
        ledger.run(f"insert into price ({names}) select {names} from price_rows")
    with ledger.reading(card_rows=_card_table(cells, columns), line_rows=_line_table(cells)):
        ledger.run(f"create or replace table rate_card as select * replace ({casts}) from card_rows")
        ledger.run("create or replace table rate_line as select * from line_rows")
    ledger.run(
        """
        create or replace table rate_book as
        select $fingerprint as fingerprint, cast($as_of as timestamp) as as_of,
            coalesce((select max(started_at) from event), cast($as_of as timestamp)) as undated_at
        """,
        {"fingerprint": book.fingerprint, "as_of": book.as_of},
    )
    return statements.Shape(
        columns=columns_used,
        keys=_telling({cell.key for cell in cells}),
        has_other=has_other,
        windowed=tuple(sorted({cell.key.model for cell in cells if cell.is_windowed and cell.key.model})),
        span=_span(ledger, book),
        has_requests=any("request" in (*c.rates, *c.contracted) for c in cells),
        divisor=divisors[0],
        contract_divisor=divisors[1] if has_contracts else None,
        is_small=not has_other and divisors == (1, 1) and all(_dearest(v, used) < _SMALL for v in columns.values()),
        gaps=tuple(m for m in statements.METERS if any(cell.rates and m not in cell.rates for cell in cells)),
        has_unpriced=any(not cell.rates for cell in cells),
        has_estimates=any(cell.is_estimate for cell in cells),
        **_flaws(ledger, columns_used),
    )


def _flaws(ledger: Ledger, columns: tuple[str, ...]) -> dict[str, bool]:
    """Return which of the things that keep a call from its plain price any of the events has."""
    known = ", ".join(f"coalesce({name}, 0) as {name}" for name in columns)
    quantities = ", ".join(disjoint_quantities(columns).values())
    (row,) = ledger.rows(
        f"""
        select coalesce(bool_or(cache_hit), false), not coalesce(bool_and(is_metered), true),
            coalesce(bool_or(is_unknown), false), coalesce(bool_or(started_at is null), false),
            coalesce(min(least({quantities})), 0) < 0
        from (
            select cache_hit, is_metered, started_at,
                input_tokens is null or output_tokens is null as is_unknown, {known}
            from event
        )
        """
    )
    return dict(zip(("has_hits", "has_unmetered", "has_unknown", "has_undated", "has_flaws"), row, strict=True))


def _span(ledger: Ledger, book: PriceBook) -> tuple[datetime, datetime]:
    """Return the first and the last moment that is priced; a call without a time is priced within it."""
    ((first, last),) = ledger.rows("select min(started_at), max(started_at) from event")
    return first or book.as_of, last or book.as_of


def _telling(keys: set[Key]) -> tuple[str, ...]:
    """Return columns that are enough to tell the keys apart: mostly the model and the tier."""
    columns = list(statements.KEY_COLUMNS)
    for column in statements.KEY_COLUMNS:
        fewer = [name for name in columns if name != column]
        if len({tuple(getattr(key, name) for name in fewer) for key in keys}) == len(keys):
            columns = fewer
    return tuple(columns)


def _used(ledger: Ledger) -> tuple[dict[str, int], bool]:
    """Return the largest count in each token column, and whether any event counts something else."""
    largest = ", ".join(f"coalesce(greatest(max({name}), -min({name})), 0)" for name in TOKEN_COLUMNS)
    (row,) = ledger.rows(f"select {largest}, coalesce(bool_or(other_usage is not null), false) from event")
    return dict(zip(TOKEN_COLUMNS, row[:-1], strict=True)), row[-1]


def _per_unit(cell: Cell) -> dict[str, Fraction]:
    return {meter: Fraction(rate.price) / rate.per for meter, rate in cell.rates.items()}


def _wide(prices: dict[str, Fraction]) -> dict[str, Fraction]:
    """Return the prices that the card holds as whole numbers; the others are kept as fractions, by line."""
    return {meter: price for meter, price in prices.items() if meter in statements.METERS}


def _divisor(rates: list[dict[str, Fraction]]) -> int:
    """Return the least number that makes whole pico-dollars per unit of every rate."""
    return lcm(*((price * _PICO).denominator for cell in rates for price in _wide(cell).values()))


def _whole(rates: list[dict[str, Fraction]], divisor: int) -> list[dict[str, int]]:
    return [{meter: int(price * _PICO * divisor) for meter, price in _wide(cell).items()} for cell in rates]


def _integer(rates: list[dict[str, int]], used: dict[str, int]) -> str:
    """Return eight-byte integers where no cost of one event can pass them, else sixteen-byte ones."""
    return "bigint" if _dearest(rates, used) < _LARGEST else "hugeint"


def _dearest(rates: list[dict[str, int]], used: dict[str, int]) -> int:
    """Return what no event can cost more than, in the unit of the rates."""
    dearest = max((rate for cell in rates for rate in cell.values()), default=0)
    return dearest * (max(used["input_tokens"] + used["output_tokens"], *used.values()) + 1)


def _price_table(cells: list[Cell], fingerprint: str) -> pa.Table:
    """Return the book entries that the card draws on, each once, with where they are from."""
    rates = {(rate.entry_id, rate.meter): rate for cell in cells for rate in cell.rates.values()}
    rows = [{"entry": entry, **asdict(rate), "book": fingerprint} for (entry, _), rate in sorted(rates.items())]
    words = ("meter", "provider", "model", "service_tier", "region", "source", "source_entry", "basis")
    numbers = ("context_over", "context_upto", "second_from", "second_to", "weekdays", "per")
    fields = [*((name, pa.string()) for name in ("entry", *words, "book")), *((name, pa.int64()) for name in numbers)]
    fields += [(name, pa.timestamp("us")) for name in ("valid_from", "valid_to")]
    return pa.Table.from_pylist(rows, pa.schema([*fields, ("price", _MONEY), ("minimum", pa.decimal128(18, 6))]))


def _card_table(cells: list[Cell], columns: dict[str, list[dict[str, int]]]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        row: dict[str, Any] = {
            "card_id": number,
            **asdict(cell.key),
            "valid_from": cell.valid_from,
            # An end that is none is the last there is: a call of the year 3000 or of -1 tokens keeps its row.
            "valid_to": cell.valid_to if cell.valid_to < FOREVER else datetime.max,
            "context_over": cell.context_over if cell.context_over >= 0 else -_LARGEST,
            "context_upto": cell.context_upto if cell.context_upto < NO_LIMIT else _LARGEST,
            "second_from": cell.second_from,
            "second_to": cell.second_to,
            "weekdays": cell.weekdays,
            "is_windowed": cell.is_windowed,
            "is_priced": bool(cell.rates),
            "is_estimate": cell.is_estimate,
            "reason": cell.reason,
            "entry": next(iter(cell.rates.values())).entry_id if cell.rates else None,
            "book_provider": cell.provider,
            "book_model": cell.model,
        }
        for card, values in columns.items():
            row |= {f"{card}_{meter}": Decimal(value) for meter, value in values[number].items()}
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
        + [(name, pa.bool_()) for name in ("is_windowed", "is_priced", "is_estimate")]
        + [(name, pa.string()) for name in ("reason", "entry", "book_provider", "book_model")]
        + [(f"{card}_{meter}", _INTEGER) for card in ("rate", "contract") for meter in statements.METERS]
    )


def _line_table(cells: list[Cell]) -> pa.Table:
    """Return one row per card cell and meter: the price as the book has it, and what is paid, as fractions."""
    rows = []
    for number, cell in enumerate(cells):
        for meter in dict.fromkeys([*cell.rates, *cell.contracted]):
            rate, paid = cell.rates.get(meter), cell.contracted.get(meter)
            row: dict[str, Any] = {"card_id": number, "meter": meter, "unit": unit_of(meter), "minimum": Decimal(0)}
            if rate is not None:
                row |= {"price": rate.price, "per": rate.per, "price_pico": Decimal(int(rate.price * _PICO))}
                row |= {"minimum": rate.minimum, "entry": rate.entry_id}
            if paid is not None:
                pico = paid * _PICO
                row |= {"paid_pico": Decimal(pico.numerator), "paid_per": Decimal(pico.denominator)}
            rows.append(row)
    names = [("card_id", pa.int64()), ("meter", pa.string()), ("unit", pa.string()), ("price", _MONEY)]
    names += [("per", pa.int64()), ("price_pico", _INTEGER), ("minimum", pa.decimal128(18, 6)), ("entry", pa.string())]
    names += [("paid_pico", _INTEGER), ("paid_per", _INTEGER)]
    return pa.Table.from_pylist(rows, schema=pa.schema(names))
