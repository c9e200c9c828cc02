from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import stat
import tarfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from attribution.errors import SourceError
from attribution.reading import Limits, Unreadable, checksum, decode, embedded, mask, mask_line, read, sniff

SMALL = Limits(line_bytes=5_000, document_bytes=50_000, unpacked_bytes=200_000, csv_record_lines=20)


def reads(folder: Path, content: bytes, limits: Limits = SMALL) -> list[tuple[int, Any]]:
    """Return (line, document or reason) of a file with this content."""
    path = folder / "file.txt"
    path.write_bytes(content)
    kind = sniff(path, limits).kind
    return [(r.line, r.document if r.fault is None else r.fault.reason) for r in read(path, kind, limits)]


def refusal(folder: Path, content: bytes, limits: Limits = SMALL) -> str:
    with pytest.raises(SourceError) as caught:
        reads(folder, content, limits)
    return str(caught.value)


# Lines and their ends.


def test_a_cut_last_line_is_set_aside_with_its_place_and_marks_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a":')

    last = list(read(path, sniff(path, SMALL).kind, SMALL))[-1]

    assert (last.line, last.fault and last.fault.reason, last.is_cut) == (3, "not_json", True)


def test_a_whole_last_line_without_newline_is_a_record_and_not_a_cut(tmp_path: Path) -> None:
    assert reads(tmp_path, b'{"a":1}\n{"a":2}') == [(1, {"a": 1}), (2, {"a": 2})]


def test_blank_lines_count_for_places_and_are_no_records(tmp_path: Path) -> None:
    assert reads(tmp_path, b'\n\n{"a":1}\n   \nnope\n\n{"a":2}\n') == [(3, {"a": 1}), (5, "not_json"), (7, {"a": 2})]


def test_crlf_and_a_byte_order_mark_are_no_content(tmp_path: Path) -> None:
    assert reads(tmp_path, b'\xef\xbb\xbf{"a":"x"}\r\n{"a":"y"}\r\n') == [(1, {"a": "x"}), (2, {"a": "y"})]


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path: Path) -> None:
    assert reads(tmp_path, b"\xef\xbb\xbfid,n\r\nx,1\r\n") == [(2, {"id": "x", "n": "1"})]


def test_lines_longer_than_a_block_keep_their_numbers(tmp_path: Path) -> None:
    long = b'{"a":"' + b"x" * 6_000_000 + b'"}'

    found = reads(tmp_path, b'{"a":1}\n' + long + b'\n{"a":3}\n', Limits(line_bytes=10_000_000))

    assert [(line, document["a"] if line != 2 else len(document["a"])) for line, document in found] == [
        (1, 1),
        (2, 6_000_000),
        (3, 3),
    ]


@pytest.mark.parametrize("length", [5_001, 9_000_000])
def test_a_line_over_the_limit_is_set_aside_with_a_short_excerpt(tmp_path: Path, length: int) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":"' + b"x" * length + b'"}\n{"a":3}\n')

    found = list(read(path, "jsonl", SMALL))

    assert [(r.line, r.fault and r.fault.reason) for r in found] == [(1, None), (2, "too_long"), (3, None)]
    assert len(str(found[1].fault and found[1].fault.found)) < 200


