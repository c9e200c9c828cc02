"""What a bill calls a model and what a call calls it: one key for both, by aliases, the price book and spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from attribution.ledger import Ledger
from attribution.pricing.book import PriceBook
from attribution.pricing.models import PROVIDERS, resolve

#: Words of a model id that tell no models apart: who made or serves it, and forms of its version.
_FILLERS = {
    "us", "eu", "apac", "ap", "au", "jp", "ca", "sa", "uk", "mx", "global", "anthropic", "amazon", "meta", "mistral",
    "openai", "google", "cohere", "ai21", "deepseek", "qwen", "models", "model", "v1", "v2", "latest", "preview", "ga",
    "text", "edition", "bedrock", "azure", "mantle",
}  # fmt: skip
_DATED = re.compile(r"[-@ ](?:20\d{2}-?[01]\d-?[0-3]\d|[01]\d[0-3]\d)(?=$|[-:@ ])")
_VERSION = re.compile(r"[-:]v\d+(?::\d+)?$|:\d+$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: Families that some bills leave out: `5.4 inp Gl` is a meter of gpt-5.4.
_BRANDS = {"gpt", "grok", "claude", "gemini", "o", "llama"}


@dataclass(frozen=True)
class Named:
    """One model name of one provider: its key, the price book's name for it, and whether that is an estimate."""

    provider: str
    name: str
    key: str
    book_model: str | None


def spelling(name: str) -> str:
    """Return the words of a model name without makers, regions, dates and versions: letters sorted, then numbers.

    Examples
    --------
    >>> spelling("us.anthropic.claude-sonnet-4-5-20250929-v1:0") == spelling("Claude Sonnet 4.5")
    True
    >>> spelling("gpt-4o-2024-11-20") == spelling("gpt 4o 1120")
    True
    """
    bare = _DATED.sub("", _VERSION.sub("", name.strip().rpartition("/")[2]))
    words = [word.lower() for word in _WORD.findall(re.sub(r"(?<=\d)\.0(?!\d)", "", bare))]
    told = [word for word in words if word not in _FILLERS] or words
    letters = sorted(word for word in told if not word.isdigit())
    return " ".join(letters + [word for word in told if word.isdigit()])


def name_models(ledger: Ledger, book: PriceBook, names: Iterable[tuple[str, str]], at: datetime) -> list[Named]:
    """Return the key of every (provider, model) pair, so that the names of bill and calls meet.

    Reviewed aliases go first, then what the price book resolves, then a model of the book that is spelt with the
    same words, then the words themselves. Nothing is taken for something merely similar.
    """
    aliases = _aliases(ledger, at)
    spelt: dict[str, dict[str, list[str]]] = {}
    found = []
    for provider, name in sorted(set(names)):
        known = aliases.get((provider, name)) or aliases.get(("", name)) or name
        model = _book_model(book, provider, known, spelt)
        found.append(Named(provider, name, spelling(model or known), model))
    return [_with_brand(each, found) for each in found]


def _with_brand(named: Named, others: Sequence[Named]) -> Named:
    """Give a name that leaves out its family the key of the one model here that has the same other words."""
    words, number = _unbranded(named.key)
    if named.book_model or words != {word for word in named.key.split() if not word.isdigit()}:
        return named
    keys = {o.key: o.book_model for o in others if o.provider == named.provider and o.key != named.key}
    alike = [key for key in sorted(keys) if _unbranded(key) == (words, number)]
    return replace(named, key=alike[0], book_model=keys[alike[0]]) if len(alike) == 1 else named


def _unbranded(key: str) -> tuple[set[str], str]:
    words = key.split()
    return {w for w in words if not w.isdigit()} - _BRANDS, "".join(w for w in words if w.isdigit())


def _aliases(ledger: Ledger, at: datetime) -> dict[tuple[str, str], str]:
    rows = ledger.rows(
        """
        select coalesce(provider, ''), name, canonical from alias
        where kind = 'model' and (valid_from is null or valid_from <= $at) and (valid_to is null or valid_to > $at)
        order by all
        """,
        {"at": at},
    )
    return {(provider, name): canonical for provider, name, canonical in rows}


def _book_model(book: PriceBook, provider: str, name: str, spelt: dict[str, dict[str, list[str]]]) -> str | None:
    owner = PROVIDERS.get(provider, provider)
    resolved = resolve(book, owner, name)
    if not isinstance(resolved, str) and not resolved.is_estimate:
        return resolved.model
    if owner not in spelt:
        spelt[owner] = _spellings(book.models(owner))
    alike = spelt[owner].get(spelling(name), [])
    return alike[0] if alike else None


def _spellings(models: Sequence[str]) -> dict[str, list[str]]:
    """Return the book's models by their words, the shortest name first."""
    found: dict[str, list[str]] = {}
    for model in sorted(models, key=lambda name: (len(name), name)):
        found.setdefault(spelling(model), []).append(model)
    return found
