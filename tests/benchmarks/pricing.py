"""Events priced per CPU-second, beside genai-prices' call by call, LiteLLM's, and a scan of the same columns.

Run:  python -m tests.benchmarks.pricing [ROWS ...]     (default 1,000,000)
LiteLLM is measured only when LITELLM_PYTHON names the interpreter of an environment of its own that has it.
Contenders are interleaved; CPU seconds are user and system of the whole process.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from attribution.ledger import Ledger, open_ledger
from attribution.pricing import price_events, statements
from attribution.pricing.rating import choose_rates
from attribution.pricing.storing import shipped_book

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
LITELLM = """
import os, sys, time, resource
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
calls = int(sys.argv[1]); start = time.process_time()
for n in range(calls):
    litellm.cost_per_token(model="gpt-4.1-mini", prompt_tokens=1000 + n, completion_tokens=100)
print(calls / (time.process_time() - start), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


#: CPU seconds of the scan of each round, which the other lines are put beside.
SCANS: list[float] = []


@contextmanager
def measured(name: str, rows: int) -> Iterator[None]:
    """Print what a block took, and its ratio to the scan of the same round."""
    usage, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    wall = time.perf_counter() - wall
    peak = after.ru_maxrss // 1024
    if name.startswith("scan"):
        SCANS.append(cpu / rows)
    line = f"| {name:<44} | {rows:>11,} | {cpu:8.2f} | {wall:8.2f} | {rows / cpu:>13,.0f} |"
    print(f"{line} {cpu / rows / SCANS[-1]:>9,.1f} | {peak:>7,} |", flush=True)


def fill(ledger: Ledger, rows: int) -> None:
    """Write synthetic events: 12 models, three tiers, cache, reasoning, long prompts, 18 months."""
    names = ", ".join(f"('{provider}', '{model}')" for provider, model in MODELS)
    ledger.run(
        f"""
        insert into event by name
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
    )


def call_by_call(rows: list[tuple[str, str, datetime, int, int, int]]) -> Decimal:
    """Price events with genai-prices, one call each."""
    from genai_prices import Usage, calc_price

    total = Decimal(0)
    for provider, model, at, given, answered, cached in rows:
        usage = Usage(input_tokens=given, output_tokens=answered, cache_read_tokens=cached)
        total += calc_price(usage, model, provider_id=provider, genai_request_timestamp=at).total_price
    return total


def main(sizes: list[int]) -> None:
    """Print the table."""
    print(
        "| what | events | CPU s | wall s | events per CPU s | x scan | peak MB |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder, open_ledger(str(Path(folder) / "bench.duckdb")) as ledger:
            fill(ledger, rows)
            shape = choose_rates(ledger, shipped_book())
            ledger.run(f"create view priced as {statements.pico_query(shape)}")
            contenders: dict[str, Callable[[Ledger], object]] = {
                "scan of the same columns (DuckDB)": lambda ledger: ledger.rows(SCAN),
                "count of the same columns (DuckDB)": lambda ledger: ledger.rows(COUNT),
                "attribution: price and sum": lambda ledger: ledger.rows(SUM),
                "attribution: price_events, stored": price_events,
                "copy of the stored costs (DuckDB)": lambda ledger: ledger.run(COPY),
            }
            for _ in range(2):
                for name, run in contenders.items():
                    with measured(name, rows):
                        run(ledger)
            columns = "provider, model, started_at, input_tokens, output_tokens, cache_read_tokens"
            sample = ledger.rows(f"select {columns} from event limit 5000")
            call_by_call(sample[:10])
            with measured("genai-prices: calc_price, call by call", len(sample)):
                call_by_call(sample)
    if os.environ.get("LITELLM_PYTHON"):
        command = [os.environ["LITELLM_PYTHON"], "-c", LITELLM, "5000"]
        print("litellm.cost_per_token:", subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main([int(size.replace(",", "").replace("_", "")) for size in sys.argv[1:]] or [1_000_000])
