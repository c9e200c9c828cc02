"""OpenAI organization pages: usage by key, model and tier, and costs by line item, as `attribution pull` saves them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from attribution.samples.bills import Bills, Cell, plain
from attribution.samples.company import METERS, TIERS
from attribution.samples.exports.times import epoch
from attribution.samples.files import Folder

DIRECT_KEY, DIRECT_PROJECT = "key_Rs9Tn4", "proj_research"
BUCKETS_PER_PAGE = 16
_WORDS = {"input": "input", "cache_read": "cached input", "cache_write_5m": "cache write", "output": "output"}
Results = dict[date, list[dict[str, Any]]]


def write_openai(bills: Bills, folder: Folder) -> None:
    """Write the pages of every month."""
    cells = bills.of("openai")
    chat = [c for c in cells if "embedding" not in _model(bills, c)]
    _write(bills, folder, "usage", "usage-completions", _USAGE_BY, _by_day(chat, lambda c: _usage(bills, c)))
    embeddings = [c for c in cells if "embedding" in _model(bills, c)]
    _write(bills, folder, "usage", "usage-embeddings", _KEY_BY, _by_day(embeddings, lambda c: _embeddings(bills, c)))
    _write(bills, folder, "usage", "usage-web_search_calls", _KEY_BY, _searches(bills, chat))
    _write(bills, folder, "costs", "costs", "api_key_id+line_item+project_id", _costs(bills, cells))


_KEY_BY = "api_key_id+model+project_id"
_USAGE_BY = "api_key_id+batch+model+project_id+service_tier"


def _model(bills: Bills, cell: Cell) -> str:
    return bills.company.deployments[cell.deployment].answered_as


def _owner(bills: Bills, cell: Cell) -> tuple[str, str]:
    if cell.is_direct:
        return DIRECT_KEY, DIRECT_PROJECT
    deployment = bills.company.deployments[cell.deployment]
    return deployment.upstream_key, deployment.project


def _by_day(cells: list[Cell], make: Callable[[Cell], dict[str, Any]]) -> Results:
    found: Results = defaultdict(list)
    for cell in cells:
        found[cell.day].append(make(cell))
    return found


def _usage(bills: Bills, cell: Cell) -> dict[str, Any]:
    fresh, read, written, _, output, _ = cell.quantities
    key, project = _owner(bills, cell)
    zero = dict.fromkeys(("input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens"), 0)
    images = dict.fromkeys(("input_image_tokens", "input_cached_image_tokens", "output_image_tokens"), 0)
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": fresh + read + written,
        "input_cached_tokens": read,
        "input_cache_write_tokens": written,
        "input_uncached_tokens": fresh,
        "output_tokens": output,
        "input_text_tokens": fresh,
        "output_text_tokens": output,
        "input_cached_text_tokens": read,
        **zero,
        **images,
        "num_model_requests": cell.requests,
        "project_id": project,
        "user_id": None,
        "api_key_id": key,
        "model": _model(bills, cell),
        "batch": TIERS[cell.tier] == "batch",
        "service_tier": "default" if cell.tier < 2 else TIERS[cell.tier],
    }


def _embeddings(bills: Bills, cell: Cell) -> dict[str, Any]:
    key, project = _owner(bills, cell)
    return {
        "object": "organization.usage.embeddings.result",
        "input_tokens": cell.quantities[0],
        "num_model_requests": cell.requests,
        "project_id": project,
        "user_id": None,
        "api_key_id": key,
        "model": _model(bills, cell),
    }


def _searches(bills: Bills, cells: list[Cell]) -> Results:
    """Return web searches by key and model; this endpoint knows no tier."""
    counts: dict[tuple[date, str, str, str], int] = defaultdict(int)
    for cell in cells:
        key, project = _owner(bills, cell)
        counts[cell.day, _model(bills, cell), key, project] += cell.quantities[METERS.index("web_search")]
    found: Results = defaultdict(list)
    for (day, model, key, project), count in sorted(counts.items()):
        if count:
            found[day].append(
                {
                    "object": "organization.usage.web_searches.result",
                    "num_model_requests": count,
                    "num_requests": count,
                    "project_id": project,
                    "user_id": None,
                    "api_key_id": key,
                    "model": model,
                    "context_level": None,
                }
            )
    return found


def _costs(bills: Bills, cells: list[Cell]) -> Results:
    """Return billed dollars per line item; what no call caused has no project."""
    sums: dict[tuple[date, str, str, str], list[int]] = {}
    for cell in cells:
        key, project = _owner(bills, cell)
        for meter, quantity, pico in zip(METERS, cell.quantities, cell.billed_pico, strict=True):
            if quantity:
                total = sums.setdefault((cell.day, _item(bills, cell, meter), project, key), [0, 0])
                total[0] += quantity
                total[1] += pico
    found: Results = defaultdict(list)
    for (day, item, project, key), (quantity, pico) in sorted(sums.items()):
        counted = None if item.startswith("web search") else quantity
        found[day].append(_cost(item, project, key, pico, counted))
    for extra in bills.extras("openai"):
        found[extra.day].append(_cost(extra.words, None, None, extra.pico, None))
    for extra in bills.credits("openai"):
        found[extra.day].append(_cost(extra.words, None, None, extra.pico, None))
    return found


def _item(bills: Bills, cell: Cell, meter: str) -> str:
    model = _model(bills, cell)
    if meter == "web_search":
        return f"web search tool calls | {model}"
    tier = f" ({TIERS[cell.tier]})" if cell.tier else ""
    return f"{model}{tier}, {_WORDS[meter]}"


def _cost(item: str, project: str | None, key: str | None, pico: int, quantity: int | None) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": plain(pico), "currency": "usd"},
        "line_item": item,
        "project_id": project,
        "api_key_id": key,
        "quantity": quantity,
        "quantity_unit": None if quantity is None else "tokens",
    }


def _write(bills: Bills, folder: Folder, where: str, name: str, by: str, found: Results) -> None:
    """Write one pull per month; the last one also holds the first day after it, where calls ended."""
    for month in bills.months():
        days = [day for day in bills.days if f"{day:%Y-%m}" == month]
        after = days[-1] + timedelta(days=1)
        if after not in bills.days and found.get(after):
            days.append(after)
        pulled = f"{days[-1] + timedelta(days=5):%Y%m%d}T060000Z"
        until = days[-1] + timedelta(days=1)
        pages = [days[n : n + BUCKETS_PER_PAGE] for n in range(0, len(days), BUCKETS_PER_PAGE)]
        for number, page in enumerate(pages, start=1):
            more = number < len(pages)
            data = [
                {"object": "bucket", "start_time": epoch(d), "end_time": epoch(d) + 86_400, "results": found.get(d, [])}
                for d in page
            ]
            span = f"{days[0]}..{until}"
            folder.json(
                f"data/openai/{where}/openai-{name}.by-{by}.{span}.pulled-{pulled}.p{number:04d}.json",
                {
                    "object": "page",
                    "data": data,
                    "has_more": more,
                    "next_page": f"page_{epoch(page[-1]) + 86_400}" if more else None,
                },
            )
