"""Any value in any field costs at most its record, in every source of logs and telemetry."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.reading import Limits, Sample, read, sniff
from tests.examples import FIXTURES
from tests.intake_examples import intake_of

SOURCES = {
    "litellm_payload": "litellm_payload/standard_logging_payload.proxy.jsonl",
    "litellm_spend_logs": "litellm_spend_logs/spend_logs_payload.proxy.jsonl",
    "seed": "seed/both_traces.jsonl",
    "langfuse": "langfuse/observations.blob-export.jsonl",
    "helicone": "helicone/requests.jsonl",
    "portkey": "portkey/logs.jsonl",
    "bedrock_invocation_log": "bedrock_invocation_log/invocation_log.jsonl",
    "azure_apim_llm_log": "azure_apim_llm_log/llm_log.jsonl",
    "vertex_request_log": "vertex_request_log/log.jsonl",
    "openrouter_generations": "openrouter_generations/generation.json",
    "provider_responses": "provider_responses/anthropic.jsonl",
}
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    5,
    2**63,
    10**30,
    Decimal("1.5"),
    Decimal("1E+300"),
    "",
    "   ",
    "text",
    "12",
    "1e999",
    "{broken",
    "[1]",
    "{}",
    "x" * 5_000,
    "=HYPERLINK(1)",
    "'; drop table observation --",
    "</script>",
    "ann@example.com",
    "2026-13-45T99:99:99Z",
    [],
    [1],
    [None],
    [[]],
    [{}],
    {},
    {"a": 1},
    {"id": [], "usage": []},
]


def documents(source: str) -> list[dict[str, Any]]:
    path = FIXTURES / "sources" / SOURCES[source]
    limits = Limits()
    found = [each.document for each in read(path, sniff(path, limits).kind, limits)]
    return [each for each in found if each is not None][:12]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, down to four levels."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    here = [(*path, key) for key, _ in inner]
    return here + [place for key, each in inner if len(path) < 3 for place in places(each, (*path, key))]


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with another value at one place."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = put(document[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_in_any_field_is_read_or_set_aside(source: str, data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(documents(source)))
    changed = put(document, data.draw(st.sampled_from(places(document))), data.draw(st.sampled_from(HOSTILE)))

    intake = intake_of(changed, source=source)

    assert intake.records >= 1
    accepted = {row["record_no"] for rows in intake.rows.values() for row in rows}
    assert intake.records == len(accepted) + intake.context + intake.quarantined


@pytest.mark.parametrize("source", SOURCES)
def test_every_field_hostile_at_once_loads_with_conservation(source: str, tmp_path: Path) -> None:
    changed = [
        put(document, path, value)
        for document in documents(source)[:2]
        for number, path in enumerate(places(document))
        for value in HOSTILE[number % 7 :: 7]
    ]
    path = tmp_path / "hostile.jsonl"
    path.write_text("".join(json.dumps(each, default=float) + "\n" for each in changed))
    ledger = open_ledger()

    result = load(ledger, path, source=source)

    (row,) = result.files
    fates = ("accepted", "context", "duplicates", "superseded", "conflicting", "quarantined")
    assert row["records"] == sum(row[fate] for fate in fates)
    assert min(row[fate] for fate in fates) >= 0
    assert ledger.value("select count(*) from observation where input_tokens < 0 or output_tokens < 0") == 0


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_is_surest_of_its_own_files(source: str) -> None:
    from attribution import sources

    sample = Sample("f", "jsonl", documents(source))

    surest = {name: each.recognise(sample) for name, each in sources.all_sources().items()}
    assert max(surest, key=lambda name: surest[name]) == source
