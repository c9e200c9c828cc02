"""Fan-out: the tree of one request, hop by hop, and which ownership fields each hop carries."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger, as_frame

_MONEY = pa.decimal128(38, 12)
_COLUMNS = {
    "node": pa.int64(),
    "depth": pa.int64(),
    "label": pa.string(),
    "service": pa.string(),
    "kind": pa.string(),
    "owner_team": pa.string(),
    "evidence": pa.string(),
    "list_cost": _MONEY,
    "cost_below": _MONEY,
    "cost_from": _MONEY,
    "cost_to": _MONEY,
    "calls_below": pa.int64(),
    "unpriced_below": pa.int64(),
    "trace_id": pa.string(),
    "span_id": pa.string(),
    "event_id": pa.string(),
}


def fan_out(ledger: Ledger, request_id: str | None = None) -> pd.DataFrame:
    """Show one request as a tree: every hop and call below it, with its owner and its dollars.

    A call stands at its span; one without a span stands under the request. A trace that only links to another of
    the request hangs below the span it links to. Spans in a circle, and those whose parent is not in the data, hang
    below the request, so that every call is there exactly once.

    Parameters
    ----------
    ledger
        A built ledger.
    request_id
        A request of `cost_event`; when not given, the one of `find_broken_request`, if there is any call.

    Returns
    -------
    pandas.DataFrame
        One row per node, parents before children: `node`, `depth`, `label`, `service`, `kind` (request, hop, call),
        `owner_team` and `evidence` (for a hop: what its span carries), `list_cost` [USD] of the node itself,
        `cost_below` [USD] with all below it, `cost_from` and `cost_to` [USD] (where its part of the request's cost
        begins and ends), `calls_below`, `unpriced_below`, `trace_id`, `span_id`, `event_id`.

    Raises
    ------
    QuestionError
        If the ledger has no such request.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.fan_out(ledger, "tr_9f4c")[["label", "owner_team", "list_cost"]].to_dict("records")[1]
    {'label': 'gpt-4.1-mini', 'owner_team': 'support', 'list_cost': Decimal('0.002048000000')}
    """
    if request_id is None:
        request_id = next((str(row[0]) for row in ledger.rows(_BROKEN_REQUEST)), None)
    if request_id is None:
        return as_frame(pa.schema(list(_COLUMNS.items())).empty_table())
    calls = ledger.arrow(_CALLS, {"request_id": request_id}).to_pylist()
    if not calls:
        known = [row[0] for row in ledger.rows(_SOME_REQUESTS)]
        expected = f"a request of this ledger, such as {', '.join(known)}" if known else "a ledger with calls"
        raise QuestionError.bad_argument("request_id", request_id, expected)
    nodes = _nodes(request_id, calls, ledger.arrow(_SPANS, {"request_id": request_id}).to_pylist())
    rows = _laid_out(nodes, _children(nodes))
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in _COLUMNS.items()}
    return as_frame(pa.table(columns))


def dearest_requests(ledger: Ledger, n: int = 10) -> pd.DataFrame:
    """Return the requests that cost most: `request_id`, `calls`, `list_cost` [USD], `owners`, `unowned_calls`."""
    return ledger.frame(_DEAREST, {"n": n})


def find_broken_request(ledger: Ledger) -> str:
    """Return the request that shows best where ownership is lost: unowned, with hops to see, and dear.

    Raises
    ------
    LedgerError
        If the ledger has no calls.
    """
    rows = ledger.rows(_BROKEN_REQUEST)
    if not rows:
        raise LedgerError.empty("provider calls", "Load traces, gateway logs or call records first.")
    return str(rows[0][0])


def field_coverage(ledger: Ledger) -> pd.DataFrame:
    """Show which share of each hop's records carries each field of the ownership contract.

    A hop is a service, by the spans that enter it and the spans of its calls (what a framework does in between
    carries nothing by design); where a source has no spans, the source itself. Services stand in the order in which
    requests pass them, sources after them.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `hop`, `basis` (spans or records), `field`, `records`, `carrying`, `share` [0–1]; one row per hop and field.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/broken", quiet=True)
    >>> rows = at.field_coverage(ledger)
    >>> rows[rows["field"] == "feature"][["hop", "carrying"]].to_dict("records")
    [{'hop': 'gateway', 'carrying': 1}, {'hop': 'router', 'carrying': 0}, {'hop': 'worker', 'carrying': 0}]
    """
    return ledger.frame(_FIELD_COVERAGE)


_SOME_REQUESTS = "select distinct request_id from cost_event order by request_id limit 3"

_CALLS = """
    select cast(event_id as varchar) as event_id, trace_id, span_id, call_id, attempt_role, attempt_no, status,
        model, provider, service, owner_team, owner_evidence as evidence,
        coalesce(list_cost, priced_part) as list_cost, started_at,
        price_status in ('unpriced', 'partial') or (price_status = 'unmetered' and status <> 'error') as is_unpriced
    from cost_event
    where request_id = $request_id
    order by started_at nulls last, call_id, attempt_no, event_id
"""

#: The request's own trace and those its calls were made in; one row per span, whatever exported it.
_SPANS = """
    with trace as (
        select $request_id as trace_id
        union
        select trace_id from cost_event where request_id = $request_id and trace_id is not null
    )
    select trace_id, span_id, min(parent_span_id) as parent_span_id, min(name) as name, min(service) as service,
        min(owner_team) as owner_team, min(started_at) as started_at, first(links order by len(links) desc) as links
    from span semi join trace using (trace_id)
    group by trace_id, span_id
    order by started_at nulls last, trace_id, span_id
