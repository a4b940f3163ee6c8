"""Execute chapters on one thread and on two, and say what differs between the numbers that they glue.

Sums over several threads are rounded in another order. What that may change is tolerated as in `findings.py`; anything more fails.

Usage: ``python tools/same_numbers.py [NAME ...]``, in the folder of ``_config.yml``; without a name, of all chapters.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from findings import changes, chapters, collect
from nbclient import NotebookClient
from results import glued_in

THREADS = ("1", "2")
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def executed(chapter: str, threads: str) -> dict[str, object]:
    """What a chapter glues when it is executed with so many threads."""
    notebook = nbformat.read(Path("book", f"{chapter}.ipynb"), as_version=4)
    environment = os.environ | dict.fromkeys(VARIABLES, threads)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": "book"}}).execute(env=environment)
    return glued_in(output for cell in notebook["cells"] for output in cell.get("outputs", []))


def main(names: list[str]) -> int:
    beyond = 0
    for chapter in names or chapters():
        found = [collect({chapter: executed(chapter, threads)}) for threads in THREADS]
        differ = changes(*found)
        for change in differ:
            print(f"{'  ' if change.tolerated else '! '}{change.where}: {change.before} -> {change.now}")
        count = len(found[0]["claims"]) + sum(map(len, found[0]["numbers"].values()))
        print(f"{chapter}: {count} numbers and claims, {len(differ)} differ between {' and '.join(THREADS)} threads", flush=True)
        beyond += sum(not change.tolerated for change in differ)
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
