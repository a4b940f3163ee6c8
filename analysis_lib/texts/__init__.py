"""Polish texts written for this book; they are under CC BY 4.0.

There are seven plain UTF-8 files, edited by hand. The loaders of the last four check every line and name the one that is wrong.

`sentences.txt`
    One plain sentence a line.
`glossary.tsv`
    A lower-cased form, a tab, an English gloss.
`translations.tsv`
    A sentence of `senses.txt`, a tab, its English translation; so far those of one lemma, *zamek*.
`word_pairs.tsv`
    A relation, a tab, a word, a tab, the word that it is related to: opposites, diminutives and the like.
`senses.txt`
    Ambiguous words in context. A heading `# lemma | sense | gloss` opens a sense (`sense` is a short English
    label, unique within the lemma; `gloss` says it in a few more words). Every line below it is one sentence,
    in which the ambiguous word stands once between brackets: `Z pociągu widać [zamek] na wzgórzu.`
    Brackets have no other use, and the loader removes them. Offsets are computed, so they cannot become wrong.
    The senses of a lemma are made hard to tell apart by form or place: most sentences contain a form that another sense
    has too, the mean places of the word differ by less than two words, and the word is never the first.
`forms.txt`
    Two forms of one noun in a sentence, and a word to put in the place of the second: `Na wzgórzu stał [dom], a za [domem|lasem] płynęła
    rzeka.` The word that replaces it is another noun in the same case and number. The sentences are not among `all_texts`.
`paragraphs.txt`
    Running text. A heading `# id | kind` opens a paragraph, which is the one line below it; `kind` is one of `KINDS`.

Blank lines are ignored, and so is a heading without lines below it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

KINDS = ("news", "narrative", "explanatory")

_HERE = Path(__file__).parent
_SENTENCE_END = re.compile(r"(?<=[.?!…]) ")
_MARKED_WORD = re.compile(r"\[([^\W\d_]+)\]")
_TWO_FORMS = re.compile(r"((?:[^][|]*\W)?)\[([^\W\d_]+)\](\W(?:[^][|]*\W)?)\[([^\W\d_]+)\|([^\W\d_]+)\](\W[^][|]*)")


def sentences() -> list[str]:
    """Forty plain sentences of modern Polish, one a line in `sentences.txt`."""
    return _HERE.joinpath("sentences.txt").read_text(encoding="utf-8").splitlines()


def glossary() -> dict[str, str]:
    """English glosses, one sense or two, of the lower-cased Polish forms that the embedded models have as one token."""
    rows = _HERE.joinpath("glossary.tsv").read_text(encoding="utf-8").splitlines()
    return dict(row.split("\t") for row in rows)


def translations() -> dict[str, str]:
    """English translations of some sentences of `senses`, Polish to English."""
    rows = _HERE.joinpath("translations.tsv").read_text(encoding="utf-8").splitlines()
    return dict(row.split("\t") for row in rows)


def word_pairs(path: str | Path | None = None) -> pd.DataFrame:
    """Pairs of words in relations that no rule of inflection gives.

    Parameters
    ----------
    path : str or Path, optional
        A file of the format of `word_pairs.tsv` (see the module); by default that file.

    Returns
    -------
    DataFrame
        One row a line: `relation source target`.

    Raises
    ------
    ValueError
        If a line does not have three fields, or stands twice; file and line are named.
    """
    path, rows = Path(path or _HERE / "word_pairs.tsv"), []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        row = tuple(line.split("\t"))
        if len(row) != 3 or not all(field.strip() == field != "" for field in row) or row[1] == row[2]:
            raise ValueError(f"{path.name}, line {number}: {line!r}; expected a relation and two words, with tabs between them")
        if row in rows:
            raise ValueError(f"{path.name}, line {number}: {line!r} stands a second time")
        rows.append(row)
    return pd.DataFrame(rows, columns=["relation", "source", "target"])


def senses(path: str | Path | None = None) -> pd.DataFrame:
    """Ambiguous words in sentences that show one sense each.

    Parameters
    ----------
    path : str or Path, optional
        A file of the format of `senses.txt` (see the module); by default that file.

    Returns
    -------
    DataFrame
        One row a sentence, in the order of the file: `lemma`, `sense` (English label, unique within the lemma),
        `gloss` (English), `sentence`, `form` (the word as it stands), and `start`, `end`: offsets in characters,
        `sentence[start:end] == form`.

    Raises
    ------
    ValueError
        If a line is malformed; file, line and what was expected are named.
    """
    path = path or _HERE / "senses.txt"
    rows = [(*heading, *_unmark(text, where)) for where, heading, text in _entries(path, ("lemma", "sense", "gloss"))]
    return pd.DataFrame(rows, columns=["lemma", "sense", "gloss", "sentence", "form", "start", "end"])


def two_forms(path: str | Path | None = None) -> pd.DataFrame:
    """Sentences in which a noun stands in two forms, each with a sentence that has another noun in the second place.

    Parameters
    ----------
    path : str or Path, optional
        A file of the format of `forms.txt` (see the module); by default that file.

    Returns
    -------
    DataFrame
        One row a line: `sentence`, `control` (the same with another noun), `first`, `second` and `other` (the two forms and the noun that
        stands in the control in the place of the second), and `first_start`, `second_start`: offsets in characters, the same in
        both sentences.

    Raises
    ------
    ValueError
        If a line is malformed; file and line are named.
    """
    path, rows = Path(path or _HERE / "forms.txt"), []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        found = _TWO_FORMS.fullmatch(line.strip())
        if not found:
            raise ValueError(
                f"{path.name}, line {number}: {line!r}; expected two marked words, as in 'Stał [dom], a za [domem|lasem] rzeka.'"
            )
        before, first, between, second, other, after = found.groups()
        start = f"{before}{first}{between}"
        rows.append((start + second + after, start + other + after, first, second, other, len(before), len(start)))
    return pd.DataFrame(rows, columns=["sentence", "control", "first", "second", "other", "first_start", "second_start"])


def paragraphs(path: str | Path | None = None) -> pd.DataFrame:
    """Running paragraphs of three kinds.

    Parameters
    ----------
    path : str or Path, optional
        A file of the format of `paragraphs.txt` (see the module); by default that file.

    Returns
    -------
    DataFrame
        One row a paragraph: `id`, `kind` (one of `KINDS`), `text`.

    Raises
    ------
    ValueError
        If a line is malformed, a kind is unknown or a heading has two lines; file and line are named.
    """
    rows, seen = [], set()
    for where, (name, kind), text in _entries(path or _HERE / "paragraphs.txt", ("id", "kind")):
        if kind not in KINDS:
            raise ValueError(f"{where}: the kind is {kind!r}; expected one of {', '.join(KINDS)}")
        if name in seen:
            raise ValueError(f"{where}: a second line for {name!r}; expected one line a paragraph")
        seen.add(name)
        rows.append((name, kind, text))
    return pd.DataFrame(rows, columns=["id", "kind", "text"])


def split_sentences(text: str) -> list[str]:
    """A text cut after every full stop, question mark, exclamation mark or ellipsis that a space follows."""
    return _SENTENCE_END.split(text)


def passages(n_sentences: int) -> pd.DataFrame:
    """The paragraphs of `paragraphs`, a few sentences at a time.

    Parameters
    ----------
    n_sentences : int
        The last passage of a paragraph may have fewer.

    Returns
    -------
    DataFrame
        One row a passage: `id` of its paragraph, `text`.

    Raises
    ------
    ValueError
        Fewer than one sentence.
    """
    if n_sentences < 1:
        raise ValueError(f"n_sentences: expected 1 or more, found {n_sentences}")
    rows = []
    for paragraph in paragraphs().itertuples():
        parts = split_sentences(paragraph.text)
        rows += [(paragraph.id, " ".join(parts[at : at + n_sentences])) for at in range(0, len(parts), n_sentences)]
    return pd.DataFrame(rows, columns=["id", "text"])


def all_texts() -> list[str]:
    """Every text once: plain sentences, sentences of the ambiguous words, paragraphs."""
    return sentences() + senses()["sentence"].tolist() + paragraphs()["text"].tolist()


def _entries(path: str | Path, fields: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Lines of text under their headings: (file and line, fields of the heading, the line); all fields but the last name a heading."""
    path, heading, seen = Path(path), None, set()
    expected = f"# {' | '.join(fields)}"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where, line = f"{path.name}, line {number}", line.strip()
        if line.startswith("#"):
            heading = tuple(field.strip() for field in line[1:].split("|"))
            if len(heading) != len(fields) or not all(heading):
                raise ValueError(f"{where}: the heading is {line!r}; expected {expected!r}")
            if heading[:-1] in seen:
                raise ValueError(f"{where}: a second heading {' | '.join(heading[:-1])!r}; expected one")
            seen.add(heading[:-1])
        elif line:
            if heading is None:
                raise ValueError(f"{where}: text before the first heading; expected {expected!r}")
            yield where, heading, line


def _unmark(text: str, where: str) -> tuple[str, str, int, int]:
    """The sentence without brackets, the word that stood between them, its offsets."""
    marks = list(_MARKED_WORD.finditer(text))
    if len(marks) != 1 or text.count("[") != 1 or text.count("]") != 1:
        raise ValueError(f"{where}: {text!r}; expected one word between brackets, as in 'Widać [zamek].'")
    before, form, after = text[: marks[0].start()], marks[0][1], text[marks[0].end() :]
    if (before and before[-1].isalnum()) or (after and after[0].isalnum()):
        raise ValueError(f"{where}: {text!r}; expected a whole word between the brackets")
    return before + form + after, form, len(before), len(before) + len(form)
