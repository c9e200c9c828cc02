"""The audit: ten traces, seven questions, each with a verdict, a figure and its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.audits import bounds, patterns, questions, sampling
from attribution.audits.billed import say_billed
from attribution.audits.targets import reach_target
from attribution.coverages import TARGET, measure_coverage
from attribution.errors import QuestionError
from attribution.hops import broken_hops
from attribution.ledger import Ledger, as_frame
from attribution.sampling import recognise_sampling
from attribution.showing import band, count, dollars, visible
from attribution.showing import rows as rows_of

#: Six passes mean ready for chargeback.
PASSES_NEEDED = 6
_SHOWN = ("number", "question", "verdict", "figure", "evidence")


@dataclass(frozen=True)
class Audit:
    """What an audit found; every frame is small and in stable order.

    Attributes
    ----------
    verdicts
        `number`, `question`, `verdict` (pass, fail, not provable), `figure`, `evidence`, `needs`.
    traces
        The requests examined: `request_id`, `stratum` (certainty, drawn, search), `list_cost` [USD], `calls` and the
        answers `q1` … `q6`.
    shares
        One row of `measure_coverage`: the two headline shares with their band.
    hops
        `broken_hops`, dearest first.
    target
        Which hops to mend until at most 2 % is not declared: `remaining` [USD] and `remaining_share` after each.
    patterns
        The five attribution patterns: `right`, `wrong`, `not_at_all`, `cannot_be_judged` [USD], `is_shown`.
    """

    verdicts: pd.DataFrame
    traces: pd.DataFrame
    shares: pd.DataFrame
    hops: pd.DataFrame
    target: pd.DataFrame
    patterns: pd.DataFrame
    score: str
    billed: str
    headline: str
    bound: str
    is_ready: bool
    population: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain values; amounts are text, so that nothing is rounded."""
        frames = ("verdicts", "traces", "shares", "hops", "target", "patterns")
        return {
            "score": self.score,
            "is_ready": self.is_ready,
            "billed": self.billed,
            "headline": self.headline,
            "bound": self.bound,
            "population": {k: _plain(v) for k, v in self.population.items()},
            **{
                name: [{k: _plain(v) for k, v in row.items()} for row in getattr(self, name).to_dict("records")]
                for name in frames
            },
        }

    def __repr__(self) -> str:
        return f"<Audit: {self.score}. {self.headline}>"

    def _repr_html_(self) -> str:
        left = '<td style="text-align:left">'
        rows = "".join(
            "<tr>" + "".join(f"{left}{escape(visible(row[name]))}</td>" for name in _SHOWN) + "</tr>"
            for row in rows_of(self.verdicts)
        )
        head = "<tr>" + "".join(f'<th style="text-align:left">{name}</th>' for name in _SHOWN) + "</tr>"
        # Two dollar signs are a formula to a notebook, unless the class says they are not.
        return (
            '<div class="tex2jax_ignore mathjax_ignore">'
            f"<p><b>{escape(self.score)}</b>. {escape(visible(self.headline))}</p><table>{head}{rows}</table>"
            f"<p>{escape(self.bound)}</p></div>"
        )


def audit(ledger: Ledger, n: int = 10, *, seed: int = 0, trace: str | None = None) -> Audit:
    """Ask the seven questions of n traces, and of all spend where the ledger can tell.

    Ten traces are a search for broken hops, not a measurement: the bound says what they prove. A question fails when
    an examined trace fails it or more than 2 % of all dollars do; it is not provable when the data cannot tell, and
    then names the export that would. The seventh is a census of all spend.

    Parameters
    ----------
    ledger
        A built ledger.
    n
        Traces to draw, with probability proportional to cost; a search stratum comes on top.
    seed
        The same seed draws the same traces; a larger n contains the smaller.
    trace
        Examine this request or trace instead.

    Returns
    -------
    Audit
        Verdicts, traces, shares, hops, patterns, and the score.

    Raises
    ------
    QuestionError
        If `n` is not positive or the trace is not in the ledger.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.audit(ledger).score
    '4 pass, 1 fail, 1 needs spans, 1 needs a gateway log'
    """
    if n < 1:
        raise QuestionError.bad_argument("n", n, "a whole number of at least 1")
    questions.examine(ledger)
    traces = _one_trace(ledger, trace) if trace is not None else sampling.draw(ledger, n, seed)
    shares, hops = measure_coverage(ledger), broken_hops(ledger)
    rows = traces.to_pylist()
    state = recognise_sampling(ledger)["state"].item()
    verdicts = [_judge(ledger, number, rows) for number in range(1, 7)] + [_unattributed(ledger, shares, state)]
    population = _population(ledger, rows, n, seed) | {"sampling": state}
    passes = sum(row["verdict"] == "pass" for row in verdicts)
    for name in ("examined", "request"):
        ledger.run(f"drop table {name}")
    return Audit(
        verdicts=pd.DataFrame(verdicts),
        traces=_named(traces),
        shares=shares,
        hops=hops,
        target=reach_target(ledger, TARGET),
        patterns=patterns.compare_patterns(ledger),
        score=_score(verdicts),
        billed=say_billed(ledger),
        headline=_headline(shares),
        bound=_bound(rows, population),
        is_ready=passes >= PASSES_NEEDED,
        population=population,
    )


