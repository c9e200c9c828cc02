"""Why did the cost change: an exact decomposition into drivers, and what it says in words."""

from __future__ import annotations

from attribution.explanations.answers import Explanation
from attribution.explanations.explaining import explain_change, explain_windows
from attribution.explanations.requests import show_requests

__all__ = ["Explanation", "explain_change", "explain_windows", "show_requests"]
