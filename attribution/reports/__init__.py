"""The report: one self-contained HTML page of an audit. No script, no network, printable, the same bytes every time."""

from __future__ import annotations

import base64
import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from attribution import charts, coverages, fanouts, rollups, showing
from attribution.exports import files
from attribution.flows import hop_flows as flows_of
from attribution.ledger import Ledger
from attribution.reports.sections import gather, levels
from attribution.schema import EVIDENCE

if TYPE_CHECKING:
    from markupsafe import Markup

    from attribution.audits import Audit
    from attribution.loading import Loaded
    from attribution.packs import EvidencePack
    from attribution.reconciliation import Reconciliation

#: What each rung of the ladder means, in the words of the report.
RUNGS = {
    "declared": "the call itself says it",
    "matched": "another record of the same call says it",
    "exclusive_key": "the registry gives the call's key or project to one team",
    "inherited": "a span above the call says it",
    "linked": "a span that the call's path points to says it",
    "trace": "all other owned calls of the request agree",
    "rule": "a written rule gives it; counts as unowned, shown beside",
    "none": "nothing says it",
}
_MAX_TREES = 2
_MAX_DAYS, _MAX_WEEKS = 31, 60
_MAX_ROWS, _MAX_HOPS = 50, 12
#: What is shown of the cells that do not tie.
_WORST = ["provider", "bucket", "model", "meter", "calls", "ledger", "billed", "gap", "status"]
#: Pixels per point: sharp on a good screen and on paper.
_SHARPNESS = 2


def render(
    ledger: Ledger,
    answer: Audit,
    *,
    loaded: Loaded | None = None,
    paths: Sequence[str] = (),
    config: str | None = None,
    period: str | None = None,
    rules: str | None = None,
) -> str:
    """Return the HTML page of an audit, with the statements, the bill, the changes and the data's quality beside it.

    Parameters
    ----------
    ledger
        The ledger that was audited.
    answer
        What `audit` said.
    loaded
        What became of the files, so that the page can name those that were not loaded.
    paths, config
        As they were given, to say how to reproduce the page.
    period
        The month of the statements, the bill and the changes; the last one in the data when not given.
    rules
        The chargeback rules file of the statements; none shares nothing.

    Returns
    -------
    str
        One HTML document; the same ledger and audit give the same text.
    """
    trend = levels(ledger)
    page: str = _template("report.html.j2").render(
        audit=answer,
        shares=showing.rows(answer.shares)[0],
        verdicts=showing.rows(answer.verdicts),
        hops=showing.rows(answer.hops),
        target=showing.rows(answer.target),
        patterns=showing.rows(answer.patterns),
        traces=showing.rows(answer.traces),
        rungs=[(rung, RUNGS[rung]) for rung in EVIDENCE],
        trend=trend,
        pictures=_pictures(ledger, answer, trend["changes"]),
        trees=_trees(ledger, answer),
        sections=gather(ledger, period, _picture, rules),
        files=ledger.arrow(_FILES).to_pylist(),
        quarantine=ledger.arrow(_QUARANTINE).to_pylist(),
        refused=list(loaded.refused) if loaded else [],
        unpriced=ledger.arrow(_UNPRICED).to_pylist(),
        book=_price_book(ledger),
        command=_command("report", paths, config, answer.population)
        + (f" --period {period}" if period else "")
        + (f" --rules {shlex.quote(rules)}" if rules else ""),
        version=_version(),
        max_rows=_MAX_ROWS,
        max_hops=_MAX_HOPS,
    )
    return page


def render_coverage(rows: pd.DataFrame, by: Sequence[str], *, paths: Sequence[str] = ()) -> str:
    """Return an HTML page of `measure_coverage`: the picture where it is over time, and the table."""
    calendar = len(by) == 1 and by[0] in ("day", "week", "month") and not rows.empty
    page: str = _template("coverage.html.j2").render(
        rows=showing.rows(rows),
        by=list(by),
        picture=_picture(charts.unattributed(rows, by[0]), "Unattributed share over time") if calendar else None,
        command=_command("coverage", paths, None, {}) + "".join(f" --by {shlex.quote(name)}" for name in by),
        version=_version(),
    )
    return page


