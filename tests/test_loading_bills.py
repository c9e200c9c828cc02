"""Bills that are rewritten: the newer run counts, whichever file came first, and nothing is lost on the way."""

from __future__ import annotations

import csv
import gzip
import io
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.ledger import Ledger, open_ledger
from attribution.loading import load
from tests.bill_examples import (
    SOURCES,
    anthropic_page,
    anthropic_usage,
    bill,
    counts,
    dump,
    lines,
    openai_cost,
    openai_page,
    openai_usage,
    write,
)

NAMES = ("records", "accepted", "context", "duplicates", "superseded", "conflicting", "quarantined")


def pulled(folder: Path, hour: int, page: dict[str, Any], what: str = "openai-costs", by: str = "project_id") -> Path:
    return write(folder / f"{what}.by-{by}.2026-09-14..2026-09-15.pulled-20260916T{hour:02d}0000Z.p0001.json", page)


def projects(ledger: Ledger) -> list[tuple[Any, ...]]:
    return lines(ledger, "project_id", "billed_cost")


def test_a_later_pull_replaces_the_whole_day_with_lines_that_are_no_longer_there(tmp_path: Path) -> None:
    first = pulled(tmp_path, 1, openai_page(openai_cost("1.00", project_id="a"), openai_cost("2.00", project_id="b")))
    later = pulled(tmp_path, 2, openai_page(openai_cost("1.50", project_id="a")))

    ledger = bill(first, later)

    assert projects(ledger) == [("a", Decimal("1.50"))]
    assert counts(ledger, *NAMES) == (3, 1, 0, 0, 2, 0, 0)
    assert ledger.rows("from conflict") == []


def test_the_run_time_decides_and_not_the_order_of_loading(tmp_path: Path) -> None:
    runs = [
        pulled(
            tmp_path,
            hour,
            openai_page(openai_cost(f"{hour}.00", project_id="a"), openai_cost("2.00", project_id=f"p{hour}")),
        )
        for hour in (1, 2, 3)
    ]

    dumps = {repr(dump(bill(*order))) for order in permutations(runs)}

    assert len(dumps) == 1
    assert projects(bill(*reversed(runs))) == [("a", Decimal("3.00")), ("p3", Decimal("2.00"))]


def test_a_newer_run_without_any_line_clears_the_day_in_either_order(tmp_path: Path) -> None:
    first = pulled(tmp_path, 1, openai_page(openai_cost("1.00", project_id="a")))
    empty = pulled(tmp_path, 2, openai_page())

    assert projects(bill(first, empty)) == []
    assert projects(bill(empty, first)) == []


def test_a_newer_empty_usage_page_clears_only_its_own_endpoint(tmp_path: Path) -> None:
    embeddings = {"object": "organization.usage.embeddings.result", "input_tokens": 7, "num_model_requests": 1}
    first = pulled(tmp_path, 1, openai_page(openai_usage()), "openai-usage-completions")
    other = pulled(tmp_path, 1, openai_page(embeddings), "openai-usage-embeddings")
    empty = pulled(tmp_path, 2, openai_page(), "openai-usage-completions")

    ledger = bill(first, other, empty)

    assert lines(ledger, "sku", "meter", "quantity") == [("embeddings", "input", Decimal(7))]


def test_the_same_bytes_pulled_again_later_count_again(tmp_path: Path) -> None:
    one, two = openai_page(openai_cost("1.00", project_id="a")), openai_page(openai_cost("2.00", project_id="a"))
    first, second, third = (pulled(tmp_path, hour, page) for hour, page in ((1, one), (2, two), (3, one)))

    assert projects(bill(first, second)) == [("a", Decimal("2.00"))]
    assert projects(bill(first, second, third)) == [("a", Decimal("1.00"))]
    assert projects(bill(third, second, first)) == [("a", Decimal("1.00"))]


def test_loading_twice_changes_nothing(tmp_path: Path) -> None:
    runs = [pulled(tmp_path, hour, openai_page(openai_cost(f"{hour}.00", project_id="a"))) for hour in (1, 2)]
    ledger = bill(*runs)
    before = dump(ledger), counts(ledger, *NAMES)

    bill(*runs, ledger=ledger)

    assert (dump(ledger), counts(ledger, *NAMES)) == before


