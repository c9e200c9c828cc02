"""The frames of an answer: cells with their causes, lines without calls, the grain and the documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa

from attribution.ledger import Ledger, as_frame
from attribution.reconciliation.exact import dollars, units
from attribution.reconciliation.pots import PLACE
from attribution.reconciliation.sides import DIMENSIONS, Side
from attribution.reconciliation.statuses import Tolerance

#: Causes that stand in cells.
CELL_CAUSES = (
    "cut_off", "extra_or_missing_events", "token_count", "unpriced", "list_price", "discount", "price", "rounding",
    "not_billed", "unexplained",
)  # fmt: skip


#: The place of a cell, with the model's name instead of its key.
_SHOWN = tuple("coalesce(label.label, pair.model) as model" if part == "model" else part for part in PLACE)


def causes(ledger: Ledger) -> pd.DataFrame:
    """Return the causes of cells in long form: cause, cell and dollars, largest first within a cause."""
    return ledger.frame(
        f"""
        select cause, pair_id as cell_id, {dollars("amount")} as amount
        from cell_cause order by cause, abs(cell_cause.amount) desc, pair_id
        """
    )


def lines(ledger: Ledger) -> pd.DataFrame:
    """Return the bill lines that belong to no call, each with its cause and its dollars."""
    return ledger.frame(_LINES)


def documents(ledger: Ledger) -> pd.DataFrame:
    """Return the documents that tell the bill: which is the total, which the detail, and which is left out."""
    return ledger.frame(_DOCUMENTS)


def grain(sides: Sequence[Side]) -> pd.DataFrame:
    """Return per provider and dimension whether cells have it and why, and the bucket and calendar of time."""
    rows = []
    for side in sides:
        calendar = f"a call counts when it {'ends' if side.clock == 'ended_at' else 'begins'}, {side.zone}"
        rows.append((side.provider, "time", True, side.unit, calendar))
        rows += [(side.provider, name, side.shared[name], name, side.why[name]) for name in DIMENSIONS]
    names = ("provider", "dimension", "is_used", "grain", "why")
    return as_frame(pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)}))


def cells(ledger: Ledger, limits: Tolerance, as_of: datetime | None) -> pd.DataFrame:
    """Return every cell with its causes side by side; money that several cells share stands on its first one."""
    sums = {name: f"coalesce(sum(amount) filter (where cause = {name!r}), 0)" for name in CELL_CAUSES}
    columns = ", ".join(f"{dollars(total)} as {name}" for name, total in sums.items())
    values = {"tolerance": limits.line, "since": None if as_of is None else as_of - limits.provisional}
    return ledger.frame(
        f"""
        with caused as (select pair_id, {columns} from cell_cause group by pair_id),
        paid as (
            select pair_id, pair.provider, {", ".join(_SHOWN)},
                coalesce(level, 'no bill') as level, calls::bigint as calls,
                requests::bigint as requests, quantity, billed_quantity, cost, lines,
                case when pair_id = min(pair_id) over (partition by coalesce(pot_id, -pair_id)) then billed end
                    as billed
            from pair left join model_label as label on label.provider = pair.provider and label.key = pair.model
        ),
        judged as (
            select paid.*, coalesce(billed, 0) - cost as gap, unit.unit,
                abs(coalesce(billed, 0) - cost) <= greatest(
                    coalesce(unit.unit, 0) * coalesce(lines, 0),
                    cast(abs(coalesce(billed, 0)) * cast($tolerance as decimal(9, 6)) as hugeint)
                ) as is_near
            from paid left join rounding_unit as unit using (provider)
        )
        select judged.pair_id as cell_id, provider, {", ".join(PLACE)}, level, calls, requests,
            {units("quantity")} as ledger_quantity, {units("billed_quantity")} as billed_quantity,
            {dollars("cost")} as ledger, {dollars("billed")} as billed, {dollars("gap")} as gap,
            {", ".join(f"coalesce({name}, 0) as {name}" for name in CELL_CAUSES)},
            case when bucket > cast($since as timestamp) then 'provisional'
                when is_near then 'ties'
                when level = 'no bill' or calls = 0 or coalesce(abs(unexplained), 0) > 0 then 'does not tie'
                else 'open' end as status
        from judged left join caused using (pair_id)
        order by abs(gap) desc, judged.pair_id
        """,
        values,
    )


_LINES = f"""
    select provider, case cause when 'purchase' then 'purchases' when 'credit' then 'credits'
            when 'adjustment' then 'adjustments' else cause end as cause, month, source,
        cast(period_start as date) as day, description, sku, model, meter, project_id, caller, resource_id,
        {dollars("billed")} as billed, {dollars("effective")} as effective, note,
        cast(bill_line_id as varchar) as bill_line_id
    from cell_line where cause <> 'usage'
    union all by name
    select provider, cause, month, 'invoice' as source, {dollars("billed")} as billed,
        {dollars("effective")} as effective from cell_residual
    order by provider, cause, day, description, bill_line_id
"""
_DOCUMENTS = f"""
    select document.provider, document.month, document.source, document.export, document.lines,
        {dollars("sum(line.billed)")} as billed, document.is_total, document.is_detail, document.why
    from cell_document as document left join line_of_period as line using (provider, month, source, export)
    group by all order by all
"""
