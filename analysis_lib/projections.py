r"""Weights read in embedding space.

A head's two matrices and a feed-forward layer's keys and values live in the residual stream; multiplied by the
embedding on the reading side and the unembedding on the writing side they speak of tokens (Dar et al. 2022,
"Analyzing Transformers in Embedding Space", arXiv 2209.02535):

$$\mathrm{VO} = W_E W_V \, W_O W_U, \qquad \mathrm{QK} = W_E W_Q \, (W_E W_K)^\top ,$$

both [vocab, vocab] and never formed: `vo_factors` and `qk_factors` give two thin factors, `top_pairs` their best
pairs, `top_tokens` the best tokens of any vectors of the residual stream.

Three readings stand side by side. `raw` is the literature's. Embeddings through the layer norm that the layer
reads through (`layer_norm`) are nearer to what a head sees, and unembedding columns of length one (`unit`) keep
tokens of large norm from owning every list; `distinct_tokens` shows when one does.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.pair_search import (
    UNDERFLOW,
    TopPairs,
    count_argument,
    exact_scores,
    mask_argument,
    matrix_argument,
    rounding_bound,
    scaled,
    top_pairs,
)
from analysis_lib.token_sets import distinct_tokens, pairs_jaccard, top_overlap, topk_recall
from analysis_lib.weights import TransformerWeights

__all__ = [
    "PairedOverlap",
    "TopPairs",
    "TopTokens",
    "distinct_tokens",
    "feed_forward_keys_values",
    "map_heads",
    "paired_overlap",
    "pairs_jaccard",
    "qk_factors",
    "shuffled_overlap",
    "top_overlap",
    "top_pairs",
    "top_tokens",
    "topk_recall",
    "vo_factors",
]

SCORES_HELD = 1 << 24
"""Float32 scores of one block of vectors against the vocabulary (64 MiB)."""


class TopTokens(NamedTuple):
    """The best tokens of each vector, best first.

    Attributes
    ----------
    ids : numpy.ndarray of int64 [n, k]
        Token ids.
    scores : numpy.ndarray of float64 [n, k]
        Inner products of the vectors with the tokens' columns.
    """

    ids: np.ndarray
    scores: np.ndarray


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


def vo_factors(
    weights: TransformerWeights, layer: int, head: int, embedding: str = "raw", unembedding: str = "raw"
) -> tuple[Tensor, Tensor]:
    """What attending to a token promotes: entry (a, b) of `left @ right.T` is the logit of b from attending to a.

    Parameters
    ----------
    weights : TransformerWeights
    layer, head : int
    embedding : {"raw", "layer_norm"}
        `layer_norm` puts the embeddings through the norm the layer reads through: GPT-2's own `ln_1`, BERT's
        embedding norm. Positions are left out, as they are in the raw reading.
    unembedding : {"raw", "unit"}
        `unit` divides each column of W_U by its norm.

    Returns
    -------
    left, right : Tensor [vocab, d_head]
        `W_E W_V` and `(W_O W_U).T`.

    Raises
    ------
    ValueError
        No such layer, head or reading; a model without the layer norm asked for.
    """
    _check_head(weights, layer, head)
    _check_reading("unembedding", unembedding, ("raw", "unit"))
    w_u = weights.W_U
    if unembedding == "unit":
        norms = torch.linalg.vector_norm(w_u, dim=0, keepdim=True)
        w_u = w_u / norms.clamp_min(torch.finfo(w_u.dtype).tiny)  # a column of zeros stays one
    left = _read_embedding(weights, layer, embedding) @ weights.W_V[layer, head]
    return left, (weights.W_O[layer, head] @ w_u).T


def qk_factors(weights: TransformerWeights, layer: int, head: int, embedding: str = "raw") -> tuple[Tensor, Tensor]:
    """What a token looks for: entry (a, b) of `left @ right.T` is query a's score for key b.

    Scores are those before the division by the square root of d_head, without biases and positions.

    Parameters
    ----------
    weights : TransformerWeights
    layer, head : int
    embedding : {"raw", "layer_norm"}
        As in `vo_factors`, for both sides.

    Returns
    -------
    left, right : Tensor [vocab, d_head]
        `W_E W_Q` and `W_E W_K`.

    Raises
    ------
    ValueError
        No such layer, head or reading; a model without the layer norm asked for.
    """
    _check_head(weights, layer, head)
    tokens = _read_embedding(weights, layer, embedding)
    return tokens @ weights.W_Q[layer, head], tokens @ weights.W_K[layer, head]


def _read_embedding(weights: TransformerWeights, layer: int, embedding: str) -> Tensor:
    """The embeddings [vocab, d_model], raw or as the layer's norm hands them on."""
    _check_reading("embedding", embedding, ("raw", "layer_norm"))
    if embedding == "raw":
        return weights.W_E
    if weights.architecture == "bert":
        gain, bias = weights.ln_embed_w, weights.ln_embed_b
    else:
        gain, bias = (None if norm is None else norm[layer] for norm in (weights.ln1_w, weights.ln1_b))
    if gain is None:
        raise ValueError(f"embedding: 'layer_norm' was asked of a model without layer norms: {weights!r}")
    return torch.nn.functional.layer_norm(weights.W_E, gain.shape, gain, bias, weights.layer_norm_epsilon)


def _check_head(weights: TransformerWeights, layer: int, head: int) -> None:
    _check_index("layer", layer, weights.n_layers)
    _check_index("head", head, weights.n_heads)


