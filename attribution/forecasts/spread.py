"""How far the rest of a month may miss: past misses (split conformal), or a normal spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from attribution.forecasts.expecting import Floats


@dataclass(frozen=True)
class Spread:
    """How far the rest of the month may miss, on the log scale: past misses, or a normal one."""

    errors: Floats | None
    sigma: float | None = None

    @property
    def name(self) -> str:
        """What the spread rests on."""
        return "conformal" if self.errors is not None else "normal" if self.sigma is not None else "none"

    @property
    def middle(self) -> float:
        """The median error."""
        return float(np.median(self.errors)) if self.errors is not None else 0.0

    def interval(self, level: float) -> tuple[float | None, float | None]:
        """Return the errors between which a share `level` falls."""
        side = (1 - level) / 2
        if self.errors is not None:
            count = len(self.errors)
            low, high = math.floor(round((count + 1) * side, 9)), math.ceil(round((count + 1) * (1 - side), 9))
            return float(self.errors[max(low, 1) - 1]), float(self.errors[min(high, count) - 1])
        if self.sigma is None:
            return None, None
        far = NormalDist().inv_cdf(1 - side) * self.sigma
        return -far, far

    def chance(self, room: float, rest: float) -> float | None:
        """Return the chance that the rest needs more than the room that is left."""
        if room < 0 or rest <= 0:
            return float(room < 0)
        if self.errors is not None:
            return round(float(np.mean(rest * np.exp(self.errors) > room)), 4)
        if self.sigma is None:
            return None
        if room == 0 or self.sigma == 0:
            return float(rest > room)
        return round(1 - NormalDist().cdf(math.log(room / rest) / self.sigma), 4)
