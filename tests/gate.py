"""Run every check in turn, say what is run and how long it took, and fail if any of them fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

STEPS = {
    "style: ruff check": ("ruff", "check", "."),
    "format: ruff format": ("ruff", "format", "--check", "."),
    "types: mypy --strict": ("mypy", "--strict"),
    "import rule: import-linter": ("lint-imports",),
    # Two workers for two cores; a file stays with one, so that what its tests share is built once.
    "tests, doctests and laws: pytest": ("pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"),
    "sample data: attribution quality": (
        *("attribution", "quality", "sample_data/acme/data", "--config", "sample_data/acme/config/attribution.yaml"),
        # Suites that the planted faults leave whole; tests hold the others to the faults by number.
        *(
            f"--suite={name}"
            for name in ("sample_company", "bill_lines", "line_items", "price_book", "ownership_rules")
        ),
        *(f"--suite={name}_form" for name in ("cost_events", "observations", "spans")),
        *("--fail-on", "warning"),
    ),
    "notebooks: nbval": ("pytest", "-q", "-p", "no:cacheprovider", "--nbval", "notebooks"),
    "FOCUS exports: focus-validator": ("python", "tests/focus_judge.py"),
}
#: What a step exits with when this machine lacks what it needs; it has said so.
SKIPPED = 77


def main() -> int:
    """Run all steps, the later ones too when one fails, so that one run shows all there is to mend."""
    outcome: dict[str, tuple[str, float]] = {}
    for number, (title, command) in enumerate(STEPS.items(), 1):
        print(f"\n── {number}/{len(STEPS)} {title}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, stdin=subprocess.DEVNULL, env=_environment())
        verdict = {0: "passed", SKIPPED: "skipped"}.get(done.returncode, f"FAILED ({done.returncode})")
        outcome[title] = (verdict, time.monotonic() - started)
    print("\n── summary")
    for title, (verdict, seconds) in outcome.items():
        print(f"{verdict:<12} {seconds:>6.0f} s  {title}")
    return int(any(verdict.startswith("FAILED") for verdict, _ in outcome.values()))


def _environment() -> dict[str, str]:
    """Tests see this environment and no key of the person who runs them; Python is run from here alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ATTRIBUTION_", "PYTEST_", "MYPY", "RUFF_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}", "PYTHONUTF8": "1"}


if __name__ == "__main__":
    sys.exit(main())
