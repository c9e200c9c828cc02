"""The strict reader: files and frames become documents with their physical place, or a reason why not.

Nothing is guessed and nothing is lost: a document that cannot be read exactly is an `Unreadable` with a
reason code, what was expected, and a masked excerpt. DuckDB never opens a user's file; this module does.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import jiter
import pyarrow as pa
import pyarrow.parquet as pq

from attribution.errors import SourceError

#: A document, in the reader's own Python types: dict, list, str, int, Decimal, bool, None.
Document = dict[str, Any]


class Unreadable(Exception):
    """A record that cannot be read exactly; the loader sets it aside."""

    def __init__(self, reason: str, expected: str, found: object = None, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected
        self.found = found
        self.field = field


@dataclass(frozen=True)
class Limits:
    """What the reader refuses to go beyond; all of them can be set."""

    line_bytes: int = 32 * 1024 * 1024
    depth: int = 100
    document_bytes: int = 512 * 1024 * 1024
    ratio: int = 2000
    unpacked_bytes: int = 64 * 1024 * 1024 * 1024
    csv_record_lines: int = 1000


@dataclass(frozen=True)
class Sample:
    """What a source looks at to recognise a file: its kind, first documents and column names."""

    path: str
    kind: str
    documents: list[Document] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Read:
    """One document with its physical line, or the reason why there is none."""

    line: int
    document: Document | None
    fault: Unreadable | None = None
    is_cut: bool = False


BLOCK = 4 * 1024 * 1024
_EMBEDDED = Limits()
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_SECRETS = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+|\b(?:sk|pk|rk|key|ghp|xox[a-z])[-_][\w-]{6,}|\bAKIA[A-Z0-9]{12,}"
    r"|\+\d[\d ()/-]{7,}\d|(?<![\w-])(?!\d{4}-\d\d-\d\d)\d{1,5}[ ()/-]+[\d ()/-]{5,}\d|\b[3-6]\d{14,15}\b|eyJ[\w-]{10,}"
)
_STRING_VALUE = re.compile(r'(:\s*|\[\s*|,\s*)"(?:[^"\\]|\\.)*(?:"(?!\s*:)|\\?$)')


def mask(text: object, length: int = 80) -> str:
    """Return a short excerpt that carries no personal data, key, or prompt."""
    shown = text if isinstance(text, str) else str(text) if isinstance(text, Decimal) else repr(text)
    shown = _SECRETS.sub("***", shown[: length * 4])
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
    return shown if len(shown) <= length else shown[:length] + "…"


def mask_line(line: bytes, length: int = 80) -> str:
    """Return the shape of a line: keys stay, the text of its values does not."""
    text = line[: length * 6].decode("utf-8", "backslashreplace")
    return mask(_STRING_VALUE.sub(r'\1"…"', text), length)


def sniff(path: Path, limits: Limits) -> Sample:
    """Look at the beginning of a file and say what kind it is, with its first documents."""
    _refuse_special(path)
    with path.open("rb") as stream:
        head = stream.read(8)
        if head[:4] == b"PAR1":
            return _sniff_parquet(path)
    _refuse_archives(path, head)
    with _open_text(path, limits) as stream:
        start = stream.read(BLOCK)
    kind = _kind_of(path, start)
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
        columns = list(documents[0]) if documents else _csv_header(path, kind, limits)
    return Sample(str(path), kind, documents, columns)


def read(path: Path, kind: str, limits: Limits) -> Iterator[Read]:
    """Yield every document of a file with its physical line, bad ones with their reason."""
    if kind == "parquet":
        yield from _read_parquet(path)
    elif kind != "empty":
        yield from _documents(path, kind, limits)


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


def checksum(path: Path) -> tuple[str, int]:
    """Return sha256 and size of the bytes on disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def decode(line: bytes, limits: Limits) -> Document:
    """Decode one JSON object exactly, or raise `Unreadable` with the reason."""
    value = _decode_any(line, limits)
    if type(value) is not dict:
        raise Unreadable("not_an_object", "a JSON object", type(value).__name__)
    return value


def embedded(text: str, field: str) -> Any:
    """Decode JSON that stands as text in a cell or attribute, as strictly as a line."""
    try:
        return _decode_any(text.encode("utf-8", "surrogatepass"), _EMBEDDED)
    except Unreadable as fault:
        fault.field = field
        raise


def _decode_any(line: bytes, limits: Limits) -> Any:
    try:
        value = jiter.from_json(
            line, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal", cache_mode="keys"
        )
    except ValueError as error:
        raise _why_not_json(line, str(error)) from None
    if b"\\" in line and b"\\u0000" in line:
        raise Unreadable("nul", "text without NUL characters", mask_line(line))
    if _may_be_deep(line, limits.depth):
        raise Unreadable("too_deep", f"at most {limits.depth} levels", mask_line(line))
    return value


