"""Identifiers in each system's own form, drawn once per part of a day."""

from __future__ import annotations

import numpy as np

Strings = list[str]


class Ids:
    """A stream of random identifiers that a seed and a part decide."""

    def __init__(self, seed: int, part: int) -> None:
        self._rng = np.random.default_rng([seed, part, 2])

    def hexes(self, count: int, digits: int) -> Strings:
        """Return hexadecimal ids of so many digits."""
        text = self._rng.bytes((count * digits + 1) // 2).hex()
        return [text[n : n + digits] for n in range(0, count * digits, digits)]

    def uuids(self, count: int) -> Strings:
        """Return random ids in the form of UUIDs of version 4."""
        return [f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}" for h in self.hexes(count, 32)]
