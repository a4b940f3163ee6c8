"""Where in the paradigms of their lemmas some forms stand.

Morfeusz names a form by a tag such as `subst:sg:nom.acc:m3`, in which dots join values that share the form. A *cell* is a tag with one
value in each place: *dom* fills the cells `subst:sg:nom:m3` and `subst:sg:acc:m3` of its lemma. A rule of grammar then leads from one
pattern of cells to another, from `subst:sg:nom:*` to `subst:sg:gen:*` for instance, and from *dom* to *domu*. Reading all forms that are
given and grouping them by lemma is the generator run backwards: what Morfeusz would generate and is not among the forms is of no use here.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import product

import pandas as pd

from analysis_lib.vocabulary.lexicon import POS_OF_CLASS, checked_forms, is_rare, morfeusz, readings_of

COMPANIONS = {"adjective": {"noun", "pronoun"}, "adverb": {"particle", "conjunction"}}


def paradigm_cells(forms: Iterable[str]) -> pd.DataFrame:
    """The cells that each form fills.

    Forms that can be another part of speech are left out of a paradigm, because a model may know them as that: *miał* (had) is not the
    noun for dust. An adjective may also be a noun or a pronoun (*dobry*, *każdy*), and an adverb a particle or a conjunction. Surnames
    and undeclined nouns are left out.

    Parameters
    ----------
    forms : iterable of str
        For instance the whole-word tokens of a model. Case counts: *dom* is not *Dom*.

    Returns
    -------
    DataFrame
        `lemma form cell alone`, a row for each lemma, form and cell; `lemma` is as Morfeusz writes it, with a mark where two
        lemmas are spelled alike (*zamek:Sm3~a*); `alone`: the form is no other part of speech.

    Raises
    ------
    TypeError
        As for `Lexicon.from_forms`.
    ImportError
        If the package `morfeusz2` is not installed.

    Examples
    --------
    >>> paradigm_cells(["dom", "domu"])["cell"].tolist()
    ['subst:sg:nom:m3', 'subst:sg:acc:m3', 'subst:sg:gen:m3', 'subst:sg:loc:m3', 'subst:sg:voc:m3']
    """
    return _paradigm_cells(tuple(dict.fromkeys(checked_forms(forms)))).copy()


@lru_cache(maxsize=4)  # a chapter asks several times for the same words
def _paradigm_cells(forms: tuple[str, ...]) -> pd.DataFrame:
    dictionary = morfeusz()
    rows = []
    for form in forms:
        readings = readings_of(dictionary, form)
        parts = {_part_of_speech(tag) for _, tag, _ in readings}
        for reading in readings:
            lemma, tag, _ = reading
            own = _part_of_speech(tag)
            if parts - COMPANIONS.get(own, set()) == {own} and not is_rare(reading):
                rows += [(lemma, form, cell, len(parts) == 1) for cell in cells_of(tag)]
    return pd.DataFrame(list(dict.fromkeys(rows)), columns=["lemma", "form", "cell", "alone"])


def cells_of(tag: str) -> list[str]:
    """The cells of a tag: `subst:sg:nom.acc:m3` is `subst:sg:nom:m3` and `subst:sg:acc:m3`."""
    return [":".join(values) for values in product(*(field.split(".") for field in tag.split(":")))]


def cell_pairs(cells: pd.DataFrame, source: str, target: str) -> list[tuple[str, str]]:
    """Pairs of two forms of one lemma that fill cells of two patterns.

    Parameters
    ----------
    cells : DataFrame
        As `paradigm_cells` gives it.
    source, target : str
        Patterns of cells, in which `*` stands for anything.

    Returns
    -------
    list of (str, str)
        Source and target, different forms, each pair once.
    """
    sides = []
    for pattern in (source, target):
        fitting = {cell for cell in cells["cell"].unique() if fnmatchcase(cell, pattern)}
        sides.append(cells.loc[cells["cell"].isin(fitting), ["lemma", "form"]].drop_duplicates())
    both = sides[0].merge(sides[1], on="lemma")
    both = both[both["form_x"] != both["form_y"]]
    return list(dict.fromkeys(zip(both["form_x"], both["form_y"], strict=True)))


def of_fullest_lemma(cells: pd.DataFrame) -> pd.DataFrame:
    """Leave to each form the lemma that has the most forms among those given; where several have as many, all of them.

    *Las* (a wood) is also the genitive plural of *lasa*, a noun that hardly anybody knows. The dictionary lists both; that *lasu*, *lasem*
    and *lesie* are among the words of a model tells which of the two it has read.

    Parameters
    ----------
    cells : DataFrame
        As `paradigm_cells` gives it. Nouns, past forms and so on are counted apart.

    Returns
    -------
    DataFrame

    Examples
    --------
    >>> cells = paradigm_cells(["las", "lasu", "lasy"])
    >>> sorted(set(cells["lemma"])), sorted(set(of_fullest_lemma(cells)["lemma"]))
    (['las', 'lasa'], ['las'])
    """
    kind = cells["cell"].str.split(":").str[0]
    sizes = cells.groupby([kind, cells["lemma"]])["form"].transform("nunique")
    return cells[sizes == sizes.groupby([kind, cells["form"]]).transform("max")].reset_index(drop=True)


def _part_of_speech(tag: str) -> str:
    return POS_OF_CLASS.get(tag.split(":", 1)[0], "other")
