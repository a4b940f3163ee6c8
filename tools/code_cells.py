"""How the code of chapters stands on pages: a Sphinx extension that `_config.yml` loads.

Sources have lines of 140 characters, and a page has room for 84. Cells with a longer line are laid out for the page by ruff; notebooks and
scripts that are downloaded stay as they are written. A chapter opens with its question, its key figure and what was found. So what cells
with the tag `key-figure` show is moved up to the page's opening, while their code stays where it is run, and closed code that stands above
a figure of the opening is moved below what was found. Closed cells that follow one another share one box.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from docutils import nodes

KEY = "tag_key-figure"
WIDTH = 84  # characters of code in a line of text at a window of 1280 px, with the size that book.css gives them
LAYOUT = {tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT}


def fitted(cells: Sequence[str], width: int = WIDTH) -> list[str]:
    """Cells of Python with lines of at most `width` characters, as far as strings and comments let them.

    A cell whose lines fit is left alone, and so are all where ruff is not installed or finds no Python.
    """
    wide = [place for place, cell in enumerate(cells) if any(len(line) > width for line in cell.splitlines())]
    if not wide:
        return list(cells)
    empty: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    code = [{**empty, "source": comments_above(cells[place], width)} for place in wide]
    notebook = {"cells": code, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 4}
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(width), "--stdin-filename", "page.ipynb", "-"]
    ran = subprocess.run(command, input=json.dumps(notebook), capture_output=True, text=True, encoding="utf-8", check=False)
    if ran.returncode:
        return list(cells)
    found = list(cells)
    for place, cell in zip(wide, json.loads(ran.stdout)["cells"], strict=True):
        found[place] = "".join(cell["source"])
    return found


def comments_above(cell: str, width: int) -> str:
    """The cell with comments behind statements that are too long for a line moved above them.

    Ruff would break such a statement into as many lines as it can, to no avail. Where a statement has several lines, its comments stay.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(cell).readline))
    except (tokenize.TokenError, SyntaxError):
        return cell
    lines, begun = cell.splitlines(), None  # the row on which the statement began
    for token, after in pairwise(tokens):
        row = token.start[0] - 1
        if token.type == tokenize.COMMENT and begun == row and after.type == tokenize.NEWLINE and len(lines[row]) > width:
            code = lines[row][: token.start[1]].rstrip()
            lines[row] = f"{code[: len(code) - len(code.lstrip())]}{token.string}\n{code}"
        if token.type == tokenize.NEWLINE:
            begun = None
        elif begun is None and token.type not in LAYOUT:
            begun = row
    return "\n".join(lines)


def fit_cells(doctree: nodes.document) -> None:
    """Lay out the code cells of a page."""
    blocks = [block for block in doctree.findall(nodes.literal_block) if block.get("language") in {"ipython3", "python3"}]
    for block, code in zip(blocks, fitted([block.astext() for block in blocks]), strict=True):
        if code != block.astext():
            block.rawsource, block.children = code, []
            block += nodes.Text(code)


def raise_figure(doctree: nodes.document) -> None:
    """Move what the cells with the tag `key-figure` show above the list of what was found."""
    page = next(doctree.findall(nodes.section), None)
    cells = [cell for cell in doctree.findall(nodes.container) if KEY in cell["classes"]]
    if page is None or not cells:
        return
    opening = next((place for place, child in enumerate(page.children) if isinstance(child, nodes.section)), len(page.children))
    found = next((place for place, child in enumerate(page.children[:opening]) if isinstance(child, nodes.bullet_list)), opening)
    if found and _is_a_heading(page[found - 1]):
        found -= 1
    for place, cell in enumerate(cells, start=found):
        shown = nodes.container(classes=["cell"], nb_element="cell_code")
        for child in [child for child in cell.children if child.get("nb_element") == "cell_code_output"]:
            cell.remove(child)
            shown += child
        page.insert(place, shown)
        if not cell.children:
            cell.parent.remove(cell)


def lower_code(doctree: nodes.document) -> None:
    """Move closed code that stands above a chapter's first figure behind the rest of the page's opening."""
    page = next(doctree.findall(nodes.section), None)
    if page is None:
        return
    opening = [child for child in page.children if not isinstance(child, nodes.section)]
    key = next((place for place, child in enumerate(opening) if any(child.findall(nodes.figure))), None)
    if key is None:
        return
    moved = [cell for cell in opening[:key] if _is_closed(cell)]
    if _is_closed(opening[key]):
        figure_cell = opening[key]
        code = [child for child in figure_cell.children if child.get("nb_element") != "cell_code_output"]
        own = nodes.container(classes=list(figure_cell["classes"]), nb_element="cell_code", hide_mode=figure_cell["hide_mode"])
        for child in code:
            figure_cell.remove(child)
            own += child
        moved.append(own)
    for cell in moved:
        if cell.parent is page:
            page.remove(cell)
    end = next((place for place, child in enumerate(page.children) if isinstance(child, nodes.section)), len(page.children))
    page.insert(end, moved)


def join_closed(doctree: nodes.document) -> None:
    """Let closed cells that follow one another share one box, where nothing that they show stands between them."""
    for cell in list(doctree.findall(_is_closed)):
        after = cell.next_node(descend=False, siblings=True)
        if after is None or not _is_closed(after) or any(child.get("nb_element") == "cell_code_output" for child in cell.children):
            continue
        first = next(after.findall(_is_source), None)
        if first is None:
            continue
        box = first.parent
        for code in list(cell.findall(_is_source)):
            code.parent.remove(code)
            box.insert(box.index(first), code)
        cell.parent.remove(cell)


def _is_source(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_source"


def _is_a_heading(node: nodes.Node) -> bool:
    """Whether a paragraph is bold as a whole."""
    return isinstance(node, nodes.paragraph) and [type(child) for child in node.children if child.astext()] == [nodes.strong]


def _is_closed(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("hide_mode") in {"input", "all"}


def open_page(app, doctree) -> None:
    """Before figures are numbered, so that their numbers follow the page."""
    raise_figure(doctree)


def arrange(app, doctree, docname) -> None:
    if app.builder.format == "html":
        fit_cells(doctree)
        lower_code(doctree)
        join_closed(doctree)


def setup(app):
    app.connect("doctree-read", open_page)
    app.connect("doctree-resolved", arrange)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
