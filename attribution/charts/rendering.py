"""How charts reach people: in notebooks everywhere, as SVG, as PNG."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt


def enable(how: str = "live") -> None:
    """Show charts in notebooks everywhere: `live` in JupyterLab with a PNG beside it, `static` as SVG.

    The stock renderers need a script from a public server, or write what a notebook cannot hold; this one needs
    neither: JupyterLab draws Vega-Lite 5 itself, and whoever runs no scripts sees the picture. `static` is for Voila.
    """
    import altair as alt

    from attribution.errors import QuestionError

    renderers = {"live": _live, "static": _static}
    if how not in renderers:
        raise QuestionError.bad_argument("how", how, f"one of {', '.join(renderers)}")
    alt.renderers.register("attribution", renderers[how])
    alt.renderers.enable("attribution")


def to_svg(chart: alt.Chart | alt.LayerChart) -> str:
    """Draw a chart as SVG; the same chart gives the same text."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart.to_dict()))


def to_png(chart: alt.Chart | alt.LayerChart, scale: float = 2) -> bytes:
    """Draw a chart as PNG."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=scale))


def _live(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    shown = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    picture = base64.b64encode(vl_convert.vegalite_to_png(spec, scale=1)).decode()
    return {"application/vnd.vegalite.v5+json": shown, "image/png": picture, "text/plain": _as_text(spec)}


def _static(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": _as_text(spec)}


def _as_text(spec: dict[str, Any]) -> str:
    title = spec.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return f"<chart: {text if isinstance(text, str) else json.dumps(text)}>"
