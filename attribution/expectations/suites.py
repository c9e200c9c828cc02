"""Read suites strictly: a misspelt type, severity or argument is an error that names it, never a rule fewer."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from attribution.errors import ConfigurationError
from attribution.expectations.patterns import Untranslatable, translate
from attribution.expectations.rule_types import IGNORED, SEVERITIES, SUPPORTED, RuleType

_SUITE_KEYS = ("name", "expectations", "meta", "notes", "id", "suite_parameters")
_RULE_KEYS = (
    "type",
    "kwargs",
    "meta",
    "severity",
    "description",
    "notes",
    "id",
    "rendered_content",
    "expectation_context",
)
#: Names of before Great Expectations 1.0.
_FORMER = {"expectation_suite_name": "name", "expectation_type": "type", "evaluation_parameters": "suite_parameters"}
_FORMER_LEFT_OUT = ("data_asset_type", "ge_cloud_id")
_IGNORE = {
    "pair": ("both_values_are_missing", "either_value_is_missing", "neither"),
    "several": ("all_values_are_missing", "any_value_is_missing", "never"),
}
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "IN", "NOT_IN")


@dataclass(frozen=True)
class Rule:
    """One expectation: its id, what it asks, how bad it is when broken, and why it matters."""

    id: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    reason: str
    #: A column of this rule may lack every value without that being a fault.
    is_optional: bool

    @property
    def kind(self) -> str:
        """`row`, `group`, `aggregate` or `table`."""
        return SUPPORTED[self.type].kind

    @property
    def columns(self) -> list[str]:
        """The columns that the rule judges, in its order."""
        if self.type == "expect_table_columns_to_match_ordered_list":
            return []
        given = [self.kwargs.get(name) for name in ("column", "column_A", "column_B")]
        return [str(name) for name in [*given, *self.kwargs.get("column_list", ())] if name is not None]

    @property
    def reads(self) -> set[str]:
        """Every column that the rule reads, those of its condition too."""
        return {*self.columns, *self.reads_of_condition}

    @property
    def reads_of_condition(self) -> set[str]:
        """The columns that say which rows are meant."""
        return set(_columns_of(self.condition))

    @property
    def condition(self) -> Mapping[str, Any] | None:
        """The tree that says which rows are meant; None means all."""
        return self.kwargs.get("row_condition")

    @property
    def words(self) -> str:
        """The reason why the rule is there; without one, what it asks."""
        asked = self.type.removeprefix("expect_").replace("_", " ")
        return self.reason or ", ".join([asked, *self.columns])

    @property
    def mostly(self) -> Decimal:
        """The share of the rows that must pass."""
        return Decimal(str(self.kwargs.get("mostly", 1)))


@dataclass(frozen=True)
class Suite:
    """A named list of rules about one data set."""

    name: str
    rules: tuple[Rule, ...]
    place: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dataset(self) -> str | None:
        """The data set of a ledger that the suite is about; None for a suite about any frame."""
        return self.meta.get("dataset")

    @property
    def source(self) -> str | None:
        """The only source whose rows are meant, if any."""
        return self.meta.get("source")


def read_suite(given: str | os.PathLike[str] | Mapping[str, Any]) -> Suite:
    """Read one suite from a file, or from what `json.loads` made of one."""
    if isinstance(given, Mapping):
        return _suite(_exact(given), "suite")
    path = Path(given)
    place = os.fspath(given)
    try:
        raw = json.loads(
            path.read_text(encoding="utf-8-sig"),
            parse_float=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
    except UnicodeDecodeError:
        raise ConfigurationError.at(place, None, "bytes that are not UTF-8", "a suite as JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError.at(place, error.lineno, error.msg, "a Great Expectations suite as JSON") from None
    except ValueError as error:
        raise ConfigurationError.at(place, None, str(error), "a Great Expectations suite as JSON") from None
    except RecursionError:
        raise ConfigurationError.at(place, None, "values nested too deep", "a suite as JSON") from None
    return _suite(raw, place)


def _exact(value: Any) -> Any:
    """Return JSON as reading a file gives it: a bound of 0.8 is eight tenths, not the float beside it."""
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else value
    if isinstance(value, Mapping):
        return {key: _exact(each) for key, each in value.items()}
    return [_exact(each) for each in value] if isinstance(value, list | tuple) else value


def _no_constant(text: str) -> Any:
    raise ValueError(f"the number {text}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key `{twice}` twice in one object")
    return dict(pairs)


def _suite(raw: Any, place: str) -> Suite:
    raw = _known_keys(raw, _SUITE_KEYS, place, "an object with `name` and `expectations`")
    name, rules, meta = raw.get("name"), raw.get("expectations"), raw.get("meta") or {}
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError.at(place, None, f"the suite's name {name!r}", "a text under `name`")
    if not isinstance(rules, list) or not rules:
        raise ConfigurationError.at(place, None, f"{type(rules).__name__} for `expectations`", "a list with a rule")
    if raw.get("suite_parameters"):
        raise ConfigurationError.at(place, None, "`suite_parameters`", "plain values in each rule")
    if not isinstance(meta, dict):
        raise ConfigurationError.at(place, None, "a `meta` that is no object", "an object")
    read = tuple(_rule(rule, number, place) for number, rule in enumerate(rules, 1))
    ids = [rule.id for rule in read]
    for rule in read:
        if ids.count(rule.id) > 1:
            raise ConfigurationError.at(place, None, f"the rule id `{rule.id}` twice", "an id of its own for each rule")
    source = meta.get("source")
    return Suite(name, tuple(_scoped(rule, source) for rule in read) if source else read, place, meta)


def _scoped(rule: Rule, source: str) -> Rule:
    """Limit a rule to the rows of one source."""
    if "row_condition" not in SUPPORTED[rule.type].arguments:
        return rule
    only: dict[str, Any] = {"type": "comparison", "column": {"name": "source"}, "operator": "==", "parameter": source}
    both = only if rule.condition is None else {"type": "and", "conditions": [only, rule.condition]}
    return replace(rule, kwargs={**rule.kwargs, "row_condition": both})


def _known_keys(raw: Any, known: tuple[str, ...], place: str, expected: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigurationError.at(place, None, f"a value of type {type(raw).__name__}", expected)
    named: dict[str, Any] = {
        str(_FORMER.get(key, key)): value for key, value in raw.items() if key not in _FORMER_LEFT_OUT
    }
    for key in named:
        if key not in known:
            raise ConfigurationError.unknown_key(place, None, key, known)
    return named


def _rule(raw: Any, number: int, place: str) -> Rule:
    raw = _known_keys(raw, _RULE_KEYS, f"{place}, rule {number}", "an object with `type` and `kwargs`")
    meta, kwargs = raw.get("meta") or {}, raw.get("kwargs") or {}
    if not isinstance(meta, dict) or not isinstance(kwargs, dict):
        raise ConfigurationError.at(f"{place}, rule {number}", None, "`meta` or `kwargs` that is no object", "objects")
    identity = str(meta.get("rule") or f"{number:02d}")
    where = f"{place}, rule {identity}"
    type_ = raw.get("type")
    if type_ not in SUPPORTED:
        raise ConfigurationError.unknown_rule(where, str(type_), SUPPORTED)
    severity = raw.get("severity", "critical")
    if severity not in SEVERITIES:
        raise ConfigurationError.unknown_key(where, None, str(severity), SEVERITIES)
    kept = {key: value for key, value in kwargs.items() if key not in IGNORED and value is not None}
    _check_arguments(SUPPORTED[type_], kept, where)
    reason = meta.get("reason") or raw.get("description") or meta.get("why") or ""
    return Rule(identity, type_, kept, severity, str(reason), meta.get("optional") is True)


def _check_arguments(rule_type: RuleType, kwargs: Mapping[str, Any], where: str) -> None:
    for name in kwargs:
        if name not in rule_type.arguments:
            raise ConfigurationError.unknown_key(where, None, name, rule_type.arguments)
    for name in rule_type.required:
        if name not in kwargs:
            raise ConfigurationError.at(where, None, f"no `{name}`", f"`{name}` in `kwargs`")
    for name, expected, is_right in _forms(kwargs):
        if not is_right:
            raise ConfigurationError.at(where, None, f"`{name}` is {_shown(kwargs[name])}", expected)
    if "min_value" in rule_type.optional and not kwargs.keys() & {"min_value", "max_value"}:
        raise ConfigurationError.at(where, None, "neither `min_value` nor `max_value`", "at least one of them")
    for pattern in [kwargs[name] for name in ("regex",) if name in kwargs] + list(kwargs.get("regex_list", ())):
        try:
            translate(pattern)
        except Untranslatable as why:
            raise ConfigurationError.at(
                where,
                None,
                f"the pattern {pattern!r}: {why}",
                "a pattern without look-around, back-references or `\\b`",
            ) from None
    if "row_condition" in kwargs:
        check_condition(kwargs["row_condition"], where)


def _forms(kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield each argument with what is expected of it and whether it is that."""
    for name, value in kwargs.items():
        if name in ("column", "column_A", "column_B", "regex"):
            yield name, "a text", isinstance(value, str)
        elif name == "mostly":
            yield name, "a share from 0 to 1, such as 0.98", _is_number(value) and 0 <= value <= 1
        elif name in ("min_value", "max_value"):
            yield name, "a number, or a time such as 2026-10-01", _is_number(value) or _is_time(value)
        elif name in ("strict_min", "strict_max", "or_equal", "exact_match"):
            yield name, "true or false", isinstance(value, bool)
        elif name in ("value", "column_index"):
            yield name, "a whole number", type(value) is int
        elif name == "sum_total":
            yield name, "a number", _is_number(value)
        elif name in ("column_list", "column_set", "regex_list"):
            yield name, "a list of texts", _is_list(value) and all(isinstance(each, str) for each in value)
        elif name == "value_set":
            yield name, "a list of texts, numbers or booleans", _is_list(value) and all(map(_is_plain, value))
        elif name == "value_pairs_set":
            yield name, "a list of pairs", _is_list(value) and all(_is_list(p) and len(p) == 2 for p in value)
        elif name == "match_on":
            yield name, "any or all", value in ("any", "all")
        elif name == "ignore_row_if":
            choices = _IGNORE["pair" if "column_A" in kwargs else "several"]
            yield name, f"one of {', '.join(choices)}", value in choices
        elif name == "condition_parser":
            yield (
                name,
                "no text condition: write `row_condition` as a tree of objects",
                not isinstance(kwargs.get("row_condition"), str),
            )
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        yield "min_value", f"no more than max_value {_shown(high)}", _is_ordered(low, high)


