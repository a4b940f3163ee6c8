"""Put the numbers and the figure of the last build into README.md, so that none of them is typed by hand.

A number in the README is written ``<!--g models::models-gpt2-loss:.2f-->4.71<!--/g-->``: chapter, glued key, format. The figure is one
that a chapter drew: ``FIGURE`` names the chapter and the figure's name.

Usage: ``python tools/readme.py``, after ``make book``.
"""

from __future__ import annotations

import ast
import base64
import os
import re
from pathlib import Path

from jupyter_cache import get_cache

CACHE = Path("_build/.jupyter_cache")
FIGURE = ("attention_heads", "fig-heads-recall", Path("book/_static/findings.png"))
NUMBER = re.compile(r"<!--g (\w+)::([\w-]+?)(?::([^:>]+?))?-->.*?<!--/g-->")
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
    found = {}
    for _, output in outputs(chapter):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        if name:
            text = output["data"][f"{PREFIX}text/plain"]
            found[name] = ast.literal_eval("".join(text))
    return found


def fill(text: str) -> str:
    """The README with every marked number taken from the run."""
    known: dict[str, dict[str, object]] = {}

    def number(match: re.Match) -> str:
        chapter, key, form = match.groups()
        if chapter not in known:
            known[chapter] = glued(chapter)
        values = known[chapter]
        if key not in values:
            raise SystemExit(f"README.md: {chapter} glues no {key}")
        where = f"{chapter}::{key}" + (f":{form}" if form else "")
        return f"<!--g {where}-->{values[key]:{form or ''}}<!--/g-->"

    return NUMBER.sub(number, text)


def figure(chapter: str, name: str) -> bytes:
    """PNG of a chapter's figure."""
    for metadata, output in outputs(chapter):
        if metadata.get("mystnb", {}).get("figure", {}).get("name") == name and "image/png" in output.get("data", {}):
            return base64.b64decode(output["data"]["image/png"])
    raise SystemExit(f"{chapter} draws no figure {name}")


def write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def main() -> None:
    readme = Path("README.md")
    text = fill(readme.read_text(encoding="utf-8"))
    write_whole(FIGURE[2], figure(*FIGURE[:2]))
    write_whole(readme, text.encode())


if __name__ == "__main__":
    main()
