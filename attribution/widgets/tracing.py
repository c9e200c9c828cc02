"""Widgets about evidence: what a file is, and what each call of a request rests on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attribution import charts, event_explanations, fanouts, inspecting, showing
from attribution.errors import QuestionError
from attribution.ledger import Ledger
from attribution.widgets import questions
from attribution.widgets.panels import Panel, pairs_of, panel, picture, sentence, table, toolkit


def file_picker(folder: str | os.PathLike[str] = ".", *, key: str = "file picker") -> Panel:
    """Pick a file and see at once what it is and which fields it has, before loading it; plain: `at.inspect`."""
    w = toolkit()
    wide = {"width": "32rem"}
    controls = {
        "folder": w.Text(value=str(folder), description="folder", continuous_update=False, layout=wide),
        "file": w.Dropdown(options=[], description="file", layout=wide),
    }

    def adjust(moved: dict[str, Any]) -> None:
        try:
            files = questions.list_files(moved["folder"].value)
        except QuestionError:
            files = []
        _offer(moved["file"], list(files))

    def tell(chosen: dict[str, Any]) -> str:
        questions.list_files(chosen["folder"])
        if chosen["file"] is None:
            return sentence("There is no file in this folder.")
        return inspecting.inspect(Path(chosen["folder"]) / chosen["file"])._repr_html_()

    return panel("file picker", key, controls, tell, adjust)


def trace_explorer(ledger: Ledger, search: str = "", *, key: str = "trace explorer") -> Panel:
    """Search a request by any id, or take one of the dearest; walk its tree and see what each call rests on.

    The plain questions are `find_requests`, `at.fan_out` and `at.explain_event`.
    """
    w = toolkit()
    wide = {"width": "30rem"}
    controls = {
        "search": w.Text(
            value=search, description="id begins", placeholder="empty: the dearest", continuous_update=False
        ),
        "request": w.Dropdown(options=[], description="request", layout=wide),
        "call": w.Dropdown(options=[], description="call", layout=wide),
    }

    def adjust(moved: dict[str, Any]) -> None:
        _offer(moved["request"], _requests(ledger, moved["search"].value))
        request = moved["request"].value
        nodes = [] if request is None else showing.rows(fanouts.fan_out(ledger, request))
        _offer(moved["call"], [("the whole request", None), *(_call(node) for node in nodes if node["kind"] == "call")])

    def tell(chosen: dict[str, Any]) -> str:
        if chosen["request"] is None:
            return sentence(f"No request, trace, call, event or response id begins with {chosen['search']!r}.")
        nodes = fanouts.fan_out(ledger, chosen["request"])
        if chosen["call"] is None:
            columns = ["label", "service", "kind", "owner_team", "evidence", "list_cost", "cost_below"]
            return picture(charts.fan_out(nodes)) + table(nodes[columns], top=60)
        return picture(charts.icicle(nodes)) + _evidence(event_explanations.explain_event(ledger, chosen["call"]))

    return panel("trace explorer", key, controls, tell, adjust)


def _requests(ledger: Ledger, text: str) -> list[tuple[str, str]]:
    rows = showing.rows(questions.find_requests(ledger, text))
    return [(f"{showing.dollars(row['list_cost'])} · {row['request_id']}", row["request_id"]) for row in rows]


def _call(node: dict[str, Any]) -> tuple[str, str]:
    owner = "lost" if showing.is_missing(node["owner_team"]) else node["owner_team"]
    return f"{node['node']}. {node['label']} · {showing.dollars(node['list_cost'])} · {owner}", str(node["event_id"])


def _offer(control: Any, pairs: list[Any]) -> None:
    """Give a drop-down new options, and keep its choice where it still is one."""
    told = pairs_of(pairs)
    if list(control.options) == told:
        return
    kept = control.value
    control.options = told
    values = [value for _, value in told]
    control.index = values.index(kept) if kept in values else 0 if values else None


def _evidence(told: event_explanations.EventExplanation) -> str:
    parts = (("Who owns it, and who says so", told.owners), ("What it costs, and why", told.items))
    where = (("Which records show it", told.records), ("Where it was lost", told.hops), ("Conflicts", told.conflicts))
    lines = [
        f"<h4>{title}</h4>{table(frame.dropna(axis=1, how='all'), empty='Nothing.')}"
        for title, frame in (*parts, *where)
    ]
    return "".join(lines)
