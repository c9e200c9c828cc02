"""Usage bodies of every API shape, read into the columns of a cost event; totals are made inclusive here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attribution.usage.counts import Usage, count, first, part, parts, put, put_other, tier
from attribution.usage.traces import OTEL_TOTALS, is_langfuse, read_langfuse, read_otel

#: API shapes that are told apart by a field that only they have, in the order of trial.
_SHAPES = (
    ("otel", OTEL_TOTALS),
    ("llama", ("generation_token_count",)),
    ("google", ("promptTokenCount", "prompt_token_count", "totalTokenCount", "candidatesTokenCount")),
    ("bedrock_log", ("inputTokenCount",)),
    ("bedrock_converse", ("inputTokens", "outputTokens")),
    ("cohere", ("billed_units",)),
    # Before Anthropic's own: gateways that speak OpenAI put Anthropic's cache counts beside totals that hold them.
    ("openai_chat", ("prompt_tokens", "completion_tokens")),
    ("anthropic", ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use")),
    ("openai_responses", ("input_tokens", "output_tokens")),
    ("seconds", ("seconds",)),
    ("pages", ("pages_processed",)),
)
#: Where servers with OpenAI's totals put what was read from the cache when they do not put it into details.
_FLAT_CACHED = (
    "cached_tokens",
    "num_cached_tokens",
    "prompt_cache_hit_tokens",
    "cached_prompt_text_tokens",
    "cache_read_input_tokens",
)
#: Providers whose chat API counts reasoning beside the completion, where no total settles it.
_REASONING_BESIDE = ("x-ai", "perplexity")


def shape_of(body: Mapping[str, Any]) -> str | None:
    """Return the API shape of a usage body by the fields that only it has, or None."""
    for shape, fields in _SHAPES:
        if any(name in body for name in fields):
            # Langfuse keeps the names of Anthropic's cache counts beside an input of its own.
            return "langfuse" if shape == "anthropic" and "input_tokens" not in body and is_langfuse(body) else shape
    return "langfuse" if is_langfuse(body) else None


def read_usage(body: Mapping[str, Any], *, provider: str = "", api: str | None = None) -> list[Usage]:
    """Read a usage body into disjoint-ready counts: one item, or one for each iteration at its own model.

    Totals are made inclusive here. Counts that contradict each other are kept as they are and flagged; nothing is
    clamped. A count that is not a whole number of tokens, or is negative, raises `ValueError`.
    """
    shape = api or shape_of(body)
    if api is None and shape == "openai_responses" and provider == "anthropic" and "input_tokens_details" not in body:
        shape = "anthropic"  # a body without cache counts fits both; who answered settles it
    read = {
        "anthropic": _anthropic,
        "bedrock_converse": _converse,
        "bedrock_log": _bedrock_log,
        "cohere": _cohere,
        "google": _google,
        "langfuse": read_langfuse,
        "llama": _llama,
        "openai_chat": _openai_chat,
        "openai_images": _openai_images,
        "openai_responses": _openai_responses,
        "otel": read_otel,
        "pages": _pages,
        "seconds": _seconds,
    }.get(shape or "")
    if read is None:
        return [Usage(reading="no known usage field")]
    if shape == "anthropic" and parts(body, "iterations"):
        return _iterations(body)
    return [read(body, provider)]


def _iterations(body: Mapping[str, Any]) -> list[Usage]:
    """Bill every iteration at its own model; the top level only sums those of the message itself."""
    items = []
    for iteration in parts(body, "iterations"):
        usage = _anthropic(iteration, "anthropic")
        usage.model = iteration.get("model")
        usage.reading = f"anthropic: {iteration.get('type', 'iteration')}"
        items.append(usage)
    top = _anthropic(body, "anthropic")
    items[0].other = top.other
    for usage in items:
        usage.service_tier, usage.region = top.service_tier, top.region
    return items


def _anthropic(body: Mapping[str, Any], provider: str) -> Usage:
    split = part(body, "cache_creation")
    written, read = count(body, "cache_creation_input_tokens") or 0, count(body, "cache_read_input_tokens") or 0
    for_1h, for_5m = count(split, "ephemeral_1h_input_tokens") or 0, count(split, "ephemeral_5m_input_tokens")
    usage = Usage(reading="anthropic: input excludes cache", service_tier=tier(body.get("service_tier")))
    is_split = for_5m is not None and body.get("cache_creation_input_tokens") is not None
    is_odd = is_split and (for_5m or 0) + for_1h != written
    if is_odd:
        usage.flags.append(f"cache writes {for_5m} + {for_1h} are not {written}")
    for_5m = written - for_1h if for_5m is None else for_5m
    speed, geography = body.get("speed"), body.get("inference_geo")
    if speed == "fast":
        usage.service_tier = "fast"
    usage.region = geography if geography != "not_available" else None
    uncached = count(body, "input_tokens")
    put(
        usage,
        # Nobody can tell how many tokens were written where the writes do not add up: the input is not known.
        input_tokens=None if uncached is None or is_odd else uncached + for_5m + for_1h + read,
        cache_read_tokens=read,
        cache_write_5m_tokens=for_5m,
        cache_write_1h_tokens=for_1h,
        output_tokens=count(body, "output_tokens"),
        reasoning_tokens=count(part(body, "output_tokens_details"), "thinking_tokens"),
    )
    tools = part(body, "server_tool_use")
    put_other(usage, web_search=tools.get("web_search_requests"))
    return usage


def _converse(body: Mapping[str, Any], provider: str) -> Usage:
    read = first(body, "cacheReadInputTokens", "cacheReadInputTokenCount") or 0
    written = first(body, "cacheWriteInputTokens", "cacheWriteInputTokenCount") or 0
    details = parts(body, "cacheDetails")
    for_1h = sum(count(d, "inputTokens") or 0 for d in details if d.get("ttl") == "1h")
    return _beside(body, "bedrock_converse", "inputTokens", "outputTokens", read, written, for_1h, "totalTokens")


def _bedrock_log(body: Mapping[str, Any], provider: str) -> Usage:
    read = count(body, "cacheReadInputTokenCount") or 0
    written = count(body, "cacheWriteInputTokenCount") or 0
    return _beside(body, "bedrock_log", "inputTokenCount", "outputTokenCount", read, written, 0, "totalTokenCount")


def _beside(
    body: Mapping[str, Any], shape: str, given: str, answered: str, read: int, written: int, for_1h: int, total: str
) -> Usage:
    """Read a shape whose input excludes what was read from and written to the cache."""
    usage = Usage(reading=f"{shape}: input excludes cache")
    uncached, output = count(body, given), count(body, answered)
    whole = count(body, total)
    if whole is not None and uncached is not None and whole != uncached + read + written + (output or 0):
        usage.flags.append(f"{total} {whole} is not the sum {uncached + read + written + (output or 0)}")
    put(
        usage,
        input_tokens=None if uncached is None else uncached + read + written,
        cache_read_tokens=read,
        cache_write_5m_tokens=written - for_1h,
        cache_write_1h_tokens=for_1h,
        output_tokens=output,
    )
    return usage


def _cohere(body: Mapping[str, Any], provider: str) -> Usage:
    billed = part(body, "billed_units")
    usage = Usage(reading="cohere: billed units")
    put(usage, input_tokens=count(billed, "input_tokens"), output_tokens=count(billed, "output_tokens"))
    put(usage, input_image_tokens=count(billed, "image_tokens"))
    put_other(usage, rerank_search=billed.get("search_units"), classification=billed.get("classifications"))
    return usage


def _google(body: Mapping[str, Any], provider: str) -> Usage:
    names = {_camel(key): value for key, value in body.items()}
    prompt, tools = count(names, "promptTokenCount"), count(names, "toolUsePromptTokenCount") or 0
    thoughts = count(names, "thoughtsTokenCount") or 0
    answer = first(names, "candidatesTokenCount", "responseTokenCount")
    cached = count(names, "cachedContentTokenCount") or 0
    usage = Usage(reading="google: cache in the prompt, thoughts and tool use beside")
    total = count(names, "totalTokenCount")
    if answer is None and total is not None:
        answer = 0
    told = (prompt or 0) + tools + (answer or 0) + thoughts
    if total is not None and total > told:
        usage.flags.append(f"hidden reasoning: totalTokenCount {total} exceeds the sum of its parts {told}")
        thoughts += total - told
    elif total is not None and total < told:
        usage.flags.append(f"totalTokenCount {total} is less than the sum of its parts {told}")
    inside = _modalities(names, "promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails")
    kept, said = _modalities(names, "cacheTokensDetails"), _modalities(names, "candidatesTokensDetails")
    said = said or _modalities(names, "responseTokensDetails")
    put(
        usage,
        input_tokens=None if prompt is None else prompt + tools,
        cache_read_tokens=cached,
        input_audio_tokens=inside.get("AUDIO"),
        cache_read_audio_tokens=kept.get("AUDIO"),
        input_image_tokens=inside.get("IMAGE"),
        cache_read_image_tokens=kept.get("IMAGE"),
        # Cached video is read at the price of any cached text, so it is left to the cache reads.
        input_video_tokens=inside["VIDEO"] - kept.get("VIDEO", 0) if "VIDEO" in inside else None,
        output_tokens=None if answer is None and not thoughts else (answer or 0) + thoughts,
        reasoning_tokens=thoughts,
        output_audio_tokens=said.get("AUDIO"),
        output_image_tokens=said.get("IMAGE"),
    )
    usage.service_tier = tier(names.get("serviceTier") or names.get("trafficType"))
    return usage


def _openai_chat(body: Mapping[str, Any], provider: str) -> Usage:
    details = part(body, "prompt_tokens_details")
    answer = part(body, "completion_tokens_details")
    cached = first(details, "cached_tokens")
    cached = first(body, *_FLAT_CACHED) if cached is None else cached
    written = first(details, "cache_write_tokens", "cache_creation_tokens")
    written = count(body, "cache_creation_input_tokens") if written is None else written
    reasoning = first(answer, "reasoning_tokens")
    reasoning = first(body, "reasoning_tokens") if reasoning is None else reasoning
    counts = (count(body, "prompt_tokens"), count(body, "completion_tokens"), count(body, "total_tokens"))
    usage = nested_totals("openai_chat", provider, counts, (cached, written), reasoning)
    _put_details(usage, details, answer)
    put_other(usage, web_search=body.get("num_search_queries"), citation=body.get("citation_tokens"))
    usage.service_tier = tier(body.get("service_tier"))
    return usage


def _openai_responses(body: Mapping[str, Any], provider: str) -> Usage:
    details = part(body, "input_tokens_details") or part(body, "input_token_details")
    answer = part(body, "output_tokens_details") or part(body, "output_token_details")
    counts = (count(body, "input_tokens"), count(body, "output_tokens"), count(body, "total_tokens"))
    cache = (count(details, "cached_tokens"), first(details, "cache_write_tokens", "cache_creation_tokens"))
    usage = nested_totals("openai_responses", "", counts, cache, count(answer, "reasoning_tokens"))
    _put_details(usage, details, answer)
    calls = part(body, "server_side_tool_usage_details")
    put_other(
        usage,
        web_search=calls.get("web_search_calls"),
        social_search=calls.get("x_search_calls"),
        code_execution=calls.get("code_interpreter_calls"),
        file_search=calls.get("file_search_calls"),
    )
    usage.service_tier = tier(body.get("service_tier"))
    return usage


def _openai_images(body: Mapping[str, Any], provider: str) -> Usage:
    """Read the usage of an image: what is not said to be text in the output is the picture."""
    usage = _openai_responses(body, provider)
    answer = part(body, "output_tokens_details")
    if "output_tokens" in usage.tokens and "image_tokens" not in answer:
        usage.tokens["output_image_tokens"] = usage.tokens["output_tokens"] - (count(answer, "text_tokens") or 0)
    usage.reading = "openai_images: the output is a picture where it is not said to be text"
    return usage


def nested_totals(
    shape: str,
    provider: str,
    counts: tuple[int | None, int | None, int | None],
    cache: tuple[int | None, int | None],
    thought: int | None,
) -> Usage:
    """Read a shape whose totals include their parts, unless its own total proves otherwise."""
    prompt, answer, total = counts
    cached = (cache[0] or 0) + (cache[1] or 0)
    reading = f"{shape}: cache in the input, reasoning in the output"
    usage = Usage(reading=reading)
    if cached and prompt is not None and cached > prompt:
        if total is None or total == prompt + cached + (answer or 0):
            usage.reading = f"{shape}: input excludes cache, as {cached} cached exceed {prompt}"
            prompt += cached
            total = None
        else:
            usage.flags.append(f"cached tokens {cached} exceed the input {prompt}")
    if thought and answer is not None and thought > answer:
        usage.reading = f"{shape}: reasoning beside the output, as {thought} exceed {answer}"
        answer += thought
    elif total is not None and prompt is not None and answer is not None and total != prompt + answer:
        if thought and total == prompt + answer + thought:
            usage.reading = f"{shape}: reasoning beside the output, as the total says"
            answer += thought
        elif total > prompt + answer + (thought or 0):
            usage.flags.append(f"hidden reasoning: total {total} exceeds {prompt} + {answer}")
            thought = total - prompt - answer + (thought or 0 if thought and thought <= answer else 0)
            answer = total - prompt
        else:
            usage.flags.append(f"total {total} is not {prompt} + {answer}")
    elif total is None and thought and answer is not None and provider in _REASONING_BESIDE:
        usage.reading = f"{shape}: reasoning beside the output, as {provider} counts it"
        answer += thought
    put(usage, input_tokens=prompt, output_tokens=answer, reasoning_tokens=thought)
    put(usage, cache_read_tokens=cache[0], cache_write_5m_tokens=cache[1])
    return usage


def _put_details(usage: Usage, details: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    kept = part(details, "cached_tokens_details")
    hour = count(part(details, "cache_creation_token_details"), "ephemeral_1h_input_tokens")
    if hour is not None:
        put(usage, cache_write_1h_tokens=hour)
        put(usage, cache_write_5m_tokens=usage.tokens.get("cache_write_5m_tokens", hour) - hour)
    put(
        usage,
        input_audio_tokens=count(details, "audio_tokens"),
        input_image_tokens=count(details, "image_tokens"),
        input_video_tokens=count(details, "video_tokens"),
        cache_read_audio_tokens=count(kept, "audio_tokens"),
        cache_read_image_tokens=count(kept, "image_tokens"),
        output_audio_tokens=count(answer, "audio_tokens"),
        output_image_tokens=count(answer, "image_tokens"),
    )


def _llama(body: Mapping[str, Any], provider: str) -> Usage:
    """Read what Meta's models answer on Bedrock; they have no cache."""
    usage = Usage(reading="llama: prompt and generation")
    put(usage, input_tokens=count(body, "prompt_token_count"), output_tokens=count(body, "generation_token_count"))
    return usage


def _seconds(body: Mapping[str, Any], provider: str) -> Usage:
    usage = Usage(reading="seconds of audio")
    put_other(usage, second=body.get("seconds"))
    return usage


def _pages(body: Mapping[str, Any], provider: str) -> Usage:
    usage = Usage(reading="pages of documents")
    put_other(usage, page=body.get("pages_processed"))
    return usage


def _modalities(names: Mapping[str, Any], *lists: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in lists:
        for item in parts(names, name):
            modality = str(item.get("modality", "")).upper().replace("DOCUMENT", "IMAGE")
            found[modality] = found.get(modality, 0) + (first(item, "tokenCount", "token_count") or 0)
    return found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
