from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import attribution as at
from attribution.cli import app

CAPTURED = str(Path(at.sample_path("traces/captured")).resolve())
HOPS = str(Path(at.sample_path("traces/captured/broken_hops")).resolve())
COMPLETE = str(Path(at.sample_path("traces/article/complete")).resolve())
BROKEN = str(Path(at.sample_path("traces/article/broken")).resolve())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def answer_of(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code in (0, 1), result.output
    return dict(json.loads(result.stdout))


def test_help_costs_next_to_nothing() -> None:
    heavy = ("altair", "duckdb", "pandas", "pyarrow", "great_expectations", "jinja2", "vl_convert", "yaml")
    code = (
        "import sys; from attribution.cli import app; app(['--help'], standalone_mode=False); "
        f"print('LOADED', [name for name in {heavy!r} if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "LOADED []" in result.stdout
    for command in ("audit", "coverage", "hops", "check", "report", "inspect", "sample", "notebooks"):
        assert f"\n  {command} " in result.stdout


def test_the_console_script_answers_and_exits() -> None:
    code = "from attribution.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)

    assert result.stdout == f"attribution {at.__version__}\n"


def test_audit_prints_the_answer_first_and_says_where_the_report_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run("audit", HOPS)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "8 files loaded: 40 records = 40 accepted"
    assert lines[1].startswith("data quality: ")
    assert lines[3].startswith("No bill is loaded")
    assert lines[4].startswith("Of $0.011")
    assert lines[-1] == "Report: attribution-report.html"
    assert (tmp_path / "attribution-report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_audit_fails_a_build_only_when_asked() -> None:
    assert run("audit", HOPS, "--no-html").exit_code == 0
    assert run("audit", HOPS, "--no-html", "--fail").exit_code == 1


def test_audit_as_json_is_complete_exact_and_writes_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    answer = answer_of("audit", HOPS)

    assert set(answer) >= {"command", "score", "is_ready", "headline", "bound", "verdicts", "traces", "shares", "files"}
    assert [row["number"] for row in answer["verdicts"]] == [1, 2, 3, 4, 5, 6, 7]  # type: ignore[attr-defined]
    assert answer["shares"][0]["list_cost"] == "0.011015000000"  # type: ignore[index]
    assert not list(tmp_path.iterdir())


def test_one_trace_can_be_chosen_and_an_unknown_one_is_named() -> None:
    trace = "4a053ce71189fc9df1af249a0b6c37c8"

    answer = answer_of("audit", HOPS, "--trace", trace)
    refused = run("audit", HOPS, "--no-html", "--trace", "nope")

    assert [row["request_id"] for row in answer["traces"]] == [trace]  # type: ignore[attr-defined]
    assert refused.exit_code == 2
    assert "'nope'" in refused.stderr


def test_the_same_seed_draws_the_same_traces() -> None:
    arguments = ("audit", CAPTURED, "--traces", "3", "--seed", "5", "--json")

    assert run(*arguments).stdout == run(*arguments).stdout


def test_coverage_is_shown_by_any_column_and_adds_up() -> None:
    answer = answer_of("coverage", CAPTURED, "--by", "week", "--by", "service")

    assert answer["by"] == ["week", "service"]
    assert {row["week"] for row in answer["rows"]} == {"2026-W48"}  # type: ignore[attr-defined]
    assert sum(row["calls"] for row in answer["rows"]) == 42  # type: ignore[attr-defined]


def test_coverage_writes_a_page_where_it_says(tmp_path: Path) -> None:
    target = tmp_path / "coverage.html"

    result = run("coverage", CAPTURED, "--by", "day", "--out", str(target))

    assert result.exit_code == 0
    assert str(target) in result.stderr
    assert "data:image/png" in target.read_text(encoding="utf-8")


def test_an_unknown_column_is_one_clear_message_without_a_traceback() -> None:
    result = run("coverage", CAPTURED, "--by", "team")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "`team` is not a column" in result.stderr
    assert "Traceback" not in result.stderr


def test_hops_name_the_remedy_and_are_the_same_in_json() -> None:
    shown = " ".join(run("hops", HOPS).stdout.split())
    answer = answer_of("hops", HOPS)

    assert "CeleryInstrumentor().instrument()" in shown
    assert {row["signature"] for row in answer["rows"]} >= {"H1", "H2", "H3"}  # type: ignore[attr-defined]
    assert all(isinstance(row["list_cost"], str) for row in answer["rows"])  # type: ignore[attr-defined]


def test_hops_of_a_complete_trace_say_that_nothing_is_lost() -> None:
    assert "every call carries owner_team" in run("hops", COMPLETE).stdout


def test_check_is_silent_when_all_is_well() -> None:
    result = run("check", COMPLETE, "--max-unattributed", "2%")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_check_names_both_shares_when_they_are_above() -> None:
    result = run("check", HOPS, "--max-unattributed", "2%")

    assert result.exit_code == 1
    assert "not declared at the call: 70.0 %, limit 2.0 %" in result.stdout
    assert "unowned after recovery: 50.0 %, limit 2.0 %" in result.stdout


def test_check_passes_only_when_the_high_end_is_within_the_limit() -> None:
    assert run("check", HOPS, "--max-unattributed", "69.9%").exit_code == 1
    assert run("check", HOPS, "--max-unattributed", "70%").exit_code == 0
    assert run("check", HOPS, "--max-unattributed", "0.7").exit_code == 0


def test_an_unpriced_unowned_call_cannot_pass_the_gate() -> None:
    assert run("check", BROKEN, "--max-unattributed", "50%").exit_code == 1


def test_check_as_json_says_why() -> None:
    answer = answer_of("check", HOPS, "--max-unattributed", "60%")

    assert (answer["passed"], answer["above"], answer["max_unattributed"]) == (False, ["not_declared"], "0.6")


@pytest.mark.parametrize("limit", ["2", "two", "-1%", "101%", "", "NaN"])
def test_a_limit_that_could_mean_anything_is_refused(limit: str) -> None:
    result = run("check", COMPLETE, f"--max-unattributed={limit}")

    assert result.exit_code == 2
    assert "2% or 0.02" in result.stderr


def test_check_could_not_run_without_files_calls_or_a_readable_file(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "empty").mkdir()

    assert run("check", str(tmp_path / "nowhere")).exit_code == 2
    assert run("check", str(tmp_path / "empty")).exit_code == 2
    assert run("check", str(tmp_path / "notes.jsonl")).exit_code == 2
    assert run("check", COMPLETE, f"{tmp_path}/./notes.jsonl").exit_code == 2
    assert run("check", HOPS, "--period", "2020-01").exit_code == 2


def test_a_file_in_a_folder_that_cannot_be_read_is_named_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "trace.json").write_bytes((Path(COMPLETE) / "complete_trace.json").read_bytes())

    result = run("check", str(tmp_path))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "notes.jsonl: no source recognises it" in result.stderr


def test_markup_and_control_characters_in_data_are_shown_as_they_are(tmp_path: Path) -> None:
    team = "[bold red]x[/] \u202e\x1b[31m"
    row = {"id": "1", "time": "2026-10-05T12:00:00Z", "provider": "openai", "model": "gpt-5-mini"}
    row |= {"input_tokens": 1000, "output_tokens": 10, "owner_team": team}  # type: ignore[dict-item]
    (tmp_path / "calls.jsonl").write_text(json.dumps(row) + "\n")

    shown = run("coverage", str(tmp_path), "--by", "owner_team").stdout

    assert "[bold red]x[/]" in shown
    assert "\\u202e\\u001b[31m" in "".join(shown.split())
    assert "\u202e" not in shown
    assert "\x1b" not in shown


def test_a_page_that_cannot_be_written_is_one_clear_message(tmp_path: Path) -> None:
    result = run("report", HOPS, "--out", str(tmp_path / "nowhere" / "report.html"))

    assert result.exit_code == 2
    assert "expected a file in a folder that exists" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_faulty_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "attribution.yaml").write_text("teams: []\nteems: []\n")

    result = run("hops", HOPS, "--config", str(tmp_path / "attribution.yaml"))

    assert result.exit_code == 2
    assert "attribution.yaml:2: `teems` is not known here. Did you mean `teams`?" in result.stderr


def test_notebooks_are_copied_and_never_written_over_unless_forced(tmp_path: Path) -> None:
    first = run("notebooks", str(tmp_path / "mine"))
    mine = tmp_path / "mine" / "01_ten_trace_audit.ipynb"
    mine.write_text("my work")

    again = run("notebooks", str(tmp_path / "mine"))
    kept = mine.read_text()
    forced = run("notebooks", str(tmp_path / "mine"), "--force")

    assert (first.exit_code, again.exit_code, forced.exit_code) == (0, 2, 0)
    assert kept == "my work"
    assert mine.read_text() != "my work"


def test_progress_is_told_file_by_file_and_shown_on_terminals_only() -> None:
    from attribution import building

    told: list[str] = []
    with at.open_ledger() as ledger:
        loaded = building.add(ledger, HOPS, quiet=True, tell=told.append)

    assert [path for path in told if not path.endswith(".txt")] == [row["path"] for row in loaded.files]
    assert run("hops", HOPS).stderr == ""


def test_stopping_a_check_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    from attribution import building

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "add", stop)

    assert run("check", COMPLETE).exit_code == 130


