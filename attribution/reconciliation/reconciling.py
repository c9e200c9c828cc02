"""reconcile(): the bridge from our calls to the bill, the cells behind every cause, and what evidence is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any

import pandas as pd

from attribution import periods
from attribution.errors import AttributionError, LedgerError, QuestionError
from attribution.ledger import Ledger
from attribution.reconciliation import bridges, evidence, frames, statuses
from attribution.reconciliation.causes import CAUSES
from attribution.reconciliation.cells import match_cells
from attribution.reconciliation.documents import Asked, months_in
from attribution.reconciliation.frames import CELL_CAUSES
from attribution.reconciliation.statuses import Tolerance
from attribution.showing import count, show

#: Calls that no bill can be told to be of; a period with nothing else is answered, with no provider and no dollar.
NO_PROVIDER = "calls_without_provider"
#: What the amounts of our side are.
BASIS = "contracted_cost: usage at the list price of the moment of each call, after the contract; unpriced calls are 0"


@dataclass(frozen=True)
class Reconciliation:
    """A bill and our calls, with a name for every dollar between them.

    Attributes
    ----------
    period, basis, as_of, tolerance
        What was asked, on which cost of ours, as of when (UTC), and what counts as a tie.
    status
        `ties`, `open`, `does not tie` or `provisional`: as bad as the worst provider.
    bridge
        All providers: `order`, `cause`, `label`, `amount` [USD], `calls`, `cells`, `kind`, `is_guess`, `guess`. The
        amounts of all rows but the last add up to the last, exactly.
    bridges
        The same per `provider`.
    statuses
        Per provider: `status`, `billed`, `unexplained` [USD], `share` [0–1], `document`, `why`.
    cells
        One row per cell: its place, calls, quantities and dollars of both sides, `gap`, one column per cause, and
        `status`; largest gaps first.
    causes
        The same in long form: `cause`, `cell_id`, `amount` [USD].
    lines
        Bill lines that belong to no call, with their cause.
    missing
        Missing evidence: `provider`, `state`, `what`, days, `amount` [USD], `calls`, and a `guess` marked as one.
    days
        `provider`, `day`, `ours`, `billed`, `gap` [USD].
    grain
        Per provider and dimension: whether cells have it, and why not. Beside it the bucket and the calendar.
    documents
        Which documents tell the bill, which is the total, and which was left out because it tells the same money.
    """

    period: str
    basis: str
    as_of: datetime | None
    tolerance: Tolerance
    status: str
    bridge: pd.DataFrame
    bridges: pd.DataFrame
    statuses: pd.DataFrame
    cells: pd.DataFrame
    causes: pd.DataFrame
    lines: pd.DataFrame
    missing: pd.DataFrame
    days: pd.DataFrame
    grain: pd.DataFrame
    documents: pd.DataFrame

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        if self.statuses.empty:
            calls = count(int(self.missing.loc[self.missing["state"] == NO_PROVIDER, "calls"].sum()), "call")
            return f"{self.period}: {calls} without a provider, and no bill: no bill can be told to be theirs."
        amounts = self.bridge.set_index("cause")["amount"]
        ours, billed, rest = (f"${amounts[name]:,.2f}" for name in ("ledger", "billed", "unexplained"))
        return f"{self.period}: our calls {ours}, billed {billed}, unexplained {rest}: {self.status}."

    def cells_behind(self, cause: str) -> pd.DataFrame:
        """Return the cells and lines behind a cause, largest first."""
        if cause not in CAUSES:
            raise QuestionError.bad_argument("cause", cause, f"one of {', '.join(CAUSES)}")
        if cause in CELL_CAUSES:
            found = self.cells[self.cells[cause] != 0]
            order = found[cause].abs().sort_values(ascending=False, kind="stable").index
            return found.loc[order].reset_index(drop=True)
        return self.lines[self.lines["cause"] == cause].reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; frames are lists of rows."""
        frames = ("bridge", "bridges", "statuses", "cells", "lines", "missing", "days", "grain", "documents")
        return {
            "period": self.period,
            "basis": self.basis,
            "as_of": self.as_of,
            "status": self.status,
            "headline": self.headline,
            **{name: getattr(self, name).to_dict("records") for name in frames},
        }

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{escape(self.headline)}</strong></p>"]
        for title, frame in (
            ("From our calls to the bill", self.bridge[["label", "amount", "calls", "guess"]]),
            ("Status", self.statuses[["provider", "status", "billed", "unexplained", "share", "why"]]),
            ("Missing evidence", self.missing),
        ):
            parts.append(f"<h4>{escape(title)}</h4>{show(frame)._repr_html_()}")
        return "".join(parts)


