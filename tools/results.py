"""What the chapters showed when they were last executed, read from Jupyter Book's cache."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from jupyter_cache import get_cache

CACHE = Path("_build/.jupyter_cache")
PREFIX = "application/papermill.record/"


def chapters(folder: Path = CACHE) -> dict[str, int]:
    """Keys of the newest execution of each chapter that the cache holds; empty where there is no cache."""
    records = get_cache(folder).list_cache_records() if folder.exists() else []
    return {Path(record.uri).stem: record.pk for record in sorted(records, key=lambda record: record.created)}


def outputs(chapter: str, folder: Path = CACHE) -> list[tuple[dict, dict]]:
    """(cell metadata, output) of the chapter as last executed."""
    key = chapters(folder).get(chapter)
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
