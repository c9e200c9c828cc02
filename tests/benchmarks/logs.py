"""Records of logs and telemetry loaded per CPU-second, source by source, beside DuckDB's own scan of the same file.

Run:  python -m tests.benchmarks.logs [RECORDS] [SOURCE ...]     (default 200,000 records of every source)
Records are the fixtures' own with ids of their own. Each source runs in a process of its own: peak memory is its
own; "× scan" is our CPU time over that of DuckDB counting every column of the same file with read_json.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from attribution.ledger import open_ledger
from attribution.loading import load
from tests.examples import FIXTURES

#: Source → its fixture and the paths of the ids that make a record its own.
RECORDS = {
    "litellm_payload": ("litellm_payload/standard_logging_payload.proxy.jsonl", ("id", "litellm_call_id")),
    "litellm_spend_logs": ("litellm_spend_logs/spend_logs_payload.proxy.jsonl", ("request_id", "litellm_call_id")),
    "seed": ("seed/both_traces.jsonl", ("trace_id",)),
    "langfuse": ("langfuse/observations.blob-export.jsonl", ("id",)),
    "helicone": ("helicone/requests.jsonl", ("request_id", "response_id")),
    "portkey": ("portkey/logs.jsonl", ("id",)),
    "bedrock_invocation_log": ("bedrock_invocation_log/invocation_log.jsonl", ("requestId",)),
    "azure_apim_llm_log": ("azure_apim_llm_log/llm_log.jsonl", ("CorrelationId",)),
    "vertex_request_log": ("vertex_request_log/log.jsonl", ("request_id",)),
    "provider_responses": ("provider_responses/openai.jsonl", ("file",)),
    "generic": ("provider_responses/openai.jsonl", ("file",)),
}
MAPPING = {
    "event_id": "file",
    "model": "model",
    "input_tokens": ["usage.prompt_tokens", "usage.input_tokens"],
    "output_tokens": ["usage.completion_tokens", "usage.output_tokens"],
    "cache_read_tokens": "usage.prompt_tokens_details.cached_tokens",
}


def write(source: str, records: int, path: Path) -> None:
    """Write a file of that many records, each with ids of its own."""
    fixture, names = RECORDS[source]
    documents = [json.loads(line) for line in (FIXTURES / "sources" / fixture).read_text().splitlines()]
    with path.open("w") as stream:
        for n in range(records):
            own = {name: f"{documents[n % len(documents)][name]}{n}" for name in names}
            stream.write(json.dumps(documents[n % len(documents)] | own) + "\n")


def measure(source: str, records: int) -> dict[str, Any]:
    """Load one file and scan it, and say what both took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        write(source, records, path)
        size = path.stat().st_size
        with open_ledger() as ledger:
            wall, cpu = time.perf_counter(), time.process_time()
            loaded = load(ledger, path, source=source, mapping=MAPPING if source == "generic" else None)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        scan = time.process_time()
        duckdb.sql(
            f"select count(*), count(columns(*)) from read_json('{path}', format='newline_delimited')"
        ).fetchall()
        scan = time.process_time() - scan
    (row,) = loaded.files
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"records": row["records"], "accepted": row["accepted"], "bytes": size, "cpu": cpu, "wall": wall,
            "scan": scan, "peak": peak}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Print a table, one row per source."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(arguments[1], int(arguments[2]))))
        return
    numbers = [int(each) for each in arguments if each.isdigit()]
    records, chosen = (numbers or [200_000])[0], [each for each in arguments if not each.isdigit()] or list(RECORDS)
    titles = ("records", "bytes each", "per CPU-s", "CPU-s", "wall", "peak MB", "× scan")
    print(f"{'source':<24}" + "".join(f"{title:>11}" for title in titles))
    for source in chosen:
        command = [sys.executable, "-m", "tests.benchmarks.logs", "--one", source, str(records)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        counts = (found["records"], found["bytes"] // records, round(found["records"] / found["cpu"]))
        times = (found["cpu"], found["wall"], found["peak"], found["cpu"] / found["scan"])
        shown = [f"{count:>11,}" for count in counts] + [f"{each:>11,.1f}" for each in times]
        print(f"{source:<24}" + "".join(shown))


if __name__ == "__main__":
    main(sys.argv[1:])
