"""Unusual spend: scored day by day over the hierarchy, traced to the slice that caused it, and explained."""

from __future__ import annotations

from attribution.anomalies.finding import Anomalies, find_anomalies, look_for_anomalies
from attribution.anomalies.picking import PickedAnomaly, pick_anomaly

__all__ = ["Anomalies", "PickedAnomaly", "find_anomalies", "look_for_anomalies", "pick_anomaly"]
