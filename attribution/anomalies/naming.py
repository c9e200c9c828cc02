"""What an event and its slice are called, in tables, menus and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attribution import showing


def slice_name(row: Mapping[str, Any], by: Sequence[str]) -> str:
    """Name the slice of an event: `support / ticket-triage`; spend without an owner is unowned."""
    names = [row[name] if isinstance(row[name], str) else _missing(name) for name in by[: row["level"]]]
    return " / ".join(showing.visible(name) for name in names)


def days(row: Mapping[str, Any]) -> str:
    """Name the days of an event."""
    return str(row["start"]) if row["start"] == row["end"] else f"{row['start']} to {row['end']}"


def called(row: Mapping[str, Any], by: Sequence[str]) -> str:
    """Name an event by its days, its slice and what it is above or below."""
    sign = "+" if row["excess"] > 0 else ""
    return f"{days(row)}  {slice_name(row, by)}  {sign}{showing.dollars(row['excess'])}"


def _missing(name: str) -> str:
    return "unowned" if name == "owner_team" else f"no {name.removesuffix('_id').replace('_', ' ')}"
