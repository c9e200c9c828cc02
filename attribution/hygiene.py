"""Ownership hygiene: personal data, raw ids, look-alike teams and values in the wrong field, before they are billed."""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution.errors import QuestionError
from attribution.ledger import Ledger, as_frame
from attribution.showing import rows as rows_of

FIELDS = ("owner_team", "workflow_id", "feature")
#: More values than this in a field that should name teams or features suggest ids in it.
MANY_VALUES = {"owner_team": 200, "workflow_id": 5000, "feature": 5000}
KEY_VARIABLE = "ATTRIBUTION_HASH_KEY"
#: Letters of other scripts that look like Latin ones (Unicode confusables, the ones met in names).
_LOOKS_LIKE = str.maketrans(
    "аеорсухіјѕԁһӏвкмнтАВЕКМНОРСТХІЅЈαοριντυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhlbkmhtABEKMHOPCTXISJaopivtukABEZHIKMNOPTYX"
)


def lint_ownership(ledger: Ledger) -> pd.DataFrame:
    """List what is wrong with ownership values, dearest first.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `finding` (personal_data, unhashed, not_text, near_key, look_alike, many_values, other_field, unknown_team),
        `field`, `detail` (values are masked when loaded), `calls`, `list_cost` [USD].

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.lint_ownership(ledger).empty
    True
    """
    values = ledger.arrow(_VALUES).to_pylist()
    found = [*ledger.arrow(_FLAGGED).to_pylist(), *_many(values), *_in_other_fields(values)]
    found += [
        {"finding": "look_alike", "field": "owner_team", "detail": row["teams"], **_sums(row)}
        for row in rows_of(look_alikes(ledger))
    ]
    found += ledger.arrow(_UNKNOWN_TEAMS).to_pylist()
    found.sort(key=lambda row: (-row["list_cost"], row["finding"], row["field"], row["detail"] or ""))
    types = pa.schema(
        [
            ("finding", pa.string()),
            ("field", pa.string()),
            ("detail", pa.string()),
            ("calls", pa.int64()),
            ("list_cost", pa.decimal128(38, 12)),
        ]
    )
    return as_frame(pa.Table.from_pylist(found, types))


def look_alikes(ledger: Ledger) -> pd.DataFrame:
    """Group team names that read the same: case, spaces, width, composed letters, letters of other scripts.

    They are never merged by themselves; an `alias` of kind team in the configuration does it.

    Parameters
    ----------
    ledger
        A built ledger.

    Returns
    -------
    pandas.DataFrame
        `skeleton`, `teams` (the names, quoted), `names`, `calls`, `list_cost` [USD], dearest first.

    Examples
    --------
    >>> import attribution as at
    >>> ledger = at.build_ledger("sample_data/traces/article/complete", quiet=True)
    >>> at.look_alikes(ledger).empty
    True
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in ledger.arrow(_VALUES).to_pylist():
        if row["field"] == "owner_team":
            groups.setdefault(skeleton(row["value"]), []).append(row)
    rows = [
        {
            "skeleton": key,
            "teams": ", ".join(ascii(row["value"]) for row in sorted(group, key=lambda row: str(row["value"]))),
            "names": len(group),
            "calls": sum(row["calls"] for row in group),
            "list_cost": sum(row["list_cost"] for row in group),
        }
        for key, group in groups.items()
        if len(group) > 1
    ]
    rows.sort(key=lambda row: (-row["list_cost"], row["skeleton"]))
    types = pa.schema(
        [
            ("skeleton", pa.string()),
            ("teams", pa.string()),
            ("names", pa.int64()),
            ("calls", pa.int64()),
            ("list_cost", pa.decimal128(38, 12)),
        ]
    )
    return as_frame(pa.Table.from_pylist(rows, types))


def skeleton(name: str) -> str:
    """Return what a name looks like, so that look-alikes are equal.

    Examples
    --------
    >>> skeleton("Support ") == skeleton("support") == skeleton("suppоrt") == skeleton("ｓｕｐｐｏｒｔ")
    True
    """
    plain = unicodedata.normalize("NFKC", name).translate(_LOOKS_LIKE).casefold()
    return "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf") and c not in " \t-_.")


def hash_ids(frame: pd.DataFrame, key: bytes | str | None = None, *, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Replace raw tenant and user ids by handles: HMAC-SHA256 with a key, never a plain hash.

    Parameters
    ----------
    frame
        A frame with raw ids.
    key
        The key; by default the environment's `ATTRIBUTION_HASH_KEY`. Keep it: the same key gives the same handles.
    columns
        Columns to hash; by default those called tenant_id, customer_id, user_id or end_user.

    Returns
    -------
    pandas.DataFrame
        A new frame in which each such column is called `<column>_hash` and holds `h_` and 32 hex digits; missing ids
        stay missing.

    Raises
    ------
    QuestionError
        If there is no key, or no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> hash_ids(pd.DataFrame({"user_id": ["u1", None]}), "k").columns.tolist()
    ['user_id_hash']
    """
    secret = key if key is not None else os.environ.get(KEY_VARIABLE)
    if not secret:
        raise QuestionError.bad_argument("key", key, f"a secret key, or one in {KEY_VARIABLE}")
    secret = secret.encode() if isinstance(secret, str) else secret
    chosen = list(columns) or [c for c in frame.columns if c in ("tenant_id", "customer_id", "user_id", "end_user")]
    missing = [c for c in chosen if c not in frame.columns]
    if not chosen or missing:
        raise QuestionError.bad_argument("columns", missing or list(columns), f"some of {list(frame.columns)}")
    hashed = frame.copy()
    for column in chosen:
        hashed[column] = [
            None if pd.isna(value) else "h_" + hmac.new(secret, str(value).encode(), hashlib.sha256).hexdigest()[:32]
            for value in frame[column]
        ]
    return hashed.rename(columns={column: f"{column}_hash" for column in chosen})


