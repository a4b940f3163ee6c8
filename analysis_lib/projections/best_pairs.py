"""The best pairs found so far, while a search goes on: float32 scores with their error bounds, scored exactly only where these overlap."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from analysis_lib.vocabulary import Vocabulary

HELD = 1 << 16
"""Candidates held at once; more only where ties are many or `k` is large."""


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
        >>> from analysis_lib.projections import top_pairs
        >>> top_pairs(np.eye(2), np.diag([1.0, 5.0]), k=1).to_frame()
           left_id  right_id  score
        0        1         1    5.0
        """
        frame = pd.DataFrame({"left_id": self.left_ids, "right_id": self.right_ids, "score": self.scores})
        if vocabulary is not None:
            frame.insert(0, "left", vocabulary.labels(self.left_ids))
            frame.insert(1, "right", vocabulary.labels(self.right_ids))
        return frame


class BestPairs:
    """Candidates for the best `k` pairs.

    A candidate has an approximate score and a margin within which the true one lies. `floor` is a value that the true `k`-th score is known
    to reach: the `k`-th largest lower end. Whatever has its upper end below the floor is dropped.

    Parameters
    ----------
    k : int
    exact : callable
        Left and right ids to the true scores, float64 [n].
    groups : int array [vocab], optional
        Pairs of two tokens with equal groups are left out.
    """

    def __init__(self, k: int, exact: Callable[[np.ndarray, np.ndarray], np.ndarray], groups: np.ndarray | None = None) -> None:
        self.k, self.exact, self.groups = k, exact, groups
        self.floor = -np.inf
        self.left_ids, self.right_ids = np.empty(0, np.int64), np.empty(0, np.int64)
        self.scores, self.margins = np.empty(0), np.empty(0)

    def offer(self, scores: Tensor, margin: float, left_ids: np.ndarray, right_ids: np.ndarray) -> None:
        """Take up what a block of float32 scores [..., n_left, n_right] has above the floor.

        `left_ids` [..., n_left] and `right_ids` [..., n_right] name its rows and columns; ids below 0 are no tokens. No pair may be
        offered twice.
        """
        reach = self.floor - margin
        lines = scores.reshape(-1, scores.shape[-1])
        line = (lines.amax(1) >= reach).nonzero()[:, 0]
        if not len(line):
            return
        lines = lines[line]
        row, column = (lines >= reach).nonzero().numpy().T
        approximate = lines.numpy()[row, column]
        row = line.numpy()[row]
        column = column + row // scores.shape[-2] * scores.shape[-1]  # of its own block
        left, right = left_ids.reshape(-1)[row], right_ids.reshape(-1)[column]
        allowed = (left >= 0) & (right >= 0)
        if self.groups is not None:
            allowed &= self.groups[left] != self.groups[right]
        left, right, approximate = left[allowed], right[allowed], approximate[allowed]
        step = max(self.k, HELD)
        for start in range(0, len(left), step):
            part = slice(start, start + step)
            self._hold(left[part], right[part], approximate[part].astype(np.float64), margin)

    def _hold(self, left: np.ndarray, right: np.ndarray, scores: np.ndarray, margin: float) -> None:
        """Add candidates and drop those that cannot be among the best."""
        self.left_ids, self.right_ids = np.concatenate([self.left_ids, left]), np.concatenate([self.right_ids, right])
        self.scores = np.concatenate([self.scores, scores])
        self.margins = np.concatenate([self.margins, np.full(len(scores), margin)])
        if len(self.scores) >= self.k:
            kth = np.partition(self.scores - self.margins, -self.k)[-self.k]
            self.floor = max(self.floor, kth)
            self._choose((self.scores + self.margins >= self.floor).nonzero()[0])
        if len(self.scores) > max(HELD, 2 * self.k):
            self.settle()

    def settle(self) -> TopPairs:
        """Score all candidates exactly and keep the best `k`: the largest first, equal ones by left id, then right id."""
        unsure = self.margins > 0
        self.scores[unsure] = self.exact(self.left_ids[unsure], self.right_ids[unsure])
        self.margins = np.zeros(len(self.scores))
        self._choose(np.lexsort((self.right_ids, self.left_ids, -self.scores))[: self.k])
        if len(self.scores) == self.k:
            self.floor = max(self.floor, self.scores[-1])
        return TopPairs(self.left_ids, self.right_ids, self.scores)

    def _choose(self, places: np.ndarray) -> None:
        self.left_ids, self.right_ids = self.left_ids[places], self.right_ids[places]
        self.scores, self.margins = self.scores[places], self.margins[places]