"""

_DEAREST = """
    select request_id, count(distinct call_id) as calls, cast(sum(list_cost) as decimal(38, 12)) as list_cost,
        string_agg(distinct owner_team, ', ' order by owner_team) as owners,
        count(*) filter (where owner_evidence in ('none', 'rule')) as unowned_calls
    from cost_event
    group by request_id
    order by list_cost desc nulls last, request_id
    limit $n
"""

_BROKEN_REQUEST = """
    with hops as (select trace_id, count(*) as spans from span group by trace_id),
    request as (
        select request_id, coalesce(sum(list_cost), 0) as cost, coalesce(max(spans), 0) as spans,
            count(*) filter (where owner_evidence in ('none', 'rule')) as unowned
        from cost_event left join hops using (trace_id)
        group by request_id
    )
    select request_id from request
    order by unowned > 0 and spans > 2 desc, unowned > 0 desc, cost desc, request_id
    limit 1
"""

_FIELD_COVERAGE = """
    with placed as (
        select span.*, row_number() over (partition by trace_id order by started_at nulls last, span_id) as place
        from span
    ),
    record as (
        select coalesce(lower.service, lower.source) as hop, 'spans' as basis, lower.place,
            true as has_trace, lower.owner_team, lower.workflow_id, lower.feature, lower.tenant_id_hash
        from placed as lower
        left join span as upper on upper.trace_id = lower.trace_id and upper.span_id = lower.parent_span_id
        where lower.is_call or lower.service is distinct from upper.service
        union all
        select coalesce(service, source), 'records', 1, trace_id is not null, owner_team, workflow_id, feature,
            tenant_id_hash
        from observation
        where not exists (
            from span where span.trace_id = observation.trace_id and span.span_id = observation.span_id
        )
    ),
    counted as (
        select hop, basis, avg(place) as place, count(*) as records, count(*) filter (where has_trace) as trace_id,
            count(owner_team) as owner_team, count(workflow_id) as workflow_id, count(feature) as feature,
            count(tenant_id_hash) as tenant_id_hash
        from record group by hop, basis
    ),
    carried as (
        select * from counted
        unpivot (carrying for field in (trace_id, owner_team, workflow_id, feature, tenant_id_hash))
    )
    select hop, basis, field, records, carrying,
        cast(cast(carrying as decimal(18, 6)) / records as decimal(7, 6)) as share
    from carried
    order by basis desc, place, hop,
        list_position(['trace_id', 'owner_team', 'workflow_id', 'feature', 'tenant_id_hash'], field)
"""


def _nodes(request_id: str, calls: list[dict[str, Any]], spans: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Return the request, its hops and its calls by key, each with the key of its parent."""
    nodes: dict[Any, dict[str, Any]] = {"request": {"label": request_id, "kind": "request", "parent": None}}
    for span in spans:
        key = (span["trace_id"], span["span_id"])
        nodes[key] = span | {"label": span["name"] or span["service"] or "span", "kind": "hop", "parent": "request"}
        nodes[key]["evidence"] = "declared" if span["owner_team"] else None
    for key in list(nodes):
        if key != "request":
            nodes[key]["parent"] = _parent(nodes, key)
    for call in calls:
        place = (call["trace_id"], call["span_id"])
        role = "" if call["attempt_role"] == "primary" else f"{call['attempt_role']}: "
        failed = " (failed)" if call["status"] == "error" else ""
        call |= {"kind": "call", "label": f"{role}{call['model'] or 'unknown model'}{failed}"}
        if place in nodes and nodes[place]["kind"] == "hop":
            nodes[place] |= call | {"service": nodes[place]["service"] or call["service"]}
        else:
            nodes[call["event_id"]] = call | {"parent": place if place in nodes else "request"}
    return nodes


def _parent(nodes: dict[Any, dict[str, Any]], key: tuple[str, str]) -> Any:
    span = nodes[key]
    above = (key[0], span["parent_span_id"])
    if span["parent_span_id"] is not None and above in nodes and above != key:
        return above
    linked = sorted((link["trace_id"], link["span_id"]) for link in span["links"] or ())
    return next((place for place in linked if place in nodes and place[0] != key[0]), "request")


def _children(nodes: dict[Any, dict[str, Any]]) -> dict[Any, list[Any]]:
    """Return the children of each node; a circle is cut at its first span in time."""
    children = defaultdict(list)
    done = {"request"}
    for key in nodes:
        path: set[Any] = set()
        step = key
        while step not in done and step not in path:
            path.add(step)
            step = nodes[step]["parent"]
        if step in path:
            nodes[step]["parent"] = "request"
        done.update(path)
    for key, node in nodes.items():
        if node["parent"] is not None:
            children[node["parent"]].append(key)
    return children


def _laid_out(nodes: dict[Any, dict[str, Any]], children: dict[Any, list[Any]]) -> list[dict[str, Any]]:
    """Number the nodes from the top down and sum what is below each, without recursion (traces may be deep)."""
    rows: list[dict[str, Any]] = []
    ahead: list[tuple[Any, int]] = [("request", 0)]
    spent = Decimal(0)
    while ahead:
        key, depth = ahead.pop()
        own = nodes[key].get("list_cost")
        is_call = "event_id" in nodes[key]
        rows.append(nodes[key] | {"key": key, "node": len(rows), "depth": depth, "cost_from": spent})
        rows[-1] |= {"calls_below": int(is_call), "unpriced_below": int(bool(nodes[key].get("is_unpriced")))}
        rows[-1]["cost_below"] = own or Decimal(0)
        spent += own or Decimal(0)
        ahead.extend((child, depth + 1) for child in reversed(children[key]))
    place = {row["key"]: row for row in rows}
    for row in reversed(rows):
        row["cost_to"] = row["cost_from"] + row["cost_below"]
        if row["parent"] is not None:
            for name in ("cost_below", "calls_below", "unpriced_below"):
                place[row["parent"]][name] += row[name]
    return rows
