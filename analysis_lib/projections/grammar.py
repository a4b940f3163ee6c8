"""Relations between two words as lists of pairs: a noun and its genitive, a verb and its past, a word and its opposite.

Most are rules of grammar (`RULES`), applied to the words of a model with Morfeusz; a preposition goes with nouns in the case that
it governs; the rest (`LISTED`) stands in a list that was written for this book, `texts.word_pairs`. A pair belongs to one relation. Pairs
that fit no other come first; where a form serves two, as *matce* is dative and locative, the smaller relation gets it. Inside a relation
no word stands twice on a side, so that a permutation of the targets leaves each source with another's; prepositions alone repeat.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from analysis_lib import texts
from analysis_lib.vocabulary.lexicon import CASES, GENDERS, NUMBERS
from analysis_lib.vocabulary.paradigms import cell_pairs, of_fullest_lemma, paradigm_cells

Pairs = dict[str, list[tuple[str, str]]]

_NOUN, _MASCULINE, _FEMININE = "subst:sg:nom:*", "adj:sg:nom:m1:pos", "adj:sg:nom:f:pos"
_SINGULAR, _PAST = "fin:sg:ter:*", "praet:sg:m1:ter:*"
_DEGREES = tuple((f"adj:{n}:{c}:{g}:pos", f"adj:{n}:{c}:{g}:com") for n, c, g in product(NUMBERS, CASES, GENDERS))

RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "noun to genitive": ((_NOUN, "subst:sg:gen:*"),),
    "noun to dative": ((_NOUN, "subst:sg:dat:*"),),
    "noun to accusative": ((_NOUN, "subst:sg:acc:*"),),
    "noun to instrumental": ((_NOUN, "subst:sg:inst:*"),),
    "noun to locative": ((_NOUN, "subst:sg:loc:*"),),
    "noun to vocative": ((_NOUN, "subst:sg:voc:*"),),
    "noun to plural": ((_NOUN, "subst:pl:nom:*"),),
    "noun to plural genitive": ((_NOUN, "subst:pl:gen:*"),),
    "noun to plural instrumental": ((_NOUN, "subst:pl:inst:*"),),
    "noun to plural locative": ((_NOUN, "subst:pl:loc:*"),),
    "adjective to feminine": ((_MASCULINE, _FEMININE),),
    "adjective to neuter": ((_MASCULINE, "adj:sg:nom:n:pos"),),
    "adjective to genitive": ((_MASCULINE, "adj:sg:gen:m1:pos"),),
    "adjective to instrumental": ((_MASCULINE, "adj:sg:inst:m1:pos"),),
    "adjective to plural genitive": ((_MASCULINE, "adj:pl:gen:m1:pos"),),
    "feminine adjective to genitive": ((_FEMININE, "adj:sg:gen:f:pos"),),
    "feminine adjective to accusative": ((_FEMININE, "adj:sg:acc:f:pos"),),
    "positive to comparative": (*_DEGREES, ("adv:pos", "adv:com")),
    "he does to I do": ((_SINGULAR, "fin:sg:pri:*"),),
    "he does to they do": ((_SINGULAR, "fin:pl:ter:*"),),
    "infinitive to he does": (("inf:*", _SINGULAR),),
    "infinitive to past": (("inf:*", _PAST),),
    "he did to she did": ((_PAST, "praet:sg:f:ter:*"),),
    "he did to it did": ((_PAST, "praet:sg:n:ter:*"),),
    "he did to they did": ((_PAST, "praet:pl:m1:ter:*"),),
    "he did to they (women) did": ((_PAST, "praet:pl:f:ter:*"),),
    "infinitive to participle": (("inf:*", "pcon:*"), ("inf:*", "pant:*")),
    "infinitive to verbal noun": (("inf:*", "ger:sg:nom:*:aff"),),
}
_LAST = "noun to vocative"  # its forms are mostly another case's, and a reader takes them for that
LISTED = ("aspect", "adjective to adverb", "noun to adjective", "man to woman", "diminutive", "synonym", "antonym")
GOVERNMENT = "preposition to noun"
RELATIONS = (*RULES, GOVERNMENT, *LISTED)


def relation_pairs(words: Iterable[str], min_pairs: int = 20, max_pairs: int = 60, seed: int = 0) -> Pairs:
    """Pairs of each relation in which both words are among those given.

    Parameters
    ----------
    words : iterable of str
        Whole words, for instance those that are one token of a model.
    min_pairs : int
        Relations with fewer pairs are left out. At least 2.
    max_pairs : int
        Of more pairs, so many are drawn.
    seed : int

    Returns
    -------
    dict of str to list of (source, target)
        By relation, in the order of `RELATIONS`.

    Raises
    ------
    ValueError
        Not 2 <= `min_pairs` <= `max_pairs`.
    TypeError
        `words` is a string, or holds something else than strings.
    """
    if not 2 <= min_pairs <= max_pairs:
        raise ValueError(f"min_pairs and max_pairs: expected 2 <= min_pairs <= max_pairs, found {min_pairs} and {max_pairs}")
    if isinstance(words, str):
        raise TypeError(f"words: expected an iterable of words, found the string {words[:40]!r}")
    words = list(words)
    other = next((place for place, word in enumerate(words) if not isinstance(word, str)), None)
    if other is not None:
        raise TypeError(f"words[{other}] is {type(words[other]).__name__}; expected str")
    rng, words = np.random.default_rng(seed), sorted(set(words))
    cells = paradigm_cells([word for word in words if word.islower()])
    likely = of_fullest_lemma(cells)  # sztuka is an art, and hardly ever the genitive of sztuk
    found = {name: [pair for rule in rules for pair in cell_pairs(likely, *rule)] for name, rules in RULES.items()}
    listed = texts.word_pairs()
    listed = listed[listed["source"].isin(words) & listed["target"].isin(words)]
    found |= {name: list(zip(part["source"], part["target"], strict=True)) for name, part in listed.groupby("relation")}
    found[GOVERNMENT] = governed_nouns(cells, max_pairs, rng)
    relations_of = Counter(pair for own in found.values() for pair in set(own))
    taken: set[tuple[str, str]] = set()
    chosen: Pairs = {}
    for name in sorted(found, key=lambda name: (name == _LAST, len(found[name]), name)):
        free = [pair for pair in found[name] if pair not in taken]
        free = [free[place] for place in rng.permutation(len(free))]
        own = _each_word_once(sorted(free, key=relations_of.__getitem__), name == GOVERNMENT)
        chosen[name] = own[:max_pairs]
        taken |= set(chosen[name])
    return {name: chosen[name] for name in RELATIONS if len(chosen.get(name, ())) >= min_pairs}


def large_enough(pairs: Pairs, sizes: Sequence[int] = (20, 10, 5, 2), n_relations: int = 3) -> tuple[int, Pairs]:
    """The relations that have enough pairs, where what is enough is less in a vocabulary of few words.

    Parameters
    ----------
    pairs : dict of str to list of (source, target)
        As `relation_pairs` gives it.
    sizes : sequence of int
        Numbers of pairs, the one that is wanted first.
    n_relations : int
        Relations that should be left.

    Returns
    -------
    int, dict of str to list of (source, target)
        The first of the sizes that leaves so many relations, and these.

    Raises
    ------
    ValueError
        No size that leaves so many.
    """
    for size in sizes:
        left = {name: own for name, own in pairs.items() if len(own) >= size}
        if len(left) >= n_relations:
            return size, left
    raise ValueError(
        f"pairs: expected {n_relations} relations of {sizes[-1]} pairs or more, found {len(left)}; the vocabulary has too few words"
    )


def other_forms(pairs: Pairs, words: Iterable[str], seed: int = 0) -> dict[str, list[tuple[tuple[str, str], tuple[str, str]]]]:
    """The same sources with another form of the target's lemma: whether a head knows the word or also the form.

    Parameters
    ----------
    pairs : dict of str to list of (source, target)
        As `relation_pairs` gives it; relations that are not among `RULES` are left out.
    words : iterable of str
        The words that were given to `relation_pairs`.
    seed : int

    Returns
    -------
    dict of str to list of ((source, target), (source, other))
        Without the pairs whose lemma has no third form among the words, and without the relations where fewer than two are left.
    """
    rng = np.random.default_rng(seed)
    cells = paradigm_cells([word for word in sorted(set(words)) if word.islower()])
    forms = {lemma: set(part) for lemma, part in cells.groupby("lemma")["form"]}
    lemmas = {form: set(part) for form, part in cells.groupby("form")["lemma"]}
    found: dict[str, list[tuple[tuple[str, str], tuple[str, str]]]] = {}
    for name in (name for name in RULES if name in pairs):
        for source, target in pairs[name]:
            shared = sorted(lemmas.get(source, set()) & lemmas.get(target, set()))
            rest = sorted(set().union(*(forms[lemma] for lemma in shared)) - {source, target})
            if rest:
                found.setdefault(name, []).append(((source, target), (source, rest[rng.integers(len(rest))])))
    return {name: found[name] for name in RULES if len(found.get(name, ())) > 1}


def governed_nouns(cells: pd.DataFrame, n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Prepositions with nouns that can stand in the cases they govern only, as many of each case as possible.

    Parameters
    ----------
    cells : DataFrame
        As `paradigm_cells` gives it.
    n : int
        Pairs at most.
    rng : Generator

    Returns
    -------
    list of (preposition, noun)
        No noun twice.
    """
    governs, nouns = prepositions(cells), noun_cases(cells)
    by_case = {
        case: ([p for p, cases in governs.items() if case in cases], [form for form, cases in nouns.items() if cases == {case}])
        for case in CASES
    }
    usable = {case: sides for case, sides in by_case.items() if all(sides)}
    pairs = []
    for own, forms in usable.values():
        drawn = rng.permutation(forms)[: max(1, n // len(usable))]
        pairs += [(own[place % len(own)], str(form)) for place, form in enumerate(drawn)]
    return pairs[:n]


def prepositions(cells: pd.DataFrame) -> dict[str, set[str]]:
    """The cases that each preposition governs; *ode*, *nade* and the like, which stand before few words, left aside."""
    return _values(cells["cell"].str.startswith("prep:") & ~cells["cell"].str.endswith(":wok"), cells, 1)


def noun_cases(cells: pd.DataFrame) -> dict[str, set[str]]:
    """The cases that each form of a noun can be, in both numbers; the vocative, which no preposition governs, left aside."""
    return {form: cases - {"voc"} for form, cases in _values(cells["cell"].str.startswith("subst:"), cells, 2).items()}


def _values(chosen: pd.Series, cells: pd.DataFrame, field: int) -> dict[str, set[str]]:
    """Values of one field of some cells, by form."""
    found: dict[str, set[str]] = {}
    for form, cell in zip(cells["form"][chosen], cells["cell"][chosen], strict=True):
        found.setdefault(form, set()).add(cell.split(":")[field])
    return found


def _each_word_once(pairs: list[tuple[str, str]], sources_repeat: bool) -> list[tuple[str, str]]:
    """Pairs in their order, without those whose source or target has been in one before."""
    sources: set[str] = set()
    targets: set[str] = set()
    kept = []
    for source, target in pairs:
        if target not in targets and (sources_repeat or source not in sources):
            sources.add(source)
            targets.add(target)
            kept.append((source, target))
    return kept


def pair_ids(pairs: Mapping[str, list[tuple[str, str]]], text: Iterable[str], keep: Iterable[bool]) -> dict[str, np.ndarray]:
    """The token ids of pairs of words.

    Parameters
    ----------
    pairs : mapping of str to list of (source, target)
    text : array of str [vocab]
        `Vocabulary.text`.
    keep : array of bool [vocab]
        Tokens that are whole words (`Reader.keep`).

    Returns
    -------
    dict of str to int64 [pair, 2]

    Raises
    ------
    ValueError
        A word that is no kept token.
    """
    id_of = {word: index for index, (word, kept) in enumerate(zip(text, keep, strict=True)) if kept}
    missing = sorted({word for own in pairs.values() for pair in own for word in pair} - id_of.keys())
    if missing:
        raise ValueError(f"pairs: expected words that are tokens of the vocabulary, found {', '.join(missing[:5])}")
    return {name: np.array([[id_of[word] for word in pair] for pair in own], dtype=np.int64) for name, own in pairs.items()}
