"""Paragraphs of plain text: cleaned, and cut at the ends of sentences."""

import re

WORD = re.compile(r"[^\W\d_]+")
GAP = "\ufffc"  # stands for what was left out inside a sentence: a formula, a reference, an insertion
SENTENCE = re.compile(r"(?<=[.!?…])[”\"»)]*\s+(?=[–—„\"«(]*\s?[^\W\d_a-ząćęłńóśźż])")


def clean(text):
    """One paragraph: spaces, dashes, dots and footnote marks in one form."""
    text = re.sub(r"\[\d+\]|https?://\S+|www\.\S+", "", text)
    text = re.sub(r"_{2,}", " ", text)
    text = text.replace("\u00ad", "").replace("_", "—")
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?:\. ?){3,}", "… ", text)
    text = re.sub(r"^[-–—]+ ?(?=\S)", "– ", text)
    text = re.sub(r" [-–—]+ ", " – ", text)
    text = re.sub(r" +([,.;:!?…)])", r"\1", text)
    return re.sub(r" +", " ", text).strip()


def worded(paragraphs):
    """Cleaned paragraphs that hold a word."""
    return [p for p in map(clean, paragraphs) if WORD.search(p)]


def whole_sentences(paragraph):
    """A paragraph without the sentences that have a gap; a gap in parentheses goes with them."""
    paragraph = re.sub(rf"\s*\((?:zob\.|patrz|por\.|jak na)?[\s,;i–-]*{GAP}[\s,;i–{GAP}-]*\)", "", paragraph)
    if GAP not in paragraph:
        return paragraph
    return " ".join(s for s in SENTENCE.split(paragraph) if GAP not in s)
