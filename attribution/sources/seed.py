"""Nested trace JSON, as the article prints it: a trace with its provider calls, or a trace told hop by hop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attribution import normalization
from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Intake, Row
from attribution.sources._identities import violations
from attribution.sources._nesting import make_inclusive
from attribution.sources._ownership import FIELD_OF, Ownership

NAME = "seed"
VERSION = 1
GRAIN = "one provider call of a trace; a trace told by its hops is one call"
GIVES = "calls, ownership from the trace, hops with the team that claims them, usage, an estimated cost"
NESTING = "not stated; read from the counts themselves where they prove it, else taken as totals"
MONEY = "US dollars, estimated and rounded to three decimals"
ZONE = "none; times need an offset"
MISTAKE = "the team at the gateway is the platform that runs it: taken as owner, it pays for everybody's calls"

SIGNATURE = ("trace_id", "owner_team", "provider_calls")
_CALLS = ("provider_calls", "calls", "spans", "children", "steps", "events", "attempts")
_TRACE = ("trace_id", "traceId")
_SPELLINGS = {
    "request_id": ("request_id", "response_id", "id", "call_id", "billing_join"),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "cache_read_tokens": ("cache_read_tokens", "cached_tokens", "cache_read_input_tokens", "cached_input_tokens"),
    "cache_write_5m_tokens": ("cache_write_tokens", "cache_creation_input_tokens", "cache_write_input_tokens"),
    "reasoning_tokens": ("reasoning_tokens", "reasoning_output_tokens"),
    "total_tokens": ("total_tokens",),
    "cost": ("estimated_cost_usd", "cost_usd"),
    "started_at": ("started_at", "start_time", "timestamp", "created_at"),
    "ended_at": ("ended_at", "end_time"),
    "model": ("model", "response_model"),
    "provider": ("provider",),
}
_COUNTS = [name for name in _SPELLINGS if name.endswith("_tokens")]
_CALL_KEYS = {spelling for name in (*_COUNTS, "model") for spelling in _SPELLINGS[name]}
_HOP_KEYS = _CALL_KEYS | set(FIELD_OF) | {"provider", *_SPELLINGS["cost"]}
_RESPONSE_IDS = ("chatcmpl-", "resp_", "msg_", "gen-")
_CACHE_POLICY = {"hit": True, "miss": False, "none": False, "bypass": False, "off": False, "disabled": False}
_STATUS = {"ok": "ok", "success": "ok", "succeeded": "ok", "error": "error", "failure": "error", "failed": "error"}
_HALF_MILLI = Decimal("0.0005")


def recognise(sample: Sample) -> int:
    """Look for a trace that holds its calls or names its hops."""
    return max((_score(document) for document in sample.documents), default=0)


def _score(document: Document) -> int:
    if not any(type(document.get(name)) is str for name in _TRACE):
        return 0
    name, calls = _calls_of(document)
    if calls and any(_CALL_KEYS & set(call) for call in calls if type(call) is dict):
        return 90 if name == "provider_calls" else 70
    if name == "provider_calls":
        return 80
    hops = _hops_of(document)
    return 75 if len(hops) > 1 and any(_CALL_KEYS & set(hop) for hop in hops.values()) else 0


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one trace."""
    trace = _Trace(document, line, intake)
    trace.read_hops()
    name, calls = _calls_of(document)
    if name is not None:
        trace.read_calls(calls, document, [])
        trace.check_total()
    elif trace.hops:
        trace.read_hop_call()
    for row in trace.rows:
        intake.accept(line, observation=row.pop("_call", None), span=row.pop("_span", None))


def _calls_of(document: Document) -> tuple[str | None, list[Any]]:
    for name in _CALLS:
        if type(document.get(name)) is list:
            return name, document[name]
    return None, []


def _hops_of(document: Document) -> dict[str, Document]:
    """Any object whose keys look like usage, ownership or a model is a hop; they passed the trace on in this order."""
    return {name: hop for name, hop in document.items() if type(hop) is dict and _HOP_KEYS & set(hop)}


def _pick(name: str, *places: Document) -> Any:
    for place in places:
        for spelling in _SPELLINGS[name]:
            if place.get(spelling) is not None:
                return place[spelling]
    return None


