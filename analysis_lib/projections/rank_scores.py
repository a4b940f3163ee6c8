r"""How high a head's table ranks the right word: rank scores of relations, and what they would be without the relation.

The row of a source word in a head's VO table gives every word a logit. For a pair (s, t) of a relation the rank score is the share
of other words that t beats there (ties count half), an area under a ROC curve; for a relation it is the mean over its pairs. 1 says that
the head promotes the right word above all others, 0 that it suppresses it below all others. Top-k scores, which ask whether
t is among the first k, are zero nearly everywhere in small models.

Chance is not one half where a head promotes all targets alike, whatever it attends to. The *mismatched* score is the mean over all pairs of
a source with another pair's target, which has the same columns; the difference to it is tested with the exact mean and variance that a
permutation of the targets gives, for which the sum is nearly normal (Hoeffding 1951, "A combinatorial central limit theorem"). That holds
where no single pair makes much of the sum's spread; elsewhere permutations are counted, all of them or as many random ones as are needed.

Source: Elhelo and Geva 2024, "Inferring Functionality of Attention Heads from their Parameters" (arXiv 2412.11965), with ranks in the
place of their top k.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import norm, t
from torch import Tensor

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.projections.random_heads import heads_of_draw
from analysis_lib.statistics.monte_carlo import adaptive_null
from analysis_lib.weights import TransformerWeights, extract

Relations = Mapping[str, np.ndarray]

DRAWN_WHOLE = 48
"""Heads of a model whose random counterparts are all drawn; a head's draw depends on how many there are."""

COUNTED = 7
"""Pairs of a relation up to which all permutations are counted: 5,040 of seven."""

LARGEST_PART = 0.5
"""Part of one pair in the sum, in units of the sum's standard deviation, from which the normal approximation is not trusted."""


def rank_matrix(
    left: ArrayLike, right: ArrayLike, sources: ArrayLike, targets: ArrayLike, candidates: ArrayLike
) -> Float[np.ndarray, "source target"]:
    """Where each target ranks in the row of each source.

    Parameters
    ----------
    left, right : float array [token, d]
        The two factors of a table, a row a token: entry (a, b) of the table is `left[a] @ right[b]`.
    sources, targets : int array [n], [m]
        Rows of `left` and of `right`.
    candidates : int array [n_candidates]
        Distinct rows of `right`: what a target is ranked against, itself and the source left out.

    Returns
    -------
    numpy.ndarray [n, m]
        From 0 to 1.

    Raises
    ------
    ValueError
        Ids that are no rows, repeated candidates, fewer than three of them, values that are not finite.
    """
    left, right = np.asarray(left, dtype=np.float32), np.asarray(right, dtype=np.float32)
    sources, targets = _checked("sources", sources, left), _checked("targets", targets, right)
    candidates = _checked_candidates(candidates, right)
    read = left[sources].astype(np.float64)
    # [source, candidate] and [source, target]. Equal scores that were summed in another order are equal again once rounded to float32.
    scores, wanted = ((read @ right[ids].T.astype(np.float64)).astype(np.float32) for ids in (candidates, targets))
    if not (np.isfinite(scores).all() and np.isfinite(wanted).all()):
        raise ValueError("left and right: expected finite factors, found products that are not")
    # A target that is a candidate gets its score from the same product, so that it ties with itself exactly.
    place_of = np.full(max(len(left), len(right)), -1)
    place_of[candidates] = np.arange(len(candidates))
    of_target, of_source = place_of[targets], place_of[sources]
    own = of_target >= 0
    wanted[:, own] = scores[:, of_target[own]]
    rows, asked = torch.from_numpy(np.sort(scores, axis=1)), torch.from_numpy(wanted)
    below, not_above = (torch.searchsorted(rows, asked, right=right_end).numpy().astype(np.float64) for right_end in (False, True))
    of_itself = scores[np.arange(len(sources)), of_source][:, None]  # of no meaning where the source is no candidate
    left_out = (of_source >= 0)[:, None] & (targets != sources[:, None])
    beaten = (below + not_above) / 2 - 0.5 * own - left_out * ((of_itself < wanted) + 0.5 * (of_itself == wanted))
    rivals = len(candidates) - own.astype(np.float64) - left_out
    return beaten / rivals


