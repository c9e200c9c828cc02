"""A part of a day as plain Python lists: names, handles and ids, ready for the writers."""

from __future__ import annotations

from collections.abc import Set
from datetime import date, timedelta
from typing import Any

import numpy as np

from attribution.samples.bills import DISCOUNTS
from attribution.samples.company import FIRST_DAY, Company
from attribution.samples.faults import EVIDENCE, FAULTS, HOPS, SIGNATURES
from attribution.samples.ids import Ids
from attribution.samples.rhythm import Part
from attribution.samples.traffic import FAILED, FALLBACK, OK, RENAMED, TIMED_OUT, Calls, is_guard, is_review

KEY_MOVED = date(2026, 9, 15)
#: Exports a call can be seen in.
EXPORTS = ("otlp", "spend_logs", "standard_logging", "langfuse", "bedrock", "direct")
#: The month whose Langfuse files are delivered twice.
TWICE = "2026-10"
PERSON = "dana.fox@acme.example"
#: Where each operation has a trace of its own, or the worker has one for the whole job.
_OWN_TRACE = ("h1", "h5", "h9")
_SECOND_TRACE = ("h2", "h3", "h4")


class Page(dict[str, list[Any]]):
    """Columns of one part by name, as lists; `calls` has the numbers as arrays, made into lists when asked for."""

    def __init__(self, part: Part, calls: Calls, first: int, first_request: int) -> None:
        super().__init__()
        self.part = part
        self.calls = calls
        self.first = first
        self.first_request = first_request
        self.count = len(calls["step"])

    def __missing__(self, name: str) -> list[Any]:
        column: list[Any] = self.calls[name].tolist()
        self[name] = column
        return column


def render(
    part: Part, calls: Calls, company: Company, seed: int, faults: Set[str], first: int, first_request: int
) -> Page:
    """Give every call its names and ids."""
    page = Page(part, calls, first, first_request)
    _see(calls, company, part, faults)
    _break_lines(calls, part, seed, faults)
    _where_declared(calls, company, faults)
    _ids(page, company, Ids(seed, part.number))
    _handles(page)
    _names(page, company, faults)
    return page


