"""Documentation in Markdown and judgments in HTML."""

import csv
import html
import io
import re
import zipfile
from pathlib import Path

from training.corpus.paragraphs import GAP, whole_sentences, worded

MARKDOWN_FRONT = re.compile(r"\A\ufeff?\s*---\s*\n.*?\n---\s*\n", re.DOTALL)
MARKDOWN_REMOVED = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|<!--.*?-->|<(script|style|table|pre)\b.*?</\1>|:::.*?(?=\n)", re.DOTALL | re.IGNORECASE
)
MARKDOWN_MARK = re.compile(r"^[\s>]*(?:(?:[*+-]|\d+[.)]|[a-z][.)])\s+|#+\s*)?")
MARKDOWN_STARTS = re.compile(r"^[\s>]*(?:[*+-]\s|\d+[.)]\s|[a-z][.)]\s|#)")
LINK_ONLY = re.compile(r"^(?:\W*\[[^\]]+\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])\W*)+$")


def markdown_paragraphs(text):
    """Paragraphs, headings and list items of a Markdown page; tables, code, images and lines of links alone are left out."""
    text = MARKDOWN_REMOVED.sub("\n", MARKDOWN_FRONT.sub("", text.replace("\r\n", "\n")))
    text = re.sub(r"<br\s*/?>|</?(?:p|li|ul|ol|div|h\d|tr)\b[^>]*>", "\n\n", text, flags=re.IGNORECASE)
    text = re.sub(r"</?[a-zA-Z][^<>]*>", "", text)
    text = re.sub(r"!\[[^\]]*\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])", "", text)
    found: list[str] = []
    lines: list[str] = []

    def close():
        if lines:
            found.append(" ".join(lines))
            lines.clear()

    for line in text.split("\n"):
        bare = MARKDOWN_MARK.sub("", line, count=1).strip()
        alone = re.fullmatch(r"(?:\[![^\]]*\]|\[!include\s*\[.*\]\(.*\)\]|\[!\w+[^\]]*\]\([^)]*\))\W*", bare, re.IGNORECASE)
        left_out = "|" in bare or re.match(r"\[[^\]]+\]: ?\S", bare) or LINK_ONLY.match(bare)
        if not bare or alone or left_out or MARKDOWN_STARTS.match(line):
            close()
        if bare and not alone and not left_out:
            lines.append(bare)
            if line.lstrip().startswith("#"):
                close()
    close()
    return worded(whole_sentences(markdown_inline(p)) for p in found)


def markdown_inline(text):
    """Text of a Markdown paragraph: links as their text, emphasis and code marks away, insertions as gaps."""
    text = re.sub(r"\[!(?:include|video|badge)\b.*?\]\([^)]*\)\]?", GAP, text, flags=re.IGNORECASE)
    text = re.sub(r"\[![^\]]*\]|\[\s*\](?:\([^()]*\))?", "", text)
    text = re.sub(r"\[([^\[\]]+)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"\\([\\`*_{}\[\]()#+.!<>|-])", r"\1", html.unescape(text))
    text = re.sub(r"\*+|`+|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)", "", text)
    return text


def markdown(files):
    """Pages of documentation, named by their paths."""
    return [(str(Path(name).with_suffix("")), markdown_paragraphs(data.decode("utf-8"))) for name, data in files]


def judgment_paragraphs(page):
    """Paragraphs of a judgment's HTML: tables (who sat) and file numbers left out, removed names as an ellipsis."""
    page = re.sub(r"<!--.*?-->|<table\b.*?</table>", "", page, flags=re.DOTALL)
    page = re.sub(r"\s+", " ", page)
    page = re.sub(r"<br ?/?>", " ", page)
    blocks = re.split(r"</?(?:p|h\d|div|li|ul|dl|dt|dd|td|tr)\b[^>]*>", page)
    texts = [html.unescape(re.sub(r"<[^>]+>", "", block)) for block in blocks]
    texts = [re.sub(r"\(\s*\.\.\.\s*\)|\[\s*\.\.\.\s*\]|\(…\)", "…", t) for t in texts]
    return [p for p in worded(texts) if not re.match(r"Sygn\. ?akt|Sygnatura", p, re.IGNORECASE)]


def judgments(files):
    """Judgments from a zipped table with the columns ``id`` and ``textcontent``."""
    csv.field_size_limit(2**31 - 1)
    documents = []
    for _, data in files:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in sorted(n for n in packed.namelist() if n.endswith(".csv")):
                rows = csv.DictReader(io.TextIOWrapper(packed.open(name), encoding="utf-8"))
                documents += [(row["id"], judgment_paragraphs(row["textcontent"])) for row in rows]
    return sorted(documents)
