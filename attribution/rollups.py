"""Roll up: from attempts to calls, requests, features and teams; each total is the exact sum of its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attribution import periods, schema
from attribution.ledger import Ledger, column_list


def roll_up(
    ledger: Ledger, *by: str, where: Mapping[str, Any] | None = None, period: str | None = None
) -> pd.DataFrame:
    """Add up what was used and what it costs, one row per group.

    An attempt is one metered provider call; retries and fallbacks are attempts of one call; calls belong to the
    request that a user saw. Unpriced attempts have no dollars and are counted apart, never as zero.

    Parameters
    ----------
    ledger
        A built ledger.
    *by
        Columns of `cost_event`, or `day`, `week`, `month`. None gives one row.
    where
        Columns and the value each must have; `None` as value asks for rows without one.
    period
        A day, ISO week, month, year or range, such as `2026-10`.

    Returns
    -------
    pandas.DataFrame
        The `by` columns, then `requests`, `calls`, `attempts`, `retries`, `fallbacks`, `failures`, `cache_hits`,
        tokens, `list_cost` [USD], `retry_cost`, `fallback_cost` [USD] (parts of it), `contracted_cost` [USD],
        `unpriced_attempts` and `unmetered_attempts`, in the order of `by`.

    Raises
    ------
    SchemaError
        If a group or condition is not a column.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.roll_up(ledger, "provider")[["provider", "calls", "list_cost"]].to_dict("records")[1]
    {'provider': 'openai', 'calls': 1, 'list_cost': Decimal('0.002048000000')}
    """
    names = schema.require(by, also=periods.CALENDAR)
    groups = ", ".join(f'{_expression(name)} as "{name}"' for name in names)
    condition, values = conditions(where, period)
    return ledger.frame(
        f"""
        select {groups + "," if names else ""}
            count(distinct request_id) as requests, count(distinct call_id) as calls, count(*) as attempts,
            count(*) filter (where attempt_role = 'retry') as retries,
            count(*) filter (where attempt_role = 'fallback') as fallbacks,
            count(*) filter (where status = 'error') as failures,
            count(*) filter (where cache_hit) as cache_hits,
            cast(sum(input_tokens) as bigint) as input_tokens,
            cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
            cast(sum(output_tokens) as bigint) as output_tokens,
            cast(sum(list_cost) as decimal(38, 12)) as list_cost,
            cast(sum(list_cost) filter (where attempt_role = 'retry') as decimal(38, 12)) as retry_cost,
            cast(sum(list_cost) filter (where attempt_role = 'fallback') as decimal(38, 12)) as fallback_cost,
            cast(sum(contracted_cost) as decimal(38, 12)) as contracted_cost,
            count(*) filter (where price_status in ('unpriced', 'partial')) as unpriced_attempts,
            count(*) filter (where price_status = 'unmetered') as unmetered_attempts
        from cost_event
        where {condition}
        group by {"all" if names else "()"}
        order by {column_list(names) if names else "all"}
        """,
        values,
    )


def conditions(where: Mapping[str, Any] | None, period: str | None) -> tuple[str, dict[str, Any]]:
    """Return a checked condition over `cost_event` and its bound values."""
    names = schema.require(where or {}, also=periods.CALENDAR)
    parts = [f"{_expression(name)} is not distinct from $where_{name}" for name in names]
    values = {f"where_{name}": value for name, value in (where or {}).items()}
    if period is not None:
        within = periods.parse(period)
        parts.append("started_at >= $start and started_at < $end")
        values |= within.values()
    return " and ".join(parts) or "true", values


def _expression(name: str) -> str:
    """Return the column, or what a calendar word stands for."""
    return periods.CALENDAR.get(name, f'"{name}"')