def _check_index(name: str, value: int, count: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (whole and 0 <= value < count):
        raise ValueError(f"{name}: expected a whole number from 0 to {count - 1}, found {value!r}")


def _check_reading(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, known))}, found {value!r}")


def feed_forward_keys_values(weights: TransformerWeights, layer: int, reading: str = "raw") -> tuple[Tensor, Tensor]:
    r"""A layer's neurons as key-value memories (Geva et al. 2021, arXiv 2012.14913).

    Parameters
    ----------
    weights : TransformerWeights
    layer : int
    reading : {"raw", "layer_norm"}
        `layer_norm` folds the gain and the centring of the norm that keys read through into them,
        $k' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,k$; pre-norm models only.

    Returns
    -------
    keys, values : Tensor [d_mlp, d_model]
        Columns of W_in and rows of W_out.

    Raises
    ------
    ValueError
        No such layer or reading; `layer_norm` of a post-norm model.
    """
    _check_index("layer", layer, weights.n_layers)
    _check_reading("reading", reading, ("raw", "layer_norm"))
    keys, values = weights.W_in[layer].T, weights.W_out[layer]
    if reading == "raw":
        return keys, values
    if weights.architecture == "bert":
        raise ValueError(
            "reading: 'layer_norm' was asked of BERT, whose norms stand on the residual stream and cannot be folded"
            " into keys; expected 'raw'"
        )
    keys = keys * weights.ln2_w[layer]
    return keys - keys.mean(dim=1, keepdim=True), values


def top_tokens(vectors: ArrayLike | Tensor, W_U: ArrayLike | Tensor, k: int = 30, keep: ArrayLike | None = None) -> TopTokens:
    """The tokens that vectors of the residual stream point at, exactly.

    Blocks of vectors are multiplied by the whole vocabulary in float32; what rounding could have kept off a list
    is scored again in float64 (see `pair_search`). Negate the vectors for the tokens they point away from.

    Parameters
    ----------
    vectors : array or tensor [n, d_model]
        For example every key and value of a model.
    W_U : array or tensor [d_model, vocab]
        Unembedding, or an embedding turned round.
    k : int
        Tokens a vector; at most as many as are kept come back.
    keep : bool array [vocab], optional
        Tokens that may appear. Default: all.

    Returns
    -------
    TopTokens
        `ids` and `scores` [n, min(k, kept)], sorted by score, equal scores by id.

    Raises
    ------
    ValueError
        Matrices that are not finite or do not fit, a mask that does not fit, `k` below 1.
    """
    k = count_argument("k", k)
    vectors, columns = matrix_argument("vectors", vectors), matrix_argument("W_U", W_U).T
    if vectors.shape[1] != columns.shape[1]:
        raise ValueError(f"vectors and W_U do not fit: vectors [n, {vectors.shape[1]}], W_U [{columns.shape[1]}, {columns.shape[0]}]")
    kept = np.flatnonzero(mask_argument("keep", keep, len(columns)))
    k = min(k, len(kept))
    ids = np.zeros((len(vectors), k), np.int64)
    scores = np.zeros((len(vectors), k))
    if k == 0:
        return TopTokens(ids, scores)
    columns = columns[torch.from_numpy(kept)]
    small, _ = scaled(columns)
    small = small.float()
    block = max(1, SCORES_HELD // len(kept))
    with torch.inference_mode():
        for start in range(0, len(vectors), block):
            part = slice(start, start + block)
            chosen, scores[part] = _top_of_block(vectors[part], columns, small, k)
            ids[part] = kept[chosen]
    return TopTokens(ids, scores)


def _top_of_block(vectors: Tensor, columns: Tensor, small: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and float64 scores [n, k] of a block; `small` is `columns` in float32 and scaled below 1."""
    lengths = torch.linalg.vector_norm(vectors.double(), dim=1, keepdim=True)
    unit = (vectors.double() / lengths.clamp_min(torch.finfo(torch.float64).tiny)).float()
    approximate = unit @ small.T
    # Both the k-th score and the candidate may be off by one margin.
    margin = torch.linalg.vector_norm(small, dim=1).max().item() * rounding_bound(small.shape[1]) + UNDERFLOW
    reach = approximate.topk(k, dim=1).values[:, -1:] - 2.5 * margin
    row, column = (approximate >= reach).nonzero().numpy().T
    exact = exact_scores(vectors, columns, row, column)
    order = np.lexsort((column, -exact, row))
    first = np.searchsorted(row, np.arange(len(vectors)))  # every row has k candidates or more
    best = order[first[:, None] + np.arange(k)]
    return column[best], exact[best]


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


def map_heads(function: Callable[[int, int], Any], n_layers: int, n_heads: int, n_jobs: int = 1) -> list[list[Any]]:
    """Call `function(layer, head)` for every head of a model, through joblib.

    Any joblib backend serves: with `joblib.parallel_config(backend="threading")`, or `"dask"` with a
    `dask.distributed` client, the same call runs there.

    Parameters
    ----------
    function : callable
        Must be picklable where the backend uses processes.
    n_layers, n_heads : int
    n_jobs : int
        As joblib has it; None leaves it to the backend in force.

    Returns
    -------
    list of lists
        `results[layer][head]`.
    """
    calls = (joblib.delayed(function)(layer, head) for layer in range(n_layers) for head in range(n_heads))
    flat = joblib.Parallel(n_jobs=n_jobs)(calls)
    return [flat[layer * n_heads : (layer + 1) * n_heads] for layer in range(n_layers)]
