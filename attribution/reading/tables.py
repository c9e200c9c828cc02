"""Tables: CSV record by record, Parquet and frames row by row."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.errors import SourceError
from attribution.reading.documents import Limits, Read, Sample, Unreadable, mask
from attribution.reading.lines import physical_lines


def as_table(frame: Any) -> pa.Table:
    """Return the Arrow table of a frame: pandas, polars, Arrow, or a DuckDB relation."""
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise SourceError.refused(type(frame).__name__, "it is neither a path nor a frame", "Give a path or a frame.")


def sniff_table(table: pa.Table) -> Sample:
    """Return the columns and first rows of a frame."""
    return Sample("<frame>", "frame", table.slice(0, 25).to_pylist(), table.column_names)


def read_table(table: pa.Table) -> Iterator[Read]:
    """Yield the rows of a frame; the line is the row number from 1."""
    line = 0
    for batch in table.to_batches(max_chunksize=20_000):
        for row in batch.to_pylist():
            line += 1
            yield Read(line, row)


def read_csv(path: Path, delimiter: str, limits: Limits) -> Iterator[Read]:
    """Read the rows of a CSV file; every cell is text as it stands."""
    header: list[str] | None = None
    for number, cells, fault, is_cut in _csv_records(path, delimiter, limits):
        if header is None:
            if fault is not None:
                raise SourceError.refused(str(path), "its header cannot be read", "Give a CSV with one header line.")
            header = [cell.strip() for cell in cells]
            if len(set(header)) != len(header):
                raise SourceError.refused(
                    str(path), f"columns occur twice: {', '.join(header)}", "Give each column one name."
                )
            continue
        if fault is None and len(cells) != len(header):
            fault = Unreadable("wrong_width", f"{len(header)} cells", f"{len(cells)} cells")
        if fault is None and cells == header:
            fault = Unreadable("repeated_header", "a row of values", "the header again")
        document = None if fault else dict(zip(header, cells, strict=True))
        yield Read(number, document, fault, is_cut and fault is not None)


def _csv_records(
    path: Path, delimiter: str, limits: Limits
) -> Iterator[tuple[int, list[str], Unreadable | None, bool]]:
    """Parse record by record; an unclosed quote costs its own line, not the lines it would swallow."""
    lines = _Pushback(physical_lines(path, limits))
    for number, raw, state in lines:
        if not raw.strip():
            continue
        consumed = [(number, raw, state)]
        while sum(line.count(b'"') for _, line, _ in consumed) % 2:
            following = lines.next_or_none() if len(consumed) <= limits.csv_record_lines else None
            if following is None:
                break
            consumed.append(following)
        text = b"\n".join(line for _, line, _ in consumed)
        try:
            rows = list(csv.reader(io.StringIO(text.decode("utf-8"), newline=""), delimiter=delimiter, strict=True))
            if b"\x00" in text or len(rows) != 1 or consumed[-1][2] == "long":
                raise csv.Error
            yield number, rows[0], None, state == "cut"
        except (csv.Error, UnicodeDecodeError) as error:
            lines.push_back(consumed[1:])
            reason = "not_utf8" if isinstance(error, UnicodeDecodeError) else "not_csv"
            excerpt = mask(raw.decode("utf-8", "replace"))
            yield number, [], Unreadable(reason, "a CSV row with closed quotes", excerpt), state == "cut"


class _Pushback:
    """An iterator of lines that can take lines back."""

    def __init__(self, lines: Iterable[tuple[int, bytes, str]]) -> None:
        self._lines, self._waiting = iter(lines), list[tuple[int, bytes, str]]()

    def __iter__(self) -> _Pushback:
        return self

    def __next__(self) -> tuple[int, bytes, str]:
        return self._waiting.pop() if self._waiting else next(self._lines)

    def next_or_none(self) -> tuple[int, bytes, str] | None:
        return next(self, None)

    def push_back(self, lines: list[tuple[int, bytes, str]]) -> None:
        self._waiting.extend(reversed(lines))


def csv_header(path: Path, kind: str, limits: Limits) -> list[str]:
    """Return the columns of a CSV file that has no rows."""
    for _, cells, fault, _ in _csv_records(path, kind[3:], limits):
        return [] if fault else [cell.strip() for cell in cells]
    return []


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError.refused(str(path), f"it is not whole Parquet ({error})", "Export it again.") from None


def sniff_parquet(path: Path) -> Sample:
    """Return the columns and first rows of a Parquet file."""
    file = _parquet(path)
    documents = [read.document or {} for read in itertools.islice(read_parquet(path, 25), 25)]
    return Sample(str(path), "parquet", documents, file.schema_arrow.names)


def read_parquet(path: Path, batch_size: int = 20_000) -> Iterator[Read]:
    """Read the rows of a Parquet file; a file damaged within is refused whole."""
    line = 0
    try:
        for batch in _parquet(path).iter_batches(batch_size=batch_size):
            for row in batch.to_pylist():
                line += 1
                yield Read(line, row)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError.refused(str(path), f"it is not whole Parquet ({error})", "Export it again.") from None
