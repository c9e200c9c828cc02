"""LiteLLM proxy: rows of the spend log table, and the payloads that logging callbacks get."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attribution.samples.company import METERS, TIERS, Company, Deployment, load_rates
from attribution.samples.exports.times import iso_micros
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.traffic import OK, quantities

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
        page[f"usd_{meter}"] = (costs[:, n] / 1e12).tolist()
    page["usd"] = (costs.sum(axis=1) / 1e12).tolist()
    page["usd_in"] = (costs[:, :4].sum(axis=1) / 1e12).tolist()
    page["usd_known"] = known.tolist()
    page["gateway_read"] = np.where(forgotten, 0, calls["cache_read"]).tolist()


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
    short, long = page["cache_write_5m"][row], page["cache_write_1h"][row]
    tokens_in, tokens_out = page["input"][row], page["output"][row]
    writes = ""
    if short or long:
        writes = (
            f', "cache_creation_tokens": {short + long}, "cache_creation_token_details": '
            f'{{"ephemeral_5m_input_tokens": {short}, "ephemeral_1h_input_tokens": {long}}}'
        )
    tier, searches = page["tier"][row], page["web_search"][row]
    named = f', "service_tier": "{"default" if tier == 0 else TIERS[tier]}"' if deployment.provider == "openai" else ""
    if searches:
        named += f', "server_tool_use": {{"web_search_requests": {searches}}}'
    inside = "null"
    if not page["uncached"][row]:
        inside = f'{{"audio_tokens": 0, "cached_tokens": {page["gateway_read"][row]}{writes}}}'
    return (
        f'{{"completion_tokens": {tokens_out}, "prompt_tokens": {tokens_in}, "total_tokens": {tokens_in + tokens_out}, '
        f'"completion_tokens_details": {{"accepted_prediction_tokens": 0, "audio_tokens": 0, '
        f'"reasoning_tokens": {page["reasoning"][row]}, "rejected_prediction_tokens": 0}}, '
        f'"prompt_tokens_details": {inside}{named}}}'
    )


def _breakdown(page: Page, row: int) -> str:
    """Return the gateway's own costs, or `null` where it knows no price."""
    if not page["usd_known"][row]:
        return "null"
    tier, total = page["tier"][row], page["usd"][row]
    spent_in, spent_out, read = page["usd_in"][row], page["usd_output"][row], page["usd_cache_read"][row]
    return (
        f'{{"input_cost": {spent_in!r}, "output_cost": {spent_out!r}, "total_cost": {total!r}, '
        f'"tool_usage_cost": {page["usd_web_search"][row]!r}, "service_tier": {_text(TIERS[tier] if tier else "")}, '
        f'"cache_read_cost": {read!r}, "original_cost": {total!r}, "discount_percent": 0.0, '
        f'"discount_amount": 0.0, "margin_percent": 0.0, "margin_fixed_amount": 0.0, "margin_total_amount": 0.0}}'
    )


def _text(value: str) -> str:
    return f'"{value}"' if value else "null"


