"""The two-scale seasonal score: how unusual is a day, from the days before it alone.

One pass over days scores all series at once; a row of `days` is one series, a column one UTC day, and a
missing day (the feed was not complete) is NaN.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.float64]

HISTORY = 56
BURN_IN = 21
THRESHOLD = 3.5
SUSTAINED_FROM = 35
SUSTAINED_THRESHOLD = 4.0
#: A slice with more than this share of zero days in the last 28 is sparse.
SPARSE = 0.15

#: Steps by which an end of the quiet range is found; forty halve it to a millionth of a millionth.
HALVINGS = 40

_MAD = 1.4826
_Q90 = 1.645


@dataclass(frozen=True)
class Scores:
    """Per series and day: score, what was expected, the range without alert, weekday factor, and the two alarms."""

    score: Days
    expected: Days
    low: Days
    high: Days
    is_alert: npt.NDArray[np.bool_]
    factor: Days
    sustained: Days
    usual_week: Days
    is_sustained: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scales:
    """What a day's amount is held against, per series: level, scale and factor of one scale, and of the other."""

    level: Days
    scale: Days
    factor: Days
    expected: Days
    small: Days
    spread: Days
    is_sparse: npt.NDArray[np.bool_]

    def score(self, amount: Days) -> Days:
        """Return how unusual an amount is: the mean of both scales, of sparse series the linear one alone."""
        linear = np.abs(amount / self.factor - self.level) / self.scale
        log = np.abs(np.log((amount + self.small) / (self.expected + self.small))) / self.spread
        result: Days = np.where(self.is_sparse, linear, 0.5 * linear + 0.5 * log)
        return result


def score_days(days: Days, weekday: npt.NDArray[np.int64], floor: Days | float = 0.0) -> Scores:
    """Score every day from the twenty-second on; earlier days stay NaN and without alarm.

    Parameters
    ----------
    days
        Series by row, days by column [USD].
    weekday
        The weekday of each column, 0 to 6.
    floor
        The least excess that is worth an alarm, of all or of each series [USD].
    """
    count, length = days.shape
    blank = np.full((count, length), np.nan)
    parts = {name: blank.copy() for name in ("score", "expected", "low", "high", "factor", "sustained", "usual_week")}
    sparse = np.zeros((count, length), dtype=bool)
    errors = blank.copy()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # An all-missing window has no median: NaN is the answer, not a warning.
        warnings.simplefilter("ignore", RuntimeWarning)
        for day in range(BURN_IN, length):
            found = _score_one(days, weekday, day, errors)
            sparse[:, day] = found.pop("is_sparse").astype(bool)
            errors[:, day] = found.pop("error")
            for name, values in found.items():
                parts[name][:, day] = values
        least = np.reshape(floor, (-1, 1))
        is_far = np.abs(days - parts["expected"]) >= least
        parts["low"] = np.maximum(np.minimum(parts["low"], parts["expected"] - least), 0.0)
        parts["high"] = np.maximum(parts["high"], parts["expected"] + least)
        is_alert = (parts["score"] > THRESHOLD) & is_far
        is_rise = (parts["sustained"] > SUSTAINED_THRESHOLD) & ~sparse
    return Scores(**parts, is_alert=is_alert, is_sustained=is_rise)


def _score_one(days: Days, weekday: npt.NDArray[np.int64], day: int, errors: Days) -> dict[str, Any]:
    past = days[:, max(0, day - HISTORY) : day]
    past_weekday = weekday[max(0, day - HISTORY) : day]
    today, this = days[:, day], int(weekday[day])
    zeros = np.nanmean(past[:, -28:] == 0, axis=1)
    is_sparse = zeros > SPARSE
    factors, shrunk = _weekday_factors(past, past_weekday, is_sparse)

    level_days = past[:, -28:] / shrunk[:, past_weekday[-28:]]
    level, scale = _level(level_days, is_sparse)
    flat = past / factors[:, past_weekday]
    expected = _median(flat[:, -7:], axis=1) * factors[:, this]
    small = 0.1 * np.nanmean(past[:, -28:], axis=1)
    error = np.log((today + small) / (expected + small))
    spread = _log_scale(errors[:, max(0, day - 42) : day], flat[:, -28:], small)
    scales = Scales(level, scale, shrunk[:, this], expected, small, spread, is_sparse)
    low, high = _quiet_range(scales)
    rise, usual_week = _sustained(days, day)
    expected = np.where(is_sparse, level, expected)
    return {
        "score": scales.score(today),
        "expected": expected,
        "low": low,
        "high": high,
        "error": error,
        "is_sparse": is_sparse,
        "sustained": rise,
        "factor": factors[:, this],
        "usual_week": usual_week,
    }