class _Trace:
    """One trace while it is read; nothing is handed over before all of it is."""

    def __init__(self, document: Document, line: int, intake: Intake) -> None:
        self.document, self.line, self.intake = document, line, intake
        given = next((document[name] for name in _TRACE if document.get(name) is not None), None)
        self.trace_id = normalization.text(given, "trace_id")
        self.hops = _hops_of(document)
        self.rows: list[Row] = []
        self.calls: list[Row] = []
        self.known: dict[str, int] = {}

    def read_hops(self) -> None:
        """Make each hop a span; its `team` is a claim of whoever operates the hop."""
        above = None
        for name, hop in self.hops.items() if self.trace_id else ():
            span_id = f"{self.trace_id}/{name}"
            span: Row = {
                "trace_id": self.trace_id,
                "span_id": span_id,
                "parent_span_id": above,
                "name": name,
                "service": name,
                "status": "unknown",
                "is_call": False,
            }
            ownership = Ownership(self.intake)
            ownership.take({key: value for key, value in hop.items() if key != "team"}, name)
            span |= ownership.found
            span["claimed_team"] = normalization.owner(hop.get("team"), "claimed_team", ownership.flags)
            self.rows.append({"_span": span})
            above = span_id

    def read_calls(self, calls: list[Any], holder: Document, above: list[Document]) -> None:
        """Read a list of calls, and calls within them; ownership comes from the nearest that states it."""
        for call in calls:
            if type(call) is not dict:
                fault = Unreadable("not_an_object", "an object per call", type(call).__name__, "provider_calls")
                self.intake.set_aside(self.line, fault, len(self.calls))
                continue
            name, nested = _calls_of(call)
            if name is not None:
                self.read_calls(nested, call, [holder, *above])
            elif _CALL_KEYS & set(call):
                self._take_call(call, [holder, *above])
            else:
                self.intake.pass_over()

    def _take_call(self, call: Document, above: list[Document]) -> None:
        try:
            row = self._call(call, [call, *above], call)
        except Unreadable as fault:
            self.intake.set_aside(self.line, fault, len(self.calls))
            return
        if self.rows and "_span" in self.rows[-1]:
            row["parent_span_id"] = self.rows[-1]["_span"]["span_id"]
        self.calls.append(row)
        self.rows.append({"_call": row})

    def read_hop_call(self) -> None:
        """A trace told by its hops is one call: the last hop that counted tokens made it."""
        counting = [name for name, hop in self.hops.items() if _pick_any(hop)]
        name = counting[-1] if counting else list(self.hops)[-1]
        backwards = list(self.hops.values())[list(self.hops).index(name) :: -1]
        row = self._call(self.hops[name], [self.document], *backwards, self.document)
        for other in counting[:-1]:
            self._compare(row, other)
        told = next((each for each in self.rows if each["_span"]["name"] == name), None)
        if told is None:
            self.rows.append({"_call": row})
            return
        told["_span"]["is_call"] = True
        row["span_id"], row["parent_span_id"] = told["_span"]["span_id"], told["_span"]["parent_span_id"]
        told["_call"] = row

    def _compare(self, row: Row, other: str) -> None:
        for field in ("input_tokens", "output_tokens"):
            said = normalization.count(_pick(field, self.hops[other]), f"{other}.{field}")
            if said is not None and said != row[field]:
                row["usage_flags"] = [*(row["usage_flags"] or []), f"{field} {row[field]} <> {said} at {other}"]

    def _call(self, call: Document, owners: list[Document], *facts: Document) -> Row:
        counts = {name: normalization.count(_pick(name, call), name) for name in _COUNTS}
        zone = self.intake.options.get("tz")
        row: Row = {
            "role": "application",
            "trace_id": self.trace_id,
            "started_at": normalization.instant(_pick("started_at", *facts), "started_at", zone),
            "ended_at": normalization.instant(_pick("ended_at", *facts), "ended_at", zone),
            "status": _STATUS.get(str(call.get("status")).lower(), "unknown"),
            "error_type": normalization.text(call.get("error_type"), "error_type"),
            "operation": normalization.text(call.get("operation"), "operation"),
            "attempt_no": normalization.count(call.get("attempt"), "attempt"),
            "provider": normalization.provider(normalization.text(_pick("provider", *facts), "provider")),
            "model": normalization.text(_pick("model", *facts), "model"),
            "service_tier": normalization.service_tier(
                next((f["service_tier"] for f in facts if "service_tier" in f), None)
            ),
            "cache_hit": _cache_hit(facts),
            "source_cost": normalization.money(_pick("cost", *facts), "estimated_cost_usd"),
            "is_metered": any(count is not None for count in counts.values()),
            **counts,
        }
        make_inclusive(row, None, None)
        row["usage_flags"] = violations(row)
        self._identify(row, normalization.text(_pick("request_id", *facts), "request_id"))
        self._own(row, owners)
        return row

    def _identify(self, row: Row, request: str | None) -> None:
        column = "response_id" if request and request.startswith(_RESPONSE_IDS) else "provider_request_id"
        row[column] = request
        key = f"{self.trace_id}/{request or 'call'}"
        self.known[key] = self.known.get(key, 0) + 1
        row["native_id"] = key if request and self.known[key] == 1 else f"{key}#{self.known[key]}"
        if self.trace_id is None and request is None:
            row["native_id"] = self.intake.content_id(sorted((name, str(value)) for name, value in row.items()))

    def _own(self, row: Row, owners: list[Document]) -> None:
        """The call's own value wins over its trace's; where both speak and differ, that is flagged."""
        ownership = Ownership(self.intake)
        for place, holder in zip(("call", *("trace",) * len(owners)), owners, strict=False):
            ownership.take(holder, place)
        for name, hop in self.hops.items():
            claimed = normalization.owner(hop.get("team"), "claimed_team", ownership.flags)
            if claimed and not row.get("claimed_team"):
                row["claimed_team"] = claimed
                ownership.flags.append(f"claimed_by:{name}")
        ownership.write(row)

    def check_total(self) -> None:
        """The trace's own total is the sum of its calls, within the rounding of each to three decimals."""
        total = normalization.money(self.document.get("total_estimated_cost_usd"), "total_estimated_cost_usd")
        costs = [row["source_cost"] for row in self.calls if row["source_cost"] is not None]
        if total is None or not self.calls or len(costs) < len(self.calls):
            return
        if abs(total - sum(costs)) > _HALF_MILLI * (len(costs) + 1):
            first = self.calls[0]
            said = f"total_estimated_cost_usd {total.normalize():f} <> sum of calls {sum(costs).normalize():f}"
            first["usage_flags"] = [*(first["usage_flags"] or []), said]


def _pick_any(hop: Document) -> bool:
    return any(_pick(name, hop) is not None for name in _COUNTS)


def _cache_hit(facts: tuple[Document, ...]) -> bool | None:
    for place in facts:
        if place.get("cache_hit") is not None:
            return normalization.flag(place["cache_hit"], "cache_hit")
        if type(place.get("cache_policy")) is str:
            return _CACHE_POLICY.get(place["cache_policy"].lower())
    return None
