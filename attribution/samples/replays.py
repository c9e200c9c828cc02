"""Requests cut out of a day, moved to another, and put among others: all columns of a part together."""

from __future__ import annotations

import numpy as np

from attribution.samples.company import Array, Company
from attribution.samples.traffic import DAY_MS, OK, Calls

#: What may be added to a request, such as an attempt that timed out, ends before midnight, too [ms].
ROOM = 180_000


def step_of(company: Company, workflow: str, step: str) -> int:
    """Return the number of a workflow's step."""
    return [(row["workflow_id"], row["step"]) for row in company.steps].index((workflow, step))


def within_day(calls: Calls) -> Array:
    """Say which requests are over before their day is."""
    is_over = calls["ended"] // DAY_MS != calls["r_started"][calls["request"]] // DAY_MS
    is_late = (calls["ended"] + ROOM) // DAY_MS != calls["ended"] // DAY_MS
    struck = np.bincount(calls["request"][is_over | is_late], minlength=len(calls["r_workflow"]))
    inside: Array = struck == 0
    return inside


def went_well(calls: Calls) -> Array:
    """Say which requests have calls, each with one attempt that succeeded."""
    count = len(calls["r_workflow"])
    faulty = np.bincount(calls["request"][(calls["status"] != OK) | (calls["attempt"] > 1)], minlength=count)
    well: Array = (np.bincount(calls["request"], minlength=count) > 0) & (faulty == 0)
    return well


def chosen(calls: Calls, requests: Array) -> Calls:
    """Return some of the requests with their calls, numbered anew."""
    rows = requests[calls["request"]]
    place = np.cumsum(requests) - 1
    kept = {name: column[requests if name.startswith("r_") else rows] for name, column in calls.items()}
    kept["request"] = place[kept["request"]]
    return _numbered(kept)


def moved(calls: Calls, days: int = 0, milliseconds: int = 0) -> Calls:
    """Return the same requests at another time."""
    by = days * DAY_MS + milliseconds
    later = {name: column.copy() for name, column in calls.items()}
    for name in ("r_started", "started", "ended"):
        later[name] = later[name] + by
    later["r_offset_ms"] = later["r_offset_ms"] + milliseconds
    later["day"] = later["day"] + days
    return later


def joined(one: Calls, other: Calls) -> Calls:
    """Put requests of the same day together, in order of time."""
    count = len(one["r_workflow"])
    both = {name: np.concatenate([column, other[name]]) for name, column in one.items()}
    both["request"] = np.concatenate([one["request"], other["request"] + count])
    both["operation"] = np.concatenate([one["operation"], other["operation"] + len(one["operation"]) + 1])
    order = np.argsort(both["r_started"], kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    both["request"] = place[both["request"]]
    rows = np.argsort(both["request"], kind="stable")
    return _numbered({name: column[order if name.startswith("r_") else rows] for name, column in both.items()})


def with_attempts(calls: Calls, more: Calls) -> Calls:
    """Add later attempts of operations that are there; both have the same requests."""
    both = {n: c if n.startswith("r_") else np.concatenate([c, more[n]]) for n, c in calls.items()}
    rows = np.lexsort((both["attempt"], both["operation"]))
    return {name: column if name.startswith("r_") else column[rows] for name, column in both.items()}


def _numbered(calls: Calls) -> Calls:
    """Number operations in the order in which they stand."""
    begins = np.r_[True, calls["operation"][1:] != calls["operation"][:-1]][: len(calls["operation"])]
    return {**calls, "operation": np.cumsum(begins) - 1}
