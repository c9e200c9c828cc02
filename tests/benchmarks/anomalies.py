"""Detection and localisation on labelled data, beside other detectors in the same run. Figures as they are.

usage: python -m tests.benchmarks.anomalies [--calls 40000] [--ledger FILE]
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ruptures
from statsmodels.tsa.seasonal import STL

import attribution as at
from attribution.anomalies.localization import locate
from attribution.anomalies.scoring import BURN_IN, score_days
from attribution.ledger import Ledger
from attribution.samples.changes import CHANGES
from tests.benchmarks import forecast
from tests.examples import SHARED

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """One daily series with its labelled windows, first and last day inclusive, and what was usual where known."""

    days: Floats
    weekday: npt.NDArray[np.int64]
    windows: list[tuple[int, int]]
    usual: Floats | None = None


def two_scale(one: Labelled) -> Flags:
    scores = score_days(one.days[None], one.weekday)
    return scores.is_alert[0] | scores.is_sustained[0]


def rolling_z(one: Labelled) -> Flags:
    """|z| > 3 against the mean and deviation of the 28 days before."""
    flags = np.zeros(len(one.days), dtype=bool)
    for day in range(14, len(one.days)):
        past = one.days[max(0, day - 28) : day]
        flags[day] = abs(one.days[day] - past.mean()) > 3 * max(past.std(ddof=1), 1e-12)
    return flags


def stl_residual(one: Labelled) -> Flags:
    """Robust STL of statsmodels over the 56 days up to each day; its residual beyond 3.5 robust deviations."""
    flags = np.zeros(len(one.days), dtype=bool)
    for day in range(BURN_IN, len(one.days)):
        rest = STL(one.days[max(0, day - 55) : day + 1], period=7, robust=True).fit().resid
        scale = 1.4826 * np.median(np.abs(rest[:-1] - np.median(rest[:-1])))
        flags[day] = abs(rest[-1]) > 3.5 * max(scale, 1e-12)
    return flags


def change_points(one: Labelled) -> Flags:
    """Level shifts by PELT of ruptures on the whole, deseasonalised series: it sees the future, ours does not."""
    typical = np.array([np.median(one.days[one.weekday == weekday]) for weekday in range(7)])
    flat = one.days / np.maximum(typical[one.weekday], 1e-12)
    noise = 1.4826 * np.median(np.abs(np.diff(flat))) / np.sqrt(2)
    found = ruptures.Pelt(model="l2", min_size=2).fit(flat).predict(pen=6 * np.log(len(flat)) * noise**2)
    flags = np.zeros(len(one.days), dtype=bool)
    flags[[day for day in found if day < len(flags)]] = True
    return flags


DETECTORS: dict[str, Callable[[Labelled], Flags]] = {
    "two-scale score (ours)": two_scale,
    "28-day rolling z": rolling_z,
    "STL residual (statsmodels)": stl_residual,
    "PELT (ruptures, offline)": change_points,
}


def events(flags: Flags) -> list[tuple[int, int]]:
    """Alert days at most one quiet day apart are one event."""
    runs: list[tuple[int, int]] = []
    for day in np.flatnonzero(flags).tolist():
        if runs and day - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def evaluate(name: str, detect: Callable[[Labelled], Flags], series: list[Labelled]) -> None:
    """Print event-level precision, recall and F1, never point-adjusted."""
    each = []
    months = dollars = found_dollars = 0.0
    delays: list[int] = []
    cpu = time.process_time()
    for one in series:
        flags = detect(one)
        flags[:BURN_IN] = False
        found = events(flags)
        windows = [window for window in one.windows if window[1] >= BURN_IN]
        hits = missed = 0
        for first, last in windows:
            seen = [day for start, end in found for day in range(start, end + 1) if first <= day <= last]
            hits, missed = hits + bool(seen), missed + (not seen)
            delays += [min(seen) - first] if seen else []
            if one.usual is not None:
                excess = float(np.abs(one.days - one.usual)[first : last + 1].sum())
                dollars, found_dollars = dollars + excess, found_dollars + (excess if seen else 0)
        wrong = sum(not any(start <= last and end >= first for first, last in windows) for start, end in found)
        each.append((hits, wrong, missed))
        months += (len(one.days) - BURN_IN) / 30.4
    hits, wrong, missed = (sum(column) for column in zip(*each, strict=True))
    precision, recall = hits / max(hits + wrong, 1), hits / max(hits + missed, 1)
    low, high = _by_chance(each)
    share = f"{found_dollars / dollars:6.2f}" if dollars else "     –"
    print(
        f"  {name:<28} precision {precision:.3f}  recall {recall:.3f}  F1 {_f1(hits, wrong, missed):.3f} "
        f"({low:.2f}–{high:.2f})  dollar recall {share}  "
        f"median delay {np.median(delays) if delays else float('nan'):.0f} d  "
        f"false events per series-month {wrong / months:.3f}  {time.process_time() - cpu:.1f} CPU-s"
    )


def _f1(hits: float, wrong: float, missed: float) -> float:
    return 2 * hits / max(2 * hits + wrong + missed, 1e-12)


def _by_chance(each: list[tuple[int, int, int]], draws: int = 2000) -> tuple[float, float]:
    """Between what bounds nine of ten F1 lie when the series are drawn again; few series tell detectors apart badly."""
    counts, rng = np.array(each), np.random.default_rng(5)
    scores = [_f1(*counts[rng.integers(0, len(counts), len(counts))].sum(axis=0)) for _ in range(draws)]
    low, high = np.quantile(scores, [0.05, 0.95])
    return float(low), float(high)


def nab() -> list[Labelled]:
    """Seventeen public daily series; labels as they were published."""
    rows: dict[str, dict[date, float]] = defaultdict(dict)
    with (SHARED / "data/nab/daily.csv").open() as lines:
        for row in csv.DictReader(lines):
            rows[row["series"]][date.fromisoformat(row["day"])] = float(row["value"])
    windows: dict[str, list[tuple[date, date]]] = defaultdict(list)
    with (SHARED / "data/nab/windows.csv").open() as lines:
        for row in csv.DictReader(lines):
            windows[row["series"]].append((date.fromisoformat(row["start_day"]), date.fromisoformat(row["end_day"])))
    found = []
    for name in sorted(rows):
        first, last = min(rows[name]), max(rows[name])
        days = [first + timedelta(days=step) for step in range((last - first).days + 1)]
        values = np.array([rows[name].get(day, np.nan) for day in days])
        values = np.where(np.isnan(values), np.nanmedian(values), values)
        weekday = np.array([day.weekday() for day in days])
        found.append(Labelled(values, weekday, [((a - first).days, (b - first).days) for a, b in windows[name]]))
    return found


def planted(count: int = 200, length: int = 120, seed: int = 7) -> Iterator[Labelled]:
    """Daily spend with a weekly rhythm and slow growth, in which spikes, drops and risen levels were planted."""
    rng = np.random.default_rng(seed)
    weekday = np.arange(length) % 7
    for number in range(count):
        rhythm = np.where(weekday >= 5, rng.uniform(0.2, 1.0), 1.0)
        growth = np.exp(rng.normal(0, 0.002) * np.arange(length))
        noise = np.exp(rng.normal(0, rng.uniform(0.05, 0.2), length))
        usual = 10 ** rng.uniform(1, 4) * rhythm * growth * noise
        days, windows = usual.copy(), []
        kind = ("spike", "drop", "rise", "quiet")[number % 4]
        first = int(rng.integers(40, length - 15))
        size = {"spike": int(rng.integers(1, 4)), "drop": int(rng.integers(1, 4)), "rise": 14, "quiet": 0}[kind]
        low, high = {"spike": (1.6, 4.0), "drop": (0.1, 0.5), "rise": (1.3, 2.0), "quiet": (1.0, 1.0)}[kind]
        by = rng.uniform(low, high)
        days[first : first + size] *= by
        if size:
            windows.append((first, first + size - 1))
        yield Labelled(days, weekday, windows, usual)


def localization() -> None:
    """The 180 cases of Squeeze's B0: a cause counts when its attribute values are exactly the labelled ones."""
    cases = pq.read_table(SHARED / "data/squeeze-b0/b0_180.parquet")
    truth: dict[str, tuple[str, set[frozenset[tuple[str, ...]]]]] = {}
    with (SHARED / "data/squeeze-b0/b0_180_labels.csv").open() as lines:
        for row in csv.DictReader(lines):
            causes = {frozenset(tuple(v.split("=")) for v in c.split("&")) for c in row["root_cause"].split(";")}
            truth[row["case_id"]] = (row["setting"], causes)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    cpu = time.process_time()
    for case, (setting, causes) in sorted(truth.items()):
        rows = cases.filter(pc.equal(cases["case_id"], case))
        attributes = {name: rows[name].to_pylist() for name in "abcd"}
        found = locate(attributes, rows["predict"].to_numpy(), rows["real"].to_numpy())
        got = {frozenset(one.values.items()) for one in found}
        for place, more in enumerate((len(got & causes), len(got - causes), len(causes - got))):
            counts[setting][place] += more
            counts["all"][place] += more
    for setting, (hits, wrong, missed) in counts.items():
        print(
            f"  {setting:<28} F1 {2 * hits / (2 * hits + wrong + missed):.3f}  "
            f"({hits} right, {wrong} wrong, {missed} missed)"
        )
    print(
        f"  {time.process_time() - cpu:.1f} CPU-s. Reference: RiskLoc 0.951, AutoRoot 0.912, recursive Adtributor 0.110"
    )


