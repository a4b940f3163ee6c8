"""What the chapters showed when they were last executed, read from Jupyter Book's cache."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable
from pathlib import Path

import nbformat
from jupyter_cache import get_cache

CACHE = Path("_build/.jupyter_cache")
PREFIX = "application/papermill.record/"


def chapters(folder: Path = CACHE, only: str | None = None) -> dict[str, int]:
    """Keys of the execution that each chapter's page shows, or of one chapter's; empty where there is no cache.

    The cache keeps executions of earlier versions of a chapter, and one that was changed back has an older one than the newest. Where none
    is of the notebook as it is, the newest counts.
    """
    if not folder.exists():
        return {}
    cache, found = get_cache(folder), {}
    for record in sorted(cache.list_cache_records(), key=lambda record: record.created):
        if only in (None, Path(record.uri).stem):
            found[Path(record.uri)] = record.pk
    for path in (path for path in found if path.exists()):
        with contextlib.suppress(KeyError):
            found[path] = cache.match_cache_notebook(nbformat.read(path, as_version=4)).pk
    return {path.stem: key for path, key in found.items()}


def outputs(chapter: str, folder: Path = CACHE) -> list[tuple[dict, dict]]:
    """(cell metadata, output) of the chapter as last executed."""
    key = chapters(folder, chapter).get(chapter)
    if key is None:
        raise SystemExit(f"{folder} holds no execution of {chapter}; run `make book` first")
    cells = get_cache(folder).get_cache_bundle(key).nb["cells"]
    return [(cell["metadata"], output) for cell in cells for output in cell.get("outputs", [])]


def glued(chapter: str) -> dict[str, object]:
    """Everything a chapter glued, by key."""
    return glued_in(output for _, output in outputs(chapter))


def glued_in(found_outputs: Iterable[dict]) -> dict[str, object]:
    """Everything that was glued in these outputs of cells, by key."""
    found = {}
    for output in found_outputs:
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        if name:
            found[name] = ast.literal_eval("".join(output["data"][f"{PREFIX}text/plain"]))
    return found
