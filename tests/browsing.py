"""A real browser over what people see, JupyterLab, Voila and pages, on this machine alone; every fault is recorded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Pictures for whoever looks at a failed run; kept out of git.
SCREENSHOTS = ROOT / ".artifacts" / "screenshots"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_HERE = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "file:", "about:")
#: Patience for a page on a busy machine [ms]; nothing is judged by how long it takes.
PATIENCE = 120_000


@dataclass
class Seen:
    """What happened on a page that its reader should never notice."""

    errors: list[str] = field(default_factory=list)
    left_the_machine: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def assert_nothing(self) -> None:
        """Fail on a console error, a request beyond this machine, or a script of a hostile name."""
        assert self.errors == []
        assert self.left_the_machine == []
        assert self.dialogs == []


def browser_path() -> str:
    """Return the browser that is installed, or skip the test and say so."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed: .ci/run installs it with apt-get")
    return found


@contextmanager
def browsing() -> Iterator[Any]:
    """Yield a headless browser."""
    from playwright.sync_api import sync_playwright

    path = browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, height: int = 1200, **options: Any) -> Iterator[tuple[Any, Seen]]:
    """Yield an empty page and what is seen on it; requests beyond this machine are recorded and refused."""
    context = browser.new_context(viewport={"width": 1360, "height": height}, **options)
    page, seen = context.new_page(), Seen()

    def guard(route: Any) -> None:
        if route.request.url.startswith(_HERE):
            route.continue_()
        else:
            seen.left_the_machine.append(route.request.url)
            route.abort()

    def hear(message: Any) -> None:
        if message.type == "error":
            seen.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def refuse(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    context.route("**/*", guard)
    page.on("console", hear)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("dialog", refuse)
    page.set_default_timeout(PATIENCE)
    yield page, seen
    context.close()


def keep(page: Any, name: str, **options: Any) -> Path:
    """Keep a picture of the page for the run's artefacts."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=str(path), **options)
    return path


@contextmanager
def serving(command: list[str], folder: Path, home: Path, ready: str) -> Iterator[str]:
    """Yield the address of a server that is run for the block; its settings are those of a new user."""
    port = free_port()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "ATTRIBUTION_"))
    }
    bin_folder = Path(sys.executable).parent
    environment |= {"PATH": f"{bin_folder}{os.pathsep}{environment.get('PATH', os.defpath)}", "HOME": str(home)}
    environment |= {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data")}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(_settings(home)), "IPYTHONDIR": str(home / "ipython")}
    environment |= {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "PYTHONWARNINGS": "ignore"}
    filled = [str(bin_folder / command[0]), *(part.replace("PORT", str(port)) for part in command[1:])]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            filled, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            answer_of(f"http://127.0.0.1:{port}{ready}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _settings(home: Path) -> Path:
    """All cells are drawn, not only those in sight; no question about news is asked."""
    settings = home / "settings"
    told = {
        "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "recordTiming": False},
        "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, values in told.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    return settings


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer_of(address: str, server: subprocess.Popen[bytes]) -> bytes:
    """Return what a server on this machine answers, once it is up."""
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"{address} does not answer; the server's exit code is {server.poll()}")


LAB = [
    "jupyter",
    "lab",
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=PORT",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--ServerApp.password=",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--expose-app-in-browser",
]


def run_all(page: Any, address: str, name: str) -> None:
    """Open a notebook in JupyterLab, run all its cells, and wait until each has its number."""
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
    page.wait_for_function(f"() => {_KERNEL} === 'idle'", polling=300)
    # What is kept in the file has numbers, too: they go first, so that those seen afterwards are of this run.
    _command(page, "notebook:clear-all-cell-outputs")
    page.wait_for_function(f"() => {_PROMPTS}.every(prompt => prompt === '[ ]:')", polling=300)
    _command(page, "notebook:run-all-cells")
    page.wait_for_function(f"() => {_PROMPTS}.every(prompt => /\\d/.test(prompt))", polling=300)
    page.wait_for_function(f"() => {_KERNEL} === 'idle'", polling=300)


_KERNEL = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status"
_PROMPTS = (
    "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]"
    ".map(cell => cell.querySelector('.jp-InputPrompt')?.textContent ?? '')"
)


def _command(page: Any, name: str) -> None:
    """Start a command of JupyterLab; nothing waits for its promise, which has no time limit."""
    page.evaluate(f"() => {{ window.jupyterapp.commands.execute('{name}'); return true; }}")


def errors_in(page: Any) -> list[str]:
    """Return the text of every traceback and warning that stands below a cell."""
    shown = page.locator(
        '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
    )
    return [str(text) for text in shown.all_inner_texts()]


def wait_for_other(page: Any, answer: Any, before: str) -> None:
    """Wait until an answer is another than before."""
    for _ in range(PATIENCE // 250):
        if answer.inner_html() != before:
            return
        page.wait_for_timeout(250)
    raise AssertionError("the answer did not change")


#: As a user would call it; Voila's own options stand at the end.
VOILA = ["attribution", "lab", ".", "--voila", "--no-browser", "--port=PORT"]
VOILA += ["--Voila.ip=127.0.0.1", "--show_tracebacks=True"]
