"""The answer to why: frames of drivers and leaves that add up, and what they look like."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from attribution import schema
from attribution.errors import QuestionError, SchemaError
from attribution.explanations import drilling, waterfalls, wording
from attribution.explanations.identity import DRIVERS, LEAF
from attribution.ledger import as_frame

MONEY = pa.decimal128(38, 12)

_NAMES = {"fan_out": "fan-out", "tier_mix": "service tier"}

#: Drivers as people see them, with their columns in `leaves`: the three price lines are parts of one.
LINES = {
    _NAMES.get(name, name.replace("_", " ")): (family, [name]) for name, family in DRIVERS.items() if family != "price"
}
LINES["unit price"] = ("price", ["list_price", "discount", "exchange_rate"])

#: Earlier pairs of periods below which nothing is said of what is usual; and MAD to standard deviation.
ENOUGH, _NORMAL = 6, Decimal("1.4826")

#: Two dollar signs are a formula to a notebook, unless the class says they are not.
NO_FORMULA = "tex2jax_ignore mathjax_ignore"

FAMILIES = ("volume", "usage", "mix", "price", "portfolio", "coverage")


@dataclass(frozen=True)
class Explanation:
    """Why cost changed between two periods.

    Attributes
    ----------
    before, after
        Labels of the periods.
    where, leaf, method, cost, currency
        The slice, the columns that make a segment, the rule of attribution, which cost it is, and in which currency.
    cost_before, cost_after, change
        Exact costs of the priced calls [USD].
    drivers
        `family`, `driver`, `effect` [USD], `share` of the change [0–1], `is_material`, `mostly_in`.
    price_parts
        `part`, `effect` [USD]: list price, discount and exchange rate, which make the unit price.
    leaves
        One row per leaf with its effects [USD]; what `drill_down` adds up.
    unpriced
        Calls left out: `period`, `price_status`, `calls`, `priced_part` [USD].
    interaction
        Share of the change that no driver explains by itself [0–1]; null where the change is zero.
    headline
        The answer in a sentence.
    days
        How long the periods are; the footnote says so where they differ.
    """

    before: str
    after: str
    where: Mapping[str, Any]
    leaf: tuple[str, ...]
    method: str
    cost: str
    currency: str
    cost_before: Decimal
    cost_after: Decimal
    change: Decimal
    drivers: pd.DataFrame
    price_parts: pd.DataFrame
    leaves: pd.DataFrame
    unpriced: pd.DataFrame
    interaction: float | None
    headline: str
    days: tuple[float, float] = (1.0, 1.0)

    def drill_down(self, *by: str) -> pd.DataFrame:
        """Add the effects up by columns of `leaves`; mix effects are centred, so a cheaper member's growth saves.

        Parameters
        ----------
        *by
            Columns such as `owner_team`, `workflow_id`, `provider`, `model`, `role`, `meter`, or one added by `leaf=`.

        Returns
        -------
        pandas.DataFrame
            The `by` columns, `cost_before`, `cost_after`, `change` and each driver [USD], largest change first.
        """
        known = [*self.leaf, "segment", *LEAF, "provider"]
        for name in by or ("",):
            if name not in known and name in schema.table("cost_event").names:
                wanted = f"a column of the leaves, or leaf=[{name!r}] when asking explain_change"
                raise QuestionError.bad_argument("by", name, wanted)
            if name not in known:
                raise SchemaError.no_column(name, "leaves", known)
        return drilling.drill_down(self.leaves, list(by), list(DRIVERS))

    def waterfall(self, by: str = "family") -> pd.DataFrame:
        """Return the way from the earlier cost to the later as bars, by `family` or by `driver`.

        Returns
        -------
        pandas.DataFrame
            `label`, `kind` (total or effect), `family`, `effect`, `start`, `end` [USD], in the order to be drawn; what
            had no effect is left out.
        """
        return waterfalls.waterfall(self, by)

    @property
    def footnote(self) -> str:
        """What the answer rests on: cost, leaf, method, interaction, and what was left out."""
        return wording.footnote(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer without its leaves, ready for JSON; money as text, so that it stays exact."""
        single = ("before", "after", "method", "cost", "currency", "headline", "interaction")
        answer: dict[str, Any] = {name: getattr(self, name) for name in single}
        answer |= {name: f"{getattr(self, name):f}" for name in ("cost_before", "cost_after", "change")}
        answer |= {"where": dict(self.where), "leaf": list(self.leaf)}
        return answer | {name: _records(getattr(self, name)) for name in ("drivers", "price_parts", "unpriced")}

    def _repr_html_(self) -> str:
        shown = self.drivers[self.drivers["effect"] != 0]
        cents = wording.cents(shown["effect"].tolist(), self.change)
        places = [place if isinstance(place, str) else "" for place in shown["mostly_in"]]
        cells = zip(shown["family"], shown["driver"], cents, places, strict=True)
        rows = "".join(_row(*(html.escape(str(cell)) for cell in row)) for row in cells)
        total = _row("", "<b>change</b>", f"<b>{wording.cents([self.change], self.change)[0]}</b>", "")
        head = (
            f"<tr><th>family</th><th>driver</th><th>effect [{html.escape(self.currency)}]</th><th>mostly in</th></tr>"
        )
        return (
            f'<div class="{NO_FORMULA}"><p><b>{html.escape(self.headline)}</b></p>'
            f"<table><thead>{head}</thead><tbody>{rows}{total}</tbody></table>"
            f"<p>{html.escape(wording.footnote(self))}</p></div>"
        )


