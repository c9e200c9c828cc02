"""The tree of a request as one team may see it: its own calls whole, of the others that they are there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attribution import fanouts, showing
from attribution.ledger import Ledger
from attribution.normalization import personal_data

#: Deeper and longer trees are cut, and say so.
MOST_NODES = 200


def tree(ledger: Ledger, request_id: str, team: str, amounts: Mapping[str, Decimal]) -> list[dict[str, Any]]:
    """Return the nodes of a request, parents first: what the team bears below each, and no word of other teams.

    Parameters
    ----------
    ledger
        A built ledger.
    request_id
        The request.
    team
        Who may see it.
    amounts
        What the team bears of each call, by event id [USD].
    """
    nodes = showing.rows(fanouts.fan_out(ledger, request_id))
    rows = [_seen(node, team, amounts) for node in nodes]
    above: list[int] = []
    for place, row in enumerate(rows):
        del above[row["depth"] :]
        for upper in above:
            rows[upper]["amount"] += row["own"]
        row["amount"] = row["own"]
        above.append(place)
    kept = rows[:MOST_NODES]
    if len(rows) > MOST_NODES:
        kept.append({"depth": 1, "label": f"and {len(rows) - MOST_NODES:,} more", "kind": "more", "is_ours": False})
    return kept


def _seen(node: Mapping[str, Any], team: str, amounts: Mapping[str, Decimal]) -> dict[str, Any]:
    event_id = None if showing.is_missing(node["event_id"]) else node["event_id"]
    carried = None if showing.is_missing(node["owner_team"]) else node["owner_team"]
    is_ours = event_id in amounts if event_id else carried in (None, team)
    if event_id:
        label = _label(node) if is_ours else "a call that nobody owns" if carried is None else "a call of another team"
    else:
        label = _label(node) if is_ours else "a hop of another team"
    return {
        "depth": int(node["depth"]),
        "label": label,
        "service": None if not is_ours or showing.is_missing(node["service"]) else _masked(node["service"]),
        "kind": node["kind"],
        "is_ours": is_ours,
        "own": amounts.get(event_id, Decimal(0)) if event_id else Decimal(0),
        "event_id": event_id if is_ours else None,
    }


def _label(node: Mapping[str, Any]) -> str:
    return _masked(str(node["label"]))


def _masked(text: str) -> str:
    """Return a name of the data without what looks like a person's or a secret."""
    kind = personal_data(text)
    return f"[{kind}]" if kind else text
