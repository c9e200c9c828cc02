from __future__ import annotations

import io
import sys

import pytest

import attribution as at
from attribution import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tests_schedules_and_builds_see_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.delenv("ATTRIBUTION_PROGRESS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    assert not progress.is_wanted()

    monkeypatch.delenv("PYTEST_VERSION")
    assert progress.is_wanted()

    monkeypatch.setenv("ATTRIBUTION_PROGRESS", "off")
    assert not progress.is_wanted()


def test_without_a_terminal_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTEST_VERSION", "ATTRIBUTION_PROGRESS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    with progress.counting(3) as tell:
        assert tell is None


def test_a_bar_names_the_file_that_is_read_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("ATTRIBUTION_PROGRESS", "on")
    monkeypatch.setenv("TERM", "xterm")

    with progress.counting(2) as tell:
        assert tell is not None
        tell("a/\u202efile.jsonl")

    assert "\u202e" not in screen.getvalue()
    assert "\\u202efile.jsonl" in screen.getvalue()


def test_building_a_ledger_prints_its_summary_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    at.build_ledger(at.sample_path("traces/article/complete"))

    said = capsys.readouterr()
    assert said.out == "1 file loaded: 2 records = 2 accepted\n"
    assert said.err == ""
