"""Adjusting entries: what has changed in a closed period since it was closed, booked into the first open one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from attribution import periods
from attribution.allocation import Rules, from_pico
from attribution.closing import registers
from attribution.closing.registers import Closed
from attribution.errors import LedgerError
from attribution.ledger import Ledger
from attribution.periods import Period
from attribution.showing import count
from attribution.statements import charge_events
from attribution.statements.drawing_up import draw_lines, price_book
from attribution.statements.lines import Line
from attribution.true_ups import true_up

#: How `charged_event` marks the two sides of an upheld dispute, before its id.
LOST, WON = "dispute:from:", "dispute:to:"
#: Lines that calls do not cause one by one; what they differ by is booked line by line.
_LINES = ("unowned", "shared", "unowned_share", "residual", "prepaid", "markup", "minimum", "offset")


def true_up_months(ledger: Ledger, period: Period) -> None:
    """Spread the bills of a period onto its calls, where there are bills."""
    months = periods.months(period) or []
    query = """
        select count(*) from bill_line
        where list_contains($months, coalesce(billing_period, strftime(period_start, '%Y-%m')))
    """
    if months and ledger.value(query, {"months": months}):
        if is_read_only(ledger):
            _require_trued_up(ledger, months)
            return
        true_up(ledger, f"{months[0]}..{months[-1]}")


def is_read_only(ledger: Ledger) -> bool:
    """Whether the ledger was opened without the right to change it."""
    return bool(ledger.value("select readonly from duckdb_databases() where database_name = current_database()"))


def _require_trued_up(ledger: Ledger, months: list[str]) -> None:
    """Refuse to state a month from a ledger that may not be changed and was never trued up."""
    done = {row[0] for row in ledger.rows("select distinct period from trued_up")}
    if missing := [month for month in months if month not in done]:
        raise LedgerError.empty(
            f"true-up of {', '.join(missing)} and is open read-only",
            "Open it for writing once: bills are spread into it.",
        )


def book_adjustments(ledger: Ledger, rules: Rules | None = None) -> pd.DataFrame:
    """Book what has changed in each closed period since it was closed; booking twice books nothing more.

    Each entry says what changed, for whom, by how much and why, with a link. Calls are compared one by one, so that
    a late call, another owner and a corrected bill are told apart; allocated and residual lines follow them. For
    each closed period: statements as closed + entries = statements as they would be drawn up now.

    Parameters
    ----------
    ledger
        A ledger with closed periods; each entry goes into the first period after it that is open. One that is open
        read-only shows what is booked and books nothing.
    rules
        Rules that hold now; periods closed under other rules are restated by them, unless their `valid_from` is
        later. Without, each period keeps its own.

    Returns
    -------
    pandas.DataFrame
        The new rows of `journal`.
    """
    booked: list[str] = []
    if is_read_only(ledger):
        return registers.journal(ledger, booked)
    seen = registers.watch(ledger)
    for closed in registers.closed_periods(ledger):
        held = rules if rules is not None and rules.holds_from(closed.start) else closed.rules
        if closed.checked == f"{seen}/{held.digest}":
            continue
        true_up_months(ledger, closed.period)
        with ledger.transaction():
            booked += _adjust(ledger, closed, held)
        seen = registers.watch(ledger)
        registers.check(ledger, closed, f"{seen}/{held.digest}")
    return registers.journal(ledger, booked)


def _adjust(ledger: Ledger, closed: Closed, rules: Rules) -> list[str]:
    charge_events(ledger, closed.period, rules, closed.basis)
    apply_disputes(ledger, closed.label)
    _compare_calls(ledger, closed)
    common = {
        "booked_in": registers.first_open(ledger, closed),
        "for_period": closed.label,
        "revision": closed.revision,
        "basis": closed.basis,
    }
    bills = _bills(ledger, closed)
    entries = [_call_entry(row, rules, bills, ledger) | common for row in _call_differences(ledger)]
    entries += [entry | common for entry in _line_entries(ledger, closed, rules, bills)]
    booked = registers.book(ledger, entries)
    ledger.run(
        """
        insert into charged_event
        select $label, event_id, owner_team, pool, provider, amount, $mark from call_difference
        """,
        {"label": closed.label, "mark": "reallocated" if not booked else booked[0]},
    )
    return booked


def apply_disputes(ledger: Ledger, label: str) -> None:
    """Let calls of upheld disputes be the winner's, so that what a person moved is not moved back, nor twice."""
    ledger.run(
        """
        update event_charge set owner_team = moved.to_team
        from (
            select coalesce(event_alias.event_id, lost.event_id) as event_id, lost.owner_team as from_team,
                won.owner_team as to_team
            from charged_event as lost
            join charged_event as won on won.for_period = lost.for_period and won.event_id = lost.event_id
                and won.entry_id = replace(lost.entry_id, $lost, $won)
            left join event_alias on event_alias.old_event_id = lost.event_id
            where lost.for_period = $label and starts_with(lost.entry_id, $lost)
        ) as moved
        where event_charge.event_id = moved.event_id and event_charge.owner_team is not distinct from moved.from_team
        """,
        {"label": label, "lost": LOST, "won": WON},
    )


