"""A LiteLLM database is read as one snapshot, without prompts, and without the right to change it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attribution.cli import app
from attribution.errors import PullError
from attribution.ledger import open_ledger
from attribution.loading import load
from attribution.pulling.database import pull_spend_logs

psycopg = pytest.importorskip("psycopg", reason="the extra `pull` is not installed")

PULLED_AT = datetime(2026, 10, 20, 6, tzinfo=UTC)
FIRST, AFTER = date(2026, 9, 1), date(2026, 10, 1)
_TABLE = """
    create table "LiteLLM_SpendLogs" (
        request_id text primary key, call_type text not null, api_key text not null default '', spend double precision
        not null default 0, total_tokens int not null default 0, prompt_tokens int not null default 0,
        completion_tokens int not null default 0, "startTime" timestamp(3) not null, "endTime" timestamp(3) not null,
        "completionStartTime" timestamp(3), model text not null default '', model_id text default '',
        model_group text default '', custom_llm_provider text default '', api_base text default '', "user" text
        default '', metadata jsonb default '{}', cache_hit text default '', cache_key text default '',
        request_tags jsonb default '[]', team_id text, end_user text, requester_ip_address text,
        messages jsonb default '{}', response jsonb default '{}', session_id text, status text,
        proxy_server_request jsonb default '{}'
    )
"""
_INSERT = """
    insert into "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens,
        completion_tokens, "startTime", "endTime", model, custom_llm_provider, metadata, request_tags, team_id,
        messages)
    select 'chatcmpl-' || n, 'acompletion', 'hashed', 0.1 + n * 0.000001, 110, 100, 10,
        timestamp '2026-09-14 10:00:00.123' + n * interval '1 minute',
        timestamp '2026-09-14 10:00:01.123' + n * interval '1 minute', 'gpt-5-mini', 'openai',
        jsonb_build_object('spend_logs_metadata', jsonb_build_object('owner_team', 'support')),
        '["triage"]', 'team-platform', '{"role": "user", "content": "a secret question"}'
    from generate_series(1, 3) as n
