r"""Heads that learned nothing, between the embeddings of a trained model.

A trained embedding groups words by itself, so whatever direction one looks in, words that are alike come out together. What a head has
learned is what its lists show beyond those of heads that are random in one respect:

- `rotated` keeps the singular values of every trained head and draws the directions: how strongly a head acts is kept, and on what is
  not. Its two sides have nothing to do with each other.
- `symmetric` projects on a random subspace of the rank of a head and compares tokens there, $W = P P^\top$ with orthonormal columns of P.
  Such a head asks for likeness as such. A trained head that pairs like with like has to be held against these.

Directions are uniform: the orthonormal factor of a matrix of normal numbers, with the signs that make it so (Mezzadri 2007, "How to
generate random matrices from the classical compact groups").
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from analysis_lib.projections.head_lists import HeadPairs, Kept, kept_tokens, pairs_of_head
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import RELATIONS, list_shares
from analysis_lib.sweeps import sweep
from analysis_lib.weights import FactoredMatrix, TransformerWeights

Heads = Sequence[tuple[int, int]]


def rotated(weights: TransformerWeights, seed: int, heads: Heads | None = None) -> TransformerWeights:
    """Heads with the singular values of their W_VO and W_QK and random directions.

    Parameters
    ----------
    weights : TransformerWeights
        Left as they are. In a model whose heads share keys, each gets its own.
    seed : int
    heads : sequence of (layer, head), optional
        Those that are replaced; all by default.

    Returns
    -------
    TransformerWeights
        Everything but W_Q, W_K, W_V and W_O of these heads is the trained model's.
    """
    generator, chosen = torch.Generator().manual_seed(seed), _places(weights, heads)
    sides = []
    for left, right in ((weights.W_V, weights.W_O), (weights.W_Q, weights.W_K.mT)):
        root = FactoredMatrix(left[chosen], right[chosen]).singular_values().sqrt()[:, None]
        sides += [_directions(weights, len(root), generator) * root for _ in range(2)]
    return _with_heads(weights, chosen, *sides)


def symmetric(weights: TransformerWeights, seed: int, heads: Heads | None = None) -> TransformerWeights:
    """Heads that project on a random subspace of their rank: W_Q = W_K, and W_O the transpose of W_V.

    Parameters
    ----------
    weights, seed, heads
        As for `rotated`.

    Returns
    -------
    TransformerWeights
        Everything but W_Q, W_K, W_V and W_O of these heads is the trained model's.
    """
    generator, chosen = torch.Generator().manual_seed(seed), _places(weights, heads)
    values, queries = (_directions(weights, len(chosen[0]), generator) for _ in range(2))
    return _with_heads(weights, chosen, values, values, queries, queries)


def _places(weights: TransformerWeights, heads: Heads | None) -> tuple[Tensor, Tensor]:
    """Layers and heads as an index."""
    if heads is None:
        heads = [(layer, head) for layer in range(weights.n_layers) for head in range(weights.n_heads)]
    layers, numbers = torch.tensor(list(heads)).T
    return layers, numbers


def _with_heads(
    weights: TransformerWeights, chosen: tuple[Tensor, Tensor], values: Tensor, outputs: Tensor, queries: Tensor, keys: Tensor
) -> TransformerWeights:
    """Copies with the chosen heads' matrices replaced, each given as [head, d_model, d_head]."""
    new = {"W_V": values, "W_O": outputs.mT, "W_Q": queries, "W_K": keys}
    return replace(weights, **{name: getattr(weights, name).index_put(chosen, value) for name, value in new.items()})


def _directions(weights: TransformerWeights, n: int, generator: torch.Generator) -> Tensor:
    """Uniform orthonormal columns [n, d_model, d_head]."""
    q, r = torch.linalg.qr(torch.randn(n, weights.d_model, weights.d_head, dtype=weights.W_V.dtype, generator=generator))
    return q * torch.diagonal(r, dim1=-2, dim2=-1).sign()[:, None]


def heads_of_draw(weights: TransformerWeights, draw: int, per_draw: int) -> list[tuple[int, int]]:
    """So many (layer, head), all where there are no more: spread evenly over the model, and others in each draw."""
    total = weights.n_layers * weights.n_heads
    n = min(per_draw, total)
    return [divmod(place, weights.n_heads) for place in sorted((draw + i * total // n) % total for i in range(n))]


def random_shares(
    reader: Reader,
    make: Callable[[TransformerWeights, int, Heads], TransformerWeights],
    matrix: str,
    reading: str,
    *,
    n_draws: int = 20,
    per_draw: int = 6,
    k: int = 200,
    names: Sequence[str] = RELATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """What the lists of random heads relate.

    Parameters
    ----------
    reader : Reader
    make : callable
        `rotated` or `symmetric`.
    matrix, reading, k
        As for `head_lists.head_pairs`.
    n_draws : int
        Sets of random heads.
    per_draw : int
        Heads of each set whose lists are made, spread evenly over the model and others in each draw; all where it has no more.
    names : sequence of str
        Some of `relations.RELATIONS`.
    seed : int

    Returns
    -------
    DataFrame
        `draw layer head relation share n`.

    Raises
    ------
    ValueError
        `n_draws` or `per_draw` below 1; see also `head_pairs`.
    """
    if min(n_draws, per_draw) < 1:
        raise ValueError(f"n_draws and per_draw: expected 1 or more, found {n_draws} and {per_draw}")
    draw_lists = partial(_lists_of_draw, make=make, matrix=matrix, reading=reading, per_draw=per_draw, k=k, seed=seed)
    title = f"{reader.loaded.name}, random heads, {matrix}"
    draws = sweep(draw_lists, range(n_draws), kept_tokens(reader), revision=reader.revision, title=title)
    groups = reader.vocabulary.form_groups
    frames = [list_shares(lists, reader.lexicon, groups, names).assign(draw=draw) for draw, lists in enumerate(draws)]
    return pd.concat(frames, ignore_index=True)[["draw", "layer", "head", "relation", "share", "n"]]


def _lists_of_draw(kept: Kept, draw: int, *, make: Callable, matrix: str, reading: str, per_draw: int, k: int, seed: int) -> HeadPairs:
    """Lists of some heads of one set of random heads."""
    weights, *tokens = kept
    heads = heads_of_draw(weights, draw, per_draw)
    made = make(weights, seed + draw, heads)
    return {head: pairs_of_head((made, *tokens), head, matrix, reading, k) for head in heads}
