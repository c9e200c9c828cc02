from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pandas as pd
import pytest

import attribution as at
from attribution import showing


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0E-12", "$0.00"),
        ("0.000000160000", "$0.00000016"),
        ("0.000669500000", "$0.0006695"),
        ("0.05", "$0.05"),
        ("0.99996", "$1.00"),
        ("1.005", "$1.00"),
        ("1234567.891", "$1,234,567.89"),
        ("-0.000669500000", "-$0.0006695"),
        ("-12.3", "-$12.30"),
    ],
)
def test_dollars_have_separators_and_tiny_ones_stay_readable(amount: str, shown: str) -> None:
    assert showing.dollars(Decimal(amount)) == shown


def test_a_missing_amount_is_unknown_and_never_zero() -> None:
    assert showing.dollars(None) == "unknown"
    assert showing.dollars(pd.NA) == "unknown"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0", "0.0 %"), ("0.0004", "< 0.1 %"), ("0.43649", "43.6 %"), ("0.9999", "> 99.9 %"), ("1", "100.0 %")],
)
def test_a_share_that_is_there_is_not_rounded_away(value: str, shown: str) -> None:
    assert showing.share(Decimal(value)) == shown


def test_a_band_shows_both_ends_only_where_they_differ() -> None:
    assert showing.band(Decimal("0.42"), Decimal("0.483")) == "42.0–48.3 %"
    assert showing.band(Decimal("0.42"), Decimal("0.42")) == "42.0 %"
    assert showing.band(None, None) == "n/a"


def test_hidden_characters_are_made_visible() -> None:
    assert showing.visible("sup\u200bport\u202e\x1b[31m\n") == "sup\\u200bport\\u202e\\u001b[31m\\u000a"
    assert showing.visible("naïve-équipe 支持") == "naïve-équipe 支持"


def test_a_hop_is_named_by_its_ends_and_what_lies_between() -> None:
    row = {"producer": "api", "consumer": "worker", "system": "celery", "destination": "jobs"}

    assert showing.hop(row) == "api → worker (celery, jobs)"
    assert showing.hop(row | {"producer": None, "destination": None}) == "worker (celery)"
    assert showing.hop(dict.fromkeys(row)) == "an unnamed service"


def test_what_is_below_a_hop_is_never_zero_where_calls_have_no_price() -> None:
    assert showing.cost_below({"list_cost": Decimal("2.50"), "unpriced_calls": 0}) == "$2.50"
    assert showing.cost_below({"list_cost": Decimal("0"), "unpriced_calls": 1}) == "1 call without a price"
    assert (
        showing.cost_below({"list_cost": Decimal("2.50"), "unpriced_calls": 3}) == "$2.50 and 3 calls without a price"
    )


def test_a_shown_frame_is_readable_escaped_and_leaves_the_frame_exact() -> None:
    frame = pd.DataFrame(
        {
            "owner_team": ["</script><script>", None],
            "list_cost": [Decimal("1234.5"), None],
            "unowned_low": [Decimal("0.25"), None],
            "calls": [1200, 3],
            "since": [datetime(2026, 10, 5, 12, 30), None],
        }
    ).astype({"calls": "int64[pyarrow]"})

    shown = at.show(frame)

    assert repr(shown).splitlines()[1].split("  ")[0] == "</script><script>"
    assert "&lt;/script&gt;&lt;script&gt;" in shown._repr_html_()
    assert "<script>" not in shown._repr_html_()
    assert '<td style="text-align:right">$1,234.50</td>' in shown._repr_html_()
    assert ["25.0 %" in repr(shown), "1,200" in repr(shown), "2026-10-05 12:30 UTC" in repr(shown)] == [True] * 3
    assert shown.frame["list_cost"][0] == Decimal("1234.5")


def test_an_empty_answer_says_why() -> None:
    shown = at.show(pd.DataFrame({"a": []}), empty="No hop loses a field.")

    assert repr(shown) == "No hop loses a field."
    assert shown._repr_html_() == "<p>No hop loses a field.</p>"


def test_rungs_of_evidence_and_shares_of_any_kind_read_as_people_say_them() -> None:
    frame = pd.DataFrame({"owner_evidence": ["exclusive_key"], "unowned_share": [0.0346], "score": [3.14159]})

    assert str(showing.show(frame)).split("\n")[1].split() == ["exclusive", "key", "3.5", "%", "3.142"]


def test_shares_read_as_percent_and_the_ends_of_a_range_of_dollars_as_dollars() -> None:
    names = ("unowned_share", "not_declared_low", "unowned_share_high", "precision", "recovered_share", "utilization")
    assert all(showing.is_share(name) for name in names)
    assert not any(showing.is_share(name) for name in ("expected_low", "expected_high", "not_declared", "list_cost"))


def test_a_short_name_stays_on_one_line_and_a_sentence_may_break() -> None:
    rows = pd.DataFrame({"service": ["extract-api"], "remedy": ["call it in the worker-process, then go on"]})

    html = showing.show(rows)._repr_html_()

    assert '<td style="text-align:left;white-space:nowrap">extract-api</td>' in html
    assert '<td style="text-align:left">call it in the worker-process, then go on</td>' in html
