"""Load: files and frames become observations, spans and bill lines; idempotent, one transaction a file.

records = accepted + context + duplicates + superseded + conflicting + quarantined, per file and in total.
"""

from __future__ import annotations

import gc
import glob
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from attribution import reading, schema, settling, sources
from attribution.errors import SourceError
from attribution.ledger import Ledger, column_list
from attribution.reading import Limits, Read, Sample, Unreadable
from attribution.settling import FATES, KEYS
from attribution.sources import Intake, Run, Source

#: What a folder may hold beside data; a file given by name is always read.
_NOT_DATA = {
    ".md",
    ".txt",
    ".yaml",
    ".yml",
    ".py",
    ".ipynb",
    ".html",
    ".png",
    ".svg",
    ".toml",
    ".lock",
    ".duckdb",
    ".wal",
}
#: `truth` and `config` stand beside data, never among it.
_NOT_DATA_FOLDERS = {"truth", "config"}
#: Bedrock writes prompts and answers that are too large for its log beside it, and a note that it may write at all.
_BODIES_BELOW, _BODIES, _NOTE = "BedrockModelInvocationLogs", "data", "amazon-bedrock-logs-permission-check"
#: Rows that are put into the engine at a time.
_INSERT_ROWS = 50_000


@dataclass
class Loaded:
    """What became of the inputs of one call: a row per file, and the files that were not loaded."""

    files: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """One row per file with its conservation numbers."""
        names = ["path", "source", "state", "records", "accepted", "context", *FATES, "quarantined"]
        return pd.DataFrame([{name: row[name] for name in names} for row in self.files], columns=names)


def load(
    ledger: Ledger,
    *inputs: Any,
    source: str | None = None,
    mapping: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    column_maps: Iterable[dict[str, Any]] = (),
    hash_key: bytes | None = None,
    limits: Limits | None = None,
    tell: Callable[[str], None] | None = None,
) -> Loaded:
    """Add files and frames to a ledger; what is already there is recognised and not added again.

    Parameters
    ----------
    ledger
        An open ledger.
    *inputs
        Files, folders, globs; or frames (pandas, polars, Arrow, a DuckDB relation) with a `mapping`.
    source
        Read the inputs as this source instead of recognising them.
    mapping
        Column map for generic files and frames: canonical field → column, dotted path, list of
        alternatives, or `{"path": …, "unit": …}` or `{"const": …}`.
    options
        Switches that go with the mapping, such as `input_includes_cache` or `tz`.
    column_maps
        Maps of the configuration: `{"match": glob, "mapping": …, "options": …}`, tried by path. Without a
        mapping the options go to the source that recognises the file: `group_by` and `exported_at` of
        provider reports, `meters` and `skus` of cloud bills.
    hash_key
        Key for HMAC-SHA256 of tenant and user ids that arrive unhashed; without it they are null.
    limits
        What the reader refuses to go beyond.
    tell
        Is told the path of each file before it is read, to show progress.

    Returns
    -------
    Loaded
        A row per file: records = accepted + context + duplicates + superseded + conflicting + quarantined.

    Raises
    ------
    SourceError
        If an input names no file. A file that cannot be read never stops the others.
    """
    loader = _Loader(ledger, limits or Limits(), hash_key, list(column_maps))
    declared = {"mapping": mapping, "options": options or {}}
    for given in inputs:
        if isinstance(given, str | os.PathLike):
            for path, is_named in expand(os.fspath(given)):
                if tell is not None:
                    tell(str(path))
                loader.load_file(path, source, declared, is_named)
        else:
            loader.load_frame(given, declared)
    return loader.loaded


def expand(given: str) -> Iterator[tuple[Path, bool]]:
    """Yield the files a path stands for, in stable order, and whether the file itself was named."""
    path = Path(given)
    if path.is_dir():
        yield from ((found, False) for found in _files_below(path))
    elif path.exists():
        yield path, True
    else:
        found = sorted(Path(match) for match in glob.glob(given, recursive=True))
        if not found:
            raise SourceError.not_found(given)
        for match in found:
            yield from ((f, False) for f in _files_below(match)) if match.is_dir() else [(match, False)]


def _files_below(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    for parent, folders, files in os.walk(folder, followlinks=False):
        skipped = _NOT_DATA_FOLDERS | ({_BODIES} if _BODIES_BELOW in Path(parent).parts else set())
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in skipped)
        for name in sorted(files):
            path = Path(parent) / name
            if name.startswith(".") or name == _NOTE or not Path(os.path.realpath(path)).is_relative_to(root):
                continue
            if path.exists() and stat.S_ISREG(path.stat().st_mode):
                yield path


