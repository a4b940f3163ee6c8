"""Which of two forms a model prefers, what each head has to do with it, and what the head's table says beforehand.

A model reads the beginning of a sentence, and the logits of two forms are compared at the place where one of them would stand: at the
last token of a causal model; of a masked model at a mask, which follows the beginning and is followed by a full stop. All differences are
right form minus wrong form. A head is removed by putting its mean output in the place of its output, at all tokens.

Sources: Linzen et al. 2016 (arXiv 1611.01368) for the comparison; Wang et al. 2023 (arXiv 2211.00593) for mean ablation; Owen 2007, "The
pigeonhole bootstrap" (arXiv 0712.1111), for intervals where two kinds of words are crossed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata, t
from torch import Tensor

from analysis_lib import activations
from analysis_lib.activations.interventions import edited, put, resumed
from analysis_lib.activations.text_windows import without_end
from analysis_lib.models import LoadedModel, is_causal
from analysis_lib.projections.rank_scores import head_factors
from analysis_lib.statistics import Interval
from analysis_lib.statistics.intervals import check_level
from analysis_lib.sweeps import sweep
from analysis_lib.weights import TransformerWeights, extract


class PairScorer:
    """Minimal pairs, encoded for one model.

    Parameters
    ----------
    loaded : LoadedModel
        That predicts tokens.
    pairs : DataFrame
        `prefix cue right wrong`, as `minimal_pairs.minimal_pairs` gives it.

    Attributes
    ----------
    right, wrong, cues : int64 array [pair]
        Token ids.
    sequences : list of list of int
        The distinct beginnings, ready to be read.
    of_pair : int array [pair]
        The beginning of each pair.
    places : list of int
        Where each beginning is asked for the next word.

    Raises
    ------
    ValueError
        A model that predicts no tokens; no pairs; a cue or a form that is not one token (`Vocabulary.word_id`), or is right and wrong at
        once.
    """

    def __init__(self, loaded: LoadedModel, pairs: pd.DataFrame) -> None:
        if not loaded.predicts:
            raise ValueError(f"loaded: expected a model that predicts tokens, found the bare encoder {loaded.name}")
        if not is_causal(loaded.model) and loaded.reader.mask_token is None:
            raise ValueError(
                f"loaded: expected a tokenizer with a mask for a masked model, found {type(loaded.reader).__name__} without one"
            )
        if not len(pairs) or (pairs["right"] == pairs["wrong"]).any():
            raise ValueError("pairs: expected one pair or more, of two different forms each")
        ids = {word: loaded.vocabulary.word_id(word) for word in pd.unique(pairs[["right", "wrong", "cue"]].to_numpy().ravel())}
        self.loaded, self.weights = loaded, extract(loaded)
        self.right, self.wrong, self.cues = (pairs[side].map(ids).to_numpy(np.int64) for side in ("right", "wrong", "cue"))
        self.of_pair, prefixes = pd.factorize(pairs["prefix"])
        encoded = [self._encoded(prefix) for prefix in prefixes]
        self.sequences, self.places = [ids for ids, _ in encoded], [place for _, place in encoded]

    def _encoded(self, prefix: str) -> tuple[list[int], int]:
        """Token ids, and the place that is asked."""
        tokenizer = self.loaded.reader
        if is_causal(self.loaded.model):
            space = " " if self.loaded.vocabulary.kind == "byte-level" else ""
            ids = without_end(tokenizer, space + prefix)
            return ids, len(ids) - 1
        ids = tokenizer(f"{prefix} {tokenizer.mask_token} .")["input_ids"]
        return ids, ids.index(tokenizer.mask_token_id)

    def margins(self, batch_size: int = 128) -> Float[np.ndarray, " pair"]:
        """Logit of the right form minus that of the wrong one, with whatever interventions are in force.

        Parameters
        ----------
        batch_size : int
            Beginnings of one length for each pass.
        """
        return self._margins_of(self._states(batch_size))

    def _margins_of(self, states: Tensor) -> Float[np.ndarray, " pair"]:
        """Margins by the last block's output at the places asked, [beginning, d_model]."""
        asked = np.unique(np.r_[self.right, self.wrong])
        chosen = torch.from_numpy(asked)
        weights = replace(self.weights, W_U=self.weights.W_U[:, chosen], b_U=self.weights.b_U[chosen])
        logits = weights.logits(states).numpy().astype(np.float64)
        right, wrong = (np.searchsorted(asked, ids) for ids in (self.right, self.wrong))
        return logits[self.of_pair, right] - logits[self.of_pair, wrong]

    def attention_to_cue(self, batch_size: int = 128) -> Float[np.ndarray, "head pair"]:
        """How much each head attends to the cue from the place that is asked, heads in the order of (layer, head)."""
        shift = 0 if is_causal(self.loaded.model) else 1  # a mask follows the cue
        found = np.empty((self.weights.n_layers * self.weights.n_heads, len(self.sequences)))
        for rows, places, record in self._passes(["patterns"], batch_size):
            patterns = torch.stack([record["patterns", layer] for layer in range(self.weights.n_layers)])
            picked = patterns[:, range(len(rows)), :, places, places - shift]  # [sequence, layer, head]: indexed axes come first
            found[:, rows] = picked.flatten(1).T.cpu().numpy()
        return found[:, self.of_pair]

    def _states(self, batch_size: int) -> Tensor:
        """The last block's output at the places asked [beginning, d_model], before any final norm."""
        states = torch.empty(len(self.sequences), self.weights.d_model, dtype=torch.float32)
        for rows, places, record in self._passes([], batch_size):
            states[rows] = record["states", self.weights.n_layers][range(len(rows)), places].float().cpu()
        return states

    def _passes(self, outputs: Sequence[str], batch_size: int) -> Iterator[tuple[np.ndarray, Tensor, dict]]:
        """Passes over beginnings of one length: which they are, the places asked, and what was recorded."""
        model, lengths = self.loaded.model, np.array([len(ids) for ids in self.sequences])
        for length in np.unique(lengths):
            own = np.flatnonzero(lengths == length)
            for rows in np.array_split(own, -(-len(own) // batch_size)):
                ids = torch.tensor([self.sequences[row] for row in rows], device=model.device)
                with activations.recording(model, outputs) as record, torch.no_grad():
                    model.base_model(input_ids=ids)
                yield rows, torch.tensor([self.places[row] for row in rows]), record

    def ablation_effects(self, means: Tensor, heads: Sequence[tuple[int, int]] | None = None) -> Float[np.ndarray, "head pair"]:
        """What each head does for the right form: the margin with it, less the margin without it.

        Measured on the model as it is: not inside interventions, which results that are kept on disk know nothing of.

        Parameters
        ----------
        means : Tensor [layer, head, d_head]
            What takes a head's place, from `forms_in_text.head_means_in`.
        heads : sequence of (layer, head), optional
            All by default, in order.

        Returns
        -------
        numpy.ndarray [head, pair]
            Above zero where the head helps.

        Raises
        ------
        ValueError
            Means of another shape.
        """
        expected = (self.weights.n_layers, self.weights.n_heads, self.weights.d_head)
        if tuple(means.shape) != expected:
            raise ValueError(f"means: expected [layer, head, d_head] {expected}, found {tuple(means.shape)}")
        heads = list(np.ndindex(expected[:2])) if heads is None else list(heads)
        pairs = (self.sequences, self.of_pair, self.right, self.wrong)
        work = partial(_effect_of_head, pairs=pairs, means=means.cpu().numpy())
        whole = (self, list(self._passes([], batch_size=128)), self.margins())
        return np.stack(sweep(work, heads, whole, revision=self.loaded.key, title=f"{self.loaded.name}, heads removed"))

    def table_margins(self, weights: TransformerWeights | None = None, update: Tensor | None = None) -> Float[np.ndarray, "head pair"]:
        """What each head's VO table says of the pairs: the right form's entry in the row of the cue, less the wrong form's.

        Parameters
        ----------
        weights : TransformerWeights, optional
            Others over the same vocabulary, such as those of `random_heads`; the model's own by default.
        update : Tensor [layer, d_model], optional
            As for `rank_scores.head_factors`.

        Returns
        -------
        numpy.ndarray [head, pair]
            Heads in the order of (layer, head).
        """
        weights = self.weights if weights is None else weights
        used, places = np.unique(np.stack([self.cues, self.right, self.wrong]), return_inverse=True)
        cues, right, wrong = places.reshape(3, -1)
        chosen = torch.from_numpy(used)
        small = replace(weights, W_E=weights.W_E[chosen], W_U=weights.W_U[:, chosen])
        found = []
        for layer, head in np.ndindex(weights.n_layers, weights.n_heads):
            rows, columns = (side.numpy() for side in head_factors(small, layer, head, update))
            found.append((rows[cues] * (columns[right] - columns[wrong])).sum(axis=1, dtype=np.float64))
        return np.stack(found)


def _effect_of_head(
    whole: tuple[PairScorer, list[tuple], np.ndarray], at: tuple[int, int], pairs: tuple, means: np.ndarray
) -> Float[np.ndarray, " pair"]:
    """Margins with a head less those without it; `pairs` is what the scorer asks, since results are kept on disk under it."""
    (scorer, passes, margins), (layer, head) = whole, at
    model, last = scorer.loaded.model, scorer.weights.n_layers
    change = {("heads", layer): put(torch.as_tensor(means[layer, [head]], device=model.device), heads=[head])}
    states = torch.empty(len(scorer.sequences), scorer.weights.d_model, dtype=torch.float32)
    for rows, places, record in passes:
        ids = torch.tensor([scorer.sequences[row] for row in rows], device=model.device)
        late = resumed(model, layer, record["states", layer])
        with torch.no_grad(), late, edited(model, change), activations.recording(model, layers=[last]) as without:
            model.base_model(input_ids=ids)
        states[rows] = without["states", last][range(len(rows)), places].float().cpu()
    return margins - scorer._margins_of(states)


def crossed_interval(
    values: ArrayLike, rows: ArrayLike, columns: ArrayLike, level: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> Interval:
    """A mean over pairs of two kinds of units, such as cues and lemmas, with an interval that resamples both.

    Parameters
    ----------
    values : float array [pair]
    rows, columns : array [pair]
        The two units of each pair, two or more of each kind.
    level : float
    n_resamples, seed : int

    Returns
    -------
    Interval
        Percentiles, wider than resampling one kind alone (Owen 2007). With k units of the rarer kind their distances from the mean are
        multiplied by the ratio of the quantiles of Student's distribution with k - 1 degrees of freedom and of the normal one, and by
        the root of k / (k - 1): without that, intervals over a few units cover too seldom. They end at the smallest and the largest
        value, so that no share is below 0 or above 1.

    Raises
    ------
    ValueError
        Labels that do not fit, fewer than two units of a kind, values that are not finite, a level not between 0 and 1.
    """
    check_level(level)
    values = np.asarray(values, dtype=np.float64)
    labels = [pd.factorize(np.asarray(side))[0] for side in (rows, columns)]  # -1 for a label that is missing
    unfit = any(side.shape != values.shape or side.min(initial=0) < 0 for side in labels)
    if values.ndim != 1 or unfit or not np.isfinite(values).all():
        raise ValueError(f"values, rows and columns: expected finite values and one label of each kind for each, found {values.shape}")
    if min(side.max(initial=-1) for side in labels) < 1:
        raise ValueError("rows and columns: expected two units or more of each kind")
    rng, weights = np.random.default_rng(seed), np.ones((n_resamples, len(values)))
    for side in labels:
        n = side.max() + 1
        weights *= rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)[:, side]
    total = weights.sum(axis=1)
    means = (weights @ values)[total > 0] / total[total > 0]
    few, mean, ends = min(side.max() + 1 for side in labels), values.mean(), [(1 - level) / 2, (1 + level) / 2]
    stretch = t.ppf(ends[1], few - 1) / norm.ppf(ends[1]) * np.sqrt(few / (few - 1))
    low, high = np.clip(mean + stretch * (np.quantile(means, ends) - mean), values.min(), values.max())
    return Interval(float(mean), float(low), float(high))


def correlation_over_heads(
    table: ArrayLike, effects: ArrayLike, ranks: bool = True, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[Interval, np.ndarray]:
    """Correlation over heads of what their tables say with what their removal does, averaged over rules of grammar.

    Parameters
    ----------
    table, effects : float array [head] or [rule, head]
        Four heads or more, the same in every rule.
    ranks : bool
        Spearman's correlation, else Pearson's.
    level : float
    n_resamples : int
        Bootstrap samples of heads, and permutations of heads; the same heads for all rules.
    seed : int

    Returns
    -------
    Interval, array [n_resamples]
        The mean correlation with its percentile interval, and the same of permuted heads, for `statistics.permutation_pvalue`.

    Raises
    ------
    ValueError
        Shapes that differ, fewer than four heads, values that are not finite, or all equal in a rule.
    """
    first, second = (np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (table, effects))
    fits = first.shape == second.shape and first.ndim == 2 and first.shape[1] >= 4
    if not fits or not np.isfinite([first, second]).all() or (np.ptp([first, second], axis=2) == 0).any():
        raise ValueError(
            f"table and effects: expected finite values that differ, of four heads or more, found {first.shape}, {second.shape}"
        )
    rng, n = np.random.default_rng(seed), first.shape[1]
    drawn = rng.integers(n, size=(n_resamples, n))
    order = rng.permuted(np.tile(np.arange(n), (n_resamples, 1)), axis=1)
    observed = float(np.mean([_correlations(a, b, ranks) for a, b in zip(first, second, strict=True)]))
    resampled, permuted = (
        np.mean([_correlations(a[one], b[two], ranks) for a, b in zip(first, second, strict=True)], axis=0)
        for one, two in ((drawn, drawn), (order, np.arange(n)))
    )
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(observed, min(float(low), observed), max(float(high), observed)), permuted


def _correlations(first: np.ndarray, second: np.ndarray, ranks: bool) -> np.ndarray:
    """Correlations along the last axis; 0 where a side does not vary."""
    vary = (np.ptp(first, axis=-1) > 0) & (np.ptp(second, axis=-1) > 0)  # the deviations of equal values would be rounding errors
    first, second = (rankdata(side, axis=-1) if ranks else side for side in (first, second))
    first, second = (side - side.mean(axis=-1, keepdims=True) for side in (first, second))
    lengths = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    return np.divide((first * second).sum(axis=-1), lengths, out=np.zeros(np.shape(lengths)), where=vary & (lengths > 0))
