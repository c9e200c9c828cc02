"""What changed in the last hours: has everything arrived, what moved, what carries it, and is it still running."""

from __future__ import annotations

from attribution.incidents.changing import Incident, what_changed

__all__ = ["Incident", "what_changed"]