def _is_ordered(low: Any, high: Any) -> bool:
    """Whether two bounds are of one kind and in order."""
    if _is_time(low) and _is_time(high):
        return datetime.fromisoformat(low) <= datetime.fromisoformat(high)
    return bool(low <= high) if _is_number(low) and _is_number(high) else False


def _columns_of(tree: Mapping[str, Any] | None) -> Iterator[str]:
    if tree is not None and "conditions" in tree:
        for part in tree["conditions"]:
            yield from _columns_of(part)
    elif tree is not None:
        yield tree["column"]["name"]


def check_condition(tree: Any, where: str) -> None:
    """Refuse a condition that is not the tree Great Expectations writes."""
    if isinstance(tree, str):
        raise ConfigurationError.at(
            where, None, f"the text condition {tree!r}", "a tree of objects, as Great Expectations writes since 1.9"
        )
    kind = tree.get("type") if isinstance(tree, dict) else None
    if kind in ("and", "or"):
        parts = tree.get("conditions")
        if not isinstance(parts, list) or not parts:
            raise ConfigurationError.at(where, None, f"an `{kind}` without conditions", "a list of conditions")
        for part in parts:
            check_condition(part, where)
        return
    column = tree.get("column") if isinstance(tree, dict) else None
    if kind not in ("comparison", "nullity") or not isinstance(column, dict) or not isinstance(column.get("name"), str):
        raise ConfigurationError.at(
            where,
            None,
            f"the condition {_shown(tree)}",
            "a `comparison` or `nullity` with its column, or an `and` or `or`",
        )
    if kind == "nullity" and not isinstance(tree.get("is_null"), bool):
        raise ConfigurationError.at(where, None, "a nullity without `is_null`", "true or false")
    if kind == "comparison":
        _check_comparison(tree.get("operator"), tree.get("parameter"), where)


def _check_comparison(operator: Any, parameter: Any, where: str) -> None:
    if operator not in _OPERATORS:
        raise ConfigurationError.unknown_key(where, None, str(operator), _OPERATORS)
    if operator in ("IN", "NOT_IN"):
        if not _is_list(parameter) or not all(_is_plain(each) for each in parameter):
            raise ConfigurationError.at(where, None, f"the parameter {_shown(parameter)}", "a list for IN")
    elif not _is_plain(parameter):
        raise ConfigurationError.at(where, None, f"the parameter {_shown(parameter)}", "a text, number or boolean")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    """Whether a bound is a time without an offset; the engine would drop one, and times here are UTC."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | Decimal | bool)


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