def render_answer(answer: str, title: str) -> str:
    """Return an HTML page around an answer's own escaped HTML."""
    from markupsafe import Markup

    page: str = _template("answer.html.j2").render(answer=Markup(answer), title=title, version=_version())
    return page


def render_reconciliation(answer: Reconciliation) -> str:
    """Return the HTML page of a reconciliation: the bridge as a waterfall, gaps by day, statuses, missing evidence."""
    steps = answer.bridge[(answer.bridge["amount"] != 0) | (answer.bridge["kind"] == "total")]
    pictures = [_picture(charts.waterfall(steps), "From our calls to the bill")]
    days = answer.days.groupby("day", as_index=False)[["ours", "billed", "gap"]].sum()
    if len(days):
        pictures.append(_picture(charts.gap_calendar(days), "Gap by day"))
    drawn = "".join(str(picture) for picture in pictures)
    worst = showing.show(answer.cells[answer.cells["status"] != "ties"][_WORST])._repr_html_()
    return render_answer(
        f"{answer._repr_html_()}{drawn}<h2>Largest gaps</h2>{worst}<p>Ours is {answer.basis}.</p>",
        f"Reconciliation of {answer.period}",
    )


def render_pack(
    pack: EvidencePack, *, paths: Sequence[str] = (), config: str | None = None, options: Sequence[str] = ()
) -> str:
    """Return the HTML page of an evidence pack: the charges, and under each its tree, records, owners, prices, sums.

    Parameters
    ----------
    pack
        What `evidence_pack` put together.
    paths, config, options
        As they were given, to say how to reproduce the page.

    Returns
    -------
    str
        One HTML document without script or network.
    """
    page: str = _template("evidence.html.j2").render(
        pack=pack,
        charges=showing.rows(pack.charges),
        nodes=_by_rank(pack.nodes),
        calls=_by_rank(pack.calls.assign(places=[place.split("; ") for place in pack.calls["place"].fillna("")])),
        rungs=RUNGS,
        pools={rank: _with_others(row) for rank, (row,) in _by_rank(pack.pools).items()},
        pool_calls=_by_rank(pack.pool_calls),
        command=shlex.join(["attribution", "evidence", *paths, *(["--config", config] if config else []), *options]),
        version=_version(),
    )
    return page


def _by_rank(frame: pd.DataFrame) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in showing.rows(frame):
        found[row["rank"]].append(row)
    return found


def _with_others(pool: dict[str, Any]) -> dict[str, Any]:
    """Say what the other teams weigh together, and no more of them."""
    if showing.is_missing(pool["weight"]):
        return pool | {"weight_of_others": "unknown: pools serve each other"}
    return pool | {"weight_of_others": f"{(pool['weight_of_all'] - pool['weight']).normalize():f}"}


