"""The pricing step: exact, dated, by the stated conditions, and null for what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attribution as at
from attribution.errors import ConfigurationError, QuestionError, SchemaError
from attribution.ledger import Ledger
from attribution.pricing.book import HISTORY, PriceBook, Rate
from tests.examples import call, ledger_of

MILLION = 1_000_000
NOON = datetime(2026, 10, 5, 12)


def rate(meter: str, price: str, per: int = MILLION, **conditions: Any) -> Rate:
    return Rate("openai", "m", meter, Decimal(price), per, **conditions)


def book(*rates: Rate) -> PriceBook:
    return PriceBook(list(rates), [], {}, NOON, "test")


def event(name: str = "c1", **columns: Any) -> dict[str, Any]:
    return call(name, **{"model": "m", "list_cost": None, **columns})


def costs(ledger: Ledger, *names: str) -> list[Any]:
    wanted = ", ".join(names or ("price_status", "list_cost"))
    return ledger.rows(f"select {wanted} from cost_event order by call_id")


def priced(prices: PriceBook, **columns: Any) -> Ledger:
    ledger = ledger_of(event(**columns))
    at.price_events(ledger, prices)
    return ledger


# What is known


def test_the_article_call_costs_what_the_list_says() -> None:
    ledger = ledger_of(call(model="gpt-4.1-mini", input_tokens=3200, output_tokens=480, list_cost=None))

    at.price_events(ledger)

    assert costs(ledger, "price_status", "list_cost", "contracted_cost", "price_reason") == [
        ("priced", Decimal("0.002048"), Decimal("0.002048"), None)
    ]


def test_a_name_that_hides_the_model_is_unpriced_until_an_alias_names_it() -> None:
    one = event(provider="aws", model="anthropic.claude-sonnet", input_tokens=18_400, output_tokens=2_100)
    canonical = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    alias = {"kind": "model", "name": one["model"], "provider": "aws", "canonical": canonical}
    without, named = ledger_of(one), ledger_of(one, alias=[{**alias, "canonical_provider": "aws"}])

    at.price_events(without)
    at.price_events(named)

    assert costs(without) == [("unpriced", None)]
    assert costs(named) == [("priced", Decimal("0.0867"))]
    assert "assumed" in costs(named, "price_reason")[0][0]


def test_an_alias_holds_from_its_moment_until_its_end() -> None:
    start, end = NOON, NOON + timedelta(hours=1)
    events = [
        event(str(n), model="desk", started_at=t) for n, t in enumerate([start - timedelta(microseconds=1), start, end])
    ]
    alias = {
        "kind": "model",
        "name": "desk",
        "provider": "openai",
        "canonical": "m",
        "valid_from": start,
        "valid_to": end,
    }
    ledger = ledger_of(*events, alias=[alias])

    at.price_events(ledger, book(rate("input", "1"), rate("output", "1")))

    assert [status for (status, _) in costs(ledger)] == ["unpriced", "priced", "unpriced"]


@pytest.mark.parametrize(
    "name",
    [
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "bedrock/converse/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)
def test_bedrock_names_in_every_form_mean_the_same_model(name: str) -> None:
    ledger = ledger_of(event(provider="aws", model=name, input_tokens=MILLION, output_tokens=0))

    at.price_events(ledger)

    assert costs(ledger) == [("priced", Decimal(3))]


@pytest.mark.parametrize(
    "name", ["models/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro", "gemini/gemini-2.5-pro"]
)
def test_paths_and_provider_prefixes_are_taken_off(name: str) -> None:
    ledger = ledger_of(event(provider="google", model=name, input_tokens=1000, output_tokens=0))

    at.price_events(ledger)

    assert costs(ledger) == [("priced", Decimal("0.00125"))]


def test_a_geography_in_a_bedrock_id_is_its_region() -> None:
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    events = [
        event(g or "none", provider="aws", model=g + model, input_tokens=MILLION, output_tokens=0)
        for g in ("eu.", "", "us-gov.")
    ]
    ledger = ledger_of(*events)

    at.price_events(ledger)

    assert [cost for (_, cost) in costs(ledger)] == [Decimal("3.3"), Decimal(3), Decimal("3.6")]


# What is not known


def test_an_unknown_model_is_unpriced_with_near_names_and_never_zero() -> None:
    ledger = ledger_of(event(model="gpt-4.1-minny"))

    at.price_events(ledger)

    assert costs(ledger) == [("unpriced", None)]
    assert "near: gpt-4.1-mini" in costs(ledger, "price_reason")[0][0]


def test_another_providers_list_is_an_estimate_and_no_price() -> None:
    prices = PriceBook([rate("input", "2"), rate("output", "4")], [], {"azure": ("openai",)}, NOON)
    ledger = ledger_of(event(provider="azure", input_tokens=MILLION, output_tokens=0))

    at.price_events(ledger, prices)

    assert costs(ledger, "price_status", "list_cost", "contracted_cost", "estimated_cost") == [
        ("unpriced", None, None, Decimal(2))
    ]


def test_a_stated_tier_without_a_price_is_unpriced_and_an_absent_one_is_assumed() -> None:
    prices = book(rate("input", "2"), rate("output", "4"))

    stated, absent = priced(prices, service_tier="flex"), priced(prices, service_tier=None)

    assert costs(stated) == [("unpriced", None)]
    assert costs(absent, "price_status", "price_reason") == [("priced", "assumed: the standard tier")]


def test_a_government_region_never_takes_the_worldwide_price() -> None:
    assert costs(priced(book(rate("input", "2"), rate("output", "4")), region="us-gov-west-1")) == [("unpriced", None)]


def test_a_call_without_provider_or_model_keeps_its_row_with_the_reason() -> None:
    ledger = priced(book(rate("input", "2")), provider=None, model=None)

    assert costs(ledger, "price_status", "price_reason") == [("unpriced", "no model is known for this call")]


def test_meters_without_a_price_leave_a_part() -> None:
    prices = book(rate("input", "2"), rate("output", "4"), rate("web_search", "10", 1000))
    used = {"web_search": Decimal(2), "zork": Decimal(1)}
    ledger = priced(prices, input_tokens=MILLION, output_tokens=0, other_usage=used)

    assert costs(ledger, "price_status", "list_cost", "priced_part") == [("partial", None, Decimal("2.02"))]
    assert "zork" in costs(ledger, "price_reason")[0][0]


def test_a_one_hour_write_has_no_price_where_only_the_short_one_has() -> None:
    prices = book(rate("input", "2"), rate("output", "4"), rate("cache_write_5m", "3"))

    assert costs(priced(prices, cache_write_1h_tokens=10), "price_status") == [("partial",)]


def test_output_that_is_not_known_is_not_zero() -> None:
    ledger = priced(book(rate("input", "2"), rate("output", "4")), input_tokens=MILLION, output_tokens=None)

    assert costs(ledger, "price_status", "list_cost", "priced_part") == [("partial", None, Decimal(2))]


@pytest.mark.parametrize(
    ("columns", "status", "cost"),
    [
        ({"is_metered": False, "input_tokens": None, "output_tokens": None}, "unmetered", None),
        ({"status": "error", "input_tokens": None, "output_tokens": None}, "unmetered", None),
        ({"cache_hit": True}, "free", Decimal(0)),
        ({"cache_read_tokens": 5000}, "unpriced", None),
    ],
)
def test_calls_that_are_not_charged_by_their_usage(columns: dict[str, Any], status: str, cost: Decimal | None) -> None:
    assert costs(priced(book(rate("input", "2"), rate("output", "4")), **columns)) == [(status, cost)]


# Conditions


def test_a_context_band_begins_strictly_above_its_bound_and_takes_the_whole_call() -> None:
    prices = book(
        rate("input", "1", context_upto=200),
        rate("input", "2", context_over=200),
        rate("output", "10", context_upto=200),
        rate("output", "20", context_over=200),
    )

    at_bound, above = (priced(prices, input_tokens=n, output_tokens=10) for n in (200, 201))

    assert costs(at_bound)[0][1] == Decimal("0.0003")
    assert costs(above)[0][1] == Decimal("0.000602")


def test_the_long_context_price_of_xai_includes_its_bound() -> None:
    events = [
        event(str(n), provider="x-ai", model="grok-4.3", input_tokens=n, output_tokens=0) for n in (199_999, 200_000)
    ]
    ledger = ledger_of(*events)

    at.price_events(ledger)

    below, at_bound = (cost for (_, cost) in costs(ledger))
    assert at_bound / 200_000 == 2 * below / 199_999


def test_a_price_holds_from_its_microsecond() -> None:
    prices = book(rate("input", "1", valid_to=NOON), rate("input", "2", valid_from=NOON), rate("output", "1"))

    before, after = (
        priced(prices, input_tokens=MILLION, output_tokens=0, started_at=t)
        for t in (NOON - timedelta(microseconds=1), NOON)
    )

    assert (costs(before)[0][1], costs(after)[0][1]) == (Decimal(1), Decimal(2))


def test_a_daily_window_is_half_open_and_knows_its_weekdays() -> None:
    window = {"second_from": 3600, "second_to": 7200, "weekdays": 31}
    rest = [
        rate("input", "1", second_to=3600, weekdays=31),
        rate("input", "1", second_from=7200, weekdays=31),
        rate("input", "1", weekdays=96),
    ]
    prices = book(rate("input", "2", **window), *rest, rate("output", "1"))
    monday, sunday = datetime(2026, 10, 5), datetime(2026, 10, 4)
    last = monday + timedelta(hours=2) - timedelta(microseconds=1)
    moments = [last, monday + timedelta(hours=1), monday + timedelta(hours=2), sunday + timedelta(hours=1)]

    found = [costs(priced(prices, input_tokens=MILLION, output_tokens=0, started_at=t))[0][1] for t in moments]

    assert found == [Decimal(2), Decimal(2), Decimal(1), Decimal(1)]


def test_a_call_before_the_price_history_says_what_was_assumed() -> None:
    prices = book(rate("input", "1", basis="undated"), rate("output", "2", basis="documented: https://x"))
    day = HISTORY - timedelta(microseconds=1)

    early, later = (event(n, input_tokens=1, output_tokens=1, started_at=t) for n, t in (("a", day), ("b", HISTORY)))
    documented = event("c", input_tokens=0, output_tokens=1, started_at=day, model="d")
    ledger = ledger_of(early, later, documented)
    at.price_events(ledger, PriceBook([*prices.rates, replace(prices.rates[1], model="d")], [], {}, NOON))

    said = [reason for (reason,) in costs(ledger, "price_reason")]
    assert said == ["assumed: the earliest price known, as no source follows prices before 2025-05-22", None, None]


def test_a_call_without_a_time_is_priced_at_the_latest_time_known() -> None:
    prices = book(rate("input", "1", valid_to=NOON), rate("input", "2", valid_from=NOON), rate("output", "1"))
    ledger = ledger_of(event("a", started_at=NOON), event("b", input_tokens=MILLION, output_tokens=0))
    ledger.run("update event set started_at = null where call_id = 'b'")

    at.price_events(ledger, prices)

    assert costs(ledger, "list_cost", "price_reason")[1] == (Decimal(2), "assumed: priced at the latest time known")


def test_a_call_beside_one_with_windows_is_priced_once_whatever_its_model_is_called() -> None:
    name = 'desk\'s \\ "own"; drop table event; --'
    alias = {"kind": "model", "name": name, "provider": "openai", "canonical": "m"}
    night = rate("input", "1", second_from=0, second_to=3600)
    day = rate("input", "2", second_from=3600, second_to=86_400)
    plain = Rate("openai", "plain", "input", Decimal(5), MILLION)
    counts = {"input_tokens": MILLION, "output_tokens": 0}
    ledger = ledger_of(
        event("a", model=name, started_at=datetime(2026, 10, 5, 0, 59, 59, 999_999), **counts),
        event("b", model=name, started_at=datetime(2026, 10, 5, 1), **counts),
        event("c", model="plain", started_at=datetime(2026, 10, 5, 1), **counts),
        alias=[alias],
    )

    at.price_events(ledger, book(night, day, plain))

    assert [cost for (_, cost) in costs(ledger)] == [Decimal(1), Decimal(2), Decimal(5)]
    assert ledger.rows("select count(*), count(distinct event_id) from event_rate") == [(3, 3)]


def test_neighbors_on_the_card_that_differ_in_nothing_are_one_row() -> None:
    weekdays = rate("input", "2", second_from=3600, second_to=7200, weekdays=31)
    ledger = ledger_of(event())

    at.price_events(ledger, book(rate("input", "1", context_upto=100), rate("input", "9", context_over=100), weekdays))

    weekend = "select second_from, second_to, context_upto = 100 from rate_card where weekdays = 96 order by all"
    assert ledger.rows(weekend) == [(0, 86_400, False), (0, 86_400, True)]


def test_a_minimum_is_billed_and_a_price_by_the_hour_is_rounded_once_a_line() -> None:
    prices = book(rate("second", "0.111", 3600, minimum=Decimal(10)))
    none = {"input_tokens": None, "output_tokens": None}

    short, long = (priced(prices, **none, other_usage={"second": Decimal(s)}) for s in ("3.5", "36"))

    reason = "rounded once a line to the pico-dollar"
    assert costs(short, "list_cost", "price_reason") == [(Decimal("0.000308333333"), reason)]
    assert costs(long, "list_cost", "price_reason") == [(Decimal("0.00111"), None)]


def test_a_price_of_less_than_a_pico_dollar_a_token_is_kept_and_its_rounding_is_said() -> None:
    prices = book(rate("input", "0.0000005"), rate("output", "1"))
    used = {"output_tokens": 0}

    whole, half, more = (priced(prices, input_tokens=n, **used) for n in (4, 3, 5))

    assert costs(whole, "list_cost", "price_reason") == [(Decimal("0.000000000002"), None)]
    said = "rounded once a line to the pico-dollar"
    assert costs(half, "list_cost", "price_reason") == [(Decimal("0.000000000002"), said)]
    assert costs(more, "list_cost", "price_reason") == [(Decimal("0.000000000002"), said)]


def test_a_call_is_one_request_where_requests_are_charged() -> None:
    prices = book(rate("input", "1"), rate("output", "1"), rate("request", "5", 1000))

    assert costs(priced(prices, input_tokens=0, output_tokens=0))[0][1] == Decimal("0.005")


def test_parts_without_a_price_of_their_own_take_that_of_the_whole() -> None:
    prices = book(rate("input", "1"), rate("output", "2"))
    ledger = priced(
        prices, input_tokens=100, cache_read_tokens=40, input_audio_tokens=10, output_tokens=50, reasoning_tokens=30
    )

    assert costs(ledger)[0][1] == Decimal("0.0002")


def test_cached_audio_is_taken_from_the_cache_and_the_audio_once() -> None:
    prices = book(
        rate("input", "1"), rate("cache_read", "0.25"), rate("input_audio", "2"), rate("cache_read_audio", "0.5")
    )
    parts = {"cache_read_tokens": 400, "input_audio_tokens": 300, "cache_read_audio_tokens": 100}

    assert costs(priced(prices, input_tokens=1000, output_tokens=0, **parts))[0][1] == Decimal("0.000925")


# The step


def test_pricing_twice_is_pricing_once_and_the_order_of_events_does_not_matter() -> None:
    events = [event(str(n), model="gpt-4.1-mini", input_tokens=n, output_tokens=n) for n in range(20)]
    once, shuffled = ledger_of(*events), ledger_of(*reversed(events))

    for ledger in (once, once, shuffled):
        at.price_events(ledger)

    query = "select * from event_cost order by event_id"
    assert once.rows(query) == shuffled.rows(query)


def test_line_items_add_up_to_their_event_by_any_grouping() -> None:
    tokens = {"cache_read_tokens": 3, "reasoning_tokens": 4, "cache_write_5m_tokens": 2}
    events = [
        event(str(n), model=m, input_tokens=7 + n, output_tokens=9, **tokens)
        for n in range(9)
        for m in ("gpt-5-mini", "o3")
    ]
    events = [{**e, "event_id": call(f"{n}")["event_id"]} for n, e in enumerate(events)]
    ledger = ledger_of(*events)

    at.price_events(ledger)

    whole = ledger.value("select sum(list_cost) from cost_event")
    assert ledger.value("select sum(list_cost) from line_item") == whole
    by_meter = ledger.rows("select sum(list_cost) from line_item group by meter")
    assert sum(cost for (cost,) in by_meter) == whole


def test_no_column_of_money_is_ever_a_float() -> None:
    ledger = ledger_of(event(model="gpt-4.1-mini"))

    at.price_events(ledger)

    for relation in ("event_cost", "line_item", "cost_event", "rate_card", "rate_line"):
        table = ledger.arrow(f"select * from {relation}")
        assert not [f.name for f in table.schema if pa.types.is_floating(f.type)], relation
    frame = ledger.frame("select list_cost from cost_event")
    assert isinstance(frame["list_cost"].item(), Decimal)


# Frames


def frame_of_calls() -> pd.DataFrame:
    rows = {"provider": ["openai", "aws", "openai"], "model": ["gpt-4.1-mini", "x", "gpt-4.1-mini"]}
    return pd.DataFrame(
        {
            **rows,
            "service_tier": "standard",
            "input_tokens": [3200, 1, None],
            "output_tokens": [480, 1, None],
            "note": list("abc"),
        }
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "duckdb"])
def test_the_same_kind_of_frame_comes_back(kind: str) -> None:
    arrow = pa.Table.from_pandas(frame_of_calls(), preserve_index=False)
    arrow = arrow.set_column(3, "input_tokens", arrow["input_tokens"].cast(pa.int64()))
    arrow = arrow.set_column(4, "output_tokens", arrow["output_tokens"].cast(pa.int64()))
    given: Any = {
        "pandas": frame_of_calls(),
        "polars": pl.from_arrow(arrow),
        "arrow": arrow,
        "duckdb": duckdb.from_arrow(arrow),
    }[kind]

    found = at.price(given)

    assert type(found) is type(given)
    rows = found.fetchall() if kind == "duckdb" else None
    columns = found.columns if kind != "arrow" else found.column_names
    at_cost, at_status = list(columns).index("list_cost"), list(columns).index("price_status")
    if kind == "arrow":
        rows = [tuple(row.values()) for row in found.to_pylist()]
    elif kind == "pandas":
        rows = [tuple(None if v is pd.NA else v for v in row) for row in found.itertuples(index=False)]
    elif kind == "polars":
        rows = found.rows()
    assert rows is not None
    assert [row[at_cost] for row in rows] == [Decimal("0.002048"), None, None]
    assert [row[at_status] for row in rows] == ["priced", "unpriced", "unmetered"]
    assert list(columns)[:6] == ["provider", "model", "service_tier", "input_tokens", "output_tokens", "note"]


def test_ledger_frame_and_usage_body_agree() -> None:
    at_time = datetime(2026, 9, 1, 3)
    calls = [("openai", "gpt-5.4", 300_000, 10), ("deepseek", "deepseek-v4-flash", 1000, 10), ("openai", "nope", 1, 1)]
    ledger = ledger_of(
        *(
            event(str(n), provider=p, model=m, input_tokens=i, output_tokens=o, started_at=at_time)
            for n, (p, m, i, o) in enumerate(calls)
        )
    )
    at.price_events(ledger)
    frame = pd.DataFrame(calls, columns=["provider", "model", "input_tokens", "output_tokens"])

    by_frame = at.price(frame.assign(service_tier="standard", started_at=at_time))
    by_body = [
        at.price_usage(p, m, {"prompt_tokens": i, "completion_tokens": o}, at=at_time, tier="standard")
        for p, m, i, o in calls
    ]

    expected = costs(ledger)
    assert [
        (s, None if c is pd.NA else c) for s, c in by_frame[["price_status", "list_cost"]].itertuples(index=False)
    ] == expected
    assert [(b.price_status, b.list_cost) for b in by_body] == expected


def test_a_frame_without_a_model_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="`model` is not a column of `frame`"):
        at.price(pd.DataFrame({"provider": ["openai"]}))
    with pytest.raises(QuestionError, match="expected a pandas or polars frame"):
        at.price([1, 2])


# Contracts


def contract(name: str, **columns: Any) -> dict[str, Any]:
    kinds = ("contract_id", "kind", "provider", "model", "service_tier", "meter", "price", "price_per", "numerator")
    more = ("denominator", "stack_order", "currency", "over", "amount", "quantity", "valid_from", "valid_to", "place")
    row: dict[str, Any] = dict.fromkeys((*kinds, *more))
    return {**row, "contract_id": name, "provider": "openai", "place": f"contracts.csv:{name}", **columns}


def contracted(*rows: dict[str, Any], rates: list[dict[str, Any]] | None = None, **columns: Any) -> list[Any]:
    ledger = ledger_of(
        event(**{"input_tokens": MILLION, "output_tokens": 0, **columns}),
        contract=list(rows),
        currency_rate=rates or [],
    )
    at.price_events(ledger, book(rate("input", "0.0375"), rate("output", "2")))
    return costs(ledger, "list_cost", "contracted_cost")


def test_without_a_contract_the_list_price_is_paid() -> None:
    assert contracted() == [(Decimal("0.0375"), Decimal("0.0375"))]


def test_discounts_are_exact_fractions_and_stack_in_their_order() -> None:
    first = contract("a", kind="discount", numerator=825, denominator=1000, stack_order=1)
    second = contract("b", kind="discount", numerator=2, denominator=3, stack_order=2)

    assert contracted(first) == [(Decimal("0.0375"), Decimal("0.0309375"))]
    assert contracted(first, second, input_tokens=3) == [(Decimal("0.0000001125"), Decimal("0.000000061875"))]


def test_a_discount_of_everything_is_paid_with_nothing() -> None:
    assert contracted(contract("all", kind="discount", numerator=0, denominator=1)) == [(Decimal("0.0375"), Decimal(0))]


def test_a_contract_price_goes_before_a_discount_and_the_more_specific_one_first() -> None:
    general = contract("g", kind="price", price=Decimal(9), price_per=MILLION)
    own = contract("o", kind="price", model="m", meter="input", price=Decimal("0.5"), price_per=MILLION)
    cut = contract("d", kind="discount", numerator=1, denominator=2)

    assert contracted(general, own, cut) == [(Decimal("0.0375"), Decimal("0.5"))]


def test_a_contract_holds_from_its_microsecond() -> None:
    cut = contract(
        "d", kind="discount", numerator=1, denominator=2, valid_from=NOON, valid_to=NOON + timedelta(hours=1)
    )
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(hours=1)]

    paid = [contracted(cut, started_at=t)[0][1] for t in moments]

    assert paid == [Decimal("0.0375"), Decimal("0.01875"), Decimal("0.0375")]


def test_a_contract_prices_a_model_that_no_list_has() -> None:
    own = contract("o", kind="price", model="custom", price=Decimal(1), price_per=MILLION, meter="input")

    assert contracted(own, model="custom") == [(None, Decimal(1))]


def test_another_currency_needs_a_dated_rate() -> None:
    euros = contract("e", kind="price", meter="input", price=Decimal(2), price_per=MILLION, currency="EUR")
    worth = {"currency": "EUR", "usd": Decimal("1.25"), "valid_from": None, "valid_to": None}

    assert contracted(euros, rates=[worth])[0][1] == Decimal("2.5")
    assert contracted({**euros, "currency": "eur"}, rates=[worth])[0][1] == Decimal("2.5")
    with pytest.raises(ConfigurationError, match="`e` is in EUR without a rate"):
        contracted(euros)


def test_what_is_paid_in_another_currency_is_not_known_where_no_rate_reaches() -> None:
    euros = contract("e", kind="price", meter="input", price=Decimal(2), price_per=MILLION, currency="EUR")
    until = {"currency": "EUR", "usd": Decimal("1.25"), "valid_from": None, "valid_to": NOON}
    ledger = ledger_of(
        *(event(str(n), input_tokens=MILLION, output_tokens=0, started_at=NOON - timedelta(hours=n)) for n in (0, 1)),
        contract=[euros],
        currency_rate=[until],
    )

    at.price_events(ledger, book(rate("input", "0.0375"), rate("output", "2")))

    no_rate = "no rate of EUR at this time for contract `e`"
    assert costs(ledger, "list_cost", "contracted_cost", "price_reason") == [
        (Decimal("0.0375"), None, no_rate),
        (Decimal("0.0375"), Decimal("2.5"), None),
    ]


@pytest.mark.parametrize(
    "rates",
    [
        [{"usd": Decimal(-1)}],
        [{"usd": Decimal(0)}],
        [{"usd": Decimal(1), "units": 0}],
        [{"usd": Decimal(1)}, {"usd": Decimal(2), "valid_from": NOON}],
        [{"usd": Decimal(2), "currency": "USD"}],
    ],
)
def test_currency_rates_that_cannot_be_right_are_refused_with_their_place(rates: list[dict[str, Any]]) -> None:
    plain = {"currency": "EUR", "units": None, "valid_from": None, "valid_to": None}
    placed = [{**plain, "place": f"rates.csv:{n}", **row} for n, row in enumerate(rates, 2)]

    with pytest.raises(ConfigurationError, match=rf"rates\.csv:{len(rates) + 1}: "):
        contracted(rates=placed)


def test_a_contract_names_its_model_in_any_case() -> None:
    own = contract("o", kind="price", model="My-Model", price=Decimal(1), price_per=MILLION, meter="input")

    assert contracted(own, model="My-Model") == [(None, Decimal(1))]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"kind": "price", "price": Decimal(-1), "price_per": 1}, "has price -1"),
        ({"kind": "rebate"}, "is a `rebate`"),
        ({"kind": "discount", "numerator": 3, "denominator": 2}, "pays 3/2"),
        ({"kind": "price", "price": Decimal(1), "valid_from": NOON, "valid_to": NOON}, "valid from"),
        ({"kind": "price", "price": Decimal(1), "price_per": 0}, "per 0"),
        ({"kind": "price", "price": Decimal(1), "meter": "cache_raed"}, "near: cache_read"),
        ({"kind": "commitment", "amount": Decimal(1), "service_tier": "batch"}, "of one tier or meter"),
        ({"kind": "tiered_discount", "numerator": 1, "denominator": 2, "meter": "input"}, "of one tier or meter"),
    ],
)
def test_a_contract_that_cannot_be_right_is_refused_with_its_place(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        contracted(contract("x", **columns))
    assert "contracts.csv:x" in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"provider": "opneai"}, "provider `opneai`; near: openai"), ({"service_tier": "turbo"}, "tier `turbo`")],
)
def test_a_contract_about_a_misspelt_name_is_refused_and_applies_to_nothing_in_silence(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"contracts\.csv:c: `c` is about the {message}"):
        contracted(contract("c", kind="discount", numerator=1, denominator=2, **columns))


@pytest.mark.parametrize(
    ("region", "cost"),
    [("eastus2", 1), ("germanywestcentral", 1), ("us-central1", 1), ("eu", 2), ("mars", None), ("atlantis1", None)],
)
def test_a_data_center_takes_the_worldwide_price_and_a_word_that_is_none_has_no_price(
    region: str, cost: int | None
) -> None:
    prices = book(rate("input", "1"), rate("input", "2", region="eu"), rate("output", "1"))
    found = costs(priced(prices, region=region, input_tokens=MILLION, output_tokens=0))

    assert found[0][1] == (None if cost is None else Decimal(cost))


def test_two_contract_prices_for_the_same_calls_are_refused() -> None:
    one, other = (contract(n, kind="price", price=Decimal(1), price_per=MILLION) for n in ("a", "b"))

    with pytest.raises(ConfigurationError, match="prices the same calls as"):
        contracted(one, other)


def test_two_contract_prices_of_which_neither_names_more_are_refused_where_they_meet() -> None:
    price = {"kind": "price", "price": Decimal(1), "price_per": MILLION}
    of_model, of_meter = contract("a", model="m", **price), contract("b", meter="input", **price)
    of_both = contract("c", model="m", meter="input", **price)

    with pytest.raises(ConfigurationError, match="`b` prices the same calls as `a`"):
        contracted(of_model, of_meter)
    assert contracted(of_model, of_both)[0][1] == Decimal(1)


@pytest.mark.parametrize(
    "term",
    [
        {"kind": "discount", "numerator": 9, "denominator": 10},
        {"kind": "tiered_discount", "numerator": 9, "denominator": 10, "over": Decimal(5)},
        {"kind": "allowance", "meter": "input", "quantity": Decimal(5)},
    ],
)
def test_a_term_that_is_there_twice_counts_no_second_time(term: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"`a` (says the same|frees the same units)"):
        contracted(contract("a", **term), contract("a", **term))


def test_every_entry_that_priced_a_call_is_in_the_ledger_with_its_source() -> None:
    ledger = ledger_of(event(model="gpt-4.1-mini"), event("b", model="o3", other_usage={"web_search": Decimal(1)}))

    at.price_events(ledger)

    lost = "select count(*) from line_item as i anti join price as p on p.entry = i.price_entry and p.meter = i.meter"
    assert ledger.value(lost) == 0
    assert ledger.value("select count(*) from price where source is null or book is null") == 0


def test_money_leaves_the_engine_as_decimals_in_arrow_and_in_parquet(tmp_path: Path) -> None:
    ledger = ledger_of(event(model="gpt-4.1-mini"))
    at.price_events(ledger)
    table = ledger.arrow("select event_id, list_cost, sum(list_cost) over () as total from event_cost")

    pq.write_table(table, tmp_path / "costs.parquet")

    read = pq.read_table(tmp_path / "costs.parquet")
    assert [pa.types.is_decimal(read.schema.field(name).type) for name in ("list_cost", "total")] == [True, True]
    assert read["total"].to_pylist() == [Decimal("0.00056")]


def test_a_call_that_nobody_says_who_sold_is_an_estimate_at_its_makers_list() -> None:
    ledger = ledger_of(event(provider=None, model="gpt-4.1-mini", input_tokens=3200, output_tokens=480))

    at.price_events(ledger)

    assert costs(ledger, "price_status", "list_cost", "estimated_cost") == [("unpriced", None, Decimal("0.002048"))]
    assert "no provider is known" in costs(ledger, "price_reason")[0][0]
