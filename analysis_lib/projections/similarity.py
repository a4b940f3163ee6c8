"""How alike the tokens of one column of a pair list are, against random tokens of similar frequency.

A permutation of pairs cannot see that a list holds only verbs of speech; the mean cosine between the distinct tokens of a column can,
and it needs no classes. The mean embedding is removed first: embeddings of trained models share one, and every cosine would be high
with it.
"""

from dataclasses import dataclass

import numpy as np
import torch

from analysis_lib.statistics.monte_carlo import NullDraws, adaptive_null


@dataclass(frozen=True, eq=False)
class TokenSpace:
    """Kept token embeddings, centred and of unit length, in order of id.

    Attributes
    ----------
    ids : int array [kept], ascending
    units : float32 array [kept, d_model]
    """

    ids: np.ndarray
    units: np.ndarray

    @classmethod
    def build(cls, embedding: np.ndarray, keep: np.ndarray | None = None) -> "TokenSpace":
        """Centre and normalise the embeddings of the kept tokens.

        Parameters
        ----------
        embedding : float array [vocab, d_model]
            Token embeddings, for example `W_E`.
        keep : bool array [vocab], optional
            The tokens that lists were chosen from; their mean is removed. All tokens by default.

        Raises
        ------
        ValueError
            No matrix, a mask that does not fit, values that are not finite.
        """
        embedding = np.asarray(embedding, dtype=np.float32)
        if embedding.ndim != 2:
            raise ValueError(f"embedding has shape {embedding.shape}; expected [vocab, d_model]")
        keep = np.ones(len(embedding), dtype=bool) if keep is None else np.asarray(keep)
        if keep.shape != (len(embedding),) or keep.dtype != bool:
            raise ValueError(f"keep is {keep.dtype} of shape {keep.shape}; expected bool ({len(embedding)},)")
        kept = embedding[keep]
        if not np.isfinite(kept).all():
            raise ValueError("embedding holds NaN or infinity among the kept tokens; expected finite values")
        centred = kept - kept.mean(axis=0, dtype=np.float64).astype(np.float32)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        return cls(np.flatnonzero(keep), centred / np.maximum(norms, np.finfo(np.float32).tiny))

    def ranks(self, ids: np.ndarray, name: str = "ids") -> np.ndarray:
        """Places of the distinct tokens of `ids` among the kept ones; `name` is what an error calls them."""
        distinct = np.unique(np.asarray(ids, dtype=np.int64))
        ranks = np.searchsorted(self.ids, distinct)
        found = (ranks < len(self.ids)) & (self.ids[np.minimum(ranks, len(self.ids) - 1)] == distinct)
        if not found.all():
            raise ValueError(f"{name} hold token {distinct[~found][0]}; expected tokens that keep holds")
        return ranks

    def mean_cosine(self, ranks: np.ndarray) -> float:
        """Mean cosine over the pairs of different tokens, from -1 to 1; NaN with fewer than two."""
        return float(self.mean_cosines(np.asarray(ranks)[None])[0])

    def mean_cosines(self, ranks: np.ndarray) -> np.ndarray:
        """Mean cosine over pairs of different tokens, for each row of ranks [draw, n], in which a token may stand twice.

        With m_i the times that token i stands in a row: `(|sum of units|^2 - sum m_i^2) / (n^2 - sum m_i^2)`.
        """
        draws, n = ranks.shape
        if n == 0:
            return np.full(draws, np.nan)
        places = torch.from_numpy(np.ascontiguousarray(ranks, dtype=np.int32))
        total = torch.nn.functional.embedding_bag(places, torch.from_numpy(self.units), mode="sum").numpy()
        ordered = np.sort(places.numpy(), axis=1)
        same = np.full(draws, float(n))  # n plus twice the equal pairs is the sum of m_i^2
        for gap in range(1, n):
            equal = np.count_nonzero(ordered[:, gap:] == ordered[:, :-gap], axis=1)
            if not equal.any():
                break
            same += 2 * equal
        pairs = n * n - same
        squared = np.einsum("ij,ij->i", total, total, dtype=np.float64)
        return np.divide(squared - same, pairs, out=np.full(draws, np.nan), where=pairs > 0)

    def against_random(
        self, ranks: np.ndarray, rng: np.random.Generator, max_draws: int = 20_000, rank_window: int = 200
    ) -> tuple[float, NullDraws]:
        """The mean cosine of some tokens beside that of random kept tokens of similar frequency.

        Byte-pair ids are in the order of merging, so the rank of an id stands for frequency: each token is replaced by one drawn
        uniformly among the kept tokens at most `rank_window` ranks away (the window is moved inwards at the ends).

        Parameters
        ----------
        ranks : int array [n]
            Distinct, as `ranks` gives them.
        rng : numpy.random.Generator
        max_draws : int
            Largest number of draws of the null (see `statistics.monte_carlo`).
        rank_window : int
            At least 1.

        Returns
        -------
        mean_cosine : float
        null : NullDraws
        """
        if rank_window < 1:
            raise ValueError(f"rank_window is {rank_window}; expected at least 1")
        width = min(2 * rank_window + 1, len(self.ids))
        low = np.clip(ranks - rank_window, 0, len(self.ids) - width)

        def draw(n_draws: int, _tests: np.ndarray) -> np.ndarray:
            return self.mean_cosines(low + rng.integers(0, width, size=(n_draws, len(ranks))))[:, None]

        observed = self.mean_cosine(ranks)
        return observed, adaptive_null([observed], draw, max_draws=max_draws)[0]
