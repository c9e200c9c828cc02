"""Draw traces: reproducible, nested under one seed, each dollar equally likely (sequential Poisson sampling)."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from attribution.ledger import Ledger


def draw(ledger: Ledger, n: int, seed: int) -> pa.Table:
    """Draw requests from the temporary table `request`; the search stratum comes on top of `n`.

    Certainty: requests so dear that they would surely be drawn. Drawn: the rest by ascending u/cost, where
    u = (first 13 hex digits of sha256("seed:request") + ½) / 2⁵². Search: the first by u of every workflow, hop and
    provider not met yet, and the first unpriced one; it finds faults and does not enter the bound.
    """
    ledger.run(_NUMBERED, {"seed": str(seed)})
    ledger.run("create or replace temp table picked (request_id varchar, stratum varchar)")
    for request_id in _certain(ledger, n):
        ledger.run("insert into picked values ($request_id, 'certainty')", {"request_id": request_id})
    left = n - ledger.value("select count(*) from picked")
    ledger.run(_DRAWN, {"left": left})
    ledger.run(_SEARCHED)
    drawn = ledger.arrow(_PICKED)
    for name in ("numbered", "picked"):
        ledger.run(f"drop table {name}")
    return drawn


def _certain(ledger: Ledger, n: int) -> list[str]:
    """Take requests with cost ≥ (remaining cost)/(remaining n), repeatedly, until none qualifies."""
    dearest = ledger.rows(
        "select request_id, cost from numbered where cost > 0 order by cost desc, request_id limit $n", {"n": n}
    )
    remaining = ledger.value("select coalesce(sum(cost), 0) from numbered")
    certain: list[str] = []
    for request_id, cost in dearest:
        if cost * (n - len(certain)) < remaining or remaining <= Decimal(0):
            break
        certain.append(request_id)
        remaining -= cost
    return certain


_NUMBERED = """
    create or replace temp table numbered as
    select *, (cast('0x' || substr(sha256($seed || ':' || request_id), 1, 13) as bigint) + 0.5) / 4503599627370496 as u
    from request
"""
_DRAWN = """
    insert into picked
    select request_id, 'drawn' from numbered anti join picked using (request_id)
    where cost > 0
    order by u / cast(cost as double), request_id limit $left
"""
_SEARCHED = """
    insert into picked
    with met as (select distinct workflow_id, hop, provider from numbered semi join picked using (request_id)),
    unmet as (
        select request_id, u, workflow_id, hop, provider from numbered
        where not exists (
            from met where met.workflow_id is not distinct from numbered.workflow_id
                and met.hop is not distinct from numbered.hop and met.provider is not distinct from numbered.provider
        )
    ),
    first_of_cell as (
        select request_id from unmet
        qualify row_number() over (partition by workflow_id, hop, provider order by u, request_id) = 1
    ),
    first_unpriced as (
        select request_id from numbered anti join picked using (request_id)
        where has_unpriced order by u, request_id limit 1
    )
    select distinct request_id, 'search' from (from first_of_cell union from first_unpriced)
    order by request_id limit 200
"""
_PICKED = """
    select request_id, stratum, cost as list_cost, calls, q1, q2, q3, q4, q5, q6, failing_cost
    from request join picked using (request_id)
    order by array_position(['certainty', 'drawn', 'search'], stratum), cost desc, request_id
"""
