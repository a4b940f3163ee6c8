r"""Token and position terms of attention scores, and what each of them does.

In a model whose queries and keys read the residual stream $x$ plus positions $p$, and whose values read $x$ alone (MiniGPT), the scores
of a head are a sum of four terms. A term reads, of query $i$ and of key $j$, what stands there or where it stands:

$$s_{ij} = \underbrace{x_i M x_j^\top}_{\text{token-token}} + \underbrace{x_i M p_j^\top}_{\text{token-position}} +
\underbrace{p_i M x_j^\top}_{\text{position-token}} + \underbrace{p_i M p_j^\top}_{\text{position-position}},
\qquad M = W_Q W_K^\top / \sqrt{d_{head}} .$$

After the first layer $x$ is itself a sum, of the embedding and of what each earlier head wrote, so the token part can be split further. All
scores are scaled, and $-\infty$ above the diagonal, so that softmax can be applied to any sum of terms as it is.

Softmax does not see what is constant along a row, so the size of a term is its variance *within rows*, over the keys that a query may
attend to; the first row, which has one key, has none. Terms covary, so their variances do not add up to the variance of the scores. Their
covariances with the scores do, and shares are computed from these.

The split is not unique: a vector $c$ moved from all tokens to all positions, $(x - c) + (p + c)$, changes terms and no score. `centre`
makes the other natural choice: what all tokens have in common counts as position.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; the four terms are notebook 002's, after MiniGPT in
redwoodresearch/mlab (days/w3d2).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis_lib.weights import TransformerWeights

TERMS = ("token-token", "token-position", "position-token", "position-position")  # what the query reads, then what the key reads


class RowVariances(NamedTuple):
    """Moments of terms within rows, means over the rows with two keys or more.

    `variance` of each term [term, batch, head], its `covariance` with the sum of terms [term, batch, head], and the variance of the
    sum, `total` [batch, head]. Covariances add up to it.
    """

    variance: Tensor
    covariance: Tensor
    total: Tensor

    @property
    def share(self) -> Tensor:
        """`covariance / total`: adds up to 1 over terms; negative where a term works against the sum."""
        return self.covariance / self.total


class LeaveOut(NamedTuple):
    """A term left out of the scores of one layer: of one head, or of all where `head` is None."""

    term: str
    layer: int
    head: int | None = None
    centre: bool = False


def score_terms(weights: TransformerWeights, ids: Tensor, layer: int, centre: bool = False) -> Float[Tensor, "4 batch head token token"]:
    """The four terms of a layer's scores, in the order of `TERMS`.

    Parameters
    ----------
    weights : TransformerWeights
        Of a model whose positions only queries and keys read.
    ids : Tensor of int [batch, token]
        Two tokens or more.
    layer : int
        Counted from 0.
    centre : bool
        Move the mean of the tokens (over all tokens given) to the positions.

    Returns
    -------
    Tensor [term, batch, head, query, key]
        Scaled, and -inf where the key comes after the query. Their sum is what the model's softmax reads.

    Raises
    ------
    ValueError
        Positions in the residual stream, ids that do not fit, a layer that is not there.
    """
    _, read = _read_parts(weights, ids, layer, split=False, centre=centre)
    queries, keys = read @ weights.W_Q[layer], read @ weights.W_K[layer]
    return _masked(_scaled(weights, layer, queries[:, None], keys).flatten(0, 1))


def part_scores(
    weights: TransformerWeights, ids: Tensor, layer: int, head: int, centre: bool = False
) -> tuple[list[str], Float[Tensor, "part part batch token token"]]:
    """One head's scores by what wrote the query's part and what wrote the key's part.

    Parameters
    ----------
    weights, ids, layer, centre
        As for `score_terms`; each part's mean is moved.
    head : int
        One head, because it has (parts)² matrices.

    Returns
    -------
    list of str, Tensor [query part, key part, batch, query, key]
        `embedding`, then `L0H0` ... (the layer and head that wrote it, counted from 0), then `position`; scores as in `score_terms`.

    Raises
    ------
    ValueError
        As `score_terms`; a head that is not there.
    """
    _check_index("head", head, weights.n_heads)
    labels, read = _read_parts(weights, ids, layer, split=True, centre=centre)
    read = read.squeeze(2)
    queries, keys = read @ weights.W_Q[layer, head], read @ weights.W_K[layer, head]
    return labels, _masked(_scaled(weights, layer, queries[:, None], keys))


def row_variances(terms: Tensor) -> RowVariances:
    """Variance within rows of each term, and its covariance with the sum of the terms.

    Parameters
    ----------
    terms : Tensor [term, ..., query, key]
        As `score_terms` gives them; what stands above the diagonal is not read.

    Returns
    -------
    RowVariances
        Means over the rows with two keys or more; within a row all keys count alike.

    Raises
    ------
    ValueError
        No square matrices of two rows or more.
    """
    _check_square("terms", terms)
    centred = _centred(terms)
    total = centred.sum(0)
    return RowVariances(_mean_over_rows(centred**2), _mean_over_rows(centred * total), _mean_over_rows(total**2))


def total_variations(terms: Tensor) -> Float[Tensor, "term ..."]:
    r"""How far the pattern moves when a term is left out: total variation, the attention that goes elsewhere.

    Parameters
    ----------
    terms : Tensor [term, ..., query, key]
        As for `row_variances`.

    Returns
    -------
    Tensor [term, ...]
        $\frac12 \sum_j |a_{ij} - a'_{ij}|$ from 0 to 1, mean over the rows with two keys or more.

    Raises
    ------
    ValueError
        As `row_variances`.
    """
    _check_square("terms", terms)
    finite = terms.masked_fill(_future(terms), 0)
    total = _masked(finite.sum(0))
    moved = torch.stack([(total.softmax(-1) - (total - term).softmax(-1)).abs().sum(-1) / 2 for term in finite])
    return moved[..., 1:].mean(-1)


def row_contrasts(scores: Tensor, targets: Tensor) -> Float[Tensor, "..."]:
    """How much higher scores are at target keys than at the other keys of the same row.

    Parameters
    ----------
    scores : Tensor [..., query, key]
        Of one term, of a sum, or of several.
    targets : Tensor of bool [query, key], or a shape that broadcasts against the scores
        Above the diagonal they are not read.

    Returns
    -------
    Tensor [...]
        Mean score at the targets less mean score at the other keys (a difference of log odds), averaged over the rows that have
        both; NaN where no row has.

    Raises
    ------
    ValueError
        Targets that are not bool or end in another shape than the scores.
    """
    _check_square("scores", scores)
    size = scores.shape[-1]
    if targets.dtype != torch.bool or targets.shape[-2:] != (size, size):
        raise ValueError(f"targets: expected bool [..., {size}, {size}], found {targets.dtype} {tuple(targets.shape)}")
    future = _future(scores)
    scores, hit, other = scores.masked_fill(future, 0), targets & ~future, ~targets & ~future
    difference = (scores * hit).sum(-1) / hit.sum(-1) - (scores * other).sum(-1) / other.sum(-1)
    return difference.nanmean(-1)  # 0 / 0 where a row lacks targets or others


def row_centred(scores: Tensor) -> Float[Tensor, "... token token"]:
    """Scores less their row's mean over the keys that the query may attend to: what softmax sees; -inf above the diagonal."""
    _check_square("scores", scores)
    return _masked(_centred(scores))


