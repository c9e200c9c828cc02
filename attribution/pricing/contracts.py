"""Negotiated prices over the list: contract price first, then discounts, then list; exact fractions, by date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from attribution.pricing.compiling import Cell, tier_of
from attribution.pricing.terms import Term


def apply_terms(cells: Iterable[Cell], terms: Sequence[Term]) -> Iterator[Cell]:
    """Yield cells cut where terms begin and end, each with its contracted unit prices."""
    for cell in cells:
        about = [t for t in terms if t.kind in ("price", "discount") and _is_about(t, cell)]
        points = {cell.valid_from, cell.valid_to}
        points |= {p for t in about for p in (t.valid_from, t.valid_to) if cell.valid_from < p < cell.valid_to}
        for start, end in pairwise(sorted(points)):
            now = [t for t in about if t.valid_from <= start and end <= t.valid_to]
            yield replace(
                cell,
                valid_from=start,
                valid_to=end,
                contracted=_contracted(cell, now),
                reason="; ".join(filter(None, [cell.reason, *(t.unknown for t in now)])) or None,
            )


def _is_about(term: Term, cell: Cell) -> bool:
    tier, _ = tier_of(cell.key.service_tier)
    return term.is_about(cell.provider, {name.lower() for name in (cell.model, cell.key.model) if name}, tier)


def _contracted(cell: Cell, terms: Sequence[Term]) -> dict[str, Fraction]:
    """Return dollars per unit by meter: the most specific contract price, else the list price after discounts."""
    prices = sorted((t for t in terms if t.kind == "price"), key=lambda t: t.rank)
    named = {t.meter for t in prices if t.meter}
    contracted: dict[str, Fraction] = {}
    for meter in [*cell.rates, *sorted(named - set(cell.rates))]:
        own = [t for t in prices if t.meter in (None, meter)]
        if own and own[-1].unknown:
            continue  # what it is worth in dollars at this time nobody knows, and the list price is not what is paid
        if own and own[-1].unit_price is not None:
            contracted[meter] = own[-1].unit_price
        elif meter in cell.rates and not cell.is_estimate:
            price = Fraction(cell.rates[meter].price) / cell.rates[meter].per
            discounts = [t for t in terms if t.kind == "discount" and t.meter in (None, meter)]
            for discount in sorted(discounts, key=lambda t: (t.stack_order, t.contract_id)):
                price *= discount.paid
            contracted[meter] = price
    return contracted
