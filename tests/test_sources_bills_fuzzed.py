"""Whatever stands in a bill: every record is accounted for, nothing crashes, and no fault becomes a number."""

from __future__ import annotations

import copy
import csv
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution import sources
from attribution.reading import Sample, Unreadable
from attribution.sources import Intake
from tests.bill_examples import SOURCES

#: One file of every source whose records are varied.
FILES = {
    "openai_usage": "illustrative_usage_completions_grouped_page1.json",
    "openai_costs": "illustrative_costs_string_amount.json",
    "anthropic_usage": "illustrative_usage_report_default_workspace.json",
    "anthropic_cost": "illustrative_cost_report_cents.json",
    "anthropic_claude_code": "claude_code_report_doc_shape.json",
    "openrouter_activity": "illustrative_openrouter_activity.json",
    "google_billing": "illustrative_billing_export.jsonl",
    "cur": "illustrative_cur2.csv",
    "focus": "focus15draft_ai_prompt_caching_a.csv",
    "azure_cost": "illustrative_actual_cost_models.csv",
    "invoice": "invoice.csv",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.sampled_from(["", "NULL", "x", "1e5", "-3", "2026-09-14", "2026-09-14T00:00:00Z", "[1]", '{"a": [1]}', "￿"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["key", "value", "id"]), inner),
    max_leaves=4,
)  # fmt: skip


def documents(source: str) -> list[dict[str, Any]]:
    path = SOURCES / source / FILES[source]
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    return [json.loads(line, parse_float=Decimal) for line in lines]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in inner for place in [(*path, key), *places(child, (*path, key))]]


def with_value(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", sorted(FILES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_value_anywhere_in_a_record_crashes_a_source(name: str, data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(documents(name)))
    changed = with_value(document, data.draw(st.sampled_from(places(document))), data.draw(JSON))
    source: Any = sources.named(name)
    intake = Intake(name, options={"mapping": None})
    sample = Sample("<documents>", "jsonl", [changed], list(changed))

    source.recognise(sample)
    if hasattr(source, "prepare"):
        source.prepare(sample, intake)
    try:
        source.read(changed, 1, intake)
    except Unreadable as fault:
        intake.set_aside(1, fault)

    assert intake.records == intake.context + intake.quarantined + len(
        {row["record_no"] for row in intake.rows["bill_line"]}
    )
    for row in intake.rows["bill_line"]:
        assert type(row["key"]) is str
        assert row["period_start"] is not None
        assert row["category"] in ("usage", "purchase", "credit", "tax", "adjustment")
        for column in ("quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost", "estimated_cost"):
            assert row.get(column) is None or isinstance(row[column], Decimal)
        for column in (
            "model",
            "sku",
            "project_id",
            "api_key_id",
            "principal",
            "region",
            "currency",
            "description",
            "meter",
        ):
            assert row.get(column) is None or type(row[column]) is str