def next_token_losses(weights: TransformerWeights, ids: Tensor, leave_out: LeaveOut | None = None) -> Float[Tensor, "batch token"]:
    """Loss at each token, with a term set to zero if one is named and all later layers recomputed.

    Parameters
    ----------
    weights, ids
        As for `score_terms`.
    leave_out : LeaveOut, optional

    Returns
    -------
    Tensor [batch, token - 1]
        Nats, at place t for token t + 1.

    Raises
    ------
    ValueError
        As `score_terms`; a term, layer or head that is not there.
    """
    ids = _checked_ids(weights, ids)
    if leave_out is not None:
        if leave_out.term not in TERMS:
            raise ValueError(f"leave_out.term: expected one of {', '.join(TERMS)}, found {leave_out.term!r}")
        _check_index("leave_out.layer", leave_out.layer, weights.n_layers)
        _check_index("leave_out.head", leave_out.head or 0, weights.n_heads)
    stream = weights.W_E[ids]
    for layer in range(weights.n_layers):
        here = leave_out if leave_out is not None and leave_out.layer == layer else None
        stream = stream + _written(weights, layer, _reads(weights, layer, stream, here))
    return _losses_from(weights, ids, stream, weights.n_layers)


def loss_changes(weights: TransformerWeights, ids: Tensor, centre: bool = False) -> Float[Tensor, "term layer head batch token"]:
    """How much the loss grows at each token when a term is left out, for every term, layer and head.

    Parameters
    ----------
    weights, ids, centre
        As for `score_terms`.

    Returns
    -------
    Tensor [term, layer, head + 1, batch, token - 1]
        Nats. The last place of the third axis is all heads of the layer together.

    Raises
    ------
    ValueError
        As `score_terms`.
    """
    ids = _checked_ids(weights, ids)
    stream, changed = weights.W_E[ids], []
    for layer in range(weights.n_layers):
        own = _reads(weights, layer, stream)
        for term in TERMS:
            without = _reads(weights, layer, stream, LeaveOut(term, layer, None, centre))  # heads of a layer do not read each other
            for head in (*range(weights.n_heads), None):
                read = without if head is None else own.index_copy(1, torch.tensor([head], device=own.device), without[:, [head]])
                changed.append(_losses_from(weights, ids, stream + _written(weights, layer, read), layer + 1))
        stream = stream + _written(weights, layer, own)
    losses = torch.stack(changed).unflatten(0, (weights.n_layers, len(TERMS), weights.n_heads + 1)).transpose(0, 1)
    return losses - _losses_from(weights, ids, stream, weights.n_layers)


