"""Exact arithmetic in SQL: whole pico-dollars, millionths of a unit, and shares that are rounded once."""

from __future__ import annotations

from datetime import datetime

#: Beyond this many millionths of a unit (ten million million units) a quantity of a bill is not compared.
LARGEST_QUANTITY = 10**19


def pico(column: str) -> str:
    """Return SQL for the whole pico-dollars of a DECIMAL(38, 12): its digits, which no product can overflow."""
    return f"cast(replace(cast(cast({column} as decimal(38, 12)) as varchar), '.', '') as hugeint)"


def micro(column: str) -> str:
    """Return SQL for the whole millionths of a quantity; null where it is too large to be one."""
    text = f"cast(round(cast({column} as decimal(38, 12)), 6) as decimal(38, 12))"
    whole = f"({pico(text)} // 1000000)"
    return f"case when abs({whole}) <= {LARGEST_QUANTITY} then {whole} end"


def share(amount: str, part: str, whole: str) -> str:
    """Return SQL for `amount × part ÷ whole` in whole numbers, cut toward zero; the parts cannot overflow."""
    return f"(({amount}) // ({whole}) * ({part}) + ({amount}) % ({whole}) * ({part}) // ({whole}))"


def dollars(column: str) -> str:
    """Return SQL for pico-dollars as dollars, exactly."""
    return f"cast(cast({column} as decimal(38, 0)) * 0.000000000001 as decimal(38, 12))"


def units(column: str) -> str:
    """Return SQL for millionths of a unit as units, exactly."""
    return f"cast(cast({column} as decimal(32, 0)) * 0.000001 as decimal(38, 6))"


def moment(value: datetime) -> str:
    """Return a time as a literal."""
    return f"timestamp '{value:%Y-%m-%d %H:%M:%S.%f}'"
