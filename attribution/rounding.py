"""The one home of rounding: largest remainder (Hamilton), so that shown amounts add up to the shown total."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

CENT = Decimal("0.01")

#: Wide enough for any sum of DECIMAL(38, 12) amounts.
_EXACT = Context(prec=120)


def rounded(amount: Decimal, unit: Decimal = CENT) -> Decimal:
    """Round one amount half-even to whole units.

    Examples
    --------
    >>> rounded(Decimal("0.125"))
    Decimal('0.12')
    """
    return amount.quantize(unit, rounding=ROUND_HALF_EVEN, context=_EXACT)


def largest_remainder(
    amounts: Sequence[Decimal | Fraction | float],
    unit: Decimal = CENT,
    *,
    total: Decimal | None = None,
    keys: Sequence[object] | None = None,
) -> list[Decimal]:
    """Round amounts to whole units so that they add up to the rounded exact total.

    Each is cut down to whole units, and the units that are missing go to the largest remainders.

    Parameters
    ----------
    amounts
        Amounts of any sign [USD]; floats stand for their exact binary value.
    unit
        The smallest amount shown, such as a cent.
    total
        The exact total where it is known otherwise; else the sum of the amounts.
    keys
        What settles ties, ascending; else the position.

    Returns
    -------
    list of Decimal
        In the order given; their sum is the total rounded half-even.

    Examples
    --------
    >>> largest_remainder([Decimal("0.335"), Decimal("0.335"), Decimal("0.33")])
    [Decimal('0.34'), Decimal('0.33'), Decimal('0.33')]
    """
    if not amounts:
        return []
    exact = [Fraction(amount) / Fraction(unit) for amount in amounts]
    whole = [value.__floor__() for value in exact]
    wanted = rounded(_decimal(sum(exact, Fraction(0)) * Fraction(unit), unit) if total is None else total, unit)
    missing = int(Fraction(wanted) / Fraction(unit)) - sum(whole)
    ties = list(keys) if keys is not None else list(range(len(amounts)))
    order = sorted(range(len(amounts)), key=lambda place: (-(exact[place] - whole[place]), ties[place]))
    every, some = divmod(missing, len(amounts))
    for place in range(len(amounts)):
        whole[place] += every
    for place in order[:some]:
        whole[place] += 1
    return [_EXACT.multiply(Decimal(units), unit) for units in whole]


def _decimal(amount: Fraction, unit: Decimal) -> Decimal:
    """Return a fraction as a decimal that rounds to the same unit: exact where it can be, cut far below it else."""
    numerator, denominator = amount.numerator, amount.denominator
    quotient = _EXACT.divide(Decimal(numerator), Decimal(denominator))
    return quotient if Fraction(quotient) == amount else quotient.quantize(unit.scaleb(-40), ROUND_FLOOR, _EXACT)


def apportion(total: int, weights: Sequence[Fraction | int], keys: Sequence[object] | None = None) -> list[int]:
    """Split whole units, such as pico-dollars, by weights; the parts add up to the total exactly.

    A negative amount is split as its absolute value, and the sign restored; what weighs nothing gets nothing.

    Parameters
    ----------
    total
        Whole units of any sign.
    weights
        One a part; not negative, and not all zero.
    keys
        What settles ties, ascending; else the position.

    Returns
    -------
    list of int
        In the order given.

    Examples
    --------
    >>> apportion(-10, [1, 1, 1])
    [-4, -3, -3]
    """
    scale = math.lcm(*(Fraction(weight).denominator for weight in weights))
    parts = [int(weight * scale) for weight in weights]
    whole = sum(parts)
    if whole <= 0 or min(parts) < 0:
        raise ValueError("weights that are not negative, and one at least above zero")
    size, sign = abs(total), (1 if total >= 0 else -1)
    shares = [size * part // whole for part in parts]
    ties = list(keys) if keys is not None else list(range(len(parts)))
    order = sorted(range(len(parts)), key=lambda place: (-(size * parts[place] % whole), ties[place]))
    for place in order[: size - sum(shares)]:
        shares[place] += 1
    return [sign * share for share in shares]
