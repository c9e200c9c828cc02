"""Calls loaded, matched, resolved and priced per CPU-second, beside DuckDB's own read_json over the same file.

Run:  python tests/benchmarks/loading.py [--calls N] [--folder DIR]      (default one million calls of each source)
CPU-seconds are user and system time of all processes. Each file is measured in a process of its own, so that its peak
memory is its own; read_json is measured in the same run, in a process too. The table is what README quotes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODELS = ("gpt-5-mini", "gpt-5", "gpt-4.1-mini", "gpt-4o")
TEAMS = ("support", "growth", "search", "billing", "platform-apps")
BEGIN = 1_790_000_000


def litellm_lines(calls: int) -> Iterator[str]:
    """Yield one StandardLoggingPayload a line, about 900 bytes each; one in ten carries no owner."""
    for n in range(calls):
        owner = {"owner_team": TEAMS[n % 5], "workflow_id": f"flow-{n % 40}"} if n % 10 else None
        tokens = 500 + n % 3000
        yield json.dumps({
            "id": f"chatcmpl-{n:029x}", "litellm_call_id": f"call-{n:08x}", "trace_id": f"{n // 3:032x}",
            "call_type": "acompletion", "cache_hit": None, "stream": None, "status": "success",
            "custom_llm_provider": "openai", "startTime": BEGIN + n * 0.5, "endTime": BEGIN + n * 0.5 + 2.25,
            "model": f"openai/{MODELS[n % 4]}", "model_group": "chat", "model_id": "dep-1",
            "metadata": {
                "user_api_key_hash": f"key-{n % 50}", "user_api_key_team_id": None, "user_api_key_end_user_id": "",
                "spend_logs_metadata": owner, "requester_ip_address": "127.0.0.1", "user_agent": "python/3.11",
                "usage_object": {
                    "prompt_tokens": tokens, "completion_tokens": 120, "total_tokens": tokens + 120,
                    "prompt_tokens_details": {"cached_tokens": tokens // 2},
                    "completion_tokens_details": {"reasoning_tokens": 40},
                },
            },
            "response_cost": 0.00125, "prompt_tokens": tokens, "completion_tokens": 120, "total_tokens": tokens + 120,
            "request_tags": [f"feature:f{n % 25}"], "api_base": "https://api.openai.com/v1",
        }) + "\n"  # fmt: skip


def otlp_lines(calls: int) -> Iterator[str]:
    """Yield export requests of ten traces each: a route that carries the owner, and its call, which often does not."""
    for line in range(0, calls, 10):
        spans = [span for n in range(line, min(line + 10, calls)) for span in _trace(n)]
        resource_of = {
            "attributes": _attributes({"service.name": f"svc-{line // 10 % 20}", "service.instance.id": "i"})
        }
        scope = {"name": "opentelemetry.instrumentation.openai_v2", "version": "2.4b0"}
        yield json.dumps(
            {"resourceSpans": [{"resource": resource_of, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
        )
        yield "\n"


def _trace(n: int) -> Iterator[dict[str, Any]]:
    start = (BEGIN + n) * 1_000_000_000
    owner = {"owner_team": TEAMS[n % 5], "workflow_id": f"flow-{n % 40}", "feature": f"f{n % 25}"}
    tokens = 500 + n % 3000
    said = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": MODELS[n % 4],
        "gen_ai.response.model": MODELS[n % 4], "gen_ai.response.id": f"chatcmpl-{n:029x}",
        "gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 120,
        "gen_ai.usage.cache_read.input_tokens": tokens // 2, **(owner if n % 2 else {}),
    }  # fmt: skip
    yield _span(n, 2, 3, "chat", start + 1_000_000, said, parent=1)
    yield _span(n, 1, 2, "POST /answer", start, owner)


def _span(
    n: int, number: int, kind: int, name: str, start: int, said: dict[str, Any], parent: int = 0
) -> dict[str, Any]:
    span = {
        "traceId": f"{n + 1:032x}", "spanId": f"{n + 1:014x}{number:02x}", "flags": 256, "name": name, "kind": kind,
        "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 2_000_000_000),
        "attributes": _attributes(said), "status": {},
    }  # fmt: skip
    return {**span, "parentSpanId": f"{n + 1:014x}{parent:02x}"} if parent else span


def _attributes(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in said.items()
    ]


def measure(path: Path) -> Iterator[dict[str, Any]]:
    """Load one file and run every step on it; yield what each took."""
    from attribution import hops, loading, matching, ownership, pricing
    from attribution.ledger import open_ledger

    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder) / "bench.duckdb") as ledger:
        steps: dict[str, Callable[[], Any]] = {
            "load": lambda: loading.load(ledger, path),
            "match": lambda: matching.match(ledger),
            "resolve owners": lambda: ownership.resolve_owners(ledger),
            "price": lambda: pricing.price_events(ledger),
            "find lost hops": lambda: hops.find_lost_hops(ledger),
        }
        for name, step in steps.items():
            yield _timed(name, step)
        owned, priced = ledger.rows("select count(owner_team), count(list_cost) from cost_event")[0]
        print(f"{path.name}: {owned:,} calls owned, {priced:,} priced", file=sys.stderr)


def scan(path: Path) -> Iterator[dict[str, Any]]:
    """Let DuckDB read the same file by itself, with its own types and no promise kept."""
    import duckdb

    column = "resourceSpans" if "otlp" in path.name else "metadata"
    query = f"select count(*), count({column}) from read_json('{path}', format = 'newline_delimited')"
    yield _timed("DuckDB read_json", lambda: duckdb.sql(query).fetchall())


def _timed(name: str, step: Callable[[], Any]) -> dict[str, Any]:
    before, started = _cpu(), time.perf_counter()
    step()
    return {"step": name, "wall": time.perf_counter() - started, "cpu": _cpu() - before, "peak": _peak()}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> float:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def _child(part: str, path: Path) -> list[dict[str, Any]]:
    run = [sys.executable, __file__, part, str(path)]
    return [
        json.loads(line)
        for line in subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    ]


def table(calls: int, folder: Path) -> Iterator[str]:
    """Generate both files and yield the table, line by line."""
    yield "| source | step | rows per CPU-second | CPU-seconds | wall seconds | peak memory, MB | CPU ÷ read_json |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for source, lines in {"litellm": litellm_lines, "otlp": otlp_lines}.items():
        path = folder / f"{source}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines(calls))
        scanned = _child("--scan", path)[0]
        title = f"{source}, {calls:,} calls, {path.stat().st_size / 1e6:,.0f} MB"
        rows = _child("--measure", path)
        total = {name: sum(row[name] for row in rows) for name in ("wall", "cpu")}
        rows.append({"step": "all steps", **total, "peak": max(row["peak"] for row in rows)})
        for row in (scanned, *rows):
            cells = (f"{calls / row['cpu']:,.0f}", f"{row['cpu']:.1f}", f"{row['wall']:.1f}", f"{row['peak']:,.0f}")
            yield f"| {title} | {row['step']} | {' | '.join(cells)} | {row['cpu'] / scanned['cpu']:.1f} |"
        path.unlink()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the files are generated; a temporary folder by default")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure or given.scan:
        for row in measure(given.measure) if given.measure else scan(given.scan):
            print(json.dumps(row), flush=True)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for line in table(given.calls, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
