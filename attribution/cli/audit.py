"""`attribution audit`: ten traces, seven questions, two shares, the dearest hops, and a page to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from attribution import showing
from attribution.cli.opening import AsJson, Config, Out, Paths, opened, require_calls, waiting

if TYPE_CHECKING:
    from attribution.audits import Audit
    from attribution.ledger import Ledger
    from attribution.loading import Loaded

DEFAULT_PAGE = "attribution-report.html"
_HOPS_SHOWN = 5
_REFUSED_SHOWN = 3
_STYLES = {"pass": "green", "fail": "red", "not provable": "yellow"}

Traces = Annotated[int, typer.Option("--traces", metavar="N", help="How many traces to draw.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed draws the same traces.")]
Trace = Annotated[str | None, typer.Option("--trace", metavar="ID", help="Examine this request or trace instead.")]


def register(app: typer.Typer) -> None:
    """Add `audit`."""
    app.command("audit")(run_audit)


def run_audit(
    paths: Paths,
    config: Config = None,
    traces: Traces = 10,
    seed: Seed = 0,
    trace: Trace = None,
    as_json: AsJson = False,
    html: Annotated[
        bool | None,
        typer.Option(
            "--html/--no-html", help=f"Write {DEFAULT_PAGE}; done unless --json is given.", show_default=False
        ),
    ] = None,
    out: Out = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit 1 unless six of the seven pass.")] = False,
) -> None:
    """Answer the seven questions: who owns each dollar, and where ownership breaks."""
    from attribution.audits import audit
    from attribution.building import summarize_quality
    from attribution.cli import screen

    with opened(paths, config) as (ledger, loaded):
        require_calls(ledger)
        with waiting("Auditing"):
            answer = audit(ledger, traces, seed=seed, trace=trace)
            quality = "" if as_json else summarize_quality(ledger)
        page = out or DEFAULT_PAGE
        is_written = bool(html or out or (html is None and not as_json))
        if is_written:
            write_page(ledger, answer, loaded, paths, config, page)
    if as_json:
        screen.print_json({"command": "audit", **answer.to_dict(), "files": _files(loaded)})
    else:
        print_loaded(loaded)
        if quality:
            screen.say(quality)
        print_audit(answer)
    if is_written:
        typer.echo(f"\nReport: {page}", err=as_json)
    if fail and not answer.is_ready:
        raise typer.Exit(1)


def write_page(
    ledger: Ledger,
    answer: Audit,
    loaded: Loaded,
    paths: list[str],
    config: str | None,
    out: str,
    period: str | None = None,
    rules: str | None = None,
) -> None:
    """Write the report."""
    from attribution import reports

    with waiting("Drawing the report"):
        page = reports.render(ledger, answer, loaded=loaded, paths=paths, config=config, period=period, rules=rules)
    reports.write(page, out)


def print_loaded(loaded: Loaded) -> None:
    """Say what became of the files, and which were not loaded."""
    from attribution import building
    from attribution.cli import screen
    from attribution.loading import Loaded

    screen.say(building.summarize(Loaded(loaded.files, set_aside=loaded.set_aside)))
    for _, why in loaded.refused[:_REFUSED_SHOWN]:
        screen.say(f"Not loaded: {why}", indent=2)
    if len(loaded.refused) > _REFUSED_SHOWN:
        more = len(loaded.refused) - _REFUSED_SHOWN
        screen.say(f"Not loaded: {showing.count(more, 'more file')}; --json names each with the reason.", indent=2)


def print_audit(answer: Audit) -> None:
    """Print an audit: the answer first, then the evidence for it."""
    from attribution.cli import screen

    ready = "Ready for chargeback." if answer.is_ready else "Not ready for chargeback, which takes six passes."
    screen.say()
    screen.say(answer.billed)
    screen.say(answer.headline, style="bold")
    screen.say(f"{answer.score}. {ready}", style="bold")
    _print_worst(answer)
    _print_verdicts(answer)
    _print_ladder(answer)
    _print_hops(answer)
    _print_target(answer)
    _print_patterns(answer)


def _print_worst(answer: Audit) -> None:
    from attribution.cli import screen

    for row in showing.rows(answer.hops.head(1)):
        screen.say(f"Dearest broken hop: {showing.hop(row)}, {showing.cost_below(row)}. {row['remedy']}")


def _print_verdicts(answer: Audit) -> None:
    from attribution.cli import screen

    screen.say()
    for row in showing.rows(answer.verdicts):
        screen.say(f"{row['number']}. {row['verdict'].upper()}  {row['question']}", style=_STYLES[row["verdict"]])
        screen.say(f"{row['figure']}.", indent=4)
        if row["verdict"] != "pass":
            screen.say(f"{row['evidence']}.", indent=4)
        if not showing.is_missing(row["needs"]):
            screen.say(f"To decide it, load {row['needs']}.", indent=4)
    screen.say()
    screen.say(answer.bound)
    screen.say()


def _print_ladder(answer: Audit) -> None:
    from attribution.cli import screen
    from attribution.schema import EVIDENCE

    row = showing.rows(answer.shares)[0]
    parts = [f"{rung.replace('_', ' ')} {showing.dollars(row[rung])}" for rung in EVIDENCE if row[rung]]
    screen.say(f"Owner by evidence: {', '.join(parts) or 'no dollars'}.")
    screen.say(
        f"Not declared at the call: {showing.dollars(row['not_declared'])} "
        f"({showing.band(row['not_declared_low'], row['not_declared_high'])}). "
        f"Unowned after recovery: {showing.dollars(row['unowned'])} "
        f"({showing.band(row['unowned_low'], row['unowned_high'])}). The target is 2 % for both."
    )
    if row["unpriced_calls"]:
        screen.say(f"{showing.count(row['unpriced_calls'], 'call')} without a price or usage: unknown, never $0.")
    screen.say()


def _print_hops(answer: Audit) -> None:
    from attribution.cli import screen

    hops = showing.rows(answer.hops)
    if not hops:
        screen.say("No hop loses an ownership field.")
        return
    screen.say("Where ownership breaks, dearest first", style="bold")
    for row in hops[:_HOPS_SHOWN]:
        doubt = "" if row["is_provable"] else " (likely: the data suggest it and do not prove it)"
        screen.say(
            f"{showing.dollars(row['list_cost'])} in {showing.count(row['calls'], 'call')}: {showing.hop(row)} loses "
            f"{row['fields']}. {row['signature']}: {row['title']}{doubt}.",
            indent=2,
        )
        screen.say(f"Remedy: {row['remedy']}", indent=6)
    if len(hops) > _HOPS_SHOWN:
        rest = sum(row["list_cost"] for row in hops[_HOPS_SHOWN:])
        more = showing.count(len(hops) - _HOPS_SHOWN, "more hop")
        screen.say(f"{more} with {showing.dollars(rest)}: see attribution hops.", indent=2)
    screen.say()


def _print_target(answer: Audit) -> None:
    from attribution.cli import screen

    steps = showing.rows(answer.target)
    if steps:
        screen.say("To bring what is not declared to 2 %, mend in this order", style="bold")
        screen.table(
            ("hop", "not declared", "left", "share left"),
            [
                (showing.hop(row), row["not_declared"], row["remaining"], showing.share(row["remaining_share"]))
                for row in steps
            ],
        )
        screen.say()


def _print_patterns(answer: Audit) -> None:
    from attribution.cli import screen

    rows = showing.rows(answer.patterns)
    screen.say("What each way of attributing would have done on this data", style="bold")
    screen.table(
        ("pattern", "right", "wrong", "not at all", "cannot be judged", "shown here"),
        [
            (
                row["pattern"],
                row["right"],
                row["wrong"],
                row["not_at_all"],
                row["cannot_be_judged"],
                bool(row["is_shown"]),
            )
            for row in rows
        ],
    )


def _files(loaded: Loaded) -> dict[str, object]:
    from attribution.cli import screen

    return {
        "loaded": screen.records(loaded.frame()),
        "not_loaded": [{"path": path, "why": why} for path, why in loaded.refused],
    }
