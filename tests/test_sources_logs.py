"""What the files of every source of logs and telemetry become, call by call, as their expected files say.

To write an expected file anew after a change that is meant: python -m tests.test_sources_logs SOURCE
"""

from __future__ import annotations

import csv
import io
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from attribution import sources
from attribution.reading import Limits, sniff
from tests.examples import FIXTURES
from tests.intake_examples import taken

NAMES = (
    "azure_apim_llm_log",
    "bedrock_invocation_log",
    "generic",
    "helicone",
    "langfuse",
    "litellm_payload",
    "litellm_spend_logs",
    "openrouter_generations",
    "portkey",
    "provider_responses",
    "seed",
    "vertex_request_log",
)
COLUMNS = """
    line native_id response_id record_id operation_key attempt_no status error_type operation provider model
    service_tier cache_hit is_metered input_tokens output_tokens cache_read_tokens cache_write_5m_tokens
    cache_write_1h_tokens reasoning_tokens source_cost trace_id api_key_id owner_team workflow_id feature
    tenant_id_hash user_id_hash
    claimed_team usage_flags ownership_flags
"""


def files(name: str) -> list[Path]:
    """Return the fixture files of a source."""
    folder = FIXTURES / "sources" / name
    return [path for path in sorted(folder.iterdir()) if path.name not in ("ORIGIN.txt", "expected.csv")]


def shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list):
        return "; ".join(value)
    return "" if value is None else str(value)


def became(name: str) -> str:
    """Return what the files of a source became, as CSV: calls, then what was set aside."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = COLUMNS.split()
    writer.writerow(["file", *columns])
    for path in files(name):
        intake = taken(path)
        for call in intake.rows["observation"]:
            writer.writerow([path.name, *(shown(call.get(column)) for column in columns)])
        for fault in intake.faults:
            writer.writerow([path.name, fault["line"], f"set aside: {fault['field']} {fault['reason']}"])
    return text.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_a_source_become_the_expected_calls(name: str) -> None:
    assert (FIXTURES / "sources" / name / "ORIGIN.txt").is_file()
    assert became(name) == (FIXTURES / "sources" / name / "expected.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_alone_in_being_surest_of_its_files(name: str) -> None:
    for path in files(name):
        sample = sniff(path, Limits())
        scores = sorted((source.recognise(sample), other) for other, source in sources.all_sources().items())
        assert scores[-1][1] == name, f"{path.name} is taken for {scores[-1]}"
        assert scores[-2][0] < scores[-1][0], f"{path.name} is as much {scores[-2][1]}"


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        (FIXTURES / "sources" / chosen / "expected.csv").write_text(became(chosen), encoding="utf-8")
