"""What reaching the target needs: which hops to mend, dearest first, until little enough is not declared."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from attribution.ledger import Ledger


def reach_target(ledger: Ledger, target: Decimal) -> pd.DataFrame:
    """List the hops to mend until at most `target` of the list cost is not declared at the call.

    Returns
    -------
    pandas.DataFrame
        `signature`, `producer`, `consumer`, `system`, `destination`, `not_declared` [USD] below the hop,
        `remaining` [USD] once it and all above it in the list are mended, and `remaining_share` [0–1].
    """
    frame = ledger.frame(_TARGET, {"target": target})
    total = ledger.value("select coalesce(sum(coalesce(list_cost, priced_part)), 0) from cost_event")
    frame["remaining_share"] = pd.Series(
        [(left / total).quantize(Decimal("0.000001")) if total else None for left in frame["remaining"]], dtype=object
    )
    return frame


_TARGET = """
    with total as (select coalesce(sum(coalesce(list_cost, priced_part)), 0) as cost from cost_event),
    lost as (
        select lost_hop.signature, lost_hop.producer, lost_hop.consumer, lost_hop.system, lost_hop.destination,
            cast(sum(coalesce(list_cost, priced_part)) as decimal(38, 12)) as not_declared
        from lost_hop join cost_event using (event_id)
        where lost_hop.field = 'owner_team' and owner_evidence not in ('declared', 'matched', 'exclusive_key')
        group by all
        having sum(coalesce(list_cost, priced_part)) > 0
    ),
    running as (
        select *, cast(sum(not_declared) over () - sum(not_declared) over (
            order by not_declared desc, signature, producer, consumer, system, destination rows unbounded preceding
        ) as decimal(38, 12)) as remaining
        from lost
    )
    select running.* from running, total
    where remaining + not_declared > total.cost * cast($target as decimal(3, 2))
    order by not_declared desc, signature, producer, consumer, system, destination
"""
