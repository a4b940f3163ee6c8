"""The best tokens of vectors of the residual stream, exactly: every neuron of a model in blocks of products."""

from typing import NamedTuple

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
    rounding_bound,
    scaled,
)
from analysis_lib.vocabulary import Vocabulary

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


def top_tokens(vectors: ArrayLike | Tensor, W_U: ArrayLike | Tensor, k: int = 30, keep: ArrayLike | None = None) -> TopTokens:
    """The tokens that vectors of the residual stream point at, exactly.

    Blocks of vectors are multiplied by the whole vocabulary in float32; what rounding could have kept off a list
    is scored again in float64 (see `pair_search`). Negate the vectors for the tokens they point away from.

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