def _one_trace(ledger: Ledger, trace: str) -> pa.Table:
    found = ledger.arrow(
        """
        select request_id, 'chosen' as stratum, cost as list_cost, calls, q1, q2, q3, q4, q5, q6, failing_cost
        from request where request_id = $trace
            or request_id in (select request_id from cost_event where trace_id = $trace) order by request_id
        """,
        {"trace": trace},
    )
    if found.num_rows == 0:
        known = [r[0] for r in ledger.rows("select request_id from request order by cost desc, request_id limit 3")]
        raise QuestionError.bad_argument("trace", trace, f"a trace or request of this ledger, such as {known}")
    return found


def _judge(ledger: Ledger, number: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Answer one question: by the examined traces, and by all dollars where they contradict a clean draw."""
    states = [row[f"q{number}"] for row in rows]
    all_calls, all_cost, bad_calls, bad_cost, open_calls = ledger.rows(
        f"""
        select count(*), coalesce(sum(cost), 0), count(*) filter (where state_{number} = 2),
            coalesce(sum(cost) filter (where state_{number} = 2), 0), count(*) filter (where state_{number} = 1)
        from examined
        """
    )[0]
    too_much = bad_cost > TARGET * all_cost
    if not states:
        verdict = "not provable"
    elif questions.FAIL in states or too_much:
        verdict = "fail"
    else:
        verdict = questions.STATES[max(states)]
    clean = sum(state == questions.PASS for state in states)
    figure = f"{clean} of {len(states)} traces; all calls: {all_calls - bad_calls - open_calls:,} of {all_calls:,}"
    if bad_cost:
        figure += f", failing {dollars(bad_cost)} of {dollars(all_cost)}"
    return {
        "number": number,
        "question": questions.QUESTIONS[number],
        "verdict": verdict,
        "figure": figure,
        "evidence": _evidence(ledger, number, verdict) if states else "no provider calls are loaded",
        "needs": questions.NEEDS[number] if verdict == "not provable" else None,
    }


def _evidence(ledger: Ledger, number: int, verdict: str) -> str:
    """Say why, dearest reason first, with one request to look at."""
    reasons = ledger.rows(
        f"""
        select why_{number}, count(*) as calls, min(request_id) as example from examined
        where state_{number} > 0 group by why_{number}
        order by max(state_{number}) desc, coalesce(sum(cost), 0) desc, calls desc, why_{number} limit 3
        """
    )
    if not reasons:
        return "every call"
    return "; ".join(f"{why} ({calls:,} call{'s' * (calls != 1)}, e.g. {example})" for why, calls, example in reasons)


def _unattributed(ledger: Ledger, shares: pd.DataFrame, sampling_state: str) -> dict[str, Any]:
    row = shares.to_dict("records")[0]
    low, high = row["unowned_low"], row["unowned_high"]
    needs = questions.NEEDS[7]
    is_sample_only = sampling_state == "sampled" and not ledger.value(
        "select count(*) from observation where role in ('gateway_log', 'provider_log')"
    )
    if is_sample_only:
        # Sampled spans are a part of the spend that nobody knows the size of.
        verdict, figure, needs = "not provable", "spans are a sample", "a gateway log or a bill"
    elif low is None or pd.isna(low):
        verdict, figure = "not provable", "no dollars to share"
    else:
        verdict = "pass" if high <= TARGET else "fail" if low > TARGET else "not provable"
        figure = f"{band(low, high)} unowned, {band(row['not_declared_low'], row['not_declared_high'])} not declared"
    evidence = f"{dollars(row['unowned'])} of {dollars(row['list_cost'])} list cost have no owner by evidence"
    if row["unpriced_calls"]:
        one = row["unpriced_calls"] == 1
        evidence += (
            f"; {row['unpriced_calls']:,} call{'' if one else 's'} without a price widen{'s' * one} it to a band"
        )
    return {
        "number": 7,
        "question": questions.QUESTIONS[7],
        "verdict": verdict,
        "figure": figure,
        "evidence": evidence,
        "needs": needs if verdict == "not provable" else None,
    }


def _score(verdicts: list[dict[str, Any]]) -> str:
    """Count passes, fails, and what each open question needs: "4 pass, 1 fail, 2 need spans"."""
    passes = sum(row["verdict"] == "pass" for row in verdicts)
    fails = sum(row["verdict"] == "fail" for row in verdicts)
    needs: dict[str, int] = {}
    for row in verdicts:
        if row["needs"]:
            needs[row["needs"]] = needs.get(row["needs"], 0) + 1
    parts = [f"{count} need{'s' if count == 1 else ''} {what}" for what, count in needs.items()]
    return ", ".join([f"{passes} pass", f"{fails} fail", *parts])


def _headline(shares: pd.DataFrame) -> str:
    row = shares.to_dict("records")[0]
    if row["calls"] == 0:
        return "No provider calls are loaded."
    if row["unowned_low"] is None or pd.isna(row["unowned_low"]):
        return f"{row['calls']:,} calls, none of which costs anything that a price is known for."
    if not row["list_cost"]:
        return (
            f"{count(row['calls'], 'call')}, none with a known price. Whatever they cost, "
            f"{band(row['not_declared_low'], row['not_declared_high'])} is not declared at the call and "
            f"{band(row['unowned_low'], row['unowned_high'])} stays unowned after recovery."
        )
    return (
        f"Of {dollars(row['list_cost'])} list cost, {dollars(row['not_declared'])} "
        f"({band(row['not_declared_low'], row['not_declared_high'])}) is not declared at the call and "
        f"{dollars(row['unowned'])} ({band(row['unowned_low'], row['unowned_high'])}) stays unowned after recovery."
    )


def _bound(rows: list[dict[str, Any]], population: dict[str, Any]) -> str:
    drawn = [row for row in rows if row["stratum"] == "drawn"]
    certain = [row for row in rows if row["stratum"] == "certainty"]
    examined = len(drawn) + len(certain)
    if len(rows) == population["requests"]:
        what = "The only request was" if len(rows) == 1 else f"All {len(rows)} requests were"
        return f"{what} examined, so the verdicts are exact for this data."
    if not examined:
        return "No request has a known cost, so none was drawn by cost and nothing is proven about the rest."
    if not drawn:
        return f"{examined} requests are so dear that each was sure to be examined; nothing is proven about the rest."
    failing = sum(max(row[f"q{q}"] for q in range(1, 7)) == questions.FAIL for row in drawn)
    limit = bounds.upper_limit(failing, len(drawn))
    return (
        f"{len(drawn)} traces drawn, {failing} of them failing: with 95 % confidence less than {limit * 100:.1f} % "
        f"of all dollars fail. To prove less than 2 % takes {bounds.traces_needed(0.02)} traces with none failing."
    )


def _population(ledger: Ledger, rows: list[dict[str, Any]], n: int, seed: int) -> dict[str, Any]:
    requests, cost, free = ledger.rows("select count(*), sum(cost), count(*) filter (where cost = 0) from request")[0]
    drawn = [row for row in rows if row["stratum"] == "drawn"]
    certain = [row for row in rows if row["stratum"] == "certainty"]
    taints = [float(row["failing_cost"] / row["list_cost"]) for row in drawn if row["list_cost"]]
    certain_cost = sum((row["list_cost"] for row in certain), Decimal(0))
    certain_bad = sum((row["failing_cost"] for row in certain), Decimal(0))
    upper = None
    if cost:
        rest = float(cost - certain_cost) * bounds.stringer_bound(taints, len(drawn)) if drawn else 0.0
        upper = round((float(certain_bad) + rest) / float(cost), 6)
    return {
        "n": n,
        "seed": seed,
        "requests": requests,
        "list_cost": cost,
        "never_drawn_by_cost": free,
        "certainty": len(certain),
        "drawn": len(drawn),
        "search": sum(row["stratum"] == "search" for row in rows),
        "taints": taints,
        "not_declared_estimate": round(sum(taints) / len(taints), 6) if taints else None,
        "not_declared_upper_bound": upper,
        "confidence": bounds.CONFIDENCE,
    }


def _named(traces: pa.Table) -> pd.DataFrame:
    frame = as_frame(traces.drop_columns(["failing_cost"]))
    for number in range(1, 7):
        frame[f"q{number}"] = [questions.STATES[state] for state in frame[f"q{number}"]]
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat() + "Z"
    return value
