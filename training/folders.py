"""Folders of checkpoints that are there whole or not at all, wherever the program that writes them is killed.

A new folder is filled under a hidden name. Then the old one is set aside, the new one takes its name, and the old one is deleted. A program
that is killed between the two renames leaves no folder of that name; the next one puts back what was set aside.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(checkpoints: Path, name: str) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of ``checkpoints / name`` where the block ends without an error.

    Parameters
    ----------
    checkpoints : Path
        The folder of all checkpoints; it is made where it is missing, and what killed programs left in it is put right.
    name : str
        May stand below another checkpoint, ``model-selector/few``.
    """
    recover(checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    target, scratch, aside = checkpoints / name, _hidden(checkpoints, name, "part"), _hidden(checkpoints, name, "old")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    yield scratch
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(aside)
    scratch.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def recover(checkpoints: Path) -> None:
    """Put back every folder that a killed program set aside and did not replace, outer ones first; delete those it did."""
    for aside in sorted(checkpoints.glob(".*.old"), key=lambda path: len(path.name)):
        target = checkpoints / aside.name[1 : -len(".old")].replace("+", "/")
        if target.exists():
            shutil.rmtree(aside)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(target)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that the old or the new one lies under the target's name, never a part."""
    scratch = target.with_name(f".{target.name}.part")
    shutil.copy(source, scratch)
    os.replace(scratch, target)


def _hidden(checkpoints: Path, name: str, ending: str) -> Path:
    return checkpoints / f".{name.replace('/', '+')}.{ending}"
