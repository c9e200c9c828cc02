"""The notebooks as they are kept; that their outputs are still true is nbval's to say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from attribution import notebooks

BOOKS = notebooks.shipped()


@pytest.fixture(params=BOOKS, ids=lambda path: str(path.stem))
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def book(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def code(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert "01_ten_trace_audit" in [path.stem for path in BOOKS]


def test_a_kernel_is_named_so_that_no_dialog_blocks_running_all(book: dict[str, Any]) -> None:
    assert book["metadata"] == notebooks.METADATA


def test_what_is_kept_is_what_the_build_writes(path: Path, book: dict[str, Any]) -> None:
    assert path.read_text(encoding="utf-8") == notebooks.as_text(book)


def test_a_story_begins_with_a_title_and_every_picture_has_its_question(book: dict[str, Any]) -> None:
    headings = [line for c in book["cells"] if c["cell_type"] == "markdown" for line in c["source"] if line[0] == "#"]

    assert headings[0].startswith("# ")
    assert sum(line.startswith("## ") for line in headings) >= 3
    assert all(line.rstrip().endswith("?") for line in headings[1:-1])


def test_the_first_code_cell_holds_parameters_in_plain_values(book: dict[str, Any]) -> None:
    first = code(book)[0]

    assert first["metadata"]["tags"] == ["parameters"]
    assert "import" not in "".join(first["source"])


def test_cells_are_short_and_define_nothing(book: dict[str, Any]) -> None:
    for cell in code(book):
        assert len(cell["source"]) <= 8
        assert not re.search(r"^\s*(def|class|for|while) ", "".join(cell["source"]), flags=re.MULTILINE)
        assert max(len(line) for line in cell["source"]) <= 120


def test_every_cell_was_run_in_order_without_fault(book: dict[str, Any]) -> None:
    assert [cell["execution_count"] for cell in code(book)] == list(range(1, len(code(book)) + 1))
    outputs = [output for cell in code(book) for output in cell["outputs"]]
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []


def test_charts_are_kept_live_and_as_pictures_without_widget_state(book: dict[str, Any]) -> None:
    bundles = [output["data"] for cell in code(book) for output in cell["outputs"] if "data" in output]
    live = [bundle for bundle in bundles if "application/vnd.vegalite.v5+json" in bundle]

    assert live
    assert all("image/png" in bundle for bundle in live)
    assert "widgets" not in book["metadata"]
    assert not any("application/vnd.jupyter.widget-view+json" in bundle for bundle in bundles)


def test_beside_every_widget_stands_what_its_plain_function_answers(book: dict[str, Any]) -> None:
    widgets = [
        place for place, cell in enumerate(book["cells"]) if re.search(r"^widgets\.\w+_\w*r\(", source_of(cell), re.M)
    ]
    told = [place for place in widgets if not is_static(next_code(book, place))]

    assert widgets
    assert [source_of(book["cells"][place]) for place in told] == []


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"]) if cell["cell_type"] == "code" else ""


def next_code(book: dict[str, Any], place: int) -> dict[str, Any]:
    return next(dict(cell) for cell in book["cells"][place + 1 :] if cell["cell_type"] == "code")


def is_static(cell: dict[str, Any]) -> bool:
    """Whether a reader sees an answer below the cell without running it."""
    outputs = cell["outputs"]
    return any("text" in o or {"text/html", "image/png"} & set(o.get("data", {})) for o in outputs)


def test_nothing_names_a_machine_or_a_day_of_running(book: dict[str, Any]) -> None:
    texts = [
        "".join(value)
        for cell in book["cells"]
        for output in [{"data": {"source": cell["source"]}}, *cell.get("outputs", [])]
        for kind, value in {**output.get("data", {}), "text": output.get("text", "")}.items()
        if kind in ("source", "text", "text/plain", "text/html")
    ]

    assert [t for t in texts if re.search(r"(?<![\w<])/(home|work|tmp|root|Users)/|[A-Z]:\\\\", t)] == []
