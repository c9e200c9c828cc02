"""`attribution prices`: what the price book says, where it is from, and whether sources were right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Paths, opened

app = typer.Typer(
    help="Show, compare, build and check the price book; audit what sources claimed.", no_args_is_help=True
)

#: Column heads that leave room for names on a screen.
_SHORT = {
    "agreeing": "agree",
    "claimed_zero": "zero",
    "too_high": "high",
    "too_low": "low",
    "not_priced_here": "no price",
}

Provider = Annotated[str | None, typer.Option("--provider", help="Only this provider.")]
Date = Annotated[
    str | None, typer.Option("--at", metavar="DATE", help="Only what held at this ISO date or time, in UTC.")
]


def register(parent: typer.Typer) -> None:
    """Add `prices`."""
    parent.add_typer(app, name="prices")


@app.command("list")
def list_prices(provider: Provider = None, as_json: AsJson = False) -> None:
    """List the models that have prices."""
    from attribution.pricing.listing import list_models
    from attribution.pricing.storing import shipped_book

    book = shipped_book()
    _print("prices list", list_models(book, provider), as_json, book=book.fingerprint)


@app.command("show")
def show_price(model: str, provider: Provider = None, at: Date = None, as_json: AsJson = False) -> None:
    """Show every price of a model, with its conditions and its source."""
    from attribution.cli import screen
    from attribution.pricing.book import HISTORY
    from attribution.pricing.columns import moment_of
    from attribution.pricing.listing import show_model
    from attribution.pricing.storing import shipped_book

    book, moment = shipped_book(), moment_of(at, "--at")
    rows = show_model(book, model, provider, moment)
    if not as_json:
        rows = rows.drop(columns=["source_entry", "entry", "basis"]).dropna(axis="columns", how="all")
        rows["price"] = [f"{price.normalize():f}" for price in rows["price"]]  # a price is never rounded, not even here
    _print("prices show", rows, as_json, book=book.fingerprint)
    if moment and moment < HISTORY and not as_json:
        screen.say(
            f"No source follows prices before {HISTORY:%Y-%m-%d}: what has no start is the earliest price known."
        )


@app.command("diff")
def diff_books(before: str, after: str, as_json: AsJson = False) -> None:
    """Compare two books: folders that `build --into` wrote, or `shipped`."""
    from attribution.pricing.listing import compare_books
    from attribution.pricing.storing import read_book, shipped_book

    one, other = (shipped_book() if name == "shipped" else read_book(name) for name in (before, after))
    _print("prices diff", compare_books(one, other), as_json, before=one.fingerprint, after=other.fingerprint)


@app.command("build")
def build(
    into: Annotated[Path | None, typer.Option("--into", metavar="FOLDER", help="Write the book here.")] = None,
    litellm: Annotated[Path | None, typer.Option("--litellm", metavar="FILE", help="A newer LiteLLM map.")] = None,
    history: Annotated[Path | None, typer.Option("--history", metavar="FILE", help="A newer snapshot.json.")] = None,
) -> None:
    """Compile the book from its sources and compare it with the one that is shipped; exit 1 if they differ."""
    from attribution.pricing.building import build_book
    from attribution.pricing.storing import shipped_book, write_book

    built = build_book(litellm, history)
    if into:
        write_book(built.book, built.conflicts, built.inputs, into)
        typer.echo(f"{into}: {len(built.book.rates):,} rates, {len(built.conflicts):,} conflicts")
    inputs = ", ".join(f"{name} {version}" for name, version in sorted(built.inputs.items()))
    typer.echo(f"built {built.book.fingerprint} from {inputs}")
    if built.unread:
        most = ", ".join(f"{key} ({count})" for key, count in list(built.unread.items())[:3])
        typer.echo(f"not compiled, as no meter counts their unit: {len(built.unread)} price keys of LiteLLM: {most}, …")
    shipped = shipped_book().fingerprint
    if shipped != built.book.fingerprint:
        typer.echo(f"the shipped book is {shipped}; `attribution prices diff shipped FOLDER` shows what differs")
        raise typer.Exit(1)
    typer.echo("the shipped book is the same")


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """Print how often the sources agree, by provider, and where the book had to choose."""
    from attribution.cli import screen
    from attribution.pricing.building import build_book
    from attribution.pricing.listing import compare_sources

    built = build_book()
    _print("prices check", compare_sources(built.given, built.book.as_of), as_json, conflicts=len(built.conflicts))
    if not as_json:
        screen.say(f"{len(built.conflicts):,} conflicts, each with the reason of the choice: prices/book/conflicts.csv")


@app.command("audit")
def audit(paths: Paths, config: Config = None, as_json: AsJson = False) -> None:
    """Compare what gateways and SDKs claimed with the list price of the same calls."""
    from attribution.pricing import audit_claims

    with opened(paths, config) as (ledger, _):
        rows = audit_claims(ledger)
    if not as_json:
        rows = rows.drop(columns="service_tier").rename(columns=_SHORT)
    _print("prices audit", rows, as_json)
    if not as_json and not rows.empty:
        from attribution.cli import screen

        screen.say("zero: claimed $0.00 for a call that has a price. gap: claimed − list, over calls with both.")


def _print(command: str, rows: Any, as_json: bool, **more: Any) -> None:
    from attribution.cli import screen

    if as_json:
        screen.print_json({"command": command, **more, "rows": screen.records(rows)})
        return
    if rows.empty:
        screen.say("There is nothing to show.")
        return
    screen.table(list(rows.columns), [[row[name] for name in rows.columns] for row in showing.rows(rows)])
