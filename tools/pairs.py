"""Chapters as pairs: ``book/name.py`` is edited, ``book/name.ipynb`` is generated from it.

The notebook depends on the script alone. It has no outputs, and cell ids are computed from the contents of the cells, so the same
script gives the same bytes on every machine, and editing a cell changes only its own id.

Usage: ``python tools/pairs.py write|check [folder]``
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
import yaml
from whole_files import write_whole

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

# The first cell where the book has a repository: a notebook opened on Colab gets the library, with the seeds that the wheel leaves out.
SETUP = """# Installs the library where it is missing, as on Colab.
import importlib.util
import os
import sys

if importlib.util.find_spec("analysis_lib") is None:
    address = "{address}"
    !git clone --quiet --depth 1 {{address}} /tmp/book
    %pip install --quiet -e "/tmp/book[book]"
    sys.path.insert(0, "/tmp/book")
if os.path.isdir("/tmp/book/book"):
    os.chdir("/tmp/book/book")  # chapters read files beside them"""


def repository(root: Path) -> str:
    """The address of the repository as `_config.yml` has it, empty where there is none."""
    settings = root / "_config.yml"
    return (yaml.safe_load(settings.read_text(encoding="utf-8")).get("repository", {}).get("url") or "") if settings.exists() else ""


def notebook_text(script: Path) -> str:
    """The notebook that belongs to a percent script, as the text of its file."""
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first format that has cell ids
    address = repository(script.parent.parent)
    if address:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP.format(address=address), metadata={"tags": ["remove-cell"]}))
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        says = json.dumps([cell.cell_type, cell.source])
        cell.id = hashlib.sha256(f"{seen[says]}{says}".encode()).hexdigest()[:12]
        seen[says] += 1
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def scripts(folder: Path) -> list[Path]:
    """The chapters of a folder, without its helpers (``_name.py``)."""
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def problems(folder: Path) -> list[str]:
    """Why the pairs of a folder do not agree, one line for each file."""
    found = []
    for script in scripts(folder):
        notebook = script.with_suffix(".ipynb")
        if not notebook.exists():
            found.append(f"{notebook}: missing")
        elif notebook.read_text(encoding="utf-8") != notebook_text(script):
            found.append(f"{notebook}: {_why(notebook, script)}")
    for notebook in sorted(folder.glob("*.ipynb")):
        if not notebook.with_suffix(".py").exists():
            found.append(f"{notebook}: has no {notebook.stem}.py beside it, which is the file to edit")
    return found


def _why(notebook: Path, script: Path) -> str:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        return "is no notebook"
    if any(cell.get("outputs") or cell.get("execution_count") for cell in cells):
        return "holds outputs"
    if [_source(cell) for cell in cells] != [_source(cell) for cell in json.loads(notebook_text(script))["cells"]]:
        return f"differs from {script.name}"
    return "has other metadata or cell ids than the generated one"


def _source(cell: dict) -> str:
    return "".join(cell["source"])


def write(folder: Path) -> list[Path]:
    """Generate the notebooks that differ from their scripts; the others keep their time stamps, so Sphinx does not read them again."""
    written = []
    for script in scripts(folder):
        notebook, text = script.with_suffix(".ipynb"), notebook_text(script)
        if notebook.exists() and notebook.read_text(encoding="utf-8") == text:
            continue
        write_whole(notebook, text)
        written.append(notebook)
    return written


def main(arguments: list[str]) -> int:
    action, folder = arguments[0], Path(arguments[1] if len(arguments) > 1 else "book")
    if action == "write":
        for notebook in write(folder):
            print(f"wrote {notebook}")
        return 0
    found = problems(folder)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("Edit the .py and run `make notebooks`.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
