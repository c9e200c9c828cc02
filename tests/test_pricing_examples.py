"""Worked examples: raw usage bodies with the cost that their source gives."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from tests.examples import FIXTURES

EXAMPLES = [json.loads(line) for line in (FIXTURES / "prices/worked_examples.jsonl").read_text().splitlines()]


def test_there_are_at_least_sixty_examples_each_with_its_source() -> None:
    assert len(EXAMPLES) >= 60
    assert all(example["source"] for example in EXAMPLES)
    assert len({example["name"] for example in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["name"])
def test_a_raw_usage_body_costs_what_its_source_says(example: dict[str, Any]) -> None:
    given = {name: example[name] for name in ("at", "tier", "region", "api")}

    priced = at.price_usage(example["provider"], example["model"], json.dumps(example["usage"]), **given)

    assert priced.price_status == example["status"]
    assert priced.list_cost == (None if example["expected"] is None else Decimal(example["expected"]))
    if priced.list_cost is not None:
        assert sum(priced.line_items["list_cost"], Decimal(0)) == priced.list_cost


@pytest.mark.parametrize(
    ("name", "provider"), [("anthropic_message_usage", "anthropic"), ("google_usage_metadata", "google")]
)
def test_real_bodies_cost_the_same_as_a_loaded_file_and_one_by_one(name: str, provider: str, tmp_path: Path) -> None:
    bodies = [json.loads(line) for line in (FIXTURES / "prices" / f"{name}.jsonl").read_text().splitlines()[::5]]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(body) + "\n" for body in bodies))
    with at.build_ledger(str(tmp_path), quiet=True) as ledger:
        loaded = ledger.value("select sum(coalesce(list_cost, estimated_cost)) from cost_event")

    one_by_one = [at.price_usage(provider, None, body).list_cost for body in bodies]

    assert loaded == sum((cost for cost in one_by_one if cost is not None), Decimal(0))
