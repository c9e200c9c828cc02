"""Spans loaded per CPU-second from OTLP, beside DuckDB's own read_json over the same file.

Run:  python -m tests.benchmarks.spans [SPANS]     (default 200,000)
The file repeats a captured trace of twelve spans, ten of them calls, with ids of its own.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

SAMPLE = FIXTURES / "sources" / "otlp" / "genai_openai_anthropic_1.3b0.otlp.jsonl"
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


def traces(spans: int) -> Iterator[str]:
    """Yield lines of one trace each; ids are new, all else is as captured."""
    random.seed(1)
    captured = json.loads(SAMPLE.read_text())
    scopes = captured["resourceSpans"][0]["scopeSpans"]
    size = sum(len(scope["spans"]) for scope in scopes)
    originals: list[dict[str, Any]] = [dict(span) for scope in scopes for span in scope["spans"]]
    for _ in range(spans // size):
        new: dict[str, str] = {}
        for span, original in zip((s for scope in scopes for s in scope["spans"]), originals, strict=True):
            for key, digits in IDS.items():
                if original.get(key):
                    span[key] = new.setdefault(original[key], f"{random.getrandbits(digits * 4):0{digits}x}")
            for attribute in span.get("attributes", ()):
                if attribute["key"] == "gen_ai.response.id":
                    kept = attribute["value"]["stringValue"][:9]
                    attribute["value"] = {"stringValue": new.setdefault(kept, f"{kept}{random.getrandbits(96):024x}")}
        yield json.dumps(captured, separators=(",", ":")) + "\n"


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Return CPU-seconds and wall seconds of some work."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main(spans: int) -> None:
    """Print one line of results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spans.otlp.jsonl"
        with path.open("w") as file:
            file.writelines(traces(spans))
        plain = duckdb.connect()
        query = (
            f"select count(resourceSpans[1].scopeSpans[1].spans) from read_json('{path}', maximum_object_size=33554432)"
        )
        scan, _ = measured(lambda: plain.execute(query).fetchall())
        ledger = open_ledger()
        cpu, wall = measured(lambda: load(ledger, path))
        (records, calls) = ledger.rows("select (select count(*) from span), (select count(*) from observation)")[0]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        size = path.stat().st_size / 1e6
        print(
            f"{records:,} spans ({calls:,} calls, {size:,.0f} MB): {records / cpu:,.0f} spans per CPU-second, "
            f"{cpu:.1f} CPU-s, {wall:.1f} s wall, peak {peak:,} MB, {cpu / scan:.1f} x read_json ({scan:.1f} CPU-s)"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