def _row(family: str, driver: str, amount: str, place: str) -> str:
    return f'<tr><td>{family}</td><td>{driver}</td><td style="text-align:right">{amount}</td><td>{place}</td></tr>'


def explanation_of(
    leaves: pa.Table,
    counts: pd.DataFrame,
    labels: tuple[str, str],
    where: Mapping[str, Any],
    leaf: tuple[str, ...],
    method: str,
    cost: str,
    currency: str = "USD",
    days: tuple[float, float] = (1.0, 1.0),
) -> Explanation:
    """Add the leaves up and say it in words."""
    costs = {name: _total(leaves, name) for name in ("cost_before", "cost_after", "change")}
    drivers = _driver_frame(leaves, costs)
    change = costs["change"]
    alone = sum(sorted(leaves["alone"].to_pylist()))
    return Explanation(
        before=labels[0],
        after=labels[1],
        where=where,
        leaf=leaf,
        method=method,
        cost=cost,
        currency=currency,
        **costs,
        drivers=drivers,
        price_parts=_price_parts(leaves),
        leaves=_frame(leaves),
        unpriced=_unpriced(counts, labels),
        interaction=None if change == 0 else round(1 - alone / float(change), 6),
        headline=wording.headline(wording.subject(where), labels, costs, drivers, currency),
        days=days,
    )


def with_history(answer: Explanation, past: Sequence[Explanation]) -> Explanation:
    """Call a driver material, too, when it is large beside what it did in at least six earlier pairs of periods."""
    if len(past) < ENOUGH:
        return answer
    usual = [dict(zip(one.drivers["driver"], one.drivers["effect"], strict=True)) for one in past]
    is_material = []
    rows = zip(answer.drivers["driver"], answer.drivers["effect"], answer.drivers["is_material"], strict=True)
    for driver, effect, was in rows:
        seen = [one[driver] for one in usual]
        spread = median(abs(value - median(seen)) for value in seen)
        is_material.append(bool(was) or (spread > 0 and abs(effect) >= 3 * _NORMAL * spread))
    drivers = answer.drivers.assign(is_material=pd.array(is_material, dtype="bool[pyarrow]"))
    costs = {name: getattr(answer, name) for name in ("cost_before", "cost_after", "change")}
    labels = (answer.before, answer.after)
    text = wording.headline(wording.subject(answer.where), labels, costs, drivers, answer.currency)
    return replace(answer, drivers=drivers, headline=text)


def _driver_frame(leaves: pa.Table, costs: Mapping[str, Decimal]) -> pd.DataFrame:
    floor = max(abs(costs["cost_before"]), abs(costs["cost_after"])) * wording.MATERIAL
    rows = []
    for family in FAMILIES:
        for driver, (its_family, names) in LINES.items():
            if its_family != family:
                continue
            effect = sum((_total(leaves, column) for column in names), Decimal(0))
            share = None if costs["change"] == 0 else round(float(effect / costs["change"]), 6) + 0.0
            rows.append(
                (family, driver, effect, share, effect != 0 and abs(effect) >= floor, _mostly_in(leaves, names, effect))
            )
    columns = list(zip(*rows, strict=True))
    kinds = (pa.string(), pa.string(), MONEY, pa.float64(), pa.bool_(), pa.string())
    titles = ("family", "driver", "effect", "share", "is_material", "mostly_in")
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return _frame(pa.table(arrays, names=list(titles)))


def _mostly_in(leaves: pa.Table, names: Sequence[str], effect: Decimal) -> str | None:
    """Name the workflow that carries at least 60 % of an effect, where there are several."""
    if effect == 0 or pc.count_distinct(leaves["workflow_id"], mode="all").as_py() < 2:
        return None
    sums = leaves.group_by("workflow_id").aggregate([(name, "sum") for name in names])
    by_workflow = {
        row["workflow_id"]: sum((row[f"{name}_sum"] for name in names), Decimal(0)) for row in sums.to_pylist()
    }
    largest = max(by_workflow, key=lambda name: (by_workflow[name] / effect, str(name)))
    return largest if by_workflow[largest] / effect >= Decimal("0.6") else None


def _price_parts(leaves: pa.Table) -> pd.DataFrame:
    names = LINES["unit price"][1]
    parts = {
        "part": pa.array([name.replace("_", " ") for name in names]),
        "effect": pa.array([_total(leaves, name) for name in names], MONEY),
    }
    return _frame(pa.table(parts))


def _unpriced(counts: pd.DataFrame, labels: tuple[str, str]) -> pd.DataFrame:
    left_out = counts[~counts["is_counted"].astype(bool)].copy()
    left_out.insert(0, "period", [labels[bool(is_after)] for is_after in left_out["is_after"]])
    return left_out[["period", "price_status", "calls", "priced_part"]].reset_index(drop=True)


def _frame(table: pa.Table) -> pd.DataFrame:
    return as_frame(table)


def _total(leaves: pa.Table, name: str) -> Decimal:
    total = pc.sum(leaves[name]).as_py()
    return Decimal(0) if total is None else Decimal(total)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(k): f"{v:f}" if isinstance(v, Decimal) else v for k, v in row.items()} for row in rows]
