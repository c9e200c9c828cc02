"""Suites: what they say of a ledger and of a frame, in counts, dollars and keys."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import attribution as at
from attribution.building import summarize_quality
from attribution.expectations import generating, shipped
from attribution.expectations.rule_types import SUPPORTED
from attribution.expectations.suites import read_suite
from attribution.ledger import Ledger
from tests.examples import call, hop, identity, ledger_of, observed, seen
from tests.test_closing import bill, october
from tests.test_statements import TAKEN, residual, rules_of

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
        assert answer.failures["event_id"].tolist() == [str(event_id) for event_id, _ in kept]

    row = only(answer)
    assert (row["outcome"], row["failing"], row["judged"]) == ("broken", 2, 4)
    assert (row["dollars"], row["without_price"], row["share"]) == (Decimal("1.25"), 1, Decimal("0.5"))
    assert kept == sorted([(identity("a"), "R"), (identity("b"), "R")])


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


# What Great Expectations passes over in silence is said aloud.


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            {"type": "expect_colum_values_to_not_be_null", "kwargs": {"column": "a"}},
            "Did you mean `expect_column_values",
        ),
        ({"type": "expect_column_values_to_be_dateutil_parseable", "kwargs": {"column": "a"}}, "no rule is skipped"),
        ({"type": "expect_column_to_exist", "kwargs": {"column": "a"}, "severity": "fatal"}, "`fatal` is not known"),
        ({"type": "expect_column_to_exist", "kwargs": {"colum": "a"}}, "Did you mean `column`"),
        ({"type": "expect_column_to_exist", "kwargs": {}}, "no `column`"),
        (rule("column_values_to_not_be_null", column="a", mostly=98), "a share from 0 to 1"),
        (rule("column_values_to_be_between", column="a"), "neither `min_value` nor `max_value`"),
        (rule("column_values_to_be_between", column="a", min_value=3, max_value=2), "no more than max_value 2"),
        (rule("column_values_to_match_regex", column="a", regex="(?=x)"), "no equal in linear time"),
        (rule("column_values_to_match_regex", column="a", regex="("), "it is no pattern"),
        (rule("column_values_to_not_be_null", column="a", row_condition='col("b").notNull()'), "a tree of objects"),
        (rule("column_values_to_not_be_null", column="a", row_condition={"type": "nullity"}), "with its column"),
        (rule("column_values_to_be_in_set", column="a", value_set="x"), "a list of texts"),
    ],
)
def test_a_suite_that_is_misspelt_is_refused_by_name(broken: dict[str, Any], said: str) -> None:
    with pytest.raises(at.ConfigurationError, match=re.escape(said)):
        at.validate(pd.DataFrame({"a": [1]}), suite(broken))


def test_an_unknown_rule_type_lists_every_supported_one() -> None:
    with pytest.raises(at.ConfigurationError) as raised:
        at.validate(pd.DataFrame({"a": [1]}), suite({"type": "expect_magic", "kwargs": {}}))
    assert all(name in str(raised.value) for name in SUPPORTED)


@pytest.mark.parametrize("engine", ["duckdb", "great_expectations"])
def test_what_great_expectations_passes_in_silence_is_broken(engine: str) -> None:
    rules = [
        rule("column_values_to_be_in_set", column="team", value_set=["support"]),
        rule("column_values_to_match_regex", column="team", regex="^s"),
        rule("column_values_to_be_between", column="misspelt", min_value=0),
        rule("column_max_to_be_between", column="team", max_value=1),
    ]
    answer = at.validate(pd.DataFrame({"team": [None, None]}, dtype=object), suite(*rules), engine=engine)
    assert answer.frame["outcome"].tolist() == ["broken"] * 4
    assert answer.frame["note"].tolist()[:3] == [
        "every value is missing",
        "every value is missing",
        "there is no column `misspelt`",
    ]


@pytest.mark.parametrize("engine", ["duckdb", "great_expectations"])
def test_an_empty_data_set_never_passes(engine: str) -> None:
    rows = pd.DataFrame({"team": pd.Series([], dtype=object)})
    answer = at.validate(rows, suite(rule("column_values_to_not_be_null", column="team")), engine=engine)
    assert not answer.passed
    assert only(answer)["note"] == "there are no rows"


def test_a_column_that_may_be_empty_is_not_checked_and_not_broken() -> None:
    asked = rule("column_values_to_match_regex", column="team", regex="^s")
    asked["meta"]["optional"] = True
    answer = at.validate(pd.DataFrame({"team": [None]}, dtype=object), suite(asked))
    assert (only(answer)["outcome"], answer.passed) == ("not checked", True)


def test_a_suite_file_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine", "name": "yours", "expectations": []}', encoding="utf-8")
    with pytest.raises(at.ConfigurationError, match="the key `name` twice"):
        at.validate(pd.DataFrame({"a": [1]}), path)


def test_a_suite_of_before_version_one_is_read() -> None:
    former = {
        "expectation_suite_name": "old",
        "data_asset_type": "Dataset",
        "expectations": [
            {"expectation_type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}, "meta": {}}
        ],
        "meta": {"great_expectations_version": "0.15"},
    }
    assert at.validate(pd.DataFrame({"a": [1]}), former).passed


def test_a_bound_of_a_dict_is_as_exact_as_one_of_a_file(tmp_path: Path) -> None:
    rows = pd.DataFrame({"share": [Decimal("0.1")]})
    asked = suite(rule("column_values_to_be_between", column="share", min_value=0.1, max_value=0.1))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(asked), encoding="utf-8")
    assert at.validate(rows, asked).passed
    assert at.validate(rows, path).passed


def test_mostly_is_a_share_of_whole_rows() -> None:
    rows = pd.DataFrame({"a": [1] * 98 + [None] * 2})
    for mostly, passed in ((0.98, True), (0.981, False)):
        asked = suite(rule("column_values_to_not_be_null", column="a", mostly=mostly))
        assert at.validate(rows, asked).passed is passed


def test_a_column_of_several_kinds_of_values_is_judged_as_text() -> None:
    rows = pd.DataFrame({"a": [1, "x", None, b"y".decode()]}, dtype=object)
    asked = suite(rule("column_values_to_match_regex", column="a", regex=r"^\d$"))
    assert only(at.validate(rows, asked))["failing"] == 2


def test_examples_are_masked_and_three_at_most() -> None:
    rows = pd.DataFrame({"team": [f"ann{place}@acme.example" for place in range(5)]})
    answer = at.validate(rows, suite(rule("column_values_to_not_match_regex", column="team", regex="@")))
    (row,) = answer.frame.to_dict("records")
    assert len(row["examples"]) == 3
    assert "acme" not in str(row["examples"])


def test_text_of_the_data_is_escaped_where_it_is_shown() -> None:
    rows = pd.DataFrame({"team": ["<script>alert(1)</script>"]})
    shown = at.validate(rows, suite(rule("column_values_to_be_in_set", column="team", value_set=["a"])))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_notes_are_counted_and_left_out_where_worse_rules_are_shown() -> None:
    rows = pd.DataFrame({"team": ["a", None]})
    severities = ("info", "warning", "critical")
    told = [rule("column_values_to_not_be_null", severity, f"T-{severity}", column="team") for severity in severities]
    answer = at.validate(rows, suite(*told))
    for shown in (answer._repr_html_(), repr(answer)):
        assert shown.index("T-critical") < shown.index("T-warning")
        assert "T-info" not in shown
        assert "1 broken rule of severity info left out: .broken has all." in shown
    assert list(answer.broken["rule"]) == ["T-critical", "T-warning", "T-info"]


def test_where_notes_alone_are_broken_they_are_counted() -> None:
    rows = pd.DataFrame({"team": [None, None]}, dtype="string")
    answer = at.validate(rows, suite(rule("column_values_to_not_be_null", "info", column="team")))
    assert "<table" not in answer._repr_html_()
    assert "1 broken rule of severity info left out" in answer._repr_html_()


def test_a_batch_of_great_expectations_is_checked_where_it_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("mine").add_dataframe_asset("calls")
    definition = asset.add_batch_definition_whole_dataframe("all")
    batch = definition.get_batch(batch_parameters={"dataframe": pd.DataFrame({"team": ["a", None]})})
    asked = suite(rule("column_values_to_not_be_null", column="team"))
    answer = at.validate(batch, asked, engine="great_expectations")
    assert (only(answer)["outcome"], only(answer)["failing"]) == ("broken", 1)


def test_engines_and_suites_that_there_are_not_are_named() -> None:
    rows = pd.DataFrame({"a": [1]})
    with pytest.raises(at.QuestionError, match="duckdb or great_expectations"):
        at.validate(rows, suite(rule("column_to_exist", column="a")), engine="spark")
    with pytest.raises(at.ConfigurationError, match="Did you mean `cost_events`"):
        at.validate(rows, "cost_event")
    with pytest.raises(at.QuestionError, match="a suite for the frame"):
        at.validate(rows)
    with pytest.raises(at.QuestionError, match="`suite` was \\[\\]; expected a suite"):
        at.validate(rows, [])
    with pytest.raises(at.QuestionError, match=re.escape("meta.dataset of suite mine")):
        at.validate(ledger_of(call()), suite(rule("column_to_exist", column="a"), dataset="calls"))


def test_a_suite_that_names_no_data_set_is_about_the_calls_of_a_ledger() -> None:
    with ledger_of(call("a"), call("b", owner_team=None)) as ledger:
        answer = at.validate(ledger, suite(rule("column_values_to_not_be_null", identity="R", column="owner_team")))
    assert [(each.dataset, each.rule.id, each.failing) for each in answer.outcomes] == [("cost_events", "R", 1)]


# Facts about a row that other rows know.


def test_a_second_team_on_one_trace_is_found() -> None:
    with ledger_of(
        call("a", trace_id="t", owner_team="support"), call("b", trace_id="t", owner_team="search"), call("c")
    ) as ledger:
        assert failing(ledger, "cost_events")["CE-18"] == 2


def test_a_retry_without_its_first_attempt_is_found() -> None:
    with ledger_of(
        call("a", call_id="x", attempt_no=2), call("b", call_id="y"), call("c", call_id="y", attempt_no=2)
    ) as ledger:
        assert failing(ledger, "cost_events")["CE-16"] == 1


def test_a_trace_without_a_root_is_found_and_one_without_spans_is_not_judged() -> None:
    spans = [hop("t", "s", "nowhere"), hop("u", "r")]
    with ledger_of(
        call("a", trace_id="t"), call("b", trace_id="u"), call("c", trace_id="v"), span=even(spans)
    ) as ledger:
        found = at.validate(ledger, "cost_events").frame.set_index("rule")
        assert (found.loc["CE-17", "failing"], found.loc["CE-17", "judged"]) == (1, 2)
        assert failing(ledger, "spans")["SP-05"] == 1


@pytest.mark.parametrize(("owned", "broken"), [(97, ["CE-38"]), (89, ["CE-38", "CE-39"]), (98, [])])
def test_coverage_is_judged_by_dollars_of_the_month(owned: int, broken: list[str]) -> None:
    with ledger_of(call("a", list_cost=owned), call("b", list_cost=100 - owned, owner_team=None)) as ledger:
        found = at.validate(ledger, "cost_events").broken
        mine = found[found["rule"].isin(["CE-38", "CE-39"])]
        assert sorted(mine["rule"]) == broken
        assert set(mine["dollars"]) <= {Decimal(100 - owned)}


def test_parts_of_a_token_count_are_no_more_than_the_whole() -> None:
    with ledger_of(
        call("a", input_tokens=10, cache_read_tokens=6, cache_write_5m_tokens=5), call("b", cache_read_tokens=5)
    ) as ledger:
        assert failing(ledger, "cost_events")["CE-20"] == 1


def test_only_credits_and_corrections_may_be_negative() -> None:
    lines = [
        line("l1", category="usage", billed_cost=-1),
        line("l2", category="credit", billed_cost=-1),
        line("l3", category="usage", billed_cost=-1, charge_class="correction"),
        line("l4", category="usage", billed_cost=1),
    ]
    with observed(bill_line=lines) as ledger:
        found = at.validate(ledger, "bill_lines").frame.set_index("rule")
        assert (found.loc["BL-05", "failing"], found.loc["BL-05", "dollars"]) == (1, Decimal(-1))


def test_a_feed_that_stopped_and_one_that_halved_are_found() -> None:
    start = datetime(2026, 10, 1)
    daily = [seen(f"a{day}", source="otlp", started_at=start + timedelta(days=day)) for day in range(42)]
    stopped = [seen(f"b{day}", source="langfuse", started_at=start + timedelta(days=day)) for day in range(30)]
    fewer = [seen(f"c{day}", source="generic", started_at=start + timedelta(days=day)) for day in [*range(35), 40]]
    with observed(*daily, *stopped, *fewer) as ledger:
        found = at.validate(ledger, "observations").failures
        by_rule = found.groupby("rule")["row_key"].apply(set).to_dict()
        assert by_rule["OB-22"] == {str(identity("b29"))}
        assert by_rule["OB-23"] == {str(identity("b29")), str(identity("c40"))}


def test_a_load_says_how_many_rules_broke_and_nothing_when_none_did() -> None:
    with ledger_of(call("a", tenant_id_hash="t_ab12", tenant_evidence="declared")) as ledger:
        assert summarize_quality(ledger) == ""
    with ledger_of(call("a", owner_team=None)) as ledger:
        assert summarize_quality(ledger).startswith("data quality: 1 critical and 2 warning rules broken")


def failing(ledger: at.Ledger, name: str) -> dict[str, int]:
    return dict(at.validate(ledger, name).frame.set_index("rule")["failing"].dropna())


def even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def line(name: str, **columns: Any) -> dict[str, Any]:
    started = datetime(2026, 10, 1)
    plain = {"bill_line_id": identity(name), "source": "invoice", "role": "cost", "file_id": "f", "line": 1}
    plain |= {
        "period_start": started,
        "period_end": started + timedelta(days=1),
        "provider": "openai",
        "currency": "USD",
    }
    columns["billed_cost"] = Decimal(columns["billed_cost"])
    return {**plain, "charge_class": None, **columns}


def test_a_call_that_a_step_lost_is_judged_although_another_takes_its_place() -> None:
    with ledger_of(call("a"), call("b")) as ledger:
        ledger.run(
            "update event_owner set event_id = $other where event_id = $lost",
            {"other": identity("x"), "lost": identity("b")},
        )
        ledger.run(
            "update event_cost set event_id = $other where event_id = $lost",
            {"other": identity("y"), "lost": identity("a")},
        )
        answer = at.validate(ledger, "cost_events")
        failing = answer.failures
    lost = {rule: set(failing[failing["rule"] == rule]["event_id"].astype(str)) for rule in ("CE-03", "CE-31")}
    assert lost == {"CE-03": {str(identity("b"))}, "CE-31": {str(identity("a"))}}


# Statements.


@pytest.fixture(scope="module")
def closed() -> Iterator[Ledger]:
    """Two closed months on an invoice: shared calls, a tax, and an invoice of October that changed afterwards."""
    with october() as ledger:
        bill(ledger, {"a": "5.50", "b": "3.00", "u": "1.00"}, residual("openai", "tax", "0.70"))
        at.close_period(ledger, "2026-10", rules_of(TAKEN))
        bill(ledger, {"a": "6.50", "b": "3.00", "u": "1.00"}, residual("openai", "tax", "0.70"))
        at.book_adjustments(ledger)
        at.close_period(ledger, "2026-11", rules_of(TAKEN))
        yield ledger


def test_closed_statements_of_bills_with_taxes_shares_and_corrections_break_no_rule(closed: Ledger) -> None:
    answer = at.validate(closed, "statements")
    assert list(answer.broken["rule"]) == []
    judged = {each.rule.id for each in answer.outcomes if each.verdict == "pass"}
    assert {"ST-01", "ST-03", "ST-04", "ST-08", "ST-09", "ST-10", "ST-11", "ST-15", "ST-16", "ST-18"} <= judged


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        ("insert into statement_line from statement_line where kind = 'shared'", "ST-01"),
        ("update statement_line set kind = 'gift' where kind = 'shared'", "ST-02"),
        ("update statement_line set evidence = 'guessed' where kind = 'direct'", "ST-03"),
        ("update statement_line set owner_team = null where kind = 'direct'", "ST-04"),
        ("update statement_line set evidence = null where kind = 'direct'", "ST-05"),
        ("insert into team by name select 'search' as team", "ST-06"),
        ("update statement_line set pool = null where kind = 'shared'", "ST-07"),
        ("update statement_line set share = 2 where kind = 'shared'", "ST-08"),
        ("update statement_line set unpriced_calls = -1 where kind = 'direct'", "ST-14"),
        ("update statement_line set amount = -1, cents = -1 where kind = 'direct'", "ST-09"),
        ("update statement_line set cents = cents + 0.02 where kind = 'direct'", "ST-10"),
        ("update statement_line set cents = null where kind = 'direct'", "ST-11"),
        ("update statement_line set period = 'October' where kind = 'direct'", "ST-12"),
        ("update statement_line set revision = 0 where kind = 'direct'", "ST-13"),
        ("update statement_line set category = 'gift' where category = 'tax'", "ST-15"),
        ("update statement_line set category = 'gift' where kind = 'adjustment'", "ST-18"),
        ("update statement_line set link = null where kind = 'adjustment'", "ST-16"),
        ("update statement_line set owner_team = 'ann@acme.com' where owner_team = 'support'", "ST-17"),
    ],
)
def test_a_statement_that_was_touched_is_found(closed: Ledger, fault: str, broken: str) -> None:
    with suppress(Undone), closed.transaction():
        closed.run(fault)
        answer = at.validate(closed, "statements")
        (row,) = answer.broken.to_dict("records")
        dollars = closed.value(
            "select sum(amount) from statement_line semi join quality_failure"
            " on row_key = concat_ws('/', period, revision, line_id)"
        )
        raise Undone
    assert (row["rule"], row["dollars"]) == (broken, dollars)
    assert not any("ann@acme.com" in example for example in row["examples"])
