"""Which slice caused it: a search for the attribute values whose leaves all moved by one ratio (ripple effect)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

#: A slice must explain this share of its own leaves' movement by one common ratio.
FIT = 0.7
#: A slice must hold this share of all movement.
LEAST = 0.02
NOISE = 4.0
CAP = 0.25
#: Attributes that a slice may combine.
DEPTH = 3
#: Slices that are searched for at most.
MOST = 8


@dataclass(frozen=True)
class Slice:
    """A set of leaves that moved together: its attribute values, and what it should have been and was."""

    values: dict[str, str | None]
    expected: float
    actual: float
    fit: float
    share: float


def locate(
    attributes: Mapping[str, Sequence[str | None]], expected: npt.ArrayLike, actual: npt.ArrayLike
) -> list[Slice]:
    """Find the slices that caused a change, largest first found, shortest description first.

    A cause's ratio of actual to expected is common to all leaves below it; what merely contains the cause, or
    crosses it, has leaves that did not move and so no common ratio. Each slice found is taken out before the
    next search, so several causes with different ratios are told apart.

    Parameters
    ----------
    attributes
        Attribute → value per leaf.
    expected, actual
        Amount per leaf [USD].
    """
    names = list(attributes)
    coded = [_codes(attributes[name]) for name in names]
    before, after = np.asarray(expected, dtype=float), np.asarray(actual, dtype=float)
    moved = np.abs(after - before) * _is_abnormal(before, after)
    whole = moved.sum()
    left = np.ones(len(before), dtype=bool)
    found: list[Slice] = []
    while whole > 0 and len(found) < MOST:
        best = _best_slice(coded, before, after, moved, left, LEAST * whole)
        if best is None:
            break
        columns, inside, fit = best
        first = int(np.flatnonzero(inside)[0])
        values = {names[column]: attributes[names[column]][first] for column in columns}
        share = float(moved[inside & left].sum() / whole)
        found.append(Slice(values, float(before[inside].sum()), float(after[inside].sum()), fit, share))
        left &= ~inside
    return found


def _codes(values: Sequence[str | None]) -> tuple[Codes, int]:
    """Return one number per value, in sorted order so that the answer depends on no row order."""
    known = {value: code for code, value in enumerate(sorted(set(values), key=lambda value: (value is None, value)))}
    return np.array([known[value] for value in values], dtype=np.int64), len(known)


def _is_abnormal(before: Floats, after: Floats) -> npt.NDArray[np.bool_]:
    """Tell movement from noise: beyond four robust deviations of the leaves' relative change, or a quarter."""
    middle = (before + after) / 2
    change = np.divide(after - before, middle, out=np.zeros(len(before)), where=middle > 0)
    noise = NOISE * 1.4826 * float(np.median(np.abs(change - np.median(change)))) if len(change) else 0.0
    result: npt.NDArray[np.bool_] = np.abs(change) > min(noise, CAP)
    return result


def _best_slice(
    coded: list[tuple[Codes, int]],
    before: Floats,
    after: Floats,
    moved: Floats,
    left: npt.NDArray[np.bool_],
    least: float,
) -> tuple[tuple[int, ...], npt.NDArray[np.bool_], float] | None:
    """Return the slice that holds most movement among the shortest descriptions that fit."""
    for depth in range(1, min(DEPTH, len(coded)) + 1):
        best: tuple[float, tuple[int, ...], npt.NDArray[np.bool_], float] | None = None
        for columns in itertools.combinations(range(len(coded)), depth):
            group = _group(coded, columns)
            held, fit = _fit(group, before, after, moved, left)
            worth = np.where((held >= least) & (fit >= FIT), held * fit, 0.0)
            top = int(worth.argmax())
            if worth[top] > 0 and (best is None or worth[top] > best[0] * (1 + 1e-9)):
                best = (float(worth[top]), columns, group == top, float(fit[top]))
        if best is not None:
            return best[1:]
    return None


def _group(coded: list[tuple[Codes, int]], columns: Sequence[int]) -> Codes:
    group = np.zeros(len(coded[0][0]), dtype=np.int64)
    for column in columns:
        codes, size = coded[column]
        group = group * size + codes
    return group


def _fit(
    group: Codes, before: Floats, after: Floats, moved: Floats, left: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return, per slice, the movement it holds and how much of it one common ratio explains."""
    size = int(group.max()) + 1
    mine, f, v = group[left], before[left], after[left]
    total_f, total_v = np.bincount(mine, f, size), np.bincount(mine, v, size)
    ratio = np.divide(total_v, total_f, out=np.ones(size), where=total_f > 0)
    shown = np.where(total_f[mine] > 0, f * ratio[mine], v)
    gap = np.bincount(mine, np.abs(v - shown), size)
    all_moved = np.bincount(mine, np.abs(v - f), size)
    fit = np.divide(all_moved - gap, all_moved, out=np.zeros(size), where=all_moved > 0)
    held: Floats = np.bincount(mine, moved[left], size).astype(np.float64)
    return held, fit
