"""What the widgets ask: a plain function behind each, for scripts, tests and people who would rather type."""

from __future__ import annotations

import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from attribution import periods, schema, showing
from attribution.allocation import Pool, allocate
from attribution.coverages import TARGET, measure_coverage
from attribution.errors import AttributionError, QuestionError
from attribution.explanations import explain_change
from attribution.ledger import Ledger
from attribution.reconciliation import Reconciliation
from attribution.reconciliation.frames import CELL_CAUSES
from attribution.rollups import roll_up

#: Ways to treat what nobody owns, in words → the method, and what it is measured by.
POLICIES: dict[str, tuple[str, str | None] | None] = {
    "leave it with nobody": None,
    "in proportion to direct cost": ("proportional", None),
    "evenly": ("even", None),
    "by calls": ("driver", "calls"),
    "by tokens": ("driver", "tokens"),
}
_POOL = "what nobody owns"
#: A folder may hold millions of files; nobody picks from a list longer than this.
_MAX_FILES = 500


def list_files(folder: str | os.PathLike[str] = ".") -> list[str]:
    """Return the files below a folder that can be looked at, hidden ones left out, at most 500.

    Raises
    ------
    QuestionError
        If it is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise QuestionError.bad_argument("folder", str(folder), "a folder that is there")
    found: list[str] = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                found.append((Path(place) / name).relative_to(root).as_posix())
            if len(found) == _MAX_FILES:
                return found
    return found


def list_values(ledger: Ledger, column: str) -> list[str]:
    """Return the values of one column of `cost_event`, or `day`, `week`, `month`, in order; nothing is left out."""
    name = schema.require([column], also=periods.CALENDAR)[0]
    expression = periods.CALENDAR.get(name, f'cast("{name}" as varchar)')
    rows = ledger.rows(f"select distinct {expression} as value from cost_event where value is not null order by value")
    return [str(row[0]) for row in rows]


def explore_spend(
    ledger: Ledger,
    *,
    period: str | None = None,
    team: str | None = None,
    provider: str | None = None,
    by: str = "feature",
) -> pd.DataFrame:
    """Show what one team spends with one provider in one period, by feature or another column; dearest first."""
    where = {"owner_team": team, "provider": provider}
    given = {name: value for name, value in where.items() if value is not None}
    rows = roll_up(ledger, by, where=given, period=period)
    order = sorted(range(len(rows)), key=lambda place: (_cost(rows, place), str(rows[by].iloc[place])))
    return rows.iloc[order].reset_index(drop=True)


def _cost(rows: pd.DataFrame, place: int) -> Decimal:
    cost = rows["list_cost"].iloc[place]
    return Decimal(1) if showing.is_missing(cost) else -Decimal(cost)


def over_threshold(ledger: Ledger, threshold: Decimal = TARGET, by: str = "week") -> pd.DataFrame:
    """Show in which periods more than a share of the dollars is not declared, and whether that is sure.

    `verdict` is `over` where even the low end of the share is above the threshold, `maybe` where only the high end is
    (calls without a price leave it open), else `within`.
    """
    rows = measure_coverage(ledger, by)
    judged = rows[[by, "list_cost", "not_declared", "not_declared_low", "not_declared_high"]].copy()
    ends = zip(rows["not_declared_low"], rows["not_declared_high"], strict=True)
    judged["verdict"] = [_verdict(low, high, threshold) for low, high in ends]
    return judged


def _verdict(low: Any, high: Any, threshold: Decimal) -> str:
    if showing.is_missing(high):
        return "no dollars"
    return "over" if low > threshold else "maybe" if high > threshold else "within"


def compare_periods(
    ledger: Ledger, before: str, after: str, where: dict[str, Any] | None = None
) -> tuple[str, pd.DataFrame]:
    """Say what changed between two periods, and give its drivers as steps for `charts.waterfall`.

    What cannot be compared is a sentence that says why, with no steps: `at.explain_change` is the one that refuses.
    """
    try:
        told = explain_change(ledger, before, after, where)
    except AttributionError as error:
        return str(error), pd.DataFrame(columns=["label", "kind", "start", "end"])
    return told.headline, told.waterfall("driver")


def find_requests(ledger: Ledger, text: str = "", n: int = 20) -> pd.DataFrame:
    """Find requests by the beginning of any of their ids, or the dearest when nothing is asked for.

    An id is the request's, a trace's, a call's, an event's, or the provider's own response id.

    Returns
    -------
    pandas.DataFrame
        `request_id`, `calls`, `list_cost` [USD], `owners`, `unowned_calls`, dearest first.
    """
    return ledger.frame(_REQUESTS, {"text": text.strip().lower(), "n": n})


_REQUESTS = """
    with asked as (
        select distinct request_id from cost_event
        where $text = '' or starts_with(lower(request_id), $text) or starts_with(lower(trace_id), $text)
            or starts_with(lower(call_id), $text) or starts_with(cast(event_id as varchar), $text)
            or starts_with(lower(response_id), $text)
    )
    select request_id, count(distinct call_id) as calls, cast(sum(list_cost) as decimal(38, 12)) as list_cost,
        string_agg(distinct owner_team, ', ' order by owner_team) as owners,
        count(*) filter (where owner_evidence in ('none', 'rule')) as unowned_calls
    from cost_event semi join asked using (request_id)
    group by request_id
    order by list_cost desc nulls last, request_id
    limit $n
