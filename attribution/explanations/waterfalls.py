"""From the earlier cost to the later, bar by bar: what a waterfall draws."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import as_frame

if TYPE_CHECKING:
    from attribution.explanations.answers import Explanation

_MONEY = pa.decimal128(38, 12)
_SCHEMA = pa.schema(
    [("label", pa.string()), ("kind", pa.string()), ("family", pa.string())]
    + [(name, _MONEY) for name in ("effect", "start", "end")]
)


def waterfall(answer: Explanation, by: str) -> pd.DataFrame:
    """Return one row per bar; each begins where the one before ends, and the last one is the later cost."""
    if by not in ("family", "driver"):
        raise QuestionError.bad_argument("by", by, "family or driver")
    effects: dict[tuple[str, str], Decimal] = {}
    for family, driver, effect in zip(*(answer.drivers[name] for name in ("family", "driver", "effect")), strict=True):
        label = driver if by == "driver" else family
        effects[family, label] = effects.get((family, label), Decimal(0)) + effect
    reached = answer.cost_before
    rows: list[tuple[str, str, str | None, Decimal | None, Decimal, Decimal]] = [
        (answer.before, "total", None, None, Decimal(0), reached)
    ]
    for (family, label), effect in effects.items():
        if effect:
            rows.append((label, "effect", family, effect, reached, reached + effect))
            reached += effect
    rows.append((answer.after, "total", None, None, Decimal(0), answer.cost_after))
    columns = [
        pa.array(list(column), field.type) for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)
    ]
    return as_frame(pa.table(columns, schema=_SCHEMA))
