"""The registers of closed periods: what was closed, under which rules, and what is booked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import schema
from attribution.allocation import Rules, parse_rules, read_rules
from attribution.errors import QuestionError
from attribution.ledger import Ledger, column_list
from attribution.periods import Period


@dataclass(frozen=True)
class Closed:
    """One closed period as the register has it."""

    label: str
    revision: int
    start: datetime
    end: datetime
    basis: str
    rules: Rules
    inputs: Mapping[str, str]
    price_book: str | None
    code_version: str
    document: str
    document_sha256: str
    checked: str | None

    @property
    def period(self) -> Period:
        """The stretch of time."""
        return Period(self.start, self.end, self.label)

    @property
    def statements(self) -> list[dict[str, Any]]:
        """The row of each team, as closed; amounts as text."""
        rows: list[dict[str, Any]] = json.loads(self.document)["statements"]
        return rows

    @property
    def providers(self) -> dict[str | None, dict[str, Any]]:
        """State and invoice of each provider, as closed."""
        return {row["provider"]: row for row in json.loads(self.document)["providers"]}


def rules_of(given: Any) -> Rules:
    """Return rules from a path, from rules, or the empty ones."""
    if given is None:
        return Rules()
    return given if isinstance(given, Rules) else read_rules(given)


def closed_periods(ledger: Ledger) -> list[Closed]:
    """Return the periods that are closed now, earliest first."""
    rows = ledger.arrow(
        """
        select period, max(revision) as revision, arg_max(columns(* exclude (period, revision)), revision)
        from period group by period order by arg_max(period_start, revision), period
        """
    )
    return [_closed(row) for row in _named(rows).to_pylist() if row["state"] == "closed"]


def _named(rows: pa.Table) -> pa.Table:
    names = [name for name in schema.table("period").names if name not in ("period", "revision")]
    return rows.rename_columns(["period", "revision", *names])


def _closed(row: Mapping[str, Any]) -> Closed:
    text = row["rules_text"]
    rules = parse_rules(text, Path(row["rules_path"])) if text else Rules()
    return Closed(
        row["period"],
        row["revision"],
        row["period_start"],
        row["period_end"],
        row["basis"],
        rules,
        json.loads(row["inputs"]),
        row["price_book"],
        row["code_version"],
        row["document"],
        row["document_sha256"],
        row["checked"],
    )


def closed_period(ledger: Ledger, label: str) -> Closed | None:
    """Return a period if it is closed."""
    return next((closed for closed in closed_periods(ledger) if closed.label == label), None)


def require_closed(ledger: Ledger, label: str) -> Closed:
    """Return a closed period, or say which there are."""
    found = closed_period(ledger, label)
    if found is None:
        known = ", ".join(closed.label for closed in closed_periods(ledger)) or "none yet"
        raise QuestionError.bad_argument("period", label, f"a closed period; closed: {known}")
    return found


def first_open(ledger: Ledger, closed: Closed) -> str:
    """Return the first period after a closed one that is not closed: where its entries are booked."""
    taken = {other.label for other in closed_periods(ledger)}
    period = closed.rules.following(closed.period)
    while period.label in taken:
        period = closed.rules.following(period)
    return period.label


def write(ledger: Ledger, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a register."""
    if not rows:
        return
    names = schema.table(table).names
    kinds = {c.name: pa.timestamp("us") for c in schema.table(table).columns if c.type == "TIMESTAMP"}
    kinds |= {c.name: pa.string() for c in schema.table(table).columns if c.type == "VARCHAR"}
    new = pa.table({name: pa.array([row.get(name) for row in rows], kinds.get(name)) for name in names})
    with ledger.reading(new_rows=new):
        ledger.run(f'insert into "{table}" ({column_list(names)}) select {column_list(names)} from new_rows')


#: What a statement can change by: calls, their owners, prices and bills, and what people wrote down.
_WATCHED = (
    "event",
    "event_owner",
    "event_cost",
    "event_bill",
    "owner_share",
    "event_alias",
    "residual_line",
    "trued_up",
    "bill_line",
    "team",
    "prepayment",
    "currency_rate",
    "contract",
    "setting",
    "charged_event",
)


def watch(ledger: Ledger) -> str:
    """Return a digest of all that statements can change by; it does not depend on the order of rows."""
    query = 'select count(*), sum(hash(watched_row)) from "{}" as watched_row'
    told = [str(ledger.rows(query.format(name))[0]) for name in _WATCHED]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def check(ledger: Ledger, closed: Closed, digest: str) -> None:
    """Remember that changes of a closed period were looked for in this state of the ledger."""
    ledger.run(
        "update period set checked = $digest where period = $label and revision = $revision",
        {"digest": digest, "label": closed.label, "revision": closed.revision},
    )


def journal(ledger: Ledger, entry_ids: Sequence[str]) -> pd.DataFrame:
    """Return entries of the journal in stable order."""
    return ledger.frame(
        f"""
        select {column_list(schema.table("journal").names)} from journal
        where list_contains($entry_ids, entry_id) order by booked_in, for_period, kind, entry_id
        """,
        {"entry_ids": list(entry_ids)},
    )


def book(ledger: Ledger, entries: Sequence[dict[str, Any]]) -> list[str]:
    """Name entries and append them to the journal; nothing in it is ever changed. Return their names.

    The name is a digest of what the entry is, with a number where the same was booked before: a second correction
    of the same thing is another entry.
    """
    names = (
        "booked_in",
        "for_period",
        "revision",
        "kind",
        "owner_team",
        "counter_team",
        "provider",
        "link_kind",
        "link",
    )
    booked: list[str] = []
    taken = {row[0] for row in ledger.rows("select entry_id from journal")}
    for entry in entries:
        said = "\x1f".join(f"{name}={entry.get(name)}" for name in names)
        number = 0
        while True:
            digest = hashlib.sha256(f"{said}\x1f{number}".encode()).hexdigest()[:16]
            if digest not in taken:
                break
            number += 1
        taken.add(digest)
        entry["entry_id"] = digest
        booked.append(digest)
    write(ledger, "journal", entries)
    return booked
