"""The price book: built from its sources, one price for every moment, and each row with where it is from."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from attribution.cli.prices import app
from attribution.errors import ConfigurationError, QuestionError
from attribution.pricing.book import NO_LIMIT, PriceBook, Rate
from attribution.pricing.building import Built, build_book
from attribution.pricing.listing import compare_books, compare_sources, list_models, show_model
from attribution.pricing.merging import merge
from attribution.pricing.models import resolve
from attribution.pricing.sources.supplement import COLUMNS, read_rates
from attribution.pricing.storing import fingerprint_of, read_book, shipped_book, write_book
from tests.examples import FIXTURES

NOW = datetime(2026, 10, 20)


@pytest.fixture(scope="module")
def built() -> Built:
    return build_book()


def test_the_shipped_book_is_what_build_gives(built: Built, tmp_path: Path) -> None:
    shipped = shipped_book()
    write_book(built.book, built.conflicts, built.inputs, tmp_path)

    assert built.book.rates == shipped.rates
    assert [(n.provider, n.model, n.clause) for n in built.book.names] == [
        (n.provider, n.model, n.clause) for n in shipped.names
    ]
    assert built.book.fingerprint == shipped.fingerprint == fingerprint_of(shipped.rates, shipped.names)
    here = Path(__file__).parents[1] / "attribution/prices/book"
    for name in ("about.json", "conflicts.csv"):
        assert (tmp_path / name).read_bytes() == (here / name).read_bytes()


def test_every_row_says_where_it_is_from() -> None:
    for rate in shipped_book().rates:
        assert rate.source in ("genai-prices", "litellm", "model-prices", "supplement")
        assert rate.source_entry
        assert rate.basis
        assert rate.price >= 0
        assert rate.per >= 1


def test_no_two_rows_of_the_book_hold_at_once() -> None:
    places: dict[tuple[Any, ...], list[Rate]] = defaultdict(list)
    for rate in shipped_book().rates:
        places[rate.provider, rate.model, rate.meter, rate.service_tier, rate.region].append(rate)
    for rates in places.values():
        for position, one in enumerate(rates):
            for other in rates[:position]:
                assert not (
                    one.valid_from < other.valid_to
                    and other.valid_from < one.valid_to
                    and one.context_over < other.context_upto
                    and other.context_over < one.context_upto
                    and one.second_from < other.second_to
                    and other.second_from < one.second_to
                    and one.weekdays & other.weekdays
                ), (one.entry_id, other.entry_id)


def test_entries_have_names_of_their_own() -> None:
    names = [(rate.entry_id, rate.meter) for rate in shipped_book().rates]

    assert len(names) == len(set(names))


def test_conflicts_are_recorded_with_the_reason_of_the_choice(built: Built) -> None:
    assert built.conflicts
    assert all(c.reason and c.chosen != c.other for c in built.conflicts)
    moved = [c for c in built.conflicts if (c.provider, c.model, c.meter) == ("mistral", "mistral-large", "input")]
    assert {(c.chosen_price, c.other_price) for c in moved} == {(Decimal(2), Decimal("0.5"))}


def test_first_party_sources_agree_on_what_they_both_price(built: Built) -> None:
    found = compare_sources(built.given, built.book.as_of)

    pair = found[(found["provider"] == "anthropic") & (found["one"] == "genai-prices") & (found["other"] == "litellm")]
    assert list(pair["compared"]) == list(pair["equal"])
    assert set(pair["meter"]) == {"input", "output", "cache_read", "cache_write_5m"}


# Merging


def one(source: str, price: str, basis: str = "undated", **more: Any) -> Rate:
    return Rate("p", "m", "input", Decimal(price), 1, source=source, source_entry=source, basis=basis, **more)


def merged(*rates: Rate, preferred: str | None = None) -> list[tuple[str, Decimal]]:
    kept, _ = merge(rates, {"p": preferred} if preferred else {}, NOW)
    return [(r.source, r.price) for r in sorted(kept, key=lambda r: r.valid_from)]


def test_the_supplement_is_before_everything_and_litellm_fills_gaps() -> None:
    assert merged(one("supplement", "1"), one("genai-prices", "2"), one("litellm", "3")) == [("supplement", Decimal(1))]
    assert merged(one("genai-prices", "2"), one("litellm", "3")) == [("genai-prices", Decimal(2))]
    assert merged(one("litellm", "3")) == [("litellm", Decimal(3))]


def test_the_observed_history_holds_before_its_last_change_and_today_after_it() -> None:
    cut = datetime(2026, 5, 1)
    history = [
        one("model-prices", "5", "observed: x", valid_to=cut),
        one("model-prices", "2", "observed: y", valid_from=cut),
    ]

    assert merged(*history, one("genai-prices", "3")) == [("model-prices", Decimal(5)), ("genai-prices", Decimal(3))]


def test_a_documented_change_is_before_what_is_only_current() -> None:
    documented = one("model-prices", "5", "documented: https://x")

    assert merged(documented, one("genai-prices", "3")) == [("model-prices", Decimal(5))]
    assert merged(documented, one("genai-prices", "3"), preferred="genai-prices") == [("genai-prices", Decimal(3))]


def test_a_tier_price_without_a_date_holds_only_beside_its_standard_price() -> None:
    cut = datetime(2026, 5, 1)
    history = [
        one("model-prices", "5", "observed: x", valid_to=cut),
        one("model-prices", "2", "observed: y", valid_from=cut),
    ]
    batch = one("genai-prices", "1", "verified", service_tier="batch", valid_from=datetime(2026, 10, 14))

    kept, _ = merge([*history, one("genai-prices", "2"), batch], {}, NOW)

    (tier,) = [r for r in kept if r.service_tier == "batch"]
    assert tier.valid_from == cut


# Names


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("openai", "openai/gpt-4.1-mini", "gpt-4.1-mini"),
        ("openai", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("xai", "grok-4.3", "grok-4.3"),
        ("google", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
    ],
)
def test_names_in_other_forms_find_their_entry(provider: str, name: str, model: str) -> None:
    found = resolve(shipped_book(), provider, name)

    assert not isinstance(found, str), found
    assert found.model == model


@pytest.mark.parametrize(
    "name",
    [
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
        "arn:aws:bedrock:us-east-1:1:provisioned-model/x",
    ],
)
def test_names_that_hide_the_model_are_not_guessed(name: str) -> None:
    found = resolve(shipped_book(), "aws", name)

    assert isinstance(found, str)
    assert "an alias must name it" in found


# Supplements


def lines(**columns: str) -> list[str]:
    plain = {
        "entry": "e",
        "model": "m",
        "meter": "input",
        "price": "1.5",
        "per": "1000000",
        "source": "https://x.example",
    }
    row = {**dict.fromkeys(COLUMNS, ""), **plain, **columns}
    return [",".join(COLUMNS) + "\n", ",".join(row[name] for name in COLUMNS) + "\n"]


def test_a_plain_row_is_read() -> None:
    (rate,) = read_rates(lines(), "openai", "prices/openai.csv")

    assert (rate.price, rate.per, rate.context_upto) == (Decimal("1.5"), 1_000_000, NO_LIMIT)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"price": "-1"}, "price `-1`"),
        ({"price": "0.083333333333333329"}, "price `0.083333333333333329`"),
        ({"price": "1e-6"}, "price `1e-6`"),
        ({"meter": "inputs"}, "unknown meter `inputs`"),
        ({"per": "0"}, "per `0`"),
        ({"valid_from": "2026-02-01", "valid_to": "2026-01-01"}, "valid from 2026-02-01 to 2026-01-01"),
        ({"valid_from": "2026-01-01T00:00:00+02:00"}, "time `2026-01-01T00:00:00"),
        ({"source": "a friend"}, "source `a friend`"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_file_line_and_entry(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        list(read_rates(lines(**columns), "openai", "prices/openai.csv"))
    assert "prices/openai.csv:2: entry `e`" in str(error.value)
    assert message in str(error.value)


def test_overlapping_rows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"prices/x\.csv:3: entry `f` overlaps entry `e` of line 2"):
        list(read_rates([*lines(), lines(entry="f")[1]], "openai", "prices/x.csv"))


# For people


def test_two_books_are_compared_by_entry() -> None:
    old = PriceBook([one("a", "1"), one("a", "2", valid_from=NOW)], [], {}, NOW)
    new = PriceBook([one("a", "3")], [], {}, NOW)

    found = compare_books(old, new)

    assert list(found["change"]) == ["changed", "removed"]
    assert compare_books(new, new).empty


def test_a_model_is_shown_with_the_prices_of_a_day() -> None:
    then = show_model(shipped_book(), "o3", "openai", datetime(2025, 6, 1))

    assert then[(then["meter"] == "input") & (then["tier"] == "standard")]["price"].item() == Decimal(10)
    with pytest.raises(QuestionError, match="near: o3"):
        show_model(shipped_book(), "o33", "openai")


@pytest.mark.parametrize("day", ["2025-06-09T23:59:59Z", "2025-06-10T01:59:59+02:00", "2025-06-09"])
def test_a_moment_is_shown_in_utc_whatever_its_offset(day: str) -> None:
    shown = CliRunner().invoke(app, ["show", "o3", "--provider", "OpenAI", "--at", day, "--json"])

    prices = {(row["meter"], row["tier"]): row["price"] for row in json.loads(shown.output)["rows"]}
    assert Decimal(prices["input", "standard"]) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["o3", "--at", "yesterday"], "expected an ISO date or time"),
        (["gpt-4.1-minny"], "has no model `gpt-4.1-minny`; near: gpt-4.1-mini"),
        (["claude-sonet-4", "--provider", "anthropic"], "of anthropic; near: claude-sonnet-4"),
        (["claude-sonnet-4", "--provider", "azure"], "anthropic has one"),
        (["gpt-4o", "--provider", "opneai"], "has no provider `opneai`; near: openai"),
    ],
)
def test_what_the_book_does_not_have_is_said_with_what_is_near(arguments: list[str], message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)


def test_a_price_that_began_later_is_not_there_yet() -> None:
    late = Rate("openai", "m", "input", Decimal(1), 1_000_000, valid_from=NOW)

    with pytest.raises(QuestionError, match="no price for `m` at 2025-06-01"):
        show_model(PriceBook([late], [], {}, NOW), "m", "openai", datetime(2025, 6, 1))


def test_a_day_before_the_history_is_shown_with_what_that_means() -> None:
    shown = CliRunner().invoke(app, ["show", "gpt-4o", "--provider", "openai", "--at", "2024-06-01"])

    assert "the earliest price known" in shown.output


def test_the_list_has_every_provider_and_refuses_an_unknown_one() -> None:
    assert set(list_models(shipped_book())["provider"]) == set(shipped_book().providers())
    with pytest.raises(QuestionError, match="provider"):
        list_models(shipped_book(), "nobody")


def test_a_folder_without_a_book_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no price book here"):
        read_book("/nowhere")


@pytest.mark.parametrize(
    "command",
    [["list", "--provider", "x-ai"], ["show", "gpt-4.1-mini", "--at", "2026-10-20"], ["diff", "shipped", "shipped"]],
)
def test_commands_answer_in_text_and_in_json(command: list[str]) -> None:
    text, as_json = (CliRunner().invoke(app, [*command, *more]) for more in ([], ["--json"]))

    assert (text.exit_code, as_json.exit_code) == (0, 0), text.output
    assert json.loads(as_json.output)["command"] == f"prices {command[0]}"


def test_a_shown_price_is_not_rounded() -> None:
    shown = CliRunner().invoke(app, ["show", "gpt-5.4", "--provider", "openai", "--at", "2026-10-20"])

    assert "11.25" in shown.output


def test_build_writes_a_book_that_reads_back(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["build", "--into", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert read_book(str(tmp_path)).fingerprint == shipped_book().fingerprint
    with (tmp_path / "conflicts.csv").open(newline="") as rows:
        assert all(row["reason"] for row in csv.DictReader(rows))


def test_a_newer_map_can_be_given_and_its_digest_is_its_version(tmp_path: Path) -> None:
    entry = {"litellm_provider": "newcomer", "input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}
    (tmp_path / "map.json").write_text(json.dumps({"newcomer/m-1": entry}))

    built = build_book(tmp_path / "map.json")

    assert [(r.meter, r.price, r.per) for r in built.book.of("newcomer", "m-1")] == [
        ("input", Decimal(1), 1_000_000),
        ("output", Decimal(2), 1_000_000),
    ]
    assert built.inputs["litellm"] == hashlib.sha256((tmp_path / "map.json").read_bytes()).hexdigest()[:12]
    with pytest.raises(ConfigurationError, match="it cannot be read"):
        build_book(tmp_path / "nothing.json")


ENTRY = '{{\n"newcomer/m-0": {{}},\n"newcomer/m-1": {{"litellm_provider": "newcomer", {said}}}\n}}'


@pytest.mark.parametrize(
    "said",
    [
        '"input_cost_per_token": -1e-6',
        '"input_cost_per_token": "1e-6"',
        '"input_cost_per_token": true',
        '"input_cost_per_token": 1e30',
        '"search_context_cost_per_query": {"search_context_size_low": -1}',
        '"tiered_pricing": [{"range": [0, 5], "input_cost_per_token": -1}]',
        '"tiered_pricing": [{"range": [5, 0], "input_cost_per_token": 1e-6}]',
        '"tiered_pricing": [{"range": [0, 9]}, {"range": [5, 12]}]',
    ],
)
def test_a_given_map_with_a_price_that_cannot_be_right_is_refused_by_file_line_and_entry(
    said: str, tmp_path: Path
) -> None:
    (tmp_path / "map.json").write_text(ENTRY.format(said=said))

    with pytest.raises(ConfigurationError, match=r"map\.json:3: `newcomer/m-1`: "):
        build_book(tmp_path / "map.json")


@pytest.mark.parametrize("text", ['{"a": {"x": NaN}}', '{"a": {}, "a": {}}', "[1]", "{"])
def test_a_given_file_that_is_no_strict_json_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(text)

    for given in ((tmp_path / "map.json", None), (None, tmp_path / "map.json")):
        with pytest.raises(ConfigurationError, match=r"map\.json: it "):
            build_book(*given)


INTERVAL = {"start": None, "rates": {"input": 1, "output": 2, "valid_from": "2025-01-01", "valid_from_basis": "x"}}


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([{**INTERVAL, "rates": {"input": -1, "output": 2}}], "input is -1"),
        ([{**INTERVAL, "rates": {"input": 1}}], "no input or output price"),
        ([INTERVAL, {**INTERVAL, "start": "2026-02-01"}, {**INTERVAL, "start": "2026-01-01"}], "after 2026-02-01"),
        ([{**INTERVAL, "start": "soon"}], "begins at 'soon'"),
        ([{**INTERVAL, "rates": {"input": 1, "output": 2, "tiers": [{"above": 9}, {"above": 5}]}}], "bounds that rise"),
        (5, "is not shaped as expected"),
    ],
)
def test_a_given_history_that_cannot_be_right_is_refused_by_its_entry(
    intervals: Any, message: str, tmp_path: Path
) -> None:
    snapshot = {"updated_at": "2026-10-01", "schedules": {"schedule": [], "holidays": {}}}
    prices = {"newcomer": {"m-1": {"standard": intervals}}}
    (tmp_path / "history.json").write_text(json.dumps({**snapshot, "prices": prices}))

    with pytest.raises(ConfigurationError, match=message) as error:
        build_book(None, tmp_path / "history.json")
    assert "history.json:1: `" in str(error.value)


def test_a_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("{}")

    with pytest.raises(ConfigurationError, match="no updated_at, prices, schedules"):
        build_book(None, tmp_path / "history.json")


def test_the_vendored_sources_pass_the_checks_of_given_ones(built: Built, tmp_path: Path) -> None:
    sources = Path(__file__).parents[1] / "attribution/prices/sources"
    for prefix in ("litellm-", "model-prices-"):
        (packed,) = sources.glob(f"{prefix}*.zst")
        (tmp_path / prefix).write_bytes(zstandard.ZstdDecompressor().decompress(packed.read_bytes(), 200_000_000))

    again = build_book(tmp_path / "litellm-", tmp_path / "model-prices-")

    assert [(r.entry_id, r.meter, r.price) for r in again.book.rates] == [
        (r.entry_id, r.meter, r.price) for r in built.book.rates
    ]


def test_price_keys_that_no_meter_counts_are_named_by_the_build(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(ENTRY.format(said='"input_cost_per_flurb": 1'))

    assert build_book(tmp_path / "map.json").unread == {"input_cost_per_flurb": 1}
    assert "not compiled" in CliRunner().invoke(app, ["build"]).output


def test_a_book_that_was_edited_or_is_incomplete_is_refused(built: Built, tmp_path: Path) -> None:
    edited, lost = tmp_path / "edited", tmp_path / "lost"
    write_book(replace(built.book, rates=built.book.rates[1:]), [], {}, edited)
    write_book(built.book, [], {}, lost)
    (lost / "names.parquet").unlink()

    with pytest.raises(ConfigurationError, match="its prices have fingerprint"):
        read_book(str(edited))
    with pytest.raises(ConfigurationError, match=r"no names\.parquet"):
        read_book(str(lost))
    (lost / "names.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_book(str(lost))


def test_the_audit_shows_what_a_gateway_claimed_beside_the_list() -> None:
    payloads = str(FIXTURES / "sources/litellm_payload")

    text, as_json = (CliRunner().invoke(app, ["audit", payloads, *more]) for more in ([], ["--json"]))

    assert "claimed − list" in text.output
    rows = json.loads(as_json.output)["rows"]
    assert sum(row["agreeing"] for row in rows) > 0
    assert all(Decimal(row["gap"]) == Decimal(row["claimed"]) - Decimal(row["list_cost"]) for row in rows)