def _read_all(source: Source, reads: Iterator[Read], intake: Intake) -> None:
    """Hand every document to its source; what cannot be read is set aside, what gave nothing is context."""
    for each in reads:
        if each.document is None:
            intake.is_complete &= not each.is_cut
            intake.set_aside(each.line, each.fault or Unreadable("not_json", "a record"))
            continue
        before = intake.records
        try:
            source.read(each.document, each.line, intake)
        except Unreadable as fault:
            intake.set_aside(each.line, fault)
        if intake.records == before:
            intake.pass_over()


@contextmanager
def _without_cycle_search() -> Iterator[None]:
    """Documents and rows form no cycles; looking for some among millions of them takes a tenth of loading."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Loader:
    """Loads inputs one after the other into one ledger."""

    def __init__(self, ledger: Ledger, limits: Limits, hash_key: bytes | None, maps: list[dict[str, Any]]) -> None:
        self.ledger, self.limits, self.hash_key, self.maps = ledger, limits, hash_key, maps
        self.converted: dict[str, list[pa.Table]] = {}
        self.loaded = Loaded()

    def load_file(self, path: Path, name: str | None, declared: dict[str, Any], is_named: bool) -> None:
        """Load one file, or note why not; nothing here stops the next file."""
        if not is_named and path.suffix.lower() in _NOT_DATA:
            self.loaded.passed_over.append(str(path))
            return
        try:
            if declared["mapping"] is None:
                declared = self._declared_for(path) or declared
            sample = reading.sniff(path, self.limits)
            source = self._source_of(sample, name, declared)
            digest, size = reading.checksum(path)
            self._load(sample, source, declared, digest, size, reading.read(path, sample.kind, self.limits))
        except SourceError as error:
            self.loaded.refused.append((str(path), str(error)))

    def load_frame(self, frame: Any, declared: dict[str, Any]) -> None:
        """Load a frame through its Arrow stream; its rows are numbered from 1."""
        table = reading.as_table(frame)
        sink = hashlib.sha256()
        for batch in table.combine_chunks().to_batches():
            sink.update(batch.serialize())
        sample = reading.sniff_table(table)
        source = self._source_of(sample, None, declared)
        self._load(sample, source, declared, sink.hexdigest(), table.nbytes, reading.read_table(table))

    def _declared_for(self, path: Path) -> dict[str, Any] | None:
        for entry in self.maps:
            if path.match(entry["match"]):
                return {"mapping": entry.get("mapping"), "options": entry.get("options") or {}}
        return None

    def _source_of(self, sample: Sample, name: str | None, declared: dict[str, Any]) -> Source:
        if name is not None and sample.kind != "other":
            return sources.named(name)
        if declared["mapping"] is not None and sample.kind != "other":
            return sources.named("generic")
        # A file without one readable document says nothing of its source; its records are set aside one by one.
        is_unreadable = sample.kind in ("jsonl", "json") and not sample.documents
        found = sources.named("generic") if sample.kind == "empty" or is_unreadable else sources.recognise(sample)
        if found is None:
            from attribution.sources import generic

            raise SourceError.unknown_format(sample.path, *generic.describe(sample))
        return found

    def _load(
        self, sample: Sample, source: Source, declared: dict[str, Any], digest: str, size: int, reads: Iterator[Read]
    ) -> None:
        is_declared = bool(declared["mapping"] or declared["options"])
        as_text = json.dumps(declared, sort_keys=True, default=str) if is_declared else ""
        row: dict[str, Any] = {
            "sha256": digest,
            "path": sample.path,
            "source": source.NAME,
            "loader_version": source.VERSION,
            "map_digest": hashlib.sha256(as_text.encode()).hexdigest()[:16] if as_text else None,
            "bytes": size,
        }
        run = sources.run_of(source, sample.path, declared["options"])
        row["exported_at"] = run.exported_at
        identity = [digest, source.NAME, str(source.VERSION), row["map_digest"] or ""]
        row["file_id"] = hashlib.sha256("/".join(identity).encode()).hexdigest()[:32]
        if known := self.ledger.rows(_KNOWN_FILE, {"file_id": row["file_id"], "exported_at": run.exported_at}):
            names = ("records", "accepted", "context", *FATES, "quarantined")
            self.loaded.files.append(row | dict(zip(names, known[0], strict=True)) | {"state": "already loaded"})
            return
        with self.ledger.transaction():
            self._replace_other_readings(digest, row)
            intake = self._stage(sample, source, declared, run, reads)
            self._settle(row, source, intake)
        self.loaded.files.append(row | {"state": "loaded" if row["is_complete"] else "incomplete"})

    def _replace_other_readings(self, digest: str, row: dict[str, Any]) -> None:
        """A corrected map or a newer reader replaces what it had made of the same bytes."""
        other = self.ledger.rows("select file_id from source_file where sha256 = $sha256", {"sha256": digest})
        for (file_id,) in other:
            for table in ("observation", "span", "bill_line", "covered_period", "quarantine", "source_file"):
                self.ledger.run(f'delete from "{table}" where file_id = $file_id', {"file_id": file_id})

    def _stage(
        self, sample: Sample, source: Source, declared: dict[str, Any], run: Run, reads: Iterator[Read]
    ) -> Intake:
        self.converted = {table: [] for table in KEYS}
        for table in KEYS:
            names = [c for c in schema.table(table).columns if c.name not in ("file_id", "source", "record_no")]
            columns = ", ".join(f'"{c.name}" {c.type}' for c in names)
            self.ledger.run(f"create or replace temp table staged_{table} (record_no bigint, {columns})")
        options = {**declared["options"], "mapping": declared["mapping"]}
        intake = Intake(source.NAME, hash_key=self.hash_key, flush=self._convert, options=options, run=run)
        prepare = getattr(source, "prepare", None)
        if prepare is not None:
            prepare(sample, intake)
        with _without_cycle_search():
            _read_all(source, reads, intake)
        finish = getattr(source, "finish", None)
        if finish is not None:
            finish(intake)
        self._convert(intake)
        for table in KEYS:
            self._insert(table, intake.source)
        return intake

    def _convert(self, intake: Intake) -> None:
        """Turn held rows into Arrow while the processor still has them at hand; insert when there are enough."""
        for table, rows in intake.rows.items():
            if rows:
                types = _arrow_types(table)
                used = sorted(name for name in set().union(*rows) if name in types or name == "key")
                columns = {
                    name: pa.array([row.get(name) for row in rows], types.get(name, pa.string())) for name in used
                }
                self.converted[table].append(pa.table(columns))
                rows.clear()
                if sum(part.num_rows for part in self.converted[table]) >= _INSERT_ROWS:
                    self._insert(table, intake.source)

    def _insert(self, table: str, source: str) -> None:
        if not self.converted[table]:
            return
        frame = pa.concat_tables(self.converted[table], promote_options="default")
        self.converted[table].clear()
        used = sorted(frame.column_names)
        targets = [name for name in used if name != "key"]
        values = [f'"{name}"' for name in targets]
        if table == "observation":
            targets.append("observation_id")
            values.append("cast(md5($source || '/' || native_id) as uuid)")
        if table == "bill_line":
            targets.append("bill_line_id")
            values.append("cast(md5($source || '/' || key) as uuid)")
        bound = {"source": source} if table != "span" else None
        with self.ledger.reading(staged_rows=frame):
            insert = f"insert into staged_{table} ({column_list(targets)}) select {', '.join(values)} from staged_rows"
            self.ledger.run(insert, bound)

    def _settle(self, row: dict[str, Any], source: Source, intake: Intake) -> None:
        """Move staged rows into the ledger and write down what became of the file's records."""
        settling.settle(self.ledger, row, source, intake)
        self._write_places(row, intake.faults)
        for table in KEYS:
            self.ledger.run(f"drop table staged_{table}")

    def _write_places(self, row: dict[str, Any], faults: list[dict[str, Any]]) -> None:
        names = schema.table("source_file").names
        placed = [fault | {"file_id": row["file_id"], "path": row["path"]} for fault in faults]
        self.loaded.set_aside += [_in_words(fault) for fault in placed]
        for table, rows in (("source_file", [{n: row.get(n) for n in names}]), ("quarantine", placed)):
            if rows:
                frame = pa.Table.from_pylist(rows, pa.schema(list(_arrow_types(table).items())))
                with self.ledger.reading(new_rows=frame):
                    columns = column_list(frame.column_names)
                    self.ledger.run(f'insert into "{table}" ({columns}) select {columns} from new_rows')


