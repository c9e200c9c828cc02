"""What is metered: the disjoint token meters, the others, and which price stands in for an absent one."""

from __future__ import annotations

#: Token meters, and the meters whose price they take where they have none of their own, nearest first.
#: A provider that names no price for cached input bills it as input; one that prices five-minute
#: writes but not one-hour writes has not said what the latter cost, so nothing stands in there.
TOKEN_METERS: dict[str, tuple[str, ...]] = {
    "input": (),
    "cache_read": ("input",),
    "cache_write_5m": ("input",),
    "cache_write_1h": (),
    "input_audio": ("input",),
    "cache_read_audio": ("cache_read", "input_audio", "input"),
    "input_image": ("input",),
    "cache_read_image": ("cache_read", "input_image", "input"),
    "input_video": ("input",),
    "output": (),
    "reasoning": ("output",),
    "output_audio": ("output",),
    "output_image": ("output",),
}

#: A call is one request where the provider charges for requests, whether or not the source counts them.
IMPLIED_METERS = ("request",)

#: What one unit of a meter is called on a line item; every token meter counts tokens.
UNITS = {
    "request": "requests",
    "web_search": "searches",
    "social_search": "searches",
    "file_search": "searches",
    "maps_search": "searches",
    "rerank_search": "searches",
    "code_execution": "executions",
    "session": "sessions",
    "second": "seconds",
    "input_second": "seconds",
    "output_second": "seconds",
    "character": "characters",
    "output_character": "characters",
    "page": "pages",
    "annotated_page": "pages",
    "text_message": "messages",
    "image": "images",
    "input_image_count": "images",
    "pixel": "pixels",
    "output_pixel": "pixels",
    "citation": "tokens",
    "output_video": "tokens",
}


def base_meter(meter: str) -> str:
    """Return the meter without its attributes: `image[1024x1024]` is an image."""
    return meter.split("[", 1)[0]


def unit_of(meter: str) -> str:
    """Return the unit a meter counts in; an unknown meter counts in units of itself."""
    return "tokens" if meter in TOKEN_METERS else UNITS.get(base_meter(meter), base_meter(meter))