#: Known (as closed, and as booked since) beside current, by call, team and pool; only what differs.
_CALL_DIFFERENCE = """
    create or replace temp table call_difference as
    with known as (
        select coalesce(event_alias.event_id, charged_event.event_id) as event_id, owner_team, pool,
            min(provider) as provider, sum(amount) as amount
        from charged_event left join event_alias on event_alias.old_event_id = charged_event.event_id
        where for_period = $label group by all
    ),
    present as (
        select event_id, owner_team, pool, min(provider) as provider, sum(coalesce(amount, 0)) as amount
        from event_charge group by all
    ),
    told as (
        select coalesce(present.event_id, known.event_id) as event_id,
            coalesce(present.owner_team, known.owner_team) as owner_team, coalesce(present.pool, known.pool) as pool,
            coalesce(present.provider, known.provider) as provider,
            cast(coalesce(present.amount, 0) - coalesce(known.amount, 0) as decimal(38, 12)) as amount
        from present full join known on present.event_id = known.event_id
            and present.owner_team is not distinct from known.owner_team
            and present.pool is not distinct from known.pool
    ),
    call as (
        select event_id, sum(amount) as net,
            event_id in (select event_id from known) as was_known,
            event_id in (select event_id from present) as is_present
        from told group by event_id
    )
    select told.*, net, was_known, is_present
    from told join call using (event_id) where told.amount <> 0
"""


def _compare_calls(ledger: Ledger, closed: Closed) -> None:
    ledger.run(_CALL_DIFFERENCE, {"label": closed.label})


