"""`attribution check`: the gate for CI. 0: within the limit; 1: above it; 2: could not run."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Paths, Period, opened, require_calls
from attribution.errors import LedgerError, QuestionError, SourceError

if TYPE_CHECKING:
    from attribution.loading import Loaded

_SHARES = {"not_declared": "not declared at the call", "unowned": "unowned after recovery"}


def register(app: typer.Typer) -> None:
    """Add `check`."""
    app.command("check")(check)


def check(
    paths: Paths,
    max_unattributed: Annotated[
        str, typer.Option("--max-unattributed", metavar="SHARE", help="Limit for both shares: 2% or 0.02.")
    ] = "2%",
    max_rise: Annotated[
        str | None, typer.Option("--max-rise", metavar="SHARE", help="Limit for the last 7 days against those before.")
    ] = None,
    anomalies_in: Annotated[
        str | None, typer.Option("--no-anomalies-in", metavar="PERIOD", help="Fail on unusual spend in this period.")
    ] = None,
    max_over_budget: Annotated[
        str | None, typer.Option("--max-over-budget", metavar="CHANCE", help="Limit for a team's chance to exceed it.")
    ] = None,
    period: Period = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Fail a build when too much is unattributed: exit 0 within the limit, 1 above it, 2 if it could not run.

    Both shares are checked, by their high end: calls without a price cannot make the gate pass.
    """
    from attribution.cli import gates, screen
    from attribution.coverages import measure_coverage

    limit = parse_share(max_unattributed)
    limits = [None if given is None else parse_share(given) for given in (max_rise, max_over_budget)]
    with opened(paths, config) as (ledger, loaded):
        _require_all(paths, loaded)
        require_calls(ledger)
        row = showing.rows(measure_coverage(ledger, period=period))[0]
        changes = gates.broken_limits(ledger, limits[0], anomalies_in, limits[1])
    if not row["calls"]:
        raise LedgerError.empty(f"provider calls in {period}", "Choose a period that the data covers.")
    above = _above(row, limit)
    if as_json:
        screen.print_json(_answer(row, limit, above, loaded) | {"passed": not above + changes, "changes": changes})
    else:
        _report(row, limit, above, loaded)
        for sentence in changes:
            screen.say(sentence)
    if above or changes:
        raise typer.Exit(1)


def parse_share(given: str) -> Decimal:
    """Read `2%`, `2 %` or `0.02` as a share [0–1]; refuse what could mean either."""
    text = given.strip()
    try:
        value = Decimal(text.removesuffix("%").strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if text.endswith("%"):
        value /= 100
    if not value.is_finite() or not 0 <= value <= 1:
        raise QuestionError.bad_argument("--max-unattributed", given, "a share such as 2% or 0.02")
    return value


def _require_all(paths: list[str], loaded: Loaded) -> None:
    """Refuse to judge when a file that was named could not be read: its calls would be missing."""
    named = {Path(path) for path in paths}
    for path, why in loaded.refused:
        if Path(path) in named:
            raise SourceError(why)


def _above(row: dict[str, Any], limit: Decimal) -> list[str]:
    if row["not_declared_high"] is None or row["not_declared_high"] != row["not_declared_high"]:
        raise LedgerError.empty("dollars to share", "No call has a price; name its models in an alias, or load usage.")
    return [name for name in _SHARES if row[f"{name}_high"] > limit]


def _answer(row: dict[str, Any], limit: Decimal, above: list[str], loaded: Loaded) -> dict[str, Any]:
    from attribution.cli import screen

    return {
        "command": "check",
        "passed": not above,
        "max_unattributed": screen.plain(limit),
        "above": above,
        "shares": {name: screen.plain(value) for name, value in row.items()},
        "quarantined": sum(file["quarantined"] for file in loaded.files),
        "not_loaded": [{"path": path, "why": why} for path, why in loaded.refused],
    }


def _report(row: dict[str, Any], limit: Decimal, above: list[str], loaded: Loaded) -> None:
    from attribution.cli import screen

    for name in above:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        open_end = "" if low > limit else f" ({row['unpriced_calls']:,} calls without a price may lift it above)"
        screen.say(
            f"{showing.dollars(row[name])} of {showing.dollars(row['list_cost'])} is {_SHARES[name]}: "
            f"{showing.band(low, high)}, limit {showing.share(limit)}{open_end}."
        )
    quarantined = sum(file["quarantined"] for file in loaded.files)
    if quarantined:
        typer.echo(f"attribution: {quarantined:,} records are in quarantine and not in these shares.", err=True)
    for _, why in loaded.refused:
        typer.echo(f"attribution: not loaded: {showing.visible(why)}", err=True)
