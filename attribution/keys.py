"""Whose key, whose spend: the matrix behind "Platform's key, Support's 62 %"."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution import rounding
from attribution.ledger import Ledger, as_frame

_SHARE = Decimal("0.000001")


def key_matrix(ledger: Ledger) -> pd.DataFrame:
    """Show who holds the key beside who owns the spend on it, one row per key and owner.

    The holder is what the registry says at the time of the call, else the team that the gateway claims for the key.
    A key that the registry declares shared (`is_shared`) has a holder and says nothing about who owns a call.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `key_id`, `key_holder`, `is_exclusive`, `owner_team` (null: unowned), `calls`, `list_cost` [USD] and
        `share_of_key` [0–1], by key and falling cost. Calls without a key are one key, null.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/captured/litellm", quiet=True)
    >>> at.key_matrix(ledger).columns.tolist()
    ['key_id', 'key_holder', 'is_exclusive', 'owner_team', 'calls', 'list_cost', 'share_of_key']
    """
    cells = ledger.arrow(_MATRIX)
    shares = [
        rounding.rounded(row["list_cost"] / row["key_cost"], _SHARE) if row["key_cost"] else None
        for row in cells.to_pylist()
    ]
    shown = cells.drop_columns(["key_cost"]).append_column("share_of_key", pa.array(shares, pa.decimal128(7, 6)))
    return as_frame(shown)


_MATRIX = """
    with held as (
        select cost_event.*, key.owner_team as holder, key.is_exclusive
        from cost_event
        left join key on key.key_id = coalesce(cost_event.api_key_id, cost_event.project_id)
            and (key.provider is null or key.provider = cost_event.provider)
            and cost_event.started_at >= coalesce(key.valid_from, timestamp '1970-01-01')
            and cost_event.started_at < coalesce(key.valid_to, timestamp '2999-12-31')
    ),
    cell as (
        select coalesce(api_key_id, project_id) as key_id, coalesce(holder, claimed_team) as key_holder,
            coalesce(is_exclusive, false) as is_exclusive, owner_team, count(*) as calls,
            cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
        from held group by all
    )
    select *, cast(sum(list_cost) over (partition by key_id, key_holder) as decimal(38, 12)) as key_cost
    from cell
    order by key_id nulls last, key_holder nulls last, is_exclusive, list_cost desc, owner_team nulls last
"""
