"""Write the suites that follow from the tables: every declared column is there, and has its declared form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attribution import schema
from attribution.expectations.datasets import DATASETS
from attribution.normalization import COUNT_LIMIT

#: Handles are digests with a short prefix, as `normalization.is_hashed` takes them.
HANDLE = r"^([A-Za-z]{1,12}[_:-])?(hmac-sha256:|sha256:)?[0-9a-fA-F]{4,128}$"
_UUID = r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
_SHA256 = r"^[0-9a-f]{64}$"
_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
_CURRENCY = r"^[A-Z]{3}$"
#: What `normalization` reads as a time at all.
EARLIEST, LATEST = "2000-01-01", "2100-01-01"

_FORMS = {
    "sha256": (_SHA256, "a checksum is 64 hex digits, or the file cannot be proved"),
    "billing_period": (_MONTH, "an invoice month is YYYY-MM, or it joins no other"),
    "currency": (_CURRENCY, "a currency is three capital letters, or amounts are added across currencies"),
}


def generate() -> dict[str, str]:
    """Return the generated suites as text, by the name of their file."""
    return {f"{name}.json": _text(_suite(name)) for name in sorted(DATASETS)}


def write(folder: Path) -> list[Path]:
    """Write the generated suites into a folder; what is there already and equal stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in generate().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written


def _text(suite: dict[str, Any]) -> str:
    return json.dumps(suite, indent=2, ensure_ascii=False) + "\n"


def _suite(name: str) -> dict[str, Any]:
    table = schema.table(DATASETS[name].table)
    rules = list(_rules(table))
    initials = DATASETS[name].initials
    for number, rule in enumerate(rules, 1):
        rule["meta"] = {"rule": f"{initials}-F{number:02d}", **rule["meta"]}
    return {
        "name": f"{name}_form",
        "expectations": rules,
        "meta": {
            "dataset": name,
            "from": f"attribution/tables/{table.name}.csv",
            "by": "attribution expectations build",
        },
    }


def _rules(table: schema.Table) -> Iterator[dict[str, Any]]:
    yield _rule("table_row_count_to_be_between", "an empty data set proves nothing", min_value=1)
    yield _rule(
        "table_columns_to_match_set",
        "a column that is not there cannot be checked",
        column_set=table.names,
        exact_match=False,
    )
    for column in table.columns:
        if column.is_required:
            yield _rule(
                "column_values_to_not_be_null",
                f"{column.name} is required: {_short(column.meaning)}",
                column=column.name,
            )
        yield from _form(column)


def _form(column: schema.Column) -> Iterator[dict[str, Any]]:
    """Yield the rules about the values that a column may hold at all."""
    optional = not column.is_required
    if column.name.endswith("_hash"):
        yield _rule(
            "column_values_to_match_regex",
            "a handle is a digest, so that it names nobody",
            optional,
            column=column.name,
            regex=HANDLE,
        )
    elif column.name.endswith("_evidence") or column.name == "owner_evidence":
        yield _rule(
            "column_values_to_be_in_set",
            "evidence is a rung of the ladder, or shares do not add up",
            optional,
            column=column.name,
            value_set=list(schema.EVIDENCE),
        )
    elif column.name in _FORMS:
        regex, why = _FORMS[column.name]
        yield _rule("column_values_to_match_regex", why, optional, column=column.name, regex=regex)
    elif column.type == "TIMESTAMP" and column.name not in ("valid_from", "valid_to"):
        yield _rule(
            "column_values_to_be_between",
            "a time outside 2000 to 2100 was read with the wrong unit",
            optional,
            column=column.name,
            min_value=EARLIEST,
            max_value=LATEST,
            strict_max=True,
        )
    elif column.type == "BIGINT" and column.unit == "tokens" and column.name.endswith("_tokens"):
        yield _rule(
            "column_values_to_be_between",
            "no call has fewer than no tokens, or a million million",
            optional,
            column=column.name,
            min_value=0,
            max_value=COUNT_LIMIT,
        )
    elif column.name in ("line", "attempt_no", "observations", "sources", "rank"):
        yield _rule("column_values_to_be_between", "it is counted from 1", optional, column=column.name, min_value=1)


def _rule(type_: str, reason: str, optional: bool = False, **kwargs: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"reason": reason}
    if optional:
        meta["optional"] = True
    return {"type": f"expect_{type_}", "kwargs": kwargs, "meta": meta, "severity": "critical"}


def _short(meaning: str) -> str:
    return meaning.partition(";")[0].partition(":")[0]
