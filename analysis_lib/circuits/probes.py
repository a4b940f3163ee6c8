"""Probes for induction: random tokens among which one block comes twice, at a random distance.

Random tokens cannot have been memorised, and a random distance tells a head that finds the earlier occurrence from a head that always
looks equally far back. `repeats` has the sequences that the toy was trained on; these are the ones that it is tested on.

Source: Olsson et al. 2022, *In-context Learning and Induction Heads* (arXiv 2209.11895), for repeated random tokens. Their block
comes again at one fixed distance; the random distance is this book's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class RepeatedTokens(NamedTuple):
    """Sequences in which one block of random tokens comes twice.

    Attributes
    ----------
    ids : int64 [sequence, position]
    first, second : int64 [sequence, block]
        Positions of the block's first and second occurrence; the tokens at `second[:, 1:]` can be predicted.
    gaps : int64 [sequence]
        Tokens between the two.
    """

    ids: np.ndarray
    first: np.ndarray
    second: np.ndarray
    gaps: np.ndarray

    @property
    def predictable(self) -> np.ndarray:
        """Places in the second occurrence whose next token is known from the first, bool [sequence, position]."""
        return _places(self.ids.shape, self.second[:, :-1])

    @property
    def unpredictable(self) -> np.ndarray:
        """The same places in the first occurrence, where the next token is random, bool [sequence, position]."""
        return _places(self.ids.shape, self.first[:, :-1])

    def shuffled(self, seed: int = 0) -> "RepeatedTokens":
        """The same sequences with each second occurrence in another, random order: the tokens return, their order does not."""
        order = np.random.default_rng(seed).permuted(np.tile(np.arange(self.second.shape[1]), (len(self.ids), 1)), axis=1)
        same = (order == np.arange(order.shape[1])).all(axis=1)  # half of the orders of a block of two
        order[same] = np.roll(order[same], 1, axis=1)
        ids = self.ids.copy()
        np.put_along_axis(ids, self.second, np.take_along_axis(self.ids, np.take_along_axis(self.second, order, axis=1), axis=1), axis=1)
        return self._replace(ids=ids)

    def exchanged(self) -> "RepeatedTokens":
        """The same sequences, two or more, with the second occurrence of another sequence: other tokens in the same places.

        Of a small vocabulary some of these may stand in the sequence, too.
        """
        if len(self.ids) < 2:
            raise ValueError(f"ids: expected two sequences or more, whose blocks can be exchanged, found {len(self.ids)}")
        others = np.roll(np.take_along_axis(self.ids, self.second, axis=1), 1, axis=0)
        ids = self.ids.copy()
        np.put_along_axis(ids, self.second, others, axis=1)
        return self._replace(ids=ids)


def repeated_random_tokens(
    vocab: int | Sequence[int],
    n_sequences: int = 64,
    block: int = 10,
    gap: int | tuple[int, int] = (0, 10),
    start: int | None = None,
    length: int | None = None,
    distinct: bool = True,
    seed: int = 0,
) -> RepeatedTokens:
    """Random tokens among which one block comes twice, at a random distance: the probe for induction.

    A sequence is filler, block, filler (the gap), the same block, filler. If the gap is the same in all sequences, a head that
    attends `block + gap - 1` places back cannot be told from an induction head; if it is drawn from G lengths with equal
    probability, such a head scores about 1 / G. The place of the first block is drawn too.

    Parameters
    ----------
    vocab : int or sequence of int
        Ids to draw from: those given, or 0 to `vocab - 1`.
    n_sequences, block : int
        Block of two tokens or more.
    gap : (int, int) or int
        Smallest and largest number of tokens between the occurrences; a single number gives every sequence that gap (the
        confounded probe, for comparison).
    start : int, optional
        Id that begins every sequence and stands nowhere else.
    length : int, optional
        Of every sequence; by default what the largest gap needs.
    distinct : bool
        Draw without replacement, so that nothing but the block repeats; otherwise draw uniformly and independently.
    seed : int

    Returns
    -------
    RepeatedTokens

    Raises
    ------
    ValueError
        Sizes that are too small, a length that does not hold the block twice, too few ids to be distinct.
    """
    pool = np.arange(vocab) if isinstance(vocab, int | np.integer) else np.unique(np.asarray(vocab, dtype=np.int64))
    pool = pool[pool != start] if start is not None else pool
    low, high = (gap, gap) if isinstance(gap, int | np.integer) else gap
    head = int(start is not None)
    length = head + 2 * block + high if length is None else length
    _check_probe(len(pool), n_sequences, block, low, high, length - head, distinct)
    rng = np.random.default_rng(seed)
    gaps = rng.integers(low, high + 1, size=n_sequences)
    begin = head + rng.integers(0, length - head - 2 * block - gaps + 1)
    ids = np.empty((n_sequences, length), dtype=np.int64)
    if start is not None:
        ids[:, 0] = start
    first = begin[:, None] + np.arange(block)
    second = first + (block + gaps)[:, None]
    for row in range(n_sequences):
        drawn = rng.choice(pool, size=length - head - block, replace=not distinct)
        rest = np.setdiff1d(np.arange(head, length), second[row])
        ids[row, rest] = drawn
        ids[row, second[row]] = ids[row, first[row]]
    return RepeatedTokens(ids, first, second, gaps)


def _places(shape: tuple[int, ...], places: np.ndarray) -> np.ndarray:
    found = np.zeros(shape, dtype=bool)
    np.put_along_axis(found, places, True, axis=1)
    return found


def _check_probe(pool: int, n_sequences: int, block: int, low: int, high: int, room: int, distinct: bool) -> None:
    if n_sequences < 1 or block < 2:
        raise ValueError(f"n_sequences and block: expected at least 1 and 2, found {n_sequences} and {block}")
    if not 0 <= low <= high:
        raise ValueError(f"gap: expected 0 <= least <= largest, found {low} and {high}")
    if room < 2 * block + high:
        raise ValueError(f"length: expected room for {2 * block + high} tokens (block, largest gap, block), found {room}")
    needed = room - block if distinct else 1
    if pool < needed:
        raise ValueError(f"vocab: expected {needed} ids or more to draw {'distinct tokens' if distinct else 'from'}, found {pool}")
