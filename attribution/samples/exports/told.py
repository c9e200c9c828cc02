"""The two traces that the article prints, each in a folder of its own: they tell one request in two ways."""

from __future__ import annotations

from importlib import resources

from attribution.samples.files import Folder

TELLINGS = ("complete", "broken")


def write_tellings(folder: Folder) -> None:
    """Write article/complete and article/broken, beside the company's data and never among it."""
    for name in TELLINGS:
        trace = resources.files("attribution") / "samples" / "told" / f"{name}_trace.json"
        folder.text(f"article/{name}/{name}_trace.json", trace.read_text(encoding="utf-8"))
