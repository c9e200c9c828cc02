"""The sources there are, as tables made from the modules themselves: what each gives, and what its users get wrong."""

from __future__ import annotations

import inspect
from typing import Any

import pandas as pd

from attribution import sources

#: Column → the module's constant.
_COLUMNS = {
    "grain": "GRAIN",
    "gives": "GIVES",
    "nesting": "NESTING",
    "money": "MONEY",
    "zone": "ZONE",
    "rewrites": "REWRITES",
    "mistake": "MISTAKE",
}


def list_sources() -> pd.DataFrame:
    """List the sources that can be loaded.

    Returns
    -------
    pandas.DataFrame
        One row per source, by name: `source`, `what` it is, its `grain`, what it `gives` (calls, ownership, usage,
        money), its `nesting` of token counts, its `money` unit, time `zone`, whether its files replace or add
        (`rewrites`), and what its users' usual `mistake` costs.

    Examples
    --------
    >>> list_sources().query("source == 'anthropic_cost'")["money"].item()
    'cents with fractions, as decimal text: 123.45 is 1.2345 dollars'
    """
    return pd.DataFrame(_rows(), columns=["source", "what", *_COLUMNS])


def render_sources() -> str:
    """Return the table of the README: source, what it is, what it gives, its grain, as Markdown."""
    lines = ["| source | what it is | gives | grain |", "|---|---|---|---|"]
    for row in _rows():
        cells = (f"`{row['source']}`", *(str(row[name]).replace("|", "\\|") for name in ("what", "gives", "grain")))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _rows() -> list[dict[str, str]]:
    return [_row(name, module) for name, module in sorted(sources.all_sources().items())]


def _row(name: str, module: Any) -> dict[str, str]:
    described = (inspect.getdoc(module) or "").split("\n", 1)[0].removesuffix(".")
    told = {column: getattr(module, constant) for column, constant in _COLUMNS.items() if hasattr(module, constant)}
    return {"source": name, "what": described, "rewrites": _of_records(module)} | told


def _of_records(module: Any) -> str:
    """Files of records add; where a record has states, the later one counts."""
    later = "; a later state of a record supersedes the earlier" if getattr(module, "SUPERSEDES", False) else ""
    return f"add: the same record again is a duplicate{later}"
