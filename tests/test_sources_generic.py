from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from attribution.errors import ConfigurationError
from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.reading import Sample
from attribution.sources import generic
from tests.intake_examples import intake_of, row

MAPPING: dict[str, Any] = {"event_id": "id", "model": "model", "input_tokens": "in", "output_tokens": "out"}


def record(**fields: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "gpt-5-mini", "in": 100, "out": 10} | fields


def read(document: dict[str, Any], mapping: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return row(document, "generic", mapping=MAPPING | (mapping or {}), **options)


def fault(document: dict[str, Any], mapping: dict[str, Any] | None = None, **options: Any) -> tuple[str | None, str]:
    (only,) = intake_of(document, source="generic", mapping=MAPPING | (mapping or {}), **options).faults
    return only["field"], only["reason"]


# Where a field is.


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("usage.prompt_tokens", {"usage": {"prompt_tokens": 7}}),
        ("/usage/prompt_tokens", {"usage": {"prompt_tokens": 7}}),
        ("gen_ai.usage.input_tokens", {"gen_ai.usage.input_tokens": 7}),
        ("attributes.gen_ai.usage", {"attributes": {"gen_ai.usage": 7}}),
        ("calls.0.n", {"calls": [{"n": 7}]}),
        ("usage.prompt_tokens", {"usage": '{"prompt_tokens": 7}'}),
        ("usage.prompt_tokens", {"usage": "{'prompt_tokens': 7, 'x': None}"}),
        (["absent", "usage.prompt_tokens"], {"usage": {"prompt_tokens": 7}}),
        ({"path": ["absent", "n"]}, {"n": 7}),
        ({"const": 7}, {}),
        (lambda document: document["n"] + 1, {"n": 6}),
    ],
)
def test_a_field_is_found_by_path_pointer_alternatives_constant_or_function(
    path: Any, document: dict[str, Any]
) -> None:
    assert read(record(**document), {"input_tokens": path})["input_tokens"] == 7


def test_the_first_alternative_that_says_something_wins() -> None:
    mapping = {"owner_team": ["team", "squad"]}

    assert read(record(team="", squad="growth"), mapping)["owner_team"] == "growth"
    assert read(record(team="support", squad="growth"), mapping)["owner_team"] == "support"


@pytest.mark.parametrize(
    "tags",
    [
        {"team": "support"},
        ["env:prod", "team:support"],
        ["team=support"],
        "env:prod,team:support",
        '["team:support"]',
        '{"team": "support"}',
        [{"Key": "team", "Value": "support"}],
        {"key": ["env", "team"], "value": ["prod", "support"]},
    ],
)
def test_tags_are_read_in_every_shape(tags: Any) -> None:
    assert read(record(labels=tags), {"owner_team": "tags[team]"}, tag_column="labels")["owner_team"] == "support"


def test_a_tag_separator_can_be_declared() -> None:
    found = read(record(tags=["team/a:b"]), {"owner_team": "tags[team]"}, tag_separator="/")

    assert found["owner_team"] == "a:b"


def test_text_that_is_no_json_is_set_aside_where_json_is_needed() -> None:
    assert fault(record(usage="{broken"), {"input_tokens": "usage.n"}) == ("usage.n", "not_json")


def test_a_python_cell_is_data_and_never_run() -> None:
    assert fault(record(usage="{'n': __import__('os').getpid()}"), {"input_tokens": "usage.n"})[1] == "not_json"


# What a field may hold.


@pytest.mark.parametrize("missing", [None, "", "None", "null", "N/A", "NaN", math.nan, " "])
def test_missing_counts_are_null_and_never_zero(missing: Any) -> None:
    found = read(record(**{"in": missing, "out": missing}))

    assert (found["input_tokens"], found["output_tokens"], found["is_metered"]) == (None, None, False)


def test_zero_is_a_count() -> None:
    assert read(record(**{"in": 0, "out": 0}))["is_metered"] is True


@pytest.mark.parametrize(("given", "count"), [("100", 100), (100.0, 100), (2**40 * 1.0 / 2**10, 2**30)])
def test_counts_of_frames_and_csv_may_be_whole_floats_or_digits(given: Any, count: int) -> None:
    assert read(record(**{"in": given}))["input_tokens"] == count


@pytest.mark.parametrize("given", [1.5, Decimal("1.5"), Decimal("100.0"), "1,234", "1e3", "-1", True, math.inf])
def test_other_forms_of_counts_are_set_aside(given: Any) -> None:
    assert fault(record(**{"in": given}))[0] == "input_tokens"