# Text and JSON.


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf16_is_refused_by_name(tmp_path: Path, mark: bytes) -> None:
    assert "UTF-16" in refusal(tmp_path, mark + '{"a":1}'.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\\u0000"}', "nul"),
        (b'{"a":"\x00"}', "control_character"),
        (b'{"a":"\\ud800"}', "lone_surrogate"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"o":{"a":1,"a":1}}', "duplicate_key"),
        (b"[1]", "not_an_object"),
        (b"5", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a":NaN}', "not_a_number"),
        (b'{"a":-Infinity}', "not_a_number"),
        (b'{"a":1}{"a":2}', "not_json"),
        (b'{"a":1} x', "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "too_deep"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
    ],
)
def test_a_line_that_cannot_be_read_exactly_is_set_aside_and_its_neighbours_load(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    assert reads(tmp_path, b'{"a":1}\n' + line + b'\n{"a":3}\n') == [(1, {"a": 1}), (2, reason), (3, {"a": 3})]


def test_brackets_in_text_are_no_depth(tmp_path: Path) -> None:
    assert reads(tmp_path, b'{"a":"' + b"[{" * 300 + b'"}\n') == [(1, {"a": "[{" * 300})]


def test_the_deepest_allowed_document_loads(tmp_path: Path) -> None:
    line = b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"

    assert reads(tmp_path, line + b"\n")[0][1] != "too_deep"


def test_numbers_keep_every_digit() -> None:
    document = decode(b'{"a":100000000000000000001,"b":0.1,"c":1e2,"d":0.30000000000000000001}', SMALL)

    assert document == {
        "a": 100000000000000000001,
        "b": Decimal("0.1"),
        "c": Decimal("1e2"),
        "d": Decimal("0.30000000000000000001"),
    }
    assert [type(value) for value in document.values()] == [int, Decimal, Decimal, Decimal]


def test_json_in_a_cell_is_read_as_strictly_as_a_line() -> None:
    with pytest.raises(Unreadable) as caught:
        embedded('{"a":1,"a":2}', "metadata")

    assert (caught.value.reason, caught.value.field) == ("duplicate_key", "metadata")


@pytest.mark.parametrize("content", [b'{\n  "a": 1\n}', b'[\n{"a": 1}\n]', b'[{"a":1}]'])
def test_one_document_over_lines_or_in_an_array_is_read_whole(tmp_path: Path, content: bytes) -> None:
    assert [document for _, document in reads(tmp_path, content)] == [{"a": 1}]


def test_several_pretty_printed_documents_are_all_read_with_their_lines(tmp_path: Path) -> None:
    assert reads(tmp_path, b'{\n "a": 1\n}\n{\n "a": 2\n}\n') == [(1, {"a": 1}), (4, {"a": 2})]


def test_a_bad_element_of_an_array_costs_only_itself(tmp_path: Path) -> None:
    content = b'[{"a":1},\n{"a":1,"a":2},\n7,\n{"a":4}]'

    assert reads(tmp_path, content) == [(1, {"a": 1}), (2, "duplicate_key"), (3, "not_an_object"), (4, {"a": 4})]


def test_a_cut_array_keeps_what_came_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'[{"a":1},\n{"a":2},\n{"a":')

    found = list(read(path, sniff(path, SMALL).kind, SMALL))

    assert [(r.line, r.document) for r in found] == [(1, {"a": 1}), (2, {"a": 2}), (3, None)]
    assert found[-1].is_cut


@pytest.mark.parametrize("content", [b'[{"a":1}', b'[{"a":1},'])
def test_an_array_without_its_end_is_incomplete(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)

    found = list(read(path, sniff(path, SMALL).kind, SMALL))

    assert found[0].document == {"a": 1}
    assert found[-1].is_cut


def test_text_after_an_array_is_not_passed_over(tmp_path: Path) -> None:
    assert reads(tmp_path, b'[{"a":1}]\n{"a":2}\n')[1:] != []


def test_a_document_over_the_limit_is_refused(tmp_path: Path) -> None:
    assert "JSON Lines" in refusal(tmp_path, b'[\n{"a":"' + b"x" * 60_000 + b'"}]')


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert [reads(tmp_path, content) for content in (b"", b"\n\n", b"\xef\xbb\xbf")] == [[], [], []]


@pytest.mark.parametrize("bad", [b"[]", b'{"a":', b'{"a":1,', b"[", b"7"])
def test_a_damaged_first_record_does_not_make_lines_one_document(tmp_path: Path, bad: bytes) -> None:
    found = reads(tmp_path, bad + b'\n{"a":2}\n{"a":3}\n')

    assert [document for _, document in found[1:]] == [{"a": 2}, {"a": 3}]
    assert isinstance(found[0][1], str)


def test_a_bad_first_line_does_not_hide_the_lines_after_it(tmp_path: Path) -> None:
    assert reads(tmp_path, b'started ok, at 12:00\n{"a":2}\n') == [(1, "not_json"), (2, {"a": 2})]


# Tables as text.


def test_every_cell_is_text_as_it_stands(tmp_path: Path) -> None:
    content = b'id,team,n\n0012,NA,1e5\n"a,b","say ""hi""", null \n'

    assert reads(tmp_path, content) == [
        (2, {"id": "0012", "team": "NA", "n": "1e5"}),
        (3, {"id": "a,b", "team": 'say "hi"', "n": " null "}),
    ]


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
def test_other_delimiters_are_seen(tmp_path: Path, delimiter: bytes) -> None:
    assert reads(tmp_path, b"id" + delimiter + b"n\nx" + delimiter + b"1,5\n") == [(2, {"id": "x", "n": "1,5"})]


def test_short_and_long_rows_are_set_aside(tmp_path: Path) -> None:
    assert reads(tmp_path, b"id,n\nx\ny,1\nz,1,2\n") == [
        (2, "wrong_width"),
        (3, {"id": "y", "n": "1"}),
        (4, "wrong_width"),
    ]


def test_an_unclosed_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    assert reads(tmp_path, b'id,n\nx,"1\ny,2\nz,3\n') == [
        (2, "not_csv"),
        (3, {"id": "y", "n": "2"}),
        (4, {"id": "z", "n": "3"}),
    ]


def test_a_quoted_cell_may_hold_lines(tmp_path: Path) -> None:
    assert reads(tmp_path, b'id,n\n"a\nb",1\nc,2\n') == [(2, {"id": "a\nb", "n": "1"}), (4, {"id": "c", "n": "2"})]


def test_a_repeated_header_is_no_row(tmp_path: Path) -> None:
    assert reads(tmp_path, b"id,n\nx,1\nid,n\n") == [(2, {"id": "x", "n": "1"}), (3, "repeated_header")]


def test_bad_text_in_a_row_costs_that_row(tmp_path: Path) -> None:
    assert reads(tmp_path, b"id,n\nx\xff,1\ny\x00,1\nz,1\n") == [
        (2, "not_utf8"),
        (3, "not_csv"),
        (4, {"id": "z", "n": "1"}),
    ]


def test_a_header_only_file_has_columns_and_no_records(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"id,n\n")

    assert (sniff(path, SMALL).columns, list(read(path, "csv,", SMALL))) == (["id", "n"], [])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "occur twice" in refusal(tmp_path, b"id,id\nx,y\n")


# Files that are not plain.


def test_gzip_and_zstandard_are_read_like_plain_files(tmp_path: Path) -> None:
    plain = b'{"a":1}\n{"a":2}\n'
    expected = [(1, {"a": 1}), (2, {"a": 2})]

    assert reads(tmp_path, gzip.compress(plain)) == expected
    assert reads(tmp_path, zstandard.compress(plain)) == expected


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    two = gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n')
    frames = zstandard.compress(b'{"a":1}\n') + zstandard.compress(b'{"a":2}\n')

    assert reads(tmp_path, two) == reads(tmp_path, frames) == [(1, {"a": 1}), (2, {"a": 2})]


@pytest.mark.parametrize("damage", ["cut", "checksum", "trailing"])
def test_damaged_gzip_is_refused_whole(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(b"".join(b'{"a":%d}\n' % n for n in range(2_000)), mtime=0)
    damaged = {
        "cut": packed[:-20],
        "checksum": packed[:-8] + b"\0\0\0\0" + packed[-4:],
        "trailing": packed + b"more",
    }[damage]

    assert "cannot be unpacked" in refusal(tmp_path, damaged)


def test_cut_zstandard_is_refused_whole(tmp_path: Path) -> None:
    packed = zstandard.compress(os.urandom(20_000).hex().encode() + b"\n")

    assert "cannot be unpacked" in refusal(tmp_path, packed[:-500])


def test_a_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    assert "unpacks to more than" in refusal(tmp_path, gzip.compress(b'{"a":1}\n' * 100_000))


def test_archives_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("../evil.jsonl", "{}")
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("/evil.jsonl"))

    for content in (zipped.getvalue(), tarred.getvalue(), gzip.compress(tarred.getvalue())):
        assert "archive" in refusal(tmp_path, content)
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, protocol: int) -> None:
    assert "pickle" in refusal(tmp_path, pickle.dumps({"a": "x" * 300}, protocol=protocol))