def rank_scores(left: ArrayLike, right: ArrayLike, relations: Relations, candidates: ArrayLike) -> pd.DataFrame:
    """Rank scores of a table for some relations, beside those of mismatched pairs.

    Parameters
    ----------
    left, right, candidates
        As for `rank_matrix`.
    relations : mapping of str to int array [pair, 2]
        Rows of `left` and `right`: source and target. Two pairs or more each.

    Returns
    -------
    DataFrame, a row for each relation
        `relation n score mismatched excess spread p`: the mean rank of the true targets, of all others' targets, the difference of the
        score to the mean over permutations of the targets, the standard deviation over these permutations, and a two-sided p-value, not
        corrected. Of n pairs it is never below 1 / n!.

    Raises
    ------
    ValueError
        No relations, fewer than two pairs in one; see also `rank_matrix`.
    """
    if not relations:
        raise ValueError("relations: expected one or more, found none")
    blocks = {}
    for name, pairs in relations.items():
        if np.ndim(pairs) != 2 or np.shape(pairs)[1] != 2 or len(pairs) < 2:
            raise ValueError(f"relations[{name!r}]: expected two pairs or more, [pair, 2], found shape {np.shape(pairs)}")
        sources, targets = np.asarray(pairs).T
        blocks[name] = rank_matrix(left, right, sources, targets, candidates)
    return pd.DataFrame([_tested(name, ranks) for name, ranks in blocks.items()])


def _tested(name: str, ranks: np.ndarray) -> dict:
    """One row of `rank_scores`."""
    n = len(ranks)
    score, mean = float(np.trace(ranks) / n), float(ranks.mean())
    centred = ranks - ranks.mean(axis=0) - ranks.mean(axis=1, keepdims=True) + mean
    spread = float(np.sqrt((centred**2).sum() / (n - 1)) / n)  # of a mean over a random permutation
    p = _p_of_permutations(ranks, centred, score - mean, spread) if spread > 1e-12 else 1.0
    mismatched = float((ranks.sum() - np.trace(ranks)) / (n * (n - 1)))
    return {"relation": name, "n": n, "score": score, "mismatched": mismatched, "excess": score - mean, "spread": spread, "p": p}


def _p_of_permutations(ranks: np.ndarray, centred: np.ndarray, excess: float, spread: float) -> float:
    """Two-sided: the chance that a permutation of the targets moves the mean as far from its expectation."""
    n, rows = len(ranks), np.arange(len(ranks))
    if n <= COUNTED:
        moved = np.abs(centred[rows, _permutations(n)].mean(axis=1))
        return float((moved >= abs(excess) - 1e-9).mean())
    least = 1 / math.factorial(n)
    if np.abs(centred).max() <= LARGEST_PART * n * spread:
        return max(least, 2 * float(norm.sf(abs(excess) / spread)))

    def draw(n_draws: int, _: np.ndarray) -> np.ndarray:
        return np.abs(centred[rows, _random_permutations(n, n_draws)].mean(axis=1))[:, None]

    # Where few pairs make most of the sum it takes few values, which lie up to this far apart.
    return max(least, adaptive_null([abs(excess)], draw, spans=np.ptp(centred) / n)[0].p)


@cache
def _permutations(n: int) -> np.ndarray:
    return np.array(list(itertools.permutations(range(n))))


@lru_cache(maxsize=32)  # all heads of a relation are compared with the same ones
def _random_permutations(n: int, n_draws: int) -> np.ndarray:
    return np.random.default_rng(n_draws).permuted(np.tile(np.arange(n), (n_draws, 1)), axis=1)


