"""Events priced per CPU-second, beside a scan of the same columns and the per-call functions of two price libraries.

Run:  python -m tests.benchmarks.pricing [ROWS ...]     (default 1,000,000)
The contenders of one size take turns in one process, after the events were written by another: first over a Parquet
file, then, up to ten million, over the event table of a ledger on disk. A line is the median of the rounds; CPU seconds
are user and system of all threads; peak memory is the highest of the process when the first round came by. LiteLLM is
measured when LITELLM_PYTHON names the interpreter of an environment of its own that has it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

from attribution.ledger import Ledger, open_ledger
from attribution.pricing import price_events
from attribution.pricing.rating import choose_rates
from attribution.pricing.statements import pico_query
from attribution.pricing.storing import shipped_book

ROUNDS = 3
#: Above this the event table takes more disk than it teaches.
LARGEST_LEDGER = 10_000_000
#: What the engine may take; pricing streams, so that it is the same for every size.
MEMORY = "1GB"
MODELS = (
    ("openai", "gpt-4.1-mini"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.4"),
    ("openai", "o3"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-pro"),
    ("deepseek", "deepseek-v4-flash"),
    ("mistral", "mistral-large-2512"),
    ("x-ai", "grok-4.3"),
)
#: Every value of every column that pricing reads.
SCAN = """
    select max(provider), max(model), max(service_tier), max(region), max(started_at), bool_or(cache_hit),
        sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens),
        sum(cache_write_1h_tokens), sum(reasoning_tokens), sum(input_audio_tokens), sum(cache_read_audio_tokens),
        sum(output_audio_tokens), sum(input_image_tokens), sum(cache_read_image_tokens), sum(input_video_tokens),
        sum(output_image_tokens), bool_or(is_metered), count(other_usage)
    from event
"""
#: The least that can be called a scan: text and times are only asked whether they are there.
COUNT = SCAN.replace("max(", "count(").replace("bool_or(", "count(")
#: Money leaves the engine as a decimal of dollars, made of a whole number of pico-dollars.
SUM = "select cast(cast(sum(list_pico) as decimal(38, 0)) * 0.000000000001 as decimal(38, 12)) from priced"
COPY = "create or replace table copied as select * from event_cost"
CALLS = 2_000
SAMPLE = f"""
    select provider, model, started_at, input_tokens, output_tokens, cache_read_tokens from event
    where event_id < cast(printf('%032x', {CALLS}) as uuid)
"""
LITELLM = """
import os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
calls = int(sys.argv[1]); start = time.process_time()
for n in range(calls):
    litellm.cost_per_token(model="gpt-4.1-mini", prompt_tokens=1000 + n, completion_tokens=100)
print(time.process_time() - start)
"""


def fill(folder: Path, rows: int) -> None:
    """Write synthetic events, as a ledger and as a file: 12 models, three tiers, cache, long prompts, 18 months."""
    names = ", ".join(f"('{provider}', '{model}')" for provider, model in MODELS)
    events = f"""
        with model as (select *, row_number() over () - 1 as number from (values {names}) as m(provider, model))
        select
            cast(printf('%032x', n) as uuid) as event_id, cast(n as varchar) as request_id,
            cast(n as varchar) as call_id, 1 as attempt_no, 'primary' as attempt_role,
            timestamp '2025-05-23' + to_microseconds(cast(hash(n) % 47000000000000 as bigint)) as started_at,
            provider, model,
            case when hash(n) % 10 < 7 then 'standard' when hash(n) % 10 < 9 then 'batch' end as service_tier,
            false as cache_hit, true as is_metered, 1 as observations, 1 as sources,
            cast(case when hash(n + 1) % 50 = 0 then 250000 else 500 end + hash(n) % 8000 as bigint) as input_tokens,
            cast(hash(n + 2) % 900 as bigint) as output_tokens,
            cast(case when hash(n) % 3 = 0 then 400 else 0 end as bigint) as cache_read_tokens,
            cast(case when hash(n) % 10 = 0 then 90 else 0 end as bigint) as cache_write_5m_tokens,
            cast(0 as bigint) as reasoning_tokens
        from range({rows}) as t(n) join model on model.number = n % {len(MODELS)}
    """
    with open_ledger(folder / "ledger.duckdb") as ledger:
        if rows <= LARGEST_LEDGER:
            ledger.run(f"insert into event by name {events}")
    with duckdb.connect(folder / "ledger.duckdb") as connection:
        connection.execute("set preserve_insertion_order = false")
        every = f"select * from event where false union all by name ({events})"
        connection.execute(f"copy ({every}) to '{folder / 'events.parquet'}' (format parquet, compression zstd)")


def call_by_call(rows: list[tuple[str, str, datetime, int, int, int]]) -> Decimal:
    """Price events with genai-prices, one call each."""
    from genai_prices import Usage, calc_price

    total = Decimal(0)
    for provider, model, at, given, answered, cached in rows:
        usage = Usage(input_tokens=given, output_tokens=answered, cache_read_tokens=cached)
        total += calc_price(usage, model, provider_id=provider, genai_request_timestamp=at).total_price
    return total


def over_file(folder: Path) -> Ledger:
    """Return a ledger whose events stand in a file; the product's own never reads one in place."""
    open_ledger(folder / "file.duckdb").close()
    connection = duckdb.connect(folder / "file.duckdb", config={"memory_limit": MEMORY})
    connection.execute("set preserve_insertion_order = false")
    connection.execute("drop table event")
    connection.execute(f"create view event as select * from read_parquet('{folder / 'events.parquet'}')")
    return Ledger(connection, str(folder / "file.duckdb"))


