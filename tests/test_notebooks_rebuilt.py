"""Each notebook run anew on another day, in another time zone: what is kept is what the build writes, byte by byte."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import attribution as at
from attribution import notebooks

#: The kernel runs this before the first cell: its clock is more than a year ahead, over a leap day and a clock change.
ANOTHER_DAY = "import time, time_machine\ntime_machine.travel(time.time() + 500 * 86_400 + 12_345).start()\n"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let kernels of this test start with another clock, zone, locale and order of hashes."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00_another_day.py").write_text(ANOTHER_DAY, encoding="utf-8")
    settings = {"IPYTHONDIR": str(tmp_path), "TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "77"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("path", notebooks.shipped(), ids=lambda path: str(path.stem))
def test_a_rebuild_on_another_day_and_elsewhere_gives_the_bytes_that_are_kept(path: Path) -> None:
    assert notebooks.execute(path) == path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("elsewhere")
def test_the_other_day_is_one(tmp_path: Path) -> None:
    cells = "import datetime, time\nprint(datetime.date.today().year, time.tzname[0])"
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cells}
    book = {"cells": [cell], "metadata": notebooks.METADATA, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "clock.ipynb").write_text(notebooks.as_text(book), encoding="utf-8")

    told = notebooks.execute(tmp_path / "clock.ipynb")

    assert f"{(datetime.now() + timedelta(days=500)).year} NZST" in told


OTHERS = {
    "00_quick_start": {"over": "month"},
    "01_ten_trace_audit": {"traces": 3, "seed": 7, "by": "month"},
    "02_provider_reconciliation": {"provider": "openai"},
    "03_team_chargeback": {"team": "nobody here", "period": None},
    "04_anomaly_decomposition": {"number": 9, "by": "model"},
}


CSV = """wann;wer;modell;rein;raus;kosten
2026-09-01 10:00:00;=cmd|x;gpt-5-mini;1000;50;12.5
2026-09-02 11:30:00;;no-such-model;2000;60;
2026-09-03 12:45:00;team b;gpt-5-mini;3000;70;31.0
"""
MEANS = {"started_at": "wann", "owner_team": "wer", "model": "modell", "input_tokens": "rein", "output_tokens": "raus"}


def test_an_unknown_table_is_brought_with_its_own_map(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(CSV.replace(";", ","), encoding="utf-8")
    told = {"folder": str(tmp_path), "file": "mine.csv", "mapping": MEANS, "options": {"tz": "UTC"}}

    assert "1 file loaded: 3 records = 3 accepted" in run("05_bring_your_own_data", told, tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_a_story_runs_on_other_data_with_other_parameters(name: str, tmp_path: Path) -> None:
    paths = [str(Path(at.sample_path("traces/captured")).resolve())]

    assert "records = " in run(name, {"paths": paths, **OTHERS[name]}, tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("01_ten_trace_audit", "focus", "No provider call is in this data."),
        ("02_provider_reconciliation", "langfuse", "calls without a provider, and no bill"),
    ],
)
def test_a_story_of_data_that_cannot_answer_it_says_why(name: str, kind: str, said: str, tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parent / "fixtures/sources" / kind

    assert said in run(name, {"paths": [str(folder)]}, tmp_path)


def run(name: str, told: dict[str, Any], folder: Path) -> str:
    """Run a notebook with parameters as papermill gives them, and return its outputs; no cell may fail."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    source = next(path for path in notebooks.shipped() if path.stem == name)
    book = parameterize_notebook(load_notebook_node(str(source)), told)
    (folder / "told.ipynb").write_text(notebooks.as_text(book), encoding="utf-8")

    shown = json.loads(notebooks.execute(folder / "told.ipynb"))

    outputs = [output for cell in shown["cells"] for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 3
    return json.dumps(outputs, ensure_ascii=False)
