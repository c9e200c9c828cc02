"""The house rules, as small checks: nothing here depends on memory."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "attribution"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_assets" not in path.parts)
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]

#: Each engine has one door: only these rooms may import it.
DOORS = {
    "duckdb": ("ledger.py",),
    "altair": ("charts/",),
    "vl_convert": ("charts/",),
    "ipywidgets": ("widgets.py", "widgets/"),
    "great_expectations": ("expectations.py", "expectations/"),
}
HEAVY = ("pandas", "pyarrow", "duckdb", "altair", "great_expectations", "numpy", "genai_prices", "typer", "ipywidgets")


def imports(path: Path) -> set[str]:
    """Return the top-level names of everything a module imports, inside functions too, for types not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {id(n) for node in ast.walk(tree) if _is_for_types(node) for n in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: what is tracked cannot be listed")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_is_and_fits_in_the_head(name: str) -> None:
    text = (PACKAGE / name).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{name} has no docstring"
    assert len(text.splitlines()) <= 400, f"{name} has {len(text.splitlines())} lines; split the room"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), f"{name} holds work that is not done"


@pytest.mark.parametrize("name", NAMES)
def test_no_function_is_longer_than_a_thought(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            lines = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
            assert lines <= 60, f"{name}:{node.lineno} {node.name} has {lines} lines"


def test_every_function_has_a_room() -> None:
    rooms = {part.removesuffix(".py") for name in NAMES for part in Path(name).parts}
    assert not rooms & {"utils", "helpers", "common", "base", "manager", "misc", "core"}


@pytest.mark.parametrize("engine", sorted(DOORS))
def test_each_engine_has_one_door(engine: str) -> None:
    users = [str(path.relative_to(PACKAGE)) for path in MODULES if engine in imports(path)]
    assert [name for name in users if not name.startswith(DOORS[engine])] == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import attribution, sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(done.stdout.split()) & set(HEAVY)


def test_every_public_name_is_there_and_explains_itself() -> None:
    import attribution

    for name in attribution.__all__:
        assert getattr(attribution, name).__doc__, f"attribution.{name} does not say what it does"


def test_money_is_never_read_summed_or_kept_as_a_float() -> None:
    """SQL may not cast money to a float; Python may turn it into one only where a chart draws it.

    `explanations/counts.py` weighs a discounted call's lines by their share of its list price; the remainder of that
    split is settled exactly afterwards.
    """
    to_float = re.compile(r"_cost\b[^,\n]*(::\s*(double|float|real)|as\s+(double|float|real)\s*\))", re.IGNORECASE)
    guilty = [str(path.relative_to(ROOT)) for path in MODULES if to_float.search(path.read_text(encoding="utf-8"))]
    assert [name for name in guilty if not name.startswith(("attribution/charts/", "attribution/explanations/"))] == []


def test_no_tracked_text_names_a_machine() -> None:
    place = re.compile(rb"(?<![\w.$}/-])/(work|root)/[a-z]")
    guilty = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in (".py", ".md", ".toml", ".csv", ".yaml", ".ipynb", ".txt", ".json", ".html", "")
        and path.is_file()
        and "fixtures" not in path.parts
        and "sample_data" not in path.parts
        and place.search(path.read_bytes())
    ]
    assert guilty == []


def test_what_is_declared_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    ours = next(package for package in locked if package["name"] == "attribution")
    known = {requirement["name"] for requirement in ours["metadata"]["requires-dist"]}
    declared = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[\[<>=!~; ]", d, maxsplit=1)[0].lower().replace("_", "-") for d in declared}
    assert names - {"attribution"} <= known, "uv.lock is older than pyproject.toml: run `uv lock`"


def test_the_base_install_is_small() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.split(r"[\[<>=!~; ]", d, maxsplit=1)[0] for d in project["dependencies"]}
    assert not base & {"jupyterlab", "great-expectations", "ipywidgets", "litellm", "scipy", "httpx"}


def test_every_source_room_and_table_is_documented_by_its_first_line() -> None:
    for path in sorted((PACKAGE / "sources").glob("*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert doc.splitlines()[0].endswith((".", ":", "?")), f"{path.name}: the first docstring line is no sentence"
