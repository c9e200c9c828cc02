"""Draw up: from calls and invoices to the statements of a period, without booking or freezing anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attribution import coverages, periods, showing
from attribution.allocation import BASES, Rules, from_pico
from attribution.errors import LedgerError, QuestionError
from attribution.ledger import Ledger
from attribution.periods import Period
from attribution.statements import charges, lines, savings, summaries
from attribution.statements.chargeback import FRAMES, Chargeback, frame

if TYPE_CHECKING:
    import pandas as pd


def draw_up(ledger: Ledger, period: Period, rules: Rules, *, basis: str | None = None) -> Chargeback:
    """Return the statements of a period as the ledger stands now, with the adjusting entries booked in it.

    Parameters
    ----------
    ledger
        A built ledger, trued up as far as its bills go.
    period
        Months for statements that make invoices; any other stretch of time is an accrual.
    rules
        How shared and unowned spend is split.
    basis
        What is charged; the rules' own when not given.

    Raises
    ------
    QuestionError
        If the basis is not one.
    AllocationError
        If a pool cannot be split.
    LedgerError
        If the period has no calls and no bills.
    """
    basis = basis or rules.basis
    if basis not in BASES:
        raise QuestionError.bad_argument("basis", basis, f"one of {', '.join(BASES)}")
    charges.charge_events(ledger, period, rules, basis)
    own, shares = draw_lines(ledger, period, rules, basis)
    own += adjusting_lines(ledger, period.label)
    if not own:
        raise LedgerError.empty(f"calls or bills of {period.label}", "Load them, or name another period.")
    finished = lines.finish(own, period.label, shares)
    return _answer(ledger, period, rules, basis, finished, shares)


def draw_lines(
    ledger: Ledger, period: Period, rules: Rules, basis: str
) -> tuple[list[lines.Line], list[dict[str, Any]]]:
    """Return a period's lines and pool shares from `event_charge` and the invoices, without adjusting entries."""
    cells = charges.cells(ledger)
    residuals = charges.residuals(ledger, period, rules, basis)
    registry = charges.registered(ledger, period)
    teams = {*registry, *(row["owner_team"] for row in cells if row["owner_team"] is not None)}
    charges.check_teams(ledger, rules)
    allocated, shares = lines.split_pools(rules, cells, residuals, teams, charges.measure_drivers(ledger))
    own = [*lines.own_lines(cells, rules), *allocated, *lines.residual_lines(residuals)]
    own += [*lines.ruled_lines(own, rules, teams), *_prepaid(summaries.invoices(ledger, period), basis)]
    return own, shares


def _prepaid(billed: Mapping[str, Mapping[str, Any]], basis: str) -> list[lines.Line]:
    """Return, on effective cost, what was paid ahead less what was drawn down: it makes the invoice whole."""
    if basis != "effective":
        return []
    words = "paid ahead, less what was drawn down in the period"
    return [
        {
            "kind": "prepaid",
            "owner_team": None,
            "provider": provider,
            "description": words,
            "amount": said["billed"] - said["effective"],
        }
        for provider, said in billed.items()
        if said["billed"] != said["effective"]
    ]


def adjusting_lines(ledger: Ledger, label: str) -> list[lines.Line]:
    """Return the entries of the journal that are booked in a period, as lines."""
    rows = ledger.arrow(
        """
        select entry_id, for_period, owner_team, provider, kind, reason, amount, calls
        from journal where booked_in = $label order by entry_id
        """,
        {"label": label},
    )
    return [
        {
            "kind": "adjustment",
            "owner_team": row["owner_team"],
            "provider": row["provider"],
            "category": row["kind"],
            "description": f"{row['for_period']}: {row['reason']}",
            "link": row["entry_id"],
            "calls": row["calls"],
            "amount": int(row["amount"].scaleb(12)),
        }
        for row in rows.to_pylist()
    ]


def _answer(
    ledger: Ledger,
    period: Period,
    rules: Rules,
    basis: str,
    finished: list[lines.Line],
    shares: list[dict[str, Any]],
) -> Chargeback:
    billed = summaries.invoices(ledger, period)
    registry = charges.registered(ledger, period)
    states = {provider: str(said["state"]) for provider, said in billed.items()}
    months = len(periods.months(period) or [None])
    teams = summaries.statements(finished, registry, rules, months, states)
    ties = summaries.providers(finished, billed, summaries.accruals(ledger), basis)
    state = (
        summaries.weakest(row["state"] for row in ties if row["provider"])
        if basis in ("effective", "billed")
        else "accrual"
    )
    coverage = coverages.measure_coverage(ledger, period=period)
    frames: dict[str, Any] = {
        "lines": frame([_in_dollars(line) for line in finished], FRAMES["lines"]),
        "statements": frame(teams, FRAMES["statements"]),
        "providers": frame(ties, FRAMES["providers"]),
        "shares": frame(shares, FRAMES["shares"]),
        "unit_costs": frame(
            summaries.unit_costs(ledger, {row["owner_team"]: row["amount"] for row in teams}), FRAMES["unit_costs"]
        ),
        "savings": frame(savings.measure(ledger, rules), FRAMES["savings"]),
        "coverage": coverage[[*FRAMES["coverage"]]],
    }
    return Chargeback(
        period=period.label,
        period_start=period.start,
        period_end=period.end,
        basis=basis,
        state=state,
        rules=rules.name,
        rules_digest=rules.digest,
        price_book=price_book(ledger),
        inputs=fingerprints(ledger, period),
        code_version=code_version(),
        as_of=ledger.value(
            "select greatest((select max(last_at) from source_file), (select max(as_of) from trued_up))"
        ),
        headline=_headline(period, basis, state, finished, teams) + _reported(coverage) + _undated(ledger),
        **frames,
    )


