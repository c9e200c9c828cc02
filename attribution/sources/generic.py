"""Any CSV, JSON Lines, Parquet file or frame: by a declared column map, or by the names of its columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from attribution import normalization
from attribution.errors import ConfigurationError
from attribution.reading import Document, Sample, Unreadable, mask
from attribution.sources import Intake, Row, _aliases, _columns
from attribution.sources._identities import violations
from attribution.sources._nesting import make_inclusive, prove_nesting
from attribution.sources._ownership import Ownership

NAME = "generic"
VERSION = 1
GRAIN = "one provider call a record, as the map says"
GIVES = "whatever the map names: calls, ownership, usage, cost"
NESTING = "declared by input_includes_cache and output_includes_reasoning, else read from the counts themselves"
MONEY = "declared: US dollars unless the map says cents, micros, nanos or a rate"
ZONE = "offsets, epoch numbers, or the zone declared as tz"
MISTAKE = "a column called cost says nothing of its unit: cents read as dollars are wrong by a hundred"

_OWNERSHIP = ("owner_team", "workflow_id", "feature", "tenant_id_hash", "user_id_hash")
_LOOKS_MISSING = {"none", "null", "nan", "n/a"}
_ROLES = ("provider_log", "gateway_log", "client_span", "application")


def recognise(sample: Sample) -> int:
    """Take a file that no other source knows when its names say what they are."""
    if _aliases.is_aggregate(sample):
        return 0
    return 10 if _aliases.is_confident(_aliases.detect(sample)) else 0


def prepare(sample: Sample, intake: Intake) -> None:
    """Compile the column map, declared or detected, before the first record."""
    options = intake.options
    mapping = options.get("mapping")
    if mapping is None:
        mapping = _aliases.detect(sample) if sample.kind != "empty" else {}
    elif sample.kind == "empty":
        mapping = {}
    role = options.get("role", "application")
    if role not in _ROLES:
        raise ConfigurationError.unknown_key("options.role", None, str(role), _ROLES)
    columns = {name for document in sample.documents for name in document} | set(sample.columns)
    options["_readers"] = _columns.compile_map(mapping, declared(options), columns)
    options["_file_proof"] = prove_nesting(_counts(options["_readers"], sample))


def _counts(readers: list[tuple[str, _columns.Reader]], sample: Sample) -> Iterator[Row]:
    """The counts of the first records, as far as they can be read."""
    wanted = [(field, reader) for field, reader in readers if field.endswith("_tokens")]
    for document in sample.documents:
        with suppress(Unreadable):
            yield {field: reader(document) for field, reader in wanted}


def declared(options: dict[str, Any]) -> dict[str, Any]:
    """The options a user gave, without what the loader keeps beside them."""
    return {name: value for name, value in options.items() if name != "mapping" and not name.startswith("_")}


def read(document: Document, line: int, intake: Intake) -> None:
    """Read one record as one call."""
    row, ownership = apply(intake.options["_readers"], document, intake)
    settle(row, intake.options)
    ownership.write(row)
    if row.get("native_id") is None:
        facts = sorted((name, str(value)) for name, value in row.items() if value is not None)
        row["native_id"] = row.get("response_id") or intake.content_id(facts)
    intake.accept(line, observation=row)


def apply(readers: list[tuple[str, _columns.Reader]], document: Document, intake: Intake) -> tuple[Row, Ownership]:
    """Fill a row by the map; ownership is checked and kept apart from what may be missing."""
    row: Row = {"role": "application"}
    ownership = Ownership(intake)
    for field, reader in readers:
        value = reader(document)
        if field in _OWNERSHIP:
            if type(value) is str and value.strip().lower() in _LOOKS_MISSING:
                ownership.flags.append(f"{field}:looks_missing")
            ownership.offer(field, value, field)
        elif field == "claimed_team":
            row[field] = normalization.owner(value, field, ownership.flags)
        else:
            row[field] = value
    return row, ownership


def settle(row: Row, options: dict[str, Any]) -> None:
    """Make the totals inclusive, tell metered from unmetered, and check the identities."""
    row["role"] = options.get("role", "application")
    row["status"] = row.get("status") or "unknown"
    row["is_metered"] = row.get("input_tokens") is not None or row.get("output_tokens") is not None
    declared_nesting = (options.get("input_includes_cache"), options.get("output_includes_reasoning"))
    make_inclusive(row, *declared_nesting, file_proof=options["_file_proof"])
    row["usage_flags"] = violations(row)


def describe(sample: Sample) -> tuple[str, str]:
    """Say what an unknown file looks like, and which two sources are nearest and what they miss."""
    from attribution.sources import all_sources

    names = _aliases.flat_names(sample.documents, sample.columns)
    kinds = {"jsonl": "JSON Lines", "json": "a JSON document", "parquet": "Parquet", "frame": "a frame"}
    kind = kinds.get(sample.kind, "CSV" if sample.kind.startswith("csv") else "neither JSON, CSV nor Parquet")
    shown = ", ".join(mask(name, 30) for name in names[:6])
    looks = f"{kind} with {shown}{' …' if len(names) > 6 else ''}" if names else kind
    present = {_aliases.plain(name) for name in names}
    if _aliases.is_aggregate(sample):
        looks += ", whose rows count calls: sums, not calls"
    near = [_nearness_of_names(sample)]
    for name, source in all_sources().items():
        wanted = list(getattr(source, "SIGNATURE", ()))
        missing = [key for key in wanted if _aliases.plain(key) not in present]
        if wanted:
            near.append((len(missing) / len(wanted), name, missing))
    near.sort(key=lambda each: (each[0], each[1] != NAME, each[1]))
    said = [f"{name} (misses {', '.join(missing[:4]) or 'nothing'})" for _, name, missing in near[:2]]
    return looks, f"Nearest: {'; '.join(said)}."


def _nearness_of_names(sample: Sample) -> tuple[float, str, list[str]]:
    mapping = _aliases.detect(sample)
    missing = [name for name in ("model", "input_tokens", "output_tokens") if name not in mapping]
    return len(missing) / 3, NAME, missing
