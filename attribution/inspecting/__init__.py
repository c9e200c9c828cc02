"""Inspect: what a file or frame would be read as, before anything is loaded."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from attribution import reading, showing, sources
from attribution.errors import SourceError
from attribution.inspecting.scanning import Scan
from attribution.reading import Limits, Read, Sample


@dataclass(frozen=True, repr=False)
class Inspection:
    """What was found in one file or frame; nothing of it is in any ledger.

    `coverage` has a row per field (`field`, `column`, `filled`, `share` [%]), `examples` up to three rows whose
    texts are masked, `faults` a row per reason with its first place. `source` is null where none recognises it.
    """

    path: str
    format: str
    source: str | None
    records: int
    is_whole: bool
    mapping: dict[str, Any]
    coverage: pd.DataFrame
    units: list[str]
    nesting: str
    examples: list[dict[str, str]]
    faults: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        scanned = "" if self.is_whole else f" (the first {self.records:,} looked at)"
        yield f"{self.path}: {self.format}, {showing.count(self.records, 'record')}{scanned}"
        yield f"Source: {self.source or 'none recognises it'}"
        for title, said in (("Units", self.units), ("Nesting", [self.nesting]), ("Notes", self.notes)):
            yield from (f"{title}: {each}" for each in said if each)
        if not self.coverage.empty:
            yield ""
            yield from self._coverage_lines()
        for number, example in enumerate(self.examples, 1):
            yield ""
            yield f"Example {number}: " + ", ".join(f"{name}={value}" for name, value in example.items())
        for row in self.faults.to_dict("records"):
            what = f"{row['reason']} ({row['field']})" if row["field"] else row["reason"]
            yield f"Set aside: {row['records']} × {what}, first at line {row['line']}: expected {row['expected']}"

    def _coverage_lines(self) -> Iterator[str]:
        title = "column" if self.mapping and self.source else ""
        shown = [(row["field"], row["column"] or "", row["share"]) for row in self.coverage.to_dict("records")]
        wide = [max(len(text) for text in texts) for texts in zip(("field", title, ""), *shown, strict=True)]
        yield f"{'field':<{wide[0]}}  {title:<{wide[1]}}  filled"
        yield from (f"{name:<{wide[0]}}  {column:<{wide[1]}}  {part:>5} %" for name, column, part in shown)

    def _repr_html_(self) -> str:
        head, *rest = [showing.visible(line) for line in self._lines() if line]
        said = [line for line in rest if line.startswith(("Source", "Units", "Nesting", "Notes", "Set aside"))]
        body = "".join(f"<li>{html.escape(line)}</li>" for line in said)
        examples = pd.DataFrame(self.examples).fillna("")
        coverage = self.coverage.assign(share=[f"{share} %" for share in self.coverage["share"]])
        tables = "".join(_table(each) for each in (coverage, examples) if not each.empty)
        return f"<p><b>{html.escape(head)}</b></p><ul>{body}</ul>{tables}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "path": self.path,
            "format": self.format,
            "source": self.source,
            "records": self.records,
            "is_whole": self.is_whole,
            "mapping": self.mapping,
            "coverage": self.coverage.to_dict("records"),
            "units": self.units,
            "nesting": self.nesting,
            "examples": self.examples,
            "faults": self.faults.to_dict("records"),
            "notes": self.notes,
        }


def inspect(
    path_or_frame: Any,
    mapping: dict[str, Any] | None = None,
    *,
    options: dict[str, Any] | None = None,
    limits: Limits | None = None,
) -> Inspection:
    """Show what a file or frame would be read as, before anything is loaded.

    Parameters
    ----------
    path_or_frame
        One file, or a frame (pandas, polars, Arrow, a DuckDB relation).
    mapping
        A column map to try; without one it is detected from the names of the columns.
    options
        Switches that go with the map, such as `tz` or `input_includes_cache`.
    limits
        What the reader refuses to go beyond.

    Returns
    -------
    Inspection
        Source, format, map, coverage per field [% not null], units, nesting, three masked rows, and what
        would be set aside; at most the first 100,000 records are looked at.

    Raises
    ------
    SourceError
        If there is no such file, or it cannot be opened at all.

    Examples
    --------
    >>> import pandas as pd
    >>> calls = pd.DataFrame({"model": ["gpt-5-mini"], "prompt_tokens": [12], "completion_tokens": [3]})
    >>> inspect(calls).mapping
    {'model': 'model', 'input_tokens': 'prompt_tokens', 'output_tokens': 'completion_tokens'}
    """
    sample, reads = _open(path_or_frame, limits or Limits())
    source = sources.named("generic") if mapping is not None or sample.kind == "empty" else sources.recognise(sample)
    scan = Scan(sample, source, mapping, options or {})
    scan.run(reads)
    return Inspection(**scan.result())


def _open(given: Any, limits: Limits) -> tuple[Sample, Iterable[Read]]:
    if not isinstance(given, str | os.PathLike):
        table = reading.as_table(given)
        return reading.sniff_table(table), reading.read_table(table)
    path = Path(given)
    if not path.exists():
        raise SourceError.not_found(str(path))
    sample = reading.sniff(path, limits)
    return sample, reading.read(path, sample.kind, limits)


#: Notebooks align cells right unless told otherwise: every cell says its side.
_NUMBERS = ("filled", "share")


def _table(frame: pd.DataFrame) -> str:
    sides = ["right" if name in _NUMBERS else "left" for name in frame.columns]
    head = "".join(_cell("th", side, name) for side, name in zip(sides, frame.columns, strict=True))
    lines = (zip(sides, row, strict=True) for row in frame.itertuples(index=False))
    body = "".join("<tr>" + "".join(_cell("td", side, value) for side, value in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, side: str, value: Any) -> str:
    shown = "" if value is None else f"{value:,}" if isinstance(value, int) else showing.visible(value)
    return f'<{tag} style="text-align:{side}">{html.escape(shown)}</{tag}>'
