"""Rules checked per CPU-second, beside a scan of the same columns: cost events of a ledger, and a frame of 12 rules.

Run:  python -m tests.benchmarks.quality [CALLS ...] [--gx]     (default 1,000,000)
Each line is a process of its own, so that CPU seconds (user and system) and peak memory are its own; the rows lie on
disk before. `--gx` measures Great Expectations on pandas with the twelve rules too, up to a million rows.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attribution.expectations import shipped, validate
from attribution.ledger import Ledger, open_ledger

#: A mixed bag of the contract's rules, for the comparison with a frame: 7 to 13 % of the rows fail some.
TWELVE = (
    ("column_values_to_not_be_null", {"column": "trace_id"}),
    ("column_values_to_not_be_null", {"column": "owner_team", "mostly": 0.98}),
    ("column_values_to_not_be_null", {"column": "workflow_id", "mostly": 0.98}),
    ("column_values_to_not_be_null", {"column": "feature", "mostly": 0.98}),
    ("column_values_to_match_regex", {"column": "tenant_id_hash", "regex": "^t_[0-9a-f]{8}$"}),
    ("column_values_to_match_regex", {"column": "user_id_hash", "regex": "^u_[0-9a-f]{8}$"}),
    ("column_values_to_be_in_set", {"column": "provider", "value_set": ["openai", "anthropic", "aws"]}),
    ("column_values_to_be_in_set", {"column": "service_tier", "value_set": ["standard", "batch", "flex"]}),
    ("column_values_to_be_between", {"column": "input_tokens", "min_value": 0, "max_value": 10**12}),
    ("column_pair_values_a_to_be_greater_than_b", {"column_A": "ended_at", "column_B": "started_at", "or_equal": True}),
    ("column_values_to_be_unique", {"column": "call_id"}),
    ("table_row_count_to_be_between", {"min_value": 1}),
)


def fill(ledger: Ledger, calls: int) -> None:
    """Write finished events: three calls a trace, one in nine without an owner, every fiftieth without a price."""
    for table, columns in (("event", _EVENT), ("event_owner", _OWNER), ("event_cost", _COST)):
        ledger.run(f"insert into {table} by name select {columns} from range({calls}) as t(n)")
    ledger.run("insert into team by name select unnest(['support', 'search', 'platform', 'growth']) as team")
    ledger.run("checkpoint")


_ID = "cast(printf('%08x-0000-4000-8000-%012x', hash(n) % 4294967296, n) as uuid) as event_id"
_EVENT = f"""
    {_ID}, printf('%032x', n // 3) as request_id, printf('%032x', n // 3) as trace_id, printf('%016x', n) as span_id,
    printf('call-%d', n) as call_id, 1 as attempt_no, 'primary' as attempt_role, 'ok' as status, false as cache_hit,
    timestamp '2026-08-01' + to_seconds(n % 7800000) as started_at,
    timestamp '2026-08-01' + to_seconds(n % 7800000 + 2) as ended_at,
    ['openai', 'anthropic', 'aws'][1 + n % 3] as provider,
    ['gpt-5-mini', 'claude-haiku-4-5', 'nova'][1 + n % 3] as model,
    ['standard', 'batch', 'flex'][1 + n % 3] as service_tier, 'resp_' || n as response_id,
    cast(500 + hash(n) % 8000 as bigint) as input_tokens, cast(hash(n + 2) % 900 as bigint) as output_tokens,
    cast(n % 400 as bigint) as cache_read_tokens, true as is_metered, 1 as observations, 1 as sources
"""
_OWNER = f"""
    {_ID}, case when n % 9 > 0 then ['support', 'search', 'platform', 'growth'][1 + n // 3 % 4] end as owner_team,
    case when n % 9 > 0 then 'declared' else 'none' end as owner_evidence,
    case when n % 9 > 0 then 'triage-' || n % 40 end as workflow_id,
    case when n % 9 > 0 then 'f' || n % 90 end as feature,
    case when n % 4 > 0 then printf('t_%08x', n % 5000) end as tenant_id_hash,
    printf('u_%08x', n % 90000) as user_id_hash, 'none' as workflow_evidence, 'none' as feature_evidence,
    'none' as tenant_evidence
"""
_COST = f"""
    {_ID}, case when n % 50 = 0 then 'unpriced' else 'priced' end as price_status,
    case when n % 50 > 0 then cast(0.001 + n % 1000 * 0.00001 as decimal(38, 12)) end as list_cost,
    case when n % 50 > 0 then cast(0.001 + n % 1000 * 0.00001 as decimal(38, 12)) end as contracted_cost
"""


def run(name: str, path: str) -> None:
    """Run one contender in this process and print its line."""
    with open_ledger(path) as ledger:
        ledger.run("select 1")
        calls = ledger.value("select count(*) from event")
        frame = ledger.arrow(_FRAME) if name.endswith("frame") else None
        usage, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        rules = _contend(name, ledger, frame)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        wall = time.perf_counter() - wall
    print(f"{name}|{calls}|{rules}|{cpu:.2f}|{wall:.2f}|{after.ru_maxrss // 1024}")


_FRAME = """
    select call_id, trace_id, owner_team, workflow_id, feature, tenant_id_hash, user_id_hash, provider, service_tier,
        input_tokens, started_at, ended_at, list_cost
    from cost_event
"""


def _contend(name: str, ledger: Ledger, frame: object) -> int:
    if name == "scan":
        suites = shipped.read_shipped("cost_events")
        read = {column for suite in suites for rule in suite.rules for column in rule.reads}
        for table in ("event", "event_owner", "event_cost"):
            columns = [row[0] for row in ledger.rows(f'describe "{table}"') if row[0] in read]
            ledger.rows(f"select {', '.join(f'count({c}), min({c}), max({c})' for c in columns)} from {table}")
        return 0
    if name == "cost_events":
        return len(validate(ledger, "cost_events").outcomes)
    rules = [{"type": f"expect_{type_}", "kwargs": kwargs} for type_, kwargs in TWELVE]
    engine = "great_expectations" if name.startswith("gx") else "duckdb"
    return len(validate(frame, {"name": "twelve", "expectations": rules}, engine=engine).outcomes)


LINES = {
    "scan": "scan of the columns of cost_events (DuckDB)",
    "cost_events": "suite cost_events, with keys, dollars and examples",
    "frame": "twelve rules on an Arrow frame, with keys",
    "gx frame": "the same through Great Expectations on pandas",
}


def main(sizes: list[int], with_gx: bool) -> None:
    """Print the table."""
    print("| what | calls | rules | CPU s | wall s | calls per CPU s | x scan | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for calls in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "bench.duckdb")
            with open_ledger(path) as ledger:
                fill(ledger, calls)
            scan = 0.0
            for name in [each for each in LINES if each != "gx frame" or (with_gx and calls <= 1_000_000)]:
                command = [sys.executable, "-m", "tests.benchmarks.quality", "--run", name, path]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("|")
                cpu = float(told[3])
                scan = scan or cpu
                rate = f"{calls / cpu:,.0f}"
                print(
                    f"| {LINES[name]} | {calls:,} | {told[2]} | {cpu:.2f} | {told[4]} | {rate} | {cpu / scan:.1f} "
                    f"| {int(told[5]):,} |",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:4])
    else:
        given = [argument for argument in sys.argv[1:] if argument != "--gx"]
        main([int(argument.replace(",", "")) for argument in given] or [1_000_000], "--gx" in sys.argv)