def calculated(rows: list[tuple[str, str, datetime, int, int, int]]) -> float:
    """Return the CPU seconds of an event that genai-prices takes, priced call by call."""
    start = time.process_time()
    call_by_call(rows)
    return (time.process_time() - start) / len(rows)


def by_litellm() -> float:
    """Return the CPU seconds of an event that LiteLLM takes, without those of its import."""
    command = [os.environ["LITELLM_PYTHON"], "-c", LITELLM, str(CALLS)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(answer) / CALLS


def timed(run: Callable[[], object], rows: int) -> float:
    """Return the CPU seconds an event that a contender took of this process."""
    start = time.process_time()
    run()
    return (time.process_time() - start) / rows


def contenders(ledger: Ledger, rows: int, is_file: bool) -> dict[str, Callable[[], float]]:
    """Return what takes turns, by name; each says what it took for an event."""

    def engine(query: str) -> Callable[[], float]:
        return lambda: timed(lambda: ledger.rows(query), rows)

    found = {
        "scan of the same columns (DuckDB)": engine(SCAN),
        "count of the same columns (DuckDB)": engine(COUNT),
        "attribution: price and sum": engine(SUM),
    }
    if not is_file:
        found["attribution: price_events, stored"] = lambda: timed(lambda: price_events(ledger), rows)
        found["copy of the stored costs (DuckDB)"] = lambda: timed(lambda: ledger.run(COPY), rows)
        return found
    sample = ledger.rows(SAMPLE)
    call_by_call(sample[:10])
    found["genai-prices: calc_price"] = lambda: calculated(sample)
    if os.environ.get("LITELLM_PYTHON"):
        found["LiteLLM: cost_per_token"] = by_litellm
    return found


def measure(folder: Path, rows: int, is_file: bool) -> None:
    """Let the contenders take turns and print the median of each, beside that of the scan."""
    with over_file(folder) if is_file else open_ledger(folder / "ledger.duckdb", memory_limit=MEMORY) as ledger:
        ledger.run(f"create view priced as {pico_query(choose_rates(ledger, shipped_book()))}")
        taken: dict[str, list[float]] = {}
        peak: dict[str, int] = {}
        named = contenders(ledger, rows, is_file)
        for _ in range(ROUNDS):
            for name, run in named.items():
                taken.setdefault(name, []).append(run())
                peak.setdefault(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    where = "Parquet file" if is_file else "ledger"
    scans = next(iter(taken.values()))
    for name, times in taken.items():
        ratio = statistics.median(a / b for a, b in zip(times, scans, strict=True))
        each = statistics.median(times)
        line = f"| {rows:>10,} | {where:<12} | {name:<34} | {each * 1e6:>10,.3f} | {1 / each:>13,.0f} |"
        print(f"{line} {ratio:>9,.1f} | {peak[name]:>7,} |", flush=True)


def main(sizes: list[int]) -> None:
    """Print the table."""
    print("| events | in | what | CPU-seconds per million | events per CPU-second | x scan | peak memory, MB |")
    print("|---:|---|---|---:|---:|---:|---:|", flush=True)
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            steps = ["fill", "file", *(["ledger"] if rows <= LARGEST_LEDGER else [])]
            for step in steps:
                subprocess.run([sys.executable, "-m", "tests.benchmarks.pricing", step, folder, str(rows)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["fill"]:
        fill(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] in (["file"], ["ledger"]):
        measure(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[1] == "file")
    else:
        main([int(size.replace(",", "").replace("_", "")) for size in sys.argv[1:]] or [1_000_000])