@pytest.mark.parametrize("protocol", [0, 1])
def test_an_old_pickle_is_neither_run_nor_read(tmp_path: Path, protocol: int) -> None:
    assert reads(tmp_path, pickle.dumps({"a": "x" * 300}, protocol=protocol)) == []


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(SourceError, match="not a regular file"):
        sniff(pipe, SMALL)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(SourceError, match="not a regular file"):
            sniff(path, SMALL)


def test_parquet_rows_are_numbered_from_one(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    pq.write_table(pa.table({"id": ["x", "y"], "n": [1, None]}), path)

    sample = sniff(path, SMALL)

    assert (sample.kind, sample.columns) == ("parquet", ["id", "n"])
    assert [(r.line, r.document) for r in read(path, "parquet", SMALL)] == [
        (1, {"id": "x", "n": 1}),
        (2, {"id": "y", "n": None}),
    ]


@pytest.mark.parametrize("damage", [slice(None, 60), slice(None, -6)])
def test_broken_parquet_is_refused(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": list(range(1_000))}), path)

    assert "Parquet" in refusal(tmp_path, path.read_bytes()[damage])


def test_parquet_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": [str(n) for n in range(1_000)]}), path, compression="gzip")
    content = bytearray(path.read_bytes())
    content[40:200] = b"\xff" * 160
    path.write_bytes(bytes(content))

    with pytest.raises(SourceError, match="Parquet"):
        list(read(path, sniff(path, SMALL).kind, SMALL))


def test_a_checksum_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")

    assert checksum(path) == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)


# Excerpts.


@pytest.mark.parametrize(
    "secret",
    [
        "ann@example.com",
        "sk-abcdef123456",
        "AKIAABCDEFGHIJKLMNOP",
        "+49 30 1234567",
        "030 123 45 67",
        "4111111111111111",
    ],
)
def test_excerpts_carry_no_personal_data_and_no_keys(secret: str) -> None:
    assert secret not in mask(f"x {secret} y")


@pytest.mark.parametrize("found", ["2026-10-05T12:00:00", "1000000000000001", "46791645-e2df-4c36-ab29-31a8878076c5"])
def test_excerpts_keep_times_counts_and_ids(found: str) -> None:
    assert mask(found) == found


def test_an_excerpt_of_a_line_shows_keys_and_no_text() -> None:
    shown = mask_line(b'{"prompt":"my secret diary","n":1,"list":["one","two"]')

    assert shown == '{"prompt":"…","n":1,"list":["…","…"]'


def test_an_excerpt_of_a_cut_text_shows_none_of_it() -> None:
    assert mask_line(b'{"prompt":"my secret di') == '{"prompt":"…"'


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_hold_is_read_as_it_is(value: Any) -> None:
    assert decode(json.dumps({"v": value}).encode(), SMALL) == {"v": value}
