"""What n traces prove: exact one-sided limits (Clopper–Pearson) and the Stringer bound on sampled dollars."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

CONFIDENCE = 0.95


def upper_limit(failures: int, traces: int, confidence: float = CONFIDENCE) -> float:
    """Return the largest failing share [0–1] that this many failures among so many traces do not rule out.

    Examples
    --------
    >>> round(upper_limit(0, 10), 3), round(upper_limit(1, 10), 3), round(upper_limit(2, 10), 3)
    (0.259, 0.394, 0.507)
    """
    if traces == 0 or failures >= traces:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_most = sum(comb(traces, i) * middle**i * (1 - middle) ** (traces - i) for i in range(failures + 1))
        low, high = (middle, high) if at_most > 1 - confidence else (low, middle)
    return high


def stringer_bound(taints: Sequence[float], traces: int, confidence: float = CONFIDENCE) -> float:
    """Return the upper bound on the failing share of the sampled dollars; a taint is the failing share of one trace."""
    bound = upper_limit(0, traces, confidence)
    for rank, taint in enumerate(sorted((t for t in taints if t > 0), reverse=True), start=1):
        bound += (upper_limit(rank, traces, confidence) - upper_limit(rank - 1, traces, confidence)) * taint
    return min(bound, 1.0)


def traces_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """Return how many traces, none failing, put the failing share below `share`.

    Examples
    --------
    >>> traces_needed(0.02)
    149
    """
    traces = 1
    while upper_limit(0, traces, confidence) >= share:
        traces += 1
    return traces