@pytest.mark.parametrize(
    ("unit", "given", "usd"),
    [
        ("usd", "1.25", "1.25"),
        ("usd", Decimal("0.1"), "0.1"),
        ("usd", 0.1, "0.1"),
        ("cents", "1.25", "0.0125"),
        ("micros", 1_250_000, "1.25"),
        ("nanos", 1_250_000, "0.00125"),
        ("usd", "1e-7", "0.0000001"),
    ],
)
def test_cost_units_are_exact(unit: str, given: Any, usd: str) -> None:
    assert read(record(cost=given), {"cost_usd": {"path": "cost", "unit": unit}})["source_cost"] == Decimal(usd)


def test_another_currency_needs_a_rate() -> None:
    found = read(record(cost="2"), {"cost_usd": {"path": "cost", "unit": "eur", "rate": "1.08"}})

    assert found["source_cost"] == Decimal("2.16")
    with pytest.raises(ConfigurationError, match="rate"):
        read(record(cost="2"), {"cost_usd": {"path": "cost", "unit": "eur"}})


@pytest.mark.parametrize("given", ["1,234.56", "(12.30)", "$5", "1.234,56", "−5", "1_000"])
def test_other_forms_of_money_are_set_aside_unless_declared(given: str) -> None:
    assert fault(record(cost=given), {"cost_usd": "cost"}) == ("cost_usd", "not_money")


def test_a_declared_form_of_money_is_read() -> None:
    european = {"cost_usd": {"path": "cost", "decimal": ",", "thousands": "."}}

    assert read(record(cost="1.234,56"), european)["source_cost"] == Decimal("1234.56")
    assert read(record(cost="€ 0,5"), european)["source_cost"] == Decimal("0.5")
    american = {"cost_usd": {"path": "cost", "thousands": ","}}
    assert read(record(cost="$1,234.56"), american)["source_cost"] == Decimal("1234.56")


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("2026-10-05T12:00:00Z", "iso"),
        ("2026-10-05T14:00:00+02:00", "iso"),
        ("2026-10-05 12:00:00 UTC", "iso"),
        (1_791_201_600, "s"),
        (1_791_201_600_000, "ms"),
        (1_791_201_600_000_000, "us"),
        (1_791_201_600_000_000_000, "ns"),
        ("1791201600000000000", "ns"),
        (Decimal("1791201600.0"), "s"),
        (1_791_201_600, None),
        (1_791_201_600_000, None),
        ("1791201600000000", None),
        (1_791_201_600_000_000_000, None),
    ],
)
def test_times_are_utc_in_every_unit_and_numbers_tell_their_own(given: Any, unit: str | None) -> None:
    spec = {"path": "at"} | ({"unit": unit} if unit else {})

    assert read(record(at=given), {"timestamp": spec})["started_at"] == 1_791_201_600_000_000


def test_a_time_without_zone_needs_a_declared_one() -> None:
    assert fault(record(at="2026-10-05T12:00:00"), {"timestamp": "at"}) == ("started_at", "no_time_zone")
    berlin = read(record(at="2026-10-05T14:00:00"), {"timestamp": "at"}, tz="Europe/Berlin")
    assert berlin["started_at"] == 1_791_201_600_000_000


@pytest.mark.parametrize(
    "given", ["10/11/2026", "2026-10-05T24:00:00Z", "infinity", "9999-12-31T00:00:00Z", "2026-06-30T23:59:60Z", "now"]
)
def test_other_times_are_set_aside(given: str) -> None:
    assert fault(record(at=given), {"timestamp": "at"}) == ("started_at", "not_a_time")


def test_a_number_in_the_wrong_unit_is_set_aside() -> None:
    assert fault(record(at=1_791_201_600_000), {"timestamp": {"path": "at", "unit": "s"}})[1] == "not_a_time"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("success", "ok"),
        (200, "ok"),
        ("201", "ok"),
        (True, "ok"),
        ("ERROR", "error"),
        (429, "error"),
        (False, "error"),
        ("pending", "unknown"),
    ],
)
def test_a_status_is_read_as_word_flag_or_code(given: Any, status: str) -> None:
    assert read(record(status=given), {"status": "status"})["status"] == status


@pytest.mark.parametrize(("given", "hit"), [(True, True), ("HIT", True), ("miss", False), ("", None), ("0", False)])
def test_a_cache_hit_is_read_as_flag_or_word(given: Any, hit: bool | None) -> None:
    assert read(record(c=given), {"cache_hit": "c"})["cache_hit"] is hit


def test_ids_keep_their_digits() -> None:
    assert read(record(id="0012"))["native_id"] == "0012"
    assert read(record(id=2**60 + 1))["native_id"] == str(2**60 + 1)


def test_a_team_that_looks_missing_is_kept_and_flagged() -> None:
    found = read(record(team="None"), {"owner_team": "team"})

    assert (found["owner_team"], found["ownership_flags"]) == ("None", ["owner_team:looks_missing"])


# Nesting.


