"""Langfuse blob-storage export: observations and traces of Growth's stack, JSON Lines, 64-bit integers quoted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attribution.samples.company import METERS, Company, load_rates
from attribution.samples.exports.times import spaced
from attribution.samples.files import Folder
from attribution.samples.page import TWICE, Page
from attribution.samples.traffic import OK, quantities

PROJECT = "proj-growth"


def write_observations(page: Page, company: Company, folder: Folder) -> None:
    """Write the observations and traces of one part."""
    rows = np.flatnonzero(page.calls["in_langfuse"]).tolist()
    month = page.part.month
    folder.lines(f"data/langfuse/observations_{month}.jsonl", _observations(page, company, rows))
    folder.lines(f"data/langfuse/traces_{month}.jsonl", _traces(page, company, rows))


def deliver_twice(folder: Folder) -> None:
    """Deliver one month's files again, under another name."""
    for table in ("observations", "traces"):
        folder.copy(f"data/langfuse/{table}_{TWICE}.jsonl", f"data/langfuse/redelivered/{table}_{TWICE} (1).jsonl")


def _observations(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    calls = page.calls
    picked = np.array(rows, dtype=np.int64)
    rates = load_rates().of(*(calls[name][picked] for name in ("deployment", "tier", "day", "input")))
    parts = quantities(calls)[picked]
    forgotten = calls["uncached"][picked]
    parts[forgotten, 0] += parts[forgotten, 1]
    parts[forgotten, 1] = 0
    for row, amounts, costs in zip(rows, parts.tolist(), (parts * rates).tolist(), strict=True):
        yield _observation(
            page, company, row, dict(zip(METERS, amounts, strict=True)), dict(zip(METERS, costs, strict=True))
        )


def _observation(page: Page, company: Company, row: int, amounts: dict[str, int], costs: dict[str, int]) -> str:
    deployment = company.deployments[page["deployment"][row]]
    started, ended = page["started"][row], page["ended"][row]
    ok = page["status"][row] == OK
    usage, prices, total, level, message = "", "", "null", "DEFAULT", "null"
    if ok:
        usage = _usage(page, row, amounts, deployment.provider)
        listed = load_rates().listed[page["deployment"][row]]
        total = _number(sum(costs.values())) if listed else "null"
        prices = _prices(costs) + f',"total":{total}' if listed else ""
    else:
        level, message = "ERROR", '"Rate limit reached"'
    attributes = f',"attributes":"{{\\"gen_ai.response.id\\": \\"{page["response_id"][row]}\\"}}"' if ok else ""
    step = company.steps[page["step"][row]]["step"]
    return (
        f'{{"id":"{page["observation_id"][row]}","trace_id":"{page["trace_id"][row]}","project_id":"{PROJECT}",'
        f'"environment":"production","type":"GENERATION","parent_observation_id":null,"start_time":"{spaced(started)}",'
        f'"end_time":"{spaced(ended)}","name":"{step}","metadata":{{"attempt":"{page["attempt"][row]}"'
        f'{attributes}}},"level":"{level}","status_message":{message},"version":null,"input":null,'
        f'"output":null,"provided_model_name":"{deployment.answered_as}","model_parameters":null,'
        f'"usage_details":{{{usage}}},"cost_details":{{{prices}}},"completion_start_time":null,"prompt_name":null,'
        f'"prompt_version":null,"total_cost":{total},"latency":{(ended - started) / 1000!r},"time_to_first_token":null,'
        f'"model_id":{"null" if total == "null" else chr(34) + "cmodel-" + deployment.name + chr(34)},'
        f'"created_at":"{spaced(ended + 900)}","updated_at":"{spaced(ended + 900)}","prompt_id":null,"tool_calls":[],'
        f'"tool_call_names":[],"tool_definitions":{{}},"usage_pricing_tier_name":"{_TIERS[page["tier"][row]]}"}}'
    )


_TIERS = ("Standard", "Batch", "Flex", "Priority")


def _usage(page: Page, row: int, amounts: dict[str, int], provider: str) -> str:
    """Return disjoint buckets, their counts as text."""
    reasoning = page["reasoning"][row]
    reads = "cache_read_input_tokens" if provider in ("anthropic", "aws") else "input_cached_tokens"
    total = page["input"][row] + page["output"][row]
    text = f'"input":"{amounts["input"]}"'
    if amounts["cache_read"]:
        text += f',"{reads}":"{amounts["cache_read"]}"'
    for meter, key in (("cache_write_5m", "input_cache_creation_5m"), ("cache_write_1h", "input_cache_creation_1h")):
        if amounts[meter]:
            text += f',"{key}":"{amounts[meter]}"'
    text += f',"output":"{page["output"][row] - reasoning}"'
    if reasoning:
        text += f',"output_reasoning_tokens":"{reasoning}"'
    return text + f',"total":"{total}"'


def _prices(costs: dict[str, int]) -> str:
    return f'"input":{_number(sum(n for k, n in costs.items() if k != "output"))},"output":{_number(costs["output"])}'


def _number(pico: int) -> str:
    text = f"{pico // 10**12}.{pico % 10**12:012d}".rstrip("0")
    return text[:-1] if text.endswith(".") else text


def _traces(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    """Yield one trace per request; ownership stands here, not on the observations."""
    seen: set[int] = set()
    for row in rows:
        request = page["request"][row]
        if request in seen:
            continue
        seen.add(request)
        began = spaced(page["r_started"][request])
        name, feature, team = page["workflow_id"][row], page["feature"][row], page["declared"][row]
        tenant = f',"tenant_id_hash":"{page["tenant"][row]}"' if page["tenant"][row] else ""
        yield (
            f'{{"id":"{page["trace_id"][row]}","timestamp":"{began}","name":"{name}","environment":"production",'
            f'"project_id":"{PROJECT}","metadata":{{"owner_team":"{team}","workflow_id":"{name}","feature":"{feature}"{tenant},'
            f'"scope":"{{\\"name\\":\\"langfuse-sdk\\",\\"version\\":\\"5.0.4\\"}}"}},"user_id":"{page["user"][row]}",'
            f'"session_id":null,"release":"2.8.1","version":null,"public":false,"bookmarked":false,'
            f'"tags":["team:{team}","feature:{feature}"],"input":null,"output":null,"created_at":"{began}","updated_at":"{began}"}}'
        )
