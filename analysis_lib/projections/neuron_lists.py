"""Token lists of very many vectors, and what the lists have in common, kept on disk so that a build that was killed goes on from there.

The functions are `token_search.top_tokens` and `shared_features.alike_lists` over the kept tokens of a reader. What they are kept under
is a digest of the numbers themselves, so that trained, untrained and random vectors need no names.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, overload

import joblib
import numpy as np
import pandas as pd
from torch import Tensor

from analysis_lib.projections.readers import Reader
from analysis_lib.projections.shared_features import TokenKind, alike_lists
from analysis_lib.projections.token_search import top_tokens
from analysis_lib.sweeps import sweep
from analysis_lib.weights import TransformerWeights

BLOCK = 4096  # vectors that are looked up, and kept, together

Shared = tuple[Tensor, Tensor, np.ndarray]  # vectors [n, d_model], W_U [d_model, vocab], kept tokens [vocab]


@overload
def best_tokens(reader: Reader, vectors: Tensor, k: int = 100, weights: TransformerWeights | None = None) -> np.ndarray: ...


@overload
def best_tokens(
    reader: Reader, vectors: Tensor, k: int = 100, weights: TransformerWeights | None = None, *, both_ends: Literal[True]
) -> tuple[np.ndarray, np.ndarray]: ...


def best_tokens(
    reader: Reader, vectors: Tensor, k: int = 100, weights: TransformerWeights | None = None, both_ends: bool = False
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """The kept tokens that vectors of the residual stream point at.

    Parameters
    ----------
    reader : Reader
        Says which tokens are kept.
    vectors : Tensor [n, d_model]
        For example the keys of all neurons, or random vectors.
    k : int
        Tokens a vector.
    weights : TransformerWeights, optional
        Whose unembedding is used; by default the reader's.
    both_ends : bool
        Also give the tokens that the vectors point away from.

    Returns
    -------
    int array [n, k], or two with `both_ends`
        Token ids, best first.

    Raises
    ------
    ValueError
        As `top_tokens`.
    """
    W_U = (weights or reader.weights).W_U
    blocks = [(start, _digest(vectors[start : start + BLOCK])) for start in range(0, len(vectors), BLOCK)]
    search = partial(_of_block, k=k, both_ends=both_ends)
    revision, title = _digest(W_U, reader.keep), f"{reader.loaded.name}, lists of vectors"
    found = sweep(search, blocks, (vectors, W_U, reader.keep), revision=revision, title=title)
    ends = [np.concatenate(parts) for parts in zip(*found, strict=True)] or [np.zeros((0, k), np.int64)] * (1 + both_ends)
    return (ends[0], ends[1]) if both_ends else ends[0]


def alike(reader: Reader, ids: np.ndarray, kinds: Sequence[TokenKind]) -> pd.DataFrame:
    """What lists of the reader's tokens have in common: `shared_features.alike_lists`, kept on disk.

    Parameters
    ----------
    reader : Reader
    ids : int array [n, k]
        Of `best_tokens`.
    kinds : sequence of TokenKind
        Of `shared_features.token_kinds`.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        As `alike_lists`.
    """
    groups = reader.vocabulary.form_groups
    described = [(kind.name, kind.labels, kind.table.indptr, kind.table.indices) for kind in kinds]
    revision = _digest(reader.keep, groups, described)
    (found,) = sweep(_alike, [_digest(ids)], (ids, kinds, reader.keep, groups), revision=revision, title="kinds of lists")
    return found


def _of_block(shared: Shared, block: tuple[int, str], k: int, both_ends: bool) -> tuple[np.ndarray, ...]:
    """Ids of one block's lists, at one end or at both."""
    (vectors, W_U, keep), (start, _) = shared, block
    part = vectors[start : start + BLOCK]
    if both_ends:
        return tuple(end.ids for end in top_tokens(part, W_U, k, keep, both_ends=True))
    return (top_tokens(part, W_U, k, keep).ids,)


def _alike(shared: tuple[np.ndarray, Sequence[TokenKind], np.ndarray, np.ndarray], _: str) -> pd.DataFrame:
    """Of all lists, since they are corrected together."""
    return alike_lists(*shared)


def _digest(*parts: Any) -> str:
    """A hash of arrays, tensors and words."""
    return joblib.hash([np.asarray(part) if isinstance(part, Tensor) else part for part in parts])
