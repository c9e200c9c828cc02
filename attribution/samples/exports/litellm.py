"""LiteLLM proxy: rows of the spend log table, and the payloads that logging callbacks get."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attribution.samples.company import METERS, TIERS, Company, Deployment, load_rates
from attribution.samples.exports.times import iso_micros
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.traffic import FAILED, OK, quantities

AGENT = "User-Agent: python-httpx/0.28.1"
#: Virtual keys as the proxy stores them (hashes), their alias and the team they stand under.
KEYS = {
    "vk_apps": ("9f2c41d07be84a1e8d5f60a3c7b91e42", "apps-shared", ""),
    "vk_finops": ("41be07c25d9a4f0c9c1b62d8e3f7a054", "finops-bots", ""),
    "vk_labs": ("c70d93ae1f644b6c8a27f15b0e8d4429", "labs", ""),
    "vk_gateway": ("7ad15e30b82c4e97b6409cf1d3a8e655", "gateway", "llm-gateway"),
}


def write_gateway_logs(page: Page, company: Company, folder: Folder) -> None:
    """Write the spend log and the callback log of one part; late rows go to a file of the next month."""
    calls, month = page.calls, page.part.month
    _set_list_costs(page)
    for late in (False, True):
        rows = np.flatnonzero(calls["in_spend_logs"] & (calls["late"] == late)).tolist()
        name = f"{_next_month(month)}_late" if late else month
        broken = page.calls["malformed"][rows].tolist()
        lines = _spend_logs(page, company, rows)
        folder.lines(
            f"data/litellm/spend_logs_{name}.jsonl",
            (line[: len(line) // 2] if cut else line for line, cut in zip(lines, broken, strict=True)),
        )
    rows = np.flatnonzero(calls["in_standard_logging"]).tolist()
    folder.lines(f"data/litellm/standard_logging_payload_{month}.jsonl", _payloads(page, company, rows))


def _next_month(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12}-{number % 12 + 1:02d}"


def _set_list_costs(page: Page) -> None:
    """Price what the gateway recorded, at list, as the gateway does: binary floats of dollars."""
    calls = page.calls
    rates = load_rates().of(calls["deployment"], calls["tier"], calls["day"], calls["input"])
    parts = quantities(calls)
    forgotten = calls["uncached"]
    parts[forgotten, 0] += parts[forgotten, 1]
    parts[forgotten, 1] = 0
    costs = parts * rates
    known = (calls["status"] == OK) & load_rates().listed[calls["deployment"]]
    costs[~known] = 0
    for n, meter in enumerate(METERS):
        page.lists[f"usd_{meter}"] = (costs[:, n] / 1e12).tolist()
    page.lists["usd"] = (costs.sum(axis=1) / 1e12).tolist()
    page.lists["usd_in"] = (costs[:, :4].sum(axis=1) / 1e12).tolist()
    page.lists["usd_known"] = known.tolist()
    page.lists["gateway_read"] = np.where(forgotten, 0, calls["cache_read"]).tolist()


def _tags(page: Page, company: Company, row: int) -> tuple[list[str], str]:
    """Return the request tags, and the ownership as a JSON object or `null`."""
    workflow = company.workflows[page["workflow"][row]]
    hop, evidence = page["hop_name"][row], page["evidence_name"][row]
    if not workflow.tags or hop in ("h7", "key_exclusive", "key_moved", "claimed") or evidence in _LOST:
        return [AGENT], "null"
    team, name, feature = page["declared"][row], page["workflow_id"][row], page["feature"][row]
    tags = [f"team:{team}", f"workflow:{name}", f"feature:{feature}", AGENT]
    tenant = f', "tenant_id_hash": "{page["tenant"][row]}"' if page["tenant"][row] else ""
    return tags, f'{{"owner_team": "{team}", "workflow_id": "{name}", "feature": "{feature}"{tenant}}}'


_LOST = ("linked", "inherited", "trace", "rule", "none")


def _usage(page: Page, row: int, deployment: Deployment) -> str:
    """Return the usage object: OpenAI's semantics for every provider."""
    read, reasoning = page["gateway_read"][row], page["reasoning"][row]
    short, long = page["cache_write_5m"][row], page["cache_write_1h"][row]
    tokens_in, tokens_out = page["input"][row], page["output"][row]
    writes = ""
    if short or long:
        writes = (
            f', "cache_creation_tokens": {short + long}, "cache_creation_token_details": '
            f'{{"ephemeral_5m_input_tokens": {short}, "ephemeral_1h_input_tokens": {long}}}'
        )
    tier = page["tier"][row]
    named = f', "service_tier": "{"default" if tier == 0 else TIERS[tier]}"' if deployment.provider == "openai" else ""
    searches = (
        f', "server_tool_use": {{"web_search_requests": {page["web_search"][row]}}}' if page["web_search"][row] else ""
    )
    inside = "null" if page["uncached"][row] else f'{{"audio_tokens": 0, "cached_tokens": {read}{writes}}}'
    return (
        f'{{"completion_tokens": {tokens_out}, "prompt_tokens": {tokens_in}, "total_tokens": {tokens_in + tokens_out}, '
        f'"completion_tokens_details": {{"accepted_prediction_tokens": 0, "audio_tokens": 0, "reasoning_tokens": {reasoning}, '
        f'"rejected_prediction_tokens": 0}}, "prompt_tokens_details": {inside}{named}{searches}}}'
    )