"""


def _program(name: str) -> str | None:
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(beside[0]) if beside else None)


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; it gets an ordinary user then."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = next((name for name in ("postgres", "nobody") if name in names), None)
    if name is None:
        pytest.skip("there is no user but root to run PostgreSQL as")
    return {"user": name, "extra_groups": []}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a PostgreSQL of our own on a free port of this machine, and stop it afterwards."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL (initdb, postgres) is not installed")
    user = _user()
    with tempfile.TemporaryDirectory(prefix="attribution-pg-") as folder:
        if user:
            shutil.chown(folder, user["user"])
        data = f"{folder}/data"
        made = subprocess.run(
            [initdb, "-D", data, "-U", "owner", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
            capture_output=True, text=True, cwd=folder, check=False, **user,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"initdb failed: {made.stderr.strip().splitlines()[-1]}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [postgres, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **user
        )
        try:
            _await(process)
            yield f"postgresql://owner@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _await(process: subprocess.Popen[str]) -> None:
    """Read what the server says until it says that it is ready."""
    assert process.stderr is not None
    for line in process.stderr:
        if "ready to accept connections" in line:
            return
    pytest.skip("PostgreSQL did not start")


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """Fill the table, and give the address of a reader who may only select."""
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute('drop table if exists "LiteLLM_SpendLogs"')
        owner.execute(_TABLE)
        owner.execute(_INSERT)
        owner.execute("drop role if exists reader")
        owner.execute("create role reader login")
        owner.execute('grant select on "LiteLLM_SpendLogs" to reader')
        yield server.replace("owner@", "reader@")
        owner.execute('drop table "LiteLLM_SpendLogs"')


def test_the_rows_of_the_table_become_calls_with_their_owners(database: str, tmp_path: Path) -> None:
    path, rows = pull_spend_logs(database, FIRST, AFTER, tmp_path, pulled_at=PULLED_AT)

    ledger = open_ledger()
    loaded = load(ledger, path)

    assert rows == 3
    assert [row["source"] for row in loaded.files] == ["litellm_spend_logs"]
    assert ledger.rows(
        "select sum(input_tokens), sum(output_tokens), sum(source_cost), min(started_at) from observation"
    ) == [(300, 30, Decimal("0.300006"), datetime(2026, 9, 14, 10, 1, 0, 123000))]
    assert ledger.rows("select distinct owner_team from observation") == [("support",)]


def test_prompts_and_answers_stay_in_the_database(database: str, tmp_path: Path) -> None:
    path, _ = pull_spend_logs(database, FIRST, AFTER, tmp_path, pulled_at=PULLED_AT)

    assert "secret" not in path.read_text(encoding="utf-8")
    assert {"messages", "response", "proxy_server_request"}.isdisjoint(json.loads(path.read_text().splitlines()[0]))


def test_only_the_days_asked_for_are_read(database: str, tmp_path: Path) -> None:
    path, rows = pull_spend_logs(database, date(2026, 9, 15), AFTER, tmp_path, pulled_at=PULLED_AT)

    assert (rows, path.read_text()) == (0, "")


def test_loading_two_pulls_counts_every_row_once(database: str, tmp_path: Path) -> None:
    first, _ = pull_spend_logs(database, FIRST, AFTER, tmp_path / "1", pulled_at=PULLED_AT)
    second, _ = pull_spend_logs(database, date(2026, 9, 14), AFTER, tmp_path / "2", pulled_at=PULLED_AT)
    ledger = open_ledger()

    load(ledger, first, second)

    assert ledger.value("select count(*) from observation") == 3


def test_a_database_without_the_table_or_the_right_is_named_in_one_sentence(server: str, tmp_path: Path) -> None:
    with pytest.raises(PullError, match='relation "LiteLLM_SpendLogs" does not exist'):
        pull_spend_logs(server, FIRST, AFTER, tmp_path, pulled_at=PULLED_AT)

    assert list(tmp_path.iterdir()) == []


def test_the_connection_can_change_nothing(database: str, server: str, tmp_path: Path) -> None:
    """Even an owner's address is read in a read-only, repeatable-read transaction."""
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute("create or replace function bad() returns int language sql as 'select 1'")
        owner.execute('alter table "LiteLLM_SpendLogs" rename to really')
        owner.execute(
            "create or replace function touch() returns setof really language plpgsql as $$ "
            "begin update really set spend = 0; return query select * from really; end $$"
        )
        owner.execute('create view "LiteLLM_SpendLogs" as select * from touch()')
        try:
            with pytest.raises(PullError, match="read-only transaction"):
                pull_spend_logs(server, FIRST, AFTER, tmp_path, pulled_at=PULLED_AT)
        finally:
            owner.execute('drop view "LiteLLM_SpendLogs"')
            owner.execute("drop function touch()")
            owner.execute('alter table really rename to "LiteLLM_SpendLogs"')


def test_the_command_reads_a_database_by_its_address(database: str, tmp_path: Path) -> None:
    days = ["--from", "2026-09-01", "--to", "2026-09-30"]
    run = CliRunner().invoke(app, ["pull", "litellm", *days, str(tmp_path), "--dsn", database])
    without = CliRunner().invoke(app, ["pull", "litellm", *days, str(tmp_path)], env={"LITELLM_DSN": ""})

    assert run.exit_code == 0, run.output
    assert "3 spend logs" in run.output
    assert without.exit_code == 2
    assert "--dsn" in without.output


def test_an_address_that_nobody_answers_is_an_error_and_not_a_traceback(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(PullError, match="the database cannot be read") as refused:
        pull_spend_logs(f"postgresql://u:hidden@127.0.0.1:{port}/x", FIRST, AFTER, tmp_path, pulled_at=PULLED_AT)

    assert "hidden" not in str(refused.value)
