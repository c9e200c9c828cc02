"""Files of the written folder: opened once, written in order, closed together; the same bytes every time."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

#: Deflate, no name, no time, written on Unix: Python's own header says another system in later versions.
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\x03"


def packed(content: bytes) -> bytes:
    """Return content as a gzip file whose header does not depend on who wrote it."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    trailer = struct.pack("<LL", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    return _GZIP_HEADER + deflate.compress(content) + deflate.flush() + trailer


class Folder:
    """A folder being written; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    def path(self, name: str) -> Path:
        """Return the full path, with its folder made."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def lines(self, name: str, lines: Iterable[str]) -> None:
        """Append lines to a text file."""
        text = "\n".join(lines)
        if text:
            self._file(name).write(text.encode() + b"\n")

    def is_begun(self, name: str) -> bool:
        """Say whether lines were written to a file already."""
        return name in self._open

    def text(self, name: str, text: str) -> None:
        """Write a whole text file."""
        self.path(name).write_bytes(text.encode())

    def json(self, name: str, value: Any) -> None:
        """Write one JSON document, indented as these services' replies are saved."""
        self.text(name, json.dumps(value, indent=1) + "\n")

    def gzip(self, name: str, lines: Iterable[str]) -> None:
        """Write a compressed file without a name or time inside."""
        text = "\n".join(lines)
        if text:
            self.path(name).write_bytes(packed(text.encode() + b"\n"))

    def close(self, name: str) -> None:
        """Close one file early, so that it can be read or copied."""
        if name in self._open:
            self._open.pop(name).close()

    def copy(self, name: str, other: str) -> None:
        """Copy a written file, if it is there, and its bytes only."""
        self.close(name)
        if (self.root / name).exists():
            shutil.copyfile(self.root / name, self.path(other))

    def _file(self, name: str) -> BinaryIO:
        if name not in self._open:
            self._open[name] = self.path(name).open("wb")
        return self._open[name]