def head_factors(
    weights: TransformerWeights, layer: int, head: int, update: Tensor | None = None
) -> tuple[Float[Tensor, "vocab d_head"], Float[Tensor, "vocab d_head"]]:
    """The factors of a head's VO table, embeddings read as the layer reads states.

    Parameters
    ----------
    weights : TransformerWeights
    layer, head : int
    update : Tensor [layer, d_model], optional
        Added to every embedding before the layer's norm: what earlier layers and positions add on average, from `mean_updates`. Without
        it this is `vo_factors(..., embedding="layer_norm")`.

    Returns
    -------
    left, right : Tensor [vocab, d_head]
    """
    vo = weights.head(layer, head).vo
    states = weights.embedded() if update is None else weights.embedded() + update[layer]
    table = (weights.read(layer, states) if weights.layer_norms is not None else states) @ vo @ weights.W_U
    return table.left, table.right.T


def mean_updates(loaded: LoadedModel, texts: Sequence[str]) -> Float[Tensor, "layer d_model"]:
    """What stands before each layer on average beside the token's own embedding: positions, and updates of earlier layers.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str
        The mean is over all their tokens but the first of each.

    Returns
    -------
    Tensor [layer, d_model]
    """
    run, weights = activations.run(loaded, texts), extract(loaded)
    used = ~run.tokens["first"].to_numpy()
    own = weights.embedded()[torch.as_tensor(run.tokens["token_id"].to_numpy()[used])].mean(dim=0)
    return torch.from_numpy(run.output("states")[: weights.n_layers, used].mean(axis=1)) - own


def head_rank_scores(
    weights: TransformerWeights,
    relations: Relations,
    candidates: ArrayLike,
    heads: Sequence[tuple[int, int]] | None = None,
    update: Tensor | None = None,
) -> pd.DataFrame:
    """Rank scores of the VO tables of heads.

    Parameters
    ----------
    weights : TransformerWeights
    relations, candidates
        Token ids, as for `rank_scores`.
    heads : sequence of (layer, head), optional
        All by default.
    update : Tensor [layer, d_model], optional
        As for `head_factors`.

    Returns
    -------
    DataFrame
        `layer head` and the columns of `rank_scores`.

    Raises
    ------
    ValueError
        As for `rank_scores`; a head that is not there.
    """
    heads = list(np.ndindex(weights.n_layers, weights.n_heads)) if heads is None else list(heads)
    used = np.unique(np.concatenate([np.ravel(candidates), *(np.ravel(pairs) for pairs in relations.values())]).astype(np.int64))
    if not len(used) or used[0] < 0 or used[-1] >= weights.d_vocab:
        raise ValueError(f"relations and candidates: expected ids from 0 to {weights.d_vocab - 1}, found others")
    small = _restricted(weights, used)
    inside = {name: np.searchsorted(used, pairs) for name, pairs in relations.items()}
    rivals = np.searchsorted(used, candidates)
    frames = []
    for layer, head in heads:
        left, right = head_factors(small, layer, head, update)
        frames.append(rank_scores(left.numpy(), right.numpy(), inside, rivals).assign(layer=layer, head=head))
    whole = pd.concat(frames, ignore_index=True)
    return whole[["layer", "head", *whole.columns[:-2]]]


def random_rank_scores(
    weights: TransformerWeights,
    make: Callable[..., TransformerWeights],
    relations: Relations,
    candidates: ArrayLike,
    n_draws: int = 20,
    per_draw: int = 12,
    seed: int = 0,
    update: Tensor | None = None,
) -> pd.DataFrame:
    """Rank scores of random heads between the same embeddings.

    Parameters
    ----------
    weights, relations, candidates
        As for `head_rank_scores`.
    make : callable
        `random_heads.rotated` or `random_heads.symmetric`.
    n_draws : int
        Sets of random heads.
    per_draw : int
        Heads of each set that are scored, spread evenly over the model and others in each draw. In a model of more than `DRAWN_WHOLE` heads
        no others are drawn.
    seed : int
    update : Tensor [layer, d_model], optional
        As for `head_factors`: random heads that stand beside heads with an update read with the same one.

    Returns
    -------
    DataFrame
        `draw layer head` and the columns of `rank_scores`.

    Raises
    ------
    ValueError
        `n_draws` or `per_draw` below 1; see also `head_rank_scores`.
    """
    if min(n_draws, per_draw) < 1:
        raise ValueError(f"n_draws and per_draw: expected 1 or more, found {n_draws} and {per_draw}")
    total = weights.n_layers * weights.n_heads
    frames = []
    for draw in range(n_draws):
        heads = heads_of_draw(weights, draw, per_draw)
        made = make(weights, seed + draw, None if total <= DRAWN_WHOLE else heads)
        frames.append(head_rank_scores(made, relations, candidates, heads, update).assign(draw=draw))
    return pd.concat(frames, ignore_index=True)


