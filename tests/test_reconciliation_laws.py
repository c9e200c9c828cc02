"""Reconciliation's law: whatever calls and bill there are, the bridge adds up to the last digit."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution import periods
from attribution.errors import LedgerError
from attribution.reconciliation import match_cells, reconcile
from tests.bridge_examples import bill_line, billed, bridge
from tests.examples import call

_MODELS = ("gpt-5-mini", "gpt-5", "atlas-preview-0926", None)
_AMOUNTS = st.decimals(-10_000, 10_000, places=12)
_MONEY = st.none() | _AMOUNTS


@st.composite
def calls(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return a call near October, metered or not, with ids that others may share."""
    started = datetime(2026, 10, 1) + timedelta(hours=draw(st.integers(-30, 800)))
    cached, fresh = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**9))
    is_metered = draw(st.booleans())
    return call(
        name,
        started_at=started,
        ended_at=started + timedelta(minutes=draw(st.integers(0, 90))),
        provider=draw(st.sampled_from(("openai", "azure"))),
        model=draw(st.sampled_from(_MODELS)),
        service_tier=draw(st.sampled_from(("standard", "batch", None))),
        status=draw(st.sampled_from(("ok", "error"))),
        is_metered=is_metered,
        input_tokens=cached + fresh if is_metered else None,
        cache_read_tokens=cached if is_metered else None,
        output_tokens=draw(st.integers(0, 10**6)) if is_metered else None,
        response_id=draw(st.sampled_from(("r1", None, f"r-{name}"))),
        project_id=draw(st.sampled_from(("p1", None))),
        api_key_id="k1",
    )


@st.composite
def lines(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return a bill line of any kind that a loader may write."""
    start = datetime(2026, 10, 1) + timedelta(hours=draw(st.integers(-30, 760)))
    source = draw(st.sampled_from(("openai_costs", "invoice", "focus")))
    amount = draw(_AMOUNTS)
    is_report = draw(st.booleans()) and source == "openai_costs"
    return bill_line(
        name,
        source="openai_usage" if is_report else source,
        role="usage" if is_report else "both",
        provider=draw(st.sampled_from(("openai", "azure"))),
        period_start=start,
        period_end=start + timedelta(hours=draw(st.sampled_from((1, 24, 744)))),
        billing_period=draw(st.sampled_from(("2026-10", "2026-09", None))),
        category=draw(st.sampled_from(("usage", "usage", "usage", "purchase", "credit", "tax", "adjustment"))),
        charge_class=draw(st.sampled_from((None, None, "correction"))),
        model=draw(st.sampled_from(_MODELS)),
        meter=draw(st.sampled_from(("input", "cache_read", "output", "web_search", "session", None))),
        service_tier=draw(st.sampled_from(("standard", "batch", None))),
        quantity=draw(st.none() | st.decimals(-(10**13), 10**13, places=6)),
        requests=draw(st.none() | st.integers(0, 9)),
        record_no=draw(st.integers(0, 3)),
        list_cost=draw(_MONEY),
        contracted_cost=draw(_MONEY),
        billed_cost=None if is_report else amount,
        currency=draw(st.sampled_from(("USD", "USD", None, "EUR"))),
        request_id=draw(st.sampled_from((None, None, "r1"))),
        project_id=draw(st.sampled_from(("p1", None))),
        api_key_id=draw(st.sampled_from(("k1", "k2", None))),
        account_id=draw(st.sampled_from(("a", "b", None))),
    )


def _numbered(strategy: Any, most: int) -> Any:
    return st.integers(0, most).flatmap(lambda count: st.tuples(*(strategy(f"n{n}") for n in range(count))))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(_numbered(calls, 6), _numbered(lines, 8), st.sampled_from(("2026-10", "2026-10-05", "2026-W41", "2026-Q4")))
def test_any_ledger_and_bill_give_a_bridge_that_adds_up(
    some_calls: tuple[dict[str, Any], ...], some_lines: tuple[dict[str, Any], ...], period: str
) -> None:
    rate = [{"currency": "EUR", "usd": Decimal("1.1"), "units": None, "valid_from": None, "valid_to": None}]
    with billed(*some_calls, lines=some_lines, currency_rate=rate) as ledger:
        if not match_cells(ledger, period):
            with pytest.raises(LedgerError, match="no calls or bills"):
                reconcile(ledger, period)
            return
        answer = reconcile(ledger, period)
        whole = bridge(answer)
        parts = [bridge(answer, provider) for provider in answer.statuses["provider"]]
        match_cells(ledger, period)
        told = ledger.rows(
            """
            select coalesce(sum(billed), 0)
            from (select billed from cell_line union all select billed from cell_residual)
            """
        )[0][0]
        ours = ledger.rows(
            """
            select coalesce(sum(contracted_cost), 0) from cost_event
            where started_at >= $start and started_at < $end
            """,
            {"start": _bounds(period)[0], "end": _bounds(period)[1]},
        )[0][0]

    for end in ("ledger", "billed"):
        assert sum((part.get(end, Decimal(0)) for part in parts), Decimal(0)) == whole.get(end, Decimal(0))
    assert whole.get("billed", Decimal(0)) == Decimal(told).scaleb(-12)
    assert whole.get("ledger", Decimal(0)) == ours
    assert sum(answer.cells["gap"], Decimal(0)) == sum(
        (answer.cells[cause].sum() for cause in _CELL_CAUSES if len(answer.cells)), Decimal(0)
    ) - (answer.cells["cut_off"].sum() if len(answer.cells) else 0)


_CELL_CAUSES = (
    "cut_off", "extra_or_missing_events", "token_count", "unpriced", "list_price", "discount", "price", "rounding",
    "not_billed", "unexplained",
)  # fmt: skip


def _bounds(period: str) -> tuple[datetime, datetime]:
    found = periods.parse(period)
    return found.start, found.end
