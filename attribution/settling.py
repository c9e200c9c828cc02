"""Settle: staged rows of a file become new rows, duplicates, later states or conflicts, in whatever order."""

from __future__ import annotations

from typing import Any

from attribution import rewrites, schema
from attribution.ledger import Ledger, column_list
from attribution.sources import Intake, Source

KEYS = {"observation": ("observation_id",), "span": ("trace_id", "span_id"), "bill_line": ("bill_line_id",)}
#: Of two states of one record the later, then the larger, then the larger text is kept, whatever came first.
_PREFER = {
    "observation": ("updated_at", "ended_at", "output_tokens", "input_tokens"),
    "span": ("updated_at", "ended_at"),
    "bill_line": ("exported_at",),
}
_PLACE = {"file_id", "line", "record_no"}
#: What two tellings of a bill line are told apart by, for people.
_AMOUNT = "cast(coalesce(billed_cost, estimated_cost, quantity) as varchar)"
FATES = ("duplicates", "superseded", "conflicting")
#: Which run of an export tells a line, which is not part of what it says.
_RUN = {"exported_at", "replaces_key"}


def settle(ledger: Ledger, row: dict[str, Any], source: Source, intake: Intake) -> None:
    """Move staged rows into the ledger: new, identical duplicate, later state, or conflict; count them in the row."""
    ledger.run("create or replace temp table fate (record_no bigint, fate varchar)")
    is_state = getattr(source, "SUPERSEDES", False)
    row["first_at"], row["last_at"] = ledger.rows(_TIME_RANGE)[0]
    if getattr(source, "CELLS_REPEAT", False):
        rewrites.number_repeats(ledger)
    if intake.run.is_current is False or hasattr(source, "REWRITES"):
        rewrites.settle_periods(
            ledger, row["source"], row["file_id"], intake.run, intake.periods,
            has_buckets=getattr(source, "BUCKETS", False),
        )  # fmt: skip
    ledger.run(_NOTE_CALL_RECORDS)
    for table in KEYS:
        if ledger.value(f"select count(*) from staged_{table}"):
            prefer = getattr(source, "PREFER", _PREFER[table]) if table == "observation" else _PREFER[table]
            _settle_table(ledger, table, row, is_state, schema.require(prefer, of=table))
    ledger.run(_KEEP_PARTLY_NEW)
    counts = dict(ledger.rows(_FATE_COUNTS))
    row |= {
        "records": intake.records,
        "context": intake.context,
        "quarantined": intake.quarantined,
        "is_complete": intake.is_complete,
    }
    row |= {fate: counts.get(fate, 0) for fate in FATES}
    row["accepted"] = row["records"] - row["context"] - row["quarantined"] - sum(row[fate] for fate in FATES)


def _settle_table(ledger: Ledger, table: str, row: dict[str, Any], is_state: bool, prefer: list[str]) -> None:
    """Keep one row per key: the later, then the larger one, whichever file came first."""
    key = ", ".join(KEYS[table])
    names = [n for n in schema.table(table).names if n not in ("file_id", "source")]
    bound = {"file_id": row["file_id"], "source": row["source"]}
    clash = ledger.value(_CLASHES.format(table=table, key=key))
    if clash:
        _resolve_clashes(ledger, table, key, row, is_state, prefer)
    ledger.run(
        f'insert into "{table}" ({column_list(names)}, file_id, source) '
        f"select {column_list(names)}, $file_id, $source from staged_{table}",
        bound,
    )


def _resolve_clashes(
    ledger: Ledger, table: str, key: str, row: dict[str, Any], is_state: bool, prefer: list[str]
) -> None:
    """Rank all rows of a contested key, in the ledger and in the file, and keep the first."""
    content = [n for n in schema.table(table).names if n not in {*_PLACE, "source"}]
    parts = {
        "table": table,
        "key": key,
        "columns": column_list(content),
        "compared": column_list([name for name in content if name not in _RUN]),
        "prefer": ", ".join(f"{name} desc nulls last" for name in prefer),
        "same_key": " and ".join(f"other.{k} = clash.{k}" for k in KEYS[table]),
        "stored_record": "record_no" if table == "bill_line" else "null",
        "shown": _AMOUNT if table == "bill_line" else "cast(null as varchar)",
        "key_text": " || '/' || ".join(f"cast(loser.{k} as varchar)" for k in KEYS[table]),
    }
    bound = {"file_id": row["file_id"]}
    fate = {"fate": "superseded" if is_state else "conflicting"}
    ledger.run(_RANK.format(**parts), bound)
    ledger.run(_LOSERS, fate)
    if not is_state:
        ledger.run(_NOTE_CONFLICTS.format(**parts))
    recount = _RECOUNTS[table].format(**fate)
    for statement in (_DROP_STORED.format(**parts), recount, _DROP_STAGED.format(**parts)):
        ledger.run(statement)


