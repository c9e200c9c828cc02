"""Disputes: what teams object to, in a small reviewed file; an upheld one moves money in the next open period."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import closing, configuration, periods, schema
from attribution.errors import ConfigurationError, QuestionError
from attribution.ledger import Ledger, as_frame, column_list
from attribution.normalization import personal_data

OPEN, UPHELD, REJECTED = STATES = ("open", "upheld", "rejected")
#: What a decided dispute must say.
_DECIDED = ("decision", "reviewer")
_TEXTS = ("reason", "decision", "reviewer")


def read_disputes(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a file of disputes, or raise an error with file and line.

    Parameters
    ----------
    path
        YAML (a list, or a list under `disputes:`) or CSV. An entry has `dispute_id`, `period`, `owner_team` (who was
        charged), `amount` [USD], `state` (open, upheld, rejected) and `reason`; `charge_to` (who shall bear it)
        once it is upheld, `decision` and `reviewer` once it is decided; and may name `line_id`, `request_id`,
        `opened_on` and `decided_on`. With a `request_id` the amount is what its calls were charged.

    Returns
    -------
    pandas.DataFrame
        One row per dispute, in the order of the file, with its `place`.

    Raises
    ------
    ConfigurationError
        For anything unknown, missing, contradictory, or that names a person.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigurationError.at(str(file), None, "there is no such file", "a YAML or CSV file of disputes")
    rows = [
        configuration.check_row("dispute", entry, place)
        for entry, place in configuration.entries_of(file, file.name, 1, "disputes")
    ]
    seen: dict[str, str] = {}
    for row in rows:
        _check(row)
        if row["dispute_id"] in seen:
            raise _fault(row, f"`{row['dispute_id']}` stands at {seen[row['dispute_id']]}, too", "each dispute once")
        seen[row["dispute_id"]] = row["place"]
    return as_frame(_table(rows))


def settle_disputes(ledger: Ledger, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Write the disputes of a file into the ledger and book those that are upheld.

    An upheld dispute becomes two adjusting entries in the first open period after the disputed one: less for the team
    that was charged, more for the team that shall bear it, so that nothing is added or lost. The closed statement does
    not change. Settling the same file again books nothing.

    Parameters
    ----------
    ledger
        A ledger, with the disputed periods closed.
    path
        The file, as for `read_disputes`.

    Returns
    -------
    pandas.DataFrame
        `dispute_id`, `period`, `owner_team`, `charge_to`, `amount` [USD], `state`, `reviewer`, `booked_in` (the period
        that carries the entries; null unless upheld) and `place`.

    Raises
    ------
    ConfigurationError
        If the file has a fault, names a team that the registry does not know, or says otherwise than what is booked.
    """
    rows = _table_rows(read_disputes(path))
    teams = [name for (name,) in ledger.rows("select distinct team from team order by team")]
    for row in rows:
        _check_teams(row, teams)
        _check_booked(ledger, row)
    with ledger.transaction():
        ledger.run("delete from dispute")
        names = schema.table("dispute").names
        with ledger.reading(new_rows=_table(rows)):
            ledger.run(f"insert into dispute ({column_list(names)}) select {column_list(names)} from new_rows")
        for row in rows:
            if row["state"] == UPHELD:
                _book(ledger, row)
    return list_disputes(ledger)


def list_disputes(ledger: Ledger) -> pd.DataFrame:
    """Return the disputes of a ledger with the period that carries their entries, by period and name."""
    return ledger.frame(_LISTED)


_LISTED = """
    select dispute_id, dispute.period, dispute.owner_team, charge_to, dispute.amount, state, dispute.reason,
        decision, dispute.reviewer, line_id, request_id,
        (select min(booked_in) from journal where kind = 'dispute' and link = dispute_id) as booked_in, place
    from dispute
    order by period, dispute_id
"""
_BOOKED = """
    select owner_team, amount, booked_in from journal where kind = 'dispute' and link = $dispute_id order by amount
"""


def _book(ledger: Ledger, row: dict[str, Any]) -> None:
    try:
        closing.book_dispute(
            ledger,
            dispute_id=row["dispute_id"],
            for_period=row["period"],
            from_team=row["owner_team"],
            to_team=row["charge_to"],
            amount=row["amount"],
            reason=row["decision"],
            reviewer=row["reviewer"],
            event_ids=_disputed_calls(ledger, row),
        )
    except QuestionError as error:
        raise _fault(row, str(error).rstrip("."), "a dispute about a closed statement") from error


