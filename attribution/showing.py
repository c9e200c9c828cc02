"""How figures and names look to people: dollars, shares, and text whose hidden characters are made visible."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Characters that change how text looks without being seen: control, format, surrogate, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: How pandas calls what is not there; named, because importing pandas to say so would take half a second.
_NOTHING = {"NAType", "NaTType"}
_DIGITS = 4
#: Texts up to this long are not broken in a table [characters].
_SHORT = 24


def visible(text: object, width: int = 0) -> str:
    r"""Show text as it is: hidden characters as `\u200b`, and no more than `width` characters when given."""
    shown = "".join(
        f"\\u{ord(letter):04x}" if unicodedata.category(letter) in _HIDDEN else letter for letter in str(text)
    )
    return shown[: width - 1] + "…" if 0 < width < len(shown) else shown


def dollars(amount: Decimal | None) -> str:
    """Show USD with thousands separators and cents; below a dollar with four significant digits.

    Rounded half to even for the eye only. A missing amount is `unknown`, never $0.
    """
    if is_missing(amount):
        return "unknown"
    value = Decimal(str(amount))
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size >= 1 or size == 0:
        return f"{sign}${size.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    rounded = size.quantize(Decimal((0, (1,), size.adjusted() - _DIGITS + 1)), ROUND_HALF_EVEN)
    whole, _, cents = f"{rounded:f}".partition(".")
    return f"{sign}${whole}.{cents.rstrip('0').ljust(2, '0')}"


def share(value: Decimal | None) -> str:
    """Show a share [0–1] in percent with one decimal; a share too small for that is not shown as nothing."""
    if is_missing(value):
        return "n/a"
    percent = Decimal(str(value)) * 100
    shown = percent.quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    if shown == 0 and percent > 0:
        return "< 0.1 %"
    if shown == 100 and percent < 100:
        return "> 99.9 %"
    return f"{shown} %"


def band(low: Decimal | None, high: Decimal | None) -> str:
    """Show a share that is known only between two ends."""
    if is_missing(low) or is_missing(high) or share(low) == share(high):
        return share(high)
    return f"{share(low).removesuffix(' %')}–{share(high)}"


def count(value: int, noun: str) -> str:
    """Show a number of things: `1 call`, `1,204 calls`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def moment(value: datetime | None) -> str:
    """Show a UTC time to the minute."""
    return "unknown" if is_missing(value) else f"{value:%Y-%m-%d %H:%M} UTC"


def cost_below(row: Mapping[str, Any]) -> str:
    """Show what is spent below a hop, and how many calls of it have no price."""
    unpriced = row["unpriced_calls"]
    if not unpriced:
        return dollars(row["list_cost"])
    calls = f"{count(unpriced, 'call')} without a price"
    return f"{dollars(row['list_cost'])} and {calls}" if row["list_cost"] else calls


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as rows, to be shown."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def is_missing(value: Any) -> bool:
    """Whether a cell of a frame holds nothing."""
    return value is None or type(value).__name__ in _NOTHING or (isinstance(value, float) and value != value)


def hop(row: Mapping[str, Any]) -> str:
    """Name a hop by its two ends and what lies between: `ticket-api → triage-worker (celery)`."""
    ends = [None if is_missing(row[end]) else visible(row[end]) for end in ("producer", "consumer")]
    between = [
        visible(row[name])
        for name in ("system", "destination")
        if not is_missing(row[name]) and row[name] != row["consumer"]
    ]
    if ends[0] is None or ends[0] == ends[1]:
        name = ends[1] or "an unnamed service"
    else:
        name = f"{ends[0]} → {ends[1] or 'unknown'}"
    return name + (f" ({', '.join(dict.fromkeys(between))})" if between else "")


@dataclass(frozen=True)
class Shown:
    """A frame as people read it: the frame is in `frame`, exact and untouched."""

    frame: pd.DataFrame
    empty: str

    def _cells(self) -> tuple[list[str], list[list[tuple[str, bool]]]]:
        names = [str(name) for name in self.frame.columns]
        return names, [[_cell(name, row[name]) for name in names] for row in rows(self.frame)]

    def _repr_html_(self) -> str:
        names, lines = self._cells()
        if not lines:
            return f"<p>{escape(self.empty)}</p>"
        right = [any(line[place][1] for line in lines) for place in range(len(names))]
        align = ["right" if is_right else "left" for is_right in right]
        head = "".join(
            f'<th style="text-align:{a}">{escape(visible(n))}</th>' for n, a in zip(names, align, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{a}{_unbroken(text, a)}">{escape(text)}</td>'
                for (text, _), a in zip(line, align, strict=True)
            )
            + "</tr>"
            for line in lines
        )
        # Two dollar signs are a formula to a notebook, unless the class says they are not.
        ignored = "tex2jax_ignore mathjax_ignore"
        return f'<table class="{ignored}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def __repr__(self) -> str:
        names, lines = self._cells()
        if not lines:
            return self.empty
        texts = [[visible(name) for name in names]] + [[text for text, _ in line] for line in lines]
        widths = [max(len(line[place]) for line in texts) for place in range(len(names))]
        is_right = [any(line[place][1] for line in lines) for place in range(len(names))]
        return "\n".join(
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, is_right, strict=True)
            ).rstrip()
            for line in texts
        )


def show(frame: pd.DataFrame, *, top: int = 20, empty: str = "There is nothing to show.") -> Shown:
    """Show an answer as people read it: dollars, shares in percent, UTC times, a dash for what is not there.

    Parameters
    ----------
    frame
        What a question returned; it is not changed.
    top
        How many rows to show at most.
    empty
        What to say when there are none.

    Returns
    -------
    Shown
        A table in notebooks, text elsewhere; `.frame` holds the exact rows.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.show(at.roll_up(ledger, "provider")[["provider", "calls", "list_cost"]])
    provider  calls  list_cost
    aws           1          –
    openai        1  $0.002048
    """
    return Shown(frame.head(top), empty)


def _unbroken(text: str, side: str) -> str:
    """Keep a name or a date on one line: notebooks break them at any hyphen."""
    return ";white-space:nowrap" if side == "left" and "-" in text and len(text) <= _SHORT else ""


#: Columns that hold shares [0–1]; the ends of a band count where it is a band of one of the two headline shares.
_SHARE = re.compile(r"(.*_)?share(_low|_high)?|(not_declared|unowned)_(low|high)|precision|recall|utilization")


def is_share(name: str) -> bool:
    """Return whether a column of this name holds shares, not dollars."""
    return _SHARE.fullmatch(name) is not None


def _cell(name: str, value: Any) -> tuple[str, bool]:
    """Return a cell's text and whether it is a number."""
    if is_missing(value):
        return "–", False
    if isinstance(value, bool):
        return "yes" if value else "no", False
    if isinstance(value, Decimal):
        return (share(value) if is_share(name) else dollars(value)), True
    if isinstance(value, int):
        return f"{value:,}", True
    if isinstance(value, float):
        return (share(Decimal(repr(value))) if is_share(name) else f"{value:,.4g}"), True
    if isinstance(value, datetime):
        return moment(value), False
    if name.endswith("evidence"):
        return visible(str(value).replace("_", " ")), False
    return visible(value), False
