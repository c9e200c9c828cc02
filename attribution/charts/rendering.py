"""How charts reach people: in notebooks everywhere, as SVG, as PNG."""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def enable(how: str | None = None) -> None:
    """Show charts in notebooks everywhere: `live` in JupyterLab with a PNG beside it, `static` as SVG.

    The stock renderers need a script from a public server, or write what a notebook cannot hold; this one needs
    neither: JupyterLab draws Vega-Lite 5 itself, and whoever runs no scripts sees the picture. Without
    `how`, the environment variable ATTRIBUTION_CHARTS says it; under Voila it is `static`.
    """
    import altair as alt

    from attribution.errors import QuestionError

    is_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
    how = how or os.environ.get("ATTRIBUTION_CHARTS") or ("static" if is_voila else "live")
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
    """Draw a chart as PNG; the same chart gives the same bytes."""
    return _drawn(chart.to_dict(), scale)


def _drawn(spec: dict[str, Any], scale: float) -> bytes:
    import vl_convert

    return _packed(bytes(vl_convert.vegalite_to_png(spec, scale=scale)))


def _packed(png: bytes) -> bytes:
    """Pack the pixels of a PNG again, as tightly as zlib can: the drawing library packs for speed, a third as well."""
    chunks: list[tuple[bytes, bytes]] = []
    place = len(_PNG_HEAD)
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + size]))
        place += 12 + size
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), 9)
    kept = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    return _PNG_HEAD + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [*kept, (b"IDAT", pixels), (b"IEND", b"")]
    )


def _live(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    shown = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    picture = base64.b64encode(_drawn(spec, 1)).decode()
    return {"application/vnd.vegalite.v5+json": shown, "image/png": picture, "text/plain": _as_text(spec)}


def _static(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    return {"image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": _as_text(spec)}


def _as_text(spec: dict[str, Any]) -> str:
    title = spec.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return f"<chart: {text if isinstance(text, str) else json.dumps(text)}>"
