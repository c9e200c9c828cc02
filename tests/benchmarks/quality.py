"""Rules checked per CPU-second, beside a scan of the same columns: cost events of two ledgers, and a frame of 12 rules.

Run:  python -m tests.benchmarks.quality [CALLS ...] [--gx] [--memory 1300MB]     (default 1,000,000)
In the first ledger some calls in a hundred break a rule: an owner, a tenant or a price is missing, or a trace names two
teams. In the second every ninth call has no owner, so that no month is covered and nearly as many keys as calls are
kept. Each line is a process of its own, so that CPU seconds (user and system) and peak memory are its own; the rows lie
on disk before, and the engine may take `--memory` to read them. `--gx` measures Great Expectations on pandas with the
twelve rules too, up to a million rows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attribution.expectations import Quality, shipped, validate
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


def fill(ledger: Ledger, calls: int, missing: int) -> None:
    """Write finished events over three months, three calls a trace; one in `missing` has no owner."""
    for table, columns in (("event", _EVENT), ("event_owner", _OWNER), ("event_cost", _COST)):
        ledger.run(
            f"insert into {table} by name select {_ID}, {columns} from range($calls) as t(n)",
            {"calls": calls, "missing": missing} if table == "event_owner" else {"calls": calls},
        )
    ledger.run("insert into team by name select unnest(['support', 'search', 'platform', 'growth']) as team")
    ledger.run("checkpoint")


_ID = "cast(md5('call' || n) as uuid) as event_id"
_EVENT = """
    md5('trace' || n // 3) as request_id, case when hash(n, 1) % 200 > 0 then md5('trace' || n // 3) end as trace_id,
    printf('%016x', hash(n, 2)) as span_id, printf('call-%d', n - cast(hash(n, 3) % 1000 = 0 as integer)) as call_id,
    1 + cast(hash(n, 3) % 1000 = 0 as integer) as attempt_no,
    case when hash(n, 3) % 1000 = 0 then 'retry' else 'primary' end as attempt_role,
    'ok' as status, false as cache_hit,
    timestamp '2026-08-01' + to_seconds(n * 7800000 // $calls) as started_at,
    timestamp '2026-08-01' + to_seconds(n * 7800000 // $calls + 2) as ended_at,
    ['openai', 'anthropic', 'aws'][1 + n % 3] as provider,
    ['gpt-5-mini', 'claude-haiku-4-5', 'nova'][1 + n % 3] as model,
    ['standard', 'batch', 'flex'][1 + n % 3] as service_tier, 'resp_' || md5('answer' || n) as response_id,
    cast(500 + hash(n) % 8000 as bigint) as input_tokens, cast(hash(n + 2) % 900 as bigint) as output_tokens,
    cast(n % 400 as bigint) as cache_read_tokens, true as is_metered, 1 as observations, 1 as sources
"""
_OWNER = """
    case when hash(n, 4) % $missing > 0
        then ['support', 'search', 'platform', 'growth'][1 + (n // 3 + cast(hash(n, 5) % 200 = 0 as integer)) % 4] end
        as owner_team,
    case when hash(n, 4) % $missing > 0 then 'declared' else 'none' end as owner_evidence,
    case when hash(n, 4) % $missing > 0 then 'triage-' || n % 40 end as workflow_id,
    case when hash(n, 4) % $missing > 0 then 'f' || n % 90 end as feature,
    case when hash(n, 6) % 50 > 0 then printf('t_%08x', hash(n // 3) % 5000) end as tenant_id_hash,
    printf('u_%08x', hash(n // 3) % 90000) as user_id_hash, 'none' as workflow_evidence, 'none' as feature_evidence,
    'none' as tenant_evidence
"""
_COST = """
    case when hash(n, 7) % 100 = 0 then 'unpriced' else 'priced' end as price_status,
    case when hash(n, 7) % 100 > 0 then cast(0.001 + hash(n) % 100000 * 0.0000001 as decimal(38, 12)) end as list_cost,
    list_cost as contracted_cost
"""


def run(name: str, path: str, memory: str) -> None:
    """Run one contender in this process and print its line."""
    with open_ledger(path, memory_limit=memory) as ledger:
        ledger.run("select 1")
        frame = ledger.arrow(_FRAME) if name.endswith("frame") else None
        before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        answer = _contend(name, ledger, frame)
        wall = time.perf_counter() - wall
        after = resource.getrusage(resource.RUSAGE_SELF)
        rules, broken, keys = _told(ledger, answer)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{rules}|{broken}|{keys}|{cpu:.2f}|{wall:.2f}|{after.ru_maxrss // 1024}|{before.ru_maxrss // 1024}")


_FRAME = """
    select call_id, trace_id, owner_team, workflow_id, feature, tenant_id_hash, user_id_hash, provider, service_tier,
        input_tokens, started_at, ended_at, list_cost
    from cost_event
"""


def _contend(name: str, ledger: Ledger, frame: object) -> Quality | None:
    if name == "scan":
        suites = shipped.read_shipped("cost_events")
        read = {column for suite in suites for rule in suite.rules for column in rule.reads}
        for table in ("event", "event_owner", "event_cost"):
            columns = [row[0] for row in ledger.rows(f'describe "{table}"') if row[0] in read]
            ledger.rows(f"select {', '.join(f'count({c}), min({c}), max({c})' for c in columns)} from {table}")
        return None
    if name == "cost_events":
        return validate(ledger, "cost_events")
    rules = [{"type": f"expect_{type_}", "kwargs": kwargs} for type_, kwargs in TWELVE]
    engine = "great_expectations" if name.startswith("gx") else "duckdb"
    return validate(frame, {"name": "twelve", "expectations": rules}, engine=engine)


def _told(ledger: Ledger, answer: Quality | None) -> tuple[int, int, int]:
    """Return the number of rules, of rows that break one, and of keys kept."""
    if answer is None:
        return 0, 0, 0
    if {each.dataset for each in answer.outcomes} == {"frame"}:
        return len(answer.outcomes), answer.failures["row_key"].nunique(), len(answer.failures)
    broken, keys = ledger.rows("select count(distinct event_id), count(*) from quality_failure")[0]
    return len(answer.outcomes), broken, keys


#: Contenders, each with its ledger: one call in so many has no owner.
LINES = {
    "scan": (100, "DuckDB scan of the suite's columns"),
    "cost_events": (100, "suite `cost_events`, with keys, dollars and examples"),
    "cost_events ": (9, "the same where every ninth call has no owner"),
    "frame": (100, "twelve rules on an Arrow frame, with keys"),
    "frame ": (9, "the same where every ninth call has no owner"),
    "gx frame": (9, "the same through Great Expectations on pandas"),
}


def _call(*arguments: str) -> str:
    """Run this module in a process of its own; one that grew before would lend it its peak memory."""
    command = [sys.executable, "-m", "tests.benchmarks.quality", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main(calls: int, memory: str, *, with_gx: bool) -> None:
    """Print the lines of one size."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {missing: str(Path(folder) / f"{missing}.duckdb") for missing, _ in LINES.values()}
        for missing, path in paths.items():
            _call("--fill", path, str(calls), str(missing), memory)
        scan = 0.0
        for name, (missing, words) in LINES.items():
            if name == "gx frame" and not (with_gx and calls <= 1_000_000):
                continue
            told = _call("--run", name.strip(), paths[missing], memory).split("|")
            rules, broken, keys, peak, start = (int(told[place]) for place in (0, 1, 2, 5, 6))
            cpu = float(told[3])
            scan = scan or cpu
            shown = f"{broken:,} | {keys:,}" if keys else "– | –"
            of_frame = f" ({start:,} before)" if "frame" in name else ""
            print(
                f"| {words} | {calls:,} | {rules or '–'} | {shown} | {cpu:.1f} | {told[4]} | {cpu / scan:.1f} "
                f"| {peak:,}{of_frame} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:5])
    elif sys.argv[1:2] == ["--fill"]:
        with open_ledger(sys.argv[2], memory_limit=sys.argv[5]) as made:
            fill(made, int(sys.argv[3]), int(sys.argv[4]))
    else:
        options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("calls", nargs="*", type=int, default=[1_000_000])
        options.add_argument("--gx", action="store_true")
        options.add_argument("--memory", default="1300MB")
        given = options.parse_args()
        print("| what | calls | rules | calls that break one | keys kept | CPU s | wall s | CPU ÷ scan | peak MB |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        for size in given.calls:
            main(size, given.memory, with_gx=given.gx)