def write(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page whole or not at all."""
    files.write_text(page, path)


def _pictures(ledger: Ledger, answer: Audit, changes: pd.DataFrame | None) -> dict[str, Markup]:
    """Draw what there is to draw; a picture without rows is left out."""
    drawn = {"ladder": _picture(charts.evidence_ladder(answer.shares), "Owner by evidence")}
    if not answer.hops.empty:
        drawn["hops"] = _picture(charts.hop_costs(answer.hops), "Where ownership breaks")
    fields = fanouts.field_coverage(ledger)
    if not fields.empty:
        drawn["fields"] = _picture(charts.coverage_by_hop(fields), "Ownership coverage by hop")
    by = _calendar(ledger)
    over_time = coverages.measure_coverage(ledger, by)
    if len(over_time) > 1:
        drawn["time"] = _picture(charts.unattributed(over_time, by, changes), "Unattributed share over time")
        spent = rollups.roll_up(ledger, by, "owner_team")
        drawn["spent"] = _picture(charts.spend_over_time(spent, by), "Spend by team over time")
    flows = flows_of(ledger)
    if not flows.empty:
        drawn["flows"] = _picture(charts.hop_ribbons(flows), "Where ownership is lost between services")
    teams = rollups.roll_up(ledger, "owner_team")
    drawn["teams"] = _picture(charts.spend(teams), "Spend by team")
    drawn["patterns"] = _picture(charts.patterns(answer.patterns), "What each way of attributing would have done")
    return drawn


def _calendar(ledger: Ledger) -> str:
    days, weeks = ledger.rows(
        "select count(distinct started_at::date), count(distinct date_trunc('week', started_at)) from cost_event"
    )[0]
    return "day" if days <= _MAX_DAYS else "week" if weeks <= _MAX_WEEKS else "month"


def _trees(ledger: Ledger, answer: Audit) -> list[Markup]:
    """Draw the dearest examined requests that fail a question, as trees."""
    failing = [row for row in showing.rows(answer.traces) if any(row[f"q{number}"] == "fail" for number in range(1, 7))]
    failing.sort(key=lambda row: (-(row["list_cost"] or 0), row["request_id"]))
    trees = (fanouts.fan_out(ledger, row["request_id"]) for row in failing)
    told = (nodes for nodes in trees if len(nodes) > 2)
    return [_picture(charts.fan_out(nodes), "One request") for _, nodes in zip(range(_MAX_TREES), told, strict=False)]


def _picture(chart: Any, title: str) -> Markup:
    """Embed a chart as a PNG: it looks the same whatever fonts there are, and cannot run or load anything."""
    from markupsafe import Markup

    picture = charts.to_png(chart, _SHARPNESS)
    width = int.from_bytes(picture[16:20], "big") // _SHARPNESS
    content = base64.b64encode(picture).decode()
    return Markup('<img class="chart" width="{}" alt="{}" src="data:image/png;base64,{}">').format(
        width, title, content
    )


def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("attribution", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    filters = {
        "dollars": showing.dollars,
        "share": showing.share,
        "moment": showing.moment,
        "hop": showing.hop,
        "cost_below": showing.cost_below,
    }
    environment.filters |= filters | {"band": lambda ends: showing.band(*ends)}
    environment.tests["missing"] = showing.is_missing
    return environment.get_template(name)


def _shown(value: Any) -> Any:
    """Make hidden characters visible in all text that is not markup of our own, and nothing a dash."""
    if hasattr(value, "__html__"):
        return value
    if showing.is_missing(value):
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return showing.visible(value) if isinstance(value, str) else value


def _price_book(ledger: Ledger) -> dict[str, Any]:
    if "rate_book" not in ledger.tables():
        return {}
    rows = ledger.arrow("select fingerprint, as_of from rate_book").to_pylist()
    return dict(rows[0]) if rows else {}


def _command(verb: str, paths: Sequence[str], config: str | None, population: dict[str, Any]) -> str:
    parts = ["attribution", verb, *paths]
    parts += ["--config", config] if config else []
    parts += [f"--traces={population['n']}", f"--seed={population['seed']}"] if population else []
    return shlex.join(parts)


def _version() -> str:
    from attribution import __version__

    return __version__


_FILES = """
    select path, source, records, accepted, context, duplicates, superseded, conflicting, quarantined, is_complete,
        first_at, last_at, sha256
    from source_file order by path, file_id
"""
_QUARANTINE = """
    select path, line, field, reason, expected, found from quarantine
    order by path, line, record, field, reason, expected, found
"""
_UNPRICED = """
    select provider, model, price_status, price_reason, count(*) as calls,
        cast(sum(input_tokens) as bigint) as input_tokens, cast(sum(output_tokens) as bigint) as output_tokens
    from cost_event
    where price_status in ('unpriced', 'partial') or (price_status = 'unmetered' and status <> 'error')
    group by all order by calls desc, provider, model, price_status, price_reason
"""
