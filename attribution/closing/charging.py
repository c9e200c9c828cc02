"""Charge back, close and reopen: statements of open periods are drawn up, those of closed ones shown as they were."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from typing import Any

import pandas as pd

from attribution import periods
from attribution.allocation import Rules
from attribution.closing import registers
from attribution.closing.adjusting import book_adjustments, true_up_months
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.periods import Period
from attribution.statements import Chargeback, as_closed, charge_events, comparing, draw_up, from_document

RulesLike = Rules | str | os.PathLike[str] | None


def charge_back(
    ledger: Ledger, period: str | date | Period, rules: RulesLike = None, *, basis: str | None = None
) -> Chargeback:
    """Draw up one statement per team for a period; with what no team bears they are the invoices, to the cent.

    Bills of the period are trued up first, and what has changed in closed periods since they were closed is booked
    into the first open period. A closed period gives its frozen statements back, byte for byte.

    Parameters
    ----------
    ledger
        A built ledger.
    period
        A month such as `2026-10`, a quarter, a period of the rules' calendar; other stretches of time are accruals,
        for bills are monthly.
    rules
        A rules file, or what `read_rules` returned; without, spend without an owner stays visible and nothing is
        shared. Rules that differ from those of a closed period restate it, by entries, unless they state a later
        `valid_from`.
    basis
        `effective` (the default of rules), `billed`, `contracted` or `list`: what `amount` is. Where a provider's
        bill is not there yet, effective and billed stand on contracted prices: an accrual, and called one.

    Returns
    -------
    Chargeback
        Frames of lines, statements, providers, shares, unit costs, savings and coverage.

    Raises
    ------
    QuestionError
        If the period or basis is not one.
    AllocationError, ConfigurationError
        If the rules cannot be read or a pool cannot be split.
    LedgerError
        If the period holds nothing.

    Examples
    --------
    >>> import attribution as at
    >>> config = "sample_data/acme/config"
    >>> ledger = at.build_ledger("sample_data/acme/data/direct", config=f"{config}/attribution.yaml", quiet=True)
    >>> found = at.charge_back(ledger, "2026-10", f"{config}/chargeback.yaml")
    >>> found.state, sum(found.statement("research")["amount"]) == sum(found.lines["amount"])
    ('accrual', True)
    """
    given = registers.rules_of(rules)
    within = given.period(period)
    closed = registers.closed_period(ledger, within.label)
    if closed is not None:
        if basis not in (None, closed.basis):
            raise QuestionError.bad_argument("basis", basis, f"{closed.basis}: {within.label} was closed on it")
        return from_document(closed.document)
    true_up_months(ledger, within)
    book_adjustments(ledger, None if rules is None else given)
    return draw_up(ledger, within, given, basis=basis)


def close_period(
    ledger: Ledger, period: str | date | Period, rules: RulesLike = None, *, basis: str | None = None
) -> Chargeback:
    """Freeze the statements of a period with the fingerprints of all they rest on.

    What later changes (late calls, arriving or corrected bills, owners, prices, rules) is booked as adjusting
    entries into the first open period; the statements themselves never change again.

    Parameters
    ----------
    ledger
        A built ledger; only a file keeps what was closed.
    period, rules, basis
        As for `charge_back`.

    Returns
    -------
    Chargeback
        The statements as frozen.

    Raises
    ------
    QuestionError
        If the period, or a part of it, is closed already.
    """
    given = registers.rules_of(rules)
    within = given.period(period)
    for other in registers.closed_periods(ledger):
        if other.start < within.end and within.start < other.end:
            expected = f"an open period: {other.label} is closed (revision {other.revision}); reopen it with a reason"
            raise QuestionError.bad_argument("period", within.label, expected)
    drawn = charge_back(ledger, within, given if rules is not None else None, basis=basis)
    charge_events(ledger, within, given, drawn.basis)
    with ledger.transaction():
        _freeze(ledger, drawn, given)
    return as_closed(drawn)


def _freeze(ledger: Ledger, drawn: Chargeback, rules: Rules) -> None:
    label = drawn.period
    last = ledger.value("select coalesce(max(revision), 0) from period where period = $label", {"label": label})
    document = drawn.document()
    facts = {name: getattr(drawn, name) for name in ("period_start", "period_end", "basis", "price_book", "inputs")}
    facts |= {"code_version": drawn.code_version, "as_of": drawn.as_of, "rules_digest": rules.digest}
    facts |= {"rules_path": os.path.basename(rules.path), "rules_text": rules.text, "document": document}
    checksum = hashlib.sha256(document.encode()).hexdigest()
    row = {"period": label, "revision": last + 1, "state": "closed", "document_sha256": checksum, **facts}
    registers.write(ledger, "period", [row])
    lines = [line | {"revision": last + 1} for line in drawn.lines.to_dict("records")]
    registers.write(ledger, "statement_line", [{str(k): _none(v) for k, v in line.items()} for line in lines])
    ledger.run(
        """
        delete from charged_event
        where for_period = $label and not coalesce(starts_with(entry_id, 'dispute:'), false)
        """,
        {"label": label},
    )
    ledger.run(
        """
        insert into charged_event
        select $label, event_id, owner_team, pool, provider, sum(coalesce(amount, 0)), null
        from event_charge group by event_id, owner_team, pool, provider
        """,
        {"label": label},
    )


def _none(value: Any) -> Any:
    return None if value is pd.NA else value


def reopen_period(ledger: Ledger, period: str | date | Period, *, reason: str) -> pd.DataFrame:
    """Open a closed period again; the reason and the old statements are kept, and its booked entries are reversed.

    Returns
    -------
    pandas.DataFrame
        The reversing entries. Entries of upheld disputes stay: a person decided them.

    Raises
    ------
    QuestionError
        If the period is not closed, or no reason is given.
    """
    if not reason.strip():
        raise QuestionError.bad_argument("reason", reason, "why the period is opened again; it is kept")
    closed = registers.require_closed(ledger, period if isinstance(period, str) else periods.parse(period).label)
    entries = ledger.arrow(
        """
        select owner_team, provider, basis, -cast(sum(amount) as decimal(38, 12)) as amount from journal
        where for_period = $label and revision = $revision and kind <> 'dispute'
        group by owner_team, provider, basis having sum(amount) <> 0 order by all
        """,
        {"label": closed.label, "revision": closed.revision},
    ).to_pylist()
    booked_in = registers.first_open(ledger, closed)
    for entry in entries:
        entry |= {"booked_in": booked_in, "for_period": closed.label, "revision": closed.revision, "kind": "reopened"}
        entry |= {"reason": f"reopened: {reason.strip()}", "link_kind": "period", "link": closed.label}
    with ledger.transaction():
        ledger.run(
            "update period set state = 'reopened', reason = $reason where period = $label and revision = $revision",
            {"reason": reason.strip(), "label": closed.label, "revision": closed.revision},
        )
        booked = registers.book(ledger, entries)
    return registers.journal(ledger, booked)


def compare_allocations(
    ledger: Ledger,
    rules_a: RulesLike,
    rules_b: RulesLike,
    period: str | date | Period | None = None,
    *,
    basis: str | None = None,
) -> pd.DataFrame:
    """Show what each team bears under two sets of rules, before and after; nothing is booked.

    Parameters
    ----------
    ledger
        A built ledger.
    rules_a, rules_b
        Rules files or rules; `None` shares nothing.
    period
        Of both; from the first to the last month of the calls when not given.
    basis
        Of both; that of `rules_a` when not given.

    Returns
    -------
    pandas.DataFrame
        `owner_team` (null: what no team bears), `direct`, `before`, `after`, `difference` [USD]; the differences
        add up to nothing, for both make the same invoices.
    """
    first, second = registers.rules_of(rules_a), registers.rules_of(rules_b)
    within = first.period(period) if period is not None else comparing.all_months(ledger)
    true_up_months(ledger, within)
    return comparing.compare(ledger, first, second, within, basis or first.basis)
