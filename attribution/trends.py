"""Coverage over time: every rung per day, and the first day on which a bad change appeared."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from attribution import showing
from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_frame

#: Parameters of the change-point search, shown with every result.
MODEL, PENALTY, MIN_DAYS = "l2", 3.0, 3


@dataclass(frozen=True)
class CoverageTrend:
    """Coverage by day with its change points.

    Attributes
    ----------
    days
        `day`, `list_cost`, `not_declared`, `unowned` [USD], `not_declared_share`, `unowned_share` [0–1].
    changes
        `first_day` of each new level, `before` and `after` (mean share not declared), `is_worse`.
    parameters
        How the change points were found.
    """

    days: pd.DataFrame
    changes: pd.DataFrame
    parameters: str

    @property
    def headline(self) -> str:
        """The changes in one sentence, or why there is none."""
        if len(self.days) < 2 * MIN_DAYS:
            told = showing.count(len(self.days), "day")
            return f"{told} with priced calls: a change of level needs {2 * MIN_DAYS}, {MIN_DAYS} on either side."
        if self.changes.empty:
            return (
                f"No day in {len(self.days)} after which the share not declared stays at another level: "
                f"it moves from day to day by more than any lasting step ({self.parameters})."
            )
        told = "; ".join(
            f"from {row['first_day']} on {_percent(row['after'])} in place of {_percent(row['before'])} "
            f"({'worse' if row['is_worse'] else 'better'})"
            for row in showing.rows(self.changes)
        )
        return f"The share not declared changed its level: {told}. Means of the days; {self.parameters}."


def coverage_trend(ledger: Ledger, *, penalty: float = PENALTY) -> CoverageTrend:
    """Show the share not declared by day, and the days on which its level changed (PELT, by `ruptures`).

    Parameters
    ----------
    ledger
        A built ledger with timed calls.
    penalty
        How much a further change point must explain, in variances of the day-to-day noise: higher finds fewer.

    Returns
    -------
    CoverageTrend
        Days, changes, and the parameters used.

    Raises
    ------
    QuestionError
        If the penalty is not positive, or without `ruptures`, which the extras `notebooks` and `statistics` bring.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/captured", quiet=True)
    >>> len(at.coverage_trend(ledger).changes)
    0
    """
    if penalty <= 0:
        raise QuestionError.bad_argument("penalty", penalty, "a positive number")
    days = ledger.arrow(_DAYS)
    shares = [_ratio(row["not_declared"], row["list_cost"]) for row in days.to_pylist()]
    unowned = [_ratio(row["unowned"], row["list_cost"]) for row in days.to_pylist()]
    shown = days.append_column("not_declared_share", pa.array(shares, pa.float64())).append_column(
        "unowned_share", pa.array(unowned, pa.float64())
    )
    names = [row["day"] for row in days.to_pylist()]
    changes = [
        {
            "first_day": names[at],
            "before": _mean(shares[start:at]),
            "after": _mean(shares[at:end]),
            "is_worse": _mean(shares[at:end]) > _mean(shares[start:at]),
        }
        for start, at, end in _levels(shares, penalty)
    ]
    types = pa.schema(
        [("first_day", pa.string()), ("before", pa.float64()), ("after", pa.float64()), ("is_worse", pa.bool_())]
    )
    return CoverageTrend(
        days=as_frame(shown),
        changes=as_frame(pa.Table.from_pylist(changes, types)),
        parameters=(
            f"PELT, {MODEL} cost, at least {MIN_DAYS} days a level, penalty {penalty:g} × noise variance × ln(days)"
        ),
    )


def _levels(shares: list[float], penalty: float) -> list[tuple[int, int, int]]:
    """Return (start of the level before, first day of the new level, its end) for every change point."""
    if len(shares) < 2 * MIN_DAYS:
        return []
    import math

    import numpy as np

    try:
        import ruptures
    except ImportError as error:
        raise QuestionError.no_extra("ruptures", "statistics") from error

    signal = np.asarray(shares, dtype=float)
    steps = np.diff(signal)
    # Noise from day-to-day steps, so that a lasting change of level does not count as noise.
    noise = (1.4826 * float(np.median(np.abs(steps - np.median(steps))))) ** 2 / 2
    ends = (
        ruptures.Pelt(model=MODEL, min_size=MIN_DAYS, jump=1)
        .fit(signal)
        .predict(pen=max(penalty * noise * math.log(len(shares)), 1e-6))
    )
    bounds = [0, *ends]
    return [(bounds[i - 1], bounds[i], bounds[i + 1]) for i in range(1, len(bounds) - 1)]


def _percent(value: float) -> str:
    return showing.share(Decimal(str(value)))


def _ratio(part: object, whole: object) -> float:
    return float(part) / float(whole) if whole else 0.0  # type: ignore[arg-type]


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 6) if values else 0.0


_DAYS = """
    select strftime(started_at, '%Y-%m-%d') as day,
        cast(coalesce(sum(coalesce(list_cost, priced_part)), 0) as decimal(38, 12)) as list_cost,
        cast(coalesce(sum(coalesce(list_cost, priced_part)) filter (
            where owner_evidence not in ('declared', 'matched', 'exclusive_key')), 0) as decimal(38, 12))
            as not_declared,
        cast(coalesce(sum(coalesce(list_cost, priced_part)) filter (
            where owner_evidence in ('none', 'rule')), 0) as decimal(38, 12)) as unowned
    from cost_event where started_at is not null
    group by day having coalesce(sum(coalesce(list_cost, priced_part)), 0) > 0 order by day
"""
