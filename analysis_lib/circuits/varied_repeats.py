"""Sequences in which repetition takes many forms: what `minigpt-induction` was trained on in its later stages.

The blocks of `repeats` are long and start early, and two tokens before a place tell it apart from all others. A head can then learn to
wait for two known tokens and for certain places. Here blocks have 4 to 30 symbols, stand anywhere, are spoilt by noise, and most sequences
are *walks*: a hidden cycle of 3 to 30 symbols is followed for a while, left, and entered again at another place. In a walk the token before
says nothing that the token itself does not say, so one earlier occurrence is all that there is to go by.

Source: Edelman et al. 2024, *The Evolution of Statistical Induction Heads* (arXiv 2402.11004), for sequences whose own transitions have to
be learned from the sequence.
"""

from typing import NamedTuple

import numpy as np

from analysis_lib.circuits.repeats import BEGIN, LENGTH, VOCABULARY, background_sequences

SHORTEST, LONGEST = 4, 30  # symbols in a block
SHORT_CYCLES = (3, 9)  # symbols in the cycle of half of the walks; the others are as long as blocks
SYMBOLS = VOCABULARY - 1


class SequenceMixture(NamedTuple):
    """How many sequences of each form a batch has, in this order, and how they are spoilt.

    Attributes
    ----------
    background : int
        The chain of `repeats` alone.
    over_background, over_random : int
        Blocks of random symbols, written over background and over random symbols.
    over_others : int
        Blocks of different symbols, written over symbols that are not in them.
    walks : int
    noise : float
        At most this share of a later occurrence is replaced, in every second sequence with blocks.
    jumps : (float, float)
        Least and largest probability that a walk leaves its place; drawn for each sequence.
    """

    background: int
    over_background: int
    over_random: int
    over_others: int
    walks: int
    noise: float
    jumps: tuple[float, float]


VARIED = SequenceMixture(4, 1, 1, 2, 24, noise=0.15, jumps=(0.02, 0.2))
STEADY = SequenceMixture(4, 0, 0, 2, 26, noise=0.0, jumps=(0.0, 0.05))  # what came after a symbol nearly always comes again


class Layout(NamedTuple):
    """Where blocks stand: `sizes` [sequence]; for each token `occurrence` (-1 before the first), `place` in it, and if it is `inside`."""

    sizes: np.ndarray
    occurrence: np.ndarray
    place: np.ndarray
    inside: np.ndarray


def sample_sequences(mixture: SequenceMixture, rng: np.random.Generator) -> np.ndarray:
    """A batch of all forms.

    Parameters
    ----------
    mixture : SequenceMixture
        With at least one sequence that is not background.
    rng : numpy.random.Generator

    Returns
    -------
    int64 [sequence, LENGTH]
        `BEGIN` first; the forms in the order of `SequenceMixture`.

    Raises
    ------
    ValueError
        A mixture of background alone.
    """
    plain, over_plain, over_random, over_others, walks = mixture[:5]
    m = over_plain + over_random + over_others + walks  # a sequence of each form is drawn for all of these, and one form kept
    if not m:
        raise ValueError(f"mixture: expected a sequence or more that is not background, found {mixture}")
    under = background_sequences(plain + over_plain, rng)
    layout = _layout(m, rng)
    order = rng.permuted(np.tile(np.arange(1, VOCABULARY), (m, 1)), axis=1)
    drawn = rng.integers(1, VOCABULARY, size=(m, SYMBOLS))
    filler = rng.integers(1, VOCABULARY, size=(m, LENGTH))
    filler[:over_plain] = under[plain:]
    outside = layout.sizes[:, None] + (rng.random((m, LENGTH)) * (SYMBOLS - layout.sizes)[:, None]).astype(int)
    others = over_plain + over_random
    filler[others:] = np.take_along_axis(order, outside, axis=1)[others:]
    blocks = np.where((np.arange(m) < others)[:, None], drawn, order)
    ids = np.where(layout.inside, _spoilt(blocks, layout, mixture.noise, rng), filler)
    ids[m - walks :] = _walks(order, layout.sizes, mixture.jumps, rng)[m - walks :]
    ids[:, 0] = BEGIN
    return np.vstack([under[:plain], ids])


def _layout(n: int, rng: np.random.Generator) -> Layout:
    """Two occurrences or more of a block in each sequence, with what room is left spread at random before and between them."""
    sizes = rng.integers(SHORTEST, LONGEST + 1, size=n)
    times = rng.integers(2, np.maximum(2, (LENGTH - 1) // sizes) + 1)
    room, most = LENGTH - 1 - times * sizes, times.max()
    cuts = np.sort(np.where(np.arange(most) < times[:, None], rng.random((n, most)), 2.0), axis=1)
    before = np.where(cuts <= 1, np.floor(cuts * (room + 1)[:, None]), 10 * LENGTH).astype(int)
    starts = 1 + before + sizes[:, None] * np.arange(most)
    at = np.arange(LENGTH)
    occurrence = (starts[:, :, None] <= at).sum(axis=1) - 1
    place = at - np.take_along_axis(starts, occurrence.clip(0), axis=1)
    return Layout(sizes, occurrence, place, (occurrence >= 0) & (place < sizes[:, None]))


def _spoilt(blocks: np.ndarray, layout: Layout, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The blocks written at every place of the layout, some symbols of later occurrences replaced: int64 [sequence, LENGTH]."""
    n = len(blocks)
    written = np.take_along_axis(blocks, layout.place.clip(0, LONGEST), axis=1)
    rate = rng.random((n, 1)) * noise * (rng.random((n, 1)) < 0.5)
    wrong = (rng.random((n, LENGTH)) < rate) & (layout.occurrence > 0)
    return np.where(wrong, rng.integers(1, VOCABULARY, size=(n, LENGTH)), written)


def _walks(order: np.ndarray, sizes: np.ndarray, probabilities: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Walks through cycles of each row's first symbols: int64 [sequence, LENGTH]."""
    n = len(order)
    low, high = SHORT_CYCLES
    sizes = np.where(rng.random(n) < 0.5, rng.integers(low, high + 1, size=n), sizes)
    jumps = rng.random((n, LENGTH)) < rng.uniform(*probabilities, size=(n, 1))
    jumps[:, 0] = True
    last = np.maximum.accumulate(np.where(jumps, np.arange(LENGTH), 0), axis=1)
    entered = np.take_along_axis(rng.integers(0, SYMBOLS, size=(n, LENGTH)), last, axis=1)
    return np.take_along_axis(order, (entered + np.arange(LENGTH) - last) % sizes[:, None], axis=1)
