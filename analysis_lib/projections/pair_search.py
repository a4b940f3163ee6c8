"""The best pairs of a product of two thin factors, exactly and without forming it.

A head's matrix in embedding space is `left @ right.T` with two factors of shape
`[vocab, d_head]`. At a vocabulary of 51,200 the product has 2.6 billion entries;
its best fifty are obtained here without computing most of them.

The problem is retrieval of large entries in a matrix product, and the bound is
Cauchy and Schwarz's: `a . b <= |a| |b|`. LEMP (Teflioudi, Gemulla and Mykytiuk,
"LEMP: Fast Retrieval of Large Entries in a Matrix Product", SIGMOD 2015) sorts
vectors by length into buckets and bounds whole buckets; FEXIPRO (Li, Chan, Yiu and
Mamoulis, "FEXIPRO: Fast and Exact Inner Product Retrieval in Recommender Systems",
SIGMOD 2017) rotates by SVD and bounds the residual; "To Index or Not to Index:
Optimizing Exact Maximum Inner Product Search" (Abuzaid, Sethi, Bailis and Zaharia,
ICDE 2019) shows that plain blocked products often beat cleverer indexes on real
hardware. This module keeps the first and the third: length-sorted tokens, dense
blocks, and one bound a block.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.vocabulary import Vocabulary

BLOCK = 1024
"""Rows and columns of a block: 1024 x 1024 float32 scores are 4 MiB, about a cache."""

CORNER = 128
"""Rows and columns searched first, for a score to begin with."""

RESCORED_ENTRIES = 1 << 21
"""Float64 products held at once while candidates are scored again (16 MiB)."""

MERGED_AT_ONCE = 1 << 16
"""Candidates sorted at once; more only where ties are many or `k` is large."""

UNIT_ROUNDOFF = 2.0**-24
UNDERFLOW = 2.0**-120


Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Left and right ids to exact scores."""

Candidates = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Left ids, right ids and float32 scores."""


class TopPairs(NamedTuple):
    """Pairs of tokens and their scores, best first.

    Attributes
    ----------
    left_ids, right_ids : numpy.ndarray of int64, shape [n_pairs]
        Token ids: rows of the left and of the right factor.
    scores : numpy.ndarray of float64, shape [n_pairs]
        Inner products of the two rows.
    """

    left_ids: np.ndarray
    right_ids: np.ndarray
    scores: np.ndarray

    def to_frame(self, vocabulary: Vocabulary | None = None) -> pd.DataFrame:
        """The pairs as a table, one row for each, best first.

        Parameters
        ----------
        vocabulary : Vocabulary, optional
            Names the tokens, as its `labels` does.

        Returns
        -------
        DataFrame
            `left_id`, `right_id`, `score`; with a vocabulary, `left` and `right` (labels of the tokens) before them.

        Examples
        --------
        >>> top_pairs(np.eye(2), np.diag([1.0, 5.0]), k=1).to_frame()
           left_id  right_id  score
        0        1         1    5.0
        """
        frame = pd.DataFrame({"left_id": self.left_ids, "right_id": self.right_ids, "score": self.scores})
        if vocabulary is not None:
            frame.insert(0, "left", vocabulary.labels(self.left_ids))
            frame.insert(1, "right", vocabulary.labels(self.right_ids))
        return frame


NONE = TopPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def top_pairs(
    left: ArrayLike | Tensor,
    right: ArrayLike | Tensor,
    k: int = 50,
    keep_left: ArrayLike | None = None,
    keep_right: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    largest: bool = True,
) -> TopPairs:
    """The `k` best entries of `left @ right.T`, exactly.

    Tokens are ordered by the norm of their factor, and blocks of the product are
    computed from the largest bound `|a| |b|` down, until no bound can reach the
    `k`-th score found so far. Blocks are computed in float32; every entry that
    rounding could have kept off the list is scored again in float64, so that the
    list is that of the float64 product.

    Parameters
    ----------
    left : array or tensor, shape [n_left, d]
    right : array or tensor, shape [n_right, d]
        The two factors; finite.
    k : int
        Number of pairs wanted, at least 1.
    keep_left, keep_right : bool array, shape [n_left] and [n_right], optional
        Tokens that may stand on each side. Default: all.
    groups : int array, shape [vocab], optional
        Pairs of two tokens with equal groups are left out (for example forms that
        differ only in case). Both factors must then have `vocab` rows.
    largest : bool
        The largest scores first, or (False) the smallest, most negative, first.

    Returns
    -------
    TopPairs
        Sorted by score; equal scores by left id, then right id. Fewer than `k`
        pairs only when fewer are allowed; none is an empty list.

    Raises
    ------
    ValueError
        Factors that are not two finite matrices of one width, masks or groups that
        do not fit them, or `k` below 1. The message names the argument.

    Notes
    -----
    The error bound assumes true float32 products, which is torch's default on a
    CPU (`torch.get_float32_matmul_precision() == "highest"`).

    Examples
    --------
    >>> top_pairs(np.eye(3), np.diag([1.0, 5.0, 2.0]), k=2).scores
    array([5., 2.])
    """
    k = count_argument("k", k)
    left, right = matrix_argument("left", left), matrix_argument("right", right)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"left and right must have the same width; got {tuple(left.shape)} and {tuple(right.shape)}")
    keep_left = mask_argument("keep_left", keep_left, len(left))
    keep_right = mask_argument("keep_right", keep_right, len(right))
    groups = _groups(groups, len(left), len(right))
    with torch.inference_mode():
        rows = _by_norm(left, keep_left, negate=not largest)
        columns = _by_norm(right, keep_right)
        best = _search(rows, columns, k, groups, sign=1 if largest else -1)
    # Scaling and sign are for the search alone.
    scores = exact_scores(left, right, best.left_ids, best.right_ids)
    return TopPairs(best.left_ids, best.right_ids, scores)


@dataclass(frozen=True)
class _Side:
    """One factor's kept tokens, from the largest norm to the smallest, scaled below 1."""

    ids: np.ndarray  # [n] token ids
    norms: np.ndarray  # [n] float64, descending
    rows: Tensor  # [n, d] float32
    factor: Tensor  # [vocab, d] as given: row id is 2 ** exponent times its row here, negated for the smallest
    exponent: int


