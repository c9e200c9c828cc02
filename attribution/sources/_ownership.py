"""Where callers put ownership: one list of spellings, read from objects, tags and headers, best place first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from attribution import normalization
from attribution.sources import Intake, Row

#: Our field ← the keys callers use for it, exact spelling first.
SPELLINGS = {
    "owner_team": ("owner_team", "team"),
    "workflow_id": ("workflow_id", "workflow"),
    "feature": ("feature",),
    "tenant_id_hash": ("tenant_id_hash", "customer_id_hash", "tenant_id", "customer_id"),
    "user_id_hash": ("user_id_hash", "user_id"),
}
FIELD_OF = {spelling: field for field, spellings in SPELLINGS.items() for spelling in spellings}
_HANDLES = ("tenant_id_hash", "user_id_hash")


class Ownership:
    """Collects the ownership of one record; the first place that names a field wins, others are flagged."""

    __slots__ = ("_intake", "flags", "found")

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.found: dict[str, str] = {}
        self.flags: list[str] = []

    def take(self, place: object, where: str) -> None:
        """Read one object that callers fill; anything else than an object is flagged."""
        if place is None or place == "":
            return
        if type(place) is not dict:
            self.flags.append(f"{where}:not_an_object")
            return
        if not place:
            return
        for field, spellings in SPELLINGS.items():
            for spelling in spellings:
                if spelling in place:
                    self.offer(field, place[spelling], where)

    def offer(self, field: str, value: Any, where: str) -> None:
        """Offer one value for a field; a second place that says something else is flagged, not taken."""
        if field in _HANDLES:
            kept = self._intake.handle(value, field, self.flags)
        else:
            kept = normalization.owner(value, field, self.flags)
        if kept is None:
            return
        known = self.found.setdefault(field, kept)
        if known != kept:
            self.flags.append(f"{field}:other_value:{where}:{kept}")

    def take_tags(self, tags: object, where: str) -> None:
        """Read tags such as `team:support` and `team=support`; a bare word names nothing and is only flagged."""
        if tags is None:
            return
        if type(tags) is not list:
            self.flags.append(f"{where}:not_a_list")
            return
        for key, value in split_tags(tags):
            if value is None:
                self.flags.append(f"{where}:bare:{normalization.owner(key, where, self.flags)}")
            elif key in FIELD_OF:
                self.offer(FIELD_OF[key], value, where)

    def write(self, row: Row) -> None:
        """Put what was found into the row."""
        row.update(self.found)
        row["ownership_flags"] = list(dict.fromkeys(self.flags)) or None


def split_tags(tags: Iterable[object]) -> Iterator[tuple[str, str | None]]:
    """Split `key:value` and `key=value` at the first separator; browser and client names are no tags of a caller."""
    for tag in tags:
        if type(tag) is not str or not tag.strip() or tag.startswith("User-Agent:"):
            continue
        colon, equals = tag.find(":"), tag.find("=")
        cut = min(place for place in (colon, equals) if place >= 0) if max(colon, equals) >= 0 else -1
        if cut < 0:
            yield tag.strip(), None
        else:
            yield tag[:cut].strip(), tag[cut + 1 :].strip()


def split_baggage(header: object) -> dict[str, str]:
    """Read a W3C baggage header: `owner_team=support,feature=auto-classify;property`."""
    members: dict[str, str] = {}
    for member in header.split(",") if type(header) is str else ():
        key, separator, value = member.partition("=")
        if separator:
            members[unquote(key.strip())] = unquote(value.partition(";")[0].strip())
    return members
