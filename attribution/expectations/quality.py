"""What a validation says: every rule with its verdict, count, dollars and examples, as a frame and a compact table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from html import escape

import pandas as pd
import pyarrow as pa

from attribution import showing
from attribution.expectations.rule_types import SEVERITIES
from attribution.expectations.scanning import Outcome
from attribution.ledger import as_frame

_KEY_SHOWN = 8
_SHARE = Decimal("0.000001")
_FRAME = pa.schema(
    [
        ("suite", pa.string()),
        ("dataset", pa.string()),
        ("rule", pa.string()),
        ("severity", pa.string()),
        ("outcome", pa.string()),
        ("failing", pa.int64()),
        ("judged", pa.int64()),
        ("share", pa.decimal128(7, 6)),
        ("dollars", pa.decimal128(38, 12)),
        ("without_price", pa.int64()),
        ("reason", pa.string()),
        ("note", pa.string()),
        ("examples", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Quality:
    """The answer of `validate`: one outcome a rule, and the keys of the rows that broke one."""

    outcomes: tuple[Outcome, ...]
    #: Fetches the keys when they are asked for: there may be millions.
    find: Callable[[], pd.DataFrame]
    engine: str
    #: Shipped suites that had no rows to look at.
    skipped: tuple[str, ...] = ()

    @cached_property
    def failures(self) -> pd.DataFrame:
        """Key of every row that breaks a broken rule, with `suite`, `rule`, `severity`, `dataset` and its `event_id`.

        Of a ledger they are read when asked for, from `quality_failure`, as the latest run of these suites left them.
        """
        return self.find()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a rule: `outcome` is pass, broken or not checked; `share` is failing of judged rows [0–1]."""
        rows = [_row(each) for each in self.outcomes]
        return as_frame(pa.Table.from_pylist(rows, _FRAME))

    @property
    def broken(self) -> pd.DataFrame:
        """The broken rules only, notes (severity info) too, worst first."""
        broken = self.frame[self.frame["outcome"] == "broken"]
        places = [SEVERITIES.index(severity) for severity in broken["severity"]]
        return broken.assign(place=places).sort_values("place", kind="stable").drop(columns="place")

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not any(each.verdict == "broken" for each in self.outcomes)

    def worst(self) -> str | None:
        """Return the severity of the worst broken rule, or None."""
        found = {each.rule.severity for each in self.outcomes if each.verdict == "broken"}
        return next((severity for severity in SEVERITIES if severity in found), None)

    def breaks(self, severity: str) -> bool:
        """Whether a rule of this severity or a worse one is broken."""
        worst = self.worst()
        return worst is not None and SEVERITIES.index(worst) <= SEVERITIES.index(severity)

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        checked = [each for each in self.outcomes if each.verdict != "not checked"]
        broken = [each for each in checked if each.verdict == "broken"]
        parts = []
        for severity in SEVERITIES:
            number = sum(each.rule.severity == severity for each in broken)
            parts += [f"{number:,} {severity}"] if number else []
        verdict = f"{len(broken):,} broken ({', '.join(parts)})" if broken else "none broken"
        idle = len(self.outcomes) - len(checked)
        rest = f"; {idle:,} had nothing to check" if idle else ""
        skipped = f" Without rows: {', '.join(self.skipped)}." if self.skipped else ""
        return f"{showing.count(len(checked), 'rule')} checked, {verdict}{rest}.{skipped}"

    def __repr__(self) -> str:
        rows = [row for row in showing.rows(self.broken) if row["severity"] != "info"]
        lines = [self.headline]
        lines += [f"{row['severity']:<8}  {row['suite']} {row['rule']}: {tell(row)}" for row in rows]
        lines += [self.left_out] if self.left_out else []
        return "\n".join(showing.visible(line) for line in lines)

    @property
    def left_out(self) -> str:
        """How many broken rules are notes, which a notebook leaves out, and where they are; empty when none is."""
        notes = int((self.broken["severity"] == "info").sum())
        return f"{showing.count(notes, 'broken rule')} of severity info left out: .broken has all." if notes else ""

    def _repr_html_(self) -> str:
        rows = [row for row in showing.rows(self.broken) if row["severity"] != "info"]
        said = f"{self.headline} {self.left_out}".rstrip()
        if not rows:
            return f"<p>{escape(showing.visible(said))}</p>"
        head = "".join(
            f'<th style="text-align:{side};min-width:{width}">{name}</th>'
            for name, (side, width) in zip(_HEAD, _COLUMNS, strict=True)
        )
        body = "".join(f"<tr>{_html_cells(row)}</tr>" for row in rows)
        # Two dollar signs are a formula to a notebook, unless the class says they are not.
        return (
            f'<p class="tex2jax_ignore mathjax_ignore">{escape(showing.visible(said))}</p>'
            f'<table class="tex2jax_ignore mathjax_ignore"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        )


_HEAD = ("severity", "rule", "why it matters", "rows", "share", "dollars", "examples")
#: On which side a column's text stands, and how narrow it may become: a sentence needs room, a share none to break.
_COLUMNS = (
    *(("left", "4em"), ("left", "8em"), ("left", "14em"), ("right", "3em")),
    *(("right", "4em"), ("right", "5em"), ("left", "9em")),
)
#: A long name or key breaks where it must, so that the table is no wider than the page; a figure stays whole.
_BREAKS = {"left": "text-align:left;overflow-wrap:anywhere", "right": "text-align:right"}


def tell(row: dict[str, object]) -> str:
    """Say what is broken in one line: the reason, how many rows of how many, and the dollars behind them."""
    told = [str(row["reason"] or "")]
    if not showing.is_missing(row["failing"]) and row["failing"]:
        told.append(f"{row['failing']:,} of {row['judged']:,} rows ({showing.share(row['share'])})")  # type: ignore[arg-type]
    if money := cost(row):
        told.append(money)
    if row["note"]:
        told.append(str(row["note"]))
    return " – ".join(part for part in told if part)


def cost(row: dict[str, object]) -> str:
    """Show the dollars behind a broken rule; calls without a price are named, never counted as nothing."""
    dollars = "" if showing.is_missing(row["dollars"]) else showing.dollars(row["dollars"])  # type: ignore[arg-type]
    if row["without_price"]:
        calls = f"{showing.count(int(str(row['without_price'])), 'call')} without a price"
        return f"{dollars} and {calls}" if dollars else calls
    return dollars


def _row(each: Outcome) -> dict[str, object]:
    share = None
    if each.judged and each.failing is not None:
        share = (Decimal(each.failing) / Decimal(each.judged)).quantize(_SHARE)
    return {
        "suite": each.suite,
        "dataset": each.dataset,
        "rule": each.rule.id,
        "severity": each.rule.severity,
        "outcome": each.verdict,
        "failing": each.failing,
        "judged": each.judged,
        "share": share,
        "dollars": each.dollars,
        "without_price": each.without_price,
        "reason": each.rule.words,
        "note": each.note,
        "examples": list(each.examples),
    }


def _html_cells(row: dict[str, object]) -> str:
    failing = "–" if showing.is_missing(row["failing"]) else f"{row['failing']:,}"
    why = " – ".join(str(part) for part in (row["reason"], row["note"]) if part)
    examples: Sequence[str] = list(row["examples"])  # type: ignore[call-overload]
    cells = (
        (row["severity"], "left"),
        (f"{row['suite']} {row['rule']}", "left"),
        (why, "left"),
        (failing, "right"),
        (_share(row["share"]), "right"),
        (cost(row) or "–", "right"),
        (_compact(examples) or "–", "left"),
    )
    return "".join(f'<td style="{_BREAKS[side]}">{escape(showing.visible(text))}</td>' for text, side in cells)


def _share(value: object) -> str:
    """Show a share whose sign stays with its number."""
    return "–" if showing.is_missing(value) else showing.share(value).replace(" ", "\N{NO-BREAK SPACE}")  # type: ignore[arg-type]


def _compact(examples: Sequence[str]) -> str:
    """Show examples in little room: what was found, then the keys by their first letters; the frame has them whole."""
    keys: dict[str, list[str]] = {}
    for example in examples:
        key, _, found = example.partition(": ")
        keys.setdefault(found, []).append(key if len(key) <= _KEY_SHOWN else f"{key[:_KEY_SHOWN]}…")
    return "; ".join(f"{found} ({', '.join(named)})" for found, named in keys.items())
