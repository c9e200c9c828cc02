"""The bridge: from our calls to the bill, one row a cause, exact to the last digit, per provider and in all."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.ledger import Ledger, as_frame
from attribution.reconciliation.causes import CAUSES, LINE_CAUSES
from attribution.reconciliation.sides import Side

_MONEY = pa.decimal128(38, 12)
#: Ends of the bridge; everything between floats.
TOTALS = ("ledger", "billed")
#: Causes that nothing but what is likely can tell apart from others, unless the bill counts its requests.
_GUESSES = {
    "extra_or_missing_events": "calls that no telemetry saw: another application, a timed-out or cancelled call that "
    "the provider finished, or an export that is not loaded",
    "token_count": "calls whose usage was not recorded (streams, time-outs), or cached input recorded as fresh",
    "not_billed": "failed or free calls, a key of another account, or a part of the bill that is not loaded",
    "unexplained": "the bill states an amount and no quantity; a usage report would split it",
}
_Amounts = dict[tuple[str, str], tuple[int, int | None, int | None]]


def build_bridges(ledger: Ledger, sides: Sequence[Side]) -> pd.DataFrame:
    """Return every provider's bridge; `amount` [USD] of all rows but the last adds up to the last."""
    amounts: _Amounts = {}
    for provider, cause, amount, calls, cells in ledger.rows(_AMOUNTS):
        amounts[provider, LINE_CAUSES.get(cause, cause)] = (amount, calls, cells)
    rows = [row for side in sides for row in _rows(side.provider, amounts)]
    return as_frame(pa.Table.from_pylist(rows, schema=_schema(with_provider=True)))


def add_up(bridges: pd.DataFrame) -> pd.DataFrame:
    """Return the bridge of all providers together."""
    amounts: _Amounts = {}
    for row in bridges.to_dict("records"):
        money, calls, cells = amounts.get(("", row["cause"]), (0, 0, 0))
        amounts["", row["cause"]] = (
            money + int(row["amount"].scaleb(12)),
            _plus(calls, row["calls"]),
            _plus(cells, row["cells"]),
        )
    rows = [{name: value for name, value in row.items() if name != "provider"} for row in _rows("", amounts)]
    return as_frame(pa.Table.from_pylist(rows, schema=_schema(with_provider=False)))


def _plus(one: int | None, other: Any) -> int | None:
    if one is None or other is None or other is pd.NA:
        return one if one is not None else None
    return one + int(other)


def _rows(provider: str, amounts: _Amounts) -> list[dict[str, Any]]:
    rows = []
    for order, (cause, label) in enumerate(CAUSES.items()):
        amount, calls, cells = amounts.get((provider, cause), (0, 0, 0))
        is_guess = cause in _GUESSES and amount != 0
        rows.append(
            {
                "provider": provider,
                "order": order,
                "cause": cause,
                "label": label,
                "amount": Decimal(amount).scaleb(-12),
                "calls": calls,
                "cells": cells,
                "kind": "total" if cause in TOTALS else "effect",
                "is_guess": is_guess,
                "guess": _GUESSES[cause] if is_guess else None,
            }
        )
    return rows


def _schema(*, with_provider: bool) -> pa.Schema:
    fields = [("provider", pa.string())] if with_provider else []
    fields += [("order", pa.int64()), ("cause", pa.string()), ("label", pa.string()), ("amount", _MONEY)]
    fields += [("calls", pa.int64()), ("cells", pa.int64()), ("kind", pa.string())]
    return pa.schema([*fields, ("is_guess", pa.bool_()), ("guess", pa.string())])


#: Calls behind a cause are those of its cells' groups, each once: the meters of a call share its group.
_GROUP = "request_id, bucket, project_id, caller, region, service_tier, context_window, model"
_AMOUNTS = f"""
    with part as (
        select call_meter_part.*, case when side.clock = 'ended_at' then in_window_ended else in_window_started end
            as in_window
        from call_meter_part join side using (provider)
    ),
    counted as (
        select call_part.*, case when side.clock = 'ended_at' then in_window_ended else in_window_started end
            as in_window
        from call_part join side using (provider)
    ),
    called as (
        select provider, sum(calls) filter (where in_period) as ours,
            sum(calls) filter (where in_period and is_repeated) as repeated,
            sum(calls) filter (where not is_repeated and in_period <> in_window) as moved
        from counted group by provider
    ),
    cost as (
        select provider, sum(cost) filter (where in_period) as ours,
            sum(cost) filter (where in_period and is_repeated) as repeated,
            coalesce(sum(cost) filter (where in_window and not is_repeated), 0)
                - coalesce(sum(cost) filter (where in_period and not is_repeated), 0) as moved
        from part group by provider
    ),
    behind as (
        select cause, provider, sum(calls) as calls from (
            select distinct cause, pair.provider, {_GROUP}, calls
            from cell_cause join pair using (pair_id)
        ) group by all
    ),
    caused as (
        select provider, cause, sum(amount) as amount, count(*) as cells from cell_cause group by all
    )
    select provider, 'ledger' as cause, coalesce(cost.ours, 0)::hugeint as amount,
        coalesce(called.ours, 0)::bigint as calls, cast(null as bigint) as cells
    from called left join cost using (provider)
    union all
    select provider, 'duplicates', -coalesce(cost.repeated, 0)::hugeint, coalesce(called.repeated, 0)::bigint, null
    from called left join cost using (provider)
    union all
    select provider, cause, sum(amount)::hugeint, sum(calls)::bigint, sum(cells)::bigint from (
        select provider, 'cut_off' as cause, cost.moved as amount, called.moved as calls, 0 as cells
        from called join cost using (provider)
        union all
        select caused.provider, caused.cause, caused.amount,
            case when caused.cause <> 'cut_off' then behind.calls else 0 end, caused.cells
        from caused left join behind using (provider, cause)
    ) group by provider, cause
    union all
    select provider, cause, sum(billed)::hugeint, null, count(*) from cell_line where cause <> 'usage' group by all
    union all
    select provider, cause, sum(billed)::hugeint, null, count(*) from cell_residual group by all
    union all
    select provider, 'billed', sum(billed)::hugeint, null, sum(lines)::bigint from (
        select provider, billed, 1 as lines from cell_line union all select provider, billed, 0 from cell_residual
    ) group by provider
    order by provider, cause
"""
