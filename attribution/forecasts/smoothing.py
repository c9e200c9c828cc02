"""Exponential smoothing with a damped trend and a week's seasons, from statsmodels (extra `statistics`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date

import numpy as np

from attribution.errors import QuestionError
from attribution.forecasts.expecting import HISTORY, Floats, expected_days

#: Days that are smoothed.
SMOOTHED = 84


def smoothed_days(numbers: Floats, last: date, ahead: Sequence[date]) -> Floats:
    """Return what each slice (row) is expected to cost on days ahead; never less than nothing."""
    try:
        from statsmodels.tsa.holtwinters import ExponentialSmoothing
    except ImportError as error:
        what = "weekday, or the extra `statistics` installed (pip install 'attribution[statistics]')"
        raise QuestionError.bad_argument("method", "ets", what) from error
    if numbers.shape[1] < HISTORY:
        raise QuestionError.bad_argument("method", "ets", f"weekday: there are fewer than {HISTORY} days")
    result = np.zeros((len(numbers), len(ahead)))
    steps = max(((day - last).days for day in ahead), default=0)
    for row, days in enumerate(numbers[:, -SMOOTHED:]):
        known = np.where(np.isnan(days), np.nanmean(days), days)
        if not steps or not known.any():
            continue
        with warnings.catch_warnings():
            # A fit that stops early is still a forecast; how good it was shows in the interval.
            warnings.simplefilter("ignore")
            model = ExponentialSmoothing(known, trend="add", damped_trend=True, seasonal="add", seasonal_periods=7)
            path = np.maximum(model.fit().forecast(steps), 0.0)
        result[row] = [path[(day - last).days - 1] if day > last else np.nan for day in ahead]
    return np.where(np.isnan(result), expected_days(numbers, last, ahead), result)
