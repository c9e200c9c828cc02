"""Rules about one figure of a column or table: what is measured in the scan, and whether it is within its bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from attribution.expectations.suites import Rule
from attribution.expectations.terms import NotJudged, Terms


@dataclass(frozen=True)
class Figure:
    """What a rule measures: expressions for the scan, and how its verdict and its words follow from their values."""

    expressions: tuple[str, ...]
    holds: Callable[[Sequence[Any]], bool]
    shown: Callable[[Sequence[Any]], str]


def compile_figure(rule: Rule, terms: Terms) -> Figure:
    """Return what an aggregate rule measures; the first value is how many rows have something to measure."""
    where = "" if rule.condition is None else f"filter (where {terms.condition(rule.condition)})"
    if rule.type.startswith("expect_table_row_count"):
        return _within(rule, "count(*)", f"count(*) {where}")
    name = rule.columns[0]
    column, kind = terms.column(name), terms.kind(name)
    present = f"count({column}) {where}"
    if "distinct_values" in rule.type:
        return _sets(rule, terms, name, where)
    what = rule.type.removeprefix("expect_column_").removesuffix("_to_be_between")
    if what == "unique_value_count":
        return _within(rule, present, f"count(distinct {column}) {where}")
    if what == "proportion_of_unique_values":
        return _ratio(rule, present, f"count(distinct {column}) {where}", present)
    if what == "proportion_of_non_null_values":
        return _ratio(rule, f"count(*) {where}", present, f"count(*) {where}")
    if (
        kind == "other"
        or (kind in ("text", "truth") and what not in ("max", "min"))
        or (kind == "time" and what not in ("max", "min"))
    ):
        raise NotJudged(f"`{name}` is {terms.types[name]}; it has no {what}")
    for bound in ("min_value", "max_value"):
        if bound in rule.kwargs:
            terms.bound(name, rule.kwargs[bound])
    if what == "mean":
        return _ratio(rule, present, f"sum({column}) {where}", present)
    function = {"max": "max", "min": "min", "sum": "sum", "median": "median", "stdev": "stddev_samp"}[what]
    return _within(rule, present, f"{function}({column}) {where}")


def compile_table(rule: Rule, names: Sequence[str]) -> str | None:
    """Judge the shape of a table; return what is wrong with it, or None."""
    kwargs = rule.kwargs
    if rule.type == "expect_column_to_exist":
        place = kwargs.get("column_index")
        if kwargs["column"] not in names:
            return f"there is no column `{kwargs['column']}`"
        is_there = place is None or names.index(kwargs["column"]) == place
        return None if is_there else f"`{kwargs['column']}` is column {names.index(kwargs['column'])}, not {place}"
    if rule.type.startswith("expect_table_column_count"):
        low, high = kwargs.get("value", kwargs.get("min_value")), kwargs.get("value", kwargs.get("max_value"))
        is_within = (low is None or len(names) >= low) and (high is None or len(names) <= high)
        return None if is_within else f"it has {len(names)} columns"
    if rule.type == "expect_table_columns_to_match_ordered_list":
        return None if list(names) == list(kwargs["column_list"]) else f"its columns are {', '.join(names)}"
    missing = [name for name in kwargs["column_set"] if name not in names]
    more = [name for name in names if name not in kwargs["column_set"]] if kwargs.get("exact_match", True) else []
    faults = ([f"it lacks {', '.join(missing)}"] if missing else []) + (
        [f"it has {', '.join(more)} too"] if more else []
    )
    return "; ".join(faults) or None


def _within(rule: Rule, present: str, expression: str) -> Figure:
    return Figure((present, expression), lambda values: _is_within(rule, values[1]), lambda values: _show(values[1]))


def _ratio(rule: Rule, present: str, part: str, whole: str) -> Figure:
    """Compare a quotient exactly: the engine gives both parts, and would divide them as floats."""

    def quotient(values: Sequence[Any]) -> Fraction | None:
        part, whole = values[1], values[2]
        return Fraction(part) / Fraction(whole) if whole and part is not None else None

    return Figure(
        (present, part, whole),
        lambda values: _is_within(rule, quotient(values)),
        lambda values: _show(quotient(values)),
    )


def _is_within(rule: Rule, value: Any) -> bool:
    low, high = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    if "value" in rule.kwargs:
        return bool(value == rule.kwargs["value"])
    if value is None:
        return True
    low, high = (_comparable(bound, value) for bound in (low, high))
    above = low is None or (value > low if rule.kwargs.get("strict_min") else value >= low)
    return bool(above and (high is None or (value < high if rule.kwargs.get("strict_max") else value <= high)))


def _comparable(bound: Any, value: Any) -> Any:
    """Bring a bound to the kind of the value: times from text, exact numbers for exact values, floats for floats."""
    if isinstance(bound, str) and hasattr(value, "isoformat"):
        return type(value).fromisoformat(bound)
    if isinstance(value, float) and isinstance(bound, Decimal):
        return float(bound)
    if isinstance(value, Fraction) and bound is not None:
        return Fraction(bound)
    return bound


def _sets(rule: Rule, terms: Terms, name: str, where: str) -> Figure:
    column, members = terms.column(name), rule.kwargs["value_set"]
    inside = terms.is_in(name, members)
    wanted = len({member for member in members if member is not None})
    condition = terms.condition(rule.condition)
    others = f"count(distinct {column}) filter (where {condition} and not {inside})"
    found = f"count(distinct {column}) filter (where {condition} and {inside})"
    needs_all, only = "contain" in rule.type or "equal" in rule.type, "contain" not in rule.type

    def holds(values: Sequence[Any]) -> bool:
        return (not only or values[1] == 0) and (not needs_all or values[2] == wanted)

    def shown(values: Sequence[Any]) -> str:
        faults = [f"{values[1]:,} other values"] if only and values[1] else []
        faults += [f"{values[2]:,} of the {wanted:,} values"] if needs_all and values[2] != wanted else []
        return " and ".join(faults) or "as expected"

    return Figure((f"count({column}) {where}", others, found), holds, shown)


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Fraction):
        return f"{float(value):.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
