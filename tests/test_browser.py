"""What people see, in a real browser: notebooks in JupyterLab, one in Voila, the report; hostile names run nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution import notebooks, reports
from tests import browsing

pytestmark = pytest.mark.browser

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
BOOKS = [path.stem for path in notebooks.shipped()]
#: Notebook → the label of a control, the choice to make, and what the answer then says.
MOVES = {
    "00_quick_start": ("team", "research", "paper-digest"),
    "05_bring_your_own_data": ("file", "direct/research_2026-08.csv", "none recognises it"),
}
HOSTILE_FILE = "<img src=x onerror=window.hacked=3>.csv"
HOSTILE_CELLS = f"""
import pandas as pd
import attribution as at
from attribution import charts, widgets
charts.enable()
ledger = at.build_ledger("{HOSTILE_FILE}")
at.price_events(ledger)
---
at.inspect("{HOSTILE_FILE}")
---
at.validate(ledger)
---
at.audit(ledger)
---
at.show(at.roll_up(ledger, "owner_team", "feature"))
---
charts.spend(at.roll_up(ledger, "owner_team"))
---
charts.spend_over_time(at.roll_up(ledger, "day", "owner_team"), "day")
---
charts.fan_out(at.fan_out(ledger, "t1"))
---
widgets.spend_explorer(ledger)
---
widgets.trace_explorer(ledger)
---
widgets.file_picker(".")
"""


def write_hostile(folder: Path) -> None:
    """Write a table whose every name is an attack, and a notebook that shows it in every way there is."""
    call = {"timestamp": "2026-10-05T12:00:00Z", "trace_id": "t1", "provider": "openai", "model": "gpt-5-mini"}
    names = dict.fromkeys(("owner_team", "workflow_id", "feature"), HOSTILE)
    models = ("gpt-5-mini", "gpt-5-mini", HOSTILE)
    rows = [
        call | names | {"model": models[n]} | {"call_id": f"c{n}", "input_tokens": 1000 + n, "output_tokens": 10}
        for n in range(3)
    ]
    pd.DataFrame(rows).to_csv(folder / HOSTILE_FILE, index=False)
    cells = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source.strip()}
        for source in HOSTILE_CELLS.split("---")
    ]
    book = {"cells": cells, "metadata": notebooks.METADATA, "nbformat": 4, "nbformat_minor": 5}
    (folder / "hostile.ipynb").write_text(notebooks.as_text(book), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("books")
    notebooks.copy(place)
    write_hostile(place)
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.browsing() as running:
        yield running


@pytest.fixture(scope="module")
def lab(folder: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with browsing.serving(browsing.LAB, folder, tmp_path_factory.mktemp("home"), "/api") as address:
        yield address


@pytest.mark.parametrize("name", BOOKS)
def test_a_notebook_runs_draws_and_answers_in_jupyterlab(browser: Any, lab: str, name: str) -> None:
    with browsing.opened(browser, height=6000) as (page, seen):
        browsing.run_all(page, lab, f"{name}.ipynb")
        charts = page.locator(".jp-RenderedVegaCommon5")
        for number in range(charts.count()):
            charts.nth(number).locator("canvas, svg").first.wait_for(state="attached")
        move_one(page, name)
        browsing.keep(page, name)

        assert browsing.errors_in(page) == []
        seen.assert_nothing()


def move_one(page: Any, name: str) -> None:
    """Move a control and wait until the answer below it is another; for some it is known which answer."""
    panels = page.locator(".jp-OutputArea-output .widget-vbox")
    panels.first.wait_for()
    label, choice, said = MOVES.get(name, (None, None, None))
    panel = panels.filter(has=page.locator(f'label:text-is("{label}")')).first if label else panels.first
    answer = panel.locator(".widget-html-content").last
    before = answer.inner_html()
    select = (
        panel.locator(f'.widget-dropdown:has(label:text-is("{label}")) select')
        if label
        else panel.locator("select").first
    )
    choices = select.locator("option").all_inner_texts()
    current = select.evaluate("select => select.selectedOptions[0]?.text")
    chosen = choice or next(text for text in reversed(choices) if text != current)
    select.select_option(label=chosen)
    browsing.wait_for_other(page, answer, before)
    if said:
        answer.get_by_text(said).first.wait_for(state="attached")


def test_hostile_names_are_shown_and_run_nowhere_in_jupyterlab(browser: Any, lab: str) -> None:
    with browsing.opened(browser, height=4000) as (page, seen):
        browsing.run_all(page, lab, "hostile.ipynb")
        page.get_by_text("window.hacked=1").first.wait_for(state="attached")
        page.wait_for_timeout(1000)
        browsing.keep(page, "hostile")

        assert browsing.errors_in(page) == []
        assert page.evaluate("() => window.hacked ?? 0") == 0
        seen.assert_nothing()


@pytest.fixture(scope="module")
def voila(folder: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("voila")
    with browsing.serving(browsing.VOILA, folder, home, "/voila/static/voila.js") as address:
        yield address


def test_a_notebook_is_a_page_in_voila_that_asks_no_server_for_anything(browser: Any, voila: str) -> None:
    with browsing.opened(browser, height=4000) as (page, seen):
        page.goto(f"{voila}/")
        page.get_by_text("00_quick_start").first.wait_for()
        browsing.keep(page, "voila")
        page.goto(f"{voila}/voila/render/00_quick_start.ipynb")
        panel = page.locator(".widget-vbox").first
        panel.wait_for()
        answer = panel.locator(".widget-html-content").last
        answer.locator("img").wait_for()
        before = answer.inner_html()
        panel.locator('.widget-dropdown:has(label:text-is("team")) select').select_option(label="research")
        browsing.wait_for_other(page, answer, before)
        browsing.keep(page, "voila_00_quick_start")

        assert page.locator(".jp-RenderedSVG").count() == 3
        assert page.locator("text=Traceback").count() == 0
        seen.assert_nothing()


def test_hostile_names_are_shown_and_run_nowhere_in_voila(browser: Any, voila: str) -> None:
    with browsing.opened(browser, height=4000) as (page, seen):
        page.goto(f"{voila}/voila/render/hostile.ipynb")
        page.locator(".widget-vbox").nth(2).wait_for()
        page.get_by_text("window.hacked=1").first.wait_for(state="attached")
        page.wait_for_timeout(1000)
        browsing.keep(page, "voila_hostile")

        assert page.locator("text=Traceback").count() == 0
        assert page.evaluate("() => window.hacked ?? 0") == 0
        seen.assert_nothing()


def test_the_report_is_a_printable_page_without_network_or_script(browser: Any, folder: Path, tmp_path: Path) -> None:
    long = folder / "a_folder_of_exports_with_a_long_name" / ("x" * 90 + ".csv")
    long.parent.mkdir()
    long.write_bytes((folder / HOSTILE_FILE).read_bytes().replace(b",t1,", b",t2,"))
    ledger = at.build_ledger(folder / HOSTILE_FILE, long, quiet=True)
    reports.write(reports.render(ledger, at.audit(ledger), paths=[HOSTILE_FILE]), tmp_path / "report.html")
    with browsing.opened(browser, offline=True) as (page, seen):
        page.goto((tmp_path / "report.html").as_uri())
        assert page.get_by_text("window.hacked=1").count() > 0
        assert page.evaluate("() => document.scripts.length") == 0
        assert page.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        browsing.keep(page, "report", full_page=True)
        page.emulate_media(media="print", color_scheme="dark")
        page.set_viewport_size({"width": 672, "height": 1000})  # A4 between its margins
        wide = "() => [...document.querySelectorAll('table, img, pre, p')]"
        wide += ".filter(part => part.getBoundingClientRect().right > innerWidth + 1).map(part => part.outerHTML)"
        assert page.evaluate(wide) == []
        ground = "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        assert page.evaluate(ground) == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]
        pages = page.pdf(format="A4")

        assert pages.startswith(b"%PDF")
        seen.assert_nothing()


def test_what_was_kept_of_a_notebook_can_be_read_without_running_it(folder: Path) -> None:
    import nbformat

    for name in BOOKS:
        nbformat.validate(json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8")))