def _may_be_deep(line: bytes, limit: int) -> bool:
    """Peel innermost bracket pairs; brackets inside text can only make it look deeper, so check those exactly."""
    brackets = line.translate(None, _NOT_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return bool(brackets) and _depth(jiter.from_json(line)) > limit


def _depth(value: Any) -> int:
    """Depth of a decoded value, without recursion."""
    deepest, level = 0, [value]
    while level:
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        deepest += 1
    return deepest - 1


def _why_not_json(line: bytes, error: str) -> Unreadable:
    excerpt = mask_line(line)
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("not_utf8", "UTF-8 text", excerpt)
    if "duplicate key" in error.lower():
        return Unreadable("duplicate_key", "each key once", excerpt)
    if "recursion limit" in error:
        return Unreadable("too_deep", "at most 100 levels", excerpt)
    if "control character" in error:
        return Unreadable("control_character", "escaped control characters", excerpt)
    if "surrogate" in error or ("hex escape" in error and re.search(rb"\\u[dD][89a-fA-F]", line)):
        return Unreadable("lone_surrogate", "whole characters", excerpt)
    if re.search(rb"\b(NaN|Infinity)\b", line) and re.search("NaN|Infinity|expected value|invalid number", error):
        return Unreadable("not_a_number", "finite numbers", excerpt)
    return Unreadable("not_json", "one JSON object on the line", excerpt)


# Files and their kinds.


def _refuse_special(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise SourceError.refused(str(path), "it is not a regular file", "Give a file.")


def _refuse_archives(path: Path, head: bytes) -> None:
    if head[:2] == b"PK" or head[:6] == b"7z\xbc\xaf'\x1c" or head[:4] == b"Rar!":
        raise SourceError.refused(str(path), "it is an archive", "Unpack it first.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError.refused(str(path), "it is UTF-16 text", "Save it as UTF-8.")
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise SourceError.refused(str(path), "it is a pickle, which can run code", "Export it as Parquet, CSV or JSON.")


class _Metered(io.RawIOBase):
    """An unpacking stream that stops at the limits instead of filling the disk or memory."""

    def __init__(self, stream: IO[bytes], path: Path, limits: Limits) -> None:
        self._stream, self._path, self._limits = stream, path, limits
        self._packed, self._unpacked = path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._stream.read(len(buffer))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise SourceError.refused(str(self._path), f"it cannot be unpacked ({error})", "Export it again.") from None
        self._unpacked += len(block)
        ratio = self._unpacked // max(self._packed, 1)
        if self._unpacked > self._limits.unpacked_bytes or (self._unpacked > BLOCK * 16 and ratio > self._limits.ratio):
            why = f"it unpacks to more than {self._unpacked:,} bytes"
            raise SourceError.refused(str(self._path), why, "Raise the limits if that is right.")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Zstandard:
    """Reads frame after frame; unlike the library's own stream, it notices when the last one is cut."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._waiting = stream, b""
        self._frame: Any = None

    def read(self, size: int) -> bytes:
        """Return up to `size` unpacked bytes, none at the end of the last frame."""
        while not self._waiting and (packed := self._stream.read(4096)):
            self._waiting = self._unpack(packed)
        if not self._waiting and self._frame is not None:
            raise EOFError("it ends within a frame")
        given, self._waiting = self._waiting[:size], self._waiting[size:]
        return given

    def _unpack(self, packed: bytes) -> bytes:
        import zstandard

        unpacked = []
        while packed:
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                unpacked.append(frame.decompress(packed))
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None
            self._frame, packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        return b"".join(unpacked)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _open_text(path: Path, limits: Limits) -> IO[bytes]:
    """Open a plain, gzip or zstd file by its first bytes; unpacked output is limited."""
    stream = path.open("rb")
    head = stream.read(4)
    stream.seek(0)
    if head[:2] == b"\x1f\x8b":
        stream.close()
        return io.BufferedReader(_Metered(gzip.open(path, "rb"), path, limits), BLOCK)  # type: ignore[arg-type]
    if head == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Metered(_Zstandard(stream), path, limits), BLOCK)  # type: ignore[arg-type]
    return stream


def _kind_of(path: Path, start: bytes) -> str:
    _refuse_archives(path, start[:8])
    if start[257:262] == b"ustar":
        raise SourceError.refused(str(path), "it is an archive", "Unpack it first.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return "empty"
    if text[:1] in b"{[":
        return _json_kind(text)
    if any(_is_object(line) for line in text.split(b"\n", 4)[:4]):
        return "jsonl"
    header = text.split(b"\n", 1)[0]
    if header.lstrip()[:1] == b"<" or b"\x00" in header:
        return "other"
    delimiter = max((b",", b";", b"\t", b"|"), key=header.count)
    return f"csv{delimiter.decode()}" if header.count(delimiter) else "other"


def _json_kind(text: bytes) -> str:
    """Tell JSON Lines from one document over several lines, looking at the first lines only."""
    lines = [line for line in text.split(b"\n", 100)[:100] if line.strip()]
    if any(_is_object(line) and _is_object(following) for line, following in itertools.pairwise(lines)):
        return "jsonl"
    if text[:1] == b"[":
        return "jsonl" if len(lines) > 1 and _is_json(lines[0]) and _is_object(lines[1]) else "json"
    if any(_is_object(line) for line in lines[:3]):
        return "jsonl"
    # A document that goes on in the next line breaks after an opening, a comma or a colon; a damaged record need not.
    return "json" if lines[0].rstrip().endswith((b"{", b"[", b",", b":")) else "jsonl"


def _is_object(line: bytes) -> bool:
    """Tell whether a line is an object by itself; an indented one is a part of what is above it."""
    return line[:1] == b"{" and line.rstrip().endswith(b"}") and _is_json(line)


def _is_json(line: bytes) -> bool:
    try:
        jiter.from_json(line.strip())
    except ValueError:
        return False
    return True


def _documents(path: Path, kind: str, limits: Limits) -> Iterator[Read]:
    if kind == "jsonl":
        yield from _read_lines(path, limits)
    elif kind == "json":
        yield from _read_whole(path, limits)
    elif kind.startswith("csv"):
        yield from _read_csv(path, kind[3:], limits)


def physical_lines(path: Path, limits: Limits) -> Iterator[tuple[int, bytes, str]]:
    """Yield (number, bytes, state) of every line; state is whole, cut (no newline at the end) or long."""
    number, rest, is_long = 0, b"", False
    with _open_text(path, limits) as stream:
        first = True
        while block := stream.read(BLOCK):
            if first:
                block, first = block.removeprefix(b"\xef\xbb\xbf"), False
            pieces = (rest + block).split(b"\n")
            rest = pieces.pop()
            for piece in pieces:
                number += 1
                yield number, piece, "long" if is_long or len(piece) > limits.line_bytes else "whole"
                is_long = False
            if len(rest) > limits.line_bytes:
                rest, is_long = rest[:1000], True
    if rest:
        yield number + 1, rest, "long" if is_long else "cut"


def _read_lines(path: Path, limits: Limits) -> Iterator[Read]:
    for number, line, state in physical_lines(path, limits):
        if not line.strip():
            continue
        if state == "long":
            fault = Unreadable("too_long", f"a line of at most {limits.line_bytes:,} bytes", mask_line(line))
            yield Read(number, None, fault)
            continue
        try:
            yield Read(number, decode(line, limits))
        except Unreadable as error:
            is_cut = state == "cut" and error.reason == "not_json"
            yield Read(number, None, error, is_cut)


def _read_whole(path: Path, limits: Limits) -> Iterator[Read]:
    """Read one document over several lines, an array of documents, or several documents in a row."""
    with _open_text(path, limits) as stream:
        body = stream.read(limits.document_bytes + 1)
    if len(body) > limits.document_bytes:
        raise SourceError.refused(
            str(path), f"one document of more than {limits.document_bytes:,} bytes", "Export it as JSON Lines."
        )
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        yield Read(1, None, Unreadable("not_utf8", "UTF-8 text", f"byte {error.start}"))
        return
    yield from _read_elements(text, limits)


def _read_elements(text: str, limits: Limits) -> Iterator[Read]:
    """Read documents one after the other; those of an array are records of their own."""
    scanner, position, line, counted, is_array = json.JSONDecoder(), 0, 1, 0, False
    while True:
        position = _SEPARATORS.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", counted, position)
        counted = position
        if position >= len(text):
            break
        if text[position] == ("]" if is_array else "["):
            position, is_array = position + 1, not is_array
            continue
        try:
            _, end = scanner.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield Read(line, None, _why_not_json(text[position:].encode(), ""), is_cut=True)
            return
        try:
            yield Read(line, decode(text[position:end].encode(), limits))
        except Unreadable as error:
            yield Read(line, None, error)
        position = end
    if is_array:
        yield Read(line, None, Unreadable("not_json", "the end of the array", ""), is_cut=True)


_SEPARATORS = re.compile(r"[ \t\r\n,]*")

# Tables.


def _read_csv(path: Path, delimiter: str, limits: Limits) -> Iterator[Read]:
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


def _csv_header(path: Path, kind: str, limits: Limits) -> list[str]:
    for _, cells, fault, _ in _csv_records(path, kind[3:], limits):
        return [] if fault else [cell.strip() for cell in cells]
    return []


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError.refused(str(path), f"it is not whole Parquet ({error})", "Export it again.") from None


def _sniff_parquet(path: Path) -> Sample:
    file = _parquet(path)
    documents = [read.document or {} for read in itertools.islice(_read_parquet(path, 25), 25)]
    return Sample(str(path), "parquet", documents, file.schema_arrow.names)


def _read_parquet(path: Path, batch_size: int = 20_000) -> Iterator[Read]:
    line = 0
    try:
        for batch in _parquet(path).iter_batches(batch_size=batch_size):
            for row in batch.to_pylist():
                line += 1
                yield Read(line, row)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError.refused(str(path), f"it is not whole Parquet ({error})", "Export it again.") from None
