"""Text in lines: statutes, speeches in parliament, novels, pages of books."""

import re
import tempfile
from collections import defaultdict
from pathlib import Path

import pyreadr

from training.corpus.paragraphs import SENTENCE, WORD, worded

STATUTE_STARTS = re.compile(
    r"^\s*[\"„]?(?:Art\.|§|\d+[a-z]*[.)]|[a-z]{1,2}\)|[-–]\s|\[\d+\]|Rozdział|Dział|DZIAŁ|ROZDZIAŁ|Tytuł|Oddział|Załącznik)"
)
ARTICLE = re.compile(r"[\"„]?Art\. ?\d+\w*\.?")
HECKLING = re.compile(r"(\((?:Oklaski|Dzwonek|Poseł|Posłanka|Głos|Wesołość|Marszałek|Wicemarszałek)[^()]*\))")
MISREAD = {"mostowicz_murek_1936": str.maketrans("ŽíťúáŤ", "źŻŁÓŹŁ")}  # one file was converted from a wrong code page


def statute_paragraphs(text):
    """Paragraphs of a statute in hard-wrapped lines: articles, sections and points each by themselves."""
    found: list[str] = []
    open_ = False
    text = re.sub(r"^\s*Dz\. ?U\..*\n", "\n", text.replace("\r", ""), flags=re.MULTILINE)
    for line in text.split("\n"):
        bare = line.strip()
        if not bare:
            open_ = False
        elif found and ARTICLE.fullmatch(found[-1]) and not ARTICLE.match(bare):
            found[-1] += " " + bare
            open_ = True
        elif not open_ or STATUTE_STARTS.match(line):
            found.append(bare)
            open_ = True
        elif found[-1].endswith("-") and not found[-1].endswith(" -") and bare[0].islower():
            found[-1] = found[-1][:-1] + bare
        else:
            found[-1] += " " + bare
    return worded(found)


def statutes(files):
    """Statutes, named by their files."""
    return [(Path(name).stem, statute_paragraphs(data.decode("utf-8"))) for name, data in files]


def speech_paragraphs(text, title, width=80):
    """A speech in paragraphs, without the title of the item before it; heckling stands by itself.

    Lines are wrapped at ``width``, and paragraphs follow each other on one line: a
    longer line is cut at the last end of a sentence that fits.
    """
    speech = text.removeprefix(title).replace("˝", '"')
    lines = [" ".join(line.split()) for line in speech.split("\n")]
    found = [""]
    for line in lines:
        while len(line) > width:
            ends = [m.end() for m in re.finditer(r"[.!?…)](?= [A-ZĄĆĘŁŃÓŚŹŻ(.])", line[: width + 1])]
            if not ends:
                break
            found[-1] += " " + line[: ends[-1]]
            found.append("")
            line = line[ends[-1] :].strip()
        found[-1] += " " + line
    return worded(part.strip().lstrip(",;. ") for p in found for part in HECKLING.split(p))


def speeches(files):
    """Speeches in parliament from an R table with the columns ``id_statement``, ``titles_order_points`` and ``statement``."""
    documents = []
    for _, data in files:
        with tempfile.NamedTemporaryFile(suffix=".rda") as scratch:
            scratch.write(data)
            scratch.flush()
            table = next(iter(pyreadr.read_r(scratch.name).values()))
        columns = [table[c].astype(str) for c in ("id_statement", "statement", "titles_order_points")]
        documents += [(name, speech_paragraphs(text, title)) for name, text, title in zip(*columns, strict=True)]
    return sorted(documents)


def unwrap(lines):
    """Paragraphs of a novel in wrapped lines: one ends where a line that ends a sentence is short or dialogue follows."""
    lines = [line.strip() for line in lines]
    width = sorted(map(len, lines))[int(0.9 * len(lines))]
    found: list[str] = []
    previous = ""
    for line in lines:
        ended = previous.endswith((".", "!", "?", "…", "”", '"', ":", "*")) and len(previous) < 0.8 * width
        dialogue = re.match(r"[–—-] ?\S", line) and previous.endswith((".", "!", "?", "…", ":", "”", '"'))
        heading = not WORD.search(previous) or previous.isupper()
        if not found or not line or ended or dialogue or heading:
            found.append(line)
        elif found[-1].endswith("-") and line[:1].islower():
            found[-1] = found[-1][:-1] + line
        else:
            found[-1] += " " + line
        previous = line
    return found


def cut_long(paragraph, words=250):
    """A paragraph of more than ``words`` words in parts: where dialogue begins, then at ends of sentences."""
    if len(WORD.findall(paragraph)) <= words:
        return [paragraph]
    parts = []
    for turn in re.split(r"(?<=[.!?…:]) (?=— [A-ZĄĆĘŁŃÓŚŹŻ])", paragraph):
        parts.append("")
        for sentence in SENTENCE.split(turn):
            if len(WORD.findall(parts[-1])) > words / 2:
                parts.append("")
            parts[-1] += " " + sentence
    return parts


def novel_paragraphs(text):
    """Paragraphs of a novel in plain text, wrapped or not; the numbers of footnotes are cut off words."""
    lines = [line for line in text.replace("\ufeff", "").splitlines() if line.strip()]
    if sum(len(line) > 120 for line in lines) < len(lines) / 10:
        lines = unwrap(lines)
    lines = [re.sub(r"(?<=[^\W\d_])\d{1,3}\b|(?<=[^\W\d_][.,;:!?”])\d{1,3}(?=\s|$)", "", line) for line in lines]
    return worded(part for line in lines for part in cut_long(line))


def novels(files):
    """Novels in plain text, named by their files."""
    documents = []
    for name, data in files:
        stem = Path(name).stem
        documents.append((stem, novel_paragraphs(data.decode("utf-8").translate(MISREAD.get(stem, {})))))
    return documents


def page_paragraphs(page):
    """Paragraphs of a proofread page, cut to whole sentences where the page breaks them."""
    page = re.sub(r"Skan zawiera grafikę[^.]*\.?", "", page.replace("\\n", "\n"))
    page = re.sub(r"(?<=[^\W\d_])-\n(?=[^\W\d_])", "", page)
    parts = [re.sub(r"(?<=[^\W\d_])\d{1,2}\b|(?<=[.,;:!?”])\d{1,2}$", "", " ".join(p.split())) for p in page.split("\n")]
    parts = [p for p in parts if WORD.search(p) and not p.startswith("↑")]
    if parts and not re.match(r"[–—„\"(]* ?[A-ZĄĆĘŁŃÓŚŹŻ]", parts[0]):
        parts[0] = " ".join(SENTENCE.split(parts[0])[1:])
    if parts and not re.search(r"[.!?…”\":*)]\W*$", parts[-1]):
        parts[-1] = " ".join(SENTENCE.split(parts[-1])[:-1])
    return worded(parts)


def pages(files):
    r"""Books from tables of pages: document, page, year, text with ``\n`` escaped, a page a line."""
    books = defaultdict(list)
    for _, data in files:
        for line in data.decode("utf-8").split("\n"):
            cells = line.split("\t")
            if len(cells) == 4:
                books[cells[0]].append((int(cells[1]), cells[3]))
    return [(name, [p for _, page in sorted(books[name]) for p in page_paragraphs(page)]) for name in sorted(books)]