def _call_differences(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the differences of calls that teams bear directly, added up by what links them."""
    rows: list[dict[str, Any]] = ledger.arrow(
        """
        with other as (
            select event_id, count(*) as sides, list(owner_team order by owner_team nulls last) as teams,
                bool_or(pool is not null) as is_pooled
            from call_difference group by event_id
        ),
        file as (
            select event_id, min(source_file.path) as path
            from event_observation join observation using (observation_id) join source_file using (file_id)
            where event_id in (select event_id from call_difference where not was_known)
            group by event_id
        ),
        told as (
            select call_difference.*,
                case when not was_known then 'late_event' when not is_present then 'removed_event'
                     when is_pooled then 'changed_pool' when net = 0 then 'changed_owner'
                     else 'changed_amount' end as kind,
                case when sides = 2 and net = 0 and was_known and is_present and not is_pooled then
                    case when teams[1] is not distinct from call_difference.owner_team then teams[2]
                         else teams[1] end end as counter_team,
                file.path, cost_event.owner_from
            from call_difference join other using (event_id) left join file using (event_id)
            left join cost_event using (event_id)
            where pool is null and call_difference.owner_team is not null
        )
        select kind, owner_team, counter_team, provider,
            case kind when 'late_event' then path when 'changed_owner' then owner_from end as came_from,
            cast(sum(amount) as decimal(38, 12)) as amount, count(distinct event_id) as calls,
            cast(min(event_id) as varchar) as first_event
        from told group by kind, owner_team, counter_team, provider, came_from having sum(amount) <> 0
        order by kind, owner_team nulls last, counter_team nulls last, provider nulls last, came_from nulls last
        """
    ).to_pylist()
    return rows


def _bills(ledger: Ledger, closed: Closed) -> dict[str | None, tuple[str, str, str]]:
    """Return for each provider what became of its bill since the closing: kind of entry, words, and the bill."""
    now = ledger.arrow(
        """
        select provider, cast(sum(billed_cost) as decimal(38, 12)) as invoice,
            coalesce(min(invoice_id), min(document), min(provider)) as bill
        from trued_up where list_contains($months, period) and status <> 'accrual' group by provider
        """,
        {"months": periods.months(closed.period) or []},
    )
    found: dict[str | None, tuple[str, str, str]] = {}
    for row in now.to_pylist():
        before = closed.providers.get(row["provider"], {}).get("invoice")
        bill = f"{row['bill']} of {closed.label}"
        if before is None:
            found[row["provider"]] = ("bill_arrived", f"the bill {bill} arrived and replaces the accrual", row["bill"])
        elif Decimal(before) != row["invoice"]:
            words = f"the bill {bill} was corrected from {before} to {row['invoice']:f} USD"
            found[row["provider"]] = ("corrected_bill", words, row["bill"])
        else:
            found[row["provider"]] = ("respread", f"the same bill {bill} is borne by other calls", row["bill"])
    return found


def _call_entry(
    row: dict[str, Any], rules: Rules, bills: dict[str | None, tuple[str, str, str]], ledger: Ledger
) -> dict[str, Any]:
    """Return the entry for one group of calls, with why and where it comes from."""
    calls, first = row["calls"], row["first_event"]
    kept = {name: row[name] for name in ("owner_team", "counter_team", "provider", "amount", "calls")}
    many = count(calls, "call")
    if row["kind"] == "late_event":
        return kept | _why("late_event", f"{many} arrived after the close", "file", row["came_from"], calls, first)
    if row["kind"] == "removed_event":
        return kept | _why("removed_event", f"{many} are no longer calls of the period", "event", first, 1, first)
    if row["kind"] == "changed_owner":
        other = row["counter_team"] or "another owner"
        words = f"{many} {'of' if row['amount'] > 0 else 'moved to'} {other}, by evidence that came later"
        return kept | _why("changed_owner", words, "owner", row["came_from"], calls, first)
    if row["kind"] == "changed_pool":
        return kept | _why("changed_rules", f"{many} moved by other rules", "rules", rules.digest, 2, first)
    if row["provider"] in bills:
        kind, words, bill = bills[row["provider"]]
        return kept | _why(kind, f"{many}: {words}", "bill", bill, 2, first)
    return kept | _why("changed_price", f"{many} are priced otherwise", "price_book", price_book(ledger), 2, first)


def _why(kind: str, reason: str, link_kind: str, link: str | None, calls: int, first: str) -> dict[str, Any]:
    """Link a single call by its id, many by what they share."""
    if calls == 1 or link is None:
        link_kind, link = "event", first
    return {"kind": kind, "reason": reason, "link_kind": link_kind, "link": link}


def _line_entries(
    ledger: Ledger, closed: Closed, rules: Rules, bills: dict[str | None, tuple[str, str, str]]
) -> list[dict[str, Any]]:
    """Return entries for allocated, residual and unowned lines that have changed, one per team and link."""
    known = _known_lines(ledger, closed)
    for line in draw_lines(ledger, closed.period, rules, closed.basis)[0]:
        if line["kind"] in _LINES:
            key = (line["owner_team"], line.get("provider"), line_link(line))
            known[key] = known.get(key, 0) - (line["amount"] or 0)
    is_ruled = rules.digest != closed.rules.digest
    entries = []
    for key in sorted(known, key=lambda key: tuple((part is None, part or "") for part in key)):
        team, provider, link = key
        if not known[key]:
            continue
        what = link.partition("/")[0]
        is_bills_own = what in ("residual", "prepaid") or bills.get(provider, ("respread",))[0] != "respread"
        if provider in bills and is_bills_own:
            kind, reason, _ = bills[provider]
        elif is_ruled:
            kind, reason = "changed_rules", f"rules {rules.name} in place of {closed.rules.name}"
        else:
            kind, reason = "reallocated", "follows what has changed in the period"
        entry = {"owner_team": team, "provider": provider, "amount": from_pico(-known[key]), "kind": kind}
        entries.append(entry | {"reason": f"{_in_words(link)}: {reason}", "link_kind": "line", "link": link})
    return entries


#: How reasons call the lines that no call causes by itself.
_WORDS = {
    "unowned": "spend without an owner",
    "shared": "shared cost",
    "unowned_share": "share of spend without an owner",
    "residual": "what invoices hold beyond calls",
    "prepaid": "what is paid ahead",
    "markup": "markup",
    "minimum": "minimum",
    "offset": "what takes markups and minimums back",
}


def _in_words(link: str) -> str:
    """Return what a line's link says, for people: `shared cost of guard, aws`."""
    kind, _, rest = link.partition("/")
    pool, _, provider = rest.rpartition("/")
    what = f"{_WORDS[kind]} of {pool}" if kind == "shared" else _WORDS[kind]
    return f"{what}, {provider}" if provider else what


def _known_lines(ledger: Ledger, closed: Closed) -> dict[tuple[str | None, str | None, str], int]:
    """Return what is known of such lines, in pico-dollars: as closed, and as booked since."""
    rows = ledger.arrow(
        """
        select owner_team, provider, kind, pool, amount, cast(null as varchar) as link from statement_line
        where period = $label and revision = $revision and list_contains($kinds, kind)
        union all
        select owner_team, provider, kind, null, amount, link from journal
        where for_period = $label and revision = $revision and link_kind = 'line'
        """,
        {"label": closed.label, "revision": closed.revision, "kinds": list(_LINES)},
    )
    known: dict[tuple[str | None, str | None, str], int] = {}
    for row in rows.to_pylist():
        key = (row["owner_team"], row["provider"], row["link"] or line_link(row))
        known[key] = known.get(key, 0) + (0 if row["amount"] is None else int(row["amount"].scaleb(12)))
    return known


def line_link(line: Line | dict[str, Any]) -> str:
    """Return what an entry for a line links to: its kind, pool and provider."""
    return f"{line['kind']}/{line.get('pool') or ''}/{line.get('provider') or ''}"
