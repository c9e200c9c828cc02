"""Requests and what they fan out to: operations, attempts, tokens, times and costs of one part of a day."""

from __future__ import annotations

from collections.abc import Set
from datetime import UTC, date, datetime

import numpy as np

from attribution.samples.company import FIRST_DAY, METERS, TENANTS, TIERS, Array, Company, load_rates
from attribution.samples.rhythm import HOURS, Part
from attribution.samples.weeks import AFTER, Luck, Weeks, is_in_week

#: One part of a day: columns of equal length, one row per provider call attempt; `r_` columns have one row per request.
Calls = dict[str, Array]

GPT_DAY = date(2026, 10, 20)
RENAMED = date(2026, 9, 21)

OK, FAILED, TIMED_OUT = 0, 1, 2
PRIMARY, RETRY, FALLBACK = 0, 1, 2
TOKEN_COLUMNS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")
DAY_MS = 86_400_000
LONGEST_ANSWER = 32_000
#: What changes in the second week beside traffic: answers of the chat that move to a larger model, and retries.
LARGER_MODEL = 0.15
MORE_RETRIES = 0.14
#: Share of failed first attempts on AWS that the provider finished and billed.
BILLED_SHARE = 0.45


def generate(
    part: Part, company: Company, seed: int, dearness: float, faults: Set[str], weeks: Weeks | None = None
) -> Calls:
    """Return the calls of one part of a day; the same seed and part, in order, give the same calls."""
    rng = np.random.default_rng([seed, part.number])
    luck = Luck(rng, weeks, part.day)
    calls: Calls = {"r_workflow": _workflows(part, company, rng, weeks)}
    _operations(calls, part, company, luck, faults)
    _attempts(calls, part, company, luck, faults)
    _requests(calls, part, company, rng)
    if weeks:
        weeks.note(part, calls["r_workflow"])
    _tokens(calls, company, luck, dearness)
    _times(calls, part, rng)
    set_costs(calls)
    return calls


def _workflows(part: Part, company: Company, rng: np.random.Generator, weeks: Weeks | None) -> Array:
    """Draw the workflow of more requests than are needed, in no order of time."""
    shares = np.array([w.share for w in company.workflows], dtype=float)
    if part.day.weekday() >= 5:
        shares *= np.array([0.35 if w.hours == "office" else 1.0 for w in company.workflows])
    if part.day == GPT_DAY:
        support = company.team_of_workflow() == company.team_names.index("support")
        shares = np.where(support, shares * 1.3, shares)
    count = int(part.calls / 1.6) + 12
    drawn: Array = rng.choice(len(shares), size=count, p=shares / shares.sum())
    wanted = weeks.wanted(part) if weeks else None
    if weeks is None or wanted is None:
        return drawn
    own = np.repeat(np.arange(len(shares)), wanted)
    return np.concatenate([own, drawn[~weeks.team[drawn]]])


def _requests(calls: Calls, part: Part, company: Company, rng: np.random.Generator) -> None:
    """Give the requests that are left their time, tenant and user, and put everything in order of time."""
    workflow = calls["r_workflow"][: int(calls["request"].max()) + 1]
    count = len(workflow)
    hour = np.empty(count, dtype=np.int64)
    for kind, weights in HOURS.items():
        mask = np.array([w.hours == kind for w in company.workflows])[workflow]
        hour[mask] = rng.choice(24, size=int(mask.sum()), p=weights)
    offset = _arrivals(hour, company, rng)
    nightly = np.array([w.hours == "night" for w in company.workflows])[workflow]
    across = nightly & (hour == 23) & (rng.random(count) < 0.25)
    offset = np.where(across, DAY_MS - 3_000 - (40_000 * rng.random(count)).astype(np.int64), offset)
    tenants = np.array([w.tenants for w in company.workflows])[workflow]
    tenant = np.where(tenants, _heavy_tail(rng, count, TENANTS, 1.15), -1)
    employee = 100_000 + _heavy_tail(rng, count, 600, 0.8)
    user = np.where(tenant >= 0, tenant * 40 + _heavy_tail(rng, count, 40, 1.3), employee)
    order = np.argsort(offset, kind="stable")
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    calls["request"] = place[calls["request"]]
    rows = np.argsort(calls["request"], kind="stable")
    for name in [name for name in calls if not name.startswith("r_")]:
        calls[name] = calls[name][rows]
    begins = np.r_[True, calls["operation"][1:] != calls["operation"][:-1]]
    calls["operation"] = np.cumsum(begins) - 1
    for name, column in (("workflow", workflow), ("offset_ms", offset), ("tenant", tenant), ("user", user)):
        calls[f"r_{name}"] = column[order]


