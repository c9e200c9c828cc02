"""Match cells: bring a provider's bill and the calls together; what true-up and reconciliation both stand on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

from attribution import periods
from attribution.errors import LedgerError
from attribution.ledger import Ledger
from attribution.pricing.storing import shipped_book
from attribution.reconciliation import bills, calls, causes, documents, pairs, pots, rates, scope, sides
from attribution.reconciliation.names import name_models
from attribution.reconciliation.sides import Side


def match_cells(
    ledger: Ledger,
    period: str | date | periods.Period,
    provider: str | None = None,
    *,
    grain: str | Sequence[str] | None = None,
) -> list[Side]:
    """Bring bill and calls of a period together, cell by cell, in temporary tables of the ledger.

    Leaves `cell_document`, `cell_line`, `bill_cell`, `cell_event` and `cell_residual`; amounts are whole
    pico-dollars and quantities millionths of a unit. Every line of the documents that count has one cause.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        A month, or anything else that `periods.parse` reads. Months take the lines of their invoices.
    provider
        Only this provider.
    grain
        Dimensions of a cell; else the finest that bill and calls share.

    Returns
    -------
    list of Side
        Per provider: its calendar, its bucket, and the dimensions that its cells have and lack.
    """
    if "event_meter" not in ledger.tables():
        raise LedgerError.empty("prices by meter", "Run build_ledger or price_events first; then it has.")
    wanted = sides.read_grain(grain)
    parsed = periods.parse(period)
    asked = documents.Asked(parsed, provider, documents.months_in(parsed))
    found = _read_bills(ledger, asked, wanted)
    bills.take_usage(ledger)
    calls.tell_calls(ledger, asked)
    meters = calls.used_meters(ledger)
    calls.add_up_calls(ledger, meters)
    calls.unfold_calls(ledger, meters)
    sides.share_dimensions(ledger, found, wanted)
    book = shipped_book()
    pots.write_names(ledger, name_models(ledger, book, ledger.rows(_NAMES), parsed.start))
    pots.place_lines(ledger)
    found = pairs.choose_clocks(ledger, found, _declared_clocks(ledger))
    sides.write_sides(ledger, found)
    pots.place_calls(ledger)
    pots.write_cells(ledger)
    pairs.write_pairs(ledger)
    pairs.shift_buckets(ledger)
    rates.write_rates(ledger, book)
    causes.write_values(ledger)
    causes.write_causes(ledger)
    for statement in (_BILL_CELL, _cell_event(meters)):
        ledger.run(statement)
    return found


def read_bills(ledger: Ledger, period: str | date | periods.Period, provider: str | None = None) -> list[Side]:
    """Read the bill's side alone: `cell_document`, `cell_line` (its usage without cells) and `cell_residual`.

    Parameters
    ----------
    ledger
        A ledger with bills.
    period, provider
        As for `match_cells`.

    Returns
    -------
    list of Side
        Per provider: its calendar and its bucket.
    """
    parsed = periods.parse(period)
    return _read_bills(ledger, documents.Asked(parsed, provider, documents.months_in(parsed)), ())


def _read_bills(ledger: Ledger, asked: documents.Asked, grain: tuple[str, ...]) -> list[Side]:
    bills.tell_lines(ledger)
    documents.choose_documents(ledger, asked)
    scope.mark_scope(ledger)
    bills.take_lines(ledger, asked)
    found = sides.find_sides(ledger, asked, grain)
    bills.drop_late_lines(ledger)
    bills.take_residuals(ledger)
    return found


def _declared_clocks(ledger: Ledger) -> dict[str, str]:
    """Return what `calendar: {billing: {provider: start}}` of the configuration says."""
    rows = ledger.rows("select value from setting where name = 'calendar'")
    declared = json.loads(rows[0][0]).get("billing") if rows else None
    words = {"start": "started_at", "end": "ended_at"}
    return {name: words[word] for name, word in (declared or {}).items() if word in words}


_NAMES = """
    select distinct provider, model from call_part where provider is not null
    union select distinct provider, model from cell_line where model is not null
    union select distinct provider, model from usage_line where model is not null
    order by all
"""

_BILL_CELL = f"""
    create or replace temp table bill_cell as
    select pot.pot_id as cell_id, pot.provider, pot.level, {", ".join("pot." + part for part in pots.PLACE)},
        pot.billed, coalesce(pot.effective, pot.billed) as effective, pot.lines,
        coalesce(sum(pair.calls), 0)::hugeint as calls, coalesce(sum(pair.cost), 0)::hugeint as ledger
    from pot left join pair using (pot_id)
    group by all order by cell_id
"""


def _cell_event(meters: Sequence[str]) -> str:
    """Return the view of every call and meter that belongs to a cell with money, with the weight to spread it by."""
    columns = " union all ".join(
        f"select event_id, '{meter}' as meter, {meter}_quantity::hugeint * 1000000 as quantity, "
        f"coalesce({meter}_cost, {meter}_list, 0)::hugeint as weight from event_meter where {meter}_quantity <> 0"
        for meter in meters
    )
    return f"""
        create or replace temp view cell_event as
        with used as (
            {columns}
            union all
            select event_id, meter, cast(quantity * 1000000 as hugeint), coalesce(cost, list, 0) from event_other_meter
        ),
        placed as (
            select part.event_id, part.meter as used_as, part.weight, part.quantity, {pots.call_place(pots.FOLDED)}
            from (
                select used.*, period_call.* exclude (event_id), event_meter.is_long
                from used join period_call using (event_id) join event_meter using (event_id)
            ) as part
            join side using (provider)
            left join model_name as model on model.provider = part.provider and model.name = part.model
            where {pots.IS_BILLED}
        )
        select placed.event_id, placed.used_as as meter, cell.pot_id as cell_id, placed.weight, placed.quantity
        from placed join cell on cell.provider = placed.provider
            and {" and ".join(f"cell.{part} is not distinct from placed.{part}" for part in pots.PLACE)}
        where cell.pot_id is not null
    """
