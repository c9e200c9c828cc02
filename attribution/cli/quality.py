"""`attribution quality` and `expectations`: data against its suites, for people, scripts and nightly jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Out, Paths, WriteHtml, opened
from attribution.errors import QuestionError

if TYPE_CHECKING:
    from attribution.expectations import Quality

DEFAULT_PAGE = "attribution-quality.html"
_LIMITS = ("critical", "warning", "info")


def register(app: typer.Typer) -> None:
    """Add `quality` and `expectations`."""
    app.command("quality")(quality)
    expectations = typer.Typer(
        help="Build and list the suites that come with the package.", no_args_is_help=True, rich_markup_mode=None
    )
    expectations.command("build")(build)
    expectations.command("list")(list_suites)
    app.add_typer(expectations, name="expectations")


def quality(
    paths: Paths,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="NAME|FILE", help="A shipped suite or a file of yours; may be repeated."),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="duckdb, or great_expectations for samples.")
    ] = "duckdb",
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", metavar="SEVERITY", help="Exit 1 if a rule this bad or worse is broken."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Check every data set against its suite of expectations: what is broken, how many rows and dollars, and where.

    Exit 0; with --fail-on 1 if a rule that bad is broken; 2 if it could not run.
    """
    from attribution.cli import screen
    from attribution.expectations import validate

    if fail_on is not None and fail_on not in _LIMITS:
        raise QuestionError.bad_argument("--fail-on", fail_on, f"one of {', '.join(_LIMITS)}")
    with opened(paths, config) as (ledger, loaded):
        answer = validate(ledger, suite or None, engine=engine)
        if html or out:
            from attribution import reports

            target = out or DEFAULT_PAGE
            reports.write(reports.render_answer(answer._repr_html_(), "Data quality"), target)
            typer.echo(f"Page: {target}", err=True)
    is_too_bad = fail_on is not None and answer.breaks(fail_on)
    if as_json:
        screen.print_json(_answer(answer, is_too_bad))
    else:
        _print(answer)
    for _, why in loaded.refused:
        typer.echo(f"attribution: not loaded: {showing.visible(why)}", err=True)
    if is_too_bad:
        raise typer.Exit(1)


def _answer(answer: Quality, is_too_bad: bool) -> dict[str, Any]:
    from attribution.cli import screen

    return {
        "command": "quality",
        "passed": not is_too_bad,
        "headline": answer.headline,
        "engine": answer.engine,
        "without_rows": list(answer.skipped),
        "rules": [row | {"examples": list(row["examples"] or ())} for row in screen.records(answer.frame)],
    }


def _print(answer: Quality) -> None:
    from attribution.cli import screen
    from attribution.expectations.quality import tell

    screen.say(answer.headline)
    for row in showing.rows(answer.broken):
        if row["severity"] == "info":
            continue
        screen.say(f"{row['severity']} {row['suite']} {row['rule']}: {tell(row)}", indent=2)
        for example in row["examples"]:
            screen.say(str(example), style="dim", indent=6)
    notes = int((answer.broken["severity"] == "info").sum())
    if notes:
        screen.say(f"and {showing.count(notes, 'rule')} of severity info: --json has them, with every other.", indent=2)


def build(
    folder: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where to write; the suites' own folder by default.")
    ] = None,
) -> None:
    """Write the suites that follow from the tables anew; suites written by hand are never touched."""
    from pathlib import Path

    from attribution.expectations import generating, shipped

    target = Path(folder) if folder else shipped.folder() / "generated"
    written = generating.write(target)
    typer.echo(f"{len(written)} of {len(generating.generate())} suites changed in {target.name}")
    for path in written:
        typer.echo(f"  {path.name}")


def list_suites(as_json: AsJson = False) -> None:
    """List the suites that come with the package, and the rule types that suites of yours may use."""
    from attribution.cli import screen
    from attribution.expectations import shipped
    from attribution.expectations.rule_types import SUPPORTED

    rows = []
    for name in shipped.names():
        suites = shipped.read_shipped(name)
        about = next((str(suite.meta["about"]) for suite in suites if "about" in suite.meta), "")
        rows.append((name, sum(len(suite.rules) for suite in suites), about))
    if as_json:
        keys = ("suite", "rules", "about")
        suites_told = [dict(zip(keys, row, strict=True)) for row in rows]
        screen.print_json({"command": "expectations list", "suites": suites_told, "rule_types": list(SUPPORTED)})
        return
    screen.table(("suite", "rules", "about"), rows)
    screen.say(f"Rule types that suites of yours may use: {', '.join(SUPPORTED)}.")
