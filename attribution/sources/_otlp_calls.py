"""Which spans are provider calls, and what each dialect calls one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import jiter

from attribution import normalization
from attribution.sources._otlp_values import mapping

Found = dict[str, Any]
#: Operation as written → our name of it. These are billed; what is in `NOT_CALLS` is not.
INFERENCE = {
    "chat": "chat",
    "completion": "chat",
    "acompletion": "chat",
    "generate_content": "generate_content",
    "text_completion": "text_completion",
    "atext_completion": "text_completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "responses": "responses",
    "aresponses": "responses",
    "anthropic_messages": "chat",
    "rerank": "rerank",
    "arerank": "rerank",
    "image_generation": "image",
    "aimage_generation": "image",
    "speech": "audio",
    "aspeech": "audio",
    "transcription": "audio",
    "atranscription": "audio",
}
NOT_CALLS = {
    "invoke_agent",
    "invoke_workflow",
    "handle_conversation_turn",
    "agent_step",
    "plan",
    "fetch_response",
    "execute_tool",
    "create_agent",
    "retrieval",
}
_KINDS = {"LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank"}
_LANGFUSE = {"generation": "chat", "embedding": "embeddings"}
_DO = re.compile(r"^ai\.\w+\.do(\w+)$")


def operation_of(found: Found, name: str, odd: bool) -> tuple[str | None, str | None]:
    """Return our name of the call's operation, or null and the reason why a span about a model is no call."""
    operation = found.get("operation")
    if name == "raw_gen_ai_request":
        return None, "repeats the span above: raw_gen_ai_request"
    if odd:
        if type(vercel := found.get("vercel_operation")) is str:
            return _vercel(found, vercel)
        if name == "claude_code.llm_request":
            return _claude_code(found)
    if operation is not None:
        if operation in INFERENCE:
            return INFERENCE[operation], None
        word = operation.lower()
        if word in INFERENCE:
            return INFERENCE[word], None
        if word in NOT_CALLS or "memory" in word:
            return None, f"aggregate: {operation}"
    if odd:
        return _by_kind(found, operation)
    return (operation or "chat", None) if "input_tokens" in found else (None, None)


def _vercel(found: Found, operation: str) -> tuple[str | None, str | None]:
    """`ai.generateText` sums up its `ai.generateText.doGenerate` steps; each step is a call."""
    step = _DO.match(operation)
    if step is None:
        return None, f"aggregate: {operation}"
    if step.group(1) == "Stream":
        found.setdefault("is_stream", True)
    return ("embeddings" if step.group(1) == "Embed" else "chat"), None


_PLAIN = {
    "plain_input": "input_tokens",
    "plain_output": "output_tokens",
    "plain_read": "cache_read_tokens",
    "plain_write": "cache_write_tokens",
}


def _claude_code(found: Found) -> tuple[str, None]:
    """Claude Code counts without a name space and as Anthropic does, and calls its request id a response id."""
    for plain, slot in _PLAIN.items():
        counted = normalization.count_text(found.pop(plain, None), slot)
        if counted is not None:
            found.setdefault(slot, counted)
    request = found.pop("response_id", None) or found.get("request_id")
    if type(request) is str:
        found["provider_request_id"] = request[:200]
    found["why_exclusive"] = "Claude Code"
    return "chat", None


def _by_kind(found: Found, operation: str | None) -> tuple[str | None, str | None]:
    """Tell calls whose dialect marks them by a kind of its own, or by usage alone."""
    for slot, kinds in (("openinference_kind", _KINDS), ("langfuse_type", _LANGFUSE)):
        kind = found.get(slot)
        if type(kind) is str:
            called = kinds.get(kind)
            return called, None if called else f"aggregate: {kind}" if _has_usage(found) else None
    traced = found.get("traceloop_kind")
    if traced is not None and _has_usage(found):
        return None, f"aggregate: {traced}"
    if "codex_turn" in found or "aggregated" in found:
        return None, "aggregate: sum of a turn" if "codex_turn" in found else "aggregate: sum of a run"
    if "input_tokens" in found:
        return operation or "chat", None
    return None, None


def _has_usage(found: Found) -> bool:
    return "input_tokens" in found or "output_tokens" in found or "usage_details" in found