def _many(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for field in FIELDS:
        mine = [row for row in values if row["field"] == field]
        if len(mine) > MANY_VALUES[field]:
            calls, cost = sum(r["calls"] for r in mine), sum(r["list_cost"] for r in mine)
            detail = f"{len(mine):,} different values, expected at most {MANY_VALUES[field]:,}"
            found.append(
                {"finding": "many_values", "field": field, "detail": detail, "calls": calls, "list_cost": cost}
            )
    return found


def _in_other_fields(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A value that mostly stands in one field and sometimes in another is probably in the wrong one there."""
    by_value: dict[str, list[dict[str, Any]]] = {}
    for row in values:
        by_value.setdefault(row["value"], []).append(row)
    found = []
    for value, rows in by_value.items():
        most = max(rows, key=lambda row: (row["calls"], row["field"]))
        for row in rows:
            if row["field"] != most["field"] and row["calls"] * 10 <= most["calls"]:
                detail = f"{value!a} usually stands in {most['field']}"
                found.append({"finding": "other_field", "field": row["field"], "detail": detail, **_sums(row)})
    return found


def _sums(row: dict[str, Any]) -> dict[str, Any]:
    return {"calls": row["calls"], "list_cost": row["list_cost"]}


_VALUES = """
    with said as (
        select 'owner_team' as field, owner_team as value, list_cost from cost_event
        union all select 'workflow_id', workflow_id, list_cost from cost_event
        union all select 'feature', feature, list_cost from cost_event
    )
    select field, value, count(*) as calls, cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
    from said where value is not null group by field, value order by field, value
"""

#: What loading noticed on the records, once per call: `field:what:detail`.
_FLAGGED = """
    with flagged as (
        select distinct event_id, unnest(ownership_flags) as flag from event_record where len(ownership_flags) > 0
    ),
    named as (
        select event_id, case
                when contains(flag, ':personal_data:') then 'personal_data'
                when contains(flag, ':unhashed') then 'unhashed'
                when contains(flag, 'near_key') then 'near_key'
                when contains(flag, ':not_text') or contains(flag, ':not_an_object') then 'not_text'
                when contains(flag, ':too_long') then 'too_long' end as finding, flag
        from flagged
    )
    select finding, split_part(flag, ':', 1) as field, min(flag) as detail, count(distinct event_id) as calls,
        cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
    from named join cost_event using (event_id) where finding is not null
    group by finding, split_part(flag, ':', 1) order by all
"""

_UNKNOWN_TEAMS = """
    select 'unknown_team' as finding, 'owner_team' as field, owner_team as detail, count(*) as calls,
        cast(coalesce(sum(list_cost), 0) as decimal(38, 12)) as list_cost
    from cost_event
    where owner_team is not null and (select count(*) from team) > 0
        and owner_team not in (select team from team)
    group by owner_team order by owner_team
"""