"""


def try_policy(ledger: Ledger, policy: str = "in proportion to direct cost", period: str | None = None) -> pd.DataFrame:
    """Show each team's list cost before and after what nobody owns is split by one policy; nothing is stored.

    Parameters
    ----------
    ledger
        A built ledger.
    policy
        One of `POLICIES`.
    period
        A day, ISO week, month, year or range.

    Returns
    -------
    pandas.DataFrame
        `owner_team` (null: nobody), `before`, `allocated`, `after` [USD]; both sums are the same to the last digit.

    Raises
    ------
    QuestionError
        If there is no such policy.
    """
    if policy not in POLICIES:
        raise QuestionError.bad_argument("policy", policy, f"one of: {', '.join(POLICIES)}")
    spent = showing.rows(roll_up(ledger, "owner_team", period=period))
    direct = {row["owner_team"]: row["list_cost"] or Decimal(0) for row in spent if not _is_none(row["owner_team"])}
    unowned = sum((row["list_cost"] or Decimal(0) for row in spent if _is_none(row["owner_team"])), Decimal(0))
    chosen = POLICIES[policy]
    if chosen is None or not direct or not unowned:
        parts = dict.fromkeys(direct, Decimal(0))
        left = unowned
    else:
        pool = Pool(_POOL, chosen[0], driver=chosen[1], fallback="even")
        shares = allocate({_POOL: unowned}, [pool], direct, _drivers(spent)).shares
        parts = dict.fromkeys(direct, Decimal(0)) | dict(zip(shares["owner_team"], shares["amount"], strict=True))
        left = Decimal(0)
    rows = [_team(team, direct[team], parts[team]) for team in sorted(direct)]
    return pd.DataFrame([*rows, _team(None, unowned, left - unowned)])


def _team(team: str | None, before: Decimal, allocated: Decimal) -> dict[str, Any]:
    return {"owner_team": team, "before": before, "allocated": allocated, "after": before + allocated}


def _drivers(spent: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    owned = [row for row in spent if not _is_none(row["owner_team"])]
    tokens = {row["owner_team"]: (row["input_tokens"] or 0) + (row["output_tokens"] or 0) for row in owned}
    return {"calls": {row["owner_team"]: row["calls"] for row in owned}, "tokens": tokens}


def _is_none(value: Any) -> bool:
    return showing.is_missing(value)


def list_bills(ledger: Ledger) -> tuple[list[str], list[str]]:
    """Return the invoice months and the providers of the bills in a ledger, in order."""
    rows = ledger.rows(
        """
        select distinct coalesce(billing_period, strftime(period_start, '%Y-%m')) as month, provider from bill_line
        where billed_cost is not null and provider is not null order by all
        """
    )
    return sorted({month for month, _ in rows}), sorted({provider for _, provider in rows})


def gaps_by_day(found: Reconciliation) -> pd.DataFrame:
    """Return billed less ours for each day of a reconciliation, all its providers added up.

    Parameters
    ----------
    found
        What `reconcile` returned.

    Returns
    -------
    pandas.DataFrame
        `day`, `ours`, `billed` and `gap` [USD], in order; the sum of the gaps is that of the reconciliation's days.
    """
    days: dict[Any, dict[str, Decimal]] = {}
    for row in showing.rows(found.days):
        told = days.setdefault(row["day"], dict.fromkeys(("ours", "billed", "gap"), Decimal(0)))
        for name in told:
            told[name] += Decimal(0) if showing.is_missing(row[name]) else row[name]
    return pd.DataFrame([{"day": day, **told} for day, told in sorted(days.items())], columns=_DAY_COLUMNS)


def worst_cells(found: Reconciliation, top: int = 8) -> pd.DataFrame:
    """Return the cells that differ most, each with the cause that most of its gap has.

    Parameters
    ----------
    found
        What `reconcile` returned.
    top
        How many cells.

    Returns
    -------
    pandas.DataFrame
        `day`, `provider`, `model`, `meter`, `calls`, `ours`, `billed`, `gap` [USD] and `cause`; largest gaps first.
    """
    rows = []
    for row in showing.rows(found.cells.head(top)):
        if not row["gap"]:
            continue
        causes = {name: row[name] for name in CELL_CAUSES if not showing.is_missing(row[name]) and row[name]}
        place = {name: row[name] for name in ("provider", "model", "meter", "calls")}
        money = {"ours": row["ledger"], "billed": row["billed"], "gap": row["gap"]}
        cause = max(causes, key=lambda name: abs(causes[name])) if causes else None
        rows.append({"day": str(row["bucket"])[:10], **place, **money, "cause": cause})
    return pd.DataFrame(rows, columns=_CELL_COLUMNS)


_DAY_COLUMNS = ["day", "ours", "billed", "gap"]
_CELL_COLUMNS = ["day", "provider", "model", "meter", "calls", "ours", "billed", "gap", "cause"]
