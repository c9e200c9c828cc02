"""The evidence: where a call was read, who says who owns it, which price it has, and the sums written out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from attribution import showing
from attribution.allocation import UNOWNED
from attribution.event_explanations import PLACE_OF_EVIDENCE
from attribution.ledger import Ledger
from attribution.packs.pack import CALLS

#: How much of a handle and of a key's id is shown.
_HANDLE, _KEY = 10, 6
#: How many calls of each pool are shown.
_POOL_CALLS = 5
_COSTS = ("list_cost", "contracted_cost", "billed_cost", "effective_cost")


def calls(ledger: Ledger, borne: Sequence[Mapping[str, Any]], team: str) -> list[dict[str, Any]]:
    """Return the evidence of each call that the team bears, in the order of rank and time."""
    if not borne:
        return []
    with ledger.reading(picked=_picked(borne)):
        rows = ledger.arrow(_CALLS, {"team": team}).to_pylist()
        items = ledger.arrow(_ITEMS).to_pylist()
    by_event: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        by_event[item["event_id"]].append(item)
    return [_told(row, by_event[row["event_id"]]) for row in rows]


def about_requests(ledger: Ledger, requests: Sequence[str], team: str) -> dict[str, str]:
    """Return what each request was, by the team's own calls: workflow, feature and when it began."""
    rows = ledger.rows(_ABOUT, {"requests": list(requests), "team": team})
    return {
        request: ", ".join(part for part in (what, showing.moment(began) if began else "no time") if part)
        for request, what, began in rows
    }


_ABOUT = """
    select request_id, array_to_string(list_sort(list(distinct concat_ws(' / ', workflow_id, feature))), '; ') as what,
        min(started_at) as began
    from cost_event join team_cost using (event_id)
    where list_contains($requests, request_id) and team_cost.owner_team = $team
    group by request_id order by request_id
"""