def _by_norm(factor: Tensor, keep: np.ndarray, negate: bool = False) -> _Side:
    """Order the kept rows by norm, scaled by a power of two so that none overflows."""
    ids = np.flatnonzero(keep)
    rows, exponent = scaled(factor[torch.from_numpy(ids)])
    norms = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).numpy()
    order = np.argsort(-norms, kind="stable")
    rows = rows[torch.from_numpy(order)].float()
    return _Side(ids[order], norms[order], rows.neg_() if negate else rows, factor, exponent)


def _search(rows: _Side, columns: _Side, k: int, groups: np.ndarray | None, sign: int) -> TopPairs:
    """Visit blocks from the largest bound down, keeping the best `k` pairs."""
    best = NONE
    if not (len(rows.ids) and len(columns.ids)):
        return best

    def score(left_ids: np.ndarray, right_ids: np.ndarray) -> np.ndarray:
        exact = exact_scores(rows.factor, columns.factor, left_ids, right_ids)
        return sign * np.ldexp(exact, -rows.exponent - columns.exponent)

    slack = rounding_bound(rows.rows.shape[1])
    bounds = np.outer(rows.norms[::BLOCK], columns.norms[::BLOCK])
    buffer = torch.empty(BLOCK * BLOCK)
    floor = _corner_floor(rows, columns, k, groups, score, bounds[0, 0] * slack + UNDERFLOW)  # a score that the k-th reaches
    for block in np.argsort(-bounds, axis=None, kind="stable"):
        bound = bounds.flat[block]
        margin = bound * slack + UNDERFLOW
        reach = floor - margin
        if bound < reach:
            break
        i, j = (BLOCK * int(part) for part in divmod(block, bounds.shape[1]))
        # Norms fall inside a block too: drop rows and columns that cannot reach the floor.
        n_rows = np.count_nonzero(rows.norms[i : i + BLOCK] * columns.norms[j] >= reach)
        n_columns = np.count_nonzero(columns.norms[j : j + BLOCK] * rows.norms[i] >= reach)
        scores = buffer[: n_rows * n_columns].view(n_rows, n_columns)
        torch.mm(rows.rows[i : i + n_rows], columns.rows[j : j + n_columns].T, out=scores)
        if scores.amax().item() < reach:
            continue
        found = _candidates(scores, reach, rows.ids[i:], columns.ids[j:], groups)
        best = _merge(best, found, score, k, margin)
        if len(best.scores) == k:
            floor = best.scores[-1]
    return best


def _corner_floor(rows: _Side, columns: _Side, k: int, groups: np.ndarray | None, score: Score, margin: float) -> float:
    """The k-th score of the pairs of large norms, so that the first block does not send a million candidates; -inf if they are fewer."""
    scores = rows.rows[:CORNER] @ columns.rows[:CORNER].T
    best = _merge(NONE, _candidates(scores, -np.inf, rows.ids, columns.ids, groups), score, k, margin)
    return best.scores[-1] if len(best.scores) == k else -np.inf


def _candidates(scores: Tensor, reach: float, left_ids: np.ndarray, right_ids: np.ndarray, groups: np.ndarray | None) -> Candidates:
    """Ids of a block's pairs that reach the floor, and their float32 scores."""
    flat = (scores >= reach).flatten().nonzero()[:, 0].numpy()
    row, column = np.divmod(flat, scores.shape[1])
    left_ids, right_ids = left_ids[row], right_ids[column]
    approximate = scores.flatten().numpy()[flat]
    if groups is None:
        return left_ids, right_ids, approximate
    allowed = groups[left_ids] != groups[right_ids]
    return left_ids[allowed], right_ids[allowed], approximate[allowed]


