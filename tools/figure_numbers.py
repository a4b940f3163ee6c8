"""A link to the numbers of a figure, below it: a Sphinx extension that `_config.yml` loads.

In an executed chapter, the metadata of a figure hold the numbers that it shows, as CSV (`analysis_lib.plots.use_style`). When the builder
has ended, they are written to files of the site. A figure whose chapter gives its numbers itself (`report.figure_data`) keeps that link.
"""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import results
from whole_files import write_whole

FOLDER = "_downloads/figures"
LARGE = 4_000  # characters; a longer file is zipped
FIGURE = re.compile(r'<figure\b[^>]*\bid="([\w-]+)".*?</figure>', re.DOTALL)


def numbers_in(found: Iterable[tuple[dict, dict]]) -> Iterator[tuple[str, str]]:
    """(name, CSV) of each figure that has numbers among the outputs of a chapter."""
    for cell, output in found:
        name = cell.get("mystnb", {}).get("figure", {}).get("name")
        if name and "numbers" in output.get("metadata", {}):
            yield name, output["metadata"]["numbers"]


def packed(name: str, csv: str) -> tuple[str, bytes]:
    """A file's name and contents: the CSV, or where it is long, a ZIP with it and the same bytes every time."""
    if len(csv) <= LARGE:
        return f"{name}.csv", csv.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.csv"), csv, zipfile.ZIP_DEFLATED, 9)
    return f"{name}.zip", out.getvalue()


def linked(text: str, files: Mapping[str, str]) -> str:
    """A page on which every figure with a file, by the figure's name, has a link to it; those that have one stay as they are."""

    def with_link(figure: re.Match) -> str:
        file = files.get(figure[1])
        if file is None or f'download="{figure[1]}.' in text:
            return figure[0]
        words = "Data of the figure as CSV" + (", zipped" if file.endswith(".zip") else "")
        return f'{figure[0]}\n<p class="table-csv"><a download="{file}" href="../{FOLDER}/{file}">{words}</a></p>'

    return FIGURE.sub(with_link, text)


def link_numbers(app, exception) -> None:
    """Write the numbers of all figures into the site, and the links into its pages."""
    if exception or app.builder.name != "html":
        return
    site = Path(app.outdir)
    shutil.rmtree(site / FOLDER, ignore_errors=True)
    (site / FOLDER).mkdir(parents=True)
    cache = site.parent / ".jupyter_cache"
    for chapter in results.chapters(cache):
        page, files = site / "book" / f"{chapter}.html", {}
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        for name, csv in numbers_in(results.outputs(chapter, cache)):
            if f'download="{name}.csv" href="data:' not in text:
                files[name], content = packed(name, csv)
                write_whole(site / FOLDER / files[name], content)
        if linked(text, files) != text:
            write_whole(page, linked(text, files))


def setup(app):
    app.connect("build-finished", link_numbers, priority=950)  # after the pages are mended
