"""Measure repair: hide owners that are known, let the ladder find them again, and count how often it is right."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution import hops, ownership
from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_frame
from attribution.rounding import rounded

_SHARE = Decimal("0.000001")


class _Undo(Exception):
    """Ends the experiment; the transaction takes everything back."""


def measure_repair(ledger: Ledger, *, share: Decimal = Decimal("0.2"), seed: int = 0) -> pd.DataFrame:
    """Hide the declared team of some calls, resolve again, and compare with what was hidden.

    The experiment runs in a transaction that is taken back: the ledger is the same afterwards. What a rung cannot
    see stays unresolved and counts against recall, never against precision.

    Parameters
    ----------
    ledger
        A built ledger.
    share
        Share [0–1] of the calls with a declared team to hide, drawn by a seeded digest of their ids.
    seed
        The same seed hides the same calls.

    Returns
    -------
    pandas.DataFrame
        A row per `rung` that answered (and `none`) and `signature` of the hop that the hidden call then shows:
        `hidden_calls`, `right`, `wrong` (calls), `precision` [0–1], `recovered_share` (of all hidden calls, so that
        the column adds up to the recall) [0–1], `hidden_cost`, `recovered_cost`, `wrong_cost` [USD].

    Raises
    ------
    QuestionError
        If the share is not between 0 and 1, or no call has a declared team.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/captured", quiet=True)
    >>> bool((at.measure_repair(ledger, share=1)["wrong"] == 0).all())
    True
    """
    if not 0 < share <= 1:
        raise QuestionError.bad_argument("share", share, "a share above 0 and up to 1")
    found: list[pa.Table] = []
    try:
        with ledger.transaction():
            ledger.run(_HIDDEN, {"share": Decimal(share), "seed": str(seed)})
            if not ledger.value("select count(*) from hidden"):
                raise QuestionError.bad_argument("ledger", ledger.path, "a ledger in which some calls declare a team")
            for statement in (_MASK_RECORDS, _MASK_SPANS):
                ledger.run(statement)
            ownership.resolve_owners(ledger)
            hops.find_lost_hops(ledger)
            found.append(ledger.arrow(_COMPARED))
            raise _Undo
    except _Undo:
        pass
    rows = found[0].to_pylist()
    hidden = sum(row["hidden_calls"] for row in rows)
    precision = [_ratio(row["right"], row["right"] + row["wrong"]) for row in rows]
    recovered = [_ratio(row["right"], hidden) for row in rows]
    table = found[0]
    for name, values in (("precision", precision), ("recovered_share", recovered)):
        table = table.append_column(name, pa.array(values, pa.decimal128(7, 6)))
    return as_frame(table)


def _ratio(part: int, whole: int) -> Decimal | None:
    return rounded(Decimal(part) / whole, _SHARE) if whole else None


_HIDDEN = """
    create or replace temp table hidden as
    select event_id, owner_team, coalesce(list_cost, priced_part, 0) as cost
    from cost_event
    where owner_evidence in ('declared', 'matched')
        and cast('0x' || substr(sha256($seed || ':' || cast(event_id as varchar)), 1, 13) as bigint)
            < cast($share * 4503599627370496 as bigint)
"""
_MASK_RECORDS = """
    update observation set owner_team = null
    where observation_id in (
        select observation_id from event_observation semi join hidden using (event_id)
    )
"""
_MASK_SPANS = """
    update span set owner_team = null
    from (
        select distinct observation.trace_id, observation.span_id
        from event_record as observation semi join hidden using (event_id)
        where observation.span_id is not null
    ) as own
    where span.trace_id = own.trace_id and span.span_id = own.span_id
"""
_COMPARED = """
    with answer as (
        select hidden.*, event_owner.owner_team as answer, event_owner.owner_evidence as rung,
            coalesce(lost_hop.signature, 'none') as signature
        from hidden
        join event_owner using (event_id)
        left join lost_hop on lost_hop.event_id = hidden.event_id and lost_hop.field = 'owner_team'
    )
    select rung, signature, count(*) as hidden_calls, count(*) filter (where answer = owner_team) as "right",
        count(*) filter (where answer <> owner_team) as wrong,
        cast(sum(cost) as decimal(38, 12)) as hidden_cost,
        cast(coalesce(sum(cost) filter (where answer = owner_team), 0) as decimal(38, 12)) as recovered_cost,
        cast(coalesce(sum(cost) filter (where answer <> owner_team), 0) as decimal(38, 12)) as wrong_cost
    from answer group by rung, signature
    order by array_position(['exclusive_key', 'inherited', 'linked', 'trace', 'rule', 'none'], rung), signature
"""