def _losses_from(weights: TransformerWeights, ids: Tensor, stream: Tensor, layer: int) -> Tensor:
    """Loss at each token [batch, token - 1] if a layer reads this residual stream and nothing is left out from there on."""
    for later in range(layer, weights.n_layers):
        stream = stream + _written(weights, later, _reads(weights, later, stream))
    logits = stream[:, :-1] @ weights.W_U + weights.b_U
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").unflatten(0, (len(ids), -1))


def _read_parts(weights: TransformerWeights, ids: Tensor, layer: int, split: bool, centre: bool) -> tuple[list[str], Tensor]:
    """The parts of what queries and keys read, with their labels: [part, batch, 1, token, d_model], positions last."""
    ids = _checked_ids(weights, ids)
    _check_index("layer", layer, weights.n_layers)
    parts = _stream_parts(weights, ids, layer)
    if not split:
        parts = {"token": sum(parts.values())}
    read = torch.stack([*parts.values(), weights.part("W_pos")[: ids.shape[1]].expand(len(ids), -1, -1)])
    if centre:
        means = read[:-1].mean(dim=(1, 2), keepdim=True)
        read = torch.cat([read[:-1] - means, read[-1:] + means.sum(0)])
    return [*parts, "position"], read[:, :, None]


def _stream_parts(weights: TransformerWeights, ids: Tensor, layer: int) -> dict[str, Tensor]:
    """What has been written into the residual stream before a layer, by writer: each [batch, token, d_model]."""
    parts = {"embedding": weights.W_E[ids]}
    for earlier in range(layer):
        outputs = _reads(weights, earlier, sum(parts.values())) @ weights.W_O[earlier]  # [batch, head, token, d_model]
        parts |= {f"L{earlier}H{head}": output for head, output in enumerate(outputs.unbind(1))}
    return parts


