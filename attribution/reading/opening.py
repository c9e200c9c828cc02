"""Files opened by their first bytes: plain, gzip or zstandard, within limits; archives, pipes, pickles are refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import stat
import zlib
from pathlib import Path
from typing import IO, Any

import jiter

from attribution.errors import SourceError
from attribution.reading.documents import Limits

BLOCK = 4 * 1024 * 1024


def checksum(path: Path) -> tuple[str, int]:
    """Return sha256 and size of the bytes on disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def refuse_special(path: Path) -> None:
    """Refuse what is no regular file, before it is opened: reading a pipe never ends."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise SourceError.refused(str(path), "it is not a regular file", "Give a file.")


def refuse_archives(path: Path, head: bytes) -> None:
    """Refuse archives, UTF-16 and pickles by their first bytes."""
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


def open_text(path: Path, limits: Limits) -> IO[bytes]:
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


def kind_of(path: Path, start: bytes) -> str:
    """Tell JSON Lines, one JSON document, CSV with its separator, empty and other files apart by their beginning."""
    refuse_archives(path, start[:8])
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