def test_export_and_evidence_write_files_from_a_kept_ledger(tmp_path: Path) -> None:
    data, config = str(at.sample_path("acme/data/direct")), str(at.sample_path("acme/config/attribution.yaml"))
    book = str(tmp_path / "acme.duckdb")
    written = run("export", data, "--config", config, "--ledger", book, "--out", str(tmp_path / "focus.csv"))
    journal = answer_of(
        "export", "--ledger", book, "--period", "2026-08", "--format", "journal", "--out", f"{book}.csv"
    )
    pack = run(
        "evidence", "--ledger", book, "--team=research", "--period=2026-08", "--out", str(tmp_path / "pack.html")
    )

    assert written.exit_code == pack.exit_code == 0, written.output + pack.output
    assert "of focus-1.2 in" in written.stdout
    assert journal["sums"]["debit"] == journal["sums"]["credit"]  # type: ignore[index]
    assert pack.stdout.startswith("research, 2026-08: $")
    assert {path.name for path in tmp_path.iterdir()} >= {"focus.csv", "pack.html", "pack.csv", "acme.duckdb.csv"}


def test_disputes_are_checked_without_a_ledger_and_a_fault_exits_with_2(tmp_path: Path) -> None:
    path = tmp_path / "disputes.yaml"
    entry = "- {dispute_id: D-1, period: 2026-10, owner_team: support, amount: '5', state: open, reason: not ours}\n"
    path.write_text(entry, encoding="utf-8")
    checked = run("disputes", str(path))
    path.write_text(entry.replace("open", "agreed"), encoding="utf-8")
    faulty = run("disputes", str(path))

    assert (checked.exit_code, faulty.exit_code) == (0, 2)
    assert "nothing is booked without --ledger" in checked.stdout
    assert "disputes.yaml:1: `agreed` is not known here" in faulty.stderr
