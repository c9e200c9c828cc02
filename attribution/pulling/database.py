"""LiteLLM's own PostgreSQL database: its spend logs, read in one snapshot and without the right to change anything."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.errors import PullError

if TYPE_CHECKING:
    import psycopg

_TABLE = "LiteLLM_SpendLogs"
#: What was said in calls stays in the database.
_SELECT = """
    select (to_jsonb(logs) - 'messages' - 'response' - 'proxy_server_request')::text
    from "LiteLLM_SpendLogs" as logs
    where "startTime" >= %(start)s and "startTime" < %(end)s
    order by "startTime", request_id
"""
_BATCH = 5_000


def pull_spend_logs(dsn: str, start: date, end: date, out: Path, *, pulled_at: datetime) -> tuple[Path, int]:
    """Write the spend logs of some days as JSON Lines, without prompts and answers.

    Parameters
    ----------
    dsn
        Address of the database, such as `postgresql://reader@host/litellm`.
    start, end
        First day, and the day after the last, in UTC: the table's naive times are UTC.
    out
        Folder for the file; made when missing.
    pulled_at
        The time of this pull; it stands in the file's name.

    Returns
    -------
    tuple
        The file, and how many rows it has.

    Raises
    ------
    PullError
        If the database cannot be reached, or has no such table, or may not be read.
    """
    try:
        import psycopg
    except ImportError:
        raise PullError.no_extra("psycopg") from None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"litellm-spend_logs.{start}..{end}.pulled-{pulled_at:%Y%m%dT%H%M%SZ}.jsonl"
    partial = path.with_name(f".{path.name}.partial")
    try:
        with psycopg.connect(dsn, connect_timeout=15, application_name="attribution") as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            rows = _write(connection, partial, start, end)
    except psycopg.Error as error:
        partial.unlink(missing_ok=True)
        raise PullError.database(_why(error)) from None
    os.replace(partial, path)
    return path, rows


def _write(connection: psycopg.Connection[Any], partial: Path, start: date, end: date) -> int:
    """Stream the rows of one snapshot; the server keeps the rest until it is asked for."""
    edges = {name: datetime.combine(day, time()) for name, day in (("start", start), ("end", end))}
    rows = 0
    with partial.open("w", encoding="utf-8", newline="\n") as stream, connection.cursor(name="spend_logs") as cursor:
        cursor.itersize = _BATCH
        for (row,) in cursor.execute(_SELECT, edges):
            stream.write(row + "\n")
            rows += 1
        stream.flush()
        os.fsync(stream.fileno())
    return rows


def _why(error: psycopg.Error) -> str:
    """Return the first line of what the server says; it holds no password."""
    said = str(error).strip().splitlines()
    return f"{said[0] if said else type(error).__name__}."


def now() -> datetime:
    """Return the time of a pull, to the second: pulling is the one thing here that happens at a moment."""
    return datetime.now(UTC).replace(microsecond=0)
