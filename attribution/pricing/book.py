"""The price book: dated, flat rate rows with their provenance, and the names that models go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

#: Bounds of "always": portable to engines that know no later or earlier date.
BEGINNING = datetime(1, 1, 1)
FOREVER = datetime(2999, 12, 31)
#: Before this day no source follows prices: what holds from the beginning is the earliest price known.
HISTORY = datetime(2025, 5, 22)
NO_LIMIT = 2**62
DAY = 86_400
ALL_WEEK = 127


@dataclass(frozen=True, slots=True)
class Rate:
    """One meter's price under stated conditions: `price` USD for `per` units.

    The context band is (context_over, context_upto] in input tokens, the validity and the time of day
    are half open, and weekdays are a mask with Monday as 1.
    """

    provider: str
    model: str
    meter: str
    price: Decimal
    per: int
    service_tier: str = "standard"
    region: str | None = None
    context_over: int = -1
    context_upto: int = NO_LIMIT
    valid_from: datetime = BEGINNING
    valid_to: datetime = FOREVER
    second_from: int = 0
    second_to: int = DAY
    weekdays: int = ALL_WEEK
    minimum: Decimal = Decimal(0)
    source: str = ""
    source_entry: str = ""
    basis: str = ""

    @property
    def is_traced(self) -> bool:
        """Whether a source says since when the price holds, or that it held from the beginning."""
        return self.valid_from > BEGINNING or self.basis.startswith("documented")

    @property
    def entry_id(self) -> str:
        """A readable name, unique among the entries of a book for one meter."""
        parts = [self.provider, self.model, self.service_tier]
        if self.region:
            parts.append(self.region)
        name = "/".join(parts)
        if self.context_over >= 0:
            name += f">{self.context_over}"
        if self.second_from > 0 or self.second_to < DAY or self.weekdays != ALL_WEEK:
            name += f"~{self.second_from}-{self.second_to}"
            name += f"w{self.weekdays}" if self.weekdays != ALL_WEEK else ""
        return name + (f"@{self.valid_from:%Y-%m-%dT%H:%M}" if self.valid_from > BEGINNING else "")


@dataclass(frozen=True)
class Name:
    """How references to a model look: a clause tree over text in lower case, tried in order."""

    provider: str
    model: str
    clause: Mapping[str, Any]


@dataclass
class PriceBook:
    """Rates by provider and model, the names to find them by, and what the book was made of."""

    rates: list[Rate]
    names: list[Name]
    fallbacks: Mapping[str, tuple[str, ...]]
    as_of: datetime
    fingerprint: str = ""
    _by_model: dict[tuple[str, str], list[Rate]] = field(default_factory=dict, repr=False)
    _by_provider: dict[str, list[Name]] = field(default_factory=dict, repr=False)
    _models: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for rate in self.rates:
            self._by_model.setdefault((rate.provider, rate.model), []).append(rate)
        for provider, model in sorted(self._by_model):
            self._models.setdefault(provider, []).append(model)
        for name in self.names:
            self._by_provider.setdefault(name.provider, []).append(name)

    def of(self, provider: str, model: str) -> list[Rate]:
        """Return all rates of one model."""
        return self._by_model.get((provider, model), [])

    def providers(self) -> list[str]:
        """Return the providers that have prices, sorted."""
        return sorted(self._models)

    def models(self, provider: str) -> list[str]:
        """Return the models of a provider that have prices, sorted."""
        return self._models.get(provider, [])

    def names_of(self, provider: str) -> Iterable[Name]:
        """Return the naming clauses of a provider in their order."""
        return self._by_provider.get(provider, [])
