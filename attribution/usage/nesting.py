"""Totals and their parts: what each meter counts, once, so that the meters add up to the totals."""

from __future__ import annotations

from collections.abc import Collection

#: Token columns that are parts of `input_tokens`, and those that are parts of `output_tokens`.
INPUT_PARTS = (
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
    "input_video_tokens",
)
OUTPUT_PARTS = ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")
#: The largest count that is added up and multiplied by prices without a thought to its size.
LARGEST_COUNT = 10**18
TOKEN_COLUMNS = ("input_tokens", *INPUT_PARTS, "output_tokens", *OUTPUT_PARTS)

#: Meter → the columns that add to its own quantity, and those that take from it. Cached audio is a part of both the
#: audio and the cache reads, so it is taken from both and put back once into the input.
_QUANTITIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "input": (
        ("input_tokens", "cache_read_audio_tokens", "cache_read_image_tokens"),
        (
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "input_audio_tokens",
            "input_image_tokens",
            "input_video_tokens",
        ),
    ),
    "cache_read": (("cache_read_tokens",), ("cache_read_audio_tokens", "cache_read_image_tokens")),
    "cache_write_5m": (("cache_write_5m_tokens",), ()),
    "cache_write_1h": (("cache_write_1h_tokens",), ()),
    "input_audio": (("input_audio_tokens",), ("cache_read_audio_tokens",)),
    "cache_read_audio": (("cache_read_audio_tokens",), ()),
    "input_image": (("input_image_tokens",), ("cache_read_image_tokens",)),
    "cache_read_image": (("cache_read_image_tokens",), ()),
    "input_video": (("input_video_tokens",), ()),
    "output": (("output_tokens",), ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")),
    "reasoning": (("reasoning_tokens",), ()),
    "output_audio": (("output_audio_tokens",), ()),
    "output_image": (("output_image_tokens",), ()),
}


def disjoint_quantities(columns: Collection[str] = TOKEN_COLUMNS) -> dict[str, str]:
    """Return meter → SQL of its own quantity, over token columns without nulls; columns left out count nothing."""
    quantities = {}
    for meter, (added, taken) in _QUANTITIES.items():
        if added[0] in columns:
            plus = " + ".join(name for name in added if name in columns)
            minus = "".join(f" - {name}" for name in taken if name in columns)
            quantities[meter] = plus + minus
    return quantities
