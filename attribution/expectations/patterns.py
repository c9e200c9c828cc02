"""Python's regular expressions said to the engine: the same matches in linear time, or a refusal that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What Python means by a class of letters in text, in the engine's words (its own reading is ASCII only).
_CLASSES = {"d": r"\p{Nd}", "w": r"\p{L}\p{N}_", "s": r"\t-\r\x1c-\x20\x{85}\p{Z}"}
_NEGATED = {"D": r"\P{Nd}", "W": r"[^\p{L}\p{N}_]", "S": r"[^\t-\r\x1c-\x20\x{85}\p{Z}]"}
_SAME = frozenset("nrtfvaA")
_GROUP = re.compile(r"\(\?(?:P<[A-Za-z_]\w*>|:|[ims]+\)|[is]+:)")
_COUNTS = re.compile(r"\{(\d*)(,?)(\d*)\}")
#: More repeats than this the engine refuses.
_MOST_REPEATS = 1000


class Untranslatable(ValueError):
    """A pattern that the engine cannot match exactly as Python does."""


def translate(pattern: str) -> str:
    r"""Return an engine pattern that finds what `re.search` finds.

    Raises
    ------
    Untranslatable
        If it is no pattern, or uses what has no equal in linear time: look-around, back-references, word boundaries,
        atomic groups.

    Examples
    --------
    >>> translate(r"^t_\d+$")
    '^t_[\\p{Nd}]+(?:\\n?\\z)'
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Untranslatable(f"it is no pattern: {error}") from None
    return "".join(_pieces(pattern, is_multiline=_is_multiline(pattern)))


def _is_multiline(pattern: str) -> bool:
    flags = re.match(r"\(\?([a-zA-Z]+)\)", pattern)
    return bool(flags and "m" in flags[1])


def _pieces(pattern: str, *, is_multiline: bool) -> Iterator[str]:
    place = 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "\\":
            piece, place = _escape(pattern, place, in_class=False)
            yield piece
        elif letter == "[":
            piece, place = _class(pattern, place)
            yield piece
        elif letter == "(" and pattern.startswith("(?", place):
            found = _GROUP.match(pattern, place)
            if found is None:
                raise Untranslatable(f"`{pattern[place : place + 4]}` has no equal in linear time")
            yield found[0]
            place = found.end()
        elif letter == "$" and not is_multiline:
            yield r"(?:\n?\z)"
            place += 1
        elif letter == "{" and (counts := _COUNTS.match(pattern, place)) and (counts[1] or (counts[2] and counts[3])):
            if max(int(counts[1] or 0), int(counts[3] or 0)) > _MOST_REPEATS:
                raise Untranslatable(f"`{counts[0]}` repeats more than {_MOST_REPEATS} times")
            yield f"{{{counts[1] or '0'}{counts[2]}{counts[3]}}}"
            place = _not_possessive(pattern, counts.end())
        elif letter in "*+?}":
            yield letter
            place = _not_possessive(pattern, place + 1) if letter != "}" else place + 1
        elif letter == "{":
            yield r"\{"
            place += 1
        else:
            yield letter
            place += 1


def _not_possessive(pattern: str, place: int) -> int:
    if pattern.startswith("+", place):
        raise Untranslatable("a possessive repeat has no equal in linear time")
    return place


def _class(pattern: str, start: int) -> tuple[str, int]:
    """Translate a bracketed class; a bracket inside it is a letter to Python and must not begin a named class."""
    place = start + 1
    parts = ["["]
    if pattern.startswith("^", place):
        parts.append("^")
        place += 1
    first = True
    while first or not pattern.startswith("]", place):
        first = False
        letter = pattern[place]
        if letter == "\\":
            piece, place = _escape(pattern, place, in_class=True)
            parts.append(piece)
        else:
            parts.append(f"\\{letter}" if letter in "[]^&~" else letter)
            place += 1
    return "".join([*parts, "]"]), place + 1


def _escape(pattern: str, place: int, *, in_class: bool) -> tuple[str, int]:
    letter = pattern[place + 1]
    after = place + 2
    if letter in _CLASSES:
        return (_CLASSES[letter] if in_class else f"[{_CLASSES[letter]}]"), after
    if letter in _NEGATED and not (in_class and letter != "D"):
        return _NEGATED[letter], after
    if letter == "Z" and not in_class:
        return r"\z", after
    if letter == "b" and in_class:
        return r"\x08", after
    if letter in _SAME and not (letter == "A" and in_class):
        return f"\\{letter}", after
    if letter in "xuU":
        digits = {"x": 2, "u": 4, "U": 8}[letter]
        return f"\\x{{{pattern[after : after + digits]}}}", after + digits
    if letter.isalnum():
        raise Untranslatable(f"`\\{letter}` has no equal in linear time")
    return f"\\x{{{ord(letter):x}}}", after
