"""What providers bill: calls added up to the cells of their bills, and the lines that no call caused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from attribution.samples.company import FIRST_DAY, METERS, Array, Company, load_rates
from attribution.samples.traffic import FAILED, Calls, quantities

#: Negotiated: what is paid of the list price. Anthropic's grant began in September.
DISCOUNTS = {"aws": (94, 100, date(2026, 1, 1)), "anthropic": (90, 100, date(2026, 9, 1))}
MICRO = 10**6
CENT = 10**10
#: Lines that no call caused, per day, in millionths of the month's bill; the provider, its words, the category.
EXTRAS = (
    ("openai", "code interpreter sessions", "session", 40),
    ("openai", "assistants api | file search storage", "storage", 55),
    ("google", "Gemini 2.5 Pro Text Input Caching Storage", "storage", 30),
    ("anthropic", "Code Execution Usage", "session", 25),
)


@dataclass(frozen=True)
class Cell:
    """One cell of a bill: an hour of a day × deployment × tier × who called × context band."""

    day: date
    hour: int
    deployment: int
    tier: int
    is_direct: bool
    is_long: bool
    quantities: tuple[int, ...]
    requests: int
    list_pico: tuple[int, ...]
    billed_pico: tuple[int, ...]


@dataclass(frozen=True)
class Extra:
    """One bill line that belongs to no call."""

    provider: str
    day: date
    words: str
    category: str
    pico: int


def set_billed(calls: Calls, company: Company, faults: Set[str]) -> None:
    """Set the provider's own dollars of each call, and the day its bill puts it on."""
    calls["billed"] = discounted(calls, company, DISCOUNTS)
    moment = "ended" if "midnight_shift" in faults else "started"
    calls["bill_hour"] = calls[moment] // 3_600_000


def discounted(calls: Calls, company: Company, providers: Iterable[str]) -> Array:
    """Return what is paid where these providers' discounts apply, in whole pico-dollars."""
    paid: Array = calls["cost"].copy()
    for provider in providers:
        numerator, denominator, begins = DISCOUNTS[provider]
        mine = np.array([d.provider == provider for d in company.deployments])[calls["deployment"]]
        mine &= calls["day"] >= (begins - FIRST_DAY).days
        paid[mine] = calls["cost"][mine] * numerator // denominator
    return paid


def in_contract(faults: Set[str]) -> list[str]:
    """Return the providers whose discount the contract file knows."""
    return [name for name in DISCOUNTS if name != "anthropic" or "discount_missing" not in faults]


