"""Upheld disputes move money by adjusting entries in the next period; the closed statements stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from attribution.closing import registers
from attribution.closing.adjusting import LOST, WON
from attribution.closing.registers import Closed
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.showing import count


def book_dispute(
    ledger: Ledger,
    *,
    dispute_id: str,
    for_period: str,
    from_team: str | None,
    to_team: str | None,
    reason: str,
    reviewer: str,
    amount: Decimal | None = None,
    event_ids: Sequence[str] = (),
) -> pd.DataFrame:
    """Move money from one team to another for a closed period, as a reviewer decided; nothing else changes.

    Two entries that add up to nothing are booked into the first open period. Booking the same dispute again books
    nothing. Where the dispute names calls, they count as the other team's from then on, so that correcting their
    owner at the source later does not move the money twice.

    Parameters
    ----------
    ledger
        A ledger in which the period is closed.
    dispute_id
        Name of the dispute.
    for_period
        The closed period that is disputed.
    from_team, to_team
        Who was charged and who bears it; `None` stands for no team.
    reason, reviewer
        Why, and who decided: a role or handle, not an address.
    amount
        What moves [USD]; with `event_ids` what they were charged, so it may be left out.
    event_ids
        The disputed calls.

    Returns
    -------
    pandas.DataFrame
        The two rows of `journal`.

    Raises
    ------
    QuestionError
        If the period is not closed, a team is unknown to it, or amount and calls do not agree.
    """
    closed = registers.require_closed(ledger, for_period)
    _check(ledger, closed, {"dispute_id": dispute_id, "reason": reason, "reviewer": reviewer}, from_team, to_team)
    moved = _amount(ledger, closed, from_team, amount, event_ids)
    if booked := _already(ledger, dispute_id, (closed.label, from_team, to_team, moved)):
        return registers.journal(ledger, booked)
    common: dict[str, Any] = {
        "booked_in": registers.first_open(ledger, closed),
        "for_period": closed.label,
        "revision": closed.revision,
        "basis": closed.basis,
        "kind": "dispute",
        "reason": reason.strip(),
        "reviewer": reviewer.strip(),
        "calls": len(event_ids) or None,
        "link_kind": "dispute",
        "link": dispute_id,
    }
    sides = [
        {"owner_team": from_team, "counter_team": to_team, "amount": -moved},
        {"owner_team": to_team, "counter_team": from_team, "amount": moved},
    ]
    with ledger.transaction():
        ids = registers.book(ledger, [common | side for side in sides])
        _mark_calls(ledger, closed.label, dispute_id, from_team, to_team, event_ids)
    return registers.journal(ledger, ids)


def _check(ledger: Ledger, closed: Closed, texts: dict[str, str], from_team: str | None, to_team: str | None) -> None:
    for name, text in texts.items():
        if not text.strip():
            raise QuestionError.bad_argument(name, text, "a text; it is kept with the entries")
    if "@" in texts["reviewer"]:
        raise QuestionError.bad_argument("reviewer", "an address", "a role or handle: entries hold no personal data")
    if from_team == to_team:
        raise QuestionError.bad_argument("to_team", to_team, "another team than the one that was charged")
    known = {row[0] for row in ledger.rows("select distinct team from team")}
    known |= {row["owner_team"] for row in closed.statements}
    for name, team in (("from_team", from_team), ("to_team", to_team)):
        if team is not None and team not in known:
            raise QuestionError.bad_argument(name, team, f"one of {', '.join(sorted(known))}")


def _amount(
    ledger: Ledger, closed: Closed, team: str | None, amount: Decimal | None, event_ids: Sequence[str]
) -> Decimal:
    if not event_ids:
        if amount is None or amount <= 0 or amount != amount.quantize(Decimal(1).scaleb(-12)):
            raise QuestionError.bad_argument("amount", amount, "dollars above zero, exact to twelve places")
        return amount
    found, charged = ledger.rows(
        """
        select count(distinct event_id), cast(coalesce(sum(amount), 0) as decimal(38, 12)) from charged_event
        where for_period = $label and owner_team is not distinct from $team and pool is null
            and list_contains($event_ids, cast(event_id as varchar))
        """,
        {"label": closed.label, "team": team, "event_ids": list(event_ids)},
    )[0]
    if found != len(set(event_ids)):
        expected = f"calls that {team or 'no team'} was charged for {closed.label}; {found} of them are"
        raise QuestionError.bad_argument("event_ids", count(len(set(event_ids)), "call"), expected)
    if amount is not None and amount != charged:
        raise QuestionError.bad_argument("amount", amount, f"{charged:f}, which these calls were charged")
    return Decimal(charged)


def _already(ledger: Ledger, dispute_id: str, said: tuple[Any, ...]) -> list[str]:
    """Return the entries of a dispute that is booked; the same id for something else is refused."""
    rows = ledger.rows(
        """
        select entry_id, for_period, owner_team, counter_team, amount from journal
        where kind = 'dispute' and link = $dispute_id order by amount
        """,
        {"dispute_id": dispute_id},
    )
    if rows and rows[0][1:] != (*said[:3], -said[3]):
        raise QuestionError.bad_argument("dispute_id", dispute_id, f"a new id: {rows[0][1:]} is booked under this one")
    return [row[0] for row in rows]


def _mark_calls(
    ledger: Ledger, label: str, dispute_id: str, from_team: str | None, to_team: str | None, event_ids: Sequence[str]
) -> None:
    for mark, team, sign in ((LOST, from_team, -1), (WON, to_team, 1)):
        ledger.run(
            """
            insert into charged_event
            select for_period, event_id, $bearer, null, min(provider),
                cast(sum(amount) * $sign as decimal(38, 12)), $mark
            from charged_event
            where for_period = $label and owner_team is not distinct from $from_team and pool is null
                and list_contains($event_ids, cast(event_id as varchar))
                and coalesce(entry_id, '') <> $lost
            group by for_period, event_id
            """,
            {
                "bearer": team,
                "sign": sign,
                "mark": f"{mark}{dispute_id}",
                "label": label,
                "from_team": from_team,
                "event_ids": list(event_ids),
                "lost": f"{LOST}{dispute_id}",
            },
        )
