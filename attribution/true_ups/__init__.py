"""True up: the invoice's own dollars, on the calls that caused them, and lines for what no call caused."""

from __future__ import annotations

import pandas as pd

from attribution import periods
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.prepayments import History, follow
from attribution.reconciliation import match_cells
from attribution.reconciliation.documents import months_in
from attribution.true_ups.covering import cover_lines
from attribution.true_ups.spreading import spread_cells
from attribution.true_ups.storing import keep_only, replace


def true_up(ledger: Ledger, period: str, provider: str | None = None) -> pd.DataFrame:
    """Spread the invoices of a period over its calls, so that calls and residual lines add up to them to the cent.

    The dollars that the bill has for a cell (a day, model, tier, key and meter, or whatever grain it shares with the
    ledger) go to the calls of that cell by cost, in whole pico-dollars with the largest remainders rounded up. What
    belongs to no call (storage, sessions, purchases, tax, credits, usage that nobody recorded) is kept in
    `residual_line`. Usage that a prepaid balance covers is billed at nothing and keeps its effective cost.
    Running it again changes nothing; a corrected bill moves the calls of the corrected cells and no others.

    Parameters
    ----------
    ledger
        A built ledger with bills.
    period
        A month, or a quarter, year or range of whole months, such as `2026-10`.
    provider
        Only this provider's invoices.

    Returns
    -------
    pandas.DataFrame
        The rows of `trued_up`, by month and provider: `status` (final, provisional, or accrual where there is no bill
        and nothing was spread), `document` and `detail` (the sources of total and parts), `invoice_id`,
        `billed_cost` and `effective_cost` [USD] of the whole invoice, the parts of them on calls and on residual
        lines, `events`, `fingerprint` and `as_of`.

    Raises
    ------
    QuestionError
        If the period is not made of whole months.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.price_events(ledger)
    ...     len(at.true_up(ledger, "2026-10"))
    0
    """
    within = periods.parse(period)
    months = months_in(within)
    if not months:
        raise QuestionError.bad_argument("period", period, "whole months, such as 2026-10, 2026-Q4 or 2026")
    history = follow(ledger, within, provider)
    for month in months:
        _true_up(ledger, history, month, provider)
    return ledger.frame(_TRUED_UP, {"months": list(months), "provider": provider})


def residual_causes(ledger: Ledger, period: str, provider: str | None = None) -> pd.DataFrame:
    """Add up the residual lines of a period that was trued up, one row per month, provider and cause.

    Parameters
    ----------
    ledger
        A ledger after `true_up`.
    period
        Whole months, such as `2026-10`.
    provider
        Only this provider.

    Returns
    -------
    pandas.DataFrame
        `period`, `provider`, `cause`, `lines` (residual lines), `billed_cost` and `effective_cost` [USD].
    """
    bound = {"months": list(months_in(periods.parse(period))), "provider": provider}
    return ledger.frame(_CAUSES, bound)


def tie_out(ledger: Ledger, period: str, provider: str | None = None) -> pd.DataFrame:
    """Add up again what calls and residual lines bear, and hold it against the invoices; a difference is a fault.

    Parameters
    ----------
    ledger
        A ledger after `true_up`.
    period
        Whole months, such as `2026-10`.
    provider
        Only this provider.

    Returns
    -------
    pandas.DataFrame
        Per `period`, `provider` and `basis` (billed or effective): `invoice`, `on_calls`, `on_lines` and `difference`
        [USD], which is zero to the last digit. Providers without a bill are not in it.
    """
    bound = {"months": list(months_in(periods.parse(period))), "provider": provider}
    return ledger.frame(_TIE_OUT, bound)


def renew(ledger: Ledger) -> None:
    """True up again what was trued up, after a step has written the calls anew; no ledger holds a stale true-up."""
    told: dict[str, list[str]] = {}
    for month, provider in ledger.rows("select period, provider from trued_up order by period, provider"):
        told.setdefault(month, []).append(provider)
    if not told:
        return
    ledger.run("delete from event_bill")
    history = follow(ledger, periods.parse(max(told)))
    for month, providers in told.items():
        _true_up(ledger, history, month, providers[0] if len(providers) == 1 else None)
        keep_only(ledger, month, providers)


def _true_up(ledger: Ledger, history: History, month: str, provider: str | None) -> None:
    match_cells(ledger, month, provider)
    cover_lines(ledger, history, month)
    spread_cells(ledger, month)
    replace(ledger, month, provider)


_TRUED_UP = """
    select * from trued_up where list_contains($months, period) and ($provider is null or provider = $provider)
    order by period, provider
"""
_CAUSES = """
    select period, provider, cause, count(*) as lines, cast(sum(billed_cost) as decimal(38, 12)) as billed_cost,
        cast(sum(effective_cost) as decimal(38, 12)) as effective_cost
    from residual_line
    where list_contains($months, period) and ($provider is null or provider = $provider)
    group by all order by all
"""
#: From the rows themselves, not from the sums that were stored beside them.
_TIE_OUT = """
    with borne as (
        select billed_period as period, provider, sum(billed_cost) as billed, sum(effective_cost) as effective
        from event_bill join event using (event_id) group by all
    ),
    kept as (
        select period, provider, sum(billed_cost) as billed, sum(effective_cost) as effective
        from residual_line group by all
    ),
    side as (
        select period, provider, unnest(['billed', 'effective']) as basis,
            unnest([trued_up.billed_cost, trued_up.effective_cost]) as invoice,
            unnest([coalesce(borne.billed, 0), coalesce(borne.effective, 0)]) as on_calls,
            unnest([coalesce(kept.billed, 0), coalesce(kept.effective, 0)]) as on_lines
        from trued_up left join borne using (period, provider) left join kept using (period, provider)
        where trued_up.billed_cost is not null and list_contains($months, period)
            and ($provider is null or provider = $provider)
    )
    select period, provider, basis, invoice, cast(on_calls as decimal(38, 12)) as on_calls,
        cast(on_lines as decimal(38, 12)) as on_lines,
        cast(invoice - on_calls - on_lines as decimal(38, 12)) as difference
    from side order by period, provider, basis
"""