def speed(count: int = 1000, length: int = 90) -> None:
    days = np.random.default_rng(1).gamma(20, 5, (count, length))
    cpu, wall = time.process_time(), time.perf_counter()
    scores = score_days(days, np.arange(length) % 7)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    false = (scores.is_alert | scores.is_sustained).sum() / (count * (length - BURN_IN) / 30.4)
    print(
        f"  {count:,} series of {length} days: {cpu:.2f} CPU-s, {wall:.2f} s; "
        f"{false:.3f} alert days a series-month on noise"
    )


def sample_company(ledger: Ledger) -> None:
    """The sample company's planted events: five changed weeks of a workflow, and the week in which Support jumps."""
    cpu = time.process_time()
    found = at.find_anomalies(ledger, "owner_team", "workflow_id", explain=0)
    cpu = time.process_time() - cpu
    planted = {change.words: (change.workflow, change.after) for change in CHANGES.values()}
    planted |= {"Support rises by 37 %": ("support", date(2026, 10, 12))}
    events = zip(found.events.to_dict("records"), found.slices, strict=True)
    alerts = [(row, where) for row, where in events if row["is_alert"]]
    met = [[_is_of(row, where, *event) for event in planted.values()] for row, where in alerts]
    for place, words in enumerate(planted):
        ranks = [rank for rank, row in enumerate(met, 1) if row[place]]
        print(f"  {words:<100} {f'alert {ranks[0]}' if ranks else 'missed'}")
    hits, right = sum(any(row[n] for row in met) for n in range(len(planted))), sum(any(row) for row in met)
    precision, recall = right / max(len(alerts), 1), hits / len(planted)
    print(
        f"  {len(alerts)} alerts in {found.series['day'].nunique()} scored days: precision {precision:.3f}  recall "
        f"{recall:.3f}  F1 {2 * precision * recall / max(precision + recall, 1e-12):.3f}  {cpu:.1f} CPU-s"
    )


def _is_of(row: dict[str, Any], where: Mapping[str, Any], name: str, monday: date) -> bool:
    """Tell whether an alert is of a team or workflow, alone or pooled with small ones, and touches the week."""
    named = [one for value in where.values() for one in (value if isinstance(value, list) else [value])]
    return name in named and bool(row["start"] < monday + timedelta(days=7) and row["end"] >= monday)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--ledger", help="a ledger of the sample company that is there already")
    options = parser.parse_args()
    print("Sample company, six months")
    sample_company(
        at.open_ledger(options.ledger, read_only=True) if options.ledger else forecast.company(options.calls, 6, "all")
    )
    for title, series in (("NAB, 17 daily series", nab()), ("Planted, 200 series of 120 days", list(planted()))):
        print(title)
        for name, detect in DETECTORS.items():
            evaluate(name, detect, series)
    print("Localisation, Squeeze B0, 180 cases")
    localization()
    print("Speed")
    speed()


if __name__ == "__main__":
    main()
