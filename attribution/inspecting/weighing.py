"""Counts, costs and times as a file has them, before we make them ours: they prove nesting and units."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from attribution.reading import Document, Sample, Unreadable
from attribution.sources import Row, _aliases, _columns

_UNIT_SIZES = {"dollars": Decimal(1), "cents": Decimal("0.01"), "micros": Decimal("1e-6"), "nanos": Decimal("1e-9")}
#: Prices of all models on all lists lie between these, in US dollars per million tokens.
_PLAUSIBLE = (Decimal("0.01"), Decimal(500))
_THREE_DIGITS = Context(prec=3)
_CACHE_COUNTS = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
_COUNTS = {"input_tokens", "output_tokens", "total_tokens", *_CACHE_COUNTS}


class RawCounts:
    """Counts as the file has them, before anything is made inclusive: they prove the nesting and the money unit."""

    def __init__(self, mapping: dict[str, Any], options: dict[str, Any], sample: Sample) -> None:
        columns = {name for document in sample.documents for name in document} | set(sample.columns)
        self.readers = _columns.compile_map(mapping, options, columns)
        self.filled: Counter[str] = Counter()
        names = {_aliases.plain(name): name for name in _aliases.flat_names(sample.documents, sample.columns)}
        self.costs = [names[_aliases.plain(n)] for n in _aliases.UNCLEAR_COSTS if _aliases.plain(n) in names]
        self.times = _paths(mapping.get("timestamp", mapping.get("started_at")))
        self.verdicts: Counter[str] = Counter()
        self.prices: dict[str, list[Decimal]] = {name: [] for name in self.costs}
        self.time_forms: Counter[str] = Counter()

    def take(self, document: Document) -> Row:
        """Weigh one record and return its fields; what stands there but cannot be read counts as filled."""
        row: Row = {}
        for name, reader in self.readers:
            try:
                row[name] = reader(document)
            except Unreadable as fault:
                row[name] = fault.found
        self.filled.update(name for name, value in row.items() if value is not None and value != "")
        row = {name: None if type(value) is str and name in _COUNTS else value for name, value in row.items()}
        self._weigh_nesting(row)
        self._weigh_costs(row, document)
        self._weigh_time(document)
        return row

    def _weigh_nesting(self, row: Row) -> None:
        given, cached = row.get("input_tokens"), sum(row.get(name) or 0 for name in _CACHE_COUNTS)
        if given is None or not cached:
            return
        self.verdicts["cached"] += 1
        total, output = row.get("total_tokens"), row.get("output_tokens") or 0
        if cached > given:
            self.verdicts["larger"] += 1
        elif total is not None:
            self.verdicts["inclusive"] += total == given + output
            self.verdicts["exclusive"] += total == given + cached + output

    def _weigh_costs(self, row: Row, document: Document) -> None:
        tokens = (row.get("input_tokens") or 0) + (row.get("output_tokens") or 0)
        for name in self.costs:
            try:
                cost = Decimal(str(_columns.at_path(document, name)))
            except ArithmeticError:
                continue
            if tokens and cost.is_finite() and cost > 0:
                self.prices[name].append(cost * 1_000_000 / tokens)

    def _weigh_time(self, document: Document) -> None:
        values = (_columns.at_path(document, path) for path in self.times)
        value = next((each for each in values if each not in (None, "")), None)
        if value is not None:
            self.time_forms[_form_of_time(value)] += 1

    def nesting(self) -> str:
        """Say what the counts prove about the input and the cache."""
        seen = self.verdicts
        if not seen["cached"]:
            return "no record has cache counts, so nothing needs to be known"
        if seen["larger"]:
            return f"cache reads are beside the input: in {seen['larger']} of {seen['cached']} records they exceed it"
        for verdict, words in (("inclusive", "in the input"), ("exclusive", "beside the input")):
            if seen[verdict] and not seen["inclusive" if verdict == "exclusive" else "exclusive"]:
                return f"cache counts are {words}: the totals of {seen[verdict]} of {seen['cached']} records say so"
        return "not provable from these counts; declare input_includes_cache"

    def units(self) -> list[str]:
        """Say which money units are plausible for costs whose names do not tell."""
        said = []
        for name, prices in self.prices.items():
            if prices:
                middle = sorted(prices)[len(prices) // 2]
                fitting = {unit: middle * size for unit, size in _UNIT_SIZES.items()}
                words = ", ".join(
                    f"{unit} ({_THREE_DIGITS.plus(price):f} USD per million tokens)"
                    for unit, price in fitting.items()
                    if _PLAUSIBLE[0] <= price <= _PLAUSIBLE[1]
                )
                said.append(f"`{name}` is not taken as it does not name its unit; plausible: {words or 'none'}")
        said += [f"{form}: {times} records" for form, times in sorted(self.time_forms.items())]
        return said


def _paths(spec: Any) -> list[str]:
    spec = spec.get("path") if isinstance(spec, dict) else spec
    return [each for each in (spec if isinstance(spec, list) else [spec]) if isinstance(each, str)]


def _form_of_time(value: Any) -> str:
    if isinstance(value, datetime):
        return "times without a zone, declare tz" if value.tzinfo is None else "times with an offset"
    if not isinstance(value, str) or value.isdigit():
        return "times as epoch numbers"
    has_offset = re.search(r"(Z|[+-]\d\d:?\d\d| UTC)$", value)
    return "times with an offset" if has_offset else "times without a zone, declare tz"
