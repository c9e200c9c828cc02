"""Write the parts of README.md that are made, not written: the sources, the rule types, and the answer of the
first command.

Run `.venv/bin/python tests/readme.py` after adding a source or changing the sample company.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from attribution.catalog import render_sources
from attribution.expectations.rule_types import SUPPORTED

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def commands() -> list[str]:
    """Return the two commands of the README, as they stand there."""
    return re.findall(r"^python3 -m venv .*$", README.read_text(encoding="utf-8"), re.MULTILINE)


def block(name: str) -> str:
    """Return what stands between the marks of a made part."""
    before, after = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    return README.read_text(encoding="utf-8").partition(before)[2].partition(after)[0]


def write(name: str, text: str) -> None:
    """Put a made part between its marks."""
    before, after = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, mark, rest = README.read_text(encoding="utf-8").partition(before)
    if not mark or after not in rest:
        raise LookupError(f"README.md has no part that is marked {name}")
    README.write_text(f"{head}{before}{text.strip()}\n{after}{rest.partition(after)[2]}", encoding="utf-8")


def answer(output: str) -> str:
    """Return the beginning of an audit's output: what was loaded, the headline, the dearest hop, its remedy."""
    found = re.search(r"^([\d,]+ files loaded:[^\n]*).*?\n\n(.*?)\n\n1\. ", output, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"this is no audit's output: {output[-2000:]}")
    return "\n\n".join(found.groups())


def rule_types() -> str:
    """Return the rule types that suites may use, as a list."""
    return ",\n".join(f"`{name}`" for name in SUPPORTED)


def output_of(*words: str) -> str:
    """Return what an attribution command prints."""
    run = [sys.executable, "-c", "from attribution.cli import main; main()", *words]
    done = subprocess.run(
        run, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    return done.stdout


def repair() -> str:
    """Return how often the ladder finds hidden owners of the sample company again."""
    return output_of("repair", *commands()[0].rpartition(" audit ")[2].split())


def main() -> None:
    """Run the first command's job and write all made parts anew."""
    audited = output_of(*commands()[0].rpartition(" && ")[2].split()[1:], "--no-html")
    write("sources", render_sources())
    write("rule types", rule_types())
    write("answer", f"```\n{answer(audited)}\n```")
    write("repair", f"```\n{repair().strip()}\n```")


if __name__ == "__main__":
    main()
