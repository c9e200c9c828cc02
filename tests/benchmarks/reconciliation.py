"""Reconcile: a month of calls against a hundredth as many bill lines, beside one group-by over the same calls.

    .venv/bin/python tests/benchmarks/reconciliation.py --events 10000000

Calls of four models, ten projects and two tiers; the bill has a line per hour, project, model, tier and meter, and says
one in a hundred of them a tenth too high. The comparison is DuckDB's own group-by of the calls to the hour, project,
model and tier, with the sums of their tokens, in the same process and run. The ledger is a file.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attribution.ledger import Ledger, open_ledger
from attribution.pricing import price_events
from attribution.reconciliation import reconcile

EVENTS = """
    insert into event (event_id, request_id, call_id, attempt_no, attempt_role, response_id, started_at, ended_at,
        status, operation, provider, model, service_tier, project_id, api_key_id, cache_hit, input_tokens,
        cache_read_tokens, output_tokens, is_metered, observations, sources)
    select cast(printf('%032x', call) as uuid), 'q' || call // 3, 'c' || call, 1, 'primary', 'chatcmpl-' || call,
        timestamp '2026-10-01' + to_seconds(call * 2678000 // $events),
        timestamp '2026-10-01' + to_seconds(call * 2678000 // $events + 3), 'ok', 'chat', 'openai',
        (['gpt-5-mini', 'gpt-5', 'gpt-4.1-mini', 'gpt-4.1'])[1 + call % 4], (['standard', 'flex'])[1 + call % 7 // 6],
        'proj_' || call % 10, 'key_' || call % 10, false, 1000 + call % 997, call % 3 * 100, 100 + call % 97, true, 1, 1
    from range($events) as calls(call)
"""
#: The bill of the same calls, at its own grain; the ends of calls give the hour.
LINES = """
    insert into bill_line (bill_line_id, source, role, file_id, line, period_start, period_end, billing_period,
        provider, project_id, model, service_tier, meter, category, quantity, unit, billed_cost, effective_cost,
        currency)
    with used as (
        select date_trunc('hour', started_at) as hour, project_id, model, service_tier, item.meter,
            sum(quantity) as quantity, sum(item.list_cost) as cost
        from event join line_item as item using (event_id) group by all
    ),
    numbered as (
        select *, row_number() over (order by hour, project_id, model, service_tier, meter) as number from used
    )
    select cast(printf('%032x', number) as uuid), 'openai_costs', 'both', 'benchmark', number, hour,
        hour + interval 1 hour, '2026-10', 'openai', project_id, model, service_tier, meter, 'usage', quantity,
        'tokens',
        case when number % 100 = 0 then cast(cost * 1.1 as decimal(38, 12)) else cost end,
        cost, 'USD'
    from numbered
"""
GROUPED = """
    select count(*) from (
        select date_trunc('hour', started_at) as hour, provider, model, service_tier, project_id, count(*) as calls,
            sum(input_tokens) as input, sum(cache_read_tokens) as cached, sum(output_tokens) as output
        from event group by all
    )
"""


def measured(title: str, work: Callable[[], object], rows: int) -> float:
    """Run and print rows, seconds and peak memory so far; return CPU seconds."""
    wall, before = time.monotonic(), os.times()
    work()
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = time.monotonic() - wall
    print(
        f"{title:<26} {rows:>12,} {cpu:>8.1f} {wall:>8.1f} {rows / max(cpu, 0.001):>12,.0f} {peak:>8,.0f}", flush=True
    )
    return cpu


def main() -> None:
    """Measure the group-by and the reconciliation of the same month."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=500_000)
    events = options.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        ledger: Ledger = open_ledger(Path(folder) / "benchmark.duckdb")
        print(f"{'step':<26} {'rows':>12} {'CPU s':>8} {'wall s':>8} {'rows/CPU s':>12} {'peak MB':>8}")
        measured("write the calls", lambda: ledger.run(EVENTS, {"events": events}), events)
        measured("price", lambda: price_events(ledger), events)
        measured("write the bill", lambda: ledger.run(LINES), events)
        lines = ledger.value("select count(*) from bill_line")
        group = measured("group-by to the cells", lambda: ledger.value(GROUPED), events)
        answers = []
        work = measured("reconcile", lambda: answers.append(reconcile(ledger, "2026-10")), events)
        bridge = answers[0].bridge
        amounts = {row["cause"]: row["amount"] for row in bridge.to_dict("records") if row["amount"]}
        print(f"{events:,} calls against {lines:,} bill lines: {work / group:.1f} x the group-by")
        print(", ".join(f"{cause} {amount:,.2f}" for cause, amount in amounts.items()))
        ledger.close()


if __name__ == "__main__":
    main()
