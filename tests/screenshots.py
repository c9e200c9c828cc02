"""Take the two pictures of the README from the real thing: `.venv/bin/python -m tests.screenshots`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import attribution as at
from attribution import notebooks, reports
from tests import browsing

IMAGES = browsing.ROOT / "notebooks" / "images"


def main() -> None:
    """Run the first notebook in JupyterLab and open the report of the sample company, and keep what is seen."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, browsing.browsing() as browser:
        home, work = Path(place) / "home", Path(place) / "work"
        home.mkdir()
        work.mkdir()
        notebooks.copy(work)
        take_notebook(browser, home, work)
        take_report(browser, work)


def take_notebook(browser: object, home: Path, work: Path) -> None:
    """Keep the hop ribbons as they stand in JupyterLab."""
    with (
        browsing.serving(browsing.LAB, work, home, "/api") as address,
        browsing.opened(browser, height=900) as (page, _),
    ):
        browsing.run_all(page, address, "00_quick_start.ipynb")
        page.get_by_role("heading", name="Where does the owner get lost?").scroll_into_view_if_needed()
        page.evaluate(
            "() => [...document.querySelectorAll('h2')].find(h => h.textContent.includes('owner get lost'))"
            ".scrollIntoView({block: 'start'})"
        )
        page.wait_for_timeout(1500)
        page.screenshot(path=str(IMAGES / "quick_start.png"))


def take_report(browser: object, work: Path) -> None:
    """Keep the first screen of the report."""
    data, config = at.sample_path("acme/data"), at.sample_path("acme/config/attribution.yaml")
    ledger = at.build_ledger(data, config=config, quiet=True)
    page_text = reports.render(ledger, at.audit(ledger), paths=[data], config=config)
    reports.write(page_text, work / "report.html")
    with browsing.opened(browser, height=900) as (page, _):
        page.goto((work / "report.html").as_uri())
        page.screenshot(path=str(IMAGES / "report.png"))


if __name__ == "__main__":
    main()
