"""Compile the book from its sources: the same sources, the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import zstandard

from attribution.errors import ConfigurationError
from attribution.pricing.book import PriceBook, Rate
from attribution.pricing.merging import Conflict, is_token, merge
from attribution.pricing.models import find_by_clause, matches
from attribution.pricing.sources import genai, history, litellm, supplement
from attribution.pricing.sources.checking import Given, check_map, check_snapshot, read_given
from attribution.pricing.storing import fingerprint_of

#: Largest decompressed source that is read [bytes].
_LIMIT = 200_000_000
#: Every price is kept to twelve places of a dollar.
_PLACES = Decimal("1e-12")


@dataclass(frozen=True)
class Built:
    """A book, and the disagreements between its sources."""

    book: PriceBook
    conflicts: list[Conflict]
    inputs: dict[str, str]
    given: list[Rate]
    #: Price keys of the LiteLLM map in units that no meter counts, with how many entries have them.
    unread: dict[str, int]


def folder() -> Traversable:
    """Return the folder of the package that holds prices and their sources."""
    return resources.files("attribution") / "prices"


def build_book(litellm_map: Path | None = None, history_snapshot: Path | None = None) -> Built:
    """Compile the book from the installed genai-prices, the vendored or given sources, and the supplements."""
    inputs = {"genai-prices": version("genai-prices")}
    price_map, inputs["litellm"] = _given(litellm_map, check_map) if litellm_map else _vendored("litellm-")
    snapshot, inputs["model-prices"] = (
        _given(history_snapshot, check_snapshot) if history_snapshot else _vendored("model-prices-")
    )
    as_of = datetime.fromisoformat(snapshot["updated_at"].replace("Z", "+00:00")).replace(tzinfo=None)
    ours = list(supplement.rates(folder()))
    theirs = list(genai.rates())
    names = list(genai.names())
    known = PriceBook(theirs, names, genai.fallbacks(), as_of)
    theirs += _named(history.rates(snapshot, inputs["model-prices"]), known)
    theirs += _named(litellm.rates(price_map, inputs["litellm"]), known)
    theirs = [r for r in theirs if not _is_repeated_region(r, known) and not _is_of_a_modality(r, known)]
    kept, conflicts = merge([*ours, *theirs], _preferred(), as_of)
    kept += _uplifted(kept, litellm.uplifts(price_map, inputs["litellm"]), known)
    rates = [replace(rate, price=rate.price.quantize(_PLACES)) for rate in sorted(kept, key=_order)]
    fingerprint = fingerprint_of(rates, names)
    return Built(
        PriceBook(rates, names, genai.fallbacks(), as_of, fingerprint),
        conflicts,
        inputs,
        [*ours, *theirs],
        litellm.unread(price_map),
    )


def _given(path: Path, check: Callable[[Given], None]) -> tuple[Any, str]:
    """Read a source that the user points at, checked; its digest is its version."""
    given = read_given(path)
    check(given)
    return given.content, given.version


def _vendored(prefix: str) -> tuple[Any, str]:
    """Read a vendored source and its version, which its name carries."""
    for entry in sorted((folder() / "sources").iterdir(), key=lambda e: e.name):
        if entry.name.startswith(prefix):
            text = zstandard.ZstdDecompressor().decompress(entry.read_bytes(), max_output_size=_LIMIT)
            return json.loads(text, parse_float=Decimal), entry.name.removeprefix(prefix).split("-")[0]
    raise ConfigurationError.at(f"prices/sources/{prefix}*", None, "no such file", "the vendored source")


def _preferred() -> dict[str, str]:
    lines = (folder() / "precedence.csv").read_text(encoding="utf-8").splitlines()
    return {row["provider"]: row["preferred"] for row in csv.DictReader(lines)}


def _named(rates: Iterable[Rate], known: PriceBook) -> Iterator[Rate]:
    """Give rows the name that genai-prices has for their model, where both mean the same one.

    A name that genai-prices lists itself is the same model even at another price (a conflict). A name that only
    falls under a pattern of it is the same model when the standard prices agree, and its own model otherwise.
    """
    groups: dict[tuple[str, str], list[Rate]] = {}
    for rate in rates:
        groups.setdefault((rate.provider, rate.model), []).append(rate)
    best: dict[tuple[str, str], tuple[tuple[bool, int, str], list[Rate]]] = {}
    for (provider, model), rows in groups.items():
        entry = _entry(known, provider, model, rows)
        weight = (entry == model, len(rows), model)
        if (provider, entry) not in best or weight > best[provider, entry][0]:
            best[provider, entry] = (weight, [replace(r, model=entry) for r in rows])
    for _, rows in best.values():
        yield from rows


def _entry(known: PriceBook, provider: str, model: str, rows: list[Rate]) -> str:
    if known.of(provider, model):
        return model
    found = find_by_clause(known, provider, model)
    if found is None or _lists(known, provider, found, model):
        return found or model
    return found if _standard(known.of(provider, found)) == _standard(rows) else model


def _lists(known: PriceBook, provider: str, entry: str, model: str) -> bool:
    """Tell whether the naming clauses of an entry list a name by itself, not by a pattern."""

    def listed(clause: Mapping[str, Any]) -> bool:
        ((kind, value),) = clause.items()
        return kind in ("equals", "or") and (value == model if kind == "equals" else any(map(listed, value)))

    return any(listed(n.clause) for n in known.names_of(provider) if n.model == entry and matches(n.clause, model))


def _standard(rows: list[Rate]) -> set[tuple[str, Decimal]]:
    last: dict[str, Rate] = {}
    for rate in rows:
        if rate.service_tier == "standard" and rate.region is None and rate.context_over < 0 and rate.second_from == 0:
            held = last.get(rate.meter)
            if rate.meter in ("input", "output") and (held is None or rate.valid_from >= held.valid_from):
                last[rate.meter] = rate
    return {(meter, (rate.price / rate.per).normalize()) for meter, rate in last.items()}


def _is_repeated_region(rate: Rate, known: PriceBook) -> bool:
    """Tell whether a Bedrock geography repeats the regional price that genai-prices has for all of them."""
    if rate.source != "litellm" or rate.region in (None, "us-gov") or rate.provider != "aws":
        return False
    return any(r.region == "regional" for r in known.of("aws", rate.model))


def _is_of_a_modality(rate: Rate, known: PriceBook) -> bool:
    """Tell whether the history may mean another modality: it has one output price where the model has several."""
    several = {"output_image", "output_audio"}
    return rate.source == "model-prices" and any(r.meter in several for r in known.of(rate.provider, rate.model))


def _uplifted(kept: list[Rate], uplifts: Iterable[litellm.Uplift], known: PriceBook) -> Iterator[Rate]:
    """Yield token prices with their regional surcharge, for regions that have no price of their own."""
    by_model: dict[tuple[str, str], list[Rate]] = {}
    priced = set()
    for rate in kept:
        by_model.setdefault((rate.provider, rate.model), []).append(rate)
        priced.add((rate.provider, rate.model, rate.region))
    for uplift in uplifts:
        rows = by_model.get((uplift.provider, uplift.model), [])
        entry = uplift.model if rows else find_by_clause(known, uplift.provider, uplift.model)
        if entry is None or (uplift.provider, entry, uplift.region) in priced:
            continue
        priced.add((uplift.provider, entry, uplift.region))
        for rate in by_model.get((uplift.provider, entry), []):
            if rate.region is None and is_token(rate):
                price = rate.price * uplift.factor
                basis = f"{rate.basis}; surcharge {uplift.factor} of {uplift.source_entry}"
                yield replace(rate, price=price, region=uplift.region, basis=basis)


def _order(rate: Rate) -> tuple[Any, ...]:
    return (
        rate.provider,
        rate.model,
        rate.service_tier,
        rate.region or "",
        rate.valid_from,
        rate.context_over,
        rate.weekdays,
        rate.second_from,
        rate.meter,
    )
