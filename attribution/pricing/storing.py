"""The book as a file: one Parquet table of rates, one of names, and what they were made of."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.errors import ConfigurationError
from attribution.pricing.book import Name, PriceBook, Rate
from attribution.pricing.merging import Conflict

_TYPES = {
    "price": pa.decimal128(38, 12),
    "minimum": pa.decimal128(18, 6),
    "per": pa.int64(),
    "context_over": pa.int64(),
    "context_upto": pa.int64(),
    "valid_from": pa.timestamp("us"),
    "valid_to": pa.timestamp("us"),
    "second_from": pa.int32(),
    "second_to": pa.int32(),
    "weekdays": pa.int16(),
}
_FILES = ("about.json", "rates.parquet", "names.parquet")
_SCHEMA = pa.schema([(f.name, _TYPES.get(f.name, pa.string())) for f in fields(Rate)])


@cache
def shipped_book() -> PriceBook:
    """Read the book that comes with the package, once."""
    return _read_book(resources.files("attribution") / "prices" / "book")


def fingerprint_of(rates: Iterable[Rate], names: Iterable[Name]) -> str:
    """Return a digest of all that decides a price; it does not depend on how the book is stored."""
    digest = hashlib.sha256()
    for rate in rates:
        values = [str(_plain(getattr(rate, field.name))) for field in fields(rate)]
        digest.update(("\x1f".join(values) + "\n").encode())
    for name in names:
        digest.update(f"{name.provider}\x1f{name.model}\x1f{_clause_text(name.clause)}\n".encode())
    return digest.hexdigest()[:16]


def write_book(book: PriceBook, conflicts: Iterable[Conflict], inputs: Mapping[str, str], folder: Path) -> None:
    """Write a book into a folder: rates, names, the sources' conflicts, and a small text of what it was made of."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {f.name: [getattr(rate, f.name) for rate in book.rates] for f in fields(Rate)}
    pq.write_table(
        pa.table(columns, schema=_SCHEMA), folder / "rates.parquet", compression="zstd", compression_level=19
    )
    names = {
        "provider": [n.provider for n in book.names],
        "model": [n.model for n in book.names],
        "clause": [_clause_text(n.clause) for n in book.names],
    }
    pq.write_table(pa.table(names), folder / "names.parquet", compression="zstd", compression_level=19)
    with (folder / "conflicts.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([field.name for field in fields(Conflict)])
        writer.writerows([_plain(getattr(c, field.name)) for field in fields(Conflict)] for c in conflicts)
    about = {
        "as_of": book.as_of.isoformat(),
        "fallbacks": {provider: list(others) for provider, others in sorted(book.fallbacks.items())},
        "fingerprint": book.fingerprint,
        "inputs": dict(sorted(inputs.items())),
        "rates": len(book.rates),
    }
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def read_book(folder: Traversable | str) -> PriceBook:
    """Read a book from a folder that `attribution prices build --into` wrote.

    Parameters
    ----------
    folder
        The folder with `about.json`, `rates.parquet` and `names.parquet`.

    Returns
    -------
    PriceBook
        The rates, for `price_events(book=…)`, `price(book=…)` and `reprice(book=…)`.

    Raises
    ------
    ConfigurationError
        If there is no book in the folder, or not the one that its fingerprint names.

    Examples
    --------
    >>> from importlib import resources
    >>> import attribution as at
    >>> len(at.read_book(resources.files("attribution") / "prices" / "book").fingerprint)
    16
    """
    folder = Path(folder) if isinstance(folder, str) else folder
    expected = "about.json, rates.parquet and names.parquet, as `attribution prices build --into` writes them"
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        found = f"there is no price book here: no {', '.join(missing)}"
        raise ConfigurationError.at(str(folder), None, found, expected)
    try:
        book = _read_book(folder)
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise ConfigurationError.at(str(folder), None, f"the price book cannot be read: {error}", expected) from error
    if (found := fingerprint_of(book.rates, book.names)) != book.fingerprint:
        said = f"its prices have fingerprint {found}, about.json says {book.fingerprint}"
        raise ConfigurationError.at(str(folder), None, said, "a book that nobody edited; build it again")
    return book


def _read_book(folder: Traversable) -> PriceBook:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    names = _table(folder / "names.parquet")
    clauses = zip(names["provider"], names["model"], names["clause"], strict=True)
    rates = _table(folder / "rates.parquet")
    rows = zip(*(rates[f.name] for f in fields(Rate)), strict=True)
    return PriceBook(
        [Rate(*row) for row in rows],
        [Name(provider, model, json.loads(clause)) for provider, model, clause in clauses],
        {provider: tuple(others) for provider, others in about["fallbacks"].items()},
        datetime.fromisoformat(about["as_of"]),
        about["fingerprint"],
    )


def _table(file: Traversable) -> dict[str, list[Any]]:
    with file.open("rb") as stream:
        table = pq.read_table(stream)
    return {name: table[name].to_pylist() for name in table.column_names}


def _plain(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _clause_text(clause: Mapping[str, Any]) -> str:
    return json.dumps(clause, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
