"""Anthropic admin reports: usage by key, workspace, model and tier; costs in cents by description."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from attribution.samples.bills import Bills, Cell, plain
from attribution.samples.company import METERS, TIERS
from attribution.samples.files import Folder

BUCKETS_PER_PAGE = 31
_TOKEN_TYPES = {
    "input": ("uncached_input_tokens", "Input Tokens"),
    "cache_read": ("cache_read_input_tokens", "Cache Read Tokens"),
    "cache_write_5m": ("cache_creation.ephemeral_5m_input_tokens", "5m Cache Write Tokens"),
    "cache_write_1h": ("cache_creation.ephemeral_1h_input_tokens", "1h Cache Write Tokens"),
    "output": ("output_tokens", "Output Tokens"),
}
Results = dict[date, list[dict[str, Any]]]


def write_anthropic(bills: Bills, folder: Folder) -> None:
    """Write usage and cost reports of every month."""
    usage: Results = defaultdict(list)
    cost: Results = defaultdict(list)
    for cell in bills.of("anthropic"):
        usage[cell.day].append(_usage(bills, cell))
        cost[cell.day] += _costs(bills, cell)
    for extra in bills.extras("anthropic"):
        cost[extra.day].append(_other(extra.words, extra.pico))
    by = "api_key_id+context_window+inference_geo+model+service_tier+workspace_id"
    _write(bills, folder, f"data/anthropic/usage/anthropic-usage-messages.by-{by}", usage)
    _write(bills, folder, "data/anthropic/cost/anthropic-cost.by-description+workspace_id", cost)


def _usage(bills: Bills, cell: Cell) -> dict[str, Any]:
    deployment = bills.company.deployments[cell.deployment]
    fresh, read, short, long, output, searches = cell.quantities
    return {
        "uncached_input_tokens": fresh,
        "cache_creation": {"ephemeral_1h_input_tokens": long, "ephemeral_5m_input_tokens": short},
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": searches},
        "api_key_id": deployment.upstream_key,
        "workspace_id": deployment.project,
        "model": deployment.answered_as,
        "service_tier": TIERS[cell.tier],
        "context_window": "200k-1M" if cell.is_long else "0-200k",
        "inference_geo": "global",
        "account_id": None,
        "service_account_id": None,
    }


def _costs(bills: Bills, cell: Cell) -> list[dict[str, Any]]:
    deployment = bills.company.deployments[cell.deployment]
    title = deployment.name.replace("-", " ", 2).title().replace("4-5", "4.5").replace("4 5", "4.5")
    lines = []
    for meter, pico in zip(METERS, cell.billed_pico, strict=True):
        if pico and meter in _TOKEN_TYPES:
            token_type, words = _TOKEN_TYPES[meter]
            lines.append(
                {
                    "amount": plain(pico * 100),
                    "currency": "USD",
                    "cost_type": "tokens",
                    "token_type": token_type,
                    "model": deployment.answered_as,
                    "service_tier": TIERS[cell.tier],
                    "context_window": "200k-1M" if cell.is_long else "0-200k",
                    "inference_geo": "global",
                    "description": f"{title} Usage{' - Batch' if cell.tier else ''} - {words}",
                    "workspace_id": deployment.project,
                }
            )
    return lines


def _other(words: str, pico: int) -> dict[str, Any]:
    empty = dict.fromkeys(("token_type", "model", "service_tier", "context_window", "inference_geo"))
    kind = "code_execution" if words.startswith("Code") else "session_usage"
    return {
        "amount": plain(pico * 100),
        "currency": "USD",
        "cost_type": kind,
        **empty,
        "description": words,
        "workspace_id": None,
    }


def _write(bills: Bills, folder: Folder, stem: str, found: Results) -> None:
    for month in bills.months():
        days = [day for day in bills.days if f"{day:%Y-%m}" == month]
        after = days[-1] + timedelta(days=1)
        if after not in bills.days and found.get(after):
            days.append(after)
        pulled = f"{days[-1] + timedelta(days=5):%Y%m%d}T063000Z"
        pages = [days[n : n + BUCKETS_PER_PAGE] for n in range(0, len(days), BUCKETS_PER_PAGE)]
        for number, page in enumerate(pages, start=1):
            more = number < len(pages)
            data = [
                {
                    "starting_at": f"{day}T00:00:00Z",
                    "ending_at": f"{day + timedelta(days=1)}T00:00:00Z",
                    "results": found.get(day, []),
                }
                for day in page
            ]
            name = f"{stem}.{days[0]}..{days[-1] + timedelta(days=1)}.pulled-{pulled}.p{number:04d}.json"
            next_page = f"page_{page[-1]:%Y%m%d}" if more else None
            folder.json(name, {"data": data, "has_more": more, "next_page": next_page})
