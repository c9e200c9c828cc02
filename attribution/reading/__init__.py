"""The strict reader: files and frames become documents with their physical place, or a reason why not.

Nothing is guessed and nothing is lost: a document that cannot be read exactly is an `Unreadable` with a
reason code, what was expected, and a masked excerpt. DuckDB never opens a user's file; this module does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attribution.reading.decoding import decode, embedded
from attribution.reading.documents import Document, Limits, Read, Sample, Unreadable, mask, mask_line
from attribution.reading.lines import physical_lines, read_lines, read_whole
from attribution.reading.opening import BLOCK, checksum, kind_of, open_text, refuse_archives, refuse_special
from attribution.reading.tables import (
    as_table,
    csv_header,
    read_csv,
    read_parquet,
    read_table,
    sniff_parquet,
    sniff_table,
)

__all__ = [
    "Document",
    "Limits",
    "Read",
    "Sample",
    "Unreadable",
    "as_table",
    "checksum",
    "decode",
    "embedded",
    "mask",
    "mask_line",
    "physical_lines",
    "read",
    "read_table",
    "sniff",
    "sniff_table",
]


def sniff(path: Path, limits: Limits) -> Sample:
    """Look at the beginning of a file and say what kind it is, with its first documents."""
    refuse_special(path)
    with path.open("rb") as stream:
        head = stream.read(8)
        if head[:4] == b"PAR1":
            return sniff_parquet(path)
    refuse_archives(path, head)
    with open_text(path, limits) as stream:
        start = stream.read(BLOCK)
    kind = kind_of(path, start)
    if kind == "empty":
        return Sample(str(path), "empty")
    reads = _documents(path, kind, limits)
    documents, columns = [], []
    for read in reads:
        if read.document is not None:
            documents.append(read.document)
        if len(documents) >= 25 or read.line > 2000:
            break
    if kind.startswith("csv"):
        columns = list(documents[0]) if documents else csv_header(path, kind, limits)
    return Sample(str(path), kind, documents, columns)


def read(path: Path, kind: str, limits: Limits) -> Iterator[Read]:
    """Yield every document of a file with its physical line, bad ones with their reason."""
    if kind == "parquet":
        yield from read_parquet(path)
    elif kind != "empty":
        yield from _documents(path, kind, limits)


def _documents(path: Path, kind: str, limits: Limits) -> Iterator[Read]:
    if kind == "jsonl":
        yield from read_lines(path, limits)
    elif kind == "json":
        yield from read_whole(path, limits)
    elif kind.startswith("csv"):
        yield from read_csv(path, kind[3:], limits)
