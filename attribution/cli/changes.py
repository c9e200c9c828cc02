"""`attribution explain-change`, `anomalies`, `forecast` and `what-changed`: what moved, why, and where it will end."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attribution.cli.opening import AsJson, Config, Out, Paths, WriteHtml, opened
from attribution.errors import QuestionError

if TYPE_CHECKING:
    import pandas as pd

    from attribution.anomalies import Anomalies
    from attribution.explanations import Explanation

Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only calls with this value; empty for none. Repeatable."),
]
By = Annotated[
    list[str] | None, typer.Option("--by", metavar="COLUMN", help="A column of cost_event, coarsest first. Repeatable.")
]


def register(app: typer.Typer) -> None:
    """Add the four commands."""
    app.command("explain-change")(show_change)
    app.command("anomalies")(show_anomalies)
    app.command("forecast")(show_forecast)
    app.command("what-changed")(show_incident)


def show_change(
    paths: Paths,
    before: Annotated[
        str, typer.Option("--before", help='2026-10-05, 2026-W41, 2026-10, a range a..b, or "same weekdays before".')
    ],
    after: Annotated[str, typer.Option("--after", help="The later period, written alike.")],
    where: Where = None,
    drill: Annotated[
        list[str] | None,
        typer.Option("--drill", metavar="COLUMN", help="Also by this column of the leaves. Repeatable."),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="shapley, pvm or lmdi.")] = "shapley",
    cost: Annotated[str, typer.Option("--cost", help="contracted_cost, list_cost, billed_cost.")] = "contracted_cost",
    currency: Annotated[str, typer.Option("--currency", help="At the configuration's rate of each day.")] = "USD",
    leaf: Annotated[
        list[str] | None,
        typer.Option("--leaf", metavar="COLUMN", help="A column that makes a segment, too. Repeatable."),
    ] = None,
    history: Annotated[int, typer.Option("--history", metavar="N", help="Earlier pairs that tell what is usual.")] = 0,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Say why cost changed between two periods: an exact sum of drivers."""
    from attribution.cli import screen
    from attribution.explanations import explain_change

    with opened(paths, config) as (ledger, _):
        answer = explain_change(
            ledger,
            before,
            after,
            read_where(where),
            leaf,
            method=method,
            cost=cost,
            currency=currency,
            history=history,
        )
    deeper = answer.drill_down(*drill) if drill else None
    _page(lambda: _change_page(answer), "Why did cost change?", out or ("attribution-change.html" if html else None))
    if as_json:
        more = {} if deeper is None else {"drill_down": screen.records(deeper)}
        screen.print_json({"command": "explain-change", **answer.to_dict(), **more})
        return
    screen.say(answer.headline, style="bold")
    shown = answer.drivers[answer.drivers["effect"] != 0]
    screen.table(
        ("family", "driver", f"effect {currency}", "mostly in"), _rows(shown, "family", "driver", "effect", "mostly_in")
    )
    if deeper is not None:
        names = (*(drill or ()), "cost_before", "cost_after", "change")
        screen.table([name.replace("_", " ") for name in names], _rows(deeper, *names))
    screen.say(answer.footnote)


