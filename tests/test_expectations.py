"""Suites: what they say of a ledger and of a frame, in counts, dollars and keys."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import attribution as at
from attribution.expectations import generating, shipped
from attribution.expectations.suites import read_suite
from tests.examples import call, identity, ledger_of

ROOT = Path(__file__).resolve().parents[1]


def suite(*rules: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"name": "mine", "expectations": list(rules), "meta": meta}


def rule(type_: str, severity: str = "critical", identity: str | None = None, **kwargs: Any) -> dict[str, Any]:
    meta = {"rule": identity} if identity else {}
    return {"type": f"expect_{type_}", "kwargs": kwargs, "severity": severity, "meta": meta}


def only(quality: at.Quality) -> dict[str, Any]:
    (row,) = quality.frame.to_dict("records")
    return row


def test_the_generated_suites_are_those_that_the_tables_give() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "expectations/generated").glob("*.json")}
    assert written == generating.generate(), "run `attribution expectations build`"


@pytest.mark.parametrize("name", shipped.names())
def test_every_shipped_rule_has_an_id_a_reason_and_a_severity(name: str) -> None:
    for each in shipped.read_shipped(name):
        raw = json.loads(Path(each.place).read_text(encoding="utf-8"))
        for expectation in raw["expectations"]:
            assert expectation["severity"] in ("critical", "warning", "info")
            assert expectation["meta"]["rule"]
            assert len(expectation["meta"]["reason"].split()) >= 3


def test_rule_ids_are_unique_over_all_shipped_suites() -> None:
    ids = [rule.id for name in shipped.names() for each in shipped.read_shipped(name) for rule in each.rules]
    assert len(ids) == len(set(ids))


def test_a_broken_rule_names_count_dollars_share_and_keys() -> None:
    with ledger_of(
        call("a", owner_team=None, list_cost="1.25"), call("b", owner_team=None, list_cost=None), call("c"), call("d")
    ) as ledger:
        asked = suite(rule("column_values_to_not_be_null", identity="R", column="owner_team"), dataset="cost_events")
        answer = at.validate(ledger, asked)
        kept = ledger.rows("select event_id, rule from quality_failure order by event_id")

    row = only(answer)
    assert (row["outcome"], row["failing"], row["judged"]) == ("broken", 2, 4)
    assert (row["dollars"], row["without_price"], row["share"]) == (Decimal("1.25"), 1, Decimal("0.5"))
    assert kept == sorted([(identity("a"), "R"), (identity("b"), "R")])
    assert len(answer.failures) == 2


def test_validating_twice_keeps_each_key_once() -> None:
    with ledger_of(call("a", owner_team=None)) as ledger:
        asked = suite(rule("column_values_to_not_be_null", column="owner_team"), dataset="cost_events")
        first, second = at.validate(ledger, asked), at.validate(ledger, asked)
        assert first.frame.equals(second.frame)
        assert ledger.value("select count(*) from quality_failure") == 1


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "relation"])
def test_frames_of_every_kind_give_the_same_answer(kind: str) -> None:
    columns = {"call": ["a", "b"], "list_cost": [Decimal("1.10"), Decimal("-2.20")]}
    frames = {
        "pandas": lambda: pd.DataFrame(columns),
        "polars": lambda: pl.DataFrame(columns),
        "arrow": lambda: pa.table(columns),
        "relation": lambda: at.ledger.as_relation(pa.table(columns)),
    }
    asked = suite(rule("column_values_to_be_between", column="list_cost", min_value=0), key="call")
    answer = at.validate(frames[kind](), asked)
    assert only(answer)["dollars"] == Decimal("-2.20")
    assert answer.failures["row_key"].tolist() == ["b"]


def test_every_shipped_suite_is_read() -> None:
    for name in shipped.names():
        for each in shipped.read_shipped(name):
            assert read_suite(each.place).name == each.name
