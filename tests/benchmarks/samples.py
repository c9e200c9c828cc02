"""Write the sample company at a size and print what it took: `python -m tests.benchmarks.samples [calls]`."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from attribution.samples import write_sample


def main(calls: int) -> None:
    """Print rows, bytes, CPU-seconds, wall, peak memory, and the ratio to a plain scan of the truth."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "company"
        before, began = time.process_time(), time.perf_counter()
        write_sample(folder, calls=calls)
        cpu, wall = time.process_time() - before, time.perf_counter() - began
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        before = time.process_time()
        scanned = duckdb.sql(f"select count(*), sum(list_cost) from '{folder}/truth/calls.parquet'").fetchall()[0][0]
        scan = time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"calls            {scanned:>14,}")
        print(f"bytes written    {size:>14,}")
        print(f"CPU-seconds      {cpu:>14.1f}   {calls / cpu * 60:,.0f} calls per CPU-minute")
        print(f"wall seconds     {wall:>14.1f}   {calls / wall * 60:,.0f} calls per minute")
        print(f"peak memory      {peak:>11,.0f} MB")
        print(f"ratio to a scan  {cpu / max(scan, 0.001):>14.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
