"""The rule types that both engines understand, with what each takes; anything else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("critical", "warning", "info")

_CONDITION = ("row_condition", "condition_parser")
_BOUNDS = ("min_value", "max_value", "strict_min", "strict_max")
#: What Great Expectations writes beside the arguments and what changes no verdict.
IGNORED = ("batch_id", "result_format", "catch_exceptions", "include_config")


@dataclass(frozen=True)
class RuleType:
    """One type: `row` rules judge each row, `group` rules rows together, `aggregate` a figure, `table` the shape."""

    kind: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Everything the type takes."""
        return (*self.required, *self.optional)


def _column(*required: str, optional: tuple[str, ...] = (), kind: str = "row") -> RuleType:
    return RuleType(kind, ("column", *required), (*optional, "mostly", *_CONDITION))


def _pair(*required: str, optional: tuple[str, ...] = ()) -> RuleType:
    return RuleType("row", ("column_A", "column_B", *required), (*optional, "ignore_row_if", "mostly", *_CONDITION))


def _several(*required: str, kind: str = "row") -> RuleType:
    return RuleType(kind, ("column_list", *required), ("ignore_row_if", "mostly", *_CONDITION))


def _figure(*required: str, optional: tuple[str, ...] = ()) -> RuleType:
    return RuleType("aggregate", ("column", *required), (*optional, *_CONDITION))


SUPPORTED: dict[str, RuleType] = {
    "expect_column_values_to_not_be_null": _column(),
    "expect_column_values_to_be_null": _column(),
    "expect_column_values_to_be_in_set": _column("value_set"),
    "expect_column_values_to_not_be_in_set": _column("value_set"),
    "expect_column_values_to_be_between": _column(optional=_BOUNDS),
    "expect_column_values_to_match_regex": _column("regex"),
    "expect_column_values_to_not_match_regex": _column("regex"),
    "expect_column_values_to_match_regex_list": _column("regex_list", optional=("match_on",)),
    "expect_column_values_to_not_match_regex_list": _column("regex_list"),
    "expect_column_value_lengths_to_be_between": _column(optional=_BOUNDS),
    "expect_column_value_lengths_to_equal": _column("value"),
    "expect_column_values_to_be_unique": _column(kind="group"),
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(optional=("or_equal",)),
    "expect_column_pair_values_to_be_equal": _pair(),
    "expect_column_pair_values_to_be_in_set": _pair("value_pairs_set"),
    "expect_compound_columns_to_be_unique": _several(kind="group"),
    "expect_multicolumn_sum_to_equal": _several("sum_total"),
    "expect_multicolumn_values_to_be_equal": _several(),
    "expect_select_column_values_to_be_unique_within_record": _several(),
    "expect_column_max_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_min_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_sum_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_mean_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_median_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_stdev_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_unique_value_count_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_proportion_of_unique_values_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_proportion_of_non_null_values_to_be_between": _figure(optional=_BOUNDS),
    "expect_column_distinct_values_to_be_in_set": _figure("value_set"),
    "expect_column_distinct_values_to_contain_set": _figure("value_set"),
    "expect_column_distinct_values_to_equal_set": _figure("value_set"),
    "expect_table_row_count_to_be_between": RuleType("aggregate", (), (*_BOUNDS, *_CONDITION)),
    "expect_table_row_count_to_equal": RuleType("aggregate", ("value",), _CONDITION),
    "expect_column_to_exist": RuleType("table", ("column",), ("column_index",)),
    "expect_table_column_count_to_be_between": RuleType("table", (), ("min_value", "max_value")),
    "expect_table_column_count_to_equal": RuleType("table", ("value",), ()),
    "expect_table_columns_to_match_set": RuleType("table", ("column_set",), ("exact_match",)),
    "expect_table_columns_to_match_ordered_list": RuleType("table", ("column_list",), ()),
}

#: Types that look at missing values themselves, so that a column without any value is no reason to refuse a verdict.
JUDGE_NULLS = frozenset(
    {
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_null",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
    }
)
