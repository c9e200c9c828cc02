"""Pull: pages as they are, each once, patient with faults that pass, and going on where it stopped."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attribution.cli import app
from attribution.errors import PullError, QuestionError
from attribution.pulling import pull
from attribution.pulling.asking import ATTEMPTS, retry_after
from tests.admin_api import KEY, Api, serving
from tests.bill_examples import bill, lines, total

COSTS = "/organization/costs"
FIRST, AFTER = date(2026, 9, 1), date(2026, 9, 6)
LATE = datetime(2026, 10, 20, 6, tzinfo=UTC)


def pulled(api: Api, out: Path, provider: str = "openai", **options: Any) -> list[Path]:
    waits: list[float] = options.pop("waits", [])
    told: dict[str, Any] = {"start": FIRST, "end": AFTER, "key": KEY, "pulled_at": LATE} | options
    return pull(provider, told.pop("start"), told.pop("end"), out, base_url=api.url, sleep=waits.append, **told)


def costs(out: Path) -> list[str]:
    return [path.name for path in sorted(out.glob("openai-costs.*.json"))]


def test_every_endpoint_is_paged_to_its_end_and_the_pages_are_the_servers_bytes(tmp_path: Path) -> None:
    with serving(per_page=2) as api:
        written = pulled(api, tmp_path)

    assert costs(tmp_path) == [
        f"openai-costs.by-api_key_id+line_item+project_id.2026-09-01..2026-09-06.pulled-20261020T060000Z.p000{n}.json"
        for n in (1, 2, 3)
    ]
    assert len(written) == len(set(written)) == 11 * 3
    assert b'"amount":{"value":"1.00","currency":"usd"}' in (tmp_path / costs(tmp_path)[0]).read_bytes()
    assert [query.get("page") for path, query, _ in api.asked if path == COSTS] == [None, "page_2", "page_4"]


def test_what_is_asked_for_is_what_the_api_documents(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path)
        pulled(api, tmp_path, "anthropic", start=date(2026, 9, 1), end=date(2026, 9, 3))

    asked = {path: query for path, query, _ in reversed(api.asked)}
    assert asked["/organization/usage/completions"] == {
        "start_time": "1788220800", "end_time": "1788652800", "bucket_width": "1d", "limit": "31",
        "group_by[]": ["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"],
    }  # fmt: skip
    assert asked["/organizations/cost_report"] == {
        "starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-03T00:00:00Z", "bucket_width": "1d",
        "limit": "31", "group_by[]": ["workspace_id", "description"],
    }  # fmt: skip
    days = [query["starting_at"] for path, query, _ in api.asked if path.endswith("claude_code")]
    assert days == ["2026-09-01", "2026-09-02"]


def test_pulled_pages_load_like_any_file(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path)
        pulled(api, tmp_path, "anthropic")

    ledger = bill(tmp_path)

    assert total(ledger, where="source = 'openai_costs'") == Decimal("5.00")
    assert total(ledger, where="source = 'anthropic_cost'") == Decimal("0.05")
    assert set(lines(ledger, "project_id", "api_key_id", where="source = 'anthropic_usage'")) == {
        ("default", "console")
    }
    assert ledger.rows("from conflict") == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_fault_that_passes_is_waited_for(tmp_path: Path, status: int) -> None:
    waits: list[float] = []
    with serving() as api:
        api.faults[COSTS] = [(status, {}, b"busy"), (status, {}, b"busy")]
        pulled(api, tmp_path, waits=waits)

    assert len(costs(tmp_path)) == 3
    assert waits == [1.0, 2.0]


def test_the_server_says_how_long_to_wait(tmp_path: Path) -> None:
    waits: list[float] = []
    date_form = {"retry-after": "Wed, 21 Oct 2026 07:28:09 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    with serving() as api:
        api.faults[COSTS] = [(429, {"retry-after": "17"}, b""), (429, {"retry-after": "0.5"}, b"")]
        pulled(api, tmp_path, waits=waits)

    assert waits == [17.0, 0.5]
    assert retry_after(date_form) == 9.0
    assert retry_after({"retry-after": "soon"}) is None


@pytest.mark.parametrize(
    "fault",
    [
        (200, {"content-length": "5000"}, b'{"object":"page"'),
        (200, {}, b'{"object":"page","data":[{"obj'),
        (200, {}, b"<html>maintenance</html>"),
        (200, {}, b'{"object":"page"}'),
    ],
    ids=["cut off", "half an object", "a web page", "no data"],
)
def test_an_answer_that_is_no_whole_page_is_never_written(
    tmp_path: Path, fault: tuple[int, dict[str, str], bytes]
) -> None:
    with serving() as api:
        api.faults[COSTS] = [fault]
        pulled(api, tmp_path)

    assert len(costs(tmp_path)) == 3
    assert all(json.loads((tmp_path / name).read_bytes())["data"] for name in costs(tmp_path))


def test_an_interrupted_pull_goes_on_after_its_last_page(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path)
        for name in costs(tmp_path)[2:]:
            (tmp_path / name).unlink()
        (tmp_path / f".{costs(tmp_path)[0]}.partial").write_bytes(b"half")
        api.asked.clear()
        written = pulled(api, tmp_path, pulled_at=datetime(2026, 10, 21, tzinfo=UTC))

    assert [(path, query["page"]) for path, query, _ in api.asked] == [(COSTS, "page_4")]
    assert [path.name for path in written] == costs(tmp_path)[2:]
    assert not list(tmp_path.glob(".*"))
    assert total(bill(tmp_path)) == Decimal("5.00")


def test_a_server_that_never_recovers_leaves_the_pages_and_says_so(tmp_path: Path) -> None:
    waits: list[float] = []
    with serving() as api:
        pulled(api, tmp_path, end=date(2026, 9, 3))
        api.faults[COSTS] = [(503, {}, b"")] * ATTEMPTS
        with pytest.raises(PullError, match=r"costs: it answered 503, 8 times\. Pages already written stay"):
            pulled(api, tmp_path, waits=waits)

    assert len(waits) == ATTEMPTS - 1
    assert max(waits) <= 120
    assert len(costs(tmp_path)) == 1


def test_a_token_that_is_no_longer_known_begins_the_window_anew(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path)
        for name in costs(tmp_path)[1:]:
            (tmp_path / name).unlink()
        api.refused_tokens = {"page_2"}
        with pytest.raises(PullError, match="page token expired"):
            pulled(api, tmp_path, pulled_at=datetime(2026, 10, 21, tzinfo=UTC))
        api.refused_tokens = set()
        pulled(api, tmp_path, pulled_at=datetime(2026, 10, 21, tzinfo=UTC))

    assert len(costs(tmp_path)) == 3
    assert total(bill(tmp_path)) == Decimal("5.00")


def test_settled_days_are_not_asked_for_again(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path)
        api.asked.clear()

        assert pulled(api, tmp_path, pulled_at=datetime(2026, 10, 21, tzinfo=UTC)) == []

    assert api.asked == []


def test_the_next_pull_replaces_the_trailing_days_and_keeps_the_rest(tmp_path: Path) -> None:
    """openai.md, Trap 9: recent buckets are revised; re-pull a trailing window and replace, never append."""
    with serving() as api:
        pulled(api, tmp_path, pulled_at=datetime(2026, 9, 6, 6, tzinfo=UTC))
        first = bill(tmp_path)
        api.amount = "3.00"
        api.asked.clear()
        pulled(api, tmp_path, pulled_at=datetime(2026, 9, 7, 6, tzinfo=UTC))

    assert {query["start_time"] for path, query, _ in api.asked if path == COSTS} == {"1788393600"}  # 2026-09-03
    assert total(bill(tmp_path)) == Decimal("2") * 1 + Decimal("3") * 3
    assert total(bill(tmp_path, ledger=first)) == Decimal("11.00")


def test_days_to_come_are_not_asked_for(tmp_path: Path) -> None:
    with serving() as api:
        pulled(api, tmp_path, pulled_at=datetime(2026, 9, 2, 6, tzinfo=UTC))

    assert {query["end_time"] for path, query, _ in api.asked if path == COSTS} == {
        "1788393600"
    }  # 2026-09-03, exclusive


def test_a_key_that_is_refused_is_named_and_not_shown(tmp_path: Path) -> None:
    with serving() as api, pytest.raises(PullError, match="the key in OPENAI_ADMIN_KEY") as refused:
        pulled(api, tmp_path, key="sk-proj-secret")

    assert "secret" not in str(refused.value)
    assert len(api.asked) == 1


def test_more_pages_without_a_token_are_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    page = b'{"object":"page","data":[],"has_more":true,"next_page":null}'
    with serving() as api:
        api.faults["*"] = [(200, {}, page)]
        with pytest.raises(PullError, match="more pages and not which"):
            pulled(api, tmp_path)


def test_an_admin_key_is_never_sent_in_the_clear_beyond_this_machine(tmp_path: Path) -> None:
    with pytest.raises(PullError, match="not https"):
        pull("openai", FIRST, AFTER, tmp_path, key=KEY, pulled_at=LATE, base_url="http://api.example.com/v1")


def test_a_window_without_days_and_a_stranger_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="a day after 2026-09-06"):
        pull("openai", AFTER, FIRST, tmp_path, key=KEY, pulled_at=LATE)
    with pytest.raises(QuestionError, match="anthropic or openai"):
        pull("opena", FIRST, AFTER, tmp_path, key=KEY, pulled_at=LATE)


def test_long_ranges_are_asked_for_in_windows(tmp_path: Path) -> None:
    with serving(per_page=31) as api:
        pulled(api, tmp_path, start=date(2026, 7, 1), end=date(2026, 9, 1))

    assert [name.split(".")[2:5:2] for name in costs(tmp_path)] == [
        ["2026-07-01", "2026-08-01"],
        ["2026-08-01", "2026-09-01"],
    ]


def test_the_command_reads_the_key_from_the_environment_and_shows_what_it_wrote(tmp_path: Path) -> None:
    days = ["--from", "2026-09-01", "--to", "2026-09-05"]
    with serving() as api:
        told = ["pull", "openai", *days, str(tmp_path), "--base-url", api.url]
        run = CliRunner().invoke(app, told, env={"OPENAI_ADMIN_KEY": KEY})
        without = CliRunner().invoke(app, told, env={"OPENAI_ADMIN_KEY": ""})

    assert run.exit_code == 0, run.output
    assert "33 pages of openai" in run.output
    assert KEY not in run.output
    assert without.exit_code == 2
    assert "OPENAI_ADMIN_KEY" in without.output
