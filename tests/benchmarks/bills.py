"""Lines of bills loaded per CPU-second, source by source, beside a plain DuckDB scan of what they became.

Run:  python -m tests.benchmarks.bills [RECORDS] [SOURCE ...]     (default 200,000 records of every source)
Records are the fixtures' own, varied in day, amount and quantity, written to one file per source.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.bill_examples import SOURCES, anthropic_page, anthropic_usage, openai_cost, openai_page, openai_usage

SCAN = """
    select count(period_start), count(model), count(meter), sum(quantity), sum(billed_cost), sum(effective_cost),
        count(tags), count(sku), count(principal), count(bill_line_id)
    from bill_line
"""


def openai_usage_pages(records: int) -> Iterator[str]:
    """Yield pages of 500 results, one a line."""
    for page in range(records // 500):
        results = [
            openai_usage(model=f"model-{n % 25}", project_id=f"proj_{n}", input_tokens=1000 + n,
                         input_uncached_tokens=600 + n, input_cached_tokens=400)
            for n in range(500)
        ]  # fmt: skip
        yield json.dumps(openai_page(*results, day=1_700_006_400 + page * 86_400)) + "\n"


def openai_costs_pages(records: int) -> Iterator[str]:
    """Yield pages of 500 results, one a line."""
    for page in range(records // 500):
        results = [openai_cost(f"{n}.123456", line_item=f"model-{n}, input", project_id="p") for n in range(500)]
        yield json.dumps(openai_page(*results, day=1_700_006_400 + page * 86_400)) + "\n"


def anthropic_usage_pages(records: int) -> Iterator[str]:
    """Yield pages of 500 results, one a line."""
    for page in range(records // 500):
        results = [
            anthropic_usage(model=f"model-{n % 25}", api_key_id=f"apikey_{n}", uncached_input_tokens=n + page)
            for n in range(500)
        ]
        day = f"20{20 + page // 336:02d}-{page // 28 % 12 + 1:02d}-{page % 28 + 1:02d}"
        yield json.dumps(anthropic_page(*results, day=day)) + "\n"


def google_rows(records: int) -> Iterator[str]:
    """Yield rows of the billing export."""
    row = json.loads((SOURCES / "google_billing" / "illustrative_billing_export.jsonl").read_text().splitlines()[0])
    for n in range(records):
        row["cost"], row["usage"]["amount"] = n / 1_000_000, n
        row["usage_start_time"] = f"2026-09-{n % 30 + 1:02d}T{n // 30 % 24:02d}:00:00Z"
        row["usage_end_time"], row["project"]["id"] = row["usage_start_time"], f"project-{n // 720}"
        yield json.dumps(row) + "\n"


def table_rows(file: str, date: str, form: str, amounts: tuple[str, ...], records: int) -> Iterator[dict[str, Any]]:
    """Yield rows of a table, varied in day and amounts."""
    with (SOURCES / file).open(encoding="utf-8-sig", newline="") as stream:
        samples = list(csv.DictReader(stream))
    for n in range(records):
        row = dict(samples[n % len(samples)])
        row[date] = form.format(n % 28 + 1)
        for amount in amounts:
            row[amount] = f"{n / 1000:.4f}"
        yield row


TABLES = {
    "cur": ("cur/illustrative_cur2.csv", "line_item_usage_start_date", "2026-09-{:02d}T00:00:00Z",
            ("line_item_unblended_cost", "line_item_usage_amount")),
    "focus": ("focus/focus15draft_ai_prompt_caching_a.csv", "ChargePeriodStart", "2025-01-{:02d}T00:00:00Z",
              ("BilledCost", "ConsumedQuantity")),
    "azure_cost": ("azure_cost/illustrative_actual_cost_models.csv", "Date", "09/{:02d}/2026", ("Cost", "Quantity")),
    "invoice": ("invoice/invoice.csv", "issued_on", "2026-10-{:02d}", ("amount",)),
}  # fmt: skip
PAGES = {
    "openai_usage": openai_usage_pages,
    "openai_costs": openai_costs_pages,
    "anthropic_usage": anthropic_usage_pages,
    "google_billing": google_rows,
}


def written(source: str, records: int, folder: Path) -> list[Path]:
    """Write the records of a source; a report of AWS also as Parquet."""
    if source in PAGES:
        path = folder / f"{source}.jsonl"
        with path.open("w", encoding="utf-8") as stream:
            stream.writelines(PAGES[source](records))
        return [path]
    rows = list(table_rows(*TABLES[source], records))
    path = folder / f"{source}.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if source != "cur":
        return [path]
    pq.write_table(pa.Table.from_pylist(rows), folder / "cur.parquet")
    return [path, folder / "cur.parquet"]


def measure(path: Path) -> None:
    """Load one file, scan it, and print one row."""
    ledger = open_ledger()
    began, wall = time.process_time(), time.perf_counter()
    (file,) = load(ledger, path).files
    spent, passed = time.process_time() - began, time.perf_counter() - wall
    began = time.process_time()
    ledger.rows(SCAN)
    scan = time.process_time() - began
    lines = ledger.value("select count(*) from bill_line")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{file['source']:<22}{path.suffix:<9}{file['records']:>9,}{lines:>10,}{spent:>8.1f}{passed:>8.1f}"
        f"{file['records'] / spent:>11,.0f}{peak:>7,}{spent / max(scan, 0.001):>9,.0f}",
        flush=True,
    )


def main() -> None:
    """Measure the sources asked for, or all."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    names = sys.argv[2:] or [*PAGES, *TABLES]
    print(
        f"{'source':<22}{'file':<9}{'records':>9}{'lines':>10}"
        f"{'CPU-s':>8}{'wall':>8}{'rec/CPU-s':>11}{'MB':>7}{'× scan':>9}"
    )
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            for path in written(name, records, Path(folder)):
                measure(path)


if __name__ == "__main__":
    main()
