"""What the terms of attention scores favour: the previous position, the same token.

The contrast of a term is its mean over target keys less its mean over the row's other keys (`terms.row_contrasts`), a difference of
log odds. A contrast is compared with the same head reading its own positions or tokens in random order.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis_lib.circuits.terms import check_terms, row_centred, row_contrasts
from analysis_lib.weights import TransformerWeights


class PreviousPosition(NamedTuple):
    """How much position-position favours the previous position, each [layer, head].

    Attributes
    ----------
    contrast : Tensor
        In nats, above the other positions of the row.
    p : Tensor
        One-sided p-value against the positions in random order, uncorrected.
    peak : Tensor of bool
        Whether distance 1 has the highest mean score of all distances up to 12.
    """

    contrast: Tensor
    p: Tensor
    peak: Tensor


class SameToken(NamedTuple):
    """How much token-token favours the same token in layer 0, each [head]: `contrast` in nats, `p` two-sided and uncorrected."""

    contrast: Tensor
    p: Tensor


def mean_by_distance(values: Tensor, reach: int = 12) -> Float[Tensor, "... {reach+1}"]:
    """Mean of scores or attention by distance from query to key.

    Parameters
    ----------
    values : Tensor [..., query, key]
        Scores (row-centred, since what is constant along a row says nothing of distances) or a pattern.
    reach : int
        The largest distance; less than the number of keys.

    Returns
    -------
    Tensor [..., reach + 1]
        Distance 0, the query itself, comes first. All distances are averaged over the same rows, those that reach so far back.

    Raises
    ------
    ValueError
        A reach that no row has.
    """
    if not 0 <= reach < values.shape[-1]:
        raise ValueError(f"reach: expected 0 to {values.shape[-1] - 1}, found {reach}")
    return torch.stack([values.diagonal(-d, -2, -1)[..., reach - d :].mean(-1) for d in range(reach + 1)], -1)


def position_scores(weights: TransformerWeights, length: int) -> Float[Tensor, "layer head token token"]:
    """Position-position scores of all pairs of the first positions, later keys too: [layer, head, query, key], scaled."""
    check_terms(weights)
    if not 2 <= length <= len(weights.part("W_pos")):
        raise ValueError(f"length: expected 2 to {len(weights.part('W_pos'))} positions, found {length}")
    positions = weights.part("W_pos")[:length]
    scale = torch.as_tensor(weights.attention_scale)[:, None, None, None]
    return torch.einsum("qd,lhdc,lhec,ke->lhqk", positions, weights.W_Q, weights.W_K, positions) * scale


def previous_position_test(weights: TransformerWeights, length: int, n_permutations: int = 999, seed: int = 0) -> PreviousPosition:
    """Does the position-position term of a head favour the previous position beyond what its positions give in random order?

    Parameters
    ----------
    weights : TransformerWeights
        Of a model whose positions only queries and keys read.
    length : int
        How many positions, counted from the first.
    n_permutations, seed : int

    Returns
    -------
    PreviousPosition

    Notes
    -----
    The term depends on positions alone, so nothing is sampled but the random orders. A head that favours near positions of any kind
    passes too: `peak` tells which distance it favours most.
    """
    _check_permutations(n_permutations)
    scores, target = position_scores(weights, length), torch.eye(length).roll(1, 0).bool()
    rng = np.random.default_rng(seed)
    contrast, exceeded = row_contrasts(scores, target), 0
    for _ in range(n_permutations):
        order = torch.as_tensor(rng.permutation(length))
        exceeded = exceeded + (row_contrasts(scores[..., order, :][..., order], target) >= contrast)
    peak = mean_by_distance(row_centred(scores), reach=min(12, length - 1)).argmax(-1) == 1
    return PreviousPosition(contrast, (exceeded + 1) / (n_permutations + 1), peak)


def same_token_test(weights: TransformerWeights, ids: Tensor, n_permutations: int = 999, seed: int = 0) -> SameToken:
    """Does the token-token term of a head of layer 0 favour or avoid the query's own token?

    In layer 0 the term is a table over the vocabulary. The unit is the token type: the mean of the table's diagonal over the types that
    occur, each row's mean removed, against tables with their columns in random order.

    Parameters
    ----------
    weights : TransformerWeights
    ids : Tensor of int
        Tokens whose types count.
    n_permutations, seed : int

    Returns
    -------
    SameToken
    """
    check_terms(weights)
    _check_permutations(n_permutations)
    types = torch.as_tensor(ids).unique()
    if not len(types) or types.is_floating_point() or types.min() < 0 or types.max() >= weights.d_vocab:
        raise ValueError(f"ids: expected tokens from 0 to {weights.d_vocab - 1}, found {types.tolist()}")
    embedded, rng = weights.W_E[types.long()], np.random.default_rng(seed)
    table = (embedded @ weights.W_Q[0]) @ (embedded @ weights.W_K[0]).transpose(-1, -2) * weights.attention_scale[0]
    table = table.double() - table.double().mean(-1, keepdim=True)  # an order that is as far from zero must not seem nearer by rounding
    rows = np.arange(len(embedded))
    contrast = table[:, rows, rows].mean(-1)
    null = torch.stack([table[:, rows, rng.permutation(len(rows))].mean(-1) for _ in range(n_permutations)])
    return SameToken(contrast, ((null.abs() >= contrast.abs() * (1 - 1e-9)).sum(0) + 1) / (n_permutations + 1))


def same_token_contrasts(scores: Tensor, ids: Tensor, n_shuffles: int = 10, seed: int = 0) -> dict[str, Float[Tensor, "sequence head"]]:
    """Contrasts of token-token scores for the query's own place and for earlier places of the same token.

    Parameters
    ----------
    scores : Tensor [sequence, head, query, key]
        The token-token term.
    ids : Tensor of int [sequence, token]
    n_shuffles, seed : int
        Frequent tokens may be favoured whatever the query is. So what tokens of the sequence get, if each query looks for a random one of
        them, is subtracted from the contrast of earlier places: the mean over this many random assignments. A query sometimes looks for
        its own, and by that share the contrast is understated.

    Returns
    -------
    dict of str to Tensor [sequence, head]
        `own place` and `earlier same token`; the latter is NaN for a sequence in which no token repeats.
    """
    length, rng = ids.shape[1], np.random.default_rng(seed)

    def earlier(looked_for: Tensor) -> Tensor:
        return (looked_for[:, :, None] == ids[:, None]).tril(-1)[:, None]

    shuffled = [ids[:, torch.as_tensor(rng.permutation(length))] for _ in range(n_shuffles)]
    null = torch.stack([row_contrasts(scores, earlier(tokens)) for tokens in shuffled]).nanmean(0)
    return {
        "own place": row_contrasts(scores, torch.eye(length, device=scores.device).bool()),
        "earlier same token": row_contrasts(scores, earlier(ids)) - null,
    }


def _check_permutations(n_permutations: int) -> None:
    if n_permutations < 1:
        raise ValueError(f"n_permutations: expected 1 or more, found {n_permutations}")
