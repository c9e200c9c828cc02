"""Which book entry a provider's model name means: normal forms, naming clauses, near names, never a guess."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attribution.pricing.book import PriceBook

#: Names under which sources know a provider → the book's own.
PROVIDERS = {
    "amazon": "aws",
    "amazon-bedrock": "aws",
    "aws.bedrock": "aws",
    "aws_bedrock": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "azure_ai": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "vertex": "google",
    "google-vertex": "google",
    "google-genai": "google",
    "xai": "x-ai",
    "x_ai": "x-ai",
    "mistralai": "mistral",
    "mistral_ai": "mistral",
    "moonshot": "moonshotai",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
    "text-completion-openai": "openai",
    "cohere_chat": "cohere",
    "voyage": "voyageai",
    "github_copilot": "github-copilot",
}

#: Makers of models, whose list is the estimate for a call that no one says who sold.
_MAKERS = ("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "moonshotai", "zai")
_GEOGRAPHY = re.compile(r"^(us-gov|us|eu|apac|ap|au|jp|ca|sa|uk|mx|global)\.(?=[a-z0-9-]+\.)")
_ARN = re.compile(r"^arn:aws[a-z-]*:(?:bedrock|sagemaker):([a-z0-9-]*):\d*:(.+)$")
_PATH = re.compile(r"^(?:projects/[^/]+/locations/([^/]+)/)?(?:publishers/[^/]+/)?models/(.+)$")
_REGION = re.compile(r"^(?:[a-z]{2}(?:-[a-z]+)+-\d)$")
_DATE = re.compile(r"[-@](?:20\d{2}-?\d{2}-?\d{2}|default)$")
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=$|[-:])")
_OPAQUE = ("application-inference-profile/", "provisioned-model/", "custom-model/", "endpoint/", "prompt/")


@dataclass(frozen=True)
class Resolved:
    """The book entry that a name means, and what had to be read into the name to find it."""

    provider: str
    model: str
    geography: str | None = None
    location: str | None = None
    note: str | None = None
    is_estimate: bool = False
    sold_by: str = ""


def resolve(book: PriceBook, provider: str | None, model: str | None) -> Resolved | str:
    """Return the book entry for a provider's model, or the reason why there is none."""
    if not model or not model.strip():
        return "no model is known for this call"
    if not provider:
        return _by_maker(book, model.strip().lower())
    owner = PROVIDERS.get(provider.strip().lower(), provider.strip().lower())
    name, location, opaque = _strip(model.strip().lower(), owner)
    if opaque:
        return f"`{opaque}` hides the model; an alias must name it"
    geography, bare = _split_geography(name) if owner == "aws" else (None, name)
    for candidate, note in _candidates(bare):
        entry = _find(book, owner, candidate)
        if entry:
            return Resolved(owner, entry, geography, location, note, sold_by=owner)
    for other in book.fallbacks.get(owner, ()):
        entry = _find(book, other, _strip(bare, other)[0])
        if entry:
            note = f"estimated at the list price of {other}"
            return Resolved(other, entry, None, None, note, is_estimate=True, sold_by=owner)
    if owner not in book.providers():
        return f"the price book has no provider `{owner}`" + near_providers(book, owner)
    return f"the price book has no model `{model.strip()}` of {owner}" + _near(book.models(owner), bare)


def _by_maker(book: PriceBook, name: str) -> Resolved | str:
    """Return the maker's entry as an estimate where nobody says who sold the call."""
    why = "no provider is known for this call"
    for maker in _MAKERS:
        bare, _, hidden = _strip(name, maker)
        entry = None if hidden else _find(book, maker, bare)
        if entry:
            note = f"{why}; estimated at the list price of {maker}"
            return Resolved(maker, entry, None, None, note, is_estimate=True)
    return why


def matches(clause: Mapping[str, Any], text: str) -> bool:
    """Tell whether a name in lower case satisfies a clause."""
    ((kind, value),) = clause.items()
    if kind == "equals":
        return bool(text == value)
    if kind == "starts_with":
        return text.startswith(value)
    if kind == "ends_with":
        return text.endswith(value)
    if kind == "contains":
        return value in text
    if kind == "regex":
        return re.search(value, text) is not None
    return (any if kind == "or" else all)(matches(part, text) for part in value)


def _find(book: PriceBook, provider: str, name: str) -> str | None:
    return name if book.of(provider, name) else find_by_clause(book, provider, name)


def find_by_clause(book: PriceBook, provider: str, name: str) -> str | None:
    """Return the first priced model whose naming clause a name in lower case satisfies."""
    for clause in book.names_of(provider):
        if matches(clause.clause, name) and book.of(provider, clause.model):
            return clause.model
    return None


def _strip(name: str, provider: str) -> tuple[str, str | None, str | None]:
    """Take paths, ARNs and provider prefixes off; return the bare name, its location, and what hides it."""
    location = None
    arn = _ARN.match(name)
    if arn:
        location, name = arn.group(1) or None, arn.group(2)
    for hidden in _OPAQUE:
        if name.startswith(hidden):
            return name, location, name
    if arn:
        name = name.split("/", 1)[-1]
    while "/" in name:
        path = _PATH.match(name)
        if path:
            location, name = path.group(1) or location, path.group(2)
            continue
        head, rest = name.split("/", 1)
        if PROVIDERS.get(head, head) == provider or head in ("converse", "invoke", "models"):
            name = rest
        elif provider == "aws" and _REGION.match(head):
            location, name = head, rest
        else:
            break
    return name, location, None


def _split_geography(name: str) -> tuple[str | None, str]:
    found = _GEOGRAPHY.match(name)
    return (found.group(1), name[found.end() :]) if found else (None, name)


def _candidates(name: str) -> Iterator[tuple[str, str | None]]:
    """Yield the name and its other spellings, nearest first; the last drops a date and says so."""
    yield name, None
    if "@" in name:
        yield name.replace("@", "-"), None
    dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
    if dashed != name:
        yield dashed, None
    undated = _DATE.sub("", name)
    if undated != name:
        yield undated, f"the price of `{undated}`, as none is listed for its dated version"


def near_providers(book: PriceBook, name: str) -> str:
    """Suggest providers whose names are alike."""
    near = difflib.get_close_matches(name, book.providers(), n=3, cutoff=0.6)
    return f"; near: {', '.join(near)}" if near else ""


def _near(known: Iterable[str], name: str) -> str:
    """Suggest names that begin alike; comparing with all would take long where thousands of names are unknown."""
    near = difflib.get_close_matches(name, [each for each in known if each[:2] == name[:2]], n=3, cutoff=0.6)
    return f"; near: {', '.join(near)}" if near else ""
