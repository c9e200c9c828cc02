"""Where the month will end: point, interval, and the chance to exceed the budget."""

from __future__ import annotations

from attribution.forecasts.forecasting import forecast_month

__all__ = ["forecast_month"]