def _merge(best: TopPairs, found: Candidates, score: Score, k: int, margin: float) -> TopPairs:
    """The best `k` of the pairs so far and a block's candidates, by exact score."""
    left_new, right_new, approximate = found
    if len(approximate) > k:
        # k entries are truly above (k-th - margin): what lies 2 margins below is out.
        kth = np.partition(approximate, -k)[-k]
        near = approximate >= kth - 2 * margin
        left_new, right_new = left_new[near], right_new[near]
    chunk = max(k, MERGED_AT_ONCE)
    for start in range(0, len(left_new), chunk):
        part = slice(start, start + chunk)
        left_ids = np.concatenate([best.left_ids, left_new[part]])
        right_ids = np.concatenate([best.right_ids, right_new[part]])
        scores = np.concatenate([best.scores, score(left_new[part], right_new[part])])
        order = np.lexsort((right_ids, left_ids, -scores))[:k]
        best = TopPairs(left_ids[order], right_ids[order], scores[order])
    return best


def exact_scores(left: Tensor, right: Tensor, left_ids: np.ndarray, right_ids: np.ndarray) -> np.ndarray:
    """Float64 inner products of chosen rows; equal rows give equal bits.

    Parameters
    ----------
    left, right : Tensor, shapes [n_left, d] and [n_right, d]
    left_ids, right_ids : int array, shape [n]

    Returns
    -------
    numpy.ndarray of float64, shape [n]
    """
    scores = np.empty(len(left_ids))
    chunk = max(1, RESCORED_ENTRIES // left.shape[1])
    for start in range(0, len(left_ids), chunk):
        part = slice(start, start + chunk)
        products = left[torch.from_numpy(left_ids[part])].double().numpy()
        products *= right[torch.from_numpy(right_ids[part])].double().numpy()
        # Row by row, whatever the other rows are: no blocked product promises that.
        scores[part] = products.sum(axis=1)
    return scores


def rounding_bound(width: int) -> float:
    """How far a float32 inner product may be off, as a share of `|a| |b|`.

    Higham (2002), "Accuracy and Stability of Numerical Algorithms", section 3.1:
    `width` roundings in any order, two more for entries rounded to float32, the
    rest for comparisons made in float32.
    """
    return (width + 8) * UNIT_ROUNDOFF * 1.01


def scaled(matrix: Tensor) -> tuple[Tensor, int]:
    """A copy divided by a power of two so that entries are below 1, and that power."""
    low, high = (end.item() for end in matrix.aminmax()) if matrix.numel() else (0.0, 0.0)
    exponent = int(np.frexp(max(-low, high))[1])
    # Two steps: 2 ** exponent alone may lie outside the range of a float.
    half = exponent // 2
    return (matrix * 2.0**-half).mul_(2.0 ** (half - exponent)), exponent


def count_argument(name: str, value: int) -> int:
    """`value` as an int of at least 1, or a ValueError that names it."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")
    return number


def matrix_argument(name: str, value: ArrayLike | Tensor) -> Tensor:
    """`value` as a finite float tensor [rows, width] on the CPU, or a ValueError."""
    matrix = torch.as_tensor(value).detach().cpu()
    if matrix.is_complex() or matrix.dtype == torch.bool:
        raise ValueError(f"{name} must hold real numbers; got {matrix.dtype}")
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.to(torch.float32 if matrix.is_floating_point() else torch.float64)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix [rows, width]; got shape {tuple(matrix.shape)}")
    finite = torch.isfinite(matrix)
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"{name} must be finite; row {row}, column {column} holds "
            f"{matrix[row, column].item()} (first of {int((~finite).sum())} such values)"
        )
    return matrix


def mask_argument(name: str, value: ArrayLike | None, length: int) -> np.ndarray:
    """`value` as a bool array [length]; None keeps all."""
    if value is None:
        return np.ones(length, dtype=bool)
    mask = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if mask.dtype != bool or mask.shape != (length,):
        raise ValueError(f"{name} must be a bool array of shape ({length},); got {mask.dtype} of shape {mask.shape}")
    return mask


def _groups(groups: np.ndarray | Tensor | None, n_left: int, n_right: int) -> np.ndarray | None:
    if groups is None:
        return None
    groups = np.asarray(groups.cpu() if isinstance(groups, Tensor) else groups)
    if groups.dtype.kind not in "iu" or groups.shape != (n_left,) or n_left != n_right:
        raise ValueError(
            f"groups must be an integer array with one entry for each row of left "
            f"({n_left}) and of right ({n_right}); got {groups.dtype} of shape "
            f"{groups.shape}"
        )
    return groups
