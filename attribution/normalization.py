"""A source's words become ours: strict values (counts, text, money, times) and names (providers, tiers, ids)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from attribution.reading import Unreadable, mask

#: No call uses a million million tokens; beyond that a count is a fault, not a fact.
COUNT_LIMIT = 10**12
TEXT_LIMIT = 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST, _LATEST = 946_684_800_000_000, 4_102_444_800_000_000  # 2000 and 2100, in microseconds
_PICO = Decimal("0.000000000001")

_PROVIDERS = {
    "openai": "openai",
    "openai.chat": "openai",
    "openai.responses": "openai",
    "openai.embedding": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "anthropic.messages": "anthropic",
    "aws": "aws",
    "aws.bedrock": "aws",
    "aws_bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "amazon_bedrock": "aws",
    "amazon.bedrock": "aws",
    "azure": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_ai": "azure",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "azure openai": "azure",
    "google": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "vertexai": "google",
    "vertex-ai": "google",
    "gemini": "google",
    "google.generative-ai": "google",
    "google.vertex": "google",
    "google_genai": "google",
    "google-vertex": "google",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "perplexity": "perplexity",
    "perplexity-ai": "perplexity",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "x-ai": "x-ai",
    "moonshot_ai": "moonshotai",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "fireworks": "fireworks",
    "together_ai": "together",
    "togetherai": "together",
    "together-ai": "together",
    "together": "together",
    "openrouter": "openrouter",
}
_TIERS = {
    "default": "standard",
    "standard": "standard",
    "on_demand": "standard",
    "on-demand": "standard",
    "standard_only": "standard",
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
    "fast": "fast",
}
#: `auto` says that the provider may choose, not what it chose.
_NO_TIER = {"", "auto", "none", "not_given", "unspecified"}
#: The beginning of `litellm:` in base64.
_WRAPPED_ID = "resp_bGl0ZWxsbT"
_NAMES_NO_PERSON = ("owner_team", "workflow_id", "feature")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_API_KEY = re.compile(r"\b(?:sk|pk|rk)-[\w-]{8,}|\bAKIA[A-Z0-9]{12,}|\bgh[pousr]_\w{20,}|\bAIza[\w-]{20,}")
_PHONE = re.compile(
    r"(?<![\w.-])\+?\d{1,3}[ ()-]{1,2}\d{2,4}[ ()-]{1,2}\d{3,}[\d ()-]*(?![\w-])|(?<!\w)\+\d{9,15}(?!\w)"
)
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){15,16}(?!\d)")
_HASH = re.compile(r"^(?:[A-Za-z]{1,12}[_:-])?(?:hmac-sha256:|sha256:)?[0-9a-fA-F]{4,128}$")


def provider(value: str | None) -> str | None:
    """Return our name of a provider; an unknown name stays as it is, in lower case."""
    if value is None:
        return None
    name = value.strip().lower()
    return _PROVIDERS.get(name, name) or None


def response_id(value: str | None) -> str | None:
    """Return the provider's own response id; LiteLLM wraps those of the Responses API in an id of its own."""
    if value is None or not value.startswith(_WRAPPED_ID):
        return value
    try:
        unwrapped = base64.b64decode(value.removeprefix("resp_"), validate=True).decode("ascii")
    except ValueError:
        return value
    return unwrapped.rpartition(";response_id:")[2] or value


def service_tier(value: Any) -> str | None:
    """Return our name of a service tier; null where the source does not say."""
    if not isinstance(value, str) or value.strip().lower() in _NO_TIER:
        return None
    name = value.strip().lower()
    return _TIERS.get(name, name)


def count(value: Any, field: str) -> int | None:
    """Return a whole number of at least 0, or null when there is none; anything else is refused."""
    if value is None:
        return None
    if type(value) is not int:
        raise Unreadable("not_a_count", "a whole number", mask(value), field)
    if value < 0:
        raise Unreadable("negative", "a whole number of at least 0", value, field)
    if value > COUNT_LIMIT:
        raise Unreadable("above_limit", f"at most {COUNT_LIMIT:,}", mask(value), field)
    return value


