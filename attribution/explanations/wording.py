"""What changed, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from attribution.rounding import largest_remainder
from attribution.showing import count, visible

if TYPE_CHECKING:
    from attribution.explanations.answers import Explanation

#: An effect is material from this share of the larger period's cost.
MATERIAL = Decimal("0.02")
#: Shares of the change are told when drivers too small to name make up no more than this share of it.
LEFT_OUT = Decimal("0.25")
#: From this share of the change on, the smaller drivers are told together.
TOLD = Decimal("0.01")

#: What a driver is called when it adds cost, and when it saves.
PHRASES = {
    "traffic": ("more traffic", "less traffic"),
    "fan-out": ("more calls per request", "fewer calls per request"),
    "retries": ("more retries", "fewer retries"),
    "fallbacks": ("more fallbacks", "fewer fallbacks"),
    "prompt size": ("longer prompts", "shorter prompts"),
    "response size": ("longer responses", "shorter responses"),
    "reasoning": ("more reasoning", "less reasoning"),
    "cache": ("less from the cache", "more from the cache"),
    "other usage": ("more other usage", "less other usage"),
    "workflow mix": ("workflow mix", "workflow mix"),
    "model mix": ("model mix", "model mix"),
    "service tier": ("service tier", "service tier"),
    "unit price": ("higher prices", "lower prices"),
    "new workflows": ("new workflows", "new workflows"),
    "retired workflows": ("retired workflows", "retired workflows"),
    "coverage shift": ("spend that tagging moved here", "spend that tagging moved away"),
}

#: What several values of a column are called.
PLURALS = {"owner_team": "teams", "workflow_id": "workflows", "feature": "features", "model": "models"}
PLURALS |= {"provider": "providers", "api_key_id": "keys", "service": "services", "tenant_id_hash": "tenants"}


def subject(where: Mapping[str, Any]) -> str:
    """Name what the sentence is about: the slice's values, or all spend."""
    parts = []
    for name, given in where.items():
        wanted = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
        if len(wanted) > 3:
            parts.append(f"{len(wanted)} {PLURALS.get(name, f'values of {name}')}")
        elif wanted != [None] or name == "owner_team":
            parts.append(" and ".join("unowned" if value is None else visible(value) for value in wanted))
    text = ", ".join(parts) or "spend"
    return text[:1].upper() + text[1:]


def headline(
    about: str, labels: tuple[str, str], costs: Mapping[str, Decimal], drivers: pd.DataFrame, currency: str = "USD"
) -> str:
    """Say by how much cost changed, and which material drivers did it; both sides before the net."""
    change, before = costs["change"], costs["cost_before"]
    if change == 0 and not (drivers["effect"] != 0).any():
        return f"{about} did not change: {money(before, currency)} in {labels[0]} and in {labels[1]}."
    verb = "rose" if change > 0 else "fell" if change < 0 else "stayed the same"
    size = f" ({money(abs(change), currency)})" if change else ""
    if before == 0 and change:
        size = f" from nothing to {money(change, currency)}"
    elif before > 0 and change:
        size = f" {percent(abs(change) / before)}{size}"
    found = drivers[drivers["is_material"]]
    rows = sorted(
        zip(found["driver"], found["effect"], found["mostly_in"], strict=True), key=lambda r: (-abs(r[1]), r[0])
    )
    if not rows:
        return f"{about} {verb}{size}: no single driver is material."
    rest = change - sum(effect for _, effect, _ in rows)
    if change and all((e > 0) == (change > 0) for _, e, _ in rows) and abs(rest) <= abs(change) * LEFT_OUT:
        told = [f"{percent(e / change)} {_named(d, e, w)}" for d, e, w in rows]
        told += [f"{percent(rest / change)} smaller drivers"] if abs(rest) >= abs(change) * TOLD else []
        return f"{about} {verb}{size}: {', '.join(told)}."
    named = [(_named(driver, effect, place), effect) for driver, effect, place in rows]
    if abs(rest) > abs(change) * LEFT_OUT:
        named.append(("smaller drivers", rest))
    sides = []
    for sign, word in ((1, "added"), (-1, "saved")):
        listed = [f"{name} ({money(abs(effect), currency)})" for name, effect in named if effect * sign > 0]
        sides += [f"{', '.join(listed)} {word}"] if listed else []
    return f"{about} {verb}{size}: {'; '.join(sides)}."


def footnote(explained: Explanation) -> str:
    """State what the answer rests on: cost, leaf, method, interaction, and what was left out."""
    said = [f"{explained.cost} by {', '.join(explained.leaf)}; method {explained.method}"]
    earlier, later = explained.days
    if earlier != later:
        said.append(f"{explained.before} has {earlier:g} days, {explained.after} has {later:g}")
    if explained.interaction is not None and abs(explained.interaction) >= 0.1:
        alone = percent(1 - Decimal(str(explained.interaction)))
        said.append(f"taken one at a time the drivers explain {alone} of the change, the rest is their acting together")
    calls = int(explained.unpriced["calls"].sum()) if len(explained.unpriced) else 0
    if calls:
        said.append(f"{count(calls, 'unpriced call')} left out")
    return "; ".join(said) + "."


def cents(effects: Sequence[Decimal], total: Decimal) -> list[str]:
    """Show effects in cents that add up to the total in cents."""
    return [f"{amount:,.2f}" for amount in largest_remainder(effects, total=total)]


def money(amount: Decimal, currency: str = "USD") -> str:
    """Show an amount: whole dollars from a hundred on, cents from one on, below that two figures and cents at least."""
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    places = 0 if size >= 100 else 2 if size >= 1 or size == 0 else max(2, 1 - size.adjusted())
    shown = f"{size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):,f}"
    if places > 2:
        whole, _, rest = shown.partition(".")
        shown = f"{whole}.{rest.rstrip('0').ljust(2, '0')}"
    return f"{sign}${shown}" if currency == "USD" else f"{sign}{currency} {shown}"


def percent(share: Decimal) -> str:
    """Show a share in whole percent, in tenths below one."""
    size = share * 100
    unit = Decimal(1) if abs(size) >= 1 or size == 0 else Decimal("0.1")
    return f"{size.quantize(unit, ROUND_HALF_EVEN):,} %"


def _named(driver: str, effect: Decimal, place: str | None) -> str:
    phrase = PHRASES[driver][effect < 0]
    return f"{phrase} in {visible(place)}" if isinstance(place, str) else phrase
