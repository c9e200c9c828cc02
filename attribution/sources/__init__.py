"""The sources people have: one module each, recognised by content, found by name.

A source module has a first docstring line that is its README row, and

- `NAME`, `VERSION` (of its reading: raise it when the same bytes give other rows), `GRAIN`, `GIVES`, `NESTING`,
  `MONEY`, `ZONE` and `MISTAKE` (what its users' usual mistake costs), all in words;
- `recognise(sample) -> int`: 0 (not mine) to 100 (nobody else's);
- `read(document, line, intake)`: hands every record of a document to the intake;
- optionally `SUPERSEDES = True`: the same id with other content is a later state, not a conflict;
- optionally `PREFER`: the columns whose larger value decides which of two states of one observation is kept;
- optionally `SIGNATURE`: names that its files have, so that an unknown file can be told what it misses;
- optionally `prepare(sample, intake)`, before the first record, and `finish(intake)`, after the last.

A source of bills adds

- `REWRITES`: whether a newer export replaces the period of an older one, in words;
- optionally `CELLS_REPEAT = True`: lines of one file with equal keys are different lines, told apart by content;
- optionally `BUCKETS = True`: its periods are buckets of one report, which may be told in several widths;
- optionally `run_of(path, options) -> Run`: the export run a file belongs to, from its manifest or its name.
"""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from attribution import normalization
from attribution.errors import SourceError
from attribution.reading import Document, Sample, Unreadable, mask

Row = dict[str, Any]
Flush = Callable[["Intake"], None]
#: Rows are handed on while they are still in the processor's cache.
FLUSH_ROWS = 2_000


@dataclass(frozen=True)
class Run:
    """One run of a provider's export: what is exported, when it ran, which part of it a file is."""

    export: str | None = None
    exported_at: int | None = None
    part: str | None = None
    is_current: bool = True
    kind: str | None = None
    grouping: str | None = None
    start: int | None = None


class Source(Protocol):
    """What a source module offers."""

    NAME: str
    VERSION: int
    GRAIN: str
    GIVES: str
    NESTING: str
    MONEY: str
    ZONE: str
    MISTAKE: str

    def recognise(self, sample: Sample) -> int:
        """Tell how sure the source is that the file is its own."""

    def read(self, document: Document, line: int, intake: Intake) -> None:
        """Hand every record of the document to the intake."""


@dataclass(slots=True)
class Intake:
    """Takes the records of one file: rows for the tables, context, and what is set aside."""

    source: str
    hash_key: bytes | None = None
    flush: Flush | None = None
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"observation": [], "span": [], "bill_line": []})
    faults: list[Row] = field(default_factory=list)
    records: int = 0
    context: int = 0
    quarantined: int = 0
    is_complete: bool = True
    seen: dict[bytes, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    #: What a source keeps to itself until its `finish`.
    notes: dict[str, Any] = field(default_factory=dict)
    run: Run = Run()
    periods: set[str] = field(default_factory=set)
    _held: int = 0

    def accept(
        self,
        line: int,
        *,
        observation: Row | None = None,
        span: Row | None = None,
        bill_line: Row | None = None,
        bill_lines: Sequence[Row] = (),
        reserved: int | None = None,
    ) -> None:
        """Take one record; it may be an observation and a span at once, or several lines of a bill."""
        number = reserved
        if number is None:
            number = self.records
            self.records = number + 1
        for table, row in (("observation", observation), ("span", span), ("bill_line", bill_line)):
            if row is not None:
                row["line"] = line
                row["record_no"] = number
                self.rows[table].append(row)
                self._held += 1
        for row in bill_lines:
            row["line"] = line
            row["record_no"] = number
            self.rows["bill_line"].append(row)
            self._held += 1
        if self._held >= FLUSH_ROWS and self.flush is not None:
            self.flush(self)
            self._held = 0

    def reserve(self) -> int:
        """Count a record whose rows come with `accept(…, reserved=…)`, when the file has been read."""
        self.records += 1
        return self.records - 1

    def cover(self, period: str) -> str:
        """Note that the file tells all of a period, though it may have no line for it; return the period."""
        self.periods.add(period)
        return period

    def pass_over(self, records: int = 1) -> None:
        """Count records that carry no usage and no hop."""
        self.records += records
        self.context += records

    def set_aside(self, line: int, fault: Unreadable, record: int | None = None) -> None:
        """Quarantine one record with its place and reason."""
        self.faults.append(
            {
                "line": line,
                "record": record,
                "field": fault.field,
                "reason": fault.reason,
                "expected": fault.expected,
                "found": None if fault.found is None else mask(fault.found),
            }
        )
        self.records += 1
        self.quarantined += 1

    def content_id(self, *content: object) -> str:
        """Return an id for a record without one: a digest of its content and an ordinal among identical records.

        Two genuine identical calls stay two; the same file loaded twice stays one.
        """
        digest = hashlib.md5(repr(content).encode(), usedforsecurity=False).digest()
        ordinal = self.seen.get(digest, 0)
        self.seen[digest] = ordinal + 1
        return f"{digest.hex()}-{ordinal}"

    def handle(self, value: Any, name: str, flags: list[str]) -> str | None:
        """Return a tenant or user handle that is safe to store, or null with a flag that says why."""
        return normalization.handle(value, name, flags, self.hash_key)


def run_of(source: Source, path: str, options: dict[str, Any]) -> Run:
    """Return the export run of a file, where the source can tell."""
    tell = cast(Callable[[Path, dict[str, Any]], Run] | None, getattr(source, "run_of", None))
    return Run() if tell is None else tell(Path(path), options)


@cache
def all_sources() -> dict[str, Source]:
    """Find every source module of this folder, by name."""
    modules = (
        import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if not found.name.startswith("_")
    )
    return {module.NAME: cast(Source, module) for module in sorted(modules, key=lambda m: m.__name__)}


def named(name: str) -> Source:
    """Return one source by name, or raise an error that lists them."""
    known = all_sources()
    if name not in known:
        raise SourceError.unknown_source(name, known)
    return known[name]


def recognise(sample: Sample) -> Source | None:
    """Return the source that is surest of a file, or null when none knows it; a tie goes to none by name order."""
    scores = sorted(((source.recognise(sample), name) for name, source in all_sources().items()), reverse=True)
    if not scores or scores[0][0] <= 0:
        return None
    return all_sources()[scores[0][1]]
