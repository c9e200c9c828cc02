"""What sources claimed beside what calls cost: where gateways and SDKs were wrong, and by how much."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from attribution.ledger import Ledger

#: Claims are binary floats printed as decimals; up to a nano-dollar a call is noise, not an opinion.
_NOISE = Decimal("0.000000001")


def audit_claims(ledger: Ledger, *, tolerance: Decimal = _NOISE) -> pd.DataFrame:
    """Compare the cost that each source claimed with the list price of the same calls.

    A claim of 0 for a call that has a price is counted by itself: it is how gateways say that they know no
    price. Calls without a price here are counted and left out of the gap.

    Parameters
    ----------
    ledger
        A priced ledger.
    tolerance
        How far claim and price of one call may be apart and still agree [USD].

    Returns
    -------
    pandas.DataFrame
        `source`, `provider`, `model`, `service_tier`, then `claims`, `agreeing`, `claimed_zero`, `too_high`,
        `too_low`, `not_priced_here`, `claimed`, `list_cost` and `gap` = claimed − list [USD]; the largest absolute
        gap first.

    Examples
    --------
    >>> import attribution as at
    >>> with at.open_ledger() as ledger:
    ...     at.price_events(ledger)
    ...     len(at.audit_claims(ledger))
    0
    """
    return ledger.frame(
        """
        with claim as (
            select observation.source, seen.event_id, observation.source_cost as claimed
            from observation join event_observation as seen using (observation_id)
            where observation.source_cost is not null
            union all
            select 'not recorded', event_id, source_cost from event
            where source_cost is not null and event_id not in (select event_id from event_observation)
        ),
        compared as (
            select claim.source, call.provider, call.model, call.service_tier, claim.claimed, call.list_cost,
                claim.claimed - call.list_cost as gap
            from claim join cost_event as call using (event_id)
        )
        select
            source, provider, model, service_tier, count(*) as claims,
            count(*) filter (where abs(gap) <= $tolerance) as agreeing,
            count(*) filter (where claimed = 0 and list_cost > $tolerance) as claimed_zero,
            count(*) filter (where gap > $tolerance) as too_high,
            count(*) filter (where gap < -$tolerance and claimed <> 0) as too_low,
            count(*) filter (where list_cost is null) as not_priced_here,
            cast(coalesce(sum(claimed) filter (where list_cost is not null), 0) as decimal(38, 12)) as claimed,
            cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost,
            cast(coalesce(sum(gap), 0) as decimal(38, 12)) as gap
        from compared group by all
        order by abs(coalesce(sum(gap), 0)) desc, source, provider, model, service_tier
        """,
        {"tolerance": tolerance},
    )
