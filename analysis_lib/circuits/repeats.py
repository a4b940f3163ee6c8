r"""Sequences whose statistics are known, for the attention-only model: a Markov background and repeated blocks.

Token 0 begins every sequence and stands nowhere else; tokens 1 to 31 are symbols. Half of the sequences that `sample_sequences` draws come
from a second-order Markov chain, whose entropy rate is computed exactly. In the other half a block of random symbols is written over
the chain again and again. Blocks differ in length, and in every second of these sequences some of the chain is left between them. No fixed
distance therefore leads from a token to its earlier occurrence; only the tokens before it do.

Sources: Elhage et al. 2021 and Olsson et al. 2022 (arXiv 2209.11895) for repeated random tokens as the test of induction;
Cover and Thomas 2006, *Elements of Information Theory*, section 4.2, for the entropy rate.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Int64

VOCABULARY = 32
LENGTH = 64
BEGIN = 0
SHORTEST, LONGEST = 8, 31  # symbols in a block
WIDEST = 12  # most tokens of background before a block
SHARPNESS = 2.0  # of the chain's distributions: 1.67 nats a symbol, or 2.43 given the last symbol alone
BACKGROUND_SEED = 0


@dataclass(frozen=True, eq=False)
class MarkovBackground:
    """A second-order Markov chain over the symbols 1 ... n.

    Attributes
    ----------
    table : float64 [n, n, n]
        Probability of the next symbol after the last but one and the last; symbol `s` has index `s - 1`.
    """

    table: np.ndarray

    @classmethod
    def log_additive(cls, symbols: int, sharpness: float, seed: int) -> "MarkovBackground":
        r"""A chain to which each of the last two symbols contributes by itself.

        $$p(c \mid a, b) \propto \exp\bigl(s\,(F_{ac} + G_{bc})\bigr), \qquad F_{ac}, G_{bc} \sim N(0, 1)$$

        A model of attention alone can represent it: the last symbol through its own embedding, the one before through a
        head that attends to the previous token.

        Parameters
        ----------
        symbols : int
        sharpness : float
            $s$; 0 makes all symbols equally likely.
        seed : int

        Returns
        -------
        MarkovBackground
        """
        rng = np.random.default_rng(seed)
        before, last = sharpness * rng.standard_normal((2, symbols, symbols))
        weights = np.exp(before[:, None] + last[None])
        return cls(weights / weights.sum(axis=-1, keepdims=True))

    @cached_property
    def pairs(self) -> np.ndarray:
        """Long-run probability of every two symbols in a row, [n, n]: the distribution that does not change with a step."""
        n = len(self.table)
        found = np.full((n, n), 1 / n**2)
        for _ in range(10_000):
            after = np.einsum("ab,abc->bc", found, self.table)
            change, found = np.abs(after - found).sum(), after
            if change < 1e-14:
                return found
        raise ValueError("table: expected a chain with one long-run distribution, found one that has not settled after 10,000 steps")

    def entropies(self) -> dict[str, float]:
        r"""Entropy of the next symbol in nats, given none, one and two symbols before it.

        Returns
        -------
        dict
            `none`, `last`, and `both`: the entropy rate $-\sum_{abc} p(ab)\,p(c \mid ab) \log p(c \mid ab)$, below which no
            model's expected loss can be.
        """
        triples = self.pairs[:, :, None] * self.table
        single, joint, three = (_entropy(p) for p in (self.pairs.sum(axis=0), self.pairs, triples))
        return {"none": single, "last": joint - single, "both": three - joint}

    def sample(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """Stretches of the chain from the long run, int64 [n, length], symbols from 1."""
        symbols, cumulative = len(self.table), self.table.cumsum(axis=-1)
        drawn = np.empty((n, max(length, 2)), dtype=np.int64)
        drawn[:, 0], drawn[:, 1] = np.divmod(rng.choice(symbols**2, size=n, p=self.pairs.ravel()), symbols)
        for at in range(2, length):
            rows = cumulative[drawn[:, at - 2], drawn[:, at - 1]]
            drawn[:, at] = (rng.random((n, 1)) > rows[:, :-1]).sum(axis=1)
        return drawn[:, :length] + 1


@dataclass(frozen=True, eq=False)
class RepeatedBlocks:
    """Background over which a block of random symbols is written again and again; each sequence has its own block.

    Attributes
    ----------
    ids : int64 [sequence, token]
    occurrence : int64 [sequence, token]
        Which occurrence of the block a token belongs to, from 0; -1 for the background. The last may be cut.
    place : int64 [sequence, token]
        Which symbol of the block it is, from 0; -1 for the background.
    """

    ids: np.ndarray
    occurrence: np.ndarray
    place: np.ndarray

    def repeated(self, known: int = 1) -> np.ndarray:
        """Tokens of later occurrences that at least `known` tokens of the same occurrence precede: bool [sequence, token].

        The first token of an occurrence cannot be predicted (`known=0`); after one token, an occurrence still looks like a symbol that
        came twice by chance.
        """
        return (self.occurrence > 0) & (self.place >= known)

    @property
    def new(self) -> np.ndarray:
        """Tokens of the first occurrence, uniformly random: bool [sequence, token]."""
        return self.occurrence == 0


@cache
def background() -> MarkovBackground:
    """The chain that `minigpt-induction` was trained on."""
    return MarkovBackground.log_additive(VOCABULARY - 1, SHARPNESS, BACKGROUND_SEED)


def background_sequences(n: int, rng: np.random.Generator) -> Int64[np.ndarray, "{n} token"]:
    """Sequences of the background alone, int64 [n, LENGTH], with `BEGIN` first."""
    return np.hstack([np.full((n, 1), BEGIN), background().sample(n, LENGTH - 1, rng)])


def repeated_blocks(n: int, rng: np.random.Generator, ids: np.ndarray | None = None) -> RepeatedBlocks:
    """Sequences with a block of random symbols again and again.

    Parameters
    ----------
    n : int
        Sequences of `LENGTH` tokens.
    rng : numpy.random.Generator
        Draws for each sequence the size of the block (`SHORTEST` to `LONGEST`, uniformly), its symbols, and how much background is left
        before its first occurrence (0 to `WIDEST` tokens, uniformly). Sequences of even index have such a gap before each later occurrence
        too; in the others later occurrences follow at once.
    ids : int64 [n, LENGTH], optional
        What the blocks are written over; not changed. By default `background_sequences`.

    Returns
    -------
    RepeatedBlocks
    """
    ids = background_sequences(n, rng) if ids is None else ids
    sizes = rng.integers(SHORTEST, LONGEST + 1, size=(n, 1))
    blocks = rng.integers(1, VOCABULARY, size=(n, LONGEST))
    most = LENGTH // SHORTEST  # occurrences that can begin in a sequence
    gaps = rng.integers(0, WIDEST + 1, size=(n, most))
    gaps[1::2, 1:] = 0
    starts = 1 + gaps.cumsum(axis=1) + sizes * np.arange(most)
    at = np.arange(LENGTH)
    occurrence = (starts[:, :, None] <= at).sum(axis=1) - 1
    place = at - np.take_along_axis(starts, occurrence.clip(0), axis=1)
    inside = (occurrence >= 0) & (place < sizes)
    written = np.take_along_axis(blocks, place.clip(0, LONGEST - 1), axis=1)
    return RepeatedBlocks(np.where(inside, written, ids), np.where(inside, occurrence, -1), np.where(inside, place, -1))


def sample_sequences(n: int, rng: np.random.Generator) -> Int64[np.ndarray, "{n} token"]:
    """Sequences as `minigpt-induction` was trained on: background, with repeated blocks written over every second one.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    int64 [n, LENGTH]
    """
    ids = background_sequences(n, rng)
    ids[::2] = repeated_blocks(len(ids[::2]), rng, ids[::2]).ids
    return ids


def _entropy(probabilities: np.ndarray) -> float:
    """In nats."""
    p = probabilities[probabilities > 0]
    return float(-(p * np.log(p)).sum())
