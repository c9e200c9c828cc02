"""Rules about rows as two conditions of the engine: which rows are judged, and which of them fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attribution.expectations.patterns import translate
from attribution.expectations.suites import Rule
from attribution.expectations.terms import NotJudged, Terms


@dataclass(frozen=True)
class Check:
    """A rule ready for a scan: all rows it could judge, those with something to judge, and those that fail."""

    meant: str
    judged: str
    failing: str
    #: Rows that are the same in some columns fail together: what makes the table of their values that `failing` reads.
    doubles: str = ""


def compile_row(rule: Rule, terms: Terms) -> Check:
    """Return the conditions of a row rule.

    As in Great Expectations missing values are not judged, except by the two types about them; a pair or several
    columns are left out as `ignore_row_if` says.
    """
    meant = terms.condition(rule.condition)
    judged, failing = _COMPILE[rule.type](rule, terms)
    return Check(meant, _both(meant, judged), _both(meant, _both(judged, failing)))


def compile_group(rule: Rule, terms: Terms, relation: str, table: str) -> Check:
    """Return the conditions of a rule about doubles: every row of a group of equals fails, as in pandas.

    Grouping is what takes long, so it is done once: `table` keeps the values there are several rows of.
    """
    meant = terms.condition(rule.condition)
    names = [terms.held(name) for name in rule.columns]
    is_compound = rule.type == "expect_compound_columns_to_be_unique"
    judged = _present(rule, terms) if is_compound else terms.present(rule.columns[0])
    rows = _both(meant, judged)
    keys = ", ".join(f"{name} as k{place}" for place, name in enumerate(names))
    query = f"select {keys}, count(*) as rows_alike from {relation} where {rows} group by all having count(*) > 1"
    same = " and ".join(f"double.k{place} is not distinct from {name}" for place, name in enumerate(names))
    failing = f"exists (select 1 from {table} as double where {same})"
    if len(names) == 1:
        failing = f"{names[0]} in (select k0 from {table})"
    return Check(meant, rows, _both(rows, failing), f"create or replace temp table {table} as {query}")


def _both(one: str, other: str) -> str:
    if "true" in (one, other):
        return other if one == "true" else one
    return f"({one} and {other})"


def _present(rule: Rule, terms: Terms) -> str:
    """Which rows are judged, by how many of the columns are missing."""
    ignored = rule.kwargs.get("ignore_row_if", "all_values_are_missing")
    if ignored in ("never", "neither"):
        return "true"
    tests = [terms.present(name) for name in rule.columns]
    if ignored in ("all_values_are_missing", "both_values_are_missing"):
        return "true" if "true" in tests else "(" + " or ".join(tests) + ")"
    return "(" + " and ".join(test for test in tests if test != "true") + ")" if set(tests) != {"true"} else "true"


def _not_null(rule: Rule, terms: Terms) -> tuple[str, str]:
    return "true", f"{terms.held(rule.columns[0])} is null"


def _null(rule: Rule, terms: Terms) -> tuple[str, str]:
    return "true", f"{terms.held(rule.columns[0])} is not null"


def _in_set(rule: Rule, terms: Terms) -> tuple[str, str]:
    name = rule.columns[0]
    return terms.present(name), f"not {terms.is_in(name, rule.kwargs['value_set'])}"


def _not_in_set(rule: Rule, terms: Terms) -> tuple[str, str]:
    name = rule.columns[0]
    return terms.present(name), terms.is_in(name, rule.kwargs["value_set"])


def _between(rule: Rule, terms: Terms) -> tuple[str, str]:
    name = rule.columns[0]
    bounds = _bounds(rule, terms.column(name), lambda value: terms.bound(name, value))
    return terms.present(name), f"not {bounds}"


def _bounds(rule: Rule, expression: str, bind: Callable[[Any], str]) -> str:
    low, high = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    parts = []
    if low is not None:
        parts.append(f"{expression} {'>' if rule.kwargs.get('strict_min') else '>='} {bind(low)}")
    if high is not None:
        parts.append(f"{expression} {'<' if rule.kwargs.get('strict_max') else '<='} {bind(high)}")
    return "(" + " and ".join(parts) + ")"


def _matches(terms: Terms, text: str, pattern: str) -> str:
    return f"regexp_matches({text}, {terms.bind(translate(pattern))})"


def _regex(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    return terms.present(rule.columns[0]), f"not {_matches(terms, text, rule.kwargs['regex'])}"


def _not_regex(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    return terms.present(rule.columns[0]), _matches(terms, text, rule.kwargs["regex"])


def _regex_list(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    word = " and " if rule.kwargs.get("match_on") == "all" else " or "
    found = word.join(_matches(terms, text, pattern) for pattern in rule.kwargs["regex_list"])
    return terms.present(rule.columns[0]), f"not ({found})"


def _not_regex_list(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    found = " or ".join(_matches(terms, text, pattern) for pattern in rule.kwargs["regex_list"])
    return terms.present(rule.columns[0]), f"({found})"


def _lengths(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    return terms.present(rule.columns[0]), f"not {_bounds(rule, f'length({text})', terms.bind)}"


def _length(rule: Rule, terms: Terms) -> tuple[str, str]:
    text = terms.text(rule.columns[0])
    return terms.present(rule.columns[0]), f"length({text}) <> {terms.bind(rule.kwargs['value'])}"


def _pair(rule: Rule, terms: Terms) -> tuple[list[str], str]:
    kinds = [terms.kind(name) for name in rule.columns]
    names = [terms.column(name) for name in rule.columns]
    if kinds[0] != kinds[1] or kinds[0] == "other":
        types = " and ".join(f"`{name}` is {terms.types[name]}" for name in rule.columns)
        raise NotJudged(f"{types}; they cannot be compared")
    return names, _present(rule, terms)


def _greater(rule: Rule, terms: Terms) -> tuple[str, str]:
    names, judged = _pair(rule, terms)
    sign = ">=" if rule.kwargs.get("or_equal") else ">"
    return judged, f"not coalesce({names[0]} {sign} {names[1]}, false)"


def _equal(rule: Rule, terms: Terms) -> tuple[str, str]:
    names, judged = _pair(rule, terms)
    return judged, f"not coalesce({names[0]} = {names[1]}, false)"


def _pair_in_set(rule: Rule, terms: Terms) -> tuple[str, str]:
    left, right = rule.columns
    names = [terms.column(left), terms.column(right)]
    pairs = [
        " and ".join(
            f"{column_sql} is null" if member is None else f"coalesce({terms.is_in(column, [member])}, false)"
            for column, column_sql, member in zip((left, right), names, pair, strict=True)
        )
        for pair in rule.kwargs["value_pairs_set"]
    ]
    return _present(rule, terms), "not (" + (" or ".join(f"({pair})" for pair in pairs) or "false") + ")"


def _sum_equal(rule: Rule, terms: Terms) -> tuple[str, str]:
    for name in rule.columns:
        if terms.kind(name) != "number":
            raise NotJudged(f"`{name}` is {terms.types[name]}; only numbers have a sum")
    names = [terms.column(name) for name in rule.columns]
    total = terms.bind(rule.kwargs["sum_total"])
    return _present(rule, terms), f"not coalesce({' + '.join(names)} = {total}, false)"


def _all_equal(rule: Rule, terms: Terms) -> tuple[str, str]:
    names = [terms.column(name) for name in rule.columns]
    same = " and ".join(f"{name} is not distinct from {names[0]}" for name in names[1:]) or "true"
    return _present(rule, terms), f"not ({same})"


def _all_different(rule: Rule, terms: Terms) -> tuple[str, str]:
    names = [terms.column(name) for name in rule.columns]
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    different = " and ".join(f"{one} is distinct from {other}" for one, other in pairs) or "true"
    return _present(rule, terms), f"not ({different})"


_COMPILE: dict[str, Callable[[Rule, Terms], tuple[str, str]]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_values_to_not_match_regex": _not_regex,
    "expect_column_values_to_match_regex_list": _regex_list,
    "expect_column_values_to_not_match_regex_list": _not_regex_list,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _length,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_column_pair_values_to_be_in_set": _pair_in_set,
    "expect_multicolumn_sum_to_equal": _sum_equal,
    "expect_multicolumn_values_to_be_equal": _all_equal,
    "expect_select_column_values_to_be_unique_within_record": _all_different,
}