_FATE_COUNTS = """
    with worst as (select record_no, min(fate) as fate from fate group by record_no)
    select fate, count(*) from worst group by fate order by fate
"""
_TIME_RANGE = """
    with moment as (
        select started_at as time from staged_observation
        union all select started_at from staged_span
        union all select period_start from staged_bill_line
    )
    select min(time), max(time) from moment
"""
_CLASHES = """
    select (select count(*) - count(distinct ({key})) from staged_{table})
        + (select count(*) from staged_{table} as staged semi join "{table}" using ({key}))
"""
_RANK = """
    create or replace temp table clash as
    with contested as (
        select {key} from (
            select {key} from staged_{table}
            union all select {key} from "{table}" semi join staged_{table} using ({key})
        )
        group by {key} having count(*) > 1
    ),
    side as (
        select {columns}, record_no, null as stored_record, line, $file_id as file_id
        from staged_{table} semi join contested using ({key})
        union all
        select {columns}, null, {stored_record}, line, file_id from "{table}" semi join contested using ({key})
    ),
    weighed as (select *, md5(cast(row({compared}) as varchar)) as content from side),
    ranked as (
        select *, row_number() over (
            partition by {key} order by {prefer}, content desc, record_no nulls first, file_id
        ) as place
        from weighed
    )
    select {key}, record_no, stored_record, line, file_id, {shown} as shown, place = 1 as is_winner,
        content = first_value(content) over (partition by {key} order by place) as is_same
    from ranked
"""
_LOSERS = """
    insert into fate
    select record_no, case when is_same then 'duplicates' else $fate end
    from clash where record_no is not null and not is_winner
"""
_NOTE_CONFLICTS = """
    insert into conflict (kind, key, field, kept, kept_at, other, other_at)
    select 'same_id', {key_text}, case when winner.shown <> loser.shown then 'amount' end,
        winner.shown, winner.file_id || ':' || winner.line, loser.shown, loser.file_id || ':' || loser.line
    from clash as loser join clash as winner using ({key})
    where winner.is_winner and not loser.is_winner and not loser.is_same
    order by all
"""
_RECOUNT_EARLIER = """
    update source_file set accepted = accepted - lost.records, {fate} = {fate} + lost.records
    from (
        select file_id, count(*) as records from clash where record_no is null and not is_winner group by file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
#: A record of a bill has several lines; it is lost when none of them is left.
_RECOUNT_RECORDS = """
    update source_file set accepted = accepted - lost.records, {fate} = {fate} + lost.records
    from (
        select clash.file_id, count(distinct stored_record) as records
        from clash
        anti join bill_line as kept on kept.file_id = clash.file_id and kept.record_no = clash.stored_record
        where clash.record_no is null and not is_winner
        group by clash.file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
#: A call is an observation and a span at once; its record is lost with the observation and not once more.
_RECOUNT_SPANS = """
    update source_file set accepted = accepted - lost.records, {fate} = {fate} + lost.records
    from (
        select clash.file_id, count(*) as records
        from clash anti join call_record using (file_id, line, trace_id, span_id)
        where clash.record_no is null and not is_winner
        group by clash.file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
_NOTE_CALL_RECORDS = """
    create or replace temp table call_record as
    select distinct file_id, line, trace_id, span_id
    from observation semi join staged_span using (trace_id, span_id)
"""
_RECOUNTS = {"observation": _RECOUNT_EARLIER, "span": _RECOUNT_SPANS, "bill_line": _RECOUNT_RECORDS}
#: A record is new as long as any of its rows is; one that contradicts another stays a conflict.
_KEEP_PARTLY_NEW = """
    delete from fate
    where record_no in (select record_no from staged_bill_line)
        or fate <> 'conflicting' and record_no in (
            select record_no from staged_observation union all select record_no from staged_span
        )
"""
_DROP_STORED = """
    delete from "{table}" as other using clash
    where {same_key} and clash.record_no is null and not clash.is_winner and other.file_id = clash.file_id
"""
_DROP_STAGED = """
    delete from staged_{table} as other using clash
    where {same_key} and other.record_no = clash.record_no and not clash.is_winner
"""
