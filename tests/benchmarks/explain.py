"""explain_change at scale, beside a plain group-by over the same rows to leaf level, in the same run.

usage: python -m tests.benchmarks.explain [--calls 1000000] [--file] [--memory 8GB]   (10 million calls want both)
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import attribution as at
from attribution.ledger import Ledger, open_ledger

BEFORE, AFTER = "2026-08", "2026-09"

EVENTS = """
insert into event by name
select md5('e' || i)::uuid as event_id, md5('r' || (i // 3)) as request_id, md5('r' || (i // 3)) as trace_id,
    md5('c' || (i - (i % 25 = 24)::int)) as call_id, 1 + (i % 25 = 24)::int as attempt_no,
    if(i % 25 = 24, 'retry', 'primary') as attempt_role,
    timestamp '2026-08-01' + to_microseconds((i * (61 * 86400000000 // $calls))) as started_at,
    'ok' as status, if(i % 7 = 0, 'embeddings', 'chat') as operation,
    if(i // 3 % 4 = 0, 'anthropic', 'openai') as provider,
    if(i // 3 % 4 = 0, 'claude-sonnet-4-5', if(i // 3 % 4 = 1, 'gpt-5', 'gpt-5-mini')) as model,
    'standard' as service_tier, false as cache_hit,
    800 + hash(i) % 4000 as input_tokens, 50 + hash(i + 1) % 900 as output_tokens,
    if(i % 2 = 0, 500 + hash(i) % 300, 0) as cache_read_tokens, true as is_metered, 1 as observations, 1 as sources
from range($calls) as row(i)
"""
OWNERS = """
insert into event_owner by name
select event_id, if(w % 50 = 0, null, 'team-' || w % 20) as owner_team,
    if(w % 50 = 0, 'none', 'declared') as owner_evidence,
    'workflow-' || w as workflow_id, 'declared' as workflow_evidence, 'feature-' || w % 5 as feature,
    'declared' as feature_evidence, 'none' as tenant_evidence
from (select event_id, hash(request_id) % 200 as w from event)
"""
GROUP_BY = """
select started_at >= timestamp '2026-09-01' as is_after, owner_team, workflow_id, feature, operation, provider, model,
    service_tier, attempt_role, meter, count(*) as lines, sum(quantity) as units, sum(line_item.list_cost) as cost
from cost_event join line_item using (event_id)
where started_at >= timestamp '2026-08-01' and started_at < timestamp '2026-10-01'
group by all
"""


def company(calls: int, path: str = ":memory:", memory_limit: str | None = None) -> Ledger:
    """A ledger of `calls` priced attempts over two months, 200 workflows."""
    ledger = open_ledger(path, memory_limit=memory_limit)
    ledger.run(EVENTS, {"calls": calls})
    ledger.run(OWNERS)
    at.price_events(ledger)
    return ledger


def measured(what: str, work: Callable[[], Any]) -> float:
    """Run once and print CPU-seconds, wall and peak memory."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{what:<40} {cpu:8.2f} CPU-s {wall:8.2f} s wall {peak:6.2f} GB peak so far  {answer}")
    return cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--file", action="store_true", help="keep the ledger in a file, thrown away afterwards")
    parser.add_argument("--memory", help="what the engine may take before it spills, such as 8GB")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        company(options.calls, f"{folder}/ledger.duckdb" if options.file else ":memory:", options.memory) as ledger,
    ):
        compare(ledger, options.calls)


def compare(ledger: Ledger, calls: int) -> None:
    """Print the group-by and both methods beside each other."""
    print(f"{calls:,} calls, {ledger.value('select count(*) from line_item'):,} line items")
    scan = measured("group-by to leaf level", lambda: f"{len(ledger.rows(GROUP_BY)):,} leaves")
    for method in ("shapley", "lmdi"):
        cpu = measured(f"explain_change, {method}", partial(_explained, ledger, method))
        print(f"{'':<40} {cpu / scan:8.2f} × the group-by")


def _explained(ledger: Ledger, method: str) -> str:
    answer = at.explain_change(ledger, BEFORE, AFTER, method=method)
    return f"{len(answer.leaves):,} leaves, change {answer.change:.2f} USD"


if __name__ == "__main__":
    main()