def show_anomalies(
    paths: Paths,
    by: By = None,
    period: Annotated[str | None, typer.Option("--period", help="Only events that touch this period.")] = None,
    floor: Annotated[
        str | None, typer.Option("--floor", metavar="USD", help="Least daily amount worth an alarm.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 when there is an alert.")] = False,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Find unusual days and sustained rises, at the slice that caused them."""
    from attribution.anomalies import find_anomalies
    from attribution.cli import screen

    with opened(paths, config) as (ledger, _):
        answer = find_anomalies(ledger, *(by or ()), period=period, floor=floor)
    _page(lambda: _anomaly_page(answer), "Unusual spend", out or ("attribution-anomalies.html" if html else None))
    if as_json:
        events = [
            row | {"decomposition": explained.to_dict() if explained else None}
            for row, explained in zip(screen.records(answer.events), answer.explanations, strict=True)
        ]
        screen.print_json({"command": "anomalies", "by": list(answer.by), "events": events})
    elif answer.events.empty:
        screen.say("No unusual day and no sustained rise in the complete days of this data.")
    else:
        listed = answer.listed()
        names = [str(name) for name in listed.columns]
        screen.table([name.replace("_", " ") for name in names], _rows(listed, *names))
        for place, row in enumerate(answer.events.to_dict("records"), 1):
            if isinstance(row["why"], str):
                screen.say(
                    f"{place}. {row['why']}" + (f" Cause: {row['cause']}." if isinstance(row["cause"], str) else "")
                )
    if fail and answer.events["is_alert"].any():
        raise typer.Exit(1)


def show_forecast(
    paths: Paths,
    by: By = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="USD", help="For the month; by team the registry's when absent.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DAY", help="The last day to use.")] = None,
    fail_above: Annotated[
        str | None,
        typer.Option("--fail-above", metavar="CHANCE", help="Exit with 1 when over budget is likelier: 50%."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Forecast what the month will cost in the end, and the chance to exceed the budget."""
    import pandas as pd

    from attribution import showing
    from attribution.cli import screen
    from attribution.cli.check import parse_share
    from attribution.forecasts import forecast_month

    limit = None if fail_above is None else parse_share(fail_above)
    with opened(paths, config) as (ledger, _):
        rows = forecast_month(ledger, *(by or ()), budget=budget, as_of=as_of)
    _page(
        lambda: showing.show(rows, top=len(rows))._repr_html_(),
        "Month-end forecast",
        out or ("attribution-forecast.html" if html else None),
    )
    if as_json:
        screen.print_json({"command": "forecast", "by": by or [], "rows": screen.records(rows)})
    else:
        names = (*(by or ()), "month_to_date", "forecast", "low_80", "high_80", "budget", "chance_over", "exhausted_on")
        chances = [None if showing.is_missing(one) else showing.share(one) for one in rows["chance_over"]]
        shown = rows.assign(chance_over=pd.Series(chances, dtype=object))
        screen.table([name.replace("_", " ") for name in names], _rows(shown, *names))
        screen.say(
            f"{rows['month'].iloc[0]}, from days up to {rows['as_of'].iloc[0]}; low and high hold 80 % of past misses."
        )
    if limit is not None and (rows["chance_over"].fillna(0) > float(limit)).any():
        raise typer.Exit(1)


def show_incident(
    paths: Paths,
    last: Annotated[str, typer.Option("--last", help="How far back: 24h, 7d, 2w.")] = "24h",
    events: Annotated[
        str | None, typer.Option("--events", metavar="FILE", help="Markers: a CSV with columns at, kind, text.")
    ] = None,
    where: Where = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="The end, UTC; the data's last whole hour if absent.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
    html: WriteHtml = False,
    out: Out = None,
) -> None:
    """Say what changed in the last hours, first whether everything has arrived."""
    from attribution.cli import screen
    from attribution.incidents import what_changed

    with opened(paths, config) as (ledger, _):
        answer = what_changed(ledger, last, events, where=read_where(where), as_of=_moment(as_of))
    _page(answer._repr_html_, "What changed?", out or ("attribution-what-changed.html" if html else None))
    if as_json:
        screen.print_json({"command": "what-changed", **answer.to_dict()})
        return
    screen.say(answer.headline, style="bold")
    screen.table(("source", "last call", "status"), _rows(answer.sources, "source", "last_at", "status"))
    if len(answer.carriers):
        screen.table(("carrier", "member", "change USD"), _rows(answer.carriers, "carrier", "member", "change"))
    for row in answer.markers.to_dict("records"):
        screen.say(f"{row['at']:%Y-%m-%d %H:%M} {row['kind']}: {row['text']}")
    screen.say(f"{answer.window} UTC, compared with {answer.compared_with}.")


def read_where(given: list[str] | None) -> dict[str, Any]:
    """Read `column=value` pairs; the same column again adds a value, and an empty value stands for none."""
    where: dict[str, list[str | None]] = {}
    for pair in given or ():
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name:
            raise QuestionError.bad_argument("--where", pair, "COLUMN=VALUE, such as owner_team=support")
        where.setdefault(name, []).append(value or None)
    return {name: values[0] if len(values) == 1 else values for name, values in where.items()}


def _rows(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in frame.to_dict("records")]


def _moment(given: str | None) -> datetime | None:
    """Read a time; one without an offset is UTC."""
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given.strip())
    except ValueError:
        raise QuestionError.bad_argument("--as-of", given, "a time such as 2026-10-05T14:00Z") from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _change_page(answer: Explanation) -> str:
    from attribution import charts

    title = f"From {answer.before} to {answer.after} [{answer.currency}]"
    return answer._repr_html_() + charts.to_svg(charts.waterfall(answer.waterfall("driver"), title=title))


def _anomaly_page(answer: Anomalies) -> str:
    """Return the list of events, then each explained one with its days and its drivers."""
    from attribution import charts

    parts = [answer._repr_html_()]
    for number, explained in enumerate(answer.explanations, 1):
        if explained:
            days = answer.series_of(number)
            parts += [charts.to_svg(charts.spend_band(days)), explained._repr_html_()]
    return "".join(parts)


def _page(body: Callable[[], str], title: str, target: str | None) -> None:
    if target is None:
        return
    from attribution import reports

    reports.write(reports.render_answer(body(), title), target)
    typer.echo(f"Page: {shlex.quote(target)}", err=True)
