"""Why did the cost change: an exact decomposition into drivers, and what it says in words."""

from __future__ import annotations

from attribution.explanations.answers import LINES, Explanation
from attribution.explanations.explaining import explain_change, explain_windows
from attribution.explanations.requests import show_requests

#: What a change may be put down to, in the order shown.
DRIVERS = tuple(LINES)

__all__ = ["DRIVERS", "Explanation", "explain_change", "explain_windows", "show_requests"]
