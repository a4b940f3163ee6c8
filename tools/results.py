"""What the chapters showed when they were last executed, read from Jupyter Book's cache."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from jupyter_cache import get_cache

CACHE = Path("_build/.jupyter_cache")
PREFIX = "application/papermill.record/"


def outputs(chapter: str) -> list[tuple[dict, dict]]:
    """(cell metadata, output) of the chapter as last executed."""
    cache = get_cache(CACHE)
    records = [record for record in cache.list_cache_records() if Path(record.uri).stem == chapter]
    if not records:
        raise SystemExit(f"{CACHE} holds no execution of {chapter}; run `make book` first")
    newest = max(records, key=lambda record: record.created)
    cells = cache.get_cache_bundle(newest.pk).nb["cells"]
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
