"""Unusual spend: scored day by day over the hierarchy, traced to the slice that caused it, and explained."""

from __future__ import annotations

from attribution.anomalies.finding import Anomalies, find_anomalies

__all__ = ["Anomalies", "find_anomalies"]
