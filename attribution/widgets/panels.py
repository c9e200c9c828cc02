"""What every widget is made of: controls that remember what was chosen, and an answer below them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from attribution import charts, showing
from attribution.errors import AttributionError, QuestionError

#: What was chosen last, by the key of the widget: running a cell again shows the same choice.
_CHOSEN: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Panel:
    """A widget: `controls` by name, `chosen` values, and `html`, the answer as it stands.

    Set `panel.controls["team"].value` to move a control from code.
    """

    name: str
    controls: dict[str, Any]
    answer: Any
    box: Any

    @property
    def chosen(self) -> dict[str, Any]:
        """What the controls say."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def html(self) -> str:
        """The answer below the controls, as HTML."""
        return str(self.answer.value)

    def __repr__(self) -> str:
        return f"<{self.name}: {', '.join(self.controls)}>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle = dict(self.box._repr_mimebundle_(**options) or {})
        return bundle | {"text/plain": repr(self)}


def toolkit() -> Any:
    """Return ipywidgets, or say how to get it.

    Raises
    ------
    QuestionError
        Without the `notebooks` extra.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise QuestionError.no_extra("ipywidgets", "notebooks") from error
    return ipywidgets


def panel(
    name: str,
    key: str,
    controls: dict[str, Any],
    tell: Callable[[dict[str, Any]], str],
    adjust: Callable[[dict[str, Any]], None] | None = None,
) -> Panel:
    """Lay out a widget whose answer is told anew whenever a control moves.

    `adjust` may give controls new options before the answer is told, such as the calls of the request now chosen.
    """
    w = toolkit()
    answer = w.HTML()
    made = Panel(name, controls, answer, w.VBox([w.HBox(list(controls.values()), layout=_wrapped(w)), answer]))
    is_busy = [True]

    def refresh(_: Any = None) -> None:
        if is_busy[0]:
            return
        is_busy[0] = True
        try:
            if adjust is not None:
                adjust(controls)
            answer.value = _spaced(_told(tell, made.chosen))
            _CHOSEN[key] = made.chosen
        finally:
            is_busy[0] = False

    if adjust is not None:
        adjust(controls)
    for control_name, value in _CHOSEN.get(key, {}).items():
        _restore(controls, control_name, value)
        if adjust is not None:
            adjust(controls)
    for control in controls.values():
        control.observe(refresh, names="value")
    is_busy[0] = False
    refresh()
    return made


def _spaced(answer: str) -> str:
    """Keep the columns of tables apart: in a widget no style sheet of a page does it."""
    return re.sub(r'(<t[hd] style=")', r"\1padding:0.2em 0.7em;", answer)


def forget(key: str | None = None) -> None:
    """Forget what was chosen in one widget, or in all."""
    if key is None:
        _CHOSEN.clear()
    else:
        _CHOSEN.pop(key, None)


def dropdown(label: str, options: list[Any], value: Any = None, width: str = "19rem") -> Any:
    """Return a drop-down of texts, or of (text, value) pairs; hidden characters are made visible."""
    w = toolkit()
    pairs = pairs_of(options)
    values = [each for _, each in pairs]
    index = values.index(value) if value in values else 0 if values else None
    return w.Dropdown(
        options=pairs, index=index, description=label, style={"description_width": "initial"}, layout={"width": width}
    )


def pairs_of(options: list[Any]) -> list[tuple[str, Any]]:
    """Return (text, value) pairs whose texts are visible and different."""
    pairs = [option if isinstance(option, tuple) else (option, option) for option in options]
    texts: dict[str, int] = {}
    told = []
    for text, value in pairs:
        shown = showing.visible(text, 60)
        texts[shown] = texts.get(shown, 0) + 1
        told.append((shown if texts[shown] == 1 else f"{shown} ({texts[shown]})", value))
    return told


def picture(chart: Any) -> str:
    """Return a chart as an image inside HTML: it shows in JupyterLab and in Voila, and runs nothing."""
    drawn = base64.b64encode(charts.to_png(chart, 1)).decode()
    title = chart.to_dict()["title"]["text"]
    return f'<img alt="{escape(str(title), quote=True)}" style="max-width:100%" src="data:image/png;base64,{drawn}">'


def table(frame: Any, top: int = 12, empty: str = "There is nothing to show.") -> str:
    """Return an answer as an escaped HTML table; one wider than the page scrolls and widens nothing around it."""
    shown = showing.show(frame, top=top, empty=empty)._repr_html_()
    return f'<div style="width:0;min-width:100%;overflow-x:auto">{shown}</div>'


def sentence(text: str) -> str:
    """Return a sentence as escaped HTML."""
    return f'<p class="tex2jax_ignore mathjax_ignore">{escape(showing.visible(text))}</p>'


def _told(tell: Callable[[dict[str, Any]], str], chosen: dict[str, Any]) -> str:
    try:
        return tell(chosen)
    except AttributionError as error:
        return sentence(str(error))


def _restore(controls: dict[str, Any], name: str, value: Any) -> None:
    """Choose again what was chosen, where it still can be."""
    control = controls.get(name)
    if control is None:
        return
    if hasattr(control, "options") and value not in [option[1] for option in control.options]:
        return
    control.value = value


def _wrapped(w: Any) -> Any:
    return w.Layout(flex_flow="row wrap", align_items="center")
