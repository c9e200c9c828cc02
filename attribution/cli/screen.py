"""What commands print: tables and sentences for people, JSON for scripts; data text is never markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

from attribution import showing

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

#: Width where nobody says how wide the screen is: files, pipes, logs.
_PLAIN_WIDTH = 120


def console() -> Console:
    """Return a console that colours on a terminal only and never reads markup from data."""
    from rich.console import Console

    screen = Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen = Console(highlight=False, markup=False, emoji=False, no_color=True, width=_PLAIN_WIDTH)
    return screen


def say(text: str = "", style: str | None = None, indent: int = 0) -> None:
    """Print a sentence, wrapped to the screen; hidden characters are made visible, line breaks kept."""
    from rich.padding import Padding
    from rich.text import Text

    lines = "\n".join(showing.visible(line) for line in text.split("\n"))
    console().print(
        Padding(Text(lines, style=style or ""), (0, 0, 0, indent), expand=False) if indent else Text(lines, style or "")
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], styles: Sequence[str | None] = ()) -> None:
    """Print a table; amounts and counts stand right."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    drawn = Table(box=SIMPLE, pad_edge=False, show_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        is_number = any(isinstance(row[place], int | Decimal) and not isinstance(row[place], bool) for row in rows)
        justify: Any = "right" if is_number or column.endswith(("cost", "share", "USD")) else "left"
        drawn.add_column(column, justify=justify, overflow="fold")
    for number, row in enumerate(rows):
        style = styles[number] if number < len(styles) else None
        drawn.add_row(*(Text(cell(value, name)) for name, value in zip(columns, row, strict=True)), style=style)
    console().print(drawn)


def cell(value: Any, column: str = "") -> str:
    """Show one value: dollars for decimals, percent under a share's name, a dash for nothing."""
    if showing.is_missing(value):
        return "–"
    if isinstance(value, Decimal):
        return showing.share(value) if showing.is_share(column.replace(" ", "_")) else showing.dollars(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return showing.moment(value)
    return showing.visible(value)


def print_json(answer: dict[str, Any]) -> None:
    """Print an answer as JSON; amounts are text to the last digit, times are UTC."""
    typer.echo(json.dumps(answer, default=plain, ensure_ascii=True, indent=2))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as rows of plain values."""
    return [{name: plain(value) for name, value in row.items()} for row in showing.rows(frame)]


def plain(value: Any) -> Any:
    """Return a value that JSON can hold without losing anything."""
    if showing.is_missing(value):
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date | UUID):
        return str(value)
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
