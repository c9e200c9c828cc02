"""Text files read line by line, or as one document over many lines, each record with its physical place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from attribution.errors import SourceError
from attribution.reading.decoding import decode, why_not_json
from attribution.reading.documents import Limits, Read, Unreadable, mask_line
from attribution.reading.opening import BLOCK, open_text

_SEPARATORS = re.compile(r"[ \t\r\n,]*")


def physical_lines(path: Path, limits: Limits) -> Iterator[tuple[int, bytes, str]]:
    """Yield (number, bytes, state) of every line; state is whole, cut (no newline at the end) or long."""
    number, rest, is_long = 0, b"", False
    with open_text(path, limits) as stream:
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


def read_lines(path: Path, limits: Limits) -> Iterator[Read]:
    """Read JSON Lines; a blank line is no record, and a bad one costs itself only."""
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


def read_whole(path: Path, limits: Limits) -> Iterator[Read]:
    """Read one document over several lines, an array of documents, or several documents in a row."""
    with open_text(path, limits) as stream:
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
            yield Read(line, None, why_not_json(text[position:].encode(), ""), is_cut=True)
            return
        try:
            yield Read(line, decode(text[position:end].encode(), limits))
        except Unreadable as error:
            yield Read(line, None, error)
        position = end
    if is_array:
        yield Read(line, None, Unreadable("not_json", "the end of the array", ""), is_cut=True)
