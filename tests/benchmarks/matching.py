"""Match and resolve: observations of three sources of the same calls, beside one group-by over the same rows.

    .venv/bin/python tests/benchmarks/matching.py --calls 5000000

Each call is seen by a client span, a gateway log and, every third, a provider log: ids are shared as real systems share
them, and a tenth of the calls has lost its team. Two group-bys over the same rows by call id stand beside them, in the
same process and run: one that makes a row per call with the columns of an event and its owner, which is what match and
resolve have to make, and a bare one that only counts. `--memory` sets the engine's limit.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attribution import matching, ownership, schema
from attribution.ledger import Ledger, open_ledger

OBSERVED = """
    insert into observation (observation_id, native_id, source, role, file_id, line, trace_id, span_id, parent_span_id,
        response_id, gateway_call_id, operation_key, started_at, ended_at, status, operation, provider, model,
        requested_model, input_tokens, output_tokens, is_metered, owner_team, workflow_id, feature)
    select cast(md5(source || call) as uuid), call, source, role, 'benchmark', call, 't' || call // 3,
        case when role = 'client_span' then 's' || call end, case when role = 'client_span' then 'r' || call // 3 end,
        'chatcmpl-' || call, case when role = 'gateway_log' then 'g' || call end,
        case when role = 'gateway_log' then 'g' || call end,
        timestamp '2026-10-01' + to_seconds(call // 10),
        timestamp '2026-10-01' + to_seconds(call // 10 + 2), 'ok', 'chat',
        'openai', 'gpt-5-mini', 'gpt-5-mini', 1000 + call % 997, 100 + call % 97, true,
        case when role = 'client_span' and call % 10 > 0 then 'team-' || call // 3 % 40 end,
        case when role = 'client_span' then 'wf-' || call // 3 % 200 end, 'f-' || call // 3 % 300
    from range($calls) as calls(call),
        (values ('otlp', 'client_span', 1), ('litellm_payload', 'gateway_log', 1), ('bedrock', 'provider_log', 3))
            as sources(source, role, every)
    where call % every = 0
"""
SPANS = """
    insert into span (trace_id, span_id, parent_span_id, source, file_id, line, kind, service, started_at, is_call,
        owner_team, workflow_id, feature)
    select 't' || call // 3, 's' || call, 'r' || call // 3, 'otlp', 'benchmark', call, 'client', 'worker',
        timestamp '2026-10-01' + to_seconds(call // 10), true,
        case when call % 10 > 0 then 'team-' || call // 3 % 40 end, 'wf-' || call // 3 % 200, 'f-' || call // 3 % 300
    from range($calls) as calls(call)
    union all
    select 't' || trace, 'r' || trace, null, 'otlp', 'benchmark', trace, 'server', 'api', timestamp '2026-10-01', false,
        'team-' || trace % 40, 'wf-' || trace % 200, null
    from range(($calls + 2) // 3) as traces(trace)
"""
COUNTED = """
    select count(*) from (
        select response_id, count(*) as records, max(input_tokens) as tokens from observation group by response_id
    )
"""
#: Columns of an event and its owner that records have.
COLUMNS = [
    column.name
    for column in schema.table("cost_event").columns
    if column.step in ("match", "own") and column.name in schema.table("observation").names
]
GROUPED = f"""
    create or replace table grouped as
    select response_id as call_id, count(*) as observations, {", ".join(f"any_value({n}) as {n}" for n in COLUMNS)}
    from observation group by call_id
"""


def measured(title: str, work: Callable[[], object], rows: int) -> float:
    """Run and print rows, seconds and peak memory; return CPU seconds."""
    wall, before = time.monotonic(), time.process_time()
    work()
    cpu = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = time.monotonic() - wall
    print(f"{title:<22} {rows:>12,} {cpu:>8.1f} {wall:>8.1f} {rows / cpu:>12,.0f} {peak:>8,.0f}", flush=True)
    return cpu


def main() -> None:
    """Measure group-by, match and resolve over the same rows."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=1_000_000)
    options.add_argument("--memory", default="4GB")
    given = options.parse_args()
    calls = given.calls
    with tempfile.TemporaryDirectory() as folder:
        ledger: Ledger = open_ledger(Path(folder) / "benchmark.duckdb", memory_limit=given.memory)
        for statement in (OBSERVED, SPANS):
            ledger.run(statement, {"calls": calls})
        rows = ledger.value("select count(*) from observation")
        print(f"{'step':<22} {'rows':>12} {'CPU s':>8} {'wall s':>8} {'rows/CPU s':>12} {'peak MB':>8}")
        count = measured("count by call id", lambda: ledger.value(COUNTED), rows)
        group = measured("group by call id", lambda: ledger.run(GROUPED), rows)
        match = measured("match", lambda: matching.match(ledger), rows)
        resolve = measured("resolve owners", lambda: ownership.resolve_owners(ledger), rows)
        events = ledger.value("select count(*) from event")
        print(
            f"{events:,} events; match and resolve take {(match + resolve) / group:.1f} x the CPU of the group-by with"
        )
        print(f"the columns of an event, {(match + resolve) / count:.0f} x that of the bare count")
        ledger.close()


if __name__ == "__main__":
    main()