def against_random(scores: pd.DataFrame, random: pd.DataFrame) -> pd.DataFrame:
    """Scores of heads beside those of random heads, with one p-value against mismatched pairs and random heads.

    Parameters
    ----------
    scores : DataFrame
        As `head_rank_scores` gives it.
    random : DataFrame
        As `random_rank_scores` gives it, of the same relations and with the same update. The null is what one more such head may give:
        Student's distribution around their mean excess.

    Returns
    -------
    DataFrame
        `scores` with `random_mean`, `random_spread` (of the excess, by relation), `p_random` (two-sided) and `p_both`, the larger of
        `p` and `p_random`, and 1 where the two nulls are left on different sides: small only where both are beaten. Not corrected.

    Raises
    ------
    ValueError
        Fewer than two random heads that differ, or a relation that they were not scored on.
    """
    spread = random.groupby("relation")["excess"].agg(["mean", "std", "count"])
    missing = set(scores["relation"]) - set(spread.index[spread["std"] > 0])
    if missing:
        raise ValueError(f"random: expected two random heads or more for each relation, found fewer for {sorted(missing)[0]!r}")
    mean, std, n = (scores["relation"].map(spread[name]) for name in ("mean", "std", "count"))
    beyond = scores["excess"] - mean
    p_random = 2 * t.sf(beyond.abs() / (std * np.sqrt(1 + 1 / n)), n - 1)
    one_side = np.sign(beyond) == np.sign(scores["excess"])
    p_both = np.where(one_side, np.maximum(scores["p"], p_random), 1.0)
    return scores.assign(random_mean=mean, random_spread=std, p_random=p_random, p_both=p_both)


def embedding_rank_scores(weights: TransformerWeights, relations: Relations, candidates: ArrayLike) -> pd.DataFrame:
    """Rank scores of no head at all: of the cosines of embeddings, their mean over the candidates taken away."""
    centred = weights.W_E - weights.W_E[torch.as_tensor(np.asarray(candidates))].mean(dim=0)
    units = torch.nn.functional.normalize(centred, dim=1).numpy()
    return rank_scores(units, units, relations, candidates)


def _restricted(weights: TransformerWeights, ids: np.ndarray) -> TransformerWeights:
    """The same weights over fewer tokens."""
    chosen = torch.from_numpy(ids)
    return replace(weights, W_E=weights.W_E[chosen], W_U=weights.W_U[:, chosen])


def _checked(name: str, ids: ArrayLike, table: np.ndarray) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or not len(ids) or not np.issubdtype(ids.dtype, np.integer) or ids.min() < 0 or ids.max() >= len(table):
        raise ValueError(f"{name}: expected ids from 0 to {len(table) - 1}, found {ids.dtype} of shape {ids.shape}: {ids.ravel()[:5]}")
    return ids.astype(np.int64)


def _checked_candidates(ids: ArrayLike, table: np.ndarray) -> np.ndarray:
    ids = _checked("candidates", ids, table)
    if len(ids) < 3 or len(np.unique(ids)) < len(ids):
        raise ValueError(f"candidates: expected three distinct tokens or more, found {len(np.unique(ids))} in {len(ids)}")
    return ids
