"""Which run of an export a file belongs to: told by the manifest beside it or by its name, never by load order."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attribution import normalization
from attribution.reading import Limits, Unreadable, decode
from attribution.sources import Run

_MANIFEST_BYTES = 16 * 1024 * 1024
#: `openai-usage-completions.by-model+project_id.2026-09-01..2026-09-08.pulled-20260910T060000Z.p0001.json`
_PULLED = re.compile(
    r"^([a-z]+-[a-z_]+(?:-([a-z_]+))?)\.(?:by-([a-z_+]*)\.)?(\d{4}-\d\d-\d\d)\.\..*\.pulled-(\d{8}T\d{6}Z)\b"
)
_MONTH = re.compile(r"(?:^|/)BILLING_PERIOD=(\d{4}-\d{2})(?=/)")
_SPAN = re.compile(r"^(\d{8})-(\d{8})$")
_PART = re.compile(r"(?:^|[-_])(\d{1,5}_\d{1,5}|\d{4,6})(?:\.[\w.]+)?$")
_TIMES = ("submittedTime", "executionCompletedTimestamp", "executionCompletedTime", "executionTime", "createdAt")


def declared_run(options: dict[str, Any]) -> int | None:
    """Return the export time that the user declares for files that do not tell it themselves."""
    return normalization.instant(options.get("exported_at"), "exported_at", "UTC")


def pulled_run(path: Path, options: dict[str, Any]) -> Run:
    """Return the run of a page written by `attribution pull`, whose name tells what was asked for, and when."""
    found = _PULLED.search(path.name)
    told = declared_run(options)
    if not found:
        return Run(exported_at=told)
    moment = datetime.strptime(found[5], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Run(
        export=found[1],
        exported_at=told if told is not None else normalization.instant(moment, "pulled"),
        kind=found[2],
        start=normalization.instant(found[4], "pulled", "UTC"),
        grouping=None if found[3] is None else ",".join(sorted(filter(None, found[3].split("+")))),
    )


def is_pulled(name: str, path: str) -> bool:
    """Tell whether a page is a pull's own; pages without results say nothing else about what they are."""
    found = _PULLED.search(Path(path).name)
    return found is not None and found[1] == name


def aws_run(path: Path, options: dict[str, Any]) -> Run:
    """Return the run of a Data Exports or Cost and Usage Report file, from its manifest."""
    told = declared_run(options)
    part = _part(path)
    manifest = next((each for each in _manifests(path, "*Manifest.json") if _is_of(each, path)), None)
    if manifest is None:
        return Run(exported_at=told, part=part)
    export = manifest.get("exportArn") or manifest.get("exportName") or manifest.get("reportName")
    return Run(
        export=str(export) if export else None,
        exported_at=told if told is not None else _time_of(manifest),
        part=part,
        is_current=_is_current(manifest, path),
    )


def azure_run(path: Path, options: dict[str, Any]) -> Run:
    """Return the run of a Cost Management export, from the manifest in its folder."""
    told = declared_run(options)
    manifest = next(_manifests(path, "manifest.json", parents=1), None)
    part = _part(path)
    if manifest is None:
        return Run(exported_at=told, part=part, kind=_azure_kind(path.name) or _azure_kind(_azure_folders(path)))
    settings = manifest.get("exportConfig") or {}
    run = manifest.get("runInfo") or {}
    exported_at = told if told is not None else _time_of(run)
    kind = _azure_kind(str(settings.get("type") or "")) or _azure_kind(path.name)
    return Run(export=_text(settings.get("exportName")), exported_at=exported_at, part=part, kind=kind)


def _azure_folders(path: Path) -> str:
    """Return the export's own folder: the one above the span of dates and the run id."""
    above = list(path.parents)[:4]
    for depth, folder in enumerate(above[:-1]):
        if _SPAN.match(folder.name):
            return above[depth + 1].name
    return ""


def _azure_kind(name: str) -> str | None:
    lowered = name.lower()
    return "amortized" if "amorti" in lowered else "actual" if "actual" in lowered else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _part(path: Path) -> str | None:
    stem = path.name
    for ending in (".gz", ".zst", ".csv", ".parquet", ".snappy", ".json"):
        stem = stem.removesuffix(ending)
    found = _PART.search(stem)
    return found[1] if found else None


def _named(manifest: dict[str, Any]) -> list[list[str]]:
    """Return the last folder and the name of every file that a manifest lists."""
    named = manifest.get("dataFiles") or manifest.get("reportKeys") or []
    return [each.rstrip("/").split("/")[-2:] for each in named if isinstance(each, str)]


def _is_of(manifest: dict[str, Any], path: Path) -> bool:
    """Tell whether a manifest speaks of this file's export: it lists a file of the same name, another part at most."""
    stem = _PART.sub("", path.name)
    return any(_PART.sub("", tail[-1]) == stem for tail in _named(manifest))


def _is_current(manifest: dict[str, Any], path: Path) -> bool:
    """Where every run has its own folder, the manifest names the folder that counts."""
    named = _named(manifest)
    if _is_run_folder(path):
        return [path.parent.name, path.name] in named
    return path.name in [tail[-1] for tail in named]


def _is_run_folder(path: Path) -> bool:
    """A folder per run stands below the folder of the period; a plain folder of files says nothing about runs."""
    above = path.parent.parent.name
    return bool(_SPAN.match(above)) or above.startswith("BILLING_PERIOD=")


def _manifests(path: Path, pattern: str, parents: int = 3) -> Iterator[dict[str, Any]]:
    """Yield manifests above a file, beside it, or in the `metadata` folder of its billing period.

    The outermost comes first: a run's own folder may hold a manifest that names this run for ever.
    """
    folders = list(path.parents)[:parents][::-1]
    month = _MONTH.search(path.as_posix())
    if month:
        root = path.as_posix()[: month.start()].removesuffix("/data")
        folders.insert(0, Path(root) / "metadata" / f"BILLING_PERIOD={month[1]}")
    for folder in folders:
        for found in sorted(folder.glob(pattern)):
            manifest = _read(found)
            if manifest is not None:
                yield manifest


def _read(path: Path) -> dict[str, Any] | None:
    """Read a small JSON file; what is not one is no evidence."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MANIFEST_BYTES:
        return None
    try:
        return decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), Limits())
    except Unreadable:
        return None


def _time_of(manifest: dict[str, Any]) -> int | None:
    for name in _TIMES:
        try:
            told = normalization.instant(manifest.get(name), name, "UTC")
        except Unreadable:
            continue
        if told is not None:
            return told
    return None
