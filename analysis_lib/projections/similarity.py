"""How alike the tokens of one column of a pair list are, against random tokens of similar frequency.

A permutation of pairs cannot see that a list holds only verbs of speech; the mean cosine between the
distinct tokens of a column can, and needs no classes. The common mean embedding is removed first:
embeddings of trained models share one, and every cosine would be high with it.
"""

from dataclasses import dataclass

import numpy as np

from analysis_lib.statistics import permutation_pvalue


def mean_similarity(ids, embedding, keep=None) -> float:
    """Mean cosine over the pairs of distinct tokens in `ids`, the common mean embedding removed.

    Parameters
    ----------
    ids : int [n]
        Token ids; repeated ones count once.
    embedding : float [vocab, d_model]
        Token embeddings, e.g. `W_E`.
    keep : bool [vocab], optional
        The tokens the list was chosen from; their mean is removed. All tokens by default.

    Returns
    -------
    float in [-1, 1]; NaN with fewer than two distinct tokens.
    """
    space = TokenSpace.build(embedding, keep)
    return space.mean_cosine(space.ranks(ids, "ids"))


def similarity_null(
    ids, embedding, keep=None, *, n_draws: int = 1000, seed=0, rank_window: int = 200, interval: float = 0.95
) -> dict[str, float]:
    """`mean_similarity` beside that of random kept tokens of similar frequency.

    Byte-pair ids are in the order of merging, so id rank stands for frequency: each token is replaced by one
    drawn uniformly among the kept tokens at most `rank_window` ranks away (the window is moved inwards at the ends).

    Returns
    -------
    dict with `share` (the mean cosine), `n` (distinct tokens), `null_mean`, `null_low`, `null_high`, `p`.
    """
    check_settings(n_draws, interval, "n_draws")
    if rank_window < 1:
        raise ValueError(f"rank_window is {rank_window}; expected at least 1")
    space = TokenSpace.build(embedding, keep)
    return space.against_random(space.ranks(ids, "ids"), n_draws, np.random.default_rng(seed), rank_window, interval)


@dataclass(frozen=True)
class TokenSpace:
    """Kept token embeddings, centred and of unit length, in order of id."""

    ids: np.ndarray  # [kept], ascending
    units: np.ndarray  # [kept, d_model]

    @classmethod
    def build(cls, embedding, keep) -> "TokenSpace":
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

    def ranks(self, ids, name: str) -> np.ndarray:
        """Places of the distinct tokens of `ids` among the kept ones."""
        distinct = np.unique(np.asarray(ids, dtype=np.int64))
        ranks = np.searchsorted(self.ids, distinct)
        found = (ranks < len(self.ids)) & (self.ids[np.minimum(ranks, len(self.ids) - 1)] == distinct)
        if not found.all():
            raise ValueError(f"{name} hold token {distinct[~found][0]}; expected tokens that keep holds")
        return ranks

    def mean_cosine(self, ranks: np.ndarray) -> float:
        return float(self._mean_cosines(ranks[None])[0])

    def _mean_cosines(self, ranks: np.ndarray) -> np.ndarray:
        """Mean cosine over pairs of different tokens, for each row of ranks [draws, n] (a token may be drawn twice).

        With m_i the times token i was drawn: (|sum of units|^2 - sum m_i^2) / (n^2 - sum m_i^2).
        """
        draws, n = ranks.shape
        total = np.zeros((draws, self.units.shape[1]), dtype=np.float32)
        for column in ranks.T:
            total += self.units[column]
        ordered = np.sort(ranks, axis=1)
        same = np.full(draws, float(n))  # n plus twice the equal pairs is the sum of m_i^2
        for gap in range(1, n):
            equal = np.count_nonzero(ordered[:, gap:] == ordered[:, :-gap], axis=1)
            if not equal.any():
                break
            same += 2 * equal
        pairs = n * n - same
        squared = np.einsum("ij,ij->i", total, total, dtype=np.float64)
        return np.divide(squared - same, pairs, out=np.full(draws, np.nan), where=pairs > 0)

    def against_random(self, ranks: np.ndarray, n_draws: int, rng, rank_window: int, interval: float) -> dict:
        width = min(2 * rank_window + 1, len(self.ids))
        low = np.clip(ranks - rank_window, 0, len(self.ids) - width)
        drawn = low + rng.integers(0, width, size=(n_draws, len(ranks)))
        share = self.mean_cosine(ranks)
        return {"share": share, "n": len(ranks)} | against_null(share, self._mean_cosines(drawn), interval)


def against_null(share: float, null: np.ndarray, interval: float) -> dict[str, float]:
    """Mean and quantiles of the null without its NaN, and the one-sided p-value of `share`."""
    null = null[~np.isnan(null)]
    if np.isnan(share) or len(null) == 0:
        return dict.fromkeys(("null_mean", "null_low", "null_high", "p"), np.nan)
    low, high = np.quantile(null, [(1 - interval) / 2, (1 + interval) / 2])
    p = permutation_pvalue(share, null)
    return {"null_mean": float(null.mean()), "null_low": float(low), "null_high": float(high), "p": p}


def check_settings(draws: int, interval: float, name: str) -> None:
    if draws < 1:
        raise ValueError(f"{name} is {draws}; expected at least 1")
    if not 0 < interval < 1:
        raise ValueError(f"interval is {interval}; expected between 0 and 1")
