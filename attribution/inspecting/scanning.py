"""One look through a file: records are read as a load would read them, counted and dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pandas as pd

from attribution.inspecting.weighing import RawCounts
from attribution.reading import Document, Read, Sample, Unreadable, mask
from attribution.sources import Intake, Row, Source, _aliases, _columns, generic

SCANNED = 100_000
_EXAMPLES = 3
_KINDS = {
    "jsonl": "JSON Lines",
    "json": "one JSON document or array",
    "parquet": "Parquet",
    "frame": "a frame",
    "empty": "an empty file",
    "other": "neither JSON, CSV nor Parquet",
}
_TIMES = ("started_at", "ended_at", "period_start", "period_end")
#: Columns that say how a row was read, not what the record says.
_OURS = {
    "native_id",
    "role",
    "line",
    "record_no",
    "key",
    "replaces_key",
    "exported_at",
    "updated_at",
    "usage_reading",
    "usage_flags",
    "ownership_flags",
    "is_metered",
}


class Scan:
    """One look through a file: rows are counted and dropped, only three are kept, masked."""

    def __init__(
        self, sample: Sample, source: Source | None, mapping: dict[str, Any] | None, options: dict[str, Any]
    ) -> None:
        self.sample, self.source, self.is_whole = sample, source, True
        detected = _aliases.detect(sample)
        is_generic = source is None or source.NAME == generic.NAME
        self.mapping = mapping if mapping is not None else detected if is_generic else {}
        self.intake = Intake(source.NAME if source else "", options={**options, "mapping": mapping})
        self.filled: Counter[str] = Counter()
        self.rows = 0
        self.is_flagged = 0
        self.examples: list[dict[str, str]] = []
        self.raw = RawCounts(self.mapping, options, sample) if is_generic else None
        prepare = getattr(source, "prepare", None)
        if prepare is not None:
            prepare(sample, self.intake)

    def run(self, reads: Iterable[Read]) -> None:
        """Read every record as a load would, keeping counts."""
        for each in reads:
            if self.intake.records >= SCANNED:
                self.is_whole = False
                return
            if each.document is None:
                self.intake.set_aside(each.line, each.fault or Unreadable("not_json", "a record"))
            elif self.source is None:
                self._count_names(each.document)
            else:
                self._take(each.document, each.line, self.source)
        finish = getattr(self.source, "finish", None)
        if finish is not None:
            finish(self.intake)
            self._count_rows()

    def _take(self, document: Document, line: int, source: Source) -> None:
        before = self.intake.records
        try:
            source.read(document, line, self.intake)
        except Unreadable as fault:
            self.intake.set_aside(line, fault)
        if self.intake.records == before:
            self.intake.pass_over()
        if self.raw is not None:
            self._weigh(document, self.raw)
        self._count_rows()

    def _weigh(self, document: Document, raw: RawCounts) -> None:
        """A map is shown by what stands in the columns, also where a record would be set aside."""
        row = raw.take(document)
        self.rows += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(_masked(row))

    def _count_rows(self) -> None:
        kept = next((rows for rows in self._tables() if rows), [])
        for row in kept if self.raw is None else ():
            self.rows += 1
            self.is_flagged += row.get("usage_flags") is not None
            self.filled.update(name for name, value in row.items() if value is not None and name not in _OURS)
            if len(self.examples) < _EXAMPLES:
                self.examples.append(_masked(row))
        for rows in self.intake.rows.values():
            rows.clear()

    def _tables(self) -> list[list[Row]]:
        return [self.intake.rows["observation"], self.intake.rows["bill_line"], self.intake.rows["span"]]

    def _count_names(self, document: Document) -> None:
        """No source: count what is there by its own names, and show no text at all."""
        self.intake.pass_over()
        self.rows += 1
        self.filled.update(_aliases.flat_names([document]))
        if len(self.examples) < _EXAMPLES:
            self.examples.append({name: type(document[name]).__name__ for name in list(document)[:12]})
        if self.raw is not None:
            self.raw.take(document)

    def result(self) -> dict[str, Any]:
        """Say what was seen, as the fields of an `Inspection`."""
        return {
            "path": self.sample.path,
            "format": _KINDS.get(self.sample.kind, f"CSV separated by {self.sample.kind[3:]!r}"),
            "source": self.source.NAME if self.source else None,
            "records": self.intake.records,
            "is_whole": self.is_whole,
            "mapping": self.mapping,
            "coverage": self._coverage(),
            "units": self._units(),
            "nesting": self._nesting(),
            "examples": self.examples,
            "faults": _faults(self.intake.faults),
            "notes": self._notes(),
        }

    def _coverage(self) -> pd.DataFrame:
        columns = {_columns.SYNONYMS.get(name, name): _shown(spec) for name, spec in self.mapping.items()}
        is_mapped = self.source is not None and self.raw is not None
        filled = self.raw.filled if self.raw is not None and is_mapped else self.filled
        rows = [
            {
                "field": name,
                "column": columns[name] if is_mapped else None,
                "filled": filled[name],
                "share": str((Decimal(100) * filled[name] / self.rows).quantize(Decimal("0.1"))),
            }
            for name in (columns if is_mapped else filled)
            if self.rows
        ]
        return pd.DataFrame(rows, columns=["field", "column", "filled", "share"])

    def _units(self) -> list[str]:
        if self.source is not None and self.source.NAME != generic.NAME:
            return [f"money {self.source.MONEY}", f"time {self.source.ZONE}"]
        return self.raw.units() if self.raw is not None else []

    def _nesting(self) -> str:
        if self.source is None:
            return ""
        if self.raw is not None:
            return self.raw.nesting()
        flagged = f"; {self.is_flagged} of {self.rows} rows violate an identity" if self.is_flagged else ""
        return f"{self.source.NESTING}{flagged}"

    def _notes(self) -> list[str]:
        if self.source is None:
            looks, nearest = generic.describe(self.sample)
            return [f"It looks like {looks}. {nearest} A column map (mapping=…) makes it loadable."]
        return [f"One record is {self.source.GRAIN}.", f"A common mistake: {self.source.MISTAKE}."]


def _shown(spec: Any) -> str:
    if isinstance(spec, list):
        return " | ".join(map(str, spec))
    if isinstance(spec, dict):
        return repr(spec["const"]) if "const" in spec else _shown(spec.get("path"))
    return str(spec)


def _masked(row: Row) -> dict[str, str]:
    kept = {name: value for name, value in row.items() if value is not None and name not in _OURS}
    return {name: _shown_value(name, value) for name, value in kept.items()}


def _shown_value(name: str, value: Any) -> str:
    """Numbers and times are shown as they are, text without personal data and keys, structures not at all."""
    if isinstance(value, int | bool | Decimal):
        if name in _TIMES:
            return pd.Timestamp(int(value), unit="us", tz="UTC").isoformat()
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return mask(value, 40) if isinstance(value, str) else f"({type(value).__name__})"


def _faults(faults: list[Row]) -> pd.DataFrame:
    """One row per reason and field, with the first place."""
    found: dict[tuple[str, Any], Row] = {}
    for fault in faults:
        entry = found.setdefault((fault["reason"], fault["field"]), {**fault, "records": 0})
        entry["records"] += 1
    columns = ["reason", "field", "records", "line", "expected", "found"]
    return pd.DataFrame([{name: entry[name] for name in columns} for entry in found.values()], columns=columns)