def _disputed_calls(ledger: Ledger, row: dict[str, Any]) -> list[str]:
    """Return the calls of a disputed request, so that mending their owner later does not move the money twice."""
    if not row.get("request_id"):
        return []
    names = ("request_id", "period", "owner_team")
    found = [event for (event,) in ledger.rows(_CALLS, {name: row[name] for name in names})]
    if not found:
        raise _fault(row, f"{row['owner_team']} was charged no call of request `{row['request_id']}`", "one it was")
    return found


_CALLS = """
    select distinct cast(charged_event.event_id as varchar) as event_id
    from charged_event join event using (event_id)
    where request_id = $request_id and for_period = $period and owner_team = $owner_team and pool is null
        and charged_event.entry_id is null
    order by event_id
"""


def _check(row: dict[str, Any]) -> None:
    """Check what the columns of one entry say together."""
    if row["amount"] <= 0:
        raise _fault(row, f"`amount` is {row['amount']}", "dollars above zero; the teams say which way they move")
    try:
        row["period"] = periods.parse(row["period"]).label
    except QuestionError:
        raise _fault(row, f"`period` is {row['period']}", periods.EXPECTED) from None
    if row["state"] != OPEN:
        for name in _DECIDED:
            if not row.get(name):
                raise _fault(row, f"`{name}` is missing", f"it, once a dispute is {row['state']}")
    elif row.get("decision") or row.get("decided_on"):
        raise _fault(row, "an open dispute has a decision", "state: upheld or rejected, or no decision")
    if row["state"] == UPHELD and not row.get("charge_to"):
        raise _fault(row, "`charge_to` is missing", "the team that bears an upheld charge instead")
    if row.get("charge_to") == row["owner_team"]:
        raise _fault(row, f"`charge_to` is `{row['owner_team']}` itself", "another team")
    if row.get("opened_on") and row.get("decided_on") and row["decided_on"] < row["opened_on"]:
        raise _fault(row, "it was decided before it was opened", "a decision after the beginning")
    for name in _TEXTS:
        if kind := personal_data(row.get(name) or ""):
            raise _fault(row, f"`{name}` holds what looks like {kind.replace('_', ' ')}", "a role or group, no person")


def _check_teams(row: dict[str, Any], teams: list[str]) -> None:
    file, line = _place(row)
    for name in ("owner_team", "charge_to"):
        if teams and row.get(name) and row[name] not in teams:
            raise ConfigurationError.unknown_key(file, line, row[name], teams)


def _check_booked(ledger: Ledger, row: dict[str, Any]) -> None:
    """Refuse a file that takes back what is booked: a booked entry is never changed, another one is added."""
    booked = ledger.rows(_BOOKED, {"dispute_id": row["dispute_id"]})
    if not booked:
        return
    wanted = [(row["owner_team"], -row["amount"]), (row.get("charge_to"), row["amount"])]
    if row["state"] != UPHELD or [entry[:2] for entry in booked] != wanted:
        moved = f"{booked[-1][1]:f} USD from {booked[0][0]} to {booked[-1][0]}"
        found = f"`{row['dispute_id']}` is booked in {booked[0][2]} as upheld, {moved}"
        raise _fault(row, found, "the same again, or a new dispute that moves it back")


def _fault(row: dict[str, Any], found: str, expected: str) -> ConfigurationError:
    file, line = _place(row)
    return ConfigurationError.at(file, line, found, expected)


def _place(row: dict[str, Any]) -> tuple[str, int]:
    file, _, line = row["place"].rpartition(":")
    return file, int(line)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {"VARCHAR": pa.string(), "TIMESTAMP": pa.timestamp("us")}
    declared = schema.table("dispute").columns
    return pa.table(
        {
            c.name: pa.array([row.get(c.name) for row in rows], kinds.get(c.type, pa.decimal128(38, 12)))
            for c in declared
        }
    )


def _table_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(row) for row in pa.Table.from_pandas(frame, preserve_index=False).to_pylist()]
