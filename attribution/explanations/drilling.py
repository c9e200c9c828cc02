"""Drill-down: effects by member, with mix effects centred so that a cheaper member's growth shows a saving."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution.ledger import as_frame
from attribution.rounding import largest_remainder

PICO = Decimal("0.000000000001")

_TYPE = pa.decimal128(38, 12)

_PLACE = ("segment", "is_request_known")

#: Mix driver → its share and weight columns, the group its shares add up to one within, and who has the share.
MIXES = {
    "workflow_mix": (("segment_0", "segment_1", "segment_weight"), (), _PLACE),
    "model_mix": (("model_share_0", "model_share_1", "model_weight"), (*_PLACE, "step"), (*_PLACE, "step", "model")),
    "tier_mix": (
        ("tier_share_0", "tier_share_1", "tier_weight"),
        (*_PLACE, "step", "model"),
        (*_PLACE, "step", "model", "service_tier"),
    ),
}


def drill_down(leaves: pd.DataFrame, by: Sequence[str], drivers: Sequence[str]) -> pd.DataFrame:
    """Add leaves up by columns; every driver keeps its total, largest contribution first."""
    if "provider" in by:
        providers = pa.array([str(model).partition("/")[0] for model in leaves["model"]], pa.string())
        leaves = leaves.assign(provider=pd.Series(providers, dtype=pd.ArrowDtype(pa.string())))
    named = {"model_mix": {"model", "provider"}, "tier_mix": {"service_tier"}}
    mixes = [name for name in MIXES if named.get(name, set(leaves.columns[: leaves.columns.get_loc("step")])) & set(by)]
    rows = leaves.assign(**{name: _centred(leaves, name) for name in mixes})
    amounts = ["cost_before", "cost_after", "change", *drivers]
    sums = pa.Table.from_pandas(rows[[*by, *amounts]], preserve_index=False).group_by(list(by))
    table = sums.aggregate([(name, "sum") for name in amounts]).rename_columns([*by, *amounts])
    totals = [sum(row, Decimal(0)) for row in zip(*(table[name].to_pylist() for name in drivers), strict=True)]
    table = table.add_column(len(by) + 3, "contribution", pa.array(totals, _TYPE))
    frame = as_frame(table)
    frame = frame.assign(size=[-abs(total) for total in totals])
    return frame.sort_values(["size", *by], kind="stable").drop(columns="size").reset_index(drop=True)


def _centred(leaves: pd.DataFrame, driver: str) -> pd.Series:
    """Take from each leaf the group's average cost per unit of share; the group's total stays to the pico-dollar."""
    (share_0, share_1, weight), group, member = MIXES[driver]
    columns = [share_0, share_1, weight]
    numbers = leaves[columns].astype(float).set_axis(["share_0", "share_1", "weight"], axis=1)
    numbers["member"], numbers["group"] = _key(leaves, member), _key(leaves, group)
    members = numbers.groupby("member", sort=True).agg(
        group=("group", "first"),
        weight=("weight", "sum"),
        share_0=("share_0", "first"),
        share_1=("share_1", "first"),
        leaves=("weight", "size"),
    )
    shift = (members["share_1"] - members["share_0"]).where(lambda change: change.abs() > 1e-12, 0.0)
    held = (members["share_0"] + members["share_1"]) / 2
    in_group = members["group"]
    whole = held.groupby(in_group).transform("sum").where(lambda total: total > 0, 1.0)
    average = (held * members["weight"]).groupby(in_group).transform("sum") / whole
    taken = -shift * average
    taken -= held / whole * taken.groupby(in_group).transform("sum")
    each = numbers["member"].map(taken / members["leaves"])
    moved = _closing_to_zero(each, numbers["group"])
    amounts = [amount + change for amount, change in zip(leaves[driver], moved, strict=True)]
    return pd.Series(pa.array(amounts, _TYPE), index=leaves.index, dtype=pd.ArrowDtype(_TYPE))


def _key(leaves: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Return one text per row that tells groups apart; one group where there are no names."""
    if not names:
        return pd.Series("", index=leaves.index)
    return leaves[list(names)].astype(object).where(leaves[list(names)].notna(), None).apply(tuple, axis=1).map(repr)


def _closing_to_zero(amounts: pd.Series, groups: pd.Series) -> list[Decimal]:
    """Round to pico-dollars so that each group adds up to exactly nothing."""
    exact = [Decimal(0)] * len(amounts)
    places = pd.Series(range(len(amounts)))
    for rows in places.groupby(groups.to_numpy(), sort=True):
        given = [amounts.iloc[place] for place in rows[1]]
        if any(given):
            for place, amount in zip(rows[1], largest_remainder(given, PICO, total=Decimal(0)), strict=True):
                exact[place] = amount
    return exact
