"""What the reader gives: documents with their place, reasons why there is none, and excerpts that are safe to show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_SECRETS = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.-]+|\b(?:sk|pk|rk|key|ghp|xox[a-z])[-_][\w-]{6,}|\bAKIA[A-Z0-9]{12,}"
    r"|\+\d[\d ()/-]{7,}\d|(?<![\w-])(?!\d{4}-\d\d-\d\d)\d{1,5}[ ()/-]+[\d ()/-]{5,}\d|\b[3-6]\d{14,15}\b|eyJ[\w-]{10,}"
)
_STRING_VALUE = re.compile(r'(:\s*|\[\s*|,\s*)"(?:[^"\\]|\\.)*(?:"(?!\s*:)|\\?$)')

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