def _see(calls: Calls, company: Company, part: Part, faults: Set[str]) -> None:
    """Decide which exports see each call."""
    dialect = np.array([w.dialect for w in company.workflows])[calls["workflow"]]
    embeds = np.array([s["operation"] == "embeddings" for s in company.steps])[calls["step"]]
    hop, done = calls["hop"], calls["status"] == OK
    spans = np.isin(dialect, ("genai", "openllmetry")) & done & ~embeds & (hop != SIGNATURES.index("sampled"))
    past_gateway = (dialect == "direct") | (hop == SIGNATURES.index("no_usage")) | calls["unlogged"]
    log = np.array([d.gateway_log for d in company.deployments])[calls["deployment"]]
    twice = (calls["workflow"] == company.workflow("refund-agent")) & ("three_sources" in faults)
    calls["in_otlp"] = spans
    calls["in_spend_logs"] = ~past_gateway & ((log == "spend_logs") | (twice & done))
    calls["in_standard_logging"] = ~past_gateway & ((log == "standard_logging") | twice)
    calls["in_langfuse"] = (dialect == "langfuse") & ~embeds
    on_aws = np.array([d.provider == "aws" for d in company.deployments])[calls["deployment"]]
    calls["in_bedrock"] = on_aws
    calls["in_direct"] = (dialect == "direct") & done
    day_over = (calls["started"] // 3_600_000) % 24 >= 18
    is_last = (part.day.month != date.fromordinal(part.day.toordinal() + 1).month) and "late_events" in faults
    calls["late"] = calls["in_spend_logs"] & day_over & is_last


def _break_lines(calls: Calls, part: Part, seed: int, faults: Set[str]) -> None:
    """Choose rows of the spend log that are cut off; their calls are known from the trace alone."""
    luck = np.random.default_rng([seed, part.number, 3]).random(len(calls["step"]))
    spare = calls["in_otlp"] & calls["in_spend_logs"] & ~calls["in_standard_logging"] & (calls["hop"] == 0)
    spare &= ~calls["late"] & (calls["web_search"] == 0) & (calls["attempt"] == 1)
    calls["malformed"] = spare & (luck < 0.006) & ("malformed_lines" in faults)


def _where_declared(calls: Calls, company: Company, faults: Set[str]) -> None:
    """Tell an owner on the record that speaks for the call from one on another record of it, or above the call.

    Above it stands the caller of another team's agent, who pays, and in Langfuse the trace.
    """
    tags = np.array([w.tags for w in company.workflows])[calls["workflow"]] & (calls["hop"] != SIGNATURES.index("h7"))
    in_gateway = (calls["in_spend_logs"] & ~calls["malformed"]) | calls["in_standard_logging"]
    declared = calls["evidence"] == EVIDENCE.index("declared")
    elsewhere = declared & (calls["in_bedrock"] | (in_gateway & ~tags))
    nested = is_review(calls, company) & (calls["hop"] == SIGNATURES.index("h10"))
    called = nested | (is_guard(calls, company) & ("cross_team_agent" in faults))
    evidence = np.where(elsewhere, EVIDENCE.index("matched"), calls["evidence"])
    above = (called & (calls["status"] == OK)) | calls["in_langfuse"]
    evidence = np.where(above & declared, EVIDENCE.index("inherited"), evidence)
    owned = np.isin(evidence, [EVIDENCE.index(name) for name in ("declared", "matched", "inherited")])
    owned &= np.any([calls[f"in_{name}"] for name in EXPORTS], axis=0)
    witnesses = np.bincount(calls["request"][owned], minlength=len(calls["r_workflow"]))[calls["request"]]
    alone = (evidence == EVIDENCE.index("trace")) & (witnesses == 0)
    calls["evidence"] = np.where(alone, EVIDENCE.index("none"), evidence)


def _ids(page: Page, company: Company, ids: Ids) -> None:
    calls = page.calls
    requests, count = len(calls["r_workflow"]), page.count
    operations = int(calls["operation"][-1]) + 1
    request, operation = page["request"], page["operation"]
    lists = page
    lists["r_trace"], lists["r_second_trace"] = ids.hexes(requests, 32), ids.hexes(requests, 32)
    for name in ("r_root", "r_producer", "r_consumer", "r_receive"):
        lists[name] = ids.hexes(requests, 16)
    lists["r_message"] = ids.uuids(requests)
    own, spans, call_ids = ids.hexes(operations, 32), ids.hexes(operations, 16), ids.uuids(operations)
    sdk_spans = ids.hexes(operations, 16)
    lists["sdk_span_id"] = [sdk_spans[n] for n in operation]
    lists["gateway_call_id"] = [call_ids[n] for n in operation]
    lists["span_id"] = [spans[n] for n in operation]
    lists["trace_id"] = _traces(page, company, own)
    lists["observation_id"] = ids.hexes(count, 16)
    lists["provider_request_id"] = ids.uuids(count)
    lists["response_id"] = _responses(page, company, ids.hexes(count, 29))
    lists["operation_id"] = [f"op-{page.first + n}" for n in operation]
    lists["request_id"] = [f"req-{page.first_request + n}" for n in request]


def _traces(page: Page, company: Company, own: list[str]) -> list[str]:
    """Return the trace in which each call is seen; calls without spans have the gateway's own session id."""
    hop = page.calls["hop"]
    alone = np.isin(hop, [SIGNATURES.index(h) for h in _OWN_TRACE])
    second = np.isin(hop, [SIGNATURES.index(h) for h in _SECOND_TRACE])
    bare = np.array([w.dialect in ("none", "direct") for w in company.workflows])[page.calls["workflow"]]
    kind = np.where(bare, 3, np.where(alone, 2, np.where(second, 1, 0))).tolist()
    first, other = page["r_trace"], page["r_second_trace"]
    traces = []
    for which, request, operation in zip(kind, page["request"], page["operation"], strict=True):
        if which == 0:
            traces.append(first[request])
        elif which == 1:
            traces.append(other[request])
        else:
            h = own[operation]
            traces.append(h if which == 2 else f"{h[:8]}-{h[8:12]}-4{h[13:16]}-b{h[17:20]}-{h[20:]}")
    return traces


def _responses(page: Page, company: Company, drawn: list[str]) -> list[str]:
    """Return the provider's id of each answer; failures and embeddings have the gateway's call id."""
    prefixes = [d.id_prefix for d in company.deployments]
    calls = page.calls
    plain = (calls["status"] != OK) | np.array([s["operation"] == "embeddings" for s in company.steps])[calls["step"]]
    return [
        call_id if bare else prefixes[d] + text
        for bare, d, text, call_id in zip(
            plain.tolist(), page["deployment"], drawn, page["gateway_call_id"], strict=True
        )
    ]


def _handles(page: Page) -> None:
    """Name tenants and users by handles that say nothing about them."""
    tenants = [None if t < 0 else f"t_{(t * 2654435761 + 97) % 2**32:08x}" for t in page["r_tenant"]]
    users = [f"u_{(u * 2246822519 + 13) % 2**32:08x}" for u in page["r_user"]]
    page["tenant"] = [tenants[n] for n in page["request"]]
    page["user"] = [users[n] for n in page["request"]]


def _names(page: Page, company: Company, faults: Set[str]) -> None:
    """Set true and declared owner, workflow and feature of each call."""
    calls, lists = page.calls, page
    workflows = [w.workflow_id for w in company.workflows]
    if page.part.day >= RENAMED and "workflow_renamed" in faults:
        workflows = [w.replace("-v4", "-v5") for w in workflows]
    teams = [w.team for w in company.workflows]
    if page.part.day >= KEY_MOVED:
        teams[company.workflow("labs-demo")] = "data-science"
    features = [w.feature for w in company.workflows]
    order = page["workflow"]
    lists["workflow_id"] = [workflows[n] for n in order]
    lists["feature"] = [features[n] for n in order]
    lists["owner"] = [teams[n] for n in order]
    lists["request_team"] = list(lists["owner"])
    lists["request_workflow"] = list(lists["workflow_id"])
    guard = is_guard(calls, company) & ("cross_team_agent" in faults)
    for n in np.flatnonzero(guard).tolist():
        lists["workflow_id"][n], lists["feature"][n] = "guard-agent", "guard"
    lists["declared"] = list(lists["owner"])
    for n in np.flatnonzero(guard).tolist():
        lists["declared"][n] = "platform"
    for n in np.flatnonzero(calls["hop"]).tolist():
        lists["declared"][n] = _declared(SIGNATURES[calls["hop"][n]], page, company, n)
    lists["asked"] = [company.deployments[n].name for n in _asked(calls, company)]
    lists["evidence_name"] = [EVIDENCE[n] for n in page["evidence"]]
    lists["hop_name"] = [SIGNATURES[n] or None for n in page["hop"]]
    days, place = np.unique(calls["day"], return_inverse=True)
    months = [f"{FIRST_DAY + timedelta(days=day):%Y-%m}" for day in days.tolist()]
    lists["month"] = [months[n] for n in place.tolist()]
    lists["faults"] = _faults(calls, company, page.part, faults)
    lists["seen_in"] = _seen_in(calls)
    _parents(page, company)


def _faults(calls: Calls, company: Company, part: Part, faults: Set[str]) -> list[list[str]]:
    """Name the faults that touch each call."""
    names = list(FAULTS)
    provider = np.array([d.provider for d in company.deployments])[calls["deployment"]]
    model = np.array([d.name for d in company.deployments])[calls["deployment"]]
    *_, begins = DISCOUNTS["anthropic"]
    touched = {switch: calls["hop"] == SIGNATURES.index(hop) for hop, (switch, _) in HOPS.items()}
    keys = [SIGNATURES.index(hop) for hop in ("key_exclusive", "key_moved")]
    touched |= {
        "virtual_keys": np.isin(calls["hop"], keys),
        "billed_timeouts": calls["status"] == TIMED_OUT,
        "retries_logged_once": calls["unlogged"],
        "late_events": calls["late"],
        "midnight_shift": calls["bill_hour"] // 24 != calls["started"] // 86_400_000,
        "three_sources": calls["in_spend_logs"] & calls["in_standard_logging"],
        "price_change": model == "gpt-5.6-sol",
        "unknown_model": model == "atlas-preview",
        "discount_missing": (provider == "anthropic") & (part.day >= begins) & (calls["status"] != FAILED),
        "workflow_renamed": (calls["workflow"] == company.workflow("ticket-triage-v4")) & (part.day >= RENAMED),
        "cross_team_agent": is_guard(calls, company) & (calls["status"] == OK),
        "malformed_lines": calls["malformed"],
        "file_twice": calls["in_langfuse"] & (part.month == TWICE),
    }
    bits = np.zeros(len(calls["step"]), dtype=np.int64)
    for name, mask in touched.items():
        if name in faults:
            bits |= mask.astype(np.int64) << names.index(name)
    codes, place = np.unique(bits, return_inverse=True)
    lists = [[name for n, name in enumerate(names) if code >> n & 1] for code in codes.tolist()]
    return [lists[n] for n in place.tolist()]


def _asked(calls: Calls, company: Company) -> list[int]:
    """Return the deployment that was asked for: a fallback answers from another."""
    steps = np.array([company.deployment(s["deployment"]) for s in company.steps])[calls["step"]]
    asked: list[int] = np.where(calls["role"] == FALLBACK, steps, calls["deployment"]).tolist()
    return asked


def _parents(page: Page, company: Company) -> None:
    """Set the span above each call, and when its operation began."""
    lists, calls = page, page.calls
    operation = calls["operation"]
    begins = np.r_[True, operation[1:] != operation[:-1]]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(operation)), 0))
    lists["op_started"] = calls["started"][first].tolist()
    parents = []
    agents = np.array([w.agent for w in company.workflows])[calls["workflow"]]
    below = (calls["is_async"] | agents).tolist()
    for hop, behind, request in zip(lists["hop_name"], below, page["request"], strict=True):
        if hop in _OWN_TRACE:
            parents.append("")
        else:
            parents.append(lists["r_consumer" if behind else "r_root"][request])
    lists["parent_span"] = parents


def _declared(hop: str, page: Page, company: Company, row: int) -> str | None:
    """Return the team as the call itself says it, where a fault changed that."""
    owner: str = page["owner"][row]
    if hop == "personal_data":
        return PERSON
    if hop == "misspelt":
        return ("finanace-ops", "Finance Ops")[page["request"][row] % 2]
    if hop == "h10":
        return "copilots" if company.steps[page["step"][row]]["step"] == "review" else owner
    if hop in ("h7", "uncached", "no_usage", "sampled"):
        return owner
    return None


def _seen_in(calls: Calls) -> list[list[str]]:
    flags = np.stack([calls[f"in_{name}"] for name in EXPORTS], axis=1)
    codes = flags @ (1 << np.arange(len(EXPORTS)))
    names = [[e for b, e in enumerate(EXPORTS) if code >> b & 1] for code in range(1 << len(EXPORTS))]
    return [names[code] for code in codes.tolist()]
