"""What is wrong with the company's telemetry and bills: which faults there are, and where each one strikes."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

import numpy as np

from attribution.errors import QuestionError
from attribution.samples.company import Array, Company, load_rates
from attribution.samples.rhythm import Part
from attribution.samples.traffic import FAILED, OK, TIMED_OUT, Calls, quantities

FAULTS = {
    "h1": "the worker behind the queue is not instrumented: its calls start traces of their own, without an owner",
    "h2": "the producer is not instrumented: the worker's trace begins at the queue, without an owner",
    "h3": "the queue is instrumented by links only: the owner stands one link away",
    "h4": "the queue library does not propagate: only the message id joins both sides",
    "h5": "calls made in a thread pool lose their context and become roots",
    "h6": "the trace survives, the ownership fields do not",
    "h7": "the gateway's log has no tags, though the span has",
    "h8": "the parent span was never exported",
    "h9": "the consumer span closes before the work begins",
    "h10": "an agent's own owner overwrites the request's on the way",
    "h11": "a scheduled job never had an owner",
    "missing_team": "workflow and feature are there, the team is not",
    "misspelt_team": "the team is spelt in a way that no registry knows; one spelling has an alias",
    "claimed_gateway_team": "only the gateway's own team stands on the call",
    "three_sources": "one call stands in the trace, in the spend log and in the callback log",
    "file_twice": "a file was delivered twice under two names",
    "retries_logged_once": "the gateway logs a call once though the provider was called twice",
    "streams_without_usage": "streams past the gateway report no usage",
    "billed_timeouts": "the gateway gave up, the provider finished and billed",
    "midnight_shift": "the bill puts a call on the day it ended",
    "late_events": "the last day's gateway rows arrive after the month was closed",
    "corrected_bill": "a bill is delivered again with other amounts, and another gets correcting rows",
    "price_change": "a model's list price changes within a month",
    "discount_missing": "the provider grants a discount that the contract file does not know",
    "unknown_model": "a preview model has no public price",
    "cache_as_uncached": "cached input is recorded as fresh input",
    "tax_and_credits": "bills carry tax and credit lines",
    "prepaid_drawdown": "a prepaid balance is drawn down over the month",
    "tail_sampling": "one service exports a tenth of its traces",
    "workflow_renamed": "a workflow goes on under a new version name",
    "cross_team_agent": "one team's agent is called from another team's workflow",
    "virtual_keys": "calls carry nothing but a virtual key: an exclusive one, a shared one, one that moved",
    "storage_and_sessions": "bills charge storage and sessions that no call caused",
    "personal_data": "an ownership field holds a person's address",
    "malformed_lines": "some lines of a log are broken",
}

EVIDENCE = ("declared", "matched", "exclusive_key", "inherited", "linked", "trace", "rule", "none")
#: Struck requests per workflow fault: the switch, and the share of the month's dollars it takes; None takes all.
HOPS: dict[str, tuple[str, float | None]] = {
    "h2": ("h2", 0.015),
    "h5": ("h5", 0.030),
    "h9": ("h9", 0.008),
    "missing_team": ("missing_team", 0.009),
    "claimed": ("claimed_gateway_team", 0.005),
    "personal_data": ("personal_data", 0.006),
    "h11": ("h11", 0.011),
    "h3": ("h3", 0.012),
    "h4": ("h4", 0.012),
    "h6": ("h6", 0.020),
    "h7": ("h7", 0.010),
    "h8": ("h8", 0.008),
    "h10": ("h10", 0.015),
    "misspelt": ("misspelt_team", 0.010),
    "uncached": ("cache_as_uncached", 0.003),
    "no_usage": ("streams_without_usage", 0.020),
    "sampled": ("tail_sampling", None),
    "key_exclusive": ("virtual_keys", None),
    "key_moved": ("virtual_keys", None),
    # Last: it takes what is still missing from the unattributed share.
    "h1": ("h1", 0.110),
}
SIGNATURES = ("", *HOPS)
UNOWNED_BY = ("h1", "h2", "h5", "h9", "h11", "missing_team", "claimed", "personal_data")
UNATTRIBUTED = 0.11
_FILLERS = ("h2", "missing_team", "h5", "h11", "h9", "personal_data", "claimed")
_EVIDENCE_BY = {"h3": "linked", "h4": "linked", "h6": "inherited", "h8": "trace", "h11": "rule"}
#: These strike the calls behind the queue only.
_ASYNC = ("h1", "h2", "h3", "h4", "h8", "h9")


@dataclass
class Tally:
    """Running whole-number totals of one month, by which shares are steered."""

    dollars: int = 0
    unowned: int = 0
    struck: dict[str, int] = field(default_factory=dict)


def choose_faults(given: str | Iterable[str]) -> frozenset[str]:
    """Return the faults that are switched on: `all`, `none`, or names."""
    names = [given] if isinstance(given, str) else list(given)
    if names == ["all"]:
        return frozenset(FAULTS)
    if names in (["none"], []):
        return frozenset()
    for name in names:
        if name not in FAULTS:
            raise QuestionError.unknown_fault(name, FAULTS)
    return frozenset(names)


def place_faults(calls: Calls, part: Part, company: Company, tally: Tally, faults: Set[str], seed: int) -> None:
    """Decide which requests each fault strikes, and what can be known of every call after that."""
    rng = np.random.default_rng([seed, part.number, 1])
    _what_can_be_priced(calls)
    tally.dollars += int(np.maximum(calls["seen_cost"], 0).sum())
    calls["r_hop"] = np.zeros(len(calls["r_workflow"]), dtype=np.int64)
    calls["is_async"] = _is_async(company)[calls["step"]]
    _lose_attempts(calls, company, faults, tally)
    for hop, (switch, share) in HOPS.items():
        if switch in faults:
            _strike(calls, company, tally, hop, share, rng, hop == "h1")
    if "h1" in faults:
        # Where the last workflow had too few requests, others make up for it.
        for hop in _FILLERS:
            if HOPS[hop][0] in faults:
                _strike(calls, company, tally, hop, UNATTRIBUTED, rng, True)
    calls["hop"] = calls["r_hop"][calls["request"]]
    calls["hop"] = np.where(_reaches(calls, company), calls["hop"], 0)
    _forget_cache(calls)
    _set_evidence(calls, company, faults)


def _is_async(company: Company) -> Array:
    """Say of each step whether it runs behind its workflow's queue: all steps but a first of several."""
    flags = []
    for workflow, count in zip(company.workflows, company.step_count.tolist(), strict=True):
        flags += [bool(workflow.system) and (count == 1 or n > 0) for n in range(count)]
    return np.array(flags)