def _in_dollars(line: lines.Line) -> dict[str, Any]:
    return {**line, **{name: None if line[name] is None else from_pico(line[name]) for name in lines.MONEY}}


def _headline(period: Period, basis: str, state: str, finished: list[lines.Line], teams: list[dict[str, Any]]) -> str:
    charged = [row for row in teams if row["amount"]]
    total = sum((row["cents"] for row in charged), Decimal(0))
    rest: dict[str, Decimal] = {}
    for line in finished:
        if line["owner_team"] is None and line.get("cents"):
            rest[line["kind"]] = rest.get(line["kind"], Decimal(0)) + line["cents"]
    drawn = rest.get("prepaid", Decimal(0)) < 0
    words = {
        "unowned": "has no owner",
        "residual": "is on invoices and of no call",
        "prepaid": "of it was paid ahead in earlier periods" if drawn else "is paid ahead for later periods",
    }
    rest["prepaid"] = abs(rest.get("prepaid", Decimal(0)))
    others = "; ".join(f"{showing.dollars(rest[kind])} {said}" for kind, said in words.items() if rest.get(kind))
    unpriced = sum(row["unpriced_calls"] for row in teams)
    have = "has no price and is" if unpriced == 1 else "have no price and are"
    missing = f" {showing.count(unpriced, 'call')} {have} not in it." if unpriced else ""
    return (
        f"{period.label}, {state}: {showing.dollars(total)} of {basis} cost to {showing.count(len(charged), 'team')}"
        f"{f'; {others}' if others else ''}.{missing}"
    )


def _reported(coverage: pd.DataFrame) -> str:
    """Say the unattributed share as it is reported: allocating spend without an owner never lowers it."""
    low, high = coverage["unowned_low"].item(), coverage["unowned_high"].item()
    return "" if showing.is_missing(low) else f" Unattributed, as reported: {showing.band(low, high)} of list cost."


def _undated(ledger: Ledger) -> str:
    """Say how many calls of the ledger belong to no period, for nothing says when they were."""
    calls = ledger.value("select count(*) from cost_event where started_at is null and billed_period is null")
    return (
        f" {showing.count(calls, 'call')} of the ledger without a time {'is' if calls == 1 else 'are'} in no period."
        if calls
        else ""
    )


def price_book(ledger: Ledger) -> str | None:
    """Return the fingerprint of the price book, where calls are priced."""
    if "rate_book" not in ledger.tables():
        return None
    rows = ledger.rows("select fingerprint from rate_book")
    return str(rows[0][0]) if rows else None


def code_version() -> str:
    """Return the version of this package."""
    from attribution import __version__

    return __version__


#: What the statements of a period rest on, each as one number that does not depend on the order of rows.
_FINGERPRINTS = {
    "calls": "select count(*), sum(md5_number_lower(cast(event_id as varchar))) from event_charge",
    "owners": """select count(*), sum(md5_number_lower(concat_ws('|', event_id, coalesce(owner_team, ''), evidence,
        coalesce(pool, ''), coalesce(workflow_id, ''), coalesce(feature, '')))) from event_charge""",
    "amounts": """select count(*), sum(md5_number_lower(concat_ws('|', event_id, coalesce(owner_team, ''),
        coalesce(cast(amount as varchar), '?')))) from event_charge""",
    "bills": """select count(*), sum(md5_number_lower(concat_ws('|', period, provider, status, fingerprint)))
        from trued_up where list_contains($months, period)""",
    "registry": "select count(*), sum(md5_number_lower(cast(entry as varchar))) from team as entry",
}


def fingerprints(ledger: Ledger, period: Period) -> str:
    """Return the fingerprints of a period's inputs as JSON; `event_charge` holds the period."""
    months = {"months": periods.months(period) or []}
    found = {}
    for name, query in _FINGERPRINTS.items():
        row = ledger.rows(query, months if "$months" in query else None)[0]
        found[name] = hashlib.sha256(f"{row}".encode()).hexdigest()[:16]
    return json.dumps(found, sort_keys=True)