def _breakdown(page: Page, row: int) -> str:
    if not page["usd_known"][row]:
        return "null"
    tier = page["tier"][row]
    total, spent_in = page["usd"][row], page["usd_in"][row]
    return (
        f'{{"input_cost": {spent_in!r}, "output_cost": {page["usd_output"][row]!r}, "total_cost": {total!r}, '
        f'"tool_usage_cost": {page["usd_web_search"][row]!r}, "service_tier": {"null" if tier == 0 else chr(34) + TIERS[tier] + chr(34)}, '
        f'"cache_read_cost": {page["usd_cache_read"][row]!r}, "original_cost": {total!r}, "discount_percent": 0.0, '
        f'"discount_amount": 0.0, "margin_percent": 0.0, "margin_fixed_amount": 0.0, "margin_total_amount": 0.0}}'
    )


def _spend_logs(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    """Yield rows as the proxy inserts them; its metadata column is JSON text inside JSON."""
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        workflow = company.workflows[page["workflow"][row]]
        tags, owner = _tags(page, company, row)
        key, alias, team = KEYS[workflow.key]
        ok = page["status"][row] == OK
        tokens_in, tokens_out = (page["input"][row], page["output"][row]) if ok else (0, 0)
        usage = _usage(page, row, deployment) if ok else "{}"
        role = page["role"][row]
        call_id = page["gateway_call_id"][row]
        team_text = f'"{team}"' if team else "null"
        metadata = (
            f'{{"user_api_key": "{key}", "user_api_key_alias": "{alias}", "user_api_key_team_id": {team_text}, '
            f'"user_api_key_org_id": null, "user_api_key_user_id": "default_user_id", "user_api_key_team_alias": {team_text}, '
            f'"spend_logs_metadata": {owner}, "requester_ip_address": null, "user_agent": "python-httpx/0.28.1", '
            f'"litellm_call_id": "{call_id}", "status": {"null" if ok else _FAILURE}, '
            f'"error_information": {"null" if ok else _ERROR}, "usage_object": {usage}, '
            f'"attempted_retries": {int(role == 1 and ok)}, "max_retries": 1, "attempted_fallbacks": {int(role == 2)}, '
            f'"original_model_group": "{page["asked"][row]}", "cost_breakdown": {_breakdown(page, row)}}}'
        )
        started, ended = page["started"][row], page["ended"][row]
        yield (
            f'{{"request_id": "{page["response_id"][row]}", "call_type": "{_call_type(page, company, row, deployment)}", '
            f'"api_key": "{key}", "cache_hit": "{"None" if ok else "False"}", "startTime": "{iso_micros(started)}", '
            f'"endTime": "{iso_micros(ended)}", "completionStartTime": "{iso_micros(ended)}", '
            f'"model": "{deployment.gateway_provider}/{deployment.model}", "user": "default_user_id", "team_id": "{team}", '
            f'"organization_id": "", "metadata": "{_escape(metadata)}", "cache_key": "Cache OFF", '
            f'"spend": {page["usd"][row]!r}, "total_tokens": {tokens_in + tokens_out}, "prompt_tokens": {tokens_in}, '
            f'"completion_tokens": {tokens_out}, "request_tags": "{_escape(_array(tags))}", '
            f'"end_user": "{page["user"][row]}", "api_base": "https://{deployment.host}", '
            f'"model_group": "{deployment.name}", "model_id": "dep-{deployment.name}", '
            f'"custom_llm_provider": "{deployment.gateway_provider}", "messages": "{{}}", "response": "{{}}", '
            f'"proxy_server_request": "{{}}", "session_id": "{page["trace_id"][row]}", '
            f'"request_duration_ms": {ended - started}, "status": "success", "litellm_call_id": "{call_id}"}}'
        )


_FAILURE = '"failure"'
_ERROR = (
    '{"error_code": "429", "error_class": "RateLimitError", "llm_provider": "", "error_message": "Rate limit reached"}'
)
_TIMEOUT = (
    '{"error_code": "408", "error_class": "Timeout", "llm_provider": "bedrock", "error_message": "Request timed out"}'
)


def _array(texts: list[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _escape(text: str) -> str:
    return text.replace('"', '\\"')


def _call_type(page: Page, company: Company, row: int, deployment: Deployment) -> str:
    if deployment.name.startswith("text-embedding"):
        return "aembedding"
    return "anthropic_messages" if deployment.provider == "anthropic" else "acompletion"


def _payloads(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    """Yield standard logging payloads, without messages and responses (message logging is off)."""
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        workflow = company.workflows[page["workflow"][row]]
        tags, owner = _tags(page, company, row)
        key, alias, team = KEYS[workflow.key]
        status = page["status"][row]
        ok = status == OK
        tokens_in, tokens_out = (page["input"][row], page["output"][row]) if ok else (0, 0)
        started, ended = page["started"][row] / 1000, page["ended"][row] / 1000
        error = (
            "null"
            if ok
            else '"litellm.RateLimitError: Rate limit reached"'
            if status == FAILED
            else '"litellm.Timeout: Request timed out"'
        )
        team_text = f'"{team}"' if team else "null"
        yield (
            f'{{"id": "{page["response_id"][row]}", "litellm_call_id": "{page["gateway_call_id"][row]}", '
            f'"trace_id": "{page["trace_id"][row]}", "session_id": "", "call_type": "{_call_type(page, company, row, deployment)}", '
            f'"cache_hit": {"null" if ok else "false"}, "stream": {"true" if page["stream"][row] else "null"}, '
            f'"status": "{"success" if ok else "failure"}", "custom_llm_provider": "{deployment.gateway_provider}", '
            f'"saved_cache_cost": 0.0, "startTime": {started!r}, "endTime": {ended!r}, "completionStartTime": {ended!r}, '
            f'"response_time": {ended - started:.3f}, "model": "{deployment.gateway_provider}/{deployment.model}", '
            f'"metadata": {{"user_api_key_hash": "{key}", "user_api_key_alias": "{alias}", "user_api_key_team_id": {team_text}, '
            f'"user_api_key_team_alias": {team_text}, "user_api_key_user_id": "default_user_id", '
            f'"spend_logs_metadata": {owner}, "requester_metadata": {"null" if owner == "null" else owner}, '
            f'"usage_object": {_usage(page, row, deployment) if ok else "{}"}}}, "cache_key": null, '
            f'"response_cost": {page["usd"][row]!r}, "cost_breakdown": {_breakdown(page, row)}, '
            f'"total_tokens": {tokens_in + tokens_out}, "prompt_tokens": {tokens_in}, "completion_tokens": {tokens_out}, '
            f'"request_tags": {_array(tags)}, "end_user": "{page["user"][row]}", "api_base": "https://{deployment.host}", '
            f'"model_group": "{deployment.name}", "model_id": "dep-{deployment.name}", '
            f'"hidden_params": {{"additional_headers": {_headers(page, row, deployment)}}}, '
            f'"error_str": {error}, "error_information": {_EMPTY if ok else _ERROR if status == FAILED else _TIMEOUT}, '
            f'"response_cost_failure_debug_info": null, "zero_cost_diagnostic": null}}'
        )


_EMPTY = '{"error_code": "", "error_class": "", "llm_provider": "", "error_message": ""}'


def _headers(page: Page, row: int, deployment: Deployment) -> str:
    """Return the provider's headers: prefixed on success, bare on failure."""
    name = {"aws": "x-amzn-requestid", "anthropic": "request-id"}.get(deployment.provider, "x-request-id")
    request = page["provider_request_id"][row]
    if page["status"][row] != OK:
        return f'{{"{name}": "{request}"}}'
    role = page["role"][row]
    return (
        f'{{"llm_provider-{name}": "{request}", "x-litellm-model-group": "{page["asked"][row]}", '
        f'"x-litellm-attempted-retries": {int(role == 1)}, "x-litellm-attempted-fallbacks": {int(role == 2)}}}'
    )
