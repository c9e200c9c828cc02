"""What a usage body yields: counts of tokens and other quantities, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from attribution.usage.nesting import LARGEST_COUNT

#: What is counted in other units than tokens is kept to the millionth, in eight bytes.
_MILLIONTH = Decimal("0.000001")
_LARGEST_QUANTITY = 10**11


@dataclass
class Usage:
    """What one call used, in the columns of a cost event, and how the body was read."""

    tokens: dict[str, int] = field(default_factory=dict)
    other: dict[str, Decimal] = field(default_factory=dict)
    reading: str = ""
    flags: list[str] = field(default_factory=list)
    model: str | None = None
    service_tier: str | None = None
    region: str | None = None

    @property
    def is_metered(self) -> bool:
        """Whether the body said anything about usage."""
        return bool(self.tokens) or bool(self.other)


def tier(given: Any) -> str | None:
    """Return a tier in our words; what is no tier of the answer itself says nothing."""
    if not isinstance(given, str) or given.lower() in (
        "",
        "auto",
        "service_tier_unspecified",
        "traffic_type_unspecified",
    ):
        return None
    word = given.lower().removeprefix("on_demand_")
    return "standard" if word in ("default", "on_demand", "standard", "standard_only") else word


def first(body: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of several names of a count that is there."""
    return next((count for count in (count(body, name) for name in names) if count is not None), None)


def count(body: Mapping[str, Any], name: str) -> int | None:
    """Return a count of tokens, null where there is none; anything else than a whole number is refused."""
    value = body.get(name)
    if value is None:
        return None
    found = number(value)
    if found is None or not 0 <= found <= LARGEST_COUNT or found != int(found):
        raise ValueError(f"`{name}` is {value!r}; expected a whole number of tokens, at most {LARGEST_COUNT:,}")
    return int(found)


def number(value: Any) -> Decimal | None:
    """Return a finite number; true and false are none."""
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return None
    found = Decimal(str(value))
    return found if found.is_finite() else None


def part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the details of a count; they may be null or absent."""
    found = body.get(name)
    if found is not None and not isinstance(found, Mapping):
        raise ValueError(f"`{name}` is {found!r}; expected an object of counts")
    return found or {}


def parts(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of details; it may be null or absent."""
    found = body.get(name)
    if found is not None and not (isinstance(found, list) and all(isinstance(each, Mapping) for each in found)):
        raise ValueError(f"`{name}` is {found!r}; expected a list of objects")
    return found or []


def put(usage: Usage, **counts: int | None) -> None:
    """Write the counts that are known."""
    usage.tokens.update({name: count for name, count in counts.items() if count is not None})


def put_other(usage: Usage, **counts: Any) -> None:
    """Write the quantities in other units than tokens that are known and not zero."""
    for name, value in counts.items():
        if value is None:
            continue
        quantity = number(value)
        if quantity is None or not 0 <= quantity <= _LARGEST_QUANTITY:
            raise ValueError(f"`{name}` is {value!r}; expected a quantity from 0 to {_LARGEST_QUANTITY:,}")
        kept = quantity.quantize(_MILLIONTH)
        if kept != quantity:
            usage.flags.append(f"{name} {quantity:f} is counted as {kept:f}, to the millionth")
        if kept:
            usage.other[name] = kept