def _heavy_tail(rng: np.random.Generator, count: int, size: int, power: float) -> Array:
    weights = 1.0 / np.arange(1, size + 1) ** power
    drawn: Array = rng.choice(size, size=count, p=weights / weights.sum())
    return drawn


def _arrivals(hour: Array, company: Company, rng: np.random.Generator) -> Array:
    """Place requests in their hours with the gaps of the real traces: bursts and lulls."""
    quantiles = company.quantiles
    gaps = np.interp(rng.random(len(hour)), quantiles["conv.quantile"], quantiles["conv.gap_of_mean"]) + 1e-6
    offset = np.empty(len(hour), dtype=np.int64)
    for value in np.unique(hour):
        inside = np.flatnonzero(hour == value)
        reached = np.cumsum(gaps[inside])
        whole = reached[-1] + gaps[inside].mean() * (0.2 + rng.random())
        offset[inside] = value * 3_600_000 + (reached / whole * 3_599_000).astype(np.int64)
    return offset


def _operations(calls: Calls, part: Part, company: Company, luck: Luck, faults: Set[str]) -> None:
    """Fan each request out to its logical calls."""
    workflow = calls["r_workflow"]
    counts = company.step_count[workflow]
    request = np.repeat(np.arange(len(workflow)), counts)
    within = np.arange(len(request)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = company.first_step[workflow][request] + within
    kept = luck.draw("chance", step, workflow[request]) < company.step_numbers("chance")[step]
    request, step = request[kept], step[kept]
    loops = company.step_numbers("loops")[step] - 1.0
    evenly = np.floor(loops + luck.draw("loops", step, workflow[request])).astype(np.int64)
    times = 1 + np.where(loops > 1.5, luck.rng.poisson(loops), evenly)
    calls["request"] = np.repeat(request, times)
    calls["step"] = np.repeat(step, times)
    usual = {
        "gpt-5.6-sol": "gpt-5.6-sol" if "price_change" in faults else "gpt-5",
        "atlas-preview": "atlas-preview" if "unknown_model" in faults else "gpt-4.1-mini",
    }
    chosen = [company.deployment(usual.get(s["deployment"], s["deployment"])) for s in company.steps]
    deployments = np.array(chosen)[calls["step"]]
    if is_in_week(part.day, AFTER):
        larger = luck.draw("larger model", calls["step"], workflow[calls["request"]]) < LARGER_MODEL
        moved = (calls["step"] == _step(company, "chat-assistant", "answer")) & larger
        deployments = np.where(moved, company.deployment("gpt-5"), deployments)
    calls["deployment"] = deployments


def is_guard(calls: Calls, company: Company) -> Array:
    """Say which calls are the guard agent's: Platform's agent inside Support's refunds."""
    chosen: Array = calls["step"] == _step(company, "refund-agent", "verify")
    return chosen


def is_review(calls: Calls, company: Company) -> Array:
    """Say which calls are the nested agent's inside Platform's code review."""
    chosen: Array = calls["step"] == _step(company, "code-review", "review")
    return chosen


def _step(company: Company, workflow: str, step: str) -> int:
    return [(s["workflow_id"], s["step"]) for s in company.steps].index((workflow, step))


def _attempts(calls: Calls, part: Part, company: Company, luck: Luck, faults: Set[str]) -> None:
    """Turn operations into attempts (primary, retry, fallback) and cut the part to its size."""
    step, deployment = calls["step"], calls["deployment"]
    workflow = calls["r_workflow"][calls["request"]]
    retry = company.step_numbers("retry")[step]
    if is_in_week(part.day, AFTER):
        retry = np.where(step == _step(company, "draft-reply", "answer"), MORE_RETRIES, retry)
    drawn = luck.draw("attempts", step, workflow)
    falls_back = (drawn >= retry) & (drawn < retry + company.step_numbers("fallback")[step])
    tries = np.where((drawn < retry) | falls_back, 2, 1)
    operation = np.repeat(np.arange(len(step)), tries)[: part.calls]
    attempt = np.arange(len(operation)) - (np.cumsum(tries) - tries)[operation] + 1
    is_first_of_two = (tries[operation] == 2) & (attempt == 1)
    target = np.array([company.deployment(s["fallback_to"] or "gpt-5-mini") for s in company.steps])[step]
    on_aws = np.array([d.provider == "aws" for d in company.deployments])[deployment][operation]
    finished = luck.draw("finished", step, workflow)[operation] < BILLED_SHARE
    billed = is_first_of_two & on_aws & finished & ("billed_timeouts" in faults)
    role = np.where(attempt == 1, PRIMARY, np.where(falls_back[operation], FALLBACK, RETRY))
    for name in ("request", "step"):
        calls[name] = calls[name][operation]
    calls["deployment"] = np.where(role == FALLBACK, target[operation], deployment[operation])
    calls["operation"] = operation
    calls["attempt"] = attempt
    calls["role"] = role
    calls["status"] = np.where(billed, TIMED_OUT, np.where(is_first_of_two, FAILED, OK))
    tier = np.array([TIERS.index(s["tier"]) for s in company.steps])[calls["step"]]
    calls["tier"] = np.where(role == FALLBACK, 0, tier)
    calls["workflow"] = calls["r_workflow"][calls["request"]]


def _tokens(calls: Calls, company: Company, luck: Luck, dearness: float) -> None:
    """Draw sizes from the fitted quantiles and split them over the meters."""
    step, deployment, workflow = calls["step"], calls["deployment"], calls["workflow"]
    is_code = np.array([s["shape"] == "code" for s in company.steps])[step]
    size_in, size_out = (
        _sizes(company, is_code, luck.draw(name, step, workflow), name) for name in ("input", "output")
    )
    limit = np.array([d.input_limit for d in company.deployments])[deployment]
    size_in, size_out = (
        size * company.step_numbers(f"{name}_scale")[step] * dearness
        for size, name in ((size_in, "input"), (size_out, "output"))
    )
    tokens_in = np.minimum(size_in, limit).astype(np.int64)
    tokens_out = np.minimum(size_out, LONGEST_ANSWER).astype(np.int64)
    metered = calls["status"] != FAILED
    embeds = np.array([s["operation"] == "embeddings" for s in company.steps])[step]
    calls["input"] = np.where(metered, np.maximum(tokens_in, 8), 0)
    calls["output"] = np.where(metered & ~embeds, np.maximum(tokens_out, 4), 0)
    hidden = company.step_numbers("reasoning")[step] * luck.draw("reasoning", step, workflow)
    calls["reasoning"] = (calls["output"] * hidden).astype(np.int64)
    _cache(calls, company, luck)
    searches = luck.draw("search", step, workflow) < company.step_numbers("web_search")[step]
    calls["web_search"] = np.where(metered & searches & (calls["role"] != FALLBACK), 1, 0)
    calls["stream"] = np.array([s["stream"] == "yes" for s in company.steps])[step]


def _sizes(company: Company, is_code: Array, luck: Array, column: str) -> Array:
    """Draw from the fitted quantiles of the two services."""
    values = company.quantiles
    conv = np.interp(luck, values["conv.quantile"], values[f"conv.{column}_tokens"])
    code = np.interp(luck, values["code.quantile"], values[f"code.{column}_tokens"])
    return np.where(is_code, code, conv)


def _cache(calls: Calls, company: Company, luck: Luck) -> None:
    """Read from the prompt cache in the provider's own grain; Anthropic models also write to it."""
    step, workflow, tokens = calls["step"], calls["workflow"], calls["input"]
    deployment = calls["deployment"]
    unit = np.array([d.cache_unit for d in company.deployments])[deployment]
    share = company.step_numbers("cached")[step] * (0.4 + luck.draw("cached", step, workflow))
    is_read = (luck.draw("is cached", step, workflow) < 0.7) & (tokens >= 1024) & (unit > 0)
    read = np.where(is_read, np.minimum(share, 0.95) * tokens, 0).astype(np.int64)
    calls["cache_read"] = read // np.maximum(unit, 1) * np.maximum(unit, 1)
    writes = np.array(["claude" in d.name for d in company.deployments])[deployment]
    left = tokens - calls["cache_read"]
    is_written = writes & (share > 0) & (luck.draw("is written", step, workflow) < 0.4)
    written = np.where(is_written, left * 0.4, 0).astype(np.int64)
    for_an_hour = luck.draw("for an hour", step, workflow) < 0.15
    calls["cache_write_5m"] = np.where(for_an_hour, 0, written)
    calls["cache_write_1h"] = np.where(for_an_hour, written, 0)


def _times(calls: Calls, part: Part, rng: np.random.Generator) -> None:
    """Set when each attempt starts and ends; a request's attempts follow one another."""
    request, count = calls["request"], len(calls["request"])
    pace = 6 + 8 * rng.random(count)
    duration = 220 + (400 * rng.random(count)) + np.minimum(calls["output"] * pace, 55_000)
    duration = np.where(calls["status"] == TIMED_OUT, 60_000, duration).astype(np.int64)
    waiting = duration + 40 + (60 * rng.random(count)).astype(np.int64)
    reached = np.cumsum(waiting) - waiting
    first = np.r_[True, request[1:] != request[:-1]]
    since = reached - np.repeat(reached[first], np.diff(np.r_[np.flatnonzero(first), count]))
    midnight = int(datetime(part.day.year, part.day.month, part.day.day, tzinfo=UTC).timestamp()) * 1000
    calls["r_started"] = midnight + calls["r_offset_ms"]
    calls["started"] = calls["r_started"][request] + 30 + since
    calls["ended"] = calls["started"] + duration
    # A request that begins before midnight may have calls of the next day, and of the next month.
    calls["day"] = calls["started"] // DAY_MS - (FIRST_DAY - date(1970, 1, 1)).days


def set_costs(calls: Calls, of: Array | None = None) -> None:
    """Price the calls at list, in whole pico-dollars; `of` limits the work to some of them."""
    if "cost" not in calls:
        calls["cost"] = np.zeros(len(calls["step"]), dtype=np.int64)
    rows = np.arange(len(calls["step"])) if of is None else np.flatnonzero(of)
    rates = load_rates().of(*(calls[name][rows] for name in ("deployment", "tier", "day", "input")))
    calls["cost"][rows] = (quantities(calls)[rows] * rates).sum(axis=1)


def quantities(calls: Calls) -> Array:
    """Return the disjoint quantities of each call, in the order of `METERS`."""
    fresh = calls["input"] - calls["cache_read"] - calls["cache_write_5m"] - calls["cache_write_1h"]
    parts = {**calls, "input": fresh}
    return np.stack([parts[meter] for meter in METERS], axis=1)


def scale(calls: Calls, which: Array, factor: float, company: Company, *, answers: bool = True) -> None:
    """Make some calls larger or smaller by a factor, with or without their answers, and price them again."""
    limit = np.array([d.input_limit for d in company.deployments])[calls["deployment"]]
    before = calls["input"]
    wanted = np.minimum((before * factor).astype(np.int64), limit)
    ratio = np.where(before > 0, wanted / np.maximum(before, 1), 0)
    unit = np.maximum(np.array([d.cache_unit for d in company.deployments])[calls["deployment"]], 1)
    for name in TOKEN_COLUMNS:
        of_answer = name in ("output", "reasoning")
        share = (factor if answers else 1.0) if of_answer else ratio
        sized = (calls[name] * share).astype(np.int64)
        if name == "cache_read":
            sized = sized // unit * unit
        calls[name] = np.where(which, sized, calls[name])
    set_costs(calls, which)
