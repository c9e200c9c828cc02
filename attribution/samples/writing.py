"""Write the sample company into a folder, part by part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from attribution.errors import QuestionError
from attribution.samples.article import Steering, begin, next_dearness, tell_stories
from attribution.samples.bills import Bills, set_billed
from attribution.samples.changes import Plan, choose_changes, faults_of
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
from attribution.samples.exports.told import write_tellings
from attribution.samples.facts import Facts, write_bill_truth, write_change_truth
from attribution.samples.faults import choose_faults, place_faults
from attribution.samples.files import Folder
from attribution.samples.page import Page, render
from attribution.samples.rhythm import Part, days_of, plan
from attribution.samples.traffic import generate
from attribution.samples.truth import Truth

MOST_MONTHS = 6
_TELEMETRY = (write_gateway_logs, write_observations, write_invocations, write_runs)
_BILLS = (write_openai, write_anthropic, write_cur, write_azure, write_google, write_invoices, write_configuration)


@dataclass(frozen=True)
class Sample:
    """What was written."""

    folder: Path
    calls: int
    months: int
    seed: int
    faults: tuple[str, ...]
    month_usd: Decimal
    changes: tuple[str, ...] = ()


def write_sample(
    folder: str | os.PathLike[str],
    *,
    calls: int = 100_000,
    seed: int = 7,
    months: int = 3,
    faults: str | Iterable[str] = "all",
    changes: str | Iterable[str] = "none",
) -> Sample:
    """Write the sample company: telemetry, bills, configuration, and the truth they are judged by.

    The same arguments give the same bytes. Shares and ratios are the same at every size; October's bill is 22,000 USD
    from about a million calls on, and a tenth, a hundredth … of that below, with calls that are dearer than at full
    size (ten million calls).

    Parameters
    ----------
    folder
        A new or empty folder. It gets `data/` (what the real systems would have exported), `config/` (what people
        reviewed), `truth/` (every call, fault and bill line, as Parquet) and `article/`, the two traces of the
        article, each in a folder of its own.
    calls
        Provider calls over all months.
    seed
        Decides everything that chance decides.
    months
        How many months, the last being October 2026.
    faults
        `all`, `none`, or the names of the faults to plant.
    changes
        `all`, `none`, or the names of the changes to plant: weeks that repeat an earlier one but for what was
        changed, with what it cost by driver in `truth/changes.parquet`. Each brings the fault that it needs.

    Returns
    -------
    Sample
        What was written; `month_usd` is what October is steered to, at list price [USD].

    Raises
    ------
    QuestionError
        For a bad option, an unknown fault, or a folder that is not empty; nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> from attribution.samples import write_sample
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sample = write_sample(folder, calls=300, months=1, faults="none")
    ...     sorted(path.name for path in sample.folder.iterdir())
    ['article', 'config', 'data', 'truth']
    """
    root = Path(folder)
    _check(root, calls, months, seed)
    planted = choose_changes(changes, days_of(months)[0])
    chosen = choose_faults(faults) | faults_of(planted)
    with _whole_or_nothing(root) as place:
        month_usd = _write(place, calls, months, seed, chosen, planted)
    return Sample(root, calls, months, seed, tuple(sorted(chosen)), Decimal(f"{month_usd:.2f}"), planted)


def _write(place: Path, calls: int, months: int, seed: int, chosen: frozenset[str], planted: tuple[str, ...]) -> float:
    """Write everything below a folder; return what October is steered to [USD]."""
    company = load_company()
    changes = Plan(company, planted)
    steering = begin(calls, months, company, seed, chosen)
    with Folder(place) as files:
        truth, facts = Truth(files), Facts(chosen)
        bills = Bills(company, steering.month_usd, days_of(months), chosen)
        for page in _pages(company, steering, plan(calls, months), seed, chosen, changes):
            write_spans(page, company, files, chosen)
            for write in _TELEMETRY:
                write(page, company, files)
            bills.add(page.calls)
            facts.add(page, company)
            truth.add(page, company)
        truth.close()
        for write_bill in _BILLS:
            write_bill(bills, files)
        write_tellings(files)
        if "file_twice" in chosen:
            deliver_twice(files)
        write_bill_truth(bills, files)
        if planted:
            write_change_truth(changes.truth(), files)
        facts.write(files, bills, steering.month_usd)
    return steering.month_usd


@contextmanager
def _whole_or_nothing(root: Path) -> Iterator[Path]:
    """Write beside the folder and move at the end, so that nobody ever finds half a company under its name."""
    root.parent.mkdir(parents=True, exist_ok=True)
    place = root.resolve().parent / f".{root.resolve().name}.partial-{os.getpid()}"
    place.mkdir()
    try:
        yield place
        if root.exists():
            for made in sorted(place.iterdir()):
                made.replace(root / made.name)
            place.rmdir()
        else:
            place.replace(root)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _check(root: Path, calls: int, months: int, seed: int) -> None:
    """Refuse bad options before anything is touched."""
    for name, given, least, most in (
        ("calls", calls, 1, 10**9),
        ("months", months, 1, MOST_MONTHS),
        ("seed", seed, 0, 2**32),
    ):
        if type(given) is not int or not least <= given <= most:
            raise QuestionError.bad_argument(name, given, f"a whole number from {least:,} to {most:,}")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise QuestionError.folder_not_empty(str(root))


def _pages(
    company: Company, steering: Steering, parts: Iterable[Part], seed: int, faults: frozenset[str], changes: Plan
) -> Iterator[Page]:
    """Generate the company part by part; only one part is in memory, and the weeks that will be replayed."""
    first = first_request = 0
    for part in parts:
        made = generate(part, company, seed, next_dearness(steering, part), faults, steering.weeks)
        made = changes.plant(made, part)
        tell_stories(made, part, company, steering, faults)
        place_faults(made, part, company, steering.tally(part.month), faults, seed)
        set_billed(made, company, faults)
        yield render(part, made, company, seed, faults, first, first_request)
        first += len(made["step"])
        first_request += len(made["r_workflow"])
