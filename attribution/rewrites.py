"""Rewritten periods: which lines of a bill a newer export replaces, and which extracts may not be added together."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from attribution import schema
from attribution.ledger import Ledger, column_list
from attribution.sources import Run

#: Where a line stands, not what it says.
_PLACE = {"bill_line_id", "file_id", "source", "line", "record_no"}


def number_repeats(ledger: Ledger) -> None:
    """Tell lines of one file apart that have equal keys: by content, so that their order does not matter."""
    content = [name for name in schema.table("bill_line").names if name not in _PLACE]
    ledger.run(
        f"""
        update staged_bill_line
        set bill_line_id = cast(md5(cast(bill_line_id as varchar) || '/' || numbered.ordinal) as uuid)
        from (
            select staged.rowid as place, row_number() over (
                partition by bill_line_id order by md5(cast(row({column_list(content)}) as varchar)), staged.rowid
            ) as ordinal
            from staged_bill_line as staged
            semi join (select bill_line_id from staged_bill_line group by bill_line_id having count(*) > 1) as repeated
                using (bill_line_id)
        ) as numbered
        where staged_bill_line.rowid = numbered.place and numbered.ordinal > 1
        """
    )


def settle_periods(
    ledger: Ledger, source: str, file_id: str, run: Run, periods: set[str], *, has_buckets: bool = False
) -> None:
    """Drop what a newer run of the same export replaces, in the ledger and in the file.

    Which run is newer is told by the run's own time, never by which file came first. A run that its manifest
    no longer names is superseded as a whole. Runs without a time replace nothing.
    """
    bound = {"source": source}
    if not run.is_current:
        ledger.run("insert into fate select distinct record_no, 'superseded' from staged_bill_line")
        ledger.run("delete from staged_bill_line")
        return
    if run.exported_at is not None and periods:
        _note_periods(ledger, source, file_id, run.exported_at, periods)
    ledger.run(_NEWEST, bound)
    for statement in (_STAGED_FATE, _DROP_STAGED):
        ledger.run(statement)
    for statement in (_RECOUNT, _DROP_STORED):
        ledger.run(statement, bound)
    _settle_groupings(ledger, source, file_id)
    if has_buckets:
        _settle_widths(ledger, source, file_id)


def _note_periods(ledger: Ledger, source: str, file_id: str, exported_at: int, periods: set[str]) -> None:
    ordered = sorted(periods)
    rows: dict[str, Any] = {
        "file_id": pa.array([file_id] * len(ordered)),
        "source": pa.array([source] * len(ordered)),
        "replaces_key": pa.array(ordered),
        "exported_at": pa.array([exported_at] * len(ordered), pa.timestamp("us")),
    }
    with ledger.reading(new_rows=pa.table(rows)):
        ledger.run(
            f"insert into covered_period ({column_list(list(rows))}) select {column_list(list(rows))} from new_rows"
        )


def _settle_groupings(ledger: Ledger, source: str, file_id: str) -> None:
    """Keep one partition of a period's usage: each grouping tells the full total again, so two must not be added.

    The finer one is kept, whichever came first; the other is a conflict.
    """
    bound = {"source": source, "file_id": file_id}
    ledger.run(_COARSER, bound)
    if not ledger.value("select count(*) from coarser"):
        return
    ledger.run(_NOTE_GROUPINGS, {"source": source})
    for statement in (_COARSER_FATE, _DROP_COARSER_STAGED):
        ledger.run(statement)
    for statement in (_RECOUNT_COARSER, _DROP_COARSER_STORED):
        ledger.run(statement, {"source": source})


def _settle_widths(ledger: Ledger, source: str, file_id: str) -> None:
    """Keep one width of bucket for a time: hours and their day tell the same usage, and must not be added.

    The wide one is kept, whichever came first: narrow ones may leave gaps, and it tells the whole.
    """
    ledger.run(_TOLD, {"source": source, "file_id": file_id})
    ledger.run(_WIDER)
    if not ledger.value("select count(*) from wider"):
        return
    ledger.run(_NOTE_WIDTHS, {"source": source})
    for statement in (_WIDTH_FATE, _DROP_WIDTH_STAGED):
        ledger.run(statement)
    for statement in (_RECOUNT_WIDTH, _DROP_WIDTH_STORED):
        ledger.run(statement, {"source": source})


_NEWEST = """
    create or replace temp table newest as
    select replaces_key, max(exported_at) as newest_at
    from covered_period where source = $source
    group by replaces_key
"""
_STAGED_FATE = """
    insert into fate
    select distinct record_no, 'superseded'
    from staged_bill_line join newest using (replaces_key) where exported_at < newest_at
"""
_DROP_STAGED = """
    delete from staged_bill_line using newest
    where staged_bill_line.replaces_key = newest.replaces_key and exported_at < newest_at
