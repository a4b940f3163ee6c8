"""Results of sweeps on disk, so that one that was killed goes on where it was."""

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib

FOLDER = "ANALYSIS_SWEEPS"
"""The environment variable that names the folder; without it nothing is kept."""

PART = "sweeps-"
"""What the names of the folder's parts begin with."""

COMPUTES = ("torch", "numpy", "scipy", "transformers", "tokenizers", "morfeusz2")
"""Packages whose version can change a result."""


def with_store(key: Any, items: Sequence[Any], compute: Callable[[Sequence[Any]], Iterator[Any]]) -> list[Any]:
    """Results of items: read where they are kept, else computed, once for items that are equal, and written as they come.

    Parameters
    ----------
    key : object
        What the results depend on besides the item.
    items : sequence
    compute : callable
        Gives the results of some of the items, in their order.

    Returns
    -------
    list
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return list(compute(items))
    kept = joblib.Memory(_current(Path(folder)), verbose=0).cache(_result, ignore=["take"])
    named = [(joblib.hash(item), item) for item in items]
    missing = {name: item for name, item in named if not kept.check_call_in_cache(key, item, None)}
    coming = zip(list(missing), compute(list(missing.values())), strict=True)
    came: dict[str, Any] = {}

    def take(name: str, item: Any) -> Any:
        if name not in missing:  # its file has gone since, or cannot be read
            return next(compute([item]))
        del missing[name]
        while name not in came:
            here, came[here] = next(coming)
        return came.pop(name)

    return [kept(key, item, functools.partial(take, name, item)) for name, item in named]


def _result(key: Any, item: Any, take: Callable[[], Any]) -> Any:
    """What is kept under `key` and `item`; joblib calls this only where that is nothing."""
    return take()


def _current(folder: Path) -> Path:
    """The part of the folder that belongs to the library as it is; the parts of other versions are removed."""
    current = folder / f"{PART}{library_digest()}"
    for other in folder.glob(f"{PART}*"):
        if other != current:
            shutil.rmtree(other, ignore_errors=True)
    return current


@functools.cache
def library_digest() -> str:
    """A hash of what can change a result: the library's files, without checkpoints, and the versions of packages that compute."""
    total = hashlib.sha256(" ".join(version(name) for name in COMPUTES).encode())
    root = Path(__file__).resolve().parents[1]
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        part = path.relative_to(root)
        if part.parts[0] != "checkpoints" and "__pycache__" not in part.parts:
            total.update(part.as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def module_digest(module: ModuleType) -> str:
    """A hash of the file that a module comes from, which need not be one of the library's; empty where it has none, as `builtins`."""
    path = Path(getattr(module, "__file__", None) or "")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
