from __future__ import annotations

import gzip
import itertools
import json
import os
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution.errors import ConfigurationError, SourceError
from attribution.ledger import Ledger, open_ledger
from attribution.loading import Loaded, load
from attribution.reading import Limits
from tests.examples import FIXTURES

MAPPING = {"event_id": "id", "model": "model", "input_tokens": "in", "output_tokens": "out", "owner_team": "team"}
FATES = ("accepted", "context", "duplicates", "superseded", "conflicting", "quarantined")


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "model": "gpt-5-mini", "in": 100, "out": 10, "team": "support"} | fields


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


def write(folder: Path, content: bytes, name: str = "calls.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def loaded(*inputs: Any, ledger: Ledger | None = None, **options: Any) -> tuple[Ledger, Loaded]:
    ledger = ledger or open_ledger()
    return ledger, load(ledger, *inputs, mapping=MAPPING, **options)


def facts(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Everything that is known of calls; where it was read is not a fact."""
    return ledger.rows("select * exclude (file_id, line) from observation order by observation_id")


def numbers(result: Loaded) -> dict[str, int]:
    """The fates of the only file, those that happened."""
    (row,) = result.files
    assert row["records"] == sum(row[fate] for fate in FATES)
    return {fate: row[fate] for fate in FATES if row[fate]}


def quarantine(ledger: Ledger) -> list[tuple[int, str, str]]:
    return ledger.rows("select line, field, reason from quarantine order by line, record")


# Once is once.


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, lines(record("a"), record("b")))
    ledger, _ = loaded(path)
    before = facts(ledger)

    _, again = loaded(path, ledger=ledger)

    assert facts(ledger) == before
    assert again.files[0]["state"] == "already loaded"
    assert ledger.value("select count(*) from source_file") == 1


def test_the_same_bytes_under_another_name_are_the_same_file(tmp_path: Path) -> None:
    first, copy = write(tmp_path, lines(record("a"))), write(tmp_path, lines(record("a")), "copy.jsonl")

    ledger, result = loaded(first, copy)

    assert [row["state"] for row in result.files] == ["loaded", "already loaded"]
    assert len(facts(ledger)) == 1


def test_a_corrected_map_replaces_what_it_had_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, lines(record("a", other="growth")))
    ledger, _ = loaded(path)

    load(ledger, path, mapping=MAPPING | {"owner_team": "other"})

    assert ledger.rows("select owner_team from observation") == [("growth",)]
    assert ledger.value("select count(*) from source_file") == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 4))
def test_shuffled_split_and_joined_files_give_the_same_facts(tmp_path: Path, seed: int, parts: int) -> None:
    records = [record(f"r{n % 13}", **({"in": 7} if n == 3 else {})) for n in range(20)]
    whole, _ = loaded(write(tmp_path, lines(*records), "whole.jsonl"))
    random.Random(seed).shuffle(records)
    paths = [write(tmp_path, lines(*records[n::parts]), f"part{n}.jsonl") for n in range(parts)]

    split, result = loaded(*paths)

    assert facts(split) == facts(whole)
    assert all(row["records"] == sum(row[fate] for fate in FATES) for row in result.files)


@pytest.mark.parametrize("wrap", ["gzip", "zstd", "bom", "crlf", "blank"])
def test_wrapping_changes_no_fact(tmp_path: Path, wrap: str) -> None:
    plain = lines(record("a"), record("b"))
    wrapped = {
        "gzip": gzip.compress(plain),
        "zstd": zstandard.compress(plain),
        "bom": b"\xef\xbb\xbf" + plain,
        "crlf": plain.replace(b"\n", b"\r\n"),
        "blank": b"\n" + plain.replace(b"\n", b"\n\n"),
    }[wrap]

    ledger, _ = loaded(write(tmp_path, wrapped))

    assert facts(ledger) == facts(loaded(write(tmp_path, plain, "plain.jsonl"))[0])


def test_csv_parquet_and_frames_tell_the_same_facts(tmp_path: Path) -> None:
    frame = pd.DataFrame([record("a"), record("b", team="growth")])
    frame.to_csv(tmp_path / "calls.csv", index=False)
    frame.to_parquet(tmp_path / "calls.parquet")
    table = pa.Table.from_pandas(frame)
    expected = facts(loaded(write(tmp_path, lines(record("a"), record("b", team="growth"))))[0])

    for given_ in (tmp_path / "calls.csv", tmp_path / "calls.parquet", frame, table, pl.from_arrow(table)):
        assert facts(loaded(given_)[0]) == expected


# The same id.


def test_an_identical_record_is_a_duplicate(tmp_path: Path) -> None:
    ledger, result = loaded(write(tmp_path, lines(record("a"), record("a"))))

    assert numbers(result) == {"accepted": 1, "duplicates": 1}
    assert ledger.value("select count(*) from conflict") == 0


def test_one_id_with_other_content_is_a_conflict_with_both_places(tmp_path: Path) -> None:
    ledger, result = loaded(write(tmp_path, lines(record("a"), record("a", out=99))))

    assert numbers(result) == {"accepted": 1, "conflicting": 1}
    ((kept, other),) = ledger.rows("select split_part(kept_at, ':', 2), split_part(other_at, ':', 2) from conflict")
    assert (kept, other) == ("2", "1")


def test_which_side_of_a_conflict_is_kept_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, lines(record("a")), "1.jsonl"), write(tmp_path, lines(record("a", out=99)), "2.jsonl")

    forwards, backwards = loaded(one, two)[0], loaded(two, one)[0]

    assert facts(forwards) == facts(backwards)
    for ledger in (forwards, backwards):
        rows = ledger.rows("select path, accepted, conflicting from source_file order by path")
        assert rows == [(str(one), 0, 1), (str(two), 1, 0)]
        assert ledger.value("select count(*) from conflict") == 1


def test_three_tellings_of_one_call_settle_the_same_in_every_order(tmp_path: Path) -> None:
    told = [record("a"), record("a", out=99), record("a", team="growth")]
    paths = [write(tmp_path, lines(each, record(f"own{n}")), f"{n}.jsonl") for n, each in enumerate(told)]

    settled = [loaded(*order)[0] for order in itertools.permutations(paths)]

    assert all(facts(ledger) == facts(settled[0]) for ledger in settled)
    assert {ledger.value("select sum(conflicting) from source_file") for ledger in settled} == {2}
    assert {ledger.value("select sum(records - accepted - conflicting) from source_file") for ledger in settled} == {0}


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_record_that_is_a_call_and_a_hop_is_counted_once_whatever_becomes_of_it(
    tmp_path: Path, is_changed: bool
) -> None:
    told = json.loads((FIXTURES / "sources" / "seed" / "broken_trace.json").read_text())
    retold = told | ({"worker": {"prompt_tokens": 5, "completion_tokens": 1, "feature": "x"}} if is_changed else {})
    paths = [write(tmp_path, lines(told), "a.jsonl"), write(tmp_path, lines(retold) + b"\n", "b.jsonl")]
    ledger = open_ledger()

    load(ledger, *paths)

    rows = ledger.rows("select records, accepted, duplicates, conflicting from source_file order by path")
    assert rows == ([(3, 3, 0, 0), (3, 0, 2, 1)] if is_changed else [(3, 3, 0, 0), (3, 0, 3, 0)])


def test_identical_calls_without_an_id_stay_as_many_as_they_were(tmp_path: Path) -> None:
    unnamed = {name: value for name, value in record("a").items() if name != "id"}
    path = write(tmp_path, lines(unnamed, unnamed))
    mapping = {name: value for name, value in MAPPING.items() if name != "event_id"}
    ledger = open_ledger()

    load(ledger, path, mapping=mapping)
    load(ledger, write(tmp_path, lines(unnamed, unnamed) + b"\n", "again.jsonl"), mapping=mapping)

    assert len(facts(ledger)) == 2


# Nothing is lost.


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged=st.sets(st.integers(0, 39), max_size=12), seed=st.integers(0, 1_000))
def test_each_damaged_line_is_set_aside_by_its_number_and_no_other(
    tmp_path: Path, damaged: set[int], seed: int
) -> None:
    chosen = random.Random(seed)
    whole = lines(*(record(f"r{n}") for n in range(40))).splitlines()
    for n in damaged:
        whole[n] = chosen.choice(
            [whole[n][:-3], b"[]", b'{"id":"x","id":"y"}', b"\xff", whole[n].replace(b"100", b"1.5")]
        )

    ledger, result = loaded(write(tmp_path, b"\n".join(whole) + b"\n"))

    assert [line for line, _, _ in quarantine(ledger)] == sorted(n + 1 for n in damaged)
    assert (result.files[0]["records"], result.files[0]["accepted"]) == (40, 40 - len(damaged))


def test_a_file_cut_in_half_loads_its_good_lines_and_names_the_bad_one(tmp_path: Path) -> None:
    ledger, result = loaded(write(tmp_path, lines(record("a"), record("b"), record("c"))[:-20]))

    assert numbers(result) == {"accepted": 2, "quarantined": 1}
    assert result.files[0]["state"] == "incomplete"
    assert quarantine(ledger) == [(3, None, "not_json")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "not_a_count"),
        (1.0, "not_a_count"),
        (True, "not_a_count"),
        ("many", "not_a_count"),
        ([1], "not_a_count"),
        (-1, "negative"),
        (2**63, "above_limit"),
        (10**20, "above_limit"),
        (1e308, "not_a_count"),
    ],
)
def test_a_count_that_is_none_is_set_aside_naming_the_field(tmp_path: Path, value: Any, reason: str) -> None:
    ledger, result = loaded(write(tmp_path, lines(record("a", **{"in": value}), record("b"))))

    assert quarantine(ledger) == [(1, "input_tokens", reason)]
    assert numbers(result) == {"accepted": 1, "quarantined": 1}


@pytest.mark.parametrize("fields", [{"in": None, "out": None}, {"in": "", "out": "None"}])
def test_missing_counts_are_unmetered_and_not_zero(tmp_path: Path, fields: dict[str, Any]) -> None:
    ledger, _ = loaded(write(tmp_path, lines(record("a", **fields))))

    assert ledger.rows("select input_tokens, output_tokens, is_metered from observation") == [(None, None, False)]


@pytest.mark.parametrize(
    "team", ["NA", "null", "nan", "0012", "1e5", "true", "Ünïcode", "'; drop table observation --"]
)
def test_a_team_is_kept_as_it_is_written(tmp_path: Path, team: str) -> None:
    frame = pd.DataFrame([record("a", team=team)])
    frame.to_csv(tmp_path / "calls.csv", index=False)

    for path in (tmp_path / "calls.csv", write(tmp_path, lines(record("a", team=team)))):
        assert loaded(path)[0].rows("select owner_team from observation") == [(team,)]


@pytest.mark.parametrize(
    ("team", "flag"),
    [
        (None, None),
        ("   ", None),
        (5, "owner_team:not_text"),
        (["a"], "owner_team:not_text"),
        ({"a": 1}, "owner_team:not_text"),
        ("x" * 5_000, "owner_team:too_long"),
    ],
)
def test_a_bad_owner_costs_the_owner_and_not_the_call(tmp_path: Path, team: Any, flag: str | None) -> None:
    ledger, _ = loaded(write(tmp_path, lines(record("a", team=team))))

    (row,) = ledger.rows("select owner_team, input_tokens, ownership_flags from observation")
    assert row == (None, 100, [flag] if flag else None)


def test_personal_data_in_an_ownership_field_is_never_stored(tmp_path: Path) -> None:
    ledger, _ = loaded(write(tmp_path, lines(record("a", team="ann@example.com"))))

    assert ledger.rows("select owner_team, ownership_flags from observation") == [
        (None, ["owner_team:personal_data:email"])
    ]


def test_keys_that_differ_in_case_are_other_keys(tmp_path: Path) -> None:
    ledger, _ = loaded(write(tmp_path, lines({**record("a"), "Team": "evil"})))

    assert ledger.rows("select owner_team from observation") == [("support",)]


# One bad file stops no other.


def test_a_file_that_cannot_be_read_is_named_and_the_rest_loads(tmp_path: Path) -> None:
    write(tmp_path, b"PK\x03\x04zip", "a.zip")
    write(tmp_path, gzip.compress(lines(record("x")))[:-9], "b.jsonl.gz")
    write(tmp_path, lines(record("a")), "c.jsonl")

    ledger, result = loaded(tmp_path)

    assert [Path(path).name for path, _ in result.refused] == ["a.zip", "b.jsonl.gz"]
    assert len(facts(ledger)) == 1


def test_a_file_damaged_at_its_end_loads_nothing_of_itself(tmp_path: Path) -> None:
    packed = gzip.compress(lines(*(record(f"r{n}") for n in range(30_000))), mtime=0)

    ledger, result = loaded(write(tmp_path, packed[:-8] + b"\0\0\0\0" + packed[-4:]))

    assert (len(result.refused), facts(ledger), ledger.value("select count(*) from source_file")) == (1, [], 0)


def test_what_no_source_recognises_is_said_in_one_line(tmp_path: Path) -> None:
    _, result = None, load(open_ledger(), write(tmp_path, b'{"colour":"red"}\n'))

    ((_, message),) = result.refused
    assert "\n" not in message
    assert "JSON Lines with colour" in message
    assert "Nearest:" in message
    assert "mapping=" in message


def test_a_file_of_no_known_kind_is_refused_also_under_a_named_source(tmp_path: Path) -> None:
    result = load(open_ledger(), write(tmp_path, b"\x00\x01binary"), source="litellm_payload")

    assert len(result.refused) == 1


def test_an_empty_file_is_loaded_with_no_records(tmp_path: Path) -> None:
    _, result = loaded(write(tmp_path, b""))

    assert numbers(result) == {}


def test_a_header_without_rows_is_loaded_with_no_records(tmp_path: Path) -> None:
    _, result = loaded(write(tmp_path, b"id,model,in,out,team\n"))

    assert numbers(result) == {}


# Paths.


def test_a_name_with_pattern_letters_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, lines(record("other")), "f1.jsonl")
    named = write(tmp_path, lines(record("named")), "f[1].jsonl")

    assert loaded(str(named))[0].rows("select native_id from observation") == [("named",)]


def test_patterns_name_files_in_stable_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path, lines(record(name)), f"{name}.jsonl")

    _, result = loaded(str(tmp_path / "*.jsonl"))

    assert [Path(row["path"]).name for row in result.files] == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_a_folder_is_read_without_documents_hidden_files_truth_and_configuration(tmp_path: Path) -> None:
    for name in ("README.md", ".hidden.jsonl", "truth/t.jsonl", "config/c.jsonl", "deep/calls.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, lines(record(name)), name)

    assert loaded(tmp_path)[0].rows("select native_id from observation") == [("deep/calls.jsonl",)]


def test_links_that_leave_the_folder_or_loop_are_not_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    write(inside, lines(record("in")))
    (inside / "out.jsonl").symlink_to(write(outside, lines(record("out"))))
    (inside / "loop.jsonl").symlink_to(inside / "loop.jsonl")
    (inside / "again").symlink_to(inside)

    assert loaded(inside)[0].rows("select native_id from observation") == [("in",)]


def test_a_pipe_in_a_folder_is_passed_by(tmp_path: Path) -> None:
    write(tmp_path, lines(record("a")))
    os.mkfifo(tmp_path / "pipe.jsonl")

    assert len(facts(loaded(tmp_path)[0])) == 1


def test_a_folder_name_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "team=evil"
    folder.mkdir()

    assert loaded(write(folder, lines(record("a"))))[0].rows("select owner_team from observation") == [("support",)]


def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="matches no file"):
        loaded(tmp_path / "nothing.jsonl")


# Maps.


def test_a_column_map_of_the_configuration_applies_by_path(tmp_path: Path) -> None:
    path = write(tmp_path, lines(record("a")), "export-1.jsonl")
    ledger = open_ledger()

    load(ledger, path, column_maps=[{"match": "export-*.jsonl", "mapping": MAPPING}])

    assert ledger.rows("select owner_team from observation") == [("support",)]


def test_a_misspelt_map_is_an_error_before_anything_is_loaded(tmp_path: Path) -> None:
    ledger = open_ledger()

    with pytest.raises(ConfigurationError, match="Did you mean `model`"):
        load(ledger, write(tmp_path, lines(record("a"))), mapping={"modle": "model"})
    assert facts(ledger) == []
    assert ledger.value("select count(*) from source_file") == 0


def test_limits_can_be_set(tmp_path: Path) -> None:
    ledger, _ = loaded(write(tmp_path, lines(record("a"), record("b" * 500))), limits=Limits(line_bytes=300))

    assert quarantine(ledger) == [(2, None, "too_long")]


def test_money_keeps_every_digit_from_text_to_ledger(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"id":"a","model":"m","in":1,"out":1,"cost":0.000000000001}\n')
    ledger = open_ledger()

    load(ledger, path, mapping={**MAPPING, "owner_team": None, "cost_usd": "cost"})

    assert ledger.rows("select source_cost from observation") == [(Decimal("0.000000000001"),)]


def test_rows_of_parquet_keep_their_numbers_in_the_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    pq.write_table(pa.Table.from_pylist([record("a"), record("b", **{"in": -5})]), path)

    assert quarantine(loaded(path)[0]) == [(2, "input_tokens", "negative")]