def test_without_a_run_time_another_amount_is_a_conflict_with_both_places(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", openai_page(openai_cost("1.00", project_id="a")))
    two = write(tmp_path / "two.json", openai_page(openai_cost("2.00", project_id="a")))

    ledger, other = bill(one, two), bill(two, one)

    assert counts(ledger, *NAMES) == (2, 1, 0, 0, 0, 1, 0)
    ((field, kept, kept_at, other_amount, other_at),) = ledger.rows(
        "select field, kept, kept_at, other, other_at from conflict where kind = 'same_id'"
    )
    assert (field, {Decimal(kept), Decimal(other_amount)}) == ("amount", {Decimal(1), Decimal(2)})
    assert kept_at != other_at
    assert dump(ledger) == dump(other)


def test_the_user_can_declare_when_a_file_was_exported(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", openai_page(openai_cost("1.00", project_id="a")))
    two = write(tmp_path / "two.json", openai_page(openai_cost("2.00", project_id="a")))

    ledger = bill(two, exported_at="2026-09-17T00:00:00Z")
    bill(one, ledger=ledger, exported_at="2026-09-16T00:00:00Z")

    assert projects(ledger) == [("a", Decimal("2.00"))]
    assert counts(ledger, *NAMES) == (2, 1, 0, 0, 1, 0, 0)


def test_a_file_read_again_with_other_declarations_replaces_its_first_reading(tmp_path: Path) -> None:
    page = write(tmp_path / "page.json", anthropic_page(anthropic_usage()))
    ledger = bill(page)
    assert set(lines(ledger, "project_id")) == {(None,)}

    bill(page, ledger=ledger, group_by=["workspace_id"])

    assert set(lines(ledger, "project_id")) == {("default",)}
    assert counts(ledger, *NAMES) == (1, 1, 0, 0, 0, 0, 0)


def test_the_configuration_declares_options_of_bills_by_their_path(tmp_path: Path) -> None:
    page = write(tmp_path / "anthropic" / "page.json", anthropic_page(anthropic_usage()))
    declared = [{"match": "anthropic/*.json", "options": {"group_by": ["workspace_id"]}}]
    ledger = open_ledger()

    load(ledger, page, column_maps=declared)

    assert set(lines(ledger, "project_id")) == {("default",)}


def test_an_equal_line_in_another_file_is_a_duplicate(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", openai_page(openai_usage(model="m")))
    two = write(tmp_path / "two.json", openai_page(openai_usage(model="m"), has_more=True))

    ledger = bill(one, two)

    assert counts(ledger, *NAMES) == (2, 1, 0, 1, 0, 0, 0)
    assert sum(quantity for (quantity,) in lines(ledger, "quantity")) == 1100


def test_two_groupings_of_one_day_are_not_added_and_the_finer_is_kept(tmp_path: Path) -> None:
    """openai.md, Trap 5: each grouping tells the full total again."""
    coarse = write(tmp_path / "coarse.json", openai_page(openai_usage()))
    fine = write(tmp_path / "fine.json", openai_page(openai_usage(model="m"), openai_usage(model="n")))

    for order in ((coarse, fine), (fine, coarse)):
        ledger = bill(*order)
        assert {model for (model,) in lines(ledger, "model")} == {"m", "n"}
        assert counts(ledger, *NAMES) == (3, 2, 0, 0, 0, 1, 0)
        assert ledger.rows("select kind, kept, other from conflict") == [("grouping", "model", "")]


HOUR = 3600


def hours(*which: int) -> dict[str, Any]:
    """Return a page of hours of one day, each with a thousand tokens in."""
    page = openai_page()
    page["data"] = [
        {"object": "bucket", "start_time": 1789344000 + n * HOUR, "end_time": 1789344000 + (n + 1) * HOUR,
         "results": [openai_usage(output_tokens=0)]} for n in which
    ]  # fmt: skip
    return page


def test_hours_are_not_added_to_their_day_which_tells_the_whole(tmp_path: Path) -> None:
    day = write(tmp_path / "day.json", openai_page(openai_usage(input_tokens=24_000, input_uncached_tokens=24_000)))
    some, others = (write(tmp_path / f"{n}.json", hours(*which)) for n, which in enumerate(((3, 4), (5,))))

    for order in permutations((day, some, others)):
        ledger = bill(*order)
        assert ledger.rows("select count(*), sum(quantity) from bill_line where meter = 'input'") == [(1, 24_000)]
        assert counts(ledger, *NAMES) == (4, 1, 0, 0, 0, 3, 0)
        assert ledger.rows("select kind, count(*) from conflict group by all") == [("bucket_width", 3)]


def test_pages_of_one_pull_add_up(tmp_path: Path) -> None:
    day = [1789344000, 1789430400]
    pages = [openai_page(openai_usage(project_id="a"), day=start) for start in day]

    ledger = bill(*(pulled(tmp_path / str(n), 1, page, "openai-usage-completions") for n, page in enumerate(pages)))

    assert sum(quantity for (quantity,) in lines(ledger, "quantity")) == 2200


def test_a_record_counts_as_accepted_while_any_of_its_lines_is_left(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", anthropic_page(anthropic_usage(model="m")))
    two = write(tmp_path / "two.json", anthropic_page(anthropic_usage(model="m", output_tokens=200)))

    ledger = bill(one, two)

    assert counts(ledger, *NAMES)[0] == 2
    assert ledger.rows("select count(*) from conflict") == [(1,)]
    assert [quantity for (quantity,) in lines(ledger, "quantity", where="meter = 'input'")] == [1000]


# Exports with manifests.

CUR = SOURCES / "cur" / "illustrative_cur2.csv"


def cur_rows(*amounts: str) -> bytes:
    """Return a report with as many lines of the first sample line as there are amounts."""
    with CUR.open(encoding="utf-8") as stream:
        sample = list(csv.DictReader(stream))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(sample[0]))
    writer.writeheader()
    for amount in amounts:
        writer.writerow(sample[0] | {"line_item_unblended_cost": amount})
    return out.getvalue().encode()


def cur_export(root: Path, folder: str, *parts: bytes, **manifest: Any) -> list[Path]:
    """Write the files of one run, and the manifest of the month, which every run overwrites."""
    names = [f"acme-{n:05d}.csv.gz" for n, _ in enumerate(parts, 1)]
    place = root / "data" / "BILLING_PERIOD=2026-09" / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, part in zip(names, parts, strict=True):
        (place / name).write_bytes(gzip.compress(part, mtime=0))
    told = {"exportName": "acme", "dataFiles": [f"s3://b/x/data/BILLING_PERIOD=2026-09/{folder}/{n}" for n in names]}
    write(root / "metadata" / "BILLING_PERIOD=2026-09" / "acme-Manifest.json", told | manifest)
    return [place / name for name in names]


def total(ledger: Ledger) -> Decimal:
    return sum((cost for (cost,) in lines(ledger, "billed_cost")), Decimal(0))


def test_a_run_that_the_manifest_no_longer_names_is_superseded(tmp_path: Path) -> None:
    """bedrock.md: with create-new versioning read only the execution named in the manifest."""
    cur_export(tmp_path, "run-1", cur_rows("1.00", "2.00"))
    cur_export(tmp_path, "run-2", cur_rows("1.50", "2.00"))

    ledger = bill(tmp_path)

    assert total(ledger) == Decimal("3.50")
    assert counts(ledger, *NAMES) == (5, 2, 1, 0, 2, 0, 0)


def test_a_month_overwritten_in_place_is_replaced_by_the_run_time_of_its_manifest(tmp_path: Path) -> None:
    """bedrock.md: replace the partition, never append."""
    early, late = tmp_path / "early", tmp_path / "late"
    first = cur_export(early, "", cur_rows("1.00", "2.00", "4.00"), submittedTime="2026-09-20T04:00:00Z")
    second = cur_export(late, "", cur_rows("1.25", "2.00"), submittedTime="2026-10-05T04:00:00Z")

    assert total(bill(*first, *second)) == total(bill(*second, *first)) == Decimal("3.25")


def test_parts_of_one_run_add_up_even_where_their_lines_are_equal(tmp_path: Path) -> None:
    parts = cur_export(tmp_path, "", cur_rows("1.00", "2.00"), cur_rows("1.00"), submittedTime="2026-10-05T04:00:00Z")

    assert total(bill(*parts)) == Decimal("4.00")


def test_a_newer_run_that_cannot_be_read_to_its_end_leaves_the_older_one(tmp_path: Path) -> None:
    first = cur_export(tmp_path / "1", "", cur_rows("1.00"), submittedTime="2026-09-20T04:00:00Z")
    (second,) = cur_export(tmp_path / "2", "", cur_rows("9.00"), submittedTime="2026-10-05T04:00:00Z")
    second.write_bytes(second.read_bytes()[:-8] + b"\0" * 8)
    ledger = bill(*first)

    loaded = load(ledger, second)

    assert [path for path, _ in loaded.refused] == [str(second)]
    assert total(ledger) == Decimal("1.00")


def test_an_azure_run_replaces_the_month_to_date(tmp_path: Path) -> None:
    """azure.md: month-to-date exports rewrite the whole month each run; use the newest run only."""
    text = (SOURCES / "azure_cost" / "illustrative_actual_cost_models.csv").read_text(encoding="utf-8")
    places = []
    for run, submitted, body in (("r1", "2026-09-15", text), ("r2", "2026-09-16", text.replace("0.30", "0.45"))):
        place = tmp_path / "acme-actual" / "20260901-20260930" / run
        manifest = {
            "exportConfig": {"exportName": "acme-actual", "type": "ActualCost"},
            "runInfo": {"submittedTime": f"{submitted}T06:00:00Z", "runId": run},
        }
        write(place / "manifest.json", manifest)
        (place / "part_0_0001.csv").write_text(body, encoding="utf-8")
        places.append(place)

    ledger, other = bill(*places), bill(*reversed(places))

    assert total(ledger) == total(other) == Decimal("0.656")
    assert counts(ledger, *NAMES) == (8, 3, 2, 0, 3, 0, 0)


def test_what_two_exports_tell_alike_is_told_once(tmp_path: Path) -> None:
    """azure.md, Trap 5: actual and amortised exports share all rows but those of commitments."""
    text = (SOURCES / "azure_cost" / "illustrative_actual_cost_models.csv").read_text(encoding="utf-8")
    for kind in ("ActualCost", "AmortizedCost"):
        place = tmp_path / kind / "20260901-20260930" / "run"
        told = {
            "exportConfig": {"exportName": kind, "type": kind},
            "runInfo": {"submittedTime": "2026-10-05T06:00:00Z", "runId": "run"},
        }
        write(place / "manifest.json", told)
        (place / "part_0_0001.csv").write_text(text + ("\n" if kind == "ActualCost" else ""), encoding="utf-8")

    ledger = bill(tmp_path)

    assert total(ledger) == Decimal("0.506")
    assert counts(ledger, *NAMES) == (8, 3, 2, 3, 0, 0, 0)


def test_lines_keep_their_identity_when_a_report_is_shuffled(tmp_path: Path) -> None:
    header, *rows = (SOURCES / "focus" / "v10_anonymised_real_subset.csv").read_bytes().splitlines(keepends=True)
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_bytes(header + b"".join(row if row.endswith(b"\n") else row + b"\n" for row in reversed(rows)))

    original = bill(SOURCES / "focus" / "v10_anonymised_real_subset.csv")

    assert dump(bill(shuffled)) == dump(original)
    assert counts(bill(shuffled, ledger=original), "records", "accepted", "duplicates") == (426, 213, 213)


@settings(max_examples=25, deadline=None)
@given(
    runs=st.lists(st.lists(st.sampled_from("abcd"), max_size=4), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_whatever_runs_there_are_the_last_one_counts(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[str]], order: Any
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    files = [
        pulled(folder, hour, openai_page(*(openai_cost(f"{hour}.{n}", project_id=p) for n, p in enumerate(run))))
        for hour, run in enumerate(runs)
    ]
    last = sorted((project, Decimal(f"{len(runs) - 1}.{n}")) for n, project in enumerate(runs[-1]))
    order.shuffle(files)

    ledger = open_ledger()
    load(ledger, *files)

    kept = projects(ledger)
    assert {project for project, _ in kept} == {project for project, _ in last}
    assert set(kept) <= set(last)
    counts(ledger, *NAMES)
