"""Read a file or records through their source alone: `taken(path)`, `rows(*documents, source=…)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attribution import sources
from attribution.reading import Limits, Sample, Unreadable, read, sniff
from attribution.sources import Intake


def taken(path: Path, source: str | None = None, **options: Any) -> Intake:
    """Return the intake of a file, read by the source that recognises it."""
    sample = sniff(path, Limits())
    found = sources.named(source) if source else sources.recognise(sample)
    assert found is not None, f"no source recognises {path.name}"
    return _fill(found, sample, [(each.line, each.document) for each in read(path, sample.kind, Limits())], options)


def intake_of(*documents: dict[str, Any], source: str, hash_key: bytes | None = None, **options: Any) -> Intake:
    """Return the intake of these documents, one a line."""
    sample = Sample("<documents>", "jsonl", list(documents))
    return _fill(sources.named(source), sample, list(enumerate(documents, 1)), options, hash_key)


def rows(*documents: dict[str, Any], source: str, **options: Any) -> list[dict[str, Any]]:
    """Return the observations of these documents."""
    return intake_of(*documents, source=source, **options).rows["observation"]


def row(document: dict[str, Any], source: str, **options: Any) -> dict[str, Any]:
    """Return the only observation of a document."""
    (only,) = rows(document, source=source, **options)
    return only


def _fill(
    source: Any, sample: Sample, documents: list[tuple[int, Any]], options: Any, hash_key: bytes | None = None
) -> Intake:
    intake = Intake(source.NAME, hash_key=hash_key, options={"mapping": None, **options})
    prepare = getattr(source, "prepare", None)
    if prepare is not None:
        prepare(sample, intake)
    for line, document in documents:
        assert document is not None, f"line {line} cannot be read"
        before = intake.records
        try:
            source.read(document, line, intake)
        except Unreadable as fault:
            intake.set_aside(line, fault)
        if intake.records == before:
            intake.pass_over()
    finish = getattr(source, "finish", None)
    if finish is not None:
        finish(intake)
    return intake
