"""The requests that show a driver: what to open when someone asks where the money went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from attribution import periods, schema
from attribution.errors import QuestionError
from attribution.explanations.counts import FAMILIES, SEGMENT
from attribution.explanations.explaining import condition_of
from attribution.ledger import Ledger
from attribution.periods import Period

#: What a request has more of when a driver shows in it; all others show in what it costs.
MEASURES = {
    "fan-out": "calls",
    "retries": "retry_cost",
    "fallbacks": "fallback_cost",
    "prompt size": "input_tokens",
    "response size": "output_tokens",
    "reasoning": "reasoning_tokens",
    "cache": "uncached_tokens",
}


def show_requests(
    ledger: Ledger,
    period: str | Period,
    where: Mapping[str, Any] | None = None,
    *,
    driver: str | None = None,
    n: int = 10,
) -> pd.DataFrame:
    """List the requests of a period in which a driver shows most.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        Day, ISO week, month or range (UTC).
    where
        Column of `cost_event` → value, or list of values; None stands for a missing value.
    driver
        A driver of `explain_change`, such as `retries`; the dearest requests when not given.
    n
        How many.

    Returns
    -------
    pandas.DataFrame
        `request_id`, `owner_team`, `workflow_id`, `feature`, `started_at`, `models`, `calls`, `attempts`, `retry_cost`,
        `fallback_cost` [USD], `input_tokens`, `uncached_tokens`, `output_tokens`, `reasoning_tokens`, `cost` [USD]
        and `unpriced_attempts`, most telling first. Each cost is that of the priced attempts.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.show_requests(ledger, "2026-W42", driver="retries").empty
    True
    """
    from attribution.explanations.answers import LINES

    if driver is not None and driver not in LINES:
        raise QuestionError.bad_argument("driver", driver, f"one of {', '.join(LINES)}")
    if n < 1:
        raise QuestionError.bad_argument("n", n, "a whole number from 1 on")
    values: dict[str, Any] = periods.parse(period).values() | {"n": n}
    slice_ = where or {}
    conditions = [condition_of(name, place, slice_[name], values) for place, name in enumerate(schema.require(slice_))]
    names = ", ".join(f"min(cost_event.{name}) as {name}" for name in SEGMENT)
    measure = MEASURES.get(driver or "", "cost")
    return ledger.frame(
        f"""
        select request_id, {names}, min(started_at) as started_at,
            string_agg(distinct model, ', ' order by model) as models,
            count(distinct call_id) as calls, count(*) as attempts,
            coalesce(sum(coalesce(contracted_cost, list_cost)) filter (attempt_role = 'retry'), 0) as retry_cost,
            coalesce(sum(coalesce(contracted_cost, list_cost)) filter (attempt_role = 'fallback'), 0) as fallback_cost,
            sum(input_tokens)::bigint as input_tokens,
            sum(input_tokens - coalesce(cache_read_tokens, 0))::bigint as uncached_tokens,
            sum(output_tokens)::bigint as output_tokens, sum(reasoning_tokens)::bigint as reasoning_tokens,
            sum(coalesce(contracted_cost, list_cost)) as cost, count(*) filter (list_cost is null) as unpriced_attempts
        from cost_event {FAMILIES}
        where started_at >= $start and started_at < $end and {" and ".join(["true", *conditions])}
        group by request_id
        order by {measure} desc nulls last, cost desc nulls last, request_id
        limit $n
        """,
        values,
    )