def count_text(value: Any, field: str) -> int | None:
    """Like `count`, for sources whose page says that counts may be decimal text."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 30:
            raise Unreadable("not_a_count", "a whole number", mask(value), field)
        value = int(value)
    return count(value, field)


def text(value: Any, field: str) -> str | None:
    """Return text as it is, or null when it is empty; other types are refused."""
    if value is None:
        return None
    if type(value) is not str:
        raise Unreadable("not_text", "text", mask(value), field)
    if len(value) > TEXT_LIMIT:
        raise Unreadable("above_limit", f"at most {TEXT_LIMIT} characters", mask(value), field)
    return value or None


def flag(value: Any, field: str) -> bool | None:
    """Return true, false or null; other types are refused."""
    if value is None or type(value) is bool:
        return value
    raise Unreadable("not_a_flag", "true or false", mask(value), field)


def money(value: Any, field: str) -> Decimal | None:
    """Return an exact amount, rounded half-even to a pico-dollar; text in plain form is accepted."""
    if value is None:
        return None
    if isinstance(value, str):
        if not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?", value):
            raise Unreadable("not_money", "a plain number such as -1234.56", mask(value), field)
        value = Decimal(value)
    elif type(value) is int:
        value = Decimal(value)
    elif type(value) is float:
        value = Decimal(repr(value))
    elif not isinstance(value, Decimal):
        raise Unreadable("not_money", "a number", mask(value), field)
    try:
        if not value.is_finite() or value.adjusted() > 18:
            raise InvalidOperation
        exact: Decimal = value.quantize(_PICO)
        return exact
    except InvalidOperation:
        raise Unreadable("above_limit", "a finite amount below 10^18", mask(value), field) from None


def instant(value: Any, field: str, zone: str | None = None) -> int | None:
    """Return microseconds since 1970 (UTC) of RFC 3339 text or a datetime; without an offset a zone is needed."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        moment = _parse_time(value, field)
    elif isinstance(value, datetime):
        moment = value
    else:
        raise Unreadable("not_a_time", "a time such as 2026-10-05T12:00:00Z", mask(value), field)
    if moment.tzinfo is None:
        if zone is None:
            raise Unreadable("no_time_zone", "a time with an offset, or a declared zone", mask(value), field)
        moment = moment.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    return _in_range((moment - EPOCH) // _MICROSECOND, value, field)


def _parse_time(value: str, field: str) -> datetime:
    # Later Python versions read 24:00 and week dates; what a time means must not depend on the interpreter.
    if not re.match(r"\d{4}-\d\d-\d\d(?:$|[T ](?!24))", value):
        raise Unreadable("not_a_time", "a time such as 2026-10-05T12:00:00Z", mask(value), field)
    try:
        return datetime.fromisoformat(value.removesuffix(" UTC") + ("Z" if value.endswith(" UTC") else ""))
    except ValueError:
        raise Unreadable("not_a_time", "a time such as 2026-10-05T12:00:00Z", mask(value), field) from None


def epoch(value: Any, field: str, per_second: int) -> int | None:
    """Return microseconds since 1970 of an epoch number in the given resolution (1, 1000, 10^6, 10^9)."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,20}", value):
        value = int(value)
    if type(value) is float:
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and not (value.is_finite() and value.adjusted() < 30):
        raise Unreadable("not_a_time", "a time between the years 2000 and 2100", mask(value), field)
    if type(value) is int or isinstance(value, Decimal):
        if per_second >= 1_000_000:
            return _in_range(int(value) // (per_second // 1_000_000), value, field)
        return _in_range(int(value * (1_000_000 // per_second)), value, field)
    raise Unreadable("not_a_time", "an epoch number", mask(value), field)


def _in_range(microseconds: int, value: Any, field: str) -> int:
    if not _EARLIEST <= microseconds < _LATEST:
        raise Unreadable("not_a_time", "a time between the years 2000 and 2100", mask(value), field)
    return microseconds


@lru_cache(maxsize=65_536)
def personal_data(value: str) -> str | None:
    """Name the kind of personal data or secret that a value looks like, or null."""
    if _EMAIL.search(value):
        return "email"
    if _API_KEY.search(value):
        return "api_key"
    if _PHONE.search(value):
        return "phone"
    if _CARD.search(value) and not _HASH.match(value):
        return "card"
    return None


def owner(value: Any, field: str, flags: list[str]) -> str | None:
    """Return an ownership value as text, or null with a flag that says why it was not kept.

    A bad ownership value never costs the call: it stays, without this owner. A person is no team, so a team, workflow
    or feature that looks like personal data or a key is not kept; elsewhere the kind of data stands in its place.
    """
    if value is None:
        return None
    if type(value) is not str:
        flags.append(f"{field}:not_text")
        return None
    kept = value.strip()
    if not kept:
        return None
    if len(kept) > TEXT_LIMIT:
        flags.append(f"{field}:too_long")
        return None
    if "\x00" in kept:
        flags.append(f"{field}:control_character")
        return None
    kind = personal_data(kept)
    if kind:
        flags.append(f"{field}:personal_data:{kind}")
        return None if field in _NAMES_NO_PERSON else f"[{kind}]"
    return kept


def handle(value: Any, field: str, flags: list[str], key: bytes | None = None) -> str | None:
    """Return a hashed tenant or user handle: as it is, hashed with the key (HMAC), or null with the reason."""
    # Raw ids may be personal data; they are hashed or dropped here and never stored, so no mask is needed.
    given = str(value) if type(value) is int and key is not None else value
    if type(given) is not str:
        if given is not None:
            flags.append(f"{field}:not_text")
        return None
    given = given.strip()
    if not given or is_hashed(given):
        return given or None
    if key is not None:
        return "h_" + hmac.new(key, given.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
    flags.append(f"{field}:unhashed")
    return None


def is_hashed(value: str) -> bool:
    """Tell whether a handle looks like a digest, with or without a short prefix (`t_71b2`)."""
    return bool(_HASH.match(value)) and not value.isdigit()
