"""OTLP/JSON traces of the apps: current GenAI names, and OpenLLMetry 0.62."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from attribution.samples.company import Company
from attribution.samples.files import Folder
from attribution.samples.page import Page
from attribution.samples.spans import Dialect, Root, attribute, flag, number, request_spans, span, worker_of

SPANS_PER_LINE = 48
GENAI = "opentelemetry.instrumentation.genai.openai", "1.3b0"
GENAI_ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic", "1.3b0"
#: Anthropic's SDK writes a span of its own below the instrumentation's, for the same call.
ANTHROPIC_SDK = "com.anthropic.sdk.python", "2.12.0"
OPENLLMETRY = "opentelemetry.instrumentation.openai.v1", "0.62.4"
Batch = dict[tuple[str, str, str], list[str]]


def write_spans(page: Page, company: Company, folder: Folder, faults: Set[str]) -> None:
    """Write the spans of one part, batched by service and scope as an exporter does."""
    batches: Batch = {}
    _call_spans(page, company, batches)
    _hop_spans(page, company, batches, faults)
    lines = []
    for (service, scope, version), spans in batches.items():
        head = _resource(service)
        for first in range(0, len(spans), SPANS_PER_LINE):
            body = ",".join(spans[first : first + SPANS_PER_LINE])
            lines.append(
                f'{{"resourceSpans":[{{"resource":{{"attributes":[{head}]}},"scopeSpans":[{{"scope":{{"name":"{scope}",'
                f'"version":"{version}"}},"spans":[{body}]}}]}}]}}'
            )
    folder.lines(f"data/otlp/traces_{page.part.month}.otlp.jsonl", lines)


def _resource(service: str) -> str:
    instance = f"{sum(map(ord, service)) * 7919 % 2**32:08x}-5c1e-4e0b-9a51-7f3e0c2d9b10"
    return (
        attribute("telemetry.sdk.language", "python")
        + ","
        + attribute("telemetry.sdk.name", "opentelemetry")
        + ","
        + attribute("telemetry.sdk.version", "1.45.2")
        + ","
        + attribute("service.instance.id", instance)
        + ","
        + attribute("service.name", service)
        + ","
        + attribute("deployment.environment.name", "prod")
    )


def _hop_spans(page: Page, company: Company, batches: Batch, faults: Set[str]) -> None:
    """Write root, queue and worker spans of every request that has a span of a call."""
    rows = np.flatnonzero(page.calls["in_otlp"])
    requests, first = np.unique(page.calls["request"][rows], return_index=True)
    last = np.r_[first[1:], len(rows)][: len(first)]
    for request, begin, end in zip(requests.tolist(), first.tolist(), last.tolist(), strict=True):
        mine = rows[begin:end].tolist()
        root = Root.of(page, company, request, mine, faults)
        for key, text in request_spans(root):
            batches.setdefault(key, []).append(text)


def _call_spans(page: Page, company: Company, batches: Batch) -> None:
    """Write the client span of every call that the apps' instrumentation saw."""
    write: dict[str, Callable[[Page, Company, int], str]] = {"genai": _genai, "openllmetry": _openllmetry}
    for row in np.flatnonzero(page.calls["in_otlp"]).tolist():
        workflow = company.workflows[page["workflow"][row]]
        scope = GENAI if workflow.dialect == "genai" else OPENLLMETRY
        is_anthropic = company.deployments[page["deployment"][row]].provider == "anthropic"
        if is_anthropic and workflow.dialect == "genai":
            scope = GENAI_ANTHROPIC
        service = worker_of(workflow, page["hop_name"][row] or "") if page["is_async"][row] else workflow.service
        if scope == GENAI_ANTHROPIC:
            batches.setdefault((service, *ANTHROPIC_SDK), []).append(_sdk_span(page, company, row))
        batches.setdefault((service, *scope), []).append(write[workflow.dialect](page, company, row))