def _weekday_factors(past: Days, weekday: npt.NDArray[np.int64], is_sparse: npt.NDArray[np.bool_]) -> tuple[Days, Days]:
    """Return weekday factors, and the same shrunk by how much of the variation weekdays explain."""
    count, length = past.shape
    mean = np.lib.stride_tricks.sliding_window_view(past, 7, axis=1).mean(axis=2)
    weekday = weekday[3 : length - 3]
    ratio = np.where(mean > 0, past[:, 3 : length - 3] / mean, np.nan)
    factors, middle = np.ones((count, 7)), np.ones((count, 7))
    residual = np.full(ratio.shape, np.nan)
    for one in range(7):
        mine = ratio[:, weekday == one]
        median = _median(mine, axis=1) if mine.shape[1] else np.full(count, np.nan)
        enough = np.sum(~np.isnan(mine), axis=1) >= 2
        middle[:, one] = np.where(np.isnan(median), 1.0, median)
        factors[:, one] = np.where(enough, middle[:, one], 1.0)
        residual[:, weekday == one] = mine - middle[:, [one]]
    factors = np.maximum(factors / factors.mean(axis=1, keepdims=True), 0.02)
    explained = 1 - (_mad(residual) / _mad(ratio)) ** 2
    kept = np.clip((np.nan_to_num(explained) - 0.3) / 0.7, 0.0, 1.0)[:, None]
    shrunk = 1 + kept * (factors - 1)
    shrunk = np.maximum(shrunk / shrunk.mean(axis=1, keepdims=True), 0.05)
    plain = is_sparse[:, None]
    return np.where(plain, 1.0, factors), np.where(plain, 1.0, shrunk)


def _level(flat: Days, is_sparse: npt.NDArray[np.bool_]) -> tuple[Days, Days]:
    month = _median(flat, axis=1)
    level = np.where(is_sparse, month, 0.5 * month + 0.5 * _median(flat[:, -7:], axis=1))
    away = np.abs(flat - month[:, None])
    scale = np.maximum(_MAD * _median(away, axis=1), np.nanquantile(away, 0.9, axis=1) / _Q90)
    return level, np.maximum(np.maximum(scale, 0.05 * level), 1e-12)


def _log_scale(errors: Days, flat: Days, small: Days) -> Days:
    known = np.sum(~np.isnan(errors), axis=1) if errors.shape[1] else np.zeros(len(flat))
    size = np.abs(errors) if errors.shape[1] else np.full((len(flat), 1), np.nan)
    own = np.maximum(_mad(errors) * _MAD if errors.shape[1] else 0.0, np.nanquantile(size, 0.9, axis=1) / _Q90)
    recent = flat[:, -21:]
    around = [
        _median(flat[:, max(0, at - 7) : at], axis=1) for at in range(flat.shape[1] - recent.shape[1], flat.shape[1])
    ]
    away = np.abs(np.log((recent + small[:, None]) / (np.stack(around, axis=1) + small[:, None])))
    first = _MAD * _median(away, axis=1)
    return np.fmax(np.where(known >= 10, own, first), 0.06)


def _quiet_range(scales: Scales) -> tuple[Days, Days]:
    """Return the amounts between which a day raises no alarm: where the score passes the threshold.

    Above both expectations the score only grows, and below both it only grows towards nothing, so that each end is
    found by halving; the linear scale alone says how far it can be.
    """
    middle = (scales.level * scales.factor, np.where(scales.is_sparse, scales.level, scales.expected))
    inner, outer = np.maximum(*middle), scales.factor * (scales.level + 2 * THRESHOLD * scales.scale)
    high = _crossing(scales, inner, np.maximum(outer, inner))
    low = _crossing(scales, np.minimum(*middle), np.zeros(len(inner)))
    return low, high


def _crossing(scales: Scales, inside: Days, outside: Days) -> Days:
    """Return where the score passes the threshold on the way from inside to outside; outside where it never does."""
    is_quiet = scales.score(outside) <= THRESHOLD
    near, far = inside, outside
    for _ in range(HALVINGS):
        half = (near + far) / 2
        is_inside = scales.score(half) <= THRESHOLD
        near, far = np.where(is_inside, half, near), np.where(is_inside, far, half)
    return np.where(is_quiet, outside, near)


def _sustained(days: Days, day: int) -> tuple[Days, Days]:
    """Compare the last seven days with the four weeks before them; a level that rose and stays."""
    if day + 1 < SUSTAINED_FROM:
        none = np.full(len(days), np.nan)
        return none, none
    sums = np.stack([days[:, day - 6 - 7 * back : day + 1 - 7 * back].sum(axis=1) for back in range(5)], axis=1)
    small = 0.1 * sums[:, 1:].mean(axis=1, keepdims=True)
    logs = np.log(sums + small)
    middle = np.median(logs[:, 1:], axis=1)
    spread = np.max(np.abs(logs[:, 1:] - middle[:, None]), axis=1)
    usual = np.exp(middle) - small[:, 0]
    return (logs[:, 0] - middle) / np.maximum(1.2 * spread / 1.03, 0.07), usual


def _median(values: Days, axis: int = 1, keepdims: bool = False) -> Days:
    """Return the median of what is not missing; the plain one is ten times faster where nothing is."""
    rule = np.nanmedian if np.isnan(values).any() else np.median
    result: Days = rule(values, axis=axis, keepdims=keepdims)
    return result


def _mad(values: Days) -> Days:
    middle = _median(values, axis=1, keepdims=True)
    return _median(np.abs(values - middle), axis=1)