def test_exclusive_counts_become_totals_as_declared() -> None:
    mapping = {"cache_read_tokens": "read", "cache_write_tokens": "write", "reasoning_tokens": "think"}
    document = record(read=40, write=5, think=3)

    apart = read(document, mapping, input_includes_cache=False, output_includes_reasoning=False)
    within = read(document, mapping, input_includes_cache=True, output_includes_reasoning=True)

    assert (apart["input_tokens"], apart["output_tokens"]) == (145, 13)
    assert (within["input_tokens"], within["output_tokens"]) == (100, 10)
    assert apart["usage_reading"] == "exclusive input: declared; exclusive output: declared"


def test_what_some_records_of_a_file_prove_holds_for_those_that_do_not_tell() -> None:
    mapping = MAPPING | {"cache_read_tokens": "read"}
    told = intake_of(record(id="a", read=400), record(id="b", read=40), source="generic", mapping=mapping)
    mixed = intake_of(
        record(id="a", read=400),
        record(id="b", read=40),
        record(id="c", read=40, total=110),
        source="generic",
        mapping=mapping | {"total_tokens": "total"},
    )

    assert [each["input_tokens"] for each in told.rows["observation"]] == [500, 140]
    assert told.rows["observation"][1]["usage_reading"] == "exclusive input: other records of the file prove it"
    assert [each["input_tokens"] for each in mixed.rows["observation"]] == [500, 100, 100]


def test_a_wrong_declaration_is_flagged_with_both_numbers() -> None:
    found = read(record(read=400), {"cache_read_tokens": "read"}, input_includes_cache=True)

    assert found["usage_flags"] == ["cache_read_tokens 400 > input_tokens 100"]


# Maps that cannot be.


@pytest.mark.parametrize(
    ("mapping", "options", "message"),
    [
        ({"modle": "model"}, {}, "Did you mean `model`"),
        ({"model": "modl"}, {}, "mapping.model: `modl` is not known here. Did you mean `model`"),
        ({"model": ["a", "b"]}, {}, "a or b"),
        ({"model": {"pth": "model"}}, {}, "Did you mean `path`"),
        ({"model": 5}, {}, "a dotted path"),
        ({"timestamp": {"path": "id", "unit": "days"}}, {}, "s, ms, us, ns or iso"),
        ({}, {"input_include_cache": True}, "Did you mean `input_includes_cache`"),
        ({}, {"role": "gateway"}, "Did you mean `gateway_log`"),
        ({"usage_flags": "id"}, {}, "not known"),
    ],
)
def test_an_impossible_map_says_what_there_is(mapping: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace(".", r"\.")):
        read(record(), mapping, **options)


def test_a_role_can_be_declared() -> None:
    assert read(record(), role="gateway_log")["role"] == "gateway_log"


# Frames.


def test_pandas_polars_and_duckdb_frames_are_the_same_facts() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "model": ["m", "m"], "in": [1, None], "out": [2, 3]})
    relation = duckdb.sql("select * from frame")
    told = []
    for given in (frame, pl.from_pandas(frame), relation):
        ledger = open_ledger()
        load(ledger, given, mapping=MAPPING)
        told.append(ledger.rows("select native_id, input_tokens, output_tokens from observation order by native_id"))

    assert told == [[("a", 1, 2), ("b", None, 3)]] * 3


# Files without a map.


def test_a_file_that_names_model_and_tokens_is_read_by_its_names(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(
        "requestId,startTime,model,promptTokens,completion_tokens,Team,cost\n"
        "r1,2026-10-05T12:00:00Z,gpt-5-mini,100,10,support,0.5\n"
    )
    ledger = open_ledger()

    result = load(ledger, tmp_path / "calls.csv")

    assert result.files[0]["source"] == "generic"
    assert ledger.rows(
        "select native_id, model, input_tokens, output_tokens, owner_team, source_cost from observation"
    ) == [("r1", "gpt-5-mini", 100, 10, "support", None)]


@pytest.mark.parametrize("document", [{"model": "m"}, {"input_tokens": 5}, {"a": 1}])
def test_a_file_that_does_not_is_not_guessed_at(document: dict[str, Any]) -> None:
    assert generic.recognise(Sample("f", "jsonl", [document])) == 0


def test_rows_that_count_calls_are_not_taken_for_calls() -> None:
    daily = {"date": "2026-10-05", "model": "m", "prompt_tokens": 5, "completion_tokens": 1, "api_requests": 7}
    sample = Sample("f", "jsonl", [daily])

    assert generic.recognise(sample) == 0
    assert "whose rows count calls: sums, not calls" in generic.describe(sample)[0]


def test_a_described_file_names_the_nearest_sources_and_what_they_miss() -> None:
    looks, nearest = generic.describe(Sample("f", "csv,", [], ["request_id", "call_type", "spend", "model"]))

    assert looks == "CSV with request_id, call_type, spend, model"
    assert nearest.startswith("Nearest: litellm_spend_logs (misses startTime, request_tags, team_id, cache_key)")