def _genai(page: Page, company: Company, row: int) -> str:
    deployment = company.deployments[page["deployment"][row]]
    is_openai = deployment.provider in ("openai", "azure")
    parts = [
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.provider.name", deployment.span_provider),
        attribute("gen_ai.request.model", deployment.model),
        attribute("server.address", "llm.acme.internal"),
        number("server.port", 443),
        *Dialect.plain(page, row),
    ]
    if page["stream"][row]:
        parts.append(flag("gen_ai.request.stream", True))
    parts += [
        '{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}}',
        attribute("gen_ai.response.model", deployment.answered_as),
        attribute("gen_ai.response.id", page["response_id"][row]),
        number("gen_ai.usage.input_tokens", page["input"][row]),
        number("gen_ai.usage.output_tokens", page["output"][row]),
    ]
    if page["cache_read"][row] and not page["uncached"][row]:
        parts.append(number("gen_ai.usage.cache_read.input_tokens", page["cache_read"][row]))
    written = page["cache_write_5m"][row] + page["cache_write_1h"][row]
    if written:
        parts.append(number("gen_ai.usage.cache_write.input_tokens", written))
    if page["reasoning"][row]:
        parts.append(number("gen_ai.usage.reasoning.output_tokens", page["reasoning"][row]))
    if is_openai:
        parts.append(attribute("openai.response.service_tier", TIER_NAMES[page["tier"][row]]))
    return _call_span(page, row, f"chat {deployment.model}", parts)


def _openllmetry(page: Page, company: Company, row: int) -> str:
    deployment = company.deployments[page["deployment"][row]]
    parts = [
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.provider.name", deployment.span_provider),
        attribute("gen_ai.request.model", deployment.model),
        *Dialect.associations(page, row),
        flag("gen_ai.is_streaming", page["stream"][row]),
        attribute("gen_ai.response.model", deployment.answered_as),
        attribute("gen_ai.response.id", page["response_id"][row]),
    ]
    if deployment.provider in ("openai", "azure"):
        parts.append(attribute("openai.response.service_tier", TIER_NAMES[page["tier"][row]]))
    if not page["unmetered"][row]:
        tokens_in, tokens_out = page["input"][row], page["output"][row]
        parts += [
            number("gen_ai.usage.total_tokens", tokens_in + tokens_out),
            number("gen_ai.usage.output_tokens", tokens_out),
            number("gen_ai.usage.input_tokens", tokens_in),
            number("gen_ai.usage.cache_read.input_tokens", page["cache_read"][row]),
        ]
        written = page["cache_write_5m"][row] + page["cache_write_1h"][row]
        if written:
            parts.append(number("gen_ai.usage.cache_creation.input_tokens", written))
        if page["reasoning"][row]:
            parts.append(number("gen_ai.usage.reasoning_tokens", page["reasoning"][row]))
    name = "anthropic.chat" if deployment.provider == "anthropic" else "openai.chat"
    return _call_span(page, row, name, parts)


def _sdk_span(page: Page, company: Company, row: int) -> str:
    deployment = company.deployments[page["deployment"][row]]
    short, long = page["cache_write_5m"][row], page["cache_write_1h"][row]
    parts = [
        attribute("gen_ai.provider.name", "anthropic"),
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.request.model", deployment.model),
        *Dialect.plain(page, row),
        number("gen_ai.usage.input_tokens", page["input"][row]),
        attribute("gen_ai.response.id", page["response_id"][row]),
        attribute("gen_ai.response.model", deployment.answered_as),
        number("gen_ai.usage.cache_write.input_tokens", short + long),
        number("gen_ai.usage.cache_read.input_tokens", page["cache_read"][row]),
        number("anthropic.usage.cache_creation.ephemeral_5m_input_tokens", short),
        number("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", long),
        attribute("anthropic.response.service_tier", "standard"),
        number("gen_ai.usage.output_tokens", page["output"][row]),
    ]
    return span(
        page["trace_id"][row],
        page["sdk_span_id"][row],
        page["span_id"][row],
        "anthropic.messages.create",
        3,
        page["op_started"][row] + 1,
        page["ended"][row] - 1,
        parts,
        status='{"code":1}',
    )


#: As the provider answers: a batch call says it where its endpoint does.
TIER_NAMES = ("default", "batch", "flex", "priority")


def _call_span(page: Page, row: int, name: str, attributes: list[str]) -> str:
    parent = page["parent_span"][row]
    return span(
        page["trace_id"][row],
        page["span_id"][row],
        parent,
        name,
        3,
        page["op_started"][row],
        page["ended"][row],
        attributes,
        status='{"code":1}' if name.endswith(".chat") else "{}",
    )