def _in_words(fault: dict[str, Any]) -> str:
    """Say where a record stands, what was found and what was expected: `log.jsonl:21: prompt_tokens is 1.5, …`."""
    found = f"{fault['field']} is {fault['found']}" if fault["field"] else f"{fault['reason']} ({fault['found']})"
    return f"{fault['path']}:{fault['line']}: {found}, expected {fault['expected']}"


_KNOWN_FILE = (
    "select records, accepted, context, duplicates, superseded, conflicting, quarantined "
    "from source_file where file_id = $file_id "
    "and (cast($exported_at as bigint) is null "
    "or coalesce(exported_at >= make_timestamp(cast($exported_at as bigint)), false))"
)


_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL(38, 12)": pa.decimal128(38, 12),
    "VARCHAR[]": pa.list_(pa.string()),
    "MAP(VARCHAR, DECIMAL(18, 6))": pa.map_(pa.string(), pa.decimal128(18, 6)),
    "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
    "STRUCT(trace_id VARCHAR, span_id VARCHAR)[]": pa.list_(
        pa.struct([("trace_id", pa.string()), ("span_id", pa.string())])
    ),
}


def _arrow_types(table: str) -> dict[str, pa.DataType]:
    types = {c.name: _ARROW[c.type] for c in schema.table(table).columns if c.type in _ARROW}
    if table in KEYS:
        types["record_no"] = pa.int64()
    return types
