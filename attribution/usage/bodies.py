"""Usage bodies of every API shape, read into the columns of a cost event; totals are made inclusive here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

#: API shapes that are told apart by a field that only they have, in the order of trial.
_SHAPES = (
    ("google", ("promptTokenCount", "prompt_token_count", "totalTokenCount", "candidatesTokenCount")),
    ("bedrock_log", ("inputTokenCount",)),
    ("bedrock_converse", ("inputTokens", "outputTokens")),
    ("cohere", ("billed_units",)),
    ("anthropic", ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use")),
    ("openai_chat", ("prompt_tokens", "completion_tokens")),
    ("openai_responses", ("input_tokens", "output_tokens")),
    ("seconds", ("seconds",)),
    ("pages", ("pages_processed",)),
)
#: Providers whose chat API counts reasoning beside the completion, where no total settles it.
_REASONING_BESIDE = ("x-ai", "perplexity")


@dataclass
class Usage:
    """What one call used, in the columns of a cost event, and how the body was read."""

    tokens: dict[str, int] = field(default_factory=dict)
    other: dict[str, Decimal] = field(default_factory=dict)
    reading: str = ""
    flags: list[str] = field(default_factory=list)
    model: str | None = None
    service_tier: str | None = None
    region: str | None = None

    @property
    def is_metered(self) -> bool:
        """Whether the body said anything about usage."""
        return bool(self.tokens) or bool(self.other)


def shape_of(body: Mapping[str, Any]) -> str | None:
    """Return the API shape of a usage body by the fields that only it has, or None."""
    for shape, fields in _SHAPES:
        if any(name in body for name in fields):
            return shape
    return None


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
        "openai_chat": _openai_chat,
        "openai_images": _openai_images,
        "openai_responses": _openai_responses,
        "pages": _pages,
        "seconds": _seconds,
    }.get(shape or "")
    if read is None:
        return [Usage(reading="no known usage field")]
    if shape == "anthropic" and len(body.get("iterations") or []) > 0:
        return _iterations(body)
    return [read(body, provider)]


def _iterations(body: Mapping[str, Any]) -> list[Usage]:
    """Bill every iteration at its own model; the top level only sums those of the message itself."""
    items = []
    for iteration in body["iterations"]:
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
    split = body.get("cache_creation") or {}
    written, read = _count(body, "cache_creation_input_tokens") or 0, _count(body, "cache_read_input_tokens") or 0
    for_1h, for_5m = _count(split, "ephemeral_1h_input_tokens") or 0, _count(split, "ephemeral_5m_input_tokens")
    usage = Usage(reading="anthropic: input excludes cache", service_tier=_tier(body.get("service_tier")))
    if for_5m is not None and "cache_creation_input_tokens" in body and for_5m + for_1h != written:
        usage.flags.append(f"cache writes {for_5m} + {for_1h} are not {written}")
    for_5m = written - for_1h if for_5m is None else for_5m
    speed, geography = body.get("speed"), body.get("inference_geo")
    if speed == "fast":
        usage.service_tier = "fast"
    usage.region = geography if geography != "not_available" else None
    uncached = _count(body, "input_tokens")
    _put(
        usage,
        input_tokens=None if uncached is None else uncached + for_5m + for_1h + read,
        cache_read_tokens=read,
        cache_write_5m_tokens=for_5m,
        cache_write_1h_tokens=for_1h,
        output_tokens=_count(body, "output_tokens"),
        reasoning_tokens=_count(body.get("output_tokens_details") or {}, "thinking_tokens"),
    )
    tools = body.get("server_tool_use") or {}
    _put_other(usage, web_search=tools.get("web_search_requests"))
    return usage


def _converse(body: Mapping[str, Any], provider: str) -> Usage:
    read = _first(body, "cacheReadInputTokens", "cacheReadInputTokenCount") or 0
    written = _first(body, "cacheWriteInputTokens", "cacheWriteInputTokenCount") or 0
    details = body.get("cacheDetails") or []
    for_1h = sum(_count(d, "inputTokens") or 0 for d in details if d.get("ttl") == "1h")
    return _beside(body, "bedrock_converse", "inputTokens", "outputTokens", read, written, for_1h, "totalTokens")


def _bedrock_log(body: Mapping[str, Any], provider: str) -> Usage:
    read = _count(body, "cacheReadInputTokenCount") or 0
    written = _count(body, "cacheWriteInputTokenCount") or 0
    return _beside(body, "bedrock_log", "inputTokenCount", "outputTokenCount", read, written, 0, "totalTokenCount")


def _beside(
    body: Mapping[str, Any], shape: str, given: str, answered: str, read: int, written: int, for_1h: int, total: str
) -> Usage:
    """Read a shape whose input excludes what was read from and written to the cache."""
    usage = Usage(reading=f"{shape}: input excludes cache")
    uncached, output = _count(body, given), _count(body, answered)
    whole = _count(body, total)
    if whole is not None and uncached is not None and whole != uncached + read + written + (output or 0):
        usage.flags.append(f"{total} {whole} is not the sum {uncached + read + written + (output or 0)}")
    _put(
        usage,
        input_tokens=None if uncached is None else uncached + read + written,
        cache_read_tokens=read,
        cache_write_5m_tokens=written - for_1h,
        cache_write_1h_tokens=for_1h,
        output_tokens=output,
    )
    return usage


def _cohere(body: Mapping[str, Any], provider: str) -> Usage:
    billed = body["billed_units"]
    usage = Usage(reading="cohere: billed units")
    _put(usage, input_tokens=_count(billed, "input_tokens"), output_tokens=_count(billed, "output_tokens"))
    _put(usage, input_image_tokens=_count(billed, "image_tokens"))
    _put_other(usage, rerank_search=billed.get("search_units"), classification=billed.get("classifications"))
    return usage


def _google(body: Mapping[str, Any], provider: str) -> Usage:
    names = {_camel(key): value for key, value in body.items()}
    prompt, tools = _count(names, "promptTokenCount"), _count(names, "toolUsePromptTokenCount") or 0
    thoughts = _count(names, "thoughtsTokenCount") or 0
    answer = _first(names, "candidatesTokenCount", "responseTokenCount")
    cached = _count(names, "cachedContentTokenCount") or 0
    usage = Usage(reading="google: cache in the prompt, thoughts and tool use beside")
    total = _count(names, "totalTokenCount")
    if answer is None and total is not None:
        answer = 0
    parts = (prompt or 0) + tools + (answer or 0) + thoughts
    if total is not None and total > parts:
        usage.flags.append(f"hidden reasoning: totalTokenCount {total} exceeds the sum of its parts {parts}")
        thoughts += total - parts
    elif total is not None and total < parts:
        usage.flags.append(f"totalTokenCount {total} is less than the sum of its parts {parts}")
    inside = _modalities(names, "promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails")
    kept, said = _modalities(names, "cacheTokensDetails"), _modalities(names, "candidatesTokensDetails")
    said = said or _modalities(names, "responseTokensDetails")
    _put(
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
    usage.service_tier = _tier(names.get("serviceTier") or names.get("trafficType"))
    return usage


def _openai_chat(body: Mapping[str, Any], provider: str) -> Usage:
    details = body.get("prompt_tokens_details") or {}
    answer = body.get("completion_tokens_details") or {}
    flat = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cached_prompt_text_tokens")
    cached = _first(details, "cached_tokens")
    cached = _first(body, *flat) if cached is None else cached
    reasoning = _first(answer, "reasoning_tokens")
    reasoning = _first(body, "reasoning_tokens") if reasoning is None else reasoning
    counts = (_count(body, "prompt_tokens"), _count(body, "completion_tokens"), _count(body, "total_tokens"))
    usage = _inclusive("openai_chat", provider, counts, cached, reasoning)
    _put_details(usage, details, answer)
    _put_other(usage, web_search=body.get("num_search_queries"), citation=body.get("citation_tokens"))
    usage.service_tier = _tier(body.get("service_tier"))
    return usage


def _openai_responses(body: Mapping[str, Any], provider: str) -> Usage:
    details = body.get("input_tokens_details") or body.get("input_token_details") or {}
    answer = body.get("output_tokens_details") or body.get("output_token_details") or {}
    counts = (_count(body, "input_tokens"), _count(body, "output_tokens"), _count(body, "total_tokens"))
    cached = _count(details, "cached_tokens")
    usage = _inclusive("openai_responses", "", counts, cached, _count(answer, "reasoning_tokens"))
    _put_details(usage, details, answer)
    calls = body.get("server_side_tool_usage_details") or {}
    _put_other(
        usage,
        web_search=calls.get("web_search_calls"),
        social_search=calls.get("x_search_calls"),
        code_execution=calls.get("code_interpreter_calls"),
        file_search=calls.get("file_search_calls"),
    )
    usage.service_tier = _tier(body.get("service_tier"))
    return usage


def _openai_images(body: Mapping[str, Any], provider: str) -> Usage:
    """Read the usage of an image: what is not said to be text in the output is the picture."""
    usage = _openai_responses(body, provider)
    answer = body.get("output_tokens_details") or {}
    if "output_tokens" in usage.tokens and "image_tokens" not in answer:
        usage.tokens["output_image_tokens"] = usage.tokens["output_tokens"] - (_count(answer, "text_tokens") or 0)
    usage.reading = "openai_images: the output is a picture where it is not said to be text"
    return usage


def _inclusive(
    shape: str,
    provider: str,
    counts: tuple[int | None, int | None, int | None],
    cached: int | None,
    thought: int | None,
) -> Usage:
    """Read a shape whose totals include their parts, unless its own total proves otherwise."""
    prompt, answer, total = counts
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
    _put(usage, input_tokens=prompt, output_tokens=answer, cache_read_tokens=cached, reasoning_tokens=thought)
    return usage


def _put_details(usage: Usage, details: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    kept = details.get("cached_tokens_details") or {}
    _put(
        usage,
        cache_write_5m_tokens=_first(details, "cache_write_tokens", "cache_creation_tokens"),
        input_audio_tokens=_count(details, "audio_tokens"),
        input_image_tokens=_count(details, "image_tokens"),
        input_video_tokens=_count(details, "video_tokens"),
        cache_read_audio_tokens=_count(kept, "audio_tokens"),
        cache_read_image_tokens=_count(kept, "image_tokens"),
        output_audio_tokens=_count(answer, "audio_tokens"),
        output_image_tokens=_count(answer, "image_tokens"),
    )


def _seconds(body: Mapping[str, Any], provider: str) -> Usage:
    usage = Usage(reading="seconds of audio")
    _put_other(usage, second=body.get("seconds"))
    return usage


def _pages(body: Mapping[str, Any], provider: str) -> Usage:
    usage = Usage(reading="pages of documents")
    _put_other(usage, page=body.get("pages_processed"))
    return usage


def _modalities(names: Mapping[str, Any], *lists: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in lists:
        for item in names.get(name) or []:
            modality = str(item.get("modality", "")).upper().replace("DOCUMENT", "IMAGE")
            found[modality] = found.get(modality, 0) + (_first(item, "tokenCount", "token_count") or 0)
    return found


def _tier(given: Any) -> str | None:
    """Return a tier in our words; what is no tier of the answer itself says nothing."""
    if not isinstance(given, str) or given.lower() in (
        "",
        "auto",
        "service_tier_unspecified",
        "traffic_type_unspecified",
    ):
        return None
    word = given.lower().removeprefix("on_demand_")
    return "standard" if word in ("default", "on_demand", "standard", "standard_only") else word


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _first(body: Mapping[str, Any], *names: str) -> int | None:
    return next((count for count in (_count(body, name) for name in names) if count is not None), None)


def _count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value != int(value) or value < 0:
        raise ValueError(f"`{name}` is {value!r}; expected a whole number of tokens")
    return int(value)


def _put(usage: Usage, **counts: int | None) -> None:
    usage.tokens.update({name: count for name, count in counts.items() if count is not None})


def _put_other(usage: Usage, **counts: Any) -> None:
    for name, value in counts.items():
        if value is None:
            continue
        quantity = Decimal(str(value))
        if not quantity.is_finite() or quantity < 0:
            raise ValueError(f"`{name}` is {value!r}; expected a quantity that is not negative")
        if quantity:
            usage.other[name] = quantity
