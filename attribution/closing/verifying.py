"""Verify: is a closed statement intact, and would it be drawn up the same today? If not, what differs and why."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import showing
from attribution.allocation import from_pico
from attribution.closing import registers
from attribution.closing.adjusting import LOST, WON, apply_disputes, true_up_months
from attribution.closing.registers import Closed
from attribution.ledger import Ledger
from attribution.statements import charge_events, drawing_up, from_document
from attribution.statements.chargeback import FRAMES, frame, plain_rows
from attribution.statements.lines import Line, finish

_MONEY = pa.decimal128(38, 12)
_CHECKS = {**dict.fromkeys(("what", "closed", "now"), pa.string()), "is_same": pa.bool_()}
_LINES = {
    **{name: FRAMES["lines"][name] for name in ("line_id", "owner_team", "kind", "pool", "provider", "model")},
    **{name: FRAMES["lines"][name] for name in ("workflow_id", "feature", "description")},
    **dict.fromkeys(("closed", "now", "difference"), _MONEY),
}
_DIFFERENCES = {
    **dict.fromkeys(("owner_team", "provider"), pa.string()),
    **dict.fromkeys(("closed", "now", "difference", "booked", "not_booked"), _MONEY),
}


@dataclass(frozen=True, repr=False)
class Verification:
    """What a recomputation says of a closed period.

    Attributes
    ----------
    period, revision
        What was verified.
    is_intact
        The stored statement is the one that was frozen: document and lines have not been touched.
    is_same
        Drawn up today it would be the same.
    is_booked
        All that differs is in the journal.
    checks
        `what`, `closed`, `now`, `is_same`: each fingerprint then and now.
    differences
        Per team and provider: `closed`, `now`, `difference`, `booked`, `not_booked` [USD]; only what differs.
    lines
        The lines behind it: `line_id`, what it is, `closed`, `now`, `difference` [USD].
    headline
        The verdict in a sentence.
    """

    period: str
    revision: int
    is_intact: bool
    is_same: bool
    is_booked: bool
    checks: pd.DataFrame
    differences: pd.DataFrame
    lines: pd.DataFrame
    headline: str

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict, ready for JSON; money as text."""
        single = ("period", "revision", "is_intact", "is_same", "is_booked", "headline")
        answer: dict[str, Any] = {name: getattr(self, name) for name in single}
        return answer | {name: plain_rows(getattr(self, name)) for name in ("checks", "differences", "lines")}

    def __repr__(self) -> str:
        differences = showing.show(self.differences, empty="No difference.")
        return f"{self.headline}\n{showing.show(self.checks)!r}\n{differences!r}"

    def _repr_html_(self) -> str:
        tables = (showing.show(self.checks), showing.show(self.differences, top=200, empty="No difference."))
        body = "".join(table._repr_html_() for table in tables)
        return f"<p><b>{escape(showing.visible(self.headline))}</b></p>{body}"


def verify_period(ledger: Ledger, period: str) -> Verification:
    """Draw a closed period up again from the ledger as it is, and say what differs from what was frozen.

    Nothing is booked and nothing changed. The rules are those the period was closed under.

    Parameters
    ----------
    ledger
        A ledger in which the period is closed.
    period
        Its name, such as `2026-10`.

    Returns
    -------
    Verification
        Whether the stored statement is intact, what it rested on then and now, and each difference.

    Raises
    ------
    QuestionError
        If the period is not closed.
    """
    closed = registers.require_closed(ledger, period)
    true_up_months(ledger, closed.period)
    charge_events(ledger, closed.period, closed.rules, closed.basis)
    now = json.loads(drawing_up.fingerprints(ledger, closed.period))
    apply_disputes(ledger, closed.label)
    checks = [_check("document", closed.document_sha256, hashlib.sha256(closed.document.encode()).hexdigest())]
    checks.append(_check("lines", *_lines(ledger, closed)))
    is_intact = all(check["is_same"] for check in checks)
    checks += [_check(name, closed.inputs[name], now[name]) for name in closed.inputs]
    checks.append(_check("price book", closed.price_book, drawing_up.price_book(ledger)))
    checks.append(_check("code", closed.code_version, drawing_up.code_version()))
    drawn = finish(*_redrawn(ledger, closed))
    differences = _differences(ledger, closed, drawn)
    is_same = not any(row["difference"] for row in differences)
    is_booked = not any(row["not_booked"] for row in differences)
    return Verification(
        closed.label,
        closed.revision,
        is_intact,
        is_same,
        is_booked,
        frame(checks, _CHECKS),
        frame([row for row in differences if row["difference"] or row["not_booked"]], _DIFFERENCES),
        frame(_changed_lines(closed, drawn), _LINES),
        _headline(closed, is_intact, is_same, differences),
    )


def _check(what: str, closed: str | None, now: str | None) -> dict[str, Any]:
    return {"what": what, "closed": closed, "now": now, "is_same": closed == now}