def _reads(weights: TransformerWeights, layer: int, stream: Tensor, leave_out: LeaveOut | None = None) -> Tensor:
    """Pattern-weighted values [batch, head, token, d_head] of a layer, with a term left out of its scores if one is named."""
    positions = weights.part("W_pos")[: stream.shape[1]]
    placed = (stream + positions)[:, None]
    scores = _scaled(weights, layer, placed @ weights.W_Q[layer], placed @ weights.W_K[layer])
    if leave_out is not None:
        heads = slice(None) if leave_out.head is None else slice(leave_out.head, leave_out.head + 1)
        shift = stream.mean(dim=(0, 1)) if leave_out.centre else 0
        sides = {"token": (stream - shift)[:, None], "position": (positions + shift)[None, None]}
        query, key = (sides[name] for name in leave_out.term.split("-"))
        scores[:, heads] -= _scaled(weights, layer, query @ weights.W_Q[layer, heads], key @ weights.W_K[layer, heads])
    return _masked(scores).softmax(-1) @ (stream[:, None] @ weights.W_V[layer])


def _written(weights: TransformerWeights, layer: int, reads: Tensor) -> Tensor:
    """What all heads of a layer together add to the residual stream, [batch, token, d_model]."""
    return reads.transpose(1, 2).flatten(2) @ weights.W_O[layer].flatten(0, 1)


def _scaled(weights: TransformerWeights, layer: int, queries: Tensor, keys: Tensor) -> Tensor:
    """Scores [..., query, key] of queries and keys [..., token, d_head]."""
    return queries @ keys.transpose(-1, -2) * weights.attention_scale[layer]


def _future(scores: Tensor) -> Tensor:
    """Where the key comes after the query: bool [query, key]."""
    return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)


def _masked(scores: Tensor) -> Tensor:
    """The same with -inf where the key comes after the query."""
    return scores.masked_fill(_future(scores), -torch.inf)


def _centred(scores: Tensor) -> Tensor:
    """Scores less their row's mean over the keys up to the query, and 0 after it."""
    future = _future(scores)
    counts = torch.arange(1, scores.shape[-1] + 1, device=scores.device)[:, None]
    mean = scores.masked_fill(future, 0).sum(-1, keepdim=True) / counts
    return (scores - mean).masked_fill(future, 0)


def _mean_over_rows(products: Tensor) -> Tensor:
    """[..., query, key] to [...]: mean over the keys of a row up to the query, then over the rows with two keys or more."""
    counts = torch.arange(1, products.shape[-1] + 1, device=products.device)
    return (products.sum(-1) / counts)[..., 1:].mean(-1)


def check_terms(weights: TransformerWeights) -> None:
    """ValueError unless scores are a sum of token and position terms, and nothing but heads writes."""
    if weights.positions != "queries_keys" or weights.norm is not None:
        raise ValueError(
            "weights: expected a model whose positions only queries and keys read (MiniGPT) and which has no layer norms, found"
            f" {weights!r}. Positions in the residual stream are carried on by values, and layer norms rescale the sum of all that was"
            " written, so that scores are no sum of token and position terms."
        )
    added = [name for name in ("b_Q", "b_K", "b_V", "b_O") if getattr(weights, name).any()]
    if added or weights.W_in is not None:
        raise ValueError(f"weights: expected attention without biases and nothing else, found {', '.join(added) or 'feed-forward layers'}")


def _checked_ids(weights: TransformerWeights, ids: Tensor) -> Tensor:
    """Ids as a Tensor of int64, or an error that names the argument that does not fit."""
    check_terms(weights)
    ids = torch.as_tensor(ids)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"ids: expected whole numbers, found {ids.dtype}")
    ids = ids.long()  # small types compare wrongly with numbers that they do not hold
    longest = len(weights.part("W_pos"))
    if ids.ndim != 2 or not len(ids) or not 2 <= ids.shape[1] <= longest:
        raise ValueError(f"ids: expected [batch, 2 to {longest} tokens], found {tuple(ids.shape)}")
    if ids.min() < 0 or ids.max() >= weights.d_vocab:
        raise ValueError(f"ids: expected 0 to {weights.d_vocab - 1}, found {int(ids.min())} to {int(ids.max())}")
    return ids.to(weights.W_E.device)


def _check_index(name: str, value: int, count: int) -> None:
    if not 0 <= value < count:
        raise ValueError(f"{name}: expected 0 to {count - 1}, found {value}")


def _check_square(name: str, scores: Tensor) -> None:
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] < 2:
        raise ValueError(f"{name}: expected [..., query, key] with as many queries as keys, two or more, found {tuple(scores.shape)}")
