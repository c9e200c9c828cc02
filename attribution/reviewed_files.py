"""Files that people review, read strictly: no tags, no anchors, no duplicate keys; faults name file and line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from attribution.errors import ConfigurationError

_PLAIN_INTEGER = re.compile(r"-?\d+", re.ASCII)
_PLAIN_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


class Placed(dict[str, Any]):
    """A mapping that knows its line, and the line of each key."""

    line: int = 0
    lines: Mapping[str, int] = {}


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number in plain form."""
    return not isinstance(value, bool) and _PLAIN_INTEGER.fullmatch(str(value)) is not None


def exact(value: Any) -> Decimal:
    """Return a plain number that DECIMAL(38, 12) holds as it is, or raise `ValueError`; nothing is rounded."""
    if isinstance(value, bool | float) or not _PLAIN_DECIMAL.fullmatch(str(value)):
        raise ValueError
    amount = Decimal(str(value))
    exponent = amount.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -12 and abs(amount) < Decimal(10) ** 26:
        return amount
    raise ValueError


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says, or raise an error with file and line."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise ConfigurationError.at(str(path), None, str(error), "YAML in UTF-8") from None


def parse_yaml(text: str, path: Path) -> Any:
    """Return what a YAML text says; `path` is the file that errors name."""
    try:
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken) for token in yaml.scan(text)):
            token = next(
                t for t in yaml.scan(text) if isinstance(t, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken)
            )
            raise ConfigurationError.at(
                str(path), token.start_mark.line + 1, "an anchor, alias or tag", "plain values written out"
            )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _construct(node, path)
    except RecursionError:
        raise ConfigurationError.at(str(path), None, "too many levels", "a few") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigurationError.at(str(path), mark.line + 1 if mark else None, problem, "valid YAML") from None


def _construct(node: yaml.Node, path: Path) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, path) for child in node.value]
    if isinstance(node, yaml.MappingNode):
        mapping, lines = Placed(), dict[str, int]()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise ConfigurationError.at(str(path), key_node.start_mark.line + 1, f"`{key}` stands twice", "it once")
            mapping[key] = _construct(value_node, path)
            lines[key] = key_node.start_mark.line + 1
        mapping.line, mapping.lines = line, lines
        return mapping
    return _scalar(str(node.value), node.tag.rpartition(":")[2], node)


def _scalar(text: str, kind: str, node: yaml.Node) -> Any:
    """Return a plain value; numbers in forms that only YAML reads (0012, 1_000, 1:30, .inf) stay the text they are."""
    if kind == "int":
        return int(text) if _PLAIN_INTEGER.fullmatch(text) and str(int(text)) == text else text
    if kind == "float":
        return Decimal(text) if _PLAIN_DECIMAL.fullmatch(text) else text
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:  # 2026-02-30 looks like a date and is none
        return text
