"""The benchmarks that the README quotes run, and print a line for everything they put beside each other."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (["pricing", "500"], ["scan of the same columns", "price and sum", "price_events, stored", "calc_price"]),
        (["matching", "--calls", "2000"], ["group by call id", "match", "resolve owners"]),
        (["explain", "--calls", "500"], ["group-by", "explain"]),
        (["reconciliation", "--events", "500"], ["reconcile"]),
        (["quality", "500"], ["scan", "cost_events"]),
    ],
    ids=["pricing", "matching", "explain", "reconciliation", "quality"],
)
def test_a_benchmark_prints_what_it_compares(command: list[str], lines: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{command[0]}", *command[1:]], capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert [line for line in lines if line not in run.stdout] == []
