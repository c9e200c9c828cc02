"""The pack itself: frames that add up to the statement, and one table of them for a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import showing
from attribution.ledger import as_frame

_MONEY = pa.decimal128(38, 12)
_TEXT = pa.string()

#: Columns of each frame.
CHARGES = {
    "rank": pa.int64(),
    "kind": _TEXT,
    "charge": _TEXT,
    "about": _TEXT,
    "calls": pa.int64(),
    "amount": _MONEY,
    "share": pa.decimal128(7, 6),
    "arithmetic": _TEXT,
}
CALLS = {
    "rank": pa.int64(),
    "request_id": _TEXT,
    "event_id": _TEXT,
    "started_at": pa.timestamp("us"),
    "attempt": _TEXT,
    "provider": _TEXT,
    "model": _TEXT,
    "tenant": _TEXT,
    "place": _TEXT,
    "evidence": _TEXT,
    "owner_from": _TEXT,
    "owner_place": _TEXT,
    "price_entry": _TEXT,
    "arithmetic": _TEXT,
    "list_cost": _MONEY,
    "contracted_cost": _MONEY,
    "billed_cost": _MONEY,
    "effective_cost": _MONEY,
    "amount": _MONEY,
}
NODES = {
    "rank": pa.int64(),
    "depth": pa.int64(),
    "label": _TEXT,
    "service": _TEXT,
    "kind": _TEXT,
    "is_ours": pa.bool_(),
    "amount": _MONEY,
    "event_id": _TEXT,
}
POOLS = {
    "rank": pa.int64(),
    "pool": _TEXT,
    "method": _TEXT,
    "driver": _TEXT,
    "weight": _MONEY,
    "weight_of_all": _MONEY,
    "teams": pa.int64(),
    "share": pa.decimal128(38, 18),
    "pool_amount": _MONEY,
    "amount": _MONEY,
}
POOL_CALLS = {
    "rank": pa.int64(),
    "event_id": _TEXT,
    "started_at": pa.timestamp("us"),
    "provider": _TEXT,
    "model": _TEXT,
    "place": _TEXT,
    "reason": _TEXT,
    "amount": _MONEY,
}


@dataclass(frozen=True, repr=False)
class EvidencePack:
    """The largest charges of one team's statement with the evidence for each.

    Attributes
    ----------
    team, period, basis, state, rules
        Whose statement of what, on which cost, how final, by which rules.
    headline
        The pack in a sentence.
    charges
        One row per charge, largest first: a request, a share of a pool, an adjusting entry, a markup or minimum; the
        last row is the rest. They add up to the statement.
    calls
        Of each request: the calls that the team bears, with file and line, owner evidence, price entry, arithmetic,
        the four costs and what is charged [USD].
    nodes
        The tree of each request; of hops and calls of other teams only that they are there.
    pools
        Of each share: method, driver, weight, share and the pool's whole.
    pool_calls
        The largest calls of those pools, with file and line and why nobody owns them.
    """

    team: str
    period: str
    basis: str
    state: str
    rules: str
    headline: str
    charges: pd.DataFrame
    calls: pd.DataFrame
    nodes: pd.DataFrame
    pools: pd.DataFrame
    pool_calls: pd.DataFrame

    #: What is masked, and what is not here.
    masked = (
        "Tenant handles are hashed where records are read and cut to ten characters here; key ids are cut to six. "
        "Users, prompts and answers are not in this pack. Of what other teams bear it shows that it is there, and "
        "neither whose it is nor what it cost."
    )

    @property
    def total(self) -> Decimal:
        """What the statement charges [USD]: the exact sum of the charges."""
        return sum((row["amount"] for row in showing.rows(self.charges)), Decimal(0))

    def table(self) -> pa.Table:
        """Return the pack as one table whose `amount` adds up to the statement: calls, other charges, the rest."""
        charges = {row["rank"]: row for row in showing.rows(self.charges)}
        rows = []
        for rank, charge in charges.items():
            head = {name: _plain(charge[name]) for name in ("kind", "charge", "about")}
            calls = [row for row in showing.rows(self.calls) if row["rank"] == rank]
            for row in calls or [charge]:
                rows.append({name: _plain(row.get(name)) for name in CALLS} | head | {"rank": rank})
        return table(rows, {"rank": pa.int64(), "kind": _TEXT, "charge": _TEXT, "about": _TEXT, **CALLS})

    def __repr__(self) -> str:
        return f"{self.headline}\n{showing.show(self.charges, top=len(self.charges))!r}"

    def _repr_html_(self) -> str:
        from html import escape

        said = f"<p>{escape(showing.visible(self.headline))}</p>"
        return said + showing.show(self.charges, top=len(self.charges))._repr_html_()


def table(rows: list[dict[str, Any]], types: dict[str, pa.DataType]) -> pa.Table:
    """Return rows as an Arrow table of these columns."""
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()})


def frame(rows: list[dict[str, Any]], types: dict[str, pa.DataType]) -> pd.DataFrame:
    """Return rows as an Arrow-backed frame of these columns."""
    return as_frame(table(rows, types))


def _plain(value: Any) -> Any:
    return None if showing.is_missing(value) else value
