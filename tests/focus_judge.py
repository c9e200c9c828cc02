"""The outside judge of a FOCUS export: run focus-validator on it and turn its report into a verdict.

usage: focus_judge.py [FILE...]
Without a file the sample company's exports are judged. The validator lives in an environment of its own, `.venv-focus`,
made here with pinned versions; it needs Python 3.12.
exit 0: all rules that apply hold; 1: a rule is broken; 2: the validator itself failed; 77: skipped, no validator here.

The validator alone exits 0 when rules are broken, leaves most rules out unless every criterion is named, and looks for
its own list of currencies in the working folder.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-focus"
PINNED = ROOT / "tests" / "focus-requirements.txt"
COLUMNS = ROOT / "attribution" / "exports" / "focus.csv"
SAMPLE = ROOT / "sample_data" / "acme"
#: The versions that its pinned NumPy has wheels for.
PYTHON = (3, 12)
SKIPPED = 77

#: All that a provider may support; without naming a criterion its rules are skipped.
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED",
    "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "REGION_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
)
#: Two branches of one "or": one of them fails for every file; the rule is their parent, InvoiceId-C-003-C.
BRANCHES = frozenset({"InvoiceId-C-004-C", "InvoiceId-C-005-C"})
#: Fewer rules run than this means that the criteria were not applied.
FEWEST_RULES = 250


@dataclass(frozen=True)
class Verdict:
    """What became of the rules on one file."""

    run: int = 0
    skipped: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    fault: str = ""

    @property
    def code(self) -> int:
        """0 passed, 1 broken, 2 not judged."""
        if self.fault:
            return 2
        return int(bool(self.broken) or self.run < FEWEST_RULES)

    def __str__(self) -> str:
        if self.fault:
            return f"the validator itself failed: {self.fault}"
        lines = [f"{self.run} rules run, {self.skipped} skipped, {len(self.broken)} broken"]
        return "\n".join(lines + [f"  {rule}: {message}" for rule, message in self.broken])


def judge(validator: Path, file: Path) -> Verdict:
    """Run the validator on one file, in a folder of its own."""
    currencies = next(
        validator.parent.parent.glob("lib/python3*/site-packages/focus_validator/rules/currency_codes.csv")
    )
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "focus_validator" / "rules"
        rules.mkdir(parents=True)
        shutil.copy(currencies, rules)
        report = Path(folder) / "report.xml"
        options = {
            "--data-file": file.resolve(),
            "--validate-version": "1.2",
            "--applicability-criteria": ",".join(CRITERIA),
            "--output-type": "unittest",
            "--output-destination": report,
        }
        arguments = [str(part) for option in options.items() for part in option]
        done = subprocess.run(
            [validator, "--block-download", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode or not report.exists():
            return Verdict(fault=(done.stderr or done.stdout)[-800:] or f"exit {done.returncode}")
        return read_report(report)


def read_report(report: Path) -> Verdict:
    """Count what the report says; a rule that failed or could not be judged is broken."""
    run = skipped = 0
    broken = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            skipped += 1
            continue
        run += 1
        rule = (case.get("name") or "").split(" :: ")[0]
        complaint = next((found for tag in ("failure", "error") if (found := case.find(tag)) is not None), None)
        if complaint is not None and rule not in BRANCHES:
            broken.append((rule, complaint.get("message") or ""))
    return Verdict(run, skipped, broken)


def find_python() -> Path | None:
    """Return a Python that the validator runs on: this one, one beside it, or one on the path."""
    return next((path for path in _pythons() if _version(path) == PYTHON), None)


def _pythons() -> Iterator[Path]:
    name = f"python{PYTHON[0]}.{PYTHON[1]}"
    yield Path(sys.executable)
    yield from sorted(Path(sys.base_prefix).parent.glob(f"*/bin/{name}"))
    yield from (Path(folder) / name for folder in os.environ.get("PATH", os.defpath).split(os.pathsep))


def _version(python: Path) -> tuple[int, ...]:
    if not python.is_file():
        return ()
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


def install(python: Path) -> Path | None:
    """Return the validator at its pinned versions, installed once and when they change; None where it cannot be had."""
    validator, installed = HOME / "bin" / "focus-validator", HOME / "installed.txt"
    if not validator.exists() or not installed.exists() or installed.read_bytes() != PINNED.read_bytes():
        print(f"installing focus-validator into {HOME.name}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", HOME], check=True)
        pip = [HOME / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*pip, "-r", PINNED], check=False).returncode:
            return None
        shutil.copy(PINNED, installed)
    return validator


def without_newer_columns(file: Path, folder: Path) -> Path:
    """Return the file without the columns of 1.3, which the validator does not know: its part of 1.2."""
    with COLUMNS.open(encoding="utf-8", newline="") as lines:
        known = {row["name"] for row in csv.DictReader(lines) if row["since"] == "1.2"}
    table = pq.read_table(file) if file.suffix == ".parquet" else None
    if table is None or set(table.column_names) <= known:
        return file
    shutil.rmtree(folder / "part", ignore_errors=True)
    (folder / "part").mkdir()
    pq.write_table(table.select([name for name in table.column_names if name in known]), folder / "part" / file.name)
    return folder / "part" / file.name


def export_sample(folder: Path) -> list[Path]:
    """Write the sample company's exports: all time, a month as CSV, and a month whose shared charges are split."""
    import attribution as at

    config = SAMPLE / "config"
    with at.build_ledger(SAMPLE / "data", config=config / "attribution.yaml", quiet=True) as ledger:
        rules = at.read_rules(config / "chargeback.yaml")
        done = [
            at.export(ledger, folder / "focus-1.2.parquet", "focus-1.2"),
            at.export(ledger, folder / "focus-1.2-october.csv", "focus-1.2", period="2026-10"),
            at.export(ledger, folder / "focus-1.3-october.parquet", "focus-1.3", period="2026-10", rules=rules),
        ]
    return [Path(each.path) for each in done]


def main(names: list[str]) -> int:
    """Judge every file; the worst verdict decides."""
    python = find_python()
    if python is None:
        print("SKIPPED: focus-validator needs Python 3.12, and there is none here; FOCUS exports were not judged.")
        return SKIPPED
    validator = install(python)
    if validator is None:
        print("SKIPPED: focus-validator could not be installed (see above); FOCUS exports were not judged.")
        return SKIPPED
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in [Path(name) for name in names] or export_sample(Path(folder)):
            verdict = judge(validator, without_newer_columns(file, Path(folder)))
            print(f"{file.name}: {verdict}", flush=True)
            worst = max(worst, verdict.code)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
