"""Set-up: what the README says works as it stands there, in a clean place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browsing import answer_of, free_port
from tests.readme import ROOT, answer, block, commands, repair, rule_types


def clean(tmp_path: Path) -> dict[str, str]:
    """Return an environment that knows this interpreter, the system's tools, and nothing of this machine's user."""
    base = Path(sys.base_prefix) / "bin"
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("SSL_CERT_FILE", "UV_CACHE_DIR") if name in os.environ}
    return {"PATH": f"{base}{os.pathsep}{os.defpath}", "HOME": str(home), **kept}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a fresh clone of what is committed."""
    return clone_into(tmp_path)


def clone_into(tmp_path: Path) -> Path:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no fresh clone can be made")
    subprocess.run([git, "clone", "-q", "--local", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def test_the_readme_has_two_commands_that_set_everything_up_themselves() -> None:
    first, second = commands()
    for command in (first, second):
        steps = command.split(" && ")
        assert steps[:2] == ["python3 -m venv .venv", ".venv/bin/pip install uv"]
        assert steps[2].startswith("UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --frozen --inexact ")
        assert "sudo" not in command
    assert first.split(" && ")[3].startswith(".venv/bin/attribution audit sample_data/")
    assert second.split(" && ")[3] == ".venv/bin/python tests/gate.py"


def test_ci_runs_the_second_command_verbatim() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[-1] == commands()[1]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_readme_begins_with_the_answer() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    order = ["# attribution\n", "\nWho owns each dollar", commands()[0], "<!-- answer -->", "Already run LiteLLM?"]
    places = [text.index(part) for part in [*order, "Offline, no prompts stored", "What it cannot know", "## Use it"]]
    assert places == sorted(places)


def test_the_readme_lists_the_sources_there_are() -> None:
    from attribution.catalog import render_sources

    assert block("sources").strip() == render_sources().strip(), "run tests/readme.py"


def test_the_readme_lists_the_rule_types_that_suites_may_use() -> None:
    assert block("rule types").strip() == rule_types().strip(), "run tests/readme.py"


def test_the_readme_quotes_how_often_the_ladder_is_right() -> None:
    assert block("repair").strip("`\n").split() == repair().split(), "run tests/readme.py"


def test_the_readme_names_every_command_it_shows() -> None:
    from attribution.cli import main

    shown = set(re.findall(r"\.venv/bin/attribution ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"audit", "coverage", "hops", "check", "inspect"} <= shown
    for name in sorted(shown):
        run = [sys.executable, "-c", f"from {main.__module__} import main; main()", name, "--help"]
        assert subprocess.run(run, capture_output=True, check=False, cwd=ROOT).returncode == 0, name


@pytest.mark.setup
def test_the_first_command_works_in_a_clean_clone_and_answers_what_the_readme_says(clone: Path, tmp_path: Path) -> None:
    environment = {**clean(tmp_path), "COLUMNS": "100"}
    done = subprocess.run(
        ["sh", "-c", commands()[0]],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    shown = block("answer").strip("`\n").split()
    assert answer(done.stdout).split() == shown, "the sample company or the audit changed: run tests/readme.py"
    page = clone / "attribution-report.html"
    assert page.stat().st_size > 10_000
    assert "<script src=" not in page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a folder outside any checkout whose `venv` has the wheel with its notebooks extra, and its environment."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    environment = clean(tmp_path)
    clone = clone_into(tmp_path)
    uv = str(Path(sys.executable).parent / "uv")
    build = [uv, "build", "-q", "--wheel", "--system-certs", "-o", "dist"]
    subprocess.run(build, cwd=clone, env=environment, check=True)
    wheel = next((clone / "dist").glob("*.whl"))
    place = tmp_path / "elsewhere"
    place.mkdir()
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, "venv"], cwd=place, env=environment, check=True)
    install = [uv, "pip", "install", "-q", "--system-certs", "-p", "venv/bin/python", f"{wheel}[notebooks]"]
    subprocess.run(install, cwd=place, env=environment, check=True)
    shutil.rmtree(clone)
    return place, environment


def run_in(elsewhere: tuple[Path, dict[str, str]], *command: str) -> subprocess.CompletedProcess[str]:
    place, environment = elsewhere
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.setup
def test_a_wheel_installs_and_runs_outside_the_checkout(elsewhere: tuple[Path, dict[str, str]]) -> None:
    assert run_in(elsewhere, "venv/bin/attribution", "--version").stdout.strip().endswith("0.1.0")

    code = "import attribution as at; print(at.build_ledger(at.sample_path(), quiet=True))"
    built = run_in(elsewhere, "venv/bin/python", "-c", code)

    assert "cost events" in built.stdout, built.stderr[-2000:]


@pytest.mark.setup
def test_a_wheel_copies_its_notebooks_and_never_over_what_is_there(elsewhere: tuple[Path, dict[str, str]]) -> None:
    names = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert run_in(elsewhere, "venv/bin/attribution", "notebooks", "mine").returncode == 0
    changed = elsewhere[0] / "mine" / names[0]
    assert sorted(path.name for path in (elsewhere[0] / "mine").iterdir()) == names
    changed.write_text("mine", encoding="utf-8")

    again = run_in(elsewhere, "venv/bin/attribution", "notebooks", "mine")

    assert again.returncode == 2
    assert names[0] in again.stderr
    assert changed.read_text(encoding="utf-8") == "mine"
    assert run_in(elsewhere, "venv/bin/attribution", "notebooks", "mine", "--force").returncode == 0
    assert changed.read_text(encoding="utf-8") != "mine"


@pytest.mark.setup
def test_a_notebook_of_the_wheel_runs_on_a_schedule(elsewhere: tuple[Path, dict[str, str]]) -> None:
    run_in(elsewhere, "venv/bin/attribution", "notebooks", "scheduled")
    source, out = "scheduled/05_bring_your_own_data.ipynb", "out.ipynb"

    done = run_in(
        elsewhere, "venv/bin/papermill", "-k", "python3", "-p", "file", "direct/research_2026-09.csv", source, out
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "research_2026-09.csv" in (elsewhere[0] / out).read_text(encoding="utf-8")


@pytest.mark.setup
def test_a_wheel_opens_jupyterlab_on_a_copy_with_the_sample_company(elsewhere: tuple[Path, dict[str, str]]) -> None:
    place, environment = elsewhere
    port = str(free_port())
    command = ["venv/bin/attribution", "lab", "work", "--no-browser", "--port", port, "--allow-root"]
    running = subprocess.Popen(
        command,
        cwd=place,
        env={**environment, "JUPYTER_TOKEN": "t"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        listed = json.loads(answer_of(f"http://127.0.0.1:{port}/api/contents?token=t", running))
    finally:
        running.terminate()
        running.wait(timeout=120)

    names = {item["name"] for item in listed["content"]}
    assert {"sample_data", "00_quick_start.ipynb", "05_bring_your_own_data.ipynb"} <= names
    assert (place / "work" / "sample_data" / "acme" / "config" / "attribution.yaml").is_file()
