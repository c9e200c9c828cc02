"""Explain one event: its records with file and line, how they matched, who owns it and why, what it costs and why."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.showing import dollars, is_missing, visible
from attribution.showing import rows as rows_of


@dataclass(frozen=True)
class EventExplanation:
    """Everything about one event, in the order in which it is disputed.

    Attributes
    ----------
    event
        The columns of `cost_event`, as a mapping.
    records
        Its observations: `source`, `role`, `place` (file:line), `joined_by`, `rank`, ids, usage and ownership.
    owners
        Per field: `value`, `evidence`, `from` and `place`, the record, span, key or rule that says so.
    items
        Its line items: `meter`, `quantity`, `unit_price`, `price_per`, `list_cost` [USD], `price_entry`.
    conflicts
        Where records of the call disagree.
    hops
        The hop that lost a field, where one did.
    """

    event: dict[str, Any]
    records: pd.DataFrame
    owners: pd.DataFrame
    items: pd.DataFrame
    conflicts: pd.DataFrame
    hops: pd.DataFrame

    def to_text(self) -> str:
        """Return the explanation as plain text."""
        event = self.event
        lines = [
            f"event {event['event_id']}: {event['attempt_role']} attempt {event['attempt_no']} of one call",
            f"  {event['provider']} {event['model']}, {event['status']}, {event['started_at']} UTC",
            f"  list cost {_cost(event)}",
        ]
        for title, frame in self._parts():
            lines.append(f"{title}:")
            lines += ["  " + ", ".join(_cells(row)) for row in rows_of(frame)] or ["  none"]
        return visible_lines(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values; amounts are text, so that nothing is rounded."""
        parts = {title: [dict(_plain(row)) for row in rows_of(frame)] for title, frame in self._parts()}
        return {"event": dict(_plain(self.event)), **parts}

    def _parts(self) -> list[tuple[str, pd.DataFrame]]:
        return [
            ("records", self.records),
            ("owners", self.owners),
            ("line items", self.items),
            ("conflicts", self.conflicts),
            ("lost at", self.hops),
        ]

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"


def explain_event(ledger: Ledger, event_id: str | uuid.UUID) -> EventExplanation:
    """Explain one event down to file, line, rule and price entry.

    Parameters
    ----------
    ledger
        A built ledger.
    event_id
        An `event_id` of `cost_event`, or one that it had before a later file merged its records; its first
        characters are enough where they are unique.

    Returns
    -------
    EventExplanation
        Frames, with `to_text()`, `to_dict()` and an HTML form.

    Raises
    ------
    QuestionError
        If no event, or more than one, has such an id.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> event = ledger.sql("select event_id from cost_event where provider = 'openai'")["event_id"].item()
    >>> at.explain_event(ledger, event).items["meter"].tolist()
    ['input', 'output']
    """
    found = ledger.rows(_FOUND, {"given": str(event_id)})
    if len(found) != 1:
        expected = "the id of one event of cost_event" if not found else "more characters: several events begin so"
        raise QuestionError.bad_argument("event_id", str(event_id), expected)
    values = {"event_id": found[0][0]}
    event = ledger.arrow("select * from cost_event where event_id = $event_id", values).to_pylist()[0]
    return EventExplanation(
        event=event,
        records=ledger.frame(_RECORDS, values),
        owners=ledger.frame(_OWNERS, values),
        items=ledger.frame(_ITEMS, values),
        conflicts=ledger.frame(_CONFLICTS, values),
        hops=ledger.frame(_HOPS, values),
    )


_RECORDS = """
    select event_record.source, role, source_file.path || ':' || event_record.line as place, joined_by,
        rank, response_id, gateway_call_id,
        event_record.trace_id, span_id, input_tokens, output_tokens, cache_read_tokens, usage_reading, usage_flags,
        owner_team, workflow_id, feature, claimed_team, ownership_flags, source_cost
    from event_record left join source_file using (file_id)
    where event_id = $event_id order by rank
"""

#: Where evidence stands: file and line of `span:<trace>/<span>`, `key:<id>`, `rule:<id>`, or a record's id.
PLACE_OF_EVIDENCE = """coalesce(
            (select min(path || ':' || span.line) from span join source_file using (file_id)
                where 'span:' || span.trace_id || '/' || span.span_id = {0}),
            (select min(place) from key where 'key:' || key.key_id = {0}),
            (select min(place) from ownership_rule as rule where 'rule:' || rule.rule_id = {0}),
            (select min(path || ':' || observation.line) from observation join source_file using (file_id)
                where cast(observation_id as varchar) = {0})
        )"""
_OWNERS = f"""
    with field as (
        select 'owner_team' as field, owner_team as value, owner_evidence as evidence, owner_from as source,
            owner_reason as reason
        from event_owner where event_id = $event_id
        union all select 'workflow_id', workflow_id, workflow_evidence, null, null
        from event_owner where event_id = $event_id
        union all select 'feature', feature, feature_evidence, null, null from event_owner where event_id = $event_id
        union all select 'tenant_id_hash', tenant_id_hash, tenant_evidence, null, null
        from event_owner where event_id = $event_id
        union all select 'claimed_team', claimed_team, null, null, null from event_owner where event_id = $event_id
    )
    select field.field, field.value, evidence, source as "from",
        {PLACE_OF_EVIDENCE.format("field.source")} as place, reason
    from field
    order by array_position(
        ['owner_team', 'workflow_id', 'feature', 'tenant_id_hash', 'claimed_team'], field.field
    )
"""

_FOUND = """
    select event_id from cost_event where starts_with(cast(event_id as varchar), lower($given))
    union
    select event_id from event_alias where starts_with(cast(old_event_id as varchar), lower($given))
    order by event_id limit 2
"""
_ITEMS = "select * exclude (event_id) from line_item where event_id = $event_id order by meter"
_HOPS = "select * exclude (event_id) from lost_hop where event_id = $event_id order by field"
_CONFLICTS = """
    select kind, field, kept, kept_at, other, other_at from conflict where event_id = $event_id order by all
"""


def visible_lines(lines: list[str]) -> str:
    """Join lines whose own text is shown as it is."""
    return "\n".join(visible(line) for line in lines)


def _cost(event: dict[str, Any]) -> str:
    amount = event["list_cost"]
    shown = "unknown" if is_missing(amount) else f"{dollars(amount)} ({amount:f})"
    reason = f", {event['price_reason']}" if event["price_reason"] else ""
    return f"{shown}, {event['price_status']}{reason}"


def _cells(row: dict[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in _plain(row) if value is not None]


def _plain(row: dict[str, Any]) -> list[tuple[str, Any]]:
    cells: list[tuple[str, Any]] = []
    for name, value in row.items():
        if isinstance(value, list | dict | bool | int) or hasattr(value, "tolist"):
            cells.append((str(name), value.tolist() if hasattr(value, "tolist") else value))
        elif is_missing(value):
            cells.append((str(name), None))
        else:
            cells.append((str(name), f"{value:f}" if hasattr(value, "as_tuple") else str(value)))
    return cells
