"""What a Google SKU description says: model, meter, tier and context band."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_MEDIA = ("audio", "image", "video")
_TIERS = ("batch", "flex", "priority")
_MODEL_END = re.compile(
    r"\s+(?:GA\b|Global\b|Batch\b|Flex\b|Priority\b|Long\b|Text\b|Image\b|Audio\b|Video\b|Thinking\b|Input\b|Output\b|"
    r"Prompt\b|Caching\b|Cached\b|Live API\b|Preview\b)"
)


def parse(description: str) -> dict[str, str | None]:
    """Return model, meter, service_tier and context_window of a SKU; what it does not say is null.

    Storage is looked for before caching, caching before thinking, thinking before input and output.
    """
    return dict(_parse(description))


@lru_cache(maxsize=4096)
def _parse(description: str) -> Mapping[str, str | None]:
    words = set(re.findall(r"[a-z]+", description.lower()))
    return {
        "model": _model(description),
        "meter": _meter(words),
        "service_tier": next((tier for tier in _TIERS if tier in words), None),
        "context_window": "long" if "long" in words else None,
    }


def _meter(words: set[str]) -> str | None:
    media = next((kind for kind in _MEDIA if kind in words), None)
    if "grounding" in words:
        return "maps_search" if "maps" in words else "web_search"
    if "provisioned" in words:
        return "provisioned"
    if words & {"caching", "cached"}:
        return "cache_storage" if "storage" in words else f"cache_read_{media}" if media else "cache_read"
    if "thinking" in words:
        return "reasoning"
    for direction in ("input", "output"):
        if direction in words:
            return f"{direction}_{media}" if media else direction
    return None


def _model(description: str) -> str | None:
    found = _MODEL_END.search(description)
    if not found or "grounding" in description.lower() or "provisioned" in description.lower():
        return None
    return description[: found.start()].strip() or None
