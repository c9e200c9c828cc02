"""The engine's statement against a slow oracle in fractions, over random books, bands, windows and calls."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.pricing.book import BEGINNING, DAY, FOREVER, NO_LIMIT, PriceBook, Rate
from tests.examples import call, ledger_of

PICO = 10**12
T0 = datetime(2026, 3, 2)
TIMES = [BEGINNING, T0, T0 + timedelta(days=3, hours=5, microseconds=1), FOREVER]
BANDS = [-1, 100, 1000, NO_LIMIT]
SECONDS = [0, 3600, 61200, DAY]
STAND_INS = {
    "cache_read": ("input",),
    "cache_write_5m": ("input",),
    "cache_write_1h": (),
    "input_audio": ("input",),
    "cache_read_audio": ("cache_read", "input_audio", "input"),
    "reasoning": ("output",),
}
METERS = ("input", "output", *STAND_INS)

prices = st.decimals(min_value=0, max_value=100, places=12, allow_nan=False, allow_infinity=False)
counts = st.one_of(st.integers(0, 40), st.integers(90, 110), st.integers(0, 10**9))


@st.composite
def books(draw: Any) -> PriceBook:
    """Draw a book whose meters each have bands, validities and windows of their own."""
    rates = []
    for meter in METERS:
        if meter not in ("input", "output") and draw(st.booleans()):
            continue
        times, bands = draw(cuts(TIMES)), draw(cuts(BANDS))
        seconds, tiers = draw(cuts(SECONDS)), draw(st.sampled_from([["standard"], ["standard", "batch"]]))
        rates += [
            Rate(
                "openai",
                "m",
                meter,
                draw(prices),
                draw(st.sampled_from([1, 1000, 10**6])),
                tier,
                None,
                o,
                u,
                f,
                t,
                a,
                b,
            )
            for tier in tiers
            for o, u in bands
            for f, t in times
            for a, b in seconds
        ]
    return PriceBook(rates, [], {}, T0)


def cuts(points: list[Any]) -> Any:
    """Draw adjoining spans that leave nothing out."""
    inner = st.lists(st.sampled_from(points[1:-1]), unique=True).map(sorted)
    return inner.map(lambda found: list(zip([points[0], *found], [*found, points[-1]], strict=True)))


@st.composite
def calls(draw: Any, name: str) -> dict[str, Any]:
    """Draw a call whose parts never exceed their totals, often at a boundary of time or size."""
    boundary = draw(st.sampled_from([T0, TIMES[2], T0 + timedelta(hours=1), T0 + timedelta(hours=17)]))
    moment = boundary + timedelta(microseconds=draw(st.sampled_from([-1, 0, 1, 10**6, 86_400_000_000])))
    cache, audio, cached_audio = draw(counts), draw(counts), draw(st.integers(0, 30))
    short, long, rest, output, reasoning = (draw(counts) for _ in range(5))
    total = cache + short + long + audio + rest + cached_audio
    return call(
        name,
        model="m",
        service_tier=draw(st.sampled_from(["standard", "batch"])),
        started_at=moment,
        input_tokens=total,
        cache_read_tokens=cache + cached_audio,
        cache_read_audio_tokens=cached_audio,
        input_audio_tokens=audio + cached_audio,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=output + reasoning,
        reasoning_tokens=reasoning,
        list_cost=None,
    )


def oracle(book: PriceBook, event: dict[str, Any]) -> Decimal | None:
    """Price one call meter by meter in fractions, as a person would with the list in hand."""
    at_second = event["started_at"].hour * 3600 + event["started_at"].minute * 60 + event["started_at"].second

    def holds(rate: Rate, tier: str) -> bool:
        return (
            rate.service_tier == tier
            and rate.valid_from <= event["started_at"] < rate.valid_to
            and rate.context_over < event["input_tokens"] <= rate.context_upto
            and rate.second_from <= at_second < rate.second_to
        )

    tiers = dict.fromkeys([event["service_tier"], "standard"])
    if not any(r.service_tier == event["service_tier"] for r in book.rates):
        return None
    own = {}
    for tier in reversed(list(tiers)):
        own |= {r.meter: Fraction(r.price) / r.per for r in book.rates if holds(r, tier)}
    free_writes = "cache_write_5m" not in own and "cache_write_1h" not in own
    quantities = {
        "cache_read_audio": event["cache_read_audio_tokens"],
        "cache_read": event["cache_read_tokens"] - event["cache_read_audio_tokens"],
        "input_audio": event["input_audio_tokens"] - event["cache_read_audio_tokens"],
        "cache_write_5m": event["cache_write_5m_tokens"],
        "cache_write_1h": event["cache_write_1h_tokens"],
        "reasoning": event["reasoning_tokens"],
        "output": event["output_tokens"] - event["reasoning_tokens"],
    }
    quantities["input"] = event["input_tokens"] - sum(
        q for m, q in quantities.items() if m not in ("output", "reasoning")
    )
    total = 0
    for meter, quantity in quantities.items():
        stand_ins = ("input",) if meter == "cache_write_1h" and free_writes else STAND_INS.get(meter, ())
        price = next((own[m] for m in (meter, *stand_ins) if m in own), None)
        if quantity and price is None:
            return None
        total += round((price or 0) * quantity * PICO)
    return Decimal(total) / PICO


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(book=books(), events=st.tuples(*(calls(str(n)) for n in range(10))))
def test_the_statement_agrees_with_fractions_to_the_last_digit(
    book: PriceBook, events: tuple[dict[str, Any], ...]
) -> None:
    with ledger_of(*events) as ledger:
        at.price_events(ledger, book)

        found = dict(ledger.rows("select call_id, list_cost from cost_event"))
        lines = ledger.value(
            """
            select sum(line_item.list_cost) from line_item join event_cost using (event_id)
            where price_status = 'priced'
            """
        )

    expected = {event["call_id"]: oracle(book, event) for event in events}
    assert found == expected
    assert (lines or 0) == sum(cost for cost in expected.values() if cost is not None)


fractions = st.tuples(st.integers(0, 1000), st.integers(1, 1000)).map(lambda pair: (min(pair), max(pair)))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(price=prices, counts=st.lists(counts, min_size=4, max_size=4), cuts=st.lists(fractions, max_size=3))
def test_stacked_discounts_are_exact_until_the_pico_dollar(
    price: Decimal, counts: list[int], cuts: list[tuple[int, int]]
) -> None:
    book = PriceBook([Rate("openai", "m", meter, price, 10**6) for meter in ("input", "output")], [], {}, T0)
    plain: dict[str, Any] = {"kind": "discount", "provider": "openai", "place": "contracts.csv:1"}
    terms = [
        {**plain, "contract_id": str(n), "numerator": above, "denominator": below, "stack_order": n}
        for n, (above, below) in enumerate(cuts)
    ]
    events = [call(str(n), model="m", input_tokens=i, output_tokens=0, list_cost=None) for n, i in enumerate(counts)]
    with ledger_of(*events, contract=terms) as ledger:
        at.price_events(ledger, book)
        found = dict(ledger.rows("select call_id, contracted_cost from cost_event"))

    paid = Fraction(price) / 10**6
    for above, below in cuts:
        paid *= Fraction(above, below)
    assert found == {str(n): Decimal(round(paid * i * PICO)) / PICO for n, i in enumerate(counts)}
