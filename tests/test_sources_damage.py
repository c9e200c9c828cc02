"""Whatever stands in place of a value in a telemetry export, the load goes on and every record is accounted for."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.ledger import Ledger, open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

SAMPLES = {
    "otel_console": "otlp/openllmetry_0.33.12.sdk-console.jsonl",
    "phoenix": "phoenix/rest_v1_spans.json",
    "mlflow": "mlflow/trace_v3.json",
    "weave": "weave/calls.jsonl",
    "claude_code": "claude_code/ccusage_claude_session_alpha.jsonl",
    "codex_rollout": "codex_rollout/codex_0.169.0_rollout.jsonl",
    "otlp": "otlp/logfire_5.2.0.otlp.jsonl",
}
JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([1e308, 1.5, -1.0, 0.0]),
    st.sampled_from(["", "x", "0" * 32, "NaN", "2026-13-45", "\u202e", "a" * 2000]),
    st.sampled_from([[], {}, [1], {"a": 1}, [[]], {"usage": 5}, [None]]),
)


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


def documents(name: str) -> list[Any]:
    text = (FIXTURES / "sources" / SAMPLES[name]).read_text()
    return [json.loads(text)] if SAMPLES[name].endswith(".json") else [json.loads(line) for line in text.splitlines()]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a document."""
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(each, (*path, key))


PLACES = {name: [place for place in places(documents(name)) if len(place) > 1] for name in SAMPLES}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(SAMPLES)), data=st.data())
def test_a_damaged_value_never_stops_a_load_and_no_record_is_lost(
    name: str, data: st.DataObject, ledger: Ledger
) -> None:
    damaged: Any = copy.deepcopy(documents(name))
    path = data.draw(st.sampled_from(PLACES[name]))
    holder = damaged
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = data.draw(JSON)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "damaged.jsonl"
        file.write_text("".join(json.dumps(document) + "\n" for document in damaged))
        report = load(ledger, file, source=name)

    assert report.refused == []
    (row,) = report.files
    fates = ("accepted", "context", "duplicates", "superseded", "conflicting", "quarantined")
    assert row["records"] == sum(row[fate] for fate in fates)
    assert min(row[fate] for fate in fates) >= 0
    assert row["records"] >= len(damaged) or name in ("phoenix", "mlflow")
