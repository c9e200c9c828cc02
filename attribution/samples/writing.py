"""Write the sample company into a folder, part by part."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from attribution.errors import QuestionError
from attribution.samples.article import Steering, begin, next_dearness, tell_stories
from attribution.samples.bills import Bills, set_billed
from attribution.samples.company import Company, load_company
from attribution.samples.exports.anthropic import write_anthropic
from attribution.samples.exports.aws import write_cur
from attribution.samples.exports.azure import write_azure
from attribution.samples.exports.bedrock import write_invocations
from attribution.samples.exports.configuration import write_configuration
from attribution.samples.exports.direct import write_runs
from attribution.samples.exports.google import write_google
from attribution.samples.exports.invoices import write_invoices
from attribution.samples.exports.langfuse import deliver_twice, write_observations
from attribution.samples.exports.litellm import write_gateway_logs
from attribution.samples.exports.openai import write_openai
from attribution.samples.exports.otlp import write_spans
from attribution.samples.facts import Facts, write_bill_truth
from attribution.samples.faults import choose_faults, place_faults
from attribution.samples.files import Folder
from attribution.samples.page import Page, render
from attribution.samples.rhythm import Part, days_of, plan
from attribution.samples.traffic import generate
from attribution.samples.truth import Truth

MOST_MONTHS = 6


@dataclass(frozen=True)
class Sample:
    """What was written."""

    folder: Path
    calls: int
    months: int
    seed: int
    faults: tuple[str, ...]
    month_usd: Decimal


def write_sample(
    folder: str | os.PathLike[str],
    *,
    calls: int = 10_000_000,
    seed: int = 7,
    months: int = 3,
    faults: str | Iterable[str] = "all",
) -> Sample:
    root, chosen = Path(folder), choose_faults(faults)
    _check(root, calls, months, seed)
    company = load_company()
    parts = plan(calls, months)
    steering = begin(calls, months, parts, company, seed, chosen)
    root.mkdir(parents=True, exist_ok=True)
    with Folder(root) as files:
        truth = Truth(files)
        facts = Facts()
        bills = Bills(company, steering.month_usd, days_of(months), chosen)
        first = first_request = 0
        for part in parts:
            page = _make(part, company, steering, seed, chosen, first, first_request)
            first += len(page)
            first_request += len(page.calls["r_workflow"])
            write_spans(page, company, files, chosen)
            write_gateway_logs(page, company, files)
            write_observations(page, company, files)
            write_invocations(page, company, files)
            write_runs(page, company, files)
            bills.add(page.calls)
            facts.add(page, company)
            truth.add(page, company)
        truth.close()
        for write in (write_openai, write_anthropic, write_cur, write_azure, write_google, write_invoices):
            write(bills, files)
        write_configuration(bills, files)
        if "file_twice" in chosen:
            deliver_twice(files)
        write_bill_truth(bills, files)
        facts.write(files, bills, steering.month_usd)
    return Sample(root, calls, months, seed, tuple(sorted(chosen)), Decimal(str(steering.month_usd)))


def _check(root: Path, calls: int, months: int, seed: int) -> None:
    """Refuse bad options before anything is touched."""
    if not isinstance(calls, int) or calls < 1:
        raise QuestionError.bad_argument("calls", calls, "a whole number of at least 1")
    if not isinstance(months, int) or not 1 <= months <= MOST_MONTHS:
        raise QuestionError.bad_argument("months", months, f"a whole number from 1 to {MOST_MONTHS}")
    if not isinstance(seed, int) or seed < 0:
        raise QuestionError.bad_argument("seed", seed, "a whole number of at least 0")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise QuestionError.folder_not_empty(str(root))


def _make(
    part: Part, company: Company, steering: Steering, seed: int, faults: frozenset[str], first: int, first_request: int
) -> Page:
    calls = generate(part, company, seed, next_dearness(steering, part), faults)
    tell_stories(calls, part, company, steering)
    place_faults(calls, part, company, steering.tally(part.month), faults, seed)
    set_billed(calls, company, faults)
    return render(part, calls, company, seed, faults, first, first_request)
