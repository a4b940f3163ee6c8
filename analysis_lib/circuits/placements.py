"""Does an induction head work wherever a block stands? Its score by the block's length, by the gap, and by where the block begins.

A score on one probe says what a head does on blocks of one length. Here a block is put at a given place, and everything around it is
random, so that a head that needs long blocks, near ones or late ones is seen to.

Source: Olsson et al. 2022 (arXiv 2209.11895) for the score on repeated random tokens.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from analysis_lib.circuits.induction import probe_patterns
from analysis_lib.circuits.probes import RepeatedTokens
from analysis_lib.circuits.scoreboard import induction_scores
from analysis_lib.models import LoadedModel


def placed_blocks(
    pool: Sequence[int], n_sequences: int, block: int, gap: int, begin: int, length: int, start: int | None = 0, seed: int = 0
) -> RepeatedTokens:
    """Random tokens in which one block comes twice at the same places of every sequence.

    Parameters
    ----------
    pool : sequence of int
        Ids to draw from, uniformly and independently.
    n_sequences, block, gap : int
        Sequences; tokens of the block, two or more; tokens between its occurrences.
    begin : int
        Position of the block's first token.
    length : int
        Of every sequence.
    start : int, optional
        Id that begins every sequence.
    seed : int

    Returns
    -------
    RepeatedTokens

    Raises
    ------
    ValueError
        A block of one token, or one that does not fit twice; no sequences.
    """
    head = int(start is not None)
    if block < 2 or gap < 0 or begin < head or begin + 2 * block + gap > length:
        raise ValueError(
            f"block, gap, begin: expected a block of 2 or more that begins at {head} or later and fits twice in {length} tokens,"
            f" found {block}, {gap}, {begin}"
        )
    if n_sequences < 1:
        raise ValueError(f"n_sequences: expected 1 or more, found {n_sequences}")
    ids = np.random.default_rng(seed).choice(np.asarray(pool), size=(n_sequences, length))
    if start is not None:
        ids[:, 0] = start
    first = np.tile(begin + np.arange(block), (n_sequences, 1))
    second = first + block + gap
    ids[:, second[0]] = ids[:, first[0]]
    return RepeatedTokens(ids, first, second, np.full(n_sequences, gap))


def placement_scores(
    loaded: LoadedModel, blocks: Sequence[int], gaps: Sequence[int], begins: Sequence[int], n_sequences: int = 24, seed: int = 0
) -> pd.DataFrame:
    """Induction scores of all heads for every length, gap and beginning that fits in the model's context.

    Parameters
    ----------
    loaded : LoadedModel
        A model of ids 1, 2 ... with 0 for the beginning, as the toy is.
    blocks, gaps, begins : sequence of int
    n_sequences, seed : int
        Of each combination.

    Returns
    -------
    DataFrame
        `block gap begin layer head score`, a row a combination and head.

    Raises
    ------
    ValueError
        Nothing fits; blocks of one token, gaps below 0, or a beginning before 1, where the sign for the beginning stands.
    """
    if min(blocks, default=2) < 2 or min(gaps, default=0) < 0 or min(begins, default=1) < 1:
        raise ValueError(
            f"blocks, gaps, begins: expected blocks of 2 or more, gaps from 0 and beginnings from 1, found {blocks}, {gaps} and {begins}"
        )
    config = loaded.model.config
    length, pool = config.max_position_embeddings, range(1, config.vocab_size)
    fitting = [(b, g, s) for b, g, s in product(blocks, gaps, begins) if s + 2 * b + g <= length]
    if not fitting:
        raise ValueError(f"blocks, gaps, begins: expected a combination that fits in {length} tokens, found none")
    rows = []
    for number, (block, gap, begin) in enumerate(fitting):
        probe = placed_blocks(pool, n_sequences, block, gap, begin, length, seed=seed + number)
        scores = induction_scores(probe_patterns(loaded, probe), probe.ids, rows=probe.predictable)
        rows += [(block, gap, begin, *place, float(score)) for place, score in np.ndenumerate(scores)]
    return pd.DataFrame(rows, columns=["block", "gap", "begin", "layer", "head", "score"])


def of_head(tables: Mapping[str, pd.DataFrame], layer: int) -> pd.DataFrame:
    """For each model its head of a layer with the highest mean score over all placements: `model block gap begin layer head score`."""
    found = []
    for name, table in tables.items():
        part = table[table["layer"] == layer]
        best = part.groupby("head")["score"].mean().idxmax()
        found.append(part[part["head"] == best].assign(model=name))
    return pd.concat(found, ignore_index=True)