def _array(texts: list[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _escape(text: str) -> str:
    return text.replace('"', '\\"')


def _call_type(deployment: Deployment) -> str:
    if deployment.name.startswith("text-embedding"):
        return "aembedding"
    return "anthropic_messages" if deployment.provider == "anthropic" else "acompletion"


#: By status: what the gateway says went wrong.
_ERRORS = (
    '{"error_code": "", "error_class": "", "llm_provider": "", "error_message": ""}',
    '{"error_code": "429", "error_class": "RateLimitError", "llm_provider": "", "error_message": "Rate limit reached"}',
    '{"error_code": "408", "error_class": "Timeout", "llm_provider": "bedrock", "error_message": "Request timed out"}',
)
_ERROR_TEXTS = ("null", '"litellm.RateLimitError: Rate limit reached"', '"litellm.Timeout: Request timed out"')


def _counts(page: Page, row: int) -> str:
    """Return the three totals; failures count nothing."""
    ok = page["status"][row] == OK
    tokens_in, tokens_out = (page["input"][row], page["output"][row]) if ok else (0, 0)
    return f'"total_tokens": {tokens_in + tokens_out}, "prompt_tokens": {tokens_in}, "completion_tokens": {tokens_out}'


def _spend_logs(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    """Yield rows as the proxy inserts them; its metadata column is JSON text inside JSON."""
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        key, _, team = KEYS[company.workflows[page["workflow"][row]].key]
        tags, owner = _tags(page, company, row)
        started, ended = page["started"][row], page["ended"][row]
        begins, ends = iso_micros(started), iso_micros(ended)
        hit = "None" if page["status"][row] == OK else "False"
        yield (
            f'{{"request_id": "{page["response_id"][row]}", "call_type": "{_call_type(deployment)}", '
            f'"api_key": "{key}", "cache_hit": "{hit}", "startTime": "{begins}", "endTime": "{ends}", '
            f'"completionStartTime": "{ends}", "model": "{deployment.gateway_provider}/{deployment.model}", '
            f'"user": "default_user_id", "team_id": "{team}", "organization_id": "", '
            f'"metadata": "{_escape(_metadata(page, company, row, owner))}", "cache_key": "Cache OFF", '
            f'"spend": {page["usd"][row]!r}, {_counts(page, row)}, "request_tags": "{_escape(_array(tags))}", '
            f'"end_user": "{page["user"][row]}", "api_base": "https://{deployment.host}", '
            f'"model_group": "{deployment.name}", "model_id": "dep-{deployment.name}", '
            f'"custom_llm_provider": "{deployment.gateway_provider}", "messages": "{{}}", "response": "{{}}", '
            f'"proxy_server_request": "{{}}", "session_id": "{page["trace_id"][row]}", '
            f'"request_duration_ms": {ended - started}, "status": "success", '
            f'"litellm_call_id": "{page["gateway_call_id"][row]}"}}'
        )


def _metadata(page: Page, company: Company, row: int, owner: str) -> str:
    """Return the metadata column: the key's team, the caller's object, usage and costs."""
    deployment = company.deployments[page["deployment"][row]]
    key, alias, team = KEYS[company.workflows[page["workflow"][row]].key]
    status, role = page["status"][row], page["role"][row]
    ok = status == OK
    failed = "null" if ok else '"failure"'
    retries = int(role == 1 and ok)
    return (
        f'{{"user_api_key": "{key}", "user_api_key_alias": "{alias}", "user_api_key_team_id": {_text(team)}, '
        f'"user_api_key_org_id": null, "user_api_key_user_id": "default_user_id", '
        f'"user_api_key_team_alias": {_text(team)}, "spend_logs_metadata": {owner}, "requester_ip_address": null, '
        f'"user_agent": "python-httpx/0.28.1", "litellm_call_id": "{page["gateway_call_id"][row]}", '
        f'"status": {failed}, "error_information": {"null" if ok else _ERRORS[status]}, '
        f'"usage_object": {_usage(page, row, deployment) if ok else "{}"}, "attempted_retries": {retries}, '
        f'"max_retries": 1, "attempted_fallbacks": {int(role == 2)}, "original_model_group": "{page["asked"][row]}", '
        f'"cost_breakdown": {_breakdown(page, row)}}}'
    )


def _payloads(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    """Yield standard logging payloads, without messages and responses (message logging is off)."""
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        key, alias, team = KEYS[company.workflows[page["workflow"][row]].key]
        tags, owner = _tags(page, company, row)
        status = page["status"][row]
        ok = status == OK
        started, ended = page["started"][row] / 1000, page["ended"][row] / 1000
        model = f"{deployment.gateway_provider}/{deployment.model}"
        yield (
            f'{{"id": "{page["response_id"][row]}", "litellm_call_id": "{page["gateway_call_id"][row]}", '
            f'"trace_id": "{page["trace_id"][row]}", "session_id": "", "call_type": "{_call_type(deployment)}", '
            f'"cache_hit": {"null" if ok else "false"}, "stream": {"true" if page["stream"][row] else "null"}, '
            f'"status": "{"success" if ok else "failure"}", "custom_llm_provider": "{deployment.gateway_provider}", '
            f'"saved_cache_cost": 0.0, "startTime": {started!r}, "endTime": {ended!r}, '
            f'"completionStartTime": {ended!r}, "response_time": {ended - started:.3f}, "model": "{model}", '
            f'"metadata": {{"user_api_key_hash": "{key}", "user_api_key_alias": "{alias}", '
            f'"user_api_key_team_id": {_text(team)}, "user_api_key_team_alias": {_text(team)}, '
            f'"user_api_key_user_id": "default_user_id", "spend_logs_metadata": {owner}, '
            f'"requester_metadata": {owner}, "usage_object": {_usage(page, row, deployment) if ok else "{}"}}}, '
            f'"cache_key": null, "response_cost": {page["usd"][row]!r}, "cost_breakdown": {_breakdown(page, row)}, '
            f'{_counts(page, row)}, "request_tags": {_array(tags)}, "end_user": "{page["user"][row]}", '
            f'"api_base": "https://{deployment.host}", "model_group": "{deployment.name}", '
            f'"model_id": "dep-{deployment.name}", "messages": null, "response": null, '
            f'"hidden_params": {{"additional_headers": {_headers(page, row, deployment)}}}, '
            f'"model_map_information": {{"model_map_key": "{model}", "model_map_value": null}}, '
            f'"error_str": {_ERROR_TEXTS[status]}, "error_information": {_ERRORS[status]}, '
            f'"response_cost_failure_debug_info": null, "zero_cost_diagnostic": null}}'
        )


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
