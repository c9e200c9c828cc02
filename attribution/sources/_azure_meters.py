"""What an Azure meter name says: model, meter, tier, deployment type, context band; and how large a unit is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

#: Names that the service has had in bills; the newest replaced the others.
CATEGORIES = ("foundry models", "azure openai", "azure openai service", "cognitive services", "azure ai services")
_WORDS = {
    "input": {"inp", "inpt", "input", "prompt"},
    "output": {"outp", "outpt", "opt", "output", "completion"},
    "cached": {"cached", "cchd", "cd", "cache"},
    "write": {"wr", "write"},
    "audio": {"aud", "audio"},
    "image": {"img", "image"},
}
_TIERS = {"batch": "batch", "flex": "flex", "pp": "priority", "priority": "priority", "std": "standard"}
_PLACES = {
    "glbl": "global",
    "gl": "global",
    "global": "global",
    "dzone": "data zone",
    "dz": "data zone",
    "regnl": "regional",
    "rgnl": "regional",
    "regional": "regional",
}
_CONTEXTS = {"longco": "long", "shortco": "short"}
_FILLERS = {"tokens", "token", "1m", "1k", "txt", "text", "provisioned", "ft", "hosting"}
_BLOCK = re.compile(r"^\s*(\d+)\s*([KMB](?![A-Za-z]))?\s*(.*)$")
_SIZES = {None: 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
#: The published unit table reads this one unlike all others.
_ODD = {"10000s": (Decimal(1), "Transactions")}


def is_model_meter(category: str | None, subcategory: str | None, resource: str | None) -> bool:
    """Tell meters of models from the rest of a bill, under the names the service has had."""
    named = {(category or "").strip().lower(), (subcategory or "").strip().lower()}
    return bool(named & set(CATEGORIES)) or "/microsoft.cognitiveservices/accounts/" in (resource or "").lower()


def parse(name: str) -> dict[str, str | None]:
    """Return model, meter, service_tier, place and context_window of a meter name; what it does not say is null."""
    return dict(_parse(name))


@lru_cache(maxsize=4096)
def _parse(name: str) -> Mapping[str, str | None]:
    words = [word for word in re.split(r"[\s_]+|-(?=[A-Za-z])|(?<=[A-Za-z])-(?=\d)", name) if word]
    lowered = [word.lower().strip("-") for word in words]
    found = {kind: bool(names & set(lowered)) for kind, names in _WORDS.items()}
    known = set().union(*_WORDS.values(), _TIERS, _PLACES, _CONTEXTS, _FILLERS)
    first = next((i for i, word in enumerate(lowered) if word in known), len(words))
    model = _model(name, words[:first])
    return {
        "model": model or None,
        "meter": _meter(lowered, found),
        "service_tier": next((_TIERS[word] for word in lowered if word in _TIERS), None),
        "place": next((_PLACES[word] for word in lowered if word in _PLACES), None),
        "context_window": next((_CONTEXTS[word] for word in lowered if word in _CONTEXTS), None),
    }


def _model(name: str, words: list[str]) -> str:
    """Return the name as it stands, up to the first word that is not part of it."""
    if not words:
        return ""
    pattern = r"[\s_-]+".join(re.escape(word) for word in words)
    found = re.match(rf"\s*({pattern})", name)
    return found[1] if found else " ".join(words)


def _meter(words: list[str], found: dict[str, bool]) -> str | None:
    if "provisioned" in words:
        return "provisioned"
    if "hosting" in words:
        return "hosting"
    media = "audio" if found["audio"] else "image" if found["image"] else None
    if found["cached"] and found["write"]:
        return "cache_write_5m"
    if found["cached"]:
        return f"cache_read_{media}" if media else "cache_read"
    for direction in ("output", "input"):
        if found[direction]:
            return f"{direction}_{media}" if media else direction
    return None


@lru_cache(maxsize=4096)
def block(unit_of_measure: str) -> tuple[Decimal, str]:
    """Return how many single units one unit of a bill stands for, and what they are: `10K` is 10,000."""
    if unit_of_measure in _ODD:
        return _ODD[unit_of_measure]
    found = _BLOCK.match(unit_of_measure)
    if not found:
        return Decimal(1), unit_of_measure.strip()
    return Decimal(int(found[1]) * _SIZES[found[2]]), found[3].strip().lstrip("/").strip() or "units"