def pool_calls(ledger: Ledger, pools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest calls of each pool: where they were read and why nobody owns them; no tenant, no user."""
    rows: list[dict[str, Any]] = []
    for pool in pools:
        name = None if pool["pool"] == UNOWNED else pool["pool"]
        found = ledger.arrow(_POOL_CALLS_SQL, {"pool": name, "n": _POOL_CALLS}).to_pylist()
        rows += [row | {"rank": pool["rank"]} for row in found]
    return rows


def share_arithmetic(share: Mapping[str, Any]) -> str:
    """Write out how a team's share of a pool comes about.

    Examples
    --------
    >>> share_arithmetic({"method": "even", "driver": None, "weight": Decimal(1), "weight_of_all": Decimal(4),
    ...     "teams": 4, "share": Decimal("0.25"), "pool_amount": Decimal(10), "amount": Decimal("2.5")})
    'even: 1 of 4, over 4 teams = 25.0 %; 25.0 % of $10.00 = $2.50'
    """
    percent = showing.share(share["share"])
    by = f"{share['method']} by {share['driver']}" if share["driver"] else str(share["method"])
    if share["weight"] is None:
        how = f"{by}: pools serve each other, so the share is solved"
    else:
        how = f"{by}: {_number(share['weight'])} of {_number(share['weight_of_all'])}"
    return (
        f"{how}, over {showing.count(share['teams'], 'team')} = {percent}; {percent} of "
        f"{showing.dollars(share['pool_amount'])} = {showing.dollars(share['amount'])}"
    )


def _picked(borne: Sequence[Mapping[str, Any]]) -> pa.Table:
    kinds = {"rank": pa.int64(), "event_id": pa.string(), "amount": pa.decimal128(38, 12)}
    return pa.table({name: pa.array([row[name] for row in borne], kind) for name, kind in kinds.items()})


_CALLS = f"""
    with place as (
        select event_id, string_agg(source_file.path || ':' || event_record.line, '; ' order by rank) as place
        from event_record join source_file using (file_id)
        where event_id in (select cast(event_id as uuid) from picked)
        group by event_id
    ),
    part as (
        select event_id, part, parts from owner_share where owner_team = $team
    )
    select picked.rank, picked.event_id, picked.amount, call.request_id, call.started_at, call.attempt_role,
        call.attempt_no, call.status, call.provider, call.model,
        case when part.event_id is null then call.tenant_id_hash end as tenant,
        place.place, call.owner_evidence as evidence, call.owner_from, {PLACE_OF_EVIDENCE.format("call.owner_from")}
            as owner_place,
        call.price_entry, call.price_status, call.price_reason, part.part, part.parts,
        {", ".join(f"call.{name} as whole_{name}, borne.{name}" for name in _COSTS)}
    from picked
    join cost_event as call on call.event_id = cast(picked.event_id as uuid)
    left join place on place.event_id = call.event_id
    left join part on part.event_id = call.event_id
    left join team_cost as borne on borne.event_id = call.event_id and borne.owner_team = $team
    order by picked.rank, call.started_at nulls last, call.call_id, call.attempt_no, picked.event_id
"""
_ITEMS = """
    select cast(event_id as varchar) as event_id, meter, quantity, unit, unit_price, price_per, list_cost, price_entry
    from line_item where event_id in (select cast(event_id as uuid) from picked)
    order by event_id, meter
"""
_POOL_CALLS_SQL = """
    select cast(event_charge.event_id as varchar) as event_id, call.started_at, call.provider, call.model,
        (select min(source_file.path || ':' || event_record.line) from event_record join source_file using (file_id)
            where event_record.event_id = call.event_id and event_record.rank = 1) as place,
        case when $pool is null then coalesce(replace(call.owner_reason, '_', ' '), 'no record says it') end as reason,
        event_charge.amount
    from event_charge join cost_event as call on call.event_id = event_charge.event_id
    where case when $pool is null then event_charge.pool is null and event_charge.owner_team is null
        else event_charge.pool = $pool end
        and event_charge.amount is not null
    order by event_charge.amount desc, event_charge.event_id, event_charge.owner_team
    limit $n
"""


def _told(row: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    role = str(row["attempt_role"])
    attempt = role if row["attempt_no"] == 1 and role == "primary" else f"{role}, attempt {row['attempt_no']}"
    failed = ", failed" if row["status"] == "error" else ""
    told = {name: row.get(name) for name in CALLS}
    return told | {
        "attempt": f"{attempt}{failed}",
        "tenant": _cut(row["tenant"], _HANDLE),
        "owner_from": _source(row["owner_from"]),
        "arithmetic": _arithmetic(row, items),
    }


def _source(given: str | None) -> str | None:
    """Return what gave the owner; of a key no more than its first characters."""
    if given is None or not given.startswith("key:"):
        return given
    return f"key:{_cut(given.removeprefix('key:'), _KEY)}"


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None or len(text) <= length else f"{text[:length]}…"


def _arithmetic(row: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> str:
    """Write out how the call's amount comes about: meters, discount, invoice, share."""
    steps = []
    if items:
        terms = " + ".join(_term(item) for item in items)
        steps.append(f"{terms} = {_usd(row['whole_list_cost'])} list")
    else:
        steps.append(f"no price: {row['price_reason'] or row['price_status']}")
    if row["whole_contracted_cost"] not in (None, row["whole_list_cost"]):
        steps.append(f"{_usd(row['whole_contracted_cost'])} at negotiated price")
    if row["whole_billed_cost"] is not None:
        steps.append(f"{_usd(row['whole_billed_cost'])} of the invoice fall on the call")
        if row["whole_effective_cost"] not in (None, row["whole_billed_cost"]):
            steps.append(f"{_usd(row['whole_effective_cost'])} once prepaid amounts are drawn down")
    if row["parts"] is not None:
        steps.append(f"{row['part']} of {row['parts']} parts are this team's")
    return "; ".join([*steps, f"{_usd(row['amount'])} charged"])


def _term(item: Mapping[str, Any]) -> str:
    unit = f"{_number(item['quantity'])} {item['meter']} {item['unit']}"
    if item["unit_price"] is None:
        return f"{unit} × unknown price"
    per = "" if item["price_per"] == 1 else f" ÷ {item['price_per']:,}"
    return f"{unit} × ${_number(item['unit_price'])}{per}"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${_number(amount)}"


def _number(value: Decimal) -> str:
    """Return a decimal in full without idle zeros, with thousands separators."""
    whole, _, part = f"{value:,f}".partition(".")
    part = part.rstrip("0")
    return f"{whole}.{part}" if part else whole
