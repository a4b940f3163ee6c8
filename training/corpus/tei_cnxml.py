"""Novels in TEI and textbooks in CNXML."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from training.corpus.paragraphs import GAP, whole_sentences, worded

TEI_BLOCKS = {"p", "head", "l"}
TEI_DROPPED = {"note", "ref"}
CNXML_BLOCKS = {"para", "title", "item", "meaning", "term"}
CNXML_DROPPED = frozenset({"media", "figure", "table", "equation", "math", "footnote", "metadata", "link"})
CNXML_DROPPED_SECTIONS = {"references"}


def local_name(element):
    """Tag of an element without its namespace; '' for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def element_text(element, dropped):
    """Text of an element without the elements in ``dropped``; their tails stay."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and local_name(child) not in dropped:
            parts.append(element_text(child, dropped))
        parts.append(child.tail or "")
    return "".join(parts)


def tei_paragraphs(xml):
    """Paragraphs of a TEI novel's body.

    Parameters
    ----------
    xml : bytes
        A TEI document.

    Returns
    -------
    list of str
        Cleaned paragraphs, headings and verse lines; notes and references left out.
    """
    body = next(e for e in ET.fromstring(xml).iter() if local_name(e) == "body")
    found = []

    def visit(element):
        for child in element:
            name = local_name(child)
            if name in TEI_DROPPED or (name == "div" and child.get("type") == "notes"):
                continue
            if name in TEI_BLOCKS:
                found.append(element_text(child, TEI_DROPPED))
            else:
                visit(child)

    visit(body)
    return worded(found)


def cnxml_paragraphs(xml, dropped=CNXML_DROPPED):
    """Paragraphs of a textbook module in CNXML, headings and definitions included.

    Media, tables, equations, footnotes, links, reference sections and the gaps of
    exercises are left out; a block inside a block is written once.
    """
    root = ET.fromstring(xml)
    found = []

    def visit(element):
        for child in element:
            name = local_name(child)
            if name in dropped or child.get("class") in CNXML_DROPPED_SECTIONS:
                continue
            holds_blocks = any(local_name(e) in CNXML_BLOCKS - {"term"} for e in child.iter() if e is not child)
            if name in CNXML_BLOCKS and not holds_blocks:
                found.append(element_text(child, dropped))
            else:
                visit(child)

    visit(root)
    return worded(found)


def mark_gaps(root, shown=3):
    """Put text in the tails of what the CNXML reader leaves out.

    Links become their text and formulas of up to ``shown`` letters and digits those
    signs; longer formulas, references to figures and foreign terms become gaps.
    """
    for parent in list(root.iter()):
        for child in parent:
            name = local_name(child)
            if name in {"math", "link", "equation", "foreign"}:
                text = " ".join("".join(child.itertext()).split())
                short = len(text.replace(" ", "")) <= shown and text.replace(" ", "").isalnum()
                readable = text and (name == "link" or name == "math" and short)
                child.tail = (text if readable else GAP) + (child.tail or "")


def tei(files):
    """TEI novels, named by their files."""
    return [(Path(name).stem, tei_paragraphs(xml)) for name, xml in files]


def cnxml(files):
    """Textbook modules, named book/module."""
    return [(f"{Path(name).parts[0]}/{Path(name).parts[-2]}", cnxml_paragraphs(xml)) for name, xml in files]


def cnxml_formulas(files):
    """Textbook modules full of formulas: sentences with a formula of more than a sign or two are left out."""
    documents = []
    for name, xml in files:
        root = ET.fromstring(xml)
        mark_gaps(root)
        paragraphs = [
            re.sub(rf"\s*\((?:ang|łac|franc|niem)\.[^()]*{GAP}[^()]*\)", "", p)
            for p in cnxml_paragraphs(ET.tostring(root), CNXML_DROPPED | {"foreign"})
        ]
        kept = worded(whole_sentences(p) for p in paragraphs)
        documents.append((f"{Path(name).parts[0]}/{Path(name).parts[-2]}", kept))
    return documents
