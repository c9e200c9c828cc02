"""The statements of a period: frames that add up, how they look, and the document that a closing keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import schema, showing
from attribution.errors import QuestionError, SchemaError
from attribution.ledger import as_frame

_MONEY = pa.decimal128(38, 12)
_CENTS = pa.decimal128(38, 2)
_TYPES: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "DECIMAL(38, 12)": _MONEY,
    "DECIMAL(38, 18)": pa.decimal128(38, 18),
    "DECIMAL(38, 2)": _CENTS,
}
_LINE = {
    column.name: _TYPES[column.type]
    for column in schema.table("statement_line").columns
    if column.name not in ("period", "revision")
}
_of = dict.fromkeys
#: Columns of each frame.
FRAMES: dict[str, dict[str, pa.DataType]] = {
    "lines": {"line_id": pa.string(), "period": pa.string(), **_LINE},
    "statements": {
        **_of(("owner_team", "cost_center", "account", "contact"), pa.string()),
        **_of(
            (
                "declared",
                "recovered",
                "by_rule",
                "direct",
                "shared",
                "of_unowned",
                "markup",
                "minimum",
                "adjustment",
                "amount",
            ),
            _MONEY,
        ),
        "cents": _CENTS,
        **_of(("list_cost", "contracted_cost", "billed_cost", "effective_cost", "budget", "variance"), _MONEY),
        "unpriced_calls": pa.int64(),
        "state": pa.string(),
    },
    "providers": {
        **_of(("provider", "state", "invoice_id"), pa.string()),
        **_of(("statements", "unowned", "residual", "prepaid", "total", "accrued", "invoice", "difference"), _MONEY),
        "total_cents": _CENTS,
        "invoice_cents": _CENTS,
        "adjustments": _MONEY,
    },
    "shares": {
        **_of(("pool", "owner_team", "method", "driver"), pa.string()),
        "weight": _MONEY,
        "share": pa.decimal128(38, 18),
        "ratio": pa.string(),
        "amount": _MONEY,
    },
    "unit_costs": {
        **_of(("owner_team", "workflow_id", "feature"), pa.string()),
        **_of(("requests", "calls", "tenants"), pa.int64()),
        **_of(("direct", "per_request", "per_thousand_requests", "per_tenant"), _MONEY),
        **_of(("amount", "loaded_per_request"), _MONEY),
    },
    "savings": {
        **_of(("owner_team", "workflow_id", "saving"), pa.string()),
        **_of(("calls", "not_compared"), pa.int64()),
        "amount": _MONEY,
        "meaning": pa.string(),
    },
    "coverage": {
        "calls": pa.int64(),
        **_of(("list_cost", "not_declared", "unowned", "recovered_by_rule"), _MONEY),
        "unpriced_calls": pa.int64(),
        **_of(("not_declared_low", "not_declared_high", "unowned_low", "unowned_high"), pa.decimal128(7, 6)),
    },
}
#: What an answer says about itself, apart from its frames.
FACTS = (
    "period",
    "period_start",
    "period_end",
    "basis",
    "state",
    "rules",
    "rules_digest",
    "price_book",
    "inputs",
    "code_version",
    "as_of",
    "headline",
)
_BY = ("workflow_id", "feature", "model", "provider", "evidence", "kind", "pool", "owner_team")


@dataclass(frozen=True, repr=False)
class Chargeback:
    """One statement per team and what no team bears; together they are the invoices, to the cent.

    Attributes
    ----------
    period, period_start, period_end, basis
        What is stated, and which cost `amount` is: effective, billed, contracted or list.
    state
        The weakest of the providers': accrual (no bill yet), provisional, final.
    rules, rules_digest, price_book, inputs, code_version, as_of
        What the statements rest on; `inputs` are fingerprints as JSON.
    is_closed
        Frozen by `close_period`.
    lines
        Every line, with the four costs beside each other, `amount` [USD] and `cents`.
    statements
        One row per team: `direct`, which is `declared` (the call says it, or its exclusive key) + `recovered`
        (inherited, linked, trace) + `by_rule`; its other parts; cost centre and account; `budget` and `variance`
        (budget less amount).
    providers
        One row per provider: statements + unowned + residual + prepaid = `total`, beside the `invoice`.
    shares
        Weight and share of each team in each pool.
    unit_costs
        Per request, per thousand requests and per tenant, half even at twelve places.
    savings
        Retry waste, fallback premium, cache savings, batch savings missed, by team and workflow.
    coverage
        The reported unattributed share: what allocation never lowers.
    headline
        The period in a sentence.
    """

    period: str
    period_start: datetime
    period_end: datetime
    basis: str
    state: str
    rules: str
    rules_digest: str
    price_book: str | None
    inputs: str
    code_version: str
    as_of: datetime | None
    headline: str
    lines: pd.DataFrame
    statements: pd.DataFrame
    providers: pd.DataFrame
    shares: pd.DataFrame
    unit_costs: pd.DataFrame
    savings: pd.DataFrame
    coverage: pd.DataFrame
    is_closed: bool = False

    def statement(self, team: str) -> pd.DataFrame:
        """Return the lines of one team's statement.

        Raises
        ------
        QuestionError
            If there is no statement of that team.
        """
        known = self.statements["owner_team"].to_list()
        if team not in known:
            raise QuestionError.bad_argument("team", team, f"one of {', '.join(known) or 'no teams'}")
        return self.lines[self.lines["owner_team"] == team].reset_index(drop=True)

    @property
    def residual(self) -> pd.DataFrame:
        """The lines that no team bears."""
        return self.lines[self.lines["owner_team"].isna()].reset_index(drop=True)

    @property
    def ratios(self) -> dict[str, dict[str, Fraction]]:
        """The exact share of each team in each pool."""
        found: dict[str, dict[str, Fraction]] = {}
        for row in showing.rows(self.shares):
            found.setdefault(row["pool"], {})[row["owner_team"]] = Fraction(row["ratio"])
        return found

    def breakdown(self, *by: str, team: str | None = None) -> pd.DataFrame:
        """Add lines up by workflow_id, feature, model, provider, evidence, kind, pool or owner_team.

        Returns
        -------
        pandas.DataFrame
            The `by` columns, `calls`, the four costs and `amount` [USD], `cents`; in the order of `by`.
        """
        for name in by or ("",):
            if name not in _BY:
                raise SchemaError.no_column(name, "lines", _BY)
        lines = self.lines if team is None else self.statement(team)
        sums: dict[tuple[Any, ...], dict[str, Any]] = {}
        names = ("calls", "list_cost", "contracted_cost", "billed_cost", "effective_cost", "amount", "cents")
        for row in showing.rows(lines):
            key = tuple(None if showing.is_missing(row[name]) else row[name] for name in by)
            kept = sums.setdefault(key, dict(zip(by, key, strict=True)) | dict.fromkeys(names))
            for name in names:
                if not showing.is_missing(row[name]):
                    kept[name] = row[name] if kept[name] is None else kept[name] + row[name]
        order = sorted(sums, key=lambda key: tuple((part is None, part or "") for part in key))
        types = {name: FRAMES["lines"][name] for name in (*by, *names)}
        return frame([sums[key] for key in order], types)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON; money as text, so that it stays exact."""
        facts = {name: _plain(getattr(self, name)) for name in FACTS} | {"is_closed": self.is_closed}
        return facts | {name: plain_rows(getattr(self, name)) for name in FRAMES}

    def document(self) -> str:
        """Return the statement as the text that a closing keeps: the same answer gives the same bytes."""
        said = self.to_dict()
        del said["is_closed"]
        return json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":"))

    def __repr__(self) -> str:
        shown = self.statements[["owner_team", "direct", "shared", "of_unowned", "adjustment", "cents"]]
        return f"{self.headline}\n{showing.show(shown, top=len(shown))!r}"

    def _repr_html_(self) -> str:
        from attribution.statements.pages import as_html

        return as_html(self)


def frame(rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> pd.DataFrame:
    """Return rows as an Arrow-backed frame of these columns."""
    return as_frame(pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()}))


def from_document(text: str) -> Chargeback:
    """Return the statements that a closing kept, as they were."""
    said = json.loads(text)
    frames: dict[str, Any] = {
        name: frame([{c: _read(row[c], kind) for c, kind in types.items()} for row in said[name]], types)
        for name, types in FRAMES.items()
    }
    facts: dict[str, Any] = {name: said[name] for name in FACTS}
    for name in ("period_start", "period_end", "as_of"):
        facts[name] = None if facts[name] is None else datetime.fromisoformat(facts[name])
    return Chargeback(**facts, **frames, is_closed=True)


def as_closed(chargeback: Chargeback) -> Chargeback:
    """Return the same statements, marked as frozen."""
    return replace(chargeback, is_closed=True)


def _read(value: Any, kind: pa.DataType) -> Any:
    return Decimal(value) if value is not None and pa.types.is_decimal(kind) else value


def plain_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as rows ready for JSON; money as text."""
    return [{name: _plain(value) for name, value in row.items()} for row in showing.rows(rows)]


def _plain(value: Any) -> Any:
    if showing.is_missing(value):
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value
