r"""Weights read in embedding space.

A head's two matrices and a feed-forward layer's keys and values live in the residual stream; multiplied by the
embedding on the reading side and the unembedding on the writing side they speak of tokens (Dar et al. 2022,
"Analyzing Transformers in Embedding Space", arXiv 2209.02535):

$$\mathrm{VO} = W_E W_V \, W_O W_U, \qquad \mathrm{QK} = W_E W_Q \, (W_E W_K)^\top ,$$

both [vocab, vocab] and never formed: `vo_factors` and `qk_factors` give two thin factors, `pair_search` their best
pairs, `token_search` the best tokens of any vectors of the residual stream.

Three readings stand side by side. `raw` is the literature's. Embeddings through the layer norm that the layer
reads through (`layer_norm`) are nearer to what a head sees, and unembedding columns of length one (`unit`) keep
tokens of large norm from owning every list.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from analysis_lib.weights import TransformerWeights
from analysis_lib.weights.transformer_weights import checked_index


def vo_factors(
    weights: TransformerWeights, layer: int, head: int, embedding: str = "raw", unembedding: str = "raw"
) -> tuple[Float[Tensor, "token d_head"], Float[Tensor, "vocab d_head"]]:
    """What attending to a token promotes: entry (a, b) of `left @ right.T` is the logit of b from attending to a.

    Parameters
    ----------
    weights : TransformerWeights
    layer, head : int
    embedding : {"raw", "layer_norm"}
        `layer_norm` puts the embeddings through the norms between them and the layer's attention: GPT-2's own `ln_1`, BERT's
        embedding norm. Positions are left out, as they are in the raw reading.
    unembedding : {"raw", "unit"}
        `unit` divides each column of W_U by its norm.

    Returns
    -------
    left, right : Tensor [token, d_head], [vocab, d_head]
        `W_E W_V`, a row for each row of W_E, and `(W_O W_U).T`.

    Raises
    ------
    ValueError
        No such layer, head or reading; a model without the layer norm asked for.
    """
    vo = weights.head(layer, head).vo
    _check_reading("unembedding", unembedding, ("raw", "unit"))
    w_u = weights.W_U
    if unembedding == "unit":
        norms = torch.linalg.vector_norm(w_u, dim=0, keepdim=True)
        w_u = w_u / norms.clamp_min(torch.finfo(w_u.dtype).tiny)  # a column of zeros stays one
    vo = _read_embedding(weights, layer, embedding) @ vo @ w_u
    return vo.left, vo.right.T


def qk_factors(
    weights: TransformerWeights, layer: int, head: int, embedding: str = "raw"
) -> tuple[Float[Tensor, "vocab d_head"], Float[Tensor, "vocab d_head"]]:
    """What a token looks for: entry (a, b) of `left @ right.T` is query a's score for key b.

    Scores are those before the division by the square root of d_head, without biases and positions. With rotary positions they are
    those of a query and a key at the same place.

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
    qk = weights.head(layer, head).qk
    tokens = _read_embedding(weights, layer, embedding)
    qk = tokens @ qk @ tokens.T
    return qk.left, qk.right.T


def _read_embedding(weights: TransformerWeights, layer: int, embedding: str) -> Tensor:
    """The embeddings [vocab, d_model], raw or as the layer's norm hands them on."""
    _check_reading("embedding", embedding, ("raw", "layer_norm"))
    if embedding == "raw":
        return weights.W_E
    if weights.layer_norms is None:
        raise ValueError(f"embedding: 'layer_norm' was asked of a model without layer norms: {weights!r}")
    return weights.read(layer, weights.embedded())


def _check_reading(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, known))}, found {value!r}")


def feed_forward_keys_values(
    weights: TransformerWeights, layer: int, reading: str = "raw"
) -> tuple[Float[Tensor, "d_mlp d_model"], Float[Tensor, "d_mlp d_model"]]:
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
        No such layer or reading; no feed-forward layer, or a gated one; `layer_norm` of a post-norm model.
    """
    checked_index("layer", layer, weights.n_layers)
    _check_reading("reading", reading, ("raw", "layer_norm"))
    if weights.W_in is None or weights.W_gate is not None:
        found = "none (attention alone)" if weights.W_in is None else "a gated one, whose neurons multiply two readings: no column is a key"
        raise ValueError(f"weights: expected a feed-forward layer of keys and values, found {found}: {weights!r}")
    keys, values = weights.W_in[layer].T, weights.part("W_out")[layer]
    if reading == "raw":
        return keys, values
    if weights.norm != "pre":
        raise ValueError(
            f"reading: 'layer_norm' was asked of {weights!r}, whose norms do not stand on what keys read (BERT's stand on the residual"
            " stream and cannot be folded into keys); expected 'raw'"
        )
    return weights.part("layer_norms").mlp[layer].folded_into(weights.W_in[layer]).T, values