def _what_can_be_priced(calls: Calls) -> None:
    """Set the cost that an exact reading of all exports can find; -1 where none can."""
    listed = load_rates().listed[calls["deployment"]]
    calls["seen_cost"] = np.where(listed, calls["cost"], -1)


def _strike(
    calls: Calls,
    company: Company,
    tally: Tally,
    hop: str,
    share: float | None,
    rng: np.random.Generator,
    is_of_all: bool,
) -> None:
    """Mark requests of the hop's workflow until its share of the month's dollars, or that of all, is reached."""
    index = [n for n, w in enumerate(company.workflows) if w.hop == hop]
    chosen = np.isin(calls["r_workflow"], index) & (calls["r_hop"] == 0)
    if hop == "sampled":
        chosen &= rng.random(len(chosen)) < 0.9
    if share is not None:
        lost = np.maximum(calls["seen_cost"], 0) * (calls["is_async"] | (hop not in _ASYNC)) * (calls["hop_free"])
        each = np.bincount(calls["request"], weights=lost, minlength=len(chosen)).astype(np.int64)
        done = tally.unowned if is_of_all else tally.struck.get(hop, 0)
        order = rng.permutation(np.flatnonzero(chosen & (each > 0)))
        room = int(tally.dollars * share) - done
        reached = np.cumsum(each[order])
        # What a hop without owner leaves open, the last ones fill; the others may go half a request too far.
        ahead = each[order] // 2 if is_of_all or hop not in UNOWNED_BY else 0
        taken = order[reached - ahead <= room]
        chosen = np.zeros(len(chosen), dtype=bool)
        chosen[taken] = True
        total = int(each[taken].sum())
        tally.struck[hop] = tally.struck.get(hop, 0) + total
        tally.unowned += total if hop in UNOWNED_BY else 0
        tally.dollars -= total if hop == "no_usage" else 0
    calls["r_hop"][chosen] = SIGNATURES.index(hop)


def _lose_attempts(calls: Calls, company: Company, faults: Set[str], tally: Tally) -> None:
    """Set which billed attempts the gateway never logged; only the provider's log has them, and no owner."""
    batch = calls["workflow"] == company.workflow("invoice-matching")
    calls["unlogged"] = (calls["status"] == TIMED_OUT) & batch & ("retries_logged_once" in faults)
    calls["hop_free"] = ~calls["unlogged"]
    tally.unowned += int(calls["seen_cost"][calls["unlogged"]].sum())


def _reaches(calls: Calls, company: Company) -> Array:
    """Say of which calls of a struck request the fault is seen."""
    is_async = np.array([hop in _ASYNC for hop in SIGNATURES])[calls["hop"]]
    reached: Array = calls["is_async"] | ~is_async
    return reached


def _forget_cache(calls: Calls) -> None:
    """Where cached input is recorded as fresh, an exact reading prices it as fresh."""
    forgotten = (calls["hop"] == SIGNATURES.index("uncached")) & (calls["seen_cost"] >= 0)
    calls["uncached"] = forgotten
    rates = load_rates().of(calls["deployment"], calls["tier"], calls["day"], calls["input"])
    fresh = quantities(calls)
    fresh[:, 0] += fresh[:, 1]
    fresh[:, 1] = 0
    calls["seen_cost"] = np.where(forgotten, (fresh * rates).sum(axis=1), calls["seen_cost"])
    unmetered = (calls["hop"] == SIGNATURES.index("no_usage")) & (calls["status"] != FAILED)
    calls["unmetered"] = unmetered
    calls["seen_cost"] = np.where(unmetered, -1, calls["seen_cost"])


def _set_evidence(calls: Calls, company: Company, faults: Set[str]) -> None:
    """Set the rung of the ownership ladder that each call's evidence reaches."""
    by_hop = [_EVIDENCE_BY.get(hop, "none" if hop in UNOWNED_BY else "declared") for hop in SIGNATURES]
    for hop in ("key_exclusive", "key_moved"):
        by_hop[SIGNATURES.index(hop)] = "exclusive_key"
    evidence = np.array([EVIDENCE.index(name) for name in by_hop])[calls["hop"]]
    tags = np.array([w.tags for w in company.workflows])[calls["workflow"]]
    spans = np.array([w.dialect for w in company.workflows])[calls["workflow"]]
    embeds = np.array([s["operation"] == "embeddings" for s in company.steps])[calls["step"]]
    in_gateway_only = (embeds | (calls["status"] != OK)) & np.isin(spans, ("genai", "openllmetry"))
    on_spans = np.isin(evidence, [EVIDENCE.index("declared"), EVIDENCE.index("inherited")])
    from_trace = in_gateway_only & ~tags & on_spans
    evidence = np.where(from_trace, EVIDENCE.index("trace"), evidence)
    calls["evidence"] = np.where(calls["unlogged"], EVIDENCE.index("none"), evidence)
