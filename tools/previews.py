"""What a link shows before it is followed: a Sphinx extension that `_config.yml` loads.

The first mention of a word of the glossary on a page becomes a link to it. What glossary and pages say about themselves is written to
``_static/previews.js``, from which `book.js` shows it on hover and on focus; a page that is opened from disk could not fetch it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path

from docutils import nodes
from whole_files import write_whole

GLOSSARY = "book/glossary"
PLAIN = (
    nodes.paragraph,
    nodes.list_item,
    nodes.bullet_list,
    nodes.enumerated_list,
    nodes.section,
    nodes.document,
)  # where words are linked


def pattern(terms: Mapping[str, str]) -> re.Pattern | None:
    """Finds any of the terms as whole words, in the singular or with an s; longer ones first."""
    if not terms:
        return None
    words = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({words})s?(?![\w-])", re.I)


def split_at_terms(text: str, terms: Mapping[str, str], seen: set[str]) -> list[tuple[str, str | None]]:
    """The text in pieces, each with the term that it mentions for the first time, or with none; `seen` grows."""
    pieces, start, finder = [], 0, pattern(terms)
    for found in finder.finditer(text) if finder else ():
        term = found[1].lower()
        if term in seen:
            continue
        seen.add(term)
        pieces += [(text[start : found.start()], None), (found[0], term)]
        start = found.end()
    return [piece for piece in [*pieces, (text[start:], None)] if piece[0]]


def link_terms(app, doctree: nodes.document, docname: str) -> None:
    """Link the first mention of each word of the glossary in the plain sentences of a chapter."""
    known = app.env.get_domain("std").data.get("terms", {})
    terms = {name.lower(): label for name, (place, label) in known.items() if place == GLOSSARY}
    if app.builder.name != "html" or not docname.startswith("book/") or docname.startswith(("book/glossary", "book/api")):
        return
    address, seen = app.builder.get_relative_uri(docname, GLOSSARY) if terms else "", set[str]()
    for node in list(doctree.findall(nodes.Text)):
        above = [node.parent]
        while above[-1].parent is not None:
            above.append(above[-1].parent)
        if not isinstance(node.parent, nodes.paragraph) or not all(isinstance(parent, PLAIN) for parent in above):
            continue
        pieces = split_at_terms(node.astext(), terms, seen)
        if len(pieces) == 1 and pieces[0][1] is None:
            continue
        linked = [link(words, f"{address}#{terms[term]}") if term else nodes.Text(words) for words, term in pieces]
        node.parent.replace(node, linked)


def link(words: str, address: str) -> nodes.reference:
    return nodes.reference("", "", nodes.Text(words), internal=True, refuri=address, classes=["term"])


def previews(app) -> dict[str, str]:
    """By page, or by page and anchor, what stands there: the first sentences of pages, and all entries of the glossary."""
    found = {}
    for docname in sorted(app.env.found_docs):
        page = Path(app.outdir) / f"{docname}.html"
        about = re.search(r'<meta name="description" content="([^"]*)"', page.read_text(encoding="utf-8"))
        if about:
            found[page.name] = f"{app.env.titles[docname].astext()}. {unescape(about[1])}"
    for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item) if GLOSSARY in app.env.found_docs else ():
        words = " ".join(item.next_node(nodes.definition).astext().split())
        found |= {f"{Path(GLOSSARY).name}.html#{label}": words for term in item.findall(nodes.term) for label in term["ids"]}
    return found


def write(app, exception) -> None:
    if not exception and app.builder.name == "html":
        text = json.dumps(previews(app), ensure_ascii=False)
        write_whole(Path(app.outdir) / "_static" / "previews.js", f"window.previews = {text};\n")


def setup(app):
    app.connect("doctree-resolved", link_terms)
    app.connect("build-finished", write, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
