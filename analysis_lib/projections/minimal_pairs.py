"""Minimal pairs: beginnings of sentences and two forms of one word to go on with, of which grammar allows one.

They come in blocks of two cues and two forms. *Do* (to) asks for the genitive, *przed* (before) for the instrumental, so that of *domu*
and *domem* each is right after one and wrong after the other. In a block each form is right as often as wrong: whoever ignores the cue,
and knows only which form is more frequent, is right in exactly half of the cases, and prefers the right form by exactly nothing on
average. Both forms are single tokens, so one pass over the beginning scores both.

What fits is decided by Morfeusz's cells (`paradigms`): a form fits a cue when they share a value, such as a case, or a number with a
person. A right form shares one as a form of the lemma that it is likeliest to be of (`of_fullest_lemma`): that a rare noun *badan* has a
form *badanie* (a study) makes *słaby badanie* no right phrase. A wrong form shares none in any of its readings. That makes most wrong
sentences wrong, not all: *przed domu* could go on, in a solemn style, with another noun.

Sources: the agreement tests of Linzen et al. 2016 (arXiv 1611.01368) and BLiMP (Warstadt et al. 2020, arXiv 1912.00582).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis_lib import texts
from analysis_lib.projections.grammar import noun_cases, prepositions
from analysis_lib.vocabulary.paradigms import of_fullest_lemma, paradigm_cells

CARRIERS = ("Wtedy", "Potem", "Tego dnia")

Features = Mapping[str, set]
"""What a word asks for or offers: the values of the categories that have to agree."""

_PERSONS = {"ja": "sg:pri", "ty": "sg:sec", "on": "sg:ter", "ona": "sg:ter", "my": "pl:pri", "oni": "pl:ter", "one": "pl:ter"}
_NUMERALS = {"trzy": "nom", "cztery": "nom"} | dict.fromkeys(
    ("pięć", "sześć", "siedem", "osiem", "dziewięć", "dziesięć", "dwadzieścia"), "gen"
)


@dataclass(frozen=True)
class Phenomenon:
    """One rule of grammar, with the words that it can be tested on.

    Attributes
    ----------
    name : str
    cues : mapping of str to set
        What each cue asks for.
    forms : mapping of str to mapping of str to set
        By lemma, what each of its forms offers as a form of this lemma. A form that stands under several lemmas fits where all of
        them do.
    readings : mapping of str to set, optional
        What each form offers as a form of any lemma; by default what `forms` says of it.
    """

    name: str
    cues: Features
    forms: Mapping[str, Features]
    readings: Features | None = None

    @cached_property
    def offers(self) -> dict[str, list[set]]:
        """What each form offers, lemma by lemma."""
        found: dict[str, list[set]] = {}
        for forms in self.forms.values():
            for form, values in forms.items():
                found.setdefault(form, []).append(values)
        return found

    def fits(self, cue: str, form: str) -> bool:
        """Whether a form can follow a cue, whichever of its lemmas it is taken for."""
        return all(self.cues[cue] & values for values in self.offers[form])

    def may_fit(self, cue: str, form: str) -> bool:
        """Whether it can follow the cue by any reading."""
        return any(self.cues[cue] & values for values in (self.offers[form] if self.readings is None else [self.readings[form]]))


def phenomena(words: Iterable[str]) -> list[Phenomenon]:
    """The rules that are tested, with the words that are among those given.

    Parameters
    ----------
    words : iterable of str
        Whole words that are one token.

    Returns
    -------
    list of Phenomenon
        `number of the verb` (after a noun), `person of the verb` (after a pronoun), `gender of the past` (after a man or a woman), and
        `case after a preposition`, `... an adjective`, `... swój` (one's own), `... a numeral`.
    """
    words = set(words)
    cells = paradigm_cells(sorted(word for word in words if word.islower()))
    cells = cells.assign(parts=cells["cell"].str.split(":"))
    likely = of_fullest_lemma(cells)
    adjectives = _of_class(cells, "adj")
    adjectives = adjectives[adjectives["cell"].str.endswith(":pos")]
    own = adjectives["lemma"].str.startswith("swój")
    subjects = _one_number(_of_class(cells, "subst"))
    nouns = _of_class(likely, "subst")
    by_case = {lemma: noun_cases(part) for lemma, part in nouns.groupby("lemma")}
    personal = set(nouns.loc[nouns["cell"].str.endswith(":m1"), "lemma"])  # numerals agree with these in another way
    counted = {lemma: forms for lemma, forms in _by_lemma(nouns, (1, 2)).items() if lemma not in personal}
    spoken = nouns[~nouns["cell"].str.contains(":voc:")]  # after an adjective a vocative is possible, and nobody would expect one
    verbs, agreeing, past = (
        (_by_lemma(right, fields), _features(_of_class(cells, name), fields))
        for right, name, fields in (
            (_of_class(likely, "fin"), "fin", (1, 2)),
            (spoken, "subst", (1, 2, 3)),
            (_third_person(_of_class(likely, "praet")), "praet", (1, 2)),
        )
    )
    people = texts.word_pairs().query("relation == 'man to woman'")
    single = {form for form, values in subjects.items() if values == {"sg:ter"}} | {"on", "ona"} & words
    gendered = {word: {gender} for side, gender in (("source", "sg:m1"), ("target", "sg:f")) for word in people[side] if word in single}
    return [
        Phenomenon("number of the verb", subjects, *verbs),
        Phenomenon("person of the verb", _among(_PERSONS, words), *verbs),
        Phenomenon("gender of the past", gendered, *past),
        Phenomenon("case after a preposition", prepositions(cells), by_case, noun_cases(cells)),
        Phenomenon("case after an adjective", _features(adjectives[~own & adjectives["alone"]], (1, 2, 3)), *agreeing),
        Phenomenon("case after swój", _features(adjectives[own], (1, 2, 3)), *agreeing),
        Phenomenon(
            "case after a numeral",
            _among({word: f"pl:{case}" for word, case in _NUMERALS.items()}, words),
            counted,
            _features(_of_class(cells, "subst"), (1, 2)),
        ),
    ]


def minimal_pairs(
    subjects: Sequence[Phenomenon],
    carriers: Sequence[str] = CARRIERS,
    n_blocks: int = 250,
    max_cues: int = 30,
    min_lemmas: int = 1,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw blocks of minimal pairs.

    Parameters
    ----------
    subjects : sequence of Phenomenon
    carriers : sequence of str
        Words before the cue, which say nothing about what follows it.
    n_blocks : int
        Blocks of each phenomenon at most, each of two pairs. Lemmas are drawn with equal chances, then two of a lemma's forms, then a cue
        for each.
    max_cues : int
        Of more cues so many are drawn.
    min_lemmas : int
        Phenomena whose blocks have fewer lemmas are left out, two for instance where intervals over lemmas are wanted.
    seed : int

    Returns
    -------
    DataFrame
        `phenomenon block carrier cue prefix right wrong lemma`: two rows for each block, with `right` and `wrong` exchanged. No pair
        stands twice.

    Raises
    ------
    ValueError
        No phenomena or carriers, fewer than one block, no phenomenon that is left.
    """
    if not (subjects and len(carriers)) or n_blocks < 1:
        raise ValueError(
            f"subjects, carriers and n_blocks: expected one or more each, found {len(subjects)}, {len(carriers)} and {n_blocks}"
        )
    frames = []
    for place, phenomenon in enumerate(subjects):
        rng = np.random.default_rng([seed, place])
        blocks = _blocks(phenomenon, carriers, n_blocks, max_cues, rng)
        if len({lemma for lemma, *_ in blocks}) < max(1, min_lemmas):
            continue
        rows = []
        for block, (lemma, carrier, cues, forms) in enumerate(blocks):
            for cue, right, wrong in ((cues[0], *forms), (cues[1], *forms[::-1])):
                rows.append((phenomenon.name, block, carrier, cue, f"{carrier} {cue}", right, wrong, lemma))
        frames.append(pd.DataFrame(rows, columns=["phenomenon", "block", "carrier", "cue", "prefix", "right", "wrong", "lemma"]))
    if not frames:
        names = ", ".join(repr(phenomenon.name) for phenomenon in subjects)
        raise ValueError(
            f"subjects: expected two cues and two forms that exclude each other, of {min_lemmas} lemmas or more, found none in {names}"
        )
    return pd.concat(frames, ignore_index=True)


def _blocks(phenomenon: Phenomenon, carriers: Sequence[str], n_blocks: int, max_cues: int, rng: np.random.Generator) -> list[tuple]:
    """(lemma, carrier, two cues, two forms), each cue with the form that fits it and not the other."""
    lemmas = [lemma for lemma, forms in phenomenon.forms.items() if len(forms) > 1]
    cues = [str(cue) for cue in rng.permutation(sorted(phenomenon.cues))[:max_cues]]
    found: list[tuple] = []
    used: set[tuple] = set()
    for _ in range(100 * n_blocks):  # most draws make a block
        if len(found) == n_blocks or not lemmas:
            break
        lemma, carrier = lemmas[int(rng.integers(len(lemmas)))], carriers[int(rng.integers(len(carriers)))]
        forms = tuple(rng.permutation(sorted(phenomenon.forms[lemma]))[:2].tolist())
        sides = [
            [cue for cue in cues if phenomenon.fits(cue, form) and not phenomenon.may_fit(cue, other)]
            for form, other in (forms, forms[::-1])
        ]
        if all(sides):
            chosen = tuple(side[rng.integers(len(side))] for side in sides)
            pairs = {(carrier, cue, *two) for cue, two in zip(chosen, (forms, forms[::-1]), strict=True)}
            if not pairs & used:
                used |= pairs
                found.append((lemma, carrier, chosen, forms))
    return found


def _features(cells: pd.DataFrame, fields: Sequence[int]) -> dict[str, set]:
    """Values of some fields of the cells, for each form over all its cells there."""
    values = cells["parts"].map(lambda parts: ":".join(parts[field] for field in fields if field < len(parts)))
    return {form: set(own) for form, own in values.groupby(cells["form"])}


def _by_lemma(cells: pd.DataFrame, fields: Sequence[int]) -> dict[str, dict[str, set]]:
    """The same by lemma, over the readings of a form as one of this lemma."""
    return {lemma: _features(part, fields) for lemma, part in cells.groupby("lemma")}


def _of_class(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Cells of one class of Morfeusz, `subst` for instance."""
    return cells[cells["cell"].str.startswith(f"{name}:")]


def _third_person(past: pd.DataFrame) -> pd.DataFrame:
    """Past forms of the third person singular."""
    return past[past["cell"].str.contains(":sg:.*:ter:")]


def _one_number(nouns: pd.DataFrame) -> dict[str, set]:
    """Nouns that are nominative, accusative or vocative in one number and nothing else: subjects of a verb in the third person."""
    found = {}
    for form, values in _features(nouns, (1, 2)).items():
        numbers, cases = ({value.split(":")[place] for value in values} for place in (0, 1))
        if "nom" in cases and len(numbers) == 1 and cases <= {"nom", "acc", "voc"}:
            found[form] = {f"{numbers.pop()}:ter"}
    return found


def _among(values: Mapping[str, str], words: set[str]) -> dict[str, set]:
    return {word: {value} for word, value in values.items() if word in words}
