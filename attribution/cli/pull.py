"""`attribution pull`: usage and cost pages from a provider's admin API, or a LiteLLM database, as files."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

LITELLM = "litellm"


def register(app: typer.Typer) -> None:
    """Add `pull`."""
    app.command("pull")(pull_pages)


def pull_pages(
    provider: Annotated[str, typer.Argument(metavar="openai|anthropic|litellm", help="Whom to ask.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the pages; made when missing.")],
    first: Annotated[datetime, typer.Option("--from", metavar="DATE", formats=["%Y-%m-%d"], help="First day, UTC.")],
    last: Annotated[
        datetime, typer.Option("--to", metavar="DATE", formats=["%Y-%m-%d"], help="Last day, UTC, included.")
    ],
    dsn: Annotated[
        str | None,
        typer.Option("--dsn", metavar="DSN", envvar="LITELLM_DSN", help="Address of a LiteLLM PostgreSQL database."),
    ] = None,
    trailing: Annotated[
        int,
        typer.Option("--trailing", metavar="DAYS", min=0, help="Recent days that are asked for again."),
    ] = 3,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Another address: https, or this machine."),
    ] = None,
) -> None:
    """Write raw usage and cost pages into a folder, to be loaded like any file.

    The admin key comes from OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY. An interrupted pull goes on where it stopped.
    """
    from attribution.cli import screen
    from attribution.errors import PullError, QuestionError
    from attribution.pulling.database import now

    start, end = first.date(), last.date() + timedelta(days=1)
    if end <= start:
        raise QuestionError.bad_argument("to", str(last.date()), f"{start} or later")
    if provider == LITELLM:
        if dsn is None:
            raise PullError.no_address("LITELLM_DSN")
        _pull_database(dsn, start, end, out)
    else:
        written = _pull_api(provider, start, end, out, now(), trailing, base_url)
        screen.say(f"{len(written):,} pages of {provider} in {out}.")
    screen.say(f"Try: attribution audit {out}")


def _pull_database(dsn: str, start: date, end: date, out: Path) -> None:
    from attribution.cli import screen
    from attribution.pulling.database import now, pull_spend_logs

    path, rows = pull_spend_logs(dsn, start, end, out, pulled_at=now())
    screen.say(f"{rows:,} spend logs in {path}.")


def _pull_api(
    provider: str, start: date, end: date, out: Path, pulled_at: datetime, trailing: int, base_url: str | None
) -> list[Path]:
    from rich.progress import BarColumn, Progress, TextColumn

    from attribution.cli import screen
    from attribution.errors import PullError
    from attribution.pulling import providers, pull

    found = providers.named(provider)
    key = os.environ.get(found.key_variable)
    if not key:
        raise PullError.no_key(found.key_variable, found.key_kind)
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), console=screen.console()
    )
    with bars:
        tasks = {e.name: bars.add_task(e.name, total=(end - start).days) for e in found.endpoints}
        return pull(
            provider,
            start,
            end,
            out,
            key=key,
            pulled_at=pulled_at,
            base_url=base_url,
            trailing_days=trailing,
            report=lambda name, days: bars.advance(tasks[name], days),
        )
