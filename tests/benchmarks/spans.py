"""Spans and session lines loaded per CPU-second, beside DuckDB's own read_json over the same file.

Run:  python -m tests.benchmarks.spans [RECORDS] [SOURCE ...]     (default 200,000 records of every source)
Each file repeats its captured or hand-made fixture with ids of its own; each source runs in a process of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

#: Source → its fixture, and how many records one repetition has.
SAMPLES = {
    "otlp": ("otlp/genai_openai_anthropic_1.3b0.otlp.jsonl", 12),
    "otel_console": ("otlp/openai_v2_2.1b0_httpx_retries.sdk-console.jsonl", 9),
    "phoenix": ("phoenix/rest_v1_spans.json", 3),
    "mlflow": ("mlflow/trace_v3.json", 4),
    "weave": ("weave/calls.jsonl", 5),
    "claude_code": ("claude_code/ccusage_claude_session_alpha.jsonl", 3),
    "codex_rollout": ("codex_rollout/codex_0.169.0_rollout.jsonl", 14),
}
#: Keys under which ids stand; hex ids stay hex of their length.
IDS = {
    *("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_id", "parent_span_id"),
    *("id", "response_id", "requestId", "sessionId"),
}


def renewed(value: Any, number: int) -> Any:
    """Return a document with ids of its own, the same old id always becoming the same new one."""
    if isinstance(value, list):
        return [renewed(each, number) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("key") == "gen_ai.response.id":
        return {"key": value["key"], "value": {"stringValue": f"{value['value']['stringValue']}-{number}"}}
    return {
        key: other_id(each, number) if key in IDS and isinstance(each, str) and each else renewed(each, number)
        for key, each in value.items()
    }


def other_id(given: str, number: int) -> str:
    """Return another id of the same kind."""
    digits = given.removeprefix("0x")
    if len(digits) in (16, 32) and all(letter in "0123456789abcdef" for letter in digits):
        digest = hashlib.md5(f"{digits}{number}".encode(), usedforsecurity=False).hexdigest()[: len(digits)]
        return given.replace(digits, digest)
    if given.endswith("="):
        size = len(base64.b64decode(given))
        return base64.b64encode(
            hashlib.md5(f"{given}{number}".encode(), usedforsecurity=False).digest()[:size]
        ).decode()
    return f"{given}-{number}"


def lines(source: str, records: int) -> Iterator[str]:
    """Yield one document a line."""
    fixture, size = SAMPLES[source]
    text = (FIXTURES / "sources" / fixture).read_text()
    documents = [json.loads(text)] if fixture.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    for number in range(max(records // size, 1)):
        for document in documents:
            yield json.dumps(renewed(document, number), separators=(",", ":")) + "\n"


def measure(source: str, records: int) -> str:
    """Load one file and scan it, and say what both took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{source}.jsonl"
        with path.open("w") as stream:
            stream.writelines(lines(source, records))
        ledger = open_ledger()
        before, wall = time.process_time(), time.perf_counter()
        (file,) = load(ledger, path).files
        cpu, wall = time.process_time() - before, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        before = time.process_time()
        plain = duckdb.connect().execute(
            f"select count(columns(*)) from read_json('{path}', maximum_object_size=33554432)"
        )
        plain.fetchall()
        scan = time.process_time() - before
        size = path.stat().st_size / 1e6
        return (
            f"{file['source']:<15}{file['records']:>9,}{size:>8,.0f}{file['records'] / cpu:>11,.0f}"
            f"{cpu:>8.1f}{wall:>8.1f}{peak:>8,}{cpu / scan:>10.1f}"
        )


def main() -> None:
    """Measure the sources asked for, or all, each in a process of its own."""
    if sys.argv[1:2] == ["--one"]:
        print(measure(sys.argv[2], int(sys.argv[3])), flush=True)
        return
    records = sys.argv[1] if len(sys.argv) > 1 else "200000"
    print("source           records      MB  per CPU-s   CPU-s  wall s peak MB  × read_json", flush=True)
    for source in sys.argv[2:] or SAMPLES:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.spans", "--one", source, records], check=True)


if __name__ == "__main__":
    main()
