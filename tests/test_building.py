"""Build: one call answers everything; the same files in any order, once or twice, give the same bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import attribution as at
from attribution.building import add, build_ledger, run_steps
from attribution.errors import SourceError
from attribution.ledger import Ledger
from tests.examples import call, ledger_of

TRACES = Path(__file__).resolve().parents[1] / "sample_data" / "traces" / "captured"
FILES = sorted(str(path) for path in TRACES.rglob("*.jsonl"))

#: What a question reads. Which file a record was first met in may depend on their order; facts may not.
FACTS = {
    "cost_event": "select * from cost_event order by event_id",
    "lost_hop": "select * from lost_hop order by all",
    "evidence": "select event_id, observation_id, joined_by from event_observation order by all",
}


def facts(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    return {name: ledger.rows(query) for name, query in FACTS.items()}


def test_files_in_any_order_give_the_same_facts() -> None:
    assert facts(build_ledger(*FILES, quiet=True)) == facts(build_ledger(*FILES[::-1], quiet=True))


def test_adding_the_same_files_again_changes_nothing() -> None:
    ledger = build_ledger(*FILES, quiet=True)
    before, files = facts(ledger), ledger.rows("select file_id, records, accepted from source_file order by all")
    loaded = add(ledger, *FILES, quiet=True)
    assert {row["state"] for row in loaded.files} == {"already loaded"}
    assert facts(ledger) == before
    assert ledger.rows("select file_id, records, accepted from source_file order by all") == files


def test_one_file_after_the_other_gives_the_same_facts_as_all_at_once() -> None:
    some = [path for path in FILES if "proxy" in path]
    ledger = build_ledger(some[0], quiet=True)
    for path in some[1:]:
        add(ledger, path, quiet=True)
    assert facts(ledger) == facts(build_ledger(*some, quiet=True))


def test_running_the_steps_again_changes_nothing() -> None:
    ledger = build_ledger(TRACES / "broken_hops", quiet=True)
    before = facts(ledger)
    run_steps(ledger)
    assert facts(ledger) == before


def test_another_time_zone_and_hash_seed_give_the_same_facts() -> None:
    code = (
        "import sys, hashlib, attribution as at\n"
        "from tests.test_building import TRACES, facts\n"
        "print(hashlib.sha256(repr(facts(at.build_ledger(TRACES / 'litellm', quiet=True))).encode()).hexdigest())\n"
    )
    root = Path(__file__).resolve().parents[1]
    sums = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"TZ": zone, "PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone, seed in (("Asia/Kathmandu", "1"), ("America/St_Johns", "2"))
    }
    assert len(sums) == 1


def test_a_ledger_that_is_kept_answers_the_same_after_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "acme.duckdb"
    with build_ledger(TRACES, path=path, quiet=True) as ledger:
        before = facts(ledger)
    with at.open_ledger(path, read_only=True) as ledger:
        assert facts(ledger) == before


def test_the_summary_says_what_became_of_every_record(capsys: pytest.CaptureFixture[str]) -> None:
    build_ledger(TRACES / "litellm")
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("3 files loaded: ")
    assert "accepted" in said


def test_a_path_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(SourceError, match="matches no file"):
        build_ledger("nowhere/*.jsonl", quiet=True)


def test_a_file_cut_in_half_loads_its_whole_lines_and_names_the_broken_one(tmp_path: Path) -> None:
    whole = TRACES / "litellm" / "standard_logging_payload.proxy.jsonl"
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2])
    ledger = build_ledger(cut, quiet=True)
    assert ledger.rows("select records, quarantined, is_complete from source_file") == [(4, 1, False)]
    assert ledger.rows("select path, line from quarantine") == [(str(cut), 4)]


def test_a_copy_under_another_name_adds_nothing(tmp_path: Path) -> None:
    source = FILES[0]
    shutil.copy(source, tmp_path / "copy.jsonl")
    once = build_ledger(source, quiet=True)
    twice = build_ledger(source, tmp_path / "copy.jsonl", quiet=True)
    assert facts(once) == facts(twice)


def test_the_ledger_of_nothing_answers_with_nothing() -> None:
    ledger = ledger_of()
    run_steps(ledger)
    assert facts(ledger) == {name: [] for name in FACTS}
    assert at.roll_up(ledger_of(call("a")))["attempts"].item() == 1
