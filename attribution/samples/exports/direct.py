"""The research group's own CSV: it calls providers directly, and writes down what it likes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attribution.samples.company import Company
from attribution.samples.exports.times import iso_seconds
from attribution.samples.files import Folder
from attribution.samples.page import Page

HEADER = "when,run,call,vendor,llm,prompt_toks,of_which_cached,answer_toks,of_which_thinking,usd,squad,experiment,task"
VENDORS = {"openai": "openai", "google": "google"}


def write_runs(page: Page, company: Company, folder: Folder) -> None:
    """Append the calls of one part; the first part begins with the header."""
    rows = np.flatnonzero(page.calls["in_direct"]).tolist()
    name = f"data/direct/research_{page.part.month}.csv"
    lines = list(_lines(page, company, rows))
    if lines and not folder.is_begun(name):
        lines.insert(0, HEADER)
    folder.lines(name, lines)


def _lines(page: Page, company: Company, rows: list[int]) -> Iterator[str]:
    for row in rows:
        deployment = company.deployments[page["deployment"][row]]
        yield ",".join(
            (
                iso_seconds(page["started"][row]),
                page["trace_id"][row],
                page["response_id"][row],
                VENDORS[deployment.provider],
                deployment.answered_as,
                str(page["input"][row]),
                str(page["cache_read"][row]),
                str(page["output"][row]),
                str(page["reasoning"][row]),
                f"{page['cost'][row] // 10**12}.{page['cost'][row] % 10**12:012d}",
                page["declared"][row],
                page["workflow_id"][row],
                page["feature"][row],
            )
        )
