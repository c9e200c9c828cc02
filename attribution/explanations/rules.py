"""How a change of a product is shared among its factors: Shapley, price–volume–mix, or LMDI, as expressions."""

from __future__ import annotations

from attribution.errors import QuestionError

#: The factors whose product is a leaf's cost, in the order of the identity; `price` is last for price–volume–mix.
FACTORS = ("requests", "fan_out", "model_share", "tier_share", "attempts", "size", "composition", "tagged", "price")

#: Gauss–Legendre on [0, 1]: five nodes are exact for products of up to ten factors.
NODES = (0.0469100770306680, 0.2307653449471585, 0.5, 0.7692346550528415, 0.9530899229693320)
WEIGHTS = (0.1184634425280945, 0.2393143352496832, 0.2844444444444444, 0.2393143352496832, 0.1184634425280945)

METHODS = ("shapley", "pvm", "lmdi")


def check_method(method: str) -> str:
    """Return the method, or refuse it by name."""
    if method not in METHODS:
        raise QuestionError.bad_argument("method", method, "shapley, pvm or lmdi")
    return method


def points() -> str:
    """Return each factor at each node of the straight path from the earlier to the later period."""
    return ", ".join(
        f"{name}_0 + {node!r} * ({name}_1 - {name}_0) as {name}_at_{place}"
        for name in FACTORS
        for place, node in enumerate(NODES)
    )


def weights(method: str) -> str:
    """Return what one unit of each factor's change was worth, given how the others changed: `weight_<factor>`."""
    rule = {"shapley": _shapley_weight, "pvm": _pvm_weight, "lmdi": _shapley_weight}[method]
    return ", ".join(f"{rule(name)} as weight_{name}" for name in FACTORS)


def effects(method: str) -> str:
    """Return the effect of each factor, nested ones split after their own effect is known: `effect_<driver>`."""
    plain = [name for name in FACTORS if name not in ("requests", "price")]
    if method == "lmdi":
        parts = [f"{_lmdi(name)} as effect_{name}" for name in plain]
        parts += [f"{_lmdi('requests', ('total', 'segment'), part)} as effect_{part}" for part in ("total", "segment")]
        prices = ("list_price", "kept", "rate")
        parts += [f"{_lmdi('price', prices, part)} as effect_{part}" for part in prices]
        return ", ".join(parts)
    parts = [f"weight_{name} * ({name}_1 - {name}_0) as effect_{name}" for name in plain]
    two, three = (_two_way, _three_way) if method == "shapley" else (_two_in_turn, _three_in_turn)
    parts += [f"weight_requests * {two('total', 'segment', part)} as effect_{part}" for part in ("total", "segment")]
    parts += [
        f"weight_price * {three('list_price', 'kept', 'rate', part)} as effect_{part}"
        for part in ("list_price", "kept", "rate")
    ]
    return ", ".join(parts)


def alone() -> str:
    """Return the sum of what each factor would have done alone; the rest of the change is interaction."""
    others = {name: " * ".join(f"{other}_0" for other in FACTORS if other != name) for name in FACTORS}
    return " + ".join(f"({name}_1 - {name}_0) * {others[name]}" for name in FACTORS)


def _shapley_weight(name: str) -> str:
    others = [other for other in FACTORS if other != name]
    return " + ".join(
        f"{weight!r} * " + " * ".join(f"{other}_at_{place}" for other in others) for place, weight in enumerate(WEIGHTS)
    )


def _pvm_weight(name: str) -> str:
    turn = FACTORS.index(name)
    sides = [f"{other}_1" for other in FACTORS[:turn]] + [f"{other}_0" for other in FACTORS[turn + 1 :]]
    return " * ".join(sides)


def _two_way(one: str, other: str, part: str) -> str:
    rest = other if part == one else one
    return f"(({part}_1 - {part}_0) * ({rest}_0 + {rest}_1) / 2)"


def _three_way(one: str, two: str, three: str, part: str) -> str:
    b, c = [name for name in (one, two, three) if name != part]
    return f"(({part}_1 - {part}_0) * (({b}_0 * {c}_0 + {b}_1 * {c}_1) / 3 + ({b}_0 * {c}_1 + {b}_1 * {c}_0) / 6))"


def _two_in_turn(one: str, other: str, part: str) -> str:
    return f"(({part}_1 - {part}_0) * " + (f"{other}_0)" if part == one else f"{one}_1)")


def _three_in_turn(one: str, two: str, three: str, part: str) -> str:
    names = (one, two, three)
    turn = names.index(part)
    sides = [f"{name}_1" for name in names[:turn]] + [f"{name}_0" for name in names[turn + 1 :]]
    return f"(({part}_1 - {part}_0) * {' * '.join(sides)})"


def _lmdi(name: str, parts: tuple[str, ...] = (), part: str = "") -> str:
    """Return the logarithmic-mean share; where the cost appears, vanishes or turns, all goes to what was zero.

    With nested parts, the union's share is split by their own logarithms; a factor that was zero or turned has
    none, and its share goes to the first part.
    """
    log = f"ln(abs({part or name}_1 / {part or name}_0))"
    turned = f"({name}_0 * {name}_1 <= 0 and {name}_0 <> {name}_1)"
    causes = " + ".join(f"({other}_0 * {other}_1 <= 0 and {other}_0 <> {other}_1)::int" for other in FACTORS)
    whole = f"if({turned}, (value_1 - value_0) / ({causes}), 0)" if part in ("", *parts[:1]) else "0"
    smooth = (
        "if(abs(ln(value_1 / value_0)) < 1e-9, (value_0 + value_1) / 2, (value_1 - value_0) / ln(value_1 / value_0))"
    )
    return f"case when value_0 * value_1 <= 0 then {whole} else {smooth} * {log} end"
