"""The best tokens of vectors of the residual stream, exactly: every neuron of a model in blocks of products."""

from typing import Literal, NamedTuple, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.projections.exact import (
    UNDERFLOW,
    count_argument,
    exact_scores,
    mask_argument,
    matrix_argument,
    refuse_overflow,
    refuse_rounded_products,
    rounding_bound,
    scaled,
)
from analysis_lib.vocabulary import Vocabulary

SCORES_HELD = 1 << 24
"""Float32 scores of one block of vectors against the vocabulary (64 MiB)."""

SPARE = 16
"""Tokens taken beside the best `k`, since rounding may have kept one of them off the list."""


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

    def to_frame(self, vocabulary: Vocabulary | None = None) -> pd.DataFrame:
        """The lists as one long table.

        Parameters
        ----------
        vocabulary : Vocabulary, optional
            Names the tokens, as its `labels` does.

        Returns
        -------
        DataFrame
            One row for each vector and place of its list: `vector` (from 0), `rank` (from 0), `token_id`, `score`; with a vocabulary also
            `token` (its label), before the id.
        """
        n, k = self.ids.shape
        frame = pd.DataFrame(
            {
                "vector": np.repeat(np.arange(n), k),
                "rank": np.tile(np.arange(k), n),
                "token_id": self.ids.ravel(),
                "score": self.scores.ravel(),
            }
        )
        if vocabulary is not None:
            frame.insert(2, "token", vocabulary.labels(self.ids.ravel()))
        return frame


@overload
def top_tokens(vectors: ArrayLike | Tensor, W_U: ArrayLike | Tensor, k: int = 30, keep: ArrayLike | None = None) -> TopTokens: ...


@overload
def top_tokens(
    vectors: ArrayLike | Tensor, W_U: ArrayLike | Tensor, k: int = 30, keep: ArrayLike | None = None, *, both_ends: Literal[True]
) -> tuple[TopTokens, TopTokens]: ...


def top_tokens(
    vectors: ArrayLike | Tensor, W_U: ArrayLike | Tensor, k: int = 30, keep: ArrayLike | None = None, both_ends: bool = False
) -> TopTokens | tuple[TopTokens, TopTokens]:
    """The tokens that vectors of the residual stream point at, exactly.

    Blocks of vectors are multiplied by the whole vocabulary in float32. Tokens whose scores are closer to each other than rounding can
    move them are ordered by their scores in float64 (see `exact`).

    Parameters
    ----------
    vectors : array or tensor [n, d_model]
        For example every key and value of a model.
    W_U : array or tensor [d_model, vocab]
        Unembedding, or a transposed embedding.
    k : int
        Tokens a vector; at most as many as are kept come back.
    keep : bool array [vocab], optional
        Tokens that may appear. Default: all.
    both_ends : bool
        Also give the tokens that the vectors point away from, out of the same product.

    Returns
    -------
    TopTokens, or two of them with `both_ends`
        `ids` and `scores` [n, min(k, kept)], sorted by score, equal scores by id. Of two, the second has the smallest scores, the most
        negative first: the tokens of `top_tokens(-vectors, ...)` in their order.

    Raises
    ------
    ValueError
        Matrices that are not finite or do not fit, or whose products float64 cannot hold; a mask that does not fit, `k` below 1; a
        setting of `torch.set_float32_matmul_precision` that lets float32 products be rounded further.

    Notes
    -----
    Products too small for float64 (about 1e-308) count as 0. Among tokens that are equal for that reason alone, which are listed and in
    which order is not promised.

    Examples
    --------
    >>> most, least = top_tokens(np.eye(2), np.array([[3.0, -1.0, 2.0], [0.0, 5.0, -4.0]]), k=1, both_ends=True)
    >>> most.ids.ravel(), least.ids.ravel()
    (array([0, 1]), array([1, 2]))
    """
    refuse_rounded_products()
    k = count_argument("k", k)
    vectors, columns = matrix_argument("vectors", vectors), matrix_argument("W_U", W_U).T
    if vectors.shape[1] != columns.shape[1]:
        raise ValueError(f"vectors and W_U do not fit: vectors [n, {vectors.shape[1]}], W_U [{columns.shape[1]}, {columns.shape[0]}]")
    refuse_overflow("vectors and W_U", vectors, columns)
    kept = np.flatnonzero(mask_argument("keep", keep, len(columns)))
    k = min(k, len(kept))
    ends = (1, -1) if both_ends else (1,)
    found = [TopTokens(np.zeros((len(vectors), k), np.int64), np.zeros((len(vectors), k))) for _ in ends]
    if k and len(vectors):
        with torch.inference_mode():
            columns = (columns if len(kept) == len(columns) else columns[torch.from_numpy(kept)]).contiguous()
            small, _ = scaled(columns)
            small = small.float()
            longest = torch.linalg.vector_norm(small, dim=1).max().item()
            block = max(1, SCORES_HELD // len(kept))
            for start in range(0, len(vectors), block):
                part = slice(start, start + block)
                for place, (chosen, exact) in enumerate(_ends_of_block(vectors[part], columns, small, longest, k, ends)):
                    found[place].ids[part], found[place].scores[part] = kept[chosen], exact
    return (found[0], found[1]) if both_ends else found[0]


def _ends_of_block(
    vectors: Tensor, columns: Tensor, small: Tensor, longest: float, k: int, ends: tuple[int, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions and float64 scores [n, k] for each end; `small` is `columns` in float32 and scaled below 1, its rows at most `longest`."""
    least = torch.finfo(torch.float64).tiny
    near = vectors.double() / vectors.double().abs().amax(dim=1, keepdim=True).clamp_min(least)  # squares neither vanish nor overflow
    unit = (near / torch.linalg.vector_norm(near, dim=1, keepdim=True).clamp_min(least)).float()
    approximate = unit @ small.T
    # Both the k-th score and the candidate may be off by one margin.
    margin = 2.5 * (longest * rounding_bound(small.shape[1]) + UNDERFLOW)
    return [_end_of_block(approximate, vectors, columns, margin, k, end) for end in ends]


def _end_of_block(approximate: Tensor, vectors: Tensor, columns: Tensor, margin: float, k: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest (`sign` 1) or smallest (-1) of each row of float32 scores, those within `margin` of the last one scored exactly too."""
    spare = min(k + SPARE, approximate.shape[1])
    values, places = approximate.topk(spare, dim=1, largest=sign > 0)
    near = sign * (values - values[:, k - 1 : k]) >= -margin
    full = near[:, -1].clone() if spare < approximate.shape[1] else near.new_zeros(len(near))
    near[full] = False  # what lies within the margin goes on below the tokens taken: these rows are looked through
    row, place = near.nonzero().T
    column = places[row, place]
    if full.any():
        lines = full.nonzero()[:, 0]
        more_row, more_column = (sign * (approximate[lines] - values[lines, k - 1 : k]) >= -margin).nonzero().T
        row, column = torch.cat([row, lines[more_row]]), torch.cat([column, more_column])
    row, column = row.numpy(), column.numpy()
    exact = exact_scores(vectors, columns, row, column)
    order = np.lexsort((column, -sign * exact, row))
    first = np.searchsorted(row[order], np.arange(len(vectors)))  # every row has k candidates or more
    best = order[first[:, None] + np.arange(k)]
    return column[best], exact[best]
