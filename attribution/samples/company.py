"""The company: its teams, workflows, steps, deployments and prices, read from the CSV files beside this module."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Meters that are priced apart, in the order of every rate and quantity matrix here.
METERS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "web_search")
TIERS = ("standard", "batch", "flex", "priority")
PICO = 10**12
_CLAIMS = ("agent", "tags", "tenants")
FIRST_DAY = date(2026, 1, 1)
TENANTS = 420


@dataclass(frozen=True)
class Workflow:
    """One workflow: whose it is, which services run it, and how its work travels."""

    workflow_id: str
    team: str
    feature: str
    service: str
    worker: str
    system: str
    queue: str
    dialect: str
    agent: bool
    tags: bool
    hours: str
    tenants: bool
    share: int
    hop: str
    key: str


@dataclass(frozen=True)
class Deployment:
    """One model behind the gateway, and how each system spells it."""

    name: str
    provider: str
    model: str
    answered_as: str
    gateway_provider: str
    span_provider: str
    host: str
    id_prefix: str
    upstream_key: str
    project: str
    input_limit: int
    gateway_log: str
    cache_unit: int


@dataclass(frozen=True)
class Company:
    """Everything that does not change from day to day; arrays are indexed by workflow or by step."""

    teams: tuple[dict[str, str], ...]
    workflows: tuple[Workflow, ...]
    deployments: tuple[Deployment, ...]
    steps: tuple[dict[str, str], ...]
    first_step: Array
    step_count: Array
    quantiles: dict[str, Array]

    @property
    def team_names(self) -> list[str]:
        """Names of the teams, in order."""
        return [team["team"] for team in self.teams]

    def team_of_workflow(self) -> Array:
        """Return the team index of each workflow."""
        return np.array([self.team_names.index(w.team) for w in self.workflows])

    def workflow(self, name: str) -> int:
        """Return the index of a workflow."""
        return [w.workflow_id for w in self.workflows].index(name)

    def deployment(self, name: str) -> int:
        """Return the index of a deployment."""
        return [d.name for d in self.deployments].index(name)

    def step_numbers(self, column: str) -> Array:
        """Return one numeric column of the steps."""
        return np.array([float(step[column]) for step in self.steps])


@cache
def load_company() -> Company:
    """Read the company's CSV files once."""
    steps = tuple(read("steps"))
    workflows = tuple(
        Workflow(**row | {name: row[name] == "yes" for name in _CLAIMS} | {"share": int(row["share"])})
        for row in read("workflows")
    )
    deployments = tuple(
        Deployment(**{**row, "input_limit": int(row["input_limit"]), "cache_unit": int(row["cache_unit"])})
        for row in read("deployments")
    )
    names = [step["workflow_id"] for step in steps]
    return Company(
        teams=tuple(read("teams")),
        workflows=workflows,
        deployments=deployments,
        steps=steps,
        first_step=np.array([names.index(w.workflow_id) for w in workflows]),
        step_count=np.array([names.count(w.workflow_id) for w in workflows]),
        quantiles=_read_quantiles(),
    )


def read(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one CSV file beside this module."""
    with (resources.files("attribution.samples") / f"{name}.csv").open(encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def _read_quantiles() -> dict[str, Array]:
    rows = list(read("azure_quantiles"))
    quantiles = {}
    for service in ("conv", "code"):
        for column in ("quantile", "input_tokens", "output_tokens", "gap_of_mean"):
            quantiles[f"{service}.{column}"] = np.array([float(r[column]) for r in rows if r["service"] == service])
    return quantiles


@dataclass(frozen=True)
class Rates:
    """List prices as whole pico-dollars per unit, ready to be indexed by (deployment, tier, band, epoch)."""

    rates: Array
    above: Array
    changes: Array
    listed: Array

    def of(self, deployment: Array, tier: Array, day: Array, input_tokens: Array) -> Array:
        """Return one row of rates per call, in the order of `METERS`."""
        band = (input_tokens > self.above[deployment]).astype(np.int64)
        epoch = (day >= self.changes[deployment]).astype(np.int64)
        picked: Array = self.rates[deployment, tier, band, epoch]
        return picked


@cache
def load_rates() -> Rates:
    """Read the dated price table; a tier or band without its own row has the standard one."""
    deployments = load_company().deployments
    shape = (len(deployments), len(TIERS), 2, 2)
    rates = np.full((*shape, len(METERS)), -1, dtype=np.int64)
    above = np.full(len(deployments), 2**62, dtype=np.int64)
    changes = np.full(len(deployments), 2**31, dtype=np.int64)
    listed = np.zeros(len(deployments), dtype=bool)
    rows = list(read("prices"))
    for index, deployment in enumerate(deployments):
        for row in rows:
            if (row["provider"], row["model"]) != (deployment.provider, deployment.model):
                continue
            band = int(row["above_input_tokens"]) > 0
            if band:
                above[index] = int(row["above_input_tokens"])
            if row["valid_from"]:
                changes[index] = (date.fromisoformat(row["valid_from"]) - FIRST_DAY).days
            listed[index] = row["is_listed"] == "yes"
            target = rates[index, TIERS.index(row["service_tier"]), int(band) :, int(bool(row["valid_from"])) :]
            target[:] = [_pico(row[meter], meter) for meter in METERS]
        for tier in range(1, len(TIERS)):
            missing = rates[index, tier, 0, 0, 0] < 0
            if missing:
                rates[index, tier] = rates[index, 0]
    return Rates(rates, above, changes, listed)


def _pico(price: str, meter: str) -> int:
    """Return whole pico-dollars per token, or per search; a meter without a price is never used."""
    per = 1_000 if meter == "web_search" else 1_000_000
    exact = Decimal(price or "0") * PICO / per
    return int(exact)
