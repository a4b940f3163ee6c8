"""How alike lists of tokens are, and lists of pairs: set measures over ids."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.projections.pair_search import TopPairs, count_argument
from analysis_lib.projections.token_search import top_tokens


def top_overlap(ids_a: ArrayLike, ids_b: ArrayLike) -> np.ndarray:
    """Jaccard index of two sets of tokens, row by row.

    Parameters
    ----------
    ids_a, ids_b : int array [n, k_a], [n, k_b]
        Distinct ids in each row, as `top_tokens` gives them.

    Returns
    -------
    numpy.ndarray [n]
        Share of the union that both have, from 0 to 1.
    """
    shared, size_a, size_b = _shared(ids_a, ids_b)
    return shared / (size_a + size_b - shared)


def topk_recall(param_ids: ArrayLike, hidden_ids: ArrayLike) -> np.ndarray:
    """How many of a parameter's top tokens are among a hidden state's: Dar et al. 2022, section 4.

    Parameters
    ----------
    param_ids, hidden_ids : int array [n, k]
        Top tokens of parameters and of the hidden states they acted in, row by row.

    Returns
    -------
    numpy.ndarray [n]
        Size of the intersection, as a share of k.
    """
    shared, size, hidden_size = _shared(param_ids, hidden_ids)
    if size != hidden_size:
        raise ValueError(f"param_ids and hidden_ids: expected equally many ids a row, found {size} and {hidden_size}")
    return shared / size


def _shared(ids_a: ArrayLike, ids_b: ArrayLike) -> tuple[np.ndarray, int, int]:
    """Number of ids that two rows share [n], and how many ids each row has."""
    ids_a, ids_b = np.asarray(ids_a), np.asarray(ids_b)
    if ids_a.ndim != 2 or ids_b.ndim != 2 or len(ids_a) != len(ids_b) or 0 in (ids_a.shape[1], ids_b.shape[1]):
        raise ValueError(f"sets of ids: expected two arrays [n, k] with as many rows, found shapes {ids_a.shape} and {ids_b.shape}")
    for ids in (ids_a, ids_b):
        ordered = np.sort(ids, axis=1)
        if (ordered[:, 1:] == ordered[:, :-1]).any():
            raise ValueError("sets of ids: expected distinct ids in each row, found one twice")
    both = np.sort(np.concatenate([ids_a, ids_b], axis=1), axis=1)
    return (both[:, 1:] == both[:, :-1]).sum(axis=1), ids_a.shape[1], ids_b.shape[1]


def distinct_tokens(pairs: TopPairs) -> tuple[int, int]:
    """Number of different tokens on the left and on the right of a list of pairs.

    A list of fifty pairs with a handful of tokens belongs to a hub: tokens of large norm, not a relation.
    """
    return len(np.unique(pairs.left_ids)), len(np.unique(pairs.right_ids))


def pairs_jaccard(a: TopPairs, b: TopPairs) -> float:
    """Jaccard index of two lists as sets of (left, right) pairs; two empty lists are equal, 1."""
    first, second = (set(zip(one.left_ids.tolist(), one.right_ids.tolist(), strict=True)) for one in (a, b))
    return len(first & second) / len(first | second) if first or second else 1.0


class PairedOverlap(NamedTuple):
    """How alike the top tokens of each neuron's key and value are, and those of shuffled pairs.

    Attributes
    ----------
    real : numpy.ndarray [neuron]
        Jaccard index of a neuron's two sets.
    shuffled : numpy.ndarray [shuffle, neuron]
        The same for each key with the value of another neuron of the layer.
    """

    real: np.ndarray
    shuffled: np.ndarray


def paired_overlap(
    keys: ArrayLike | Tensor,
    values: ArrayLike | Tensor,
    W_U: ArrayLike | Tensor,
    k: int = 100,
    keep: ArrayLike | None = None,
    seed: int = 0,
    n_shuffles: int = 10,
) -> PairedOverlap:
    """Paired parameters speak of the same tokens: Dar et al. 2022, section 4, with shuffled pairs as the null.

    Parameters
    ----------
    keys, values : array or tensor [d_mlp, d_model]
        Of one layer; row i of both is neuron i. At least two neurons.
    W_U : array or tensor [d_model, vocab]
    k : int
        Top tokens a side.
    keep : bool array [vocab], optional
        Tokens that may appear.
    seed : int
        Of the shuffles.
    n_shuffles : int
        Each gives every key the value of another neuron, every value once.

    Returns
    -------
    PairedOverlap
        `real` [d_mlp] and `shuffled` [n_shuffles, d_mlp].

    Raises
    ------
    ValueError
        Keys and values of different shapes, fewer than two neurons, no tokens kept.
    """
    if np.shape(keys) != np.shape(values) or len(keys) < 2:
        raise ValueError(
            f"keys and values: expected the same shape and two neurons or more, found {tuple(np.shape(keys))} and {tuple(np.shape(values))}"
        )
    key_ids = top_tokens(keys, W_U, k, keep).ids
    value_ids = top_tokens(values, W_U, k, keep).ids
    return shuffled_overlap(key_ids, value_ids, seed, n_shuffles)


def shuffled_overlap(key_ids: ArrayLike, value_ids: ArrayLike, seed: int = 0, n_shuffles: int = 10) -> PairedOverlap:
    """`paired_overlap` of lists that are found already.

    Parameters
    ----------
    key_ids, value_ids : int array [neuron, k]
        Top tokens of one layer's keys and values, or of whatever else is paired row by row.
    seed, n_shuffles : int
        As in `paired_overlap`.

    Returns
    -------
    PairedOverlap
    """
    key_ids, value_ids = np.asarray(key_ids), np.asarray(value_ids)
    rng = np.random.default_rng(seed)
    shuffled = np.empty((count_argument("n_shuffles", n_shuffles), len(key_ids)))
    for row in shuffled:
        circle = rng.permutation(len(key_ids))
        partner = np.empty_like(circle)
        partner[circle] = np.roll(circle, 1)  # the neighbour on a random circle: never oneself
        row[:] = top_overlap(key_ids, value_ids[partner])
    return PairedOverlap(top_overlap(key_ids, value_ids), shuffled)