class Bills:
    """Adds calls up, part by part, in whole numbers."""

    def __init__(self, company: Company, month_usd: float, days: list[date], faults: Set[str]) -> None:
        self.company = company
        self.days = days
        self.faults = faults
        self.month_pico = int(month_usd * 100) * CENT
        self._sums: dict[int, Array] = {}

    def add(self, calls: Calls) -> None:
        """Add the calls of one part."""
        billed = calls["status"] != FAILED
        rates = load_rates()
        is_long = calls["input"] > rates.above[calls["deployment"]]
        is_direct = np.array([w.dialect == "direct" for w in self.company.workflows])[calls["workflow"]]
        code = ((calls["bill_hour"] * 64 + calls["deployment"]) * 4 + calls["tier"]) * 4 + is_direct * 2 + is_long
        parts = quantities(calls)
        costs = parts * rates.of(*(calls[name] for name in ("deployment", "tier", "day", "input")))
        share = np.where(calls["cost"] > 0, calls["billed"] * 100 // np.maximum(calls["cost"], 1), 100)
        paid = costs * share[:, None] // 100
        sums = np.concatenate([parts, np.ones((len(code), 1), dtype=np.int64), costs, paid], axis=1)[billed]
        keys, place = np.unique(code[billed], return_inverse=True)
        totals = np.zeros((len(keys), sums.shape[1]), dtype=np.int64)
        np.add.at(totals, place, sums)
        for key, total in zip(keys.tolist(), totals, strict=True):
            self._sums[key] = self._sums[key] + total if key in self._sums else total

    @cached_property
    def hourly(self) -> list[Cell]:
        """All cells, by hour."""
        return [self._cell(key) for key in sorted(self._sums)]

    @cached_property
    def daily(self) -> list[Cell]:
        """All cells, by day."""
        merged: dict[tuple[date, int, int, bool, bool], list[Cell]] = {}
        for cell in self.hourly:
            key = (cell.day, cell.deployment, cell.tier, cell.is_direct, cell.is_long)
            merged.setdefault(key, []).append(cell)
        return [_merge(merged[key]) for key in sorted(merged)]

    def of(self, provider: str, *, hourly: bool = False) -> list[Cell]:
        """Return one provider's cells."""
        mine = {n for n, d in enumerate(self.company.deployments) if d.provider == provider}
        return [cell for cell in (self.hourly if hourly else self.daily) if cell.deployment in mine]

    def extras(self, provider: str) -> Iterator[Extra]:
        """Yield the provider's lines that no call caused."""
        if "storage_and_sessions" in self.faults:
            for who, words, category, millionths in EXTRAS:
                if who == provider:
                    for day in self.days:
                        pico = self.month_pico * millionths // MICRO // 10**4 * 10**4
                        yield Extra(provider, day, words, category, pico)

    def credits(self, provider: str) -> Iterator[Extra]:
        """Yield credits that stand among a provider's daily lines."""
        if provider == "openai" and "tax_and_credits" in self.faults:
            for month in self.months():
                day = next(d for d in self.days if f"{d:%Y-%m}" == month and d.day == 15)
                yield Extra(provider, day, "credit adjustment", "credit", -(self.month_pico // 2_000 // CENT * CENT))

    def charges(self, provider: str, month: str) -> Iterator[Extra]:
        """Yield tax and credit lines of a month's bill."""
        if provider == "aws" and "tax_and_credits" in self.faults:
            first = date.fromisoformat(f"{month}-01")
            usage = self.total(provider, month)
            yield Extra(provider, first, "US Sales Tax", "tax", usage * 8 // 100 // CENT * CENT)
            yield Extra(provider, first, "AWS Activate credit", "credit", -(usage * 3 // 100 // CENT * CENT))

    def corrections(self, provider: str) -> Iterator[Extra]:
        """Yield rows that take back a part of an earlier month."""
        september = [day for day in self.days if f"{day:%Y-%m}" == "2026-09"]
        if provider == "google" and september and "corrected_bill" in self.faults:
            output = METERS.index("output")
            total = sum(c.billed_pico[output] for c in self.of("google") if f"{c.day:%Y-%m}" == "2026-09")
            words = "Correction of Gemini output price, September"
            yield Extra(provider, september[-1], words, "adjustment", -(total // 50 // MICRO * MICRO))

    def invoiced_in(self, extra: Extra) -> str:
        """Return the month whose invoice carries a line: corrections come a month later."""
        day = extra.day + timedelta(days=20) if extra.category == "adjustment" else extra.day
        return f"{day:%Y-%m}"

    def is_prepaid(self, provider: str) -> bool:
        """Say whether a prepaid balance pays for the provider's usage."""
        return provider == "openai" and "prepaid_drawdown" in self.faults

    def purchase(self, month: str) -> int:
        """Return what was paid into the prepaid balance in a month: enough for the whole sample, at its start."""
        return self.month_pico * len(self.months()) * 45 // 100 // CENT * CENT if month == self.months()[0] else 0

    def months(self) -> list[str]:
        """Return the months of the sample, as `2026-10`."""
        return sorted({f"{day:%Y-%m}" for day in self.days})

    def total(self, provider: str, month: str) -> int:
        """Return the dollars of usage a provider bills for a month, as pico-dollars."""
        return sum(sum(c.billed_pico) for c in self.of(provider) if f"{c.day:%Y-%m}" == month)

    def _cell(self, key: int) -> Cell:
        rest, flags = divmod(key, 4)
        rest, tier = divmod(rest, 4)
        hours, deployment = divmod(rest, 64)
        total = self._sums[key].tolist()
        count = len(METERS)
        return Cell(
            date(1970, 1, 1) + timedelta(days=hours // 24),
            hours % 24,
            deployment,
            tier,
            bool(flags & 2),
            bool(flags & 1),
            tuple(total[:count]),
            total[count],
            tuple(total[count + 1 : 2 * count + 1]),
            tuple(total[2 * count + 1 :]),
        )


def _merge(cells: list[Cell]) -> Cell:
    first = cells[0]
    return Cell(
        first.day,
        0,
        first.deployment,
        first.tier,
        first.is_direct,
        first.is_long,
        tuple(map(sum, zip(*(c.quantities for c in cells), strict=True))),
        sum(c.requests for c in cells),
        tuple(map(sum, zip(*(c.list_pico for c in cells), strict=True))),
        tuple(map(sum, zip(*(c.billed_pico for c in cells), strict=True))),
    )


def plain(pico: int, places: int = 12) -> str:
    """Return pico-dollars as plain decimal text of dollars, without trailing zeros beyond cents."""
    sign, rest = ("-" if pico < 0 else ""), abs(pico)
    text = f"{rest // 10**12}.{rest % 10**12:012d}"[: -(12 - places) or None]
    head, tail = text.split(".")
    return f"{sign}{head}.{tail.rstrip('0').ljust(2, '0')}"
