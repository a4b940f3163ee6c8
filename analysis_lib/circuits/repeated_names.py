"""Repeated names in Polish sentences: does a model that has read *Marek Borowski* prefer *Borowski* when *Marek* comes again?

This is what an induction head is good for in real text (Olsson et al. 2022, arXiv 2209.11895). A sentence names two people by first name
and surname, and a second one ends with one of the first names. Both surnames are possible there, and only the first mention says which is
right:

    Wczoraj Marek Borowski i Piotr Solski pojechali do miasta. Wieczorem wrócił tylko Marek ...

Every sentence is asked twice, once with each first name at its end. The *preference* is half the difference between the two answers, so
that what a model thinks of the surnames themselves, and of the place where they stood, cancels.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.utils.rnn import pad_sequence

from analysis_lib.activations.text_windows import without_end
from analysis_lib.circuits.ablation import checked_model
from analysis_lib.models import LoadedModel
from analysis_lib.vocabulary import Vocabulary

# fmt: off
FIRST_NAMES = [
    "Adam", "Andrzej", "Antoni", "Cezary", "Edward", "Franciszek", "Grzegorz", "Henryk", "Ignacy", "Jacek", "Jakub", "Jan",
    "Jerzy", "Józef", "Karol", "Kazimierz", "Krzysztof", "Ludwik", "Maciej", "Marcin", "Marek", "Marian", "Mateusz", "Michał",
    "Paweł", "Piotr", "Stanisław", "Stefan", "Tadeusz", "Tomasz", "Waldemar", "Wojciech", "Władysław", "Zbigniew", "Zygmunt",
]
SURNAMES = [
    "Borowiecki", "Borowski", "Chmielnicki", "Dąbrowski", "Dębicki", "Głębowicz", "Horski", "Jankowski", "Kamiński", "Kański",
    "Korczyński", "Korkowicz", "Kowalski", "Kozłowski", "Kunicki", "Lewandowski", "Mazur", "Nowak", "Ochocki", "Piotrowski",
    "Porzycki", "Rzecki", "Solski", "Starski", "Szymański", "Turski", "Wiśniewski", "Wojciechowski", "Zieliński", "Żebrowski",
]
# fmt: on
SCENES = (
    "Wczoraj {} {} i {} {} pojechali do miasta. Wieczorem wrócił tylko",
    "Naprzeciw siebie usiedli {} {} i {} {}. Pierwszy odezwał się",
    "W liście napisano, że {} {} i {} {} są chorzy. Do domu odwieziono tylko",
)
BATCH = 32


class NamedPeople(NamedTuple):
    """Sentences about two people, asked about each.

    Attributes
    ----------
    texts : list of (str, str)
        The same sentence, ending with the first name of the first and of the second person.
    surnames : int array [sentence, 2]
        Token ids of the surnames of the first and the second person.
    """

    texts: list[tuple[str, str]]
    surnames: np.ndarray


def named_people(vocabulary: Vocabulary, n: int = 240, seed: int = 0) -> NamedPeople:
    """Sentences about two people whose names are single tokens of a vocabulary.

    Parameters
    ----------
    vocabulary : Vocabulary
    n, seed : int
        How many; names are drawn without replacement in a sentence, scenes take turns.

    Raises
    ------
    ValueError
        Fewer than one sentence, or a vocabulary with fewer than two of the first names or of the surnames.
    """
    if n < 1:
        raise ValueError(f"n: expected 1 or more, found {n}")
    first, last = (single_tokens(vocabulary, names) for names in (FIRST_NAMES, SURNAMES))
    for kind, found in (("first names", first), ("surnames", last)):
        if len(found) < 2:
            raise ValueError(f"vocabulary: expected at least two of the {kind} as single tokens, found {len(found)}")
    rng = np.random.default_rng(seed)
    texts, surnames = [], []
    for at in range(n):
        people = list(zip(rng.choice(list(first), 2, replace=False), rng.choice(list(last), 2, replace=False), strict=True))
        scene = SCENES[at % len(SCENES)].format(*people[0], *people[1])
        texts.append((f"{scene} {people[0][0]}", f"{scene} {people[1][0]}"))
        surnames.append([last[surname] for _, surname in people])
    return NamedPeople(texts, np.array(surnames))


def name_preferences(loaded: LoadedModel, people: NamedPeople) -> Float[np.ndarray, " sentence"]:
    """How much more a model prefers the right surname than the other one.

    Parameters
    ----------
    loaded : LoadedModel
        A causal model that reads text.
    people : NamedPeople
        Made with its vocabulary.

    Returns
    -------
    numpy.ndarray of float64 [sentence]
        In nats of log odds, the mean over the two first names; above 0 where the first name tells the model which surname comes.

    Raises
    ------
    ValueError
        A model that is not causal, or is in training mode.
    """
    model = checked_model(loaded)
    ids = [torch.tensor(without_end(loaded.reader, text)) for pair in people.texts for text in pair]
    margins = []
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        device = next(model.parameters(), torch.empty(0)).device
        with torch.inference_mode():  # what is padded to the right comes after the last token, which cannot see it
            logits = model(pad_sequence(batch, batch_first=True).to(device)).logits.cpu()
        last = logits[torch.arange(len(batch)), [len(text) - 1 for text in batch]]
        mine, other = (torch.as_tensor(people.surnames.repeat(2, axis=0)[start : start + BATCH, which]) for which in (0, 1))
        margins.append((last.gather(1, mine[:, None]) - last.gather(1, other[:, None]))[:, 0])
    first, second = torch.cat(margins).double().numpy().reshape(-1, 2).T
    return (first - second) / 2


def single_tokens(vocabulary: Vocabulary, names: list[str]) -> dict[str, int]:
    """The names that are one token as they stand after a space, with their ids."""
    found = {}
    for name in names:
        try:
            found[name] = vocabulary.word_id(name)
        except ValueError:
            continue
    return found
