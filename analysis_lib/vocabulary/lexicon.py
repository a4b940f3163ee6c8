"""What Morfeusz 2 knows about word forms: lemmas, parts of speech, grammatical categories.

Polish forms are ambiguous out of context: *zamek* is nominative or accusative, *mną* is a pronoun
or a verb. Every category here is therefore a *set* per form, and two forms "agree" in a category
when their sets intersect, that is when some reading of one shares a value with some reading of the
other. Readings are not disambiguated, and sets are compared one category at a time, so chance
agreement is common (most nouns share some case) and differs between lists of words. An agreement
share says nothing until it stands beside the share in permuted pairs (see `relations`).

Source: Morfeusz 2 with the SGJP dictionary (Woliński 2014; http://morfeusz.sgjp.pl), tag set at
http://morfeusz.sgjp.pl/doc/tagset. The dictionary's edition is `Lexicon.dictionary`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PARTS_OF_SPEECH = {
    "noun": ("subst", "depr", "ger"),
    "verb": ("fin", "bedzie", "praet", "cond", "impt", "imps", "inf", "pcon", "pant", "winien", "pred", "aglt"),
    "adjective": ("adj", "adja", "adjc", "adjp", "pact", "ppas"),
    "adverb": ("adv", "pacta"),
    "numeral": ("num", "numcomp"),
    "pronoun": ("ppron12", "ppron3", "siebie"),
    "preposition": ("prep",),
    "conjunction": ("conj", "comp"),
    "particle": ("part",),
    "interjection": ("interj",),
    "abbreviation": ("brev",),
    "fragment": ("frag", "prefa", "prefs", "naj", "nie"),
    "sign": ("interp", "dig", "romandig", "sym", "sp"),
}
CASES = ("nom", "gen", "dat", "acc", "inst", "loc", "voc")
NUMBERS = ("sg", "pl")
GENDERS = ("m1", "m2", "m3", "f", "n")
PERSONS = ("pri", "sec", "ter")

_CATEGORIES = {"case": CASES, "number": NUMBERS, "gender": GENDERS, "person": PERSONS}
POS_OF_CLASS = {cls: pos for pos, classes in PARTS_OF_SPEECH.items() for cls in classes}

Reading = tuple[str, str, tuple[str, ...]]
"""(lemma, tag, names): one interpretation, as `("zamek:Sm3~a", "subst:sg:nom.acc:m3", ("nazwa_pospolita",))`."""


@dataclass(frozen=True)
class Lexicon:
    """Morphological readings of `n` forms, row i for `forms[i]` (build it on a vocabulary's text: row = token id).

    Attributes
    ----------
    forms : tuple of str
        The forms as given.
    lemmas, tags : tuple of frozenset of str
        Lemmas without homonym marks (`zamek:Sm3~a` is `zamek`), and tags as Morfeusz writes them.
    known : bool [n]
        The dictionary has the form as a word: some reading is neither `ign` nor a sign (punctuation, digits).
        Pieces of words can be words by accident (*por*, *pan*): combine with `vocabulary.keep(whole_words=True, counts=counts)`.
    pos : bool [n, len(PARTS_OF_SPEECH)]
        Parts of speech of all readings, in the order of `PARTS_OF_SPEECH`.
    case, number, gender, person : bool [n, 7], [n, 2], [n, 5], [n, 3]
        Values over all readings, in the order of `CASES`, `NUMBERS`, `GENDERS`, `PERSONS`; a row without
        any True has no such category.
    government : bool [n, 7]
        Cases that the form governs as a preposition. They are not the form's own `case`.
    dictionary : str
        Edition of the Morfeusz dictionary, e.g. `pl.sgjp.sgjp-2026.06.01`.
    """

    forms: tuple[str, ...]
    lemmas: tuple[frozenset, ...]
    tags: tuple[frozenset, ...]
    known: np.ndarray
    pos: np.ndarray
    case: np.ndarray
    number: np.ndarray
    gender: np.ndarray
    person: np.ndarray
    government: np.ndarray
    dictionary: str

    def __len__(self) -> int:
        return len(self.forms)

    @classmethod
    def from_forms(cls, forms: Iterable[str]) -> "Lexicon":
        """Look every form up; white space around a form is ignored and repeated forms are looked up once.

        Parameters
        ----------
        forms : iterable of str
            Word forms, e.g. the `text` of a vocabulary.

        Raises
        ------
        TypeError
            If `forms` is one string, or holds something that is not a string (its index is named).
        ImportError
            If the package `morfeusz2` is not installed.
        """
        forms = checked_forms(forms)
        distinct = sorted({form.strip() for form in forms})
        row_of = {form: row for row, form in enumerate(distinct)}
        rows = np.array([row_of[form.strip()] for form in forms], dtype=np.int64)
        dictionary = morfeusz()
        readings = [readings_of(dictionary, form) for form in distinct]
        lemmas = [frozenset(_bare_lemma(lemma) for lemma, _, _ in found) for found in readings]
        tags = [frozenset(tag for _, tag, _ in found) for found in readings]
        encoded = _encode(tags)
        sign = list(PARTS_OF_SPEECH).index("sign")
        known = np.asarray(np.delete(encoded["pos"], sign, axis=1).any(axis=1))
        return cls(
            forms=tuple(forms),
            lemmas=tuple(lemmas[row] for row in rows),
            tags=tuple(tags[row] for row in rows),
            known=known[rows],
            dictionary=dictionary.dict_id(),
            **{name: table[rows] for name, table in encoded.items()},
        )

    def has_pos(self, name: str) -> np.ndarray:
        """Bool [n]: some reading of the form is of part of speech `name` (a key of `PARTS_OF_SPEECH`)."""
        if name not in PARTS_OF_SPEECH:
            raise ValueError(f"name is {name!r}; expected one of {', '.join(PARTS_OF_SPEECH)}")
        return self.pos[:, list(PARTS_OF_SPEECH).index(name)]


def checked_forms(forms: Iterable[str]) -> list[str]:
    """The forms as a list of str, or a TypeError that names what is wrong."""
    if isinstance(forms, str):
        raise TypeError(f"forms is the string {forms!r}; expected an iterable of strings")
    forms = [str(form) if isinstance(form, str) else form for form in forms]  # numpy strings too
    for index, form in enumerate(forms):
        if not isinstance(form, str):
            raise TypeError(f"forms[{index}] is {type(form).__name__}; expected str")
    return forms


def morfeusz() -> Any:
    """A Morfeusz that keeps *miałem* whole (`composite`), reads *Dom* as *dom*, and does not read *jan* as *Jan*."""
    try:
        import morfeusz2
    except ImportError as error:
        raise ImportError("analysis_lib.vocabulary.lexicon needs the package morfeusz2 (pip install morfeusz2)") from error
    return morfeusz2.Morfeusz(generate=False, praet="composite", case_handling=morfeusz2.STRICTLY_CASE_SENSITIVE)


def readings_of(dictionary: Any, form: str) -> list[Reading]:
    """Readings of the whole form, or of its first segment (*kiedym* is *kiedy* + *m*); none if any part is unknown.

    Two kinds of reading are dropped where the form has others. Nearly every Polish word is also somebody's
    surname; and undeclined nouns can be any case and number, so that *do* ("to", or the musical note) would
    agree with every noun. Lemmas keep the marks that tell homonyms apart.
    """
    has_text = form and "\N{REPLACEMENT CHARACTER}" not in form  # not a piece of a character
    edges = dictionary.analyse(form) if has_text else []
    if not edges or any(tag == "ign" for _, _, (_, _, tag, _, _) in edges):
        return []
    end = max(stop for _, stop, _ in edges)
    whole = [edge for edge in edges if edge[:2] == (0, end)]
    chosen = whole or [edge for edge in edges if edge[0] == 0]
    readings = [(lemma, tag, tuple(names)) for _, _, (_, lemma, tag, names, _) in chosen]
    for rare in (_is_surname, _is_undeclined_noun):
        readings = [reading for reading in readings if not rare(reading)] or readings
    return readings


def is_rare(reading: Reading) -> bool:
    """A surname, or an undeclined noun."""
    return _is_surname(reading) or _is_undeclined_noun(reading)


def _is_surname(reading: Reading) -> bool:
    return reading[2] == ("nazwisko",)


def _is_undeclined_noun(reading: Reading) -> bool:
    return reading[1].startswith("subst:") and ".".join(CASES) in reading[1]


def _bare_lemma(lemma: str) -> str:
    """The lemma without what tells homonyms apart: `zamek:Sm3~a` and `zamek:Sm3~u` are both `zamek`."""
    bare = lemma.split(":", 1)[0]
    return bare or lemma


def _encode(tags: Sequence[frozenset]) -> dict[str, np.ndarray]:
    """Sets of tags as bool tables [n, values] by category; a preposition's cases go to `government`."""
    n = len(tags)
    tables = {"pos": np.zeros((n, len(PARTS_OF_SPEECH)), dtype=bool)}
    tables |= {name: np.zeros((n, len(values)), dtype=bool) for name, values in _CATEGORIES.items()}
    tables["government"] = np.zeros((n, len(CASES)), dtype=bool)
    column = {pos: i for i, pos in enumerate(PARTS_OF_SPEECH)}
    place = {value: (name, i) for name, values in _CATEGORIES.items() for i, value in enumerate(values)}
    for row, tag_set in enumerate(tags):
        for tag in tag_set:
            cls, *fields = tag.split(":")
            if cls in POS_OF_CLASS:
                tables["pos"][row, column[POS_OF_CLASS[cls]]] = True
            for value in (value for field in fields for value in field.split(".")):
                if value in place:
                    name, i = place[value]
                    tables["government" if cls == "prep" else name][row, i] = True
    return tables
