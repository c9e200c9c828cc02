"""The guided notebooks: copied for users, executed for the repository, the same bytes every time."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attribution import assets
from attribution.errors import QuestionError

#: What an executed notebook keeps of its metadata: JupyterLab asks for a kernel when none is named.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def shipped() -> list[Path]:
    """Return the notebooks that come with the package, in their order."""
    return sorted((assets.root() / "notebooks").glob("[0-9]*.ipynb"))


def copy(folder: str | os.PathLike[str], *, force: bool = False) -> list[Path]:
    """Copy the guided notebooks into a folder; what is there already is kept unless `force` is given.

    Parameters
    ----------
    folder
        A folder, made when missing.
    force
        Write over notebooks of the same name.

    Returns
    -------
    list of Path
        The notebooks written.

    Raises
    ------
    QuestionError
        If a notebook of that name is there and `force` is not given; nothing is written then.
    """
    target = Path(folder)
    there = [path.name for path in shipped() if (target / path.name).exists()]
    if there and not force:
        raise QuestionError.would_overwrite(str(target), there)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for path in shipped():
        (target / path.name).write_bytes(path.read_bytes())
        written.append(target / path.name)
    return written


def prepare(folder: str | os.PathLike[str]) -> list[Path]:
    """Lay out a folder to work in: the guided notebooks, and the sample company in `sample_data`.

    What is there already is kept as it is, so that preparing again loses nobody's work.

    Returns
    -------
    list of Path
        The notebooks in the folder, in their order.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for path in shipped():
        if not (target / path.name).exists():
            (target / path.name).write_bytes(path.read_bytes())
    company = target / "sample_data" / "acme"
    if not company.exists():
        shutil.copytree(assets.root() / "sample_data" / "acme", company)
    return [target / path.name for path in shipped()]


def lab_command(
    folder: str | os.PathLike[str], port: int | None = None, *, browser: bool = True, more: Iterable[str] = ()
) -> list[str]:
    """Return the command that opens JupyterLab on a folder: it asks no server for news, updates or extensions.

    `more` are JupyterLab's own options, such as `--allow-root` in a container.

    Raises
    ------
    QuestionError
        Without the `notebooks` extra.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise QuestionError.no_extra("JupyterLab", "notebooks")
    quiet = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command = [sys.executable, "-m", "jupyterlab", os.fspath(folder), *quiet, "--LabApp.extension_manager=readonly"]
    command += [] if port is None else [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    return [*command, *([] if browser else ["--no-browser"]), *more]


def voila_command(
    folder: str | os.PathLike[str], port: int | None = None, *, browser: bool = True, more: Iterable[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Return the command that shows the notebooks of a folder as pages without code, and the environment it needs.

    The page comes from our own template: Voila's asks a public server for icons, ours asks no server for anything.
    Without `port` Voila takes 8866 or a free one near it. `more` are Voila's own options.

    Raises
    ------
    QuestionError
        Without the `notebooks` extra.
    """
    if importlib.util.find_spec("voila") is None:
        raise QuestionError.no_extra("Voila", "notebooks")
    command = [sys.executable, "-m", "voila", os.fspath(folder), "--template=attribution", "--classic-tree"]
    command += [] if port is None else [f"--port={port}"]
    places = [str(Path(__file__).parent / "templates" / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return [*command, *([] if browser else ["--no-browser"]), *more], {"JUPYTER_PATH": os.pathsep.join(places)}


def build(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Execute notebooks in place and keep what is the same tomorrow: outputs, counts, no times, no widget state."""
    for path in map(Path, paths):
        path.write_text(execute(path), encoding="utf-8", newline="\n")


def execute(path: str | os.PathLike[str]) -> str:
    """Run a notebook where it lies and return it as `build` keeps it; the file stays as it is."""
    import nbformat
    from nbclient import NotebookClient

    path = Path(path)
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.execute(env={**os.environ, "ATTRIBUTION_PROGRESS": "off"})
    return as_text(book)


def as_text(book: Any) -> str:
    """Return a notebook as text that depends on its cells and outputs only."""
    plain = json.loads(json.dumps(book))
    plain["metadata"] = METADATA
    for number, cell in enumerate(plain["cells"]):
        cell["id"] = f"cell-{number:02d}"
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        cell["source"] = _lines(cell["source"])
        for output in cell.get("outputs", []):
            _plain_output(output)
    return json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _plain_output(output: dict[str, Any]) -> None:
    """Leave an output what it shows, text in lines as the format has it, however the tool before us wrote it."""
    if "text" in output:
        output["text"] = _lines(output["text"])
    if "data" not in output:
        output.pop("metadata", None)  # the format allows none on text and errors
        return
    output["metadata"] = {}
    # The view of a widget points to state that is not kept, by a number that is another each time.
    output["data"].pop(_WIDGET_VIEW, None)
    for kind, shown in output["data"].items():
        if kind.startswith("text/") or kind == "image/svg+xml":
            output["data"][kind] = _lines(shown)
        elif isinstance(shown, list):
            output["data"][kind] = "".join(shown)


def _lines(text: str | list[str]) -> list[str]:
    return ("".join(text)).splitlines(keepends=True)