"""
_RECOUNT = """
    update source_file set accepted = accepted - lost.records, superseded = superseded + lost.records
    from (
        select file_id, count(distinct record_no) as records
        from bill_line join newest using (replaces_key)
        where source = $source and exported_at < newest_at
        group by file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
_DROP_STORED = """
    delete from bill_line using newest
    where bill_line.replaces_key = newest.replaces_key and source = $source and exported_at < newest_at
"""
_COARSER = """
    create or replace temp table coarser as
    with told as (
        select replaces_key, "grouping", $file_id || ':' || min(line) as told_at
        from staged_bill_line where "grouping" is not null
        group by replaces_key, "grouping"
        union all
        select replaces_key, "grouping", min(file_id || ':' || line)
        from bill_line
        semi join (select distinct replaces_key from staged_bill_line) as touched using (replaces_key)
        where source = $source and "grouping" is not null
        group by replaces_key, "grouping"
    ),
    ranked as (
        select *, first_value("grouping") over best as kept, first_value(told_at) over best as kept_at
        from told
        window best as (
            partition by replaces_key
            order by length("grouping") - length(replace("grouping", ',', '')) desc, "grouping" desc, told_at
        )
    )
    select replaces_key, "grouping", kept, min(kept_at) as kept_at, min(told_at) as told_at
    from ranked where "grouping" <> kept
    group by replaces_key, "grouping", kept
"""
_NOTE_GROUPINGS = """
    insert into conflict (kind, key, field, kept, kept_at, other, other_at)
    select 'grouping', $source || '/' || replaces_key, 'grouping', kept, kept_at, "grouping", told_at
    from coarser
    order by all
"""
_COARSER_FATE = """
    insert into fate
    select distinct record_no, 'conflicting' from staged_bill_line semi join coarser using (replaces_key, "grouping")
"""
_DROP_COARSER_STAGED = """
    delete from staged_bill_line using coarser
    where staged_bill_line.replaces_key = coarser.replaces_key and staged_bill_line."grouping" = coarser."grouping"
"""
_RECOUNT_COARSER = """
    update source_file set accepted = accepted - lost.records, conflicting = conflicting + lost.records
    from (
        select file_id, count(distinct record_no) as records
        from bill_line semi join coarser using (replaces_key, "grouping")
        where source = $source
        group by file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
_DROP_COARSER_STORED = """
    delete from bill_line using coarser
    where bill_line.replaces_key = coarser.replaces_key and bill_line."grouping" = coarser."grouping"
        and source = $source
"""
_TOLD = """
    create or replace temp table told as
    with line as (
        select replaces_key, period_start, period_end, $file_id || ':' || line as told_at
        from staged_bill_line where "grouping" is not null
        union all
        select replaces_key, period_start, period_end, file_id || ':' || line
        from bill_line where "grouping" is not null and source = $source
            and exists (select 1 from staged_bill_line where "grouping" is not null)
    )
    select replaces_key, split_part(replaces_key, '/', 1) as stream, period_start, period_end, min(told_at) as told_at
    from line where period_end > period_start
    group by replaces_key, period_start, period_end
"""
#: Buckets inside a wider one of the same report.
_WIDER = """
    create or replace temp table wider as
    select narrow.replaces_key, min(narrow.told_at) as told_at,
        min(wide.replaces_key) as kept, min(wide.told_at) as kept_at
    from told as wide join told as narrow
        on wide.stream = narrow.stream and wide.replaces_key <> narrow.replaces_key
        and wide.period_start <= narrow.period_start and narrow.period_end <= wide.period_end
    group by narrow.replaces_key
"""
_NOTE_WIDTHS = """
    insert into conflict (kind, key, field, kept, kept_at, other, other_at)
    select 'bucket_width', $source || '/' || replaces_key, 'period', kept, kept_at, replaces_key, told_at
    from wider
    order by all
"""
_WIDTH_FATE = """
    insert into fate
    select distinct record_no, 'conflicting'
    from staged_bill_line semi join wider using (replaces_key) where "grouping" is not null
"""
_DROP_WIDTH_STAGED = """
    delete from staged_bill_line
    where "grouping" is not null and replaces_key in (select replaces_key from wider)
"""
_RECOUNT_WIDTH = """
    update source_file set accepted = accepted - lost.records, conflicting = conflicting + lost.records
    from (
        select file_id, count(distinct record_no) as records
        from bill_line semi join wider using (replaces_key)
        where source = $source and "grouping" is not null
        group by file_id
    ) as lost
    where source_file.file_id = lost.file_id
"""
_DROP_WIDTH_STORED = """
    delete from bill_line
    where "grouping" is not null and source = $source and replaces_key in (select replaces_key from wider)
"""