_HOSTS = (
    (re.compile(r"\.(?:openai|cognitiveservices)\.azure\.(?:com|us|cn)$|\.services\.ai\.azure\.com$"), "azure"),
    (re.compile(r"^bedrock[\w-]*\.([\w-]+)\.(?:amazonaws\.com|api\.aws)"), "aws"),
    (re.compile(r"^(?:([\w-]+)-)?aiplatform\.googleapis\.com$"), "google"),
    (re.compile(r"^generativelanguage\.googleapis\.com$"), "google"),
    (re.compile(r"(?:^|\.)openrouter\.ai$"), "openrouter"),
    (re.compile(r"^api\.openai\.com$"), "openai"),
    (re.compile(r"^api\.anthropic\.com$"), "anthropic"),
    (re.compile(r"^api\.groq\.com$"), "groq"),
    (re.compile(r"^api\.deepseek\.com$"), "deepseek"),
    (re.compile(r"^api\.mistral\.ai$"), "mistral"),
    (re.compile(r"^api\.x\.ai$"), "x-ai"),
    (re.compile(r"^api\.together\.(?:xyz|ai)$"), "together"),
    (re.compile(r"^api\.fireworks\.ai$"), "fireworks"),
    (re.compile(r"^api\.perplexity\.ai$"), "perplexity"),
)


@lru_cache(maxsize=4096)
def _provider(named: str | None, host: str | None) -> tuple[str | None, str | None]:
    """Who bills, and where: a client's name for its wire format yields to a host that says who answers."""
    for pattern, provider in _HOSTS if host else ():
        if at := pattern.search(host or ""):
            return provider, at.group(1) if at.groups() else None
    return normalization.provider(named), None


@lru_cache(maxsize=256)
def _tier(named: str) -> str | None:
    return normalization.service_tier(named)


_RESPONSE_ID = re.compile(r'\s*\{\s*"id"\s*:\s*"([^"\\\s]{1,200})"')


def describe_call(found: Found, operation: str, scope: str, odd: bool) -> None:
    """Complete the columns of a call that its dialect says in another way."""
    found["operation"] = operation
    if odd:
        _describe_odd(found, scope)
    found["provider"], region = _provider(found.get("provider"), found.get("endpoint"))
    if region:
        found["region"] = region
    if "model" not in found and "requested_model" in found:
        found["model"] = found["requested_model"]
    if (tier := found.get("service_tier")) is not None:
        found["service_tier"] = _tier(tier) if type(tier) is str else None
    if "is_stream" in found and type(found["is_stream"]) is not bool:
        found["is_stream"] = None


def _describe_odd(found: Found, scope: str) -> None:
    if type(base := found.pop("api_base", None)) is str and "endpoint" not in found:
        host = _host(base)
        if host:
            found["endpoint"] = host
    if "invocation_parameters" in found:
        asked = mapping(found.pop("invocation_parameters")).get("model")
        if type(asked) is str and asked:
            found.setdefault("requested_model", asked)
    if "answer" in found:
        _read_answer(found)
    if "gateway_call_id" in found:
        _describe_gateway_call(found, scope)


@lru_cache(maxsize=4096)
def _host(base: str) -> str | None:
    try:
        return urlsplit(base).hostname
    except ValueError:
        return None


def _read_answer(found: Found) -> None:
    """OpenInference keeps the provider's response id inside the answer; nothing else of it is read or kept."""
    answer = found.pop("answer")
    if "response_id" in found or type(answer) is not str:
        return
    if beginning := _RESPONSE_ID.match(answer):
        found["response_id"] = beginning.group(1)
        return
    try:
        given = jiter.from_json(answer.encode(), float_mode="decimal")
    except (ValueError, UnicodeEncodeError):
        return
    own = given.get("id") if type(given) is dict else None
    if type(own) is str and 0 < len(own) <= 200:
        found["response_id"] = own


_REQUEST_HEADERS = ("llm_provider-x-request-id", "llm_provider-request-id", "x-request-id", "request-id")


def _describe_gateway_call(found: Found, scope: str) -> None:
    """LiteLLM names the operation, not the attempt; on a failure it repeats that as the response id."""
    operation = found["gateway_call_id"]
    found["operation_key"] = operation
    own = found.get("response_id")
    if own == operation:
        del found["response_id"]
    elif own is not None and "_cache_hit" in own:
        found["cache_hit"] = True
    if scope == "litellm" and (key := found.pop("key_hash", None)) and type(key) is str:
        found["api_key_id"] = key
        found["role"] = "gateway_log"
    hidden = mapping(found.pop("hidden_params", None))
    headers = mapping(hidden.get("additional_headers"))
    request = next((headers[name] for name in _REQUEST_HEADERS if headers.get(name)), None)
    if type(request) is str:
        found["provider_request_id"] = request[:200]