def _lines(ledger: Ledger, closed: Closed) -> tuple[str, str]:
    """Return checksums of the lines in the document and in the table: then and now."""
    names = [name for name in FRAMES["lines"] if name != "line_id"]
    order = '"line_id", ' + ", ".join(f'"{name}"' for name in names)
    stored = ledger.frame(
        f"select {order} from statement_line where period = $label and revision = $revision order by line_id",
        {"label": closed.label, "revision": closed.revision},
    )
    kept = from_document(closed.document).lines.sort_values("line_id", kind="stable")
    return _digest(kept), _digest(stored)


def _digest(lines: pd.DataFrame) -> str:
    rows = [[None if showing.is_missing(v) else str(v) for v in row] for row in lines.itertuples(index=False)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _differences(ledger: Ledger, closed: Closed, drawn: Sequence[Line]) -> list[dict[str, Any]]:
    sums: dict[tuple[str | None, str | None], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in json.loads(closed.document)["lines"]:
        if row["kind"] != "adjustment":
            sums[row["owner_team"], row["provider"]]["closed"] += _pico(row["amount"])
    for line in drawn:
        sums[line["owner_team"], line["provider"]]["now"] += line["amount"] or 0
    for team, provider, amount in ledger.rows(
        """
        select owner_team, provider, cast(sum(amount) as decimal(38, 12)) from (
            select owner_team, provider, amount from journal
            where for_period = $label and revision = $revision and kind <> 'dispute'
            union all
            select owner_team, provider, amount from charged_event
            where for_period = $label and (starts_with(entry_id, $lost) or starts_with(entry_id, $won))
        ) group by all
        """,
        {"label": closed.label, "revision": closed.revision, "lost": LOST, "won": WON},
    ):
        sums[team, provider]["booked"] += _pico(amount)
    rows = []
    for key in sorted(sums, key=lambda key: tuple((part is None, part or "") for part in key)):
        said = sums[key]
        money = {name: said[name] for name in ("closed", "now", "booked")}
        money |= {"difference": said["now"] - said["closed"]}
        money |= {"not_booked": money["difference"] - said["booked"]}
        rows.append({"owner_team": key[0], "provider": key[1], **{n: from_pico(v) for n, v in money.items()}})
    return rows


def _redrawn(ledger: Ledger, closed: Closed) -> tuple[list[Line], str, list[dict[str, Any]]]:
    own, shares = drawing_up.draw_lines(ledger, closed.period, closed.rules, closed.basis)
    return own, closed.label, shares


def _changed_lines(closed: Closed, drawn: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the lines whose amount would be another today, those that are new and those that are gone."""
    sides: dict[str, dict[str, Any]] = {}
    for row in json.loads(closed.document)["lines"]:
        if row["kind"] != "adjustment":
            sides[row["line_id"]] = {**row, "closed": _pico(row["amount"]), "now": 0}
    for line in drawn:
        side = sides.setdefault(line["line_id"], {**line, "closed": 0, "now": 0})
        side["now"] = line["amount"] or 0
    rows = []
    for side in sides.values():
        if side["now"] != side["closed"]:
            money = {"closed": side["closed"], "now": side["now"], "difference": side["now"] - side["closed"]}
            rows.append({**side, **{name: from_pico(pico) for name, pico in money.items()}})
    return sorted(rows, key=lambda row: (row["owner_team"] is None, row["owner_team"] or "", row["line_id"]))


def _pico(amount: Any) -> int:
    return 0 if amount is None else int(Decimal(amount).scaleb(12))


def _headline(closed: Closed, is_intact: bool, is_same: bool, differences: list[dict[str, Any]]) -> str:
    kept = "is as it was frozen" if is_intact else "is NOT as it was frozen"
    start = f"{closed.label} (revision {closed.revision}) {kept}"
    if is_same:
        return f"{start}; drawn up today it is the same, to the last digit."
    changed = [row for row in differences if row["difference"]]
    open_rows = [row for row in differences if row["not_booked"]]
    moved = sum((abs(row["difference"]) for row in changed), Decimal(0))
    lines = showing.count(len(changed), "amount")
    words = f"{start}; drawn up today {lines} of a team and provider would differ, by {showing.dollars(moved)} in all"
    if not open_rows:
        return f"{words}, all of it booked in the journal."
    missing = sum((abs(row["not_booked"]) for row in open_rows), Decimal(0))
    return f"{words}; {showing.dollars(missing)} is not booked yet."


def is_copy(ledger: Ledger, said: dict[str, Any]) -> bool:
    """Whether an exported statement, as `Chargeback.to_dict` gives it, is the one that was frozen, to the last byte."""
    closed = registers.require_closed(ledger, str(said.get("period")))
    kept = json.loads(closed.document)
    return bool({name: value for name, value in said.items() if name in kept} == kept)
