"""Every source says what it is, has files that show it, and is the one that recognises them."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from attribution import schema, sources
from attribution.catalog import list_sources, render_sources
from attribution.cli import app
from attribution.ledger import column_list, open_ledger
from attribution.loading import load
from attribution.reading import Limits, sniff
from tests.bill_examples import SOURCES, counts

ALL = sorted(sources.all_sources())
#: Sources of bills say whether their files replace or add.
BILLS = [name for name in ALL if hasattr(sources.named(name), "REWRITES")]
CONSTANTS = ("GRAIN", "GIVES", "NESTING", "MONEY", "ZONE", "MISTAKE")
#: What stands beside a source's files: where they come from, and what they become.
BESIDE = {"ORIGIN.txt", "expected.csv"}
EXPECTED = [
    name for name in schema.table("bill_line").names if name not in ("bill_line_id", "file_id", "record_no", "role")
]


def files(name: str) -> list[Path]:
    """Return the fixture files of a source."""
    found = (path for path in sorted((SOURCES / name).rglob("*")) if path.is_file() and path.name not in BESIDE)
    return [path for path in found if path.suffix != ".reference"]


@pytest.mark.parametrize("name", ALL)
def test_every_source_states_its_constants_in_words(name: str) -> None:
    module = cast(ModuleType, sources.named(name))

    assert module.__name__ == f"attribution.sources.{name}"
    assert isinstance(module.VERSION, int)
    assert [constant for constant in CONSTANTS if len(getattr(module, constant, "").split()) < 1] == []
    assert (module.__doc__ or "").split("\n", 1)[0].endswith(".")


@pytest.mark.parametrize("name", BILLS)
def test_every_bill_says_whether_its_files_replace_or_add(name: str) -> None:
    assert cast(Any, sources.named(name)).REWRITES.split(":")[0] in ("replace", "add")


@pytest.mark.parametrize("name", BILLS)
def test_every_bill_has_files_with_their_origin_and_recognises_them(name: str) -> None:
    """A file that two sources are equally sure of would be read by the order of their names."""
    assert (SOURCES / name / "ORIGIN.txt").is_file()
    assert files(name)
    for path in files(name):
        sample = sniff(path, Limits())
        scores = sorted((source.recognise(sample), other) for other, source in sources.all_sources().items())
        assert scores[-1][1] == name, f"{path.name} is taken for {scores[-1]}"
        assert scores[-2][0] < scores[-1][0], f"{path.name} is as much {scores[-2][1]}"


@pytest.mark.parametrize("name", BILLS)
def test_the_files_of_a_bill_become_the_expected_lines(name: str) -> None:
    ledger = open_ledger()
    loaded = load(ledger, *files(name))

    assert loaded.refused == []
    counts(ledger, "records")
    query = f"select {column_list(EXPECTED)} from bill_line order by all"
    assert [[shown(value) for value in row] for row in ledger.rows(query)] == expected(name)


def shown(value: Any) -> str:
    """Return a value as the expected file writes it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dict):
        return "; ".join(f"{key}={value[key]}" for key in sorted(value))
    return "; ".join(value) if isinstance(value, list) else str(value)


def expected(name: str) -> list[list[str]]:
    """Return the rows of a source's expected file."""
    with (SOURCES / name / "expected.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == EXPECTED
    return rows


def test_the_table_of_sources_is_made_from_the_modules() -> None:
    found = list_sources()

    assert list(found["source"]) == ALL
    assert not found.isna().any().any()
    lines = render_sources().splitlines()
    assert len(lines) == len(ALL) + 2
    assert all(line.count(" | ") == 3 for line in lines[2:])


def test_the_command_shows_all_sources_and_one_in_full() -> None:
    run = CliRunner().invoke(app, ["sources"])
    one = CliRunner().invoke(app, ["sources", "cur"])
    wrong = CliRunner().invoke(app, ["sources", "curr"])

    assert run.exit_code == 0
    assert all(name in run.output for name in ("cur", "openai_usage", "google_billing"))
    assert "thousand" in one.output or "1K" in one.output
    assert wrong.exit_code == 2
    assert "Did you mean `cur`?" in wrong.output