def reconcile(
    ledger: Ledger,
    period: str | date | periods.Period,
    provider: str | None = None,
    grain: str | Sequence[str] | None = None,
    *,
    as_of: str | datetime | None = None,
    tolerance: Tolerance | None = None,
) -> Reconciliation:
    """Explain the gap between our calls and the bill, as an exact sum of named causes.

    Bill and calls are compared at the finest grain that both carry, provider by provider; usage reports give
    quantities, cost reports and invoices give money, and no money is counted twice. A month is the provider's
    invoice month. Amounts are never changed by the tolerance, and what cannot be known is said in `missing`.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        A month such as `2026-10`, or a day, week, quarter, year or range.
    provider
        Only this provider; all that bill or are called when not given.
    grain
        `hour`, `day` or `month`, and dimensions such as `model`; the finest shared grain when not given. A coarser
        grain changes how a gap is split, never the gap.
    as_of
        The moment of asking [UTC]; the latest time in the data when not given.
    tolerance
        What counts as a tie.

    Returns
    -------
    Reconciliation
        `bridge`, `cells`, `missing`, `statuses` and the rest, all small frames.

    Raises
    ------
    QuestionError
        If the provider neither bills nor is called, or the grain is finer than the bill.
    LedgerError
        If the period has neither a bill nor a call: nothing ties with nothing.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/acme/data", config="sample_data/acme/config/attribution.yaml", quiet=True)
    >>> at.reconcile(ledger, "2026-10", "aws").headline
    '2026-10: our calls $6.30, billed $6.62, unexplained $0.00: ties.'
    """
    parsed = periods.parse(period)
    limits = tolerance or Tolerance()
    moment = statuses.read_as_of(ledger, as_of)
    sides = match_cells(ledger, parsed, provider, grain=grain)
    missing = evidence.find_missing(ledger, Asked(parsed, provider, months_in(parsed)))
    if not sides and NO_PROVIDER not in set(missing["state"]):
        raise _nothing(ledger, parsed.label, provider)
    found = bridges.build_bridges(ledger, sides)
    judged = statuses.judge(ledger, found, missing, sides, moment, limits)
    return Reconciliation(
        period=parsed.label,
        basis=BASIS,
        as_of=moment,
        tolerance=limits,
        status=statuses.worst(list(judged["status"])),
        bridge=bridges.add_up(found),
        bridges=found,
        statuses=judged,
        cells=frames.cells(ledger, limits, moment),
        causes=frames.causes(ledger),
        lines=frames.lines(ledger),
        missing=missing,
        days=evidence.daily_gaps(ledger),
        grain=frames.grain(sides),
        documents=frames.documents(ledger),
    )


def _nothing(ledger: Ledger, period: str, provider: str | None) -> AttributionError:
    """Return why there is nothing to compare: no such provider, or nothing of it in the period."""
    known = [row[0] for row in ledger.rows(_PROVIDERS)]
    if provider is not None and provider not in known:
        return QuestionError.bad_argument("provider", provider, f"one of {', '.join(known) or 'none'}")
    first, last = ledger.rows(_REACH)[0]
    whose = f" of {provider}" if provider else ""
    reach = f"What is loaded reaches from {first} to {last}." if first else "Load bills and calls."
    return LedgerError.empty(f"calls or bills{whose} in {period}", reach)


_REACH = """
    select min(day), max(day) from (
        select cast(started_at::date as varchar) as day from event where started_at is not null
        union all select cast(period_start::date as varchar) from bill_line
    )
"""
_PROVIDERS = """
    select distinct provider from event where provider is not null
    union select distinct provider from bill_line where provider is not null order by 1
"""
