"""Which documents tell a bill: of several tellings of the same money one counts, and an invoice checks it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from attribution.ledger import Ledger
from attribution.periods import Period

#: The source of plain invoices: the total of a month, with tax, credits and purchases that reports may lack.
INVOICE = "invoice"
#: Where a provider's invoice month is not the one in UTC; it counts where the bill itself shows it.
ZONES = {"google": "America/Los_Angeles"}


@dataclass(frozen=True)
class Asked:
    """What is reconciled: a period, and the invoice months in it where it is made of whole ones."""

    period: Period
    provider: str | None
    months: tuple[str, ...]

    def window(self, zone: str) -> tuple[datetime, datetime]:
        """Return the period's bounds in UTC, as the provider's calendar has them."""
        if zone == "UTC" or not self.months:
            return self.period.start, self.period.end
        at = ZoneInfo(zone)
        start, end = (each.replace(tzinfo=at).astimezone(UTC) for each in (self.period.start, self.period.end))
        return start.replace(tzinfo=None), end.replace(tzinfo=None)


def months_in(period: Period) -> tuple[str, ...]:
    """Return the months a period is made of, `2026-10`; none where it cuts one."""
    first, last = period.start, period.end
    midnight = datetime.min.time()
    if (first.day, first.time()) != (1, midnight) or (last.day, last.time()) != (1, midnight):
        return ()
    count = (last.year - first.year) * 12 + last.month - first.month
    numbers = [first.year * 12 + first.month - 1 + n for n in range(count)]
    return tuple(f"{number // 12}-{number % 12 + 1:02d}" for number in numbers)


def choose_documents(ledger: Ledger, asked: Asked) -> None:
    """Write `cell_document`: every telling of the period's bills, whether it counts, and why not."""
    values = {"provider": asked.provider, "months": list(asked.months), **asked.period.values()}
    rows = ledger.arrow(_DOCUMENTS, values).to_pylist()
    tellings: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        tellings.setdefault((row["provider"], row["month"]), []).append(row)
    for telling in tellings.values():
        _choose(telling)
    schema = pa.schema(
        [(name, pa.string()) for name in ("provider", "month", "source", "export")]
        + [("lines", pa.int64()), ("is_total", pa.bool_()), ("is_detail", pa.bool_()), ("why", pa.string())]
    )
    with ledger.reading(document_rows=pa.Table.from_pylist(rows, schema=schema)):
        ledger.run("create or replace temp table cell_document as select * from document_rows order by all")


def _choose(rows: list[dict[str, Any]]) -> None:
    """Mark the total and the details of one provider's month; tellings that share an account tell the same money."""
    invoices = [row for row in rows if row["source"] == INVOICE]
    details = sorted(
        (row for row in rows if row["source"] != INVOICE),
        key=lambda row: (row["source"] == "openrouter_generations", -row["measured"], row["source"], row["export"]),
    )
    taken: list[dict[str, Any]] = []
    for row in details:
        rival = next((other for other in taken if _overlap(row, other)), None)
        row["is_detail"], row["is_total"] = rival is None, rival is None and not invoices
        row["why"] = "its lines are the parts of the bill" if rival is None else (
            f"{_named(rival)} tells the same money, so it is not added"
        )  # fmt: skip
        if rival is None:
            taken.append(row)
    for row in invoices:
        row["is_total"], row["is_detail"] = True, not taken
        row["why"] = "the total; what the report lacks is taken from it" if taken else "the only document"


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    mine, theirs = set(one["places"]), set(other["places"])
    return bool(mine & theirs) or "/" in mine or "/" in theirs


def _named(row: dict[str, Any]) -> str:
    return f"{row['source']} {row['export']}".strip()


#: Which export of a cloud tells a line: two exports of one account tell it twice.
EXPORT = """
    case source
        when 'focus' then split_part(coalesce(replaces_key, ''), '/' || provider || '/', 1)
        when 'cur' then split_part(coalesce(replaces_key, ''), '/' || coalesce(account_id, '') || '/', 1)
        when 'azure_cost' then
            split_part(coalesce(replaces_key, ''), '/' || coalesce(account_id, project_id, '') || '/', 1)
        else ''
    end
"""
MONTH = "coalesce(billing_period, strftime(period_start, '%Y-%m'))"
#: Lines of a period: by invoice month where it is made of whole ones, else by the time charged for.
IN_PERIOD = f"""
    case when len($months) > 0 then list_contains($months, {MONTH})
    else period_start >= $start and period_start < $end
        and coalesce(period_end, period_start) <= greatest($end, period_start + interval 1 hour) end
"""
_DOCUMENTS = f"""
    select provider, {MONTH} as month, source, {EXPORT} as export, count(*) as lines,
        count(*) filter (where quantity is not null and model is not null) as measured,
        list(distinct coalesce(account_id, '') || '/' || coalesce(project_id, '')
            order by coalesce(account_id, '') || '/' || coalesce(project_id, '')) as places
    from told_line
    where billed_cost is not null and role <> 'estimate' and provider is not null
        and ($provider is null or provider = $provider) and {IN_PERIOD}
    group by all order by all
"""
